"""The Twitch simulator as a program: its options, its commands, and many clients at once."""

import ssl
import subprocess

import pytest

from simclient import Chat, Sim, only, wait_until


def test_tls_works_and_is_marked(tmp_path):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-keyout", key, "-out", cert],
        check=True, capture_output=True,
    )  # fmt: skip
    with Sim("--tls-listen", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key) as sim:
        context = ssl.create_default_context(cafile=cert)
        chat = Chat(sim, tls=context)
        chat.join("a")
        sim.control("generate count=5000")
        sim.control("wait generate")
        assert len(chat.sync()) == 5000
        assert [c["tls"] for c in sim.control("connections")["connections"]] == [True]
        assert len(Chat(sim).join("a")) > 0


def test_users_come_from_a_file(tmp_path):
    users = tmp_path / "users"
    users.write_text("# accounts\nalice oauth:ta verified\nbob tb mod=room,alice # helper\n\n")
    with Sim("--users", users) as sim:
        Chat(sim, "alice", "ta")
        bob = Chat(sim, "bob", "tb")
        assert only(bob.join("room"), "USERSTATE")[0].tags["mod"] == "1"
        assert sim.control.stats()["users"]["alice"]["verified"]
        chat = Chat(sim, login=None)
        chat.send("PASS oauth:simtoken")
        chat.send("NICK shoalbot")
        assert chat.expect_closed(3)[0].text == "Login authentication failed"


def test_a_shared_configuration_file_is_no_error(tmp_path):
    config = tmp_path / "shoal.conf"
    config.write_text("redis_url = redis://127.0.0.1:1\ncoalesce = 4\n")
    with Sim("--config", config) as sim:
        Chat(sim)


def test_many_clients_come_and_go_while_everything_goes_wrong():
    with Sim("--limits-off", "--queue-bytes", "32k") as sim:
        for turn in range(12):
            chats = [Chat(sim) for _ in range(6)]
            for chat in chats:
                chat.send("JOIN #a,#b")
            for command in ("lag random=2 ms=20", "swap random=2 on", "generate count=500",
                            "slow random=1 write=5000", "half-open random=1", "garbage random=1",
                            "longline random=1", "disconnect random=1 how=reset",
                            "reconnect random=1 ms=10", "pause random=2 ms=30"):  # fmt: skip
                sim.control(command)
            for chat in chats[::2]:
                chat.close()
            if turn % 4 == 3:
                sim.control("disconnect all how=reset")
                wait_until(lambda: sim.control.stats()["connections"]["closing"] == 0)
        sim.control("stop")
        sim.control("wait connections=0")
        assert sim.control.stats()["channels_joined"] == 0


def test_bad_commands_get_an_error_and_do_no_harm(sim):
    keep = Chat(sim)
    for command in ("nonsense", "disconnect", "inject", "limit x=1", "limit join-limit=abc",
                    "channel a state=odd", "wait", "wait nothing", "ban a user=nobody",
                    "garbage all kind=odd", "mode a odd=1"):  # fmt: skip
        answer = sim.control(command, check=False)
        assert not answer["ok"] and answer["error"], command
    assert not sim.control("wait connections=77 ms=50", check=False)["ok"]
    assert "generate" in sim.control("help")["commands"]
    keep.sync()


@pytest.mark.parametrize(
    "args, message",
    [
        (["--listen", "0.0.0.0:0"], "127.0.0.0/8"),
        (["--listen", "127.nowhere:0"], "127.0.0.0/8"),
        (["--listen", "nonsense"], "nonsense"),
        (["--join-limit", "many"], "join-limit"),
        (["--users", "/nonexistent/file"], "/nonexistent/file"),
        (["--tls-listen", "127.0.0.1:0"], "--tls-cert"),
        (["--rate", "fast"], "--rate"),
    ],
)
def test_wrong_usage_is_one_clear_message(args, message):
    from simclient import bin_dir

    done = subprocess.run(
        [bin_dir() / "tests" / "twitch-sim", *args], capture_output=True, text=True, timeout=20
    )
    assert done.returncode in (1, 2)
    assert message in done.stderr and "Sanitizer" not in done.stderr


def test_tokens_are_not_logged():
    with Sim("--log-level", "debug") as sim:
        Chat(sim)
        sim.control("user x token=verysecret")
        log = sim.log_path.read_text()
    assert "simtoken" not in log and "verysecret" not in log


def test_many_connections_in_one_process():
    with Sim("--limits-off") as sim:
        chats = [Chat(sim, f"justinfan{i}", token=None, timeout=30) for i in range(300)]
        for i, chat in enumerate(chats):
            chat.send(f"JOIN #room{i % 10},#all")
        sim.control("wait members=all:300")
        assert sim.control("inject all line=:x!x@x PRIVMSG #all :hi")["heard"] == 300
        for chat in chats:
            chat.expect(lambda line: line.text == "hi")
        stats = sim.control.stats()
        assert stats["channels"]["all"]["sent"] == 1 and stats["connections"]["logged_in"] == 300
