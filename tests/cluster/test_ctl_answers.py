"""shoalctl and a Redis (or a key in it) that holds something else than Shoal wrote: told, never a crash."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from fake_redis import FakeRedis
from processes import run
from shoal import CTL, REPORTS


def bulk(text):
    data = text if isinstance(text, bytes) else text.encode()
    return b"$%d\r\n%s\r\n" % (len(data), data)


def array(*items):
    return b"*%d\r\n%s" % (len(items), b"".join(items))


NIL, INT = b"$-1\r\n", b":7\r\n"

# What a healthy cluster of one node, shard and channel would answer.
HEALTHY = {
    b"TIME": array(bulk("1700000000"), bulk("0")),
    b"ZSCAN": array(bulk("0"), array(bulk("one"), bulk("1700000009000"))),
    b"HSCAN": array(bulk("0"), array(bulk("alice"), bulk("one"))),
    b"HGETALL": array(bulk("state"), bulk("ready"), bulk("channels"), bulk("1")),
    b"EXISTS": b":1\r\n",
    b"HEXISTS": b":1\r\n",
    b"ZCARD": INT,
    b"SCARD": b":0\r\n",
    b"HGET": NIL,
    b"HMGET": array(*[bulk("1")] * 9),
    b"LRANGE": array(bulk("1700000000000")),
    b"FCALL_RO": array(array(*map(bulk, ("channels_per_shard", "25", "25", "1 to 100")))),
    b"FCALL_RO shoal1_show_accounts": array(),
    b"ZRANGE": array(),
    b"LINDEX": NIL,
    b"FCALL_RO shoal1_readers": array(array(bulk("alice"), INT, b":100\r\n", bulk("")), array(bulk("bob"), INT, b":0\r\n", bulk("x"))),
    b"XADD": bulk("1-1"),
    b"GET": NIL,
    b"SSCAN": array(bulk("0"), array()),
    b"XREVRANGE": array(),
    b"XREAD": NIL,
}

STRANGE = [
    INT,
    NIL,
    b"+OK\r\n",
    bulk("x"),
    array(),
    array(NIL),
    array(INT, INT),
    array(NIL, NIL),
    array(array(), array()),
    array(bulk("0"), INT),
    array(bulk("0"), array(bulk("one"))),
    array(bulk("0"), array(NIL, array())),
    array(array(INT, NIL), bulk("x"), INT, NIL, array()),
]


def ask(answers, *args):
    with FakeRedis(answers={**HEALTHY, **answers}) as fake:
        done = run([CTL, "--redis-url", fake.url, "--timeout", "2s", *args])
    said = done.stdout + done.stderr
    assert not REPORTS.search(said.encode()), (answers, said)
    assert done.returncode in (0, 1), (answers, done.returncode, said)
    return done


def ask_each(*asked):
    """Several at a time: who asks a coordinator waits more than it works."""
    with ThreadPoolExecutor(8) as pool:
        for _ in pool.map(lambda words: ask(*words), asked):
            pass


@pytest.mark.parametrize("command", ["status", "nodes", "shards", "channels", "config"])
def test_a_healthy_answer_is_shown(command):
    done = ask({}, command)
    # What status shows is well answered, and no healthy cluster.
    assert (done.returncode, done.stderr) == (1 if command == "status" else 0, ""), done.stderr
    assert done.stdout


@pytest.mark.parametrize("question", ["TIME", "ZSCAN", "HSCAN", "HGETALL", "HMGET", "SCARD", "HGET", "LRANGE", "ZCARD", "ZRANGE", "FCALL_RO shoal1_readers"])
def test_an_answer_of_another_type_is_told_and_nothing_ends_badly(question):
    for answer in STRANGE:
        done = ask({question.encode(): answer}, "status")
        assert (done.stdout != "") == (done.stderr == ""), (answer, done.stderr)
        if done.stderr:
            (line,) = done.stderr.splitlines()
            assert line.startswith("shoalctl: Redis's answer to ") and "not what" in line, line


@pytest.mark.parametrize("command, question", [("channel alice", "XREVRANGE"), ("channel alice", "HGET"), ("events", "XREAD")])
def test_a_channel_and_events_of_another_type_are_told_and_nothing_ends_badly(command, question):
    for answer in STRANGE:
        done = ask({question.encode(): answer}, *command.split())
        assert (done.returncode == 0) == (done.stderr == ""), (answer, done.stderr)


@pytest.mark.parametrize("question", ["TIME", "CONFIG", "FCALL_RO"])
def test_the_doctor_minds_no_answer_of_another_type(question):
    for answer in [*STRANGE, b"-NOPERM no\r\n", b"-ERR unknown command 'X'\r\n"]:
        assert ask({question.encode(): answer}, "doctor").returncode == 1  # a Redis 6


@pytest.mark.parametrize("command", [["status"], ["config", "get", "lease_ms"]])
def test_settings_of_another_type_are_told_and_nothing_ends_badly(command):
    for answer in STRANGE:
        ask({b"FCALL_RO": answer}, *command)


ACCOUNT = [bulk("alice"), INT, INT, INT, INT, INT, array(bulk("state"), bulk("usable"))]


@pytest.mark.parametrize("command", [["status"], ["account", "list"], ["account", "show", "alice"]])
def test_accounts_of_another_type_or_without_end_are_told_and_nothing_ends_badly(command):
    cut = [array(array(*ACCOUNT[:n])) for n in range(len(ACCOUNT))]
    long = [array(array(bulk("a" * 40), *ACCOUNT[1:])), array(array(*ACCOUNT[:6], array(bulk("state"))))]
    for answer in [array(array(*ACCOUNT)), *cut, *long, *STRANGE]:
        done = ask({b"FCALL_RO shoal1_show_accounts": answer}, *command)
        assert done.returncode == 1 or answer == array(), (answer, done.stdout)


REPLIES = [
    "", "null", "[]", "7", '"x"', "{", "{}", '{"ok":true}', '{"ok":1,"refused":null}',
    '{"ok":true,"refused":{}}',
    '{"ok":false,"refused":["a"],"assigned":["b",{"c":1}],"waiting":7,"parted":{"d":1}}',
    '{"ok":false,"refused":{"a":1,"b":null,"c":{}},"assigned":{"d":[]},"parted":[1,null,{}]}',
    '{"ok":false,"error":7,"refused":"x"}', "[" * 2000,
]  # fmt: skip


@pytest.mark.parametrize("command", [["join", "a"], ["part", "a"], ["config", "set", "a", "1"], ["start"]])
def test_a_reply_that_is_none_of_a_coordinators_is_told_and_nothing_ends_badly(command):
    answers = [*map(bulk, REPLIES), *STRANGE]
    ask_each(*(({b"GET": answer}, *form, *command) for answer in answers for form in ([], ["--json"])))
    done = ask({b"GET": bulk("{}")}, *command)
    assert done.returncode == 1 and "not what" in done.stderr, done.stderr


def test_a_result_of_a_send_of_another_type_is_told_and_nothing_ends_badly():
    ask_each(*(({b"HGETALL": answer}, "send", "alice", "hello") for answer in STRANGE))
    assert ask({b"HGETALL": array(bulk("status"), bulk("sent"))}, "send", "alice", "x").stdout == "sent\n"


def test_an_id_from_a_stream_of_another_type_ends_nothing_badly():
    ask_each(*(({b"XADD": answer}, "--timeout", "500ms", "send", "alice", "hello") for answer in STRANGE))


EVIL = "\x1b[31m\x07\x7f\u009b2J\u202eevil\u2066\u2028" + "x"
OBEYED = [*map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0)), *"\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"]


def obeyed(said):
    return [repr(c) for c in said if c in OBEYED and c != "\n"]


def evil_answers():
    """Every text that shoalctl could show holds what a terminal would obey, and a byte that is no UTF-8."""
    evil = bulk(EVIL.encode() + b"\xff")
    fields = array(*(x for name in ("status", "state", "error", "host", "reason", "user", "node") for x in (bulk(name), evil)))
    return {
        b"ZSCAN": array(bulk("0"), array(evil, bulk("1"))),
        b"HSCAN": array(bulk("0"), array(evil, evil)),
        b"HGETALL": fields,
        b"HMGET": array(evil, evil, bulk("1"), bulk("1900000000000"), *[bulk("1")] * 5),
        b"HGET": evil,
        b"FCALL_RO": array(array(bulk("user"), evil, evil, evil), array(bulk("max_shard_count"), evil, evil, evil)),
        b"FCALL_RO shoal1_readers": array(array(evil, b":1\r\n", b":1\r\n", evil), array(evil, b":1\r\n", b":1\r\n", evil)),
        b"GET": bulk(json.dumps({"ok": False, "assigned": {EVIL: EVIL}, "waiting": {EVIL: EVIL},
                                 "refused": {EVIL: EVIL}, "parted": [EVIL], "error": EVIL}, ensure_ascii=False)),
    }  # fmt: skip


@pytest.mark.parametrize(
    "command",
    [["status"], ["nodes"], ["shards"], ["channels"], ["channel", "a"], ["config"], ["config", "get", "user"], ["join", "a"],
     ["send", "a", "x"], ["config", "set", "a", "1"]],
)  # fmt: skip
def test_nothing_that_a_terminal_obeys_is_shown_and_json_carries_it_as_escapes(command):
    said = ask(evil_answers(), *command)
    assert "evil" in said.stdout + said.stderr
    assert not obeyed(said.stdout + said.stderr), said
    said = ask(evil_answers(), "--json", *command)
    assert not obeyed(said.stdout + said.stderr), said
    assert any("\u202e" in repr(json.loads(line)) or r"\u202e" in repr(json.loads(line)) for line in said.stdout.splitlines())


def test_an_error_of_redis_is_shown_without_what_a_terminal_obeys():
    done = ask({b"TIME": b"-ERR " + EVIL.encode() + b"\r\n"}, "status")
    assert "evil" in done.stderr and not obeyed(done.stderr)


def test_an_export_holds_what_can_stand_in_it_and_the_rest_is_told():
    evil = bulk("x\nchannel evil \x1b[2J")
    answers = {
        b"HSCAN": array(bulk("0"), array(bulk("alice"), bulk(""), bulk("b c"), bulk(""))),
        b"HGETALL": array(bulk("state"), bulk("waiting"), bulk("user"), evil),
        b"FCALL_RO": array(array(bulk("user"), evil, bulk(""), bulk("")), array(bulk("room_limit"), bulk("5\x1b"), bulk("1"), bulk(""))),
    }
    done = ask(answers, "export")
    assert done.stdout.splitlines()[1:] == ["channel alice"], "the user it waits for is nobody"
    assert done.returncode == 1 and done.stderr.splitlines() == [
        "shoalctl: setting user cannot stand in a text: it is left out",
        "shoalctl: setting room_limit cannot stand in a text: it is left out",
        "shoalctl: channel b c cannot stand in a text: it is left out",
    ]
    answers[b"HSCAN"] = array(bulk("0"), array(bulk("alice"), bulk("")))
    answers[b"FCALL_RO"] = array()
    done = ask(answers, "export")
    assert (done.returncode, done.stderr) == (0, "")
