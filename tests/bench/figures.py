"""What figures cost: Redis, while shards are quiet, and a node, under chat."""

import re
import shutil
import subprocess
import time

from bench import Row, cpu_s, names

PING_S = 15  # a shard at rest sends one so often


class Quiet:
    """what Redis carries out for 400 shards on which nothing is said"""

    NAME = "quiet"
    NODES = 4

    def __init__(self, world):
        self.world = world
        self.shards = 8 if world.small else 400
        self.seconds = 0.5 if world.small else 2 * PING_S
        world.begin(channels_per_shard=2, max_shard_count=self.shards, lease_ms=3000, compare_ms=600000)
        for i in range(self.NODES):
            world.start_node(f"n{i}", capacity=self.shards // self.NODES)
        world.join(names(2 * self.shards))
        time.sleep(0 if world.small else PING_S)  # what was told of the joins is told to be over

    def once(self):
        redis = self.world.cluster.redis
        pid = self.world.cluster.redis_process.pid
        before, cpu, began = redis.info("commandstats"), cpu_s(pid), time.monotonic()
        time.sleep(self.seconds)
        spent, took = cpu_s(pid) - cpu, time.monotonic() - began
        calls = redis.info("commandstats")["cmdstat_hset"]["calls"] - before["cmdstat_hset"]["calls"]
        return {"hset": calls / took, "cpu": 100 * spent / took}

    def rows(self, m):
        # Leases of nodes (two, twice a second) and leader.
        most = 1.25 * (4 * self.NODES + 4)
        return [
            Row("400 quiet shards: HSET a second", f"{m['hset']:.0f}", "", f"< {most:.0f}", m["hset"] < most),
            Row("400 quiet shards: Redis, % of a core", f"{m['cpu']:.2f}"),
        ]


class Reports:
    """CPU of a node for figures and reports: 1,000 channels, 5,000 lines/s"""

    NAME = "reports"
    # Measuring, the report, and its way to Redis and back. What is inlined counts with its caller.
    OURS = ("write_report", "registry_renew", "on_renewed", "look_at_age", "histogram_add", "fanout_mark_answered")

    def __init__(self, world):
        self.world = world
        self.perf = shutil.which("perf")
        self.seconds = 0.5 if world.small else 10
        n = 20 if world.small else 1000
        world.begin(channels_per_shard=25, max_shard_count=40, lease_ms=3000)
        self.node = world.start_node(capacity=40)
        world.join(names(n))
        world.cluster.sim.control(f"generate rate={5 * n} only=privmsg")
        time.sleep(0 if world.small else 3)

    def once(self):
        data = self.world.path("perf.data")
        cpu, began = cpu_s(self.node.pid), time.monotonic()
        if self.perf:
            subprocess.run(
                [self.perf, "record", "-q", "-F", "1999", "--call-graph", "dwarf,8192", "-o", data]
                + ["-p", str(self.node.pid), "--", "sleep", str(self.seconds)],
                check=True,
                capture_output=True,
            )
        else:
            time.sleep(self.seconds)
        took = time.monotonic() - began
        return {"cpu": 100 * (cpu_s(self.node.pid) - cpu) / took, "share": self.share(data) if self.perf else -1}

    def share(self, data):
        """% of the samples of the node that are within OURS."""
        report = subprocess.run(
            [self.perf, "report", "-i", data, "--children", "--stdio", "--no-inline", "-g", "none"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        found = re.findall(r"^ +([\d.]+)% .* shoal-node +\[\.\] (\w+)", report, re.MULTILINE)
        return sum(float(percent) for percent, name in found if name in self.OURS)

    def rows(self, m):
        name = "figures and reports, 1,000 channels, 5,000 lines/s: % of the node's CPU"
        if m["share"] < 0:
            return [Row(name, "not measured: perf is not installed")]
        return [
            Row("node, 1,000 channels, 5,000 lines/s: CPU, % of a core", f"{m['cpu']:.1f}"),
            Row(name, f"{m['share']:.2f}", "", "< 2", m["share"] < 2),
        ]
