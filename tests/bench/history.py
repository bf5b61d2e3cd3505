"""What it costs that chat is kept in streams: one node that is flooded, with and without, and readers of a stream."""

import time

from bench import Row, cpu_s
from fanout import BYTES, CHANNELS, CONNECTIONS, Lines, flood, medians, within
from processes import wait_until

READ = 100  # entries at once


class History(Lines):
    """chat that is kept: Redis's and the node's CPU a line with and without, bytes, and readers"""

    NAME = "history"

    def __init__(self, world):
        super().__init__(world)
        self.lines = 1920 if world.small else 192000
        self.rounds = 1 if world.small else 5
        self.cluster = world.cluster
        self.stream = self.cluster.key("lines:0")
        self.cluster.request("set", name="history_bytes", value=1 << 30)
        self.floor, self.floor_keeps = self.limit("limit"), self.limit("keep", "--keep")

    def keep(self, history_ms):
        """Set, and known to the node: looked at is what it does. The stream is empty then."""
        reply = self.cluster.request("set", name="history_ms", value=history_ms)
        assert reply["ok"], reply
        r = self.cluster.redis

        def is_so():
            before = r.xlen(self.stream)
            self.subscriber.ask("reset")
            flood(self.node, CONNECTIONS)()
            self.heard(CONNECTIONS)
            return (r.xlen(self.stream) > before) == (history_ms != "off")

        wait_until(is_so, 10, f"history_ms is {history_ms}")
        r.delete(self.stream)
        time.sleep(0 if self.world.small else 1)

    def bare(self, rate):
        def run():
            args = (self.redis.port, self.lines, BYTES, len(CHANNELS), rate)
            self.world.close_tool(self.world.tool("publish", *args))

        return self.publish(run, self.lines)

    def read(self, readers, group):
        """Redis's CPU us a line where that many readers read all there is, through a group each or without."""
        r = self.cluster.redis
        for i in range(readers if group else 0):
            r.xgroup_create(self.stream, f"g{i}", "0")
        before, lines = cpu_s(self.redis.pid), 0
        for i in range(readers):
            last = ">" if group else "0"
            while True:
                got = (
                    r.xreadgroup(f"g{i}", "me", {self.stream: last}, count=READ)
                    if group else r.xread({self.stream: last}, count=READ)
                )  # fmt: skip
                if not got:
                    break
                entries = got[0][1]
                lines += sum(e["lines"].count("\n") + 1 for _, e in entries if "lines" in e)
                if group:
                    r.xack(self.stream, f"g{i}", *(name for name, _ in entries))
                else:
                    last = entries[-1][0]
        spent = cpu_s(self.redis.pid) - before
        for i in range(readers if group else 0):
            r.xgroup_destroy(self.stream, f"g{i}")
        return spent / lines * 1e6

    def floors(self):
        """CPU us a line of bench_limit that publishes lines, and of one that keeps them in a stream as well."""
        took = [self.publish(flood(t, self.lines), self.lines, t.pid)["cpu"][0] for t in (self.floor, self.floor_keeps)]
        assert self.cluster.redis.unlink("bench:kept") == 1
        return took

    def round(self):
        self.keep("off")
        off = self.publish(flood(self.node, self.lines), self.lines, self.node.pid)
        bare = self.bare(off["lines_s"])
        self.keep(600000)
        on = self.publish(flood(self.node, self.lines), self.lines, self.node.pid)
        floor, floor_keeps = self.floors()
        r = self.cluster.redis
        bytes_line = r.memory_usage(self.stream, samples=0) / self.lines
        readers = {name: self.read(n, group) for name, n, group in
                   (("xread", 1, False), ("xread4", 4, False), ("group", 1, True), ("group4", 4, True))}  # fmt: skip
        return {
            "redis": on["redis"], "redis_off": off["redis"], "bare": bare["redis"], "node": on["cpu"][0],
            "node_off": off["cpu"][0], "floor": floor, "floor_keeps": floor_keeps, "lines_s": on["lines_s"], "lines_s_off": off["lines_s"],
            "bytes": bytes_line, "entries": r.xlen(self.stream) / self.lines, **readers,
        }  # fmt: skip

    def once(self):
        return medians([self.round() for _ in range(self.rounds)])

    def rows(self, m):
        kept = "chat that is kept: "
        readers = (("xread", "one reader"), ("xread4", "four readers"), ("group", "one group"),
                   ("group4", "four groups"))  # fmt: skip
        return [
            within(kept + "CPU s of Redis, a million lines", m["redis"], m["bare"], 1.9, "PUBLISH, as fast"),
            within(kept + "the same with history_ms off", m["redis_off"], m["bare"], 1.1, "PUBLISH, as fast"),
            within(kept + "CPU s of the node, a million lines", m["node"], m["node_off"], 1.1, "off"),
            Row(kept + "the same of bench_limit", f"{m['floor_keeps']:.2f}", f"{m['floor']:.2f} (off)"),
            Row(kept + "lines/s", f"{m['lines_s']:,.0f}", f"{m['lines_s_off']:,.0f} (off)"),
            Row(kept + "bytes of Redis a line", f"{m['bytes']:.0f}", f"{BYTES} (the line)", "<= line + 60",
                m["bytes"] <= BYTES + 60),
            Row(kept + "lines an entry", f"{1 / m['entries']:.0f}"),
            *(Row(f"{kept}read by {text}, CPU s of Redis, a million lines", f"{m[name]:.2f}") for name, text in readers),
        ]  # fmt: skip
