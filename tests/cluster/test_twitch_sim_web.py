"""The Twitch simulator's web services as an HTTP server: with TLS and without, whole or broken as a test asks."""

import http.client
import json
import socket
import ssl
import time

import pytest

from certificates import Certificates
from processes import wait_until
from simclient import Chat, Sim, sim_with
from webclient import LISTEN, Web, raw

SIM = sim_with(*LISTEN)
TOKEN = "/oauth2/token"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("certificates"))


class Both:
    """A simulator with both ports; `web` speaks to one of them, and its application is `bot`, public."""

    def __init__(self, sim, tls):
        self.sim, self.tls = sim, tls
        self.web = Web(sim, tls)
        sim.control("app bot public")

    def grant(self, scopes="chat:read,user:write:chat"):
        return self.sim.control(f"grant alice bot {scopes}")

    def raw(self, request, **more):
        return raw(self.web.port, request, self.tls, **more)


@pytest.fixture(params=["http", "https"])
def both(request, certificates):
    with Sim(*LISTEN, "--https-listen", "127.0.0.1:0", "--tls-cert", certificates.cert, "--tls-key", certificates.key) as sim:
        yield Both(sim, ssl.create_default_context(cafile=certificates.ca) if request.param == "https" else None)


def test_both_hosts_answer_on_one_port(both):
    tokens = both.grant()
    assert both.web.validate(tokens["access_token"]).json["login"] == "alice"
    new = both.web.refresh("bot", tokens["refresh_token"]).json["access_token"]
    room = both.web.id_of(new, "bot", "room")
    chat = Chat(both.sim)
    chat.join("room")
    assert both.web.say(new, "bot", room, tokens["user_id"], "hello").json["data"][0]["is_sent"]
    assert [line.text for line in chat.sync()] == ["hello"]


def test_a_connection_is_kept_for_further_requests_until_one_wants_to_close(both):
    both.web.validate("x")
    sock = both.web.connection.sock
    assert both.web.validate("x").status == 401 and both.web.connection.sock is sock
    assert both.web.ask("GET", "/oauth2/validate", connection="close").headers["connection"] == "close"
    assert both.web.connection.sock is None
    answers = both.raw(b"GET /oauth2/validate HTTP/1.1\r\n\r\n" * 3 + b"GET /a HTTP/1.0\r\n\r\n" + b"GET /b HTTP/1.1\r\n\r\n")
    assert answers.count(b"HTTP/1.1 401 Unauthorized\r\n") == 3 and answers.count(b"HTTP/1.1 404 Not Found\r\n") == 1


def test_a_request_may_come_byte_by_byte(both):
    request = b"POST /oauth2/token HTTP/1.1\nContent-Type: application/x-www-form-urlencoded; charset=utf-8\r\n"
    request += b"content-LENGTH:  13 \r\n\nclient_id=bot"
    with socket.create_connection(("127.0.0.1", both.web.port), timeout=5) as plain:
        sock = both.tls.wrap_socket(plain, server_hostname="localhost") if both.tls else plain
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in request:
            sock.sendall(bytes([byte]))
        answer = sock.recv(4096)
    assert b"missing grant type" in answer


NO_REQUESTS = {
    "nonsense": (b"nonsense\r\n\r\n", 400),
    "no version": (b"GET /\r\n\r\n", 400),
    "no path": (b"GET nowhere HTTP/1.1\r\n\r\n", 400),
    "another version": (b"GET / HTTP/2.0\r\n\r\n", 505),
    "no colon": (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
    "no name": (b"GET / HTTP/1.1\r\n: empty\r\n\r\n", 400),
    "blank in a name": (b"GET / HTTP/1.1\r\na b: c\r\n\r\n", 400),
    "NUL": (b"GET / HTTP/1.1\r\nX: a\0b\r\n\r\n", 400),
    "nothing": (b"\r\n\r\n", 400),
    "negative length": (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
    "odd length": (b"POST / HTTP/1.1\r\nContent-Length: 1x\r\n\r\n", 400),
    "length past 64 bits": (b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", 400),
    "body too large": (b"POST / HTTP/1.1\r\nContent-Length: 65537\r\n\r\n", 413),
    "chunked": (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411),
    "header too large": (b"GET / HTTP/1.1\r\nX: " + b"x" * 40000 + b"\r\n\r\n", 431),
    "line too large": (b"x" * 40000, 431),
    "all bytes": (bytes(range(256)) * 200 + b"\r\n\r\n", 431),
}


@pytest.mark.parametrize("what", NO_REQUESTS)
def test_what_is_no_request_is_refused_and_does_no_harm(both, what):
    request_bytes, status = NO_REQUESTS[what]
    answer = both.raw(request_bytes)
    assert answer.startswith(b"HTTP/1.1 %d " % status) and b"Connection: close\r\n" in answer
    assert both.web.validate("simtoken").status == 200


def test_a_large_body_is_refused_and_the_client_hears_it(both):
    answer = both.web.ask("POST", TOKEN, b"x" * 10_000_000)
    assert answer.status == 413
    both.web.connection.close()
    assert both.web.ask("POST", TOKEN, "client_id=" + "x" * 60000,
                        content_type="application/x-www-form-urlencoded").message == "invalid client"  # fmt: skip


def test_clients_that_go_away_in_the_middle_do_no_harm(both):
    both.sim.control("http /oauth2/validate late=50")
    for request in (b"", b"GET /oauth2/val", b"POST /x HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc", b"GET /oauth2/validate HTTP/1.1\r\n\r\n"):
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", both.web.port)) as plain:
                sock = both.tls.wrap_socket(plain, server_hostname="localhost") if both.tls else plain
                sock.sendall(request)
                sock.close()
    both.sim.control("http off")
    time.sleep(0.1)
    assert both.web.validate("simtoken").status == 200


def test_a_client_that_speaks_without_tls_to_tls_does_no_harm(both):
    raw(both.sim.https, b"GET / HTTP/1.1\r\n\r\n")
    assert both.web.validate("simtoken").status == 200


def test_an_unknown_path_or_method_is_404(both):
    for method, path in (("GET", "/"), ("GET", TOKEN), ("POST", "/oauth2/validate"), ("DELETE", "/helix/users"), ("GET", "/helix")):
        assert both.web.ask(method, path).json == {"error": "Not Found", "status": 404, "message": ""}


def test_a_status_with_retry_is_answered_and_nothing_carried_out(both):
    token = both.grant()["refresh_token"]
    both.sim.control(f"http {TOKEN} status=503,retry=7 times=2")
    for _ in range(2):
        answer = both.web.refresh("bot", token)
        assert (answer.status, answer.headers["retry-after"], answer.json["status"]) == (503, "7", 503)
    assert both.web.refresh("bot", token).status == 200
    grants = both.sim.control("http log")["requests"][TOKEN]["grants"]
    assert grants["refresh_token"] == {"total": 3, "carried_out": 1}


def test_silence_answers_never_and_carries_nothing_out(both):
    token = both.grant()["refresh_token"]
    both.sim.control(f"http {TOKEN} silence")
    silent = Web(both.sim, both.tls, timeout=0.3)
    with pytest.raises(TimeoutError):
        silent.refresh("bot", token)
    both.sim.control(f"http {TOKEN} off")
    assert both.web.refresh("bot", token).status == 200


def used_up(both, token):
    """Was it carried out? A public refresh token shows it."""
    wait_until(lambda: both.sim.control("http log")["refresh_tokens"][0]["used"] == 1)
    both.sim.control("http off")
    assert both.web.refresh("bot", token).status == 400
    return True


def test_close_carries_out_and_does_not_answer(both):
    token = both.grant()["refresh_token"]
    both.sim.control(f"http {TOKEN} close")
    with pytest.raises((http.client.RemoteDisconnected, ssl.SSLEOFError, ConnectionResetError)):
        both.web.refresh("bot", token)
    assert used_up(both, token)


def test_late_carries_out_at_once_and_answers_later(both):
    token = both.grant()["refresh_token"]
    both.sim.control(f"http {TOKEN} late=60000")
    hasty = Web(both.sim, both.tls, timeout=0.3)
    with pytest.raises(TimeoutError):
        hasty.refresh("bot", token)
    assert used_up(both, token)
    both.sim.control("http /oauth2/validate late=200")
    began = time.monotonic()
    assert both.web.validate("simtoken").status == 200
    assert time.monotonic() - began >= 0.2


def test_an_answer_may_be_later_than_a_handshake_may_take(both):
    both.sim.control("http /oauth2/validate late=5500")
    assert both.web.validate("simtoken").status == 200


def test_slow_answers_byte_by_byte(both):
    both.sim.control("http /oauth2/validate slow ms=2")
    began = time.monotonic()
    assert both.web.validate("x").message == "invalid access token"
    assert time.monotonic() - began >= 0.2


def test_malformed_is_no_http_or_broken_json(both):
    token = both.grant()["refresh_token"]
    both.sim.control("http /oauth2/validate malformed")
    with pytest.raises(http.client.BadStatusLine):
        both.web.validate("x")
    both.sim.control(f"http {TOKEN} malformed=json")
    answer = both.web.refresh("bot", token)
    assert answer.status == 200 and answer.body.startswith(b'{"access_token":')
    with pytest.raises(json.JSONDecodeError):
        _ = answer.json
    assert used_up(both, token)


def test_huge_is_ten_megabytes(both):
    both.sim.control("http * huge")
    answer = both.web.validate("simtoken")
    assert answer.status == 200 and len(answer.body) == 10 << 20 and answer.json["data"]
    both.sim.control("http off")
    assert both.web.validate("simtoken").json["login"] == "shoalbot"


@SIM
def test_a_fault_of_a_path_goes_before_that_of_all(sim):
    web = Web(sim)
    sim.control("http * status=500")
    sim.control("http /oauth2/validate status=502")
    assert (web.validate("x").status, web.device("bot").status) == (502, 500)
    sim.control("http /oauth2/validate off")
    assert web.validate("x").status == 500
    sim.control("http * status=429,retry=1")
    assert web.validate("x").status == 429
    sim.control("http off")
    assert web.validate("simtoken").status == 200


@SIM
def test_the_log_counts_paths_and_not_without_end(sim):
    web = Web(sim)
    for i in range(80):
        web.ask("GET", f"/{i}")
    web.ask("GET", "/" + "x" * 300)
    requests = sim.control("http log")["requests"]
    assert len(requests) == 65 and requests["other"]["total"] == 17 and requests["/0"]["total"] == 1


def test_it_ends_while_requests_wait(certificates):
    with Sim(*LISTEN, "--https-listen", "127.0.0.1:0", "--tls-cert", certificates.cert, "--tls-key", certificates.key) as sim:
        sim.control("http /a silence")
        sim.control("http /b late=60000")
        sim.control("http /c slow ms=1000")
        sim.control("http /d huge")
        tls = ssl.create_default_context(cafile=certificates.ca)
        open_ones = []
        for port in (sim.http, sim.https):
            for path in (b"/a", b"/b", b"/c", b"/d", b"/e"):
                sock = socket.create_connection(("127.0.0.1", port))
                sock = tls.wrap_socket(sock, server_hostname="localhost") if port == sim.https else sock
                sock.sendall(b"GET %s HTTP/1.1\r\n\r\n" % path)
                open_ones.append(sock)
        wait_until(lambda: len(sim.control("http log")["requests"]) == 5)


def test_without_the_options_it_serves_no_web(tmp_path):
    with Sim() as sim:
        assert (sim.http, sim.https) == (0, 0)


def test_https_needs_a_certificate():
    with pytest.raises(AssertionError, match="--https-listen needs --tls-cert and --tls-key"):
        Sim("--https-listen", "127.0.0.1:0")
