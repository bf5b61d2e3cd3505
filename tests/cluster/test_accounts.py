"""Accounts in Redis: the leader keeps their tokens valid."""

import json
import time

import pytest

from accounts import account, add, log_in, refreshes, start_node
from processes import wait_until


def test_tokens_that_were_added_are_validated_and_refreshed_before_their_end(accounts, tmp_path):
    granted = add(accounts, tmp_path, "alice", 6000)
    wait_until(lambda: account(accounts, "alice").get("state") == "usable", 10, "the account is usable")
    assert account(accounts, "alice")["client_id"] == "app"
    wait_until(lambda: account(accounts, "alice").get("refreshed_at"), 10, "it was refreshed")
    log = accounts.sim.control("http log")
    assert [t["used"] for t in log["refresh_tokens"] if t["login"] == "alice"] == [1, 0]
    raw = json.dumps(accounts.redis.get(accounts.key("secret:alice")))
    assert granted["refresh_token"] not in raw


@pytest.mark.parametrize(("args", "reads", "says"), [((), "yes", "yes"), (("--reads",), "yes", "no"), (("--says",), "no", "yes")])
def test_an_account_logs_in_with_a_code_that_somebody_confirms(accounts, args, reads, says):
    out, errors = log_in(accounts, "alice", *args)
    assert errors == ""
    assert out == "alice is an account of this cluster now.\n"
    wait_until(lambda: account(accounts, "alice").get("state") == "usable", 10, "the account is usable")
    assert (account(accounts, "alice")["reads"], account(accounts, "alice")["says"]) == (reads, says)


def test_a_coordinator_that_is_stopped_keeps_what_twitch_is_about_to_give_it(accounts, tmp_path):
    accounts.sim.control("http /oauth2/token late=1500")
    add(accounts, tmp_path, "alice", 6000)
    wait_until(lambda: refreshes(accounts)[0][0] == 1, 10, "the refresh was carried out")
    before = accounts.redis.get(accounts.key("secret:alice"))
    assert accounts.c1.stop() == 0
    assert account(accounts, "alice")["state"] == "usable"
    assert accounts.redis.get(accounts.key("secret:alice")) != before


def test_a_refresh_that_died_with_its_coordinator_is_told_as_what_it_is(accounts, tmp_path):
    accounts.sim.control("http /oauth2/token late=5000")
    add(accounts, tmp_path, "alice", 6000)
    wait_until(lambda: refreshes(accounts)[0][0] == 1, 10, "the refresh was carried out")
    accounts.c1.kill()
    accounts.sim.control("http off")
    accounts.redis.zadd(accounts.key("accounts"), {"alice": 1})  # the claim runs out
    accounts.sim.control("token expire alice")
    accounts.start_coordinator("c2", args=accounts.account_args, user="alice")
    wait_until(lambda: account(accounts, "alice")["state"] == "login_required", 15, "the login is required")
    assert "an earlier refresh, whose answer was lost" in account(accounts, "alice")["error"]
    assert refreshes(accounts) == ([1, 0], [1, 0])
    # And the mend, without a restart.
    add(accounts, tmp_path, "alice")
    wait_until(lambda: account(accounts, "alice")["state"] == "usable", 10, "the account is usable")


def test_the_tokens_of_a_long_life_are_each_used_once(accounts, tmp_path):
    accounts.start_coordinator("c2", args=accounts.account_args, user="alice")
    accounts.sim.control("token ttl 2000")
    for login in ("alice", "bob", "carol"):
        add(accounts, tmp_path, login)
    wait_until(lambda: len(refreshes(accounts)[0]) >= 15, 30, "each was refreshed several times")
    used, refused = refreshes(accounts)
    assert max(used) == 1 and max(refused) == 0
    assert all(account(accounts, login)["state"] == "usable" for login in ("alice", "bob", "carol"))


def test_nodes_log_in_as_the_account_and_take_up_new_tokens_without_losing_a_connection(accounts, tmp_path):
    node = start_node(accounts)
    accounts.sim.control("token ttl 4000")
    add(accounts, tmp_path, "alice", 60000)
    accounts.ctl("join", "room0")
    wait_until(lambda: accounts.joined("room0"), 20, "the channel is joined")
    assert accounts.redis.hget(accounts.key("shard:initial-shard-1"), "user") == "alice"
    connections = accounts.sim.control("stats")["connections"]
    wait_until(lambda: node.text().count("tokens.reloaded") >= 3, 20, "it has its new tokens, twice")
    assert accounts.sim.control("stats")["connections"] == connections
    # The token it began with has ended long since: the next login is with that of now.
    accounts.sim.control("disconnect all")
    wait_until(lambda: accounts.sim.control("stats")["logins"]["ok"] >= 2, 20, "it has logged in again")
    assert accounts.sim.control("stats")["logins"]["refused"] == 0


def test_a_token_that_twitch_refuses_at_a_login_is_refreshed_once_for_all_nodes(accounts, tmp_path):
    nodes = [start_node(accounts, f"n{i}") for i in range(3)]
    add(accounts, tmp_path, "alice")
    accounts.request("set", name="join_limit", value="20")  # else Twitch ends the connection when all join again
    accounts.ctl("join", *(f"room{i}" for i in range(20)))
    wait_until(lambda: accounts.joined(*(f"room{i}" for i in range(20))), 30, "all are joined")
    before = sum(refreshes(accounts)[0])
    accounts.sim.control("token expire alice")
    accounts.sim.control("disconnect all")
    wait_until(lambda: sum(refreshes(accounts)[0]) == before + 1, 20, "the token was refreshed")
    wait_until(lambda: accounts.joined(*(f"room{i}" for i in range(20))), 40, "all are joined again")
    assert sum(refreshes(accounts)[0]) == before + 1
    assert all(node.is_running() for node in nodes)


def test_a_login_that_is_refused_while_somebody_looks_at_the_account_is_told_again_later(accounts, tmp_path):
    start_node(accounts)
    add(accounts, tmp_path, "alice")
    accounts.ctl("join", "room0")
    wait_until(lambda: accounts.joined("room0"), 20, "the channel is joined")
    accounts.redis.hset(accounts.key("account:alice"), "claim", "of somebody")
    before = sum(refreshes(accounts)[0])
    accounts.sim.control("token expire alice")
    accounts.sim.control("disconnect all")
    shard = accounts.key("shard:initial-shard-1")
    wait_until(lambda: "login refused" in accounts.redis.hget(shard, "error"), 20, "the login is refused")
    accounts.redis.hdel(accounts.key("account:alice"), "claim")
    accounts.redis.delete(accounts.key("budget:alice:refused"))  # half a minute later
    accounts.ctl("config", "set", "channels_per_shard", 1)
    accounts.ctl("join", "room1")  # on another shard, which logs in as well
    wait_until(lambda: sum(refreshes(accounts)[0]) == before + 1, 20, "the token is refreshed")
    wait_until(lambda: accounts.joined("room0", "room1"), 20, "both channels are joined")
    assert sum(refreshes(accounts)[0]) == before + 1


def test_nobody_logs_in_with_a_token_that_has_ended_where_no_coordinator_keeps_it_valid(accounts, tmp_path):
    start_node(accounts)
    accounts.sim.control("token ttl 8000")
    add(accounts, tmp_path, "alice")
    accounts.ctl("join", "room0")
    wait_until(lambda: accounts.joined("room0"), 20, "the channel is joined")
    accounts.c1.kill()
    ends = int(account(accounts, "alice")["expires_at"]) / 1000
    wait_until(lambda: time.time() > ends, 10, "its token has ended")
    accounts.sim.control("disconnect all")
    shard = accounts.key("shard:initial-shard-1")
    wait_until(lambda: "has ended" in accounts.redis.hget(shard, "error"), 10, "the shard says why it waits")
    accounts.start_coordinator("c2", args=accounts.account_args, user="alice")
    wait_until(lambda: accounts.joined("room0"), 20, "the channel is joined again, without a restart of the node")
    assert accounts.sim.control("stats")["logins"]["refused"] == 0


def test_a_dead_account_is_told_and_its_login_mends_it(accounts, tmp_path):
    start_node(accounts)
    add(accounts, tmp_path, "alice")
    accounts.ctl("join", "room0")
    wait_until(lambda: accounts.joined("room0"), 20, "the channel is joined")
    accounts.sim.control("revoke alice")
    accounts.sim.control("disconnect all")
    wait_until(lambda: account(accounts, "alice")["state"] == "login_required", 20, "the login is required")
    assert "login refused" in accounts.redis.hget(accounts.key("shard:initial-shard-1"), "error")
    add(accounts, tmp_path, "alice")
    wait_until(lambda: accounts.joined("room0"), 40, "the channel is joined again")
