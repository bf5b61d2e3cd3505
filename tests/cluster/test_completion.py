"""Completion for bash, as it is built: it offers what the program's tables have, and nothing else."""

import re

import pytest

from processes import run
from shoal import BIN, COORDINATOR, CTL, NODE, ROOT

PROGRAMS = {program.name: program for program in (NODE, COORDINATOR, CTL)}
SCRIPT = """
source "$1"; shift
function=$(complete -p "$1"); function=${function#* -F }; function=${function%% *}
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
compopt() { :; } # only within a completion that bash itself asked for
"$function"
printf '%s\\n' "${COMPREPLY[@]}"
"""


def complete(*words):
    """What is offered for the last of the words."""
    done = run(["bash", "-c", SCRIPT, "bash", BIN / "completion" / words[0], *words])
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return [line for line in done.stdout.splitlines() if line]


def help_of(program):
    return run([PROGRAMS[program], "--help"]).stdout


@pytest.mark.parametrize("program", PROGRAMS)
def test_each_option_of_a_program_is_offered_with_its_command(program):
    options = set(re.findall(r"^  (--[a-z-]+)", help_of(program), re.MULTILINE))
    offered = set(complete(program, "--"))
    for command in complete(program, "") if program == "shoalctl" else []:
        offered |= set(complete(program, command, "--"))
    assert offered == options
    assert set(complete(program, "--redis-t")) == {"--redis-tls-ca"}


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_script_is_one_that_shellcheck_takes(program):
    done = run(["shellcheck", BIN / "completion" / program])
    assert done.returncode == 0, done.stdout


def test_commands_and_their_words_are_offered():
    commands = re.findall(r"^  ([a-z]+)\b", help_of("shoalctl").partition("\nCommands")[2].partition("\nExit")[0], re.MULTILINE)
    assert len(commands) > 15 and complete("shoalctl", "") == [*commands, "help"]
    assert complete("shoalctl", "--cluster", "main", "--json", "con") == ["config"]
    assert complete("shoalctl", "config", "") == ["get", "set", "unset"]
    assert complete("shoalctl", "account", "re") == ["revoke", "remove"]
    assert complete("shoalctl", "join", "") == [], "names of channels are not asked for"


def test_settings_are_offered_where_one_is_named():
    table = (ROOT / "shared/redis/steps/03_settings.lua").read_text()
    settings = sorted(re.findall(r"^    (\w+) = \{default", table, re.MULTILINE))
    assert complete("shoalctl", "config", "set", "") == settings
    assert complete("shoalctl", "--json", "config", "get", "lease") == ["lease_ms"]
    assert complete("shoal-coordinator", "--set", "lease") == ["lease_ms="]
    assert complete("shoalctl", "config", "set", "lease_ms", "") == []


def test_words_that_an_option_takes_are_offered(tmp_path):
    assert complete("shoal-node", "--log-level", "") == ["error", "warn", "info", "debug"]
    assert complete("shoal-node", "--log-format", "=", "j") == ["json"], "bash parts words at ="
    assert complete("shoalctl", "send", "--priority", "h") == ["high"]
    assert complete("shoalctl", "join", "--user", "") == []
    (tmp_path / "shoal.conf").touch()
    assert complete("shoal-node", "--config", f"{tmp_path}/sho") == [f"{tmp_path}/shoal.conf"]
    assert complete("shoalctl", "join", f"@{tmp_path}/sho") == [f"@{tmp_path}/shoal.conf"]
    assert complete("shoalctl", "import", f"{tmp_path}/sho") == [f"{tmp_path}/shoal.conf"]
