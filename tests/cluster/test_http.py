"""HTTP of the daemons and hostile clients: whatever is sent, chat goes on and no line is lost."""

import contextlib
import json
import random
import re
import resource
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from http_raw import ask, port_of
from processes import wait_until
from shoal import Cluster

GET = b"GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n"
HEALTH = GET % (b"/healthz", b"")
CONNECTIONS = 256  # WEB_CONNECTIONS_MAX
REQUESTS = [  # and the status; None: any refusal
    (b"GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    (b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    (b"GET /metrics/../metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    (b"GET /healthz%00 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    (b"GET /healthz\x00 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    (b"GET /%zz HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    (GET % (b"/" + b"a" * 5000, b""), 414),
    (GET % (b"/healthz", b"X: " + b"a" * 20000 + b"\r\n"), 431),
    (GET % (b"/healthz", b"A: b\r\n" * 100), 431),
    (b"GET http://localhost/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    (b"GET /healthz\r\n\r\n", 505),
    (b"GET /healthz HTTP/2.0\r\nHost: localhost\r\n\r\n", 505),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    (b"DELETE /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
    (b"BREW /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
    (b"GET /healthz HTTP/1.1\r\n\r\n", 400),
    (b"GET /healthz HTTP/1.1\r\nHost: attacker.example\r\n\r\n", 403),
    (GET % (b"/healthz", b"Origin: http://attacker.example\r\n"), 403),
    (GET % (b"/healthz", b"Host: localhost\r\n"), 400),
    (GET % (b"/healthz", b"Content-Length: 1\r\nContent-Length: 1\r\n") + b"a", 400),
    (GET % (b"/healthz", b"Content-Length: -1\r\n"), 400),
    (GET % (b"/healthz", b"Content-Length: 99999999\r\n"), 413),
    (GET % (b"/healthz", b"Transfer-Encoding: chunked\r\n") + b"0\r\n\r\n", 411),
    (GET % (b"/healthz", b"Upgrade: h2c\r\nConnection: Upgrade\r\n"), 200),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    (bytes(range(128, 256)), 400),
]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A cluster that reads ten channels, and whose node and coordinator serve HTTP."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    cluster = Cluster(tmp_path_factory.mktemp("http"))
    try:
        cluster.start_redis()
        cluster.start_sim("--verified")
        cluster.c1 = cluster.start_coordinator()
        cluster.n1 = cluster.start_node(args=("--http-listen", "127.0.0.1:0"))
        cluster.chat = cluster.subscribe("shoal:main:chat:*")
        wait_until(cluster.leader, 10, "a coordinator leads")
        cluster.channels_read = [f"room{i}" for i in range(10)]
        cluster.join(*cluster.channels_read)
        cluster.ports = {"node": port_of(cluster.n1), "coordinator": port_of(cluster.c1)}
        yield cluster
    finally:
        complaints = cluster.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert not complaints, "\n".join(complaints)


def lives(port):
    answer = ask(port, HEALTH)
    return (answer.status, answer.body) == (200, b"ok\n")


@pytest.mark.parametrize("daemon", ["node", "coordinator"])
def test_malformed_requests_are_answered_or_closed(served, daemon):
    port = served.ports[daemon]
    for request, status in REQUESTS:
        assert ask(port, request).status == status, request[:100]
    assert lives(port)


@pytest.mark.parametrize("daemon", ["node", "coordinator"])
def test_requests_with_changed_bytes_do_no_harm(served, daemon):
    port = served.ports[daemon]
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    for _ in range(300):
        data = bytearray(chance.choice(REQUESTS)[0][:2000] + chance.choice(REQUESTS)[0][:2000])
        for _ in range(chance.randrange(6)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        with socket.create_connection(("127.0.0.1", port), timeout=10) as s, contextlib.suppress(ConnectionError):
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            while s.recv(65536):
                pass
    assert lives(port), f"seed {seed}"
    served.chat_flows(served.chat, *served.channels_read)


def test_slow_clients_are_dropped_in_time(served):
    """A byte now and then is no request: 5 s for a head, 10 s for a body."""
    slow = []
    for port in served.ports.values():
        for begin in (b"", b"GET /healthz HTTP/1.1\r\n", GET % (b"/healthz", b"Content-Length: 1000\r\n")):
            slow.append((socket.create_connection(("127.0.0.1", port)), begin))
    began = time.monotonic()
    ended = {}
    for s, begin in slow:
        s.sendall(begin)
        s.setblocking(False)
    while len(ended) < len(slow) and time.monotonic() - began < 20:
        for s, begin in slow:
            if s not in ended:
                try:
                    s.sendall(b"x" if begin else b"")
                    if s.recv(100) == b"":
                        ended[s] = time.monotonic() - began
                except BlockingIOError:
                    pass
                except OSError:
                    ended[s] = time.monotonic() - began
        time.sleep(0.2)
    for s, begin in slow:
        s.close()
        assert s in ended and ended[s] < (14 if b"Length" in begin else 8), begin
    assert all(lives(port) for port in served.ports.values())


def fds(process):
    return len(list(Path(f"/proc/{process.pid}/fd").iterdir()))


@pytest.mark.parametrize("daemon", ["node", "coordinator"])
def test_a_thousand_idle_connections_leave_room_for_others(served, daemon):
    process = served.n1 if daemon == "node" else served.c1
    before = fds(process)
    idle = []
    for _ in range(1000):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex(("127.0.0.1", served.ports[daemon]))
        idle.append(s)
    began = time.monotonic()
    assert lives(served.ports[daemon])
    assert time.monotonic() - began < 5
    assert fds(process) <= before + CONNECTIONS + 2  # libuv has accepted one ahead
    served.chat_flows(served.chat, *served.channels_read)
    for s in idle:
        s.close()
    wait_until(lambda: fds(process) <= before + 2, 10, "its connections are gone")


def test_a_pipeline_of_requests_is_answered_in_order_without_a_pause_of_the_others(served):
    port = served.ports["node"]
    with socket.create_connection(("127.0.0.1", port)) as s:
        s.sendall((HEALTH + GET % (b"/nothing", b"")) * 50)
        data = b""
        while data.count(b"HTTP/1.1 ") < 100 or not data.endswith(b"}\n"):
            data += s.recv(65536)
    assert re.findall(rb"HTTP/1\.1 (\d+)", data) == [b"200", b"404"] * 50


def delays(port):
    """How often the loop was so late, cumulated, by seconds; asked until the server has time for it."""
    answer = wait_until(lambda: (a := ask(port, GET % (b"/metrics", b""))).status == 200 and a, 10, "/metrics answers")
    found = re.findall(rb'shoal_loop_delay_seconds_bucket\{le="(.*?)"\} (\d+)', answer.body)
    return {float(seconds): int(n) for seconds, n in found}


def test_ten_thousand_requests_a_second_lose_no_line(served):
    """The hammer offers what it can; what is answered is bounded, and the lines of chat arrive all the same."""
    port = served.ports["node"]
    count, rate, seconds = 6000, 2000, 3
    before = len(served.chat.messages)
    late_before = delays(port)
    hammer = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("http_hammer.py"), str(port), str(seconds)], stdout=subprocess.PIPE
    )
    channels = ",".join(served.channels_read)
    served.sim.control(f"generate count={count} rate={rate} channels={channels}")
    told = json.loads(hammer.communicate(timeout=60)[0])
    served.sim.control("wait generate ms=30000")
    wait_until(lambda: len(served.chat.messages) - before >= count, 30, "all lines arrive")
    time.sleep(0.2)  # and none twice
    assert len(served.chat.messages) - before == count
    assert told["offered"] > 10_000, told
    assert told["200"] + told["429"] < 5000 * seconds, told
    print(told)
    assert not served.events("gap")
    late = delays(port)
    timers = late[float("inf")] - late_before[float("inf")]
    in_time = late[0.05] - late_before[0.05]
    assert timers > 10 * seconds / 2
    assert in_time >= 0.9 * timers, late  # all of them where nothing else keeps the machine busy
    assert late[0.5] - late_before[0.5] == timers, late
