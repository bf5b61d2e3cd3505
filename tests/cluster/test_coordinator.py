"""The coordinator's promises, with nodes that only Redis sees."""

import json
import random
import shutil
import time

import pytest

from fake_node import FakeNode
from processes import free_port, wait_until
from shoal import COORDINATOR, Cluster, stream_of

SETTINGS = {"user": "bob", "max_shard_count": "none", "lease_ms": 600}


@pytest.fixture
def cluster(tmp_path, time_limit):
    """Redis alone."""
    assert COORDINATOR.exists() and shutil.which("redis-server")
    cluster = Cluster(tmp_path)
    cluster.start_redis()
    cluster.fakes = []
    yield cluster
    for node in cluster.fakes:
        node.die()
    complaints = cluster.close()
    assert not complaints, "\n".join(complaints)


def start(cluster, name, args=(), **settings):
    given = {**SETTINGS, **settings}
    return cluster.start_coordinator(name, args=["--id", name, *args], **given)


def node(cluster, name, **kwargs):
    fake = FakeNode(cluster, name, **{"users": "bob", **kwargs})
    cluster.fakes.append(fake)
    return fake


def is_set_up(cluster):
    return cluster.redis.hget(cluster.key("config"), "setup") == "done"


def lead(cluster, name="c1", args=(), **settings):
    """A cluster with one leader and one node, set up."""
    process = start(cluster, name, args, **settings)
    wait_until(lambda: cluster.leader() == name, 5, "it leads")
    wait_until(lambda: cluster.redis.function_list(), 5, "the library is there")
    node(cluster, "n1")
    wait_until(lambda: is_set_up(cluster), 5, "the cluster is set up")
    return process


def ask(cluster, **fields):
    stream = stream_of(fields.get("op"))
    return ("admin:" if stream == "admin" else "") + cluster.redis.xadd(cluster.key(stream), fields)


def reply(cluster, request, timeout=5):
    text = wait_until(
        lambda: cluster.redis.get(cluster.key(f"reply:{request}")), timeout, f"the reply to {request}"
    )
    return json.loads(text)


def leader_process(cluster):
    return cluster.processes.get(cluster.leader())


# Leadership


def test_a_standby_takes_over_when_the_leader_is_killed(cluster):
    lead(cluster)
    start(cluster, "c2")
    time.sleep(0.3)

    cluster.processes["c1"].kill()
    killed = time.monotonic()

    wait_until(lambda: cluster.leader() == "c2", 5, "c2 leads")
    assert time.monotonic() - killed < 0.6 + 0.4


def test_a_leader_that_ends_in_order_hands_over_at_once_and_exits_0(cluster):
    lead(cluster, lease_ms=10000)
    start(cluster, "c2")
    wait_until(lambda: "leader.standby" in cluster.processes["c2"].text(), 5, "c2 stands by")

    assert cluster.processes["c1"].stop() == 0

    wait_until(lambda: cluster.leader() == "c2", 3, "c2 leads, long before the lease is over")


def test_a_paused_leader_knows_that_it_is_none_any_more(cluster):
    lead(cluster)
    start(cluster, "c2")
    cluster.processes["c1"].pause()
    wait_until(lambda: cluster.leader() == "c2", 5, "c2 leads")

    cluster.processes["c1"].resume()

    wait_until(lambda: "leader.deposed" in cluster.processes["c1"].text(), 5, "c1 was told")
    assert cluster.leader() == "c2"
    ask(cluster, op="join", channels="a", id="r1")
    assert reply(cluster, "r1")["ok"]


# Requests


def test_every_request_has_one_reply_in_order_whatever_leader_dies(cluster):
    lead(cluster)
    start(cluster, "k0")
    replies = cluster.subscribe(cluster.topic("replies"))
    seed = 20240501
    rng = random.Random(seed)
    asked = []
    for round_number in range(4):
        for _ in range(300):
            channels = ",".join(f"c{rng.randrange(2000)}" for _ in range(rng.choice([1, 3, 20])))
            asked.append(f"q{len(asked)}")
            ask(cluster, op=rng.choice(["join", "join", "part"]), channels=channels, id=asked[-1])
            if len(asked) % 300 == 150:
                leader_process(cluster).kill()
        start(cluster, f"k{round_number + 1}")
        wait_until(lambda: leader_process(cluster).is_running(), 5, "somebody leads")

    wait_until(lambda: len(replies.on(cluster.topic("replies"))) >= len(asked), 20, "all replies")
    time.sleep(0.3)
    ids = [json.loads(text)["id"] for text in replies.on(cluster.topic("replies"))]
    assert ids == asked, f"seed {seed}"
    assert cluster.redis.xlen(cluster.key("requests")) == 0
    for shard in cluster.shards():
        members = cluster.redis.smembers(cluster.key(f"shard:{shard}:channels"))
        assert len(members) <= 20
        assert all(cluster.channels()[channel] == shard for channel in members)


def test_a_request_made_while_no_coordinator_is_up_is_carried_out_later(cluster):
    lead(cluster)
    cluster.processes["c1"].kill()
    ask(cluster, op="join", channels="late", id="r1")

    start(cluster, "c2")

    assert reply(cluster, "r1")["assigned"]["late"]


@pytest.mark.parametrize(
    "fields, expected",
    [
        ({"op": "dance"}, 'Unknown op "dance"'),
        ({"op": "setup"}, 'Unknown op "setup"'),
        ({"foo": "bar"}, 'Unknown op ""'),
        ({"op": "join"}, "1 to 1000 channels"),
        ({"op": "join", "channels": ",".join(f"c{i}" for i in range(1001))}, "1 to 1000 channels"),
        ({"op": "part", "channels": ",".join(f"c{i}" for i in range(5000))}, "1 to 1000 channels"),
        ({"op": "join", "channels": "a", "id": "x" * 129}, "at most 128 bytes"),
        ({"op": "set", "name": "colour", "value": "red"}, "Unknown setting colour"),
    ],
)
def test_a_request_that_cannot_be_carried_out_is_refused_with_the_reason(cluster, fields, expected):
    lead(cluster)

    entry = ask(cluster, **fields)

    answer = reply(cluster, entry)
    assert not answer["ok"]
    assert expected in answer["error"]


def test_requests_go_on_when_redis_drops_all_connections(cluster):
    lead(cluster)
    for i in range(5):
        cluster.redis.client_kill_filter(_type="normal", skipme=True)
        ask(cluster, op="join", channels=f"c{i}", id=f"r{i}")
        assert reply(cluster, f"r{i}")["op"] == "join"


# Setup


def test_initial_channels_are_joined_once_and_a_parted_one_stays_parted(cluster):
    lead(cluster, args=["--initial-channels", "a,B,#c"])
    assert sorted(cluster.channels()) == ["a", "b", "c"]
    ask(cluster, op="part", channels="b", id="r1")
    assert reply(cluster, "r1")["parted"] == ["b"]
    cluster.processes["c1"].stop()

    start(cluster, "c2", ["--initial-channels", "a,b,c,d"])

    wait_until(lambda: "d" in cluster.channels(), 5, "the new one is joined")
    assert sorted(cluster.channels()) == ["a", "c", "d"]


def test_the_settings_of_a_new_cluster_and_its_initial_shards_are_made(cluster):
    lead(cluster, initial_shard_count=3, channels_per_shard=7)
    assert sorted(cluster.shards()) == [f"initial-shard-{n}" for n in (1, 2, 3)]
    assert cluster.redis.hget(cluster.key("config"), "channels_per_shard") == "7"


def test_a_setting_that_differs_from_the_clusters_is_only_warned_about(cluster):
    lead(cluster, channels_per_shard=7)
    cluster.processes["c1"].stop()

    start(cluster, "c2", channels_per_shard=8)

    wait_until(lambda: "setting.different" in cluster.processes["c2"].text(), 5, "a warning")
    assert cluster.redis.hget(cluster.key("config"), "channels_per_shard") == "7"


def test_a_setting_that_does_not_exist_ends_the_start_of_a_new_cluster(cluster):
    process = start(cluster, "c1", colour="red")
    process.expected_to_end = True
    assert process.wait(10) == 2
    assert "Unknown setting colour" in process.text()


def test_without_tokens_the_cluster_reads_anonymously(cluster):
    process = cluster.start_coordinator("c1", args=["--id", "c1"], user="anonymous")
    wait_until(lambda: cluster.redis.function_list(), 5, "the library is there")
    node(cluster, "n1", users="")
    wait_until(lambda: is_set_up(cluster), 8, "the cluster is set up")
    assert cluster.shards()["initial-shard-1"]["user"] == "anonymous"
    assert process.is_running()


def test_an_emptied_redis_is_set_up_anew(cluster):
    lead(cluster, args=["--initial-channels", "a"])
    cluster.restart_redis()
    cluster.fakes[0].die()
    wait_until(lambda: cluster.leader() == "c1", 5, "it leads")
    wait_until(lambda: cluster.redis.function_list(), 5, "the library is there")

    node(cluster, "n2")

    wait_until(lambda: cluster.channels().get("a"), 8, "the initial channel is assigned")


def test_a_cluster_whose_settings_are_gone_is_adopted_as_it_is(cluster):
    lead(cluster, args=["--initial-channels", "a,b,c"])
    ask(cluster, op="join", channels="d", id="j1")
    assert reply(cluster, "j1")["ok"]
    before = cluster.channels()
    cluster.processes["c1"].stop()
    cluster.redis.delete(cluster.key("config"))

    # For this one each initial channel would need a shard of its own, but they are on one.
    process = start(cluster, "c2", ["--initial-channels", "a,b,c"], channels_per_shard=1, user="bob")

    wait_until(lambda: is_set_up(cluster), 8, "the cluster is set up again")
    assert "already." in process.text() and "setup.adopted" in process.text()
    assert cluster.channels() == before
    ask(cluster, op="part", channels="d", id="p1")
    assert reply(cluster, "p1")["ok"] and process.is_running()
    cluster.redis.delete(cluster.key("config"))
    wait_until(lambda: is_set_up(cluster), 8, "by who leads, as well")
    assert process.is_running()


def test_who_led_a_cluster_tries_again_where_setting_it_up_anew_is_refused(cluster):
    process = lead(cluster, args=["--initial-channels", "a,b,c"], channels_per_shard=1, max_shard_count=3)
    cluster.redis.flushall()
    cluster.redis.hset(cluster.key("config"), "max_shard_count", "1")  # fewer than it takes
    node(cluster, "n2")
    wait_until(lambda: "setup.refused" in process.text(), 10, "it tells so")
    assert "max_shard_count is 1" in process.text()

    ask(cluster, op="set", name="max_shard_count", value="3", id="s1")
    assert reply(cluster, "s1", 10)["ok"]

    wait_until(lambda: is_set_up(cluster) and len(cluster.channels()) == 3, 15, "it is set up")
    assert process.text().count("setup.refused") < 3 and process.is_running()


# Sweep


def test_a_dead_nodes_shards_are_placed_elsewhere_and_its_link_is_killed(cluster):
    lead(cluster, initial_shard_count=2, lease_ms=1000)
    first = cluster.fakes[0]
    wait_until(lambda: len(first.held) == 2, 5, "n1 holds both")
    second = node(cluster, "n2")

    first.die()
    died = time.monotonic()

    wait_until(lambda: len(second.held) == 2, 5, "n2 holds both")
    assert time.monotonic() - died < 1.0 + 0.3
    assert not first.is_connected()


def test_channels_that_wait_are_assigned_when_a_node_comes(cluster):
    start(cluster, "c1", channels_per_shard=1)
    wait_until(lambda: cluster.redis.function_list(), 5, "the library is there")
    ask(cluster, op="join", channels="a b c", id="r1")
    assert sorted(reply(cluster, "r1")["waiting"]) == ["a", "b", "c"]

    node(cluster, "n1", capacity=2)
    wait_until(lambda: sum(map(bool, cluster.channels().values())) == 2, 8, "two have room")
    node(cluster, "n2")

    wait_until(lambda: all(cluster.channels().values()), 5, "all have a shard")


def test_shards_that_opened_for_channels_close_when_they_are_empty(cluster):
    lead(cluster, channels_per_shard=1, idle_shard_ms=0)
    ask(cluster, op="join", channels="a b c", id="r1")
    assert len(reply(cluster, "r1")["assigned"]) == 3
    assert len(cluster.shards()) == 3

    ask(cluster, op="part", channels="a b c", id="r2")

    wait_until(lambda: list(cluster.shards()) == ["initial-shard-1"], 5, "only the first stays")


def test_a_send_that_no_node_serves_expires(cluster):
    lead(cluster, send_ttl_ms=200)
    fields = {"channel": "a", "text": "hello", "id": "s1"}
    cluster.redis.xadd(cluster.key("outbox"), fields)

    wait_until(lambda: cluster.redis.hget(cluster.key("result:a:s1"), "status") == "expired", 5)
    assert cluster.redis.xlen(cluster.key("outbox")) == 0


# Senders


def test_a_shard_is_sent_for_by_another_that_is_ready(cluster):
    lead(cluster, initial_shard_count=3)
    ask(cluster, op="join", channels="a b c", id="r1")
    assert len(set(reply(cluster, "r1")["assigned"].values())) == 3

    def senders():
        return {name: fields["sender"] for name, fields in cluster.shards().items()}

    wait_until(lambda: all(s != name for name, s in senders().items()), 5, "nobody hears itself")
    assert sorted(senders().values()) == sorted(cluster.shards())


# Starting without a Redis that will do


def run_alone(cluster, url, *args):
    cluster.redis_url = url
    process = cluster.start_coordinator("alone", args=["--connect-timeout", "1s", *args])
    process.expected_to_end = True
    return process.wait(10), process.text()


def test_an_unreachable_redis_is_given_up_with_exit_code_3(cluster):
    code, text = run_alone(cluster, f"redis://127.0.0.1:{free_port()}")
    assert code == 3
    assert "cannot be reached" in text


def test_a_wrong_password_ends_the_start_with_exit_code_3(cluster):
    cluster.redis.config_set("requirepass", "sesame")
    url = cluster.redis_url.replace("redis://", "redis://:open@")
    code, text = run_alone(cluster, url)
    assert code == 3
    assert "password" in text
    assert "open@" not in text


def test_a_redis_without_functions_ends_the_start_with_exit_code_1(cluster):
    old = cluster.start_redis(
        "--rename-command", "FUNCTION", "", "--rename-command", "FCALL", "", name="old"
    )
    code, text = run_alone(cluster, old.url)
    assert code == 1
    assert "Redis 7" in text
