"""The registry when its data is damaged or gone, Redis's clock moves, or its memory is full: the processes live on, and
what they do about it is told."""

import time

import pytest
from redis.exceptions import ResponseError

from processes import wait_until
from shoal import Clock

CHANNELS = ["alice", "bob", "carol", "dave", "erin", "frank"]


def start(bare, *redis, clock=None, nodes=2, **settings):
    """Two nodes with three shards, their channels joined."""
    bare.start_redis(*redis, clock=clock)
    bare.start_sim("--verified")
    given = {"channels_per_shard": 2, "max_shard_count": 4, "compare_ms": 60000, **settings}
    bare.start_coordinator("c1", **given)
    for i in range(nodes):
        bare.start_node(f"n{i + 1}", capacity=8)
    bare.join(*CHANNELS)
    return bare.subscribe(bare.topic("chat:*"))


def settled(bare):
    """Nothing is known to be wrong, everything is joined, both nodes hold their lease, and the log can be read."""
    try:
        return (
            not bare.redis.hexists(bare.key("clock"), "damaged")
            and len(bare.channels()) == len(CHANNELS)
            and bare.joined(*CHANNELS)
            and len(bare.nodes()) == 2
            and bare.events() is not None
        )
    except ResponseError:  # not mended yet
        return False


@pytest.mark.limit(240)
def test_any_key_may_go_or_be_another_and_everybody_lives_and_reads_on(bare):
    chat = start(bare)
    r = bare.redis
    pids = {name: p.pid for name, p in bare.processes.items()}
    shard = next(s for s, f in bare.shards().items() if f["node"] == "n1")
    kinds = [f"shard:{shard}", f"shard:{shard}:channels", f"shard:{shard}:read", f"shard:{shard}:serves", "node:n1",
             "node:n1:shards", "node:n1:serves", "channel:alice", "leader", "clock"]
    kinds += ["nodes", "load", "free", "senders", "idle", "waiting", "homeless", "active", "initial", "open:shoalbot",
              "rooms:shoalbot", "log", "fan:n1"]
    for damage in ("gone", "a text", "a hash of others"):
        for kind in kinds:
            with r.pipeline(transaction=True) as p:
                p.delete(bare.key(kind))
                if damage == "a text":
                    p.set(bare.key(kind), "x")
                elif damage == "a hash of others":
                    p.hset(bare.key(kind), "user", "x:y")
                p.execute()
            # Whoever is told to look, looks: the nodes at their pictures, the leader for a shard.
            r.publish(bare.topic("node:n1"), "look")
            r.xadd(bare.key("requests"), {"op": "join", "channels": "alice"})
            time.sleep(0.05)
        wait_until(lambda: settled(bare), 30, "all is put right")
        bare.chat_flows(chat, *CHANNELS)
    assert {name: p.pid for name, p in bare.processes.items() if p.is_running()} == pids
    assert bare.events("registry.repaired")


@pytest.mark.parametrize("value", [None, "", "x:y", "a b", "n" * 300])
def test_a_shard_without_a_user_is_passed_over_and_mended_soon(bare, value):
    chat = start(bare)
    shard = next(iter(bare.shards()))
    key = bare.key(f"shard:{shard}")
    if value is None:
        bare.redis.delete(key)
    else:
        bare.redis.hset(key, "user", value)
    bare.sim.control("disconnect all")
    bare.redis.hincrby(bare.key("node:n1"), "rev", 1)
    bare.redis.publish(bare.topic("node:n1"), "look")
    victim = bare.processes["n2"]
    victim.kill()
    wait_until(lambda: bare.nodes() == ["n1"], 8, "the dead node is expired")
    wait_until(lambda: bare.redis.hget(key, "user") == "shoalbot", 8, "its user is known again")
    wait_until(lambda: bare.joined(*CHANNELS), 20, "all channels are joined")
    bare.chat_flows(chat, *CHANNELS)


def test_what_a_node_tells_of_a_shard_without_a_user_has_it_mended_soon(bare):
    chat = start(bare, nodes=1)
    for damage in (lambda key: bare.redis.delete(key), lambda key: bare.redis.hset(key, "user", "x:y"),
                   lambda key: bare.redis.hdel(key, "user"), lambda key: bare.redis.hset(key, "epoch", "x"),
                   lambda key: bare.redis.hdel(key, "node")):
        shard = next(iter(bare.shards()))
        key = bare.key(f"shard:{shard}")
        before = bare.redis.hmget(key, "user", "node")
        damage(key)
        bare.sim.control("disconnect all")
        wait_until(lambda: bare.redis.hmget(key, "user", "node") == before, 8, "the shard is known again")
        wait_until(lambda: bare.joined(*CHANNELS), 20, "all channels are joined")
    bare.chat_flows(chat, *CHANNELS)


def test_the_holder_of_a_channel_whose_state_is_removed_reports_it_again(bare):
    start(bare, compare_ms=500)
    bare.redis.delete(bare.key("channel:alice"))
    wait_until(lambda: bare.channel("alice").get("state") == "joined", 10, "alice is known to be joined")
    bare.redis.hset(bare.key("channel:bob"), "state", "nonsense")
    wait_until(lambda: bare.channel("bob").get("state") == "joined", 10, "bob is known to be joined")
    assert bare.channel("bob").get("since")


@pytest.mark.parametrize("how", ["flushed", "restarted"])
def test_that_the_registry_was_lost_is_told_with_what_is_gone(bare, how):
    start(bare)
    told = bare.subscribe(bare.topic("events"))
    shards = len(bare.shards())
    if how == "flushed":
        bare.redis.flushall()
    else:
        bare.restart_redis()
    lost = wait_until(lambda: bare.events("registry.lost"), 15, "it is told")[0]
    assert lost["channels"] == len(CHANNELS) and lost["shards"] == shards
    assert sorted(lost["first"].split()) == sorted(CHANNELS)
    wait_until(lambda: len(bare.nodes()) == 2, 10, "the nodes are back")
    log = bare.processes["c1"].text()
    assert "registry.lost" in log and "alice" in log
    assert all("registry.lost" in bare.processes[n].text() for n in ("n1", "n2"))
    whys = wait_until(lambda: [e["why"] for e in bare.events("node.lost")], 10, "the nodes tell what they held")
    assert any("held were" in why for why in whys)
    assert "Redis lost its data" in bare.ctl("status").stdout
    # What was missed until they are joined again is told where they are read again.
    bare.join(*CHANNELS, timeout=30)
    gaps = wait_until(lambda: bare.events("gap"), 10, "gaps are told")
    assert {g["channel"] for g in gaps} <= set(CHANNELS)
    assert told is not None


@pytest.mark.parametrize("seconds", [-120, 120])
def test_takeover_budgets_and_sends_work_at_once_after_the_clock_of_redis_has_jumped(bare, seconds):
    clock = Clock(bare.directory)
    chat = start(bare, clock=clock, join_limit=20, channel_message_ms=1200, message_limit=20)
    bare.start_coordinator("c2")
    assert bare.send("alice", "before")["status"] == "sent"
    time.sleep(1.3)  # what the channel's budget counts, on a clock that moves
    clock.move(seconds)
    began = time.monotonic()
    bare.processes["n2"].kill()
    bare.processes["c1"].kill()
    result = bare.send("alice", "after", timeout=60)
    assert result["status"] in ("sent", "unknown"), str(result)
    assert time.monotonic() - began < 50
    wait_until(lambda: bare.nodes() == ["n1"], 20, "the dead node is expired")
    assert bare.leader() == "c2"
    wait_until(lambda: bare.joined(*CHANNELS), 30, "n1 has all channels")
    bare.chat_flows(chat, *CHANNELS)
    if seconds < 0:
        assert 115_000 < bare.events("redis.clock_back")[0]["ms"] < 121_000


def test_a_cluster_lives_on_while_redis_is_full_and_refuses_what_would_grow(bare):
    chat = start(bare)
    bare.redis.config_set("maxmemory", bare.redis.info("memory")["used_memory"] // 2)
    bare.chat_flows(chat, *CHANNELS)
    bare.processes["n2"].kill()
    wait_until(lambda: bare.nodes() == ["n1"], 15, "the dead node is expired")
    wait_until(lambda: bare.joined(*CHANNELS), 30, "n1 has all channels")
    bare.chat_flows(chat, *CHANNELS)
    bare.start_node("n2", capacity=8)
    wait_until(lambda: len(bare.nodes()) == 2, 10, "a node registers")
    bare.redis.config_set("maxmemory", 0)
    assert not bare.events("node.fenced")
