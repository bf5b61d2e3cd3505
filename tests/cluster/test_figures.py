"""Figures: what shards and nodes measure is in Redis, fresh and true, and what rests costs nothing."""

import time

import pytest

from processes import wait_until
from shoal import Cluster

CHANNELS = ("alice", "bob", "carol", "dave")
LIVE = ("lines_s", "bytes_s", "published_s", "latency_ms", "age_ms", "lag_ms", "buffer_bytes")
FRESH_S = 10  # each 2 s; the machine may be busy
RENEWALS_S = 2  # of a node: its lease is 2 s, and it renews four times in it


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """Two nodes with a shard of two channels each."""
    with Cluster(tmp_path_factory.mktemp("figures")) as cluster:
        cluster.start_redis()
        cluster.start_sim("--verified")
        cluster.start_coordinator(channels_per_shard=2, compare_ms=600000)
        wait_until(cluster.leader, 10, "a coordinator leads")
        for name in ("n1", "n2"):
            cluster.start_node(name)
        wait_until(lambda: len(cluster.nodes()) == 2, 10, "both nodes are there")
        cluster.join(*CHANNELS)
        assert len({shard["node"] for shard in cluster.shards().values()}) == 2
        yield cluster


def numbers(fields, names=LIVE):
    return {name: int(fields.get(name, 0)) for name in names}


def nodes(cluster):
    """Node -> its live figures."""
    return {name: numbers(cluster.node(name)) for name in cluster.nodes()}


def shards(cluster):
    """Shard -> node, lines_s, bytes_s, lag_ms."""
    return {
        name: {"node": shard["node"], **numbers(shard, ("lines_s", "bytes_s", "lag_ms"))}
        for name, shard in cluster.shards().items()
    }


def total(of, name):
    return sum(each[name] for each in of.values())


def rests(cluster):
    """All was told, and it is 0 but for the lag, which is that of the last PING."""
    told = all("buffer_limit" in cluster.node(name) for name in cluster.nodes())
    return told and not any(value for each in nodes(cluster).values() for name, value in each.items() if name != "lag_ms")


def about(expected, part=0.2):
    return pytest.approx(expected, rel=part)


def test_rates_are_what_twitch_sends_and_the_same_wherever_one_looks(running):
    running.sim.control("generate rate=300")
    wait_until(lambda: total(nodes(running), "lines_s") > 0, FRESH_S, "rates are told")
    wait_until(lambda: total(nodes(running), "lines_s") == about(300), FRESH_S, "they are what is sent")
    wait_until(lambda: total(nodes(running), "published_s") == about(300), FRESH_S, "and what is fanned out")
    assert total(shards(running), "lines_s") == about(300)
    seen = nodes(running)
    assert total(shards(running), "bytes_s") == about(total(seen, "bytes_s"))
    assert total(seen, "bytes_s") > 100 * total(seen, "lines_s"), "lines have tags"
    for node, figures in seen.items():
        of_node = {name: shard for name, shard in shards(running).items() if shard["node"] == node}
        assert figures["lines_s"] == about(total(of_node, "lines_s"))
        assert figures["age_ms"] < 2000 and figures["latency_ms"] < 2000
        assert running.node(node)["buffer_limit"] == str(64 << 20)
    shown = {kind: running.ctl_json(kind) for kind in ("nodes", "shards")}
    for rows in shown.values():
        assert sum(row["lines_s"] for row in rows) == about(300)
    running.sim.control("stop generate")
    wait_until(lambda: rests(running), FRESH_S, "nothing is read any more")


def test_channels_are_counted_by_their_states(running):
    for shard in running.shards().values():
        assert numbers(shard, ("channels", "queued", "joining", "joined", "failed")) == {
            "channels": 2, "queued": 0, "joining": 0, "joined": 2, "failed": 0
        }  # fmt: skip


def written(commands):
    """[(node, {hash: fields that were written})] of each renewal, by what MONITOR has shown."""
    renewals = []
    for command in commands:
        words = command["command"].split(" ")
        if command["client_type"] != "lua":
            inside = words[:2] == ["FCALL", "shoal1_renew"]
            rests = words[0] == "ZADD" and words[2] == "XX"  # who rests writes its lease without a step
            if inside or rests:
                renewals.append((words[4] if inside else words[5], {}))
            elif words[0] == "HSET" and ":node:" in words[1]:
                renewals[-1][1].setdefault(words[1], set()).update(words[2::2])
        elif inside and words[0] == "HSET":
            assert words[1] not in renewals[-1][1] or "renewed" in renewals[-1][1][words[1]], "it is written at once"
            renewals[-1][1].setdefault(words[1], set()).update(words[2::2])
    return renewals


def watch(cluster, seconds):
    """What renewals write in that time."""
    seen = cluster.monitor()
    time.sleep(seconds)
    return written(list(seen))


def at_rest(renewal):
    """Did it write the lease and since when all was read, and nothing else?"""
    node, hashes = renewal
    lease = {f"shoal:{{main}}:node:{node}": {"renewed", "read_until", "quiet"}}
    return {key: fields for key, fields in hashes.items() if not key.endswith(":clock")} == lease


def test_what_rests_writes_nothing_but_its_lease_and_since_when_all_was_read(running):
    wait_until(lambda: rests(running), 30, "nothing is read")
    # What moved until now is told first, who had lines within 10 s; and one that stood still for a lease tells all of it
    # anew.
    wait_until(lambda: all(at_rest(renewal) for renewal in watch(running, 11)), 60, "what was is told")
    incarnations = {name: running.incarnation(name) for name in running.nodes()}
    renewals = watch(running, 16)  # a PING is answered in that time
    if incarnations != {name: running.incarnation(name) for name in running.nodes()}:
        renewals = watch(running, 16)
    assert len(renewals) > 2 * RENEWALS_S
    assert all(at_rest(renewal) for renewal in renewals), renewals


def test_figures_ride_on_renewals_and_are_written_at_once(running):
    running.sim.control("generate rate=100 only=PRIVMSG")
    wait_until(lambda: total(nodes(running), "lines_s") > 0, FRESH_S, "rates are told")
    seconds = 6
    renewals = watch(running, seconds)
    running.sim.control("stop generate")
    for node in running.nodes():
        own = [hashes for name, hashes in renewals if name == node]
        assert len(own) <= 1.5 * RENEWALS_S * seconds, "figures make no renewals"
        told = [hashes for hashes in own if any("lines_s" in fields for fields in hashes.values())]
        assert len(told) <= seconds / 2 + 1, "each two seconds"


def test_lines_that_come_late_are_old_and_so_is_the_answer_to_a_ping(running):
    running.sim.control("lag all ms=400")
    running.sim.control("generate rate=20")

    def late():
        return all(400 <= node["age_ms"] < 2400 for node in nodes(running).values())

    wait_until(late, FRESH_S, "lines are as old as they are late")
    running.sim.control("stop generate")
    # A PING comes each 15 s.
    wait_until(lambda: all(400 <= shard["lag_ms"] < 2400 for shard in shards(running).values()), 30, "lag is told")
    wait_until(lambda: all(400 <= node["lag_ms"] < 2400 for node in nodes(running).values()), FRESH_S, "of nodes, too")
    running.sim.control("lag all ms=0")


def test_a_node_that_died_leaves_nothing_behind_that_looks_alive(bare):
    bare.start_redis()
    bare.start_sim("--verified")
    bare.start_coordinator()
    wait_until(bare.leader, 10, "a coordinator leads")
    bare.start_node("n1", capacity=1)
    bare.join("alice")
    (shard,) = bare.shards()
    bare.sim.control("generate rate=100 only=PRIVMSG")
    wait_until(lambda: shards(bare)[shard]["lines_s"] > 0 and nodes(bare)["n1"]["lines_s"] > 0, FRESH_S, "rates")

    bare.processes["n1"].kill()  # and nobody is there to take its shard
    wait_until(lambda: bare.events("node.silent"), 20, "it is silent")

    assert shards(bare)[shard]["lines_s"] > 0, "Redis has its last word"
    for kind in ("nodes", "shards"):
        (row,) = bare.ctl_json(kind)
        assert not any(row.get(name) for name in LIVE), row
    bare.start_node("n2", capacity=1)
    wait_until(lambda: bare.nodes() == ["n2"] and bare.joined("alice"), 20, "another node has it")
    assert bare.node("n1") == {}
    bare.sim.control("stop generate")
