"""What anybody may put into Redis, in streams, on topics and at keys, is answered, passed over or survived."""

import json
import re
import time
import uuid

from processes import wait_until


def busy(cluster, chat, *names):
    """All processes run, and all kinds of work are done."""
    cluster.chat_flows(chat, *names)
    result = cluster.send(names[0], f"work goes on {uuid.uuid4()}")  # Twitch says no text twice
    assert result["status"] == "sent", result
    assert cluster.request("join", channels=names[0])["ok"]
    assert all(p.is_running() for p in cluster.processes.values())


def test_junk_in_the_streams_and_on_topics_is_answered_or_passed_over(cluster):
    cluster.sim.control("limit all=off")
    cluster.start_node("n1")
    cluster.join("alice")
    chat = cluster.subscribe("shoal:main:chat:*")
    redis, key = cluster.redis, cluster.key
    big = "x" * 300000
    requests = [
        {"junk": "1"},
        {"op": "", "id": ""},
        {"op": "explode", "id": "r1"},
        {"op": "join", "id": "r2"},
        {"op": "join", "id": "r3", "channels": "not-one \x00\xff, \n;"},
        {"op": "join", "id": "i" * 5000, "channels": "alice"},
        {"op": "join", "id": "r4", "channels": " ".join(f"c{i}" for i in range(3000))},
        {"op": "part", "id": "r5", "channels": big},
        {"op": big, "id": "r6"},
        {"op": "set", "id": "r7", "name": "lease_ms", "value": "soon"},
        {"op": "set", "id": "r8", "name": big, "value": big},
        {b"\xff\xfe": b"\x00\x01"},
    ]
    entries = [redis.xadd(key("requests"), r) for r in requests]
    wait_until(lambda: redis.xlen(key("requests")) == 0, 10, "all requests are answered")
    for entry, request in zip(entries, requests):
        id = request.get("id") or entry
        reply = redis.get(key(f"reply:{id if len(id) <= 128 else entry}"))
        assert reply and '"ok":false' in reply, (str(request)[:80], reply)
    sends = [
        {"junk": "1"},
        {"channel": "not-one", "text": "x", "id": "s1"},
        {"channel": "alice", "id": "s2"},
        {"channel": "alice", "text": "a\r\nQUIT", "id": "s3"},
        {"channel": "alice", "text": "nul\x00nul", "id": "s4"},
        {"channel": "alice", "text": big, "id": "s5"},
        {"channel": "alice", "text": "x", "ttl_ms": "soon", "id": "s6"},
        {"channel": "alice", "text": "x", "user": "mallory", "id": "s7"},
        {"channel": b"\xff\xfe", "text": b"\xff\xfe", "id": "s8"},
    ]
    for send in sends:
        redis.xadd(key("outbox"), send)
    for id in (f"s{i}" for i in range(1, 9)):
        assert cluster.result(id)["status"] == "rejected", id
    wait_until(lambda: redis.xlen(key("outbox")) == 0, 10, "all sends have their result")
    topic = cluster.topic("send:alice")
    wait_until(lambda: redis.publish(topic, b"") >= 1, 10, "the topic is served")
    for payload in (b"\xff\xfe\x00", b"{", b"{}", b'{"text":1}', b'{"text":"x","ttl_ms":{}}', b"\r\n",
                    b"[" * 100000, big.encode(), b'{"text":"' + b"\\u0000" * 10 + b'"}'):
        redis.publish(topic, payload)
    for inside in ("node:n1", "replies", "events", "sent:alice", "chat:alice"):
        for payload in (b"", b"\xff\x00", big.encode()):
            redis.publish(cluster.topic(inside), payload)
    busy(cluster, chat, "alice")
    said = cluster.sim.control.received("alice")
    assert not any("QUIT" in text or "nul" in text for text in said), said


def test_what_is_published_is_json_whatever_bytes_were_given(cluster):
    cluster.start_node("n1")
    cluster.join("alice")
    topic = cluster.topic("sent:alice")
    told = cluster.subscribe(topic, cluster.topic("replies"), cluster.topic("events"))
    request = {"op": "join", "id": b"caf\xe9", "channels": b"\xe9", "by": b"\xff"}
    entry = cluster.redis.xadd(cluster.key("requests"), request)
    assert "UTF-8" in cluster.answer(entry)["error"]
    assert not cluster.request(b"\xff", channels="alice")["ok"]
    for fields in (
        {"id": b"caf\xe9", "text": "x"},
        {"text": b"caf\xe9", "by": b"\xff"},
        {"text": "x", "user": b"\xff"},
    ):
        entry = cluster.redis.xadd(cluster.key("outbox"), {"channel": "alice", **fields})
        assert cluster.result(entry)["status"] == "rejected", fields
    bell = cluster.topic("send:alice")
    wait_until(lambda: cluster.redis.publish(bell, b"caf\xe9") >= 1, 10, "the topic is served")
    cluster.redis.publish(bell, b'{"text":"caf\xe9","id":"by-topic"}')
    cluster.redis.publish(bell, b'{"text":"x","id":"caf\xe9"}')
    wait_until(lambda: len(told.on(topic)) == 6, 10, "each send has its result")
    assert cluster.result("by-topic")["text"] == "text: is not UTF-8."
    assert all(json.loads(payload.decode())["status"] == "rejected" for payload in told.on(topic))
    for _, payload in told.messages:
        json.loads(payload.decode())
    assert not cluster.sim.control.received("alice")


def test_keys_of_the_wrong_type_are_survived_until_they_are_mended(bare):
    bare.start_redis()
    bare.start_sim("--verified", "--limits-off")
    bare.start_coordinator(lease_ms=1000)
    bare.start_node("n1")
    bare.join("alice")
    chat = bare.subscribe("shoal:main:chat:*")
    busy(bare, chat, "alice")
    shard = bare.channels()["alice"]
    for rest in ("outbox", "requests", "log", "leader", "nodes", "node:n1", "config", "clock", "channels",
                 f"shard:{shard}", f"shard:{shard}:channels", "load", "node:n1:shards", "claims"):
        logs = {p: len(p.text().splitlines()) for p in bare.processes.values()}
        name = bare.key(rest)
        existed = bare.redis.exists(name)
        with bare.redis.pipeline() as change:
            if existed:
                change.rename(name, "kept")
            change.set(name, "junk")
            change.execute()
        began = time.monotonic()
        wait_until(lambda began=began: time.monotonic() > began + 1.1, 10, "it is in the way for a lease")
        with bare.redis.pipeline() as change:
            change.delete(name)
            if existed:
                change.rename("kept", name)
            change.execute()
        busy(bare, chat, "alice")
        for process, lines in logs.items():
            new = process.text().splitlines()[lines:]
            loud = [line for line in new if re.search(r" (warn|error) ", line)]
            assert len(loud) <= 6, f"{rest}: {process.name} says it too often:\n" + "\n".join(loud)
