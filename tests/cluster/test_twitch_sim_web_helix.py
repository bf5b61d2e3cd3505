"""The Twitch simulator plays api.twitch.tv: who is who, and messages that are heard as those of IRC are."""

import time

import pytest

from simclient import Chat, commands, only, sim_with
from webclient import LISTEN, Web

SIM = sim_with(*LISTEN)
LIMITS_OFF = sim_with(*LISTEN, "--limits-off")
WRITE = "user:write:chat"
FORBIDDEN = "The sender is not permitted to send chat messages to the broadcaster's chat room."
NOT_VALID = "The request's input was not valid. Please see the endpoint's documentation for possible reasons."
NAMES = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 429: "Too Many Requests"}


class Speaker:
    """A user of the application `bot` (secret `s3cret`), and the id of #room."""

    def __init__(self, sim, scopes=WRITE, login="alice"):
        sim.control("app bot s3cret")
        granted = sim.control(f"grant {login} bot {scopes}")
        self.web = Web(sim)
        self.token, self.id = granted["access_token"], granted["user_id"]
        self.room = self.web.id_of(self.token, "bot", "room")

    def say(self, text, **more):
        token = more.pop("token", self.token)
        return self.web.say(token, "bot", more.pop("room", self.room), self.id, text, **more)


@pytest.fixture
def alice(sim):
    return Speaker(sim)


def is_refused(answer, status, message):
    assert answer.json["error"] == NAMES[status]
    return (answer.status, answer.json["status"], answer.message) == (status, status, message)


def outcome(answer):
    """"said", or the code of why not."""
    assert answer.status == 200
    data = answer.json["data"][0]
    assert data["is_sent"] == bool(data["message_id"]) == (data["drop_reason"] is None)
    return "said" if data["is_sent"] else data["drop_reason"]["code"]


@SIM
def test_users_are_found_by_login_and_by_id_and_their_ids_are_those_of_chat(sim, alice):
    chat = Chat(sim)
    state = only(chat.join("room"), "ROOMSTATE")[0]
    found = alice.web.users(alice.token, "bot", f"?login=room&id={alice.id}&login=SHOALBOT").json["data"]
    assert [user["login"] for user in found] == ["room", "alice", "shoalbot"]
    assert found[0]["id"] == state.tags["room-id"] == alice.room
    assert found[2]["display_name"] == "Shoalbot"
    assert int(found[2]["id"]) == sim.control.stats()["users"]["shoalbot"]["id"]


@SIM
def test_users_that_do_not_exist_are_left_out(sim, alice):
    for state in ("missing", "suspended", "tos"):
        sim.control(f"channel {state} state={state}")
    found = alice.web.users(alice.token, "bot", "?login=missing&login=new&login=suspended&login=tos&id=1").json["data"]
    assert [user["login"] for user in found] == ["new"]


@SIM
def test_without_parameters_it_is_the_user_of_the_token(alice):
    assert [u["id"] for u in alice.web.users(alice.token, "bot").json["data"]] == [alice.id]
    app = alice.web.app_token("bot", "s3cret").json["access_token"]
    assert alice.web.users(app, "bot").status == 400
    assert alice.web.users(app, "bot", "?login=alice").json["data"][0]["id"] == alice.id


@SIM
def test_a_hundred_users_may_be_asked_for_and_no_more(alice):
    logins = [f"somebody_with_a_long_na{i:02}" for i in range(100)]
    query = "?" + "&".join(f"login={login}" for login in logins)
    assert [u["login"] for u in alice.web.users(alice.token, "bot", query).json["data"]] == logins
    assert alice.web.users(alice.token, "bot", query + "&id=1").status == 400


@SIM
@pytest.mark.parametrize("query", ["?login=a%20b", "?login=%23a", "?login=", "?id=x", "?id=", f"?login={'a' * 26}"])
def test_what_can_be_no_user_is_400(alice, query):
    answer = alice.web.users(alice.token, "bot", query)
    assert is_refused(answer, 400, "Invalid username(s), email(s), or ID(s). Bad Identifiers.")


@SIM
def test_helix_wants_a_good_token_and_the_client_it_was_made_for(sim, alice):
    sim.control("app other x")
    ask = lambda **headers: alice.web.ask("GET", "/helix/users", **headers)  # noqa: E731
    bearer = f"Bearer {alice.token}"
    assert is_refused(ask(client_id="bot"), 401, "OAuth token is missing")
    assert is_refused(ask(authorization=bearer), 401, "Client ID is missing")
    assert is_refused(ask(authorization="Bearer x", client_id="bot"), 401, "Invalid OAuth token")
    mismatch = "Client ID and OAuth token do not match"
    assert is_refused(ask(authorization=bearer, client_id="other"), 401, mismatch)
    assert ask(authorization="Bearer simtoken", client_id="simulator").status == 200
    sim.control("token expire alice")
    assert is_refused(ask(authorization=bearer, client_id="bot"), 401, "Invalid OAuth token")


@sim_with(*LISTEN, "--helix-limit", "60")
def test_points_are_of_a_client_and_a_user_and_every_answer_tells_them(sim, alice):
    left = [int(alice.web.users(alice.token, "bot").headers["ratelimit-remaining"]) for _ in range(3)]
    assert left[0] - left[2] == 2 and left[0] < 60
    sim.control("limit helix-limit=3")
    answers = [alice.web.users(alice.token, "bot") for _ in range(4)]
    assert is_refused(answers[3], 429, "Too many requests")
    assert answers[3].headers["ratelimit-limit"] == "3" and answers[3].headers["ratelimit-remaining"] == "0"
    assert 0 < int(answers[3].headers["ratelimit-reset"]) - time.time() <= 61
    other = sim.control("grant bob bot chat:read")["access_token"]
    for answer in (alice.web.users(other, "bot"), alice.web.users("x", "bot"), alice.say("x", token=other)):
        assert answer.status != 429
        assert {"ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"} <= set(answer.headers)
    sim.control("limit helix-limit=6000")
    time.sleep(0.05)
    assert alice.web.users(alice.token, "bot").status == 200
    assert "ratelimit-limit" in alice.web.ask("GET", "/helix/nothing").headers


@SIM
def test_a_fault_that_is_429_tells_when_there_are_points_again(sim, alice):
    sim.control("http /helix/users status=429,retry=30")
    headers = alice.web.users(alice.token, "bot").headers
    assert (headers["ratelimit-remaining"], headers["retry-after"]) == ("0", "30")
    assert 29 <= int(headers["ratelimit-reset"]) - time.time() <= 31


@SIM
def test_a_message_is_heard_by_all_in_the_room_also_by_its_sender(sim, alice):
    sim.control("user alice token=own")
    reader, own, elsewhere = Chat(sim), Chat(sim, "alice", "own"), Chat(sim)
    for chat, room in ((reader, "room"), (own, "room"), (elsewhere, "other")):
        chat.join(room)
    said = alice.say("hello wörld").json["data"][0]
    assert said["is_sent"] and said["drop_reason"] is None
    heard = [reader.sync(), own.sync()]
    assert heard[0] == heard[1] and commands(heard[0]) == ["PRIVMSG"] and elsewhere.sync() == []
    line = heard[0][0]
    assert line.prefix == "alice!alice@alice.tmi.twitch.tv" and line.text == "hello wörld"
    assert (line.tags["id"], line.tags["user-id"]) == (said["message_id"], alice.id)
    assert line.tags["room-id"] == alice.room
    entry = sim.control("received room")["messages"][0]
    assert (entry["id"], entry["user"], entry["outcome"], entry["conn"]) == (said["message_id"], "alice", "said", 0)


@LIMITS_OFF
def test_a_reply_names_the_message_it_answers(sim, alice):
    reader = Chat(sim)
    reader.join("room")
    parent = alice.say("first").json["data"][0]["message_id"]
    assert outcome(alice.say("second", reply_parent_message_id=parent)) == "said"
    assert reader.sync()[1].tags["reply-parent-msg-id"] == parent
    answer = alice.say("third", reply_parent_message_id="1;mod=1 x")
    assert is_refused(answer, 400, "The request's input was not valid. Message cannot be replied to.")


@LIMITS_OFF
def test_commands_are_stripped_and_me_is_an_action(sim, alice):
    reader = Chat(sim)
    reader.join("room")
    assert outcome(alice.say("/me waves")) == "said"
    assert outcome(alice.say(".ban somebody")) == "said"
    for text in ("/ban", "/", "/me", ".  "):
        assert outcome(alice.say(text)) == "msg_rejected"
    assert [line.text for line in reader.sync()] == ["\x01ACTION waves\x01", "somebody"]


@LIMITS_OFF
def test_no_control_character_gets_into_a_line(sim, alice):
    reader = Chat(sim)
    reader.join("room")
    assert outcome(alice.say("a\r\nPRIVMSG #room :b\x01\t\x00c")) == "said"
    assert [line.text for line in reader.sync()] == ["a  PRIVMSG #room :b  "]


@LIMITS_OFF
@pytest.mark.parametrize("text", ["", "x" * 501, "ö" * 501])
def test_an_empty_and_a_too_long_message_are_400(sim, alice, text):
    answer = alice.say(text)
    assert is_refused(answer, 400, NOT_VALID if text else 'The parameter "message" was missing or empty.')
    assert outcome(alice.say(text[:500] or "x")) == "said"
    assert sim.control.received("room", "said") == [text[:500] or "x"]


@SIM
@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'{"broadcaster_id":1}', b"\xff\xfe", b"[" * 5000, b'{"message":{}}', b"\0"]
)
def test_a_body_that_is_no_message_is_400(alice, body):
    answer = alice.web.ask("POST", "/helix/chat/messages", body, authorization=f"Bearer {alice.token}", client_id="bot")
    assert answer.status == 400 and "ratelimit-limit" in answer.headers
    body = b'{"broadcaster_id":"%s","sender_id":"%s","message":"\xff\xc3"}' % (alice.room.encode(), alice.id.encode())
    answer = alice.web.ask("POST", "/helix/chat/messages", body, authorization=f"Bearer {alice.token}", client_id="bot")
    assert is_refused(answer, 400, NOT_VALID)


@SIM
def test_ids_of_nobody_are_400(sim, alice):
    assert is_refused(alice.say("a", room="1"), 400, "The ID in broadcaster_id is not valid.")
    assert is_refused(alice.say("a", room="x"), 400, "The ID in broadcaster_id is not valid.")
    answer = alice.web.say(alice.token, "bot", alice.room, alice.room, "a")
    assert is_refused(answer, 400, "The ID in sender_id is not valid.")
    for state in ("missing", "suspended", "tos"):
        sim.control(f"channel room state={state}")
        assert is_refused(alice.say("a"), 400, "The ID in broadcaster_id is not valid.")


@SIM
def test_a_user_token_needs_the_scope_and_speaks_for_its_user_alone(sim, alice):
    poor = sim.control("grant alice bot chat:read,chat:edit")["access_token"]
    assert is_refused(alice.say("a", token=poor), 401, "Missing scope: user:write:chat")
    other = sim.control(f"grant bob bot {WRITE}")["access_token"]
    assert alice.say("a", token=other).status == 401
    assert sim.control.received("room") == []


@LIMITS_OFF
def test_an_app_token_needs_the_sender_and_the_channel_or_a_moderator(sim, alice):
    app = alice.web.app_token("bot", "s3cret").json["access_token"]
    assert is_refused(alice.say("a", token=app), 401, "Missing scope: user:bot")
    sim.control("grant alice bot user:bot")
    assert is_refused(alice.say("a", token=app), 403, FORBIDDEN)
    sim.control("app other x")
    sim.control("grant room other channel:bot")
    assert alice.say("a", token=app).status == 403
    sim.control("grant room bot channel:bot")
    assert outcome(alice.say("by the channel", token=app)) == "said"
    sim.control("revoke room")
    assert alice.say("b", token=app).status == 403
    sim.control("user alice token=t mod=room")
    assert outcome(alice.say("as moderator", token=app)) == "said"
    sim.control("revoke alice")
    assert alice.say("c", token=app).status == 401
    assert sim.control.received("room", "said") == ["by the channel", "as moderator"]


@LIMITS_OFF
def test_bans_are_403_and_a_timeout_drops(sim, alice):
    sim.control("timeout room user=alice s=60")
    answer = alice.say("a")
    assert outcome(answer) == "user_timed_out"
    reason = answer.json["data"][0]["drop_reason"]["message"]
    assert reason == "You are timed out from talking in the room."
    sim.control("timeout room user=alice s=0")
    assert outcome(alice.say("b")) == "said"
    sim.control("ban room user=alice")
    assert is_refused(alice.say("c"), 403, FORBIDDEN)
    sim.control("ban room user=alice off")
    sim.control("channel room state=banned")
    assert is_refused(alice.say("d"), 403, FORBIDDEN)


@LIMITS_OFF
@pytest.mark.parametrize(
    "mode, code",
    [("slow=30", "msg_slowmode"), ("subs-only=1", "msg_subsonly"), ("emote-only=1", "msg_emoteonly"),
     ("followers-only=10", "msg_followersonly")],
)  # fmt: skip
def test_room_modes_drop_what_is_said_but_for_moderators(sim, alice, mode, code):
    assert outcome(alice.say("before")) == "said"
    sim.control(f"mode room {mode}")
    assert outcome(alice.say("a")) == code
    sim.control("user alice token=t mod=room")
    assert outcome(alice.say("b")) == "said"


@SIM
def test_what_is_said_too_fast_or_twice_is_dropped_also_across_irc(sim, alice):
    sim.control("user alice token=own")
    chat = Chat(sim, "alice", "own")
    chat.say("room", "over irc")
    assert outcome(alice.say("at once")) == "msg_ratelimit"
    sim.control("limit channel-interval=off")
    assert outcome(alice.say("over irc")) == "msg_duplicate"
    assert outcome(alice.say("over helix")) == "said"
    assert [line.tags["msg-id"] for line in only(chat.say("room", "over helix"), "NOTICE")] == ["msg_duplicate"]


@sim_with(*LISTEN, "--message-limit", "2", "--channel-interval", "off")
def test_the_message_budget_is_that_of_irc_and_silences(sim, alice):
    sim.control("user alice token=own")
    chat = Chat(sim, "alice", "own")
    assert outcome(alice.say("1")) == outcome(alice.say("2")) == "said"
    assert outcome(alice.say("3")) == outcome(alice.say("4")) == "msg_ratelimit"
    assert chat.say("room", "5") == []
    assert [m["outcome"] for m in sim.control("received room")["messages"]][2:] == ["message_limit"] * 3


@LIMITS_OFF
def test_a_user_that_is_silenced_is_told_that_it_is_too_fast(sim, alice):
    sim.control("silence user=alice s=60")
    assert outcome(alice.say("a")) == "msg_ratelimit"
    assert [m["outcome"] for m in sim.control("received room")["messages"]] == ["silenced"]
