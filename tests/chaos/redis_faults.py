"""What fails of Redis: two servers of which one is primary, and the ways between them and those who use them.

Each fault says what nobody promises because of it (Timeline.excuse): what Redis acknowledged and lost with its
memory, what an operator deleted. All other promises hold on.
"""

import contextlib
import shutil
import time

import redis

import plan
from check_lines import RENEWAL_S
from proxy import Proxy
from readers import NAMES
from processes import wait_until
from shoal import REMEMBERS, Clock

# Redis was killed, or our connection: a line it had taken may not have left it. Said in the README.
LAST_MOMENT = {
    "a line is lost outside of every gap", "a message of ours was not fanned out", "a gap is in the streams alone",
}  # fmt: skip
LAST_MOMENT_S = 1.0
# Redis came back with older data, or with none: what was asked, answered or noted since is not known any more.
FORGOTTEN = {
    "the registry wants other channels than the replies said", "a request has two replies",
    "a request has no reply", "a reply is not kept", "a send has no result", "another result is kept than was published",
    "a channel was joined again and no gap was told", "the registry had to be repaired", "a gap makes no sense",
    "max_shard_count was exceeded", "lines were heard in a gap", "a used-up refresh token was presented",
    "an account was refreshed too early", "somebody logged in with a dead token", "a gap is not in the streams",
    "a gap is in the streams alone",
}  # fmt: skip
# And what a node said and drew since that is not there to tell it again: it was killed, left or stands still.
UNTOLD = {
    "a limit of Twitch was exceeded", "a send was written twice", "a send has two results", "a result is not true",
    "a send was written after its result", "a message of ours was fanned out twice",
    "what was published is not in the streams", *(f"the {name} lacks a line" for name in NAMES),
}  # fmt: skip
# Keys are gone until they are repaired, which is told.
DAMAGED = {
    "the registry had to be repaired", "the registry contradicts itself", "the registry cannot be looked at",
    "the registry wants other channels than the replies said", "max_shard_count was exceeded",
    "a channel was joined again and no gap was told", "an account was refreshed too early",
}  # fmt: skip
TWICE = {
    "a line was heard twice", "a line was heard out of order", "the streams have a line twice",
    "the streams have another order than topics had", *(f"the {name} has lines out of order" for name in NAMES),
}  # fmt: skip
# When a channel was read last is forgotten: what it missed since, for a while, no gap can tell.
UNREAD_S = 15
TOLD_S = RENEWAL_S + 2  # until nodes hear of it that Redis is back, and what it knows
SETTLE_S = 12  # until registry and nodes agree again, on two busy cores


class Servers:
    """Two Redis servers, the second a replica of the first; and the ways to whoever is primary. A way follows it with
    the next connection: those that are open stay with the server they were made to, as behind a moved address."""

    def __init__(self, cluster, *options):
        self.options = (*options, *REMEMBERS, "--auto-aof-rewrite-percentage", 0, "--repl-diskless-sync-delay", 0)
        self.clock = Clock(cluster.directory)
        self.primary = cluster.start_redis(*self.options, name="redis", clock=self.clock)
        self.replica = cluster.start_redis(*self.options, name="redis2", clock=self.clock)
        self.replica.client.replicaof("127.0.0.1", self.primary.port)
        self.way = Proxy(self.primary.port)  # of applications and coordinators
        self.way_of_nodes = Proxy(self.primary.port)
        cluster.redis_url = self.way.url
        cluster.redis = self.client(timeout=2)  # what it asks while Redis stands still must not stop the plan

    def client(self, timeout=10):
        port = int(self.way.url.rsplit(":", 1)[1])
        return redis.Redis(port=port, decode_responses=True, socket_timeout=timeout)

    def direct(self):
        return self.primary.client

    def swap(self):
        """Orderly: nothing that was acknowledged is lost. Open links stay with the former primary, which refuses writes."""
        self.primary.client.execute_command(
            "FAILOVER", "TO", "127.0.0.1", self.replica.port, "TIMEOUT", 3000
        )
        wait_until(lambda: self.replica.client.role()[0] == "master", 10, "the replica is primary")
        self.primary, self.replica = self.replica, self.primary
        self._lead()

    def replica_is_there(self):
        return self.replica.client.info("replication")["master_link_status"] == "up"

    def promote(self):
        """The replica is primary now, as far as it had come. The former primary is not running."""
        self.replica.client.replicaof("NO", "ONE")
        self.primary, self.replica = self.replica, self.primary
        self._lead()
        self.replica.start()
        self._wait_for(self.replica)
        self.replica.client.replicaof("127.0.0.1", self.primary.port)

    def _lead(self):
        for way in (self.way, self.way_of_nodes):
            way.lead_to(self.primary.port)

    def start_primary(self):
        self.primary.start()
        self._wait_for(self.primary)
        # What it was before it died, it may not be any more.
        self.primary.client.replicaof("NO", "ONE")
        self.replica.client.replicaof("127.0.0.1", self.primary.port)
        self.primary.client.bgrewriteaof()  # else it took longer to start with each minute of a run

    def is_rewriting(self):
        data = self.primary.client.info("persistence")
        return data["aof_rewrite_in_progress"] or data["aof_rewrite_scheduled"]

    @staticmethod
    def _wait_for(server):
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with contextlib.suppress(redis.RedisError, OSError):
                if server.client.info("server")["process_id"] == server.pid and server.client.ping():
                    return
            time.sleep(0.02)
        raise AssertionError("redis-server does not start:\n" + server.text())

    def close(self):
        self.way.close()
        self.way_of_nodes.close()


class RedisFaults:
    """Faults as in faults.py; `_servers`, `_timeline`, `_hands_on_redis`, `_until` and `_note` are its."""

    @contextlib.contextmanager
    def _redis_is_down(self, excused=frozenset(), since=None, promote=False):
        """Killed for as long as it lasts, then started, or its replica is primary. What it forgot was asked for after
        `since`."""
        primary = self._servers.primary
        killed = time.time()
        unanswered = min([killed, *self._unanswered()])
        primary.kill()
        self._note(f"killed {primary.name}")
        yield
        if promote:
            self._servers.promote()
        else:
            self._servers.start_primary()
        self._note(f"started {primary.name}")
        self._timeline.excuse(killed - LAST_MOMENT_S, killed, LAST_MOMENT)
        if excused:
            # What was under way when it died may have been published, which its data does not tell.
            twice = {"a line was heard twice", "the streams have a line twice", *(f"the {n} has a line twice" for n in NAMES)}
            self._timeline.excuse(unanswered - LAST_MOMENT_S, killed, twice)
            started = time.time()
            since, until = (since or killed) - 1, started + SETTLE_S
            self._timeline.excuse(since, until, excused, rest=True)
            untold = self._excuse_untold(since, until)
            # A shard that went to another node since is that one's and the former one's, until they are told.
            self._timeline.excuse(max(since, killed - 60), started + TOLD_S, TWICE, untold)

    def _excuse_untold(self, since, until):
        """What a node drew and said that is not there to tell it again, of what Redis forgets; whether one is not."""
        ends = tuple(f"{how} {node}" for how in ("killed", "SIGSTOP", "started") for node in plan.NODES)

        def untold():
            return any(since - 5 <= at <= until for at in self._timeline.when("fault", ends))

        self._timeline.excuse(since, until, UNTOLD, untold, rest=True)
        return untold

    def _unanswered(self):
        """When those nodes last heard of Redis that stand still or are cut off from it."""
        cut = ("cut_nodes", ("nodes reach Redis",))
        all_nodes = f"killed {', '.join(plan.NODES)}"
        still = [(f"SIGSTOP {node}", (f"SIGCONT {node}", f"killed {node}", all_nodes)) for node in plan.NODES]
        for begin, ends in (cut, *still):
            begun = self._timeline.when("fault", begin)
            if begun and not any(end >= begun[-1] for end in self._timeline.when("fault", ends)):
                yield begun[-1]

    def restart_redis(self, down_s):
        with self._hands_on_redis(), self._redis_is_down():
            yield down_s

    def _data(self):
        return self._servers.primary.log.parent / self._servers.primary.name

    def older_redis(self, age_s, down_s):
        """It comes back with the data it had `age_s` ago."""
        with self._hands_on_redis():
            yield from self._until(lambda: not self._servers.is_rewriting(), 20, "Redis has rewritten its data")
            data = self._data()
            kept = data.with_name(f"{data.name}-older")
            shutil.rmtree(kept, ignore_errors=True)
            shutil.copytree(data, kept)
            since = time.time()
            self._note(f"the data of {data.name} is kept")
            yield age_s
            with self._redis_is_down(FORGOTTEN, since):
                shutil.rmtree(data)
                kept.rename(data)
                yield down_s

    def lagging_redis(self, behind_s, down_s):
        """It dies, and a replica is promoted that had stayed behind."""
        with self._hands_on_redis():
            yield from self._until(self._servers.replica_is_there, 20, "the replica has what the primary has")
            since = time.time()
            self._servers.replica.client.replicaof("127.0.0.1", 1)
            self._note(f"the data of {self._servers.replica.name} stays behind")
            yield behind_s
            # Whoever listens to the replica, as our own subscription may, misses what is published meanwhile.
            self._timeline.excuse(since - LAST_MOMENT_S, time.time() + LAST_MOMENT_S, LAST_MOMENT)
            with self._redis_is_down(FORGOTTEN, since, promote=True):
                yield down_s

    def crash_redis(self, down_s):
        """Killed where it may not have written what it answered in the last second."""
        with self._hands_on_redis():
            self._servers.direct().config_set("appendfsync", "everysec")
            self._note(f"the data of {self._servers.primary.name} is written each second")
            since = time.time()
            yield 1
            with self._redis_is_down(FORGOTTEN, since):
                yield down_s

    def emptied_redis(self, how):
        with self._hands_on_redis():
            if how == "flushall":
                now = time.time()
                self._timeline.excuse(0, now + SETTLE_S, FORGOTTEN, rest=True)
                self._excuse_untold(now, now + SETTLE_S)
                self._servers.direct().flushall()
                self._note("FLUSHALL")
                yield 0
                return
            data = self._data()
            with self._redis_is_down(FORGOTTEN, 1.0):
                shutil.rmtree(data)
                data.mkdir()
                yield 0.5

    def pause_redis(self, for_s):
        with self._hands_on_redis():
            self._servers.primary.pause()
            self._note("SIGSTOP redis")
            yield for_s
            self._servers.primary.resume()
            self._note("SIGCONT redis")

    def swap_redis(self):
        with self._hands_on_redis():
            self._servers.swap()
            self._note(f"{self._servers.primary.name} is primary")
            yield 3

    def demote_redis(self, for_s):
        """No primary at all: it follows a server that is not there, and refuses writes."""
        with self._hands_on_redis():
            self._servers.direct().replicaof("127.0.0.1", 1)
            yield for_s
            self._servers.direct().replicaof("NO", "ONE")
            self._note("primary again")

    def full_redis(self, for_s):
        with self._configured("maxmemory", "1", for_s, "0") as steps:
            yield from steps

    def filled_redis(self, share, for_s):
        """Others take so much of its memory."""
        with self._hands_on_redis():
            client = self._servers.direct()
            used = client.info("memory")["used_memory"]
            client.config_set("maxmemory", 2 * used)
            self._note(f"maxmemory {2 * used}, of which others take all but {used}")
            client.setrange("others", int((2 * share - 1) * used), "x")
            yield for_s
            self._servers.direct().unlink("others")
            self._servers.direct().config_set("maxmemory", 0)
            self._note("maxmemory 0")

    def lonely_redis(self, for_s):
        """NOREPLICAS."""
        with self._configured("min-replicas-to-write", "5", for_s, "0") as steps:
            yield from steps

    @contextlib.contextmanager
    def _configured(self, name, value, for_s, back):
        with self._hands_on_redis():
            self._servers.direct().config_set(name, value)
            yield iter([for_s])
            self._servers.direct().config_set(name, back)
            self._note(f"{name} {back}")

    def move_clock(self, back_s):
        with self._hands_on_redis():
            now, offset = time.time(), self._timeline.offsets[-1][1] - back_s
            self._servers.clock.move(offset)
            self._timeline.offsets.append((now, offset))
            self._note(f"Redis's clock is {offset} s off")
            # Times that were noted before it and those after it do not compare.
            words = {"a channel was joined again and no gap was told", "a gap makes no sense",
                     "an account was refreshed too early"}  # fmt: skip
            self._timeline.excuse(now - 60, now + 60, words)
            yield 3

    def kill_clients(self, kind):
        with self._hands_on_redis():
            now = time.time()
            self._servers.direct().execute_command("CLIENT", "KILL", "TYPE", kind)
            # Whoever listens misses what is published until he is back. The replies and results are kept, and events
            # logged.
            self._timeline.excuse(now - LAST_MOMENT_S, now + LAST_MOMENT_S, LAST_MOMENT)
            yield 0

    def cut_nodes(self, for_s):
        """From Redis, all of them and nobody else."""
        self._servers.way_of_nodes.cut()
        yield for_s
        self._servers.way_of_nodes.heal()
        self._note("nodes reach Redis again")

    def delete_keys(self, kinds):
        with self._hands_on_redis():
            client = self._servers.direct()
            names = []
            for kind in kinds:
                found = sorted(client.scan_iter(self._cluster.key(kind), count=1000))
                names += found[:1]
            now = time.time()
            self._timeline.excuse(now - 1, now + SETTLE_S, DAMAGED, rest=True)  # before anybody can see it
            if names:
                client.delete(*names)
            self._note(f"deleted {', '.join(names)}")
            if any(name.endswith(":read") for name in names):
                self._timeline.excuse(now - UNREAD_S, now, {"a line is lost outside of every gap"})
            yield SETTLE_S / 2
