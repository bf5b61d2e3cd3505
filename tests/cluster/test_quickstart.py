"""deploy/quickstart: what a newcomer runs first."""

import os
import pty
import re
import shlex
import shutil
import signal
import subprocess
import termios
from urllib.parse import quote
from urllib.request import urlopen

import pytest

from processes import run, wait_until
from shoal import ROOT

pytestmark = pytest.mark.limit(400)  # it may have to build


QUICKSTART = ROOT / "deploy" / "quickstart"


def environment(tmp_path):
    (tmp_path / "tmp").mkdir(exist_ok=True)
    return {**os.environ, "TMPDIR": str(tmp_path / "tmp")}


def quickstart(tmp_path, *args, within=()):
    done = subprocess.run(
        [*within, QUICKSTART, *args],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=380,
        check=False,
    )
    nothing_is_left(tmp_path)
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


def nodes_of(tmp_path):
    """Process ids of its nodes."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                words = f.read().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"/shoal-node") and str(tmp_path / "tmp").encode() in b" ".join(words):
            found.append(int(pid))
    return found


def nothing_is_left(tmp_path):
    assert list((tmp_path / "tmp").iterdir()) == [], "it leaves files behind"
    assert processes_of(tmp_path) == []


def test_the_quickstart_shows_chat_and_a_confirmed_send_and_leaves_nothing(tmp_path):
    done = quickstart(tmp_path, "--seconds", "4")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "60 of 60 channels" in done.stdout
    assert '"status":"sent"' in done.stdout
    assert "\x1b" not in done.stdout and "\r" not in done.stdout


def test_one_second_is_enough_for_chat_and_a_confirmed_send(tmp_path):
    done = quickstart(tmp_path, "--seconds", "1", "--nodes", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "sends confirmed: 1 of 1" in done.stdout


def test_the_quickstart_in_a_given_redis_removes_its_keys(bare, tmp_path):
    password = "p/w\\n %41"
    server = bare.start_redis(password=password)
    bare.redis.set("other", "1")
    (tmp_path / "names").write_text("a\nb\n")
    url = f"redis://:{quote(password, safe='')}@127.0.0.1:{server.port}"
    done = quickstart(tmp_path, "--redis-url", url, "--seconds", "3", "--channels", "@names", "--nodes", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 of 2 channels" in done.stdout and "1 node\n" in done.stdout
    assert bare.redis.keys("*") == ["other"]
    assert quote(password, safe="") not in done.stdout and password not in done.stdout


def test_what_the_quickstart_invites_to_try_works_and_ctrl_c_ends_it(tmp_path):
    out = tmp_path / "out"
    with open(out, "wb") as to:
        program = subprocess.Popen(
            [QUICKSTART], env=environment(tmp_path), stdin=subprocess.DEVNULL, stdout=to, stderr=to
        )
    try:
        wait_until(lambda: "hello number 1" in out.read_text() or program.poll() is not None, 300, "chat")
        tried = out.read_text().split("Try it in another terminal\n")[1].split("\n\n")[0].splitlines()
        assert len(tried) == 11
        for line in tried:
            words = shlex.split(line.split("        ")[0])
            if words[0].startswith("http://"):
                with urlopen(words[0], timeout=10) as page:
                    assert b"<title>Shoal</title>" in page.read()
            elif "PUBLISH" in line:  # nobody listens for a moment where the node was killed that did
                wait_until(lambda words=words: run(words).stdout == "1\n", 10, line)
            elif "SUBSCRIBE" not in line:
                done = run(words)
                assert (done.returncode, done.stderr) == (0, ""), line
            if "HGETALL" in line:
                wait_until(lambda words=words: "sent" in run(words).stdout.split(), 10, line)
        # It has killed a node and the leader; it goes on, and tells what happens.
        for word in ("event  leader.elected ", "event  node.expired ", "event  shard.placed ", "event  gap "):
            wait_until(lambda word=word: word in out.read_text(), 20, word)
        # Nor does it mind when all nodes are gone.
        for pid in nodes_of(tmp_path):
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: "no node is left" in out.read_text(), 20, "it says so")
        wait_until(lambda: "shoal-node --config" in out.read_text().rpartition("\n")[0], 10, "and how to start one")
        again = next(line for line in out.read_text().splitlines() if "shoal-node --config" in line)
        assert shlex.split(again)[1:3] == ["--config", ""], again
        program.send_signal(signal.SIGINT)
        assert program.wait(20) == 130, out.read_text()
        assert "nothing is left running" in out.read_text() and "chat lines: " in out.read_text()
    finally:
        if program.poll() is None:
            program.terminate()
            program.wait(20)
    nothing_is_left(tmp_path)


def in_terminal(tmp_path, *args, rows=24, columns=80, **env):
    """What it writes to a terminal of that size, up to its end."""
    terminal, end = pty.openpty()
    termios.tcsetwinsize(end, (rows, columns))
    with subprocess.Popen(
        ["setsid", "--ctty", QUICKSTART, *args],
        env={**{k: v for k, v in environment(tmp_path).items() if k != "NO_COLOR"}, "TERM": "xterm", **env},
        stdin=end, stdout=end, stderr=end,
    ) as program:  # fmt: skip
        os.close(end)
        said = b""
        try:
            while more := os.read(terminal, 65536):
                said += more
        except OSError:  # the other side is closed
            pass
        os.close(terminal)
    assert program.returncode == 0, said.decode()
    nothing_is_left(tmp_path)
    return said.decode()


def test_on_a_terminal_the_invitation_stays_in_sight_and_lines_fit(tmp_path):
    said = in_terminal(tmp_path, "--seconds", "3")
    before, chat = re.split(r"\x1b\[(?:[6-9]|1[0-3]);24r", said, maxsplit=1)
    header = before.rsplit("\x1b[1;1H\x1b[2K", 1)[1].splitlines()
    assert "Try it in another terminal" in header[0]
    assert any("PUBLISH" in line for line in header) and sum("kill -9" in line for line in header) == 2
    chat = re.sub(r"\x1b7\x1b\[r.*?\x1b8", "", chat, flags=re.DOTALL)  # it was drawn again
    assert "\x1b[r" in chat, "scrolling is given back"
    lines = chat.split("\x1b[r")[0].splitlines()[2:]
    measured = run(["sh", "-c", 'printf "%s\\n" "$1" | LC_ALL=C.UTF-8 wc -L', "-", "\n".join(
        re.sub(r"\x1b\[[0-9;]*[A-Za-z]|\x1b[78]|\r", "", line) for line in lines)])  # fmt: skip
    assert len(lines) > 5 and int(measured.stdout) < 80, lines


def test_no_color_and_a_dumb_terminal_are_respected(tmp_path):
    said = in_terminal(tmp_path, "--seconds", "1", "--nodes", "1", NO_COLOR="1")
    assert "\x1b[K" in said and not re.search(r"\x1b\[[0-9;]*m", said)
    said = in_terminal(tmp_path, "--seconds", "1", "--nodes", "1", TERM="dumb")
    assert "\x1b" not in said and "sends confirmed: 1 of 1" in said


def reads_until(fd, word):
    said = b""
    while word not in said:
        said += os.read(fd, 4096)


def pipe_ends(argv, **how):
    """`quickstart | head`: whoever reads it ends, and the next word finds nobody."""
    with subprocess.Popen(argv, stdout=subprocess.PIPE, **how) as program:
        reads_until(program.stdout.fileno(), b"joined")
    return program


def pipe_ends_with_ctrl_c(argv, **how):
    """`quickstart | tee`: Ctrl-C reaches both."""
    with subprocess.Popen(argv, stdout=subprocess.PIPE, **how) as program:
        reads_until(program.stdout.fileno(), b"Chat, as it arrives")
        program.send_signal(signal.SIGSTOP)
        program.stdout.close()
        program.send_signal(signal.SIGINT)
        program.send_signal(signal.SIGCONT)
    return program


def terminal_closes(argv, **how):
    terminal, end = pty.openpty()
    how["stderr"] = end
    with subprocess.Popen(["setsid", "--ctty", *argv], **{**how, "stdin": end, "stdout": end}) as program:
        os.close(end)
        reads_until(terminal, b"Chat, as it arrives")
        os.close(terminal)
    return program


@pytest.mark.parametrize("goes_away", [pipe_ends, pipe_ends_with_ctrl_c, terminal_closes])
def test_the_quickstart_leaves_nothing_when_its_output_goes_away(bare, tmp_path, goes_away):
    bare.start_redis()
    argv = [QUICKSTART, "--redis-url", bare.redis_url, "--nodes", "1", "--channels", "a,b"]
    with open(tmp_path / "errors", "wb") as errors:
        program = goes_away(
            argv, env=environment(tmp_path), stdin=subprocess.DEVNULL, stderr=errors
        )
    assert program.returncode != 0
    nothing_is_left(tmp_path)
    assert bare.redis.keys("*") == []
    assert bare.redis.execute_command("FUNCTION", "LIST") == []


def one_line(done):
    """What it ends with: exit code 1 and a reason, without logs."""
    assert done.returncode == 1, done.stdout + done.stderr
    (line,) = done.stderr.splitlines()
    return line


def test_a_redis_out_of_reach_is_told_in_one_line(tmp_path):
    said = one_line(quickstart(tmp_path, "--redis-url", "redis://127.0.0.1:1"))
    assert said.startswith("quickstart: Redis at redis://127.0.0.1:1 ") and "refused" in said


def test_twitch_out_of_reach_is_told_in_one_line(tmp_path):
    alone = ["unshare", "--map-root-user", "--net", "sh", "-c", 'ip link set lo up && exec "$0" "$@"']
    if run([*alone, "true"]).returncode != 0:
        pytest.skip("a network of its own needs user namespaces and ip")
    said = one_line(quickstart(tmp_path, "--twitch", "--channels", "a,b", within=alone))
    assert said.startswith("quickstart: Twitch is out of reach: wss://irc-ws.chat.twitch.tv:443 cannot be reached")


@pytest.mark.parametrize(
    "args",
    [["--nodes", "none"], ["--twitch"], ["--redis-url", "localhost"], ["--channels", "@/no/file"],
     ["--channels", ","], ["--channels", "!echo a"], ["x"]],
)
def test_wrong_usage_is_told_before_anything_is_started(tmp_path, args):
    done = quickstart(tmp_path, *args)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("quickstart: ")


def test_a_name_that_is_no_channel_is_told_before_anything_is_started(tmp_path):
    names = tmp_path / "names"
    names.write_text("alice\nnot-one\n")
    for given, told in (("alice,not-one", '"not-one" is not a channel name'), (f"@{names}", f'{names}:2: "not-one"')):
        done = quickstart(tmp_path, "--channels", given)
        assert done.returncode == 2, done.stdout + done.stderr
        assert done.stderr.startswith(f"quickstart: --channels: {told}") and done.stderr.count("\n") == 1
        assert "redis" not in done.stdout


def test_a_checkout_that_cannot_be_written_is_told_as_that(tmp_path):
    tree = tmp_path / "tree with blanks"
    (tree / "deploy").mkdir(parents=True)
    shutil.copy(QUICKSTART, tree / "deploy")
    mount = 'mount -t tmpfs none "$0" && cp -r "$1/deploy" "$0" && mount -o remount,ro "$0" && exec "$0/deploy/quickstart"'
    place = tmp_path / "read only"
    place.mkdir()
    alone = ["unshare", "--map-root-user", "--mount"]
    if run([*alone, "mount", "-t", "tmpfs", "none", place]).returncode != 0:
        pytest.skip("a mount of its own needs user namespaces")
    said = one_line(run([*alone, "sh", "-c", mount, place, tree], {"TMPDIR": str(tmp_path)}))
    assert f"{place}/build cannot be written (Read-only file system)" in said and "copy the tree" in said


def test_a_build_that_is_another_users_is_told_in_one_line_with_the_mend():
    nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    if os.geteuid() != 0 or run([*nobody, "test", "-x", QUICKSTART]).returncode != 0:
        pytest.skip("needs root, and a tree that others can read")
    done = run([*nobody, QUICKSTART, "--seconds", "1"], {"TMPDIR": "/tmp"})
    said = one_line(done)
    assert said.startswith("quickstart: ") and "cannot be written" in said and f"{ROOT}/build" in said
    assert "chown" in said
