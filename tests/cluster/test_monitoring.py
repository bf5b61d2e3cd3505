"""What machines ask of coordinators: /metrics and /readyz, of the one that leads and of the one that stands by."""

import json
import re
import subprocess
import time

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

from http_raw import ask, port_of
from processes import wait_until
from shoal import Cluster, REMEMBERS
from test_documents import table, words


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """Two coordinators, one of which leads, two nodes and three channels."""
    with Cluster(tmp_path_factory.mktemp("monitoring")) as cluster:
        cluster.start_redis(*REMEMBERS)
        cluster.start_sim("--verified")
        cluster.start_coordinator("c1")
        wait_until(lambda: cluster.leader() == "c1", 10, "c1 leads")
        cluster.start_coordinator("c2")
        cluster.start_node("n1")
        cluster.start_node("n2")
        cluster.join("alice", "bob", "carol")
        cluster.redis.xgroup_create(cluster.key("lines:0"), "logger", id="0", mkstream=True)
        wait_until(lambda: "logger" in cluster.redis.hget(cluster.key("lines"), "groups"), 10, "the group is seen")
        yield cluster


def get(cluster, coordinator, path, *headers):
    port = port_of(cluster.processes[coordinator])
    lines = "".join(f"{header}\r\n" for header in headers)
    return ask(port, f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n".encode())


def metrics(cluster, coordinator):
    """{'shoal_name{label="value"}': value}"""
    answer = get(cluster, coordinator, "/metrics")
    assert answer.status == 200, answer.body
    rows = re.findall(r"^([a-z][^ ]*(?:\{.*\})?) (\S+)$", answer.body.decode(), re.MULTILINE)
    return {name: float(value) for name, value in rows}


def of_the_cluster(rows):
    """Those that all coordinators have the same, but for when they were read."""
    own = ("shoal_process", "process_", "shoal_build", "shoal_loop", "shoal_coordinator_leads")
    changing = ("read_timestamp", "lines_per_second", "latency", "history_age", "behind_seconds")
    return {
        name: value
        for name, value in rows.items()
        if not name.startswith(own) and not any(word in name for word in changing)
    }


def test_leader_and_standby_say_the_same_of_the_cluster(running):
    leads, stands_by = (metrics(running, name) for name in ("c1", "c2"))
    assert (leads["shoal_coordinator_leads"], stands_by["shoal_coordinator_leads"]) == (1, 0)
    assert of_the_cluster(leads) == of_the_cluster(stands_by)
    assert leads["shoal_cluster_leader"] == leads["shoal_leader_elections_total"] == leads["shoal_redis_up"] == 1
    assert leads['shoal_cluster_nodes{state="active"}'] == 2
    assert leads['shoal_cluster_channels{state="joined"}'] == 3
    assert leads['shoal_cluster_problems{problem="no_leader",level="bad"}'] == 0
    assert leads["shoal_cluster_healthy"] == 1
    assert abs(leads["shoal_cluster_read_timestamp_seconds"] - time.time()) < 5


def test_how_far_a_group_of_readers_is_behind_is_the_same_everywhere(running):
    stream = running.key("lines:0")
    running.redis.xadd(stream, {"lines": ":a PRIVMSG #alice :hello"})
    running.redis.xreadgroup("logger", "me", {stream: ">"})
    running.redis.xadd(stream, {"lines": ":a PRIVMSG #alice :hello again"})
    of = f'{{group="logger",key="{stream}"}}'
    rows = wait_until(
        lambda: (m := metrics(running, "c2")).get(f"shoal_history_group_behind_seconds{of}", 0) > 0 and m, 10, "it is behind"
    )
    assert rows[f"shoal_history_group_pending_entries{of}"] == 1 and rows[f"shoal_history_group_cuts_total{of}"] == 0
    assert rows["shoal_history_entries"] == 2 and 0 < rows["shoal_history_bytes"] < rows["shoal_history_limit_bytes"]
    kept = running.ctl_json("status")[0]["kept"]
    assert kept["entries"] == 2 and kept["age_ms"] > 0 and kept["groups"][0]["key"] == stream
    assert kept["groups"][0]["behind_ms"] >= 1000 * rows[f"shoal_history_group_behind_seconds{of}"]
    assert re.search(r"^history +2 entries, 0\.0 of at most 64\.0 MiB, the oldest \ds old$", running.ctl("status").stdout, re.M)
    assert json.loads(get(running, "c1", "/api/v1/status").body)["kept"]["groups"][0]["group"] == "logger"


def test_promtool_finds_nothing_to_say(running):
    for name in ("c1", "c2"):
        text = get(running, name, "/metrics").body
        done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)
        assert (done.returncode, done.stdout + done.stderr) == (0, b"")


def test_the_table_of_metrics_is_what_is_served(running):
    served = {}
    for family in plain(get(running, "c1", "/metrics").body.decode()):
        labels = {name for s in family.samples for name in s.labels if name != "le"}
        total = "_total" if family.type == "counter" else ""
        served[family.name + total] = [family.type, labels, family.documentation]
    rows = table("metric of both") + table("metric of a coordinator")
    told = {words(name)[0]: [kind, set(words(labels)), text] for name, kind, labels, text in rows}
    for name in told:  # nobody here has a token that ends, or a limit
        if not served[name][1]:
            served[name][1] = told[name][1]
    assert told == served


def test_who_prefers_openmetrics_gets_it(running):
    answer = get(running, "c1", "/metrics", "Accept: application/openmetrics-text; version=1.0.0")
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert answer.body.endswith(b"# EOF\n") and b"\nshoal_leader_elections_total 1\n" in answer.body
    assert {f.name for f in openmetrics(answer.body.decode())} >= {"shoal_leader_elections", "shoal_cluster_problems"}


def test_who_leads_and_who_stands_by_are_both_ready(running):
    leads, stands_by = (get(running, name, "/readyz") for name in ("c1", "c2"))
    assert (leads.status, leads.body) == (200, b"leads\n")
    assert (stands_by.status, stands_by.body) == (200, b"stands by; c1 leads\n")


def test_a_scrape_reads_redis_a_second_at_most(running):
    metrics(running, "c1")
    time.sleep(1.1)
    running.redis.config_resetstat()
    began = time.monotonic()
    stamps = {metrics(running, "c1")["shoal_cluster_read_timestamp_seconds"] for _ in range(50)}
    assert len(stamps) <= 2 + (time.monotonic() - began)


def test_a_redis_that_hangs_is_told_and_nobody_waits_for_it(running):
    before = metrics(running, "c2")
    running.redis_process.pause()
    try:
        rows = wait_until(lambda: (m := metrics(running, "c2"))["shoal_redis_up"] == 0 and m, 10, "Redis is down")
        began = time.monotonic()
        told = [name for name in rows if name.startswith(("shoal_cluster", "shoal_account"))]
        assert told == ["shoal_cluster_read_timestamp_seconds"], "nothing that may not be so any more"
        assert rows["shoal_cluster_read_timestamp_seconds"] < before["shoal_cluster_read_timestamp_seconds"] + 2
        wait_until(lambda: get(running, "c1", "/readyz").status == 503, 10, "it leads no more")
        assert time.monotonic() - began < 8
    finally:
        running.redis_process.resume()
    wait_until(lambda: metrics(running, "c2")["shoal_redis_up"] == 1, 20, "Redis is back")
    wait_until(lambda: get(running, "c1", "/readyz").status == 200, 20, "it is ready again")
    wait_until(lambda: running.joined("alice", "bob", "carol"), 20, "all is as it was")


def test_before_redis_was_reached_it_tells_so_and_of_itself(bare):
    bare.redis_url = "redis://127.0.0.1:1"
    bare.start_coordinator("c1", args=["--connect-timeout", "1m"])
    began = time.monotonic()
    rows = metrics(bare, "c1")
    assert time.monotonic() - began < 4
    assert (rows["shoal_redis_up"], rows["shoal_coordinator_leads"]) == (0, 0)
    assert rows["process_open_fds"] > 3
    assert not [name for name in rows if "cluster" in name or "account" in name]
    assert get(bare, "c1", "/readyz").status == 503
    assert get(bare, "c1", "/healthz").status == 200
