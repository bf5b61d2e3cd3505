"""A large cluster on one machine: how soon it is there, what it costs at rest, and what a join, a death and a line cost
in it. What grows faster than the cluster is to be seen here, beside a cluster of twice as many shards on as many nodes."""

import resource
import socket
import time

from bench import Row, commands, cpu_s, memory_kib, names, wait_joined
from processes import wait_until

SETTLED = 8  # s: reports and figures of what happened have been told
LEASE_MS = 3000
RENEWS = 4  # in a lease, each node


class Look:
    """CPU and commands so far of Redis, the coordinator and the nodes that live."""

    def __init__(self, scale):
        self.at = time.monotonic()
        self.pids = {"redis": scale.redis.pid, "coordinator": scale.coordinator.pid}
        self.pids.update({node.name: node.pid for node in scale.nodes})
        self.cpu = {name: cpu_s(pid) for name, pid in self.pids.items()}
        self.calls = commands(scale.world.cluster.redis)


class Spent:
    """What was spent since an earlier look: s and CPU s; rest: Spent of a time at rest, whose CPU is taken off."""

    def __init__(self, before, scale, rest=None):
        now = Look(scale)
        self.took = now.at - before.at
        spent = {name: cpu - before.cpu[name] for name, cpu in now.cpu.items() if name in before.cpu}
        self.redis, self.coordinator = spent.pop("redis"), spent.pop("coordinator")
        self.nodes = sum(spent.values())
        self.node_count = len(spent)
        calls = {name: (n - before.calls.get(name, 0)) / self.took for name, n in now.calls.items()}
        self.top = sorted(((n, name) for name, n in calls.items() if n > 0), reverse=True)
        self.commands_s = sum(calls.values())
        if rest is not None:
            self.redis -= rest.redis * self.took / rest.took
            self.coordinator -= rest.coordinator * self.took / rest.took
            self.nodes -= rest.nodes * self.took / rest.took

    def percent(self, cpu):
        """Of a core."""
        return 100 * cpu / self.took


class Scale:
    """20 nodes, 2,000 shards, 50,000 channels: cold start, at rest, a join, a death, a line; 4,000 shards at rest"""

    NAME = "scale"
    RUNS = 1

    def __init__(self, world):
        self.world = world
        small = world.small
        self.node_count, self.shards, self.per_shard = (4, 16, 5) if small else (20, 2000, 25)
        self.channels = self.shards * self.per_shard
        self.share = self.channels // self.node_count  # of a node
        self.settled, self.seconds, self.compare_s = (0.2, 0.5, 1) if small else (SETTLED, 10, 60)
        self.runs = 0
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 65536)), hard))  # Redis has it of us
        self.redis = world.cluster.start_redis()
        self.sim = world.cluster.start_sim("--verified", "--limits-off", "--ping-interval", "off")
        self.coordinator, self.nodes, self.wanted, self.top = None, [], 0, {}

    # What is done to it ---------------------------------------------------------------------------

    def start_node(self, number):
        # Three times its share: for twice as many shards, and for those of nodes that die.
        capacity = 3 * self.shards // self.node_count
        node = self.world.start_node(f"{self.world.cluster.name}-{number}", capacity=capacity, wait=False)
        self.nodes.append(node)
        return node

    def start(self):
        """All at once; the requests are there before."""
        self.runs += 1
        cluster = self.world.cluster
        cluster.name = f"scale{self.runs}"
        self.ask(self.channels)
        self.coordinator = cluster.start_coordinator(
            f"c-{cluster.name}", args=("--log-level", "warn"),
            channels_per_shard=self.per_shard, max_shard_count="none", lease_ms=LEASE_MS,
            compare_ms=1000 * self.compare_s,
        )  # fmt: skip
        for number in range(self.node_count):
            self.start_node(number)

    def stop(self):
        for process in [*self.nodes, self.coordinator]:
            process.stop(timeout=60)
        self.nodes, self.wanted = [], 0
        self.world.cluster.redis.flushall()

    def ask(self, n):
        """That so many more channels are joined; the first of them."""
        first = self.wanted
        self.world.ask_to_join(names(n, first))
        self.wanted += n
        return first

    def holds(self, node):
        """How many channels."""
        return sum(int(s["channels"]) for s in self.world.cluster.shards().values() if s["node"] == node.name)

    def joined(self):
        return self.sim.control("stats channels=0")["channels_joined"]

    # What is measured -----------------------------------------------------------------------------

    def alone(self):
        """What Redis takes by itself, ten ticks a second, when nobody asks it anything: the least of some windows. % of a
        core."""
        windows = []
        for _ in range(4):
            before, began = cpu_s(self.redis.pid), time.monotonic()
            time.sleep(self.seconds / 2)
            windows.append(100 * (cpu_s(self.redis.pid) - before) / (time.monotonic() - began))
        return min(windows)

    def pings(self):
        """The least that as many nodes can ask of Redis: a PING each as often as they renew. % of a core."""
        links = [socket.create_connection(("127.0.0.1", self.redis.port)) for _ in range(self.node_count)]
        gap = LEASE_MS / 1000 / RENEWS / len(links)
        before, began, done = cpu_s(self.redis.pid), time.monotonic(), 0
        while time.monotonic() < began + self.seconds:
            link = links[done % len(links)]
            link.sendall(b"PING\r\n")
            answer = link.recv(64)
            assert answer == b"+PONG\r\n", answer
            done += 1
            time.sleep(max(0, began + done * gap - time.monotonic()))
        percent = 100 * (cpu_s(self.redis.pid) - before) / (time.monotonic() - began)
        for link in links:
            link.close()
        return percent

    def cold(self):
        before = cpu_s(self.redis.pid)
        began = time.time()
        self.start()
        joined = wait_joined(self.world.cluster, self.channels, 120)
        return {"cold_s": joined - began, "cold_us": 1e6 * (cpu_s(self.redis.pid) - before) / self.channels}

    def rest(self, seconds):
        time.sleep(self.settled)
        before = Look(self)
        time.sleep(seconds)
        return Spent(before, self)

    def compares(self, on):
        """Is the registry compared, every compare_s? Else what else costs something is to be seen."""
        ms = 1000 * self.compare_s if on else 86400000
        self.world.cluster.request("set", name="compare_ms", value=ms)
        scans, seen = 0, -1
        while not on and scans > seen:  # one is under way: nothing else scans, and it does with each renewal of the lead
            seen = scans
            time.sleep(LEASE_MS / 2000)
            scans = sum(commands(self.world.cluster.redis).get(name, 0) for name in ("hscan", "sscan", "zscan"))

    def at_rest(self, name):
        """With one compare."""
        spent = self.rest(self.compare_s)
        self.top[name] = spent.top
        memory = [memory_kib(node.pid) / 1024 for node in self.nodes]
        return {
            f"{name}_redis": spent.percent(spent.redis),
            f"{name}_coordinator": spent.percent(spent.coordinator),
            f"{name}_node": spent.percent(spent.nodes) / len(self.nodes),
            f"{name}_commands_s": spent.commands_s,
            f"{name}_coordinator_mib": memory_kib(self.coordinator.pid) / 1024,
            f"{name}_node_mib": sum(memory) / len(memory),
        }

    def whole_shards(self, n):
        """About n channels, that fill shards: none is left with room for others."""
        return max(1, n // self.per_shard) * self.per_shard

    def join(self, rest):
        n = self.whole_shards(self.share // 5)
        before = Look(self)
        first = self.ask(n)
        wait_joined(self.world.cluster, n, 60, first)
        time.sleep(self.settled)
        spent = Spent(before, self, rest)
        return {"join_us": 1e6 * spent.redis / n, "join_coordinator_us": 1e6 * spent.coordinator / n}

    def death(self, node, rest):
        """kill -9: s until Twitch has all its channels joined again, CPU ms of Redis, and how many they were."""
        held = self.holds(node)
        self.nodes.remove(node)
        before = Look(self)
        node.kill()
        killed = time.monotonic()
        wait_until(lambda: self.joined() <= self.wanted - held, 10, "the simulator sees them gone")
        self.sim.control(f"wait joined={self.wanted} ms=60000")
        took = time.monotonic() - killed
        time.sleep(self.settled)
        return took, 1000 * Spent(before, self, rest).redis, held

    def deaths(self, rest):
        """Of a node that holds its share, and of one that holds a tenth of that: one that is new, and takes the next."""
        number = self.node_count
        took, ms, held = self.death(self.nodes[0], rest)
        m = {"death_s": took, "death_ms": ms, "death_us": 1000 * ms / held}
        small = self.start_node(number)
        wait_until(lambda: small.name in self.world.cluster.nodes(), 10, "another node is registered")
        n = self.whole_shards(self.share // 10)
        wait_joined(self.world.cluster, n, 60, self.ask(n))
        time.sleep(self.settled)
        assert self.holds(small) == n, f"{self.holds(small)} channels, not {n}, went to the new node"
        took, ms, held = self.death(small, rest)
        self.start_node(number + 1)
        return {**m, "tenth_s": took, "tenth_ms": ms, "tenth_us": 1000 * ms / held}

    def lines(self, rest):
        rate = 200 if self.world.small else 5000
        n = int(rate * self.seconds)
        before = Look(self)
        self.sim.control(f"generate count={n} rate={rate} only=privmsg")
        self.sim.control("wait generate ms=60000")
        spent = Spent(before, self, rest)
        return {"lines_redis": 1e6 * spent.redis / n, "lines_nodes": 1e6 * spent.nodes / n}

    def twice(self):
        """As many channels again, on as many shards again."""
        before, began = cpu_s(self.redis.pid), time.time()
        n = 2 * self.channels - self.wanted
        joined = wait_joined(self.world.cluster, n, 120, self.ask(n))
        grown = {"grow_s": joined - began, "grow_us": 1e6 * (cpu_s(self.redis.pid) - before) / n}
        self.compares(True)
        return {**grown, **self.at_rest("twice")}

    def once(self):
        m = {"alone": self.alone(), "pings": self.pings(), **self.cold(), **self.at_rest("once")}
        self.compares(False)
        rest = self.rest(self.seconds)
        m["compare_ms"] = 1000 * self.compare_s * (m["once_redis"] - rest.percent(rest.redis)) / 100
        m.update(self.join(rest))
        m.update(self.lines(rest))
        m.update(self.deaths(rest))
        m.update(self.twice())
        self.stop()
        return m

    # The table ------------------------------------------------------------------------------------

    def rows(self, m):
        return [*self.rows_of_growth(m), *self.rows_at_rest(m), *self.rows_of_work(m)]

    def what(self, times=1):
        return f"{times * self.shards:,} shards"

    def rows_of_growth(self, m):
        whole = f"{self.node_count} nodes, {self.what()}, {self.channels:,} channels"
        return [
            Row(f"{whole}: from start to all joined, s", f"{m['cold_s']:.2f}", "", "< 4", m["cold_s"] < 4),
            Row("the same: CPU us of Redis a channel", f"{m['cold_us']:.0f}"),
            Row("as many again: to all joined, s", f"{m['grow_s']:.2f}"),
            Row("the same: CPU us of Redis a channel", f"{m['grow_us']:.0f}", f"{m['cold_us']:.0f} (the first half)"),
        ]

    def rows_at_rest(self, m):
        once, twice = m["once_redis"], m["twice_redis"]
        rows = [
            Row("Redis by itself, % of a core", f"{m['alone']:.2f}"),
            Row(f"{self.what()} at rest: Redis, % of a core", f"{once:.2f}", f"{m['pings']:.2f} (PINGs as often as renewals)",
                "< 0.5", once < 0.5),
            Row(f"{self.what(2)} at rest: Redis, % of a core", f"{twice:.2f}", f"{once:.2f} ({self.what()})",
                "<= 1.1 x limit", twice <= 1.1 * once),
        ]  # fmt: skip
        for key, text, digits in (
            ("coordinator", "coordinator, % of a core", 2), ("node", "a node, % of a core", 3),
            ("coordinator_mib", "memory of the coordinator, MiB", 1), ("node_mib", "memory of a node, MiB", 1),
            ("commands_s", "commands of Redis a second", 0),
        ):  # fmt: skip
            values = [f"{m[f'{name}_{key}']:,.{digits}f}" for name in ("twice", "once")]
            rows.append(Row(f"{self.what(2)} at rest: {text}", values[0], f"{values[1]} ({self.what()})"))
        for name, times in (("once", 1), ("twice", 2)):
            top = ", ".join(f"{command} {n:.0f}" for n, command in self.top[name][:6])
            rows.append(Row(f"{self.what(times)} at rest: commands most often", top))
        return rows

    def rows_of_work(self, m):
        tenth = f"{m['tenth_us']:.0f} (a node with a tenth of them)"
        return [
            Row(f"{self.what()}: CPU us of Redis a channel that is joined", f"{m['join_us']:.0f}",
                f"{m['cold_us']:.0f} (from cold)"),
            Row(f"{self.what()}: CPU us of the coordinator a channel that is joined", f"{m['join_coordinator_us']:.0f}"),
            Row(f"dead node, {self.share:,} channels: read again, s", f"{m['death_s']:.2f}", f"{m['tenth_s']:.2f} (a tenth)"),
            Row("dead node: CPU ms of Redis", f"{m['death_ms']:.0f}", f"{m['tenth_ms']:.1f} (a tenth)"),
            Row("dead node: CPU us of Redis a channel", f"{m['death_us']:.0f}", tenth),
            Row(f"{self.what()}, a compare of the registry: CPU ms of Redis", f"{m['compare_ms']:.0f}"),
            Row("1,000 lines: CPU ms of Redis", f"{m['lines_redis']:.1f}"),
            Row("1,000 lines: CPU ms of the nodes", f"{m['lines_nodes']:.1f}"),
        ]  # fmt: skip
