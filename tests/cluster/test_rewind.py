"""Redis is restarted with older data: what it had answered is not done again, and it is told.

SHOAL_REWIND_AGES=1,5,20,60 tries other ages of the data, in seconds, one after the other.
"""

import json
import os
import shutil
import time
import uuid

import pytest

from chat import entries
from processes import wait_until

AGES = [float(age) for age in os.environ.get("SHOAL_REWIND_AGES", "1.5,3").split(",")]
UNDER_WAY_S = 0.1
NAMES = ("alice", "bob", "carol", "dave")


class Rewind:
    """Two nodes, chat at 500 lines a second, a send every 50 ms, and a Redis whose data can be put back."""

    def __init__(self, cluster, **settings):
        self.cluster = cluster
        cluster.start_redis()
        cluster.start_sim("--verified", "--limits-off", "--record", cluster.directory / "record")
        cluster.start_coordinator(channels_per_shard=2, send_ttl_ms=60000, **settings)
        for node in ("n1", "n2"):
            cluster.start_node(node)
        wait_until(lambda: len(cluster.nodes()) == 2, 10, "two nodes are there")
        self.chat = cluster.subscribe(cluster.topic("chat:*"))
        self.sent = cluster.subscribe(cluster.topic("sent:*"))
        self.ids = []
        self.kills = []
        cluster.join(*NAMES)
        wait_until(lambda: all(s["state"] == "ready" for s in cluster.shards().values()), 10, "shards ready")
        wait_until(lambda: all(s.get("sender") for s in cluster.shards().values()), 10, "senders are known")

    def data(self):
        return self.cluster.directory / "redis" / "dump.rdb"

    def keep(self):
        self.cluster.redis.save()
        shutil.copy(self.data(), self.data().with_suffix(".kept"))

    def put_back(self):
        self.kills.append(time.monotonic())
        self.cluster.redis_process.kill()
        shutil.copy(self.data().with_suffix(".kept"), self.data())
        self.cluster.restart_redis()

    def say(self):
        self.ids.append(uuid.uuid4().hex)
        fields = {"id": self.ids[-1], "channel": NAMES[len(self.ids) % len(NAMES)], "text": self.ids[-1]}
        self.cluster.redis.xadd(self.cluster.key("outbox"), fields)

    def go_on(self, seconds):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.say()
            time.sleep(0.05)

    def results(self):
        """Id -> the statuses that were published of it."""
        found = {}
        for _, payload in list(self.sent.messages):
            result = json.loads(payload)
            found.setdefault(result["id"], []).append(result["status"])
        return found

    def received(self):
        """Texts that Twitch got."""
        return [m["text"] for name in NAMES for m in self.cluster.sim.control(f"received {name}")["messages"]]


def lines_doubled(chat, kills):
    """Lines that came twice, but for what was under way when Redis was killed: whether it was published, nobody knows
    whose answer is lost."""
    seen, doubled = {}, []
    for at, message in zip(list(chat.times), list(chat.messages)):
        first = seen.get(message)
        if first is None:
            seen[message] = at
        elif not any(kill - UNDER_WAY_S < first < kill + 0.1 for kill in kills):
            doubled.append((round(at - first, 3), *message))
    return doubled


def assert_kept_or_told(cluster):
    """The streams have each line of a node once, by its number, but for those that they say are missing."""
    lines, missing = {}, {}
    for _, fields in entries(cluster):
        if b"lines" in fields:
            last = int(fields[b"seq"])
            node = fields[b"by"].split(b"/")[0].decode()
            n = fields[b"lines"].count(b"\n") + 1
            lines.setdefault(node, []).extend(range(last - n + 1, last + 1))
        elif b"rewound" in fields:
            told = json.loads(fields[b"rewound"])
            numbers = range(told["from"], told["to"] + 1) if not told["kept"] else ()
            missing.setdefault(told["node"], set()).update(numbers)
    assert set(lines) == {"n1", "n2"}
    for node, numbers in lines.items():
        assert len(numbers) == len(set(numbers)), f"{node}: a line is there twice"
        assert set(range(1, max(numbers) + 1)) - set(numbers) <= missing.get(node, set()), f"{node}: lines are missing"


@pytest.mark.limit(120 + 2 * int(sum(AGES)))
def test_a_redis_that_is_restarted_with_older_data_does_nothing_twice(bare):
    rewind = Rewind(bare)
    bare.sim.control("generate rate=500 count=1000000 only=privmsg")
    for age in AGES:
        rewind.go_on(0.5)
        rewind.keep()
        rewind.go_on(age)
        asked = list(rewind.ids)
        said = [text for text in rewind.received() if text in asked]
        rewind.put_back()
        heard = len(rewind.chat.messages)
        wait_until(lambda heard=heard: len(rewind.chat.messages) > heard + 500, 15, "chat flows on")

        told = wait_until(lambda: bare.events("redis.rewound"), 10, "that Redis went back is told")
        assert {event["node"] for event in told} <= {"n1", "n2"}
        assert sum(event["lines"] for event in told) > age * 250, told
        assert max(event["ms"] for event in told) > age * 1000 - 600, told
        rewind.go_on(0.5)
        last = rewind.ids[-1]
        wait_until(lambda last=last: last in rewind.results(), 20, "sends go on")

        results, received = rewind.results(), rewind.received()
        assert len(received) == len(set(received)), "a send was said twice"
        assert {id: s for id, s in results.items() if len(s) > 1} == {}, "a send had two results"
        assert set(said) <= set(results), "what was said has a result"
        entered = bare.redis.xlen(bare.key("outbox"))
        wait_until(lambda: bare.redis.xlen(bare.key("outbox")) == 0, 20, f"all {entered} sends are dealt with")
        assert lines_doubled(rewind.chat, rewind.kills) == []
        assert not bare.events("node.lost")
        assert_kept_or_told(bare)
    bare.sim.control("stop")
