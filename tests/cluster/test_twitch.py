"""What Twitch, or a hostile server in its place, answers: told, counted, outlived."""

import pytest

from certificates import Certificates

from shoal import wait_until


def errors(cluster):
    return [shard.get("error", "") for shard in cluster.shards().values()]


def quiet(cluster):
    """Nobody was replaced or fenced, however long the waiting was."""
    return not [e for e in cluster.events() if e["event"] in ("node.fenced", "node.lost", "node.expired")]


@pytest.mark.parametrize("scheme, status", [("ws", 301), ("ws", 302), ("ws", 403), ("ws", 429), ("ws", 503),
                                            ("ws", 200), ("wss", 307), ("wss", 308)])  # fmt: skip
def test_an_upgrade_answered_by_http_is_told_and_tried_again(bare, tmp_path, scheme, status):
    bare.start_redis()
    sim = bare.start_sim("--verified", tls=Certificates(tmp_path / "tls") if scheme == "wss" else None)
    elsewhere = bare.start_sim("--verified", name="elsewhere")
    where = elsewhere.url if status in (302, 308) else "ws://no-such-name.invalid:80/"
    refuse = f"upgrade status={status}" + (f" location={where}" if 300 < status < 400 else "")
    sim.control(refuse)
    bare.start_coordinator()
    node = bare.start_node()
    bare.request("join", channels="alice")
    wait_until(lambda: errors(bare) and all(f"HTTP status {status}" in e for e in errors(bare)), 10, "it is told")
    wait_until(lambda: sim.control.stats()["connections"]["refused"] >= 2, 15, "it is tried again")
    assert elsewhere.control.stats()["connections"]["total"] == 0
    assert sim.control.stats()["connections"]["refused"] <= 4  # at once, 1, 2 s: an ordinary backoff

    sim.control("upgrade ok")
    wait_until(lambda: bare.joined("alice"), 20, "it works again")
    sim.control(refuse)
    sim.control("disconnect all")
    wait_until(lambda: errors(bare) and f"HTTP status {status}" in errors(bare)[0], 10, "it is told again")
    assert quiet(bare)
    assert node.stop(5) == 0
