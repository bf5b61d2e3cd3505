"""Options that are wrong, on the command line, in the environment and in files, are told once, by name.

Exit code 2: wrong usage or configuration.
"""

import os
import re

import pytest

from certificates import Certificates
from complaint import ALL, PROGRAMS, SECRET, complaint
from processes import run
from shoal import CTL, ROOT, USER


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
        ([], ["command", "status, top, channel", "join, part, retry, send", "--help"]),
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
    secrets = {"tokens": "", "account_keys": run([CTL, "keygen"]).stdout, "client_secret": "secret\n",
               "http_admin_token": "0123456789abcdef\n"}  # fmt: skip
    for name, content in secrets.items():
        (tmp_path / name).touch(mode=0o600)
        (tmp_path / name).write_text(content)
    values = {"redis_tls_ca": ca, "twitch_tls_ca": ca, "set": "lease_ms=3000", "ttl": "5s"}
    values |= {name: tmp_path / name for name in secrets}
    values |= {"client_id": "app", "http_proxy": "http://127.0.0.1:3128", "priority": "low"}
    values |= {"http_listen": "127.0.0.1:9400", "http_tls_cert": "", "http_tls_key": "", "since": "10m"}
    keys = {}
    for argv in PROGRAMS.values():
        for line in run(argv + ["--config=", "--print-config"]).stdout.splitlines():
            key, _, value = line.partition(" = ")
            if line.startswith("# "):
                key = line.split()[1]
                value = values.get(key, "x")
            keys[key] = value
    shared = tmp_path / "shared.conf"
    shared.write_text("".join(f"{key} = {value}\n" for key, value in keys.items() if key != "redis_url_file"))
    for argv in PROGRAMS.values():
        done = run(argv + ["--config", shared, "--check"])
        assert (done.returncode, done.stderr) == (0, "")
    # Nor is a key passed over that no program has any more.
    source = (ROOT / "shared" / "options_keys.c").read_text()
    assert set(re.findall(r'"(\w+)"', source)) == set(keys)
