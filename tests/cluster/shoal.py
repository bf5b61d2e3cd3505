"""A Shoal cluster of real processes for the tests: a private Redis, a Twitch simulator, nodes and coordinators.

    with Cluster(tmp_path) as cluster:
        cluster.start_redis()
        cluster.start_sim()
        cluster.start_coordinator("c1", channels_per_shard=20)
        cluster.start_node("n1", capacity=4)
        cluster.ctl("join", "alice", "bob")
        chat = cluster.subscribe("shoal:main:chat:*")
        wait_until(lambda: cluster.joined("alice"), 5, "alice is joined")

Everything listens on free loopback ports and writes into tmp_path. Each process is stopped by its id when the
cluster is closed, also when the test failed, and the kernel kills it should the test itself be killed. Closing
fails where a sanitizer has reported something, or where a process died that nobody killed.
"""

import itertools
import json
import os
import re
import shutil
import struct
import subprocess
import threading
import time
import uuid
from pathlib import Path

import redis

from event_schema import misfits
from processes import Process, free_port, wait_until
from simclient import Control
from subscriber import Subscriber

ROOT = Path(__file__).resolve().parents[2]
# Redis keeps what it answered, also just before it is killed: "everysec" puts off even the write while the disk is
# busy, and what is written outlives the process without any fsync.
REMEMBERS = ("--appendonly", "yes", "--appendfsync", "no")
BIN = Path(os.environ.get("SHOAL_BIN_DIR") or ROOT / "build" / "asan")
NODE = BIN / "node" / "shoal-node"
COORDINATOR = BIN / "coordinator" / "shoal-coordinator"
CTL = BIN / "coordinator" / "shoalctl"
SIM = BIN / "tests" / "twitch-sim"

INVARIANTS = (ROOT / "tests" / "lib" / "registry_invariants.lua").read_text()

USER = "shoalbot"
TOKEN = "simtoken"

# What would make tests slow is short or off; a test that is about a limit sets it.
SETTINGS = {
    "user": USER,
    "channels_per_shard": 20,
    "max_shard_count": 10,
    "room_limit": "off",
    "join_limit": "off",
    "login_limit": "off",
    "connect_interval_ms": "off",
    "message_limit": "off",
    "message_mod_limit": "off",
    "channel_message_ms": "off",
    "lease_ms": 2000,
    "resume_delay_ms": 300,
}

REPORTS = re.compile(
    rb"AddressSanitizer|LeakSanitizer|runtime error:|UndefinedBehaviorSanitizer|: BUG\b|open handle"
)


def stream_of(op):
    """The stream for a request."""
    return "admin" if op in ("set", "unset", "start", "stop") else "requests"


class Clock:
    """A wall clock for a process, which the test moves (tests/lib/clock_shim.c)."""

    def __init__(self, directory):
        self.path = Path(directory) / "clock"
        self.env = {"LD_PRELOAD": str(BIN / "tests" / "clock_shim.so"), "SHOAL_TEST_CLOCK": str(self.path)}
        self.path.write_bytes(struct.pack("=q", 0))

    def move(self, seconds):
        """So far it is from the real one from now on."""
        with open(self.path, "r+b") as f:  # in place: it is mapped
            f.write(struct.pack("=q", int(seconds * 1000)))


class Cluster:
    def __init__(self, directory, name="main"):
        self.directory = Path(directory)
        self.name = name
        self.processes = {}
        self.subscribers = []
        self.controls = []
        self.redis_process = None
        self.redis_url = None
        self.redis_ca = None
        self.redis = None
        self.sim = None
        self.tokens = self.directory / "tokens"
        self.write_tokens({USER: TOKEN})

    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback):
        complaints = self.close()
        if complaints and kind is None:
            raise AssertionError("\n".join(complaints))

    # Processes ------------------------------------------------------------------------------

    def _start(self, name, argv, env=None):
        process = Process(name, argv, self.directory, env)
        self.processes[name] = process
        return process.start()

    def start_redis(self, *args, name="redis", password=None, tls=None, clock=None):
        """A private Redis; it keeps nothing, unless args say so (REMEMBERS).

        With a password, the cluster's programs get the URL through their environment. tls: the Certificates
        with which everybody but the test itself speaks to it. clock: the Clock it goes by.
        """
        data = self.directory / name
        data.mkdir(exist_ok=True)
        for _ in range(20):
            port = free_port()
            tls_port = free_port() if tls else 0
            process = self._start(
                name,
                ["redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", data]
                + ["--save", "", "--appendonly", "no", "--loglevel", "notice", "--daemonize", "no"]
                + (["--requirepass", password] if password else [])
                + (tls.redis_options(tls_port) if tls else [])
                + list(args),
                env=clock and clock.env,
            )
            client = redis.Redis(
                port=port, password=password, decode_responses=True, socket_timeout=10
            )
            if self._redis_answers(process, client):
                break
            process.expected_to_end = True
            process.close()
        else:
            raise AssertionError("redis-server does not start:\n" + process.text())
        process.port = port
        auth = f":{password}@" if password else ""
        process.url = f"redis://{auth}127.0.0.1:{port}"
        if tls:
            process.url = f"rediss://{auth}localhost:{tls_port}"
        process.client = client
        if self.redis_process is None:
            self.redis_process, self.redis_url, self.redis = process, process.url, client
            self.redis_ca = tls.ca if tls else None
        return process

    @staticmethod
    def _redis_answers(process, client):
        deadline = time.monotonic() + 10
        while process.is_running() and time.monotonic() < deadline:
            try:
                # Another process may have taken the port between our look and Redis's bind.
                is_it = client.info("server")["process_id"] == process.pid
                client.ping()  # refused while it loads its data
                return is_it
            except (redis.RedisError, OSError):
                time.sleep(0.01)
        return False

    def restart_redis(self):
        """kill -9 and start; returns when it answers."""
        self.redis_process.restart()
        assert self._redis_answers(self.redis_process, self.redis), self.redis_process.text()

    def start_sim(self, *args, name="sim", tls=None):
        """twitch-sim on free ports; `port` and `url` of the process say where, `control` is its control port.
        tls: the Certificates of its wss:// port, which `url` is then."""
        port_file = self.directory / f"{name}.port"
        port_file.unlink(missing_ok=True)
        if tls:
            args += ("--tls-listen", "127.0.0.1:0", "--tls-cert", tls.cert, "--tls-key", tls.key)
        process = self._start(name, [SIM, "--port-file", port_file, *args])
        wait_until(lambda: port_file.exists() or not process.is_running(), 10, "the simulator's ports")
        assert port_file.exists(), "twitch-sim does not start:\n" + process.text()
        ports = dict(part.split("=") for part in port_file.read_text().split())
        process.port = int(ports["ws"])
        process.http = int(ports.get("http", 0))
        process.https = int(ports.get("https", 0))
        process.control = Control(int(ports["control"]))
        self.controls.append(process.control)
        process.url = f"wss://localhost:{ports['wss']}" if tls else f"ws://127.0.0.1:{process.port}"
        process.ca = tls.ca if tls else None
        if self.sim is None:
            self.sim = process
        return process

    def write_tokens(self, tokens):
        self.tokens.touch(mode=0o600)
        self.tokens.write_text("".join(f"{login} = {token}\n" for login, token in tokens.items()))

    def start_node(self, name="n1", capacity=8, args=(), env=None, node_id=None):
        argv = [NODE, "--cluster", self.name, "--node-id", node_id or name]
        argv += ["--twitch-url", self.sim.url, "--tokens", self.tokens]
        argv += ["--shard-capacity", capacity, "--log-level", "debug"] + self._redis_options()
        if self.sim.ca:
            argv += ["--twitch-tls-ca", self.sim.ca]
        return self._start(name, argv + list(args), {"SHOAL_REDIS_URL": self.redis_url, **(env or {})})

    def _redis_options(self):
        return ["--redis-tls-ca", self.redis_ca] if self.redis_ca else []

    def start_coordinator(self, name="c1", args=(), env=None, **settings):
        """Settings are given with every start, as an operator's unit file would."""
        argv = [COORDINATOR, "--cluster", self.name]
        argv += ["--id", name, "--log-level", "debug"]
        if b"--http-listen" in self._help(COORDINATOR):
            argv += ["--http-listen", "127.0.0.1:0"]
        argv += self._redis_options()
        for key, value in {**SETTINGS, **settings}.items():
            if value is not None:  # None: as the cluster has it by itself
                argv += ["--set", f"{key}={value}"]
        return self._start(name, argv + list(args), {"SHOAL_REDIS_URL": self.redis_url, **(env or {})})

    _helps = {}

    @classmethod
    def _help(cls, program):
        if program not in cls._helps:
            cls._helps[program] = subprocess.run(
                [program, "--help"], capture_output=True, timeout=20, check=False
            ).stdout
        return cls._helps[program]

    def ctl(self, *args, check=True, input=None, timeout=60):
        """shoalctl; stdout and stderr are text. check: it must exit 0, or as `status` does of a cluster with the Redis
        of tests, which keeps nothing: 1."""
        if "join" in args:
            self.settle()
        done = subprocess.run(
            [CTL, "--cluster", self.name, *self._redis_options(), *map(str, args)],
            env={**os.environ, "SHOAL_REDIS_URL": self.redis_url},
            capture_output=True,
            text=True,
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            timeout=timeout,
            check=False,
        )
        with open(self.directory / "ctl.log", "a", encoding="utf-8") as log:
            log.write(f"$ shoalctl {' '.join(map(str, args))} -> {done.returncode}\n")
            log.write(done.stdout + done.stderr)
        if check:
            assert done.returncode in ((0, 1) if "status" in args else (0,)), f"shoalctl {args}: {done.returncode}\n{done.stderr}"
        return done

    def ctl_json(self, *args, **kwargs):
        """The objects that shoalctl --json prints."""
        out = self.ctl("--json", *args, **kwargs).stdout
        return [json.loads(line) for line in out.splitlines() if line.strip()]

    def status(self):
        """The status document."""
        [document] = self.ctl_json("status")
        return document

    def problems(self, code=None):
        """What the status says is wrong, with the mends; code: those problems alone."""
        problems = self.status()["problems"]
        return [f"{p['text']}; mend: {p['mend']}" for p in problems if code in (None, p["problem"])]

    def beside(self, name):
        """Another cluster on the same Redis; the caller closes it before this one."""
        directory = self.directory / name
        directory.mkdir()
        other = Cluster(directory, name)
        other.redis_process, other.redis = self.redis_process, self.redis
        other.redis_url, other.redis_ca = self.redis_url, self.redis_ca
        return other

    # What an application does -----------------------------------------------------------------

    def ask(self, op, **fields):
        """Leave a request in its stream; the id under which it will be answered."""
        if op == "join":
            self.settle()
        id = uuid.uuid4().hex
        self.redis.xadd(self.key(stream_of(op)), {"id": id, "op": op, "by": "test", **fields})
        return id

    def answer(self, id, timeout=10):
        """The one reply to a request, when it is there."""
        key = self.key(f"reply:{id}")
        return json.loads(wait_until(lambda: self.redis.get(key), timeout, f"the reply to {id}"))

    def request(self, op, timeout=10, **fields):
        """Ask through the stream of requests, and the one reply."""
        return self.answer(self.ask(op, **fields), timeout)

    def join(self, *names, timeout=15):
        """Join channels and wait until Twitch has them all."""
        reply = self.request("join", channels=" ".join(names))
        assert reply["ok"] and not reply["refused"], reply
        wait_until(lambda: self.joined(*names), timeout, f"{names} are joined")
        return reply["assigned"]

    def send(self, channel, text, timeout=15, **fields):
        """Send through the outbox, and its result."""
        id = uuid.uuid4().hex
        entry = {"id": id, "channel": channel, "text": text, "by": "test", **fields}
        self.redis.xadd(self.key("outbox"), entry)
        return self.result(id, timeout)

    def result(self, id, timeout=15):
        """The one result of a send, when it is there."""

        def final():
            keys = self.redis.keys(self.key(f"result:*:{id}"))
            return self.redis.hgetall(keys[0]) if keys else None

        return wait_until(final, timeout, f"the result of send {id}")

    # What others do on Twitch -----------------------------------------------------------------

    def inject(self, channel, text):
        """Somebody says it in the channel; how many of our connections heard it."""
        line = f"@id={uuid.uuid4()};room-id=1;user-id=7 :bob!bob@bob.tmi.twitch.tv PRIVMSG #{channel} :{text}"
        return self.sim.control(f"inject {channel} line={line}")["heard"]

    def chat_flows(self, chat, *names, timeout=15):
        """What is said in each channel arrives, once, at `chat` (a Subscriber), soon if not at once."""
        for name in names:
            topic = self.topic(f"chat:{name}")
            texts = []
            deadline = time.monotonic() + timeout
            while not set(texts) & set(chat.texts(topic)):
                assert time.monotonic() < deadline, f"not within {timeout} s: a line of #{name} arrives"
                texts.append(uuid.uuid4().hex)
                # A connection that is about to end hears it too, and takes it along.
                if self.inject(name, texts[-1]) != 1 or not chat.waits_for(topic, texts[-1], 1):
                    time.sleep(0.02)
            heard = chat.texts(topic)
            assert all(heard.count(text) <= 1 for text in texts), f"a line of #{name} came twice"

    # Views ----------------------------------------------------------------------------------

    def key(self, rest):
        return f"shoal:{{{self.name}}}:{rest}"

    def topic(self, rest):
        return f"shoal:{self.name}:{rest}"

    def subscribe(self, *topics):
        subscriber = Subscriber(self.redis_url, topics, self.redis_ca)
        self.subscribers.append(subscriber)
        return subscriber

    def node(self, name):
        return self.redis.hgetall(self.key(f"node:{name}"))

    def nodes(self):
        return self.redis.zrange(self.key("nodes"), 0, -1)

    def is_set_up(self):
        return self.redis.hget(self.key("config"), "setup") == "done"

    def settle(self):
        """A cluster that has nodes is about to be set up, unless it is: joins made before would wait for it."""
        if self.redis and self.leader() and self.nodes():
            wait_until(self.is_set_up, 10, "the cluster is set up")

    def leader(self):
        return self.redis.hget(self.key("leader"), "id")

    def shards(self):
        """Shard -> its hash."""
        names = self.redis.zrange(self.key("load"), 0, -1)
        return {name: self.redis.hgetall(self.key(f"shard:{name}")) for name in names}

    def channels(self):
        """Wanted channel -> shard, empty while none can take it."""
        return self.redis.hgetall(self.key("channels"))

    def channel(self, name):
        return self.redis.hgetall(self.key(f"channel:{name}"))

    def joined(self, *names):
        """Are all of them (none named: all wanted channels) joined at Twitch?"""
        names = names or list(self.channels())
        pipe = self.redis.pipeline(transaction=False)
        for name in names:
            pipe.hget(self.key(f"channel:{name}"), "state")
        return bool(names) and all(state == "joined" for state in pipe.execute())

    def events(self, name=None):
        """The cluster's log, oldest first; name: only those events."""
        entries = self.redis.xrange(self.key("log"))
        events = [json.loads(fields["event"]) for _, fields in entries]
        return [event for event in events if name in (None, event["event"])]

    def errors(self):
        """The same of errors, but for what is wrong with the Redis of tests, which keeps nothing."""
        return [event for event in self.events("error") if event["where"] != "redis"]

    def incarnation(self, node):
        """Of the process that holds the node id, None while none does."""
        return self.redis.hget(self.key(f"node:{node}"), "incarnation")

    def monitor(self):
        """What Redis carries out from now on, those of functions too, as a list that grows."""
        seen = []
        ready = threading.Event()

        def look():
            with self.redis.monitor() as monitor:
                ready.set()
                try:
                    for command in monitor.listen():
                        seen.append(command)
                except (redis.RedisError, OSError, ValueError):
                    pass  # Redis has ended

        threading.Thread(target=look, daemon=True).start()
        assert ready.wait(10)
        return seen

    # The end --------------------------------------------------------------------------------

    def close(self):
        """Stop everything; what went wrong on the way, as a list of texts."""
        for user in self.subscribers + self.controls:
            user.close()
        # In the order they were started, except that Redis is stopped last, since the others say goodbye to it.
        redis_last = sorted(self.processes.values(), key=lambda p: p.argv[0] == "redis-server")
        complaints = None
        for process in redis_last:
            if process.argv[0] == "redis-server" and complaints is None:
                complaints = self._complaints_about_events()
            process.close()
        complaints = complaints or []
        for process in redis_last:
            complaints += process.complaints
            if REPORTS.search(process.log.read_bytes() if process.log.exists() else b""):
                complaints.append(f"{process.name}: a sanitizer reported an error")
        return complaints

    def _complaints_about_events(self):
        """All events of the log are as the contract says, whatever the test was about."""
        if self.redis is None or not self.redis_process.is_running():
            return []
        try:
            return list(itertools.islice(misfits(self.events()), 3))
        except redis.RedisError:
            return []  # the test has made it refuse, or stand still

    def logs(self, lines=60):
        """The ends of all logs: (name, text). A sanitizer's report is given whole."""
        for path in sorted(self.directory.glob("*.log")):
            text = path.read_text(errors="replace")
            report = REPORTS.search(text.encode(errors="replace"))
            if not report:
                text = "\n".join(text.splitlines()[-lines:])
            yield path.stem, text[-20000:]


def missing_programs():
    """What has to be there before a cluster can run."""
    absent = [str(p) for p in (NODE, COORDINATOR, CTL, SIM) if not p.exists()]
    return absent + [p for p in ("redis-server", "setpriv") if not shutil.which(p)]
