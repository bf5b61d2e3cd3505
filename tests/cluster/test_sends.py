"""What applications want said is said at most once, and each send has one result."""

import json
import signal
import time
import uuid
from collections import Counter

import pytest

from processes import wait_until


class Senders:
    """A cluster that has joined channels and serves their send topics; `sent` hears all results."""

    def __init__(self, cluster, *names, nodes=1, sim=("--verified", "--limits-off"), **settings):
        self.cluster = cluster
        self.redis = cluster.redis or cluster.start_redis().client
        cluster.start_sim("--record", cluster.directory / "record", *sim)
        cluster.start_coordinator(**settings)
        for i in range(nodes):
            cluster.start_node(f"n{i + 1}")
        wait_until(lambda: len(cluster.nodes()) == nodes, 10, f"{nodes} nodes are there")
        self.lasts = set()
        self.sent = cluster.subscribe(cluster.topic("sent:*"))
        self.chat = cluster.subscribe(cluster.topic("chat:*"))
        cluster.join(*names)
        for name in names:
            wait_until(lambda name=name: self.serving(name) == 1, 10, f"a node serves #{name}")

    def serving(self, name):
        topic = self.cluster.topic(f"send:{name}")
        return dict(self.redis.pubsub_numsub(topic))[topic]

    def say(self, name, payload):
        """On the topic; how many took it."""
        if isinstance(payload, dict):
            payload = json.dumps(payload)
        return self.redis.publish(self.cluster.topic(f"send:{name}"), payload)

    def put(self, channel, text, id=None, **fields):
        """Into the outbox; its id."""
        id = id or uuid.uuid4().hex
        self.redis.xadd(
            self.cluster.key("outbox"), {"id": id, "channel": channel, "text": text, **fields}
        )
        return id

    def results(self, channel=None):
        """Results as they were published."""
        topic = channel and self.cluster.topic(f"sent:{channel}")
        return [json.loads(p) for name, p in list(self.sent.messages) if topic in (None, name)]

    def after(self, channel):
        """When this returns, everything sent to the channel before has its result and was heard."""
        # One a way: what came by the other may be overtaken.
        topic = {"text": "last by topic", "id": uuid.uuid4().hex}
        lasts = {self.put(channel, "last by outbox"), topic["id"]}
        self.lasts |= lasts
        wait_until(lambda: self.say(channel, topic) == 1, 5, f"somebody serves #{channel}")

        def over():
            results = {r["id"] for r in self.results(channel)}
            heard = self.heard(channel)
            return lasts <= results and "last by outbox" in heard and "last by topic" in heard

        wait_until(over, 10, f"the last messages to #{channel}")

    def results_but_last(self, channel):
        """Results of the channel's sends, those of after() left out."""
        return [r for r in self.results(channel) if r["id"] not in self.lasts]

    def received(self, channel):
        """What Twitch got for the channel, the last ones of after() left out."""
        messages = self.cluster.sim.control(f"received {channel}")["messages"]
        return [m for m in messages if not m["text"].startswith("last by ")]

    def heard(self, channel):
        return self.chat.texts(self.cluster.topic(f"chat:{channel}"))

    def heard_but_last(self, channel):
        return [text for text in self.heard(channel) if not text.startswith("last by ")]


def statuses(results):
    return [result["status"] for result in results]


def test_a_publish_is_said_once_and_has_one_result(bare):
    senders = Senders(bare, "alice")

    assert senders.say("alice", "hello") == 1
    senders.after("alice")

    assert [(m["text"], m["outcome"]) for m in senders.received("alice")] == [("hello", "said")]
    assert statuses(senders.results_but_last("alice")) == ["sent"]
    assert senders.heard_but_last("alice") == ["hello"]
    assert senders.redis.xlen(bare.key("outbox")) == 0


def test_an_outbox_entry_is_said_once_and_has_one_result(bare):
    senders = Senders(bare, "alice")

    id = senders.put("#Alice", "hello", by="a test")
    result = bare.result(id)
    senders.after("alice")

    assert (result["status"], result["channel"], result["id"]) == ("sent", "alice", id)
    (message,) = senders.received("alice")
    assert (message["text"], message["id"]) == ("hello", result["message_id"])
    assert [r for r in senders.results("alice") if r["id"] == id] == [
        {**result, "at": int(result["at"])}
    ]
    assert senders.redis.ttl(bare.key(f"result:alice:{id}")) > 86000


def test_a_json_payload_may_say_more(bare):
    senders = Senders(bare, "alice")

    senders.say("alice", {"text": "one", "id": "first", "reply_to": "some-parent", "ttl_ms": 5000})
    senders.say("alice", {"text": "/me dances", "command": True, "id": "second"})
    senders.after("alice")

    received = senders.received("alice")
    assert [m["text"] for m in received] == ["one", "/me dances"]
    assert [m["reply_to"] for m in received] == ["some-parent", None]
    assert [r["id"] for r in senders.results_but_last("alice")][:2] == ["first", "second"]
    assert bare.result("first")["status"] == bare.result("second")["status"] == "sent"


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        ('{"txt":"oops"}', "text"), ('{"text":"no brace"', "text"), ('{"text":5}', "text"), ("{", "text"),
        ('{"text":"x"} y', "text"), ('{"text":"x","id":5}', "id"), ('{"text":"x","command":"true"}', "command"),
    ],
)  # fmt: skip
def test_what_begins_with_a_brace_and_is_no_send_is_refused_by_the_name_of_its_field(bare, payload, field):
    senders = Senders(bare, "alice")

    assert senders.say("alice", payload) == 1
    senders.after("alice")

    (result,) = senders.results_but_last("alice")
    assert (result["status"], result["reason"]) == ("rejected", "bad_request")
    assert result["text"].startswith(f"{field}: ")
    assert senders.received("alice") == []


def test_a_channel_nobody_joined_is_sent_to_through_the_outbox(bare):
    senders = Senders(bare, "alice")

    assert senders.say("stranger", "lost") == 0
    result = bare.send("stranger", "hello")

    assert result["status"] == "sent"
    assert [m["text"] for m in senders.received("stranger")] == ["hello"]
    wait_until(lambda: senders.results("stranger"), 5, "the result is published")
    assert statuses(senders.results("stranger")) == ["sent"]


def test_with_one_shard_the_own_message_is_heard_once_as_an_echo(bare):
    senders = Senders(bare, "alice", "bob", max_shard_count=1)

    senders.say("alice", "hello from us")
    senders.after("alice")

    lines = [p for p in senders.chat.on(bare.topic("chat:alice")) if p.endswith(b":hello from us")]
    assert len(lines) == 1
    assert b";shoal-echo=1 :shoalbot!shoalbot@shoalbot.tmi.twitch.tv PRIVMSG #alice :" in lines[0]
    assert lines[0].startswith(b"@") and b"display-name=Shoalbot" in lines[0]


@pytest.mark.parametrize("shards", [1, 2])
def test_an_action_and_a_quoted_slash_are_heard_alike_from_twitch_and_as_an_echo(bare, shards):
    senders = Senders(bare, "alice", max_shard_count=shards, initial_shard_count=shards)
    if shards > 1:
        holder = bare.channels()["alice"]
        wait_until(lambda: bare.shards()[holder].get("sender") not in (None, "", holder), 10, "another one sends")

    for id, fields in {"1": {"text": "/me dances", "command": True}, "2": {"text": "/me dances"}}.items():
        wait_until(lambda id=id, fields=fields: senders.say("alice", {"id": id, **fields}) == 1, 5, "a node takes it")
    senders.after("alice")

    assert senders.heard_but_last("alice") == ["\x01ACTION dances\x01", "\u200b/me dances"]
    assert all((b"shoal-echo=1" in line) == (shards == 1) for line in senders.chat.on(bare.topic("chat:alice")))


def test_with_several_shards_another_one_sends_and_the_holder_hears_it_once(bare):
    names = [f"room{i}" for i in range(6)]
    senders = Senders(bare, *names, nodes=2, channels_per_shard=2)
    held = bare.channels()

    def senders_settled():
        shards = bare.shards()
        return all(shards[held[name]].get("sender") not in (None, "", held[name]) for name in names)

    wait_until(senders_settled, 10, "every shard is sent for by another")
    for name in names:
        wait_until(lambda name=name: senders.say(name, f"hello {name}") == 1, 5, f"#{name} is served")
    for name in names:  # what the former sender has entered may be overtaken, but not lost
        wait_until(lambda name=name: f"hello {name}" in senders.heard(name), 20, f"it is said in #{name}")
        senders.after(name)

    bare.sim.control("flush")
    record = (bare.directory / "record").read_bytes().splitlines()
    for name in names:
        lines = [p for p in senders.chat.on(bare.topic(f"chat:{name}")) if b" :hello " in p]
        assert len(lines) == 1 and b"shoal-echo" not in lines[0]
        assert f"{name}\t".encode() + lines[0] in record
        assert [m["text"] for m in senders.received(name)] == [f"hello {name}"]


def test_twitchs_reasons_are_told(bare):
    control = {
        "banned": ["ban banned user=shoalbot"],
        "timedout": ["timeout timedout user=shoalbot s=60"],
        "subs": ["mode subs subs-only=1"],
        "emotes": ["mode emotes emote-only=1"],
        "followers": ["mode followers followers-only=10"],
    }
    senders = Senders(bare, *control, "duplicate", "fast")
    # Nobody joined it: of its slow mode Twitch's answer alone tells.
    for command in [*sum(control.values(), []), "mode slow slow=30"]:
        bare.sim.control(command)

    reasons = {name: bare.send(name, "hello") for name in control}
    bare.sim.control("limit duplicate-window=30s")
    for name, texts in (("slow", "ab"), ("duplicate", "aa")):
        assert bare.send(name, texts[0])["status"] == "sent"
        reasons[name] = bare.send(name, texts[1])
    bare.sim.control("limit channel-interval=30s")
    assert bare.send("fast", "one")["status"] == "sent"
    reasons["fast"] = bare.send("fast", "two", ttl_ms="2000")

    assert {name: (r["status"], r.get("reason")) for name, r in reasons.items()} == {
        "banned": ("rejected", "msg_banned"),
        "timedout": ("rejected", "msg_timedout"),
        "subs": ("rejected", "msg_subsonly"),
        "emotes": ("rejected", "msg_emoteonly"),
        "followers": ("rejected", "msg_followersonly"),
        "slow": ("rejected", "msg_slowmode"),
        "duplicate": ("rejected", "msg_duplicate"),
        "fast": ("rejected", "msg_ratelimit"),
    }
    assert all(r["text"] for r in reasons.values())
    assert senders.heard("banned") == []


def test_a_send_whose_time_is_over_is_never_said(bare):
    senders = Senders(bare, "alice", channel_message_ms=20_000)

    assert bare.send("alice", "one")["status"] == "sent"
    result = bare.send("alice", "late", ttl_ms="300")

    assert result["status"] == "expired"
    assert [m["text"] for m in senders.received("alice")] == ["one"]
    assert bare.status()["sends"] == {"sent": 1, "rejected": 0, "expired": 1, "unknown": 0}


@pytest.mark.parametrize("way", ["topic", "outbox"])
def test_what_cannot_be_said_is_refused_and_never_written(bare, way):
    senders = Senders(bare, "alice")
    bad = {
        "a\r\nPRIVMSG #bob :b": "CR, LF and NUL",
        "a\nb": "CR, LF and NUL",
        "a\0b": "CR, LF and NUL",
        "": "empty",
        "x" * 501: "500",
        "ü" * 501: "500",
        "x" * 5000: "500",
    }
    good = ["x" * 500, "\U0001f600" * 500, "/" + "x" * 499, "  /" + "x" * 497]

    for text in [*bad, *good]:
        if way == "topic":
            assert senders.say("alice", text) == 1
        else:
            senders.put("alice", text)
    senders.after("alice")

    results = senders.results_but_last("alice")
    for text, result in zip(bad, results):
        assert (result["status"], result["reason"]) == ("rejected", "bad_request"), text
        assert bad[text] in result["text"], text
    assert statuses(results[len(bad) :]) == ["sent"] * len(good)
    assert [m["text"].lstrip("\u200b") for m in senders.received("alice")] == good
    assert senders.received("bob") == []


def test_a_leading_slash_is_said_not_obeyed(bare):
    senders = Senders(bare, "alice")

    for text in ("/ban bob", ".ban bob", " /ban bob", "not /ban"):
        senders.say("alice", text)
    senders.after("alice")
    result = bare.send("alice", "/ban bob", command="1")
    senders.after("alice")

    texts = [m["text"] for m in senders.received("alice")]
    assert [t.replace("\u200b", "") for t in texts[:4]] == [
        "/ban bob", ".ban bob", " /ban bob", "not /ban",
    ]  # fmt: skip
    assert all(t.lstrip()[0] not in "/." for t in texts[:4])
    assert texts[4] == "/ban bob"
    assert (result["status"], result["reason"]) == ("rejected", "unrecognized_cmd")


def test_the_same_id_twice_in_a_channel_is_said_once(bare):
    senders = Senders(bare, "alice", "bob")

    for _ in range(2):
        senders.put("alice", "hello", id="same")
    senders.say("alice", {"text": "hello", "id": "same"})
    wait_until(lambda: senders.redis.xlen(bare.key("outbox")) == 0, 10, "the outbox is empty")
    senders.put("alice", "hello", id="same")
    senders.after("alice")

    assert [m["text"] for m in senders.received("alice")] == ["hello"]
    results = [r for r in senders.results() if r["id"] == "same"]
    assert len(results) == 4 and all(r == results[0] for r in results), "the same is told each time"
    assert results[0]["status"] == "sent" and isinstance(results[0]["at"], int)


def test_an_id_that_is_used_in_another_channel_is_nobody_elses(bare):
    senders = Senders(bare, "alice", "bob")

    senders.put("alice", "to alice", id="same", by="one")
    senders.put("bob", "to bob", id="same", by="other")
    for name in ("alice", "bob"):
        senders.after(name)

    for name, by in (("alice", "one"), ("bob", "other")):
        assert [m["text"] for m in senders.received(name)] == [f"to {name}"]
        result = senders.redis.hgetall(bare.key(f"result:{name}:same"))
        assert (result["status"], result["channel"], result["by"]) == ("sent", name, by)


def test_an_id_of_the_form_that_redis_gives_is_refused(bare):
    senders = Senders(bare, "alice")
    future = f"{int(time.time() * 1000) + 60_000}-0"

    senders.say("alice", {"text": "by topic", "id": future})
    entry = senders.redis.xadd(bare.key("outbox"), {"channel": "alice", "text": "by outbox", "id": future})
    senders.after("alice")

    results = senders.results_but_last("alice")
    assert {(r["status"], r["reason"]) for r in results} == {("rejected", "bad_request")}
    assert all(r["text"].startswith("id: ") and future in r["text"] for r in results)
    assert entry in {r["id"] for r in results} and len(results) == 2
    assert senders.redis.hget(bare.key(f"result:alice:{entry}"), "status") == "rejected"
    assert senders.received("alice") == []


def test_one_node_at_a_time_listens_and_a_watching_application_takes_nothing_away(bare):
    senders = Senders(bare, "alice", nodes=2, max_shard_count=1, lease_ms=1000)
    topic = bare.topic("send:alice")
    watcher = bare.subscribe(topic)
    serving = bare.shards()[bare.channels()["alice"]]["node"]

    assert senders.say("alice", "heard by both") == 2
    bare.processes[serving].expected_to_end = True
    bare.processes[serving].signal(signal.SIGTERM)
    wait_until(lambda: bare.shards()[bare.channels()["alice"]]["node"] != serving, 10, "the other holds it")
    wait_until(lambda: senders.serving("alice") == 2, 10, "the other listens, though somebody watches")
    assert senders.say("alice", "still heard") == 2
    wait_until(lambda: len(senders.results("alice")) == 2, 15, "each has its result")

    assert statuses(senders.results("alice")) == ["sent", "sent"]
    assert [m["text"] for m in senders.received("alice")] == ["heard by both", "still heard"]
    assert len(watcher.messages) == 2


def test_a_flood_of_sends_keeps_twitchs_limits_and_each_has_one_result(bare):
    names = [f"room{i}" for i in range(25)]
    senders = Senders(
        bare, *names, nodes=2, channels_per_shard=5,
        sim=["--join-limit", "off", "--login-limit", "off", "--room-limit", "off", "--duplicate-window", "off",
             "--message-limit", "250", "--message-limit-moderator", "300", "--message-window", "2s",
             "--channel-interval", "20ms"],
        message_limit=250, message_mod_limit=300, message_window_ms=2600, channel_message_ms=200,
    )  # fmt: skip

    ids = {f"send-{i}": names[i % 25] for i in range(1000)}
    for i, (id, name) in enumerate(ids.items()):
        if i % 2:
            senders.put(name, f"text {id}", id=id, ttl_ms=60_000)
        else:
            while senders.say(name, {"text": f"text {id}", "id": id, "ttl_ms": 60_000}) == 0:
                pass  # its sender is being chosen anew: nobody took it
    wait_until(lambda: len(senders.results()) >= 1000, 40, "1,000 results")
    for name in names:
        senders.after(name)

    results = [r for r in senders.results() if r["id"] in ids]
    assert Counter(r["id"] for r in results) == Counter(ids.keys())
    assert [r for r in results if r["status"] != "sent"] == []
    said = Counter(m["text"] for name in names for m in senders.received(name) if m["outcome"] == "said")
    assert said == Counter(f"text {id}" for id in ids)
    stats = bare.sim.control("stats channels=0")
    assert not any(stats["violations"].values()), stats["violations"]
    assert 100 < stats["users"]["shoalbot"]["messages"]["most"] <= 250


def test_where_the_account_is_vip_or_moderator_it_keeps_no_pace_also_without_having_joined(bare):
    senders = Senders(bare, "alice", sim=("--duplicate-window", "off"), channel_message_ms=60_000)
    bare.sim.control("user shoalbot token=simtoken vip=vips mod=mods")
    for channel in ("vips", "mods"):
        first, second = (senders.put(channel, f"{channel} {i}") for i in range(2))
        # The first is said as anybody would say it; the answer to it tells how the account stands there.
        assert [bare.result(first)["status"], bare.result(second)["status"]] == ["sent", "sent"]
        assert senders.redis.hget(bare.key("standing:shoalbot"), channel) == channel[:-1].replace("mod", "moderator")
    late = [senders.put("alice", "one"), senders.put("alice", "two", ttl_ms=2000)]
    assert [bare.result(id)["status"] for id in late] == ["sent", "expired"]
    assert not any(bare.sim.control("stats channels=0")["violations"].values())


def test_a_node_killed_with_claimed_sends_says_none_twice(bare):
    names = [f"room{i}" for i in range(10)]
    senders = Senders(bare, *names, nodes=2, channels_per_shard=2)
    bare.sim.control("lag all ms=400")  # sends wait for their answers
    ids = {f"send-{i}": names[i % 10] for i in range(60)}
    for id, name in ids.items():
        senders.put(name, f"text {id}", id=id, ttl_ms=60_000)

    def busiest():
        claims = {node: senders.redis.hlen(bare.key(f"node:{node}:claims")) for node in ("n1", "n2")}
        node = max(claims, key=claims.get)
        return node if claims[node] >= 3 and senders.results() else None

    victim = wait_until(busiest, 10, "a node has claimed some")
    bare.processes[victim].kill()
    bare.sim.control("lag all ms=0")
    wait_until(lambda: len({r["id"] for r in senders.results()}) == len(ids), 30, "a result for each")
    wait_until(lambda: senders.redis.xlen(bare.key("outbox")) == 0, 10, "the outbox is empty")

    results = {r["id"]: r for r in senders.results()}
    assert Counter(r["id"] for r in senders.results()) == Counter(ids.keys())
    said = Counter(m["text"] for name in names for m in senders.received(name))
    assert set(said.values()) == {1}
    for id, result in results.items():
        assert result["status"] in ("sent", "unknown")
        assert result["status"] == "unknown" or said[f"text {id}"] == 1, result
    assert "unknown" in statuses(results.values())
