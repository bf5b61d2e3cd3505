"""HTTP of the daemons: how it is set up, what is refused at the start, and SIGHUP."""

import contextlib
import signal
import socket
import ssl

import pytest

from certificates import Certificates
from http_raw import ask, port_of
from processes import Process, run, wait_until
from shoal import COORDINATOR, NODE

PROGRAMS = {"node": NODE, "coordinator": COORDINATOR}
TOKEN = "correct-horse-battery-staple"


def secret(path, text=TOKEN, mode=0o600):
    path.write_text(text)
    path.chmod(mode)
    return path


class Daemon(Process):
    """One that serves HTTP, and whose Redis is not there."""

    def __init__(self, program, directory, *args):
        super().__init__("daemon", [PROGRAMS[program], "--config=", *self.basics(program), *args], directory)
        self.start()
        self.port = port_of(self)

    @staticmethod
    def basics(program):
        yield from ("--redis-url", "redis://127.0.0.1:1", "--connect-timeout", "1m", "--http-listen", "127.0.0.1:0")
        if program == "node":
            yield from ("--twitch-url", "ws://127.0.0.1:1")

    def __exit__(self, *_):
        self.close()
        assert not self.complaints, self.complaints

    def __enter__(self):
        return self


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_daemon_says_that_it_lives_before_it_has_redis(program, tmp_path):
    with Daemon(program, tmp_path) as daemon:
        answer = ask(daemon.port, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (answer.status, answer.body) == (200, b"ok\n")
        assert ask(daemon.port, b"GET / HTTP/1.1\r\nHost: attacker.example\r\n\r\n").status == 403


@pytest.mark.parametrize("program", PROGRAMS)
def test_without_the_option_nothing_is_served(program, tmp_path):
    daemon = Process("daemon", [PROGRAMS[program], "--config=", *list(Daemon.basics(program))[:4]], tmp_path).start()
    try:
        wait_until(lambda: "redis.waiting" in daemon.text(), 10, "it has begun")
        assert "http.listening" not in daemon.text()
    finally:
        daemon.close()


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize(
    "args, says",
    [
        (("--http-listen", "nonsense"), "\"nonsense\" is not ADDRESS:PORT"),
        (("--http-listen", "example.org:80"), "is a number, as in 127.0.0.1:9400"),
        (("--http-listen", "127.0.0.1:65536"), "is not ADDRESS:PORT"),
        (("--http-listen", "127.0.0.1:0", "--http-tls-cert", __file__), "--http-tls-cert needs --http-tls-key"),
        (("--http-tls-cert", "/no/such", "--http-tls-key", "/no/such"), "cannot read a certificate from '/no/such'"),
        (("--http-tls-cert", __file__, "--http-tls-key", __file__), "not a certificate in PEM"),
        (("--http-host", "a b"), "is not a host name"),
    ],
)  # fmt: skip
def test_what_cannot_be_served_is_refused_at_the_start(program, args, says):
    ended = run([PROGRAMS[program], "--config=", "--redis-url", "redis://127.0.0.1:1", *args])
    assert ended.returncode == 2
    assert says in ended.stderr


def test_a_port_that_is_taken_ends_the_daemon_and_is_named(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        for program in PROGRAMS:
            args = list(Daemon.basics(program))[:4]
            ended = run([PROGRAMS[program], "--config=", *args, "--http-listen", where])
            assert ended.returncode == 1
            assert f"cannot listen on {where}: address already in use" in ended.stderr


def test_a_coordinator_that_others_can_reach_wants_a_token_or_metrics_alone(tmp_path):
    token = secret(tmp_path / "token")
    everywhere = [COORDINATOR, "--config=", "--http-listen", "0.0.0.0:0"]
    refused = run([*everywhere, "--redis-url", "redis://127.0.0.1:1"])
    assert refused.returncode == 2
    assert "can be reached from other hosts: give --http-admin-token, or --http-metrics-only" in refused.stderr
    for allowed in (["--http-admin-token", token], ["--http-metrics-only"]):
        ended = run([*everywhere, *allowed, "--redis-url", "redis://127.0.0.1:1", "--connect-timeout", "100ms"])
        assert ended.returncode == 3, ended.stderr
        assert "http.listening address=0.0.0.0:" in ended.stderr
    warned = run([*everywhere, "--check", "--http-admin-token", token])
    assert "the admin token is sent to --http-listen unencrypted" in warned.stderr
    assert TOKEN not in warned.stderr + warned.stdout
    unused = run([*everywhere, "--check", "--http-admin-token", token, "--http-metrics-only"])
    assert (unused.returncode, unused.stderr) == (0, ""), "nobody is asked for the token"


@pytest.mark.parametrize(
    "text, mode, says",
    [
        (TOKEN, 0o644, "may read it"),
        ("short", 0o600, "a token is one line of 16 to 256 characters"),
        ("two\nlines of a token", 0o600, "a token is one line"),
        ("with a blank in the token", 0o600, "a token is one line"),
        ("x" * 300, 0o600, "token"),
    ],
)
def test_a_token_is_a_secret_and_hard_to_guess(text, mode, says, tmp_path):
    path = secret(tmp_path / "token", text, mode)
    ended = run([COORDINATOR, "--config=", "--check", "--http-admin-token", path])
    assert ended.returncode == 2
    assert says in ended.stderr
    assert text not in ended.stderr


def tls_answer(port, certificates, name="localhost"):
    context = ssl.create_default_context(cafile=certificates.ca)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        with context.wrap_socket(plain, server_hostname=name) as s:
            return ask(port, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", on=s), s.version()


@pytest.mark.parametrize("program", PROGRAMS)
def test_https_shows_its_certificate_and_speaks_nothing_else(program, tmp_path):
    certificates = Certificates(tmp_path / "tls")
    args = ("--http-tls-cert", certificates.cert, "--http-tls-key", certificates.key)
    with Daemon(program, tmp_path, *args) as daemon:
        answer, version = tls_answer(daemon.port, certificates)
        assert (answer.status, version) == (200, "TLSv1.3")
        with pytest.raises(ssl.SSLCertVerificationError):
            tls_answer(daemon.port, certificates, "other.example")
        assert ask(daemon.port, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").status is None


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_certificate_is_read_again_at_sighup_and_a_wrong_one_changes_nothing(program, tmp_path):
    first, second = Certificates(tmp_path / "first"), Certificates(tmp_path / "second")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert.write_bytes(first.cert.read_bytes())
    key.write_bytes(first.key.read_bytes())
    with Daemon(program, tmp_path, "--http-tls-cert", cert, "--http-tls-key", key) as daemon:
        tls_answer(daemon.port, first)
        cert.write_bytes(second.cert.read_bytes())  # and the key is another's
        daemon.signal(signal.SIGHUP)
        wait_until(lambda: "config.reload " in daemon.text(), 10, "the reload is refused")
        assert "not the private key of" in daemon.text()
        tls_answer(daemon.port, first)
        key.write_bytes(second.key.read_bytes())
        daemon.signal(signal.SIGHUP)
        wait_until(lambda: "config.reloaded" in daemon.text(), 10, "the reload is done")
        tls_answer(daemon.port, second)


def test_with_tls_to_twitch_and_to_clients_nothing_is_left_behind(bare, tmp_path):
    """libwebsockets and we share OpenSSL. Whoever is connected when a node ends: AddressSanitizer looks at what is left."""
    tls = Certificates(tmp_path / "tls")
    context = ssl.create_default_context(cafile=tls.ca)
    bare.start_redis()
    bare.start_sim("--verified", tls=tls)
    bare.start_coordinator()
    args = ("--http-listen", "127.0.0.1:0", "--http-tls-cert", tls.cert, "--http-tls-key", tls.key)
    node = bare.start_node(args=args)
    where = ("127.0.0.1", port_of(node))

    def connect(stack):
        plain = stack.enter_context(socket.create_connection(where, timeout=10))
        return stack.enter_context(context.wrap_socket(plain, server_hostname="localhost"))

    with contextlib.ExitStack() as stack:
        wait_until(bare.leader, 10, "a coordinator leads")
        bare.join("alpha", "beta")
        asks = connect(stack)

        def metrics(s):
            return ask(where[1], b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", on=s).body

        wait_until(lambda: b'shoal_channels{state="joined"} 2\n' in metrics(asks), 20, "both are joined")
        node.signal(signal.SIGHUP)
        wait_until(lambda: "config.reloaded" in node.text(), 10, "the certificate is read again")
        assert b"shoal_build_info" in metrics(connect(stack))
        connect(stack).sendall(b"GET /metr")
        stack.enter_context(socket.create_connection(where)).sendall(b"\x16\x03\x01\x02\x00\x01")
        node.close()
    assert (node.popen.returncode, node.complaints) == (0, [])
