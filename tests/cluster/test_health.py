"""Placement by health: what a node that is not well keeps, what is taken from it, and what is said of it."""

import time

import pytest

from chat import PATIENT_REDIS, finish
from proxy import Proxy
from shoal import wait_until
from test_restart import begin, gaps, lines_of, placed

NAMES = ("alice", "bob", "carol", "dave")
LEASE = 1000  # ms


# Redis out of reach -------------------------------------------------------------------------------------


@pytest.fixture
def proxy(bare):
    bare.start_redis(*PATIENT_REDIS)
    proxy = Proxy(bare.redis_process.port)
    yield proxy
    proxy.close()


def test_nodes_that_are_cut_off_from_redis_together_keep_their_shards_and_what_they_read(bare, proxy):
    record = bare.directory / "said"
    env = {"SHOAL_REDIS_URL": proxy.url}
    bare.start_sim("--verified", "--record", record)
    bare.start_coordinator(channels_per_shard=2, lease_ms=LEASE)
    for name in ("n1", "n2"):
        bare.start_node(name, env=env)
    wait_until(lambda: len(bare.nodes()) == 2, 10, "nodes are there")
    bare.join(*NAMES)
    chat = bare.subscribe(bare.topic("chat:*"))
    was = placed(bare)
    bare.sim.control("generate rate=200 count=1200 only=privmsg")
    wait_until(lambda: len(chat.messages) > 100, 10, "lines flow")
    proxy.cut()
    wait_until(lambda: len(bare.events("node.silent")) == 2, 10, "both are missed")
    bare.sim.control("wait generate ms=10000")  # some leases later
    proxy.heal()
    assert finish(bare, chat, NAMES, record) > 1200
    assert placed(bare) == was
    assert not bare.events("node.lost") and not bare.events("node.expired") and not bare.events("gap")


def test_a_node_that_is_silent_is_shown_so(bare):
    begin(bare, nodes=("n1",), names=("alice",), lease_ms=LEASE)
    bare.processes["n1"].kill()
    wait_until(lambda: bare.events("node.silent"), 10, "it is missed")
    (node,) = bare.ctl_json("nodes")
    assert (node["node"], node["state"]) == ("n1", "silent")
    assert any("node n1" in text for text in bare.ctl_json("status")[0]["warnings"])


# Leaving ------------------------------------------------------------------------------------------------


def test_the_gap_of_an_orderly_leave_begins_with_the_last_line_read(bare):
    chat = begin(bare, names=NAMES, lease_ms=3000)
    was = placed(bare)
    bare.sim.control("generate rate=400 count=8000 only=privmsg")
    wait_until(lambda: sum(map(len, lines_of(chat).values())) > 800, 10, "lines flow")
    moved = {c for c, shard in bare.channels().items() if was[shard][0] == "n1"}
    asked_at = time.time() * 1000
    assert bare.processes["n1"].stop() == 0
    wait_until(lambda: set(gaps(bare)) == moved, 10, "what was missed is told")
    bare.sim.control("stop")
    for gap in gaps(bare).values():
        assert asked_at - 50 < gap["from"] < gap["to"], "nothing that was read is told as missing"
