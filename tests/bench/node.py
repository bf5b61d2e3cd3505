"""A node by itself: memory, and what it costs while nothing happens."""

import resource
import socket
import subprocess
import time

from bench import Row, commands, cpu_s, memory_kib, names
from processes import wait_until


class Memory:
    """memory of a node: idle, a channel, a TLS shard"""

    NAME = "memory"

    def __init__(self, world):
        self.world = world
        cert, key = world.path("cert.pem"), world.path("key.pem")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
            + ["-nodes", "-days", "2", "-subj", "/CN=localhost"]
            + ["-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", cert],
            check=True,
            capture_output=True,
        )
        self.tls = ("--tls-listen", "127.0.0.1:0", "--tls-cert", str(cert), "--tls-key", str(key))
        self.cert = cert
        self.runs = 0
        world.begin(*self.tls)

    def settled_kib(self, pid, field):
        """What it is once it has not changed for a while: reports under way have been made by then."""
        last = memory_kib(pid, field)
        since = began = time.monotonic()
        quiet = 0.2 if self.world.small else 1.5
        while time.monotonic() < min(since + quiet, began + 10):
            time.sleep(0.1)
            now = memory_kib(pid, field)
            if now != last:
                last, since = now, time.monotonic()
        return last

    def fresh(self, name, per_shard, args=()):
        """Another cluster on the same Redis: a coordinator and a node, nothing joined."""
        self.runs += 1
        cluster = self.world.cluster
        cluster.name = f"{name}{self.runs}"
        coordinator = cluster.start_coordinator(
            f"c-{cluster.name}",
            args=("--log-level", "warn"),
            channels_per_shard=per_shard,
            max_shard_count=1000,
        )
        wait_until(cluster.leader, 10, "a coordinator leads")
        return coordinator, self.world.start_node(f"n-{cluster.name}", args=args)

    def growth(self, name, per_shard, few, many, args=()):
        """KiB a channel between `few` and `many` channels, and the idle RSS before."""
        coordinator, node = self.fresh(name, per_shard, args)
        idle = self.settled_kib(node.pid, "VmRSS")
        self.world.join(names(few))
        before = self.settled_kib(node.pid, "RssAnon")
        self.world.join(names(many - few, few))
        grown = self.settled_kib(node.pid, "RssAnon") - before
        node.stop()
        coordinator.stop()
        return idle, grown / (many - few)

    def once(self):
        port_file = self.world.path("sim.port").read_text()
        wss = dict(part.split("=") for part in port_file.split())["wss"]
        few, many = (10, 30) if self.world.small else (1000, 5000)
        idle, channel = self.growth("plain", 1000, few, many)
        few, many = (2, 4) if self.world.small else (10, 60)
        args = ("--twitch-url", f"wss://localhost:{wss}", "--twitch-tls-ca", self.cert)
        _, shard = self.growth("tls", 1, few, many, args)
        return {"idle": idle / 1024, "channel": channel, "shard": shard}

    def rows(self, m):
        return [
            Row("memory: idle node, MiB", f"{m['idle']:.1f}", "", "< 12", m["idle"] < 12),
            Row("memory: a channel, KiB", f"{m['channel']:.2f}", "", "< 1", m["channel"] < 1),
            Row("memory: a TLS shard, KiB", f"{m['shard']:.1f}", "", "< 36", m["shard"] < 36),
        ]


class IdleNode:
    """CPU of a node with 100 silent channels, and what Redis carries out for it"""

    NAME = "idle-node"

    def __init__(self, world):
        self.world = world
        self.seconds = 1 if world.small else 10
        world.begin(channels_per_shard=25, lease_ms=3000)
        time.sleep(0 if world.small else 2)
        self.without = self.rest()["commands_s"]
        self.node = world.start_node()
        world.join(names(100))
        time.sleep(0 if world.small else 2)

    def rest(self, *pids):
        """What happens meanwhile: commands of Redis a second, and CPU of the processes in % of a core."""
        redis = self.world.cluster.redis
        calls, spent, began = commands(redis), [cpu_s(pid) for pid in pids], time.monotonic()
        time.sleep(self.seconds)
        took = time.monotonic() - began
        return {
            "cpu": [100 * (cpu_s(pid) - before) / took for pid, before in zip(pids, spent)],
            "commands_s": (sum(commands(redis).values()) - sum(calls.values())) / took,
        }

    def once(self):
        m = self.rest(self.node.pid)
        return {"cpu": m["cpu"][0], "commands_s": m["commands_s"] - self.without}

    def rows(self, m):
        return [
            Row("idle node, 100 channels: CPU, % of a core", f"{m['cpu']:.2f}", "", "< 0.2", m["cpu"] < 0.2),
            Row("idle node, 100 channels: commands of Redis a second", f"{m['commands_s']:.1f}"),
        ]


class IdleCluster:
    """CPU of Redis in a cluster of 1,000 nodes that have nothing to do"""

    NAME = "idle-cluster"
    LEASE_MS = 3000

    def __init__(self, world):
        self.world = world
        self.n = 20 if world.small else 1000
        self.seconds = 1 if world.small else 10
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 65536)), hard))
        world.begin(lease_ms=self.LEASE_MS)
        self.redis = world.cluster.redis_process
        run_id = world.cluster.redis.info("server")["run_id"]
        self.nodes = [IdleLink(world.cluster, f"idle{i}", run_id) for i in range(self.n)]

    def renew_for(self, seconds):
        """Each node renews four times a lease, as the real ones do, spread evenly; how many renewals that were."""
        gap = self.LEASE_MS / 1000 / 4 / self.n
        began = time.monotonic()
        done = 0
        while (now := time.monotonic()) < began + seconds:
            while began + done * gap <= now:
                self.nodes[done % self.n].renew()
                done += 1
            time.sleep(0.0005)
        return done

    def spent(self, seconds):
        """CPU seconds of Redis for it, how many were asked, and how long that took."""
        before = cpu_s(self.redis.pid)
        began = time.monotonic()
        done = self.renew_for(seconds)
        for node in self.nodes:
            node.take_answer()
        return cpu_s(self.redis.pid) - before, done, time.monotonic() - began

    def once(self):
        self.renew_for(self.LEASE_MS / 1000 / 4)
        spent, done, took = self.spent(self.seconds)
        # A ping is the least that a server can be asked. For half a lease, or the nodes would expire.
        for node in self.nodes:
            node.pings = True
        ping_cpu, pings, ping_took = self.spent(self.LEASE_MS / 1000 / 2)
        for node in self.nodes:
            node.pings = False
        self.renew_for(self.LEASE_MS / 1000 / 4)
        alive = self.world.cluster.redis.zcard(self.world.cluster.key("nodes"))
        assert alive == self.n, f"{alive} of {self.n} nodes are left"
        return {
            "cpu": 100 * spent / took,
            "ping": 100 * ping_cpu / ping_took,
            "renewal_us": 1e6 * spent / done,
            "ping_us": 1e6 * ping_cpu / pings,
        }

    def rows(self, m):
        return [
            Row(
                "idle cluster, 1,000 nodes: Redis, % of a core",
                f"{m['cpu']:.2f}",
                f"{m['ping']:.2f} (PING as often)",
                "< 2",
                m["cpu"] < 2,
            ),
            Row(
                "idle cluster: us of Redis a renewal",
                f"{m['renewal_us']:.1f}",
                f"{m['ping_us']:.1f} (PING)",
            ),
        ]


class IdleLink:
    """A node as Redis sees it, on a socket of its own."""

    def __init__(self, cluster, name, run_id):
        self.sock = socket.create_connection(("127.0.0.1", cluster.redis_process.port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.waiting = False
        tag = f"shoal:{{{cluster.name}}}"
        incarnation = (name.encode().hex() + "0" * 32)[:32]
        link = self.ask("CLIENT", "ID").strip().lstrip(b":").decode()
        who = (1, tag, name, incarnation, link, run_id)
        picture = self.ask("FCALL", "shoal1_register", *who, "host", "1", "0", 100, "", 0, "active")
        assert not picture.startswith(b"-"), picture
        same = ("", "", "host", "1", "0", 100, "")  # no report; of whatever registry
        picture = self.ask("FCALL", "shoal1_renew", *who, -1, *same)
        assert not picture.startswith(b"-"), picture
        self.tag, self.name, self.pings = tag, name, False

    @staticmethod
    def command(*words):
        parts = [str(word).encode() for word in words]
        text = b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
        return b"*%d\r\n%s" % (len(parts), text)

    def ask(self, *words):
        self.sock.sendall(self.command(*words))
        return self.sock.recv(65536)

    def take_answer(self):
        if self.waiting:
            answer = self.sock.recv(65536)
            assert answer == b"+PONG\r\n" if self.pings else b"*5\r\n:1\r\n" in answer, answer
            self.waiting = False

    def renewal(self):
        """As shared/redis/registry_rest.c has it."""
        now = int(time.time() * 1000)
        node, clock = f"{self.tag}:node:{self.name}", f"{self.tag}:clock"
        return b"".join((
            self.command("MULTI"),
            self.command("ZADD", f"{self.tag}:nodes", "XX", "CH", now + IdleCluster.LEASE_MS, self.name),
            self.command("HSET", node, "renewed", now, "read_until", now, "quiet", 0),
            self.command("HMGET", node, "incarnation", "link", "run_id", "rev", "silent"),
            self.command("HMGET", clock, "told", "seen", "went_back", "restate_until"),
            self.command("TIME"),
            self.command("EXEC"),
        ))  # fmt: skip

    def renew(self):
        self.take_answer()
        self.sock.sendall(b"PING\r\n" if self.pings else self.renewal())
        self.waiting = True
