"""Fan-out of one node: a flood, for CPU and lines a second; and paced, for latency. Beside it, in turn with it and on
a simulator of its own each, bench_limit: the least that reading and publishing the same lines can take."""

import statistics
import time

from bench import Row, commands, cpu_s
from certificates import Certificates  # of tests/cluster, as the next one
from processes import wait_until

CHANNELS = [f"room{i}" for i in range(100)]
PER_SHARD = 10
BYTES = 463  # of a line of Twitch, with its tags
CONNECTIONS = len(CHANNELS) // PER_SHARD
SIM = ("--verified", "--limits-off", "--ping-interval", "off")  # bench_limit answers no PING


class Target:
    """What is measured: a process that reads CHANNELS from a simulator of its own and publishes them."""

    def __init__(self, pid, sim):
        self.pid, self.sim = pid, sim
        sim.control(f"wait joined={len(CHANNELS)}")
        time.sleep(0.3)  # what else a join answers is not to be counted


class Lines:
    """A node and limits, one subscriber for all, and what Redis and each of them took for some lines."""

    def __init__(self, world, tls=None, history_ms="off"):
        self.world = world
        cluster = world.cluster
        world.begin("--ping-interval", "off", tls=tls, channels_per_shard=PER_SHARD, history_ms=history_ms)
        node = world.start_node()
        world.join(CHANNELS)
        self.node = Target(node.pid, cluster.sim)
        self.redis = cluster.redis_process
        self.subscriber = world.tool("subscribe", self.redis.port)
        wait_until(lambda: cluster.redis.pubsub_numpat() > 0, 10, "the subscriber is there")

    def limit(self, name, *args, tls=None):
        sim = self.world.cluster.start_sim(*SIM, name=f"{name}-sim", tls=tls)
        port = int(sim.url.rsplit(":", 1)[1])
        args = (*(("--tls",) if tls else ()), *args)
        tool = self.world.tool("limit", *args, port, self.redis.port, PER_SHARD, *CHANNELS)
        return Target(tool.pid, sim)

    def heard(self, lines, timeout=120):
        """Wait until the subscriber has them all; its last answer."""

        def all_there():
            answer = self.subscriber.ask()
            return answer if answer["lines"] >= lines else None

        end = wait_until(all_there, timeout, f"{lines} lines at the subscriber")
        assert end["lines"] == lines, f"{end['lines']} of {lines} lines were published"
        return end

    def look(self):
        """How many commands Redis has carried out, and how often it has read."""
        redis = self.world.cluster.redis
        return sum(commands(redis).values()), redis.info("stats")["total_reads_processed"]

    def publish(self, begin, lines, *pids):
        """begin() makes somebody publish so many lines: CPU us a line of Redis and of the processes, and the rest."""
        self.subscriber.ask("reset")
        calls, reads = self.look()
        spent = [cpu_s(pid) for pid in (self.redis.pid, *pids)]
        begin()
        end = self.heard(lines)
        cpu = [(cpu_s(pid) - before) / lines * 1e6 for pid, before in zip((self.redis.pid, *pids), spent)]
        calls_now, reads_now = self.look()
        took = max(1, end["last_us"] - end["first_us"]) / 1e6  # few lines come in one read
        return {
            "redis": cpu[0], "cpu": cpu[1:], "end": end, "lines_s": lines / took,
            "batch": lines / (reads_now - reads), "commands": (calls_now - calls) / lines, "commands_s": (calls_now - calls) / took,
        }  # fmt: skip


def flood(target, lines):
    return lambda: target.sim.control(f"flood all count={lines // CONNECTIONS} bytes={BYTES}")


def paced(target, lines, rate):
    return lambda: target.sim.control(f"generate count={lines} rate={rate} stamp=1 only=privmsg")


def medians(dicts):
    """Of short neighbours: what else runs on a machine changes from one second to the next."""
    return {key: statistics.median(d[key] for d in dicts) for key in dicts[0]}


def within(name, value, limit, budget, what, digits=2):
    """A row of what may be so many times the limit."""
    most = budget * limit
    return Row(
        name, f"{value:,.{digits}f}", f"{limit:,.{digits}f} ({what})", f"<= {budget:g} x limit", value <= most
    )


class Flood(Lines):
    """fan-out, one node, as fast as it goes, one subscriber, beside the limit"""

    NAME = "fanout"

    def __init__(self, world):
        super().__init__(world)
        self.lines = 1920 if world.small else 192000  # for all CONNECTIONS as much, and full batches of bench_publish
        self.rounds = 1 if world.small else 3
        self.floor = self.limit("limit")

    def bare(self, rate):
        """Nothing but PUBLISH, at that pace."""

        def run():
            args = (self.redis.port, self.lines, BYTES, len(CHANNELS), rate)
            self.world.close_tool(self.world.tool("publish", *args))

        return self.publish(run, self.lines)

    def round(self):
        node = self.publish(flood(self.node, self.lines), self.lines, self.node.pid)
        limit = self.publish(flood(self.floor, self.lines), self.lines, self.floor.pid, self.floor.sim.pid)
        bare = self.bare(node["lines_s"])
        return {
            "node": node["cpu"][0], "limit": limit["cpu"][0], "sim": limit["cpu"][1],
            "redis": node["redis"], "limit_redis": limit["redis"], "bare_redis": bare["redis"],
            "lines_s": node["lines_s"], "limit_lines_s": limit["lines_s"],
            "batch": node["batch"], "limit_batch": limit["batch"], "bare_batch": bare["batch"],
            "commands": node["commands"],
        }  # fmt: skip

    def once(self):
        return medians([self.round() for _ in range(self.rounds)])

    def rows(self, m):
        share = m["lines_s"] / m["limit_lines_s"]
        return [
            within("fan-out: CPU s of the node, a million lines", m["node"], m["limit"], 1.5, "bench_limit"),
            Row("fan-out: lines/s", f"{m['lines_s']:,.0f}", f"{m['limit_lines_s']:,.0f} (bench_limit)",
                ">= 0.8 x limit", share >= 0.8),
            within("fan-out: CPU s of Redis, a million lines", m["redis"], m["bare_redis"], 1.1, "PUBLISH, as fast"),
            Row("fan-out: commands of Redis a line", f"{m['commands']:.2f}", "1 (PUBLISH)"),
        ]  # fmt: skip


class FloodTls(Lines):
    """the same over TLS, beside OpenSSL alone"""

    NAME = "fanout-tls"

    def __init__(self, world):
        certificates = Certificates(world.path("certificates"))
        super().__init__(world, certificates)
        self.lines = 1920 if world.small else 192000
        self.rounds = 1 if world.small else 3
        self.plain = self.limit("plain")
        self.tls = self.limit("tls", tls=certificates)

    def round(self):
        m = {}
        for name, target in (("node", self.node), ("plain", self.plain), ("tls", self.tls)):
            one = self.publish(flood(target, self.lines), self.lines, target.pid)
            m[name], m[f"{name}_lines_s"] = one["cpu"][0], one["lines_s"]
        return m

    def once(self):
        return medians([self.round() for _ in range(self.rounds)])

    def rows(self, m):
        most = m["tls"] + 0.5 * m["plain"]
        limits = f"{m['tls']:.2f}, {m['plain']:.2f} (bench_limit with TLS, without)"
        return [
            Row("fan-out, TLS: CPU s of the node, a million lines", f"{m['node']:.2f}", limits,
                "<= TLS + 0.5 plain", m["node"] <= most),
            Row("fan-out, TLS: lines/s", f"{m['node_lines_s']:,.0f}", f"{m['tls_lines_s']:,.0f} (bench_limit)"),
        ]  # fmt: skip


class Latency(Lines):
    """fan-out latency at a subscriber, paced 10,000 lines/s, and of lone lines"""

    NAME = "latency"
    RATE = 10000
    LONE_RATE = 50

    def __init__(self, world):
        super().__init__(world)
        self.lines = 1000 if world.small else 30000
        self.lone = 20 if world.small else 100
        self.floor = self.limit("limit")

    def once(self):
        m = {}
        for name, target in (("node", self.node), ("limit", self.floor)):
            many = self.publish(paced(target, self.lines, self.RATE), self.lines, target.pid)
            lone = self.publish(paced(target, self.lone, self.LONE_RATE), self.lone, target.pid)
            for q in ("p50", "p99", "p999"):
                m[f"{name}_{q}"] = many["end"][f"{q}_us"] / 1000
            m[f"{name}_lone"] = lone["end"]["p50_us"] / 1000
            m[f"{name}_commands_s"] = many["commands_s"]
            m[f"{name}_cpu"], m[f"{name}_redis"] = many["cpu"][0], many["redis"]
        return m

    def rows(self, m):
        pace = f"fan-out, {self.RATE:,} lines/s: "
        limit = "bench_limit"
        return [
            Row(pace + "p50, ms", f"{m['node_p50']:.2f}", f"{m['limit_p50']:.2f} ({limit})"),
            within(pace + "p99, ms", m["node_p99"], m["limit_p99"], 1.5, limit),
            Row(pace + "p99.9, ms", f"{m['node_p999']:.2f}", f"{m['limit_p999']:.2f} ({limit})", "< 10",
                m["node_p999"] < 10),
            Row("fan-out, a lone line: p50, ms", f"{m['node_lone']:.2f}", f"{m['limit_lone']:.2f} ({limit})"),
            Row(pace + "CPU us of the node a line", f"{m['node_cpu']:.1f}", f"{m['limit_cpu']:.1f} ({limit})"),
            Row(pace + "CPU us of Redis a line", f"{m['node_redis']:.1f}", f"{m['limit_redis']:.1f} ({limit})"),
            Row(pace + "commands of Redis a second", f"{m['node_commands_s']:,.0f}",
                f"{m['limit_commands_s']:,.0f} ({limit})"),
        ]  # fmt: skip
