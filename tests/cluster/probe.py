"""The probe: a shard manager that a test drives (tests/managers/probe.c), and the cluster round it.

    def test_x(probes):
        probe = probes.lead(setup="add:one,two")     # Redis, simulator, coordinator, node; the cluster is set up
        assert probe("shard", "one")["shard"]["ready"] is False
        tag = probe.ask("shard_stop", "one")         # its answer comes when the base calls back
        ...
        assert probe.answer(tag)["error"] is None

Keywords that are no settings of the cluster are scripts: how calls of the manager's table are completed. `probes` is a
fixture: import it together with what else is used.
"""

import itertools
import json
import time
import shutil
import socket
import tempfile
from pathlib import Path

import pytest

from processes import wait_until
from shoal import BIN, SETTINGS, USER

OBJECT = BIN / "tests" / "managers" / "probe.so"
SCRIPTS = ("create", "setup", "assign_shard", "get_sender_shard", "start", "stop")

# What is no state: streams, replies, leases, clocks, what is yet to be compared, and what nodes measure.
NOT_STATE = ("log", "requests", "outbox", "leader", "nodes", "compare", "fan:", "budget:", "reply:", "result:", "user:")
MEASURED = {"lines_s", "bytes_s", "lag_ms", "silent"}
LINES_STATE = {"epoch", "streams"}
NODE_STATE = {"incarnation", "state", "capacity", "users", "shards"}


class Probe:
    """A connection to one probe. Answers are matched with questions by their tags, in whatever order they come."""

    def __init__(self, path):
        self.raw = b""  # all it ever said
        self._path = path
        self._socket = None
        self._tags = map(str, itertools.count(1))
        self._buffer = b""
        self._answers = {}

    def connect(self, timeout=20):
        """Wait until it listens."""

        def connected():
            sock = socket.socket(socket.AF_UNIX)
            try:
                sock.connect(str(self._path))
            except OSError:
                sock.close()
                return None
            return sock

        self._socket = wait_until(connected, timeout, "the probe listens")
        return self

    def ask(self, command, *args):
        """Send a command; the tag of its answer."""
        tag = next(self._tags)
        self._socket.sendall(json.dumps([tag, command, *args]).encode() + b"\n")
        return tag

    def _read(self, timeout):
        self._socket.settimeout(timeout)
        try:
            data = self._socket.recv(1 << 16)
        except (TimeoutError, BlockingIOError):
            return
        assert data, "the probe is gone"
        self.raw += data
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            answer = json.loads(line)
            tag = answer.pop("id")
            assert tag not in self._answers, f"answered twice: {answer}"
            self._answers[tag] = answer

    def answer(self, tag, timeout=20):
        """The answer with that tag, when it is there."""

        def there():
            if tag not in self._answers:
                self._read(0.1)
            return tag in self._answers

        wait_until(there, timeout, f"answer {tag} of the probe")
        return self._answers[tag]

    def has_answered(self, tag):
        """Did the answer come by now? Everything that was due before is there."""
        self("name")
        return tag in self._answers

    def __call__(self, command, *args, timeout=20):
        return self.answer(self.ask(command, *args), timeout)

    def done(self, command, *args, timeout=20):
        """A command that must succeed."""
        answer = self(command, *args, timeout=timeout)
        assert answer["error"] is None, (command, args, answer)
        return answer

    def refused(self, command, *args):
        """The error of a command that must fail."""
        answer = self(command, *args)
        assert answer["error"], (command, args, answer)
        return answer["error"]

    def shards(self):
        """Shard -> what the accessors say."""
        return {shard["id"]: shard for shard in self("shards")["shards"]}

    def shard(self, id):
        return self("shard", id)["shard"]

    def calls(self, name=None, channel=None):
        """The calls of the table so far, oldest first."""
        return [
            call
            for call in self("calls")["calls"]
            if name in (None, call["name"]) and channel in (None, call.get("channel"))
        ]

    def wait_for_call(self, name, channel=None, count=1, timeout=20):
        """The count-th call of that kind."""
        what = f"call {count} of {name} {channel or ''}"
        return wait_until(lambda: self.calls(name, channel)[count - 1 : count], timeout, what)[0]

    def complete(self, call, *actions):
        """Complete a call of the record, with each action in turn."""
        self("complete", str(call["call"]), call.get("channel", ""), *actions)

    def script(self, name, action):
        self("script", name, action)

    def is_gone(self):
        """Has the other side closed?"""
        try:
            self._read(0.05)
        except (AssertionError, OSError):
            return True
        return False

    def close(self):
        if self._socket:
            self._socket.close()


class Probes:
    """Coordinators with probes, in one cluster."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.by_name = {}
        self._directory = Path(tempfile.mkdtemp(prefix="probe-"))  # a socket's path must be short

    def start(self, name="c1", args=(), **given):
        """A coordinator; its probe, not connected yet."""
        path = self._directory / f"{name}.sock"
        path.unlink(missing_ok=True)
        args = ["--shard-manager", OBJECT, "--set", f"manager.socket={path}", *args]
        for key in [k for k in given if k.split(":")[0] in SCRIPTS]:
            args += ["--set", f"manager.{key}={given.pop(key)}"]
        self.cluster.start_coordinator(name, args=args, **given)
        self.by_name[name] = Probe(path)
        return self.by_name[name]

    def begin(self, *sim_args):
        """Redis and the simulator."""
        self.cluster.start_redis()
        self.cluster.start_sim("--verified", *sim_args)

    def lead(self, args=(), capacity=8, **given):
        """All that a cluster needs: c1 leads and has set it up."""
        self.begin()
        probe = self.start("c1", args, **given)
        self.cluster.start_node("n1", capacity=capacity)
        probe.connect()
        wait_until(self.cluster.is_set_up, 30, "the cluster is set up")
        return probe

    def stand_by(self, name="c2", args=(), **given):
        """Another coordinator that has seen the leader."""
        probe = self.start(name, args, **given).connect()
        process = self.cluster.processes[name]
        wait_until(lambda: "leader.standby" in process.text(), 20, f"{name} stands by")
        return probe

    def close(self):
        for probe in self.by_name.values():
            probe.close()
        shutil.rmtree(self._directory, ignore_errors=True)


@pytest.fixture
def probes(bare):
    """Coordinators with probes, of a cluster of which nothing runs yet."""
    own = Probes(bare)
    yield own
    own.close()


def registry(cluster):
    """All state of the cluster in Redis: key -> content, without what changes by itself."""
    r = cluster.redis
    readers = {"hash": r.hgetall, "set": r.smembers, "string": r.get,
               "zset": lambda key: dict(r.zrange(key, 0, -1, withscores=True))}  # fmt: skip
    state = {}
    for key in r.scan_iter(cluster.key("*"), count=1000):
        rest = key[len(cluster.key("")) :]
        if rest.startswith(NOT_STATE):
            continue
        value = readers[r.type(key)](key)
        if rest == "clock":
            value = {"extended": value.get("extended")}
        elif rest == "lines":
            value = {k: v for k, v in value.items() if k in LINES_STATE}
        elif rest.startswith("shard:") and rest.count(":") == 1:
            value = {k: v for k, v in value.items() if k not in MEASURED}
        elif rest.startswith("node:") and rest.count(":") == 1:
            value = {k: v for k, v in value.items() if k in NODE_STATE}
        elif rest.startswith("node:"):
            value = set(value)  # the scores are revisions
        state[rest] = value
    return state


def settled_registry(cluster):
    """The state when it has stopped changing."""
    seen = {"state": None, "since": 0}

    def still():
        state = registry(cluster)
        if state != seen["state"]:
            seen.update(state=state, since=time.monotonic())
        return time.monotonic() - seen["since"] > 0.7

    wait_until(still, 20, "the registry is still")
    return seen["state"]


def named_user(cluster, login="helper", token="helpertoken"):
    """Another user that the simulator knows; for the tokens of nodes that start afterwards."""
    cluster.sim.control(f"user {login} token={token} verified=1")
    cluster.write_tokens({USER: "simtoken", login: token})
    return login


def rooms(cluster):
    """The channels of each connection at the simulator."""
    return [set(c["rooms"]) for c in cluster.sim.control("connections")["connections"]]


def logged_in(cluster):
    """How many connections the simulator has."""
    return len(cluster.sim.control("connections")["connections"])


def ready(probe, *ids):
    """Wait until the shards are."""
    wait_until(lambda: all(probe.shard(id)["ready"] for id in ids), 20, f"{ids} are ready")


__all__ = [
    "Probe",
    "Probes",
    "SETTINGS",
    "logged_in",
    "named_user",
    "probes",
    "ready",
    "registry",
    "rooms",
    "settled_registry",
]
