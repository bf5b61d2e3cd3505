"""The README is what users read: its tables, commands and programs are true."""

import json
import re
import shlex
import shutil
import subprocess
import uuid

import pytest

from shoal import COORDINATOR, CTL, NODE, ROOT, Process, run, wait_until

README = (ROOT / "README.md").read_text(encoding="utf-8")
PROGRAMS = {
    "node": (NODE, {"all", "daemons", "node"}),
    "coordinator": (COORDINATOR, {"all", "daemons", "coordinator"}),
    "shoalctl": (CTL, {"all", "shoalctl"}),
}
URL = "redis://127.0.0.1:6379"


def table(first_heading):
    """Rows of the table whose first column has that heading, as lists of cells."""
    found = re.search(rf"^\| {first_heading} \|.*\n\|[ |-]+\|\n((?:\|.*\n)+)", README, re.MULTILINE)
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in found[1].splitlines()]


def code(language):
    """The one block of that language."""
    (block,) = re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return block


def commands(program):
    """The indented lines that begin with that program."""
    return re.findall(rf"^    ({program} .*)$", README, re.MULTILINE)


# Tables ------------------------------------------------------------------------------------------------


def help_options(program):
    """What --help says: {"--name VALUE": default or None}, but for what all programs have."""
    text = run([program, "--help"]).stdout.split("\nOptions:\n")[1].split("\n\n")[0]
    options = {}
    for item in re.split(r"\n(?=  --)", "\n" + text)[1:]:
        words = " ".join(item.split())
        name = re.match(r"--[a-z-]+(?: [A-Z=]+(?= ))?", words)[0]
        default = re.search(r"\[default: (.*?)\]$", words)
        options[name] = default[1] if default else None
    everywhere = ("--config FILE", "--check", "--print-config", "--version", "--help")
    for name in everywhere:
        options.pop(name)
        assert f"`{name}`" in README
    return options


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_table_of_options_is_what_help_and_print_config_say(program):
    path, groups = PROGRAMS[program]
    options = help_options(path)
    rows = [row for row in table("option") if row[2] in groups]
    told = {name.strip("`"): default for name, default, _, _ in rows}
    assert len(told) == len(rows), "an option is there twice"
    assert set(told) == set(options)
    for name, default in options.items():
        # Where --help has no value, the README may have words.
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
    assert {row[2] for row in table("option")} <= set().union(*(groups for _, groups in PROGRAMS.values()))


def test_the_table_of_settings_is_what_the_registry_says(cluster):
    settings = cluster.redis.fcall_ro("shoal1_settings", 1, "shoal:{main}")
    told = {name.strip("`"): default for name, default, _ in table("setting")}
    assert told == {name: default for name, _, default, _ in settings}


# Commands ----------------------------------------------------------------------------------------------


@pytest.fixture
def forsen(bare):
    """A cluster with room for one channel, which is joined; its Redis remembers."""
    bare.start_redis("--appendonly", "yes", "--appendfsync", "always")
    bare.start_sim("--limits-off")
    bare.start_coordinator(channels_per_shard=1, max_shard_count=1)
    bare.start_node("n1")
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
    first = re.findall(r"^    ((?:SUBSCRIBE|PUBLISH|ZRANGE) .*?)  +\w+ .*$", README.replace("PUBLISH  ", "PUBLISH"),
                       re.MULTILINE)
    assert len(first) == 3
    return first + [line.removeprefix("redis-cli ") for line in commands("redis-cli")]


def test_each_redis_command_is_one_and_does_what_is_said(forsen):
    for number, line in enumerate(redis_commands()):
        words = shlex.split(line)
        argv = ["redis-cli", "-u", forsen.redis_url, *words]
        if "SUBSCRIBE" in words[0]:
            chat = forsen._start(f"chat{number}", argv)
            chat_is_shown(forsen, "forsen", chat)
        elif words[0] == "PUBLISH":
            assert run(argv).stdout == "1\n", line
        elif words[0] == "GET":
            answer = json.loads(wait_until(lambda: run(argv).stdout.strip(), 10, line))
            assert answer == json.loads(re.search(r'^    (\{"id":"join-1".*?\})\n\n', README, re.M | re.S)[1])
        elif words[0] == "ZRANGE":
            assert run(argv).stdout == "initial-shard-1\n1\n"
        else:
            assert words[0] == "XADD" and re.match(r"\d+-\d+\n$", run(argv).stdout), line
            if "shoal:{main}:outbox" in words:
                result = forsen.result(words[words.index("id") + 1])
                assert result["status"] == "sent", result


def test_each_command_of_ours_is_one(forsen, tmp_path):
    (tmp_path / "more-channels.txt").write_text("forsen\n")
    forsen.ctl("config", "set", "channels_per_shard", "none")
    programs = {program.name: program for program in (NODE, COORDINATOR, CTL)}
    lines = [line for name in programs for line in commands(name)]
    assert len(lines) >= 6
    for line in lines:
        words = shlex.split(line.replace("/etc/shoal/tokens", str(forsen.tokens)))
        argv = [programs[words[0]], *words[1:]]
        if words[0] != CTL.name:
            assert run(argv + ["--check"]).returncode == 0, line
            continue
        env = {"SHOAL_REDIS_URL": forsen.redis_url}
        if words[1] == "tail":
            tail = Process("tail", argv, tmp_path, env).start()
            forsen.processes["tail"] = tail
            chat_is_shown(forsen, words[2], tail)
        else:
            done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, line + "\n" + done.stderr


# Programs ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["python", "js"])
def test_a_consumer_shows_chat_also_after_redis_was_away(forsen, tmp_path, language):
    source = code(language)
    assert URL in source
    file = tmp_path / f"consumer.{language}"
    file.write_text(source.replace(URL, forsen.redis_url))
    interpreter = {"python": ["/usr/bin/python3", "-u"], "js": [shutil.which("node") or "nodejs"]}[language]
    # Debian's node looks there by itself, others do not.
    consumer = Process(language, [*interpreter, file], tmp_path, {"NODE_PATH": "/usr/share/nodejs"}).start()
    forsen.processes[language] = consumer
    chat_is_shown(forsen, "forsen", consumer)
    if language == "js":
        line = wait_until(lambda: re.search(r"^result (.*)$", consumer.text(), re.M), 10, "the result of its send")
        result = json.loads(line[1])
        assert (result["id"], result["status"]) == ("greeting-1", "sent")
        assert forsen.sim.control.received("forsen") == ["hello"]

    forsen.restart_redis()
    chat_is_shown(forsen, "forsen", consumer)
