"""What a shard manager can do and is asked: each name of shard_manager.h, driven through a probe in a real cluster."""

import json

from probe import named_user, probes, registry, settled_registry  # noqa: F401  pylint: disable=unused-import
from processes import wait_until
from shoal import TOKEN, USER

FULL = "All shards are full, and the shard count limit has been reached. (max_shard_count is %d)"


def rooms(cluster):
    """The channels of each connection at the simulator."""
    return [set(c["rooms"]) for c in cluster.sim.control("connections")["connections"]]


def logged_in(cluster):
    """How many connections the simulator has."""
    return len(cluster.sim.control("connections")["connections"])


def ready(probe, *ids):
    """Wait until the shards are."""
    wait_until(lambda: all(probe.shard(id)["ready"] for id in ids), 20, f"{ids} are ready")


# Shards


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


# The base: attributes


def test_base_token_handler(probes, bare):
    probes.begin()
    helper = named_user(bare)
    probe = probes.start(setup="add:one").connect()
    bare.start_node("n1")
    wait_until(bare.is_set_up, 30, "the cluster is set up")
    ready(probe, "one")

    assert probe("token", None) == {"login": USER, "usable": True, "error": None}
    assert probe("token", helper) == {"login": helper, "usable": True, "error": None}
    assert probe("token", "anonymous")["usable"] is True
    unknown = probe("token", "stranger")
    assert (unknown["login"], unknown["usable"]) == ("stranger", False) and unknown["error"]

    bare.sim.control(f"revoke {USER}")
    bare.sim.control(f"disconnect user={USER} how=reset")
    wait_until(lambda: not probe("token", None)["usable"], 30, "a token that Twitch refuses is known")
    refused = probe("token", USER)
    assert refused["usable"] is False and "refused" in refused["error"]
    assert probe("token", helper)["usable"] is True
    assert TOKEN.encode() not in probe.raw and b"helpertoken" not in probe.raw


def test_base_client(probes, bare):
    probe = probes.lead(setup="add:one", channels_per_shard=7)
    events = bare.subscribe(bare.topic("events"))

    assert probe("name")["name"] == "main"
    assert probe("setting", "channels_per_shard")["value"] == "7"
    assert probe("setting", "idle_shard_ms")["value"] == "60000"
    assert probe("setting", "nonsense")["value"] is None
    assert bare.request("set", name="max_shard_count", value="none")["ok"]
    wait_until(lambda: probe("setting", "max_shard_count")["value"] == "none", 10, "a setting that was changed")

    probe("error", "my code", "alice", 'it broke: "x"\ny')
    probe("error", "elsewhere", None, "too")

    def told(where):
        _, text = events.wait_for(lambda _, text: f'"{where}"'.encode() in text, 10, where)
        return json.loads(text)

    first, second = told("my code"), told("elsewhere")
    assert (first["event"], first["channel"], first["manager"]) == ("error", "alice", "probe")
    assert first["error"] == 'it broke: "x"\ny'
    assert second["error"] == "too" and "channel" not in second
    assert [e["where"] for e in bare.errors()] == ["my code", "elsewhere"]
    assert "it broke" in bare.processes["c1"].text()


def test_base_shards(probes, bare):
    probe = probes.lead(setup="add:one,two", channels_per_shard=1, idle_shard_ms=200)
    assert set(probe.shards()) == {"one", "two"}

    bare.join("alice", "bob", "carol")

    wait_until(lambda: len(probe.shards()) == 3, 10, "the one that was opened is among them")
    assert set(probe.shards()) == {"one", "two", "extended-shard-1"}
    extended = next(name for name, shard in bare.channels().items() if shard == "extended-shard-1")
    assert bare.request("part", channels=extended)["ok"]
    wait_until(lambda: set(probe.shards()) == {"one", "two"}, 20, "one that closed is not")
    assert probe.shard("extended-shard-1") is None


def test_base_initial_channels(probes, bare):
    empty = bare.directory / "none"
    empty.write_text("# nobody yet\n")
    probes.begin()

    without = probes.start("c1").connect()
    nothing = probes.start("c2", ["--initial-channels", f"@{empty}"]).connect()
    blank = probes.start("c3", ["--initial-channels", ""]).connect()
    some = probes.start("c4", ["--initial-channels", "#Bob, alice,bob,ALICE #x_1"]).connect()

    assert without("initial_channels")["channels"] is None
    assert nothing("initial_channels")["channels"] == []
    assert blank("initial_channels")["channels"] == []
    assert some("initial_channels")["channels"] == ["bob", "alice", "x_1"]


def test_base_init(probes, bare):
    probes.begin()
    given = ["manager.x=y", "manager.Some-Key= =a,b ", "manager.x=z", "manager.empty="]
    probe = probes.start(args=[arg for option in given for arg in ("--set", option)]).connect()
    bare.start_node("n1")
    wait_until(bare.is_set_up, 30, "the cluster is set up")

    kwargs = [["x", "y"], ["Some-Key", " =a,b "], ["x", "z"], ["empty", ""]]
    at_create = probe("given")
    assert at_create["options"][1:] == kwargs  # after the socket
    assert probe.calls("setup")[0]["options"] == at_create["options"]
    last = {"x": "z", "Some-Key": " =a,b ", "empty": "", "nothing": None}
    assert last.items() <= at_create["last"].items()
    assert not [name for name in bare.redis.hgetall(bare.key("config")) if "x" in name.split(".")]


# The base: what it asks


def test_base_setup(probes, bare):
    probe = probes.lead(setup="add:one", lease_ms=600)
    next_one = probes.stand_by(setup="add:one,more", lease_ms=600)

    assert [c["name"] for c in probe.calls()].count("setup") == 1
    assert set(probe.shards()) == {"one"}
    bare.processes["c1"].kill()
    next_one.wait_for_call("start")

    assert next_one.calls("setup") == []
    assert set(bare.shards()) == {"one"}
    config = bare.redis.hgetall(bare.key("config"))
    assert (config["setup"], config["manager"]) == ("done", "probe")


def test_base_assign_shard(probes, bare):
    probe = probes.lead(
        ["--initial-channels", "#Alice,bob"], setup="add:one,two", assign_shard="shard:one",
        **{"assign_shard:bob": "shard:two"},
    )  # fmt: skip
    probe.wait_for_call("start")
    wait_until(lambda: bare.joined("alice", "bob"), 20, "the initial channels are joined")

    order = [(c["name"], c.get("channel"), c.get("initial")) for c in probe.calls()]
    order = [c for c in order if c[0] != "get_sender_shard"]
    assert order == [
        ("setup", None, None),
        ("assign_shard", "alice", True),
        ("assign_shard", "bob", True),
        ("start", None, None),
    ]
    assert bare.channels() == {"alice": "one", "bob": "two"}
    reply = bare.request("join", channels="#CAROL,Bob")
    assert reply["ok"] and reply["assigned"] == {"carol": "one", "bob": "two"}
    asked = {c["channel"]: c["initial"] for c in probe.calls("assign_shard")[2:]}
    assert asked["carol"] is False and set(asked) <= {"carol", "bob"}


def test_base_get_sender_shard(probes, bare):
    probe = probes.lead(
        setup="add:one,two,three", assign_shard="shard:one", get_sender_shard="shard:two",
        **{"assign_shard:bob": "shard:three"},
    )  # fmt: skip
    bare.join("alice", "bob")

    wait_until(lambda: bare.shards()["one"]["sender"] == "two", 20, "the sender of one is written down")
    wait_until(lambda: bare.shards()["three"]["sender"] == "two", 20, "the sender of three too")
    wait_until(lambda: bare.redis.hget(bare.key("senders"), USER) == "two", 20, "and for the others")
    assert {c["channel"] for c in probe.calls("get_sender_shard")} == {"alice", "bob", ""}
    ready(probe, "two")
    assert bare.send("alice", "hello")["status"] == "sent"
    wait_until(lambda: bare.sim.control.received("alice", "said") == ["hello"], 10, "it is said")

    probe.script("get_sender_shard", "holder")
    probe.done("add_shard", "four", None)  # shards change: it is asked again
    wait_until(lambda: bare.shards()["one"]["sender"] == "one", 20, "another decision is taken over")


def test_base_start(probes, bare):
    probe = probes.lead(setup="add:one", assign_shard="shard:one", start="done", lease_ms=600)
    next_one = probes.stand_by(lease_ms=600)
    probe.wait_for_call("start")
    assert bare.shards()["one"]["run"] == "new"  # nothing starts but by start
    assert next_one.calls() == []

    bare.processes["c1"].kill()
    next_one.wait_for_call("start")

    wait_until(lambda: bare.shards()["one"]["run"] == "started", 20, "the new leader started it")
    assert [c["name"] for c in next_one.calls() if c["name"] != "get_sender_shard"] == ["start"]
    wait_until(lambda: logged_in(bare) == 1, 20, "it is connected")


def test_base_stop(probes, bare):
    probe = probes.lead(setup="add:one,two", assign_shard="shard:one")
    bare.join("alice")
    ready(probe, "one", "two")
    assert probe.calls("stop") == []

    bare.ctl("stop")

    probe.wait_for_call("stop")
    wait_until(lambda: logged_in(bare) == 0, 20, "all are closed at Twitch")
    wait_until(lambda: "manager.stopped" in bare.processes["c1"].text(), 20, "it was completed")
    assert {shard["run"] for shard in bare.shards().values()} == {"stopped"}
    assert bare.channels() == {"alice": "one"}
    assert "the cluster is stopped" in probe.refused("shard_start", "one", "now")
    assert len(probe.calls("start")) == 1

    bare.ctl("start")
    probe.wait_for_call("start", count=2)
    wait_until(lambda: {"alice"} in rooms(bare), 20, "they are connected again")


def test_base_add_shard(probes, bare):
    probe = probes.lead(setup="add:one", max_shard_count=3, channels_per_shard=3, room_limit=5)
    ready(probe, "one")
    probe.done("shard_add_channels", "one", "taken")

    added = probe.done("add_shard", "two", None, "#Alice", "bob", "alice")

    assert added["shard"] == "two"
    assert bare.channels() == {"taken": "one", "alice": "two", "bob": "two"}
    shard = probe.shard("two")
    assert (sorted(shard["channels"]), shard["ready"], shard["closing"]) == (["alice", "bob"], False, False)
    assert bare.shards()["two"]["run"] == "new"
    wait_until(lambda: bare.joined("taken"), 20, "what runs runs on")

    before = settled_registry(bare)
    for args, words in (
        (("two", None), "shard two already"),
        (("Not A Shard", None), "Not a shard id"),
        (("x", "stranger"), "No node has a token for user stranger"),
        (("x", None, "a", "b", "c", "d"), "channels_per_shard is 3"),
        (("x", None, "dave", "taken"), "taken is on shard one"),
        (("x", None, "a", "b", "c"), "room limit"),
        (("x", None, "a", "b-"), "b-"),
        (("x", None, *[f"room{i}" for i in range(1001)]), "1000 channels at most"),
    ):
        answer = probe("add_shard", *args)
        assert answer["shard"] is None and words in answer["error"], (args, answer)
        assert registry(bare) == before, args
    assert logged_in(bare) == 1
    probe.done("add_shard", "three", None)
    before = settled_registry(bare)
    assert probe.refused("add_shard", "four", None) == FULL % 3
    assert registry(bare) == before


def test_base_start_all_shards(probes, bare):
    probe = probes.lead(setup="add:one,two,three", start="done")
    probe.done("shard_start", "two", "now")
    ready(probe, "two")
    assert logged_in(bare) == 1

    probe.done("start_all_shards")

    ready(probe, "one", "two", "three")
    assert logged_in(bare) == 3
    assert bare.sim.control.stats()["users"][USER]["logins"]["total"] == 3
    probe.done("start_all_shards")  # nothing is left to start

    probe.done("stop_all_shards")
    first = probe.ask("shard_start", "one", "now")
    rest = probe.ask("start_all_shards")  # the first is being started, which is no error
    assert probe.answer(first)["error"] is None and probe.answer(rest)["error"] is None
    ready(probe, "one", "two", "three")


def test_base_stop_all_shards(probes, bare):
    probe = probes.lead(setup="add:one,two,three", start="done", lease_ms=20000)
    probe.done("shard_start", "one", "now")
    probe.done("shard_start", "two", "now")
    ready(probe, "one", "two")

    bare.processes["n1"].pause()
    stopping = probe.ask("stop_all_shards")
    wait_until(lambda: bare.shards()["two"]["run"] == "stopped", 10, "their node is to close them")
    assert not probe.has_answered(stopping)
    bare.processes["n1"].resume()

    assert probe.answer(stopping)["error"] is None
    assert {id: s["run"] for id, s in bare.shards().items()} == {
        "one": "stopped", "two": "stopped", "three": "new",
    }  # fmt: skip
    assert [bare.shards()[id]["state"] for id in ("one", "two")] == ["closed", "closed"]
    wait_until(lambda: logged_in(bare) == 0, 10, "they are closed at Twitch")
    probe.done("stop_all_shards")  # nothing is left to stop


def test_base_wait_until_exit(probes, bare):
    probe = probes.lead()
    assert probe.shards() == {}
    probe.done("wait_until_exit")

    probe.done("add_shard", "one", None)
    probe.done("shard_start", "one", "now")
    waiting = probe.ask("wait_until_exit")
    probe.done("add_shard", "two", None)
    probe.done("shard_start", "two", "now")
    ready(probe, "one", "two")

    assert not probe.has_answered(waiting)
    probe.done("shard_stop", "one")
    assert not probe.has_answered(waiting)
    probe.done("shard_stop", "two")
    assert probe.answer(waiting)["error"] is None
    probe.done("wait_until_exit")
