"""What users read is true: tables, commands and programs of the README, the contract and deploy/README.md."""

import json
import re
import shlex
import subprocess
import uuid

import pytest

from jsonschema import Draft202012Validator

from accounts import account, add, log_in, start_twitch
from documents import TEXT, code, start_program
from event_schema import SCHEMA, misfits, names
from processes import Process, run, wait_until
from shoal import BIN, COORDINATOR, CTL, NODE, REMEMBERS, ROOT, TOKEN, USER

PROGRAMS = {
    "node": (NODE, {"all", "daemons", "node"}),
    "coordinator": (COORDINATOR, {"all", "daemons", "coordinator"}),
    "shoalctl": (CTL, {"all", "shoalctl"}),
}
STEPS = "shared/redis/steps/"


def table(first_heading):
    """Rows of the table whose first column has that heading, as lists of cells."""
    found = re.search(rf"^\| {first_heading} \|.*\n\|[ |-]+\|\n((?:\|.*\n)+)", TEXT, re.MULTILINE)
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in found[1].splitlines()]


def words(cell):
    """Those in backticks."""
    return re.findall("`(.*?)`", cell)


def commands(program):
    """The indented lines that begin with that program, also as root; what goes on in another one is tried in tests/packages."""
    return re.findall(rf"^    (?:sudo )?({program}(?: [^|\n]*)?)$", TEXT, re.MULTILINE)


# Tables ------------------------------------------------------------------------------------------------


def help_options(program):
    """What --help says: {"--name VALUE": default or None}, but for what all programs have."""
    text = "\n".join(re.findall(r"^Options.*:\n((?:  .*\n)+)", run([program, "--help"]).stdout, re.MULTILINE))
    options = {}
    for item in re.split(r"\n(?=  --)", "\n" + text)[1:]:
        words = " ".join(item.split())
        name = re.match(r"--[a-z-]+(?: [A-Z=]+(?= ))?", words)[0]
        default = re.search(r"\[default: (.*?)\]$", words)
        options[name] = default[1] if default else None
    everywhere = ("--config FILE", "--check", "--print-config", "--print-example", "--version", "--help")
    for name in everywhere:
        options.pop(name)
        assert f"`{name}`" in TEXT
    return options


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_table_of_options_is_what_help_and_print_config_say(program):
    path, groups = PROGRAMS[program]
    options = help_options(path)
    rows = [row for row in table("option") if groups & set(row[2].split(", "))]
    told = {name.strip("`"): default for name, default, _, _ in rows}
    assert len(told) == len(rows), "an option is there twice"
    assert set(told) == set(options)
    for name, default in options.items():
        # Where --help has no value, the table may have words.
        assert told[name] == f"`{default}`" if default else "`" not in told[name], name

    printed = {}
    for line in run([path, "--config=", "--print-config"]).stdout.splitlines():
        key, _, value = line.removeprefix("# ").replace(" is not set", " =").partition(" =")
        printed[key] = value.strip() or None
    expected = {}
    for name, default in options.items():
        flag = " " not in name
        expected[name.split()[0][2:].replace("-", "_")] = "false" if flag else default
    assert printed == expected


def test_every_row_of_the_table_of_options_is_of_some_program():
    assert {name for row in table("option") for name in row[2].split(", ")} <= set().union(*(groups for _, groups in PROGRAMS.values()))


def test_the_table_of_settings_is_what_the_registry_says(cluster):
    settings = cluster.redis.fcall_ro("shoal1_settings", 1, "shoal:{main}")
    told = {name.strip("`"): default for name, default, _ in table("setting")}
    assert told == {name: default for name, _, default, _ in settings}


def test_nodes_are_told_the_settings_they_read():
    told = re.findall(r"^    (\w+) = {.*, node = true},$", (ROOT / STEPS / "03_settings.lua").read_text(), re.MULTILINE)
    read = re.findall(r"^    X\((\w+), SETTING_", (ROOT / "shared/redis/registry.h").read_text(), re.MULTILINE)
    assert sorted(told) == sorted(read)


def figures(kind):
    """{name: (who writes it, unit, help)} of the table of figures."""
    text = (ROOT / "shared/figures.h").read_text()
    rows = re.search(rf"#define FIGURES_OF_{kind}\(X\)(.*?)\n\n", text, re.DOTALL)[1]
    found = re.findall(r'X\((\w+), \w+, (\w+), "(.*?)", (?:NULL|".*?"), "(.+?)"\)', rows)
    assert len(found) == rows.count("X("), "a row is of another form"
    return {name: (by, unit, text) for name, by, unit, text in found}


@pytest.mark.parametrize("kind", ["node", "shard", "channel"])
def test_the_contract_names_the_figures_there_are(kind):
    rows = figures(kind.upper())
    (told,) = (set(words(holds)) for key, _, holds in table("key") if key == f"`shoal:{{main}}:{kind}:<{kind}>`")
    assert told <= {name for name, (by, _, _) in rows.items() if by != "READER"}
    of_nodes = {name for name, (by, _, _) in rows.items() if by in ("LEASE", "NODE")}
    assert of_nodes - told <= {"link"}, "what nodes tell is public"
    steps = (ROOT / STEPS / "06_report.lua").read_text()
    own = re.search(rf"local {kind.upper()}_OWN = {{(.*?)}}", steps, re.DOTALL)[1]
    assert {name for name, (by, _, _) in rows.items() if by == "STEPS"} <= set(re.findall(r"(\w+) = true", own))
    for name, (_, unit, _) in rows.items():
        assert unit == "ms" or not name.endswith("_ms")
        assert unit.endswith("/s") or not name.endswith("_s")


def test_the_contract_names_figures_of_accounts():
    rows = figures("ACCOUNT")
    (told,) = (set(words(holds)) for key, _, holds in table("key") if key == "`shoal:{main}:account:<login>`")
    assert told == {name for name, (by, _, _) in rows.items() if by == "STEPS"} - {"rev", "ending"}


UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "s": 1, "minute": 60, "hour": 3600}


def numbers(cell):
    """All numbers of a cell, in bytes or seconds where they have such a unit."""
    found = re.findall(r"\b([\d,]*\d)(?: (KiB|MiB|s|minute|hour)s?\b)?", re.sub("`.*?`", "", cell))
    return [int(number.replace(",", "")) * UNITS.get(unit, 1) for number, unit in found]


def constant(path, name):
    """What a constant of C or Lua is in that file."""
    text = (ROOT / path).read_text()
    (value,) = re.findall(rf"^(?:#define|local) {name}\b(?: =)? *(.+?) *(?:/\*.*|--.*)?$", text, re.MULTILINE)
    value = value.replace("(size_t)", "")
    assert re.fullmatch(r"[\d()*< ]+", value), value
    return eval(value)  # noqa: S307


def bounds(default, most):
    """{what: the numbers of its bound} as the code has them; the default of a setting or option, the most a setting may be."""
    waiting = [default["request_limit"], default["request_limit_bytes"]]
    budget = (ROOT / STEPS / "10_budgets.lua").read_text()
    assert "math.floor(least * 3 / 4)" in budget and "math.ceil(b[i].most / 2)" in budget
    plain, moderator, window = (default[f"message_{name}"] for name in ("limit", "mod_limit", "window_ms"))
    assert "math.floor(b[i].most * 3 / 4)" in budget
    text, parts = (constant(STEPS + "05_outbox.lua", name) for name in ("MAX_TEXT", "MAX_PARTS"))
    assert text == constant("node/send_split.h", "SEND_PART_CHARS")
    assert parts == constant("shared/redis/registry_sends.h", "REGISTRY_PARTS_MOST")
    lists = constant("coordinator/options/initial_channels.c", "FILE_MAX_BYTES")
    assert lists == constant("shared/ca_store.c", "FILE_MAX_BYTES")
    assert lists == constant("coordinator/ctl/input.h", "INPUT_MAX_BYTES")
    return {
        "a name of a channel": [constant("shared/irc/parse.h", "IRC_CHANNEL_CHARS") - 1],
        "an id, `by`, `reply_to`": [constant(STEPS + "01_library.lua", "MAX_ID")],
        "the text of a send": [text, parts, text * parts],
        "an entry of the outbox": [constant(STEPS + "05_outbox.lua", "MAX_ENTRY_BYTES")],
        "sends that wait, in one channel": [default["channel_send_queue"]],
        "sends that wait, in all": [default["send_queue"], default["send_queue"] // 2],
        "messages to one joined channel, where others are joined":
            [plain * 3 // 4, moderator * 3 // 4, window // 1000],
        "messages of low priority": [plain * 3 // 4, moderator * 3 // 4, window // 1000],
        "messages to channels nobody joined": [plain // 2, window // 1000],
        "how long a send waits after `msg_ratelimit`": [constant(STEPS + "10_budgets.lua", "REFUSED_PACE_MS") // 1000],
        "how long a send waits": [default["send_ttl_ms"] // 1000, most["send_ttl_ms"] // 1000],
        "sends heard on topics and not entered yet": [
            constant("node/sender_heard.c", name) for name in ("HEARD_OF_CHANNEL", "HEARD_MOST", "HEARD_BYTES")
        ],
        "a request": [constant(STEPS + "01_library.lua", "MAX_CHANNELS"),
                      constant(STEPS + "08_replies.lua", "REQUEST_BYTES")],
        "requests that wait, of one `by`": waiting,
        "requests that wait, of all":
            [constant("coordinator/requests/request_queue.h", "REQUEST_QUEUE_SHARE") * n for n in waiting],
        "users that read": [constant(STEPS + "03_settings.lua", "READERS_MOST")],
        "refusals in a reply": [constant(STEPS + "08_replies.lua", "REFUSED_NAMES")],
        "replies": [
            constant(STEPS + "01_library.lua", "REPLY_SECONDS"),
            *(constant(STEPS + "08_replies.lua", name) for name in
              ("REFUSAL_SECONDS", "REPLY_BYTES", "CROWDED_SECONDS")),
        ],
        "results": [constant(STEPS + "01_library.lua", f"{name}_SECONDS") for name in ("RESULT", "REFUSED")],
        "events in `shoal:{main}:log`": [constant(STEPS + "01_library.lua", "LOG_ENTRIES")],
        "chat held while Redis is away": [default["--buffer-bytes"]],
        "files": [constant("shared/options_private.h", "OPTIONS_FILE_MAX_BYTES"),
                  constant("node/tokens.c", "FILE_MAX_BYTES"), lists],
    }  # fmt: skip


def test_the_table_of_bounds_is_what_the_code_says(cluster):
    settings = cluster.redis.fcall_ro("shoal1_settings", 1, "shoal:{main}")
    default = {name: int(default) for name, _, default, _ in settings if default.isdigit()}
    most = {name: int(re.match(r"\d+ to (\d+)", allowed)[1]) for name, _, _, allowed in settings if "to" in allowed}
    default["--buffer-bytes"] = int(help_options(NODE)["--buffer-bytes BYTES"].removesuffix("m")) << 20
    expected = bounds(default, most)
    rows = table("what")
    assert {what: numbers(bound) for what, bound, _, _ in rows} == expected
    assert len(rows) == len(expected), "a bound is there twice"
    named = {name for _, _, names, _ in rows for name in words(names)}
    assert named - set(default) == {"ttl_ms"}


def test_every_event_there_is_has_its_row():
    told = {name for row in table("event") for name in words(row[0])}
    steps = "".join(path.read_text() for path in (ROOT / "shared/redis/steps").glob("*.lua"))
    named = set(re.findall(r"(?:event\(c|node_gone\(c, \S+), '([a-z._]+)'(?! \.\.)", steps))
    begun = tuple(re.findall(r"event\(c, '([a-z]+\.)' \.\.", steps))
    assert len(named) > 10 and len(begun) == 4
    assert named <= told and all(name in named or name.startswith(begun) for name in told)


def test_the_schema_of_events_has_what_their_table_has():
    Draft202012Validator.check_schema(SCHEMA)
    schema = {}
    for entry in SCHEMA["oneOf"]:
        may_have = entry.get("propertyNames", {}).get("enum", ["event", "at", *entry.get("required", [])])
        schema |= dict.fromkeys(names(entry), set(may_have) - {"event", "at"})
    assert sum(len(names(entry)) for entry in SCHEMA["oneOf"]) == len(schema), "an event is there twice"
    told = {}
    for events, members, when in table("event"):
        for name in words(events):
            kind = name.removesuffix("<state>")
            states = [word for word in words(when) if re.fullmatch("[a-z_]+", word)] if kind != name else [""]
            told |= {kind + state: set(words(members)) for state in states}
    assert schema == told


EXAMPLE = {"event": "node.up", "at": 1700000000000, "node": "n1", "host": "here", "pid": "4711"}


@pytest.mark.parametrize(
    "change",
    [{"pid": None}, {"at": None}, {"pid": 4711}, {"why": "x"}, {"lines": 1}, {"other": "x"}, {"event": "node.down"},
     {"at": -1}, {"event": None}],
    ids=str,
)  # fmt: skip
def test_what_is_no_event_does_not_pass(change):
    check = Draft202012Validator(SCHEMA)
    assert check.is_valid(EXAMPLE) and not list(misfits([EXAMPLE]))
    event = {name: value for name, value in {**EXAMPLE, **change}.items() if value is not None}
    assert not check.is_valid(event)
    assert len(list(misfits([event]))) == 1


def test_the_table_of_problems_is_what_the_status_has():
    source = (ROOT / "coordinator/status/status.h").read_text()
    kinds = re.findall(r"^    X\((\w+), (BAD|NOTE), +\"(.*?)\"\)", source, re.MULTILINE)
    rows = {words(row[0])[0]: (row[1].upper(), row[3]) for row in table("problem")}
    assert len(kinds) > 20 and {code for code, _, _ in kinds} == set(rows)
    for code, level, mend in kinds:
        assert rows[code][0] == level and rows[code][1] == (mend or rows[code][1]), code


def test_the_table_of_the_status_document_is_what_it_has(cluster):
    told = {name for row in table("member") for name in words(row[0])}
    assert told == set(cluster.status()) | {"history"}


def test_every_row_of_the_tables_of_shard_managers_has_its_test():
    rows = [words(row[-1]) for row in table("TwitchIO")]
    tests = "".join(path.read_text() for path in (ROOT / "tests/cluster").glob("test_shard_manager*.py"))
    names = [name for (name,) in rows]
    assert len(names) == len(set(names)) >= 38
    missing = [name for name in names if f"def test_{name}(" not in tests]
    assert not missing


# Commands ----------------------------------------------------------------------------------------------


@pytest.fixture
def forsen(bare, tmp_path):
    """A cluster with room for one channel, which is joined; its Redis remembers."""
    bare.start_redis(*REMEMBERS)
    start_twitch(bare, tmp_path, "--limits-off")
    bare.start_coordinator(channels_per_shard=1, max_shard_count=1, args=bare.account_args)
    bare.start_node("n1", args=("--account-keys", bare.keys))
    wait_until(bare.shards, 10, "setup is done")
    bare.join("forsen")
    return bare


def chat_is_shown(cluster, channel, program):
    """What is said in the channel from now on comes out of the program, soon if not at once."""
    texts = []

    def shown():
        texts.append(uuid.uuid4().hex)
        cluster.inject(channel, texts[-1])
        return any(text in program.text() for text in texts)

    wait_until(shown, 30, f"{program.name} shows chat")


def redis_commands():
    """Lines of redis-cli, and the three of the beginning, which are without it and with an explanation."""
    first = re.findall(r"^    ((?:SUBSCRIBE|PUBLISH|ZRANGE) .*?)  +\w+ .*$", TEXT.replace("PUBLISH  ", "PUBLISH"),
                       re.MULTILINE)
    assert len(first) == 3
    return first + [line.removeprefix("redis-cli ") for line in commands("redis-cli")]


ENTRY = "1700000000000-0"  # in TEXT


def test_each_redis_command_is_one_and_does_what_is_said(forsen):
    for number, line in enumerate(redis_commands()):
        command = shlex.split(line)
        argv = ["redis-cli", "-u", forsen.redis_url, *command]
        if "SUBSCRIBE" in command[0]:
            chat = forsen._start(f"chat{number}", argv)
            chat_is_shown(forsen, "forsen", chat)
        elif command[0] == "PUBLISH":
            assert run(argv).stdout == "1\n", line
        elif command[0] == "GET":
            argv[-1] = argv[-1].replace(ENTRY, entry)
            answer = json.loads(wait_until(lambda: run(argv).stdout.strip(), 10, line))
            shown = re.search(r'^    (\{"id":"%s".*?\})\n\n' % ENTRY, TEXT, re.M | re.S)[1]
            shown = shown.replace(ENTRY, entry).replace("max_shard_count is 5", "max_shard_count is 1")
            assert answer == json.loads(shown)
        elif command[0] == "ZRANGE":
            assert run(argv).stdout == "initial-shard-1\n1\n"
        else:
            entry = run(argv).stdout.strip()
            assert command[0] == "XADD" and re.match(r"\d+-\d+$", entry), line
            if "shoal:{main}:outbox" in command:
                result = forsen.result(command[command.index("id") + 1])
                assert result["status"] == "sent", result


def test_keys_and_events_are_as_their_tables_say(forsen, tmp_path):
    forsen.sim.control(f"user {USER} token={TOKEN} vip=forsen")
    add(forsen, tmp_path, "alice", 3000)
    forsen.send("forsen", "hello")
    forsen.ctl("config", "set", "send_ttl_ms", "20000")
    names = {"<channel>": "forsen", "<shard>": "initial-shard-1", "<node>": "n1", "<login>": "alice", "<user>": USER, "<k>": "0"}
    wait_until(lambda: forsen.redis.hget(forsen.key("shard:initial-shard-1"), "joined") == "1", 10, "a report")
    wait_until(lambda: "refreshed_at" in account(forsen, "alice"), 10, "new tokens")
    for key, kind, holds in table("key"):
        for placeholder, name in names.items():
            key = key.replace(placeholder, name)
        key, *_ = forsen.redis.keys(key.strip("`").replace("<id>", "*"))
        assert forsen.redis.type(key) == kind, key
        if kind == "hash" and "`" in holds:
            assert set(words(holds)) <= set(forsen.redis.hgetall(key)), key

    rows = {name: set(words(fields)) for names, fields, _ in table("event") for name in words(names)}
    for event in forsen.events():
        name = event["event"]
        row = name if name in rows else name.split(".")[0] + ".<state>"
        assert set(event) == {"event", "at"} | rows[row], name


def test_each_command_of_ours_is_one(forsen, tmp_path):
    (tmp_path / "more-channels.txt").write_text("forsen\n")
    forsen.ctl("config", "set", "channels_per_shard", "none")
    file, url = tmp_path / "shoal.conf", tmp_path / "redis-url"
    file.write_text(code("ini").replace("/etc/shoal/account-keys", str(forsen.keys)).replace("/etc/shoal/redis-url", str(url)))
    url.touch(mode=0o600)
    url.write_text(forsen.redis_url)
    programs = {program.name: program for program in (NODE, COORDINATOR, CTL)}
    lines = [line for name in programs for line in commands(name)]
    assert len(lines) >= 6
    for line in lines:
        command = shlex.split(line)
        example = str(BIN / "tests/managers/by_user.so")
        named = {"./by_user.so": example, "/etc/credstore/shoal.redis-url": url}
        argv = [programs[command[0]], *(named.get(word, word) for word in command[1:])]
        if command[0] != CTL.name:
            done = run(argv + ["--config", file, "--check"])
            assert done.returncode == 0, line + "\n" + done.stderr
            continue
        env = {"SHOAL_CONFIG": str(file)}
        if command[1:3] == ["account", "login"]:
            log_in(forsen, "mybot" if "--says" in command else "alice", *command[3:])
            wait_until(lambda: forsen.status()["health"] == "healthy", 30, "the account is used")
        elif command[1] == "tail":
            tail = Process("tail", argv, tmp_path, env).start()
            forsen.processes["tail"] = tail
            chat_is_shown(forsen, command[-1], tail)
        else:
            done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, line + "\n" + done.stderr


# Programs ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["python", "js"])
def test_a_consumer_shows_chat_also_after_redis_was_away(forsen, tmp_path, language):
    consumer = start_program(forsen, tmp_path, language)
    chat_is_shown(forsen, "forsen", consumer)
    if language == "js":
        line = wait_until(lambda: re.search(r"^result (.*)$", consumer.text(), re.M), 10, "the result of its send")
        result = json.loads(line[1])
        assert (result["id"], result["status"]) == ("greeting-1", "sent")
        assert forsen.sim.control.received("forsen") == ["hello"]

    forsen.redis.publish("shoal:main:chat:forsen", b"no UTF-8: \xff")
    wait_until(lambda: "no UTF-8: \ufffd" in consumer.log.read_text("utf-8"), 10, "it is shown")
    forsen.restart_redis()
    chat_is_shown(forsen, "forsen", consumer)
