"""Chat that the Twitch simulator makes up, or repeats from a recording."""

import re
import time

from simclient import Chat, Line, Sim, commands, only, sim_with


def fnv(lines):
    value = 0xCBF29CE484222325
    for line in lines:
        for byte in line.encode() + b"\n":
            value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def test_generated_lines_are_of_every_kind_and_recorded_once(tmp_path):
    record = tmp_path / "record"
    with Sim("--record", record, "--limits-off", "--seed", 7) as sim:
        member = "twitch.tv/tags twitch.tv/commands twitch.tv/membership"
        one, two = Chat(sim, caps=member), Chat(sim)
        one.join("a", "b", "c")
        two.join("a")
        one.sync()
        sim.control("generate count=6000")
        sim.control("wait generate")
        got = one.sync()
        assert len(got) == 6000
        kinds = {line.command for line in got}
        assert kinds >= {
            "PRIVMSG", "USERNOTICE", "CLEARCHAT", "CLEARMSG", "ROOMSTATE", "NOTICE", "JOIN", "PART",
        }  # fmt: skip
        assert {line.tags["msg-id"] for line in only(got, "USERNOTICE")} == {
            "sub", "resub", "subgift", "raid", "announcement",
        }  # fmt: skip
        messages = only(got, "PRIVMSG")
        assert len({line.tags["id"] for line in messages}) == len(messages)
        assert any("reply-parent-msg-id" in line.tags for line in messages)
        assert any("bits" in line.tags for line in messages)
        assert any(line.text.startswith("\x01ACTION ") for line in messages)
        assert sum(len(line.encode()) for line in messages) / len(messages) > 300
        assert any(ord(c) > 0x1F000 for line in messages for c in line)
        for line in only(got, "ROOMSTATE"):
            assert len(line.tags) == 2
        for line in messages:  # emote positions are right, in code points
            for group in filter(None, line.tags["emotes"].split("/")):
                start, end = map(int, group.split(":")[1].split("-"))
                text = line.text.removeprefix("\x01ACTION ")
                assert re.fullmatch(r":\)|\w+", text[start : end + 1]), (group, line)
        sim.control("flush")
        recorded = [entry.split("\t", 1) for entry in record.read_text().splitlines()]
        assert [line for _, line in recorded] == [str(line) for line in got]
        in_a = [line for channel, line in recorded if channel == "a"]
        assert [str(line) for line in two.sync()] == [
            line for line in in_a if Line(line).command not in ("JOIN", "PART")
        ]
        stats = sim.control.stats()["channels"]
        for channel in "abc":
            lines = [line for c, line in recorded if c == channel]
            assert stats[channel]["sent"] == len(lines)
            assert stats[channel]["digest"] == fnv(lines)


def test_the_same_seed_makes_the_same_lines():
    runs = []
    for _ in range(2):
        with Sim("--seed", 5) as sim:
            chat = Chat(sim)
            chat.join("a", "b")
            sim.control("generate count=200 seed=11")
            sim.control("wait generate")
            runs.append([re.sub(r"tmi-sent-ts=\d+", "", line) for line in chat.sync()])
    assert runs[0] == runs[1] and len(runs[0]) == 200


def test_generation_is_paced_and_can_be_stopped(sim):
    chat = Chat(sim)
    chat.join("a")
    start = time.monotonic()
    sim.control("generate count=100 rate=400 only=privmsg")
    sim.control("wait generate")
    assert 0.2 < time.monotonic() - start < 1.5
    assert commands(chat.sync()) == ["PRIVMSG"] * 100
    sim.control("generate rate=200 channels=a,unjoined")
    time.sleep(0.2)
    lines = sim.control("stop")["generate"]["lines"]
    assert 0 < lines < 200
    assert len(chat.sync()) == lines


def test_lines_can_carry_the_time_for_latencies(sim):
    chat = Chat(sim)
    chat.join("a")
    sim.control("generate count=50 rate=1000 only=privmsg stamp=1")
    sim.control("wait generate")
    stamps = [int(line.tags["sim-us"]) for line in chat.sync()]
    assert len(stamps) == 50 and stamps == sorted(stamps)
    assert abs(stamps[-1] / 1e6 - time.time()) < 60


@sim_with("--rate", 500, "--count", 50)
def test_generation_by_option_begins_with_the_first_join(sim):
    chat = Chat(sim)
    chat.join("a")
    sim.control("wait generate")
    stats = sim.control.stats()
    assert stats["generate"]["lines"] == 50 and stats["channels"]["a"]["sent"] == 50


@sim_with("--queue-bytes", "64k")
def test_generation_waits_for_the_slowest_and_loses_nothing(sim):
    fast, slow = Chat(sim), Chat(sim)
    fast.join("a")
    slow.join("a")
    sim.control("generate count=60000")
    fast_lines = 0
    deadline = time.monotonic() + 20
    # Read only one: the other's socket fills, and the generator stops.
    while not sim.control.stats()["generate"]["waiting"]:
        assert time.monotonic() < deadline
        try:
            fast.next(0.05)
            fast_lines += 1 + len(fast.lines)
            fast.lines.clear()
        except TimeoutError:
            pass
    assert sim.control.stats()["connections"]["queued_bytes"] < 4 * 65536
    sim.control("generate count=1000")
    slow_lines = len(slow.sync())
    sent = sim.control.stats()["channels"]["a"]["sent"]
    sim.control("wait generate ms=20000")
    slow_lines += len(slow.sync())
    assert slow_lines == sim.control.stats()["channels"]["a"]["sent"] >= sent


@sim_with("--queue-bytes", "16k", "--drop-slow")
def test_a_slow_reader_is_dropped_when_asked_to(sim):
    chat = Chat(sim)
    chat.join("a")
    conn = sim.control("connections")["connections"][0]["id"]
    sim.control(f"slow conn={conn} write=1000")
    sim.control("generate count=500")
    sim.control("wait connections=0")
    assert sim.control.stats()["connections"]["dropped_slow"] == 1


def test_a_replay_sends_each_line_once_in_order(tmp_path):
    replay = tmp_path / "replay"
    lines = [
        f"@id={i};x=ü :u!u@u.tmi.twitch.tv PRIVMSG #{'ab'[i % 2]} :line {i}" for i in range(200)
    ]
    lines.insert(50, "@room-id=1 :tmi.twitch.tv CLEARCHAT #a")
    lines.insert(60, ":u!u@u PRIVMSG #nobody :skipped")
    lines.insert(70, "nonsense")
    replay.write_text("\r\n".join(lines) + "\r\n")
    with Sim("--replay", replay, "--replay-when-joined", 2) as sim:
        one, two = Chat(sim), Chat(sim)
        two.join("a")
        one.join("a")
        assert not sim.control.stats()["replay"]["running"]
        one.send("JOIN #b")
        sim.control("wait replay")
        state = sim.control.stats()["replay"]
        assert (state["lines"], state["skipped"]) == (201, 2)
        wanted = [line for line in lines if "#nobody" not in line and line != "nonsense"]
        got = [str(x) for x in one.sync() if x in wanted]
        assert got == wanted
        assert [str(x) for x in two.sync()] == [x for x in wanted if "#a" in x]
        sim.control("replay")
        sim.control("wait replay")
        assert [str(x) for x in one.sync()] == wanted


def test_a_flood_has_as_many_lines_of_as_many_bytes_as_asked_for_in_a_message_each(tmp_path):
    record = tmp_path / "record"
    with Sim("--record", record, "--limits-off") as sim:
        one, two, none = Chat(sim), Chat(sim), Chat(sim)
        one.join("a", "b")
        two.join("c")
        none.sync()
        sim.control("flood all count=1300 bytes=463 seed=3")  # more than are made: they come again
        sim.control("wait flood")
        got = one.sync()
        assert len(got) == 1300 and {line.command for line in got} == {"PRIVMSG"}
        assert {len(line.encode()) for line in got} == {463}
        assert [line.params[0] for line in got[:4]] == ["#a", "#b", "#a", "#b"]
        assert {line.params[0] for line in two.sync()} == {"#c"}
        assert not none.sync()
        one.join("d")  # lines that are not made before go on as ever
        sim.control("inject d line=:x!x@x PRIVMSG #d :hello")
        assert only(one.sync(), "PRIVMSG")[-1].text == "hello"
        sim.control("flush")
        assert record.read_text() == "d\t:x!x@x PRIVMSG #d :hello\n"
        assert not sim.control("flood all count=1 bytes=10", check=False)["ok"]
