"""The Twitch simulator answers joins and limits them as Twitch does.

Windows are shortened by options, never waited out in full.
"""

import time

import pytest

from simclient import Chat, commands, notice_ids, only, sim_with


def test_a_join_is_answered_with_echo_names_userstate_and_roomstate(sim):
    chat = Chat(sim)
    chat.sync()
    lines = chat.join("Foo")
    assert commands(lines) == ["JOIN", "353", "366", "USERSTATE", "ROOMSTATE"]
    assert lines[0] == ":shoalbot!shoalbot@shoalbot.tmi.twitch.tv JOIN #foo"
    assert lines[1] == ":shoalbot.tmi.twitch.tv 353 shoalbot = #foo :shoalbot"
    state = lines[4].tags
    assert set(state) == {
        "emote-only",
        "followers-only",
        "r9k",
        "room-id",
        "slow",
        "subs-only",
    }
    assert state["followers-only"] == "-1" and state["room-id"].isdigit()
    assert chat.join("foo") == []  # already there
    chat.send("PART #foo")
    assert chat.sync() == [":shoalbot!shoalbot@shoalbot.tmi.twitch.tv PART #foo"]
    stats = sim.control.stats()
    assert stats["users"]["shoalbot"]["rooms"] == {"now": 0, "most": 1, "with_moderated": 0}


def test_without_capabilities_there_are_no_tags_and_no_commands(sim):
    chat = Chat(sim, caps=None)
    assert commands(chat.join("a")) == ["JOIN", "353", "366"]
    sender = Chat(sim)
    sender.say("a", "hi")
    assert chat.sync() == [":shoalbot!shoalbot@shoalbot.tmi.twitch.tv PRIVMSG #a :hi"]


@sim_with("--join-limit", 5, "--join-window", "600ms")
def test_too_many_joins_close_the_connection(sim):
    chat = Chat(sim)
    chat.join("a", "b", "c")
    other = Chat(sim)
    other.join("d", "e")  # the limit is the user's, not the connection's
    chat.send("JOIN #f")
    chat.expect_closed(5)
    stats = sim.control.stats()
    assert stats["violations"]["joins"] == 1
    assert stats["users"]["shoalbot"]["joins"] == {"total": 6, "ok": 5, "most": 6}
    time.sleep(0.65)
    assert commands(other.join("g"))[0] == "JOIN"


@sim_with("--join-limit", 2, "--join-limit-verified", 6, "--verified")
def test_a_verified_user_has_the_larger_limit(sim):
    chat = Chat(sim)
    assert commands(chat.join(*"abcdef")).count("ROOMSTATE") == 6
    chat.send("JOIN #g")
    chat.expect_closed(5)


@sim_with("--room-limit", 3)
def test_rooms_over_the_limit_get_a_notice_and_moderated_ones_do_not_count(sim):
    sim.control("user shoalbot token=simtoken mod=m1,m2")
    chat = Chat(sim)
    chat.join("m1", "m2", "a", "b")
    second = Chat(sim)
    assert commands(second.join("c"))[0] == "JOIN"
    assert notice_ids(second.join("d")) == ["msg_concurrent_channel_limit_reached"]
    assert commands(second.join("a"))[0] == "JOIN"  # the user is in it already
    rooms = sim.control.stats()["users"]["shoalbot"]
    assert rooms["rooms"] == {"now": 3, "most": 3, "with_moderated": 5}
    assert rooms["violations"]["rooms"] == 1
    chat.send("PART #b")
    chat.sync()
    assert commands(second.join("d"))[0] == "JOIN"


@sim_with("--room-limit", 3)
def test_rooms_of_an_anonymous_reader_are_not_limited(sim):
    chat = Chat(sim, "justinfan12345", None)
    assert commands(chat.join(*"abcdef")).count("ROOMSTATE") == 6
    assert sim.control.stats()["violations"]["rooms"] == 0


@pytest.mark.parametrize(
    "state, answer",
    [
        ("banned", ["msg_banned"]),
        ("suspended", ["msg_channel_suspended"]),
        ("tos", ["tos_ban"]),
        ("missing", []),
    ],
)
def test_rooms_that_cannot_be_joined_answer_as_twitch_does(sim, state, answer):
    chat = Chat(sim)
    chat.sync()
    sim.control(f"channel gone state={state}")
    lines = chat.join("gone")
    assert commands(lines) == ["NOTICE"] * len(answer) and notice_ids(lines) == answer
    assert notice_ids(chat.say("gone", "hello")) == answer
    sim.control("channel gone state=ok")
    assert commands(chat.join("gone"))[0] == "JOIN"


def test_membership_tells_of_others(sim):
    sim.control("user friend token=t")
    chat = Chat(sim, caps="twitch.tv/membership twitch.tv/tags twitch.tv/commands")
    chat.join("a")
    friend = Chat(sim, "friend", "t")
    friend.join("a")
    assert chat.sync() == [":friend!friend@friend.tmi.twitch.tv JOIN #a"]
    third = Chat(sim, caps="twitch.tv/membership")
    assert only(third.join("a"), "353")[0].text == "shoalbot friend"
    assert chat.sync() == []  # the same user again is no news
    friend.close()
    assert chat.expect("PART") == ":friend!friend@friend.tmi.twitch.tv PART #a"
