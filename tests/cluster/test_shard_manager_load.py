"""Shared objects that are no shard managers: said in one line that names the file and the mend, before anything begins."""

import subprocess

import pytest

from probe import OBJECT
from processes import run
from shoal import COORDINATOR, ROOT

FUNCTIONS = """
#include "coordinator/manager/shard_manager.h"
static void *create(struct shard_manager *m, const struct shard_manager_options *o, const char **e)
{ (void)o; (void)e; return m; }
static void destroy(void *self) { (void)self; }
static void setup(void *self, const struct shard_manager_options *o, shard_call c)
{ (void)self; (void)o; (void)c; }
static void assign(void *self, const char *n, bool i, shard_call c) { (void)self; (void)n; (void)i; (void)c; }
static void sender(void *self, const char *n, shard_call c) { (void)self; (void)n; (void)c; }
static void go(void *self, shard_call c) { (void)self; (void)c; }
"""

TABLE = """
const struct shard_manager_ops shoal_shard_manager = {
    .abi = SHARD_MANAGER_ABI, .size = sizeof(shoal_shard_manager), .name = "mine", .create = create,
    .destroy = destroy, .setup = setup, .assign_shard = assign, .get_sender_shard = sender, .start = go, .stop = go};
"""

BROKEN = {
    "no symbol": ("int shoal_other;", "does not export shoal_shard_manager"),
    "a function that is missing": (FUNCTIONS + TABLE.replace(".stop = go", ""), "lacks a function; it takes create"),
    "another ABI": (
        FUNCTIONS + TABLE.replace(".abi = SHARD_MANAGER_ABI", ".abi = SHARD_MANAGER_ABI + 1"),
        "build it again",
    ),
    "another size": (
        FUNCTIONS + TABLE.replace("sizeof(shoal_shard_manager)", "sizeof(shoal_shard_manager) - 8"),
        "set it to sizeof(struct shard_manager_ops)",
    ),
    "no name": (FUNCTIONS + TABLE.replace('"mine"', "NULL"), ".name of shoal_shard_manager is missing"),
    "an empty table": (
        FUNCTIONS.replace("static", "")
        + "const struct shard_manager_ops shoal_shard_manager = {0};",
        "built for ABI 0",
    ),
    "a function of a newer base": (
        FUNCTIONS.replace("{ (void)self; }", "{ (void)self; extern void shard_manager_sing(void); shard_manager_sing(); }")
        + TABLE,
        "shard_manager_sing",
    ),
}


def compile(directory, code, name="mine.so"):
    """A shared object of some lines of C."""
    source = directory / "mine.c"
    source.write_text(code)
    command = ["cc", "-shared", "-fPIC", f"-I{ROOT}", source, "-o", directory / name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return directory / name


def refused(manager, *args):
    """What the coordinator says to that manager: one line, exit code 2, at once, whether it is to check or to run."""
    texts = []
    for more in (["--check"], []):
        # Nothing listens on port 1: had it gone on, it would have ended with exit code 3.
        done = run([COORDINATOR, "--redis-url", "redis://127.0.0.1:1", "--connect-timeout", "100ms",
                    "--shard-manager", manager, *args, *more])  # fmt: skip
        assert done.returncode == 2, (done.returncode, done.stderr)
        assert done.stdout == ""
        texts.append(done.stderr)
    assert texts[0] == texts[1]
    (line,) = texts[0].splitlines()
    assert line.startswith("shoal-coordinator: ") and "shard-manager" in line.replace("_", "-")
    return line


@pytest.mark.parametrize("code, words", BROKEN.values(), ids=[name.replace(" ", "_") for name in BROKEN])
def test_an_object_that_does_not_fit_is_refused_with_the_mend(tmp_path, code, words):
    object = compile(tmp_path, code)

    line = refused(object)

    assert str(object) in line and words in line


def test_a_file_that_is_no_object_is_refused(tmp_path):
    object = tmp_path / "mine.so"
    object.write_text("#!/bin/sh\necho I am a shard manager\n" * 100)

    line = refused(object)

    assert str(object) in line and "ELF" in line


@pytest.mark.parametrize("what", ["empty", "directory", "absent"])
def test_a_file_that_cannot_be_loaded_is_refused(tmp_path, what):
    object = tmp_path / "mine.so"
    if what == "empty":
        object.touch()
    elif what == "directory":
        object.mkdir()

    line = refused(object)

    assert str(object) in line
    assert "No such file" in line or what != "absent"


@pytest.mark.parametrize("name", ["distrubuted", "", "Default", "probe"])
def test_a_name_that_is_none_is_refused_with_those_there_are(name):
    line = refused(name)

    assert f'"{name}"' in line and "distributed and default" in line and "FILE.so" in line


def test_objects_that_fit_are_taken(tmp_path):
    for object in (compile(tmp_path, FUNCTIONS + TABLE), OBJECT):
        done = run([COORDINATOR, "--shard-manager", object, "--check"])
        assert (done.returncode, done.stderr) == (0, "")
