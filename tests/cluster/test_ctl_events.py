"""shoalctl events against a real cluster: what was, what comes, and nothing twice."""

import json
import re
import signal
import subprocess
import time

import pytest

from processes import wait_until
from shoal import CTL, Cluster


@pytest.fixture(scope="module")
def coordinated(tmp_path_factory):
    """A cluster without nodes: events come from settings that are set. Redis keeps its data."""
    cluster = Cluster(tmp_path_factory.mktemp("events"))
    cluster.start_redis("--appendonly", "yes", "--appendfsync", "always")
    cluster.start_coordinator()
    wait_until(cluster.leader, 10, "a coordinator leads")
    yield cluster
    complaints = cluster.close()
    assert not complaints, "\n".join(complaints)


@pytest.fixture
def follow(coordinated):
    """follow(*args): shoalctl events that has begun to wait; all of them must end well."""
    running = []

    def start(*args):
        argv = [CTL, "--redis-url", coordinated.redis_url, *args]
        running.append(subprocess.Popen(argv, stdout=subprocess.PIPE, text=True))
        wait_until(lambda: blocked(coordinated) == len(running), 20, "it waits for events")
        return running[-1]

    yield start
    for program in running:
        program.send_signal(signal.SIGINT)
    assert [program.wait(20) for program in running] == [0] * len(running)
    wait_until(lambda: blocked(coordinated) == 0, 20, "Redis has seen it")


def blocked(cluster):
    return sum(each["name"] == "shoalctl" and "b" in each["flags"] for each in cluster.redis.client_list())


def set_limit(cluster, value):
    cluster.ctl("config", "set", "room_limit", value)


def names(done):
    return [line.split()[2] for line in done.stdout.splitlines()]


def test_all_that_is_kept_is_shown_with_local_time_and_the_program_ends(coordinated):
    set_limit(coordinated, 71)
    set_limit(coordinated, 72)
    done = coordinated.ctl("events")
    assert "leader.elected" in names(done)
    *_, line = [line for line in done.stdout.splitlines() if " config.set " in line]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d config.set name=room_limit value=72", line)
    assert set(names(coordinated.ctl("events", "config.*"))) == {"config.set"}
    assert names(coordinated.ctl("events", "no.such")) == []
    events = coordinated.ctl_json("events")
    assert events == coordinated.events()


def test_since_leaves_out_what_was_before(coordinated):
    set_limit(coordinated, 73)
    assert "value=73" in coordinated.ctl("events", "--since", "10m").stdout
    soon = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time.time() + 3600))
    assert coordinated.ctl("events", "--since", soon).stdout == ""
    done = coordinated.ctl("events", "--since", "yesterday", check=False)
    assert done.returncode == 2 and '"yesterday" is no time: 10m' in done.stderr


def test_what_comes_is_shown_as_it_comes(coordinated, follow):
    set_limit(coordinated, 74)
    live, filtered = follow("--json", "events", "--follow"), follow("events", "--follow", "config.*")
    set_limit(coordinated, 75)
    event = json.loads(live.stdout.readline())
    assert (event["event"], event["value"]) == ("config.set", "75"), "and nothing of what was before"
    assert " config.set name=room_limit value=75" in filtered.stdout.readline()


def test_what_was_and_what_comes_are_shown_once_also_where_redis_was_away(coordinated, follow):
    for value in range(80, 85):
        set_limit(coordinated, value)
    program = follow("--json", "events", "--follow", "--since", "1h", "config.set")
    for value in range(85, 90):
        set_limit(coordinated, value)
    coordinated.restart_redis()
    for value in range(90, 95):
        set_limit(coordinated, value)
    seen = []
    while not seen or seen[-1] != "94":
        seen.append(json.loads(program.stdout.readline())["value"])
    known = [event["value"] for event in coordinated.events("config.set")]
    assert seen == known[-len(seen) :], "all of them, in order, each once"
    assert seen[-15:] == [str(value) for value in range(80, 95)]


def test_what_is_no_event_is_passed_over_and_no_control_character_comes_through(coordinated):
    key = coordinated.key("log")
    texts = [
        "no JSON",
        json.dumps({"event": "\x1b[2Jevil", "at": 1e300, "w\x9b": "\x1b]0;"}),
        json.dumps({"event": "gap", "at": -1, "from": 1e300, "to": 1795780800000}),
        json.dumps({"event": "words", "at": 1, "error": 'a "b" c', "node": "", "shard": "s"}),
    ]
    ids = [coordinated.redis.xadd(key, fields) for fields in [{"other": "x"}, *({"event": text} for text in texts)]]
    try:
        text = coordinated.ctl("events", "--since", "1h", "*evil", "gap", "words").stdout
        as_json = coordinated.ctl("--json", "events").stdout
    finally:
        coordinated.redis.xdel(key, *ids)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", text)
    assert "? ?[2Jevil w?=?]0;" in text and re.search(r"\? gap from=1e\+300 to=\d\d:\d\d:\d\d$", text, re.M)
    assert re.search(r' words error="a \\"b\\" c" shard=s$', text, re.M)
    assert "\x1b" not in as_json


def test_an_event_that_is_too_long_to_be_shown_is_told_and_the_next_one_has_its_own_line(coordinated):
    key = coordinated.key("log")
    texts = [json.dumps({"event": "long", "at": 1, "error": "x" * 300_000}), json.dumps({"event": "short", "at": 1})]
    ids = [coordinated.redis.xadd(key, {"event": text}) for text in texts]
    try:
        done = coordinated.ctl("events", "long", "short")
    finally:
        coordinated.redis.xdel(key, *ids)
    assert names(done) == ["short"] and done.stderr == "shoalctl: a line of more than 256 KiB is left out\n"
