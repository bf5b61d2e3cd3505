"""deploy/quickstart: what a newcomer runs first."""

import os
import subprocess

import pytest

from shoal import ROOT

pytestmark = pytest.mark.limit(400)  # it may have to build


def quickstart(tmp_path, *args):
    home = tmp_path / "tmp"
    home.mkdir(exist_ok=True)
    done = subprocess.run(
        [ROOT / "deploy" / "quickstart", *args],
        env={**os.environ, "TMPDIR": str(home)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=380,
        check=False,
    )
    assert list(home.iterdir()) == [], "it leaves files behind"
    return done


def processes_of(tmp_path):
    """Command lines of what still runs with a file in there."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                line = f.read().decode(errors="replace")
        except OSError:
            continue
        if str(tmp_path / "tmp") in line:
            found.append(line)
    return found


def test_the_quickstart_shows_chat_and_a_confirmed_send_and_leaves_nothing(tmp_path):
    done = quickstart(tmp_path, "--seconds", "4")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "60 of 60 channels" in done.stdout
    assert '"status":"sent"' in done.stdout
    assert "\x1b" not in done.stdout and "\r" not in done.stdout
    assert processes_of(tmp_path) == []


def test_the_quickstart_in_a_given_redis_removes_its_keys(bare, tmp_path):
    bare.start_redis()
    bare.redis.set("other", "1")
    done = quickstart(
        tmp_path, "--redis-url", bare.redis_url, "--seconds", "3", "--channels", "a,b", "--nodes", "1"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 of 2 channels" in done.stdout
    assert bare.redis.keys("*") == ["other"]
    assert processes_of(tmp_path) == []


@pytest.mark.parametrize(
    "args",
    [["--nodes", "none"], ["--twitch"], ["--redis-url", "localhost"], ["--channels", "@/no/file"], ["x"]],
)
def test_wrong_usage_is_told_before_anything_is_started(tmp_path, args):
    done = quickstart(tmp_path, *args)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("quickstart: ")
