"""The Twitch simulator takes and refuses logins as Twitch does.

Windows are shortened by options, never waited out in full.
"""

import time

import pytest

from simclient import Chat, commands, only, sim_with


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
