"""DistributedShardManager: channels over many shards. Each row of its table in the README has the test of its name."""

import json
import random
import threading
import uuid

import pytest
import redis

from fake_node import FakeNode
from processes import wait_until
from test_assign import FULL, Watcher

OWN = {"channels_per_shard": None, "max_shard_count": None}
HINT = "More channels have been added to initial_channels than are allowed by the combination of channels_per_shard"


@pytest.fixture
def seen(bare):
    """A cluster of which Redis alone is real: nodes that register and say that their shards are ready."""
    bare.start_redis()
    nodes = []

    def begin(*initial, shards=1, nodes_up=2, **settings):
        args = ["--initial-channels", ",".join(initial)] if initial else []
        process = bare.start_coordinator(args=args, **{**OWN, "user": "bob", "initial_shard_count": shards, **settings})
        wait_until(bare.redis.function_list, 10, "the library is there")
        nodes.extend(FakeNode(bare, f"n{i}", users="bob") for i in range(1, nodes_up + 1))
        return process

    bare.begin = begin
    yield bare
    for node in nodes:
        node.die()


@pytest.fixture
def distributed(bare):
    """A whole cluster, with the manager's own limits."""
    bare.start_redis()
    bare.start_sim("--verified")

    def begin(*initial, nodes=("n1",), **settings):
        args = ["--initial-channels", ",".join(initial)] if initial else []
        bare.start_coordinator(args=args, **{**OWN, **settings})
        for node in nodes:
            bare.start_node(node)
        wait_until(bare.is_set_up, 10, "the cluster is set up")
        return bare

    return begin


def loads(cluster):
    return {name: int(n) for name, n in cluster.redis.zrange(cluster.key("load"), 0, -1, withscores=True)}


def names(n):
    return [f"room{i}" for i in range(n)]


def test_distributed_channels_per_shard(distributed):
    cluster = distributed()
    assert cluster.ctl_json("config", "get", "channels_per_shard")[0]["value"] == "25"

    cluster.join(*names(26))

    assert loads(cluster) == {"initial-shard-1": 25, "extended-shard-1": 1}


def test_distributed_max_shard_count(distributed):
    cluster = distributed(channels_per_shard=2)
    assert cluster.ctl_json("config", "get", "max_shard_count")[0]["value"] == "5"
    reply = cluster.request("join", channels=" ".join(names(11)))
    assert (len(reply["assigned"]), list(reply["refused"].values())) == (10, [FULL % 5])

    cluster.ctl("config", "set", "max_shard_count", "none")

    assert len(cluster.request("join", channels=" ".join(names(14)))["assigned"]) == 14
    assert sorted(loads(cluster).values()) == [2] * 7


def test_distributed_initial_shard_count(seen):
    seen.begin()
    wait_until(seen.is_set_up, 10, "the cluster is set up")
    assert loads(seen) == {"initial-shard-1": 0}


@pytest.mark.parametrize("shards", [1, 2, 5])
@pytest.mark.parametrize("channels", [0, 1, 51, 125])
def test_distributed_setup(seen, channels, shards):
    seen.begin(*names(channels), shards=shards)
    wait_until(seen.is_set_up, 10, "the cluster is set up")

    needed = max(shards, -(-channels // 25))
    each, more = divmod(channels, needed)
    assert loads(seen) == {f"initial-shard-{i + 1}": each + (i < more) for i in range(needed)}
    held = [seen.redis.smembers(seen.key(f"shard:{shard}:channels")) for shard in loads(seen)]
    assert sorted(name for members in held for name in members) == sorted(names(channels))
    nodes = [shard["node"] for shard in seen.shards().values()]
    assert abs(nodes.count("n1") - nodes.count("n2")) <= 1
    assert seen.errors() == []


@pytest.mark.parametrize("shards", [1, 5])
def test_more_initial_channels_than_the_limits_allow_leave_nothing(seen, shards):
    process = seen.begin(*names(126), shards=shards)
    process.expected_to_end = True

    assert process.wait(10) == 1
    said = [line for line in process.text().splitlines() if line.startswith("shoal-coordinator:")]
    assert len(said) == 1, process.text()
    assert HINT in said[0] and "channels_per_shard is 25" in said[0] and "max_shard_count is 5" in said[0]
    assert "126 channels" in said[0] and "max_shard_count=6" in said[0]
    kinds = {key.split(":")[2] for key in seen.redis.keys(seen.key("*"))}
    assert kinds <= {"nodes", "node", "free", "leader", "clock", "version", "log", "lines"}, kinds

    # Another try with what was said begins from nothing.
    seen.start_coordinator("c2", ["--initial-channels", ",".join(names(126))], **{**OWN, "user": "bob", "max_shard_count": 6})
    wait_until(seen.is_set_up, 10, "the cluster is set up")
    assert sorted(loads(seen).values()) == [21] * 6


def test_initial_names_are_normalised_once_or_refused_by_name(seen):
    seen.begin("Forsen", "#forsen", "xqc", "FORSEN", "#XQC")
    wait_until(seen.is_set_up, 10, "the cluster is set up")
    assert seen.channels() == {"forsen": "initial-shard-1", "xqc": "initial-shard-1"}
    assert seen.redis.smembers(seen.key("initial")) == {"forsen", "xqc"}

    process = seen.start_coordinator("c2", ["--initial-channels", "a,not-one"])
    process.expected_to_end = True
    assert process.wait(10) == 2
    assert '"not-one" is not a channel name' in process.text()


def test_setup_goes_on_where_a_leader_died_in_the_middle(seen):
    """Whatever it had made before it died is there once in the end."""
    process = seen.begin(*names(51), shards=5, nodes_up=0)
    seen.start_coordinator("c2", ["--initial-channels", ",".join(names(51))], **{**OWN, "user": "bob"}, initial_shard_count=5)
    node = FakeNode(seen, "n1", users="bob")
    wait_until(lambda: loads(seen), 10, "the first shard is there")
    process.kill()

    wait_until(seen.is_set_up, 15, "the cluster is set up")
    assert sorted(loads(seen).values(), reverse=True) == [11, 10, 10, 10, 10]
    node.die()


def test_setup_outlives_a_link_that_breaks_in_the_middle(seen):
    """What Redis does is no failure of the manager: the coordinator tries again, and does not end."""
    process = seen.begin(*names(51), shards=1000, max_shard_count=1000)
    lead = wait_until(
        lambda: [c["id"] for c in seen.redis.client_list() if c["name"] == "shoal-coordinator:c1:lead"], 10, "its link"
    )
    while not seen.redis.zcard(seen.key("load")):
        assert process.is_running()
    seen.redis.client_kill_filter(_id=lead[0])
    assert seen.redis.zcard(seen.key("load")) < 1000

    wait_until(seen.is_set_up, 30, "the cluster is set up")
    assert process.is_running()
    assert sorted(loads(seen).values(), reverse=True) == [1] * 51 + [0] * 949


def test_distributed_assign_shard(distributed):
    cluster = distributed(channels_per_shard=2, max_shard_count=3, initial_shard_count=2)

    first = cluster.join("a")
    assert set(cluster.join("b").values()) == {"initial-shard-1", "initial-shard-2"} - set(first.values())
    cluster.join("c", "d", "e", "f")
    assert loads(cluster) == {"initial-shard-1": 2, "initial-shard-2": 2, "extended-shard-1": 2}
    reply = cluster.request("join", channels="g")
    assert reply["refused"] == {"g": FULL % 3}
    assert "g" not in cluster.channels()


def test_distributed_get_sender_shard(distributed):
    cluster = distributed(channels_per_shard=2, initial_shard_count=3, nodes=("n1", "n2"))
    cluster.join(*names(6))

    def senders():
        return {name: shard["sender"] for name, shard in cluster.shards().items()}

    wait_until(lambda: all(s != name for name, s in senders().items()), 15, "nobody hears itself")
    assert sorted(senders().values()) == sorted(cluster.shards())  # spread evenly
    assert cluster.send("stranger", "nobody joined this")["status"] == "sent"
    for name in names(6):
        assert cluster.send(name, f"hello {name}")["status"] == "sent"
    connections = cluster.sim.control("connections")["connections"]
    assert len([c for c in connections if c["rooms"]]) == 3


def test_distributed_start(distributed):
    cluster = distributed(*names(3), initial_shard_count=3)
    wait_until(lambda: cluster.joined(*names(3)), 15, "all are joined")
    assert {(s["run"], s["state"]) for s in cluster.shards().values()} == {("started", "ready")}

    # A new leader starts what is not started, and leaves the others alone.
    epochs = {name: shard["epoch"] for name, shard in cluster.shards().items()}
    logins = cluster.sim.control("stats channels=0")["logins"]["ok"]
    cluster.processes["c1"].restart()
    wait_until(lambda: "manager.starting" in cluster.processes["c1"].text().split("coordinator.started")[-1], 10, "c1 leads")
    assert {name: shard["epoch"] for name, shard in cluster.shards().items()} == epochs
    assert cluster.sim.control("stats channels=0")["logins"]["ok"] == logins


def test_distributed_stop(distributed):
    cluster = distributed(initial_shard_count=2, channels_per_shard=2)
    cluster.join(*names(5))
    wanted = cluster.channels()

    cluster.ctl("stop")

    assert cluster.sim.control("connections")["connections"] == []
    assert {(s["run"], s["state"]) for s in cluster.shards().values()} == {("stopped", "closed")}
    assert cluster.channels() == wanted
    # What is joined meanwhile connects with the others.
    assert cluster.request("join", channels="more even_more")["ok"]
    assert cluster.sim.control("connections")["connections"] == []
    # Nor does a coordinator that is started now connect anything.
    cluster.processes["c1"].restart()
    wait_until(lambda: "manager.stopped" in cluster.processes["c1"].text().split("coordinator.started")[-1], 10, "c1 leads")
    assert cluster.sim.control("connections")["connections"] == []
    cluster.ctl("start")
    wait_until(lambda: cluster.joined(*names(5), "more", "even_more"), 20, "all are joined")
    assert {name: shard for name, shard in cluster.channels().items() if name in wanted} == wanted


def test_racing_clients_never_pass_a_limit_of_a_full_cluster(seen):
    seen.begin(channels_per_shard=5, max_shard_count=3, initial_shard_count=1, lease_ms=600)
    seen.start_coordinator("c2", **{**OWN, "user": "bob"}, lease_ms=600)
    wait_until(seen.is_set_up, 10, "the cluster is set up")
    watcher = Watcher(seen, 5, 3)
    replies = seen.subscribe(seen.topic("replies"))
    asked = []

    def client(number):
        rng = random.Random(number)
        mine = redis.Redis.from_url(seen.redis_url, decode_responses=True)
        for _ in range(40):
            request = {"id": uuid.uuid4().hex, "op": rng.choice(["join", "join", "part"])}
            request["channels"] = " ".join(f"room{rng.randrange(40)}" for _ in range(rng.choice([1, 3])))
            mine.xadd(seen.key("requests"), request)
            asked.append(request["id"])
        mine.close()

    clients = [threading.Thread(target=client, args=(n,)) for n in range(16)]
    for thread in clients:
        thread.start()
    wait_until(lambda: len(replies.messages) > 50, 20, "the first replies")
    leader = seen.leader()
    seen.processes[leader if leader in seen.processes else "c1"].kill()
    for thread in clients:
        thread.join()
    wait_until(lambda: len(replies.messages) >= len(asked), 25, "a reply to each")
    watcher.finish()
    ids = [json.loads(text)["id"] for _, text in replies.messages]
    assert sorted(ids) == sorted(asked)


def test_limits_lowered_below_what_is_in_use_tear_nothing_down_and_let_nothing_grow(distributed):
    cluster = distributed(channels_per_shard=4, max_shard_count=3)
    cluster.join(*names(12))
    before = loads(cluster)

    cluster.ctl("config", "set", "channels_per_shard", "2")
    cluster.ctl("config", "set", "max_shard_count", "1")

    reply = cluster.request("join", channels="one_more")
    assert reply["refused"] == {"one_more": FULL % 1}
    assert loads(cluster) == before and cluster.joined(*names(12))
    status = cluster.ctl("status").stdout
    assert "there are 3 shards; max_shard_count is 1" in status
    assert "initial-shard-1 has 4 channels; channels_per_shard is 2" in status
    cluster.ctl("config", "unset", "channels_per_shard")
    assert cluster.ctl_json("config", "get", "channels_per_shard")[0]["value"] == "25"
    assert cluster.request("join", channels="one_more")["ok"]


def test_settings_that_cannot_be_are_refused_with_the_allowed_range(distributed):
    cluster = distributed()
    for name, value, allowed in (
        ("channels_per_shard", "0", "a number from 1 to 1000000, or none"),
        ("max_shard_count", "many", "a number from 1 to 1000000, or none"),
        ("initial_shard_count", "none", "a number from 1 to 10000"),
        ("room_limit", "1.5", "a number from 1 to 1000000, or off"),
    ):
        done = cluster.ctl("config", "set", name, value, check=False)
        assert done.returncode == 1 and name in done.stderr and allowed in done.stderr, done.stderr
