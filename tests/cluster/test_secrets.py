"""Passwords and tokens appear nowhere: in no log, argument, key, message or core dump."""

import resource
import signal
import subprocess

from complaint import SECRET
from processes import run, wait_until
from shoal import CTL, NODE, TOKEN, USER


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
        if kind == "none":  # it is gone again
            continue
        read = {"hash": bare.redis.hgetall, "string": bare.redis.get, "set": bare.redis.smembers,
                "stream": bare.redis.xrange, "zset": lambda key: bare.redis.zrange(key, 0, -1),
                "list": lambda key: bare.redis.lrange(key, 0, -1)}[kind]  # fmt: skip
        places[key] = repr(read(key))
    for place, text in places.items():
        assert SECRET not in text and TOKEN not in text, place


def test_tokens_that_would_go_over_the_network_in_the_clear_are_warned_about(bare, tmp_path):
    unsafe = ["--twitch-url", "ws://twitch.example:80", "--tokens", bare.tokens]
    done = run([NODE, *unsafe, "--check"])
    assert (done.returncode, done.stdout) == (0, "shoal-node: the configuration is valid\n")
    assert done.stderr.startswith("shoal-node: warning: tokens ") and "wss://" in done.stderr
    for safe in (unsafe[:2], ["--twitch-url", "ws://127.0.0.1:80", *unsafe[2:]], unsafe[2:]):
        assert run([NODE, *safe, "--check"]).stderr == ""
    keys = tmp_path / "keys"
    keys.touch(mode=0o600)
    keys.write_text(run([CTL, "keygen"]).stdout)
    helix = ["--account-keys", keys, "--twitch-api-url", "http://api.example"]
    assert "--twitch-api-url unencrypted" in run([NODE, *helix, "--check"]).stderr
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


def test_a_token_that_is_sent_back_is_not_told(cluster):
    node = cluster.start_node("n1")
    cluster.join("alice")
    cluster.sim.control(f"raw all line=:{TOKEN}")
    wait_until(lambda: "shard.bad_line" in node.text(), 10, "it is told")
    assert TOKEN not in node.text()
