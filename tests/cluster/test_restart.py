"""Whatever dies, stands still or is stopped: the cluster comes back to the same picture by itself.

Leases are 1 s where a test waits for one to end, and 10 s or more where nothing may wait for it.
"""

import re
import time

import pytest

from processes import wait_until
from shoal import REMEMBERS

SHORT = 1000  # ms of a lease that is waited for
LONG = 20000  # ms of a lease that must not be waited for
NAMES = ("alice", "bob", "carol", "dave", "erin")


def picture(cluster):
    """What must be the same after a restart: which channel is wanted, which shard holds it."""
    return cluster.channels(), sorted(cluster.shards())


def placed(cluster):
    """Shard -> (node, epoch)."""
    return {name: (shard["node"], int(shard["epoch"])) for name, shard in cluster.shards().items()}


def begin(cluster, nodes=("n1", "n2"), coordinators=("c1",), names=NAMES, **settings):
    """A cluster with its channels joined, two on each shard, and a subscriber of chat and events."""
    if cluster.redis_process is None:
        cluster.start_redis()
    cluster.start_sim("--verified")
    settings = {"channels_per_shard": 2, **settings}
    for name in coordinators:
        cluster.start_coordinator(name, ["--id", name], **settings)
        wait_until(cluster.leader, 10, "a coordinator leads")
    for name in nodes:
        cluster.start_node(name)
        wait_until(lambda name=name: name in cluster.nodes(), 10, f"{name} is registered")
    cluster.join(*names)
    wait_until(lambda: cluster.redis.hget(cluster.key("config"), "setup") == "done", 10, "setup is done")
    wait_until(lambda: all(s["state"] == "ready" for s in cluster.shards().values()), 10, "shards ready")
    chat = cluster.subscribe(cluster.topic("chat:*"), cluster.topic("events"))
    cluster.chat_flows(chat, *names)
    return chat


def leader_and_standby(cluster):
    """The processes, by who leads now."""
    leader = cluster.leader()
    standby = next(n for n in cluster.processes if n.startswith("c") and n != leader)
    return cluster.processes[leader], cluster.processes[standby]


def lines_of(chat):
    """Ids of all room lines of the generator, a topic at a time, in the order they came."""
    seen = {}
    for topic, payload in list(chat.messages):
        found = re.search(rb"[@;]id=([0-9a-f-]+)", payload)
        if ":chat:" in topic and found:
            seen.setdefault(topic, []).append(found.group(1))
    return seen


def assert_no_line_doubled(chat):
    for topic, ids in lines_of(chat).items():
        assert len(ids) == len(set(ids)), f"lines doubled on {topic}"


def counter(chat):
    return sum(len(ids) for ids in lines_of(chat).values())


def gaps(cluster, since=0):
    return {e["channel"]: e for e in cluster.events("gap") if e["at"] >= since}


def redis_ms(cluster):
    seconds, micros = cluster.redis.time()
    return seconds * 1000 + micros // 1000


# kill -9 and a start of the same command line -----------------------------------------------------


@pytest.mark.parametrize("victim", ["node", "leader", "standby", "redis"])
def test_a_killed_process_that_is_started_again_finds_the_same_picture(bare, victim):
    bare.start_redis(*REMEMBERS)
    chat = begin(bare, coordinators=("c1", "c2"), lease_ms=SHORT)
    before = picture(bare)
    leader, standby = leader_and_standby(bare)
    process = {
        "node": bare.processes["n1"],
        "leader": leader,
        "standby": standby,
        "redis": bare.redis_process,
    }[victim]
    incarnation = bare.incarnation("n1")
    if process is bare.redis_process:
        bare.restart_redis()
    else:
        process.restart()
    if victim == "node":
        wait_until(lambda: bare.incarnation("n1") not in (None, incarnation), 10, "n1 is registered anew")
    bare.chat_flows(chat, *NAMES)
    wait_until(lambda: bare.joined(), 10, "all are joined")
    assert picture(bare) == before
    assert bare.send("alice", f"after the {victim}")["status"] == "sent"
    assert bare.request("join", channels="frank")["assigned"]["frank"]
    assert_no_line_doubled(chat)


def test_a_node_killed_for_good_leaves_its_channels_to_the_others(bare):
    chat = begin(bare, nodes=("n1", "n2", "n3"), lease_ms=SHORT)
    before = picture(bare)
    was = placed(bare)
    lost = {c for c, shard in bare.channels().items() if was[shard][0] == "n1"}
    assert lost and lost != set(NAMES)
    killed_at = redis_ms(bare)
    bare.processes["n1"].kill()

    wait_until(lambda: bare.nodes() == ["n2", "n3"], 10, "n1 is expired")
    bare.chat_flows(chat, *NAMES)
    assert picture(bare) == before
    for shard, (node, epoch) in placed(bare).items():
        assert node in ("n2", "n3")
        assert epoch == was[shard][1] + (was[shard][0] == "n1"), "only what was n1's has moved"
    expired = bare.events("node.expired")[0]["at"] - killed_at
    assert expired < SHORT + 200 + 300, f"n1 was taken away {expired} ms after its death"
    wait_until(lambda: lost <= set(gaps(bare, killed_at)), 10, "what was missed is told")
    for gap in gaps(bare, killed_at).values():
        assert gap["channel"] in lost, "no gap where nothing was missed"
        # Nobody knows which of the last lines was fanned out, up to the renewal before the last, less a second.
        assert killed_at - SHORT / 2 - 1000 - 200 < gap["from"] <= killed_at < gap["to"]
    told = [m for m in chat.on(bare.topic("events")) if b'"gap"' in m]
    assert len(told) >= len(lost), "gaps are published as well"


def test_channels_with_lines_lately_are_joined_first_by_whoever_takes_over(bare):
    names = [f"room{i}" for i in range(8)]
    chat = begin(bare, nodes=("n1",), names=names[:1], lease_ms=SHORT, channels_per_shard=8)
    bare.join(*names)
    for name in names[4:7]:
        bare.chat_flows(chat, name)
    wait_until(lambda: bare.redis.zscore(bare.key("active"), "room6"), 15, "what had lines is reported")
    lively = set(bare.redis.zrange(bare.key("active"), 0, -1))
    assert {"room4", "room5", "room6"} <= lively < set(names)
    bare.request("set", name="join_window_ms", value=1500)
    bare.request("set", name="join_limit", value=len(lively))
    killed_at = redis_ms(bare)
    bare.processes["n1"].kill()
    bare.start_node("n2")

    def joined_since():
        fields = {name: bare.channel(name) for name in names}
        return {name: int(f["since"]) for name, f in fields.items() if f["state"] == "joined"}

    since = wait_until(
        lambda: (s := joined_since()).keys() == set(names) and min(s.values()) > killed_at and s, 20, "all are joined"
    )
    assert max(since[n] for n in lively) + 1000 < min(since[n] for n in set(names) - lively), "a window later"


def test_what_is_removed_from_the_registry_by_hand_is_put_right_while_chat_flows(bare):
    chat = begin(bare, nodes=("n1",), compare_ms=500)
    before = picture(bare)
    assert not bare.events("registry.repaired")
    shard = bare.channels()["erin"]
    assert shard != bare.channels()["alice"]
    bare.redis.hdel(bare.key("channels"), "alice")
    bare.redis.delete(bare.key(f"shard:{shard}:channels"), bare.key("load"))
    wait_until(lambda: bare.redis.smembers(bare.key(f"shard:{shard}:channels")) == {"erin"}, 10, "its channels")
    wait_until(lambda: picture(bare) == before, 10, "all is as it was")
    repaired = bare.events("registry.repaired")
    assert {"alice"} <= {event.get("channel") for event in repaired} and all(e["what"] for e in repaired)
    wait_until(lambda: "registry.repaired" in bare.processes["c1"].text(), 10, "the coordinator says so")
    bare.chat_flows(chat, *NAMES)
    assert_no_line_doubled(chat)


def test_when_all_nodes_are_gone_new_ones_read_the_channels_again(bare):
    chat = begin(bare, lease_ms=SHORT)
    before = picture(bare)
    bare.processes["n1"].kill()
    bare.processes["n2"].kill()
    wait_until(lambda: len(bare.events("node.silent") + bare.events("node.expired")) == 2, 10, "both are missed")
    assert picture(bare) == before, "wanted without a node as well"

    bare.start_node("n3")
    bare.chat_flows(chat, *NAMES)
    assert picture(bare) == before
    assert {node for node, _ in placed(bare).values()} == {"n3"}


def test_a_request_made_while_no_coordinator_is_up_is_carried_out_later(bare):
    chat = begin(bare, nodes=("n1",), lease_ms=SHORT)
    bare.processes["c1"].kill()
    bare.redis.xadd(bare.key("requests"), {"id": "later", "op": "join", "channels": "frank"})
    bare.chat_flows(chat, *NAMES)  # nodes go on
    bare.processes["c1"].start()
    wait_until(lambda: bare.redis.get(bare.key("reply:later")), 10, "the reply")
    bare.chat_flows(chat, "frank")


# Orderly ---------------------------------------------------------------------------------------------


def test_a_node_stopped_in_order_gives_its_shards_away_at_once(bare):
    chat = begin(bare, lease_ms=LONG)
    before = picture(bare)
    began = time.monotonic()
    assert bare.processes["n1"].stop() == 0
    wait_until(lambda: {n for n, _ in placed(bare).values()} == {"n2"}, 5, "all shards are on n2")
    bare.chat_flows(chat, *NAMES)
    assert time.monotonic() - began < LONG / 2000, "nothing waited for the lease"
    assert bare.nodes() == ["n2"]
    assert picture(bare) == before
    assert_no_line_doubled(chat)


def test_a_leader_stopped_in_order_is_followed_at_once(bare):
    begin(bare, nodes=("n1",), coordinators=("c1", "c2"), lease_ms=3000)
    leader, standby = leader_and_standby(bare)
    stopped_at = redis_ms(bare)
    assert leader.stop() == 0
    wait_until(lambda: bare.leader() == standby.name, 5, "the standby leads")
    after = bare.events("leader.elected")[-1]["at"] - stopped_at
    assert after < 1000, f"the lead was taken {after} ms after the leader began to stop"


def test_a_killed_leader_is_followed_within_its_lease(bare):
    begin(bare, nodes=("n1",), coordinators=("c1", "c2"), lease_ms=2000)
    leader, standby = leader_and_standby(bare)
    killed_at = redis_ms(bare)
    leader.kill()
    wait_until(lambda: bare.leader() == standby.name, 10, "the standby leads")
    after = bare.events("leader.elected")[-1]["at"] - killed_at
    assert after < 2000 + 300, f"the lead was taken {after} ms after the leader's death"
    assert bare.request("join", channels="frank")["assigned"]["frank"]


# One node id, one process ------------------------------------------------------------------------------


def test_a_second_process_with_the_same_node_id_is_refused_and_told_who_has_it(bare):
    chat = begin(bare, nodes=("n1",), lease_ms=SHORT)
    holder = bare.processes["n1"]
    incarnation = bare.incarnation("n1")
    second = bare.start_node("second", node_id="n1")
    second.expected_to_end = True
    assert second.wait(10) == 1
    said = [line for line in second.text().splitlines() if line.startswith("shoal-node:")]
    assert len(said) == 1, second.text()
    host = bare.redis.hget(bare.key("node:n1"), "host")
    assert f"host {host}" in said[0] and f"pid {holder.pid}" in said[0] and "--node-id" in said[0]
    assert bare.incarnation("n1") == incarnation
    bare.chat_flows(chat, *NAMES)


def test_a_node_restarted_within_its_lease_keeps_its_shards(bare):
    chat = begin(bare, nodes=("n1", "n2"), lease_ms=LONG)
    was = placed(bare)
    incarnation = bare.incarnation("n1")
    began = time.monotonic()
    bare.processes["n1"].restart()
    wait_until(lambda: bare.incarnation("n1") != incarnation, 10, "n1 is registered anew")
    assert time.monotonic() - began < LONG / 4000, "a dead holder is not waited for"
    bare.chat_flows(chat, *NAMES)
    assert placed(bare) == was


def test_what_was_missed_is_told_once_whoever_reads_the_channels_in_the_end(bare):
    chat = begin(bare, nodes=("n1",), lease_ms=SHORT)
    assert not gaps(bare), "nothing was missed yet"
    killed_at = redis_ms(bare)
    bare.processes["n1"].restart()  # within its lease
    bare.chat_flows(chat, *NAMES)
    wait_until(lambda: set(gaps(bare)) == set(NAMES), 10, "a gap for each channel is told")
    assert all(g["from"] <= killed_at < g["to"] for g in gaps(bare).values())

    bare.sim.control("outage on")
    killed_at = redis_ms(bare)
    bare.processes["n1"].kill()
    bare.start_node("n2")
    wait_until(lambda: bare.nodes() == ["n2"], 10, "n2 has the shards and cannot connect")
    bare.request("join", channels="frank")
    bare.processes["n2"].kill()
    bare.start_node("n3")
    wait_until(lambda: bare.nodes() == ["n3"], 10, "n3 has them")
    bare.sim.control("outage off")
    bare.chat_flows(chat, *NAMES, "frank", timeout=30)
    wait_until(lambda: set(gaps(bare, killed_at)) == set(NAMES), 10, "and none for one never read before")
    assert all(g["from"] <= killed_at < g["to"] for g in gaps(bare, killed_at).values())
    assert len(bare.events("gap")) == 2 * len(NAMES)


def test_of_a_connection_that_was_dead_before_its_node_all_is_told_that_was_missed(bare):
    chat = begin(bare, nodes=("n1",), names=("alice",), lease_ms=SHORT)
    dead_at = redis_ms(bare)
    bare.sim.control("half-open all")
    shard = bare.channels()["alice"]
    wait_until(lambda: bare.shards()[shard].get("silent"), 10, "the silence is reported")
    bare.processes["n1"].restart()
    bare.sim.control("disconnect all how=reset")  # frees what the simulator still has of it
    bare.chat_flows(chat, "alice")
    gap = wait_until(lambda: gaps(bare).get("alice"), 10, "the gap is told")
    assert gap["from"] <= dead_at


def test_a_channel_parted_and_joined_again_at_once_is_known_to_be_joined(bare):
    begin(bare, nodes=("n1",), names=("alice",), lease_ms=3000)
    bare.processes["n1"].pause()
    parted, joined = bare.ask("part", channels="alice"), bare.ask("join", channels="alice")
    assert bare.answer(parted)["ok"] and bare.answer(joined)["ok"]
    assert not bare.joined("alice")
    bare.processes["n1"].resume()
    wait_until(lambda: bare.joined("alice"), 5, "what Twitch confirmed is reported again")


# Standing still -----------------------------------------------------------------------------------------


def test_a_node_that_stood_still_past_its_lease_is_lost_and_says_no_line_twice(bare):
    chat = begin(bare, nodes=("n1", "n2"), lease_ms=SHORT)
    was = placed(bare)
    incarnation = bare.incarnation("n1")
    control = bare.sim.control
    held = [c for c, shard in bare.channels().items() if was[shard][0] == "n1"]
    assert held
    bare.processes["n1"].pause()
    wait_until(lambda: bare.nodes() == ["n2"], 10, "n1 is expired")
    for name in held:
        control(f"wait members={name}:2")  # n2, and n1, whose socket hears what comes now
    before = counter(chat)
    control("generate count=200 rate=1000 only=privmsg")
    wait_until(lambda: counter(chat) >= before + 200, 10, "n2 reads all of it")
    bare.processes["n1"].resume()

    wait_until(lambda: bare.incarnation("n1") not in (None, incarnation), 10, "n1 is registered anew")
    assert "lease.lost" in bare.processes["n1"].text()
    told = wait_until(lambda: bare.events("node.lost"), 5, "the loss is told")
    assert [e["node"] for e in told] == ["n1"] and "not held by this process" in told[0]["why"]
    assert bare.events("node.fenced")[-1]["why"] == "the process or its machine stood still"
    for name in held:
        control(f"wait members={name}:1")
    bare.chat_flows(chat, *NAMES)
    for shard, (node, epoch) in placed(bare).items():
        assert (node, epoch) == (("n2", was[shard][1] + 1) if was[shard][0] == "n1" else was[shard])
    assert_no_line_doubled(chat)
    assert not bare.redis.exists(bare.key("fan:n1")), "it fanned out nothing since it woke"


def test_a_node_that_stood_still_for_half_a_lease_goes_on_and_loses_nothing(bare):
    chat = begin(bare, nodes=("n1", "n2"), lease_ms=3000, resume_delay_ms=100)
    was = placed(bare)
    incarnation = bare.incarnation("n1")
    control = bare.sim.control
    before = {n: len(chat.on(bare.topic(f"chat:{n}"))) for n in NAMES}
    control("generate rate=200 count=500 only=privmsg")  # 2.5 s
    wait_until(lambda: counter(chat) > sum(before.values()) + 100, 10, "lines flow")
    bare.processes["n1"].pause()
    # Over half of its lease, whenever it looked last whether it is late, and under what is left of that at least.
    until = control("stats")["generate"]["lines"] + 330
    wait_until(lambda: control("stats")["generate"]["lines"] >= until, 10, "1.65 s pass")
    bare.processes["n1"].resume()
    control("wait generate ms=10000")
    wait_until(lambda: counter(chat) - sum(before.values()) >= 500, 10, "all lines have arrived")
    assert_no_line_doubled(chat)
    for topic, ids in lines_of(chat).items():
        generated = [i for i in ids if i[24:32] == b"00000000"]
        assert generated == sorted(generated, key=lambda i: i[24:]), f"out of order on {topic}"
    assert placed(bare) == was
    assert bare.incarnation("n1") == incarnation
    assert [e["node"] for e in bare.events("node.fenced")] == ["n1"]
    assert not bare.events("node.lost")


def test_a_leader_that_stood_still_past_its_lease_acts_no_more(bare):
    begin(bare, nodes=("n1",), coordinators=("c1", "c2"), lease_ms=SHORT)
    replies = bare.subscribe(bare.topic("replies"))
    leader, standby = leader_and_standby(bare)
    old = bare.redis.hmget(bare.key("leader"), "incarnation", "token")
    leader.pause()
    bare.redis.xadd(bare.key("requests"), {"id": "meanwhile", "op": "join", "channels": "frank"})
    wait_until(lambda: bare.leader() == standby.name, 10, "the standby leads")
    mark = len(leader.text())
    leader.resume()
    wait_until(lambda: "leader.deposed" in leader.text()[mark:], 10, "the old leader has noticed")
    for i in range(5):
        assert bare.request("join", channels=f"later{i}")["ok"]
    assert "word=done" not in leader.text()[mark:], "it has carried out nothing since it woke"
    assert bare.leader() == standby.name
    wait_until(lambda: len(replies.on(bare.topic("replies"))) >= 6, 10, "the replies are heard")
    ids = replies.on(bare.topic("replies"))
    assert len(ids) == len(set(ids)) == 6, "each request has one reply"
    # And were it to try, Redis refuses: what it was is over for good.
    for step in ("expire", "assign", "part", "set", "remove_channels", "close_idle", "senders", "add_shard"):
        with pytest.raises(Exception, match="DEPOSED"):
            bare.redis.fcall(f"shoal1_{step}", 1, bare.key("")[:-1], *old, "", "", "join", "mallory")
    assert "mallory" not in bare.channels()


# Connections to Twitch ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault", ["reconnect all ms=300", "disconnect all", "disconnect all how=reset"]
)
def test_lost_connections_come_back_with_their_channels_and_gaps_are_told(bare, fault):
    chat = begin(bare, lease_ms=LONG)
    was = placed(bare)
    at = redis_ms(bare)
    logins = bare.sim.control("stats")["logins"]["ok"]
    bare.sim.control(fault)
    bare.sim.control(f"wait logins={logins + len(was)} ms=20000")
    bare.chat_flows(chat, *NAMES)
    wait_until(lambda: set(gaps(bare, at)) == set(NAMES), 10, "a gap for each channel is told")
    for gap in gaps(bare, at).values():
        assert at - 1000 <= gap["from"] < gap["to"] <= redis_ms(bare)
    assert placed(bare) == was, "connections are the node's own affair"
    assert_no_line_doubled(chat)


def test_a_half_open_connection_is_found_out_and_replaced(bare):
    chat = begin(bare, nodes=("n1",), names=("alice",), lease_ms=LONG)
    at = redis_ms(bare)
    assert bare.sim.control("half-open channel=alice")["connections"] == 1
    # The node asks after 15 s of silence, and hangs up 5 s later.
    wait_until(lambda: "alice" in gaps(bare, at), 40, "the connection is replaced")
    bare.sim.control("disconnect all how=reset")  # frees what the simulator still has of it
    bare.chat_flows(chat, "alice")


def test_an_outage_of_twitch_is_outlived(bare):
    chat = begin(bare, nodes=("n1",), names=("alice", "bob"), lease_ms=LONG)
    bare.sim.control("outage on")
    bare.sim.control("disconnect all")
    wait_until(lambda: any(s["state"] == "backoff" and s.get("error") for s in bare.shards().values()), 10,
               "the trouble is visible")
    bare.sim.control("outage off")
    bare.chat_flows(chat, "alice", "bob", timeout=30)
    wait_until(lambda: all(not s.get("error") for s in bare.shards().values()), 10, "and over")
