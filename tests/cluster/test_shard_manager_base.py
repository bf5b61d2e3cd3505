"""What the base of a shard manager can do and asks: each name of it in shard_manager.h, driven through a probe."""

import json

from probe import (  # noqa: F401  pylint: disable=unused-import
    logged_in,
    named_user,
    probes,
    ready,
    registry,
    rooms,
    settled_registry,
)
from processes import wait_until
from shoal import TOKEN, USER

FULL = "All shards are full, and the shard count limit has been reached. (max_shard_count is %d)"


# Attributes


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


def test_cluster_readers(probes, bare):
    bare.write_tokens({USER: TOKEN, "helper": TOKEN, "zoe": TOKEN})
    probe = probes.lead(setup="add:one")
    assert probe("readers")["readers"] == [USER]
    for value, readers in (("all", sorted(["helper", "zoe", USER])), ("zoe,stranger,helper", ["helper", "zoe"]),
                           ("anonymous", ["anonymous"]), ("stranger", [])):  # fmt: skip
        assert bare.request("set", name="readers", value=value)["ok"]
        wait_until(lambda readers=readers: probe("readers")["readers"] == readers, 10, f"{readers} read")


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


# What it asks


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
    wait_until(lambda: {bare.channel(c)["state"] for c in ("alice", "bob")} == {"queued"}, 20, "what does not run waits")

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
