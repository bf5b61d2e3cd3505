"""From a node's first answer of Redis to all channels joined: the leader waits, and so do the channels."""

import re
import time
from datetime import datetime

from bench import Row, names, wait_joined
from processes import wait_until


def logged(process, event):
    """When the process logged the event, seconds since 1970: the first times, of many at once not all are logged."""
    lines = re.findall(rf"^(\S+) info \S+ {re.escape(event)} ", process.text(), re.MULTILINE)
    return [datetime.fromisoformat(at).timestamp() for at in lines]


class Joins:
    """a new node joins what waits for it: 200 channels on 10 connections, 10,000 on 100"""

    NAME = "joins"
    CASES = ((200, 10, 300), (10000, 100, 1000))  # channels, connections, ms

    def __init__(self, world):
        self.world = world
        self.cases = tuple((n // 10, shards, most) for n, shards, most in self.CASES) if world.small else self.CASES
        self.runs = 0
        world.cluster.start_redis()
        world.cluster.start_sim("--verified", "--limits-off")

    def fresh(self, n, shards):
        """A cluster that is led and has no node; the channels wait in it."""
        self.runs += 1
        cluster = self.world.cluster
        cluster.name = f"joins{self.runs}"  # another one on the same Redis
        coordinator = cluster.start_coordinator(
            f"c-{cluster.name}", args=("--log-level", "info"), channels_per_shard=n // shards, max_shard_count=shards
        )
        wait_until(cluster.leader, 10, "a coordinator leads")
        self.world.ask_to_join(names(n))
        wait_until(lambda: len(cluster.channels()) == n, 10, "the channels are wanted")
        time.sleep(0 if self.world.small else 0.23 * self.runs % 1)  # not always at the same point of the leader's turn
        return coordinator

    def joined(self, n, shards):
        """ms from the node's first answer: until its first shard is placed, and until Redis shows all as joined."""
        cluster = self.world.cluster
        coordinator = self.fresh(n, shards)
        node = self.world.start_node(f"n-{cluster.name}", capacity=shards, args=("--log-level", "info"), wait=False)
        joined = wait_joined(cluster, n, 60)
        began = logged(node, "lease.registered")[0]
        placed = logged(node, "shard.held")[0]
        node.stop()
        coordinator.stop()
        return 1000 * (placed - began), 1000 * (joined - began)

    def once(self):
        m = {}
        for n, shards, _ in self.cases:
            m[f"placed_{n}"], m[f"joined_{n}"] = self.joined(n, shards)
        return m

    def rows(self, m):
        return [
            Row(f"{n:,} channels on {shards} connections joined after a node's first answer of Redis, ms",
                f"{m[f'joined_{n}']:.0f}", f"{m[f'placed_{n}']:.0f} (placed)", f"< {most}",
                m[f"joined_{n}"] < most)
            for n, shards, most in self.cases
        ]  # fmt: skip
