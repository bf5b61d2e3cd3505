"""The Twitch simulator does what Twitch does: logins, joins, messages, and their limits.

Windows are shortened by options, never waited out in full.
"""

import re
import ssl
import subprocess
import time

import pytest

from simclient import Chat, Sim, commands, notice_ids, only, sim_with, wait_until


# Logging in


def test_a_login_is_welcomed_in_twitchs_words(sim):
    chat = Chat(sim, login=None)
    chat.send("CAP REQ :twitch.tv/tags twitch.tv/commands twitch.tv/membership")
    chat.send("PASS oauth:simtoken")
    chat.send("NICK ShoalBot")
    lines = [chat.next() for _ in range(9)]
    assert lines[0] == (
        ":tmi.twitch.tv CAP * ACK :twitch.tv/tags twitch.tv/commands twitch.tv/membership"
    )
    assert commands(lines[1:8]) == ["001", "002", "003", "004", "375", "372", "376"]
    assert lines[1] == ":tmi.twitch.tv 001 shoalbot :Welcome, GLHF!"
    assert lines[8].command == "GLOBALUSERSTATE" and lines[8].tags["user-id"].isdigit()


def test_unknown_capabilities_are_refused_whole(sim):
    chat = Chat(sim, login=None)
    chat.send("CAP REQ :twitch.tv/tags example.com/nonsense")
    assert chat.next().startswith(":tmi.twitch.tv CAP * NAK :")
    chat.login("shoalbot", "simtoken", caps=None)
    assert all(not line.tags for line in chat.join("a"))


@pytest.mark.parametrize(
    "lines, notice",
    [
        (["PASS oauth:wrong", "NICK shoalbot"], "Login authentication failed"),
        (["PASS oauth:simtoken", "NICK nobody"], "Login authentication failed"),
        (["PASS simtoken", "NICK shoalbot"], "Improperly formatted auth"),
        (["PASS oauth:", "NICK shoalbot"], "Improperly formatted auth"),
        (["NICK shoalbot"], "Improperly formatted auth"),
        (["PASS oauth:simtoken", "NICK sh!oal"], "Invalid NICK"),
    ],
)
def test_a_bad_login_gets_a_notice_and_is_closed(sim, lines, notice):
    chat = Chat(sim, login=None)
    for line in lines:
        chat.send(line)
    assert chat.expect_closed(5) == [f":tmi.twitch.tv NOTICE * :{notice}"]
    stats = sim.control.stats()
    assert stats["logins"] == {"ok": 0, "refused": 1}


def test_a_revoked_token_is_refused_until_it_is_given_again(sim):
    sim.control("revoke shoalbot")
    chat = Chat(sim, login=None)
    chat.send("PASS oauth:simtoken")
    chat.send("NICK shoalbot")
    assert chat.expect_closed(5)[0].text == "Login authentication failed"
    sim.control("user shoalbot token=other")
    Chat(sim, token="other")


def test_anonymous_users_read_only(sim):
    sim.control("user shoalbot token=simtoken")
    reader = Chat(sim, "justinfan123", token=None)
    joined = reader.join("a")
    assert commands(joined) == ["JOIN", "353", "366", "ROOMSTATE"]
    other = Chat(sim)
    other.join("a")
    reader.say("a", "not heard")
    other.say("a", "heard")
    assert [line.text for line in only(reader.sync(), "PRIVMSG")] == ["heard"]
    assert only(other.sync(), "PRIVMSG") == []
    assert sim.control.received("a") == ["heard"]


@sim_with("--login-limit", 3, "--login-window", "700ms")
def test_logins_over_the_limit_are_refused_until_the_window_slides(sim):
    for _ in range(3):
        Chat(sim)
    chat = Chat(sim, login=None)
    chat.send("PASS oauth:simtoken")
    chat.send("NICK shoalbot")
    assert chat.expect_closed(5) == [":tmi.twitch.tv NOTICE * :Login unsuccessful"]
    stats = sim.control.stats()
    assert stats["violations"]["logins"] == 1
    assert stats["users"]["shoalbot"]["logins"]["most"] == 4
    time.sleep(0.75)
    Chat(sim)


@sim_with("--login-limit", "off")
def test_the_login_limit_can_be_switched_off(sim):
    for _ in range(25):
        Chat(sim).close()
    assert sim.control.stats()["users"]["shoalbot"]["logins"]["most"] == 25


# Joining


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


# Speaking


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


# The program


def test_tls_works_and_is_marked(tmp_path):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-keyout", key, "-out", cert],
        check=True, capture_output=True,
    )  # fmt: skip
    with Sim("--tls-listen", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key) as sim:
        context = ssl.create_default_context(cafile=cert)
        chat = Chat(sim, tls=context)
        chat.join("a")
        sim.control("generate count=5000")
        sim.control("wait generate")
        assert len(chat.sync()) == 5000
        assert [c["tls"] for c in sim.control("connections")["connections"]] == [True]
        assert len(Chat(sim).join("a")) > 0


def test_users_come_from_a_file(tmp_path):
    users = tmp_path / "users"
    users.write_text("# accounts\nalice oauth:ta verified\nbob tb mod=room,alice # helper\n\n")
    with Sim("--users", users) as sim:
        Chat(sim, "alice", "ta")
        bob = Chat(sim, "bob", "tb")
        assert only(bob.join("room"), "USERSTATE")[0].tags["mod"] == "1"
        assert sim.control.stats()["users"]["alice"]["verified"]
        chat = Chat(sim, login=None)
        chat.send("PASS oauth:simtoken")
        chat.send("NICK shoalbot")
        assert chat.expect_closed(3)[0].text == "Login authentication failed"


def test_a_shared_configuration_file_is_no_error(tmp_path):
    config = tmp_path / "shoal.conf"
    config.write_text("redis_url = redis://127.0.0.1:1\ncoalesce = 4\n")
    with Sim("--config", config) as sim:
        Chat(sim)


def test_many_clients_come_and_go_while_everything_goes_wrong():
    with Sim("--limits-off", "--queue-bytes", "32k") as sim:
        for turn in range(12):
            chats = [Chat(sim) for _ in range(6)]
            for chat in chats:
                chat.send("JOIN #a,#b")
            for command in ("lag random=2 ms=20", "swap random=2 on", "generate count=500",
                            "slow random=1 write=5000", "half-open random=1", "garbage random=1",
                            "longline random=1", "disconnect random=1 how=reset",
                            "reconnect random=1 ms=10", "pause random=2 ms=30"):  # fmt: skip
                sim.control(command)
            for chat in chats[::2]:
                chat.close()
            if turn % 4 == 3:
                sim.control("disconnect all how=reset")
                wait_until(lambda: sim.control.stats()["connections"]["closing"] == 0)
        sim.control("stop")
        sim.control("wait connections=0")
        assert sim.control.stats()["channels_joined"] == 0


def test_bad_commands_get_an_error_and_do_no_harm(sim):
    keep = Chat(sim)
    for command in ("nonsense", "disconnect", "inject", "limit x=1", "limit join-limit=abc",
                    "channel a state=odd", "wait", "wait nothing", "ban a user=nobody",
                    "garbage all kind=odd", "mode a odd=1"):  # fmt: skip
        answer = sim.control(command, check=False)
        assert not answer["ok"] and answer["error"], command
    assert not sim.control("wait connections=77 ms=50", check=False)["ok"]
    assert "generate" in sim.control("help")["commands"]
    keep.sync()


@pytest.mark.parametrize(
    "args, message",
    [
        (["--listen", "0.0.0.0:0"], "127.0.0.0/8"),
        (["--listen", "127.nowhere:0"], "127.0.0.0/8"),
        (["--listen", "nonsense"], "nonsense"),
        (["--join-limit", "many"], "join-limit"),
        (["--users", "/nonexistent/file"], "/nonexistent/file"),
        (["--tls-listen", "127.0.0.1:0"], "--tls-cert"),
        (["--rate", "fast"], "--rate"),
    ],
)
def test_wrong_usage_is_one_clear_message(args, message):
    from simclient import bin_dir

    done = subprocess.run(
        [bin_dir() / "tests" / "twitch-sim", *args], capture_output=True, text=True, timeout=20
    )
    assert done.returncode in (1, 2)
    assert message in done.stderr and "Sanitizer" not in done.stderr


def test_tokens_are_not_logged():
    with Sim("--log-level", "debug") as sim:
        Chat(sim)
        sim.control("user x token=verysecret")
        log = sim.log_path.read_text()
    assert "simtoken" not in log and "verysecret" not in log


def test_many_connections_in_one_process():
    with Sim("--limits-off") as sim:
        chats = [Chat(sim, f"justinfan{i}", token=None, timeout=30) for i in range(300)]
        for i, chat in enumerate(chats):
            chat.send(f"JOIN #room{i % 10},#all")
        sim.control("wait members=all:300")
        assert sim.control("inject all line=:x!x@x PRIVMSG #all :hi")["heard"] == 300
        for chat in chats:
            chat.expect(lambda line: line.text == "hi")
        stats = sim.control.stats()
        assert stats["channels"]["all"]["sent"] == 1 and stats["connections"]["logged_in"] == 300
