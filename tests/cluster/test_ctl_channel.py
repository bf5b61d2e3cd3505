"""shoalctl channel: all that is known of a channel, and what will happen next, at each turn of its life."""

import re

import pytest

from processes import wait_until
from shoal import USER


@pytest.fixture
def slow(bare):
    """Five joins in ten minutes, and no node yet."""
    bare.start_redis()
    bare.start_sim("--verified")
    bare.start_coordinator(join_limit=5, join_window_ms=600000)
    wait_until(bare.leader, 10, "a coordinator leads")
    return bare


def look(cluster, channel):
    [told] = cluster.ctl_json("channel", channel)
    return told


def following(cluster, channel):
    return look(cluster, channel)["next"]


def test_it_says_what_holds_a_channel_up_from_the_join_to_the_end(slow):
    assert following(slow, "#Alice") == "is not read; shoalctl join alice reads it"
    slow.ctl("join", "alice")
    assert following(slow, "alice") == "gets a shard when a node is up"
    slow.start_node("n1")
    wait_until(lambda: slow.joined("alice"), 20, "alice is joined")
    told = look(slow, "alice")
    assert told["next"] == "is read until shoalctl part alice" and told["wanted"] is True
    assert (told["node"], told["node_state"], told["shard_state"], told["user"]) == ("n1", "active", "ready", USER)
    slow.ctl("join", *[f"c{i}" for i in range(12)])
    wait_until(lambda: sum(slow.channel(f"c{i}")["state"] == "joined" for i in range(12)) == 4, 20, "five are joined")
    queued = lambda: [f"c{i}" for i in range(12) if slow.channel(f"c{i}")["state"] == "queued"]  # noqa: E731
    waits = wait_until(queued, 10, "the node has told of those that wait")[0]
    wait_until(lambda: slow.shards()[told["shard"]].get("queued") == "8", 10, "the node has told how many wait")
    # Eight at five in ten minutes.
    assert following(slow, waits) == f"is joined within about 16 min: 8 channels are to be joined as {USER}, at its pace"
    text = slow.ctl("channel", waits).stdout
    assert re.search(rf"^channel +{waits}, queued for \d+s$", text, re.MULTILINE), text
    assert re.search(rf"^shard +{told['shard']} \(ready\)$", text, re.MULTILINE), text
    slow.ctl("stop")
    wait_until(lambda: "stopped" in following(slow, waits), 10, "that it is stopped")
    slow.ctl("part", waits)
    assert following(slow, waits).startswith("is not read")


def test_a_channel_that_failed_says_why_and_when_it_is_tried_again(cluster):
    cluster.start_node("n1")
    cluster.sim.control(f"ban alice user={USER}")
    cluster.ctl("join", "alice")
    wait_until(lambda: cluster.channel("alice").get("state") == "failed", 20, "alice failed")
    told = look(cluster, "alice")
    assert re.fullmatch(r"is tried again in (59|60) min; shoalctl retry alice tries now", told["next"]), told
    assert told["reason"] == told["last_failed"]["reason"] == "msg_banned"
    cluster.redis.hset(cluster.key("channel:alice"), "reason", "\x1b[2Jgone\nnext  forged")
    text = cluster.ctl("channel", "alice").stdout
    assert "\x1b" not in text and "\nnext  forged" not in text and "reason    ?[2Jgone?next" in text
    node = cluster.processes["n1"]
    node.stop()
    wait_until(lambda: "shard" in following(cluster, "alice"), 10, "its node is gone")
    assert following(cluster, "alice").startswith("is read when a node is up")


def test_a_name_that_is_none_is_refused(cluster):
    done = cluster.ctl("channel", "no-such", check=False)
    assert (done.returncode, done.stdout) == (2, "") and '"no-such" is not a channel' in done.stderr
    assert cluster.ctl("channel", check=False).returncode == 2
