"""Room lines reach subscribers exactly once, byte for byte, in the order of each channel."""

import json
import signal
import time

import pytest

from certificates import Certificates
from chat import PATIENT_REDIS, entries, fanned_out, finish, heard_by
from http_raw import ask, port_of
from processes import wait_until
from shoal import REMEMBERS


class Rooms:
    """A cluster that reads channels of a recording simulator, and a subscriber to all their chat."""

    def __init__(self, cluster, names, nodes=1, sim=(), redis=(), tls=None, **settings):
        self.cluster = cluster
        self.names = names
        self.record = cluster.directory / "record"
        if cluster.redis is None:
            cluster.start_redis(*PATIENT_REDIS, *redis, tls=tls)
        cluster.start_sim("--verified", "--limits-off", "--record", self.record, *sim, tls=tls)
        cluster.start_coordinator(**settings)
        wait_until(cluster.leader, 10, "a coordinator leads")
        self.nodes = [f"n{i + 1}" for i in range(nodes)]
        for node in self.nodes:
            cluster.start_node(node)
        wait_until(lambda: len(cluster.nodes()) == nodes, 10, f"{nodes} nodes are there")
        self.chat = cluster.subscribe(cluster.topic("chat:*"))
        cluster.join(*names)

    def flood(self, count, rate=0, **more):
        """Begin `count` lines; rate 0: as fast as the slowest reads."""
        words = "".join(f" {key}={value}" for key, value in more.items())
        self.cluster.sim.control(f"generate count={count} rate={rate}{words}")

    def flooding(self):
        return self.cluster.sim.control("stats channels=0")["generate"]["running"]

    def finish(self, timeout=50, kept=True):
        """The flood ends; all it said was heard, and nothing else. How many lines."""
        self.cluster.sim.control(f"wait generate ms={timeout * 1000}")
        lines = finish(self.cluster, self.chat, self.names, self.record, kept=kept)
        assert fanned_out(self.cluster) == lines
        return lines


def names(n, prefix="room"):
    return [f"{prefix}{i}" for i in range(n)]


def test_a_flood_over_three_nodes_is_heard_once_and_in_order(bare):
    rooms = Rooms(bare, names(60), nodes=3, channels_per_shard=10)
    assert {shard["node"] for shard in bare.shards().values()} == set(rooms.nodes)

    rooms.flood(200_000)

    assert rooms.finish() == 200_060


def test_connection_lines_are_never_heard(bare):
    rooms = Rooms(bare, ["alice", "bob"])
    connection = bare.sim.control

    for line in (
        ":shoalbot!shoalbot@shoalbot.tmi.twitch.tv JOIN #alice",
        ":shoalbot.tmi.twitch.tv 353 shoalbot = #alice :shoalbot",
        ":shoalbot.tmi.twitch.tv 366 shoalbot #alice :End of /NAMES list",
        "@mod=0 :tmi.twitch.tv USERSTATE #alice",
        "@emote-only=0;followers-only=-1;r9k=0;room-id=1;slow=0;subs-only=0 :tmi.twitch.tv ROOMSTATE #alice",
        "@msg-id=msg_ratelimit :tmi.twitch.tv NOTICE #alice :too quickly",
        ":tmi.twitch.tv NOTICE * :hello",
        ":tmi.twitch.tv HOSTTARGET",
        "PING :are you there",
    ):
        connection(f"raw all line={line}")
    room = (
        "@room-id=1;slow=5 :tmi.twitch.tv ROOMSTATE #alice",
        "@msg-id=slow_on :tmi.twitch.tv NOTICE #alice :slow",
        ":other!other@other.tmi.twitch.tv JOIN #alice",
        "@x=1 :tmi.twitch.tv SOMETHINGNEW #alice :of the room",
    )
    for line in room:
        connection(f"raw all line={line}")
    bare.redis.publish(bare.topic("send:alice"), "/unknown")
    bare.redis.publish(bare.topic("send:alice"), "said")
    rooms.chat.wait_for(lambda topic, line: line.endswith(b":said"))
    connection("inject bob line=:x!x@x PRIVMSG #bob :last")
    rooms.chat.wait_for(lambda topic, line: line.endswith(b":last"))

    lines = heard_by(rooms.chat)["alice"]
    assert lines[: len(room)] == [line.encode() for line in room]
    assert all(b"PRIVMSG #alice" in line for line in lines[len(room) :])
    assert len(lines) == len(room) + 2


@pytest.mark.parametrize(
    "frames",
    [
        pytest.param(("--cut", 97), id="lines cut over frames"),
        pytest.param(("--coalesce", 50), id="many lines in a frame"),
        pytest.param(("--fragment", 61, "--coalesce", 5), id="fragments"),
    ],
)
def test_lines_are_whole_however_twitch_frames_them(bare, frames):
    rooms = Rooms(bare, names(10), sim=frames)

    rooms.flood(10_000)

    assert rooms.finish() == 10_010


def test_tls_to_twitch_and_to_redis_with_a_private_authority(bare, tmp_path):
    rooms = Rooms(bare, names(10), tls=Certificates(tmp_path / "tls"))
    assert rooms.cluster.sim.control("connections")["connections"][0]["tls"]
    assert bare.redis_url.startswith("rediss://")

    rooms.flood(10_000)

    assert rooms.finish() == 10_010


def test_a_twitch_of_an_unknown_authority_is_not_spoken_to(bare, tmp_path):
    bare.start_redis()
    bare.start_sim("--verified", "--limits-off", tls=Certificates(tmp_path / "tls"))
    bare.sim.ca = Certificates(tmp_path / "other").ca
    bare.start_coordinator()
    bare.start_node("n1")

    error = wait_until(
        lambda: next((s["error"] for s in bare.shards().values() if s.get("error")), None), 15, "an error"
    )

    assert "TLS" in error or "SSL" in error
    assert bare.sim.control("stats channels=0")["logins"]["ok"] == 0


def test_two_clusters_on_one_redis_do_not_disturb_each_other(bare):
    one = Rooms(bare, names(5), sim=("--seed", 1))
    with bare.beside("other") as cluster:
        other = Rooms(cluster, names(5), sim=("--seed", 2))

        one.flood(10_000)
        other.flood(10_000)
        for redis_name, rooms in (("main", one), ("other", other)):
            assert rooms.finish() == 10_005
            assert {topic.split(":")[1] for topic, _ in rooms.chat.messages} == {redis_name}
        assert cluster.request("part", channels=",".join(names(5)))["ok"]
        assert cluster.channels() == {}
        assert bare.joined(*names(5))


@pytest.mark.parametrize("how", ["CLIENT PAUSE", "SIGSTOP"])
def test_a_redis_that_stands_still_costs_no_line(bare, how):
    rooms = Rooms(bare, names(10), nodes=2, channels_per_shard=5)
    rooms.flood(20_000, rate=5000)
    wait_until(lambda: len(rooms.chat.messages) > 2000, 10, "the flood is on")

    if how == "SIGSTOP":
        bare.redis_process.pause()
        # Longer than the lease: the nodes are fenced, and go on when Redis says that they are current.
        logs = [bare.processes[node] for node in rooms.nodes]
        wait_until(lambda: all("lease.fenced" in log.text() for log in logs), 10, "the nodes are fenced")
        assert len(rooms.chat.messages) < 20_000
        bare.redis_process.resume()
    else:
        bare.redis.client_pause(2500, all=True)

    assert rooms.finish() == 20_010
    assert not bare.events("gap")


def test_a_fanout_link_that_is_killed_again_and_again_costs_no_line(bare):
    rooms = Rooms(bare, names(10), nodes=2, channels_per_shard=5)
    killed = heard = 0
    rooms.flood(60_000)

    while len(rooms.chat.messages) < 60_000:
        # In the middle of what flows, so that some of it was said and not yet answered.
        if len(rooms.chat.messages) > heard + 2000:
            heard = len(rooms.chat.messages)
            links = [bare.node(node).get("link") for node in rooms.nodes]
            killed += sum(bare.redis.client_kill_filter(_id=link) for link in links if link)

    assert rooms.finish() == 60_010
    assert killed >= 6
    assert not bare.events("gap")


def test_something_else_at_the_key_of_seq_doubles_no_line_is_told_and_mended(bare):
    rooms = Rooms(bare, names(10), lease_ms=1000)
    key = bare.key("fan:n1")
    node = bare.processes["n1"]
    rooms.flood(6_000, rate=2000)
    wait_until(lambda: len(rooms.chat.messages) > 1000, 10, "chat is on")

    bare.redis.set(key, "junk")
    wait_until(lambda: bare.redis.type(key) == "hash", 10, "a renewal removed it, and seq is written again")

    assert rooms.finish() == 6_010
    assert not bare.events("gap")
    told = [line for line in node.text().splitlines() if "fanout.seq" in line]
    assert len(told) == 1 and key in told[0] and "DEL" in told[0], told


def test_a_redis_killed_and_restarted_costs_no_line(bare):
    rooms = Rooms(bare, names(10), nodes=2, channels_per_shard=5, redis=REMEMBERS)
    rooms.flood(6_000, rate=1500)
    wait_until(lambda: len(rooms.chat.messages) > 1000, 10, "chat is on")

    bare.restart_redis()

    assert rooms.finish() == 6_010
    assert not bare.events("gap")


def test_gaps_are_told_when_subscribers_had_the_time_to_be_back(bare):
    rooms = Rooms(bare, names(3), redis=REMEMBERS, resume_delay_ms=2000, lease_ms=20000)
    events = bare.subscribe(bare.topic("events"))
    bare.redis_process.kill()
    bare.sim.control("disconnect all")
    down_at = time.time() * 1000
    bare.restart_redis()
    up_at = time.time() * 1000

    for _ in rooms.names:
        events.wait_for(lambda topic, payload: b'"gap"' in payload)
    gaps = bare.events("gap")
    assert gaps and min(gap["at"] for gap in gaps) > down_at + 1900
    assert max(gap["to"] for gap in gaps) < up_at + 1800, "they were over long before"


@pytest.mark.parametrize("stopped", ["while Redis is away", "when Redis is back"])
def test_a_node_that_leaves_when_redis_was_away_waits_for_subscribers_too(bare, stopped):
    rooms = Rooms(bare, names(3), redis=REMEMBERS, resume_delay_ms=3000, lease_ms=20000)
    node = bare.processes["n1"]
    node.expected_to_end = True
    bare.redis_process.kill()
    for name in rooms.names:
        bare.inject(name, "said while Redis was away")
    if stopped == "while Redis is away":
        node.signal(signal.SIGTERM)
    bare.restart_redis()
    wait_until(lambda: "redis.up" in node.text(), 10, "the node is back")
    if stopped == "when Redis is back":
        node.signal(signal.SIGTERM)
    wait_until(lambda: "to=draining" in node.text(), 10, "it leaves")

    late = bare.subscribe(bare.topic("chat:*"))

    for _ in rooms.names:
        late.wait_for(lambda topic, payload: b"said while Redis was away" in payload)
    assert node.wait(10) == 0


def test_a_node_that_leaves_waits_for_subscribers_no_longer_than_its_drain_timeout(bare):
    rooms = Rooms(bare, names(3), redis=REMEMBERS, resume_delay_ms=60000, lease_ms=20000)
    node = bare.start_node("n2", args=("--drain-timeout", "2s", "--http-listen", "127.0.0.1:0"))
    wait_until(lambda: len(bare.nodes()) == 2, 10, "another node is there")

    def holds(lines):
        request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
        return f"\nshoal_fanout_held_lines {lines}\n".encode() in ask(port_of(node), request).body

    bare.processes["n1"].stop()
    wait_until(lambda: {shard["node"] for shard in bare.shards().values()} == {"n2"}, 10, "it holds all shards")
    wait_until(lambda: bare.inject("room0", "hello") == 1, 10, "it reads the channel")
    wait_until(lambda: any(line.endswith(b":hello") for _, line in list(rooms.chat.messages)), 10, "that is published")
    wait_until(lambda: holds(0), 10, "and answered, which is after it is told to subscribers")
    node.expected_to_end = True
    bare.redis_process.kill()
    bare.inject("room0", "said while Redis was away")
    wait_until(lambda: holds(1), 10, "it is held")
    node.signal(signal.SIGTERM)
    bare.restart_redis()

    assert node.wait(15) == 0
    assert "took longer than --drain-timeout" in node.text()


def test_chat_flows_while_redis_is_full(bare):
    rooms = Rooms(bare, names(10), nodes=2, channels_per_shard=5, lease_ms=20000)
    rooms.flood(20_000, rate=4000)
    for full in (True, False, True):
        heard = len(rooms.chat.messages)
        bare.redis.config_set("maxmemory", 1 if full else 0)
        wait_until(lambda heard=heard: len(rooms.chat.messages) > heard + 4000, 10, "chat flows on")
    bare.redis.config_set("maxmemory", 0)

    assert rooms.finish(kept=False) == 20_010
    assert not bare.events("gap")
    wait_until(lambda: bare.events("history.not_kept"), 10, "that chat was not kept is told")
    told = [json.loads(fields[b"gap"]) for _, fields in entries(bare) if b"gap" in fields]
    assert [gap["reason"] for gap in told] == ["not_kept"] * len(bare.events("history.not_kept"))
