"""The Twitch simulator hands on messages, and limits and refuses them, as Twitch does.

Windows are shortened by options, never waited out in full.
"""

import re
import time

import pytest

from simclient import Chat, commands, notice_ids, only, sim_with, wait_until


def test_a_message_goes_to_everybody_but_the_connection_that_sent_it(sim):
    sim.control("user friend token=t")
    sender, same_user, friend = Chat(sim), Chat(sim), Chat(sim, "friend", "t")
    for chat in (sender, same_user, friend):
        chat.join("a")
    answer = sender.say("a", "hello wörld", "client-nonce=n1;reply-parent-msg-id=p1")
    assert commands(answer) == ["USERSTATE"]
    tags = answer[0].tags
    assert tags["client-nonce"] == "n1" and re.fullmatch(r"[0-9a-f-]{36}", tags["id"])
    heard = [same_user.sync(), friend.sync()]
    assert heard[0] == heard[1] and len(heard[0]) == 1
    line = heard[0][0]
    assert line.prefix == "shoalbot!shoalbot@shoalbot.tmi.twitch.tv"
    assert line.command == "PRIVMSG" and line.text == "hello wörld"
    assert line.tags["id"] == tags["id"] and line.tags["reply-parent-msg-id"] == "p1"
    for tag in ("room-id", "user-id", "tmi-sent-ts", "badges", "color", "display-name", "emotes"):
        assert tag in line.tags
    assert abs(int(line.tags["tmi-sent-ts"]) / 1000 - time.time()) < 60
    assert sender.sync() == []
    entry = sim.control("received a")["messages"][0]
    assert (entry["text"], entry["nonce"], entry["reply_to"]) == ("hello wörld", "n1", "p1")
    assert entry["id"] == tags["id"] and entry["outcome"] == "said"
    connections = sim.control("connections")["connections"]
    assert [c["messages"] for c in connections] == [1, 0, 0]
    assert entry["conn"] == connections[0]["id"]


def test_one_may_send_without_having_joined(sim):
    reader, sender = Chat(sim), Chat(sim)
    reader.join("a")
    assert commands(sender.say("a", "from outside"))[-1] == "USERSTATE"
    assert [line.text for line in reader.sync()] == ["from outside"]


def test_me_is_an_action_and_other_commands_are_unknown(sim):
    sim.control("limit channel-interval=off")
    reader, sender = Chat(sim), Chat(sim)
    reader.join("a")
    sender.say("a", "/me waves")
    sender.say("a", "\x01ACTION bows\x01")
    assert [line.text for line in reader.sync()] == ["\x01ACTION waves\x01", "\x01ACTION bows\x01"]
    assert notice_ids(sender.say("a", "/ban someone")) == ["unrecognized_cmd"]
    assert notice_ids(sender.say("a", ".timeout someone")) == ["unrecognized_cmd"]
    assert reader.sync() == []


@pytest.mark.parametrize(
    "command, answer",
    [
        ("/color red", "color_changed"),
        ("/help", "no_help"),
        ("/mod", "usage_mod"),
        ("/w bob hi", "whisper_restricted"),
        (".clear", "unavailable_command"),
        ("/colors", "unrecognized_cmd"),
    ],
)
def test_commands_are_answered_as_twitch_does(sim, command, answer):
    chat = Chat(sim)
    chat.join("a")
    assert notice_ids(chat.say("a", command)) == [answer]
    assert sim.control.received("a", answer) == [command]


def test_a_text_of_over_500_characters_is_dropped_without_a_word(sim):
    sim.control("limit channel-interval=off")
    reader, sender = Chat(sim), Chat(sim)
    reader.join("a")
    sender.sync()
    sender.say("a", "ä" * 500)
    assert sender.say("a", "ä" * 501) == []
    assert [len(line.text) for line in reader.sync()] == [500]
    assert sim.control.stats()["violations"]["long_text"] == 1


@sim_with("--channel-interval", "400ms")
def test_one_message_a_second_in_a_channel_where_not_moderator(sim):
    sim.control("user shoalbot token=simtoken mod=m")
    chat = Chat(sim)
    assert commands(chat.say("a", "one"))[-1] == "USERSTATE"
    assert notice_ids(chat.say("a", "two")) == ["msg_ratelimit"]
    assert commands(chat.say("b", "other channel")) == ["USERSTATE"]
    assert commands(chat.say("m", "one")) == ["USERSTATE"]
    mod = chat.say("m", "two")
    assert commands(mod) == ["USERSTATE"]
    assert mod[0].tags["mod"] == "1" and mod[0].tags["badges"] == "moderator/1"
    time.sleep(0.45)
    assert commands(chat.say("a", "two")) == ["USERSTATE"]


@sim_with("--message-limit", 3)
def test_a_vip_has_no_pace_and_no_slow_mode_and_the_limits_of_others(sim):
    sim.control("user shoalbot token=simtoken vip=v")
    sim.control("mode v slow=30")
    chat = Chat(sim)
    assert [line.tags["badges"] for line in only(chat.join("v"), "USERSTATE")] == ["vip/1"]
    for i in range(3):
        (state,) = chat.say("v", f"m{i}")
        assert state.command == "USERSTATE" and state.tags["badges"] == "vip/1" and state.tags["mod"] == "0"
    assert chat.say("v", "too much") == []


@sim_with("--channel-interval", "off", "--duplicate-window", "400ms")
def test_the_same_text_again_is_a_duplicate_for_a_while(sim):
    chat = Chat(sim)
    chat.say("a", "same")
    chat.say("a", "between")
    assert notice_ids(chat.say("a", "same")) == ["msg_duplicate"]
    assert commands(chat.say("b", "same")) == ["USERSTATE"]
    time.sleep(0.45)
    assert commands(chat.say("a", "same")) == ["USERSTATE"]
    sim.control("limit duplicate-window=off")
    assert commands(chat.say("a", "same")) == ["USERSTATE"]
    assert sim.control.received("a", "msg_duplicate") == ["same"]


@sim_with("--channel-interval", "off", "--message-limit", 3, "--silence", "600ms",
                 "--message-window", "500ms")  # fmt: skip
def test_a_flood_silences_the_user_for_a_while(sim):
    sender, other, reader = Chat(sim), Chat(sim), Chat(sim)
    reader.join("a", "b")
    sender.sync()
    other.sync()
    for i in range(3):
        assert commands(sender.say("a", f"m{i}")) == ["USERSTATE"]
    assert other.say("b", "over") == []
    assert sender.say("a", "still") == []
    assert [line.text for line in only(reader.sync(), "PRIVMSG")] == ["m0", "m1", "m2"]
    user = sim.control.stats()["users"]["shoalbot"]
    assert user["silenced"] and user["violations"]["messages"] == 2
    assert user["messages"] == {"total": 5, "said": 3, "most": 5, "most_all": 5}
    wait_until(lambda: not sim.control.stats()["users"]["shoalbot"]["silenced"])
    assert commands(sender.say("a", "again")) == ["USERSTATE"]


@sim_with("--message-limit", 2, "--message-limit-moderator", 5)
def test_moderators_have_a_budget_of_their_own(sim):
    sim.control("user shoalbot token=simtoken mod=m1")
    chat = Chat(sim)
    chat.sync()
    assert commands(chat.say("a", "1")) == ["USERSTATE"]
    assert commands(chat.say("b", "2")) == ["USERSTATE"]
    # Both used up both budgets; the moderator's has three left.
    for i in range(2):
        assert commands(chat.say("m1", f"m{i}")) == ["USERSTATE"]
    assert commands(chat.say("shoalbot", "my own")) == ["USERSTATE"]
    assert chat.say("m1", "too much") == []
    assert sim.control.stats()["users"]["shoalbot"]["messages"]["most_all"] == 6


def test_banned_and_timed_out_users_are_told(sim):
    sim.control("user friend token=t")
    chat, friend = Chat(sim), Chat(sim, "friend", "t")
    sim.control("ban a user=shoalbot")
    sim.control("timeout b user=shoalbot s=100")
    assert notice_ids(chat.say("a", "hi")) == ["msg_banned"]
    assert notice_ids(chat.join("a")) == ["msg_banned"]
    assert notice_ids(chat.say("b", "hi")) == ["msg_timedout"]
    assert commands(friend.say("a", "hi"))[-1] == "USERSTATE"
    sim.control("ban a user=shoalbot off")
    assert commands(chat.say("a", "hi")) == ["USERSTATE"]


@sim_with("--channel-interval", "off")
def test_room_modes_are_told_and_enforced(sim):
    chat, reader = Chat(sim), Chat(sim)
    reader.join("a")
    sim.control("mode a slow=30")
    lines = reader.sync()
    assert lines[0].command == "ROOMSTATE" and set(lines[0].tags) == {"room-id", "slow"}
    assert lines[0].tags["slow"] == "30"
    assert notice_ids(lines) == ["slow_on"]
    chat.say("a", "one")
    refused = chat.say("a", "two")
    assert notice_ids(refused) == ["msg_slowmode"] and re.search(r"\d+ seconds", refused[0].text)
    sim.control("mode a slow=0 emote-only=1")
    assert notice_ids(chat.say("a", "three")) == ["msg_emoteonly"]
    sim.control("mode a emote-only=0 subs-only=1")
    assert notice_ids(chat.say("a", "four")) == ["msg_subsonly"]
    sim.control("mode a subs-only=0 followers-only=10")
    assert notice_ids(chat.say("a", "five")) == ["msg_followersonly"]
    late = Chat(sim)
    assert only(late.join("a"), "ROOMSTATE")[0].tags["followers-only"] == "10"


def test_silence_by_command(sim):
    chat, other = Chat(sim), Chat(sim)
    chat.sync()
    ids = [c["id"] for c in sim.control("connections")["connections"]]
    sim.control(f"silence conn={ids[0]} s=60")
    assert chat.say("a", "hi") == []
    assert commands(other.say("a", "hi"))[-1] == "USERSTATE"
    sim.control("silence user=shoalbot s=60")
    assert other.say("b", "hi") == []
