"""shoalctl history and tail --since: what was said, what is missing, and what comes, without a hole or a double."""

import json
import re
import signal
import subprocess

import pytest

from processes import wait_until
from shoal import CTL, REMEMBERS

NAMES = ("alice", "bob")


@pytest.fixture
def chatty(bare):
    """Two channels; Redis keeps its data."""
    bare.start_redis(*REMEMBERS)
    bare.start_sim("--verified", "--limits-off")
    bare.start_coordinator(lease_ms=1000)
    bare.start_node("n1")
    bare.join(*NAMES)
    return bare


def say(cluster, channel, *texts):
    for text in texts:
        assert cluster.inject(channel, text) == 1
    last = texts[-1].replace("\x1b", "?")
    wait_until(lambda: last in cluster.ctl("history", channel).stdout, 10, "it is kept")


def said(out):
    """The texts of messages that were printed, and what is said to be missing."""
    return re.findall(r"^\d\d:\d\d:\d\d #\w+ bob: (.*)$|^(-- (?:#\w+|all channels): missing .*)$", out, re.MULTILINE)


def texts(out):
    return [text for text, _ in said(out) if text]


def test_history_shows_what_was_said_and_ends(chatty):
    say(chatty, "alice", "one", "two", "x\x1b[31mred")
    say(chatty, "bob", "three")
    assert texts(chatty.ctl("history", "alice").stdout) == ["one", "two", "x?[31mred"]
    assert texts(chatty.ctl("history", "#Alice", "b*").stdout) == ["one", "two", "x?[31mred", "three"]
    shown = [line for line in chatty.ctl_json("history", "bob") if "three" in line["line"]]
    assert [line["channel"] for line in shown] == ["bob"]
    raw = chatty.ctl("--raw", "history", "bob")
    assert raw.stdout.splitlines()[-1] == shown[0]["line"]
    assert "nothing is kept from before" in raw.stderr
    assert texts(chatty.ctl("history", "--since", "1h", "alice").stdout) == ["one", "two", "x?[31mred"]
    assert "history_ms" not in chatty.ctl("history", "nobody").stdout
    for words in (("history",), ("history", "no channel"), ("history", "--since", "yesterday", "alice")):
        assert chatty.ctl(*words, check=False).returncode == 2, words


def test_what_comes_again_after_redis_lost_it_is_shown_once(chatty):
    say(chatty, "alice", "one", "two")
    stream = chatty.key("lines:0")
    for _, fields in chatty.redis.xrevrange(stream, count=2):
        chatty.redis.xadd(stream, fields)  # as its node does
    say(chatty, "alice", "three")
    assert texts(chatty.ctl("history", "alice").stdout) == ["one", "two", "three"]


def test_of_many_streams_those_of_the_channels_are_read(chatty):
    chatty.ctl("config", "set", "history_streams", "16")
    wait_until(lambda: chatty.redis.hget(chatty.key("lines"), "streams") == "16", 10, "there are 16")

    def begins():  # alice is in another stream than before
        return chatty.inject("alice", "begins") and "begins" in chatty.ctl("history", "alice").stdout

    wait_until(begins, 10, "the node knows")
    for number, name in enumerate(NAMES * 3):
        say(chatty, name, f"text {number}")
    assert texts(chatty.ctl("history", "alice").stdout)[-3:] == ["text 0", "text 2", "text 4"]
    assert sorted(set(texts(chatty.ctl("history", "*").stdout)) - {"begins"}) == [f"text {n}" for n in range(6)]


def test_nothing_that_was_kept_is_an_error_that_says_what_to_do(chatty):
    chatty.ctl("config", "set", "history_ms", "off")
    wait_until(lambda: not chatty.redis.exists(chatty.key("lines")), 10, "nothing is kept")
    done = chatty.ctl("history", "alice", check=False)
    assert done.returncode == 1 and "shoalctl config set history_ms" in done.stderr


def test_what_is_missing_is_told_where_it_is(chatty):
    say(chatty, "alice", "before")
    chatty.start_node("n2")
    wait_until(lambda: len(chatty.nodes()) == 2, 10, "another node is there")
    chatty.processes["n1"].kill()
    wait_until(lambda: chatty.nodes() == ["n2"], 10, "the node is expired")
    wait_until(lambda: chatty.joined("alice"), 20, "alice is read again")
    wait_until(lambda: len(chatty.events("gap")) == 2, 10, "the gaps are told")
    say(chatty, "alice", "after")
    found = said(chatty.ctl("history", "alice").stdout)
    assert [text for text, _ in found if text] == ["before", "after"]
    [missing] = [gap for _, gap in found if gap]
    assert re.fullmatch(r"-- #alice: missing from \S+ \S+ to \S+ \S+ \(not_joined\)", missing)
    gaps = [line for line in chatty.ctl_json("history", "alice") if line.get("event") == "gap"]
    assert gaps == [gap for gap in chatty.events("gap") if gap["channel"] == "alice"]
    assert "#alice: missing from" in chatty.ctl("--raw", "history", "alice").stderr


def test_a_tail_that_stood_still_for_too_long_says_once_what_it_missed(chatty, tmp_path):
    chatty.ctl("config", "set", "history_ms", "1000")
    stream = chatty.key("lines:0")
    with open(tmp_path / "tail", "w+", encoding="utf-8") as out:
        tail = subprocess.Popen([CTL, "--redis-url", chatty.redis_url, "tail", "--since", "10m", "alice"], stdout=out)
        shown = lambda: [t or m for t, m in said((tmp_path / "tail").read_text())]  # noqa: E731
        try:
            for text in ("one", "two"):
                say(chatty, "alice", text)
                wait_until(lambda t=text: t in shown(), 10, "it is shown")
                wait_until(lambda: chatty.redis.xlen(stream) == 0, 10, "it is trimmed")
            tail.send_signal(signal.SIGSTOP)
            for text in ("three", "lost"):
                say(chatty, "alice", text)
                wait_until(lambda: chatty.redis.xlen(stream) == 0, 10, "it is trimmed")
            say(chatty, "alice", "four")
            tail.send_signal(signal.SIGCONT)
            wait_until(lambda: "four" in shown(), 10, "it goes on")
            say(chatty, "alice", "five")
            wait_until(lambda: "five" in shown(), 10, "it goes on")
        finally:
            tail.kill()
            tail.wait()
    begins = shown().index("one")
    told = shown()[begins:]
    missing = [line for line in told if line.startswith("-- ")]
    assert [line for line in told if not line.startswith("-- ")] == ["one", "two", "three", "four", "five"]
    assert len(missing) == 1 and re.fullmatch(r"-- all channels: missing from .* \(not_read\)", missing[0]), missing


def test_tail_since_goes_on_with_what_comes_also_after_redis_was_away(chatty, tmp_path):
    say(chatty, "alice", "was")
    argv = [CTL, "--redis-url", chatty.redis_url, "--json", "tail", "--since", "10m", "alice"]

    def shown():
        lines = [json.loads(line)["line"] for line in (tmp_path / "tail").read_text().splitlines()]
        return [line.rsplit(":", 1)[1] for line in lines if "PRIVMSG" in line]

    with open(tmp_path / "tail", "w+", encoding="utf-8") as out:
        tail = subprocess.Popen(argv, stdout=out)
        try:
            wait_until(lambda: shown() == ["was"], 10, "what was")
            say(chatty, "alice", "comes")
            wait_until(lambda: shown() == ["was", "comes"], 10, "what comes")
            chatty.restart_redis()
            wait_until(lambda: chatty.joined("alice") and chatty.inject("alice", "while") == 1, 15, "it is said")
            say(chatty, "alice", "again")
            wait_until(lambda: "again" in shown(), 20, "what comes then")
            assert shown() == ["was", "comes", "while", "again"]
            tail.send_signal(signal.SIGINT)
            assert tail.wait(20) == 0
        finally:
            tail.kill()
            tail.wait()
