"""Faults: what dies, stands still or is cut off, one method a kind, and what mends it again.

A fault is a generator: it does something, yields for how many seconds it lasts, and does the next thing. Faults
overlap; a process is in the hands of one fault at a time, and a fault that finds its victim taken is left out.
"""

import contextlib
import heapq
import itertools
import signal
import time
from collections import Counter

import redis

import plan
from account_faults import AccountFaults
from readers import ReaderFaults
from redis_faults import SETTLE_S, RedisFaults
from simclient import Control
from timeline import Taken

CAPACITY = 3  # shards of a node: not all that there may be find a place on one node


class Faults(RedisFaults, AccountFaults, ReaderFaults):
    def __init__(self, cluster, timeline, servers, node_args):
        self._cluster = cluster
        self._servers = servers
        self._node_args = node_args
        self._timeline = timeline
        self._sim = Control(cluster.sim.control.sock.getpeername()[1])
        self._taken = set()
        self._due = []  # (time, number, action, steps)
        self._number = itertools.count()
        self._ended = Counter()  # kinds that were carried out to their ends

    # The clockwork --------------------------------------------------------------------------------------

    def begin(self, action):
        self._timeline.note("fault", str(action))
        self._step(action, getattr(self, action.what)(**action.args))

    def _step(self, action, steps):
        try:
            pause = next(steps)
        except StopIteration:
            self._ended[action.what] += 1
            return
        except Taken as taken:
            self._timeline.note("fault", f"{action.what}: left out, {taken} is taken")
            return
        except redis.RedisError as error:
            self._timeline.note("fault", f"{action.what}: ended, {error}")
            return
        heapq.heappush(self._due, (time.monotonic() + pause, next(self._number), action, steps))

    def go_on(self):
        """Do what is due. Seconds until more is."""
        while self._due and self._due[0][0] <= time.monotonic():
            _, _, action, steps = heapq.heappop(self._due)
            self._step(action, steps)
        return self._due[0][0] - time.monotonic() if self._due else float("inf")

    def finish(self):
        """All faults run to their ends; then nothing is broken any more."""
        while self._due:
            time.sleep(max(0.0, min(self.go_on(), 0.1)))

    def at_end(self):
        return ", ".join(f"{n} {kind}" for kind, n in sorted(self._ended.items()))

    def close(self):
        self._sim.close()

    @contextlib.contextmanager
    def _hands_on(self, *names):
        """The processes of these names; "leader" and "standby" are who they are now."""
        if names[0] in ("leader", "standby"):
            leader = self._leader()
            names = [n for n in plan.COORDINATORS if (n == leader) == (names[0] == "leader")][:1]
        for name in names:
            if name in self._taken:
                raise Taken(name)
        if not names:
            raise Taken("the leader")
        self._taken.update(names)
        try:
            yield [self._cluster.processes[name] for name in names]
        finally:
            self._taken.difference_update(names)

    def _leader(self):
        try:
            return self._cluster.leader()
        except redis.RedisError:
            raise Taken("Redis") from None

    @contextlib.contextmanager
    def _hands_on_redis(self):
        if "redis" in self._taken:
            raise Taken("Redis")
        self._taken.add("redis")
        began = time.time()
        try:
            yield
        finally:
            self._taken.discard("redis")
            self._timeline.prolong(began, time.time() + SETTLE_S)

    def _note(self, what):
        self._timeline.note("fault", what)

    # Processes --------------------------------------------------------------------------------------------

    def _kill(self, names, down_s):
        with self._hands_on(*names) as processes:
            for process in processes:
                process.kill()
            self._note(f"killed {', '.join(p.name for p in processes)}")
            yield down_s
            for process in processes:
                process.start()
            self._note(f"started {', '.join(p.name for p in processes)}")

    def _pause(self, name, for_s):
        with self._hands_on(name) as (process,):
            process.pause()
            self._note(f"SIGSTOP {process.name}")
            yield for_s
            process.resume()
            self._note(f"SIGCONT {process.name}")

    def kill_node(self, victim, down_s):
        return self._kill([victim], down_s)

    def kill_coordinator(self, victim, down_s):
        return self._kill([victim], down_s)

    def all_nodes(self, down_s):
        return self._kill(plan.NODES, down_s)

    def both_coordinators(self, down_s):
        return self._kill(plan.COORDINATORS, down_s)

    def pause_node(self, victim, for_s):
        return self._pause(victim, for_s)

    def pause_coordinator(self, victim, for_s):
        return self._pause(victim, for_s)

    def stop_node(self, victim):
        """In order, and back."""
        with self._hands_on(victim) as (process,):
            process.expected_to_end = True
            process.signal(signal.SIGTERM)
            yield from self._until(lambda: not process.is_running(), 40, f"{victim} stops after SIGTERM")
            process.start()
            self._note(f"started {victim}")

    def twin(self, victim):
        """A second process takes the node id over while the first stands still; when that one wakes up, one
        of the two must give in."""
        with self._hands_on(victim) as (first,):
            first.pause()
            self._note(f"SIGSTOP {victim}, and a twin is started")
            url = {"SHOAL_REDIS_URL": self._servers.way_of_nodes.url}
            second = self._cluster.start_node(
                f"{victim}-twin", capacity=CAPACITY, args=self._node_args, node_id=victim, env=url
            )
            yield 4
            first.expected_to_end = second.expected_to_end = True
            first.resume()
            self._note(f"SIGCONT {victim}, which has a twin")
            yield from self._until(
                lambda: not (first.is_running() and second.is_running()), 30, f"one of two {victim} gives in"
            )
            self._note(f"{victim} or its twin ended by itself")
            first.kill()
            second.kill()
            first.start()

    def _until(self, condition, most_s, what):
        deadline = time.monotonic() + most_s
        while not condition():
            if time.monotonic() > deadline:
                self._timeline.complain("a process does not end", f"not within {most_s} s: {what}")
                return
            yield 0.1

    def stopped(self, for_s):
        """All connections are closed, and opened again, by operators."""
        self._cluster.ask("stop")
        yield for_s
        while True:
            try:
                self._cluster.ask("start")
                break
            except redis.RedisError:
                self._cluster.redis.connection_pool.disconnect()  # to whoever is primary next
                yield 0.2
        self._note("asked to start again")

    # Connections to Twitch ----------------------------------------------------------------------------------

    def disconnect(self, whom, how):
        self._sim(f"disconnect {whom} how={how}")
        yield 0

    def reconnect(self, whom, ms):
        self._sim(f"reconnect {whom} ms={ms}")
        yield ms / 1000

    def half_open(self):
        """Found out by the node after 15 s of silence and 5 s without an answer."""
        self._sim("half-open random=1")
        yield 24
        for connection in self._sim("connections")["connections"]:
            if connection["half_open"]:  # what the simulator still has of it
                self._sim(f"disconnect conn={connection['id']} how=reset")

    def outage(self, for_s):
        self._sim("outage on")
        self._sim("disconnect random=2")
        yield for_s
        self._sim("outage off")
        self._note("Twitch takes connections again")

    def lag(self, whom, ms, for_s):
        self._sim(f"lag {whom} ms={ms}")
        yield for_s
        self._sim("lag all ms=0")

    def garbage(self, whom, kind):
        self._sim(f"garbage {whom} kind={kind}")
        yield 0

    def closed_room(self, channel, state, for_s):
        self._sim(f"channel {channel} state={state}")
        yield for_s
        self._sim(f"channel {channel} state=ok")
