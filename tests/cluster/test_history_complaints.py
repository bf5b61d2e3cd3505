"""What users of others' durable chat complain about, tried against Shoal.

 1. What was acknowledged stays, and memory grows: here.
 2. Where Redis is full whole streams go, with their groups: here.
 3. What a group was not given goes without a word: tests/unit/test_registry_history.c,
    a_group_that_was_too_slow_is_told_of_once_and_others_are_not.
 4. What was not acknowledged and is gone comes back empty: here.
 5. `lag` is wrong after a trim: here.
 6. What was acknowledged comes again after a failover: test_history_readers.py,
    test_a_database_whose_redis_lost_its_newest_data_has_each_line_once.
 7. NOGROUP in a tight loop: test_history_readers.py, test_a_logger_that_cannot_have_its_group_waits (and, where Redis was
    emptied, test_a_logger_that_is_killed_has_each_line).
 8. Ids from the time of a message are refused when it is late: here.
 9. A reader that is ahead of Redis hears nothing: here; where Redis was emptied, test_history_emptied.py.
10. All at once fills the output buffer, again and again: here.
11. A group scatters a channel over its consumers: here.
12. A client that cannot block: here.
13. Pending lists keep memory: tests/unit/test_registry_history.c,
    a_group_that_acknowledges_nothing_costs_the_others_no_chat. (Redis 7.0.15: 85 bytes an entry that is pending, of which
    MEMORY USAGE says 550; 100,000 of them are 8.4 MB, and counted as 55 MB.)
14. What was not acknowledged is not handed out again: here.
"""

import json
import threading
import time

import pytest
import redis

from chat import PATIENT_REDIS, assert_same, channel_of, entries, heard_by, kept_by
from documents import start_program
from processes import wait_until

NAMES = [f"room{i}" for i in range(4)]
GROUP = "logger"


def begin(bare, **settings):
    """Four channels that a subscriber hears."""
    bare.start_redis(*PATIENT_REDIS)
    bare.start_sim("--verified", "--limits-off")
    bare.start_coordinator(**settings)
    bare.start_node("n1")
    bare.join(*NAMES)
    bare.chat = bare.subscribe(bare.topic("chat:*"))
    return bare


def generate(cluster, count, rate):
    cluster.sim.control(f"generate count={count} rate={rate} only=privmsg")


def all_is_heard(cluster):
    cluster.sim.control("wait generate ms=20000")
    expected = cluster.chat.messages

    def rests():
        heard = len(expected)
        time.sleep(0.3)
        return heard == len(expected)

    wait_until(rests, 10, "all is heard")


def lines_of(found):
    return [line for _, fields in found for line in fields.get("lines", "").split("\n") if line]


def by_channel(lines):
    channels = {}
    for line in lines:
        channels.setdefault(channel_of(line.encode()), []).append(line.encode())
    return channels


def assert_heard(cluster, channels):
    heard = heard_by(cluster.chat)
    assert set(channels) == set(heard)
    for channel, lines in heard.items():
        assert_same(channel, lines, channels[channel])


def read_group(cluster, stream, most=100, consumer="me", **options):
    found = cluster.redis.xreadgroup(GROUP, consumer, {stream: ">"}, count=most, **options)
    return found[0][1] if found else []


def test_1_what_was_acknowledged_takes_no_memory_for_ever(bare):
    cluster = begin(bare, history_ms=1000)
    stream = cluster.key("lines:0")
    cluster.redis.xgroup_create(stream, GROUP, "$", mkstream=True)
    generate(cluster, 3000, 500)
    until = time.monotonic() + 6
    while time.monotonic() < until:
        for entry, _ in read_group(cluster, stream, block=100):
            cluster.redis.xack(stream, GROUP, entry)
    info = cluster.redis.xinfo_stream(stream)
    assert info["entries-added"] > 300 and info["length"] < info["entries-added"] / 2
    assert cluster.redis.xinfo_groups(stream)[0]["pending"] == 0
    assert not cluster.events("history.unread")


def test_2_where_other_keys_fill_redis_history_gives_way_and_chat_and_groups_stay(bare):
    cluster = begin(bare)
    stream = cluster.key("lines:0")
    cluster.redis.xgroup_create(stream, GROUP, "0", mkstream=True)
    generate(cluster, 1000000, 400)
    wait_until(lambda: len(cluster.chat.messages) > 1000, 10, "chat flows")
    cluster.redis.config_set("maxmemory", cluster.redis.info("memory")["used_memory"] + (8 << 20))
    for size in (100000, 1000):
        with pytest.raises(redis.ResponseError, match="maxmemory"):
            while True:
                cluster.redis.set(f"other:{time.monotonic()}", "x" * size)
                time.sleep(size / 5e6)
    wait_until(lambda: cluster.events("history.short"), 10, "that history gave way is told")
    heard = len(cluster.chat.messages)
    wait_until(lambda: len(cluster.chat.messages) > heard + 1200, 15, "chat flows on")
    assert cluster.redis.xinfo_groups(stream)[0]["name"] == GROUP
    assert not cluster.events("node.lost") and not cluster.events("gap")
    cluster.redis.config_set("maxmemory", 0)
    cluster.sim.control("stop")
    all_is_heard(cluster)
    missing = {line for _, line in cluster.chat.messages} - {line for lines in kept_by(cluster).values() for line in lines}
    assert missing
    if cluster.redis.hexists(cluster.key("lines"), "missed_from"):
        wait_until(lambda: cluster.events("history.not_kept"), 10, "that chat was not kept is told")
        assert any(b"not_kept" in fields.get(b"gap", b"") for _, fields in entries(cluster))


def test_4_what_was_not_acknowledged_and_is_gone_is_logged_as_missing(bare, tmp_path):
    cluster = begin(bare, history_ms=1000)
    stream = cluster.key("lines:0")
    cluster.redis.xgroup_create(stream, GROUP, "$", mkstream=True)
    generate(cluster, 1500, 500)
    given = wait_until(lambda: read_group(cluster, stream, 5, consumer="logger-1"), 10, "it is given some")
    last = given[-1][0]
    wait_until(lambda: not cluster.redis.xrange(stream, max=last), 15, "they are gone")
    logger = start_program(cluster, tmp_path, "python", "logger")
    wait_until(lambda: all(f"missing: {entry}" in logger.text() or entry in logger.text() for entry, _ in given), 10, "it knows")
    wait_until(lambda: cluster.redis.xinfo_groups(stream)[0]["pending"] == 0, 10, "it goes on")


def test_5_a_wrong_lag_is_not_believed(bare):
    cluster = begin(bare, history_ms=1000)
    stream = cluster.key("lines:0")
    cluster.redis.xgroup_create(stream, GROUP, "0", mkstream=True)
    generate(cluster, 2000, 500)
    wait_until(lambda: read_group(cluster, stream, 5), 10, "it reads some")
    all_is_heard(cluster)
    wait_until(lambda: cluster.events("history.unread"), 10, "some went unread")
    while read_group(cluster, stream):
        pass
    lag = cluster.redis.xinfo_groups(stream)[0]["lag"]  # though nothing is there to be read
    assert lag > 0 or not cluster.redis.info("server")["redis_version"].startswith("7.0")

    def is_at_the_end():
        told = json.loads(cluster.redis.hget(cluster.key("lines"), "groups"))
        return [group["behind_ms"] for group in told] == [0]

    wait_until(is_at_the_end, 5, "it is known that it has all there is")


def test_8_a_line_that_was_said_earlier_than_the_one_before_is_kept_behind_it(bare):
    cluster = begin(bare)
    now = int(time.time() * 1000)
    for i in range(10):
        line = f"@tmi-sent-ts={now - i * 5000} :bob!bob@bob PRIVMSG #{NAMES[0]} :text {i}"
        cluster.sim.control(f"inject {NAMES[0]} line={line}")
    wait_until(lambda: len(kept_by(cluster)[NAMES[0]]) == 10, 10, "they are kept")
    wait_until(lambda: len(cluster.chat.messages) >= 10, 10, "and heard")
    assert_heard(cluster, kept_by(cluster))


def test_9_a_reader_that_is_ahead_of_a_redis_that_forgot_hears_what_is_new(bare):
    cluster = begin(bare)
    stream = cluster.key("lines:0")
    cluster.inject(NAMES[0], "before")
    ahead = int(time.time() * 1000) + 5000  # as read from the one that is gone, whose clock was ahead
    cluster.redis.fcall("shoal1_rewound", 1, "shoal:{main}", "n1", 5, 7, 8, ahead)
    cluster.inject(NAMES[0], "after")
    found = wait_until(lambda: cluster.redis.xread({stream: f"{ahead}-0"}), 10, "it hears")[0][1]
    assert json.loads(found[0][1]["rewound"])["kept"] is False
    wait_until(lambda: "after" in str(cluster.redis.xread({stream: f"{ahead}-0"})), 10, "it hears what is new")


def test_10_what_was_missed_comes_in_portions(bare):
    cluster = begin(bare)
    generate(cluster, 8000, 4000)
    all_is_heard(cluster)
    cluster.redis.config_set("client-output-buffer-limit", "normal 1048576 1048576 1")
    lines = cluster.ctl("--raw", "history", "*").stdout.splitlines()
    assert len(lines) == len(cluster.chat.messages)
    with pytest.raises(redis.ConnectionError):  # all at once
        with cluster.redis.pipeline() as p:
            for _ in range(8):
                p.xrange(cluster.key("lines:0"))
            p.execute()


def test_11_with_a_stream_for_each_consumer_a_channel_keeps_its_order(bare):
    cluster = begin(bare, history_streams=4)
    wait_until(lambda: cluster.redis.hget(cluster.key("lines"), "streams") == "4", 10, "there are four")
    streams = [cluster.key(f"lines:{k}") for k in range(4)]
    read = {stream: [] for stream in streams}
    over = threading.Event()

    def consume(stream):
        while not over.is_set():
            for entry, fields in read_group(cluster, stream, block=100):
                read[stream] += lines_of([(entry, fields)])
                cluster.redis.xack(stream, GROUP, entry)

    for stream in streams:
        cluster.redis.xgroup_create(stream, GROUP, "0", mkstream=True)
    consumers = [threading.Thread(target=consume, args=(stream,)) for stream in streams]
    for consumer in consumers:
        consumer.start()
    generate(cluster, 3000, 1000)
    all_is_heard(cluster)
    wait_until(lambda: sum(map(len, read.values())) == len(cluster.chat.messages), 10, "all is read")
    over.set()
    for consumer in consumers:
        consumer.join()
    assert_heard(cluster, by_channel(line for lines in read.values() for line in lines))
    assert sum(bool(lines) for lines in read.values()) > 1


def test_12_a_client_that_cannot_block_polls(bare):
    cluster = begin(bare)
    stream, place, lines = cluster.key("lines:0"), "0-0", []
    generate(cluster, 3000, 1000)

    def poll():
        nonlocal place, lines
        for _, found in cluster.redis.xread({stream: place}, count=100):
            lines += lines_of(found)
            place = found[-1][0]
        return len(lines) >= 3000 and len(lines) == len(cluster.chat.messages)

    wait_until(poll, 30, "all is read")
    assert_heard(cluster, by_channel(lines))


def test_14_what_a_consumer_did_not_acknowledge_another_one_has(bare):
    cluster = begin(bare)
    stream = cluster.key("lines:0")
    cluster.redis.xgroup_create(stream, GROUP, "$", mkstream=True)
    generate(cluster, 500, 500)
    all_is_heard(cluster)
    given = read_group(cluster, stream, 20, consumer="dead")
    assert len(given) == 20
    claimed = cluster.redis.xautoclaim(stream, GROUP, "other", 0, "0-0", count=100)
    assert claimed[1] == given
    assert read_group(cluster, stream, 20, consumer="other")[0][0] > given[-1][0]
