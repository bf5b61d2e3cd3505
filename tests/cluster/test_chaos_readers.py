"""The checker of what is kept, and of its readers, sees what it is there to see, and nothing else."""

import contextlib
import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "chaos"))

import check_readers  # noqa: E402  (of tests/chaos, as the next ones)
import plan  # noqa: E402
from kept import Kept, Loss  # noqa: E402
from test_chaos import Complaints, T, line  # noqa: E402

SAID = [line(T + i, f"line {i}") for i in range(8)]
AGAIN = b":tmi.twitch.tv ROOMSTATE #room0"  # the same again and again


def kept_of(complaints, blocks, losses=()):
    """Streams in which these blocks were: (seq, lines), one a second."""
    cluster = SimpleNamespace(key=str)
    servers = SimpleNamespace(way=SimpleNamespace(url="redis://127.0.0.1:1"))
    kept = Kept(cluster, complaints, servers)
    kept._history = [b"1", b"0"]
    for seq, lines in blocks:
        fields = {b"by": b"n1/00000001", b"seq": b"%d" % seq, b"lines": b"\n".join(lines)}
        kept._take(b"%d-0" % ((T + seq) * 1000), fields, T + seq)
    kept.losses += losses
    return kept


def judged(complaints, blocks, heard=(), losses=(), gaps=None, missed=(), gone=frozenset(), **readers):
    """readers: what each has, where it differs from what was kept."""
    kept = kept_of(complaints, blocks, losses)
    all_lines = [each for _, lines in blocks for each in lines]
    heard = [(each, T + i) for i, each in enumerate(heard or all_lines)]
    lines = SimpleNamespace(heard={"room0": heard}, sent={"room0": [[each, T, T] for each in [*SAID, AGAIN]]}, missed=[])
    have = {name: [each.decode() for each in readers.get(name, all_lines)] for name in ("logger", "database", "resume")}
    known = SimpleNamespace(
        lines=lambda: have,
        gaps_of_database=lambda: [("", begin, end, "not_read") for begin, end in gaps or ()],
        gaps_of_resume=lambda: gaps or [],
        gone_for_logger=lambda: gone,
    )
    reading = SimpleNamespace(is_read_anew=lambda channel, at: False)
    check_readers.at_end(complaints, kept, known, lines, reading, {}, missed)
    return complaints


BLOCKS = [(2, SAID[:2]), (4, SAID[2:4]), (6, SAID[4:6]), (8, SAID[6:])]


@pytest.fixture
def complaints():
    return Complaints()


def test_all_who_have_what_was_said_are_right(complaints):
    assert judged(complaints, BLOCKS) == []


@pytest.mark.parametrize(
    ("blocks", "broken"),
    [
        ([*BLOCKS[:2], *BLOCKS[3:]], ["what was published is not in the streams"] * 2),
        ([*BLOCKS, (9, SAID[:1])], ["the streams have a line twice"]),
        ([*BLOCKS, (9, [b":x!x@x PRIVMSG #room0 :invented"])], ["the streams have a line that was never said"]),
        ([(2, SAID[1::-1]), *BLOCKS[1:]], ["the streams have another order than topics had"]),
        ([*BLOCKS, BLOCKS[3]], ["the streams have a block twice"]),
    ],
)
def test_streams_have_what_was_published_once_and_in_its_order(complaints, blocks, broken):
    have = [each for _, lines in blocks[:4] for each in lines]
    judged(complaints, blocks, SAID, database=have, resume=have)
    assert [each for each in complaints if "the streams" in each] == broken


def test_what_the_streams_say_is_missing_is_nobodys_loss(complaints):
    assert judged(complaints, [*BLOCKS[:2], *BLOCKS[3:]], SAID, [Loss(T + 4, T + 6, "not_kept")]) == []


def test_of_lines_that_are_the_same_it_is_known_how_many_there_are(complaints):
    blocks = [(1, [AGAIN]), (4, [*SAID[:2], AGAIN]), (5, [AGAIN])]
    assert judged(complaints, blocks, gaps=[(T + 4, T + 4)], database=[AGAIN, AGAIN], resume=[AGAIN, AGAIN]) == []
    assert judged(complaints, blocks, gaps=[(T + 4, T + 4)], database=[AGAIN]) == ["the database lacks a line"]


@pytest.mark.parametrize(
    ("has", "broken"),
    [
        (SAID[:4] + SAID[6:], ["lacks a line"] * 2),
        (SAID[:3] + SAID[2:], ["has a line twice"]),
        (SAID[:2] + [SAID[3], SAID[2]] + SAID[4:], ["has lines out of order"]),
        ([*SAID, b":x!x@x PRIVMSG #room0 :invented"], ["has what the streams have not"]),
    ],
)
def test_a_reader_has_what_the_streams_have(complaints, has, broken):
    for name in ("database", "resume", "logger"):
        judged(complaints, BLOCKS, **{name: has})
        once = [each for each in broken if each != "has a line twice" or name != "logger"]
        assert complaints == [f"the {name} {each}" for each in once]
        complaints.clear()


def test_what_a_reader_knows_that_it_lacks_it_knows_once(complaints):
    has = SAID[:4] + SAID[6:]
    assert judged(complaints, BLOCKS, gaps=[(T + 5, T + 7)], missed=[(T + 6, T + 6)], database=has, resume=has, logger=has) == []
    twice = [(T + 5, T + 7), (T + 6, T + 6)]
    assert judged(complaints, BLOCKS, gaps=twice, database=has) == ["the database lacks a line and knows of it twice"] * 2


def test_lines_that_redis_has_lost_nobody_has_to_have_who_was_told(complaints):
    kept = kept_of(complaints, BLOCKS)
    lost = {"node": "n1", "from": 5, "to": 6, "kept": False}
    kept._take(b"%d-0" % ((T + 9) * 1000), {b"rewound": json.dumps(lost).encode()}, T + 9)
    assert [kept.losses[0].has(block) for block in kept.blocks.values()] == [False, False, True, False]
    assert (kept.losses[0].begin, kept.losses[0].end) == (T + 4, T + 9)


def test_a_logger_knows_what_was_too_old_when_it_was_to_read_it_again(complaints):
    has, gone = SAID[:4] + SAID[6:], {f"{(T + 6) * 1000}-0"}
    assert judged(complaints, BLOCKS, gone=gone, logger=has) == []
    assert judged(complaints, BLOCKS, gone=gone, database=has) == ["the database lacks a line"] * 2


@pytest.mark.parametrize(("away_s", "why"), [(1, []), (plan.SETTINGS["history_ms"] / 1000, ["trimmed"])])
def test_what_was_trimmed_before_we_saw_it_nobody_misses(complaints, away_s, why):
    kept = kept_of(complaints, BLOCKS)
    read = SimpleNamespace(xrange=lambda *_, **__: 0, hmget=lambda *_: 0, role=lambda: 0)
    read.execute = lambda: ([], [b"1", b"0"], [b"master"])
    kept._redis = SimpleNamespace(pipeline=lambda transaction: contextlib.nullcontext(read))
    kept._well = time.time() - away_s
    kept.look()
    assert [loss.why for loss in kept.losses] == why
    assert all(loss.begin < kept._well - away_s + 1 and loss.end <= kept._well for loss in kept.losses)


def test_each_run_kills_and_cuts_off_readers():
    for seconds in (20, 60):
        actions = [(action.what, action.args.get("victim")) for action in plan.make(3, seconds)]
        assert {("kill_reader", "logger"), ("kill_reader", "database"), ("cut_reader", None)} <= set(actions)
