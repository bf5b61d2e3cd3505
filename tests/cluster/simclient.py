"""Helpers for tests with the Twitch simulator: its process, its control port, and a chat client.

A client is a blocking socket with a small WebSocket on it, which
keeps frames visible: tests look at where lines were cut.
"""

import base64
import contextlib
import ctypes
import json
import os
import pathlib
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]


def bin_dir():
    """Where the programs were built: SHOAL_BIN_DIR, else build/asan."""
    return pathlib.Path(os.environ.get("SHOAL_BIN_DIR", ROOT / "build" / "asan"))


def wait_until(condition, timeout=5.0, what="condition"):
    """Poll until condition() is true and return what it gave; fail after timeout seconds."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout} s in vain for {what}")
        time.sleep(0.005)


def die_with_parent():
    """In a child: be killed when the test itself is killed (prctl PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Control:
    """The control port: call it with a command line, get the answer as a dict."""

    def __init__(self, port):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.file = self.sock.makefile("rwb")
        self.asking = threading.Lock()

    def __call__(self, command, check=True):
        with self.asking:
            self.file.write(command.encode() + b"\n")
            self.file.flush()
            line = self.file.readline()
        assert line, f"the control port closed at: {command}"
        answer = json.loads(line)
        if check:
            assert answer["ok"], f"{command}: {answer.get('error')}"
        return answer

    def stats(self):
        return self("stats")

    def received(self, channel, outcome=None):
        """Texts clients sent to the channel; outcome: only those with it ("said", ...)."""
        return [
            m["text"]
            for m in self(f"received {channel}")["messages"]
            if outcome is None or m["outcome"] == outcome
        ]

    def close(self):
        self.file.close()
        self.sock.close()


class Sim:
    """A running twitch-sim: .ws, .wss, .http, .https, .control_port, .control (a Control)."""

    def __init__(self, *args, program=None, env=None):
        self.dir = tempfile.TemporaryDirectory(prefix="twitch-sim-")
        port_file = pathlib.Path(self.dir.name) / "ports"
        self.log_path = pathlib.Path(self.dir.name) / "log"
        program = program or bin_dir() / "tests" / "twitch-sim"
        self.log = open(self.log_path, "wb")
        self.process = subprocess.Popen(
            [str(program), "--port-file", str(port_file), *map(str, args)],
            stderr=self.log,
            stdout=self.log,
            env={**os.environ, **(env or {})},
            preexec_fn=die_with_parent,
        )
        wait_until(lambda: port_file.exists() or self.process.poll() is not None, 15, "the port file")
        assert self.process.poll() is None, self.log_path.read_text()
        ports = dict(part.split("=") for part in port_file.read_text().split())
        self.ws = int(ports["ws"])
        self.wss = int(ports["wss"])
        self.http = int(ports["http"])
        self.https = int(ports["https"])
        self.control_port = int(ports["control"])
        self.control = Control(self.control_port)

    @property
    def url(self):
        return f"ws://127.0.0.1:{self.ws}"

    def path(self, name):
        return pathlib.Path(self.dir.name) / name

    def stop(self):
        """SIGTERM, and look that it ended well; returns what it wrote to standard error."""
        self.control.close()
        if self.process.poll() is None:
            self.process.terminate()
        try:
            code = self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        self.log.close()
        text = self.log_path.read_text(errors="replace")
        self.dir.cleanup()
        assert code == 0, f"twitch-sim ended with {code}:\n{text}"
        return text

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        try:
            self.stop()
        except AssertionError:
            if kind is None:
                raise


class Closed(Exception):
    """The server closed the connection."""


class WebSocket:
    """A WebSocket client. recv() gives (opcode, fin, payload) of one frame."""

    def __init__(self, port, tls=None, timeout=10, path="/", headers=None):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        if tls:
            self.sock = tls.wrap_socket(self.sock, server_hostname="localhost")
        self.buffer = b""
        key = base64.b64encode(os.urandom(16)).decode()
        lines = {"Host": f"127.0.0.1:{port}", "Upgrade": "websocket", "Connection": "Upgrade"}
        lines |= {"Sec-WebSocket-Key": key, "Sec-WebSocket-Version": "13", **(headers or {})}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self.sock.sendall(f"GET {path} HTTP/1.1\r\n{head}\r\n".encode())
        head = self.read_until(b"\r\n\r\n")
        if b" 101 " not in head.split(b"\r\n")[0]:
            raise Closed(head.decode(errors="replace"))

    def fill(self):
        try:
            data = self.sock.recv(262144)
        except (ConnectionError, ssl.SSLError) as e:
            if isinstance(e, ssl.SSLWantReadError):
                raise
            raise Closed(str(e)) from e
        if not data:
            raise Closed("end of stream")
        self.buffer += data

    def read_until(self, mark):
        while mark not in self.buffer:
            self.fill()
        head, self.buffer = self.buffer.split(mark, 1)
        return head + mark

    def need(self, n):
        while len(self.buffer) < n:
            self.fill()

    def recv(self):
        self.need(2)
        size, start = self.buffer[1] & 127, 2
        if size == 126:
            self.need(4)
            size, start = struct.unpack(">H", self.buffer[2:4])[0], 4
        elif size == 127:
            self.need(10)
            size, start = struct.unpack(">Q", self.buffer[2:10])[0], 10
        self.need(start + size)
        first = self.buffer[0]
        payload = self.buffer[start : start + size]
        self.buffer = self.buffer[start + size :]
        return first & 15, bool(first & 128), payload

    def send_frame(self, payload, opcode=1, fin=True):
        mask = os.urandom(4)
        n = len(payload)
        size = (
            bytes([128 | n])
            if n < 126
            else bytes([128 | 126]) + struct.pack(">H", n)
            if n < 65536
            else bytes([128 | 127]) + struct.pack(">Q", n)
        )
        masked = bytes(b ^ mask[i % 4] for i, b in enumerate(payload))
        self.sock.sendall(bytes([(128 if fin else 0) | opcode]) + size + mask + masked)

    def close(self):
        with contextlib.suppress(OSError):
            self.sock.close()


CAPS = "twitch.tv/tags twitch.tv/commands"


class Line(str):
    """An IRC line with its parts: tags (dict), prefix, command, params."""

    def __new__(cls, text):
        self = super().__new__(cls, text)
        rest = text
        self.tags = {}
        self.prefix = ""
        if rest.startswith("@"):
            tags, _, rest = rest[1:].partition(" ")
            self.tags = dict((t.split("=", 1) + [""])[:2] for t in tags.split(";"))
        if rest.startswith(":"):
            self.prefix, _, rest = rest[1:].partition(" ")
        head, sep, tail = rest.partition(" :")
        self.params = head.split()
        self.command = self.params.pop(0) if self.params else ""
        if sep:
            self.params.append(tail)
        return self

    @property
    def text(self):
        return self.params[-1] if self.params else ""


class Chat:
    """A chat client: logs in on construction unless login is None. next() gives the lines read since."""

    def __init__(
        self, sim, login="shoalbot", token="simtoken", caps=CAPS, tls=None, port=None, timeout=10
    ):
        self.timeout = timeout
        self.ws = WebSocket(port or (sim.wss if tls else sim.ws), tls, timeout)
        self.lines = []
        self.partial = ""
        self.frames = []  # (opcode, fin, payload) of everything read
        self.answer_pings = True
        if login is not None:
            self.login(login, token, caps)

    def login(self, login, token, caps=CAPS):
        if caps:
            self.send(f"CAP REQ :{caps}")
        if token is not None:
            self.send(f"PASS oauth:{token}")
        self.send(f"NICK {login}")
        self.nick = login
        self.expect("376")
        return self.sync()

    def send(self, line):
        self.ws.send_frame(line.encode() + b"\r\n")

    def read_frame(self):
        """Read one frame and take it apart into self.lines."""
        opcode, fin, payload = self.ws.recv()
        self.frames.append((opcode, fin, payload))
        if opcode == 8:
            raise Closed(payload.decode(errors="replace"))
        if opcode == 9:
            self.ws.send_frame(payload, 10)
        if opcode > 2:
            return
        whole = self.partial + payload.decode("latin-1")
        *lines, self.partial = whole.split("\r\n")
        for line in lines:
            text = line.encode("latin-1").decode(errors="replace")
            if text.startswith("PING") and self.answer_pings:
                self.send("PONG" + text[4:])
            self.lines.append(Line(text))

    def next(self, timeout=None):
        """The next line; raises Closed, or TimeoutError."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while not self.lines:
            self.ws.sock.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                self.read_frame()
            except BrokenPipeError as e:  # while answering a PING
                raise Closed(str(e)) from e
        return self.lines.pop(0)

    def expect(self, matches, timeout=None):
        """Read on to the first line that matches (a function, or a command); returns it."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        seen = []
        while True:
            try:
                line = self.next(deadline - time.monotonic())
            except (TimeoutError, Closed) as e:
                raise type(e)(f"{e}; seen: {seen[-10:]}") from e
            if line.command == matches if isinstance(matches, str) else matches(line):
                return line
            seen.append(str(line))

    def sync(self):
        """PING, and everything that came before the PONG."""
        mark = os.urandom(6).hex()
        self.send(f"PING :{mark}")
        seen = []
        while True:
            line = self.next()
            if line.command == "PONG" and line.text == mark:
                return seen
            seen.append(line)

    def join(self, *channels):
        """JOIN and wait until all answered; returns the lines up to there."""
        self.send("JOIN " + ",".join("#" + c for c in channels))
        return self.sync()

    def say(self, channel, text, tags=""):
        """PRIVMSG, and what came back up to the next PONG."""
        self.send(f"{'@' + tags + ' ' if tags else ''}PRIVMSG #{channel} :{text}")
        return self.sync()

    def expect_closed(self, timeout=None):
        """Read until the server closes; returns the lines before."""
        seen = []
        try:
            while True:
                seen.append(self.next(timeout))
        except Closed:
            return seen

    def close(self):
        self.ws.close()

    def __enter__(self):
        return self

    def __exit__(self, *what):
        self.close()


def commands(lines):
    return [line.command for line in lines]


def only(lines, command):
    return [line for line in lines if line.command == command]


def notice_ids(lines):
    return [line.tags.get("msg-id") for line in only(lines, "NOTICE")]


def sim_with(*args):
    """Decorates a test: options of its `sim`."""
    import pytest  # pylint: disable=import-outside-toplevel  # benchmarks do without

    return pytest.mark.parametrize("sim", [args], indirect=True, ids=["options"])
