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
        last = self.shards[-1]
        rows = []
        for n in self.shards:
            value, bare = m[f"batched_{n}"], m[f"bare_{n}"]
            rows.append(
                Row(
                    f"assign, {n:,} shards, 1,000 a call: channels/s",
                    f"{value:,.0f}",
                    f"{bare:,.0f} (bare: {m[f'calls_{n}']:.2f} commands each)",
                    ">= 0.6 x limit",
                    value >= 0.6 * bare,
                )
            )
        rows.append(
            Row(
                f"assign, {last:,} shards, one a call: channels/s",
                f"{m[f'single_{last}']:,.0f}",
                f"{m[f'noop_{last}']:,.0f} (no-op function)",
            )
        )
        rows.append(
            Row("the same, of the no-op's, at worst", f"{m['worst']:.3f}", "", ">= 0.035", m["worst"] >= 0.035)
        )
        rows.append(
            Row(f"the same, {last:,} shards of 10", f"{m['flat']:.2f}", "", ">= 0.8 (flat)", m["flat"] >= 0.8)
        )
        phases = f"{m['cold_assigned_s']:.2f} + {m['cold_looked_s']:.2f} + {m['cold_settled_s']:.2f}"
        rows.append(
            Row(
                "100,000 channels asked for, assigned to 4,000 new shards, looked at, joined, s",
                f"{m['cold_s']:.2f}",
                f"{phases} (assigned, looked at, joined)",
                "< 2",
                m["cold_s"] < 2,
            )
        )
        return rows
