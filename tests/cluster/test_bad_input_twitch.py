"""What Twitch says or refuses, and its silence, are survived, told and counted."""

import signal
import socket

from processes import wait_until
from shoal import USER


def test_garbage_from_twitch_costs_a_connection_at_most(cluster):
    cluster.start_node("n1")
    names = ("alice", "bob")
    cluster.join(*names)
    chat = cluster.subscribe("shoal:main:chat:*")
    for command in (
        "longline all bytes=100000",
        "longline all bytes=3000000",
        "garbage all kind=utf8",
        "garbage all kind=binary",
        "garbage all kind=nul",
        "garbage all kind=cr",
        "garbage all kind=opcode",
        "garbage all kind=bytes",
        "raw all line=@" + "a=b;" * 5000 + " :x!x@x PRIVMSG #alice :many tags",
        "raw all line=PRIVMSG",
        "raw all line=:tmi.twitch.tv ROOMSTATE",
        "raw all line=@msg-id= :tmi.twitch.tv NOTICE #alice",
        "raw all line=@slow=-9999999999999;followers-only=x :tmi.twitch.tv ROOMSTATE #alice",
        "raw all line=:tmi.twitch.tv 001",
        "raw all line=PING",
    ):
        assert cluster.sim.control(command)["connections"] > 0
        cluster.chat_flows(chat, *names, timeout=20)
        assert cluster.processes["n1"].is_running(), command
    assert cluster.send("alice", "still here")["status"] == "sent"
    assert all(b"\0" not in payload and b"\n" not in payload for _, payload in chat.messages)


def test_what_is_no_line_is_told_once_and_counted(cluster):
    node = cluster.start_node("n1")
    cluster.join("alice")
    shard = cluster.channels()["alice"]

    def bad_lines():
        return int(cluster.shards()[shard].get("bad_lines", 0))

    cluster.sim.control(f"raw all line=:a-bell-\x07-{'x' * 300}")
    wait_until(lambda: bad_lines() == 1, 10, "it is counted")
    for _ in range(30):
        cluster.sim.control("raw all line=:nothing")
    cluster.sim.control("longline all bytes=100000")
    wait_until(lambda: bad_lines() == 32, 10, "all are counted")
    assert cluster.ctl_json("shards")[0]["bad_lines"] == 32
    (told,) = [line for line in node.text().splitlines() if "shard.bad_line" in line]
    assert " warn shard " in told and f"shard={shard}" in told and "without a command" in told
    assert "a-bell-\\x07-xx" in told and "bytes=310" in told


def test_a_twitch_that_takes_connections_and_says_nothing_is_told_as_that(cluster):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"ws://127.0.0.1:{mute.getsockname()[1]}"
        cluster.start_node("n1", args=["--twitch-url", url, "--log-level", "info"])
        shard = wait_until(lambda: next(iter(cluster.shards()), None), 10, "there is a shard")
        error = wait_until(lambda: cluster.shards()[shard].get("error"), 20, "it is told")
    assert error == f"{url} cannot be reached: no answer within 10000 ms"


def test_a_refused_login_is_not_tried_again_at_once_and_a_new_token_mends_it(cluster):
    node = cluster.start_node("n1")
    cluster.join("alice")
    chat = cluster.subscribe("shoal:main:chat:*")
    wait_until(lambda: cluster.redis.hget(cluster.key("config"), "setup") == "done", 10, "setup is done")
    shards = len(cluster.shards())
    control = cluster.sim.control
    before = control("stats")["logins"]["refused"]
    control(f"revoke {USER}")
    control("disconnect all")
    refused = wait_until(
        lambda: [s for s in cluster.shards().values() if "Login authentication failed" in s.get("error", "")],
        10,
        "the error is visible",
    )
    assert all(s["state"] == "backoff" for s in refused)
    # As long as three leases: a fast retry would show.
    at = cluster.redis.time()[0]
    wait_until(lambda: cluster.redis.time()[0] > at + 6, 20, "three leases pass")
    assert control("stats")["logins"]["refused"] - before <= shards
    assert "Login authentication failed" in node.text()

    control(f"user {USER} token=fresh verified=1")
    cluster.write_tokens({USER: "fresh"})
    node.signal(signal.SIGHUP)
    cluster.chat_flows(chat, "alice")
    wait_until(lambda: not any(s.get("error") for s in cluster.shards().values()), 10, "and it is over")


def test_channels_that_cannot_be_read_fail_with_the_reason_and_others_are_joined(cluster):
    control = cluster.sim.control
    reasons = {"banned": "msg_banned", "suspended": "msg_channel_suspended", "tos": "tos_ban",
               "missing": "no_answer"}
    for name in reasons:
        control(f"channel {name} state={name}")
    cluster.start_node("n1")
    reply = cluster.request("join", channels=" ".join([*reasons, "alice", "bob"]))
    assert reply["ok"], reply
    chat = cluster.subscribe("shoal:main:chat:*")
    cluster.chat_flows(chat, "alice", "bob")
    for name, reason in reasons.items():
        # Silence is known by its length: two tries of 10 s.
        wait_until(lambda name=name: cluster.channel(name).get("state") == "failed", 30, f"{name} failed")
        assert cluster.channel(name)["reason"] == reason
        assert int(cluster.channel(name)["next_try"]) > cluster.redis.time()[0] * 1000
        assert cluster.channels()[name], "it stays wanted"
    failed = {e["channel"]: e["reason"] for e in cluster.events("channel.failed")}
    assert failed == reasons
