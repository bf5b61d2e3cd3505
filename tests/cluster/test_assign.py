"""Who gets which shard: limits hold however many ask at once, and each request has one reply."""

import json
import re
import threading
import uuid

import pytest
import redis

from processes import wait_until
from shoal import stream_of

FULL = "All shards are full, and the shard count limit has been reached. (max_shard_count is %d)"


class Watcher:
    """Looks at the registry all the time, each look one transaction, and keeps what must never be seen."""

    def __init__(self, cluster, per_shard, most_shards):
        self.cluster = cluster
        self.per_shard = per_shard
        self.most_shards = most_shards
        self.looks = 0
        self.wrong = []
        self._ids = [f"{kind}-shard-{i}" for kind in ("initial", "extended") for i in range(1, 16)]
        self._ids.append("main-shard")
        self._client = redis.Redis.from_url(cluster.redis_url, decode_responses=True)
        self._stop = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._stop:
            try:
                self.look()
            except Exception as e:  # pylint: disable=broad-except
                self.wrong.append(repr(e))
                return

    def look(self):
        pipe = self._client.pipeline(transaction=True)
        pipe.zrange(self.cluster.key("load"), 0, -1, withscores=True)
        pipe.hgetall(self.cluster.key("channels"))
        for id in self._ids:
            pipe.smembers(self.cluster.key(f"shard:{id}:channels"))
        load, channels, *sets = pipe.execute()
        load = {shard: int(count) for shard, count in load}
        held = {id: members for id, members in zip(self._ids, sets) if members}
        placed = [name for members in held.values() for name in members]
        for wrong, what in (
            (len(load) > self.most_shards, f"{len(load)} shards"),
            (any(n > self.per_shard for n in load.values()), "a shard over its channels"),
            (load != {id: len(held.get(id, ())) for id in load}, "a load that is not true"),
            (not set(held) <= set(load), "channels on a shard that is none"),
            (len(placed) != len(set(placed)), "a channel on two shards"),
            (
                {n: s for s, members in held.items() for n in members}
                != {n: s for n, s in channels.items() if s},
                "channels and shards that do not say the same",
            ),
        ):
            if wrong:
                self.wrong.append(f"{what}: {load}")
        self.looks += 1

    def finish(self):
        self._stop = True
        self._thread.join(10)
        self.look()
        self._client.close()
        assert not self.wrong, self.wrong[:5]
        assert self.looks >= 5


@pytest.fixture
def watch():
    """Watchers that end with the test."""
    watchers = []

    def begin(*args):
        watchers.append(Watcher(*args))
        return watchers[-1]

    yield begin
    for watcher in watchers:
        watcher._stop = True


def standing_by(cluster, name):
    return cluster.processes[name].text().count("redis.up") > 0


def test_a_thousand_racing_joins_never_pass_a_limit_though_the_leader_is_killed(bare, watch):
    settings = {"channels_per_shard": 25, "max_shard_count": 5, "room_limit": "off"}
    bare.start_redis()
    bare.start_sim("--verified", "--limits-off")
    bare.start_coordinator("c1", **settings)
    wait_until(bare.leader, 10, "a coordinator leads")
    bare.start_coordinator("c2", **settings)
    wait_until(lambda: standing_by(bare, "c2"), 10, "another stands by")
    for node in ("n1", "n2"):
        bare.start_node(node, capacity=10)
    wait_until(lambda: len(bare.nodes()) == 2, 10, "nodes are there")
    bare.settle()
    watcher = watch(bare, 25, 5)
    replies = bare.subscribe(bare.topic("replies"))
    ids = []

    def client(number):
        mine = redis.Redis.from_url(bare.redis_url, decode_responses=True)
        for i in range(number, 1000, 32):
            id = uuid.uuid4().hex
            mine.xadd(bare.key("requests"), {"id": id, "op": "join", "channels": f"room{i}"})
            ids.append(id)
        mine.close()

    clients = [threading.Thread(target=client, args=(n,)) for n in range(32)]
    for thread in clients:
        thread.start()
    wait_until(lambda: len(replies.messages) > 100, 20, "the first replies")
    bare.processes["c1"].kill()
    for thread in clients:
        thread.join()
    wait_until(lambda: len(replies.messages) >= 1000, 25, "1,000 replies")
    wait_until(lambda: bare.redis.xlen(bare.key("requests")) == 0, 5, "no request is left")
    watcher.finish()

    answers = [json.loads(text) for _, text in replies.messages]
    assert sorted(a["id"] for a in answers) == sorted(ids)
    accepted = [name for a in answers for name in a["assigned"]]
    refused = {name: why for a in answers for name, why in a["refused"].items()}
    assert (len(accepted), len(refused)) == (125, 875)
    assert set(refused.values()) == {FULL % 5}
    assert bare.channels().keys() == set(accepted)
    assert bare.leader() == "c2"
    wait_until(lambda: bare.joined(*accepted), 10, "all of them are joined")
    rooms = bare.sim.control("connections")["connections"]
    assert sorted(len(c["rooms"]) for c in rooms) == [25] * 5


def test_joins_and_logins_of_all_nodes_together_keep_twitchs_windows(bare):
    bare.start_redis()
    bare.start_sim(
        "--join-limit", "20", "--join-window", "1s", "--login-limit", "4", "--login-window", "1s",
        "--room-limit", "off", "--record", bare.directory / "record",
    )  # fmt: skip
    bare.start_coordinator(
        channels_per_shard=15, join_limit=20, join_window_ms=1600, login_limit=4, login_window_ms=1600
    )
    wait_until(bare.leader, 10, "a coordinator leads")
    for node in ("n1", "n2", "n3"):
        bare.start_node(node, capacity=4)
    wait_until(lambda: len(bare.nodes()) == 3, 10, "nodes are there")

    bare.join(*[f"room{i}" for i in range(130)], timeout=30)

    stats = bare.sim.control("stats channels=0")
    user = stats["users"]["shoalbot"]
    assert not any(stats["violations"].values()), stats["violations"]
    assert user["joins"]["ok"] == user["joins"]["total"] == 130
    assert 10 < user["joins"]["most"] <= 20
    assert user["logins"]["total"] >= 9
    assert 2 <= user["logins"]["most"] <= 4
    assert {shard["node"] for shard in bare.shards().values()} == {"n1", "n2", "n3"}


def test_logins_that_a_slow_twitch_holds_up_keep_its_window(bare):
    names = [f"room{i}" for i in range(8)]
    bare.start_redis()
    bare.start_sim("--limits-off")
    bare.start_coordinator(channels_per_shard=1, login_limit=3, login_window_ms=1600)
    wait_until(bare.leader, 10, "a coordinator leads")
    bare.start_node("n1")
    wait_until(bare.nodes, 10, "a node is there")
    bare.join(*names)
    # One more than the cluster's: a login may be written just before Twitch stands still, and read when it wakes.
    bare.sim.control("limit login-limit=4 login-window=1s")
    logins = bare.sim.control("stats channels=0")["logins"]["ok"]

    # The network takes the connections, and nobody speaks: for longer than three windows.
    bare.sim.control("disconnect all how=reset")
    bare.sim.pause()
    def connects():
        return len(set(re.findall(r"shard=(\S+) from=backoff to=connecting", bare.processes["n1"].text())))

    wait_until(lambda: connects() == len(names), 20, "all have tried to connect")
    bare.sim.resume()
    bare.sim.control(f"wait logins={logins + len(bare.shards())} ms=30000")

    stats = bare.sim.control("stats channels=0")
    assert not any(stats["violations"].values()), stats["violations"]
    wait_until(lambda: bare.joined(*names), 10, "all are joined again")


def test_the_room_limit_names_user_count_and_limit(cluster):
    cluster.request("set", name="room_limit", value="3")
    cluster.start_node("n1")
    wait_until(cluster.nodes, 10, "a node is there")

    reply = cluster.request("join", channels="a1,a2,a3,a4,shoalbot")

    assert reply["ok"] is False
    assert set(reply["assigned"]) == {"a1", "a2", "a3", "shoalbot"}  # the own room does not count
    (why,) = reply["refused"].values()
    assert "shoalbot" in why and "3 of 3" in why and why.endswith("(room_limit is 3)")
    assert "a4" not in cluster.channels()
    cluster.request("part", channels="a1")
    assert cluster.request("join", channels="a4")["ok"]


def test_a_parted_channel_is_left_and_can_be_joined_again(cluster):
    cluster.start_node("n1")
    wait_until(cluster.nodes, 10, "a node is there")
    cluster.join("alice", "bob")

    reply = cluster.request("part", channels="alice,nobody")

    def in_the_room():
        return [c for c in cluster.sim.control("connections")["connections"] if "alice" in c["rooms"]]

    assert (reply["ok"], reply["parted"]) == (False, ["alice"])
    assert reply["refused"] == {"nobody": "The channel is not joined."}
    wait_until(lambda: not in_the_room(), 10, "alice is left")
    assert cluster.channels().keys() == {"bob"}
    assert cluster.channel("alice") == {}

    cluster.join("alice")
    first = cluster.channels()["alice"]
    assert cluster.request("join", channels="ALICE #alice")["assigned"] == {"alice": first}
    assert cluster.sim.control.stats()["users"]["shoalbot"]["joins"]["total"] == 3


def test_a_thousand_channels_in_one_request(cluster, watch):
    cluster.sim.control("limit all=off")
    cluster.request("set", name="channels_per_shard", value="100")
    cluster.start_node("n1", capacity=20)
    wait_until(cluster.nodes, 10, "a node is there")
    names = [f"room{i}" for i in range(1000)]
    watcher = watch(cluster, 100, 10)

    reply = cluster.request("join", channels=" ".join(names))

    assert reply["ok"] and len(reply["assigned"]) == 1000
    wait_until(lambda: cluster.joined(*names), 20, "all are joined")
    loads = cluster.redis.zrange(cluster.key("load"), 0, -1, withscores=True)
    assert [int(n) for _, n in loads] == [100] * 10
    assert len(cluster.request("part", channels=" ".join(names))["parted"]) == 1000
    assert cluster.channels() == {}
    watcher.finish()


@pytest.mark.parametrize(
    "fields, words",
    [
        ({}, "op"),
        ({"op": ""}, "op"),
        ({"op": "fly", "channels": "alice"}, "fly"),
        ({"op": "join"}, "1 to 1000 channels"),
        ({"op": "join", "channels": " , "}, "1 to 1000 channels"),
        ({"op": "part"}, "1 to 1000 channels"),
        ({"op": "join", "channels": ",".join(f"room{i}" for i in range(2000))}, "1 to 1000 channels"),
        ({"op": b"\xff\x00\r\n\x01"}, "op"),
        ({"op": "set", "name": "nonsense", "value": "1"}, "nonsense"),
    ],
)
def test_a_malformed_request_gets_one_reply_with_a_clear_error(cluster, fields, words):
    replies = cluster.subscribe(cluster.topic("replies"))
    id = uuid.uuid4().hex

    stream = stream_of(fields.get("op"))
    cluster.redis.xadd(cluster.key(stream), {"id": id, **fields})
    reply = cluster.answer(id)
    cluster.request("join", channels="nobody_else")

    assert reply["ok"] is False
    assert words in reply["error"], reply
    wait_until(lambda: len(replies.messages) >= 2, 5, "both replies are published")
    assert [json.loads(text)["id"] for _, text in replies.messages].count(id) == 1
    assert cluster.redis.xlen(cluster.key(stream)) == 0


def test_names_that_are_none_are_refused_one_by_one(cluster):
    cluster.start_node("n1")
    wait_until(cluster.nodes, 10, "a node is there")
    bad = ["with-dash", "a" * 26, "caf\u00e9", "a:b", "#", "##x", b"\xff\x00\x01".decode("latin1")]

    reply = cluster.request("join", channels=",".join([*bad, "#Good", "good"]))

    assert reply["assigned"].keys() == {"good"}
    assert len(reply["refused"]) >= len(bad) - 1
    assert all(why.startswith("Not a channel name") for why in reply["refused"].values())
    assert cluster.channels().keys() == {"good"}


def test_an_entry_of_junk_harms_nobody(cluster):
    cluster.start_node("n1")
    wait_until(cluster.nodes, 10, "a node is there")
    raw = redis.Redis.from_url(cluster.redis_url)

    entry = raw.xadd(cluster.key("requests"), {b"\x00\xff": b"\x80" * 5000, b"id": b"\xfe" * 200}).decode()
    outbox = raw.xadd(cluster.key("outbox"), {b"\x00": b"\xff" * 100_000, b"channel": b"\r\n"}).decode()

    assert cluster.answer(entry)["ok"] is False
    assert cluster.result(outbox)["status"] == "rejected"
    cluster.join("alice")
    assert cluster.redis.xlen(cluster.key("requests")) == cluster.redis.xlen(cluster.key("outbox")) == 0


def test_requests_made_while_no_coordinator_is_up_are_carried_out_in_order(cluster):
    cluster.start_node("n1")
    wait_until(cluster.nodes, 10, "a node is there")
    cluster.join("before")
    cluster.processes["c1"].kill()

    ids = [cluster.ask(op, channels="later") for op in ("join", "part", "join")]
    assert cluster.send("before", "sending goes on")["status"] == "sent"
    assert all(cluster.redis.get(cluster.key(f"reply:{id}")) is None for id in ids)
    cluster.start_coordinator("c2")

    assert all(cluster.answer(id)["ok"] for id in ids)
    wait_until(lambda: cluster.joined("later", "before"), 10, "it is joined")
