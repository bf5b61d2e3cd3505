"""The programs of the README that read what is kept: killed, cut off and left behind, they have each line, or know that it
is missing."""

import sqlite3
import time

import pytest

from chat import PATIENT_REDIS, channel_of, recorded
from processes import wait_until
from shoal import REMEMBERS
from test_documents import start_program

NAMES = [f"room{i}" for i in range(4)]


@pytest.fixture
def kept(bare):
    """Four channels whose chat is recorded; Redis keeps its data."""
    bare.start_redis(*PATIENT_REDIS, *REMEMBERS)
    bare.record = bare.directory / "record"
    bare.start_sim("--verified", "--limits-off", "--record", bare.record)
    bare.start_coordinator()
    bare.start_node("n1")
    bare.join(*NAMES)
    return bare


def generate(cluster, count, rate):
    cluster.sim.control(f"generate count={count} rate={rate} only=privmsg")


def recorded_of(cluster):
    cluster.sim.control("flush")
    return {channel: [line.decode() for line in lines] for channel, lines in recorded(cluster.record).items()}


def by_channel(lines):
    found = {}
    for line in lines:
        found.setdefault(channel_of(line.encode()), []).append(line)
    return found


def is_line(line):
    return " PRIVMSG #" in line


@pytest.mark.parametrize("language", ["python", "js"])
def test_a_logger_that_is_killed_has_each_line(kept, tmp_path, language):
    logger = start_program(kept, tmp_path, language, "logger")
    wait_until(lambda: kept.redis.exists(kept.key("lines:0")) and kept.redis.xinfo_groups(kept.key("lines:0")), 10, "its group")
    generate(kept, 3000, 1000)
    for _ in range(4):
        time.sleep(0.4)
        logger.kill()
        time.sleep(0.2)
        logger.start()
    kept.sim.control("wait generate ms=20000")

    def all_there():
        said = {line for lines in recorded_of(kept).values() for line in lines if is_line(line)}
        return len(said) == 3000 and said <= set(logger.text().splitlines())

    wait_until(all_there, 20, "each line is logged")
    wait_until(lambda: kept.redis.xinfo_groups(kept.key("lines:0"))[0]["pending"] == 0, 10, "all is acknowledged")

    kept.redis.flushall()  # no streams, no group: it begins another one
    wait_until(lambda: kept.redis.exists(kept.key("lines")), 10, "the streams are begun anew")
    kept.join(*NAMES, timeout=30)
    kept.inject(NAMES[0], "after all was gone")
    wait_until(lambda: "after all was gone" in logger.text(), 20, "it goes on")


def stored(path, what):
    with sqlite3.connect(path) as db:
        try:
            return db.execute(f"SELECT {what}").fetchall()
        except sqlite3.OperationalError:  # it has not begun yet
            return [(0,)]


def test_a_database_has_each_line_once_however_often_it_is_killed(kept, tmp_path):
    database = start_program(kept, tmp_path, "python", "database")
    generate(kept, 4000, 1000)
    for _ in range(6):
        time.sleep(0.5)
        database.kill()
        database.start()
    kept.restart_redis()
    kept.sim.control("wait generate ms=20000")
    path = tmp_path / "chat.db"
    wait_until(lambda: stored(path, "COUNT(*) FROM line WHERE line LIKE '% PRIVMSG #%'")[0][0] >= 4000, 30, "all is stored")
    lines = by_channel(line for (line,) in stored(path, "line FROM line ORDER BY rowid"))
    assert lines == recorded_of(kept)
    assert stored(path, "* FROM gap") == []


def test_a_database_that_was_away_for_too_long_has_one_gap_and_one_that_was_not_has_none(kept, tmp_path):
    kept.request("set", name="history_ms", value=3000)
    path = tmp_path / "chat.db"
    database = start_program(kept, tmp_path, "python", "database")
    generate(kept, 3000, 500)
    wait_until(lambda: stored(path, "COUNT(*) FROM line")[0][0] > 500, 15, "it reads")
    database.kill()
    time.sleep(1)
    database.start()
    before = stored(path, "COUNT(*) FROM line")[0][0]
    wait_until(lambda: stored(path, "COUNT(*) FROM line")[0][0] > before + 300, 10, "it has read on")
    assert stored(path, "* FROM gap") == []

    database.kill()
    time.sleep(0.1)
    last = stored(path, "line FROM line ORDER BY rowid DESC LIMIT 1")[0][0]
    kept.sim.control("wait generate ms=20000")
    generate(kept, 3000, 600)  # 5 s
    kept.sim.control("wait generate ms=20000")
    database.start()
    wait_until(lambda: stored(path, "COUNT(*) FROM gap")[0][0], 10, "that something is missing is known")
    (gap,) = stored(path, "since, until FROM gap")
    at = {line: int(line.split("tmi-sent-ts=")[1].split(";")[0]) for lines in recorded_of(kept).values() for line in lines
          if "tmi-sent-ts=" in line}  # fmt: skip
    assert abs(gap[0] - at[last]) < 1000
    newest = max(at.values())
    wait_until(lambda: any(str(newest) in line for (line,) in stored(path, "line FROM line")), 10, "it has all there is")
    have = {line for (line,) in stored(path, "line FROM line")}
    missing = [when for line, when in at.items() if line not in have]
    assert missing and gap[0] - 1000 <= min(missing) and max(missing) <= gap[1] + 1000
    assert len(have) == stored(path, "COUNT(*) FROM line")[0][0]


def test_a_subscriber_that_is_cut_off_again_and_again_has_each_line_once_and_in_order(kept, tmp_path):
    subscriber = start_program(kept, tmp_path, "python", "resume")
    wait_until(lambda: kept.redis.pubsub_numsub("shoal:main:mark:me")[0][1] == 1, 10, "it listens")
    time.sleep(0.5)
    generate(kept, 6000, 1000)
    for _ in range(10):
        time.sleep(0.5)
        for client in kept.redis.client_list(_type="pubsub"):
            if not client["name"].startswith("shoal"):
                kept.redis.client_kill_filter(_id=client["id"])
    kept.sim.control("wait generate ms=20000")
    said = {channel: [line for line in lines if is_line(line)] for channel, lines in recorded_of(kept).items()}
    total = sum(map(len, said.values()))
    wait_until(lambda: subscriber.text().count(" PRIVMSG #") >= total, 20, "all is heard")
    time.sleep(0.5)
    assert by_channel(filter(is_line, subscriber.text().splitlines())) == said
    assert "missing" not in subscriber.text()
