"""What is shipped for Prometheus and Grafana: the rules by promtool, every name of a metric against what the programs
have, and each alert by a real Prometheus that scrapes a cluster in which the thing happens."""

import json
import re
import signal
import subprocess
import time

import pytest

from accounts import add, start_twitch
from http_raw import port_of
from processes import wait_until
from prometheus import DIRECTORY, Prometheus
from shoal import ROOT

GRAFANA = ROOT / "deploy" / "grafana" / "shoal.json"
PAGES = (ROOT / "deploy" / "README.md").read_text()
RULES = (DIRECTORY / "shoal.rules.yml").read_text()
HTTP = ("--http-listen", "127.0.0.1:0")
LEASE = 1000  # ms
BLIND = 1500  # ms


def promtool(*args):
    done = subprocess.run(["promtool", *args], cwd=DIRECTORY, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def alerts():
    return re.findall(r"- alert: (\w+)", RULES)


def panels():
    """The queries of the dashboard by the titles of their panels, of the cluster `main`."""
    for panel in json.loads(GRAFANA.read_text())["panels"]:
        for target in panel.get("targets", ()):
            expression = target["expr"].replace("$cluster", "main").replace("$__rate_interval", "5s")
            yield panel["title"], expression


def metrics_of(text):
    return set(re.findall(r"\b(?:shoal|process)_[a-z_]+[a-z]\b(?=[{\[ )])", text))


# As shipped ----------------------------------------------------------------------------------------------


def test_the_configuration_and_the_rules_are_right_for_promtool():
    promtool("check", "config", "prometheus.yml")
    promtool("check", "rules", "shoal.rules.yml")


def test_each_alert_fires_when_it_should_and_not_before():
    promtool("test", "rules", "shoal.rules.test.yml")
    tested = (DIRECTORY / "shoal.rules.test.yml").read_text()
    assert set(alerts()) == set(re.findall(r"alertname: (\w+)", tested))


def test_each_alert_has_a_page_that_says_what_to_do():
    assert re.findall(r"^### (Shoal\w+)$", PAGES, re.MULTILINE) == alerts()
    assert re.findall(r"runbook: deploy/README.md#(\w+)", RULES) == [name.lower() for name in alerts()]


# Real ----------------------------------------------------------------------------------------------------


@pytest.fixture
def watched(bare, tmp_path):
    """Two coordinators, two nodes, an account, and a Prometheus that sees all of them. Redis is one that keeps
    nothing, as tests have it."""
    bare.start_redis()
    start_twitch(bare, tmp_path, "--verified")
    limits = {"message_limit": 1000, "room_limit": 100}
    for name in ("c1", "c2"):
        bare.start_coordinator(name, bare.account_args, lease_ms=LEASE, channels_per_shard=2, blind_ms=BLIND, **limits)
    bare.start_node("n1", args=(*HTTP, "--account-keys", bare.keys, "--buffer-bytes", "64k"))
    bare.start_node("n2", args=(*HTTP, "--account-keys", bare.keys))
    wait_until(lambda: len(bare.nodes()) == 2, 10, "nodes are there")
    bare.join("alice", "bob", "carol", "dave")
    bare.prometheus = Prometheus(bare)
    bare.prometheus.watch(*({n: port_of(bare.processes[n]) for n in names} for names in (("c1", "c2"), ("n1", "n2"))))
    bare.prometheus.start()
    return bare


def fires(cluster, *alerts, timeout=30):
    wait_until(lambda: set(alerts) <= cluster.prometheus.firing(), timeout, f"{alerts} fire")


@pytest.mark.limit(240)
def test_what_goes_wrong_in_a_cluster_is_an_alert_of_a_real_prometheus(watched, tmp_path):
    prometheus = watched.prometheus
    watched.sim.control("generate rate=200 count=60000 only=privmsg")
    add(watched, tmp_path, "erin")
    wait_until(lambda: len(prometheus.query("up == 1")) == 4, 20, "all are scraped")
    wait_until(lambda: prometheus.query("sum(rate(shoal_fanout_lines_total[5s])) > 50"), 20, "chat is counted")
    watched.redis.xgroup_create("shoal:{main}:lines:0", "logger", id="0", mkstream=True)
    well = {"ShoalRedisMisconfigured", "ShoalDegraded"}  # but for this Redis, which keeps nothing
    wait_until(lambda: prometheus.firing() == well, 20, "all is well otherwise")
    each_panel_shows_something(prometheus)

    # Accounts, and what the limits hold up.
    short_lived(watched, tmp_path, "frank", 6000)
    fires(watched, "ShoalTokenEnding")
    fires(watched, "ShoalAccountUnusable")
    watched.request("set", name="join_window_ms", value="60000")
    watched.request("set", name="join_limit", value="2")
    watched.request("join", channels="gina henry ivan")
    fires(watched, "ShoalBudgetExhausted")
    watched.request("set", name="join_limit", value="off")
    watched.sim.control("silence user=shoalbot s=60")
    assert watched.send("alice", "late", ttl_ms=1500)["status"] in ("expired", "unknown")
    fires(watched, "ShoalSendsLost")

    # Chat that is kept: a group that nobody reads as, and a Redis with little memory.
    watched.request("set", name="history_ms", value="10000")
    fires(watched, "ShoalReaderMisses")
    watched.redis.config_set("maxmemory", int(watched.redis.info("memory")["used_memory"] / 0.9))
    fires(watched, "ShoalHistoryShort")
    watched.redis.config_set("maxmemory", 0)

    # Redis is away, with more chat than may be held.
    watched.redis_process.signal(signal.SIGSTOP)
    fires(watched, "ShoalRedisDown", "ShoalBufferFilling")
    wait_until(lambda: prometheus.query("sum(shoal_fanout_dropped_lines_total) > 0"), 30, "some do not fit")
    watched.redis_process.signal(signal.SIGCONT)
    fires(watched, "ShoalGap")

    # Processes end, and Twitch is out of reach for who is left.
    watched.processes["n2"].kill()
    fires(watched, "ShoalNodeLost")
    watched.sim.control("outage on")
    watched.sim.control("disconnect all")
    fires(watched, "ShoalNodeBlind")
    watched.processes["n1"].kill()
    watched.request("join", channels=" ".join(f"late{i}" for i in range(8)))
    fires(watched, "ShoalJoinsStuck")
    for name in ("c1", "c2"):
        watched.processes[name].kill()
    fires(watched, "ShoalCoordinatorDown", "ShoalNoLeader")


def each_panel_shows_something(prometheus, timeout=30):
    deadline = time.monotonic() + timeout
    silent = set(panels())
    while silent and time.monotonic() < deadline:
        silent = {panel for panel in silent if not prometheus.query(panel[1])}
        time.sleep(0.5)
    assert not silent


def short_lived(cluster, tmp_path, login, ttl_ms):
    """An account whose token ends soon, and that has no other."""
    granted = cluster.sim.control(f"grant {login} app chat:read,chat:edit ttl={ttl_ms}")
    tokens = tmp_path / f"{login}.token"
    tokens.touch(mode=0o600)
    tokens.write_text(granted["access_token"] + "\n")
    cluster.ctl("account", "add", login, "--account-keys", cluster.keys, "--token-file", tokens)
