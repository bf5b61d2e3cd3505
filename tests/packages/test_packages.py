"""Debian packages, on machines that have nothing else: installed, run under systemd, upgraded, removed, purged."""

import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from certificates import Certificates
from machine import Machine
from processes import wait_until

ROOT = Path(__file__).resolve().parents[2]
SIM = Path(os.environ.get("SHOAL_BIN_DIR", "build/asan")) / "tests/twitch-sim"
UNITS = ("shoal-coordinator.service", "shoal-node.service", "shoal-node@second.service")
PASSWORD = "correct-horse"
DROP_IN = "[Service]\nSystemCallErrorNumber=kill\nRestartSec=100ms\n"


class Cluster:
    """Redis with a password, the simulator by TLS, and a cluster of two nodes, as services of one machine."""

    def __init__(self, layers, directory):
        certificates = Certificates(directory)
        layers.write("/etc/credstore/shoal.redis-url", f"redis://:{PASSWORD}@127.0.0.1:6379\n", 0o600)
        layers.write("/etc/shoal/ca.pem", Path(certificates.ca).read_text())
        layers.write(
            "/etc/shoal/shoal.conf",
            "twitch_url = wss://localhost:8443\ntwitch_tls_ca = /etc/shoal/ca.pem\nshard_capacity = 4\n"
            "initial_channels = !/etc/shoal/channels\n",
        )
        for port, service in enumerate(("coordinator", "node", "node-second"), 9400):
            layers.write(f"/etc/shoal/{service}.env", f"SHOAL_HTTP_LISTEN=127.0.0.1:{port}\n")
        layers.write("/etc/shoal/channels", "#!/bin/sh\necho xqc\n", 0o755)
        layers.write("/etc/redis/redis.conf", f"requirepass {PASSWORD}\nsupervised systemd\nsave \"\"\ndir /var/lib/redis\n")
        for unit in ("shoal-coordinator.service", "shoal-node.service", "shoal-node@.service"):
            # A system call that the filter does not let pass ends the process, instead of failing unseen.
            layers.write(f"/etc/systemd/system/{unit}.d/test.conf", DROP_IN)
        self.machine = Machine(layers)
        self.machine.start_beside(
            directory / "sim.log", SIM, "--tls-listen", "127.0.0.1:8443", "--tls-cert", certificates.cert,
            "--tls-key", certificates.key, "--rate", "50", "--port-file", directory / "sim.port",
        )  # fmt: skip
        # A node that finds no Twitch at its start is blind, and looks again only after a while.
        wait_until((directory / "sim.port").exists, 30, "the simulator listens")
        self.machine.run("systemctl", "start", "redis-server")
        self.machine.run("systemctl", "enable", "--now", *UNITS)

    def restart_with(self, unit, setting):
        """A setting of the unit, of this boot."""
        text = f"[Service]\\n{setting}\\n"
        place = f"/run/systemd/system/{unit}.d"
        self.machine.run("sh", "-c", f"mkdir -p {place} && printf '{text}' >>{place}/boot.conf")
        self.machine.run("systemctl", "daemon-reload")
        self.machine.run("systemctl", "restart", unit)

    def ctl(self, *args):
        return self.machine.run(
            "env", "SHOAL_REDIS_URL_FILE=/etc/credstore/shoal.redis-url", "shoalctl", "--json", *args)  # fmt: skip

    def joined(self):
        return sum(json.loads(line)["state"] == "joined" for line in self.ctl("channels").splitlines())

    def journal(self, unit):
        return self.machine.run("journalctl", "--no-pager", "--output=cat", "--unit", unit)

    def unit_is(self, unit, state):
        return wait_until(lambda: self.machine.show(unit, "ActiveState") == state, 20, f"{unit} is {state}")


@pytest.fixture(scope="module")
def cluster(old_layers, tmp_path_factory):
    directory = tmp_path_factory.mktemp("cluster")
    cluster = Cluster(old_layers.over(directory / "machine"), directory)
    yield cluster
    cluster.machine.close()


@pytest.mark.skipif(not shutil.which("lintian"), reason="lintian is not installed")
def test_lintian_finds_nothing_wrong(packages):
    assert set(packages) == {"shoal", "libshoal-dev", "shoal-doc"}
    done = subprocess.run(
        ["lintian", "--fail-on", "error,warning", "--allow-root", *packages.values()],
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_a_package_needs_what_no_linker_shows(packages):
    done = subprocess.run(["dpkg-deb", "--field", packages["shoal"], "Depends", "Recommends", "Suggests"],
                          capture_output=True, text=True, check=True)  # fmt: skip
    field = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    assert "procps" in field["Depends"] and re.search(r"libuv1\S* \(>=", field["Depends"])
    assert "libwebsockets" not in field["Depends"]  # that is the simulated Twitch's
    # What is recommended is installed, and Debian starts a Redis that is.
    assert "redis-server" in field["Suggests"] and "server" not in field["Depends"] + field["Recommends"]


def test_an_installation_starts_nothing_and_what_it_installs_is_sound(machine):
    for unit in UNITS[:2]:
        assert machine.try_run("systemctl", "is-enabled", unit).stdout.strip() == "disabled"
        assert machine.show(unit, "ActiveState") == "inactive"
    for unit in UNITS:
        assert machine.run("systemd-analyze", "verify", "--man=no", unit) == ""
        machine.run("systemd-analyze", "security", "--threshold=15", unit)
    assert "/nologin" in machine.run("getent", "passwd", "shoal")
    for program in ("shoal-node", "shoal-coordinator", "shoalctl"):
        assert machine.run(program, "--check") == f"{program}: the configuration is valid\n"
    assert machine.run("stat", "--format=%a %U", "/etc/credstore", "/etc/shoal") == "700 root\n755 root\n"


def test_the_services_join_channels_in_their_sandbox(cluster):
    for unit in UNITS:
        cluster.unit_is(unit, "active")
        assert cluster.machine.show(unit, "NRestarts") == "0", cluster.journal(unit)
    cluster.ctl("join", "forsen")  # the other is an initial channel, that a program in the sandbox has named
    wait_until(lambda: cluster.joined() >= 2, 30, "both are joined")
    lines = cluster.machine.run("timeout", "20", "env", "SHOAL_REDIS_URL_FILE=/etc/credstore/shoal.redis-url",
                                "sh", "-c", "shoalctl tail forsen | head -n 3")  # fmt: skip
    assert len(lines.splitlines()) == 3
    assert cluster.machine.show("shoal-coordinator.service", "StatusText") == "leads"
    shows = lambda unit: cluster.machine.show(unit, "StatusText")  # noqa: E731
    wait_until(lambda: any("2 of 2 channels joined" in shows(unit) for unit in UNITS[1:]), 10, "a node tells what it holds")
    nodes = {json.loads(line)["node"] for line in cluster.ctl("nodes").splitlines()}
    assert "second" in nodes and len(nodes) == 2
    pid = cluster.machine.show("shoal-node.service", "MainPID")
    status = cluster.machine.run("cat", f"/proc/{pid}/status")
    assert re.search(r"^Seccomp:\s+2$", status, re.M) and re.search(r"^CapEff:\s+0+$", status, re.M)
    seen = cluster.machine.run("sh", "-c", f"tr '\\0' '\\n' </proc/{pid}/environ; tr '\\0' ' ' </proc/{pid}/cmdline")
    assert "CREDENTIALS_DIRECTORY" in seen and PASSWORD not in seen


def test_a_reload_reads_the_configuration_again(cluster):
    for unit in UNITS:
        cluster.unit_is(unit, "active")
        cluster.machine.run("systemctl", "reload", unit)
        wait_until(lambda unit=unit: "config.reloaded" in cluster.journal(unit), 10, f"{unit} has read it")
        cluster.unit_is(unit, "active")
        assert cluster.machine.show(unit, "NRestarts") == "0", cluster.journal(unit)


def test_a_node_that_stands_still_is_ended_and_started_again(cluster):
    unit = UNITS[2]
    cluster.restart_with(unit, "WatchdogSec=3")
    before = cluster.machine.show(unit, "MainPID")
    cluster.machine.run("systemctl", "kill", "--signal=STOP", unit)
    wait_until(lambda: cluster.machine.show(unit, "MainPID") not in (before, "0"), 20, "it is started again")
    cluster.unit_is(unit, "active")
    assert "watchdog" in cluster.journal(unit).lower()


def test_services_stop_in_order_within_their_time(cluster):
    cluster.unit_is(UNITS[1], "active")
    cluster.machine.run("systemctl", "stop", *UNITS)
    for unit in UNITS:
        assert cluster.machine.show(unit, "Result") == "success", cluster.journal(unit)
    assert "to=draining" in cluster.journal(UNITS[1])
    cluster.machine.run("systemctl", "start", *UNITS)


def test_a_leave_that_takes_longer_than_the_unit_says_is_waited_for(cluster):
    unit = UNITS[2]
    cluster.restart_with(unit, "TimeoutStopSec=1\\nEnvironment=SHOAL_DRAIN_TIMEOUT=3s")
    redis = cluster.machine.show("redis-server", "MainPID")
    cluster.machine.run("kill", "-STOP", redis)
    try:
        began = time.monotonic()
        cluster.machine.run("systemctl", "stop", unit)
        assert time.monotonic() - began > 2
        assert cluster.machine.show(unit, "Result") == "success", cluster.journal(unit)
    finally:
        cluster.machine.run("kill", "-CONT", redis)
        cluster.machine.run("systemctl", "start", unit)


def test_what_documents_say_of_secrets_gives_files_that_the_services_and_root_can_read(old_layers, tmp_path):
    layers = old_layers.over(tmp_path / "machine")
    certificates = Certificates(tmp_path)
    layers.write("/cert.pem", Path(certificates.cert).read_text())
    layers.write("/key.pem", Path(certificates.key).read_text(), 0o600)
    layers.write("/usr/local/bin/openssl", "#!/bin/sh\nshoalctl --config= keygen\n", 0o755)  # `rand -hex 32`
    layers.write("/usr/local/bin/sudo", '#!/bin/sh\nexec "$@"\n', 0o755)
    layers.write("/etc/redis/redis.conf", "requirepass PASSWORD\nsupervised systemd\nsave \"\"\ndir /var/lib/redis\n")
    layers.write("/etc/shoal/coordinator.env", "SHOAL_HTTP_LISTEN=0.0.0.0:9400\n")
    text = "".join((ROOT / name).read_text() for name in ("README.md", "deploy/README.md"))
    (options,) = re.findall(r"^```ini\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    options += "".join(re.findall(r"^    (http_.* = .*\n)", text, re.MULTILINE)) + "tokens = /etc/shoal/tokens\n"
    layers.write("/etc/shoal/shoal.conf", options)
    recipes = re.findall(r"^    (.*\bsudo install .*)$", text, re.MULTILINE)
    assert len(recipes) == 6 and options.count("/etc/shoal/") == 6
    machine = Machine(layers)
    try:
        for recipe in recipes:  # what the configuration names is not there yet
            machine.run("sh", "-c", f"umask 022; {recipe.replace('redis.internal', '127.0.0.1')}")
        machine.run("sh", "-c", "chgrp shoal /etc/shoal/shoal.conf && chmod 640 /etc/shoal/shoal.conf")
        machine.run("systemctl", "enable", "--now", "redis-server", "shoal-coordinator", "shoal-node")
        for unit in UNITS[:2]:
            assert machine.show(unit, "NRestarts") == "0", machine.run("journalctl", "--unit", unit)
        for name in re.findall("/etc/shoal/(.*)", options):
            assert machine.run("stat", "--format=%a %U", f"/etc/shoal/{name}") == "400 shoal\n"
        assert machine.run("shoalctl", "--timeout=5s", "nodes")
        others = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
        for given in ([], ["--config=", "--redis-url-file=/etc/shoal/redis-url"]):
            assert "': Permission denied" in machine.try_run(*others, "shoalctl", *given, "nodes").stdout
    finally:
        machine.close()


def test_a_wrong_configuration_is_not_tried_again_and_again(machine):
    machine.run("sh", "-c", "echo shard_capacity = lots >/etc/shoal/shoal.conf")
    assert machine.try_run("systemctl", "start", "shoal-node").returncode != 0
    assert machine.show("shoal-node", "ActiveState") == "failed"
    assert machine.show("shoal-node", "NRestarts") == "0"


def test_an_upgrade_restarts_what_runs_and_keeps_what_was_configured(old_layers, packages, tmp_path):
    layers = old_layers.over(tmp_path / "machine")
    for name, path in packages.items():
        layers.write(f"/{name}.deb", "")
        layers.path(f"/{name}.deb").write_bytes(path.read_bytes())
    cluster = Cluster(layers, tmp_path)
    machine = cluster.machine
    try:
        machine.run("systemctl", "disable", "--now", "shoal-node.service")
        configuration = machine.run("cat", "/etc/shoal/shoal.conf")
        version = ["dpkg-query", "--show", "--showformat=${Version}", "shoal"]
        older = machine.run(*version)
        before = {unit: machine.show(unit, "MainPID") for unit in UNITS}
        machine.run("dpkg", "--install", "/shoal-doc.deb", "/libshoal-dev.deb", "/shoal.deb")
        after = {unit: machine.show(unit, "MainPID") for unit in UNITS}
        for unit in (UNITS[0], UNITS[2]):
            assert before[unit] != after[unit] != "0"
            cluster.unit_is(unit, "active")
        assert after[UNITS[1]] == "0" and machine.try_run("systemctl", "is-enabled", UNITS[1]).returncode != 0
        assert machine.run("cat", "/etc/shoal/shoal.conf") == configuration
        machine.run("dpkg", "--compare-versions", machine.run(*version), "gt", older)
    finally:
        machine.close()


def test_a_removal_stops_the_services_and_a_purge_leaves_what_others_wrote(old_layers, tmp_path):
    cluster = Cluster(old_layers.over(tmp_path / "machine"), tmp_path)
    machine = cluster.machine
    try:
        machine.run("sh", "-c", "umask 077; shoalctl keygen >/etc/shoal/account-keys")
        machine.run("dpkg", "--remove", "shoal")
        assert machine.try_run("pgrep", "shoal").returncode != 0
        assert machine.run("sh", "-c", "ls /usr/bin/shoal* /usr/lib/systemd/system/shoal* 2>&1 || true").count("cannot access") == 2
        assert "wss://localhost" in machine.run("cat", "/etc/shoal/shoal.conf")

        told = machine.run("dpkg", "--purge", "shoal")
        assert "/etc/shoal/account-keys" in told and "/etc/credstore/shoal.redis-url" in told
        assert machine.run("ls", "/etc/shoal").split() == [
            "account-keys", "ca.pem", "channels", "coordinator.env", "node-second.env", "node.env"
        ]  # fmt: skip
        left = machine.run("find", "/etc", "/usr", "/var/lib", "-name", "*shoal*", "!", "-path", "*/machines/*")
        assert set(left.split()) == {
            "/etc/shoal", "/etc/credstore/shoal.redis-url",
            *(f"/etc/systemd/system/{unit}.d" for unit in ("shoal-coordinator.service", "shoal-node.service", "shoal-node@.service")),
        }  # fmt: skip
    finally:
        machine.close()
