"""shoalctl top on a terminal (a pty): what is seen, what keys do, and that the terminal is given back however it ends."""

import os
import pty
import signal

import pytest
import redis

from processes import wait_until
from shoal import CTL, Cluster
from terminal import terminals

LEAVES = b"\x1b[?1049l"  # the other screen, where programs like this one draw (rmcup of xterm)
SHOWS_CURSOR = b"\x1b[?25h"


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """Two shards on a node. Redis keeps its data."""
    cluster = Cluster(tmp_path_factory.mktemp("top"))
    cluster.start_redis("--appendonly", "yes")
    cluster.start_sim("--verified")
    cluster.start_coordinator()
    cluster.start_node("n1")
    wait_until(cluster.nodes, 10, "the node is registered")
    cluster.settle()
    cluster.join(*[f"c{i}" for i in range(25)])
    yield cluster
    complaints = cluster.close()
    assert not complaints, "\n".join(complaints)


@pytest.fixture
def top(running):
    """top(columns=, lines=): it runs, and has drawn its first screen."""
    with terminals() as start:

        def start_top(first="[shards 2]", **size):
            terminal = start(CTL, "--redis-url", running.redis_url, "top", **size)
            terminal.wait_for(first)
            return terminal

        yield start_top


def test_it_shows_the_cluster_follows_keys_and_gives_the_terminal_back(top, running):
    terminal = top()
    terminal.press("\t")
    terminal.wait_for("[nodes 1]")
    terminal.press("1/extended")
    terminal.wait_for("/extended_")
    terminal.press("\r")
    terminal.wait_for(": 1 of 2")
    terminal.press("\x1b")
    terminal.wait_for("initial-shard-1")
    running.ctl("join", *[f"d{i}" for i in range(20)])
    terminal.wait_for("[shards 3]")
    terminal.press("?")
    terminal.wait_for("any key goes back")
    terminal.press(" ")
    terminal.wait_for("[shards 3]")
    terminal.press("q")
    assert terminal.wait() == 0
    assert LEAVES in terminal.out and SHOWS_CURSOR in terminal.out


def test_it_follows_the_size_of_the_terminal(top):
    terminal = top(first="[shards", columns=80, lines=24)
    terminal.wait_for("[###")
    terminal.resize(40, 10)
    terminal.wait_until_gone("[###")
    terminal.wait_for("SHARD")
    terminal.resize(120, 40)
    terminal.wait_for("LAG_MS")
    terminal.see(lambda text: text.splitlines()[-1].startswith("q quit"), "the keys at the bottom")
    terminal.resize(8, 2)
    terminal.wait_for("q quit")
    terminal.resize(80, 24)
    terminal.wait_for("NODE")
    terminal.press("q")
    assert terminal.wait() == 0


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it_and_gives_the_terminal_back(top, signum):
    terminal = top(first="[shards")
    assert terminal.wait(signum) == 0
    assert LEAVES in terminal.out and SHOWS_CURSOR in terminal.out


def test_a_terminal_that_hangs_up_ends_it(top):
    terminal = top(first="[shards")
    os.close(terminal.outside)
    os.close(terminal.inside)
    terminal.program.wait(15)
    terminal.outside, terminal.inside = pty.openpty()


def answers(cluster):
    try:
        return cluster.redis.ping()
    except redis.RedisError:
        return False


def test_it_says_that_redis_is_away_and_goes_on_when_it_is_back(top, running):
    terminal = top(first="[shards")
    running.redis_process.kill()
    terminal.wait_for("Redis does not answer")
    running.redis_process.start()
    terminal.wait_until_gone("Redis does not answer", timeout=30)
    terminal.wait_for("leader c1", timeout=30)
    running.redis_process.kill()
    terminal.wait_for("Redis does not answer")
    terminal.press("q")
    assert terminal.wait() == 0
    running.redis_process.start()
    wait_until(lambda: answers(running), 30, "Redis has loaded its data")
    wait_until(lambda: running.joined("c0"), 30, "all goes on")


def test_it_says_that_redis_stands_still(top, running):
    terminal = top(first="[shards")
    running.redis_process.signal(signal.SIGSTOP)
    try:
        terminal.wait_for("Redis does not answer: it was asked", timeout=9)
    finally:
        running.redis_process.signal(signal.SIGCONT)
    terminal.wait_until_gone("Redis does not answer", timeout=30)
    terminal.press("q")
    assert terminal.wait() == 0


def test_an_error_of_redis_is_told_on_the_terminal_as_it_was(top, running):
    terminal = top(first="[shards")
    running.redis.execute_command("ACL", "SETUSER", "default", "-fcall_ro")
    try:
        code = terminal.wait()
    finally:
        running.redis.execute_command("ACL", "SETUSER", "default", "+@all")
    before, _, after = terminal.out.rpartition(LEAVES)
    assert code != 0 and before and b"shoalctl: " in after


def test_no_text_of_others_reaches_the_terminal_as_a_command(top, running):
    key = running.key("node:n1")
    running.redis.hset(key, "error", "\x1b]0;title\x07 \x9b31m evil")
    terminal = top(first="[shards", columns=150)
    terminal.press("2")
    terminal.wait_for("31m evil")
    terminal.press("q")
    assert terminal.wait() == 0
    assert b"\x1b]0;" not in terminal.out and b"\x07" not in terminal.out


def test_without_a_terminal_it_says_what_needs_none(running):
    done = running.ctl("top", check=False)
    assert done.returncode == 2 and "status --watch" in done.stderr
    with terminals() as start:
        terminal = start(CTL, "--redis-url", running.redis_url, "top", term="no-such")
        assert terminal.wait() == 1
        assert b"TERM" in terminal.out
