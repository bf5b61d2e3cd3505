"""Accounts of a cluster: its simulator is Twitch's web services as well, and has one public application, "app"."""

import signal
import subprocess

from processes import wait_until
from shoal import CTL
from webclient import LISTEN


def keygen():
    return subprocess.run([CTL, "keygen"], capture_output=True, text=True, check=True).stdout


def start_twitch(cluster, tmp_path, *args):
    """The simulator, and keys; what programs need for accounts is `account_args`, and in `account_env` for shoalctl."""
    cluster.start_sim(*args, *LISTEN)
    cluster.sim.control("app app public")
    cluster.keys = tmp_path / "keys"
    cluster.keys.touch(mode=0o600)
    cluster.keys.write_text(keygen())
    cluster.account_args = (
        "--account-keys", cluster.keys, "--client-id", "app", "--twitch-id-url", f"http://127.0.0.1:{cluster.sim.http}",
    )  # fmt: skip


def account(cluster, login):
    return cluster.redis.hgetall(cluster.key(f"account:{login}"))


def add(cluster, tmp_path, login, ttl_ms=None, scopes="chat:read,chat:edit"):
    """An account with tokens that the user granted; they."""
    granted = cluster.sim.control(f"grant {login} app {scopes}" + (f" ttl={ttl_ms}" if ttl_ms else ""))
    tokens = tmp_path / f"{login}.tokens"
    tokens.touch(mode=0o600)
    tokens.write_text(f"{granted['access_token']}\n{granted['refresh_token']}\n")
    cluster.ctl("account", "add", login, "--account-keys", cluster.keys, "--token-file", tokens)
    return granted


def log_in(cluster, login, *args):
    """`shoalctl account login`, and the user who confirms the code; what it printed after that, and on stderr."""
    cluster.sim.control("limit device-interval=100ms")
    command = [CTL, "account", "login", *args, *cluster.account_args, "--redis-url", cluster.redis_url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        said = process.stdout.readline()
        assert said.startswith("Open https://")
        cluster.sim.control(f"device allow {said.split('the code ')[1].split(',')[0]} {login}")
        out, errors = process.communicate(timeout=20)
    assert process.returncode == 0, errors
    return out, errors


def refreshes(cluster):
    """How often each refresh token of the simulator's was used, and how often it was refused."""
    tokens = cluster.sim.control("http log")["refresh_tokens"]
    return [t["used"] for t in tokens], [t["refused"] for t in tokens]


def start_node(cluster, name="n1"):
    cluster.write_tokens({})
    return cluster.start_node(name, args=("--account-keys", cluster.keys))


def reload(*processes):
    for process in processes:
        before = process.text().count("config.reloaded")
        process.signal(signal.SIGHUP)
        wait_until(lambda: process.text().count("config.reloaded") > before, 10, "it has read its keys again")
