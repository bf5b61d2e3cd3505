"""The worked example of the README: built against what is installed, and run with two accounts."""

import pytest

from processes import run, wait_until
from shoal import BIN, ROOT

SOURCE = ROOT / "tests/managers/by_user.c"


@pytest.fixture
def by_user(tmp_path):
    """by_user.so, as somebody builds it who has Shoal installed."""
    root = tmp_path / "install"
    done = run(["cmake", "--install", BIN, "--prefix", "/usr"], {"DESTDIR": str(root)}, timeout=60)
    assert done.returncode == 0, done.stderr
    found = run(["pkg-config", "--cflags", "shoal"], {"PKG_CONFIG_PATH": str(root / "usr/share/pkgconfig")})
    assert found.returncode == 0, found.stderr
    built = tmp_path / "by_user.so"
    warnings = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    done = run(["cc", *warnings, "-shared", "-fPIC", *found.stdout.split(), SOURCE, "-o", built], timeout=60)
    assert done.returncode == 0, done.stderr
    return built


def test_the_worked_example_reads_and_sends_as_the_right_user(bare, by_user, tmp_path):
    users = tmp_path / "users"
    users.write_text("alice ta verified\nbob tb verified\n")
    bare.write_tokens({"alice": "ta", "bob": "tb"})
    bare.start_redis()
    bare.start_sim("--users", users, "--limits-off")
    args = ["--shard-manager", by_user, "--initial-channels", "forsen,sodapoppin"]
    args += ["--set", "manager.alice=forsen,xqc", "--set", "manager.bob=sodapoppin"]
    bare.start_coordinator(args=args, channels_per_shard=1, user=None)
    for node in ("n1", "n2"):
        bare.start_node(node)
    chat = bare.subscribe(bare.topic("chat:*"))
    wait_until(lambda: bare.joined("forsen", "sodapoppin"), 20, "the initial channels are joined")

    def user_of(channel):
        return bare.shards()[bare.channels()[channel]]["user"]

    assert bare.channels() == {"forsen": "shard-alice", "sodapoppin": "shard-bob"}
    assert bare.join("xqc") == {"xqc": "extended-shard-1"}  # alice's first shard is full
    assert [user_of(channel) for channel in ("forsen", "xqc", "sodapoppin")] == ["alice", "alice", "bob"]
    reply = bare.request("join", channels="stranger")
    assert reply["refused"] == {"stranger": "No user is named for this channel."}

    # The other shard of alice sends, so that the holder hears it; bob has but one.
    wait_until(lambda: bare.shards()["shard-alice"]["sender"] == "extended-shard-1", 15, "another one sends")
    for channel, user in (("forsen", "alice"), ("xqc", "alice"), ("sodapoppin", "bob")):
        assert bare.send(channel, f"hello {channel}")["status"] == "sent"
        (message,) = bare.sim.control(f"received {channel}")["messages"]
        assert (message["user"], message["text"]) == (user, f"hello {channel}")
        assert chat.waits_for(bare.topic(f"chat:{channel}"), f"hello {channel}", 10)
        assert chat.texts(bare.topic(f"chat:{channel}")).count(f"hello {channel}") == 1
    assert bare.send("sodapoppin", "as whom?", user="alice")["reason"] == "unknown_user"
    assert bare.send("sodapoppin", "as bob", user="bob")["status"] == "sent"


def test_the_worked_example_says_what_it_needs(bare, by_user):
    bare.start_redis()
    process = bare.start_coordinator(args=["--shard-manager", by_user])
    process.expected_to_end = True
    assert process.wait(10) == 1
    assert 'shard manager "by-user": it needs the channels of a user' in process.text()
