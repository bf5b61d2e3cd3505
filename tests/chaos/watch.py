"""The watch: looks at the registry in one atomic step, again and again, and at what must hold at any moment.

Each look is one transaction, which also publishes its number on a topic of its own: who hears that topic over
the same connection as chat, replies and events knows where among them the look was taken.
"""

import threading
from dataclasses import dataclass, field

import redis

import plan
from shoal import INVARIANTS
from simclient import Control

EVERY_S = 0.15
# Shard, user, shard, user, ...
USERS = """
local told = {}
for _, shard in ipairs(redis.call('ZRANGE', KEYS[1] .. ':load', 0, -1)) do
    told[#told + 1] = shard
    told[#told + 1] = redis.call('HGET', KEYS[1] .. ':shard:' .. shard, 'user') or ''
end
return told
"""


@dataclass
class Look:
    """What the registry held at one moment."""

    load: dict  # shard -> channels assigned
    config: dict
    channels: dict  # wanted channel -> shard or ""
    states: dict  # channel -> (state, since), as its node reported
    nodes: list
    users: dict = field(default_factory=dict)  # shard -> whose it is


class Watch(threading.Thread):
    def __init__(self, cluster, timeline, servers):
        super().__init__(daemon=True)
        self.looks = {}  # number -> Look; None: Redis failed, and whoever hears of it knows nothing
        self._violations = {}  # as Twitch counted them at the last look
        self.mark_topic = cluster.topic("chaos:look")
        self._cluster = cluster
        self._timeline = timeline
        self._redis = servers.client()
        self._sim = Control(cluster.sim.control.sock.getpeername()[1])
        self._stopping = threading.Event()

    def run(self):
        number = 0
        while not self._stopping.wait(EVERY_S):
            try:
                self.look()
                number += 1
            except redis.RedisError as error:
                if not self._refuses(error):
                    self._timeline.complain("the registry cannot be looked at", repr(error))
                self._timeline.note("checker", f"no look: {error}")
                self._redis.connection_pool.disconnect()  # to whoever is primary next
                continue
            try:
                if number % 7 == 0:
                    self._look_at_twitch()
            except Exception as error:  # pylint: disable=broad-except
                self._timeline.complain("the registry cannot be looked at", repr(error))
                return

    @staticmethod
    def _refuses(error):
        """Is it Redis that does not serve, and not the registry that is wrong?"""
        away = (redis.ConnectionError, redis.TimeoutError, redis.ReadOnlyError, redis.exceptions.ExecAbortError)
        words = ("OOM command", "NOREPLICAS", "READONLY", "MISCONF", "LOADING", "BUSY Redis")
        return isinstance(error, away) or any(word in str(error) for word in words)

    def close(self):
        self._stopping.set()
        self.join(15)
        self._sim.close()
        self._redis.close()

    def look(self):
        key = self._cluster.key
        highest = [max(plan.SETTINGS[n], plan.ROOMY[n], *plan.CHANGES[n]) for n in
                   ("channels_per_shard", "max_shard_count")]  # fmt: skip
        number = len(self.looks)
        self.looks[number] = None
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.eval(INVARIANTS, 1, key("")[:-1], *highest)
            pipe.zrange(key("load"), 0, -1, withscores=True)
            pipe.hgetall(key("config"))
            pipe.hgetall(key("channels"))
            pipe.zrange(key("nodes"), 0, -1)
            for channel in plan.CHANNELS:
                pipe.hmget(key(f"channel:{channel}"), "state", "since")
            pipe.eval(USERS, 1, key("")[:-1])
            pipe.role()
            pipe.publish(self.mark_topic, number)
            broken, load, config, channels, nodes, *states, users, role, _ = pipe.execute()
        if role[0] != "master":  # a connection stays with the former primary, which answers whoever reads
            raise redis.ReadOnlyError("it is no primary any more")
        states = {c: (state, int(since or 0)) for c, (state, since) in zip(plan.CHANNELS, states)}
        users = dict(zip(users[::2], users[1::2]))
        self.looks[number] = Look({s: int(n) for s, n in load}, config, channels, states, nodes, users)
        if broken:
            self._timeline.complain("the registry contradicts itself", broken)
        return self.looks[number]

    def _look_at_twitch(self):
        violations = self._sim("stats channels=0")["violations"]
        for name, count in violations.items():
            # What was told or excused once is over; who is silenced has exceeded another limit, and that was told.
            if count > self._violations.get(name, 0) and name != "silenced":
                self._timeline.complain("a limit of Twitch was exceeded", f"{name}: {count}")
        self._violations = violations
