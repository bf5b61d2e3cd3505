"""What the streams held: they are read all the time, since what is old goes and a Redis may lose what it had."""

import contextlib
import json
import threading
import time
from dataclasses import dataclass

import redis

import plan

EVERY_S = 0.1
PORTION = 1000
TRIMMED_S = plan.SETTINGS["history_ms"] / 1000 - 1  # what came since we looked may be gone again


@dataclass
class Block:
    by: str
    seq: int
    lines: list  # bytes
    at: float  # by its id: Redis's clock
    wall: float  # when we saw it
    ids: set  # more than one where it was added once more


@dataclass
class Loss:
    """What may be missing in the streams, by our clock; only of a node and of these lines of it, where it is named."""

    begin: float
    end: float
    why: str
    node: str = ""
    first: int = 0
    last: int = 0

    def has(self, block):
        return not self.node or (block.by.split("/")[0] == self.node and self.first <= block.seq <= self.last)


class Kept(threading.Thread):
    def __init__(self, cluster, timeline, servers):
        super().__init__(daemon=True)
        self.blocks = {}  # (by, seq) -> Block, in the order of the streams
        self.gaps = {}  # JSON of an event -> when we saw its entries
        self.losses = []
        self.emptied = []  # when the streams were begun anew
        self._told = {}  # epoch -> up to when all that was kept before it is gone, as its streams say
        self._known = set()  # entries that are no blocks: (epoch, id)
        self._cluster = cluster
        self._timeline = timeline
        port = int(servers.way.url.rsplit(":", 1)[1])
        self._redis = redis.Redis(port=port, socket_timeout=10)
        self._history = None  # epoch and rewound
        self._after = b"-"
        self._seqs = {}  # by -> the last in this reading
        self._well = time.time()  # when we looked last
        self._stopping = threading.Event()
        self._failure = None

    def run(self):
        while not self._stopping.wait(EVERY_S):
            try:
                while self.look():
                    pass
            except redis.RedisError:
                self._redis.connection_pool.disconnect()  # to whoever is primary next
                self._begin_again()
            except Exception as error:  # pylint: disable=broad-except
                self._failure = error
                return

    def close(self):
        self._stopping.set()
        self.join(15)
        with contextlib.suppress(redis.RedisError):  # that is told elsewhere
            while self.look():  # what came since
                pass
        self._redis.close()
        assert self._failure is None, f"the streams cannot be read: {self._failure!r}"

    def _begin_again(self):
        self._after = b"-"
        self._seqs = {}

    def look(self):
        """Read on. Is there more?"""
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.xrange(self._cluster.key("lines:0"), self._after, count=PORTION)
            pipe.hmget(self._cluster.key("lines"), "epoch", "rewound")
            pipe.role()
            entries, history, role = pipe.execute()
        if role[0] != b"master":
            raise redis.ReadOnlyError("it is no primary any more")
        now = time.time()
        if history != self._history:
            if self._history and history[0] != self._history[0]:
                self.emptied.append(now)
                self.losses.append(Loss(self._well - EVERY_S, now, "emptied"))
            self._history = history
            if self._after != b"-":
                self._begin_again()
                return True
        if now - self._well > TRIMMED_S:
            self.losses.append(Loss(self._well - EVERY_S, now, "trimmed"))
        self._well = now
        for id, fields in entries:
            self._take(id, fields, now)
            self._after = b"(" + id
        return len(entries) == PORTION

    def _take(self, id, fields, now):
        at = int(id.split(b"-")[0]) / 1000
        if b"lines" in fields:
            by, seq = fields[b"by"].decode(), int(fields[b"seq"])
            if seq <= self._seqs.get(by, 0):
                self._timeline.complain("the streams have a block twice", f"{by} {seq}, {id.decode()}", now)
            self._seqs[by] = seq
            block = Block(by, seq, fields[b"lines"].split(b"\n"), at, now, set())
            self.blocks.setdefault((by, seq), block).ids.add(id.decode())
            return
        entry = (self._history[0], id)
        if entry in self._known:
            return
        self._known.add(entry)
        if b"gap" in fields:
            self._take_gap(fields[b"gap"].decode(), now)
        elif b"rewound" in fields:
            self._take_rewound(json.loads(fields[b"rewound"]), now)
        else:
            self._timeline.complain("an entry of the streams is none", f"{id.decode()}: {fields}", now)

    def _take_gap(self, text, now):
        gap = json.loads(text)
        if gap["channel"]:
            self.gaps.setdefault(text, []).append(now)
        elif gap["reason"] == "emptied":  # of what was there we have read all but the end
            if gap["from"] < self._told.get(self._history[0], 0):
                self._timeline.complain("that Redis was emptied is told twice", text, now)
            self._told[self._history[0]] = gap["to"]
        else:
            _, begin = self._timeline.by_our_clock(gap["from"] / 1000, now)
            end, _ = self._timeline.by_our_clock(gap["to"] / 1000, now)
            self.losses.append(Loss(begin, end, gap["reason"]))

    def _take_rewound(self, lost, now):
        if lost["kept"]:
            return
        seen = [b.wall for b in self.blocks.values() if b.by.split("/")[0] == lost["node"] and b.seq < lost["from"]]
        # What another process with the node id had as numbers says nothing.
        begin = max((wall for wall in seen if wall <= now), default=0)
        self.losses.append(Loss(begin, now, "lost_by_redis", lost["node"], lost["from"], lost["to"]))
