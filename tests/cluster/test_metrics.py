"""/metrics and /readyz of a node: what they say is true, bounded, and read by those who read such things."""

import re
import signal
import subprocess

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

from chat import PATIENT_REDIS, finish, heard_by
from http_raw import ask, port_of
from processes import wait_until
from shoal import ROOT, TOKEN, Cluster
from test_documents import table, words

LISTEN = ("--http-listen", "127.0.0.1:0")
NAMES = ("alice", "bob", "carol")


def get(node, path, accept=None):
    head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n" + (f"Accept: {accept}\r\n" if accept else "")
    return ask(port_of(node), (head + "\r\n").encode())


def text_of(node, accept=None):
    answer = get(node, "/metrics", accept)
    assert answer.status == 200
    return answer.body.decode()


def metrics(node):
    """{'shoal_channels{state="joined"}': 3.0, ...}"""
    samples = (line.rsplit(" ", 1) for line in text_of(node).splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in samples}


def counters(node):
    families = plain(text_of(node))
    return {
        (s.name, *sorted(s.labels.items())): s.value
        for family in families
        if family.type in ("counter", "histogram")
        for s in family.samples
    }


def readiness(node):
    answer = get(node, "/readyz")
    return answer.status, answer.body.decode()


def becomes_ready(node):
    wait_until(lambda: readiness(node) == (200, "ready\n"), 10, "the node is ready")


def becomes_unready(node, why):
    def found():
        status, text = readiness(node)
        return status == 503 and why in text

    wait_until(found, 10, f"it is not ready: {why}")


class Busy:
    """A node that has seen chat, sends, a refused join, connections that ended, and gaps."""

    def __init__(self, cluster):
        record = cluster.directory / "record"
        cluster.start_redis(*PATIENT_REDIS)
        cluster.start_sim("--verified", "--limits-off", "--record", record)
        cluster.start_coordinator(max_shard_count=2, initial_shard_count=2)
        self.cluster = cluster
        self.node = cluster.start_node(args=LISTEN)
        wait_until(cluster.leader, 10, "a coordinator leads")
        self.chat = cluster.subscribe(cluster.topic("chat:*"))
        cluster.sim.control("channel dave state=suspended")
        cluster.join(*NAMES)
        assert cluster.request("join", channels="dave")["ok"]
        wait_until(lambda: cluster.channel("dave").get("state") == "failed", 10, "the join is refused")
        self.earlier = []
        self.again(lambda: cluster.sim.control("reconnect all"))
        self.again(lambda: cluster.sim.control("disconnect all how=reset"))
        self.again(self.stop_and_start)
        cluster.sim.control("generate count=3000 rate=0 seed=3 only=privmsg")
        cluster.sim.control("wait generate ms=20000")
        self.lines = finish(cluster, self.chat, NAMES, record)
        cluster.sim.control("ban carol user=shoalbot")
        self.results = [cluster.send(name, f"said-in-{name}")["status"] for name in (*NAMES, *NAMES)]
        wait_until(lambda: metrics(self.node)["shoal_fanout_lines_total"] == self.heard, 10, "all is answered")

    def again(self, act):
        """Do what makes all connections anew."""
        self.earlier.append(counters(self.node))
        gaps = len(self.cluster.events("gap"))
        act()
        wait_until(lambda: len(self.cluster.events("gap")) == gaps + len(NAMES), 15, "all are read again")
        wait_until(lambda: self.cluster.joined(*NAMES), 10, "and told so")

    def stop_and_start(self):
        self.cluster.ctl("stop")
        closed = 'shoal_connections{state="closed"}'
        wait_until(lambda: metrics(self.node)[closed] == len(self.cluster.shards()), 10, "all are closed")
        self.cluster.ctl("start")

    @property
    def heard(self):
        return sum(map(len, heard_by(self.chat).values()))


@pytest.fixture(scope="module")
def busy(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("metrics")) as cluster:
        yield Busy(cluster)


# How it is said ------------------------------------------------------------------------------------------


def test_promtool_finds_nothing_to_say(busy):
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=text_of(busy.node), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_both_formats_name_the_same_series_and_are_read_by_the_reference_parser(busy):
    likes = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
    assert get(busy.node, "/metrics").headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    answer = get(busy.node, "/metrics", likes)
    assert answer.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    families = list(openmetrics(answer.body.decode()))
    both = [
        {(s.name, *sorted(s.labels.items())) for family in read for s in family.samples}
        for read in (families, plain(text_of(busy.node)))
    ]
    assert both[0] == both[1]
    units = {family.name: family.unit for family in families}
    assert units["shoal_fanout_seconds"] == "seconds" and units["shoal_fanout_buffer_bytes"] == "bytes"
    assert all(unit in ("seconds", "bytes") or not name.endswith(("seconds", "bytes")) for name, unit in units.items())


def test_no_label_is_a_channel_and_nothing_that_was_said_or_is_secret_is_there(busy):
    text = text_of(busy.node)
    for word in (*NAMES, "dave", TOKEN, "said-in", "redis://"):
        assert word not in text
    labels = {name for family in plain(text) for s in family.samples for name in s.labels}
    assert labels == {"version", "le", "reason", "result", "cause", "state", "shard", "user"}
    assert len(metrics(busy.node)) < 350 + 6 * len(busy.cluster.shards())


def test_the_table_of_metrics_is_what_is_served(busy):
    served = {}
    for family in plain(text_of(busy.node)):
        labels = {name for s in family.samples for name in s.labels if name != "le"}
        total = "_total" if family.type == "counter" else ""
        served[family.name + total] = [family.type, labels or None, family.documentation]
    rows = table("metric of both") + table("metric of a node")
    told = {words(name)[0]: [kind, set(words(labels)) or None, text] for name, kind, labels, text in rows}
    assert told == served


# Whether it is true --------------------------------------------------------------------------------------


def test_lines_are_counted_as_they_were_said_and_heard(busy):
    now = metrics(busy.node)
    shards = busy.cluster.shards()
    assert now["shoal_fanout_lines_total"] == busy.heard > busy.lines > 3000
    assert now["shoal_twitch_lines_total"] > busy.lines
    assert now["shoal_twitch_lines_total"] == sum(v for k, v in now.items() if k.startswith("shoal_shard_lines_total{"))
    assert now["shoal_twitch_bytes_total"] == sum(v for k, v in now.items() if k.startswith("shoal_shard_bytes_total{"))
    assert now["shoal_fanout_transactions_total"] == now["shoal_fanout_seconds_count"] > busy.heard / 64
    assert 0 < now["shoal_chat_age_seconds_count"] <= now["shoal_fanout_transactions_total"]
    assert now["shoal_fanout_held_lines"] == now["shoal_fanout_buffer_bytes"] == 0
    assert now["shoal_fanout_buffer_limit_bytes"] == 64 << 20
    for name, shard in shards.items():
        labels = f'{{shard="{name}",user="{shard["user"]}"}}'
        assert now[f"shoal_shard_joined_channels{labels}"] == int(shard["joined"])
        assert now[f"shoal_shard_ready{labels}"] == 1


def test_joins_and_connections_are_counted_with_their_reasons_and_causes(busy):
    now = metrics(busy.node)
    assert now['shoal_channels{state="joined"}'] == len(NAMES) and now['shoal_channels{state="failed"}'] == 1
    assert now['shoal_join_failures_total{reason="msg_channel_suspended"}'] == 2  # and after the stop
    assert now["shoal_join_answer_seconds_count"] == 4 * len(NAMES)
    assert now["shoal_join_wait_seconds_count"] >= 4 * len(NAMES) + 2
    shards = len(busy.cluster.shards())
    assert now['shoal_connections{state="ready"}'] == shards
    assert now['shoal_reconnects_total{cause="asked"}'] == now['shoal_reconnects_total{cause="lost"}'] == shards
    assert now['shoal_gaps_total{reason="not_joined"}'] == len(busy.cluster.events("gap")) == 3 * len(NAMES)


def test_sends_are_counted_by_their_results(busy):
    now = metrics(busy.node)
    assert sorted(busy.results) == ["rejected"] * 2 + ["sent"] * 4
    for result in ("sent", "rejected", "expired", "unknown"):
        assert now[f'shoal_sends_total{{result="{result}"}}'] == busy.results.count(result)
    assert now["shoal_send_seconds_count"] == len(busy.results)


def test_the_lease_and_redis_are_as_they_are(busy):
    now = metrics(busy.node)
    assert now["shoal_redis_up"] == now["shoal_node_sees_twitch"] == now['shoal_node_state{state="active"}'] == 1
    assert sum(v for k, v in now.items() if k.startswith("shoal_node_state{")) == 1
    assert now["shoal_lease_renewals_total"] == now["shoal_redis_round_trip_seconds_count"] > 3
    assert now["shoal_lease_failures_total"] == now["shoal_lease_fenced_total"] == now["shoal_lease_lost_total"] == 0
    assert 0 < now["shoal_lease_margin_seconds"] <= 1.8
    renewals = "shoal_lease_renewals_total"
    wait_until(lambda: metrics(busy.node)[renewals] > now[renewals], 5, "one more")


def test_no_counter_went_back_when_connections_were_made_anew(busy):
    now = counters(busy.node)
    for earlier in busy.earlier:
        assert earlier.keys() <= now.keys()
        assert {name: (was, now[name]) for name, was in earlier.items() if now[name] < was} == {}


def test_a_node_that_does_its_work_is_ready_whatever_became_of_a_join(busy):
    assert readiness(busy.node) == (200, "ready\n")


# What changes --------------------------------------------------------------------------------------------


def test_a_node_that_lost_its_shards_shows_them_no_more_and_counts_on(bare):
    bare.start_redis()
    bare.start_sim("--verified")
    bare.start_coordinator(lease_ms=1000)
    wait_until(bare.leader, 10, "a coordinator leads")
    lost = bare.start_node(args=LISTEN)
    bare.join(*NAMES)
    chat = bare.subscribe(bare.topic("chat:*"))
    bare.chat_flows(chat, *NAMES)
    bare.start_node("n2")
    wait_until(lambda: len(bare.nodes()) == 2, 10, "the other node is there")
    before = counters(lost)
    lost.pause()
    wait_until(lambda: all(s["node"] == "n2" for s in bare.shards().values()), 15, "another one has them")
    lost.resume()
    wait_until(lambda: metrics(lost)["shoal_lease_lost_total"] == 1, 10, "it has learned of it")
    wait_until(lambda: metrics(lost)['shoal_node_state{state="active"}'] == 1, 10, "it is a node again")
    assert "shoal_shard_" not in text_of(lost)
    now = counters(lost)
    back = {k: (v, now.get(k)) for k, v in before.items() if "shoal_shard_" not in k[0] and now[k] < v}
    assert back == {}
    becomes_ready(lost)  # a node without shards is


def test_what_did_not_fit_is_counted_as_it_is_told(bare):
    bare.start_redis(*PATIENT_REDIS)
    bare.start_sim("--verified")
    bare.start_coordinator(lease_ms=5000)
    wait_until(bare.leader, 10, "a coordinator leads")
    node = bare.start_node(args=(*LISTEN, "--buffer-bytes", "64k"))
    bare.join(*NAMES)
    bare.redis_process.pause()
    bare.sim.control("generate count=2000 rate=0 seed=4 only=privmsg")
    bare.sim.control("wait generate ms=10000")
    wait_until(lambda: metrics(node)["shoal_twitch_lines_total"] > 2000, 10, "all is read")
    full = metrics(node)
    assert 48 << 10 < full["shoal_fanout_buffer_bytes"] <= full["shoal_fanout_buffer_limit_bytes"] == 64 << 10
    assert full["shoal_fanout_held_lines"] > 50
    bare.redis_process.resume()
    wait_until(lambda: len(bare.events("gap")) == len(NAMES), 15, "it is told")
    told_of = 'shoal_gaps_total{reason="buffer_full"}'
    wait_until(lambda: metrics(node)[told_of] == len(NAMES), 5, "a text made after that")
    now = metrics(node)
    told = sum(int(gap["lines"]) for gap in bare.events("gap"))
    assert now['shoal_gap_lines_total{reason="buffer_full"}'] == now["shoal_fanout_dropped_lines_total"] == told > 100
    assert now["shoal_fanout_lines_total"] + told == 2000
    assert now["shoal_fanout_buffer_bytes"] == 0


def test_a_node_is_ready_when_twitch_has_confirmed_its_channels(bare):
    bare.start_redis()
    bare.start_sim("--verified")
    bare.start_coordinator(join_limit=2, join_window_ms=1000)
    node = bare.start_node(args=LISTEN)
    wait_until(bare.is_set_up, 10, "the cluster is set up")
    becomes_ready(node)
    assert bare.request("join", channels=" ".join(f"room{i}" for i in range(6)))["ok"]
    becomes_unready(node, "channels are not joined yet\n")
    assert not bare.joined()
    becomes_ready(node)
    assert metrics(node)['shoal_channels{state="joined"}'] == 6


def test_a_node_that_does_not_do_its_work_says_why(cluster):
    node = cluster.start_node(args=LISTEN)
    cluster.join("alice")
    becomes_ready(node)
    cluster.sim.control("outage on")
    cluster.sim.control("disconnect all how=reset")
    becomes_unready(node, "shard initial-shard-1 is backoff: ")
    cluster.sim.control("outage off")
    becomes_ready(node)
    cluster.redis_process.pause()
    becomes_unready(node, "the node is fenced\n")
    node.signal(signal.SIGTERM)
    becomes_unready(node, "the node is draining\n")
    assert metrics(node)['shoal_node_state{state="draining"}'] == 1
    assert metrics(node)["shoal_redis_up"] == 0
    cluster.redis_process.resume()
    node.stop()
