"""What is wrong is said once, clearly, with the right exit code; what is hostile is survived.

Exit codes: 0 done, 1 refused or failed, 2 wrong usage or configuration, 3 Redis out of reach.
"""

import json
import os
import re
import resource
import signal
import socket
import subprocess
import time
import uuid

import pytest

from certificates import Certificates
from fake_redis import FakeRedis
from processes import run, wait_until
from shoal import COORDINATOR, CTL, NODE, ROOT, TOKEN, USER

SECRET = "hunter2hunter2"
PROGRAMS = {"node": [NODE], "coordinator": [COORDINATOR], "ctl": [CTL, "status"]}


def complaint(done, code):
    """The one line a program says to people when it ends badly; log lines beside it are few."""
    name = os.path.basename(done.args[0])
    lines = done.stderr.splitlines()
    said = [line for line in lines if line.startswith(f"{name}: ")]
    assert done.returncode == code, f"exit code {done.returncode}\n{done.stderr}"
    assert len(said) == 1, done.stderr
    logged = [line for line in lines if line not in said]
    assert all(re.match(r"20\d\d-", line) for line in logged), done.stderr
    assert sum(" warn " in line or " error " in line for line in logged) <= 1, done.stderr
    assert done.stdout == ""
    return said[0]


def files(directory):
    """Files with something wrong in them, by name."""
    texts = {
        "no-pair.conf": "cluster = main\nnonsense\n",
        "unknown.conf": "# mine\nredis_ulr = redis://x\n",
        "bad-value.conf": "cluster = Main Cluster\n",
        "twice.conf": "cluster = a\ncluster = b\n",
        "long.conf": "cluster = " + "a" * 400 + "\n",
        "section.conf": "[node]\ncluster = main\n",
        "binary.conf": "\x01\x02\x03=\x04\n",
        "no-pair.tokens": f"{USER} {SECRET}\n",
        "login.tokens": f"not-a-login = {SECRET}\n",
        "empty.tokens": f"{USER} =\n",
        "twice.tokens": f"{USER} = {SECRET}\n{USER} = {SECRET}\n",
        "blank.tokens": f"{USER} = {SECRET} {SECRET}\n",
        "bad.channels": "alice\nbob, not-one\n",
    }
    texts["reversed.tokens"] = f"{SECRET}{SECRET} = {USER}\n"
    os.mkfifo(directory / "a.fifo")
    for name, text in texts.items():
        path = directory / name
        path.write_text(text)
        path.chmod(0o600)
    return directory


ALL = ("node", "coordinator", "ctl")
WRONG = [
    # programs, arguments, what the message must name
    (ALL, ["--no-such"], ["--no-such", "--help"]),
    (ALL, ["--cluster"], ["--cluster"]),
    (ALL, ["--cluster", "Main!"], ["--cluster", "a-z"]),
    (ALL, ["--cluster", "a" * 33], ["--cluster", "32"]),
    (ALL, ["--redis-url", "http://127.0.0.1"], ["--redis-url", "redis://"]),
    (ALL, ["--redis-url", "redis://127.0.0.1:99999"], ["--redis-url", "port"]),
    (ALL, ["--redis-url", "redis://127.0.0.1/one"], ["--redis-url", "database"]),
    (ALL, ["--redis-url", f"redis://:{SECRET}@"], ["--redis-url", "host"]),
    (ALL, ["--redis-url", ""], ["--redis-url"]),
    (ALL, ["--redis-tls-ca", "{}/none.pem"], ["--redis-tls-ca", "none.pem", "No such file"]),
    (ALL, ["--redis-tls-ca", "{}/twice.conf"], ["--redis-tls-ca", "twice.conf", "PEM"]),
    (ALL, ["--config", "{}/none.conf"], ["none.conf", "--config"]),
    (ALL, ["--config", "{}"], ["is a directory", "configuration file"]),
    (ALL, ["--config", "{}/no-pair.conf"], ["no-pair.conf:2", "key = value"]),
    (ALL, ["--config", "{}/unknown.conf"], ["unknown.conf:2", "redis_ulr"]),
    (ALL, ["--config", "{}/bad-value.conf"], ["bad-value.conf:1", "cluster", "a-z"]),
    (ALL, ["--config", "{}/twice.conf"], ["twice.conf:2", "cluster"]),
    (ALL, ["--config", "{}/long.conf"], ["long.conf:1"]),
    (ALL, ["--config", "{}/section.conf"], ["section.conf:1", "section"]),
    (ALL, ["--config", "{}/binary.conf"], ["binary.conf:1"]),
    (("node", "coordinator"), ["stray"], ["stray"]),
    (("node", "coordinator"), ["--log-level", "loud"], ["--log-level", "debug"]),
    (("node", "coordinator"), ["--log-format", "xml"], ["--log-format", "json"]),
    (("node", "coordinator"), ["--connect-timeout", "soon"], ["--connect-timeout", "3s"]),
    (("node",), ["--twitch-url", "https://twitch.tv"], ["--twitch-url", "wss://"]),
    (("node",), ["--twitch-url", "wss://"], ["--twitch-url", "host"]),
    (("node",), ["--twitch-tls-ca", "{}/none.pem"], ["--twitch-tls-ca", "none.pem", "No such file"]),
    (("node",), ["--node-id", "a b"], ["--node-id", "A-Z"]),
    (("node",), ["--node-id", "a" * 65], ["--node-id", "64"]),
    (("node",), ["--shard-capacity", "0"], ["--shard-capacity", "100000"]),
    (("node",), ["--shard-capacity", "many"], ["--shard-capacity", "many"]),
    (("node",), ["--buffer-bytes", "1"], ["--buffer-bytes", "64k"]),
    (("node",), ["--tokens", "{}/none.tokens"], ["--tokens", "none.tokens", "No such file"]),
    (("node",), ["--tokens", "{}"], ["--tokens", "is a directory", "tokens file"]),
    (("node",), ["--tokens", "{}/no-pair.tokens"], ["no-pair.tokens:1", "login = token"]),
    (("node",), ["--tokens", "{}/login.tokens"], ["login.tokens:1", "not a Twitch login", "login = token"]),
    (("node",), ["--tokens", "{}/reversed.tokens"], ["reversed.tokens:1", "login = token"]),
    (ALL, ["--redis-url", "{}/a.fifo"], ["redis://"]),
    (ALL, ["--config", "{}/a.fifo"], ["a.fifo", "not a regular file"]),
    (ALL, ["--redis-tls-ca", "{}/a.fifo"], ["--redis-tls-ca", "a.fifo", "not a regular file"]),
    (("node",), ["--twitch-tls-ca", "{}/a.fifo"], ["--twitch-tls-ca", "a.fifo", "not a regular file"]),
    (("node",), ["--tokens", "{}/a.fifo"], ["--tokens", "a.fifo", "not a regular file"]),
    (("coordinator",), ["--initial-channels", "@{}/a.fifo"], ["--initial-channels", "a.fifo", "not a regular file"]),
    (("coordinator",), ["--shard-manager", "{}/a.fifo"], ["--shard-manager", "a.fifo", "not a regular file"]),
    (("node", "coordinator"), [f"redis://:{SECRET}@127.0.0.1"], ["redis://:(secret)@127.0.0.1"]),
    (("node", "coordinator"), [f"redis://{SECRET}@127.0.0.1"], ["redis://(secret)@127.0.0.1"]),
    (("node", "coordinator"), ["--log-level", f"redis://:{SECRET}@127.0.0.1"], ["--log-level"]),
    (ALL, ["--cluster", f"redis://:{'x' * 50}{SECRET}@127.0.0.1"], ["--cluster"]),
    (("node",), ["--tokens", "{}/empty.tokens"], ["empty.tokens", USER]),
    (("node",), ["--tokens", "{}/twice.tokens"], ["twice.tokens", USER, "twice"]),
    (("node",), ["--tokens", "{}/blank.tokens"], ["blank.tokens", USER]),
    (("coordinator",), ["--id", "a b"], ["--id", "a b"]),
    (("coordinator",), ["--initial-channels", "alice,not-one"], ["--initial-channels", "not-one", "a-z"]),
    (("coordinator",), ["--initial-channels", "@{}/none"], ["--initial-channels", "none", "No such file"]),
    (("coordinator",), ["--initial-channels", "@{}/bad.channels"], ["bad.channels:2", "not-one"]),
    (("coordinator",), ["--set", "channels_per_shard"], ["--set", "NAME=VALUE"]),
    (("ctl",), ["--timeout", "soon"], ["--timeout", "3s"]),
]


@pytest.mark.parametrize("program", ALL)
def test_wrong_usage_is_told_in_one_line_that_names_it(program, tmp_path):
    directory = files(tmp_path)
    for programs, args, names in WRONG:
        if program not in programs:
            continue
        args = [arg.replace("{}", str(directory)) for arg in args]
        for first in ([], ["--check"]):
            said = complaint(run(PROGRAMS[program] + first + args), 2)
            assert all(name in said for name in names), said
            assert SECRET not in said


def test_shoalctl_refuses_commands_and_names_that_are_none():
    for args, names in (
        ([], ["command", "status, join, part, retry, send", "--help"]),
        (["statsu"], ["statsu", "did you mean status?", "--help"]),
        (["joni", "alice"], ["joni", "did you mean join?"]),
        (["dance"], ['"dance"; shoalctl --help']),
        (["send", "alice", "two", "words"], ["one argument", 'send alice "two words']),
        (["join"], ["join"]),
        (["join", "not-one"], ["not-one", "a-z"]),
        (["send", "alice"], ["send"]),
        (["status", "--nope"], ["--nope"]),
    ):
        said = complaint(run([CTL, *args]), 2)
        assert all(name in said for name in names), said


@pytest.mark.parametrize("program", ["node", "coordinator"])
def test_options_from_the_environment_are_named_by_their_variable(program):
    said = complaint(run(PROGRAMS[program], {"SHOAL_CLUSTER": "Main!"}), 2)
    assert "SHOAL_CLUSTER" in said


@pytest.mark.parametrize("program", ["node", "coordinator"])
def test_check_and_print_config_run_nothing_and_mask_secrets(program, tmp_path):
    argv = PROGRAMS[program] + ["--redis-url", f"rediss://me:{SECRET}@127.0.0.1:1/3"]
    done = run(argv + ["--check"])
    assert (done.returncode, done.stderr) == (0, "")
    assert "valid" in done.stdout
    printed = run(argv + ["--print-config", "--cluster", "x"])
    assert (printed.returncode, printed.stderr) == (0, "")
    assert SECRET not in done.stdout + printed.stdout
    assert "cluster = x" in printed.stdout and "me:" in printed.stdout
    # What it printed is a configuration, but for the secret.
    (tmp_path / "again.conf").write_text(printed.stdout.replace("(secret)", SECRET))
    again = run(PROGRAMS[program] + ["--config", tmp_path / "again.conf", "--print-config"])
    assert again.stdout == printed.stdout, again.stderr


def test_one_file_may_serve_all_programs(tmp_path):
    ca = Certificates(tmp_path / "tls").ca
    values = {"redis_tls_ca": ca, "twitch_tls_ca": ca, "tokens": tmp_path / "tokens"}
    values |= {"set": "lease_ms=3000", "ttl": "5s"}
    (tmp_path / "tokens").touch(mode=0o600)
    keys = {}
    for argv in PROGRAMS.values():
        for line in run(argv + ["--config=", "--print-config"]).stdout.splitlines():
            key, _, value = line.partition(" = ")
            if line.startswith("# "):
                key = line.split()[1]
                value = values.get(key, "x")
            keys[key] = value
    shared = tmp_path / "shared.conf"
    shared.write_text("".join(f"{key} = {value}\n" for key, value in keys.items()))
    for argv in PROGRAMS.values():
        done = run(argv + ["--config", shared, "--check"])
        assert (done.returncode, done.stderr) == (0, "")
    # Nor is a key passed over that no program has any more.
    source = (ROOT / "shared" / "options_keys.c").read_text()
    assert set(re.findall(r'"(\w+)"', source)) == set(keys)


# Redis that cannot be used ---------------------------------------------------------------------------


@pytest.mark.parametrize("program", ALL)
def test_a_redis_without_functions_is_refused_with_what_is_needed(program):
    with FakeRedis() as fake:
        said = complaint(run(PROGRAMS[program] + ["--redis-url", fake.url]), 1)
    assert "functions" in said and "Redis 7" in said


@pytest.mark.parametrize("program", ALL)
def test_a_redis_whose_functions_are_hidden_is_refused_with_what_is_needed(program, bare):
    hidden = sum((["--rename-command", name, ""] for name in ("FCALL", "FCALL_RO", "FUNCTION")), [])
    url = bare.start_redis(*hidden).url
    said = complaint(run(PROGRAMS[program] + ["--redis-url", url]), 1)
    assert "functions" in said and "Redis 7" in said


@pytest.mark.parametrize("program", ["coordinator", "ctl"])
def test_a_redis_of_which_no_function_can_be_loaded_is_refused(program, bare):
    url = bare.start_redis("--rename-command", "FUNCTION", "").url
    said = complaint(run(PROGRAMS[program] + ["--redis-url", url]), 1)
    assert ("Redis 7" if program == "coordinator" else "no coordinator has set up") in said


@pytest.mark.parametrize("program", ALL)
def test_a_redis_that_is_not_there_ends_it_in_time(program):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: nobody else gets the port
        url = f"redis://:{SECRET}@127.0.0.1:{taken.getsockname()[1]}"
        limit = "--timeout" if program == "ctl" else "--connect-timeout"
        began = time.monotonic()
        said = complaint(run(PROGRAMS[program] + ["--redis-url", url, limit, "3s"]), 3)
        assert time.monotonic() - began < 8
        assert url.rsplit("@", maxsplit=1)[-1] in said and "refused" in said
        assert SECRET not in said


@pytest.mark.parametrize("program", ALL)
def test_a_redis_that_says_nothing_ends_it_in_time(program):
    with FakeRedis(mute=True) as fake:
        limit = "--timeout" if program == "ctl" else "--connect-timeout"
        began = time.monotonic()
        said = complaint(run(PROGRAMS[program] + ["--redis-url", fake.url, limit, "700ms"]), 3)
        assert time.monotonic() - began < 6, said


@pytest.mark.parametrize("program", ALL)
def test_a_wrong_password_ends_it_at_once(program, bare):
    server = bare.start_redis(password=SECRET)
    address = f"127.0.0.1:{server.port}"
    for url, mend in (
        (f"redis://{address}", "password"),
        (f"redis://:not{SECRET}@{address}", "refuses the password"),
        (f"redis://somebody:{SECRET}@{address}", "somebody"),
    ):
        began = time.monotonic()
        done = run(PROGRAMS[program], {"SHOAL_REDIS_URL": url})
        said = complaint(done, 3)
        assert time.monotonic() - began < 5, "waiting does not mend it"
        assert address in said and mend in said, said
        assert SECRET not in done.stderr


def test_a_setting_that_cannot_be_is_refused_by_name(bare):
    bare.start_redis()
    bare.start_sim("--verified")
    bare.start_node("n1")
    for pair, names in (("no_such=1", "Unknown setting no_such"), ("lease_ms=5", "lease_ms takes a number")):
        argv = [COORDINATOR, "--redis-url", bare.redis_url, "--set", pair]
        assert names in complaint(run(argv), 2)


def test_secrets_appear_nowhere(bare):
    bare.start_redis(password=SECRET)
    bare.start_sim("--verified")
    everything = bare.subscribe("*")
    bare.start_coordinator()
    node = bare.start_node("n1")
    bare.join("alice", "bob")
    bare.chat_flows(everything, "alice", "bob")
    bare.sim.control(f"revoke {USER}")
    bare.sim.control("disconnect all")
    wait_until(lambda: any(s.get("error") for s in bare.shards().values()), 10, "the login is refused")
    bare.write_tokens({USER: TOKEN + "!"})
    node.signal(signal.SIGHUP)
    wait_until(lambda: "config.reload" in node.text(), 10, "the tokens are read again")
    status = bare.ctl("status")

    places = {"status": status.stdout + status.stderr, "published": repr(everything.messages)}
    for process in bare.processes.values():
        if process.name.startswith("redis"):
            continue
        places[f"log of {process.name}"] = process.text()
        with open(f"/proc/{process.pid}/cmdline", encoding="utf-8") as file:
            places[f"arguments of {process.name}"] = file.read()
        children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, check=False)
        assert not children.stdout, "no child that could show them"
    for key in bare.redis.scan_iter():
        kind = bare.redis.type(key)
        read = {"hash": bare.redis.hgetall, "string": bare.redis.get, "set": bare.redis.smembers,
                "stream": bare.redis.xrange}.get(kind, lambda key: bare.redis.zrange(key, 0, -1))
        places[key] = repr(read(key))
    for place, text in places.items():
        assert SECRET not in text and TOKEN not in text, place


def test_tokens_that_would_go_over_the_network_in_the_clear_are_warned_about(bare):
    unsafe = ["--twitch-url", "ws://twitch.example:80", "--tokens", bare.tokens]
    done = run([NODE, *unsafe, "--check"])
    assert (done.returncode, done.stdout) == (0, "shoal-node: the configuration is valid\n")
    assert done.stderr.startswith("shoal-node: warning: tokens ") and "wss://" in done.stderr
    for safe in (unsafe[:2], ["--twitch-url", "ws://127.0.0.1:80", *unsafe[2:]], unsafe[2:]):
        assert run([NODE, *safe, "--check"]).stderr == ""
    started = run([NODE, *unsafe, "--redis-url", "redis://127.0.0.1:1", "--connect-timeout", "100ms"])
    assert started.stderr.count("config.unsafe") == 1


def core_limit(process):
    with open(f"/proc/{process.pid}/limits", encoding="utf-8") as limits:
        (line,) = [line for line in limits if line.startswith("Max core file size")]
    return line.split()[4:6]


def test_no_core_dump_is_written_of_what_holds_secrets(cluster):
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    try:
        node = cluster.start_node("n1")
        coordinator = cluster.start_coordinator("c2")
        wait_until(cluster.nodes, 10, "the node is registered")
        wait_until(lambda: "redis.up" in coordinator.text(), 10, "the coordinator is there")
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))
    assert core_limit(node) == core_limit(coordinator) == ["0", "0"]


# Twitch ------------------------------------------------------------------------------------------------


def test_garbage_from_twitch_costs_a_connection_at_most(cluster):
    cluster.start_node("n1")
    names = ("alice", "bob")
    cluster.join(*names)
    chat = cluster.subscribe("shoal:main:chat:*")
    for command in (
        "longline all bytes=100000",
        "longline all bytes=3000000",
        "garbage all kind=utf8",
        "garbage all kind=binary",
        "garbage all kind=nul",
        "garbage all kind=cr",
        "garbage all kind=opcode",
        "garbage all kind=bytes",
        "raw all line=@" + "a=b;" * 5000 + " :x!x@x PRIVMSG #alice :many tags",
        "raw all line=PRIVMSG",
        "raw all line=:tmi.twitch.tv ROOMSTATE",
        "raw all line=@msg-id= :tmi.twitch.tv NOTICE #alice",
        "raw all line=@slow=-9999999999999;followers-only=x :tmi.twitch.tv ROOMSTATE #alice",
        "raw all line=:tmi.twitch.tv 001",
        "raw all line=PING",
    ):
        assert cluster.sim.control(command)["connections"] > 0
        cluster.chat_flows(chat, *names, timeout=20)
        assert cluster.processes["n1"].is_running(), command
    assert cluster.send("alice", "still here")["status"] == "sent"
    assert all(b"\0" not in payload and b"\n" not in payload for _, payload in chat.messages)


def test_what_is_no_line_is_told_once_and_counted(cluster):
    node = cluster.start_node("n1")
    cluster.join("alice")
    shard = cluster.channels()["alice"]

    def bad_lines():
        return int(cluster.shards()[shard].get("bad_lines", 0))

    cluster.sim.control(f"raw all line=:a-bell-\x07-{'x' * 300}")
    wait_until(lambda: bad_lines() == 1, 10, "it is counted")
    for _ in range(30):
        cluster.sim.control("raw all line=:nothing")
    cluster.sim.control("longline all bytes=100000")
    wait_until(lambda: bad_lines() == 32, 10, "all are counted")
    assert cluster.ctl_json("shards")[0]["bad_lines"] == 32
    (told,) = [line for line in node.text().splitlines() if "shard.bad_line" in line]
    assert " warn shard " in told and f"shard={shard}" in told and "without a command" in told
    assert "a-bell-\\x07-xx" in told and "bytes=310" in told


def test_a_token_that_is_sent_back_is_not_told(cluster):
    node = cluster.start_node("n1")
    cluster.join("alice")
    cluster.sim.control(f"raw all line=:{TOKEN}")
    wait_until(lambda: "shard.bad_line" in node.text(), 10, "it is told")
    assert TOKEN not in node.text()


def test_a_twitch_that_takes_connections_and_says_nothing_is_told_as_that(cluster):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"ws://127.0.0.1:{mute.getsockname()[1]}"
        cluster.start_node("n1", args=["--twitch-url", url, "--log-level", "info"])
        shard = wait_until(lambda: next(iter(cluster.shards()), None), 10, "there is a shard")
        error = wait_until(lambda: cluster.shards()[shard].get("error"), 20, "it is told")
    assert error == "connect to 127.0.0.1: no answer within 10000 ms"


def test_a_refused_login_is_not_tried_again_at_once_and_a_new_token_mends_it(cluster):
    node = cluster.start_node("n1")
    cluster.join("alice")
    chat = cluster.subscribe("shoal:main:chat:*")
    wait_until(lambda: cluster.redis.hget(cluster.key("config"), "setup") == "done", 10, "setup is done")
    shards = len(cluster.shards())
    control = cluster.sim.control
    before = control("stats")["logins"]["refused"]
    control(f"revoke {USER}")
    control("disconnect all")
    refused = wait_until(
        lambda: [s for s in cluster.shards().values() if "Login authentication failed" in s.get("error", "")],
        10,
        "the error is visible",
    )
    assert all(s["state"] == "backoff" for s in refused)
    # As long as three leases: a fast retry would show.
    at = cluster.redis.time()[0]
    wait_until(lambda: cluster.redis.time()[0] > at + 6, 20, "three leases pass")
    assert control("stats")["logins"]["refused"] - before <= shards
    assert "Login authentication failed" in node.text()

    control(f"user {USER} token=fresh verified=1")
    cluster.write_tokens({USER: "fresh"})
    node.signal(signal.SIGHUP)
    cluster.chat_flows(chat, "alice")
    wait_until(lambda: not any(s.get("error") for s in cluster.shards().values()), 10, "and it is over")


def test_channels_that_cannot_be_read_fail_with_the_reason_and_others_are_joined(cluster):
    control = cluster.sim.control
    reasons = {"banned": "msg_banned", "suspended": "msg_channel_suspended", "tos": "tos_ban",
               "missing": "no_answer"}
    for name in reasons:
        control(f"channel {name} state={name}")
    cluster.start_node("n1")
    reply = cluster.request("join", channels=" ".join([*reasons, "alice", "bob"]))
    assert reply["ok"], reply
    chat = cluster.subscribe("shoal:main:chat:*")
    cluster.chat_flows(chat, "alice", "bob")
    for name, reason in reasons.items():
        # Silence is known by its length: two tries of 10 s.
        wait_until(lambda name=name: cluster.channel(name).get("state") == "failed", 30, f"{name} failed")
        assert cluster.channel(name)["reason"] == reason
        assert int(cluster.channel(name)["next_try"]) > cluster.redis.time()[0] * 1000
        assert cluster.channels()[name], "it stays wanted"
    failed = {e["channel"]: e["reason"] for e in cluster.events("channel.failed")}
    assert failed == reasons


# Redis -------------------------------------------------------------------------------------------------


def busy(cluster, chat, *names):
    """All processes run, and all kinds of work are done."""
    cluster.chat_flows(chat, *names)
    result = cluster.send(names[0], f"work goes on {uuid.uuid4()}")  # Twitch says no text twice
    assert result["status"] == "sent", result
    assert cluster.request("join", channels=names[0])["ok"]
    assert all(p.is_running() for p in cluster.processes.values())


def test_junk_in_the_streams_and_on_topics_is_answered_or_passed_over(cluster):
    cluster.sim.control("limit all=off")
    cluster.start_node("n1")
    cluster.join("alice")
    chat = cluster.subscribe("shoal:main:chat:*")
    redis, key = cluster.redis, cluster.key
    big = "x" * 300000
    requests = [
        {"junk": "1"},
        {"op": "", "id": ""},
        {"op": "explode", "id": "r1"},
        {"op": "join", "id": "r2"},
        {"op": "join", "id": "r3", "channels": "not-one \x00\xff, \n;"},
        {"op": "join", "id": "i" * 5000, "channels": "alice"},
        {"op": "join", "id": "r4", "channels": " ".join(f"c{i}" for i in range(3000))},
        {"op": "part", "id": "r5", "channels": big},
        {"op": big, "id": "r6"},
        {"op": "set", "id": "r7", "name": "lease_ms", "value": "soon"},
        {"op": "set", "id": "r8", "name": big, "value": big},
        {b"\xff\xfe": b"\x00\x01"},
    ]
    entries = [redis.xadd(key("requests"), r) for r in requests]
    wait_until(lambda: redis.xlen(key("requests")) == 0, 10, "all requests are answered")
    for entry, request in zip(entries, requests):
        id = request.get("id") or entry
        reply = redis.get(key(f"reply:{id if len(id) <= 128 else entry}"))
        assert reply and '"ok":false' in reply, (str(request)[:80], reply)
    sends = [
        {"junk": "1"},
        {"channel": "not-one", "text": "x", "id": "s1"},
        {"channel": "alice", "id": "s2"},
        {"channel": "alice", "text": "a\r\nQUIT", "id": "s3"},
        {"channel": "alice", "text": "nul\x00nul", "id": "s4"},
        {"channel": "alice", "text": big, "id": "s5"},
        {"channel": "alice", "text": "x", "ttl_ms": "soon", "id": "s6"},
        {"channel": "alice", "text": "x", "user": "mallory", "id": "s7"},
        {"channel": b"\xff\xfe", "text": b"\xff\xfe", "id": "s8"},
    ]
    for send in sends:
        redis.xadd(key("outbox"), send)
    for id in (f"s{i}" for i in range(1, 9)):
        assert cluster.result(id)["status"] == "rejected", id
    wait_until(lambda: redis.xlen(key("outbox")) == 0, 10, "all sends have their result")
    topic = cluster.topic("send:alice")
    wait_until(lambda: redis.publish(topic, b"") >= 1, 10, "the topic is served")
    for payload in (b"\xff\xfe\x00", b"{", b"{}", b'{"text":1}', b'{"text":"x","ttl_ms":{}}', b"\r\n",
                    b"[" * 100000, big.encode(), b'{"text":"' + b"\\u0000" * 10 + b'"}'):
        redis.publish(topic, payload)
    for inside in ("node:n1", "replies", "events", "sent:alice", "chat:alice"):
        for payload in (b"", b"\xff\x00", big.encode()):
            redis.publish(cluster.topic(inside), payload)
    busy(cluster, chat, "alice")
    said = cluster.sim.control.received("alice")
    assert not any("QUIT" in text or "nul" in text for text in said), said


def test_what_is_published_is_json_whatever_bytes_were_given(cluster):
    cluster.start_node("n1")
    cluster.join("alice")
    topic = cluster.topic("sent:alice")
    told = cluster.subscribe(topic, cluster.topic("replies"), cluster.topic("events"))
    request = {"op": "join", "id": b"caf\xe9", "channels": b"\xe9", "by": b"\xff"}
    entry = cluster.redis.xadd(cluster.key("requests"), request)
    assert "UTF-8" in cluster.answer(entry)["error"]
    assert not cluster.request(b"\xff", channels="alice")["ok"]
    for fields in (
        {"id": b"caf\xe9", "text": "x"},
        {"text": b"caf\xe9", "by": b"\xff"},
        {"text": "x", "user": b"\xff"},
    ):
        entry = cluster.redis.xadd(cluster.key("outbox"), {"channel": "alice", **fields})
        assert cluster.result(entry)["status"] == "rejected", fields
    bell = cluster.topic("send:alice")
    wait_until(lambda: cluster.redis.publish(bell, b"caf\xe9") >= 1, 10, "the topic is served")
    cluster.redis.publish(bell, b'{"text":"caf\xe9","id":"by-topic"}')
    cluster.redis.publish(bell, b'{"text":"x","id":"caf\xe9"}')
    wait_until(lambda: len(told.on(topic)) == 6, 10, "each send has its result")
    assert cluster.result("by-topic")["text"] == "text: is not UTF-8."
    assert all(json.loads(payload.decode())["status"] == "rejected" for payload in told.on(topic))
    for _, payload in told.messages:
        json.loads(payload.decode())
    assert not cluster.sim.control.received("alice")


def test_keys_of_the_wrong_type_are_survived_until_they_are_mended(bare):
    bare.start_redis()
    bare.start_sim("--verified", "--limits-off")
    bare.start_coordinator(lease_ms=1000)
    bare.start_node("n1")
    bare.join("alice")
    chat = bare.subscribe("shoal:main:chat:*")
    busy(bare, chat, "alice")
    shard = bare.channels()["alice"]
    for rest in ("outbox", "requests", "log", "leader", "nodes", "node:n1", "config", "clock", "channels",
                 f"shard:{shard}", f"shard:{shard}:channels", "load", "node:n1:shards", "claims"):
        logs = {p: len(p.text().splitlines()) for p in bare.processes.values()}
        name = bare.key(rest)
        existed = bare.redis.exists(name)
        with bare.redis.pipeline() as change:
            if existed:
                change.rename(name, "kept")
            change.set(name, "junk")
            change.execute()
        began = time.monotonic()
        wait_until(lambda began=began: time.monotonic() > began + 1.1, 10, "it is in the way for a lease")
        with bare.redis.pipeline() as change:
            change.delete(name)
            if existed:
                change.rename("kept", name)
            change.execute()
        busy(bare, chat, "alice")
        for process, lines in logs.items():
            new = process.text().splitlines()[lines:]
            loud = [line for line in new if re.search(r" (warn|error) ", line)]
            assert len(loud) <= 6, f"{rest}: {process.name} says it too often:\n" + "\n".join(loud)
