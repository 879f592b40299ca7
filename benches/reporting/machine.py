"""What the machine is, as far as the figures depend on it. Used by the report alone."""

import os
import pathlib
import platform
import subprocess

# Settings of the kernel that move the figures, each with what it does.
KERNEL = {
    "net/ipv4/tcp_congestion_control": "when a socket may send",
    "net/ipv4/tcp_wmem": "send buffer of a socket: least, first, most",
    "net/ipv4/tcp_rmem": "receive buffer of a socket: least, first, most",
    "net/ipv4/tcp_notsent_lowat": "unsent bytes above which a socket counts as full",
    "net/core/somaxconn": "connections that may wait to be accepted",
    "net/ipv4/ip_local_port_range": "ports of clients, for each of their addresses",
}


def facts(root):
    """All of it, as a dictionary of text."""
    return {
        "processor": _cpu(),
        "cores": os.cpu_count(),
        "memory_gib": round(_meminfo("MemTotal") / 1024 / 1024),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "kernel": {name.replace("net/", "net.", 1).replace("/", "."): _setting(name) for name in KERNEL},
        "rustc": _first_line(["rustc", "--version"]).split(" (")[0],
        "commit": _first_line(["git", "-C", str(root), "describe", "--always", "--dirty"]),
        "open_files": _first_line(["sh", "-c", "ulimit -Hn"]),
    }


def load():
    """Processes that want to run, averaged over a minute."""
    return os.getloadavg()[0]


def _cpu():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return " ".join(line.split(":", 1)[1].split())
    return platform.machine()


def _meminfo(name):
    for line in pathlib.Path("/proc/meminfo").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1])
    return 0


def _setting(name):
    try:
        return " ".join(pathlib.Path("/proc/sys", name).read_text().split())
    except OSError:
        return "unknown"


def _first_line(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip().split("\n")[0]
