#!/usr/bin/python3
"""A cluster of real processes while things die, and a checker of what Shoal promises.

    tests/run chaos [--minutes N] [--seed S] [--redis] [--accounts] [--alerts] [--only FAULTS] [--release]

A plan is drawn from the seed (plan.py): what dies or stands still (faults.py), what applications ask for
(apps.py). While it is carried out, the registry is looked at in atomic steps (watch.py), and the README's readers of what is
kept read along (readers.py). Then everything is mended, all that is wanted must be read again in time, and what was
heard and what is kept are held against what the simulator said (checker.py, check_readers.py). A run that fails
shows its timeline and names the directory where its logs are kept.
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

import redis

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE.parent / "cluster"))

import plan  # noqa: E402
from account_faults import CLAIM_S, LIFE_S, Accounts  # noqa: E402
from alerts import HTTP, Alerts  # noqa: E402
from apps import Apps  # noqa: E402
from chat import PATIENT_REDIS  # noqa: E402  (of tests/cluster, as the next ones)
from check_accounts import Tokens  # noqa: E402
from checker import Checker  # noqa: E402
from faults import CAPACITY, Faults  # noqa: E402
from kept import Kept  # noqa: E402
from readers import Readers  # noqa: E402
from redis_faults import Servers  # noqa: E402
from processes import wait_until  # noqa: E402
from shoal import TOKEN, USER, Cluster, missing_programs  # noqa: E402
from timeline import Timeline  # noqa: E402
from watch import Watch  # noqa: E402

LINES_PER_SECOND = 120
SLOW_S = 20  # what two busy cores and the sanitizers may add to a bound


class Run:
    def __init__(self, seed, actions, directory, with_accounts=False, with_alerts=False):
        self.seed = seed
        self.actions = actions
        self.with_accounts = with_accounts
        self.with_alerts = with_alerts
        self.alerts = None
        self.timeline = Timeline()
        self.cluster = Cluster(directory)
        self.record = directory / "record"
        self.rest = ""
        self.figures = ""

    def carry_out(self):
        """Everything; what is wrong is in the timeline."""
        try:
            self._start()
            try:
                self._act()
                self._come_to_rest()
            finally:
                self.apps.close()
                self.watch.close()
                self.kept.close()
                self.faults.close()
                if self.accounts:
                    self.accounts.close()
            self.figures = f"{self.checker.at_end(self.record)}; {self.faults.at_end()}; {self.rest}"
            if self.alerts:
                self.figures += f"; {self.alerts.at_end()}"
            self.servers.close()
        except AssertionError as error:
            self.timeline.complain("the run did not come to its end", str(error))
        finally:
            for complaint in self.cluster.close():
                self.timeline.complain("the cluster's own checks", complaint)

    def _start(self):
        cluster = self.cluster
        self.servers = Servers(cluster, *PATIENT_REDIS)
        sim_args = (*plan.SIM_ARGS, "--record", self.record)
        node_args, coordinator_args, secrets, self.accounts = [], [], [TOKEN], None
        if self.with_accounts:
            self.accounts = Accounts(cluster, self.timeline, self.seed)
            self.accounts.start_sim(*sim_args)
            node_args, coordinator_args = self.accounts.node_args, self.accounts.coordinator_args
            secrets = self.accounts.granted
        else:
            cluster.start_sim(*sim_args)
            cluster.sim.control(f"user {USER} token={TOKEN} mod={','.join(plan.MODERATED)}")
        node_args = [*node_args, *HTTP] if self.with_alerts else node_args
        for name in plan.COORDINATORS:
            cluster.start_coordinator(name, ["--id", name, *coordinator_args], user=plan.USERS[0], **plan.SETTINGS)
        wait_until(cluster.leader, 20, "a coordinator leads")
        if self.accounts:
            self.accounts.begin()
        for name in plan.NODES:
            url = {"SHOAL_REDIS_URL": self.servers.way_of_nodes.url}
            cluster.start_node(name, capacity=CAPACITY, args=node_args, env=url)
        wait_until(lambda: len(cluster.nodes()) == len(plan.NODES), 20, "all nodes are there")
        self.watch = Watch(cluster, self.timeline, self.servers)
        topics = [cluster.topic(t) for t in ("chat:*", "sent:*", "replies", "events")]
        self.subscriber = cluster.subscribe(*topics, self.watch.mark_topic)
        self.apps = Apps(cluster, self.timeline, self.servers, self.seed)
        self.faults = Faults(cluster, self.timeline, self.servers, node_args)
        tokens = Tokens(self.timeline, self.accounts) if self.accounts else None
        wait_until(lambda: cluster.redis.exists(cluster.key("lines")), 10, "chat is kept")
        self.kept = Kept(cluster, self.timeline, self.servers)
        self.readers = Readers(cluster)
        self.checker = Checker(
            cluster, self.timeline, self.subscriber, self.watch, self.apps, secrets, tokens, self.kept, self.readers
        )
        self.alerts = Alerts(cluster, self.timeline) if self.with_alerts else None
        self.watch.start()
        self.kept.start()
        for at in (0, 10):
            self.apps.begin(plan.Action(0, "join", {"channels": list(plan.CHANNELS[at : at + 10])}))
        wait_until(lambda: cluster.joined(), 30, "the first channels are joined")
        cluster.sim.control(f"generate rate={LINES_PER_SECOND} stamp=1")

    def _act(self):
        began = time.monotonic()
        for action in self.actions:
            while (wait := began + action.at - time.monotonic()) > 0:
                time.sleep(min(wait, max(self.faults.go_on(), 0), 0.1))
                self._look()
                assert not self.timeline.complaints, "stopped early: what comes later would bury it"
            actor = self.faults if hasattr(self.faults, action.what) else self.apps
            actor.begin(action)

    def _look(self):
        self.checker.catch_up()
        if self.accounts:
            self.accounts.look()
        if self.alerts:
            self.alerts.look()
        for process in self.cluster.processes.values():
            if not process.is_running() and not process.expected_to_end:
                process.expected_to_end = True  # told once
                self.timeline.complain(
                    "a process ended by itself", f"{process.name}, exit code {process.popen.returncode}"
                )

    def write_heard(self, path):
        """All that came over the subscription: seconds since the beginning, topic, payload."""
        subscriber = getattr(self, "subscriber", None)
        if subscriber:
            clock = time.time() - time.monotonic() - self.timeline.began
            heard = zip(subscriber.times, subscriber.messages)
            path.write_bytes(b"".join(b"%.3f\t%s\t%s\n" % (at + clock, topic.encode(), line) for at, (topic, line) in heard))

    # The end --------------------------------------------------------------------------------------------

    def _come_to_rest(self):
        self.timeline.note("plan", "the faults come to their ends")
        self.faults.finish()
        for name, value in plan.ROOMY.items():
            self.apps.begin(plan.Action(0, "configure", {"name": name, "value": value}))
        self.apps.wait()
        bound = self._bound()
        self.timeline.note("plan", f"all is mended: everything is to be well within {bound:.1f} s")
        began = time.monotonic()
        while any((missing := self._not_well()).values()):
            assert time.monotonic() - began < bound, f"not well within {bound:.1f} s: {missing}"
            time.sleep(0.1)
        self.rest = f"at rest after {time.monotonic() - began:.1f} of {bound:.1f} s"
        self.timeline.note("plan", self.rest)
        self._say_last_lines()

    def _bound(self):
        """Leases, what the budgets of logins and joins impose, and how long shards that failed again and
        again hold back."""
        s = plan.SETTINGS
        rooms = len(self.cluster.channels())
        failures = {}
        for event in self.cluster.events("shard.backoff"):
            if event["at"] / 1000 > time.time() - 120:
                failures[event["shard"]] = failures.get(event["shard"], 0) + 1
        back_off = min(60, 2 ** max(failures.values(), default=0))
        longest_lease = max(plan.CHANGES["lease_ms"]) / 1000
        joins = (rooms / min(plan.CHANGES["join_limit"]) + 1) * s["join_window_ms"] / 1000
        # A join that nobody answered is tried again after 10 s, a send waits for its answer as long.
        accounts = CLAIM_S + 2 * LIFE_S if self.accounts else 0
        return accounts + 2 * longest_lease + 2 * s["login_window_ms"] / 1000 + joins + back_off + 25 + SLOW_S

    def _not_well(self):
        """What is asked for is answered; each wanted channel, and no other, is joined once. Else: what not."""
        self._look()
        assert not self.timeline.complaints, "stopped early: all will not be well"
        cluster = self.cluster
        try:
            return self._unwell(cluster)
        except redis.RedisError as error:
            return {"Redis": repr(error)}

    def _unwell(self, cluster):
        channels = cluster.channels()
        states = {channel: cluster.channel(channel).get("state") for channel in channels}
        rooms = self._rooms_at_twitch()
        return {
            "requests without a reply": self.checker.requests.unanswered(cluster, self.apps.requests),
            "sends without a result": self.checker.sends.unfinished(
                cluster, self.apps.sends, self.checker.deafness()
            ),
            "entries in the outbox": cluster.redis.xlen(cluster.key("outbox")),
            "channels not joined": {c: state for c, state in states.items() if state != "joined"},
            "accounts": self.accounts.unwell() if self.accounts else {},
            "rooms at Twitch": [] if rooms == sorted(channels) else rooms,
        }

    def _rooms_at_twitch(self):
        connections = self.cluster.sim.control("connections")["connections"]
        return sorted(room for connection in connections for room in connection["rooms"])

    def _say_last_lines(self):
        """Nothing can come any more when these have come."""
        cluster = self.cluster
        next_look, heard = len(self.watch.looks), len(self.subscriber.messages)
        wait_until(
            lambda: any(
                topic == self.watch.mark_topic and int(payload) >= next_look
                for topic, payload in list(self.subscriber.messages)[heard:]
            ),
            30,
            "our own subscription is there, also where Redis came back just now",
        )
        cluster.sim.control("stop")
        last = {}
        for channel in cluster.channels():
            last[channel] = f":last!last@last PRIVMSG #{channel} :the last line"
            cluster.sim.control(f"inject {channel} line={last[channel]}")
        cluster.sim.control("flush")

        def heard():
            topics = {topic for topic, line in list(self.subscriber.messages) if line.endswith(b":the last line")}
            return {cluster.topic(f"chat:{channel}") for channel in last} <= topics

        wait_until(heard, 30, "the last line of every channel is heard")
        self.readers.wait_for_last(last, 30)
        self.watch.look()


def main():
    parser = argparse.ArgumentParser(description="The promises, while things die.")
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--redis", action="store_true", help="Redis fails too, and an application floods")
    parser.add_argument("--accounts", action="store_true", help="several users, whose tokens live for seconds")
    parser.add_argument("--alerts", action="store_true", help="a Prometheus watches, and its alerts are held against events")
    parser.add_argument("--only", default="", help="these faults alone, with commas between (plan.py names them)")
    options = parser.parse_args()
    absent = missing_programs()
    if absent:
        print(f"not built or not installed: {', '.join(absent)}", file=sys.stderr)
        return 2
    seed = options.seed if options.seed is not None else random.randrange(1_000_000)
    only = [name for name in options.only.split(",") if name]
    try:
        if options.accounts:
            plan.with_accounts()
        actions = plan.make(seed, options.minutes * 60, only, options.redis, options.accounts)
    except ValueError as error:
        parser.error(str(error))
    print(f"chaos: seed {seed}, {options.minutes:g} minutes", flush=True)
    kept = ROOT / "build" / "chaos"
    kept.mkdir(parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix=f"seed-{seed}-", dir=kept))
    run = Run(seed, actions, directory, options.accounts, options.alerts)
    try:
        run.carry_out()
    finally:
        (directory / "timeline.txt").write_text(run.timeline.text() + "\n")
        run.write_heard(directory / "heard")
    if not run.timeline.complaints:
        print(f"chaos: {run.figures}")
        shutil.rmtree(directory)
        return 0
    print(run.timeline.around_first_complaint())
    print(run.timeline.complaints_text())
    print(f"logs, record, what was heard and the timeline are in {directory}")
    print(f"again: tests/run chaos --minutes {options.minutes:g} --seed {seed}{options.redis * ' --redis'}{options.accounts * ' --accounts'}{options.alerts * ' --alerts'}{options.only and ' --only ' + options.only}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
