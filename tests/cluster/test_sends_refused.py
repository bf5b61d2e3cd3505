"""What Twitch refuses for now waits, and an account of which it says nothing stays silent."""

import time

from processes import wait_until
from test_sends import Senders, statuses


def test_what_twitch_refuses_for_now_is_said_when_it_may_be_in_its_order(bare):
    senders = Senders(bare, "alice", "bob", channel_message_ms=200)
    bare.sim.control("timeout alice user=shoalbot s=2")
    bare.sim.control("limit channel-interval=800ms")

    ids = [senders.put(name, text) for name, text in (("alice", "1"), ("alice", "2"), ("bob", "a"), ("bob", "b"))]
    results = [bare.result(id) for id in ids]
    for name in ("alice", "bob"):
        senders.after(name)

    assert statuses(results) == ["sent"] * 4
    outcomes = {name: [(m["text"], m["outcome"]) for m in senders.received(name)] for name in ("alice", "bob")}
    assert outcomes["alice"][0] == ("1", "msg_timedout")
    assert ("b", "msg_ratelimit") in outcomes["bob"]
    for name, texts in (("alice", ["1", "2"]), ("bob", ["a", "b"])):
        assert [text for text, outcome in outcomes[name] if outcome == "said"] == texts
        assert senders.heard_but_last(name) == texts
    assert len(senders.results_but_last("alice")) == len(senders.results_but_last("bob")) == 2


def test_a_room_in_slow_mode_is_kept_to_its_pace_where_the_account_is_no_moderator(bare):
    senders = Senders(bare, "alice", "bob", channel_message_ms=100, sim=("--limits-off",))
    bare.sim.control("user shoalbot token=simtoken mod=bob")
    for name in ("alice", "bob"):
        bare.sim.control(f"mode {name} slow=2")
    senders.after("bob")  # Twitch says with a message that the account is moderator
    wait_until(lambda: bare.redis.hget(bare.key("channel:bob"), "moderator") == "1", 10, "it is known")
    wait_until(lambda: bare.redis.hget(bare.key("channel:alice"), "room") == "slow=2", 10, "the modes are known")

    began = time.monotonic()
    results = [bare.result(senders.put(name, text)) for name in ("bob", "alice") for text in "abc"]
    seconds = time.monotonic() - began

    assert statuses(results) == ["sent"] * 6
    assert {m["outcome"] for m in senders.received("alice")} == {"said"}
    assert 4.8 < seconds < 9
    bare.sim.control("mode alice slow=0")
    wait_until(lambda: bare.redis.hget(bare.key("channel:alice"), "room") == "-", 10, "it is off")
    began = time.monotonic()
    assert statuses([bare.send("alice", text) for text in "def"])[1:] == ["sent"] * 2
    assert time.monotonic() - began < 4


def test_an_account_that_twitch_has_muted_says_nothing_until_it_is_over(bare):
    senders = Senders(bare, "alice", "bob", channel_message_ms=100, muted_ms=3000)
    bare.sim.control("silence user=shoalbot s=3 told")

    ids = [senders.put(name, f"{i}", ttl_ms=60_000) for i in range(3) for name in ("alice", "bob")]
    short = senders.put("alice", "short", ttl_ms=2500)
    muted = wait_until(lambda: [e for e in bare.events() if e["event"] == "account.muted"], 10, "it is muted")
    tried = len(senders.received("alice") + senders.received("bob"))
    (status,) = bare.ctl_json("status")
    late = bare.send("bob", "late", ttl_ms="500")

    assert len(muted) == 1 and muted[0]["account"] == "shoalbot" and 2900 < muted[0]["until"] - muted[0]["at"] <= 3000
    assert [m["account"] for m in status["muted"]] == ["shoalbot"]
    assert [p["account"] for p in status["problems"] if p["problem"] == "account_muted"] == ["shoalbot"]
    for result in (late, bare.result(short)):
        assert (result["status"], result["reason"]) == ("rejected", "muted")
        assert " UTC" in result["text"]
    assert statuses([bare.result(id) for id in ids]) == ["sent"] * 6
    for name in ("alice", "bob"):
        said = [m for m in senders.received(name) if m["outcome"] == "said"]
        assert [m["text"] for m in said] == ["0", "1", "2"]
        assert all(m["at_ms"] >= muted[0]["until"] for m in said)
    refused = [m for name in ("alice", "bob") for m in senders.received(name) if m["outcome"] == "msg_ratelimit"]
    assert len(refused) == tried and 5 <= tried <= 6
    assert [e["account"] for e in bare.events() if e["event"] == "account.unmuted"] == ["shoalbot"]
    assert bare.ctl_json("status")[0]["muted"] == []
