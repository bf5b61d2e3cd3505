"""What is wrong with a Redis is told: by shoalctl doctor and status, and by the coordinator that begins to lead."""

import re

import pytest

from processes import wait_until


def right(server):
    """A Redis as the README wants it."""
    return server("--appendonly", "yes")


def findings(cluster, code):
    done = cluster.ctl("--json", "doctor", check=False)
    assert done.returncode == code, done.stdout + done.stderr
    rows = {row["what"]: row for row in cluster.ctl_json("doctor", check=False)}
    assert all(row["mend"] for row in rows.values() if row["verdict"] == "wrong")
    return {what: row["verdict"] for what, row in rows.items()}


def told(cluster, coordinator):
    """What the leader has said: (by log, by event)."""
    by_log = re.findall(r" warn coordinator redis\.unsafe what=(\w+)", coordinator.text())
    by_event = [e["error"].split(":")[0] for e in cluster.events("error") if e["where"] == "redis"]
    return sorted(by_log), sorted(by_event)


def test_a_redis_that_does_is_told_as_that(bare):
    right(bare.start_redis)
    coordinator = bare.start_coordinator()
    wait_until(bare.leader, 10, "one leads")
    assert set(findings(bare, 0).values()) == {"ok"}
    assert set(findings(bare, 0)) == {"version", "role", "memory", "persistence", "timeout", "subscribers", "clock", "cluster", "history"}
    assert bare.ctl("doctor").stdout.splitlines()[0].startswith("ok        version       Redis ")
    assert told(bare, coordinator) == ([], [])


def test_what_is_wrong_is_told_with_its_mend_in_log_event_and_status(bare):
    bare.start_redis("--maxmemory-policy", "allkeys-lru", "--timeout", "300",
                     "--client-output-buffer-limit", "pubsub 1mb 1mb 1")  # fmt: skip
    coordinator = bare.start_coordinator()
    wrong = ["memory", "persistence", "subscribers", "timeout"]
    wait_until(lambda: told(bare, coordinator) == (wrong, wrong), 10, "all of it is told")
    verdicts = findings(bare, 1)
    assert sorted(what for what, verdict in verdicts.items() if verdict == "wrong") == wrong
    said = bare.ctl("doctor", check=False).stdout
    for mend in ("maxmemory-policy noeviction", "appendonly yes", "timeout 0", "pubsub 33554432"):
        assert mend in said
        assert any(mend in text for text in bare.problems("redis_misconfigured")), mend


def test_so_much_history_that_it_fills_redis_is_told(bare):
    bare.start_redis("--appendonly", "yes", "--maxmemory", "100mb")
    bare.start_coordinator()
    wait_until(bare.leader, 10, "one leads")
    assert findings(bare, 1)["history"] == "wrong"
    assert "history_bytes is 67108864, more than half of maxmemory (104857600)" in bare.ctl("doctor", check=False).stdout
    bare.ctl("config", "set", "history_bytes", "33554432")
    assert findings(bare, 0)["history"] == "ok"
    bare.ctl("config", "set", "history_bytes", "1073741824")
    bare.ctl("config", "set", "history_ms", "off")
    assert findings(bare, 0)["history"] == "ok"
    assert "no chat is kept" in bare.ctl("doctor").stdout


def test_snapshots_alone_are_told_as_too_little(bare):
    bare.start_redis("--save", "3600 1")
    assert findings(bare, 1)["persistence"] == "wrong"
    assert "snapshots alone" in bare.ctl("doctor", check=False).stdout


def test_where_config_is_forbidden_that_is_said_once_and_is_nothing_wrong(bare):
    server = right(bare.start_redis)
    bare.redis.acl_setuser("limited", enabled=True, passwords=["+pw"], keys=["*"], channels=["*"],
                           commands=["+@all", "-config", "-select"])  # fmt: skip
    bare.redis_url = f"redis://limited:pw@127.0.0.1:{server.port}"
    coordinator = bare.start_coordinator()
    wait_until(bare.leader, 10, "one leads")
    verdicts = findings(bare, 0)
    assert verdicts["settings"] == verdicts["cluster"] == "unknown", verdicts
    assert verdicts["persistence"] == "ok" and "timeout" not in verdicts
    wait_until(lambda: "redis.unknown" in coordinator.text(), 10, "it is said")
    assert coordinator.text().count("redis.unknown what=settings") == 1
    assert told(bare, coordinator) == ([], [])


@pytest.mark.parametrize("here", ["0", "3"])
def test_a_live_cluster_of_the_same_name_in_another_database_is_told(bare, here):
    right(bare.start_redis)
    url = bare.redis_url
    other = "5"
    bare.redis_url = f"{url}/{other}"
    first = bare.start_coordinator("first")
    wait_until(lambda: "leader.won" in first.text() or "lead" in first.text(), 10, "the other one leads")
    bare.redis_url = f"{url}/{here}"
    second = bare.start_coordinator("second")
    wait_until(lambda: "what=cluster" in second.text(), 10, "it is told")
    assert f"in database {other} too" in second.text()
    done = bare.ctl("doctor", check=False)
    assert done.returncode == 1 and f"in database {other} too" in done.stdout and "--cluster" in done.stdout


def test_functions_that_are_not_there_are_told(bare):
    right(bare.start_redis)
    assert findings(bare, 1)["functions"] == "wrong"
    assert "start a shoal-coordinator" in bare.ctl("doctor", check=False).stdout
