"""A program on a terminal of its own (a pty), an emulated one: what it shows, what keys and signals do to it.

    with terminals() as start:
        terminal = start("program", "argument", columns=80)
        terminal.wait_for("what it shows")
        assert terminal.wait(signal.SIGINT) == 0

Nothing here waits without a limit, and what still runs at the end is ended.
"""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from contextlib import contextmanager

import pyte


class Terminal:
    """What it shows now is `text`, all that was written to it `out`."""

    def __init__(self, *argv, columns=80, lines=24, term="xterm"):
        self.outside, self.inside = pty.openpty()
        self.screen = pyte.Screen(columns, lines)
        self.stream = pyte.ByteStream(self.screen)
        self.resize(columns, lines, tell=False)
        self.before = termios.tcgetattr(self.inside)
        self.out = b""
        env = {**os.environ, "TERM": term, "LC_ALL": "C.UTF-8"}
        self.program = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "--", *map(str, argv)],
            stdin=self.inside, stdout=self.inside, stderr=self.inside, env=env, start_new_session=True,
        )  # fmt: skip

    def resize(self, columns, lines, tell=True):
        self.screen.resize(lines, columns)
        fcntl.ioctl(self.outside, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        if tell:
            self.program.send_signal(signal.SIGWINCH)

    def press(self, keys):
        os.write(self.outside, keys.encode())

    @property
    def text(self):
        return "\n".join(line.rstrip() for line in self.screen.display)

    @property
    def printed(self):
        """`out` as text, for a program that moves no cursor, or of which all screens count."""
        return self.out.decode(errors="replace").replace("\r\n", "\n")

    def read(self, seconds):
        """Something that comes within that time; false: nothing did."""
        if not select.select([self.outside], [], [], seconds)[0]:
            return False
        data = os.read(self.outside, 65536)
        self.out += data
        self.stream.feed(data)
        return True

    def see(self, true, what, timeout=15):
        """Read until it is true of the text."""
        deadline = time.monotonic() + timeout
        while not true(self.text):
            assert time.monotonic() < deadline, f"not seen: {what}:\n{self.text}"
            self.read(0.1)

    def wait_for(self, shown, timeout=15):
        self.see(lambda text: shown in text, shown, timeout)

    def wait_until_gone(self, shown, timeout=15):
        self.see(lambda text: shown not in text, f"no {shown}", timeout)

    def wait_for_new(self, word, timeout=15):
        """It is written once more, whether it is shown already or not."""
        start = len(self.out)
        self.see(lambda _: word.encode() in self.out[start:], f"{word}, anew", timeout)

    def wait(self, signum=None, timeout=15):
        """The exit code, after that signal if one is given; the terminal is as it was before."""
        if signum:
            self.program.send_signal(signum)
        deadline = time.monotonic() + timeout
        while self.program.poll() is None:
            assert time.monotonic() < deadline, f"it does not end:\n{self.text}"
            self.read(0.05)
        while self.read(0.1):
            pass
        assert termios.tcgetattr(self.inside) == self.before
        return self.program.returncode

    def close(self):
        if self.program.poll() is None:
            self.program.kill()
            self.program.wait(10)
        os.close(self.inside)
        os.close(self.outside)


@contextmanager
def terminals():
    """start(...): a Terminal, which is closed at the end."""
    started = []

    def start(*argv, **size):
        started.append(Terminal(*argv, **size))
        return started[-1]

    try:
        yield start
    finally:
        for terminal in started:
            terminal.close()
