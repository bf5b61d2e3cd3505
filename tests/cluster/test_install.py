"""What `cmake --install` puts on a machine, and that it works there."""

import json
import os
import re

import pytest

from processes import run
from shoal import BIN, ROOT

PROGRAMS = ("shoal-node", "shoal-coordinator", "shoalctl")
PAGES = ("man8/shoal-node.8", "man8/shoal-coordinator.8", "man1/shoalctl.1")
DOCUMENTS = (
    "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "shared/contract.md", "shared/design.md", "shared/irc/twitch.md",
    "deploy/README.md", "deploy/redis/README.md", "deploy/redis/redis.conf", "deploy/redis/users.acl",
    "deploy/prometheus/prometheus.yml", "deploy/prometheus/shoal.rules.yml", "deploy/grafana/shoal.json",
    "coordinator/web/openapi.json", *(f"deploy/pictures/dashboard-{name}.png" for name in ("light", "dark", "phone")),
)  # fmt: skip
UNITS = ("shoal-coordinator.service", "shoal-node.service", "shoal-node@.service")
FOR_SERVICES = (*(f"lib/systemd/system/{name}" for name in UNITS), "lib/sysusers.d/shoal.conf", "lib/tmpfiles.d/shoal.conf")
FOR_MANAGERS = ("include/shoal/shard_manager.h", "share/pkgconfig/shoal.pc", "share/man/man3/shoal-shard-manager.3")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The directory that stands for the prefix."""
    root = tmp_path_factory.mktemp("install")
    done = run(["cmake", "--install", BIN, "--prefix", "/usr"], {"DESTDIR": str(root)}, timeout=60)
    assert done.returncode == 0, done.stderr
    return root / "usr"


def test_programs_man_pages_and_documents_are_installed_and_nothing_else(installed):
    found = {str(path.relative_to(installed)) for path in installed.rglob("*") if path.is_file()}
    assert found == {f"bin/{name}" for name in PROGRAMS} | {f"share/man/{page}" for page in PAGES} | {
        f"share/doc/shoal/{name}" for name in DOCUMENTS
    } | {f"share/bash-completion/completions/{name}" for name in PROGRAMS} | set(FOR_MANAGERS) | set(FOR_SERVICES)


def test_the_configuration_that_is_installed_has_every_option_and_is_taken_as_it_is_and_uncommented(installed, tmp_path):
    text = (installed.parent / "etc/shoal/shoal.conf").read_text()
    (tmp_path / "as-it-is.conf").write_text(text)
    everything = re.sub(r"^#(\w+ =)", r"\1", text, flags=re.MULTILINE)
    (tmp_path / "all.conf").write_text(everything)
    assert "#" not in re.sub("^#.*", "", text, flags=re.MULTILINE), "some line is in force"
    for name in PROGRAMS:
        program = installed / "bin" / name
        defaults = run([program, "--config=", "--print-config"]).stdout
        for config in ("as-it-is.conf", "all.conf"):
            shown = run([program, "--config", tmp_path / config, "--print-config"])
            assert (shown.stdout, shown.stderr) == (defaults, "")
        options = re.findall(r"^(?:# )?(\w+) (?:=|is not set)", defaults, re.MULTILINE)
        assert options and set(options) <= set(re.findall(r"^(\w+) =", everything, re.MULTILINE))


def test_a_configuration_that_is_there_is_not_overwritten(tmp_path):
    there = tmp_path / "etc/shoal/shoal.conf"
    there.parent.mkdir(parents=True)
    there.write_text("cluster = ours\n")
    done = run(["cmake", "--install", BIN, "--prefix", "/usr"], {"DESTDIR": str(tmp_path)}, timeout=60)
    assert (done.returncode, there.read_text()) == (0, "cluster = ours\n")
    done = run(["cmake", "--install", BIN, "--prefix", tmp_path / "own"], timeout=60)
    assert done.returncode == 0 and (tmp_path / "own/etc/shoal/shoal.conf").exists(), done.stderr


def test_each_link_of_a_document_leads_to_one_that_is_installed(installed):
    directory = installed / "share/doc/shoal"
    links = 0
    for page in directory.rglob("*.md"):
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if "://" not in link:
                assert (page.parent / link).is_file(), f"{page.name}: {link}"
                links += 1
    assert links >= 5


@pytest.mark.parametrize("name", PROGRAMS)
def test_an_installed_program_says_its_version_and_checks_its_configuration(installed, name):
    program = installed / "bin" / name
    version = run([program, "--version"])
    assert (version.returncode, version.stderr) == (0, "")
    assert version.stdout.split()[0] == name
    check = run([program, "--config=", "--check"])
    assert (check.returncode, check.stdout, check.stderr) == (0, f"{name}: the configuration is valid\n", "")


@pytest.mark.parametrize("name", PROGRAMS)
def test_an_installed_program_is_position_independent_and_its_tables_are_read_only(installed, name):
    program = installed / "bin" / name
    header = run(["readelf", "--wide", "--file-header", "--program-headers", program]).stdout
    dynamic = run(["readelf", "--wide", "--dynamic", program]).stdout
    symbols = run(["readelf", "--wide", "--dyn-syms", program]).stdout
    assert re.search(r"Type:\s+DYN", header) and "GNU_RELRO" in header
    assert re.search(r"GNU_STACK(\s+0x\w+){5}\s+RW ", header)
    assert re.search(r"FLAGS_1.*\bNOW\b.*\bPIE\b", dynamic)
    assert "__stack_chk_fail" in symbols


def test_a_release_build_checks_the_bounds_of_what_it_copies(tmp_path):
    done = run(["cmake", "-S", ROOT, "-B", tmp_path, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release"], timeout=60)
    assert done.returncode == 0, done.stderr
    commands = [entry["command"] for entry in json.loads((tmp_path / "compile_commands.json").read_text())]
    assert commands
    for flag in ("-D_FORTIFY_SOURCE=3", "-fstack-protector-strong", "-fstack-clash-protection", "-O"):
        assert [command for command in commands if flag not in command] == []


@pytest.mark.parametrize("page", PAGES)
def test_a_man_page_has_what_help_says_and_what_it_does_not(installed, page):
    name = os.path.basename(page).rsplit(".", 1)[0]
    text = (installed / "share/man" / page).read_text().replace("\\-", "-")
    headings = set(re.findall(r'^\.SH "?([A-Z ]+)"?$', text, re.MULTILINE))
    own = {"SIGNALS"}
    if name == "shoalctl":
        own = {"COMMANDS THAT LOOK", "COMMANDS FOR CHANNELS AND CHAT", "COMMANDS FOR THE CLUSTER", "OPTIONS OF COMMANDS"}
    assert headings == {"NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "ENVIRONMENT", "FILES",
                        "EXAMPLES", "SEE ALSO", *own}
    described = re.findall(r"^\.TP\n\\fB(--[a-z-]+)", text, re.MULTILINE)
    help_text = run([installed / "bin" / name, "--help"]).stdout
    assert described == re.findall(r"^  (--[a-z-]+)", help_text, re.MULTILINE)
