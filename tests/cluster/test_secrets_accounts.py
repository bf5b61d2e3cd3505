"""Tokens, codes and keys of accounts appear nowhere but where they belong: in memory, and in what Twitch is told."""

import re
import resource
import signal
import socket
import subprocess
import threading
from pathlib import Path


from accounts import account, add, log_in, start_twitch
from processes import run, wait_until
from shoal import COORDINATOR, CTL, NODE, REMEMBERS


class Tap:
    """Between programs and a web service: keeps what both say."""

    def __init__(self, port):
        self.said = b""
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._port))
            for one, other in ((client, server), (server, client)):
                threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    def _pass(self, one, other):
        try:
            while data := one.recv(65536):
                self.said += data
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self):
        self._listener.close()


def core_limit(pid):
    (line,) = [line for line in Path(f"/proc/{pid}/limits").read_text().splitlines() if line.startswith("Max core file size")]
    return line.split()[4:6]


def of_processes(cluster):
    """What everybody on the host may see of the programs, and what they say."""
    places = {}
    for process in cluster.processes.values():
        places[f"log of {process.name}"] = process.text().encode(errors="replace")
        for file in ("cmdline", "environ"):
            places[f"{file} of {process.name}"] = Path(f"/proc/{process.pid}/{file}").read_bytes()
    return places


def of_redis(cluster, seen):
    """What is kept, published and executed."""
    cluster.redis.save()
    places = {"MONITOR": repr(seen).encode()}
    for path in (cluster.directory / "redis").rglob("*"):
        if path.is_file():
            places[str(path)] = path.read_bytes()
    assert any("dump.rdb" in name for name in places) and any("aof" in name for name in places)
    return places


def test_tokens_codes_and_keys_of_accounts_appear_nowhere(bare, tmp_path):
    bare.start_redis(*REMEMBERS)
    start_twitch(bare, tmp_path, "--verified")
    secret = tmp_path / "client-secret"
    secret.touch(mode=0o600)
    secret.write_text(bare.sim.control("app app")["client_secret"])
    tap = Tap(bare.sim.http)
    web = ("--twitch-id-url", tap.url, "--twitch-api-url", tap.url)
    bare.account_args = ("--account-keys", bare.keys, "--client-id", "app", *web)
    seen = bare.monitor()
    everything = bare.subscribe("*")
    bare.start_coordinator(args=(*bare.account_args, "--client-secret", secret), user="bob")
    wait_until(bare.leader, 10, "a coordinator leads")
    bare.write_tokens({})
    bare.start_node("n1", args=("--account-keys", bare.keys, "--twitch-api-url", tap.url))

    granted = add(bare, tmp_path, "alice", 6000)
    shown = [*log_in(bare, "bob")]
    for op in (("set", "bob", "say_by", "helix"), ("set", "alice", "say_by", "helix_app")):
        shown.append(bare.ctl("account", *op).stdout)
    bare.join("alice", timeout=40)
    wait_until(lambda: account(bare, "alice").get("refreshed_at"), 20, "new tokens")
    wait_until(lambda: account(bare, "@app").get("state") == "usable", 20, "the token of the application")
    assert bare.send("alice", "hello")["status"] == "sent"
    for command in (("status",), ("account", "list"), ("account", "show", "alice"), ("--json", "account", "show", "bob"), ("doctor",)):
        done = bare.ctl(*command, check=False)
        shown.append(done.stdout + done.stderr)
    bare.ctl("account", "revoke", "alice")
    for program in (COORDINATOR, CTL, NODE):
        given = ["--account-keys", bare.keys, *(["--client-id", "app", "--client-secret", secret] if program != NODE else [])]
        shown.append(run([program, *given, "--print-config"]).stdout)

    told = re.findall(rb'"(?:access_token|refresh_token|device_code)":"([^"]+)"', tap.said)
    kept = [granted["access_token"], granted["refresh_token"], secret.read_text(), *bare.keys.read_text().split()]
    secrets = {*told, *(text.encode() for text in kept)}
    assert len(secrets) >= 9 and all(len(text) >= 20 for text in secrets)
    assert b"Bearer " in tap.said and b"refresh_token=" in tap.said and b"client_secret=" in tap.said

    places = {"shoalctl": "".join(shown).encode(), "published": repr(everything.messages).encode()}
    places |= of_processes(bare) | of_redis(bare, seen)
    assert b"account.usable" in places["published"] and b"secret:alice" in places["MONITOR"]
    for place, content in places.items():
        assert not [text for text in secrets if text in content], place
    tap.close()


def test_shoalctl_leaves_no_core_of_a_login_that_is_under_way(bare, tmp_path):
    bare.start_redis()
    start_twitch(bare, tmp_path)
    bare.start_coordinator(args=bare.account_args)
    wait_until(bare.leader, 10, "a coordinator leads")
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    try:
        command = [CTL, "account", "login", *bare.account_args, "--redis-url", bare.redis_url]
        login = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))
    with login:
        assert login.stdout.readline().startswith("Open ")
        assert core_limit(login.pid) == ["0", "0"]
        login.send_signal(signal.SIGQUIT)
        assert login.wait(timeout=10) == -signal.SIGQUIT
    assert not list(tmp_path.glob("core*"))
