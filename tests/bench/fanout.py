"""Fan-out of one node: a flood, for CPU and lines a second; and paced, for latency."""

import statistics
import time

from bench import Row, cpu_s, now_us
from processes import wait_until

CHANNELS = [f"room{i}" for i in range(100)]
PER_SHARD = 25


class Lines:
    """A node that reads CHANNELS from one simulator, a reader that discards the same from a second one, a
    subscriber, and a record of such lines for bench_publish."""

    def __init__(self, world):
        self.world = world
        world.begin(channels_per_shard=PER_SHARD)
        cluster = world.cluster
        self.record = self.make_record()
        self.node = world.start_node()
        world.join(CHANNELS)
        self.sim = cluster.sim
        self.other = cluster.start_sim("--verified", "--limits-off", name="other-sim")
        self.discard = self.reader(self.other)
        self.redis = cluster.redis_process
        self.subscriber = world.tool("subscribe", self.redis.port)
        wait_until(lambda: cluster.redis.pubsub_numpat() > 0, 10, "the subscriber is there")

    def reader(self, sim):
        tool = self.world.tool("discard", sim.port, PER_SHARD, *CHANNELS)
        sim.control(f"wait joined={len(CHANNELS)}")
        time.sleep(0.3)  # what else a join answers is not to be counted as chat
        return tool

    def make_record(self):
        path = self.world.path("lines")
        sim = self.world.cluster.start_sim(
            "--verified", "--limits-off", "--record", path, name="record-sim"
        )
        tool = self.reader(sim)
        sim.control(f"generate count={500 if self.world.small else 20000} rate=0 seed=7")
        sim.control("wait generate ms=60000")
        sim.control("flush")
        self.world.tools.remove(tool)
        tool.close()
        sim.stop()
        return path

    def publisher(self, lines, rate=0):
        tool = self.world.tool("publish", self.redis.port, self.record, lines, rate)
        self.world.tools.remove(tool)
        return tool

    def heard(self, lines, timeout=120):
        """Wait until the subscriber has them all; its last answer."""

        def all_there():
            answer = self.subscriber.ask()
            return answer if answer["lines"] >= lines else None

        return wait_until(all_there, timeout, f"{lines} lines at the subscriber")


class Flood(Lines):
    """fan-out, one node, as fast as it goes, one subscriber"""

    NAME = "fanout"

    def __init__(self, world):
        super().__init__(world)
        self.lines = 1280 if world.small else 64000  # full batches of bench_publish
        self.pairs = 1 if world.small else 6
        self.seed = 0

    def through_node(self):
        self.subscriber.ask("reset")
        node, redis = cpu_s(self.node.pid), cpu_s(self.redis.pid)
        began = now_us()
        self.sim.control(f"generate count={self.lines} rate=0 seed={self.seed}")
        end = self.heard(self.lines)
        assert end["lines"] == self.lines, f"{end['lines']} of {self.lines} lines were fanned out"
        return {
            "node_cpu": (cpu_s(self.node.pid) - node) / self.lines * 1e6,
            "redis_cpu": (cpu_s(self.redis.pid) - redis) / self.lines * 1e6,
            "node_lines_s": self.lines / (end["last_us"] - began) * 1e6,
        }

    def bare(self):
        """The same lines to the reader that discards, and at the same time as many out of the bare loop."""
        self.subscriber.ask("reset")
        seen = self.discard.ask()["messages"]
        reader, redis = cpu_s(self.discard.pid), cpu_s(self.redis.pid)
        publisher = self.publisher(self.lines)
        began = now_us()
        self.other.control(f"generate count={self.lines} rate=0 seed={self.seed}")
        self.heard(self.lines)
        done = publisher.answer()
        publisher.close()

        def all_read():
            answer = self.discard.ask()
            return answer if answer["messages"] - seen >= self.lines else None

        read = wait_until(all_read, 120, "the reader has them all")
        end = max(read["last_us"], self.heard(self.lines)["last_us"], done["last_us"])
        return {
            "reader_cpu": (cpu_s(self.discard.pid) - reader) / self.lines * 1e6,
            "bare_redis_cpu": (cpu_s(self.redis.pid) - redis) / self.lines * 1e6,
            "bare_lines_s": self.lines / (end - began) * 1e6,
            "publish_lines_s": self.lines / (done["last_us"] - done["first_us"]) * 1e6,
        }

    def once(self):
        """Pairs of short neighbours: what else runs on a machine changes from one second to the next."""
        pairs = []
        for _ in range(self.pairs):
            self.seed += 1
            m = {**self.through_node(), **self.bare()}
            m["above"] = m["node_cpu"] - m["reader_cpu"]
            m["ratio"] = m["node_lines_s"] / m["bare_lines_s"]
            pairs.append(m)
        return {key: statistics.median(m[key] for m in pairs) for key in pairs[0]}

    def rows(self, m):
        above, ratio = m["above"], m["ratio"]
        return [
            Row(
                "fan-out: CPU s of the node, a million lines",
                f"{m['node_cpu']:.2f}",
                f"{m['reader_cpu']:.2f} (reader)",
            ),
            Row("fan-out: the same above the reader", f"{above:.2f}", "", "<= 1.0", above <= 1.0),
            Row(
                "fan-out: CPU s of Redis, a million lines",
                f"{m['redis_cpu']:.2f}",
                f"{m['bare_redis_cpu']:.2f} (PUBLISH)",
            ),
            Row(
                "fan-out: lines/s",
                f"{m['node_lines_s']:,.0f}",
                f"{m['bare_lines_s']:,.0f} (reader and PUBLISH)",
            ),
            Row("fan-out: lines/s of the limit", f"{ratio:.2f}", "", ">= 0.85", ratio >= 0.85),
        ]


class Latency(Lines):
    """fan-out latency at a subscriber, paced 10,000 lines/s"""

    NAME = "latency"
    RATE = 10000

    def __init__(self, world):
        super().__init__(world)
        self.lines = 1000 if world.small else 30000

    def measured(self, prefix):
        end = self.heard(self.lines)
        return {f"{prefix}_{q}": end[f"{q}_us"] / 1000 for q in ("p50", "p99", "max")}

    def once(self):
        self.subscriber.ask("reset")
        # With a stamp, a ROOMSTATE of one changed tag has two: it is none for the room any more.
        self.sim.control(f"generate count={self.lines} rate={self.RATE} stamp=1 only=privmsg")
        self.sim.control("wait generate ms=60000")
        node = self.measured("node")
        self.subscriber.ask("reset")
        publisher = self.publisher(self.lines, self.RATE)
        publisher.answer()
        publisher.close()
        return {**node, **self.measured("bare")}

    def rows(self, m):
        rows = []
        for q, budget in (("p50", None), ("p99", 2.0), ("max", None)):
            value = m[f"node_{q}"]
            rows.append(
                Row(
                    f"fan-out, 10,000 lines/s: {q}, ms",
                    f"{value:.2f}",
                    f"{m[f'bare_{q}']:.2f} (PUBLISH)",
                    f"< {budget:g}" if budget else "",
                    value < budget if budget else None,
                )
            )
        return rows
