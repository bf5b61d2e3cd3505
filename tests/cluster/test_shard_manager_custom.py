"""A shard manager of somebody's own that breaks limits, fails, is late or never answers: nothing else breaks."""

import json
import signal

import pytest

import shoal
from probe import named_user, probes, registry, settled_registry  # noqa: F401  pylint: disable=unused-import
from processes import wait_until
from shoal import USER

FULL = "All shards are full, and the shard count limit has been reached. (max_shard_count is %d)"
SHORT = ["--manager-timeout", "300ms"]


def late(call, ms=300):
    return f"The shard manager did not answer {call} within {ms} ms."


def answered(replies, *ids):
    """The ids of the replies so far, in order, of those that are asked for."""
    return [a["id"] for a in map(json.loads, replies.on("shoal:main:replies")) if a["id"] in ids]


def refusal(cluster, channel):
    """Ask to join a channel that is refused; why."""
    reply = cluster.request("join", channels=channel)
    assert (reply["ok"], reply["assigned"]) == (False, {}) and set(reply["refused"]) == {channel}, reply
    return reply["refused"][channel]


def told(cluster, where, error):
    """Wait until an error event says so."""
    return wait_until(
        lambda: [e for e in cluster.events("error") if e["where"] == where and error in e["error"]],
        20,
        f"an error event: {where}: {error}",
    )


def goes_on(cluster, probe, name="goes_on"):
    """The coordinator does what it is asked for, with what the manager decides."""
    probe.script(f"assign_shard:{name}", "shard:one")
    assert cluster.request("join", channels=name)["assigned"] == {name: "one"}
    assert cluster.processes["c1"].is_running()


# Limits


def test_the_26th_channel_on_a_named_shard_is_refused_and_changes_nothing(probes, bare):
    probe = probes.lead(setup="add:one,two", assign_shard="shard:one", channels_per_shard=25)
    names = [f"room{i}" for i in range(25)]
    bare.join(*names, timeout=30)
    before = settled_registry(bare)

    assert refusal(bare, "one_more") == "Shard one is full: it has 25 of 25 channels. (channels_per_shard is 25)"

    assert registry(bare) == before
    assert probe("shard_of", "one_more")["shard"] is None
    assert len(probe.shard("one")["channels"]) == 25
    probe.script("assign_shard:other", "shard:two")
    assert bare.request("join", channels="other")["assigned"] == {"other": "two"}


def test_only_those_of_a_request_that_find_room_are_assigned(probes, bare):
    probe = probes.lead(setup="add:one", assign_shard="shard:one", channels_per_shard=3)

    reply = bare.request("join", channels="a,b,c,d,e")

    assert reply["assigned"] == dict.fromkeys("abc", "one")
    assert reply["refused"] == dict.fromkeys("de", "Shard one is full: it has 3 of 3 channels. (channels_per_shard is 3)")
    assert bare.channels() == dict.fromkeys("abc", "one")
    assert sorted(probe.shard("one")["channels"]) == ["a", "b", "c"]


def test_the_sixth_shard_is_refused_whoever_asks_for_it(probes, bare):
    probe = probes.lead(setup="add:one,two,three,four,five", max_shard_count=5, channels_per_shard=1)
    bare.join("a", "b", "c", "d", "e", timeout=30)
    before = settled_registry(bare)

    assert probe.refused("add_shard", "six", None) == FULL % 5
    assert refusal(bare, "f") == FULL % 5

    assert registry(bare) == before
    assert bare.request("part", channels="a")["ok"]
    assert bare.request("join", channels="f")["ok"]


def test_a_shard_id_that_there_is_and_a_user_that_there_is_not_are_refused(probes, bare):
    probes.begin()
    helper = named_user(bare)
    probe = probes.start(setup="add:one", assign_shard="shard:one").connect()
    bare.start_node("n1")
    bare.join("alice")
    before = settled_registry(bare)

    assert probe.refused("add_shard", "one", None, "bob") == "There is a shard one already."
    assert "No node has a token for user stranger" in probe.refused("add_shard", "two", "stranger")
    assert probe.refused("add_shard", "two", f"{helper},{USER}")
    for user in ("stranger", f"{helper},{USER}", f"{USER},{helper}", "*"):
        probe.script("assign_shard", f"least_loaded:{user}")
        assert refusal(bare, "bob") == f"No node has a token for user {user}."

    assert registry(bare) == before
    goes_on(bare, probe)


def test_a_shard_that_does_not_exist_is_no_answer(probes, bare):
    probe = probes.lead(setup="add:one", assign_shard="shard:nowhere")
    before = settled_registry(bare)

    assert "assign_shard with a shard that does not exist" in refusal(bare, "alice")

    assert registry(bare) == before
    goes_on(bare, probe)


def test_a_request_whose_channels_go_to_many_places_by_turns_is_carried_out(probes, bare):
    names = [f"room{i}" for i in range(40)]
    turns = {f"assign_shard:{name}": f"shard:{'one' if i % 2 else 'two'}" for i, name in enumerate(names)}
    probe = probes.lead(setup="add:one,two", channels_per_shard=20, **turns)

    reply = bare.request("join", channels=",".join(names))

    assert reply["assigned"] == {name: where.split(":")[1] for name, where in zip(names, turns.values())}
    assert len(probe.shard("two")["channels"]) == 20 and bare.processes["c1"].is_running()


def test_what_a_request_without_effect_would_have_assigned_is_not_believed(probes, bare):
    probe = probes.lead(setup="add:one", assign_shard="never", **{"assign_shard:first": "shard:one"})
    bare.join("first")
    wait_until(lambda: probe.shard("one")["ready"], 20, "the last thing that makes it look again has happened")

    bad = bare.redis.xadd(bare.key("requests"), {"id": "x" * 200, "op": "join", "channels": "alice"})
    probe.complete(probe.wait_for_call("assign_shard", "alice"), "shard:one")
    assert bare.answer(bad)["ok"] is False
    gone = bare.redis.xadd(bare.key("requests"), {"id": "gone", "op": "join", "channels": "bob"})
    call = probe.wait_for_call("assign_shard", "bob")
    bare.redis.xdel(bare.key("requests"), gone)
    probe.complete(call, "shard:one")

    wait_until(lambda: probe.shard("one")["channels"] == ["first"], 10, "the manager sees what there is")
    assert probe("shard_of", "alice")["shard"] is None and probe("shard_of", "bob")["shard"] is None
    goes_on(bare, probe)
    assert bare.channels() == {"first": "one", "goes_on": "one"}


# Beginning


def test_a_manager_that_cannot_be_created_ends_the_start_with_its_reason(probes, bare):
    bare.start_redis()
    probes.start(create="fail:the licence server says no")
    process = bare.processes["c1"]
    process.expected_to_end = True

    assert process.wait(30) == 1

    assert 'shoal-coordinator: shard manager "probe": the licence server says no' in process.text().splitlines()
    assert bare.redis.keys("*") == []


def test_a_manager_that_crashes_at_its_creation_touches_nothing(probes, bare):
    probes.lead(setup="add:one", assign_shard="shard:one")
    bare.join("alice")
    before = settled_registry(bare)

    probes.start("c2", create="crash")
    process = bare.processes["c2"]
    process.expected_to_end = True

    assert process.wait(30) == -signal.SIGABRT
    assert registry(bare) == before
    assert bare.leader() == "c1" and bare.request("join", channels="bob")["ok"]


def test_a_manager_is_destroyed_when_its_coordinator_stops(probes, bare):
    probe = probes.lead(setup="add:one", assign_shard="never")
    bare.ask("join", channels="alice")
    probe.wait_for_call("assign_shard", "alice")
    waiting = probe.ask("wait_until_exit")
    assert not probe.has_answered(waiting)

    assert bare.processes["c1"].stop() == 0

    assert probe.answer(waiting)["error"]
    wait_until(probe.is_gone, 10, "its socket is closed")
    assert bare.processes["c1"].text().count("probe: destroyed") == 1


def test_a_setup_that_fails_ends_the_coordinator_and_leaves_nothing(probes, bare, monkeypatch):
    monkeypatch.delitem(shoal.SETTINGS, "user")  # so that it is chosen, and to be forgotten as well
    probes.begin()
    probes.start(args=["--initial-channels", "alice"], setup="fail:There are not enough shards.")
    bare.start_node("n1")
    process = bare.processes["c1"]
    process.expected_to_end = True

    assert process.wait(30) == 1

    (said,) = [line for line in process.text().splitlines() if line.startswith("shoal-coordinator: ")]
    assert "probe" in said and said.endswith("There are not enough shards.")
    assert bare.shards() == {} and bare.channels() == {}
    assert bare.redis.hgetall(bare.key("config")) == {}
    (event,) = bare.errors()
    assert (event["where"], event["error"]) == ("setup", "There are not enough shards.")

    probe = probes.start("c2", setup="add:one", channels_per_shard=3).connect()
    wait_until(bare.is_set_up, 30, "another one sets it up")
    assert probe("setting", "channels_per_shard")["value"] == "3"
    assert probe("setting", "user")["value"] == USER


def test_a_setup_that_never_ends_is_told_and_tried_again(probes, bare):
    probes.begin()
    probe = probes.start(args=SHORT, setup="never").connect()
    bare.start_node("n1")
    call = probe.wait_for_call("setup")

    told(bare, "setup", late("setup"))
    probe.complete(call, "done")  # too late
    id = bare.redis.xadd(bare.key("requests"), {"op": "join", "channels": "alice"})
    assert bare.answer(id)["waiting"] == {"alice": "The cluster is being set up."}
    assert bare.processes["c1"].is_running() and not bare.is_set_up()
    assert probe.calls("assign_shard") == [] and probe.calls("start") == []

    probe.script("setup", "add:one")
    wait_until(bare.is_set_up, 30, "it is called again, and sets the cluster up")
    wait_until(lambda: bare.joined("alice"), 20, "what was asked for is joined")
    assert len(probe.calls("setup")) >= 2


# Answers that do not come, come late or make no sense


def test_a_join_that_the_manager_does_not_answer_is_refused_in_time(probes, bare):
    probe = probes.lead(SHORT, setup="add:one", assign_shard="never")
    events = bare.subscribe(bare.topic("events"))
    before = settled_registry(bare)

    assert refusal(bare, "alice") == late("assign_shard")

    assert registry(bare) == before
    _, event = events.wait_for(lambda _, text: b"assign_shard" in text, 10, "an error event")
    event = json.loads(event)
    assert (event["event"], event["channel"], event["error"]) == ("error", "alice", late("assign_shard"))
    goes_on(bare, probe)


def test_channels_of_a_request_that_are_decided_do_not_wait_in_vain_for_one_that_is_not(probes, bare):
    probes.lead(SHORT, setup="add:one", assign_shard="shard:one", **{"assign_shard:bob": "never"})

    reply = bare.request("join", channels="alice,bob,carol")

    assert reply["assigned"] == {"alice": "one", "carol": "one"}
    assert reply["refused"] == {"bob": late("assign_shard")}


def test_completing_a_call_late_or_twice_does_no_harm(probes, bare):
    probe = probes.lead(SHORT, setup="add:one,two", assign_shard="never")
    replies = bare.subscribe(bare.topic("replies"))
    refused = bare.ask("join", channels="alice")
    assert not bare.answer(refused)["ok"]

    probe.complete(probe.calls("assign_shard", "alice")[0], "shard:one", "fail:never mind", "least_loaded")
    probe.complete({"call": 0}, "done")
    probe.complete({"call": 10**9}, "shard:one", "done", "fail:x")
    probe.script("assign_shard:bob", "shard:two")
    bob = bare.ask("join", channels="bob")
    assert bare.answer(bob)["assigned"] == {"bob": "two"}
    probe.complete(probe.calls("assign_shard", "bob")[0], "shard:one", "done", "fail:x")
    goes_on(bare, probe)

    assert bare.channels() == {"bob": "two", "goes_on": "one"}
    wait_until(lambda: len(answered(replies, refused, bob)) >= 2, 5, "both replies are heard")
    assert answered(replies, refused, bob) == [refused, bob]


@pytest.mark.parametrize(
    "action, error",
    [
        ("done", "The shard manager answered assign_shard with no shard."),
        ("fail:I do not like it.", "I do not like it."),
        ("fail", "The shard manager gives no reason."),
    ],
)
def test_an_assignment_that_is_none_is_refused_with_the_reason(probes, bare, action, error):
    probe = probes.lead(setup="add:one", assign_shard=action)
    before = settled_registry(bare)

    assert refusal(bare, "alice") == error

    assert registry(bare) == before
    goes_on(bare, probe)


def test_answers_of_the_wrong_kind_are_told_and_end_nothing(probes, bare):
    probe = probes.lead(setup="add:one", assign_shard="shard:one", start="least_loaded", get_sender_shard="done")

    told(bare, "start", "answered start with the least-loaded shard")
    assert bare.request("join", channels="alice")["assigned"] == {"alice": "one"}
    told(bare, "get_sender_shard", "answered get_sender_shard with no shard")
    probe.script("stop", "shard:one")
    assert bare.request("stop")["ok"]
    told(bare, "stop", "answered stop with a shard")
    goes_on(bare, probe)


def test_a_setup_that_names_a_shard_has_failed(probes, bare):
    probes.begin()
    probes.start(setup="shard:one")
    bare.start_node("n1")
    process = bare.processes["c1"]
    process.expected_to_end = True

    assert process.wait(30) == 1

    assert "answered setup with a shard" in process.text()
    assert bare.redis.hgetall(bare.key("config")) == {}


def test_a_stop_that_is_not_completed_is_told_and_a_start_may_take_its_time(probes, bare):
    probe = probes.lead(SHORT, setup="add:one", assign_shard="shard:one", start="never", stop="never")
    probe.wait_for_call("start")
    assert bare.request("stop")["ok"]

    told(bare, "stop", late("stop"))

    assert not [e for e in bare.events("error") if e["where"] == "start"]
    goes_on(bare, probe)


def test_a_manager_sees_who_sends_and_when_shards_were_read_anew(probes, bare):
    probe = probes.lead(setup="add:one,two", assign_shard="shard:one", get_sender_shard="fail:nobody")
    # The first, while nobody decides; both are seen when the view was read anew.
    wait_until(lambda: probe.shard("one")["sender"] == probe("sender")["sender"] == "one", 20, "a sender is seen")
    bare.join("alice")
    before = probe("round")["round"]

    probe.script("get_sender_shard", "shard:two")
    probe.done("add_shard", "three", None)  # shards change: it is asked

    wait_until(lambda: probe.shard("one")["sender"] == "two", 20, "what it decided is what it sees")
    assert probe.shard("three")["sender"] == "three"  # it has no channels
    after = probe("round")["round"]
    assert after > before
    probe.done("add_shard", "four", None)
    wait_until(lambda: probe("sender")["sender"] == "two", 20, "and for channels nobody joined")
    assert probe("round")["round"] > after


def test_a_sender_of_another_user_is_not_written_down_but_told(probes, bare):
    probes.begin()
    helper = named_user(bare)
    probe = probes.start(setup="add:one,two", assign_shard="shard:one").connect()
    bare.start_node("n1")
    bare.join("alice")
    probe.done("add_shard", "theirs", helper)
    before = settled_registry(bare)

    probe.script("get_sender_shard:alice", "shard:theirs")
    probe.done("shard_start", "theirs", "now")  # shards change: it is asked again

    (event, *_) = told(bare, "get_sender_shard", "theirs")
    assert helper in event["error"] and USER in event["error"] and event["channel"] == "alice"
    assert bare.shards()["one"]["sender"] == before["shard:one"]["sender"] == "one"
    assert bare.send("alice", "hello")["status"] == "sent"
    probe.script("get_sender_shard:alice", "shard:two")
    probe.done("shard_stop", "theirs")
    wait_until(lambda: bare.shards()["one"]["sender"] == "two", 20, "a sender of the same user is")


def test_a_sender_that_is_not_named_in_time_leaves_it_as_it_is(probes, bare):
    probe = probes.lead(SHORT, setup="add:one,two", assign_shard="shard:one", get_sender_shard="never")
    bare.join("alice")

    told(bare, "get_sender_shard", late("get_sender_shard"))

    assert bare.shards()["one"]["sender"] == "one"
    goes_on(bare, probe)


def test_a_started_shard_that_no_node_holds_is_stopped_at_once(probes, bare):
    probe = probes.lead(setup="add:one,two", capacity=1)
    homeless = wait_until(
        lambda: len(bare.shards()) == 2 and next((id for id, s in bare.shards().items() if not s["node"]), None),
        20,
        "one has no node",
    )
    wait_until(lambda: bare.shards()[homeless]["run"] == "started", 20, "it was started all the same")

    probe.done("shard_stop", homeless)

    assert probe.shard(homeless)["closing"] is True
    wait_until(lambda: len(bare.sim.control("connections")["connections"]) == 1, 20, "the other one runs on")
    probe.done("stop_all_shards")


# Order


def test_requests_behind_a_join_that_waits_for_the_manager_are_carried_out_in_order(probes, bare):
    probe = probes.lead(setup="add:one", assign_shard="shard:one", **{"assign_shard:alice": "never"})
    replies = bare.subscribe(bare.topic("replies"))

    ids = [
        bare.ask("join", channels="alice"),
        bare.ask("part", channels="alice"),
        bare.ask("join", channels="bob"),
        bare.ask("part", channels="bob"),
        bare.ask("join", channels="bob"),
    ]
    call = probe.wait_for_call("assign_shard", "alice")
    set_id = bare.ask("set", name="idle_shard_ms", value="777")  # administration is a stream apart; it waits too
    assert probe("setting", "idle_shard_ms")["value"] == "60000"
    assert not answered(replies, *ids) and probe.calls("assign_shard", "bob") == []
    probe.complete(call, "shard:one")

    assert all(bare.answer(id)["ok"] for id in [*ids, set_id])
    wait_until(lambda: probe("setting", "idle_shard_ms")["value"] == "777", 10, "the setting")
    wait_until(lambda: len(answered(replies, *ids)) == len(ids), 10, "all replies")
    assert answered(replies, *ids) == ids
    assert bare.channels() == {"bob": "one"}


def test_a_join_whose_leader_dies_while_the_manager_decides_is_answered_once_by_the_next(probes, bare):
    probe = probes.lead(setup="add:one", assign_shard="never", lease_ms=600)
    next_one = probes.stand_by(assign_shard="never", lease_ms=600)
    replies = bare.subscribe(bare.topic("replies"))
    id = bare.ask("join", channels="alice")
    probe.wait_for_call("assign_shard", "alice")

    bare.processes["c1"].kill()
    call = next_one.wait_for_call("assign_shard", "alice")
    assert not answered(replies, id)
    next_one.complete(call, "shard:one")

    assert bare.answer(id)["assigned"] == {"alice": "one"}
    next_one.script("assign_shard:bob", "shard:one")
    after = bare.ask("join", channels="bob")
    assert bare.answer(after)["ok"]
    wait_until(lambda: after in answered(replies, after), 10, "a later reply")
    assert answered(replies, id, after) == [id, after]
    assert len(next_one.calls("assign_shard", "alice")) == 1
    assert bare.redis.xlen(bare.key("requests")) == 0
    wait_until(lambda: bare.joined("alice", "bob"), 20, "they are joined")


def test_a_leader_that_is_deposed_while_the_manager_decides_changes_nothing_any_more(probes, bare):
    probe = probes.lead(setup="add:one,two", assign_shard="never", lease_ms=600)
    next_one = probes.stand_by(assign_shard="shard:two", lease_ms=600)
    replies = bare.subscribe(bare.topic("replies"))
    id = bare.ask("join", channels="alice")
    call = probe.wait_for_call("assign_shard", "alice")

    bare.processes["c1"].pause()
    assert bare.answer(id, 20)["assigned"] == {"alice": "two"}
    bare.processes["c1"].resume()
    probe.complete(call, "shard:one")
    wait_until(lambda: "leader.deposed" in bare.processes["c1"].text(), 10, "it was told")

    assert probe.refused("shard_stop", "one") == "This coordinator does not lead."
    assert bare.request("join", channels="bob")["assigned"] == {"bob": "two"}
    assert bare.channels() == {"alice": "two", "bob": "two"}
    wait_until(lambda: id in answered(replies, id), 10, "its reply")
    assert answered(replies, id) == [id]
    assert next_one.calls("assign_shard", "bob")
