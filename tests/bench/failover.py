"""When something dies or stands still: how soon its work goes on elsewhere, and that nothing is said twice.

What is a promise and no time is asserted: a run that breaks it is not measured.
"""

import time
from collections import Counter

from bench import Row, names
from chat import finish, heard_by, recorded  # of tests/cluster, as the next ones
from crash_points import POINTS, Crashes
from processes import wait_until
from shoal import USER


class Death:
    """kill -9 of one of 4 nodes: its shards placed, its channels joined again, with and without a join budget"""

    NAME = "death"

    def __init__(self, world):
        self.world = world
        self.cluster = world.cluster
        self.lease_ms = 1000 if world.small else 3000
        self.per_shard = 5 if world.small else 25
        self.channels = names(4 * self.per_shard)
        self.limit, self.window_ms = (10, 1000) if world.small else (20, 11000)
        world.begin(
            channels_per_shard=self.per_shard, lease_ms=self.lease_ms, join_window_ms=self.window_ms
        )
        self.started = 0
        self.victim = self.start()
        world.join(self.channels)
        self.others = [self.start() for _ in range(3)]

    def start(self):
        self.started += 1
        return self.world.start_node(f"n{self.started}", capacity=4)

    def gather(self):
        """The shards of the dead node are spread: back to one of four, by stopping the others in order."""
        self.victim = self.start()
        for other in self.others:
            other.stop()
        self.others = [self.start() for _ in range(3)]

    def death(self, join_limit):
        cluster, dead = self.cluster, self.victim.name
        assert {s["node"] for s in cluster.shards().values()} == {dead} and len(cluster.shards()) == 4
        cluster.sim.control(f"wait joined={len(self.channels)} ms=60000")
        cluster.request("set", name="join_limit", value=join_limit)
        cluster.redis.delete(cluster.key(f"budget:{USER}:join"))
        live = {other.name for other in self.others}
        time.sleep(0.1 * self.started % 0.5)  # not always at the same point of a lease
        self.victim.kill()
        killed = time.monotonic()
        wait_until(lambda: {s["node"] for s in cluster.shards().values()} <= live, 60, "all are placed")
        placed = time.monotonic() - killed
        cluster.sim.control(f"wait joined={len(self.channels)} ms=90000")
        joined = time.monotonic() - killed
        cluster.request("set", name="join_limit", value="off")
        self.gather()
        return placed * 1000, joined * 1000

    def once(self):
        placed, joined = self.death("off")
        return {"placed": placed, "joined": joined, "budgeted": self.death(self.limit)[1]}

    def rows(self, m):
        lease = f"{self.lease_ms} (lease)"
        budget_ms = (len(self.channels) // self.limit - 1) * self.window_ms  # the last window need not end
        most = {"placed": self.lease_ms + 200, "joined": self.lease_ms + 1000}
        most["budgeted"] = most["joined"] + budget_ms
        what = f"{len(self.channels)} channels"
        each = (
            ("placed", "its 4 shards placed again, ms", lease),
            ("joined", f"its {what} joined again, ms", lease),
            ("budgeted", f"the same, {self.limit} joins in {self.window_ms // 1000} s, ms",
             f"{self.lease_ms + budget_ms} (lease and budget)"),
        )  # fmt: skip
        return [
            Row(f"dead node: {text}", f"{m[key]:.0f}", limit, f"<= {most[key]}", m[key] <= most[key])
            for key, text, limit in each
        ]


class Standstill:
    """Two nodes, and 2,000 lines a second; one of them stands still."""

    def __init__(self, world):
        self.world = world
        self.cluster = cluster = world.cluster
        self.lease_ms = 1000 if world.small else 3000
        self.rate = 300 if world.small else 2000
        self.channels = names(8 if world.small else 40)
        self.record = world.path("record")
        world.begin(
            "--record", self.record, lease_ms=self.lease_ms, resume_delay_ms=100,
            channels_per_shard=len(self.channels) // 4,
        )  # fmt: skip
        self.nodes = {name: world.start_node(name) for name in ("n1", "n2")}
        world.join(self.channels)
        self.chat = cluster.subscribe(cluster.topic("chat:*"))

    def placed(self):
        return {name: (s["node"], s["epoch"]) for name, s in self.cluster.shards().items()}

    def flow(self, victim, leases):
        """Lines flow; the victim stands still for so many leases, and goes on."""
        control = self.cluster.sim.control
        pause = int(self.rate * leases * self.lease_ms / 1000)
        before = len(self.chat.messages)
        control(f"generate rate={self.rate} count={pause + 2 * self.rate} stamp=1")
        wait_until(lambda: len(self.chat.messages) > before + self.rate / 2, 20, "lines flow")
        victim.pause()
        until = control("stats channels=0")["generate"]["lines"] + pause
        wait_until(lambda: control("stats channels=0")["generate"]["lines"] >= until, 60, "the pause is over")
        victim.resume()


class Pause(Standstill):
    """SIGSTOP of a node for 3 leases at 2,000 lines/s: no line twice, its shards elsewhere, its wake-up refused"""

    NAME = "pause"

    def once(self):
        cluster = self.cluster
        victim = self.nodes[next(iter(self.placed().values()))[0]]
        was = self.placed()
        lost = len(cluster.events("node.lost"))
        before = len(self.chat.messages)
        self.flow(victim, 3)
        woken = time.monotonic()
        wait_until(lambda: len(cluster.events("node.lost")) > lost, 20, "the loss is told")
        told = time.monotonic() - woken
        assert cluster.events("node.lost")[-1]["node"] == victim.name
        for shard, (node, epoch) in self.placed().items():
            former, first = was[shard]
            assert node != victim.name and int(epoch) == int(first) + (former == victim.name), shard
        cluster.sim.control("wait generate ms=60000")
        wait_until(lambda: victim.name in cluster.nodes(), 20, "it is registered anew")
        for name in self.channels:
            cluster.chat_flows(self.chat, name)
        cluster.sim.control("flush")
        said, heard = recorded(self.record), heard_by(self.chat)
        for channel, lines in heard.items():
            twice = Counter(lines) - Counter(said[channel])
            assert not twice, f"#{channel}: said again or never: {list(twice)[:2]}"
        return {"told": told * 1000, "heard": len(self.chat.messages) - before}

    def rows(self, m):
        return [
            Row("node still for 3 leases: lines heard twice", "0", f"{m['heard']:,.0f} heard", "0", True),
            Row("node still for 3 leases: its loss told after it woke, ms", f"{m['told']:.0f}"),
        ]


class HalfPause(Standstill):
    """SIGSTOP of a node for half a lease at 2,000 lines/s: nothing moves, nothing is lost or doubled"""

    NAME = "half-pause"

    def once(self):
        was, before = self.placed(), len(self.chat.messages)
        self.flow(self.nodes["n1"], 0.5)
        self.cluster.sim.control("wait generate ms=60000")
        lines = finish(self.cluster, self.chat, self.channels, self.record) - before
        assert self.placed() == was, "something moved"
        assert not self.cluster.events("node.lost")
        return {"lines": lines}

    def rows(self, m):
        return [
            Row(
                "node still for half a lease: lines lost, doubled or out of order",
                "0",
                f"{m['lines']:,.0f} said",
                "0",
                True,
            )
        ]


class Crash:
    """the leader killed before and after each of its steps during 500 joins: each answered once"""

    NAME = "crash"

    def __init__(self, world):
        self.world = world
        self.cluster = world.cluster
        self.points = POINTS[4:6] if world.small else POINTS  # all of them: test_crash_points.py
        self.joins = 30 if world.small else 500
        self.lease_ms = 800 if world.small else 3000
        self.runs = 0
        self.cluster.start_redis()
        self.cluster.start_sim("--verified", "--limits-off")

    def once(self):
        self.runs += 1
        self.cluster.name = f"crash{self.runs}"  # another cluster on the same Redis
        began = time.monotonic()
        crashes = Crashes(self.cluster, self.joins, self.lease_ms, ("--log-level", "warn"))
        try:
            crashes.run(self.points)
        finally:
            crashes.close()
        took = time.monotonic() - began
        for name in ("c1", "c2", *crashes.nodes):
            self.cluster.processes.pop(name).stop()
        return {"s": took}

    def rows(self, m):
        what = f"leader killed at {len(self.points)} points, {self.joins} joins"
        return [Row(f"{what}: not answered once", "0", f"{m['s']:.0f} s in all", "0", True)]
