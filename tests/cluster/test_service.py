"""Daemons as services: what they tell the service manager, and the files that make services of them."""

import re
import signal
import socket
import time

import pytest

from processes import wait_until


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
