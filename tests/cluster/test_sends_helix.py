"""Sends by Helix: each said once, with one result, heard as any other message."""

import json
import re
import select
import socket
import threading
import time
import uuid

import pytest

from accounts import account, add, start_twitch
from certificates import Certificates
from processes import wait_until
from shoal import BIN, USER

SAY = "/helix/chat/messages"
SCOPES = "chat:read,chat:edit,user:write:chat"


def add_speaker(cluster, tmp_path, login, say_by="helix", scopes=SCOPES):
    """An account of the cluster that says so; its tokens."""
    granted = add(cluster, tmp_path, login, scopes=scopes)
    cluster.ctl("account", "set", login, "say_by", say_by)
    wait_until(lambda: account(cluster, login)["state"] == "usable", 10, "the account is usable")
    return granted


def begin(cluster, *coordinator, web=None, **settings):
    """A coordinator, and a node that asks the simulator."""
    cluster.write_tokens({})
    cluster.start_coordinator(args=[*cluster.account_args, *coordinator], user="alice", **settings)
    wait_until(cluster.leader, 10, "a coordinator leads")
    cluster.node_args = ["--account-keys", cluster.keys]
    cluster.node_args += web or ["--twitch-api-url", f"http://127.0.0.1:{cluster.sim.http}"]
    cluster.start_node(args=cluster.node_args)


@pytest.fixture
def helix(bare, tmp_path):
    """A cluster whose account alice says by Helix."""
    bare.start_redis()
    start_twitch(bare, tmp_path)
    begin(bare)
    add_speaker(bare, tmp_path, "alice")
    return bare


def said(cluster, channel):
    return [m["text"] for m in cluster.sim.control(f"received {channel}")["messages"] if m["outcome"] == "said"]


def asked(cluster, path):
    requests = cluster.sim.control("http log")["requests"]
    return sum(counts["total"] for name, counts in requests.items() if name.startswith(path))


def leave(cluster, channel, text, **fields):
    """A send, without waiting for its result."""
    id = uuid.uuid4().hex
    cluster.redis.xadd(cluster.key("outbox"), {"id": id, "channel": channel, "text": text, **fields})
    return id


def test_a_send_is_said_by_a_request_and_heard_once_on_the_accounts_own_connection(helix):
    chat = helix.subscribe(helix.topic("chat:room0"))
    helix.join("room0")
    result = helix.send("room0", "hello")
    assert (result["status"], result.get("reason")) == ("sent", None)
    heard = helix.sim.control("received room0")["messages"]
    assert [(m["text"], m["conn"], m["user"]) for m in heard] == [("hello", 0, "alice")]
    assert result["message_id"] == heard[0]["id"]
    helix.chat_flows(chat, "room0")
    assert chat.texts(helix.topic("chat:room0")).count("hello") == 1
    assert not any(b"shoal-echo" in line for line in chat.on(helix.topic("chat:room0")))
    # The id of the room came with its ROOMSTATE: nobody asked for it.
    assert asked(helix, "/helix/users") == 0
    assert helix.channel("room0")["room_id"].isdigit()
    reply = helix.send("room0", "and that", reply_to=result["message_id"])
    assert reply["status"] == "sent"
    assert helix.sim.control("received room0")["messages"][1]["reply_to"] == result["message_id"]


def test_the_id_of_a_channel_that_nobody_joined_is_asked_for_once(helix):
    for text in ("one", "two"):
        assert helix.send("elsewhere", text)["status"] == "sent"
    assert said(helix, "elsewhere") == ["one", "two"]
    assert asked(helix, "/helix/users") == 1
    assert 86000 < helix.redis.ttl(helix.key("room_id:elsewhere")) <= 86400


def test_what_cannot_be_said_tells_why(helix):
    helix.sim.control("channel ghost state=missing")
    result = helix.send("ghost", "hello")
    assert (result["status"], result["reason"]) == ("rejected", "no_such_channel")
    result = helix.send("elsewhere", "/color red", command="1")
    assert (result["status"], result["reason"]) == ("rejected", "bad_request")
    assert "IRC" in result["text"]
    helix.sim.control("ban elsewhere user=alice")
    result = helix.send("elsewhere", "hello")
    assert (result["status"], result["reason"]) == ("rejected", "forbidden")
    assert said(helix, "elsewhere") == []
    # What looks like a command is said.
    assert helix.send("another", ".ban somebody")["status"] == "sent"
    assert said(helix, "another") == ["\u200b.ban somebody"]


def test_what_twitch_drops_is_rejected_with_its_code(helix):
    helix.sim.control("mode elsewhere subs-only=1")
    result = helix.send("elsewhere", "hello")
    assert (result["status"], result["reason"]) == ("rejected", "msg_subsonly")
    assert "subscribers" in result["text"]


def test_a_token_that_is_refused_is_refreshed_once_and_the_message_said_once(helix):
    assert helix.send("elsewhere", "before")["status"] == "sent"
    before = asked(helix, "/oauth2/token")
    helix.sim.control("token expire alice")
    ids = [leave(helix, f"other{i}", "hello") for i in range(3)]
    assert [helix.result(id)["status"] for id in ids] == ["sent"] * 3
    assert asked(helix, "/oauth2/token") == before + 1
    assert [said(helix, f"other{i}") for i in range(3)] == [["hello"]] * 3


def test_a_scope_that_is_missing_is_told_and_no_token_is_refreshed(helix, tmp_path):
    add_speaker(helix, tmp_path, "alice", scopes="chat:read,chat:edit")
    before = asked(helix, "/oauth2/token")
    result = helix.send("elsewhere", "hello")
    assert (result["status"], result["reason"]) == ("rejected", "missing_scope")
    assert "user:write:chat" in result["text"]
    assert asked(helix, "/oauth2/token") == before


def test_too_many_requests_wait_as_long_as_twitch_wants(helix):
    assert helix.send("elsewhere", "before")["status"] == "sent"
    helix.sim.control(f"http {SAY} status=429,retry=2 times=1")
    began = time.monotonic()
    assert helix.send("elsewhere", "hello")["status"] == "sent"
    assert time.monotonic() - began >= 2
    assert said(helix, "elsewhere") == ["before", "hello"]


@pytest.mark.parametrize(("fault", "reason", "heard"), [("silence", "no_answer", []), ("close", "no_answer", ["hello"]), ("status=503", "server_error", [])])
def test_what_is_not_answered_is_unknown_and_not_said_again(helix, fault, reason, heard):
    helix.sim.control(f"http {SAY} {fault} times=1")
    result = helix.send("elsewhere", "hello", timeout=25)
    assert (result["status"], result["reason"]) == ("unknown", reason)
    assert helix.send("elsewhere", "next")["status"] == "sent"
    assert said(helix, "elsewhere") == [*heard, "next"]


def test_a_node_that_is_killed_during_a_request_leaves_one_result(helix):
    helix.sim.control(f"http {SAY} late=4000")
    id = leave(helix, "elsewhere", "hello")
    wait_until(lambda: said(helix, "elsewhere"), 10, "it is said")
    helix.processes["n1"].kill()
    helix.sim.control("http off")
    helix.start_node("n2", args=helix.node_args)
    result = helix.result(id, 20)
    assert (result["status"], result["reason"]) == ("unknown", "node_lost")
    assert helix.send("elsewhere", "next", timeout=20)["status"] == "sent"
    assert said(helix, "elsewhere") == ["hello", "next"]


class Gate:
    """A way to a port, which lets connections through once it is open; TLS waits for it, TCP does not."""

    def __init__(self, port):
        self.port, self.opened, self.waiting = port, threading.Event(), threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.own_port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near):
        self.waiting.set()
        self.opened.wait()
        with near, socket.create_connection(("127.0.0.1", self.port)) as far:
            other = {near: far, far: near}
            try:
                while True:
                    for sock in select.select(other, (), ())[0]:
                        data = sock.recv(1 << 16)
                        if not data:
                            return
                        other[sock].sendall(data)
            except OSError:
                return

    def close(self):
        self.opened.set()
        self._listener.close()


def test_a_node_that_lost_its_lease_while_it_connected_says_nothing_any_more(bare, tmp_path):
    certificates = Certificates(tmp_path)
    bare.start_redis()
    tls = ["--https-listen", "127.0.0.1:0", "--tls-cert", certificates.cert, "--tls-key", certificates.key]
    start_twitch(bare, tmp_path, *tls)
    gate = Gate(bare.sim.https)
    try:
        begin(bare, web=["--twitch-api-url", f"https://localhost:{gate.own_port}", "--twitch-tls-ca", certificates.ca])
        add_speaker(bare, tmp_path, "alice")
        bare.join("room0")
        id = leave(bare, "room0", "hello")
        assert gate.waiting.wait(10), "it connects"
        bare.start_node("n2", args=["--account-keys", bare.keys, "--twitch-api-url", f"http://127.0.0.1:{bare.sim.http}"])
        wait_until(lambda: "n2" in bare.nodes(), 10, "n2 is there")
        bare.processes["n1"].pause()
        result = bare.result(id, 20)
        gate.opened.set()
        bare.processes["n1"].resume()
        assert (result["status"], result["reason"]) == ("unknown", "node_lost")
        wait_until(lambda: "lease.lost" in bare.processes["n1"].text(), 10, "n1 knows that")
        assert bare.send("room0", "next", timeout=20)["status"] == "sent"
        assert said(bare, "room0") == ["next"]
    finally:
        gate.close()


def test_a_node_that_leaves_waits_for_the_answer(helix):
    helix.sim.control(f"http {SAY} late=2000")
    id = leave(helix, "elsewhere", "hello")
    wait_until(lambda: said(helix, "elsewhere"), 10, "it is said")
    assert helix.processes["n1"].stop() == 0
    assert helix.result(id, 1)["status"] == "sent"


def test_what_waits_for_helix_is_said_when_it_is_back(helix):
    assert helix.send("elsewhere", "before")["status"] == "sent"
    helix.sim.control("http /helix/users status=500")
    id = leave(helix, "unknown", "hello")
    time.sleep(1)
    assert not helix.redis.exists(helix.key(f"result:unknown:{id}"))
    helix.sim.control("http off")
    assert helix.result(id)["status"] == "sent"
    assert said(helix, "unknown") == ["hello"]


def test_what_twitch_refuses_for_now_is_said_later(helix):
    helix.sim.control("mode elsewhere slow=3")
    began = time.monotonic()
    ids = [leave(helix, "elsewhere", text) for text in ("one", "two")]
    assert [helix.result(id)["status"] for id in ids] == ["sent", "sent"]
    assert time.monotonic() - began >= 3
    assert said(helix, "elsewhere") == ["one", "two"]


def test_it_is_said_while_chat_is_out_of_reach_and_not_when_the_cluster_is_stopped(helix):
    helix.join("room0")
    helix.sim.control("outage on")
    helix.sim.control("disconnect all")
    wait_until(lambda: helix.shards()["initial-shard-1"]["state"] == "backoff", 10, "its connection is lost")
    assert helix.send("room0", "hello")["status"] == "sent"
    helix.ctl("stop")
    assert helix.send("room0", "stopped", ttl_ms=1500)["status"] == "expired"
    helix.sim.control("outage off")
    helix.ctl("start")
    assert helix.send("room0", "started")["status"] == "sent"
    assert said(helix, "room0") == ["hello", "started"]


def test_an_account_that_has_to_log_in_anew_waits_though_its_connection_is_open(helix, tmp_path):
    helix.join("room0")
    helix.sim.control("revoke alice")
    id = leave(helix, "room0", "hello")
    wait_until(lambda: account(helix, "alice")["state"] == "login_required", 10, "the login is required")
    time.sleep(1)
    assert said(helix, "room0") == [] and not helix.redis.exists(helix.key(f"result:room0:{id}"))
    claims = len(re.findall("lane machine.move id=room0 from=claiming to=", helix.processes["n1"].text()))
    assert claims <= 3, "no budget is drawn in vain"
    add(helix, tmp_path, "alice", scopes=SCOPES)
    assert helix.result(id)["status"] == "sent"
    assert said(helix, "room0") == ["hello"]


def test_a_node_without_keys_says_over_the_connections_it_has(bare, tmp_path):
    bare.start_redis()
    start_twitch(bare, tmp_path)
    bare.start_coordinator(args=bare.account_args)
    bare.start_node()
    wait_until(bare.leader, 10, "a coordinator leads")
    bare.join("room0")
    add_speaker(bare, tmp_path, USER)
    assert bare.send("room0", "hello")["status"] == "sent"
    (heard,) = bare.sim.control("received room0")["messages"]
    assert heard["conn"] > 0


def test_accounts_that_say_by_irc_and_by_helix_speak_beside_each_other(bare, tmp_path):
    bare.start_redis()
    start_twitch(bare, tmp_path)
    manager = ["--shard-manager", BIN / "tests/managers/by_user.so"]
    begin(bare, *manager, "--set", "manager.alice=room0", "--set", "manager.bob=room1")
    add_speaker(bare, tmp_path, "alice")
    add_speaker(bare, tmp_path, "bob", "irc")
    chat = bare.subscribe(bare.topic("chat:*"))
    bare.join("room0", "room1", timeout=40)
    conns = {}
    for room in ("room0", "room1"):
        assert bare.send(room, "hello")["status"] == "sent"
        (heard,) = bare.sim.control(f"received {room}")["messages"]
        conns[heard["user"]] = heard["conn"]
    assert conns["alice"] == 0 and conns["bob"] > 0
    bare.chat_flows(chat, "room0", "room1")
    assert [chat.texts(bare.topic(f"chat:{room}")).count("hello") for room in ("room0", "room1")] == [1, 1]


def test_twitch_is_asked_over_tls_and_no_token_is_told_anywhere(bare, tmp_path):
    certificates = Certificates(tmp_path)
    bare.start_redis()
    everything = bare.subscribe("*")
    tls = ["--https-listen", "127.0.0.1:0", "--tls-cert", certificates.cert, "--tls-key", certificates.key]
    start_twitch(bare, tmp_path, *tls)
    begin(bare, web=["--twitch-api-url", f"https://localhost:{bare.sim.https}", "--twitch-tls-ca", certificates.ca])
    tokens = add_speaker(bare, tmp_path, "alice")
    bare.join("room0")
    for channel in ("room0", "elsewhere"):
        assert bare.send(channel, "hello")["status"] == "sent"
    bare.sim.control("token expire alice")
    assert bare.send("room0", "again")["status"] == "sent"
    places = {"published": repr(everything.messages), "events": json.dumps(bare.events())}
    for name in ("c1", "n1"):
        process = bare.processes[name]
        places[name] = process.text()
        with open(f"/proc/{process.pid}/cmdline", encoding="utf-8") as file:
            places[f"arguments of {name}"] = file.read()
    for place, text in places.items():
        assert tokens["access_token"] not in text and tokens["refresh_token"] not in text, place


def test_an_account_says_with_the_applications_token_where_the_channel_lets_it(bare, tmp_path):
    bare.start_redis()
    start_twitch(bare, tmp_path)
    bare.sim.control("app app s3cret")
    secret = tmp_path / "secret"
    secret.touch(mode=0o600)
    secret.write_text("s3cret\n")
    begin(bare, "--client-secret", secret)
    add_speaker(bare, tmp_path, "alice", "helix_app", "chat:read,chat:edit,user:bot")
    bare.sim.control("grant elsewhere app channel:bot")
    assert bare.send("elsewhere", "hello")["status"] == "sent"
    # Nobody there has granted it anything; where it is moderator that is not needed.
    result = bare.send("another", "hello")
    assert (result["status"], result["reason"]) == ("rejected", "forbidden")
    assert "channel:bot" in result["text"]
    bare.sim.control("user alice token=own mod=another")
    assert bare.send("another", "now")["status"] == "sent"
    # Nor was the application given the right to speak as her.
    bare.sim.control("revoke alice")
    result = bare.send("elsewhere", "no more")
    assert (result["status"], result["reason"]) == ("rejected", "missing_scope")
    assert [said(bare, "elsewhere"), said(bare, "another")] == [["hello"], ["now"]]
    assert "s3cret" not in bare.processes["c1"].text() + bare.processes["n1"].text()
