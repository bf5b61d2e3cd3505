"""Programs of a test: started, waited for, stopped by their ids, also when the test fails."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path


def wait_until(condition, timeout=10.0, what=""):
    """The first true value of condition(); AssertionError, naming `what`, when there is none in time."""
    deadline = time.monotonic() + timeout
    pause = 0.005
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what or condition}; last: {value!r}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)


def free_port():
    """A loopback port that was free a moment ago; whoever takes it must be ready to try another."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run(argv, env=None, timeout=20):
    """Run a program to its end, in an environment without SHOAL_*; it must not hang."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("SHOAL_")}
    return subprocess.run(
        [str(a) for a in argv],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={**clean, **(env or {})},
        timeout=timeout,
        check=False,
    )


class Process:
    """One program, its log, and the only two ways it may end: stopped by us, or a failure."""

    def __init__(self, name, argv, directory, env=None):
        self.name = name
        self.argv = [str(a) for a in argv]
        self.log = Path(directory) / f"{name}.log"
        self.env = {**os.environ, **(env or {})}
        self.popen = None
        self.expected_to_end = False
        self.complaints = []

    def start(self):
        assert not self.is_running(), f"{self.name} runs already"
        self.expected_to_end = False
        with open(self.log, "ab") as log:
            # setpriv: the kernel kills it when we are gone, however we went.
            self.popen = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *self.argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.env,
                start_new_session=True,
            )
        return self

    @property
    def pid(self):
        return self.popen.pid

    def is_running(self):
        return self.popen is not None and self.popen.poll() is None

    def signal(self, number):
        if self.is_running():
            self.popen.send_signal(number)

    def wait(self, timeout):
        """Its exit code (negative: the signal), or None while it runs on."""
        try:
            return self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def stop(self, timeout=15):
        """SIGTERM, and the exit code, which must come in time."""
        self.expected_to_end = True
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        code = self.wait(timeout)
        assert code is not None, f"{self.name} did not stop within {timeout} s of SIGTERM"
        return code

    def kill(self):
        """kill -9."""
        self.expected_to_end = True
        self.signal(signal.SIGKILL)
        self.popen.wait()

    def pause(self):
        self.signal(signal.SIGSTOP)

    def resume(self):
        self.signal(signal.SIGCONT)

    def restart(self):
        """kill -9, and the same command line again."""
        self.kill()
        return self.start()

    def text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def close(self):
        """Stop it whatever state it is in, and note what it did wrong."""
        if self.popen is None:
            return
        if not self.is_running():
            if not self.expected_to_end:
                self.complaints.append(f"{self.name} ended by itself, exit code {self.popen.returncode}")
            return
        self.expected_to_end = True
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        if self.wait(3) is None:
            self.signal(signal.SIGTERM)  # leave at once
        if self.wait(7) is None:
            self.complaints.append(f"{self.name} did not stop within 10 s of SIGTERM")
            self.kill()
