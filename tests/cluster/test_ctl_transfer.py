"""shoalctl export and import, and retry --all, against a real cluster."""

import os
import stat
import subprocess
import time

import pytest

from processes import wait_until
from shoal import CTL, TOKEN, USER, Cluster


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """Room for 60 channels, 20 in a shard; two accounts may read, and `first` does."""
    cluster = Cluster(tmp_path_factory.mktemp("transfer"))
    cluster.write_tokens({USER: TOKEN, "other": "secret2"})
    cluster.start_redis()
    cluster.start_sim("--limits-off")
    cluster.sim.control("user other token=secret2")
    cluster.start_coordinator(max_shard_count=3, user=USER)
    cluster.start_node("n1")
    wait_until(cluster.nodes, 10, "the node is registered")
    cluster.settle()
    yield cluster
    complaints = cluster.close()
    assert not complaints, "\n".join(complaints)


@pytest.fixture
def other(full):
    """A cluster without nodes on the same Redis: channels wait there."""
    cluster = full.beside("other")
    cluster.start_coordinator(room_limit=None)
    wait_until(cluster.leader, 10, "a coordinator leads")
    yield cluster
    complaints = cluster.close()
    full.redis.delete(*full.redis.keys("shoal:{other}:*"))
    assert not complaints, "\n".join(complaints)


def lines(text):
    return [line for line in text.splitlines() if not line.startswith("#")]


def test_what_was_exported_is_imported_elsewhere_and_exported_again(full, other, tmp_path):
    full.ctl("join", "zoe", "Alice", "bob")
    full.ctl("join", "--user", "other", "carol")
    full.ctl("config", "set", "send_ttl_ms", "20000")
    text = full.ctl("export").stdout
    channels = [line for line in lines(text) if line.startswith("channel")]
    assert channels == ["channel alice", "channel bob", "channel carol user other", "channel zoe"]
    assert "set send_ttl_ms 20000" in lines(text) and f"set user {USER}" in lines(text)
    assert TOKEN not in text and text == full.ctl("export").stdout
    kept = tmp_path / "kept"
    full.ctl("export", kept)
    assert kept.read_text() == text and [each.name for each in tmp_path.iterdir()] == ["kept"]
    done = other.ctl("import", kept)
    assert done.stdout.splitlines()[1] == "channels  0 assigned, 4 waiting, 0 refused"
    assert lines(other.ctl("export", "-").stdout) == lines(text)


def test_the_same_again_changes_nothing(full, tmp_path):
    full.ctl("join", "zoe")
    kept = tmp_path / "kept"
    full.ctl("export", kept)
    before = len(full.events())
    [result] = full.ctl_json("import", "-", input=kept.read_text())
    assert result["set"] == result["not_set"] == result["waiting"] == result["refused"] == 0
    assert result["unchanged"] == len([line for line in lines(kept.read_text()) if line.startswith("set")])
    assert result["assigned"] == len(full.channels())
    assert len(full.events()) == before


def test_what_is_refused_is_told_with_the_reason(full):
    names = [f"c{i}" for i in range(150)]
    text = "set no_such 1\nset room_limit many\nset muted_ms 2000\n" + "".join(f"channel {name}\n" for name in names)
    done = full.ctl("import", "-", input=text, check=False)
    assert done.returncode == 1
    assert "no_such: Unknown setting no_such" in done.stderr and "room_limit: Setting room_limit takes" in done.stderr
    assert "All shards are full, and the shard count limit has been reached." in done.stderr
    settings, channels = done.stdout.splitlines()
    assert settings == "settings  1 set, 0 as they were, 2 refused"
    counts = {words.split()[1]: int(words.split()[0]) for words in channels.removeprefix("channels  ").split(", ")}
    full.ctl("part", *set(names) & set(full.channels()))
    assert counts["assigned"] + counts["refused"] == 150 and counts["refused"] >= 90


def test_a_text_with_wrong_lines_asks_for_nothing(full):
    before = full.channels()
    done = full.ctl("import", "-", input="channel fine\nchannel no-such\nforsen\n", check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "-:2: that is no channel" in done.stderr and "-:3: a line begins" in done.stderr
    assert "2 lines of - are wrong; nothing was asked for" in done.stderr
    assert full.channels() == before
    done = full.ctl("import", "/no/such/file", check=False)
    assert done.returncode != 0 and "/no/such/file" in done.stderr
    assert full.ctl("import", check=False).returncode == 2


def test_a_file_that_cannot_be_written_is_told(full, tmp_path):
    done = full.ctl("export", tmp_path / "no" / "such", check=False)
    assert done.returncode == 1 and "cannot write" in done.stderr
    (tmp_path / "directory").mkdir()
    done = full.ctl("export", tmp_path / "directory", check=False)
    assert done.returncode == 1 and [each.name for each in tmp_path.iterdir()] == ["directory"]


def printed_into(cluster, out, *args):
    argv = [CTL, "--redis-url", cluster.redis_url, *args]
    return subprocess.run(argv, stdout=out, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, timeout=60, check=False)


@pytest.mark.parametrize("args", [["export"], ["--json", "events"], ["channels"]])
def test_what_is_printed_and_cannot_be_written_is_told(full, args):
    full.join("zoe")
    with open("/dev/full", "w", encoding="utf-8") as out:
        done = printed_into(full, out, *args)
    assert (done.returncode, done.stderr) == (1, "shoalctl: standard output did not take all of it\n")


@pytest.mark.parametrize("args", [["events"], ["events", "--follow", "--since", "1h"], ["status", "--watch"]])
def test_who_goes_on_ends_well_when_its_reader_is_gone(full, args):
    end, out = os.pipe()
    os.close(end)
    try:
        done = printed_into(full, out, *args)
    finally:
        os.close(out)
    assert (done.returncode, done.stderr) == (full.ctl("status").returncode if "status" in args else 0, "")


def test_a_text_of_redis_makes_no_line_of_an_export(full):
    login = "mallory"
    full.redis.hset(full.key(f"account:{login}"), mapping={"state": "usable", "tier": "x\nchannel evil"})
    full.redis.zadd(full.key("accounts"), {login: 1e15})
    try:
        text = full.ctl("export").stdout
    finally:
        full.redis.zrem(full.key("accounts"), login)
        full.redis.delete(full.key(f"account:{login}"))
    assert " tier x?channel evil\n" in text and "channel evil" not in lines(text)


def test_an_export_keeps_the_mode_of_a_file_and_touches_no_other(full, tmp_path):
    text = full.ctl("export").stdout
    kept, other = tmp_path / "kept", tmp_path / "other"
    kept.write_text("old")
    kept.chmod(0o640)
    other.write_text("of somebody")
    (tmp_path / "kept.new").symlink_to(other)
    full.ctl("export", kept)
    assert (kept.read_text(), kept.stat().st_mode & 0o777) == (text, 0o640)
    assert other.read_text() == "of somebody" and (tmp_path / "kept.new").is_symlink()
    assert {each.name for each in tmp_path.iterdir()} == {"kept", "kept.new", "other"}


def test_an_export_goes_through_what_is_no_file_of_its_own(full, tmp_path):
    text = full.ctl("export").stdout
    target, link, fifo = tmp_path / "target", tmp_path / "link", tmp_path / "fifo"
    target.write_text("old and longer than the new one" * 1000)
    link.symlink_to(target)
    full.ctl("export", link)
    assert link.is_symlink() and target.read_text() == text
    os.mkfifo(fifo)
    done = full.ctl("export", fifo, check=False)
    assert done.returncode == 1 and "cannot write" in done.stderr, "nobody reads it"
    end = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    full.ctl("export", fifo)
    assert os.read(end, 1 << 20).decode() == text and stat.S_ISFIFO(fifo.stat().st_mode)
    os.close(end)


def test_standard_input_may_take_longer_than_the_timeout(full):
    argv = [CTL, "--redis-url", full.redis_url, "--timeout", "1s", "import", "-"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        time.sleep(1.3)
        out, err = program.communicate("set lease_ms 2000\n", timeout=20)
    assert (program.returncode, err) == (0, "") and "1 as they were" in out


def test_all_that_failed_are_tried_again(full):
    full.ctl("join", "zoe", "alice")
    wait_until(lambda: full.joined("zoe", "alice"), 10, "they are joined")
    assert full.ctl("retry", "--all").stdout == "no channel has failed\n"
    full.sim.control(f"ban dave user={USER}")
    full.sim.control(f"ban erin user={USER}")
    full.ctl("join", "dave", "erin")
    wait_until(lambda: {full.channel(name)["state"] for name in ("dave", "erin")} == {"failed"}, 20, "both failed")
    full.sim.control(f"ban dave user={USER} off")
    rows = full.ctl_json("retry", "--all")
    assert [(row["channel"], row["state"]) for row in rows] == [("dave", "retried"), ("erin", "retried")]
    wait_until(lambda: full.joined("dave"), 10, "the one is joined")
    assert full.ctl("retry", "--all", "dave", check=False).returncode == 2
    assert full.ctl("retry", check=False).returncode == 2
    full.ctl("part", "dave", "erin")
