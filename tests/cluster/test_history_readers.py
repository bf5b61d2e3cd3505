"""The programs of the README that read what is kept: killed, stopped, cut off and left behind, they have each line, or
know that it is missing."""

import contextlib
import shutil
import sqlite3
import time
from collections import Counter

import pytest

from chat import PATIENT_REDIS, channel_of, recorded
from documents import start_program
from processes import wait_until
from proxy import Proxy
from shoal import REMEMBERS

NAMES = [f"room{i}" for i in range(4)]
LANGUAGES = pytest.mark.parametrize("language", ["python", "js"])
STREAMS = pytest.mark.parametrize("streams", [1, 3])
GROUP = "logger"
MARK = "shoal:main:mark:me"
CUT = ":a!a@a PRIVMSG #room0 :ki"  # in the midst of it the logger was killed
ODD = b":a!a@a PRIVMSG #room0 :\xff caf\xc3\xa9"  # not all of it is UTF-8
NOT_FOUND = " PRIVMSG #room0 :\ufffd caf\u00e9"


def begin(bare, *redis_args, **settings):
    bare.start_redis(*PATIENT_REDIS, *redis_args)
    bare.record = bare.directory / "record"
    bare.start_sim("--verified", "--limits-off", "--record", bare.record)
    bare.start_coordinator(**settings)
    bare.start_node("n1")
    bare.join(*NAMES)
    streams = str(settings.get("history_streams", 1))  # with another number they are begun anew
    wait_until(lambda: bare.redis.hget(bare.key("lines"), "streams") == streams, 15, "there are as many streams")
    return bare


@pytest.fixture
def kept(bare):
    """Four channels whose chat is recorded; Redis keeps its data."""
    return begin(bare, *REMEMBERS)


@pytest.fixture
def forgetful(bare):
    """The same, with a Redis that keeps what it is told to save."""
    return begin(bare)


def generate(cluster, count, rate):
    cluster.sim.control(f"generate count={count} rate={rate} only=privmsg")


def is_all_said(cluster):
    cluster.sim.control("wait generate ms=20000")


def is_line(line):
    return " PRIVMSG #" in line


def said(cluster):
    """Channel -> what was said there."""
    cluster.sim.control("flush")
    return by_channel(line.decode() for lines in recorded(cluster.record).values() for line in lines)


def by_channel(lines):
    found = {}
    for line in filter(is_line, lines):
        found.setdefault(channel_of(line.encode()), []).append(line)
    return found


def count(channels):
    return sum(map(len, channels.values()))


def time_of(line):
    return int(line.split("tmi-sent-ts=")[1].split(";")[0])


def cut_off(cluster, kind):
    """Ends the connections of that kind that are not Shoal's nor this test's."""
    own = cluster.redis.client_id()
    for client in cluster.redis.client_list(_type=kind):
        if not client["name"].startswith("shoal") and int(client["id"]) != own:
            cluster.redis.client_kill_filter(_id=client["id"])


def calls(cluster, command):
    return cluster.redis.info("commandstats").get(f"cmdstat_{command}", {}).get("calls", 0)


def empty(cluster):
    """Redis loses all; the channels are joined again."""
    cluster.redis.flushall()
    wait_until(lambda: cluster.redis.exists(cluster.key("lines")), 10, "the streams are begun anew")
    cluster.join(*NAMES, timeout=30)


@pytest.fixture
def proxy(kept):
    with contextlib.closing(Proxy(kept.redis_process.port)) as proxy:
        yield proxy


def break_connections(cluster, proxy, kind, has_all):
    """While there is chat, those of that kind break, and so do the next ones as they are made."""
    for resets in range(1, 5):
        generate(cluster, 1000, 1000)
        proxy.reset(resets)
        cut_off(cluster, kind)
        is_all_said(cluster)
        wait_until(has_all, 20, "it has all")


# A logger ----------------------------------------------------------------------------------------------


def start_logger(cluster, tmp_path, language, url=None):
    logger = start_program(cluster, tmp_path, language, "logger", url)
    stream = cluster.key("lines:0")
    wait_until(lambda: cluster.redis.exists(stream) and cluster.redis.xinfo_groups(stream), 10, "its group")
    return logger


def logged(logger):
    return set(filter(is_line, logger.text().splitlines()))


@LANGUAGES
@STREAMS
def test_a_logger_that_is_killed_has_each_line(kept, tmp_path, language, streams):
    logger = start_logger(kept, tmp_path, language)
    kept.request("set", name="history_streams", value=streams)
    wait_until(lambda: kept.redis.hget(kept.key("lines"), "streams") == str(streams), 10, f"{streams} streams")
    generate(kept, 3000, 1000)
    for _ in range(4):
        time.sleep(0.4)
        logger.kill()
        with open(logger.log, "a", encoding="utf-8") as log:
            log.write(CUT)
        time.sleep(0.2)
        logger.start()
    is_all_said(kept)
    all_said = {line for lines in said(kept).values() for line in lines}
    wait_until(lambda: all_said <= logged(logger), 20, "each line is logged")
    for other in logged(logger) - all_said:  # or it was killed in it
        begun, *cuts = other.split(CUT)  # several, where it was killed before it wrote anything
        assert cuts and not any(cuts) and any(line.startswith(begun) for line in all_said), other
    names = [kept.key(f"lines:{k}") for k in range(streams)]
    wait_until(lambda: not any(kept.redis.xinfo_groups(name)[0]["pending"] for name in names), 10, "all is acknowledged")

    empty(kept)
    kept.inject(NAMES[0], "after all was gone")
    wait_until(lambda: "after all was gone" in logger.text(), 20, "it goes on")


@LANGUAGES
def test_a_logger_whose_answer_was_lost_is_given_it_again(kept, tmp_path, language):
    logger = start_logger(kept, tmp_path, language)
    logger.pause()
    stream = kept.key("lines:0")
    fields = {"by": "n9/00000000", "seq": "1", "lines": ":a!a@a PRIVMSG #room0 :in an answer that was lost"}
    cut_off(kept, "normal")  # it waits in XREADGROUP, and nothing is given to it there
    old = kept.redis.xadd(stream, {**fields, "lines": ":a!a@a PRIVMSG #room0 :too old"})
    kept.redis.xadd(stream, fields)
    assert len(kept.redis.xreadgroup(GROUP, "logger-1", {stream: ">"})[0][1]) == 2
    kept.redis.xdel(stream, old)  # as trimming does
    logger.resume()
    wait_until(lambda: "in an answer that was lost" in logger.text(), 10, "it is logged")
    assert f"missing: {old}" in logger.text()
    kept.inject(NAMES[0], "what is new")
    wait_until(lambda: "what is new" in logger.text(), 10, "it goes on")
    wait_until(lambda: not kept.redis.xinfo_groups(stream)[0]["pending"], 10, "all is acknowledged")


@LANGUAGES
def test_a_logger_that_cannot_have_its_group_waits(kept, tmp_path, language):
    logger = start_logger(kept, tmp_path, language)
    kept.redis.config_set("maxmemory", 1)
    kept.redis.xgroup_destroy(kept.key("lines:0"), GROUP)
    asked = calls(kept, "xreadgroup")
    time.sleep(2)
    assert calls(kept, "xreadgroup") - asked < 20
    kept.redis.config_set("maxmemory", 0)
    wait_until(lambda: kept.redis.xinfo_groups(kept.key("lines:0")), 10, "its group")
    kept.inject(NAMES[0], "there is room again")
    wait_until(lambda: "there is room again" in logger.text(), 10, "it goes on")


@LANGUAGES
@pytest.mark.parametrize("name", ["logger", "resume"])
def test_chat_that_is_no_utf_8_is_shown(kept, tmp_path, language, name):
    program = start_program(kept, tmp_path, language, name)
    time.sleep(1)

    def shown():
        kept.inject(NAMES[0], "it reads")
        return "it reads" in program.text()

    wait_until(shown, 10, "it reads")
    kept.redis.xadd(kept.key("lines:0"), {"by": "n9/00000000", "seq": "1", "lines": ODD})
    kept.redis.publish("shoal:main:chat:room0", ODD)
    wait_until(lambda: NOT_FOUND in program.log.read_text("utf-8"), 10, "it is shown")


@LANGUAGES
def test_a_logger_whose_connections_break_as_they_are_made_has_each_line(kept, proxy, tmp_path, language):
    logger = start_logger(kept, tmp_path, language, proxy.url)
    break_connections(kept, proxy, "normal", lambda: len(logged(logger)) >= count(said(kept)))
    assert logged(logger) == {line for lines in said(kept).values() for line in lines}


# A database --------------------------------------------------------------------------------------------


class Database:
    """What the program has stored."""

    def __init__(self, cluster, tmp_path, language, url=None):
        self.path = tmp_path / "chat.db"
        self.program = start_program(cluster, tmp_path, language, "database", url)

    def select(self, what):
        with sqlite3.connect(self.path) as db:
            try:
                return db.execute(f"SELECT {what}").fetchall()
            except sqlite3.OperationalError:  # it has not begun yet
                return []

    def lines(self):
        return [line for (line,) in self.select("line FROM line ORDER BY rowid") if is_line(line)]

    def gaps(self):
        return self.select("channel, since, until, reason FROM gap")

    def has(self, text, timeout=20):
        wait_until(lambda: any(text in line for line in self.lines()), timeout, f"it has: {text}")


@LANGUAGES
@STREAMS
def test_a_database_has_each_line_once_however_often_it_is_killed(bare, tmp_path, language, streams):
    kept = begin(bare, *REMEMBERS, history_streams=streams)
    database = Database(kept, tmp_path, language)
    generate(kept, 4000, 1000)
    for _ in range(6):
        time.sleep(0.5)
        database.program.kill()
        database.program.start()
    kept.restart_redis()
    is_all_said(kept)
    wait_until(lambda: len(database.lines()) >= 4000, 30, "all is stored")
    assert by_channel(database.lines()) == said(kept)
    assert database.gaps() == []


@LANGUAGES
@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_a_database_that_was_away_for_too_long_knows_that_and_one_that_was_not_has_no_gap(
    kept, tmp_path, language, how
):
    kept.request("set", name="history_ms", value=5000)
    database = Database(kept, tmp_path, language)
    generate(kept, 3000, 500)
    wait_until(lambda: len(database.lines()) > 500, 15, "it reads")
    database.program.kill()
    time.sleep(0.5)
    database.program.start()
    before = len(database.lines())
    wait_until(lambda: len(database.lines()) > before + 300, 10, "it has read on")
    assert database.gaps() == []

    if how == "killed":
        database.program.kill()
    else:
        wait_until(lambda: len(database.lines()) == 3000, 10, "it has all")
        database.program.pause()
    time.sleep(0.1)
    is_all_said(kept)
    generate(kept, 5000, 500)  # 10 s
    is_all_said(kept)
    last = database.lines()[-1]
    database.program.start() if how == "killed" else database.program.resume()
    newest = max((line for lines in said(kept).values() for line in lines), key=time_of)
    database.has(newest)
    gaps = database.gaps()
    # More than one only where the next entries go as well, while it stores the first.
    assert {reason for *_, reason in gaps} == {"not_read"} and all(until - since < 1000 for _, since, until, _ in gaps[1:])
    # From what it had: one that stands still while it waits has the first entry of what is said then as well.
    late = gaps[0][1] - time_of(last)
    assert late > -1000 and (late < 1000 or how == "stopped")
    lines = database.lines()
    missing = [time_of(line) for lines_ in said(kept).values() for line in lines_ if line not in set(lines)]
    assert missing
    for at in missing:
        assert any(since - 1000 <= at <= until + 1000 for _, since, until, _ in gaps)
    assert len(lines) == len(set(lines))


@LANGUAGES
def test_a_database_has_no_gap_where_nothing_was_said(kept, tmp_path, language):
    kept.request("set", name="history_ms", value=1000)
    database = Database(kept, tmp_path, language)
    # Again and again: a second after it was said it is gone, and a program may take longer to start.
    wait_until(lambda: kept.inject(NAMES[0], "before") and database.lines(), 20, "it reads")
    for text in ("in between", "and after"):
        wait_until(lambda: not kept.redis.xlen(kept.key("lines:0")), 15, "it is gone")
        kept.inject(NAMES[0], text)
        database.has(text)
    wait_until(lambda: not kept.redis.xlen(kept.key("lines:0")), 15, "it is gone")
    assert database.gaps() == []


@LANGUAGES
def test_a_database_knows_that_redis_was_emptied(kept, tmp_path, language):
    database = Database(kept, tmp_path, language)
    generate(kept, 2000, 500)
    wait_until(lambda: len(database.lines()) > 500, 15, "it reads")
    empty(kept)
    kept.inject(NAMES[0], "after all was gone")
    database.has("after all was gone")
    reasons = Counter(reason for *_, reason in database.gaps())
    assert reasons["not_read"] == 1 and not reasons["emptied"], reasons  # it knows that better
    lines = database.lines()
    assert len(lines) == len(set(lines))


@LANGUAGES
def test_a_database_whose_redis_lost_its_newest_data_has_each_line_once(forgetful, tmp_path, language):
    data = forgetful.directory / "redis" / "dump.rdb"
    database = Database(forgetful, tmp_path, language)
    generate(forgetful, 3000, 500)
    wait_until(lambda: len(database.lines()) > 300, 15, "it reads")
    forgetful.redis.save()
    shutil.copy(data, data.with_suffix(".kept"))
    time.sleep(1)
    forgetful.redis_process.kill()
    shutil.copy(data.with_suffix(".kept"), data)
    forgetful.restart_redis()
    wait_until(lambda: forgetful.events("redis.rewound"), 10, "that Redis went back is told")
    is_all_said(forgetful)
    wait_until(lambda: len(database.lines()) >= count(said(forgetful)), 20, "all is stored")
    assert Counter(database.lines()) == Counter(line for lines in said(forgetful).values() for line in lines)
    assert database.gaps() == []


@LANGUAGES
def test_a_database_has_chat_that_is_no_utf_8(kept, tmp_path, language):
    database = Database(kept, tmp_path, language)
    kept.redis.xadd(kept.key("lines:0"), {"by": "n9/00000000", "seq": "1", "lines": ODD + b"\n:a!a@a PRIVMSG #room0 :next"})
    database.has(":next")
    assert NOT_FOUND in database.lines()[-2]


@LANGUAGES
def test_a_database_whose_connections_break_as_they_are_made_has_each_line_once(kept, proxy, tmp_path, language):
    database = Database(kept, tmp_path, language, proxy.url)
    break_connections(kept, proxy, "normal", lambda: len(database.lines()) >= count(said(kept)))
    assert Counter(database.lines()) == Counter(line for lines in said(kept).values() for line in lines)
    assert database.gaps() == []


# A subscriber that resumes -----------------------------------------------------------------------------


def start_subscriber(cluster, tmp_path, language, url=None):
    subscriber = start_program(cluster, tmp_path, language, "resume", url)
    wait_until(lambda: cluster.redis.pubsub_numsub(MARK)[0][1] == 1, 10, "it listens")
    time.sleep(1.5)  # its first mark
    return subscriber


def heard(subscriber):
    return by_channel(subscriber.text().splitlines())


@LANGUAGES
@STREAMS
def test_a_subscriber_that_is_cut_off_again_and_again_has_each_line_once_and_in_order(bare, tmp_path, language, streams):
    kept = begin(bare, *REMEMBERS, history_streams=streams)
    subscriber = start_subscriber(kept, tmp_path, language)
    generate(kept, 6000, 1000)
    for i in range(10):
        time.sleep(0.5)
        cut_off(kept, "pubsub" if i % 3 else "normal")
    is_all_said(kept)
    wait_until(lambda: count(heard(subscriber)) >= 6000, 20, "all is heard")
    time.sleep(0.5)
    assert heard(subscriber) == said(kept)
    assert "missing" not in subscriber.text()


@LANGUAGES
@pytest.mark.parametrize("kind", ["pubsub", "normal"])
def test_a_subscriber_whose_connections_break_as_they_are_made_has_each_line_once(kept, proxy, tmp_path, language, kind):
    subscriber = start_subscriber(kept, tmp_path, language, proxy.url)
    break_connections(kept, proxy, kind, lambda: count(heard(subscriber)) >= count(said(kept)))
    time.sleep(0.5)
    assert heard(subscriber) == said(kept)
    assert "missing" not in subscriber.text()


@LANGUAGES
def test_a_subscriber_that_hears_nothing_any_more_connects_anew_and_has_each_line_once(kept, proxy, tmp_path, language):
    subscriber = start_subscriber(kept, tmp_path, language, proxy.url)
    proxy.deafen()
    generate(kept, 1000, 500)
    is_all_said(kept)
    wait_until(lambda: count(heard(subscriber)) >= count(said(kept)), 30, "it has all")
    time.sleep(0.5)
    assert heard(subscriber) == said(kept)
    assert "missing" not in subscriber.text()


@LANGUAGES
def test_a_subscriber_that_was_away_for_too_long_says_so(kept, tmp_path, language):
    subscriber = start_subscriber(kept, tmp_path, language)
    generate(kept, 500, 500)
    wait_until(lambda: count(heard(subscriber)) == 500, 10, "it reads")
    kept.request("set", name="history_ms", value=1000)
    assert "missing" not in subscriber.text()
    subscriber.pause()
    cut_off(kept, "pubsub")
    generate(kept, 3000, 600)
    is_all_said(kept)
    subscriber.resume()
    wait_until(lambda: "missing" in subscriber.text(), 10, "it knows")
    kept.inject(NAMES[0], "and on")
    wait_until(lambda: "and on" in subscriber.text(), 10, "it goes on")


@LANGUAGES
def test_a_subscriber_knows_that_redis_was_emptied(kept, tmp_path, language):
    subscriber = start_subscriber(kept, tmp_path, language)
    generate(kept, 1000, 500)
    wait_until(lambda: count(heard(subscriber)) > 500, 10, "it reads")
    empty(kept)
    kept.inject(NAMES[0], "after all was gone")
    wait_until(lambda: "after all was gone" in subscriber.text(), 10, "it goes on")
    wait_until(lambda: "missing" in subscriber.text(), 10, "it knows")
    lines = [line for lines in heard(subscriber).values() for line in lines]
    assert len(lines) == len(set(lines))


@LANGUAGES
def test_a_subscriber_whose_redis_lost_its_newest_data_has_each_line_once(forgetful, tmp_path, language):
    data = forgetful.directory / "redis" / "dump.rdb"
    subscriber = start_subscriber(forgetful, tmp_path, language)
    generate(forgetful, 3000, 500)
    wait_until(lambda: count(heard(subscriber)) > 300, 15, "it reads")
    forgetful.redis.save()
    shutil.copy(data, data.with_suffix(".kept"))
    time.sleep(1)
    killed = time.time() * 1000
    forgetful.redis_process.kill()
    shutil.copy(data.with_suffix(".kept"), data)
    forgetful.restart_redis()
    wait_until(lambda: forgetful.events("redis.rewound"), 10, "that Redis went back is told")
    is_all_said(forgetful)
    wait_until(lambda: count(heard(subscriber)) >= count(said(forgetful)), 20, "all is heard")
    time.sleep(1)
    lines = Counter(filter(is_line, subscriber.text().splitlines()))
    assert set(lines) == {line for lines_ in said(forgetful).values() for line in lines_}
    # What was under way then is published again: that is no doing of the subscriber's.
    assert [line for line, n in lines.items() if n > 1 and abs(time_of(line) - killed) > 500] == []
