"""Accounts in Redis: keys that change, tokens that end for good, and the token of the application."""

import re

from accounts import account, add, keygen, refreshes, reload, start_node, start_twitch
from processes import run, wait_until
from shoal import CTL


def test_a_file_of_keys_that_is_not_there_yet_is_missed_by_those_commands_alone_that_open_it(bare, tmp_path):
    bare.start_redis()
    bare.start_coordinator()
    wait_until(bare.leader, 10, "a coordinator leads")
    config = tmp_path / "shoal.conf"
    config.write_text(f"redis_url = {bare.redis_url}\naccount_keys = {tmp_path}/new-keys\nclient_id = app\n")
    ctl = [CTL, "--config", config]
    assert run([*ctl, "config", "get"]).returncode == 0
    (tmp_path / "tokens").touch(mode=0o600)
    (tmp_path / "tokens").write_text("token\n")
    for command in (["account", "login"], ["account", "add", "alice", "--token-file", tmp_path / "tokens"]):
        done = run([*ctl, *command])
        assert (done.returncode, done.stdout) == (2, "") and "new-keys': No such file" in done.stderr, done.stderr
    made = run([*ctl, "keygen"])
    assert made.returncode == 0 and re.fullmatch(r"[0-9a-f]{64}\n", made.stdout)


def test_keys_are_changed_while_all_runs_and_then_the_old_one_can_go(accounts, tmp_path):
    node = start_node(accounts)
    add(accounts, tmp_path, "alice")
    add(accounts, tmp_path, "bob")
    accounts.ctl("join", "room0")
    wait_until(lambda: accounts.joined("room0"), 20, "the channel is joined")
    wait_until(lambda: account(accounts, "bob").get("state") == "usable", 10, "the account is usable")
    old, new = accounts.keys.read_text(), keygen()
    first = account(accounts, "alice")["key"]
    accounts.keys.write_text(old + new)
    reload(node, accounts.c1)
    accounts.keys.write_text(new + old)
    reload(node, accounts.c1)
    wait_until(lambda: first not in [account(accounts, login)["key"] for login in ("alice", "bob")], 20, "all are sealed anew")
    accounts.keys.write_text(new)
    reload(node, accounts.c1)
    # All that is known of the old key is gone: what runs, and what begins, works with the new one.
    second = start_node(accounts, "n2")
    logins = accounts.sim.control("stats")["logins"]["ok"]
    accounts.sim.control("disconnect all")
    wait_until(lambda: accounts.sim.control("stats")["logins"]["ok"] > logins, 20, "it has logged in again")
    wait_until(lambda: accounts.joined("room0"), 20, "the channel is joined")
    assert [account(accounts, login)["state"] for login in ("alice", "bob")] == ["usable", "usable"]
    assert len(accounts.events("account.resealed")) == 2
    assert "locked" not in node.text() + second.text() and not accounts.events("account.locked")


def test_a_wrong_key_a_change_and_a_swap_are_told_and_nothing_is_overwritten(accounts, tmp_path):
    for login in ("alice", "bob", "carol"):
        add(accounts, tmp_path, login)
    wait_until(lambda: account(accounts, "carol").get("state") == "usable", 10, "all are usable")
    node = start_node(accounts)
    secrets = {login: accounts.redis.get(accounts.key(f"secret:{login}")) for login in ("alice", "bob", "carol")}
    secrets["bob"] = secrets["alice"]  # another's
    secrets["carol"] = secrets["carol"][:30] + ("A" if secrets["carol"][30] != "A" else "B") + secrets["carol"][31:]
    for login in ("bob", "carol"):
        accounts.redis.set(accounts.key(f"secret:{login}"), secrets[login])
        accounts.redis.zadd(accounts.key("accounts"), {login: 1})
    wait_until(lambda: [account(accounts, login)["state"] for login in ("bob", "carol")] == ["locked"] * 2, 10, "both are locked")
    accounts.keys.write_text(keygen())
    reload(node, accounts.c1)
    wait_until(lambda: account(accounts, "alice")["state"] == "locked", 10, "no key opens the third")
    whys = {event["account"]: event["error"] for event in accounts.events("account.locked")}
    assert "tampered" in whys["bob"] and "tampered" in whys["carol"] and "lacks" in whys["alice"]
    assert {login: accounts.redis.get(accounts.key(f"secret:{login}")) for login in secrets} == secrets
    assert accounts.ctl("status").stdout.count("is not usable, locked") == 3
    accounts.ctl("account", "set", "alice", "reads", "no")  # the node reads them anew
    assert refreshes(accounts) == ([0, 0, 0], [0, 0, 0])


def test_a_token_without_a_refresh_token_is_used_until_its_end_which_is_told_before(accounts, tmp_path):
    granted = accounts.sim.control("grant alice app chat:read,chat:edit ttl=4000")
    tokens = tmp_path / "tokens.alice"
    tokens.touch(mode=0o600)
    tokens.write_text(granted["access_token"] + "\n")
    accounts.ctl("account", "add", "alice", "--account-keys", accounts.keys, "--token-file", tokens)
    wait_until(lambda: accounts.events("account.ending"), 10, "its end is told")
    assert "the token of account alice ends in " in accounts.ctl("status").stdout
    wait_until(lambda: account(accounts, "alice")["state"] == "login_required", 20, "the login is required")
    assert account(accounts, "alice")["error"] == "its token has ended (invalid access token), and it has no refresh token"
    assert len(accounts.events("account.ending")) == 1 and len(accounts.events("account.login_required")) == 1


def test_the_account_is_used_where_a_tokens_file_has_its_user_too_and_the_file_where_that_is_dead(accounts, tmp_path):
    old = accounts.sim.control("grant alice app chat:read,chat:edit")["access_token"]
    other = accounts.sim.control("grant bob app chat:read,chat:edit")["access_token"]
    granted = add(accounts, tmp_path, "alice")
    wait_until(lambda: account(accounts, "alice").get("state") == "usable", 10, "the account is usable")
    accounts.write_tokens({"alice": old, "bob": other})
    accounts.start_node("n1", args=("--account-keys", accounts.keys))
    wait_until(lambda: accounts.node("n1").get("users") == "alice,bob", 10, "the node has both")
    accounts.sim.control(f"token expire {old}")
    accounts.ctl("join", "room0")
    wait_until(lambda: accounts.joined("room0"), 20, "the channel is joined, as the account")
    fresh = accounts.sim.control("grant alice app chat:read,chat:edit")["access_token"]
    accounts.write_tokens({"alice": fresh, "bob": other})
    accounts.ctl("account", "remove", "alice")
    accounts.sim.control(f"token expire {granted['access_token']}")
    accounts.sim.control("disconnect all")
    wait_until(lambda: accounts.sim.control("stats")["logins"]["ok"] >= 2, 40, "it has logged in again")
    wait_until(lambda: accounts.joined("room0"), 40, "the channel is joined again, with the token of the file")


def test_the_token_of_the_application_is_kept_for_who_says_by_it_and_nobody_logs_in_as_it(bare, tmp_path):
    bare.start_redis()
    start_twitch(bare, tmp_path, "--verified")
    secret = tmp_path / "client-secret"
    secret.touch(mode=0o600)
    secret.write_text(bare.sim.control("app app")["client_secret"])
    bare.c1 = bare.start_coordinator(args=bare.account_args, user="alice")
    wait_until(bare.leader, 10, "a coordinator leads")
    add(bare, tmp_path, "alice")
    node = start_node(bare)
    wait_until(lambda: account(bare, "alice").get("state") == "usable", 10, "the account is usable")
    bare.ctl("account", "set", "alice", "say_by", "helix_app")
    wait_until(lambda: account(bare, "@app").get("state") == "login_required", 10, "there is no secret")
    told = bare.ctl("status").stdout
    assert "account @app is not usable, login_required: the coordinator has no" in told
    assert "mend: --client-id and --client-secret of the coordinator" in told
    bare.c1.stop()
    bare.start_coordinator("c2", args=(*bare.account_args, "--client-secret", secret), user="alice")
    wait_until(lambda: account(bare, "@app").get("state") == "usable", 30, "it is usable")
    row = next(line for line in bare.ctl("account", "list").stdout.splitlines() if line.startswith("@app"))
    assert re.fullmatch(r"@app +usable +\d+s +- +- +- +- +5[78]d +- +- +- +-", row)
    bare.ctl("join", "room0")
    wait_until(lambda: bare.joined("room0"), 20, "the channel is joined")
    assert bare.node("n1")["users"] == "alice" and "locked" not in node.text()
    bare.ctl("account", "set", "alice", "say_by", "irc")
    assert account(bare, "@app") == {} and not bare.redis.exists(bare.key("secret:@app"))


def test_accounts_that_somebody_damaged_are_put_right_or_told(accounts, tmp_path):
    start_node(accounts)
    for login in ("alice", "bob"):
        add(accounts, tmp_path, login)
    accounts.ctl("join", "room0")
    wait_until(lambda: accounts.joined("room0"), 20, "the channel is joined")
    accounts.ctl("config", "set", "compare_ms", "500")
    accounts.redis.delete(accounts.key("account:alice"), accounts.key("secret:bob"))
    wait_until(lambda: account(accounts, "alice").get("state") == "usable", 20, "alice is looked at anew")
    wait_until(lambda: account(accounts, "bob").get("state") == "login_required", 20, "bob has to log in")
    assert account(accounts, "bob")["error"] == "its tokens are gone from Redis"
    accounts.redis.delete(accounts.key("accounts"))
    wait_until(lambda: accounts.redis.zscore(accounts.key("accounts"), "alice"), 20, "alice is among the accounts")
    add(accounts, tmp_path, "bob")
    wait_until(lambda: account(accounts, "bob").get("state") == "usable", 20, "the login mends it")
    accounts.redis.set(accounts.key("accounts"), "x")
    wait_until(lambda: accounts.redis.type(accounts.key("accounts")) == "zset", 20, "what was nothing of ours is removed")
    told = {event["what"] for event in accounts.events("registry.repaired")}
    assert {"had no tokens: somebody has to log in again", "was not among the accounts: it is again"} <= told
    accounts.sim.control("disconnect all")
    wait_until(lambda: accounts.joined("room0"), 30, "the channel is joined again")
