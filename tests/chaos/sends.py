#!/usr/bin/python3
"""Sends while their node stands still, or Redis takes no writes; and beside applications that flood.

    tests/chaos/sends.py answered [COUNT [SEED]]
                                              COUNT pauses of the node that sends, and phases of OOM, MISCONF and READONLY
    tests/chaos/sends.py channels [COUNT]     COUNT outbox entries for as many channels that nobody joined
    tests/chaos/sends.py huge [COUNT]         COUNT outbox entries of 100 MB
    tests/chaos/sends.py flood [COUNT]        COUNT sends in ten seconds to one channel, by topic and outbox in turn
    tests/chaos/sends.py names [COUNT]        COUNT requests that name 1,000 channels each that are none
    tests/chaos/sends.py requests [COUNT]     COUNT requests of 100 MB

Programs are taken from SHOAL_BIN_DIR, else from build/asan. Exit 0 where everything held. What must hold: a PUBLISH that
was answered 1 gets exactly one result; and beside a flood another application's sends and joins take a second at most,
no lease is lost, each send of the flood gets one result and each request one reply, and nothing of it is left in Redis but
these. What a send of a complaint went through is printed, and the directory with logs and all that Redis was asked is kept.
"""

import json
import random
import re
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "cluster"))

import redis  # noqa: E402

from processes import wait_until  # noqa: E402
from shoal import Cluster, missing_programs  # noqa: E402
from trace import Trace  # noqa: E402

LEASE_MS = 500
LATE_S = 1.0  # what another application may wait beside a flood
TTL_MS = 20_000
HUGE = 100 * 1024 * 1024
DEFAULTS = ("message_limit", "message_mod_limit", "message_window_ms", "channel_message_ms", "lease_ms")


def begin(cluster, *names, nodes=2, **settings):
    """A cluster that has joined these and serves their topics; what is told of sends and events."""
    cluster.start_redis("--enable-protected-configs", "yes")
    cluster.start_sim("--verified", "--limits-off")
    cluster.start_coordinator(**settings)
    for i in range(nodes):
        cluster.start_node(f"n{i + 1}")
    wait_until(lambda: len(cluster.nodes()) == nodes, 20, "the nodes are there")
    told = cluster.subscribe(*map(cluster.topic, ("sent:*", "replies", "events")))
    cluster.join(*names)
    for name in names:
        wait_until(lambda name=name: listens(cluster, name) == 1, 20, f"a node serves #{name}")
    return told


def listens(cluster, name):
    topic = cluster.topic(f"send:{name}")
    return dict(cluster.redis.pubsub_numsub(topic))[topic]


def results(told):
    return [json.loads(payload) for topic, payload in list(told.messages) if ":sent:" in topic]


def replies(told):
    return [json.loads(payload) for topic, payload in list(told.messages) if topic.endswith(":replies")]


# Answered 1 ------------------------------------------------------------------------------------------------


class Answered:
    """Sends on topics, and which of them somebody heard."""

    def __init__(self, cluster, names, rng):
        self.cluster, self.names, self.rng = cluster, names, rng
        self.trace = Trace(cluster.redis_process.port, cluster.directory / "trace")
        self.broken = {}  # what there is a complaint about -> the word that names it in the trace
        self.ids, self.plain = {}, Counter()
        self.asked, self.by_two = 0, 0
        self.during, self.when = "", {}  # what is under way, and what was when a send was asked for

    def say(self, count):
        for _ in range(count):
            name, number = self.rng.choice(self.names), self.asked
            self.asked += 1
            text, named = f"text {number}", self.rng.random() < 0.7
            payload = json.dumps({"text": text, "id": f"s{number}", "ttl_ms": TTL_MS}) if named else text
            heard = self.cluster.redis.publish(self.cluster.topic(f"send:{name}"), payload)
            self.by_two += heard > 1
            self.when[f"s{number}"] = self.when[text] = f"{self.during}, at {time.time():.3f}"
            if heard and named:
                self.ids[f"s{number}"] = text
            elif heard:
                self.plain[text] = heard

    def complaints(self, told):
        """What is not as it must be."""
        found = [f"{self.by_two} sends were heard by two nodes"] if self.by_two else []
        counts = Counter(r["id"] for r in results(told))
        for id in self.ids:
            if counts[id] != 1:
                found.append(f"{id}: {counts[id]} results ({self.when[id]})")
                self.broken[id] = id
        unnamed = {id: n for id, n in counts.items() if re.fullmatch(r"\d+-\d+|", id)}
        if sum(unnamed.values()) != len(self.plain):
            found.append(f"{len(self.plain)} sends without an id, {sum(unnamed.values())} results")
            entered = self.trace.entered()
            for text in self.plain:
                if entered[text] != 1:
                    found.append(f"{text}: entered {entered[text]} times ({self.when[text]})")
                    self.broken[text] = text
        said = Counter()
        for name in self.names:
            said.update(m["text"] for m in self.cluster.sim.control(f"received {name}")["messages"])
        found += [f"{text} was said {n} times" for text, n in said.items() if n > 1]
        self.trace.close()
        for name, word in self.broken.items():
            print(f"{name}:", *self.trace.of(word), sep="\n    ", flush=True)
        sent = {r["id"] for r in results(told) if r["status"] == "sent"}
        found += [f"{id} is sent and was not said" for id in sent & set(self.ids) if not said[self.ids[id]]]
        return found

    def is_over(self, told):
        ids = [r["id"] for r in results(told)]
        return set(self.ids) <= set(ids) and len(ids) >= len(self.ids) + len(self.plain)


def full(cluster):
    cluster.redis.config_set("maxmemory", 1)
    yield
    cluster.redis.config_set("maxmemory", 0)


def unwritable(cluster):
    """A snapshot that cannot be written: Redis takes no writes until one could."""
    snapshot = cluster.directory / "redis" / "dump.rdb"
    snapshot.unlink(missing_ok=True)
    snapshot.mkdir()
    cluster.redis.config_set("save", "3600 1")
    cluster.redis.bgsave()
    wait_until(lambda: cluster.redis.info("persistence")["rdb_last_bgsave_status"] == "err", 10, "a failed snapshot")
    yield
    snapshot.rmdir()
    cluster.redis.config_set("save", "")
    cluster.redis.bgsave()
    wait_until(lambda: cluster.redis.info("persistence")["rdb_last_bgsave_status"] == "ok", 10, "a snapshot")


def demoted(cluster):
    cluster.redis.replicaof("127.0.0.1", 1)
    yield
    cluster.redis.replicaof("NO", "ONE")


PHASES = (full, unwritable, demoted)


def answered(cluster, count=500, seed=None):
    """`count` pauses, and a phase without writes after each tenth. Returns complaints."""
    seed = random.randrange(1_000_000) if seed is None else seed
    print(f"seed {seed}", flush=True)
    rng = random.Random(seed)
    names = ["alice", "bob", "carol", "dave"]
    told = begin(cluster, *names, lease_ms=LEASE_MS)
    sends = Answered(cluster, names, rng)
    for round_ in range(count):
        seconds = rng.uniform(0.2, 3) * LEASE_MS / 1000
        victim = cluster.processes[rng.choice(["n1", "n2"])]
        sends.during = f"pause {round_}"
        victim.pause()
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            sends.say(rng.randrange(3))
            time.sleep(seconds / 8)
        victim.resume()
        sends.during = f"after pause {round_}"
        sends.say(1)
        if round_ % 10 == 9:
            phase = PHASES[round_ // 10 % len(PHASES)]
            sends.during = phase.__name__
            phase = phase(cluster)
            next(phase)
            for _ in range(6):
                sends.say(2)
                time.sleep(rng.uniform(0.05, 0.3))
            next(phase, None)
            sends.during += " no more"
            sends.say(2)
            wait_until(lambda: sum(listens(cluster, name) == 1 for name in names) == len(names), 30, "all are served")
    try:
        wait_until(lambda: sends.is_over(told), TTL_MS / 1000 + 20, "a result for each")
    except AssertionError:
        pass  # the complaints say which
    time.sleep(2 * LEASE_MS / 1000)  # for results that are one too many
    print(f"{count} pauses, {len(sends.ids) + len(sends.plain)} sends answered 1, "
          f"{dict(Counter(r['status'] for r in results(told)))}", flush=True)  # fmt: skip
    return sends.complaints(told)


# Floods ----------------------------------------------------------------------------------------------------


class Other:
    """Another application: sends to a channel of its own by both ways, and joins one channel after the other."""

    def __init__(self, cluster, every_s):
        self.cluster, self.every_s = cluster, every_s
        # Of its own: whoever reads the results of the flood too is late by these.
        self.told = cluster.subscribe(cluster.topic("sent:other"))
        self.redis = redis.Redis(port=cluster.redis_process.port, decode_responses=True)
        self.asked, self.joins, self.joined, self.failed = {}, {}, {}, []
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        next_at = time.monotonic()
        try:
            while not self.ending.wait(0.02):
                if time.monotonic() >= next_at:
                    next_at += self.every_s
                    self.send()
                    self.join()
                self.look()
        except (AssertionError, redis.RedisError) as error:
            self.failed.append(f"the other application: {error!r}")

    def send(self):
        number = len(self.asked)
        send = {"text": f"other {number}", "id": f"other{number}"}
        self.asked[send["id"]] = time.monotonic()
        if number % 2:
            self.redis.xadd(self.cluster.key("outbox"), {"channel": "other", **send})
        else:
            taken = self.redis.publish(self.cluster.topic("send:other"), json.dumps(send))
            assert taken == 1, f"{taken} nodes took a send to #other"

    def join(self):
        id = f"join{len(self.joins)}"
        self.joins[id] = time.monotonic()
        self.redis.xadd(self.cluster.key("requests"), {"op": "join", "by": "other", "id": id, "channels": id})

    def look(self):
        """Which joins are answered."""
        for id in self.joins.keys() - self.joined.keys():
            reply = self.redis.get(self.cluster.key(f"reply:{id}"))
            if reply:
                self.joined[id] = time.monotonic()
                assert json.loads(reply)["assigned"], reply

    def end(self):
        self.ending.set()
        self.thread.join()

    def complaints(self):
        came = {}
        for (_, payload), at in zip(list(self.told.messages), list(self.told.times)):
            result = json.loads(payload)
            came.setdefault(result["id"], []).append((result["status"], at))
        waits, found = {}, list(self.failed)
        for id, asked in self.asked.items():
            if len(came.get(id, [])) != 1 or came[id][0][0] != "sent":
                found.append(f"{id}: {came.get(id)}")
            else:
                waits[id] = came[id][0][1] - asked
        sends = len(waits)
        for id, asked in self.joins.items():
            if id in self.joined:
                waits[id] = self.joined[id] - asked
            else:
                found.append(f"{id}: no reply")
        most = [max([w for id, w in waits.items() if id.startswith(kind)], default=0) for kind in ("other", "join")]
        print(f"the other application: {sends} sends, at most {most[0]:.3f} s; {len(waits) - sends} joins, at most "
              f"{most[1]:.3f} s", flush=True)  # fmt: skip
        return found + [f"{id} took {wait:.2f} s" for id, wait in waits.items() if wait > LATE_S]


def pipelined(client, commands):
    """Hand out the commands, a portion at a time."""
    for at in range(0, len(commands), 500):
        with client.pipeline(transaction=False) as pipe:
            for command in commands[at : at + 500]:
                pipe.execute_command(*command)
            pipe.execute()


def left_over(cluster):
    """What is in Redis of sends and requests, but results and replies."""
    names = [cluster.key(k) for k in ("outbox", "sends", "queued", "ids", "claims", "requests")]
    left = {k: cluster.redis.type(k) for k in names if cluster.redis.exists(k)}
    return {k: t for k, t in left.items() if t != "stream" or cluster.redis.xlen(k)}


def beside(cluster, make, count, every_s=3.5):
    """Flood: `make(cluster, count)` does it and returns the ids of its sends or requests. Returns complaints."""
    told = begin(cluster, "other", "flooded", **dict.fromkeys(DEFAULTS))
    other = Other(cluster, every_s)
    before = cluster.redis.info("memory")["used_memory"]
    began = time.monotonic()
    ids = make(cluster, count)
    print(f"{count} asked for in {time.monotonic() - began:.1f} s", flush=True)
    peak = 0
    until = time.monotonic() + 45
    while time.monotonic() < until and (left_over(cluster) or time.monotonic() < began + 20):
        peak = max(peak, cluster.redis.info("memory")["used_memory"])
        time.sleep(0.1)
    time.sleep(2)
    other.end()
    took = time.monotonic() - began
    answers = [r for r in results(told) + replies(told) if not r["id"].startswith(("other", "join"))]
    counts = Counter(r["id"] for r in answers)
    found = other.complaints()
    kinds = Counter((r.get("status", "reply"), r.get("reason", r.get("error", ""))[:60]) for r in answers)
    print(f"all over after {took:.1f} s: {dict(kinds)}", flush=True)
    after = cluster.redis.info("memory")
    print(f"Redis: {(peak - before) >> 20} MB more at most, {(after['used_memory'] - before) >> 20} MB afterwards, peak "
          f"{after['used_memory_peak'] >> 20} MB", flush=True)  # fmt: skip
    found += [f"{id}: {counts[id]} answers" for id in ids if counts[id] != 1][:5]
    found += [f"{k} is left" for k in left_over(cluster)]
    if fenced := len(cluster.events("node.fenced")):
        print(f"{fenced} times a renewal was late: a node held what it read for a moment, and lost nothing", flush=True)
    for name in ("node.lost", "node.expired", "leader.elected"):
        lost = len(cluster.events(name)) - (name == "leader.elected")
        found += [f"{lost} times {name}"] if lost else []
    return found


def strangers(cluster, count):
    key = cluster.key("outbox")
    commands = [("XADD", key, "*", "channel", f"c{i}", "text", "x", "id", f"f{i}") for i in range(count)]
    pipelined(cluster.redis, commands)
    return [f"f{i}" for i in range(count)]


def huge(cluster, count):
    return enormous(cluster, count, "outbox", {"channel": "flooded"}, "text")


def requests(cluster, count):
    return enormous(cluster, count, "requests", {"op": "join", "by": "flooder"}, "channels")


def enormous(cluster, count, stream, fields, field):
    client = redis.Redis(port=cluster.redis_process.port, socket_timeout=60)
    for i in range(count):
        client.xadd(cluster.key(stream), {**fields, field: b"x" * HUGE, "id": f"f{i}"})
    return [f"f{i}" for i in range(count)]


def flood(cluster, count):
    began, topic, key = time.monotonic(), cluster.topic("send:flooded"), cluster.key("outbox")
    for at in range(0, count, 500):
        commands = []
        for i in range(at, min(at + 500, count)):
            if i % 2:
                commands.append(("XADD", key, "*", "channel", "flooded", "text", "x", "id", f"f{i}"))
            else:
                commands.append(("PUBLISH", topic, json.dumps({"text": "x", "id": f"f{i}"})))
        pipelined(cluster.redis, commands)
        time.sleep(max(0, began + 10 * at / count - time.monotonic()))
    return [f"f{i}" for i in range(count)]


def names(cluster, count):
    bad = ",".join(f"bad-{i}" for i in range(1000))
    fields = ("op", "join", "by", "flooder", "channels", bad, "id")
    pipelined(cluster.redis, [("XADD", cluster.key("requests"), "*", *fields, f"f{i}") for i in range(count)])
    return [f"f{i}" for i in range(count)]


# The flooded channel is a joined one: it leaves a quarter of the 20 messages in 32 s to the others, five. So often an
# application may say something and has its result at once, whatever the flood does.
A_QUARTER_S = 7

RUNS = {
    "answered": (answered, 500),
    "channels": (lambda cluster, count: beside(cluster, strangers, count), 100_000),
    "huge": (lambda cluster, count: beside(cluster, huge, count), 6),
    "flood": (lambda cluster, count: beside(cluster, flood, count, A_QUARTER_S), 100_000),
    "names": (lambda cluster, count: beside(cluster, names, count), 8_000),
    "requests": (lambda cluster, count: beside(cluster, requests, count), 6),
}


def main():
    absent = missing_programs()
    if absent or len(sys.argv) < 2 or sys.argv[1] not in RUNS:
        print(f"not built or not installed: {', '.join(absent)}" if absent else __doc__, file=sys.stderr)
        return 2
    run, count = RUNS[sys.argv[1]]
    arguments = [int(number) for number in sys.argv[2:]] or [count]
    kept = ROOT / "build" / "chaos"
    kept.mkdir(parents=True, exist_ok=True)
    directory = tempfile.mkdtemp(prefix="sends-", dir=kept)
    with Cluster(directory) as cluster:
        complaints = run(cluster, *arguments)
    print("\n".join(complaints) or "held")
    if complaints:
        print(f"logs and trace are in {directory}")
        return 1
    shutil.rmtree(directory)
    return 0


if __name__ == "__main__":
    sys.exit(main())
