"""Priorities, and texts that are said in parts."""

import pytest

from processes import wait_until
from test_sends import Senders, statuses

WORDS = " ".join(f"word{i}" for i in range(150))  # 1,039 characters: three parts


def test_what_has_a_higher_priority_is_said_first(bare):
    senders = Senders(bare, "alice", channel_message_ms=60_000)

    senders.say("alice", "first")
    wait_until(lambda: senders.results("alice"), 10, "the first is said")
    for priority in ("low", "normal", "high"):
        senders.put("alice", f"{priority} by outbox", priority=priority, ttl_ms=300_000)
        senders.say("alice", {"text": f"{priority} by topic", "priority": priority, "ttl_ms": 300_000})
    wait_until(lambda: bare.redis.hget(bare.key("queued"), "alice") == "6", 10, "all of them are there")
    bare.request("set", name="channel_message_ms", value="300")
    wait_until(lambda: len(senders.results("alice")) == 7, 15, "all are said")

    texts = [m["text"] for m in senders.received("alice")]
    ranks = [("high", "normal", "low").index(text.split()[0]) for text in texts if text != "first"]
    assert ranks == sorted(ranks), texts
    assert [result for result in senders.results("alice") if result["status"] != "sent"] == []


@pytest.mark.parametrize("way", ["topic", "outbox", "shoalctl"])
def test_a_long_text_is_said_in_parts_with_one_result(bare, way):
    senders = Senders(bare, "alice", channel_message_ms=100)

    if way == "topic":
        senders.say("alice", {"text": WORDS, "id": "long", "split": True})
    elif way == "outbox":
        senders.put("alice", WORDS, id="long", split="1")
    else:
        result = bare.ctl_json("send", "--split", "alice", WORDS)[0]
        assert (result["status"], result["parts"]) == ("sent", "3/3")
    senders.after("alice")

    (result,) = senders.results_but_last("alice")
    assert (result["status"], result["parts"]) == ("sent", "3/3")
    texts = [m["text"] for m in senders.received("alice")]
    assert len(texts) == 3 and " ".join(texts) == WORDS and all(len(text) <= 500 for text in texts)
    assert senders.received("alice")[-1]["id"] == result["message_id"]
    assert senders.heard_but_last("alice") == texts


def test_a_text_that_is_too_long_is_refused_with_split_or_without(bare):
    senders = Senders(bare, "alice")

    results = [bare.send("alice", WORDS), bare.send("alice", "x" * 2501, split="1"), bare.send("alice", "x", priority="1")]

    assert [(r["status"], r["reason"]) for r in results] == [("rejected", "bad_request")] * 3
    assert ["500 characters" in r["text"] for r in results] == [True, True, False]
    assert "priority: is high, normal or low." in results[2]["text"]
    assert senders.received("alice") == []


def test_what_is_left_of_a_text_is_said_by_another_node_or_told(bare):
    senders = Senders(bare, "alice", nodes=2, max_shard_count=1, lease_ms=1000, channel_message_ms=1500)
    serving = bare.shards()[bare.channels()["alice"]]["node"]

    id = senders.put("alice", WORDS, split="1", ttl_ms=60_000)
    wait_until(lambda: bare.redis.keys(bare.key("parts:*")), 10, "a part was said")
    bare.processes[serving].kill()
    result = bare.result(id, timeout=30)

    texts = [m["text"] for m in senders.received("alice") if m["outcome"] == "said"]
    assert len(set(texts)) == len(texts)
    if result["status"] == "sent":
        assert " ".join(texts) == WORDS and result["parts"] == "3/3"
    else:
        assert result["status"] == "unknown" and int(result["parts"][0]) in (len(texts), len(texts) - 1)
    assert len([r for r in senders.results("alice") if r["id"] == id]) == 1
