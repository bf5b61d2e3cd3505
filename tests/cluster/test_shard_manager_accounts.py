"""Accounts in Redis, as shard managers see them: TwitchIO's TokenHandler, and add_shard with an authorized user."""

from accounts import account, add, start_twitch
from probe import probes, ready  # noqa: F401  pylint: disable=unused-import
from processes import wait_until
from shoal import USER


def lead(probes, bare, tmp_path):
    """A cluster with the accounts alice and bob, whose node has a tokens file of another user and the keys."""
    bare.start_redis()
    start_twitch(bare, tmp_path, "--verified")
    secret = tmp_path / "client-secret"
    secret.touch(mode=0o600)
    secret.write_text(bare.sim.control("app app")["client_secret"])
    probe = probes.start(args=(*bare.account_args, "--client-secret", secret), setup="add:one").connect()
    bare.start_node("n1", args=("--account-keys", bare.keys))
    wait_until(bare.is_set_up, 30, "the cluster is set up")
    tokens = [add(bare, tmp_path, login) for login in ("alice", "bob")]
    wait_until(lambda: bare.node("n1").get("users") == f"{USER},alice,bob", 20, "the node has both")
    return probe, [token for granted in tokens for token in (granted["access_token"], granted["refresh_token"])]


def lose(bare, login):
    bare.sim.control(f"revoke {login}")
    bare.redis.zadd(bare.key("accounts"), {login: 1})
    wait_until(lambda: account(bare, login)["state"] == "login_required", 20, "the login is required")


def test_token_handler_get_user_token(probes, bare, tmp_path):
    probe, tokens = lead(probes, bare, tmp_path)

    def is_usable(user):
        answer = probe("token", user)
        return answer["usable"] and answer == {"login": user, "usable": True, "error": None}

    assert is_usable(USER)
    wait_until(lambda: is_usable("alice") and is_usable("bob"), 10, "the accounts are known")
    lose(bare, "alice")
    wait_until(lambda: not is_usable("alice"), 10, "it is known that alice has to log in")
    lost = "Account alice is login_required: Invalid refresh token. (shoalctl account login)"
    assert probe("token", "alice") == {"login": "alice", "usable": False, "error": lost}
    assert is_usable("bob") and is_usable(USER)
    assert probe("token", "stranger")["error"] == "no node has a token for the user"
    assert not [token for token in tokens if token.encode() in probe.raw]


def test_token_handler_get_client_credentials(probes, bare, tmp_path):
    probe, _ = lead(probes, bare, tmp_path)
    nobody = "no account says by the token of the application (say_by is helix_app)"
    assert probe("app_token") == {"login": "@app", "usable": False, "error": nobody}
    bare.ctl("account", "set", "bob", "say_by", "helix_app")
    wait_until(lambda: probe("app_token")["usable"], 10, "there is a token of the application")
    assert probe("app_token") == {"login": "@app", "usable": True, "error": None}
    bare.ctl("account", "set", "bob", "say_by", "irc")
    assert not probe("app_token")["usable"]


def test_a_shard_may_be_that_of_an_account_unless_it_has_to_log_in_again(probes, bare, tmp_path):
    probe, _ = lead(probes, bare, tmp_path)
    probe.done("add_shard", "of-alice", "alice", "room0")
    probe.done("shard_start", "of-alice", "now")
    ready(probe, "of-alice")
    assert bare.sim.control.stats()["users"]["alice"]["logins"]["ok"] == 1
    lose(bare, "bob")
    wait_until(lambda: bare.node("n1").get("users") == f"{USER},alice", 20, "the node does not have bob any more")
    why = "Account bob is login_required: Invalid refresh token. (shoalctl account login)"
    assert probe.refused("add_shard", "of-bob", "bob") == why
    assert "of-bob" not in bare.shards()
