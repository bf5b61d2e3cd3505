"""SIGHUP: what may change is read again, what may not is named, and a wrong file changes nothing."""

import os
import shutil
import signal

import pytest

from certificates import Certificates
from processes import wait_until
from shoal import COORDINATOR, NODE, USER


class Daemon:
    """A daemon whose whole configuration is one file."""

    def __init__(self, cluster, program, **options):
        self.file = cluster.directory / f"{options.get('id') or 'node'}.conf"
        self.options = options
        self.write()
        self.process = cluster._start(f"daemon-{self.file.stem}", [program, "--config", self.file])
        up = "redis.up" if program == COORDINATOR else "lease.registered"
        wait_until(lambda: self.lines(up), 10, "the daemon is there")

    def write(self, **changes):
        self.options |= changes
        self.file.write_text("".join(f"{key} = {value}\n" for key, value in self.options.items()))
        self.file.chmod(0o600)

    def lines(self, word):
        return [line for line in self.process.text().splitlines() if word in line]

    def reload(self, word="config.reloaded"):
        """SIGHUP; the new log lines, up to the one with the word."""
        before = len(self.process.text().splitlines())
        known = len(self.lines(word))
        self.process.signal(signal.SIGHUP)
        wait_until(lambda: len(self.lines(word)) > known, 10, word)
        return self.process.text().splitlines()[before:]

    def refuses(self, *words):
        """SIGHUP: one message, and nothing else has happened."""
        said = self.reload("config.reload ")
        assert len([line for line in said if " error " in line]) == 1, said
        assert all(word in self.lines("config.reload ")[-1] for word in words), said
        assert not any("config.reloaded" in line or "tokens.reloaded" in line for line in said), said
        assert self.process.is_running()


def start_node(cluster, **options):
    return Daemon(
        cluster, NODE, redis_url=cluster.redis_url, twitch_url=cluster.sim.url, node_id="n1", tokens=cluster.tokens,
        **options,
    )  # fmt: skip


def start_coordinator(cluster, **options):
    return Daemon(cluster, COORDINATOR, redis_url=cluster.redis_url, id="c1", **options)


def test_a_node_takes_over_what_may_change_and_names_what_may_not(cluster):
    daemon = start_node(cluster, shard_capacity=4)
    cluster.join("alice")
    assert not daemon.lines(" debug ")
    other = cluster.directory / "other-tokens"
    shutil.copy(cluster.tokens, other)
    other.write_text(cluster.tokens.read_text() + "second = token2\n")

    daemon.write(log_level="debug", tokens=other, drain_timeout="1s")
    assert not [line for line in daemon.reload() if "config.fixed" in line]
    wait_until(lambda: cluster.node("n1")["users"] == f"{USER},second", 10, "the other file of tokens is in use")
    control = next(c for c in cluster.redis.client_list() if c["name"] == "shoal-node:n1:control")
    cluster.redis.client_kill_filter(_id=control["id"])
    wait_until(lambda: daemon.lines(" debug "), 10, "it says more")

    daemon.write(cluster="other", node_id="n2", shard_capacity=5, log_level="info")
    fixed = [line for line in daemon.reload() if "config.fixed" in line]
    assert len(fixed) == 3
    for name in ("cluster", "node-id", "shard-capacity"):
        assert any(f"option={name} " in line and "restart" in line for line in fixed), name
    assert cluster.nodes() == ["n1"]
    chat = cluster.subscribe(cluster.topic("chat:alice"))
    cluster.chat_flows(chat, "alice")


def test_a_coordinator_takes_over_what_may_change_and_names_what_may_not(bare):
    bare.start_redis()
    daemon = start_coordinator(bare)
    assert not daemon.lines(" debug ")

    daemon.write(log_level="debug", id="c2", set="lease_ms=2500")
    fixed = [line for line in daemon.reload() if "config.fixed" in line]
    assert len(fixed) == 2
    assert all(any(f"option={name} " in line for line in fixed) for name in ("id", "set"))
    bare.ask("stop")
    wait_until(lambda: daemon.lines(" debug "), 10, "it says more")
    assert bare.leader() == "c1"


@pytest.mark.parametrize("start", [start_node, start_coordinator])
def test_a_wrong_file_changes_nothing_and_is_told_once(cluster, start):
    daemon = start(cluster, log_level="info")
    daemon.write(log_level="loud", cluster="other")
    daemon.refuses(".conf:", "log-level", "loud")
    daemon.write(log_level="debug", cluster="main", no_such="key")
    daemon.refuses(".conf:", "no_such")
    daemon.file.unlink()
    daemon.refuses(".conf", "No such file")
    assert not daemon.lines(" debug ")


def test_wrong_tokens_or_authorities_change_nothing(cluster, tmp_path):
    daemon = start_node(cluster)
    cluster.join("alice")
    cluster.tokens.write_text("nonsense\n")
    daemon.write(log_level="debug")
    daemon.refuses("tokens:1", "login = token")
    cluster.write_tokens({USER: "simtoken"})
    for key in ("redis_tls_ca", "twitch_tls_ca"):
        daemon.write(**{key: tmp_path / "none.pem"})
        daemon.refuses("none.pem", "No such file", key.replace("_", "-"))
        del daemon.options[key]
    assert not daemon.lines(" debug ")
    cluster.sim.control("disconnect all")
    chat = cluster.subscribe(cluster.topic("chat:alice"))
    cluster.chat_flows(chat, "alice")


def test_a_new_authority_of_twitchs_certificate_is_trusted_by_the_next_connection(bare, tmp_path):
    right, wrong = Certificates(tmp_path / "right"), Certificates(tmp_path / "wrong")
    trusted = tmp_path / "trusted.pem"
    shutil.copy(wrong.ca, trusted)
    bare.start_redis()
    bare.start_sim("--verified", "--limits-off", tls=right)
    bare.start_coordinator()
    daemon = start_node(bare, twitch_tls_ca=trusted)
    wait_until(lambda: any(s.get("error") for s in bare.shards().values()), 15, "it is refused")
    assert bare.sim.control("stats channels=0")["logins"]["ok"] == 0

    shutil.copy(right.ca, trusted)
    daemon.reload()
    bare.join("alice")
    chat = bare.subscribe(bare.topic("chat:alice"))
    bare.chat_flows(chat, "alice")

    shutil.copy(wrong.ca, trusted)
    daemon.reload()
    bare.chat_flows(chat, "alice")  # what is open stays
    bare.sim.control("disconnect all")
    wait_until(lambda: any(s.get("error") for s in bare.shards().values()), 15, "it is refused again")


def test_a_fifo_in_the_place_of_tokens_or_configuration_is_refused_and_blocks_nothing(cluster):
    daemon = start_node(cluster)
    cluster.join("alice")
    chat = cluster.subscribe("shoal:main:chat:*")
    fifo = cluster.directory / "fifo"
    os.mkfifo(fifo)
    daemon.write(tokens=fifo)
    daemon.refuses("not a regular file", "fifo")
    daemon.file.unlink()
    os.mkfifo(daemon.file)
    daemon.refuses("not a regular file", ".conf")
    cluster.chat_flows(chat, "alice")


def test_a_new_password_of_redis_is_taken_without_losing_a_line(bare):
    server = bare.start_redis()
    acl = lambda *rules: bare.redis.execute_command("ACL", "SETUSER", "shoal", *rules)  # noqa: E731
    acl("on", ">old", "~*", "&*", "+@all")
    url = f"redis://shoal:PASSWORD@127.0.0.1:{server.port}"
    bare.start_sim("--verified", "--limits-off")
    bare.start_coordinator()  # sets up; the daemons below are those that rotate
    wait_until(bare.leader, 10, "a coordinator leads")
    node = Daemon(
        bare, NODE, redis_url=url.replace("PASSWORD", "old"), twitch_url=bare.sim.url, node_id="n1", tokens=bare.tokens
    )
    bare.join("alice")
    chat = bare.subscribe(bare.topic("chat:alice"))
    bare.chat_flows(chat, "alice")
    bare.processes["c1"].stop()
    leader = Daemon(bare, COORDINATOR, redis_url=url.replace("PASSWORD", "old"), id="c2")

    texts = [f"line {i}" for i in range(300)]
    for i, text in enumerate(texts):
        bare.inject("alice", text)
        if i == 50:
            acl(">new")
        elif i == 100:
            for daemon in (node, leader):
                daemon.write(redis_url=url.replace("PASSWORD", "new"))
                daemon.reload()
        elif i == 150:
            acl("<old")
        elif i == 200:
            bare.redis.client_kill_filter(user="shoal", skipme=True)
    wait_until(lambda: texts[-1] in chat.texts(bare.topic("chat:alice")), 15, "chat flows")
    assert [t for t in chat.texts(bare.topic("chat:alice")) if t in texts] == texts
    assert bare.send("alice", "hello")["status"] == "sent"
    assert bare.request("join", channels="bob")["ok"]
    assert not node.lines("password") and not leader.lines("password")
