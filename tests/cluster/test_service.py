"""Daemons as services: what they tell the service manager, and the files that make services of them."""

import re
import signal
import socket
import time

import pytest

from processes import run, wait_until
from shoal import BIN, COORDINATOR, NODE


class Manager:
    """The socket of a service manager, and what it heard: one text a datagram."""

    def __init__(self, path):
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.setblocking(False)
        self.messages = []

    def env(self, **more):
        return {"NOTIFY_SOCKET": str(self.path), **more}

    def heard(self, pattern):
        """The first line that matches."""
        while True:
            try:
                self.messages += self.socket.recv(65536).decode().splitlines()
            except BlockingIOError:
                return next((line for line in self.messages if re.fullmatch(pattern, line)), None)

    def hears(self, pattern, timeout=10):
        return wait_until(lambda: self.heard(pattern), timeout, f"the service manager hears {pattern}")

    def forget(self):
        self.heard("")
        self.messages.clear()


@pytest.fixture
def manager(tmp_path):
    manager = Manager(tmp_path / "notify")
    yield manager
    manager.socket.close()


def test_a_node_is_ready_when_it_is_registered_and_says_what_it_holds(cluster, manager):
    node = cluster.start_node(env=manager.env())
    manager.hears("READY=1")
    assert cluster.incarnation("n1")
    cluster.join("forsen", "xqc")
    manager.hears("STATUS=holds 1 shards, 2 of 2 channels joined", 15)
    node.signal(signal.SIGTERM)
    manager.hears("STOPPING=1")
    node.expected_to_end = True
    assert node.wait(10) == 0


def test_a_node_that_waits_is_not_ready_and_asks_for_time(bare, manager):
    bare.start_redis()
    bare.start_sim()
    bare.redis_process.pause()
    bare.start_node(env=manager.env())
    manager.hears("STATUS=waits for Redis")
    bare.redis_process.resume()
    manager.hears("STATUS=waits to be registered")  # no coordinator has set up this Redis yet
    manager.forget()
    manager.hears(r"EXTEND_TIMEOUT_USEC=\d+")
    assert not manager.heard("READY=1")
    bare.start_coordinator()
    manager.hears("READY=1")


def test_a_coordinator_is_ready_as_leader_and_as_standby(bare, manager, tmp_path):
    second = Manager(tmp_path / "second")
    bare.start_redis()
    bare.start_coordinator("c1", env=manager.env())
    manager.hears("READY=1")
    manager.hears("STATUS=leads")
    bare.start_coordinator("c2", env=second.env())
    second.hears("READY=1")
    second.hears("STATUS=stands by; c1 leads")
    bare.processes["c1"].stop()
    second.hears("STATUS=leads", 15)
    second.socket.close()


def test_a_reload_is_told_from_its_begin_to_its_end(cluster, manager):
    node = cluster.start_node(env=manager.env())
    manager.hears("READY=1")
    manager.forget()
    before = time.clock_gettime(time.CLOCK_MONOTONIC)
    node.signal(signal.SIGHUP)
    manager.hears("READY=1")
    told = int(manager.heard(r"MONOTONIC_USEC=\d+").partition("=")[2]) / 1e6
    assert before <= told <= time.clock_gettime(time.CLOCK_MONOTONIC)
    assert manager.messages[0] == "RELOADING=1"
    assert "config.reloaded" in node.text()


def test_the_watchdog_hears_of_a_node_until_it_stands_still(cluster, manager):
    node = cluster.start_node(env=manager.env(WATCHDOG_USEC="400000"))
    for _ in range(3):
        manager.forget()
        manager.hears("WATCHDOG=1", 1)
    node.pause()
    manager.forget()
    time.sleep(0.5)
    assert not manager.heard("WATCHDOG=1")


# Units ------------------------------------------------------------------------------------------------

UNITS = {"shoal-coordinator.service": COORDINATOR, "shoal-node.service": NODE, "shoal-node@.service": NODE}


def unit(name):
    """Its lines: [(key, value)]."""
    text = (BIN / "deploy" / name).read_text()
    return [tuple(line.split("=", 1)) for line in text.splitlines() if re.match(r"\w+=", line)]


def value(name, key):
    (found,) = (value for each, value in unit(name) if each == key)
    return found


def default(program, option):
    return re.search(rf"^#{option} = (.*)$", run([program, "--print-example"]).stdout, re.MULTILINE)[1]


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_is_sound_and_lets_its_program_do_little(name, tmp_path):
    text = (BIN / "deploy" / name).read_text()
    # Where systemd looks for programs, this one is not installed.
    text = text.replace(f"ExecStart={UNITS[name].name}\n", f"ExecStart={UNITS[name].resolve()}\n")
    (tmp_path / name).write_text(text)
    verified = run(["systemd-analyze", "verify", "--man=no", tmp_path / name])
    assert (verified.returncode, verified.stdout, verified.stderr) == (0, "", "")
    exposed = run(["systemd-analyze", "security", "--offline=true", "--threshold=15", BIN / "deploy" / name])
    assert exposed.returncode == 0, exposed.stdout


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_passes_on_credentials_that_its_program_takes(name):
    files = set(re.findall(r"^  --([a-z-]+) FILE", run([UNITS[name], "--help"]).stdout, re.MULTILINE))
    passed = [value.split(":") for key, value in unit(name) if key == "LoadCredential"]
    assert {credential for credential, _ in passed} <= files
    # Those without a directory are optional.
    assert all(re.fullmatch(r"shoal\.[a-z-]+", place) for _, place in passed)
    secrets = {"redis-url-file", "account-keys", "tokens", "client-secret", "http-admin-token", "http-tls-key"}
    assert secrets & files <= {credential for credential, _ in passed}


def test_a_unit_gives_a_node_the_time_and_the_files_it_asks_for():
    drain = int(default(NODE, "drain_timeout").removesuffix("s"))
    for name in ("shoal-node.service", "shoal-node@.service"):
        assert drain + 5 <= int(value(name, "TimeoutStopSec")) <= drain + 15
        assert int(value(name, "LimitNOFILE")) >= 10 * int(default(NODE, "shard_capacity"))


def test_each_service_has_options_of_its_own_and_an_instance_a_name():
    lines = unit("shoal-node@.service")
    assert ("Environment", "SHOAL_NODE_ID=%i") in lines
    assert ("EnvironmentFile", "-/etc/shoal/node-%i.env") in lines
    assert value("shoal-node.service", "EnvironmentFile") == "-/etc/shoal/node.env"
    assert value("shoal-coordinator.service", "EnvironmentFile") == "-/etc/shoal/coordinator.env"
    others = {line for line in lines if "Environment" not in line[0]} - set(unit("shoal-node.service"))
    assert {key for key, _ in others} == {"Description"}
