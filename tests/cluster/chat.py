"""What the simulator said in the rooms, compared with what a subscriber heard."""

from collections import defaultdict

import redis

from processes import wait_until

# Redis drops a subscriber that falls behind; the ones here stand for applications that do not.
KEPT_BYTES = 40 << 20  # less than history_bytes
PATIENT_REDIS = ("--client-output-buffer-limit", "pubsub 0 0 0")


def recorded(path):
    """What --record wrote: channel -> lines."""
    said = defaultdict(list)
    for entry in path.read_bytes().splitlines():
        channel, line = entry.split(b"\t", 1)
        said[channel.decode()].append(line)
    return said


def heard_by(subscriber, prefix="shoal:main:chat:"):
    """What came on the chat topics: channel -> lines."""
    heard = defaultdict(list)
    for topic, line in list(subscriber.messages):
        if topic.startswith(prefix):
            heard[topic[len(prefix) :]].append(line)
    return heard


def finish(cluster, subscriber, channels, record, timeout=30, kept=True):
    """Say a last line in each channel and wait until it was heard: nothing can come any more. Then what
    was heard must be what was said, once, byte for byte, in the order of each channel, and so must be what
    the streams have. How many lines."""
    prefix = cluster.topic("chat:")
    seen = [len(subscriber.messages), 0]  # last lines of an earlier call are none of this one
    for channel in channels:
        cluster.sim.control(f"inject {channel} line=:last!last@last PRIVMSG #{channel} :the last line")
    cluster.sim.control("flush")
    last = {f":last!last@last PRIVMSG #{channel} :the last line".encode() for channel in channels}

    def all_last():
        messages = subscriber.messages
        while seen[0] < len(messages):
            seen[1] += messages[seen[0]][1] in last
            seen[0] += 1
        return seen[1] >= len(channels)

    wait_until(all_last, timeout, f"the last lines of {len(channels)} channels")
    said, heard = recorded(record), heard_by(subscriber, prefix)
    assert set(said) >= set(channels)
    assert sorted(heard) == sorted(said)
    for channel, lines in said.items():
        assert_same(channel, lines, heard[channel])
    if kept:
        assert_kept(cluster, said)
    return sum(map(len, said.values()))


def entries(cluster):
    """The entries of the streams that keep chat, one stream after the other: (id, fields), bytes."""
    n = int(cluster.redis.hget(cluster.key("lines"), "streams") or 0)
    pool = cluster.redis.connection_pool
    settings = {**pool.connection_kwargs, "decode_responses": False}  # chat may be no UTF-8
    raw = redis.Redis(connection_pool=redis.ConnectionPool(pool.connection_class, **settings))
    return [entry for k in range(n) for entry in raw.xrange(cluster.key(f"lines:{k}"))]


def kept_by(cluster):
    """What the streams have: channel -> lines."""
    kept = defaultdict(list)
    for _, fields in entries(cluster):
        for line in fields.get(b"lines", b"").split(b"\n"):
            if line:
                kept[channel_of(line)].append(line)
    return kept


def channel_of(line):
    words = line.split(b" ")
    at = 1 if line.startswith(b"@") else 0
    at += words[at].startswith(b":")  # who said it
    return words[at + 1].lstrip(b"#").decode()


def assert_kept(cluster, said):
    """The streams have what was said; all of it, where that is less than they may have."""
    kept = kept_by(cluster)
    whole = sum(len(line) for lines in said.values() for line in lines) < KEPT_BYTES
    for channel, lines in said.items():
        assert_same(channel, lines if whole else lines[len(lines) - len(kept[channel]) :], kept[channel])


def assert_same(channel, said, heard):
    """As ==, but what is wrong is told in a few lines."""
    if said == heard:
        return
    all_said, all_heard = set(said), set(heard)
    lost = [line for line in said if line not in all_heard]
    strange = [line for line in heard if line not in all_said]
    twice = len(heard) - len(all_heard) - (len(said) - len(all_said))
    first = next((i for i, (a, b) in enumerate(zip(said, heard)) if a != b), min(len(said), len(heard)))
    raise AssertionError(
        f"#{channel}: {len(said)} lines said, {len(heard)} heard; {len(lost)} lost, {twice} twice, "
        f"{len(strange)} never said; first difference at line {first}:\n"
        f"said  {said[first : first + 2]}\nheard {heard[first : first + 2]}"
    )


def fanned_out(cluster):
    """How many lines the nodes counted as fanned out, by what Redis keeps of them."""
    keys = [cluster.key(f"fan:{node}") for node in cluster.nodes()]
    return sum(int(cluster.redis.hget(key, "seq") or 0) for key in keys)
