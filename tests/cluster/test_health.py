"""Placement by health: what a node that is not well keeps, what is taken from it, and what is said of it."""

import contextlib
import signal
import socket
import threading
import time

import pytest

from chat import PATIENT_REDIS, finish
from proxy import Proxy
from processes import free_port, wait_until
from shoal import TOKEN, USER
from test_restart import begin, gaps, lines_of, placed

NAMES = ("alice", "bob", "carol", "dave")
LEASE = 1000  # ms


# Redis out of reach -------------------------------------------------------------------------------------


@pytest.fixture
def proxy(bare):
    bare.start_redis(*PATIENT_REDIS)
    proxy = Proxy(bare.redis_process.port)
    yield proxy
    proxy.close()


def test_nodes_that_are_cut_off_from_redis_together_keep_their_shards_and_what_they_read(bare, proxy):
    record = bare.directory / "said"
    env = {"SHOAL_REDIS_URL": proxy.url}
    bare.start_sim("--verified", "--record", record)
    bare.start_coordinator(channels_per_shard=2, lease_ms=LEASE)
    for name in ("n1", "n2"):
        bare.start_node(name, env=env)
    wait_until(lambda: len(bare.nodes()) == 2, 10, "nodes are there")
    bare.join(*NAMES)
    chat = bare.subscribe(bare.topic("chat:*"))
    was = placed(bare)
    bare.sim.control("generate rate=200 count=1200 only=privmsg")
    wait_until(lambda: len(chat.messages) > 100, 10, "lines flow")
    proxy.cut()
    wait_until(lambda: len(bare.events("node.silent")) == 2, 10, "both are missed")
    bare.sim.control("wait generate ms=10000")  # some leases later
    proxy.heal()
    assert finish(bare, chat, NAMES, record) > 1200
    assert placed(bare) == was
    assert not bare.events("node.lost") and not bare.events("node.expired") and not bare.events("gap")


def test_a_node_that_is_silent_is_shown_so(bare):
    begin(bare, nodes=("n1",), names=("alice",), lease_ms=LEASE)
    bare.processes["n1"].kill()
    wait_until(lambda: bare.events("node.silent"), 10, "it is missed")
    (node,) = bare.ctl_json("nodes")
    assert (node["node"], node["state"]) == ("n1", "silent")
    assert any("node n1" in text for text in bare.problems())


# Leaving ------------------------------------------------------------------------------------------------


def test_the_gap_of_an_orderly_leave_begins_with_the_last_line_read(bare):
    chat = begin(bare, names=NAMES, lease_ms=3000)
    was = placed(bare)
    bare.sim.control("generate rate=400 count=8000 only=privmsg")
    wait_until(lambda: sum(map(len, lines_of(chat).values())) > 800, 10, "lines flow")
    moved = {c for c, shard in bare.channels().items() if was[shard][0] == "n1"}
    asked_at = time.time() * 1000
    assert bare.processes["n1"].stop() == 0
    wait_until(lambda: set(gaps(bare)) == moved, 10, "what was missed is told")
    bare.sim.control("stop")
    for gap in gaps(bare).values():
        assert asked_at - 50 < gap["from"] < gap["to"], "nothing that was read is told as missing"


# Twitch out of reach ------------------------------------------------------------------------------------


class Silent:
    """A port that takes connections and says nothing."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.url = f"ws://127.0.0.1:{self.listener.getsockname()[1]}"

    def close(self):
        self.listener.close()


class Relay:
    """A port before the simulator that refuses, until it is opened; one can close it again."""

    def __init__(self, port):
        self.target = port
        self.port = free_port()
        self.url = f"ws://127.0.0.1:{self.port}"
        self.listener = None
        self.ends = []

    def open(self):
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=100)
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def close(self):
        if self.listener:
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
            self.listener = None
        for end in self.ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self.ends.clear()

    def _accept(self, listener):
        while True:
            try:
                here, _ = listener.accept()
                there = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                return
            self.ends += [here, there]
            for source, sink in ((here, there), (there, here)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    @staticmethod
    def _pump(source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)


BLIND = 1500  # ms


def start(cluster, **urls):
    """Redis, the simulator, a coordinator, nodes with these URLs of Twitch (None: the simulator)."""
    cluster.start_redis()
    cluster.start_sim("--verified")
    cluster.start_coordinator(channels_per_shard=1, blind_ms=BLIND)
    for name, url in urls.items():
        add(cluster, name, url)


def add(cluster, name, url=None, **more):
    cluster.start_node(name, args=["--twitch-url", url] if url else [], **more)
    wait_until(lambda: name in cluster.nodes(), 10, f"{name} is registered")


def state(cluster, name):
    return cluster.node(name).get("state")


def on(cluster, name):
    return sorted(shard for shard, (node, _) in placed(cluster).items() if node == name)


@pytest.fixture
def silent():
    silent = Silent()
    yield silent
    silent.close()


@pytest.mark.parametrize(
    "where, why",
    [("refused", "refused"), ("silent", "no answer"), ("name", "resolve")],
)
@pytest.mark.limit(180)
def test_a_node_that_does_not_reach_twitch_is_blind_and_gives_its_shards_away(bare, silent, where, why):
    start(bare)
    url = {"refused": f"ws://127.0.0.1:{free_port()}", "silent": silent.url, "name": "ws://no-such-name.invalid:80"}[where]
    add(bare, "n1", url)
    add(bare, "n2")
    reply = bare.request("join", channels=" ".join(NAMES))
    assert reply["ok"], reply
    assert on(bare, "n1"), "it has some to begin with"
    (told,) = wait_until(lambda: bare.events("node.blind"), 60, "it is blind")
    assert told["node"] == "n1" and why in told["why"], told
    wait_until(lambda: not on(bare, "n1"), 10, "n2 has all shards")
    chat = bare.subscribe(bare.topic("chat:*"))
    bare.chat_flows(chat, *NAMES)
    shown = {node["node"]: node for node in bare.ctl_json("nodes")}
    assert shown["n1"]["state"] == "blind" and why in shown["n1"]["error"]
    assert shown["n2"]["state"] == "active"
    assert any("n1 is blind" in text and why in text for text in bare.problems("node_blind"))
    # New channels go to the other one alone.
    bare.join("erin", "frank")
    assert not on(bare, "n1")


def test_a_node_that_sees_again_takes_shards_when_it_has_proved_it(bare):
    start(bare, n1=None)
    relay = Relay(bare.sim.port)
    add(bare, "n2", relay.url)
    bare.request("join", channels=" ".join(NAMES))
    wait_until(lambda: state(bare, "n2") == "blind" and not on(bare, "n2"), 30, "n2 is blind and holds nothing")
    bare.chat_flows(bare.subscribe(bare.topic("chat:*")), *NAMES)
    was = placed(bare)

    relay.open()
    (sees,) = wait_until(lambda: bare.events("node.sees"), 30, "n2 has proved that it sees")
    blind = bare.events("node.blind")[-1]
    assert sees["node"] == "n2" and sees["at"] - blind["at"] >= BLIND - 200
    assert placed(bare) == was, "nothing goes back: what works stays"
    assert bare.node("n2")["error"] == ""
    bare.join("erin")
    assert on(bare, "n2"), "it takes shards again"

    # It does not see for a moment only: nothing is taken from it, and nothing flaps.
    moved = len(bare.events("shard.placed"))
    relay.close()
    wait_until(lambda: any(s["state"] == "backoff" for s in bare.shards().values()), 10, "its connection is lost")
    relay.open()
    wait_until(lambda: bare.joined("erin"), 10, "it is back")
    assert len(bare.events("shard.placed")) == moved
    relay.close()


def test_where_twitch_is_down_for_all_nothing_moves(bare):
    start(bare, n1=None, n2=None)
    bare.join(*NAMES)
    chat = bare.subscribe(bare.topic("chat:*"))
    was = placed(bare)
    bare.sim.control("outage on")
    bare.sim.control("disconnect all")
    wait_until(lambda: {state(bare, "n1"), state(bare, "n2")} == {"blind"}, 30, "both are blind")
    bare.request("set", name="channels_per_shard", value=1)
    assert bare.request("join", channels="erin")["waiting"] == {"erin": "No node sees Twitch."}
    # A third one that knows nothing of Twitch gets nothing of theirs.
    add(bare, "n3")
    wait_until(lambda: state(bare, "n3") == "blind", 30, "n3 has found out as well")
    assert {shard: was[shard] for shard in was} == {s: p for s, p in placed(bare).items() if s in was}
    bare.sim.control("outage off")
    wait_until(lambda: bare.joined(*NAMES), 30, "all are joined again")
    bare.chat_flows(chat, *NAMES, timeout=30)
    wait_until(lambda: {state(bare, n) for n in ("n1", "n2", "n3")} == {"active"}, 30, "all see again")
    wait_until(lambda: bare.joined("erin"), 15, "what waited is joined")
    assert {shard: was[shard] for shard in was} == {s: p for s, p in placed(bare).items() if s in was}


def test_a_login_refused_is_not_blindness(bare):
    start(bare)
    bare.write_tokens({"shoalbot": "wrong"})
    add(bare, "n1")
    wait_until(lambda: any(s.get("login_refused") == "1" for s in bare.shards().values()), 15, "it is refused")
    time.sleep(2 * BLIND / 1000)
    assert state(bare, "n1") == "active" and not bare.events("node.blind")


def test_a_blind_node_that_dies_leaves_its_shards_to_those_that_see(bare):
    start(bare)
    add(bare, "n1", f"ws://127.0.0.1:{free_port()}")
    bare.request("set", name="lease_ms", value=LEASE)
    bare.request("join", channels=" ".join(NAMES))
    wait_until(lambda: state(bare, "n1") == "blind", 30, "n1 is blind")
    assert on(bare, "n1"), "there is nobody else"
    bare.processes["n1"].kill()
    wait_until(lambda: bare.events("node.silent"), 10, "n1 is missed")
    add(bare, "n2")
    wait_until(lambda: bare.joined(*NAMES), 15, "n2 reads all of it")
    assert bare.redis.zcard(bare.key("blind")) == 0


def test_a_setting_that_says_off_makes_no_node_blind(bare):
    start(bare, n1=None)
    relay = Relay(bare.sim.port)
    add(bare, "n2", relay.url)
    bare.request("join", channels=" ".join(NAMES))
    wait_until(lambda: state(bare, "n2") == "blind", 30, "n2 is blind")
    bare.request("set", name="blind_ms", value="off")
    wait_until(lambda: state(bare, "n2") == "active", 10, "it is not any more")


# Tokens -------------------------------------------------------------------------------------------------


def test_a_token_file_that_was_replaced_is_read_when_a_login_is_refused(bare):
    start(bare, n1=None)
    bare.join("alice")
    logins = bare.sim.control("stats channels=0")["logins"]
    bare.write_tokens({USER: "wrong"})
    bare.processes["n1"].signal(signal.SIGHUP)
    wait_until(lambda: "tokens.reloaded" in bare.processes["n1"].text(), 10, "the wrong token is in use")
    bare.write_tokens({USER: TOKEN})  # and nobody says so
    bare.sim.control("disconnect all")
    wait_until(lambda: bare.sim.control("stats channels=0")["logins"]["ok"] > logins["ok"], 10, "it has logged in")
    wait_until(lambda: bare.joined("alice"), 10, "it is back")
    assert bare.sim.control("stats channels=0")["logins"]["refused"] == logins["refused"] + 1


def test_an_empty_token_file_at_sighup_keeps_the_tokens_and_is_told(bare):
    start(bare, n1=None)
    bare.join("alice")
    bare.tokens.write_text("")
    bare.processes["n1"].signal(signal.SIGHUP)
    wait_until(lambda: "the tokens read before stay" in bare.processes["n1"].text(), 10, "it is told")
    assert bare.node("n1")["users"] == USER
    bare.sim.control("disconnect all")
    chat = bare.subscribe(bare.topic("chat:*"))
    bare.chat_flows(chat, "alice")


def test_one_refused_login_holds_back_the_other_shards_of_its_account(bare):
    start(bare)
    bare.write_tokens({USER: "wrong"})
    add(bare, "n1")
    wait_until(lambda: any(s.get("login_refused") == "1" for s in bare.shards().values()), 15, "it is refused")
    told = bare.processes["n1"].text().count("shard.login_refused ")
    bare.request("join", channels=" ".join(NAMES))  # three shards more
    wait_until(lambda: len(bare.shards()) == 4, 10, "there are four")
    wait_until(lambda: sum(s["state"] == "idle" for s in bare.shards().values()) == 3, 5, "they wait")
    time.sleep(3)
    assert bare.processes["n1"].text().count("shard.login_refused ") == told
    bare.write_tokens({USER: TOKEN})
    bare.processes["n1"].signal(signal.SIGHUP)
    wait_until(lambda: bare.joined(*NAMES), 15, "all are joined")
