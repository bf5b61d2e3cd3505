"""DefaultShardManager: one shard for everything. Each row of its table in the README has the test of its name."""

import pytest

from processes import wait_until

OWN = {"channels_per_shard": None, "max_shard_count": None, "user": None}  # what the manager brings is in force


@pytest.fixture
def default(bare):
    bare.start_redis()
    bare.start_sim("--verified")

    def begin(*initial, tokens=None, **settings):
        if tokens is not None:
            bare.write_tokens(tokens)
        args = ["--shard-manager", "default"]
        args += ["--initial-channels", ",".join(initial)] if initial else []
        bare.start_coordinator(args=args, **{**OWN, **settings})
        bare.start_node("n1")
        wait_until(bare.is_set_up, 10, "the cluster is set up")
        return bare

    return begin


def test_default_main_shard(default):
    cluster = default()
    assert cluster.shards().keys() == {"main-shard"}
    cluster.join("alice")
    assert cluster.channels() == {"alice": "main-shard"}


def test_default_setup(default):
    cluster = default("alice", "#Bob", "alice", tokens={"shoalbot": "simtoken", "adam": "simtoken"})

    assert cluster.shards()["main-shard"]["user"] == "shoalbot"  # whose token comes first
    wait_until(lambda: cluster.joined("alice", "bob"), 15, "the initial channels are joined")
    settings = {s["name"]: s for s in cluster.ctl_json("config", "get")}
    assert settings["channels_per_shard"]["value"] == "none"
    assert settings["max_shard_count"]["value"] == "1"
    assert settings["user"]["value"] == "shoalbot"


def test_without_tokens_the_main_shard_reads_anonymously(default):
    cluster = default("alice", tokens={})

    assert cluster.shards()["main-shard"]["user"] == "anonymous"
    wait_until(lambda: cluster.joined("alice"), 15, "it is joined")


def test_default_assign_shard(default):
    cluster = default()
    names = [f"room{i}" for i in range(60)]

    assert set(cluster.join(*names, timeout=30).values()) == {"main-shard"}
    assert int(cluster.redis.zscore(cluster.key("load"), "main-shard")) == 60


def test_default_get_sender_shard(default):
    cluster = default("alice")
    chat = cluster.subscribe(cluster.topic("chat:*"))
    wait_until(lambda: cluster.joined("alice"), 15, "it is joined")

    assert cluster.send("alice", "hello")["status"] == "sent"
    assert cluster.send("stranger", "nobody joined this")["status"] == "sent"
    assert cluster.shards()["main-shard"]["sender"] == "main-shard"
    assert chat.waits_for(cluster.topic("chat:alice"), "hello", 10)  # the echo


def test_default_start(default):
    cluster = default("alice")
    wait_until(lambda: cluster.joined("alice"), 15, "it is joined")
    shard = cluster.shards()["main-shard"]
    assert (shard["run"], shard["state"]) == ("started", "ready")


def test_default_stop(default):
    cluster = default("alice")
    wait_until(lambda: cluster.joined("alice"), 15, "it is joined")

    cluster.ctl("stop")

    assert cluster.sim.control("connections")["connections"] == []
    shard = cluster.shards()["main-shard"]
    assert (shard["run"], shard["state"]) == ("stopped", "closed")
    assert cluster.channels() == {"alice": "main-shard"}
    cluster.ctl("start")
    wait_until(lambda: cluster.joined("alice"), 15, "it is joined again")


def test_initial_channels_above_the_room_limit_wait_with_the_reason(default):
    cluster = default("a1", "a2", "a3", "a4", room_limit=3)

    wait_until(lambda: cluster.joined("a1", "a2", "a3"), 15, "three of them are joined")
    assert cluster.channels()["a4"] == ""
    assert "it is in 3 of 3 rooms" in cluster.channel("a4")["reason"]
    (error,) = [e for e in cluster.events("error") if e.get("channel") == "a4"]
    assert error["where"] == "assign_shard" and "3 of 3" in error["error"]
    cluster.ctl("part", "a1")
    wait_until(lambda: cluster.joined("a4"), 15, "there is room for it now")
