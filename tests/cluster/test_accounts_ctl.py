"""Accounts in Redis: what shoalctl shows of them, and how it ends one."""

import os
import pty
import re
import subprocess

from accounts import account, add, start_node
from processes import wait_until
from shoal import CTL
from webclient import Web


def test_the_login_tells_at_a_terminal_that_it_waits(accounts):
    accounts.sim.control("limit device-interval=100ms")
    ours, theirs = pty.openpty()
    command = [CTL, "account", "login", "--account-keys", accounts.keys, "--client-id", "app"]
    command += ["--twitch-id-url", f"http://127.0.0.1:{accounts.sim.http}", "--redis-url", accounts.redis_url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, text=True) as login:
        os.close(theirs)
        code = login.stdout.readline().split("the code ")[1].split(",")[0]
        shown = b""
        while b"left." not in shown:
            shown += os.read(ours, 1000)
        accounts.sim.control(f"device allow {code} alice")
        assert login.wait(timeout=20) == 0
    os.close(ours)
    assert shown.startswith(b"\rWaiting for it, ")


def test_accounts_are_listed_and_shown_with_all_that_is_known(accounts, tmp_path):
    granted = add(accounts, tmp_path, "alice")
    add(accounts, tmp_path, "bob")
    start_node(accounts)
    wait_until(lambda: account(accounts, "alice").get("state") == "usable", 10, "the account is usable")
    accounts.ctl("config", "set", "message_limit", "20")
    accounts.ctl("config", "set", "room_limit", "100")
    accounts.ctl("join", "room0", "room1", "alice")
    wait_until(lambda: accounts.joined("room0", "room1", "alice"), 20, "the channels are joined")
    accounts.send("room0", "hello")
    head, first, second, *rest = accounts.ctl("account", "list").stdout.splitlines()
    assert head.split() == "ACCOUNT STATE FOR READS SAYS SAY_BY SCOPES LEFT ROOMS MESSAGES SHARDS ERROR".split()
    assert re.fullmatch(r"alice +usable +\d+s +yes +yes +irc +chat:read chat:edit +3h +2/100 +19/20 +1 +-", first)
    assert second.startswith("bob ") and rest == []
    row = accounts.ctl_json("account", "list")[0]
    assert (row["rooms"], row["room_limit"], row["messages_left"], row["message_limit"], row["shards"]) == (2, 100, 19, 20, 1)
    accounts.redis.zadd(accounts.key("muted"), {"alice": row["expires_at"]})
    assert re.search(r" 2/100 +0/20 +1 +-$", accounts.ctl("account", "list").stdout.splitlines()[1])
    accounts.ctl("config", "set", "message_limit", "off")
    accounts.ctl("config", "set", "room_limit", "off")
    assert re.search(r" 3h +2 +any +1 +-$", accounts.ctl("account", "list").stdout.splitlines()[1])

    shown = accounts.ctl("account", "show", "alice").stdout
    fields = dict(line.split(None, 1) for line in shown.splitlines())
    assert (fields["account"], fields["state"], fields["client_id"], fields["shards"]) == ("alice", "usable", "app", "1")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC \(in 3h\)", fields["expires_at"])
    assert accounts.ctl_json("account", "show", "alice")[0]["user_id"] == fields["user_id"]
    assert granted["access_token"] not in shown and "claim" not in fields
    nobody = accounts.ctl("account", "show", "nobody", check=False)
    assert (nobody.returncode, nobody.stderr) == (1, "shoalctl: There is no account nobody.\n")


def test_an_account_that_is_not_usable_is_a_problem_of_the_status_with_the_mend(accounts, tmp_path):
    add(accounts, tmp_path, "alice")
    wait_until(lambda: account(accounts, "alice").get("state") == "usable", 10, "the account is usable")
    assert "account alice" not in accounts.ctl("status").stdout
    accounts.sim.control("revoke alice")
    accounts.redis.zadd(accounts.key("accounts"), {"alice": 1})
    wait_until(lambda: account(accounts, "alice")["state"] == "login_required", 20, "the login is required")
    warning = "account alice is not usable, login_required: Invalid refresh token; mend: shoalctl account login"
    assert f"problem   {warning}\n" in accounts.ctl("status").stdout
    assert warning in accounts.problems("account_unusable")


def test_an_account_that_is_revoked_ends_at_twitch_and_is_gone(accounts, tmp_path):
    granted = add(accounts, tmp_path, "alice")
    wait_until(lambda: account(accounts, "alice").get("state") == "usable", 10, "the account is usable")
    told = accounts.ctl("account", "revoke", "alice").stdout
    assert told == "Twitch has ended the tokens of alice, and it is no account any more.\n"
    assert not accounts.redis.exists(accounts.key("account:alice"), accounts.key("secret:alice"))
    assert accounts.redis.zscore(accounts.key("accounts"), "alice") is None
    assert [e["event"] for e in accounts.events() if e.get("account") == "alice"][-2:] == ["account.revoking", "account.revoked"]
    for token in (granted["access_token"], granted["refresh_token"]):
        assert Web(accounts.sim).form("/oauth2/revoke", client_id="app", token=token).status == 400
    again = accounts.ctl("account", "revoke", "alice", check=False)
    assert (again.returncode, again.stderr) == (1, "shoalctl: There is no account alice.\n")


def test_an_account_whose_tokens_twitch_cannot_end_yet_is_not_removed_and_says_so(accounts, tmp_path):
    add(accounts, tmp_path, "alice")
    wait_until(lambda: account(accounts, "alice").get("state") == "usable", 10, "the account is usable")
    accounts.sim.control("http /oauth2/revoke status=503")
    done = accounts.ctl("account", "revoke", "alice", check=False)
    assert done.returncode == 1 and "the tokens of alice are not ended yet: Twitch: " in done.stderr
    assert account(accounts, "alice")["state"] == "revoking"
    assert "account alice is not usable, revoking" in accounts.ctl("status").stdout
    accounts.sim.control("http off")
    accounts.redis.zadd(accounts.key("accounts"), {"alice": 1})
    wait_until(lambda: account(accounts, "alice") == {}, 10, "it is gone")
