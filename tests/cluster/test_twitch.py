"""What Twitch, or a hostile server in its place, answers: told, counted, outlived."""

import contextlib
import os
import socket
import time

import pytest

from certificates import Certificates

from processes import wait_until
from shoal import BIN


def errors(cluster):
    return [shard.get("error", "") for shard in cluster.shards().values()]


def quiet(cluster):
    """Nobody was replaced or fenced, however long the waiting was."""
    return not [e for e in cluster.events() if e["event"] in ("node.fenced", "node.lost", "node.expired")]


@pytest.mark.parametrize("scheme, status", [("ws", 301), ("ws", 302), ("ws", 403), ("ws", 429), ("ws", 503),
                                            ("ws", 200), ("wss", 307), ("wss", 308)])  # fmt: skip
def test_an_upgrade_answered_by_http_is_told_and_tried_again(bare, tmp_path, scheme, status):
    bare.start_redis()
    sim = bare.start_sim("--verified", tls=Certificates(tmp_path / "tls") if scheme == "wss" else None)
    elsewhere = bare.start_sim("--verified", name="elsewhere")
    where = elsewhere.url if status in (302, 308) else "ws://no-such-name.invalid:80/"
    refuse = f"upgrade status={status}" + (f" location={where}" if 300 < status < 400 else "")
    sim.control(refuse)
    bare.start_coordinator()
    node = bare.start_node()
    bare.request("join", channels="alice")
    wait_until(lambda: errors(bare) and all(f"HTTP status {status}" in e for e in errors(bare)), 10, "it is told")
    wait_until(lambda: sim.control.stats()["connections"]["refused"] >= 2, 15, "it is tried again")
    assert elsewhere.control.stats()["connections"]["total"] == 0
    assert sim.control.stats()["connections"]["refused"] <= 4  # at once, 1, 2 s: an ordinary backoff

    sim.control("upgrade ok")
    wait_until(lambda: bare.joined("alice"), 20, "it works again")
    sim.control(refuse)
    sim.control("disconnect all")
    wait_until(lambda: errors(bare) and f"HTTP status {status}" in errors(bare)[0], 10, "it is told again")
    assert quiet(bare)
    assert node.stop(5) == 0


def test_a_room_too_many_is_told_and_tried_again_and_no_send_is_touched(bare):
    bare.start_redis()
    bare.start_sim("--verified", "--room-limit", "2")
    bare.start_coordinator(failed_retry_ms=2000)
    bare.start_node()
    bare.join("alice", "bob")
    assert bare.request("join", channels="carol")["ok"]
    failed = wait_until(
        lambda: bare.channel("carol").get("state") == "failed" and bare.channel("carol"), 10, "no room for carol"
    )
    assert failed["reason"] == "msg_concurrent_channel_limit_reached"
    assert bare.send("carol", "hello all the same")["status"] == "sent"
    bare.sim.control("limit room-limit=off")
    wait_until(lambda: bare.joined("carol"), 10, "there is room for carol")


def test_a_command_is_settled_by_twitchs_answer(bare):
    bare.start_redis()
    bare.start_sim("--verified", "--limits-off")
    bare.start_coordinator()
    bare.start_node()
    bare.join("alice")
    answers = {"/color red": ("sent", "color_changed"), "/help": ("rejected", "no_help"),
               "/mod": ("rejected", "usage_mod"), ".clear": ("rejected", "unavailable_command"),
               "/w bob hi": ("rejected", "whisper_restricted"), "/nonsense": ("rejected", "unrecognized_cmd")}
    for text, (status, reason) in answers.items():
        result = bare.send("alice", text, timeout=5, command="1")
        assert (result["status"], result["reason"]) == (status, reason), text
    assert bare.send("alice", "/me dances", timeout=5, command="1")["status"] == "sent"
    assert bare.send("alice", "/color red", timeout=5)["status"] == "sent"
    assert bare.sim.control.received("alice", "said")[-1] == "\u200b/color red"


def test_lines_that_name_no_channel_are_counted_and_told_once(bare):
    bare.start_redis()
    bare.start_sim("--verified")
    bare.start_coordinator()
    node = bare.start_node()
    bare.join("alice")
    chat = bare.subscribe(bare.topic("chat:*"))
    for line in ("CLEARCHAT alice", "CLEARCHAT #ALICE", "CLEARMSG alice :x", "USERNOTICE #Alice"):
        bare.sim.control(f"raw all line=:tmi.twitch.tv {line}")
    bare.chat_flows(chat, "alice")
    wait_until(lambda: [s.get("bad_lines") for s in bare.shards().values()] == ["4"], 20, "they are counted")
    assert node.text().count("shard.bad_line") == 1
    assert "names no channel" in node.text()


@contextlib.contextmanager
def dead_port(ip, port):
    """Connecting there is neither answered nor refused: its queue is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((ip, port))
        listener.listen(0)
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex((ip, port))
        yield


def test_a_dead_address_of_twitch_and_redis_delays_all_shards_by_two_seconds(bare):
    redis, sim = bare.start_redis(), bare.start_sim("--verified", "--limits-off")
    names = {"twitch.test": sim, "redis.test": redis}
    env = {
        "LD_PRELOAD": str(BIN / "tests" / "preload" / "names.so"),
        "SHOAL_TEST_NAMES": " ".join(f"{name}=127.0.0.2,127.0.0.1" for name in names),
        "SHOAL_REDIS_URL": f"redis://redis.test:{redis.port}",
        "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0",
    }
    bare.start_coordinator(initial_shard_count=4, channels_per_shard=2, connect_burst=5)
    with dead_port("127.0.0.2", redis.port), dead_port("127.0.0.2", sim.port):
        sim.url = f"ws://twitch.test:{sim.port}"
        begun = time.monotonic()
        bare.start_node(env=env)
        bare.request("join", channels="alice,bob,carol,dave,erin,frank,grace,heidi")
        sim.control("wait logins=4 ms=30000")
        assert time.monotonic() - begun < 8  # two each for Redis and Twitch, and the rest of the start
        sim.control("disconnect all how=reset")
        sim.control("wait logins=8 ms=4000")
