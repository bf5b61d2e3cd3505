"""Applications: what is asked for while things die, and everything they know of it afterwards."""

import itertools
import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import redis

from shoal import stream_of


@dataclass
class Request:
    op: str
    channels: list = field(default_factory=list)
    asked: float = 0.0  # wall clock
    doubt: bool = False  # Redis did not answer: it may have it or not


@dataclass
class Send:
    channel: str
    text: str
    way: str  # topic or outbox
    ttl_ms: int = 0
    asked: float = 0.0
    taken: int = 1  # by topic: by how many
    doubt: bool = False


class Apps:
    def __init__(self, cluster, timeline, servers, seed):
        self.requests = {}  # id -> Request
        self.sends = {}  # id -> Send
        self._cluster = cluster
        self._timeline = timeline
        self._seed = seed
        self._redis = servers.client()
        self._asking = ThreadPoolExecutor(max_workers=1)  # one after the other, and Redis may stand still
        self._operators = ThreadPoolExecutor(max_workers=2)  # shoalctl takes its time
        self._errands = []
        self._floods = itertools.count()

    def begin(self, action):
        self._errands.append(self._asking.submit(self._carry_out, action))

    def _carry_out(self, action):
        self._timeline.note("app", str(action))
        try:
            getattr(self, action.what)(**action.args)
        except redis.ReadOnlyError:
            self._redis.connection_pool.disconnect()  # to whoever is primary now
            self._timeline.note("app", f"{action.what}: the server is no primary any more")
        except redis.RedisError as error:
            self._timeline.note("app", f"{action.what}: {error}")

    def wait(self):
        """Until all that was begun is asked."""
        for errand in self._errands:
            errand.result()

    def close(self):
        self._asking.shutdown(wait=True)
        self._operators.shutdown(wait=True)
        for errand in self._errands:
            errand.result()
        self._redis.close()

    def _ask(self, op, channels=(), **fields):
        id = f"request-{len(self.requests)}"
        if channels:
            fields["channels"] = " ".join(channels)
        self.requests[id] = Request(op, list(channels), time.time(), doubt=True)
        self._redis.xadd(self._cluster.key(stream_of(op)), {"id": id, "op": op, "by": "chaos", **fields})
        self.requests[id].doubt = False

    def join(self, channels):
        self._ask("join", channels)

    def part(self, channels):
        self._ask("part", channels)

    def part_and_join(self, channels):
        self._ask("part", channels)
        self._ask("join", channels)

    def configure(self, name, value):
        self._ask("set", name=name, value=value)

    def configure_by_ctl(self, name, value):
        def run():
            done = self._cluster.ctl("config", "set", name, value, check=False)
            self._timeline.note("app", f"shoalctl config set {name} {value}: {done.returncode} {done.stderr}")

        self._errands.append(self._operators.submit(run))

    def _send(self, channel, way, ttl_ms):
        # No text twice: Twitch refuses those, and the checker knows a message by its text.
        id = f"send-{len(self.sends)}"
        self.sends[id] = Send(channel, f"text of {id} in run {self._seed}", way, ttl_ms, time.time(), doubt=True)
        return id, self.sends[id]

    def send_by_outbox(self, channel, ttl_ms):
        id, send = self._send(channel, "outbox", ttl_ms)
        entry = {"id": id, "channel": channel, "text": send.text, "ttl_ms": ttl_ms, "by": "chaos"}
        self._redis.xadd(self._cluster.key("outbox"), entry)
        send.doubt = False

    def send_burst(self, channels, ttl_ms):
        for channel in channels:
            self.send_by_outbox(channel, ttl_ms)

    def send_by_topic(self, channel):
        id, send = self._send(channel, "topic", 0)
        payload = json.dumps({"id": id, "text": send.text})
        send.taken = self._redis.publish(self._cluster.topic(f"send:{channel}"), payload)
        send.doubt = False

    def flood(self, kind):
        """What others put in, of which nothing is held against the cluster but what becomes of the rest."""
        number = next(self._floods)
        pipe = self._redis.pipeline(transaction=False)
        if kind == "outbox":
            for i in range(3000):
                entry = {"channel": f"nobody{number}_{i}", "text": "flood", "ttl_ms": 2000, "by": "flood"}
                pipe.xadd(self._cluster.key("outbox"), entry)
        elif kind == "requests":
            bad = " ".join(f"no-channel-{i}" for i in range(1000))
            for _ in range(50):
                pipe.xadd(self._cluster.key("requests"), {"op": "join", "channels": bad, "by": "flood"})
        elif kind == "topic":
            for i in range(500):
                payload = ('{"text":', '{"txt":"no"}', '{"text":5}', "x" * 3000)[i % 4]
                pipe.publish(self._cluster.topic(f"send:room{i % 30}"), payload)
        else:
            text = "x" * 5_000_000
            pipe.xadd(self._cluster.key("outbox"), {"channel": "room0", "text": text, "by": "flood"})
            pipe.xadd(self._cluster.key("requests"), {"op": "join", "channels": text, "by": "flood"})
        pipe.execute(raise_on_error=False)
