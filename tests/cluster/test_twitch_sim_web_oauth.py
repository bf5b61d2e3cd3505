"""The Twitch simulator plays id.twitch.tv: tokens are validated, refreshed, granted by device, and revoked."""

import hashlib
import time

import pytest

from simclient import Chat, Closed, Sim, sim_with
from webclient import LISTEN, Web

SIM = sim_with(*LISTEN)
FAST = sim_with(*LISTEN, "--device-interval", "200ms")


@pytest.fixture
def web(sim):
    """A confidential application `bot` (secret `s3cret`) and a public one, `pub`."""
    sim.control("app bot s3cret")
    sim.control("app pub public")
    return Web(sim)


def is_refused(answer, status, message):
    return (answer.status, answer.json["status"], answer.message) == (status, status, message)


@SIM
def test_a_token_is_validated_with_either_word_before_it(sim, web):
    tokens = sim.control("grant Alice bot chat:read,user:write:chat")
    for scheme in ("OAuth", "Bearer", "bearer"):
        answer = web.validate(tokens["access_token"], scheme)
        assert answer.status == 200
        assert answer.json == {
            "client_id": "bot", "login": "alice", "user_id": tokens["user_id"],
            "scopes": ["chat:read", "user:write:chat"], "expires_in": 14400,
        }  # fmt: skip


@SIM
def test_a_token_that_is_missing_or_unknown_is_401(web):
    assert is_refused(web.ask("GET", "/oauth2/validate"), 401, "missing authorization token")
    assert is_refused(web.ask("GET", "/oauth2/validate", authorization="Basic x"), 401, "missing authorization token")
    assert is_refused(web.validate("nonsense"), 401, "invalid access token")
    assert is_refused(web.validate("x" * 5000), 401, "invalid access token")


@SIM
def test_the_token_of_a_users_file_never_ends_unless_it_is_made_to(sim, web):
    answer = web.validate("simtoken").json
    assert (answer["login"], answer["client_id"], answer["expires_in"]) == ("shoalbot", "simulator", 0)
    sim.control("token ttl 1")
    assert web.validate("simtoken").status == 200
    assert sim.control("token expire simtoken")["ended"] == 1
    assert web.validate("simtoken").status == 401
    sim.control("user shoalbot token=simtoken")
    assert web.validate("simtoken").status == 200


@SIM
def test_an_app_token_is_validated_without_a_user(web):
    tokens = web.app_token("bot", "s3cret").json
    assert set(tokens) == {"access_token", "expires_in", "token_type"}
    assert tokens["expires_in"] > 1_000_000 and tokens["token_type"] == "bearer"
    answer = web.validate(tokens["access_token"]).json
    assert (answer["client_id"], answer["scopes"]) == ("bot", [])
    assert "login" not in answer and "user_id" not in answer


@SIM
def test_a_confidential_refresh_token_stays_and_refreshing_ends_nothing_else(sim, web):
    first = sim.control("grant alice bot chat:read,chat:edit")
    second = web.refresh("bot", first["refresh_token"], client_secret="s3cret").json
    third = web.refresh("bot", first["refresh_token"], client_secret="s3cret").json
    assert second["refresh_token"] == third["refresh_token"] == first["refresh_token"]
    assert second["scope"] == ["chat:read", "chat:edit"] and second["token_type"] == "bearer"
    assert second["expires_in"] == 14400
    assert len({first["access_token"], second["access_token"], third["access_token"]}) == 3
    for tokens in (first, second, third):
        assert web.validate(tokens["access_token"]).status == 200


@SIM
def test_a_public_refresh_token_can_be_used_once(sim, web):
    first = sim.control("grant alice pub chat:read")
    second = web.refresh("pub", first["refresh_token"]).json
    assert second["refresh_token"] != first["refresh_token"]
    assert is_refused(web.refresh("pub", first["refresh_token"]), 400, "Invalid refresh token")
    assert web.refresh("pub", second["refresh_token"]).status == 200
    assert web.validate(first["access_token"]).status == 200


@SIM
def test_a_refresh_by_the_wrong_client_or_with_the_wrong_secret_is_refused(sim, web):
    token = sim.control("grant alice bot chat:read")["refresh_token"]
    assert is_refused(web.refresh("nobody", token), 400, "invalid client")
    assert is_refused(web.refresh("bot", token), 400, "missing client secret")
    assert is_refused(web.refresh("bot", token, client_secret="s3cre"), 403, "invalid client secret")
    assert is_refused(web.refresh("pub", token), 400, "Invalid refresh token")
    assert is_refused(web.refresh("bot", "nonsense", client_secret="s3cret"), 400, "Invalid refresh token")
    assert web.refresh("bot", token, client_secret="s3cret").status == 200


@SIM
@pytest.mark.parametrize(
    "path, fields, message",
    [
        ("/oauth2/token", {}, "missing client id"),
        ("/oauth2/token", {"client_id": "bot"}, "missing grant type"),
        ("/oauth2/token", {"client_id": "bot", "grant_type": "password"}, "invalid grant type"),
        ("/oauth2/token", {"client_id": "bot", "grant_type": "refresh_token"}, "missing refresh token"),
        ("/oauth2/token", {"client_id": "bot", "grant_type": "client_credentials"}, "missing client secret"),
        ("/oauth2/token", {"client_id": "bot", "grant_type": "urn:ietf:params:oauth:grant-type:device_code"},
         "missing device code"),
        ("/oauth2/device", {}, "missing client id"),
        ("/oauth2/device", {"client_id": "bot"}, "missing scopes"),
        ("/oauth2/device", {"client_id": "nobody", "scopes": "a"}, "invalid client"),
        ("/oauth2/revoke", {"token": "x"}, "missing client id"),
        ("/oauth2/revoke", {"client_id": "bot"}, "missing oauth token"),
    ],
)  # fmt: skip
def test_what_is_missing_is_named(web, path, fields, message):
    assert is_refused(web.form(path, **fields), 400, message)


@SIM
def test_parameters_may_come_in_the_query(sim, web):
    sim.control("app odd s+%3d&")
    answer = web.ask("POST", "/oauth2/token?client_id=odd&client_secret=s%2B%253d%26&grant_type=client_credentials")
    assert answer.status == 200


@SIM
def test_app_tokens_need_the_secret_and_public_clients_get_none(web):
    assert is_refused(web.app_token("bot", "wrong"), 403, "invalid client secret")
    assert is_refused(web.app_token("pub", "x"), 403, "invalid client secret")
    assert is_refused(web.app_token("nobody", "x"), 400, "invalid client")


@FAST
def test_a_device_code_gives_tokens_once_the_user_agrees(sim, web):
    asked = web.device("pub", "chat:read  chat:edit").json
    assert asked["expires_in"] == 1800 and asked["interval"] == 1 and len(asked["user_code"]) == 8
    assert asked["verification_uri"].endswith(asked["user_code"])
    assert is_refused(web.poll("pub", asked["device_code"]), 400, "authorization_pending")
    sim.control(f"device allow {asked['user_code']} alice")
    time.sleep(0.25)
    tokens = web.poll("pub", asked["device_code"]).json
    assert tokens["scope"] == ["chat:read", "chat:edit"]
    assert web.validate(tokens["access_token"]).json["login"] == "alice"
    assert web.refresh("pub", tokens["refresh_token"]).status == 200
    assert is_refused(web.poll("pub", asked["device_code"]), 400, "invalid device code")


@FAST
def test_looking_for_a_device_code_too_often_is_slow_down(web):
    code = web.device("bot").json["device_code"]
    assert web.poll("bot", code).message == "authorization_pending"
    assert is_refused(web.poll("bot", code), 400, "slow_down")
    time.sleep(0.25)
    assert web.poll("bot", code).message == "authorization_pending"


@FAST
def test_a_user_may_refuse_a_device_code(sim, web):
    asked = web.device("bot").json
    sim.control(f"device deny {asked['user_code']}")
    assert is_refused(web.poll("bot", asked["device_code"]), 400, "access_denied")
    assert not sim.control(f"device allow {asked['user_code']} alice", check=False)["ok"]


@sim_with(*LISTEN, "--device-life", "150ms")
def test_a_device_code_ends(sim, web):
    asked = web.device("bot").json
    time.sleep(0.2)
    assert is_refused(web.poll("bot", asked["device_code"]), 400, "expired_token")
    assert not sim.control(f"device allow {asked['user_code']} alice", check=False)["ok"]


@SIM
def test_a_device_code_is_of_one_client(web):
    code = web.device("bot").json["device_code"]
    assert is_refused(web.poll("pub", code), 400, "invalid device code")
    assert is_refused(web.poll("bot", "nonsense"), 400, "invalid device code")
    assert is_refused(web.poll("bot", code, client_secret="wrong"), 403, "invalid client secret")


@SIM
def test_an_access_token_can_be_revoked_once_by_its_client(sim, web):
    tokens = sim.control("grant alice bot chat:read")
    revoke = dict(client_id="bot", token=tokens["access_token"])
    assert is_refused(web.form("/oauth2/revoke", **{**revoke, "client_id": "pub"}), 400, "Invalid token")
    assert is_refused(web.form("/oauth2/revoke", **{**revoke, "client_id": "nobody"}), 404, "client does not exist")
    done = web.form("/oauth2/revoke", **revoke)
    assert (done.status, done.body) == (200, b"")
    assert web.validate(tokens["access_token"]).status == 401
    assert is_refused(web.form("/oauth2/revoke", **revoke), 400, "Invalid token")


@SIM
def test_tokens_end_after_the_time_they_were_given(sim, web):
    short = sim.control("grant alice bot chat:read ttl=150")
    sim.control("token ttl 60000")
    minute = web.refresh("bot", short["refresh_token"], client_secret="s3cret").json
    assert minute["expires_in"] == 60
    time.sleep(0.2)
    assert is_refused(web.validate(short["access_token"]), 401, "invalid access token")
    assert web.validate(minute["access_token"]).status == 200
    sim.control("token ttl 0")
    assert web.refresh("bot", short["refresh_token"], client_secret="s3cret").json["expires_in"] == 14400


def chat_refuses(sim, login, token):
    chat = Chat(sim, login=None)
    chat.send(f"PASS oauth:{token}")
    chat.send(f"NICK {login}")
    return chat.expect_closed(5) == [":tmi.twitch.tv NOTICE * :Login authentication failed"]


@SIM
@pytest.mark.parametrize("how", ["expire the token", "expire all of the user", "revoke over HTTP", "revoke the user"])
def test_a_token_that_has_ended_cannot_log_in_to_chat_and_connections_stay(sim, web, how):
    tokens = sim.control("grant alice bot chat:read,chat:edit")
    token = tokens["access_token"]
    chat = Chat(sim, "alice", token)
    chat.join("a")
    if how == "revoke over HTTP":
        assert web.form("/oauth2/revoke", client_id="bot", token=token).status == 200
    elif how == "revoke the user":
        sim.control("revoke alice")
    else:
        sim.control(f"token expire {token if 'token' in how else 'alice'}")
    assert chat_refuses(sim, "alice", token)
    assert web.validate(token).status == 401
    chat.say("a", "still here")
    assert sim.control.received("a", "said") == ["still here"]
    new = web.refresh("bot", tokens["refresh_token"], client_secret="s3cret")
    if how == "revoke the user":
        assert is_refused(new, 400, "Invalid refresh token")
    else:
        Chat(sim, "alice", new.json["access_token"])


@SIM
def test_chat_takes_a_token_of_its_own_user_with_a_chat_scope_alone(sim, web):
    good = sim.control("grant alice bot chat:read")["access_token"]
    assert chat_refuses(sim, "shoalbot", good)
    assert chat_refuses(sim, "alice", sim.control("grant alice bot user:bot")["access_token"])
    assert chat_refuses(sim, "alice", web.app_token("bot", "s3cret").json["access_token"])
    Chat(sim, "alice", good)
    Chat(sim)


@SIM
def test_the_log_tells_how_often_each_refresh_token_was_used_and_no_token(sim, web):
    token = sim.control("grant alice pub chat:read")["refresh_token"]
    new = web.refresh("pub", token).json["refresh_token"]
    web.refresh("pub", token)
    web.refresh("pub", "never")
    web.validate("simtoken")
    log = sim.control("http log")
    assert log["requests"]["/oauth2/token"]["grants"] == {"refresh_token": {"total": 3, "carried_out": 3}}
    assert log["requests"]["/oauth2/validate"]["total"] == 1 and log["unknown_refresh_tokens"] == 1
    used = {t["hash"]: (t["dead"], t["used"], t["refused"]) for t in log["refresh_tokens"]}
    assert used == {
        hashlib.sha256(token.encode()).hexdigest()[:12]: (True, 1, 1),
        hashlib.sha256(new.encode()).hexdigest()[:12]: (False, 0, 0),
    }
    assert token not in str(log) and new not in str(log)
    assert all(abs(t["used_ms"] / 1000 - time.time()) < 10 for t in log["refresh_tokens"] if t["used"])
    assert sim.control("http log requests").keys() == {"ok", "requests"}


@SIM
def test_the_log_tells_who_logged_in_with_a_dead_token(sim, web):
    token = sim.control("grant alice pub chat:read ttl=60000")["access_token"]
    Chat(sim, "alice", token).close()
    sim.control("token expire alice")
    with pytest.raises(Closed):
        Chat(sim, "alice", token)
    (of_token,) = sim.control("http log")["access_tokens"]
    assert of_token["dead_logins"] == 1 and of_token["ends_ms"] <= of_token["dead_login_ms"]
    assert of_token["hash"] == hashlib.sha256(token.encode()).hexdigest()[:12]


@SIM
def test_bad_commands_about_tokens_get_an_error(sim):
    for command in ("app", "app a/b", f"app {'x' * 64}", f"app x {'y' * 64}", "grant alice", "grant alice nobody chat:read",
                    "grant a! simulator chat:read", "device", "device allow", "device allow CODE", "device allow CODE bob",
                    "device deny", "token", "token expire", "token expire nothing", "token ttl soon", "revoke",
                    "revoke nobody", "http", "http nonsense", "http /x", "http /x odd", "http /x status=99",
                    "http /x status=500,wait=3", "http /x malformed=xml", f"http /{'x' * 64} close"):  # fmt: skip
        answer = sim.control(command, check=False)
        assert not answer["ok"] and answer["error"], command


def test_tokens_and_secrets_are_not_logged():
    with Sim(*LISTEN, "--log-level", "debug") as sim:
        web = Web(sim)
        sim.control("app bot verysecret")
        tokens = sim.control("grant alice bot chat:read")
        web.refresh("bot", tokens["refresh_token"], client_secret="verysecret")
        web.validate(tokens["access_token"])
        web.app_token("bot", "wrongsecret")
        log = sim.log_path.read_text()
    for secret in ("verysecret", "wrongsecret", tokens["access_token"], tokens["refresh_token"]):
        assert secret not in log
