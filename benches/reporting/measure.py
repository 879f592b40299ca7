"""Makes the measurements: each case of each server in turn, round by round. Used by the report alone."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import cases
import machine

# A measurement that takes longer than that is given up. Connecting 10,000 takes some servers half a minute.
GIVE_UP_S = 60


class Measuring:
    def __init__(self, root, out, seconds, deadline):
        self.root, self.out, self.seconds, self.deadline = root, out, seconds, deadline
        self.bench = root / "target" / "release" / "chloe-bench"
        # What Chloe's frames have beside the data; known after the first measurement of Chloe.
        self.overhead = None
        # Servers that did not start, each with what they said: not tried again.
        self.absent = {}

    def run(self, chosen, servers, rounds):
        """All rounds, as far as the time goes."""
        self.write({"machine": machine.facts(self.root)})
        for number in range(1, rounds + 1):
            for case in chosen:
                for server in case.servers:
                    if server not in servers or (number > 1 and server in cases.ONE_ROUND):
                        continue
                    if time.monotonic() > self.deadline:
                        print(f"the time is up in round {number}: the rest is left out", file=sys.stderr)
                        return
                    self.measure(case, server, number)

    def measure(self, case, server, number):
        """One measurement; what comes of it is written, whatever it is."""
        if server in self.absent:
            return
        record = {"case": case.key, "server": server, "round": number}
        command = self.command(case, server)
        if command is None:
            return
        started = time.monotonic()
        record.update(self.outcome(command, server))
        record["load_before"] = round(machine.load(), 2)
        took = time.monotonic() - started
        if server == "chloe" and self.overhead is None and record.get("bytes_per_delivery"):
            # A frame of 126 bytes and more has a head of 4 (RFC 6455, 5.2).
            self.overhead = max(round(record["bytes_per_delivery"]) - record["payload_bytes"] - 4, 0)
        self.write(record)
        said = record.get("failed") or self.in_short(record)
        print(f"round {number}  {case.key:15} {server:22} {took:5.1f} s  {said}", file=sys.stderr)

    def command(self, case, server):
        """What is run; None where there is nothing to compare with."""
        if server not in cases.LIMITS and not self.speaks(server, case.transport):
            return None
        flags = ["--transport", case.transport, *case.flags, "--seconds", str(round(self.seconds * case.share, 2))]
        flags += ["--warm-up", str(case.warm_up)]
        if server in cases.LIMITS:
            mode, same = cases.LIMITS[server]
            overhead = self.overhead if same else 0
            if overhead is None:
                return None
            return [self.bench, case.command, "--peer", "limit", "--mode", mode, "--overhead", str(overhead), *flags]
        if server == "chloe":
            return [self.bench, case.command, "--peer", case.peers.get(server, "chloe"), *flags]
        peers = self.root / "benches" / "peers"
        return [self.bench, case.command, "--peer", peers / f"{server}.toml", "--start", peers / server, *flags]

    def speaks(self, server, transport):
        """Whether the server's file has the transport."""
        text = (self.root / "benches" / "peers" / f"{server}.toml").read_text()
        return any(line.startswith((f"[{transport}]", f"[{transport}.")) for line in text.splitlines())

    def outcome(self, command, server):
        """The line of JSON, or why there is none."""
        process = subprocess.Popen(
            list(map(str, command)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            printed, errors = process.communicate(timeout=GIVE_UP_S)
        except subprocess.TimeoutExpired:
            # The whole family, so that no server is left behind.
            end_family(process)
            return {"failed": f"not done within {GIVE_UP_S} s"}
        except BaseException:
            end_family(process)
            raise
        try:
            return json.loads(printed.strip().splitlines()[-1])
        except (ValueError, IndexError):
            said = [line.strip() for line in errors.splitlines() if line.strip()]
            own = [line for line in said if line.startswith(f"{server}:")]
            if own:
                self.absent[server] = own[0]
            return {"failed": (own or said or ["it printed nothing"])[0 if own else -1]}

    def write(self, record):
        with self.out.open("a") as file:
            file.write(json.dumps(record) + "\n")

    @staticmethod
    def in_short(record):
        """What somebody who looks on wants to see."""
        each, lost = record.get("server_cpu_us_per_delivery"), record.get("lost", 0)
        if record.get("bench") == "idle":
            return f"{record.get('connect_cpu_us_each')} us a connection"
        if each is None:
            each = record.get("server_cpu_us_per_publication")
            return f"{each} us a publication"
        wrong = [f"{name} {record[name]}" for name in ("lost", "doubled", "disordered") if record.get(name)]
        return f"{each} us a delivery" + (f"; {', '.join(wrong)}" if wrong else "")


def end_family(process):
    """Ends the measurement, its server and its readers: all of one session."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
        except ProcessLookupError:
            return
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            pass


def results_file(folder):
    """A new file for the results of a run."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder / time.strftime("report-%Y%m%d-%H%M%S.jsonl", time.gmtime())


def newest_file(folder):
    """The one of the last run; None if there was none."""
    files = sorted(pathlib.Path(folder).glob("report-*.jsonl"))
    return files[-1] if files else None
