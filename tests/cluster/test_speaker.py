"""Channels are read anonymously, and one account speaks in them."""

import json
import random
import threading
import time
import uuid
from collections import Counter

from accounts import log_in, start_twitch
from processes import wait_until
from shoal import REMEMBERS, TOKEN, USER

ROOMS = [f"room{i}" for i in range(60)]


def speaking(cluster, nodes=2, sim=("--verified", "--limits-off"), **settings):
    """A cluster that reads anonymously and has the setting speaker; its nodes have the token."""
    cluster.start_redis(*REMEMBERS)
    cluster.start_sim(*sim)
    cluster.start_coordinator(**{"user": "anonymous", "speaker": USER, "channels_per_shard": 5, **settings})
    for i in range(nodes):
        cluster.start_node(f"n{i + 1}")
    cluster.sent = cluster.subscribe(cluster.topic("sent:*"))
    cluster.chat = cluster.subscribe(cluster.topic("chat:*"))
    return cluster


def shard(cluster, name):
    return cluster.redis.hgetall(cluster.key(f"shard:{name}"))


def speaks(cluster, name="speaker-shard-1"):
    return shard(cluster, name).get("state") == "ready"


def senders_are(cluster, *names):
    """Do these shards, and no others, send for all that have channels?"""
    load = cluster.redis.zrange(cluster.key("load"), 0, -1, withscores=True)
    senders = {shard(cluster, name).get("sender") for name, count in load if count > 0}
    return senders == set(names) and cluster.redis.hget(cluster.key("senders"), USER) in names


def say(cluster, channel, payload):
    return cluster.redis.publish(cluster.topic(f"send:{channel}"), json.dumps(payload))


def said_as(cluster):
    """{login: messages} of what Twitch let be said."""
    users = cluster.sim.control("stats channels=0")["users"]
    return {login: user["messages"]["said"] for login, user in users.items() if user["messages"]["said"]}


def rooms_of(cluster, login=USER):
    return cluster.sim.control("stats channels=0")["users"][login]["rooms"]["most"]


def test_what_goes_to_channels_read_anonymously_and_to_others_is_said_by_the_speaker(bare):
    speaking(bare)
    bare.join("alice", "bob")
    wait_until(lambda: speaks(bare) and senders_are(bare, "speaker-shard-1"), 10, "the speaker is ready")

    results = [bare.send(channel, f"hello {channel}") for channel in ("alice", "bob", "stranger")]
    assert [r["status"] for r in results] == ["sent"] * 3
    assert said_as(bare) == {USER: 3}
    assert rooms_of(bare) == 0

    # It comes back through the reader, once and without an echo, on whatever node that is.
    wait_until(lambda: bare.chat.texts(bare.topic("chat:bob")), 5, "it is heard")
    for channel in ("alice", "bob"):
        assert bare.chat.texts(bare.topic(f"chat:{channel}")) == [f"hello {channel}"]
    assert not any(b"shoal-echo" in payload for _, payload in bare.chat.messages)

    rows = {row["shard"]: row for row in bare.ctl_json("shards")}
    assert rows["speaker-shard-1"]["user"] == USER and rows["speaker-shard-1"]["channels"] == 0
    status = bare.ctl("status").stdout
    assert f"speaker   {USER}" in status and "problem   speaker" not in status
    assert any(line.split()[0] == "speaker-shard-1" and "speaks" in line for line in status.splitlines() if line)


def test_sends_wait_until_a_node_can_log_in_as_the_speaker(bare):
    bare.write_tokens({})
    speaking(bare, nodes=1, lease_ms=500)
    bare.join("alice")
    first = bare.redis.xadd(bare.key("outbox"), {"channel": "alice", "text": "by outbox", "ttl_ms": "60000"})
    wait_until(lambda: say(bare, "alice", {"text": "by topic", "ttl_ms": 60000}) == 1, 10, "its topic is served")
    why = f"No node has a token for user {USER}."
    wait_until(lambda: bare.errors(), 10, "that is told")
    assert [(e["where"], e["error"]) for e in bare.events("error")] == [("speaker", why)]
    assert f"problem   speaker {USER} has 0 of 1 shards: {why}" in bare.ctl("status").stdout

    bare.write_tokens({USER: TOKEN})
    bare.start_node("n2")
    assert bare.result(first)["status"] == "sent"
    wait_until(lambda: len(bare.sent.messages) == 2, 10, "both have their result")
    assert {json.loads(payload)["status"] for _, payload in bare.sent.messages} == {"sent"}
    assert shard(bare, "speaker-shard-1")["node"] == "n2"
    assert len(bare.events("error")) == 1
    assert "problem   speaker" not in bare.ctl("status").stdout


def test_a_speaker_is_set_changed_and_unset_while_it_runs(bare):
    speaking(bare, nodes=1, speaker=None)
    bare.sim.control("user other token=othertoken")
    bare.join("alice")
    assert bare.send("alice", "1")["reason"] == "anonymous"

    bare.ctl("config", "set", "speaker", USER)
    wait_until(lambda: speaks(bare) and senders_are(bare, "speaker-shard-1"), 10, "it speaks")
    assert bare.send("alice", "2")["status"] == "sent"

    bare.write_tokens({USER: TOKEN, "other": "othertoken"})
    bare.start_node("n2")
    bare.ctl("config", "set", "speaker", "other")
    wait_until(lambda: shard(bare, "speaker-shard-1").get("user") == "other" and speaks(bare), 10, "the other speaks")
    assert bare.send("alice", "3")["status"] == "sent"
    assert said_as(bare) == {USER: 1, "other": 1}

    bare.ctl("config", "unset", "speaker")
    wait_until(lambda: not shard(bare, "speaker-shard-1"), 10, "its shard is closed")
    wait_until(lambda: bare.sim.control("stats channels=0")["users"]["other"]["connections"] == 0, 10, "at Twitch, too")
    assert bare.send("alice", "4")["reason"] == "anonymous"
    assert bare.send("alice", "5", user=USER)["reason"] == "unknown_user"


def test_shards_of_the_speaker_share_its_channels_and_one_takes_over_for_another(bare):
    speaking(bare, nodes=3, speaker_shard_count=2, lease_ms=500)
    bare.join(*ROOMS[:20])
    both = ("speaker-shard-1", "speaker-shard-2")
    wait_until(lambda: all(speaks(bare, name) for name in both) and senders_are(bare, *both), 10, "both speak")
    nodes = [shard(bare, name)["node"] for name in both]
    assert len(set(nodes)) == 2

    others = sum(shard(bare, on)["sender"] == both[1] for on in bare.channels().values())
    ids = [bare.redis.xadd(bare.key("outbox"), {"channel": name, "text": f"to {name}", "ttl_ms": "60000"})
           for name in [*ROOMS[:20], "stranger"]]  # fmt: skip
    bare.processes[nodes[0]].kill()
    statuses = Counter(bare.result(id, 30)["status"] for id in ids)
    # Each of those of the dead one may have been written before it died.
    assert set(statuses) <= {"sent", "unknown"} and statuses["sent"] >= others > 0
    wait_until(lambda: all(speaks(bare, name) for name in both), 20, "both speak again")
    assert len({shard(bare, name)["node"] for name in both}) == 2
    assert bare.send("room0", "again", timeout=30)["status"] == "sent"
    bare.ctl("config", "set", "speaker_shard_count", "1")
    wait_until(lambda: senders_are(bare, "speaker-shard-1"), 10, "one is left")
    assert bare.send("room1", "again")["status"] == "sent"
    assert bare.sim.control("stats channels=0")["users"][USER]["rooms"]["most"] == 0


def test_they_stop_and_start_with_the_cluster(bare):
    speaking(bare, nodes=1)
    bare.join("alice")
    wait_until(lambda: speaks(bare), 10, "the speaker is ready")
    bare.ctl("stop")
    wait_until(lambda: shard(bare, "speaker-shard-1")["state"] == "closed", 10, "it is closed")
    bare.ctl("start")
    wait_until(lambda: speaks(bare), 10, "the speaker is ready")
    assert bare.send("alice", "hello")["status"] == "sent"


def test_they_count_towards_the_limit_of_shards(bare):
    speaking(bare, nodes=1, max_shard_count=1, lease_ms=500)
    wait_until(bare.errors, 10, "that there is no room is told")
    why = "All shards are full, and the shard count limit has been reached. (max_shard_count is 1)"
    assert bare.events("error")[0]["error"] == why
    assert f"speaker {USER} has 0 of 1 shards: {why}" in bare.ctl("status").stdout
    bare.ctl("config", "set", "max_shard_count", "2")
    wait_until(lambda: speaks(bare), 10, "it has its shard")


def test_the_default_manager_speaks_by_a_speaker_shard_too(bare):
    bare.start_redis(*REMEMBERS)
    bare.start_sim("--verified", "--limits-off")
    bare.start_coordinator(args=("--shard-manager", "default"), user="anonymous", speaker=USER, max_shard_count=2)
    bare.start_node("n1")
    bare.join("alice")
    wait_until(lambda: speaks(bare) and senders_are(bare, "speaker-shard-1"), 10, "it speaks")
    assert [bare.send(name, "hello")["status"] for name in ("alice", "stranger")] == ["sent", "sent"]


def test_channels_that_the_speaker_reads_itself_are_spoken_to_as_ever_and_heard_once(bare):
    speaking(bare, nodes=1, user=USER)
    bare.join("alice")
    wait_until(lambda: speaks(bare) and senders_are(bare, "speaker-shard-1"), 10, "it speaks")
    assert bare.send("alice", "hello")["status"] == "sent"
    wait_until(lambda: bare.chat.texts(bare.topic("chat:alice")), 5, "it is heard")
    bare.chat_flows(bare.chat, "alice")
    assert bare.chat.texts(bare.topic("chat:alice")).count("hello") == 1


def test_the_recipe_two_settings_and_one_login(bare, tmp_path):
    """As the README has it: three nodes without any tokens file read 60 channels, and mybot speaks in them."""
    bare.start_redis(*REMEMBERS)
    start_twitch(bare, tmp_path, "--join-limit", "off", "--login-limit", "off")
    bare.write_tokens({})
    bare.start_coordinator(args=bare.account_args, user=None, readers="anonymous", channels_per_shard=10, room_limit=None,
                            message_limit=None, message_mod_limit=None, channel_message_ms=None)  # fmt: skip
    for i in range(3):
        bare.start_node(f"n{i + 1}", args=("--account-keys", bare.keys))
    wait_until(bare.leader, 10, "a coordinator leads")
    bare.join(*ROOMS, timeout=30)
    chat = bare.subscribe(bare.topic("chat:*"))

    bare.ctl("config", "set", "speaker", "mybot")
    log_in(bare, "mybot", "--says")
    wait_until(lambda: speaks(bare), 20, "the speaker is ready")

    texts = {name: uuid.uuid4().hex for name in ROOMS[::6]}
    ids = [bare.redis.xadd(bare.key("outbox"), {"channel": name, "text": text}) for name, text in texts.items()]
    assert [bare.result(id, 30)["status"] for id in ids] == ["sent"] * 10
    for name, text in texts.items():
        wait_until(lambda n=name: chat.texts(bare.topic(f"chat:{n}")), 5, f"#{name} hears it")
        assert chat.texts(bare.topic(f"chat:{name}")) == [text]
    stats = bare.sim.control("stats channels=0")
    assert stats["users"]["mybot"]["rooms"]["most"] == 0
    assert not any(stats["violations"].values())


class Application(threading.Thread):
    """Says something in each of its channels, `rounds` times, by the outbox or by the topic, one way a channel."""

    def __init__(self, cluster, channels, by_topic, rounds):
        super().__init__()
        self.redis = cluster.redis
        self.key, self.topic = cluster.key("outbox"), cluster.topic
        self.sends = [(channel, f"{channel} {i}") for i in range(rounds) for channel in channels]
        self.by_topic, self.again, self.failure = by_topic, set(), None
        self.heard = {channel: [] for channel in channels}

    def publish(self, channel, text):
        return self.redis.publish(self.topic(f"send:{channel}"), json.dumps({"text": text, "id": text, "ttl_ms": 60000}))

    def run(self):
        try:
            for channel, text in self.sends:
                if not self.by_topic:
                    self.redis.xadd(self.key, {"channel": channel, "text": text, "id": text, "ttl_ms": 60000})
                while self.by_topic and self.publish(channel, text) == 0:
                    time.sleep(0.02)  # its sender moves to another node
                time.sleep(0.1)
        except Exception as e:  # pylint: disable=broad-except
            self.failure = e


def results_of(cluster):
    """{id: the results that were published}"""
    results = {}
    for _, payload in list(cluster.sent.messages):
        result = json.loads(payload)
        results.setdefault(result["id"], []).append(result)
    return results


def say_all(cluster, applications, mishap):
    """All applications speak at once, while things go wrong; {id: its one result}. What a node had heard on a topic
    and not entered yet ends with it: the application says it again, under the same id."""
    for application in applications:
        application.start()
    while any(application.is_alive() for application in applications):
        mishap()
    for application in applications:
        application.join()
        assert application.failure is None, application.failure
    sends = {text: application for application in applications for _, text in application.sends}
    deadline = time.monotonic() + 90
    while set(results_of(cluster)) < set(sends):
        before = len(cluster.sent.messages)
        time.sleep(5)
        assert time.monotonic() < deadline, set(sends) - set(results_of(cluster))
        if len(cluster.sent.messages) == before:
            for text in set(sends) - set(results_of(cluster)):
                assert sends[text].by_topic, f"{text} was in the outbox"
                sends[text].again.add(text)
                sends[text].publish(text.split()[0], text)
    results = results_of(cluster)
    for id, all in results.items():
        assert len(all) == 1 or id in sends[id].again, all
        assert len({result["status"] for result in all}) == 1, all
    return {id: all[0] for id, all in results.items()}


def test_a_thousand_channels_read_anonymously_and_one_speaker_while_nodes_die(bare):
    channels = [f"chan{i}" for i in range(1000)]
    speaking(bare, nodes=0, sim=("--verified", "--join-limit", "off", "--login-limit", "off"), lease_ms=1000,
             channels_per_shard=50, max_shard_count=30, speaker_shard_count=2, message_limit=7500,
             message_mod_limit=7500, channel_message_ms=1200, compare_ms=2000)  # fmt: skip
    nodes = [f"n{i + 1}" for i in range(4)]
    for name in nodes:
        bare.start_node(name, capacity=12)
    bare.join(*channels, timeout=60)
    both = ("speaker-shard-1", "speaker-shard-2")
    wait_until(lambda: all(speaks(bare, name) for name in both) and senders_are(bare, *both), 20, "both speak")
    wait_until(lambda: all(n == 1 for _, n in bare.redis.pubsub_numsub(*(bare.topic(f"send:{c}") for c in channels))),
               20, "all topics are served")  # fmt: skip

    rng = random.Random(12)
    spoken = [channels[i::40] for i in range(8)]
    applications = [Application(bare, some, i % 2 == 1, 5) for i, some in enumerate(spoken)]

    def a_node_dies():
        victim = bare.processes[rng.choice(nodes)]
        time.sleep(0.7)
        victim.kill()
        time.sleep(rng.choice((0, 1.5)))
        victim.start()

    results = say_all(bare, applications, a_node_dies)
    assert len(results) == 1000
    statuses = Counter(result["status"] for result in results.values())
    assert set(statuses) <= {"sent", "unknown"} and statuses["sent"] >= 900, statuses
    stats = bare.sim.control("stats channels=0")
    assert not any(stats["violations"].values()), stats["violations"]
    assert stats["users"][USER]["rooms"]["most"] == 0

    for application in applications:
        for channel in application.heard:
            judge(bare, channel, application, results)


def judge(cluster, channel, application, results):
    """What Twitch got in the channel: in order, once each; and what it let be said was heard once, but in gaps."""
    got = cluster.sim.control(f"received {channel}")["messages"]
    assert max(Counter(m["text"] for m in got).values()) == 1
    said = [m["text"] for m in got if m["outcome"] == "said"]
    in_order = [text for text in said if text not in application.again]
    assert in_order == sorted(in_order, key=lambda text: int(text.split()[1]))
    assert {t for t, r in results.items() if r["channel"] == channel and r["status"] == "sent"} <= set(said)
    heard = Counter(cluster.chat.texts(cluster.topic(f"chat:{channel}")))
    assert set(heard) <= set(said) and max(heard.values(), default=1) == 1
    gaps = [(e["from"], e["to"]) for e in cluster.events("gap") if e["channel"] == channel]
    missed = [m for m in got if m["outcome"] == "said" and not heard[m["text"]]]
    assert [m for m in missed if not any(a - 5 <= m["at_ms"] <= b + 5 for a, b in gaps)] == []
