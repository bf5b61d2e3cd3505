"""Rights: a program that may not do all it has to ends at its start and names every right that is missing."""

import re

import pytest

from processes import run, wait_until
from shoal import COORDINATOR, CTL, NODE

SECRET = "hunter2hunter2"
PROGRAMS = {
    "node": [NODE, "--connect-timeout", "8s"],
    "coordinator": [COORDINATOR, "--connect-timeout", "8s"],
    "status": [CTL, "--timeout", "8s", "status"],
    "join": [CTL, "--timeout", "8s", "join", "alice"],
    "config": [CTL, "--timeout", "8s", "config", "get"],
    "set": [CTL, "--timeout", "8s", "config", "set", "lease_ms", "3000"],
    "send": [CTL, "--timeout", "8s", "send", "alice", "hello"],
    "tail": [CTL, "--timeout", "8s", "tail", "alice"],
}
ALL = "~* &* +@all "
DAEMONS = ("node", "coordinator")
LACKS = [
    # programs, what the user is given, what must be named
    (DAEMONS, ALL + "-client|kill", ["+client|kill"]),
    (DAEMONS, ALL + "-client|id -info -fcall", ["+client|id", "+info", "+fcall"]),
    (DAEMONS, ALL + "-xdel -xadd", ["+xdel", "+xadd"]),
    (("coordinator",), ALL + "-xread -xadd", ["+xread", "+xadd"]),
    (DAEMONS, ALL + "-hset -zadd", ["+hset", "+zadd"]),
    (DAEMONS, ALL + "-publish", ["+publish"]),
    (DAEMONS, ALL + "-multi", ["+multi"]),
    (DAEMONS, ALL + "-client|setname -ping", ["+client|setname", "+ping"]),
    (DAEMONS, ALL + "resetchannels", ["&shoal:main:events", "&shoal:main:node:*"]),
    (DAEMONS, "~other:* &* +@all", ["~shoal:{main}", "~shoal:{main}:*"]),
    (("node",), ALL + "-subscribe -exec -pubsub", ["+subscribe", "+exec", "+pubsub|numsub"]),
    (("node",), ALL + "resetchannels &shoal:main:node:*", ["&shoal:main:chat:*", "&shoal:main:send:*"]),
    (("coordinator",), ALL + "-@admin", ["+client|kill"]),
    (("coordinator",), ALL + "-function", ["+function|load", "+function|list"]),
    (("status",), "%R~shoal:{main}:load &* +@all", ["~shoal:{main}:channels", "~shoal:{main}:nodes"]),
    (("status",), ALL + "-hgetall -time", ["+hgetall", "+time"]),
    (("config",), ALL + "-fcall_ro", ["+fcall_ro"]),
    (("join",), ALL + "-xadd -subscribe", ["+xadd", "+subscribe"]),
    (("join",), "%R~* &* +@all", ["~shoal:{main}:requests"]),
    (("set",), "~shoal:{main}:requests %R~* &* +@all", ["~shoal:{main}:admin"]),
    (("send",), ALL + "resetchannels", ["&shoal:main:sent:alice"]),
    (("tail",), ALL + "-subscribe", ["+subscribe"]),
    (("tail",), ALL + "resetchannels &shoal:main:sent:*", ["&shoal:main:chat:alice"]),
]


def user(client, rules):
    client.execute_command("ACL", "SETUSER", "limited", "reset", "on", f">{SECRET}", *rules.split())


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_missing_right_is_named_at_the_start(program, bare):
    server = bare.start_redis()
    env = {"SHOAL_REDIS_URL": f"redis://limited:{SECRET}@127.0.0.1:{server.port}"}
    tried = 0
    for programs, rules, names in LACKS:
        if program not in programs:
            continue
        tried += 1
        user(bare.redis, rules)
        done = run(PROGRAMS[program], env)
        assert done.returncode == 3, f"{rules}: {done.returncode}\n{done.stderr}"
        (said,) = [line for line in done.stderr.splitlines() if not re.match(r"20\d\d-", line)]
        assert "user 'limited' lacks rights: ACL SETUSER limited " in said
        assert all(f" {name} " in said for name in names), f"{rules}: {said}"
        assert SECRET not in done.stderr
    assert tried and not bare.redis.keys("*"), "nothing was done"


@pytest.mark.parametrize("program", DAEMONS)
def test_commands_that_were_renamed_are_named_at_the_start(program, bare):
    hidden = ("xadd", "hset", "publish")
    server = bare.start_redis(*sum((["--rename-command", name, ""] for name in hidden), []))
    done = run(PROGRAMS[program], {"SHOAL_REDIS_URL": server.url})
    assert done.returncode == 3, done.stderr
    assert "rename-command" in done.stderr and all(f" {name} " in done.stderr + " " for name in hidden), done.stderr


def test_a_right_that_is_taken_while_a_cluster_runs_is_named_once_and_nothing_is_lost(bare):
    server = bare.start_redis()
    user(bare.redis, ALL)
    url = f"redis://limited:{SECRET}@127.0.0.1:{server.port}"
    bare.start_sim("--verified", "--limits-off")
    coordinator = bare.start_coordinator(env={"SHOAL_REDIS_URL": url})
    node = bare.start_node("n1", env={"SHOAL_REDIS_URL": url})
    bare.join("alice")
    chat = bare.subscribe(bare.topic("chat:alice"))
    bare.chat_flows(chat, "alice")
    topic = bare.topic("chat:alice")
    count = 0

    def told(process, *names):
        lines = [line for line in process.text().splitlines() if "redis.rights " in line]
        return [line for line in lines if all(f" {name} " in line for name in names)]

    for right, victim in (("multi", node), ("publish", node), ("exec", node), ("time", coordinator),
                          ("subscribe", node)):  # fmt: skip
        bare.redis.execute_command("ACL", "SETUSER", "limited", f"-{right}")
        if right == "subscribe":  # what is subscribed stays
            for client in bare.redis.client_list(_type="pubsub"):
                if client["user"] == "limited":
                    bare.redis.client_kill_filter(_id=client["id"])
        texts = [f"{right} {i}" for i in range(100)]
        for text in texts:
            bare.inject("alice", text)
        count += len(texts)
        wait_until(lambda victim=victim, right=right: told(victim, f"+{right}"), 10, f"{right} is named")
        bare.redis.execute_command("ACL", "SETUSER", "limited", f"+{right}")
        wait_until(lambda texts=texts: texts[-1] in chat.texts(topic), 15, f"chat flows again after {right}")
        assert [t for t in chat.texts(topic) if t in texts] == texts, "each line once, in order"
        assert len(told(victim, f"+{right}")) == 1, victim.text()
    assert bare.send("alice", "hello")["status"] == "sent"
    assert bare.request("join", channels="bob")["ok"]
