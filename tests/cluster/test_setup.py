"""Setting a cluster up while something is away: what passes by itself is waited for."""

import itertools

import pytest

from fake_node import FakeNode
from probe import probes  # noqa: F401  pylint: disable=unused-import
from processes import wait_until
from shoal import USER


def lease_is_over(cluster, node):
    """Has the node not renewed in time?"""
    seconds, us = cluster.redis.time()
    return (cluster.redis.zscore(cluster.key("nodes"), node) or 0) <= seconds * 1000 + us // 1000


@pytest.mark.parametrize("asked", ["token", "add_shard", "shard_add_channels"])
def test_a_node_that_is_silent_while_the_cluster_is_set_up_ends_nobody(probes, bare, asked):
    bare.start_redis()
    probe = probes.start(setup="never", lease_ms=800).connect()
    wait_until(bare.leader, 10, "c1 leads")
    node = FakeNode(bare, "n1", users=USER)
    call = probe.wait_for_call("setup")
    if asked == "shard_add_channels":
        probe.done("add_shard", "one", None)
    node.die()
    wait_until(lambda: lease_is_over(bare, "n1"), 10, "it is silent")
    questions = {
        "token": lambda i: ("token", USER),
        "add_shard": lambda i: ("add_shard", f"shard{i}", None),
        "shard_add_channels": lambda i: ("shard_add_channels", "one", f"room{i}"),
    }
    numbers = itertools.count()
    why = wait_until(lambda: probe(*questions[asked](next(numbers)))["error"], 10, "something is refused")
    probe.complete(call, f"fail:{why}")
    process = bare.processes["c1"]
    wait_until(lambda: not process.is_running() or "setup.again" in process.text(), 10, "it goes on, or not")
    assert process.is_running(), why
    assert bare.errors() == [] and not bare.is_set_up()

    probe.script("setup", "add:one")
    back = FakeNode(bare, "n2", users=USER)
    wait_until(bare.is_set_up, 20, "it is called again, and sets the cluster up")
    back.die()
    assert process.text().count("setup.again") == 1 and "user.unknown" not in process.text()
    assert sorted(bare.shards()) == ["one"]


def test_a_setup_that_needs_a_user_nobody_has_a_token_for_waits_for_one_and_says_so_once(probes, bare):
    bare.start_redis()
    probe = probes.start(setup="never").connect()
    wait_until(bare.leader, 10, "c1 leads")
    node = FakeNode(bare, "n1", users=USER)
    process = bare.processes["c1"]
    for i in range(2):
        call = probe.wait_for_call("setup", count=i + 1)
        probe.complete(call, f"fail:{probe.refused('add_shard', 'one', 'stranger')}")

    probe.wait_for_call("setup", count=3)
    again = [line for line in process.text().splitlines() if "setup.again" in line]
    assert process.is_running() and len(again) == 1 and "No node has a token for user stranger." in again[0]
    node.die()
