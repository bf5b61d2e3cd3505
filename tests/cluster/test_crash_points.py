"""Coordinators that die between two commands: requests, setup and dead nodes are dealt with once all the same."""

import json
import time

import pytest

from crash_points import Crashes, registry_is_exact
from fake_node import FakeNode
from proxy import Proxy, Trap
from processes import wait_until


@pytest.mark.limit(120)
def test_each_request_is_answered_once_at_whatever_point_the_leader_dies(bare):
    bare.start_redis()
    bare.start_sim("--verified", "--limits-off")
    crashes = Crashes(bare, joins=500, lease_ms=1000)
    try:
        crashes.run()
    finally:
        crashes.close()


# What a leader does until its cluster is set up.
SETUP = ("function load", "create", "set user", "add_shard", "assign", "setup_done")


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", SETUP)
def test_setup_is_finished_once_at_whatever_point_the_leader_dies(bare, step, when):
    bare.start_redis()
    proxy = Proxy(bare.redis_process.port)
    proxy.trap = trap = Trap(step, when)
    args = ["--initial-channels", "a,b,c"]
    given = {"lease_ms": 500, "initial_shard_count": 2, "user": None}
    begun = bare.start_coordinator("c1", ["--id", "c1", *args], {"SHOAL_REDIS_URL": proxy.url}, **given)
    proxy.program = begun
    if step != "function load":
        wait_until(lambda: bare.redis.function_list(), 10, "the library is there")
    else:
        assert trap.sprung.wait(10)
        bare.start_coordinator("c2", ["--id", "c2", *args], **given)
        wait_until(lambda: bare.redis.function_list(), 10, "the library is there")
    node = FakeNode(bare, "n1", users="bob")
    try:
        assert trap.sprung.wait(10), f"the leader never came to {step}: {sorted(set(proxy.seen))}"
        if "c2" not in bare.processes:
            bare.start_coordinator("c2", ["--id", "c2", *args], **given)
        wait_until(lambda: bare.leader() == "c2", 10, "c2 leads")
        wait_until(bare.is_set_up, 10, "the cluster is set up")
        begun.start()
        wait_until(lambda: "leader.standby" in begun.text(), 10, "c1 is back")
        bare.redis.xadd(bare.key("requests"), {"id": "after", "op": "join", "channels": "d"})
        assert bare.answer("after")["assigned"]["d"]
        assert sorted(bare.shards()) == ["initial-shard-1", "initial-shard-2"]
        assert sorted(bare.channels()) == ["a", "b", "c", "d"] and all(bare.channels().values())
        assert len(bare.events("cluster.setup")) == 1
        assert len(bare.events("shard.added")) == 2
        registry_is_exact(bare)
    finally:
        node.die()
        proxy.close()


def test_a_leader_whose_link_is_cut_is_followed_and_what_it_had_written_is_refused(bare):
    bare.start_redis()
    proxy = Proxy(bare.redis_process.port)
    given = {"lease_ms": 800, "user": "bob"}
    cut = bare.start_coordinator("c1", ["--id", "c1"], {"SHOAL_REDIS_URL": proxy.url}, **given)
    wait_until(lambda: bare.leader() == "c1", 10, "c1 leads")
    bare.start_coordinator("c2", ["--id", "c2"], **given)
    node = FakeNode(bare, "n1", users="bob")
    try:
        wait_until(bare.is_set_up, 10, "the cluster is set up")
        replies = bare.subscribe(bare.topic("replies"))
        epoch = bare.redis.hget(bare.key("leader"), "token")
        proxy.cut(at="assign")
        for i in range(20):  # it reads them, and the steps for them lie in its socket
            bare.redis.xadd(bare.key("requests"), {"id": f"r{i}", "op": "join", "channels": f"room{i}"})
        wait_until(proxy.is_cut, 10, "c1 wrote the first of them")
        began = time.monotonic()
        wait_until(lambda: bare.leader() == "c2", 10, "c2 leads")
        assert time.monotonic() - began < 0.8 + 1.5
        wait_until(lambda: "leader.deposed" in cut.text(), 10, "c1 knows by itself that it leads no more")
        for i in range(20):
            assert bare.answer(f"r{i}")["ok"]
        proxy.seen.clear()
        proxy.heal()
        wait_until(lambda: "assign" in proxy.seen, 10, "Redis gets the steps of a leader that was")
        wait_until(lambda: "leader.standby" in cut.text().split("leader.deposed")[-1], 10, "c1 stands by")
        assert bare.leader() == "c2"
        assert int(bare.redis.hget(bare.key("leader"), "token")) == int(epoch) + 1
        ids = [json.loads(text)["id"] for text in replies.on(bare.topic("replies"))]
        assert sorted(ids) == sorted(f"r{i}" for i in range(20)), "one reply each"
        registry_is_exact(bare, 20, 10)
    finally:
        node.die()
        proxy.close()
