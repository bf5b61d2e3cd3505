"""What a shard can do and tells of itself: each name of a shard in shard_manager.h, driven through a probe."""

from probe import logged_in, named_user, probes, ready, rooms  # noqa: F401  pylint: disable=unused-import
from processes import wait_until
from shoal import USER


def test_shard_websocket(probes, bare):
    probe = probes.lead(setup="add:one", assign_shard="shard:one")
    bare.join("alice")

    shard = bare.shards()["one"]

    assert (shard["node"], shard["user"]) == ("n1", USER)
    assert (shard["state"], shard["run"]) == ("ready", "started")
    assert (shard["channels"], shard["joined"], shard["sender"]) == ("1", "1", "one")
    assert int(shard["epoch"]) >= 1 and int(shard["rev"]) >= 1
    assert bare.redis.smembers(bare.key("shard:one:channels")) == {"alice"}
    assert probe("shard_stop", "one")["error"] is None
    closed = bare.shards()["one"]
    assert (closed["state"], closed["run"], closed["channels"]) == ("closed", "stopped", "1")


def test_shard_id(probes):
    probe = probes.lead(setup="add:one,shard_no-2", start="done")

    assert set(probe.shards()) == {"one", "shard_no-2"}
    assert probe.shard("shard_no-2")["id"] == "shard_no-2"
    assert probe.shard("three") is None
    assert probe("shard_of", "alice")["shard"] is None


def test_shard_user(probes, bare):
    probes.begin()
    helper = named_user(bare)
    probe = probes.start(setup="add:one", start="done").connect()
    bare.start_node("n1")
    wait_until(bare.is_set_up, 30, "the cluster is set up")

    probe.done("add_shard", "two", helper)
    probe.done("add_shard", "three", None)

    users = {id: shard["user"] for id, shard in probe.shards().items()}
    assert users == {"one": USER, "two": helper, "three": USER}
    assert bare.shards()["two"]["user"] == helper
    probe.done("shard_start", "two", "now")
    ready(probe, "two")
    probe.script("assign_shard", f"least_loaded:{helper}")
    assert bare.request("join", channels="alice")["assigned"] == {"alice": "two"}
    assert helper in {c["user"] for c in bare.sim.control("connections")["connections"]}


def test_shard_node(probes, bare):
    probe = probes.lead(setup="add:one,two", capacity=1)

    def nodes():
        return sorted(shard["node"] for shard in probe.shards().values())

    wait_until(lambda: nodes() == ["", "n1"], 20, "one of two finds room")
    bare.start_node("n2", capacity=1)
    wait_until(lambda: nodes() == ["n1", "n2"], 20, "the other one has room at the new node")
    bare.processes["n1"].kill()
    bare.start_node("n3", capacity=1)
    wait_until(lambda: nodes() == ["n2", "n3"], 20, "what a dead node held is on another")


def test_shard_channels(probes, bare):
    probe = probes.lead(setup="add:one,two", assign_shard="shard:one", **{"assign_shard:carol": "shard:two"})
    assert probe.shard("one")["channels"] == []

    bare.join("alice", "bob", "carol")

    assert sorted(probe.shard("one")["channels"]) == ["alice", "bob"]
    assert probe.shard("two")["channels"] == ["carol"]
    assert probe("shard_of", "carol")["shard"] == "two"
    assert bare.request("part", channels="alice")["ok"]
    wait_until(lambda: probe.shard("one")["channels"] == ["bob"], 10, "a channel that was parted is gone")
    assert probe("shard_of", "alice")["shard"] is None


def test_shard_ready(probes, bare):
    probe = probes.lead(setup="add:one", start="done")
    assert probe.shard("one")["ready"] is False

    bare.sim.control("outage on")
    probe.done("shard_start", "one", "now")
    state = bare.key("shard:one")
    wait_until(lambda: bare.redis.hget(state, "state") == "backoff", 20, "it cannot connect")
    assert probe.shard("one")["ready"] is False

    bare.sim.control("outage off")
    ready(probe, "one")
    assert logged_in(bare) == 1
    probe.done("shard_stop", "one")
    assert probe.shard("one")["ready"] is False


def test_shard_closing(probes):
    probe = probes.lead(setup="add:one", start="done")
    assert probe.shard("one")["closing"] is False
    probe.done("shard_start", "one", "now")
    assert probe.shard("one")["closing"] is False

    probe.done("shard_stop", "one")
    assert probe.shard("one")["closing"] is True

    probe.done("shard_start", "one", "now")
    assert probe.shard("one")["closing"] is False


def test_shard_start(probes, bare):
    probe = probes.lead(setup="add:one,two", start="done")
    assert logged_in(bare) == 0

    probe.done("shard_start", "one", "now")
    assert bare.shards()["one"]["run"] == "started"
    waiting = probe.ask("shard_start", "two", "wait")
    ready(probe, "one", "two")

    assert logged_in(bare) == 2
    assert not probe.has_answered(waiting)
    for id in ("one", "two"):
        error = probe.refused("shard_start", id, "now")
        assert "Perhaps it has already been started?" in error and id in error
    probe.done("shard_stop", "one")
    assert not probe.has_answered(waiting)
    probe.done("shard_stop", "two")
    assert probe.answer(waiting)["error"] is None
    wait_until(lambda: logged_in(bare) == 0, 10, "both are closed")


def test_shard_stop(probes, bare):
    probe = probes.lead(setup="add:one,two", assign_shard="shard:one", start="done", lease_ms=20000)
    error = probe.refused("shard_stop", "two")
    assert "two" in error and "has not been started" in error
    probe.done("shard_start", "one", "now")
    bare.join("alice")
    assert rooms(bare) == [{"alice"}]

    bare.processes["n1"].pause()
    stopping = probe.ask("shard_stop", "one")
    wait_until(lambda: bare.shards()["one"]["run"] == "stopped", 10, "its node is to close it")
    assert not probe.has_answered(stopping) and logged_in(bare) == 1
    bare.processes["n1"].resume()

    assert probe.answer(stopping)["error"] is None
    assert bare.shards()["one"]["state"] == "closed"
    wait_until(lambda: logged_in(bare) == 0, 10, "it is closed at Twitch")
    assert bare.channels() == {"alice": "one"}
    assert "has not been started" in probe.refused("shard_stop", "one")
    probe.done("shard_start", "one", "now")
    wait_until(lambda: rooms(bare) == [{"alice"}], 20, "it comes back with its channels")


def test_shard_add_channels(probes, bare):
    probe = probes.lead(setup="add:one,two", assign_shard="shard:two", channels_per_shard=3)
    bare.join("taken")

    error = probe.refused("shard_add_channels", "one", "#Alice", "no-channel", "bob", "taken")

    assert "no-channel" in error and "taken" in error
    assert "alice" not in error and "bob" not in error
    wait_until(lambda: bare.joined("alice", "bob"), 20, "the others are joined")
    assert bare.channels() == {"alice": "one", "bob": "one", "taken": "two"}
    assert sorted(probe.shard("one")["channels"]) == ["alice", "bob"]
    wait_until(lambda: {"alice", "bob"} in rooms(bare), 10, "on one connection")

    probe.done("shard_add_channels", "one", "carol", "alice")  # who is there stays
    assert "3 of 3" in probe.refused("shard_add_channels", "one", "dave")
    assert bare.channels() == {"alice": "one", "bob": "one", "carol": "one", "taken": "two"}
    many = [f"room{i}" for i in range(1001)]
    assert "1000" in probe.refused("shard_add_channels", "one", *many)
    assert len(bare.channels()) == 4
    probe.done("shard_add_channels", "one")


def test_shard_remove_channels(probes, bare):
    probe = probes.lead(setup="add:one,two", assign_shard="shard:one", **{"assign_shard:other": "shard:two"})
    bare.join("alice", "bob", "carol", "other")

    probe.done("shard_remove_channels", "one", "ALICE")
    assert bare.channels() == {"bob": "one", "carol": "one", "other": "two"}
    error = probe.refused("shard_remove_channels", "one", "bob", "nobody", "other")

    assert "nobody" in error and "other" in error and "bob" not in error
    assert bare.channels() == {"carol": "one", "other": "two"}
    assert probe.shard("one")["channels"] == ["carol"]
    wait_until(lambda: {"carol"} in rooms(bare), 10, "they are left at Twitch")
    assert bare.channel("bob") == {}
