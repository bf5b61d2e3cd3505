"""Alerts: a real Prometheus scrapes the cluster while things die, by the rules that are shipped.

What the cluster's own log tells must have been an alert as well, at least once; and when all is mended, what is still
wrong is nothing but what looks back for minutes, or was so from the beginning.
"""

import re
import time

import plan
from prometheus import Prometheus

HTTP = ("--http-listen", "127.0.0.1:0")
LISTENS = re.compile(rb"http\.listening address=\S+:(\d+)")

# An event, and the alerts of which one must have fired where it is in the log. A node expires because it is gone or
# stands still, or because it does not reach Redis; all coordinators of a run are gone at once only now and then.
MUST_FIRE = {
    "node.expired": {"ShoalNodeLost", "ShoalRedisDown"},
    "node.blind": {"ShoalNodeBlind"},
    "gap": {"ShoalGap"},
    "account.ending": {"ShoalTokenEnding"},
    "account.login_required": {"ShoalAccountUnusable"},
}
# What fires yet when all is well: counts of the last minutes, a Redis that keeps nothing, tokens that live for seconds.
MAY_STAY = {
    "ShoalGap", "ShoalSendsLost", "ShoalLatencyHigh", "ShoalBudgetExhausted", "ShoalRedisMisconfigured", "ShoalDegraded",
    "ShoalTokenEnding", "ShoalReaderMisses",
}  # fmt: skip


class Alerts:
    def __init__(self, cluster, timeline):
        self._cluster = cluster
        self._timeline = timeline
        self._prometheus = Prometheus(cluster)
        self._read = {}  # process -> bytes of its log that were looked through
        self._ports = {}
        self.look()
        self._prometheus.start()

    def look(self):
        """Processes that were started anew serve at another port."""
        before = dict(self._ports)
        for name in (*plan.COORDINATORS, *plan.NODES):
            with open(self._cluster.processes[name].log, "rb") as log:
                log.seek(self._read.get(name, 0))
                new = log.read()
            whole = new.rfind(b"\n") + 1
            self._read[name] = self._read.get(name, 0) + whole
            for port in LISTENS.findall(new[:whole]):
                self._ports[name] = int(port)
        if self._ports != before:
            self._prometheus.watch(*({n: self._ports[n] for n in of if n in self._ports} for of in (plan.COORDINATORS, plan.NODES)))

    def at_end(self):
        """What fired in the run."""
        fired = {labels["alertname"] for labels, _ in self._prometheus.query('count by (alertname) (count_over_time(ALERTS{alertstate="firing"}[1d]))')}
        told = {event["event"] for event in self._cluster.events()}
        for event, alerts in MUST_FIRE.items():
            if event in told and not alerts & fired:
                self._timeline.complain("what happened was no alert", f"{event}: none of {sorted(alerts)} fired")
        deadline = time.monotonic() + 30
        while (wrong := self._prometheus.firing() - MAY_STAY) and time.monotonic() < deadline:
            time.sleep(0.5)
        if wrong:
            self._timeline.complain("an alert fires though all is well", ", ".join(sorted(wrong)))
        return f"alerts: {', '.join(sorted(fired))}"
