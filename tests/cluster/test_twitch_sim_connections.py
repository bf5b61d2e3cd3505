"""Connections to the Twitch simulator: frames, signs of life, and the faults that tests ask it for."""

import subprocess
import time

import pytest

from certificates import Certificates
from simclient import Chat, Closed, Sim, WebSocket, sim_with


@sim_with("--ping-interval", "150ms", "--ping-timeout", "250ms")
def test_the_server_pings_and_drops_who_does_not_answer(sim):
    chat, mute = Chat(sim), Chat(sim)
    mute.answer_pings = False
    assert chat.expect(lambda line: line.startswith("PING")) == "PING :tmi.twitch.tv"
    seen = []
    deadline = time.monotonic() + 3
    with pytest.raises(Closed):
        while time.monotonic() < deadline:
            chat.sync()
            try:
                seen.append(mute.next(0.05))
            except TimeoutError:
                pass
    assert "PING :tmi.twitch.tv" in seen
    chat.sync()


def test_ping_is_answered_with_its_text(sim):
    chat = Chat(sim, login=None)
    chat.send("PING :a token with spaces")
    assert chat.next() == ":tmi.twitch.tv PONG tmi.twitch.tv :a token with spaces"


def test_client_lines_may_share_frames_and_be_cut_over_fragments(sim):
    chat = Chat(sim, login=None)
    chat.ws.send_frame(b"CAP REQ :twitch.tv/commands\r\nPASS oauth:simtoken\r\nNICK sho", 1, False)
    chat.ws.send_frame(b"albot\r\nJO", 0, False)
    chat.ws.send_frame(b"IN #a,#b", 0, True)
    chat.expect(lambda line: line.command == "ROOMSTATE" and line.params == ["#b"])


def test_a_client_line_of_over_4096_bytes_is_not_taken(sim):
    chat = Chat(sim)
    chat.send("PRIVMSG #a :" + "x" * 4200)
    chat.sync()
    assert sim.control.received("a") == []
    assert sim.control.stats()["violations"]["long_line"] == 1


@sim_with("--coalesce", 8)
def test_lines_share_messages_when_asked_to(sim):
    chat = Chat(sim)
    chat.join("a")
    chat.frames.clear()
    sim.control("generate count=300")
    sim.control("wait generate")
    assert len(chat.sync()) == 300
    assert all(fin for _, fin, _ in chat.frames)
    assert max(payload.count(b"\r\n") for _, _, payload in chat.frames) > 2


@sim_with("--fragment", 90)
def test_messages_come_in_fragments_when_asked_to(sim):
    chat = Chat(sim)
    chat.join("a")
    chat.frames.clear()
    sim.control("generate count=100")
    sim.control("wait generate")
    assert len(chat.sync()) == 100
    assert {opcode for opcode, _, _ in chat.frames} == {0, 1}
    assert all(len(payload) <= 90 for _, fin, payload in chat.frames if not fin)


@sim_with("--cut", 200, "--coalesce", 3)
def test_lines_are_cut_over_messages_when_asked_to(sim):
    chat = Chat(sim)
    chat.join("a")
    chat.frames.clear()
    sim.control("generate count=100")
    sim.control("wait generate")
    assert len(chat.sync()) == 100
    assert any(not payload.endswith(b"\r\n") for _, _, payload in chat.frames)
    for opcode, fin, payload in chat.frames:
        assert opcode == 1 and fin
        payload.decode()  # each message is UTF-8


def test_reconnect_is_sent_and_the_connection_closed_later(sim):
    chat, other = Chat(sim), Chat(sim)
    chat.sync()
    conn = sim.control("connections")["connections"][0]["id"]
    sim.control(f"reconnect conn={conn} ms=200")
    assert chat.next() == ":tmi.twitch.tv RECONNECT"
    start = time.monotonic()
    chat.join("a")  # still served meanwhile
    chat.expect_closed(3)
    assert time.monotonic() - start > 0.1
    other.sync()


def test_connections_are_cut_all_or_some(sim):
    sim.control("user friend token=t")
    chats = [Chat(sim) for _ in range(6)] + [Chat(sim, "friend", "t")]
    assert sim.control("disconnect user=friend")["connections"] == 1
    chats[-1].expect_closed(3)
    assert sim.control("disconnect random=2 how=reset")["connections"] == 2
    sim.control("wait connections=4")
    assert sim.control("disconnect all")["connections"] == 4
    sim.control("wait connections=0")
    assert sim.control.stats()["connections"]["total"] == 7


def test_an_outage_refuses_connections(sim):
    sim.control("outage on")
    with pytest.raises((Closed, OSError)):
        WebSocket(sim.ws)
    sim.control("outage off")
    Chat(sim)


def test_a_half_open_connection_hangs_and_stays(sim):
    chat, other = Chat(sim), Chat(sim)
    chat.join("a")
    other.join("a")
    first = sim.control("connections")["connections"][0]["id"]
    sim.control(f"half-open conn={first}")
    chat.send("PING :x")
    with pytest.raises(TimeoutError):
        chat.next(0.3)
    # Nobody waits for it.
    sim.control("generate count=3000")
    sim.control("wait generate")
    assert len(other.sync()) == 3000
    assert sim.control.stats()["connections"]["half_open"] == 1
    sim.control(f"disconnect conn={first}")
    chat.expect_closed(3)


def test_lag_delays_what_is_sent(sim):
    chat = Chat(sim)
    chat.sync()
    sim.control("lag all ms=300")
    start = time.monotonic()
    chat.sync()
    assert 0.25 < time.monotonic() - start < 2
    sim.control("lag all ms=0")
    chat.sync()
    start = time.monotonic()
    chat.sync()
    assert time.monotonic() - start < 0.25


def test_neighbouring_lines_are_swapped(sim):
    chat = Chat(sim)
    chat.join("a")
    sim.control("swap all on")
    for i in range(5):
        sim.control(f"inject a line=:x!x@x PRIVMSG #a :{i}")
    assert [chat.next().text for _ in range(5)] == ["1", "0", "3", "2", "4"]
    sim.control("swap all off")
    chat.sync()


def test_slow_connections_read_and_are_written_slowly(sim):
    chat, reader = Chat(sim), Chat(sim)
    reader.join("a")
    sim.control("limit all=off")
    first = sim.control("connections")["connections"][0]["id"]
    sim.control(f"pause conn={first} ms=300")
    start = time.monotonic()
    chat.sync()
    assert time.monotonic() - start > 0.25
    second = sim.control("connections")["connections"][1]["id"]
    sim.control(f"slow conn={second} write=20000")
    start = time.monotonic()
    sim.control("generate count=20")
    assert len(reader.sync()) == 20
    assert time.monotonic() - start > 0.2


def test_garbage_and_long_lines_arrive_as_they_are(sim):
    chat = Chat(sim)
    chat.sync()
    chat.frames.clear()
    sim.control("garbage all kind=utf8")
    sim.control("garbage all kind=binary")
    sim.control("garbage all kind=nul")
    sim.control("garbage all kind=cr")
    sim.control("longline all bytes=100000")
    sim.control("raw all line=:tmi.twitch.tv NEWCOMMAND #a :what = this")
    assert chat.expect("NEWCOMMAND").text == "what = this"
    payloads = [payload for _, _, payload in chat.frames]
    assert payloads[0].count(b"\xff\xfe") == 1 and chat.frames[1][0] == 2
    assert b"\0" in payloads[2] and b"\r\r\n\n" in payloads[3]
    assert len(payloads[4]) == 100002
    sim.control("garbage all kind=opcode")
    assert chat.ws.recv()[0] == 11
    sim.control("garbage all kind=bytes")
    chat.ws.need(20)
    assert chat.ws.buffer.startswith(b"\xff\xff\xff\xff HTTP")


def test_an_injected_room_line_goes_to_members_only(sim):
    chat, other = Chat(sim), Chat(sim)
    chat.join("a")
    other.sync()
    assert sim.control("inject a line=:tmi.twitch.tv FUTURE #a :=x=")["heard"] == 1
    assert chat.sync() == [":tmi.twitch.tv FUTURE #a :=x="]
    assert other.sync() == []
    assert sim.control("inject nobody line=:x PRIVMSG #nobody :x")["heard"] == 0
    channels = sim.control.stats()["channels"]
    assert channels["a"]["sent"] == 1 and channels["nobody"]["sent"] == 0


def test_it_listens_on_the_addresses_it_was_given_and_on_no_other(tmp_path):
    tls = Certificates(tmp_path / "tls")
    options = ("--tls-listen", "127.0.0.3:0", "--tls-cert", tls.cert, "--tls-key", tls.key)
    with Sim("--listen", "127.0.0.2:0", *options) as sim:
        sockets = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout
        listening = [line.split()[3] for line in sockets.splitlines() if f"pid={sim.process.pid}," in line]
        assert sorted(listening) == [
            f"127.0.0.1:{sim.control_port}",
            f"127.0.0.2:{sim.ws}",
            f"127.0.0.3:{sim.wss}",
        ]
