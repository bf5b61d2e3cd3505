"""Applications: what is asked for while things die, and everything they know of it afterwards."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import redis


@dataclass
class Request:
    op: str
    channels: list = field(default_factory=list)
    asked: float = 0.0  # wall clock


@dataclass
class Send:
    channel: str
    text: str
    way: str  # topic or outbox
    ttl_ms: int = 0
    asked: float = 0.0
    taken: int = 1  # by topic: by how many


class Apps:
    def __init__(self, cluster, timeline, seed):
        self.requests = {}  # id -> Request
        self.sends = {}  # id -> Send
        self._cluster = cluster
        self._timeline = timeline
        self._seed = seed
        self._redis = redis.Redis(
            port=cluster.redis_process.port, decode_responses=True, socket_timeout=10
        )
        self._operators = ThreadPoolExecutor(max_workers=2)  # shoalctl takes its time
        self._errands = []

    def begin(self, action):
        self._timeline.note("app", str(action))
        getattr(self, action.what)(**action.args)

    def close(self):
        self._operators.shutdown(wait=True)
        for errand in self._errands:
            errand.result()
        self._redis.close()

    def _ask(self, op, channels=(), **fields):
        id = f"request-{len(self.requests)}"
        if channels:
            fields["channels"] = " ".join(channels)
        self.requests[id] = Request(op, list(channels), time.time())
        self._redis.xadd(self._cluster.key("requests"), {"id": id, "op": op, "by": "chaos", **fields})

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
        self.sends[id] = Send(channel, f"text of {id} in run {self._seed}", way, ttl_ms, time.time())
        return id, self.sends[id]

    def send_by_outbox(self, channel, ttl_ms):
        id, send = self._send(channel, "outbox", ttl_ms)
        entry = {"id": id, "channel": channel, "text": send.text, "ttl_ms": ttl_ms, "by": "chaos"}
        self._redis.xadd(self._cluster.key("outbox"), entry)

    def send_burst(self, channels, ttl_ms):
        for channel in channels:
            self.send_by_outbox(channel, ttl_ms)

    def send_by_topic(self, channel):
        id, send = self._send(channel, "topic", 0)
        payload = json.dumps({"id": id, "text": send.text})
        send.taken = self._redis.publish(self._cluster.topic(f"send:{channel}"), payload)
