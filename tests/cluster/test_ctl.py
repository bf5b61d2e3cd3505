"""shoalctl against a real cluster."""

import json
import re
import signal
import subprocess
import time

import pytest

from processes import run, wait_until
from shoal import COORDINATOR, CTL, USER, Clock


@pytest.fixture
def running(cluster):
    """A node is up, and room for 40 channels."""
    cluster.start_node("n1", capacity=4)
    wait_until(lambda: cluster.nodes() == ["n1"], 10, "the node is registered")
    return cluster


def test_join_tells_the_shard_of_each_channel_and_twitch_has_it_joined(running):
    done = running.ctl("join", "alice", "#Bob")
    assert [line.split()[:2] for line in sorted(done.stdout.splitlines())] == [
        ["alice", "assigned"],
        ["bob", "assigned"],
    ]
    wait_until(lambda: running.joined("alice", "bob"), 10, "both are joined")
    rows = running.ctl_json("channels")
    assert [(r["channel"], r["state"]) for r in rows] == [("alice", "joined"), ("bob", "joined")]


def test_join_reads_names_from_a_file_and_from_standard_input(running, tmp_path):
    names = tmp_path / "names"
    names.write_text("carol, dave # two of them\n# nobody\nerin\n")
    assert len(running.ctl_json("join", f"@{names}")) == 3
    assert len(running.ctl_json("join", "@-", input="frank\ngrace\n")) == 2
    assert sorted(running.channels()) == ["carol", "dave", "erin", "frank", "grace"]


def test_a_wrong_name_is_refused_before_anything_is_asked(running):
    done = running.ctl("join", "alice", "no-such", check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "no-such" in done.stderr
    done = running.ctl("join", "b!d,alice,w.rse", "good", "no-such", check=False)
    assert done.returncode == 2
    assert all(name in done.stderr for name in ('"b!d", "w.rse" are not channel names', '"no-such" is not'))
    assert running.channels() == {}


def test_a_join_beyond_the_limits_fails_with_the_reason(bare):
    bare.start_redis()
    bare.start_sim("--verified")
    bare.start_coordinator(channels_per_shard=2, max_shard_count=1)
    bare.start_node("n1")
    wait_until(bare.nodes, 10, "the node is registered")
    wait_until(bare.shards, 10, "setup has made a shard")
    done = bare.ctl("join", "a1", "a2", "a3", check=False)
    assert done.returncode == 1
    assert "All shards are full, and the shard count limit has been reached." in done.stderr
    assert sorted(bare.channels()) == ["a1", "a2"]
    assert sum(r["state"] == "refused" for r in bare.ctl_json("join", "a4", check=False)) == 1


def test_part_forgets_the_channel_and_refuses_one_that_was_not_joined(running):
    running.ctl("join", "alice")
    done = running.ctl("part", "alice", "bob", check=False)
    assert done.returncode == 1
    assert done.stdout.split() == ["alice", "parted"]
    assert "bob: The channel is not joined." in done.stderr
    assert running.channels() == {}


def test_more_than_a_request_holds_is_asked_in_portions(running):
    running.ctl("config", "set", "channels_per_shard", "1000")
    names = [f"c{i}" for i in range(2500)]
    rows = running.ctl_json("join", "@-", input="\n".join(names))
    assert sorted(r["channel"] for r in rows) == sorted(names)
    assert all(r["state"] == "assigned" for r in rows)


def test_send_ends_well_only_when_twitch_has_said_it(running):
    running.ctl("join", "alice")
    wait_until(lambda: running.joined("alice"), 10, "alice is joined")
    chat = running.subscribe("shoal:main:chat:alice")
    running.sim.control("limit channel-interval=off")
    assert running.ctl("send", "alice", "hello there").stdout == "sent\n"
    chat.wait_for(lambda topic, line: line.endswith(b":hello there"))
    [result] = running.ctl_json("send", "alice", "again")
    assert result["status"] == "sent" and result["channel"] == "alice"
    assert running.sim.control.received("alice", "said") == ["hello there", "again"]


def test_a_result_that_is_found_and_not_heard_is_the_same(bare):
    bare.start_redis()
    bare.start_sim("--verified")
    bare.start_coordinator(channel_message_ms=1500)
    bare.start_node("n1")
    wait_until(bare.nodes, 10, "the node is registered")
    bare.join("alice")
    heard = bare.subscribe("shoal:main:sent:alice")
    bare.ctl("send", "alice", "one")
    argv = [CTL, "--redis-url", bare.redis_url, "--json", "send", "alice", "two"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as program:
        wait_until(lambda: bare.redis.xlen(bare.key("outbox")) == 1, 10, "it waits for its turn")
        while program.poll() is None:
            for client in bare.redis.client_list():
                if client["name"] == "shoalctl:sub":
                    bare.redis.client_kill_filter(_id=client["id"])
        [line] = program.stdout.read().splitlines()
    assert program.returncode == 0
    assert json.loads(line) == json.loads(heard.on("shoal:main:sent:alice")[1])


def test_a_rejected_send_fails_with_the_reason_of_twitch(running):
    running.sim.control(f"ban alice user={USER}")
    done = running.ctl("send", "alice", "hello", check=False)
    assert done.returncode == 1
    assert "rejected" in done.stderr and "msg_banned" in done.stderr


def test_tail_shows_chat_as_it_comes(running):
    running.ctl("join", "alice")
    wait_until(lambda: running.joined("alice"), 10, "alice is joined")
    tails = {
        name: subprocess.Popen(
            [CTL, "--redis-url", running.redis_url, *args], stdout=subprocess.PIPE, text=True
        )
        for name, args in {
            "pretty": ["tail", "alice"],
            "raw": ["--raw", "tail", "*"],
            "json": ["--json", "tail", "#Alice"],
        }.items()
    }
    try:
        topic = "shoal:main:chat:alice"
        wait_until(
            lambda: running.redis.pubsub_numsub(topic)[0][1] == 2 and running.redis.pubsub_numpat(),
            10,
            "all three listen",
        )
        line = "@display-name=Eve :eve!eve@eve.tmi.twitch.tv PRIVMSG #alice :hi \x1b[31mthere"
        running.sim.control(f"inject alice line={line}")
        assert tails["raw"].stdout.readline() == line + "\n"
        assert tails["pretty"].stdout.readline()[8:] == " #alice Eve: hi ?[31mthere\n"
        assert json.loads(tails["json"].stdout.readline()) == {"channel": "alice", "line": line}
    finally:
        for tail in tails.values():
            tail.terminate()
    assert [tail.wait(10) for tail in tails.values()] == [0, 0, 0]


@pytest.mark.parametrize("args", [["tail", "long"], ["--raw", "tail", "long"], ["--json", "tail", "long"]])
def test_what_is_too_long_to_be_shown_is_told_and_what_follows_has_its_own_line(running, args):
    topic = "shoal:main:chat:long"
    argv = [CTL, "--redis-url", running.redis_url, *args]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as tail:
        wait_until(lambda: running.redis.pubsub_numsub(topic)[0][1] == 1, 10, "it listens")
        for text in ("x" * 300_000, "short"):
            running.redis.publish(topic, f":eve!eve@eve.tmi.twitch.tv PRIVMSG #long :{text}")
        line = tail.stdout.readline()
        tail.terminate()
        said = tail.stderr.read()
    assert "short" in line and "xxx" not in line
    assert "shoalctl: a line of more than 256 KiB is left out\n" in said
    assert tail.returncode == 0


def test_config_shows_what_is_in_force_and_refuses_what_is_not_allowed(running):
    assert running.ctl("config", "get", "channels_per_shard").stdout == "20\n"
    running.ctl("config", "set", "channels_per_shard", "30")
    assert running.ctl("config", "get", "channels_per_shard").stdout == "30\n"
    running.ctl("config", "unset", "channels_per_shard")
    assert running.ctl("config", "get", "channels_per_shard").stdout == "25\n"
    done = running.ctl("config", "set", "channels_per_shard", "many", check=False)
    assert done.returncode == 1 and "takes a number from 1" in done.stderr
    done = running.ctl("config", "set", "no_such", "1", check=False)
    assert done.returncode == 1 and "Unknown setting no_such" in done.stderr
    names = [row["name"] for row in running.ctl_json("config", "get")]
    assert names == sorted(names) and "lease_ms" in names


def test_stop_closes_every_connection_and_start_opens_them_again(running):
    running.ctl("join", "alice")
    wait_until(lambda: running.joined("alice"), 10, "alice is joined")
    running.ctl("stop")
    wait_until(lambda: not running.sim.control("connections")["connections"], 20, "all are closed")
    assert running.channels()["alice"] != ""
    assert "stopped" in running.ctl("status").stdout
    running.ctl("start")
    wait_until(lambda: running.sim.control("connections")["connections"], 10, "it connects again")
    wait_until(lambda: running.joined("alice"), 10, "alice is joined again")


def test_status_shows_loads_and_warns_of_a_limit_below_use(running):
    running.ctl("join", "a1", "a2", "a3")
    wait_until(lambda: running.joined("a1", "a2", "a3"), 10, "they are joined")
    text = running.ctl("status").stdout
    assert "leader    c1" in text and "3 joined" in text and "3/20" in text
    problems = [line for line in text.splitlines() if line.startswith(("problem", "note"))]
    assert len(problems) == 1 and "persistence" in problems[0], "what a Redis of tests lacks"
    assert "\x1b" not in text
    running.ctl("config", "set", "channels_per_shard", "2")
    [status] = running.ctl_json("status")
    assert status["states"] == {"joined": 3}
    assert any("channels_per_shard is 2" in problem["text"] for problem in status["problems"])
    assert [n["node"] for n in running.ctl_json("nodes")] == ["n1"]
    assert [s["state"] for s in running.ctl_json("shards")] == ["ready"]


def test_times_are_told_to_the_millisecond(running):
    lease_ms = int(running.redis.hget(running.key("config"), "lease_ms"))
    wait_until(lambda: running.redis.time()[1] > 700000, 10, "most of a second is over")
    [node] = running.ctl_json("nodes")
    assert all(isinstance(node[field], int) for field in ("since", "renewed", "read_until")), node
    assert 0 < node["lease_ms"] <= lease_ms


def test_rates_are_those_of_the_connection_that_is_there_now(running):
    running.ctl("join", "alice")
    wait_until(lambda: running.joined("alice"), 10, "alice is joined")
    shard = running.channels()["alice"]

    def rate():
        running.inject("alice", "something")
        return int(running.shards()[shard].get("lines_s", 0))

    wait_until(rate, 15, "a rate is told")
    running.ctl("stop")
    running.ctl("start")
    wait_until(lambda: running.joined("alice"), 10, "it is joined again")
    began = time.monotonic()
    rates = set()
    wait_until(lambda: rates.add(rate()) or time.monotonic() > began + 7, 10, "a new rate is told")
    assert max(rates) < 1000, rates


def test_a_request_made_while_nobody_leads_is_carried_out_later(running):
    running.settle()
    running.processes["c1"].kill()
    wait_until(lambda: running.redis.exists(running.key("leader")), 5)
    began = time.monotonic()
    done = running.ctl("--timeout", "3s", "join", "alice", check=False)
    assert done.returncode == 1 and 2.5 < time.monotonic() - began < 10
    assert "no coordinator leads" in done.stderr
    running.ctl("--no-wait", "join", "bob")
    running.processes["c1"].start()
    wait_until(lambda: sorted(running.channels()) == ["alice", "bob"], 15, "both are wanted")


def test_that_nobody_leads_is_said_at_once_and_a_leader_that_comes_is_waited_for(running):
    running.settle()
    running.processes["c1"].stop()
    asking = subprocess.Popen(
        [CTL, "--redis-url", running.redis_url, "join", "alice"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    began = time.monotonic()
    assert 'no coordinator leads cluster "main"' in asking.stderr.readline()
    assert time.monotonic() - began < 2
    running.processes["c1"].start()
    out, err = asking.communicate(timeout=20)
    assert (asking.returncode, err) == (0, "") and "alice" in out


def test_a_cluster_that_is_none_is_told_at_once_and_left_alone(running):
    running.settle()
    for args in (["join", "alice"], ["--no-wait", "join", "alice"], ["stop"], ["config", "set", "room_limit", "5"],
                 ["retry", "alice"], ["send", "alice", "hello"]):
        began = time.monotonic()
        done = run([CTL, "--redis-url", running.redis_url, "--cluster", "mian", *args])
        assert (done.returncode, done.stdout) == (1, "")
        assert 'no cluster "mian" in this Redis' in done.stderr and "--cluster" in done.stderr
        assert time.monotonic() - began < 5
    assert running.redis.keys("shoal:{mian}:*") == []


def test_tail_says_which_channels_nobody_joined(running):
    running.settle()
    running.join("alice")
    tail = subprocess.Popen(
        [CTL, "--redis-url", running.redis_url, "tail", "alice", "#Bob", "c*"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    line = tail.stderr.readline()
    tail.terminate()
    assert "channel #Bob is not joined" in line
    assert tail.communicate(timeout=10)[1] == ""


def test_help_is_a_command_too():
    assert run([CTL, "help"]).stdout == run([CTL, "--help"]).stdout != ""
    assert run([CTL, "--json", "help", "join"]).returncode == 0


def test_redis_out_of_reach_and_wrong_usage_have_their_own_exit_codes(bare):
    bare.redis_url = "redis://:secret@127.0.0.1:1"
    done = bare.ctl("status", check=False)
    assert done.returncode == 3 and "127.0.0.1:1" in done.stderr and "secret" not in done.stderr
    for wrong in (
        [],
        ["nonsense"],
        ["join"],
        ["send", "alice"],
        ["send", "no-channel", "text"],
        ["config", "set", "x"],
        ["tail", "no-channel"],
        ["--raw", "status"],
        ["--no-such", "status"],
    ):
        assert bare.ctl(*wrong, check=False).returncode == 2, wrong


def test_a_redis_that_no_coordinator_has_set_up_is_told_so(bare):
    bare.start_redis()
    done = bare.ctl("status", check=False)
    assert done.returncode == 1 and "shoal-coordinator" in done.stderr


def test_ctrl_c_ends_a_join_whose_names_are_being_typed(bare):
    bare.start_redis()
    argv = [CTL, "--redis-url", bare.redis_url, "join", "@-"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:
        program.stdin.write(b"alice\n")
        program.stdin.flush()
        wait_until(lambda: any(c["name"] == "shoalctl" for c in bare.redis.client_list()), 10, "it is there")
        program.send_signal(signal.SIGINT)
        said = program.stderr.read()
        assert (program.wait(10), said) == (1, b"shoalctl: interrupted\n")
    assert not bare.redis.exists(bare.key("requests"))


def test_set_is_judged_as_the_cluster_judges_it_before_anything_is_started(cluster):
    """The coordinator knows without a Redis what the steps take."""

    def check(*pairs):
        args = [arg for pair in pairs for arg in ("--set", pair)]
        return run([COORDINATOR, "--config", "", *args, "--check"])

    right, wrong = [], ["foo=1", "=1", "user=Not One", "user=", "channels_per_shard="]
    for row in cluster.ctl_json("config"):
        found = re.fullmatch(r"(\d+) to (\d+)(?:, or (\w+))?", row["allowed"])
        if row["name"] in ("user", "speaker"):
            right += [f"{row['name']}={login}" for login in ("anonymous", "some_bot_1")]
            continue
        if row["name"] == "readers":
            hundred = ",".join(f"bot{i}" for i in range(100))
            right += [f"readers={value}" for value in ("first", "all", "anonymous", "alice,bob", hundred)]
            wrong += [f"readers={value}" for value in ("", "Alice", "alice,", "alice,,bob", hundred + ",one_more", "a b")]
            assert "at most 100" in row["allowed"]
            continue
        least, most, off = found.groups()
        right += [f"{row['name']}={value}" for value in (least, most, off) if value]
        wrong += [f"{row['name']}={value}" for value in ("abc", int(least) - 1, int(most) + 1, "" if off else "off")]
    assert len(right) > 50 and "lease_ms=300" in right and "room_limit=off" in right
    done = check(*right, "manager.anything=goes")
    assert (done.returncode, done.stderr) == (0, "")
    for pair in wrong:
        done = check(pair)
        assert done.returncode == 2 and done.stdout == "" and done.stderr.count("\n") == 1, (pair, done.stderr)
        assert pair.split("=")[0] in done.stderr
    assert "Unknown setting foo" in check("foo=1").stderr
    assert 'channels_per_shard takes a number from 1 to 1000000, or none, not "abc"' in check("channels_per_shard=abc").stderr


@pytest.mark.parametrize("hours", [-1, 1])
def test_for_how_long_goes_by_the_clock_of_redis(bare, hours):
    """Hosts whose clocks are apart: what is told as `since` is Redis's, so is what it is compared with."""
    clock = Clock(bare.directory)
    clock.move(hours * 3600)
    bare.start_redis(clock=clock)
    bare.start_sim("--verified")
    bare.start_coordinator()
    bare.start_node("n1")
    bare.join("alice")
    time.sleep(1.1)
    rows = [line.split() for line in bare.ctl("channels").stdout.splitlines()]
    ages = [int(row[3].removesuffix("s")) for row in rows[1:] if row[3].endswith("s")]
    assert rows[0][3] == "FOR" and len(ages) == 1 and 1 <= ages[0] < 60, rows
