"""shoalctl status: what is wrong in one screen, by its exit code, and anew each second."""

import json
import re
import signal

import pytest

from processes import wait_until
from shoal import CTL, REMEMBERS
from terminal import terminals


@pytest.fixture
def well(bare):
    """A cluster with nothing wrong: three channels are joined."""
    bare.start_redis(*REMEMBERS)
    bare.start_sim("--verified")
    bare.start_coordinator()
    bare.start_node("n1")
    bare.join("alice", "bob", "carol")
    return bare


@pytest.fixture
def on_terminal(well):
    """on_terminal(argument...): shoalctl on a terminal."""
    with terminals() as start:
        yield lambda *args, **size: start(CTL, "--redis-url", well.redis_url, *args, **size)


def test_the_exit_code_says_whether_the_cluster_is_well(well):
    done = well.ctl("status", check=False)
    assert (done.returncode, well.problems()) == (0, []), done.stdout
    assert "cluster   main, healthy" in done.stdout

    well.processes["n1"].kill()
    wait_until(lambda: well.problems("no_node"), 20, "its shard has no node")
    done = well.ctl("status", check=False)
    assert done.returncode == 1 and "cluster   main, degraded" in done.stdout
    assert "problem   no node is up; mend: start a shoal-node" in done.stdout


def test_what_is_wrong_in_a_word_is_no_bad_health(well):
    well.sim.control("ban dave user=shoalbot")
    well.ctl("join", "dave")
    wait_until(lambda: well.channel("dave").get("state") == "failed", 20, "Twitch refuses it")
    done = well.ctl("status", check=False)
    assert done.returncode == 0 and "note      1 channels failed to join; mend: shoalctl channels" in done.stdout
    assert well.status()["states"] == {"joined": 3, "failed": 1}


def test_joins_tell_how_long_they_take_and_channels_are_not_read_for_it(well):
    well.ctl("config", "set", "join_limit", "20")
    well.ctl("config", "set", "join_window_ms", "10000")
    well.ctl("config", "set", "channels_per_shard", "none")
    well.ctl("join", *[f"c{i}" for i in range(100)])
    wait_until(lambda: well.status()["states"].get("joined", 0) >= 20, 20, "a window's joins are made")
    well.redis.config_resetstat()
    status = well.status()
    [joins] = status["joins"]
    left = joins["assigned"] + joins["queued"]
    assert joins["joined"] + joins["joining"] + left == 103 == status["channels"]
    assert abs(joins["left_ms"] - left * 500) < 500 and left > 50
    assert f"{joins['joined']} joined" in well.ctl("status").stdout
    calls = {name: row["calls"] for name, row in well.redis.info("commandstats").items()}
    assert "cmdstat_hscan" not in calls and calls["cmdstat_hgetall"] < 30, calls


def test_a_screen_is_no_wider_than_the_terminal(well, on_terminal):
    well.redis.hset(well.key("node:n1"), "error", "an error of many words " * 10)
    terminal = on_terminal("status", columns=50)
    assert terminal.wait() == 1
    lines = terminal.printed.splitlines()
    assert max(map(len, lines)) <= 50 and any("~" in line for line in lines)
    assert "\x1b" not in terminal.printed
    problem = [line for line in lines if line.startswith("problem   ")]
    assert problem and re.search(r"problem   node n1 is blind.*\n {10}\S", "\n".join(lines)), lines


def test_more_shards_than_a_screen_holds_are_counted_and_those_not_well_come_first(well, on_terminal):
    well.ctl("config", "set", "max_shard_count", "none")
    for i in range(40):
        well.redis.zadd(well.key("load"), {f"extended-shard-{i}": 0})
        well.redis.hset(well.key(f"shard:extended-shard-{i}"), mapping={"user": "x", "state": "ready", "channels": 0})
    well.redis.hset(well.key("shard:extended-shard-33"), "state", "backoff")
    terminal = on_terminal("status", lines=30)
    terminal.wait()
    assert len(terminal.printed.splitlines()) <= 30 and "more: shoalctl shards" in terminal.printed
    shards = [line.split()[0] for line in terminal.printed.splitlines() if re.match(r"\S+-shard-", line)]
    assert shards[0] == "extended-shard-33"
    assert len(re.findall(r"^extended-shard-", well.ctl("status").stdout, re.MULTILINE)) == 40


def test_watch_draws_in_place_and_keeps_the_last_screen(well, on_terminal):
    terminal = on_terminal("status", "--watch")
    terminal.wait_for("3 joined")
    well.processes["n1"].kill()
    terminal.wait_for("no node is up", 20)
    assert terminal.wait(signal.SIGINT) == 1
    screens = terminal.printed.split("\x1b[H\x1b[2J")
    assert len(screens) >= 3 and screens[0] == "" and "?1049" not in terminal.printed
    assert "healthy" in screens[1] and "degraded" in screens[-1] and "budgets" in screens[-1]


def test_watch_that_is_no_terminal_is_plain_and_as_json_a_document_a_line(well):
    watch = [CTL, "--redis-url", well.redis_url, "status", "--watch"]
    documents = well._start("documents", [*watch, "--json"])
    screens = well._start("screens", watch)
    wait_until(lambda: documents.text().count("\n") >= 2, 10, "two documents")
    wait_until(lambda: screens.text().count("cluster ") >= 2, 10, "two screens")
    for program in (documents, screens):
        program.expected_to_end = True
        program.signal(signal.SIGINT)
        assert program.wait(10) == 0
    first, second, *_ = map(json.loads, documents.text().splitlines())
    assert first["health"] == second["health"] == "healthy" and 500 < second["at"] - first["at"] < 5000
    assert re.search(r"^budgets.*^cluster", screens.text(), re.MULTILINE | re.DOTALL) and "\x1b" not in screens.text()


def test_watch_says_that_redis_stands_still_and_goes_on_after_it(well, on_terminal):
    terminal = on_terminal("--timeout", "2s", "status", "--watch")
    terminal.wait_for("healthy")
    well.redis_process.signal(signal.SIGSTOP)
    try:
        terminal.wait_for("Redis does not answer: it was asked", 9)
    finally:
        well.redis_process.signal(signal.SIGCONT)
    terminal.wait_for_new("leader    c1", 20)
    assert terminal.wait(signal.SIGINT) in (0, 1)


def test_watch_waits_for_a_redis_that_is_away_for_a_moment(well, on_terminal):
    terminal = on_terminal("status", "--watch")
    terminal.wait_for("healthy")
    well.restart_redis()
    terminal.wait_for_new("leader    c1", 20)
    assert terminal.wait(signal.SIGINT) in (0, 1)
