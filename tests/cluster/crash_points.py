"""The leader killed just before Redis gets a step, and just after it was carried out, while applications ask.

What a leader does, it does by commands to Redis: a death between two of them is one of these. Used by
test_crash_points.py and, with 500 joins in a Release build, by `tests/run figures`.
"""

import json

from proxy import Proxy, Trap
from processes import wait_until
from shoal import INVARIANTS

# What a leader does for requests, dead nodes and senders.
STEPS = ("xread", "lead", "assign", "part", "senders", "client kill", "expire")
POINTS = [(step, when) for step in STEPS for when in ("before", "after")]
PER_SHARD = 10


def registry_is_exact(cluster, per_shard=PER_SHARD, shards=1000):
    broken = cluster.redis.eval(INVARIANTS, 1, cluster.key("")[:-1], per_shard, shards)
    assert not broken, broken


class Crashes:
    """Two coordinators, each behind a proxy, two nodes, and somebody who joins and parts."""

    def __init__(self, cluster, joins, lease_ms, args=()):
        self.cluster = cluster
        self.joins = joins
        self.asked = {}  # id -> channel
        self.parted = set()
        self.count = 0
        self.proxies = {}
        self.replies = cluster.subscribe(cluster.topic("replies"))
        for name in ("c1", "c2"):
            self.proxies[name] = proxy = Proxy(cluster.redis_process.port)
            proxy.program = cluster.start_coordinator(
                name, ["--id", name, *args], env={"SHOAL_REDIS_URL": proxy.url},
                channels_per_shard=PER_SHARD, max_shard_count="none", lease_ms=lease_ms, idle_shard_ms=3600000,
            )  # fmt: skip
            wait_until(cluster.leader, 10, "a coordinator leads")
        self.nodes = ["n1"]
        cluster.start_node("n1", capacity=1000, args=args)
        wait_until(cluster.is_set_up, 15, "the cluster is set up")
        self.node_args = args
        self._another_node()

    def _another_node(self):
        self.nodes.append(f"n{len(self.nodes) + 1}")
        self.cluster.start_node(self.nodes[-1], capacity=1000, args=self.node_args)
        wait_until(lambda: self.nodes[-1] in self.cluster.nodes(), 15, f"{self.nodes[-1]} is there")

    def _ask(self, op, channel):
        self.count += 1
        id = f"{op}-{self.count}"
        self.asked[id] = channel
        self.cluster.redis.xadd(
            self.cluster.key("requests"), {"id": id, "op": op, "channels": channel, "by": "test"}
        )

    def _join(self, n):
        for _ in range(n):
            self._ask("join", f"room{self.count}")

    def crash(self, step, when, joins):
        """The leader dies at that point; the other one goes on, and it is started again."""
        cluster = self.cluster
        wait_until(lambda: cluster.processes[cluster.leader()].is_running(), 20, "a coordinator leads")
        self._join(joins // 2)
        trap = Trap(step, when)
        for name, proxy in self.proxies.items():
            # To lead is what a standby tries as well.
            proxy.trap = trap if step != "lead" or name == cluster.leader() else None
        if step == "part":
            channel = next(c for c in self.asked.values() if c not in self.parted)
            self.parted.add(channel)
            self._ask("part", channel)
        elif step in ("client kill", "expire"):
            victim = cluster.processes[self.nodes[-1]]
            self._another_node()  # who has room for what the first one had
            victim.pause()  # its link stays: it has to be killed
        self._join(joins - joins // 2)
        assert trap.sprung.wait(30), f"no leader came to {step}: {[sorted(p.seen) for p in self.proxies.values()]}"
        wait_until(lambda: cluster.leader() not in (None, trap.victim.name), 30, "the other one leads")
        if step in ("client kill", "expire"):
            wait_until(lambda: victim.name not in cluster.nodes(), 30, "the dead node is expired")
            victim.kill()
        trap.victim.start()

    def run(self, points=POINTS):
        each, more = divmod(self.joins, len(points))
        for i, (step, when) in enumerate(points):
            self.crash(step, when, each + (i < more))
        self.judge()

    def judge(self):
        """Each request has one reply, which is true, and nothing else is wanted or read."""
        cluster = self.cluster
        topic = cluster.topic("replies")
        wait_until(lambda: len(self.replies.on(topic)) >= len(self.asked), 30, "all replies")
        replies = [json.loads(text) for text in self.replies.on(topic)]
        assert sorted(r["id"] for r in replies) == sorted(self.asked), "each request has one reply"
        assert all(r["ok"] for r in replies), [r for r in replies if not r["ok"]][:3]
        for reply in replies:
            assert json.loads(cluster.redis.get(cluster.key(f"reply:{reply['id']}"))) == reply
        wanted = set(self.asked.values()) - self.parted
        channels = cluster.channels()
        assert set(channels) == wanted
        for reply in replies:
            for channel, shard in reply.get("assigned", {}).items():
                assert channel in self.parted or channels[channel] == shard, f"{channel} is elsewhere"
        assert cluster.redis.xlen(cluster.key("requests")) == 0
        registry_is_exact(cluster)
        wait_until(lambda: cluster.joined(*wanted), 60, "all are joined")
        cluster.sim.control("flush")

        def rooms():
            connections = cluster.sim.control("connections")["connections"]
            return sorted(room for connection in connections for room in connection["rooms"])

        wait_until(lambda: rooms() == sorted(wanted), 20, "each is in one connection at Twitch")

    def close(self):
        for proxy in self.proxies.values():
            proxy.close()
