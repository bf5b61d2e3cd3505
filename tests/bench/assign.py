"""Assigning channels, in Redis alone."""

from bench import Row

SHARDS = (10, 100, 1000, 10000)


class Assign:
    """assign: channels a second beside a no-op function, 10 to 10,000 shards, and from cold"""

    NAME = "assign"

    def __init__(self, world):
        self.world = world
        self.shards = SHARDS[:3] if world.small else SHARDS

    def once(self):
        tool = self.world.tool("assign", 100 if self.world.small else 1)
        m = tool.answer()
        for n in self.shards:
            m[f"ratio_{n}"] = m[f"single_{n}"] / m[f"noop_{n}"]
        m["worst"] = min(m[f"ratio_{n}"] for n in self.shards)
        # Of calls and of no-ops both, so that a slower second of the machine is none of a larger cluster.
        m["flat"] = m[f"ratio_{self.shards[-1]}"] / m["ratio_10"]
        return m

    def rows(self, m):
        n = self.shards[-1]
        return [
            Row(
                f"assign, {n:,} shards: calls/s",
                f"{m[f'single_{n}']:,.0f}",
                f"{m[f'noop_{n}']:,.0f} (no-op function)",
            ),
            Row(
                "assign: calls/s of the no-op's, at worst",
                f"{m['worst']:.2f}",
                "",
                ">= 0.25",
                m["worst"] >= 0.25,
            ),
            Row(
                f"assign: {n:,} shards of 10 shards",
                f"{m['flat']:.2f}",
                "",
                ">= 0.8 (flat)",
                m["flat"] >= 0.8,
            ),
            Row(f"assign, {n:,} shards, 200 a call: channels/s", f"{m[f'batched_{n}']:,.0f}"),
            Row(
                "100,000 channels over 4,000 shards, cold, s",
                f"{m['cold_s']:.2f}",
                "",
                "< 2",
                m["cold_s"] < 2,
            ),
            Row("the same, opening the shards on the way, s", f"{m['opening_s']:.2f}"),
        ]
