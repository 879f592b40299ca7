"""What the tests in Python share: Chloe as a process, and a small WebSocket client.

Standard library only. The client is as plain as the old chloe.js: it opens a
socket and reads what comes. Used by tests/examples, tests/readme, tests/interop, tests/autobahn.
"""
import base64
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 20


def chloe_binary() -> Path:
    """The binary under test: CHLOE_BIN, else the debug build of this checkout."""
    target = os.environ.get("CARGO_TARGET_DIR", ROOT / "target")
    binary = Path(os.environ.get("CHLOE_BIN", Path(target) / "debug" / "chloe")).resolve()
    if not binary.is_file():
        sys.exit(f"{binary} is not there. Run `cargo build` first, or set CHLOE_BIN.")
    return binary


def free_port() -> int:
    """A port that nobody listens on, on either family."""
    while True:
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
        if is_free(port):
            return port


def is_free(port: int) -> bool:
    """Whether both loopback addresses of `port` can be listened on."""
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError:
                return False
    return True


def wait_for_port(port: int, process: subprocess.Popen, patience_s: float = PATIENCE_S) -> None:
    """Returns when `localhost:port` takes connections; raises if `process` ends first."""
    until = time.monotonic() + patience_s
    while time.monotonic() < until:
        try:
            socket.create_connection(("localhost", port), 1).close()
            return
        except OSError:
            if process.poll() is not None:
                raise AssertionError(f"{process.args} ended with {process.returncode}") from None
            time.sleep(0.02)
    raise AssertionError(f"nobody listens on port {port}")


def clean_environment(**more: str) -> dict:
    """This environment without anything that would configure Chloe by itself."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("CHLOE_")}
    return kept | more


def end(process: subprocess.Popen, how: int = signal.SIGTERM) -> int:
    """Asks the process and all that it started to end, and waits for all; returns its status."""
    until = time.monotonic() + PATIENCE_S
    kill_group(process, how)
    status = process.wait(PATIENCE_S)
    while kill_group(process, 0):
        if time.monotonic() > until:
            kill_group(process, signal.SIGKILL)
            raise AssertionError(f"{process.args} did not end when asked to")
        time.sleep(0.02)
    return status


def kill_group(process: subprocess.Popen, how: int) -> bool:
    """Signals the group that the process leads; false if nothing of it is left."""
    try:
        os.killpg(process.pid, how)
    except ProcessLookupError:
        return False
    return True


class Chloe:
    """A running Chloe on a free port, with its settings given as keywords.

    `command` is what is run: the server, unless a word such as "echo" says otherwise.
    """

    def __init__(self, *command: str, **settings) -> None:
        self.port = settings.setdefault("port", free_port())
        self.folder = Path(tempfile.mkdtemp(prefix="chloe-test."))
        config = self.folder / "chloe.toml"
        config.write_text("".join(f"{k} = {json.dumps(v)}\n" for k, v in settings.items()))
        self.log = self.folder / "stderr"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [chloe_binary(), *command, "--config", config],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=clean_environment(), start_new_session=True)
        try:
            wait_for_port(self.port, self.process)
        except AssertionError as error:
            raise AssertionError(f"{error}:\n{self.log.read_text()}") from None

    def __enter__(self) -> "Chloe":
        return self

    def __exit__(self, kind, *_) -> None:
        status = end(self.process)
        log = self.log.read_text()
        shutil.rmtree(self.folder)
        if kind is not None:
            print(f"--- what Chloe logged ---\n{log}---", file=sys.stderr)
        elif status != 0:
            raise AssertionError(f"Chloe ended with {status}:\n{log}")


class WebSocket:
    """A browser's end of a WebSocket: text in, text out, pings answered."""

    def __init__(self, port: int, path: str = "/chloe/websocket") -> None:
        self.socket = socket.create_connection(("localhost", port), PATIENCE_S)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall((
            f"GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
            f"Sec-WebSocket-Version: 13\r\n\r\n").encode())
        self.stream = self.socket.makefile("rb")
        status = self.stream.readline()
        assert b" 101 " in status, f"the handshake was answered with {status!r}"
        while self.stream.readline() != b"\r\n":
            pass

    def send(self, **message) -> None:
        """Sends one message as the browser client does."""
        self.send_frame(0x1, json.dumps(message).encode())

    def receive(self) -> dict:
        """The next message; raises after PATIENCE_S without one."""
        while True:
            opcode, payload = self.receive_frame()
            if opcode == 0x1:
                return json.loads(payload)
            if opcode == 0x9:
                self.send_frame(0xA, payload)
            elif opcode == 0x8:
                raise AssertionError(f"Chloe closed the socket: {payload!r}")

    def send_frame(self, opcode: int, payload: bytes) -> None:
        mask = os.urandom(4)
        length = len(payload)
        head = bytes([0x80 | opcode])
        if length < 126:
            head += bytes([0x80 | length])
        elif length < 65536:
            head += struct.pack("!BH", 0x80 | 126, length)
        else:
            head += struct.pack("!BQ", 0x80 | 127, length)
        masked = bytes(b ^ mask[i % 4] for i, b in enumerate(payload))
        self.socket.sendall(head + mask + masked)

    def receive_frame(self) -> tuple[int, bytes]:
        first, second = self.exactly(2)
        assert first & 0x80 and second < 128, "whole, unmasked frames are expected"
        length = second
        if second == 126:
            (length,) = struct.unpack("!H", self.exactly(2))
        elif second == 127:
            (length,) = struct.unpack("!Q", self.exactly(8))
        return first & 0xF, self.exactly(length)

    def exactly(self, count: int) -> bytes:
        data = self.stream.read(count)
        assert len(data) == count, "Chloe closed the connection"
        return data

    def close(self) -> None:
        self.stream.close()
        self.socket.close()


class Report:
    """Counts cases, prints one line for each, and the sum at the end."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.passed = self.failed = self.skipped = 0

    def case(self, what: str, body) -> None:
        """Runs `body()`; an AssertionError or OSError fails the case."""
        try:
            body()
        except (AssertionError, OSError, subprocess.SubprocessError) as error:
            self.failed += 1
            print(f"FAILED {what}: {error}", flush=True)
        else:
            self.passed += 1
            print(f"ok {what}", flush=True)

    def skip(self, what: str, why: str) -> None:
        self.skipped += 1
        print(f"skipped {what}: {why}", flush=True)

    def finish(self) -> None:
        """Prints the sum and ends the process: 0 only if something passed and nothing failed."""
        print(f"{self.name}: {self.passed} passed, {self.failed} failed, {self.skipped} skipped")
        sys.exit(1 if self.failed or not self.passed else 0)
