"""All of Redis's data goes while chat flows: the streams begin anew with what can be had, in order and once, and say once
what is gone."""

import json
import time

import pytest

from chat import PATIENT_REDIS, assert_same, channel_of, entries, heard_by, kept_by, recorded
from processes import wait_until
from test_history_readers import LANGUAGES, Database, time_of

NAMES = ("alice", "bob", "carol", "dave")
RATE = 400
NEAR_S = 0.3  # when a line was heard and when Redis was emptied, as this process sees it


@pytest.fixture
def flows(bare):
    """Two nodes, chat, and a subscriber that hears all of it; Redis keeps nothing on disk."""
    bare.start_redis(*PATIENT_REDIS)
    bare.record = bare.directory / "record"
    bare.start_sim("--verified", "--limits-off", "--record", bare.record)
    bare.start_coordinator(channels_per_shard=2)
    for node in ("n1", "n2"):
        bare.start_node(node)
    wait_until(lambda: len(bare.nodes()) == 2, 10, "two nodes are there")
    bare.join(*NAMES)
    wait_until(lambda: {s["node"] for s in bare.shards().values()} == {"n1", "n2"}, 10, "both have channels")
    bare.chat = bare.subscribe(bare.topic("chat:*"))
    bare.sim.control(f"generate rate={RATE} count=1000000 only=privmsg")
    yield bare
    bare.sim.control("stop", check=False)


def told_of(cluster, channel):
    """What the streams say that is missing of the channel; "": of all."""
    gaps = [json.loads(fields[b"gap"]) for _, fields in entries(cluster) if b"gap" in fields]
    return [gap for gap in gaps if gap["channel"] == channel]


def is_told(cluster, line):
    """A line whose answer did not come any more may have been published, or not: it is not again, but told."""
    at, near = time_of(line.decode()), 1000 * NEAR_S
    return any(gap["from"] - near < at < gap["to"] + near for gap in told_of(cluster, channel_of(line)))


def comes(chat):
    heard = len(chat.messages)
    time.sleep(0.3)
    return len(chat.messages) > heard


def go_on(cluster):
    """The channels are joined again, chat flows for a while and ends."""
    wait_until(lambda: cluster.events("history.emptied"), 10, "that Redis was emptied is told")
    wait_until(lambda: len(cluster.nodes()) == 2, 15, "two nodes are there again")
    cluster.join(*NAMES, timeout=30)
    heard = len(cluster.chat.messages)
    wait_until(lambda: len(cluster.chat.messages) > heard + 2 * RATE, 15, "chat flows on")
    cluster.sim.control("stop")
    wait_until(lambda: not comes(cluster.chat), 10, "all is heard")


def heard_before(cluster, until):
    """Lines that were heard by then, by time.monotonic(): published before."""
    return {line for at, (_, line) in zip(list(cluster.chat.times), list(cluster.chat.messages)) if at < until}


def heard_of(cluster, since):
    """Lines that were heard, and said after that, by time.time(): published after it."""
    return {line for _, line in list(cluster.chat.messages) if time_of(line.decode()) > 1000 * since}


def assert_one_gap(cluster, at):
    """One, that ends when Redis was emptied, and one event of it."""
    [gap] = told_of(cluster, "")
    assert gap["reason"] == "emptied" and gap["from"] <= gap["to"] - 1000
    assert abs(gap["to"] - at * 1000) < NEAR_S * 1000
    [told] = cluster.events("history.emptied")
    assert (told["from"], told["to"]) == (gap["from"], gap["to"])


def test_where_all_is_flushed_under_the_nodes_the_streams_have_what_was_published_since(flows):
    time.sleep(3)
    at, wall = time.monotonic(), time.time()
    flows.redis.flushall()
    go_on(flows)
    kept, heard = kept_by(flows), heard_by(flows.chat)
    for channel in NAMES:
        assert_same(channel, heard[channel][len(heard[channel]) - len(kept[channel]) :], kept[channel])
    all_kept = {line for lines in kept.values() for line in lines}
    assert heard_of(flows, wall + NEAR_S) <= all_kept
    assert not all_kept & heard_before(flows, at - NEAR_S)
    assert_one_gap(flows, wall)


def test_a_redis_that_comes_back_empty_has_the_last_seconds_and_says_what_it_has_not(flows):
    time.sleep(3)
    at, wall = time.monotonic(), time.time()
    flows.redis_process.kill()
    time.sleep(3)  # longer than what was answered is kept while Redis is there
    flows.restart_redis()
    go_on(flows)
    assert b"gap" in entries(flows)[0][1]
    kept, said = kept_by(flows), recorded(flows.record)
    for channel in NAMES:
        order = {line: i for i, line in enumerate(said[channel])}
        places = [order[line] for line in kept[channel]]
        assert places == sorted(set(places)), f"#{channel}: a line is there twice, or behind newer ones"
    all_kept = {line for lines in kept.values() for line in lines}
    lacking = heard_of(flows, wall - 1.8) - all_kept
    assert all(is_told(flows, line) for line in lacking), f"{len(lacking)} lines are not there"
    assert not all_kept & heard_before(flows, at - 2.5 - NEAR_S)
    assert_one_gap(flows, wall)


@LANGUAGES
@pytest.mark.parametrize("restarts", (False, True), ids=("flushed", "restarted"))
def test_a_database_has_one_gap_and_all_that_is_not_in_it(flows, tmp_path, language, restarts):
    database = Database(flows, tmp_path, language)
    wait_until(lambda: len(database.lines()) > RATE, 15, "it reads")
    had = max(map(time_of, database.lines()))
    wall = time.time() * 1000
    if restarts:
        flows.redis_process.kill()
        flows.restart_redis()
    else:
        flows.redis.flushall()
    go_on(flows)
    database.has(flows.chat.messages[-1][1].decode())
    lines = database.lines()
    assert len(lines) == len(set(lines)), "a line is there twice"
    [gap] = [gap for gap in database.gaps() if gap[0] == ""]
    assert gap[1] - 1000 * NEAR_S < wall < gap[2] + 1000 * NEAR_S
    missing = {line.decode() for _, line in flows.chat.messages} - set(lines)
    assert all(gap[1] - 1000 * NEAR_S <= time_of(line) <= gap[2] + 1000 * NEAR_S for line in missing)
    # What it had read by then it has, and what was said from then on is there again.
    assert all(had - 1000 * NEAR_S <= time_of(line) <= wall + 1000 * NEAR_S for line in missing)
    assert len(missing) < RATE * ((wall - had) / 1000 + NEAR_S)
