"""deploy/redis: each user can do its work with the real programs, and nothing else; the settings are taken by Redis."""

import hashlib
import json
import re

import pytest
import redis

from dashboard import Api, token_file
from processes import wait_until
from shoal import ROOT

DIRECTORY = ROOT / "deploy" / "redis"
USERS = ("shoal-reads", "shoal-says", "shoal-joins", "shoal-monitor", "shoal-admin", "shoal-node", "shoal-coordinator")
APPLICATIONS = USERS[:5]


def password(user):
    return f"password of {user}"


class Guarded:
    """A Redis with deploy/redis's files, and the whole cluster under its users."""

    def __init__(self, cluster):
        acl = (DIRECTORY / "users.acl").read_text()
        for user in USERS:
            acl = acl.replace(f"#SHA256_OF_PASSWORD_OF_{user} ", f"#{hashlib.sha256(password(user).encode()).hexdigest()} ")
        assert "SHA256" not in acl
        users = cluster.directory / "users.acl"
        users.write_text("user default on nopass ~* &* +@all\n" + acl)
        settings = cluster.directory / "shoal.conf"
        settings.write_text((DIRECTORY / "redis.conf").read_text().replace("/etc/redis/users.acl", str(users)))
        self.cluster = cluster
        self.server = cluster.start_redis("--include", settings)

    def url(self, user):
        return f"redis://{user}:{password(user).replace(' ', '%20')}@127.0.0.1:{self.server.port}"

    def client(self, user):
        return redis.Redis(
            port=self.server.port, username=user, password=password(user), decode_responses=True, socket_timeout=10
        )

    def start(self, args=()):
        self.cluster.start_sim("--verified", "--limits-off")
        self.cluster.start_coordinator(args=args, env={"SHOAL_REDIS_URL": self.url("shoal-coordinator")})
        self.cluster.start_node("n1", env={"SHOAL_REDIS_URL": self.url("shoal-node")})
        self.cluster.join("alice")

    def ctl(self, user, *args):
        self.cluster.redis_url = self.url(user)
        try:
            return self.cluster.ctl(*args, check=False, timeout=40)
        finally:
            self.cluster.redis_url = self.server.url


@pytest.fixture
def guarded(bare):
    return Guarded(bare)


def key(rest):
    return f"shoal:{{main}}:{rest}"


def is_refused(client, *words):
    try:
        answer = client.execute_command(*words)
    except redis.exceptions.NoPermissionError:
        return True
    except redis.ResponseError as e:
        assert "NOPERM" in str(e) or "no permissions" in str(e).lower(), (words, e)
        return True
    raise AssertionError(f"{words} is allowed: {answer!r}")


def test_daemons_do_all_their_work_under_their_users(guarded):
    guarded.start()
    cluster = guarded.cluster
    chat = cluster.subscribe(cluster.topic("chat:*"))
    cluster.chat_flows(chat, "alice")
    assert cluster.send("alice", "hello")["status"] == "sent"
    second = cluster.start_node("n2", env={"SHOAL_REDIS_URL": guarded.url("shoal-node")})
    wait_until(lambda: len(cluster.nodes()) == 2, 10, "both nodes are there")
    cluster.processes["n1"].kill()  # another one takes over: its link is killed, its shards are placed anew
    cluster.chat_flows(chat, "alice")
    cluster.processes["c1"].restart()
    assert cluster.request("part", channels="alice")["ok"]
    assert second.is_running()
    for process in cluster.processes.values():
        told = re.findall(r".*(?:NOPERM|redis\.rights|redis\.refused|can't run this command).*", process.text())
        assert not told, told


def test_the_api_needs_no_more_than_the_coordinators_user_may(guarded, tmp_path):
    guarded.start(args=["--http-admin-token", token_file(tmp_path)])
    coordinator = guarded.cluster.processes["c1"]
    api = Api(coordinator)
    for path in ("status", "nodes", "shards", "shards/initial-shard-1", "channels", "channels/alice", "accounts"):
        api.got(path)
    assert api.got("settings") and api.got("events")
    assert api.done("requests", op="join", channels=["bob"])["ok"]
    assert api.done("admin", op="set", name="send_ttl_ms", value="20000")["ok"]
    with api.live() as live:
        live.tail("alice")
        live.until(lambda message: message["type"] == "status")
        wait_until(lambda: guarded.cluster.redis.pubsub_numsub("shoal:main:chat:alice")[0][1], 5, "chat is heard")
        guarded.cluster.inject("alice", "heard")
        live.until(lambda message: message["type"] == "line")
    assert not re.findall(r".*(?:NOPERM|redis\.refused|can't run this command).*", coordinator.text())


def test_applications_do_their_work_under_their_users(guarded):
    guarded.start()
    cluster = guarded.cluster
    reads = guarded.client("shoal-reads").pubsub()
    reads.psubscribe("shoal:main:chat:*")
    reads.subscribe("shoal:main:events")
    assert reads.get_message(timeout=5) and reads.get_message(timeout=5)
    cluster.inject("alice", "something new")
    wait_until(lambda: "something new" in str(reads.get_message(timeout=1)), 10, "chat is read")

    wait_until(lambda: "something new" in str(guarded.client("shoal-reads").xrange(key("lines:0"))), 10, "it is kept")
    for user in APPLICATIONS[:3]:
        follows = guarded.client(user)
        follows.xgroup_create(key("lines:0"), user, "0")
        [[_, entries]] = follows.xreadgroup(user, "me", {key("lines:0"): ">"}, count=100)
        assert follows.xack(key("lines:0"), user, *(name for name, _ in entries)) == len(entries)
        assert follows.xinfo_groups(key("lines:0")) and follows.hgetall(key("lines"))["streams"] == "1"
        follows.publish("shoal:main:mark:me", "1")
        assert "something new" in guarded.ctl(user, "history", "alice").stdout

    says = guarded.client("shoal-says")
    wait_until(lambda: says.publish("shoal:main:send:alice", '{"text":"one","id":"one"}') >= 1, 10, "it is heard")
    entry = says.xadd(key("outbox"), {"channel": "alice", "text": "two", "id": "two"})
    assert entry
    assert guarded.ctl("shoal-says", "send", "alice", "three").returncode == 0

    joins = guarded.client("shoal-joins")
    joins.xadd(key("requests"), {"id": "by-acl", "op": "join", "channels": "bob"})
    assert json.loads(wait_until(lambda: joins.get(key("reply:by-acl")), 10, "the reply"))["ok"]
    done = guarded.ctl("shoal-joins", "join", "carol")
    assert done.returncode == 0, done.stderr

    for command in ("status", "channels", "shards", "nodes", "config"):
        for user in ("shoal-monitor", "shoal-admin"):
            done = guarded.ctl(user, command)
            assert done.returncode == 0, (user, command, done.stderr)
    assert guarded.client("shoal-admin").xadd(key("admin"), {"id": "a1", "op": "set", "name": "lease_ms", "value": "2500"})


def test_nobody_may_do_more_than_its_work(guarded):
    guarded.start()
    everybody = [
        ("FLUSHALL",), ("CONFIG", "SET", "maxmemory", "1"), ("SHUTDOWN",), ("ACL", "LIST"), ("KEYS", "*"),
        ("FUNCTION", "FLUSH"), ("REPLICAOF", "NO", "ONE"), ("EVAL", "return 1", "0"),
        ("SET", "other", "x"), ("GET", "other"), ("SET", "shoal:{other}:x", "x"), ("PUBLISH", "shoal:other:chat:a", "x"),
        ("SUBSCRIBE", "other"), ("MONITOR",), ("SELECT", "1"),
    ]  # fmt: skip
    applications = [
        ("PUBLISH", "shoal:main:chat:alice", "x"), ("PUBLISH", "shoal:main:events", "x"),
        ("PUBLISH", "shoal:main:node:n1", "x"), ("PUBLISH", "shoal:main:sent:alice", "x"),
        ("PUBLISH", "shoal:main:replies", "x"), ("SUBSCRIBE", "shoal:main:send:alice"), ("SUBSCRIBE", "shoal:main:node:n1"),
        ("HSET", key("config"), "lease_ms", "1"), ("DEL", key("channels")), ("XDEL", key("outbox"), "1-1"),
        ("XTRIM", key("requests"), "MAXLEN", "0"), ("SET", key("reply:x"), "x"), ("HSET", key("result:x"), "a", "b"),
        ("FCALL", "shoal1_version", "1", "shoal:{main}"), ("CLIENT", "KILL", "ID", "1"), ("CLIENT", "LIST"),
        ("HGETALL", key("secret:shoalbot")), ("XADD", key("lines:0"), "*", "a", "b"),
        ("XTRIM", key("lines:0"), "MAXLEN", "0"), ("XDEL", key("lines:0"), "1-1"), ("DEL", key("lines:0")),
        ("HSET", key("lines"), "epoch", "1"), ("XGROUP", "CREATE", key("outbox"), "g", "0"),
    ]  # fmt: skip
    not_by = {
        "shoal-reads": [("XADD", key("outbox"), "*", "a", "b"), ("PUBLISH", "shoal:main:send:alice", "x"),
                        ("HGETALL", key("result:x")), ("HGETALL", key("config")), ("SUBSCRIBE", "shoal:main:sent:alice")],
        "shoal-says": [("XADD", key("requests"), "*", "a", "b"), ("XADD", key("admin"), "*", "a", "b"),
                       ("XRANGE", key("outbox"), "-", "+"), ("GET", key("reply:x")), ("SUBSCRIBE", "shoal:main:replies")],
        "shoal-joins": [("XADD", key("admin"), "*", "a", "b"), ("XADD", key("log"), "*", "a", "b"),
                        ("HGETALL", key("config"))],
        "shoal-monitor": [("XADD", key(s), "*", "a", "b") for s in ("requests", "outbox", "admin", "log")]
        + [("PUBLISH", "shoal:main:send:alice", "x"), ("SUBSCRIBE", "shoal:main:chat:alice")],
        "shoal-admin": [("XADD", key(s), "*", "a", "b") for s in ("requests", "outbox", "log")]
        + [("PUBLISH", "shoal:main:send:alice", "x")],
        "shoal-node": [("FUNCTION", "LOAD", "x"), ("FUNCTION", "DELETE", "shoal1"), ("CONFIG", "GET", "*")],
        "shoal-coordinator": [("FUNCTION", "DELETE", "shoal1"), ("CONFIG", "RESETSTAT")],
    }  # fmt: skip
    for user in USERS:
        client = guarded.client(user)
        for words in everybody + (applications if user in APPLICATIONS else []) + not_by[user]:
            assert is_refused(client, *words), (user, words)
    for user in USERS:
        with pytest.raises(redis.RedisError, match="WRONGPASS|invalid username"):
            redis.Redis(port=guarded.server.port, username=user, password="").ping()


def test_the_settings_are_taken_and_each_has_its_reason(guarded):
    lines = (DIRECTORY / "redis.conf").read_text().splitlines()
    for number, line in enumerate(lines):
        if line and not line.startswith("#"):
            name, _, value = line.partition(" ")
            block = [other for other in lines[:number] if other.startswith("#")]
            assert block, f"{name} has no reason"
            if name not in ("aclfile", "client-output-buffer-limit"):
                found = guarded.cluster.redis.config_get(name)[name]
                assert found == value or value in ("4mb",) and found == str(4 << 20), (name, found)
    limits = guarded.cluster.redis.config_get("client-output-buffer-limit")["client-output-buffer-limit"]
    assert f"pubsub {256 << 20} {64 << 20} 60" in limits
