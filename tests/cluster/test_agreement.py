"""What the keys in Redis, shoalctl, /metrics of both coordinators and the JSON API say at the same moment is the same:
under chat, while channels are being joined."""

import json
import re
from collections import Counter

import pytest

from http_raw import ask, port_of
from processes import wait_until
from shoal import Cluster, REMEMBERS, USER

STATES = ("waiting", "assigned", "queued", "joining", "joined", "failed")
WINDOW_MS = 3000


@pytest.fixture(scope="module")
def busy(tmp_path_factory):
    """Two coordinators, two nodes, and 200 lines of chat a second; ten joins in three seconds."""
    with Cluster(tmp_path_factory.mktemp("agreement")) as cluster:
        cluster.start_redis(*REMEMBERS)
        cluster.start_sim("--verified", "--rate", "200")
        settings = {"channels_per_shard": 5, "max_shard_count": 20, "join_limit": 10, "join_window_ms": WINDOW_MS}
        cluster.start_coordinator("c1", **settings)
        wait_until(lambda: cluster.leader() == "c1", 10, "c1 leads")
        cluster.start_coordinator("c2", **settings)
        cluster.start_node("n1")
        cluster.start_node("n2")
        wait_until(lambda: len(cluster.nodes()) == 2, 10, "both nodes are up")
        cluster.sim.control("ban gone user=shoalbot")
        cluster.ask("join", channels=" ".join([*(f"room{i}" for i in range(48)), "gone"]))
        wait_until(lambda: len(cluster.channels()) == 49, 10, "they are assigned")
        # The nodes have told of each: how many there are they tell before.
        wait_until(lambda: "assigned" not in {cluster.channel(c)["state"] for c in cluster.channels()}, 10, "they are told")
        yield cluster


# The same of each source, by name ----------------------------------------------------------------------


def by_keys(cluster):
    """What stands in Redis, as people who read it with a client of their own see it."""
    r, key = cluster.redis, cluster.key
    channels = Counter(cluster.channel(name)["state"] for name in cluster.channels())
    shards = cluster.shards()
    nodes = {name: cluster.node(name) for name in cluster.nodes()}
    return {
        "at": r.time()[0] * 1000 + r.time()[1] // 1000,
        "leader": cluster.leader(),
        "nodes": {name: (node["state"], r.zcard(key(f"node:{name}:shards"))) for name, node in nodes.items()},
        "rates": {name: node.get("lines_s") for name, node in nodes.items()},
        "shards": {name: (shard["node"], shard["state"]) for name, shard in shards.items()},
        "load": {name: int(score) for name, score in r.zrange(key("load"), 0, -1, withscores=True)},
        "joined": {name: int(shard["joined"]) for name, shard in shards.items()},
        "channels": {state: channels[state] for state in STATES},
        "rooms": r.scard(key(f"rooms:{USER}")),
        "slots": [int(at) for at in r.lrange(key(f"budget:{USER}:join"), 0, -1)],
        "homeless": r.scard(key("homeless")),
    }


def joins_used(keys, at):
    """Slots in the window that ends then."""
    return sum(slot + WINDOW_MS > at for slot in keys["slots"])


def by_document(document, keys):
    budgets = {budget["budget"]: budget for budget in document["budgets"]}
    assert budgets["join"]["limit"] == 10 and budgets["join"]["used"] == joins_used(keys, document["at"])
    assert budgets["rooms"]["used"] == document["readers"][0]["rooms"]
    assert document["channels"] == sum(document["states"].values())
    return {
        "leader": document["leader"]["id"],
        "nodes": {node["node"]: (node["state"], node["shards"]) for node in document["nodes"]},
        "shards": {shard["shard"]: (shard["node"], shard["state"]) for shard in document["shards"]},
        "load": {shard["shard"]: shard["channels"] for shard in document["shards"]},
        "joined": {shard["shard"]: shard["joined"] for shard in document["shards"]},
        "channels": {state: document["states"].get(state, 0) for state in STATES},
        "rooms": document["readers"][0]["rooms"],
        "homeless": document["homeless"],
    }


def by_metrics(rows, keys):
    assert rows['shoal_budget_used{budget="join"}'] == joins_used(keys, rows_at(rows))
    states = Counter(state for state, _ in keys["nodes"].values())
    assert all(rows[f'shoal_cluster_nodes{{state="{state}"}}'] == n for state, n in states.items())
    return {
        "nodes": {name: rows[f'shoal_cluster_node_shards{{node="{name}"}}'] for name in keys["nodes"]},
        "shards": rows["shoal_cluster_shards"],
        "channels": {state: rows[f'shoal_cluster_channels{{state="{state}"}}'] for state in STATES},
        "rooms": rows[f'shoal_account_rooms{{account="{USER}"}}'],
        "homeless": rows["shoal_cluster_shards_homeless"],
        "leader": rows["shoal_cluster_leader"],
    }


def rows_at(rows):
    return round(rows["shoal_cluster_read_timestamp_seconds"] * 1000)


# Asking ------------------------------------------------------------------------------------------------


def get(cluster, coordinator, path):
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    return ask(port_of(cluster.processes[coordinator]), request)


def metrics(cluster, coordinator):
    text = get(cluster, coordinator, "/metrics").body.decode()
    return {name: float(value) for name, value in re.findall(r"^(shoal_\S*(?:\{.*\})?) (\S+)$", text, re.MULTILINE)}


def api(cluster, coordinator):
    answer = get(cluster, coordinator, "/api/v1/status")
    assert answer.status == 200, answer.body
    return json.loads(answer.body)


def since(at, ask_now, at_of):
    """What is read then or later: what others asked for may be a second old."""
    return wait_until(lambda: (told := ask_now()) and at_of(told) >= at and told, 5, "a fresh answer")


def still(keys):
    return {name: value for name, value in keys.items() if name not in ("at", "rates")}


def moment(cluster):
    """All of them between two equal readings of the keys; None: the keys changed meanwhile."""
    keys = by_keys(cluster)
    documents = [cluster.status()]
    documents += [since(keys["at"], lambda c=c: api(cluster, c), lambda d: d["at"]) for c in ("c1", "c2")]
    rows = [since(keys["at"], lambda c=c: metrics(cluster, c), rows_at) for c in ("c1", "c2")]
    after = by_keys(cluster)
    if still(keys) != still(after):
        return None
    return {**keys, "rates": keys["rates"] if keys["rates"] == after["rates"] else None}, documents, rows


def agree(keys, documents, rows):
    for document in documents:
        told = by_document(document, keys)
        assert told == {name: keys[name] for name in told}
    expected = {
        "nodes": {name: shards for name, (_, shards) in keys["nodes"].items()},
        "shards": len(keys["shards"]),
        "channels": keys["channels"],
        "rooms": keys["rooms"],
        "homeless": keys["homeless"],
        "leader": 1,
    }
    for told in rows:
        assert by_metrics(told, keys) == expected


def test_all_say_the_same_while_channels_are_joined_under_chat(busy):
    seen = []

    def another():
        found = moment(busy)
        if found:
            agree(*found)
            seen.append(found[0]["channels"])
        return len({channels["joined"] for channels in seen}) >= 3

    wait_until(another, 60, "three moments on the way")
    on_the_way = [channels for channels in seen if channels["joined"] < 48]
    assert any(channels["joined"] and channels["queued"] + channels["assigned"] for channels in on_the_way), seen


def test_rates_are_those_that_stand_in_redis(busy):
    wait_until(lambda: busy.joined(*(name for name in busy.channels() if name != "gone")), 40, "all are joined")

    def found():
        one = moment(busy)
        rates = one and one[0]["rates"]
        return rates and all(rates.values()) and one

    keys, documents, rows = wait_until(found, 40, "the rates rest for a moment")
    agree(keys, documents, rows)
    assert keys["channels"]["failed"] == 1
    for document in documents:
        assert {node["node"]: node["lines_s"] for node in document["nodes"]} == {n: int(v) for n, v in keys["rates"].items()}
    for told in rows:
        assert {n: told[f'shoal_cluster_node_lines_per_second{{node="{n}"}}'] for n in keys["rates"]} == {
            n: int(v) for n, v in keys["rates"].items()
        }
