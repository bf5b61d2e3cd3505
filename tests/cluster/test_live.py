"""The live WebSocket: the whole first, then what changes; events and lines as they come; bounds."""

import json
import socket
import time

import pytest

from dashboard import Api
from processes import wait_until
from simclient import Closed


def begun(live, timeout=10):
    """The client has the whole."""
    live.until(lambda message: message["type"] == "status", timeout, "the whole")
    return live


def of_one_moment(live, api, timeout=10):
    """The document of the API, at the time of that which the client has."""
    deadline = time.monotonic() + timeout
    while True:
        document = api.got("status")
        if live.document["at"] < document["at"]:
            live.until(lambda _: live.document["at"] >= document["at"], 5, "the same document, or a newer one")
        if live.document["at"] == document["at"]:
            return document
        assert time.monotonic() < deadline, "the two never tell of one moment"


def test_the_whole_comes_first_and_is_the_document(served):
    with served.api.live() as live:
        whole = live.next()
        assert whole["type"] == "status"
        document = served.api.got("status")
        assert set(whole) - {"type", "events"} == set(document)
        assert {row["shard"] for row in whole["shards"]} == {row["shard"] for row in document["shards"]}
        assert whole["events"] == served.events()[-50:]


def test_changes_applied_give_the_document(served):
    with served.api.live() as live:
        begun(live)
        served.api.done("requests", op="join", channels=["changing"])
        live.until(lambda _: live.document["states"].get("joined") == 4, 5, "the join is seen")
        for name, value in of_one_moment(live, served.api).items():
            if name in live.KEYS:
                key = live.KEYS[name]
                by_name = {row[key]: row for row in live.document[name]}
                assert by_name == {row[key]: row for row in value}
            elif name != "history":
                assert live.document[name] == value
        assert all(message["type"] in ("change", "event") for message in live.messages[1:])
        served.api.done("requests", op="part", channels=["changing"])
        live.until(lambda _: live.document["states"].get("joined") == 3, 5, "the part is seen")


def test_a_change_holds_rows_that_changed_and_no_others(served):
    with served.api.live() as live:
        begun(live)
        resting = [live.until(lambda message: message["type"] == "change") for _ in range(3)]
        for change in resting[1:]:
            assert "settings" not in change and "history" not in change and "problems" not in change
            assert [row["node"] for row in change["nodes"]] in ([], ["n1"])


def test_a_join_is_live_within_a_second_for_all_who_watch(served):
    clients = [begun(served.api.live()) for _ in range(5)]
    began = time.monotonic()
    served.api.done("requests", op="join", channels=["soon"])
    for live in clients:
        live.until(lambda _, live=live: live.document["channels"] == 4, 3, "the join is seen")
    assert time.monotonic() - began < 2.5
    served.api.done("requests", op="part", channels=["soon"])
    for live in clients:
        live.close()


def test_events_come_once_each_and_in_order_also_where_redis_forgot_who_listens(served):
    with served.api.live() as live:
        begun(live)
        before = len(served.events())
        served.api.done("admin", op="set", name="send_ttl_ms", value="10001")
        served.redis.client_kill_filter(_type="pubsub")
        for ms in range(10002, 10012):
            served.api.done("admin", op="set", name="send_ttl_ms", value=str(ms))
        served.api.done("admin", op="unset", name="send_ttl_ms")
        live.until(
            lambda message: message["type"] == "event" and message["event"]["event"] == "config.unset",
            5,
            "the last event",
        )
        told = [message["event"] for message in live.messages if message["type"] == "event"]
        assert told == served.events()[before:]


def test_an_event_that_others_wrote_differently_breaks_no_message(served):
    """A blank or line break between its members; what a client cannot read it would ask for again and again."""
    written = served.redis.xadd(served.key("log"), {"event": b'{\r\n\t"event" :\n"odd","why":"\xff\xe2\x80\xa8"}\n'})
    odd = {"event": "odd", "why": "\ufffd\u2028"}
    try:
        with served.api.live() as live:
            assert odd in begun(live).messages[0]["events"]
    finally:
        served.redis.xdel(served.key("log"), written)


def test_an_event_that_is_too_long_is_left_out_and_ends_nothing(served):
    written = []

    def write(event, why):
        text = b'{"event":"%s","at":1,"why":"%s"}' % (event, why)
        written.append(served.redis.xadd(served.key("log"), {"event": text}))

    try:
        with served.api.live() as live:
            begun(live)
            write(b"long", b"x" * 66000)
            write(b"escaped", b"\x7f" * 60000)
            write(b"huge", b"\x01" * (12 << 20))
            write(b"short", b"x" * 60000)
            live.until(lambda _: live.document["events"][-1]["event"] == "short", 10, "the short one")
            with served.api.live() as later:
                events = begun(later).messages[0]["events"]
    finally:
        served.redis.xdel(served.key("log"), *written)
    told = [message["event"]["event"] for message in live.messages if message["type"] == "event"] + [e["event"] for e in events]
    assert told.count("short") == 2 and not {"long", "escaped", "huge"} & set(told)


def test_nothing_comes_before_the_whole(served):
    served.redis_process.pause()
    try:
        live = served.api.live()
        live.say({"tail": 7})
        live.socket.send_frame(b"heard?", 9)
        opcode, _, payload = live.socket.recv()
        assert (opcode, payload) == (10, b"heard?"), "what is wrong waits until the whole was sent"
    finally:
        served.redis_process.resume()
    with live:
        assert live.next()["type"] == "status"
        assert "tail" in live.until(lambda message: message["type"] == "error")["error"]


def test_a_node_that_dies_is_seen_and_its_shards_move(bare):
    bare.start_redis()
    bare.start_sim("--verified")
    api = Api(bare.start_coordinator(lease_ms=1000))
    first = bare.start_node("n1")
    wait_until(bare.is_set_up, 20, "the cluster is set up")
    bare.join("alpha")
    bare.start_node("n2")
    wait_until(lambda: len(bare.nodes()) == 2, 10, "two nodes")
    with api.live() as live:
        begun(live)
        live.until(lambda _: {row["node"] for row in live.document["shards"]} == {"n1"}, 5, "n1 has them")
        first.kill()
        live.until(lambda _: live.row("nodes", "n1") is None, 10, "n1 is gone")
        live.until(lambda _: {row["node"] for row in live.document["shards"]} == {"n2"}, 10, "n2 has them")
        live.until(lambda _: "node.expired" in [event["event"] for event in live.document["events"]], 5, "the event")


# Chat ---------------------------------------------------------------------------------------------------


def is_line(message):
    return message["type"] == "line"


def tailing(served, *channels):
    """A client that hears those channels already."""
    live = begun(served.api.live())
    live.tail(*channels)
    topics = [served.topic(f"chat:{name}") for name in channels]
    wait_until(
        lambda: all(count > 0 for _, count in served.redis.pubsub_numsub(*topics)), 5, "it listens"
    )
    return live


def test_lines_of_the_channels_one_asks_for_come_and_of_no_others(served):
    with tailing(served, "alpha") as live:
        served.inject("beta", "not for us")
        served.inject("alpha", "for us")
        line = live.until(is_line)
        assert line["channel"] == "alpha" and line["line"].endswith("PRIVMSG #alpha :for us")
        live.tail("#Beta")
        wait_until(lambda: listeners(served, "beta"), 5, "beta is listened to")
        wait_until(lambda: not listeners(served, "alpha"), 5, "and alpha no longer")
        served.inject("beta", "now for us")
        assert live.until(is_line)["channel"] == "beta"
        live.tail()
        wait_until(lambda: not listeners(served, "beta"), 5, "nothing is listened to")


def listeners(served, channel):
    return served.redis.pubsub_numsub(served.topic(f"chat:{channel}"))[0][1]


def test_chat_is_listened_to_while_somebody_reads_it(served):
    first = tailing(served, "alpha", "beta")
    second = tailing(served, "alpha")
    assert listeners(served, "alpha") == 1, "once for all"
    first.close()
    wait_until(lambda: not listeners(served, "beta"), 5, "nobody reads beta")
    assert listeners(served, "alpha") == 1
    second.close()
    wait_until(lambda: not listeners(served, "alpha"), 5, "nobody reads alpha")


@pytest.mark.parametrize(
    "raw, text",
    [
        (b"<script>alert(1)</script>", "<script>alert(1)</script>"),
        (b'"},{"type":"status"}', '"},{"type":"status"}'),
        (b"\xff\xfe\xc3(", "\ufffd\ufffd\ufffd("),
        (b"\x1b]0;owned\x07 \xe2\x80\xae txt", "\x1b]0;owned\x07 \u202e txt"),
        (b"a\r\nb\x00c", "a\r\nb\x00c"),
        (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd"),
    ],
)
def test_whatever_twitch_sends_is_text(served, raw, text):
    with tailing(served, "alpha") as live:
        served.redis.publish(served.topic("chat:alpha"), b":x PRIVMSG #alpha :" + raw)
        assert live.until(is_line)["line"] == f":x PRIVMSG #alpha :{text}"


def test_more_than_fifty_lines_in_a_second_are_counted_instead(served):
    with tailing(served, "alpha") as live:
        for i in range(500):
            served.redis.publish(served.topic("chat:alpha"), f"line {i}")
        lines = []
        missed = 0
        while len(lines) + missed < 500:
            message = live.until(lambda m: m["type"] in ("line", "missed"))
            if is_line(message):
                lines.append(message["line"])
            else:
                assert message["channel"] == "alpha"
                missed += message["lines"]
        assert len(lines) + missed == 500 and missed > 0
        assert lines[:50] == [f"line {i}" for i in range(50)]
        served.redis.publish(served.topic("chat:alpha"), b"x" * 20000)
        assert live.until(lambda m: m["type"] == "missed")["lines"] == 1


@pytest.mark.parametrize(
    "said, names",
    [
        (b"nonsense", "tail"),
        (b"[]", "tail"),
        ({"tail": "alpha"}, "tail"),
        ({"tail": ["alpha"], "more": 1}, "tail"),
        ({"tail": ["a b"]}, "1 to 25"),
        ({"tail": [7]}, "1 to 25"),
        ({"tail": ["*"]}, "1 to 25"),
        ({"tail": list("abcdef")}, "at most 5"),
    ],
)
def test_what_a_client_says_wrongly_is_named_and_changes_nothing(served, said, names):
    with tailing(served, "alpha") as live:
        live.say(said)
        assert names in live.until(lambda message: message["type"] == "error")["error"]
        served.inject("alpha", "still here")
        assert live.until(is_line)["channel"] == "alpha"


# Bounds -------------------------------------------------------------------------------------------------


def test_a_client_that_talks_too_much_is_closed(served):
    with begun(served.api.live()) as live:
        for _ in range(30):
            live.say({"tail": []})
        with pytest.raises(Closed, match="too many messages"):
            live.until(lambda _: False, 5)


def test_beyond_so_many_clients_one_hears_503(served):
    clients = []
    with pytest.raises(Closed, match=" 503 "):
        for _ in range(100):
            clients.append(served.api.live())
    assert len(clients) == 32
    for live in clients:
        live.close()
    wait_until(lambda: opens(served), 5, "there is room again")


def opens(served):
    try:
        served.api.live().close()
    except Closed:
        return False
    return True


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Host": "evil.example"}])
def test_a_page_of_somebody_else_does_not_get_in(served, headers):
    with pytest.raises(Closed, match=" 4[02][013] "):
        served.api.live(**headers)


def test_a_client_that_reads_nothing_is_closed_and_holds_nobody_up(served):
    slow = begun(served.api.live())
    slow.socket.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.tail("alpha")
    fast = tailing(served, "beta")
    line = json.dumps("x" * 16000)
    ends = time.monotonic() + 30
    coordinator = served.processes["c1"]
    while "http.slow" not in coordinator.text() and time.monotonic() < ends:
        for _ in range(60):
            served.redis.publish(served.topic("chat:alpha"), line)
        served.inject("beta", "on time")
        began = time.monotonic()
        fast.until(is_line)
        assert time.monotonic() - began < 1
        time.sleep(0.3)
    assert "http.slow" in coordinator.text()
    slow.close()
    fast.close()


def test_when_nobody_watches_nothing_is_listened_to(served):
    events = served.topic("events")
    live = begun(served.api.live())
    wait_until(lambda: served.redis.pubsub_numsub(events)[0][1] == 1, 5, "events are listened to")
    live.close()
    wait_until(lambda: served.redis.pubsub_numsub(events)[0][1] == 0, 5, "and no longer")
