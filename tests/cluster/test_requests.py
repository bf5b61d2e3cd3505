"""What one application asks for does not hold up what another asks for, and neither can do the other's harm."""

import json
import threading
import time
import uuid

import pytest
import redis

from processes import wait_until
from shoal import stream_of


@pytest.fixture
def led(bare):
    """A leader and a node, set up."""
    bare.start_redis()
    bare.start_sim("--verified", "--limits-off")
    bare.start_coordinator("c1", max_shard_count="none")
    bare.start_node("n1")
    wait_until(bare.is_set_up, 15, "the cluster is set up")
    return bare


def add(cluster, op, **fields):
    return cluster.redis.xadd(cluster.key(stream_of(op)), {"op": op, **fields})


def pid_kept(cluster, name="c1"):
    """Nobody led but this one, since it began."""
    return cluster.processes[name].text().count("leader.elected") == 1


def test_requests_as_large_as_redis_takes_are_refused_and_hold_up_nobody(led):
    big = "x" * 30_000_000
    entries = []

    def flood():
        mine = redis.Redis.from_url(led.redis_url, decode_responses=True)
        for field in ("channels", "value", "id", "junk"):
            fields = {"op": "join", "by": "mallory", "channels": "a"}
            entries.append(mine.xadd(led.key("requests"), {**fields, field: big}))
        mine.close()

    thread = threading.Thread(target=flood)
    thread.start()
    while thread.is_alive():
        began = time.monotonic()
        assert led.request("join", channels="alice", timeout=5)["ok"]
        assert time.monotonic() - began < 2.5
    thread.join()

    for entry in entries:
        assert led.answer(entry)["error"].startswith("A request has at most 65536 bytes; this one has 3000")
    assert "a" not in led.channels()
    assert led.redis.xlen(led.key("requests")) == 0
    assert pid_kept(led)
    process = led.processes["c1"]
    peak = int(next(line for line in open(f"/proc/{process.pid}/status") if "VmHWM" in line).split()[1])
    assert peak < 300_000  # KiB, of which the sanitizers have most


def test_one_who_asks_for_much_waits_for_itself_and_is_told_its_bound(led):
    led.request("set", name="request_limit_bytes", value=str(1 << 20))
    names = ",".join(f"no!channel{i}" for i in range(1000))
    pipe = led.redis.pipeline(transaction=False)
    for i in range(600):
        pipe.xadd(led.key("requests"), {"id": f"bad{i}", "op": "join", "by": "mallory", "channels": names})
    flood = threading.Thread(target=pipe.execute)
    flood.start()
    asked = 0
    while flood.is_alive() or led.redis.xlen(led.key("requests")) > 0:
        began = time.monotonic()
        id = uuid.uuid4().hex
        led.redis.xadd(led.key("requests"), {"id": id, "op": "join", "by": "good", "channels": f"alice{asked % 50}"})
        assert led.answer(id, timeout=5)["ok"]
        assert time.monotonic() - began < 2.5
        asked += 1
    flood.join()

    replies = [json.loads(led.redis.get(led.key(f"reply:bad{i}"))) for i in range(600)]
    told = [reply["error"] for reply in replies if "error" in reply]
    assert set(told) == {'Too much asked for by "mallory" waits already. (request_limit_bytes is 1048576)'}
    listed = [reply for reply in replies if "error" not in reply]
    assert listed and all(len(reply["refused"]) == 100 for reply in listed)
    assert {reply["refused_more"] for reply in listed} == {900}
    assert max(led.redis.ttl(led.key(f"reply:bad{i}")) for i in range(600)) <= 300
    assert asked and pid_kept(led)


def test_a_stop_is_carried_out_while_requests_of_the_same_name_wait(led):
    names = ",".join(f"no!channel{i}" for i in range(1000))
    for i in range(200):
        add(led, "join", by="me", channels=names)
    entry = add(led, "set", by="me", name="max_shard_count", value="7")
    began = time.monotonic()
    assert led.answer("admin:" + entry)["ok"]
    assert time.monotonic() - began < 1.5


def test_requests_of_one_asker_are_carried_out_in_order(led):
    last = None
    for i in range(30):
        add(led, "join", by="me", channels="alice")
        last = add(led, "part", by="me", channels="alice")
    assert led.answer(last)["parted"] == ["alice"]
    assert "alice" not in led.channels()


def test_administration_in_the_stream_of_requests_changes_nothing(led):
    for op, fields in (("set", {"name": "lease_ms", "value": "300"}), ("stop", {}), ("unset", {"name": "user"})):
        entry = led.redis.xadd(led.key("requests"), {"op": op, **fields})
        assert f"add it to the stream {led.key('admin')}" in led.answer(entry)["error"]
    assert led.redis.hget(led.key("config"), "lease_ms") == "2000"
    assert led.redis.hget(led.key("config"), "stopped") is None


def test_an_id_used_twice_for_different_things_is_refused_and_the_same_thing_is_done_once(led):
    first = led.redis.xadd(led.key("requests"), {"id": "join-1", "op": "join", "channels": "alice"})
    assert led.answer("join-1")["ok"]
    other = led.redis.xadd(led.key("requests"), {"id": "join-1", "op": "join", "channels": "bob"})
    assert "Another request had the id" in led.answer(other)["error"]
    again = led.redis.xadd(led.key("requests"), {"id": "join-1", "op": "join", "channels": "alice"})
    wait_until(lambda: led.redis.xlen(led.key("requests")) == 0, 5, "all are answered")
    assert led.redis.mget([led.key(f"reply:{entry}") for entry in (first, again)]) == [None, None]
    assert "bob" not in led.channels()
    # Nobody answers for an entry that is still to come.
    taken = led.redis.xadd(led.key("requests"), {"id": "99999999999999-0", "op": "join", "channels": "bob"})
    assert "is that of an entry" in led.answer(taken)["error"]
    assert led.redis.get(led.key("reply:99999999999999-0")) is None


def test_a_failed_channel_is_tried_again_by_name_and_by_a_join(led):
    led.sim.control("ban carol user=shoalbot")
    led.request("join", channels="carol alice")
    wait_until(lambda: led.channel("carol")["state"] == "failed", 15, "carol has failed")
    led.sim.control("ban carol user=shoalbot off")

    done = led.ctl("retry", "carol", "alice", check=False)

    assert "carol" in done.stdout and "retried" in done.stdout
    assert done.returncode == 1 and "alice: The channel has not failed." in done.stderr
    wait_until(lambda: led.joined("carol", "alice"), 10, "carol is joined")


def test_another_wait_of_failed_channels_counts_at_once(led):
    led.sim.control("ban carol user=shoalbot")
    led.request("join", channels="carol")
    wait_until(lambda: led.channel("carol")["state"] == "failed", 15, "carol has failed")
    led.sim.control("ban carol user=shoalbot off")
    led.ctl("config", "set", "failed_retry_ms", "1000")
    wait_until(lambda: led.joined("carol"), 10, "carol is joined")
