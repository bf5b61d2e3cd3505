"""What the benchmarks share: a cluster in a directory of its own, the C programs beside it, the table.

A benchmark is a class with NAME, a line of text (its docstring), and

    __init__(world)     start what it needs
    once()              measure: name -> number
    rows(medians)       the table's rows of it, made from the medians of all runs
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "cluster"))

import shoal  # noqa: E402  (of tests/cluster, as the next one)
from processes import wait_until  # noqa: E402

TICKS = os.sysconf("SC_CLK_TCK")


class Row:
    """One line of the table; budget: what `value` must keep to, a text, and met: does it?"""

    def __init__(self, name, value, limit="", budget="", met=None):
        self.name, self.value, self.limit, self.budget, self.met = name, value, limit, budget, met


class Tool:
    """One of the C programs: a line in, a JSON object out; it ends when its standard input does."""

    def __init__(self, name, *args):
        self.popen = subprocess.Popen(
            [str(shoal.BIN / "tests" / f"bench_{name}"), *map(str, args)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    @property
    def pid(self):
        return self.popen.pid

    def ask(self, question="?"):
        self.popen.stdin.write(question + "\n")
        self.popen.stdin.flush()
        return self.answer()

    def answer(self):
        line = self.popen.stdout.readline()
        assert line, f"{self.popen.args[0]} ended with {self.popen.wait()}"
        return json.loads(line)

    def close(self):
        self.popen.stdin.close()
        self.popen.stdout.close()
        try:
            self.popen.wait(10)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()


class World:
    """A private cluster and programs for one benchmark; small: only look whether it works."""

    def __init__(self, small):
        self.small = small
        self.directory = tempfile.TemporaryDirectory(prefix="shoal-bench-")
        self.cluster = shoal.Cluster(self.directory.name)
        self.tools = []

    def path(self, name):
        return Path(self.directory.name) / name

    def tool(self, name, *args):
        self.tools.append(Tool(name, *args))
        return self.tools[-1]

    def close_tool(self, tool):
        self.tools.remove(tool)
        tool.close()

    def begin(self, *sim_args, tls=None, **settings):
        """Redis, a simulator without limits (tls: the Certificates of its wss:// port), a coordinator that leads."""
        self.cluster.start_redis()
        self.cluster.start_sim("--verified", "--limits-off", *sim_args, tls=tls)
        self.cluster.start_coordinator(args=("--log-level", "warn"), **settings)
        wait_until(self.cluster.leader, 10, "a coordinator leads")

    def start_node(self, name="n1", capacity=100, wait=True, **more):
        args = ("--log-level", "warn", *more.pop("args", ()))
        process = self.cluster.start_node(name, capacity=capacity, args=args, **more)
        if wait:
            wait_until(lambda: name in self.cluster.nodes(), 15, f"{name} is registered")
        return process

    def join(self, names, timeout=60):
        for i in range(0, len(names), 500):
            self.cluster.join(*names[i : i + 500], timeout=timeout)

    def ask_to_join(self, names):
        """Leave the requests, of as many channels as one may name, in their stream."""
        pipe = self.cluster.redis.pipeline(transaction=False)
        for i in range(0, len(names), 1000):
            fields = {"op": "join", "by": "bench", "channels": " ".join(names[i : i + 1000])}
            pipe.xadd(self.cluster.key("requests"), fields)
        pipe.execute()

    def close(self):
        for tool in self.tools:
            tool.close()
        complaints = self.cluster.close()
        self.directory.cleanup()
        if complaints:
            raise AssertionError("\n".join(complaints))


def names(n, first=0):
    """Of channels."""
    return [f"room{i}" for i in range(first, first + n)]


# The first of the channels room<ARGV[1]> to room<ARGV[2]> that is not joined. Asked from where it was last found, so that
# looking costs Redis little, and us next to nothing.
FIRST_NOT_JOINED = """
for i = tonumber(ARGV[1]), tonumber(ARGV[2]) do
    if redis.call('HGET', KEYS[1] .. i, 'state') ~= 'joined' then
        return i
    end
end
return ARGV[2] + 1
"""


def wait_joined(cluster, n, timeout, first=0):
    """Wait until Redis shows names(n, first) as joined: when that was, seconds since 1970, to 5 ms."""
    look = cluster.redis.register_script(FIRST_NOT_JOINED)
    at, until = first, time.time() + timeout
    while (at := int(look([cluster.key("channel:room")], [at, first + n - 1]))) < first + n:
        assert time.time() < until, f"not within {timeout} s: room{at} is joined"
        time.sleep(0.005)
    return time.time()


def cpu_s(pid):
    """CPU seconds of a process so far, of all threads that live; to the ns where the kernel tells."""
    try:
        tasks = Path(f"/proc/{pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9
    except FileNotFoundError:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS


def memory_kib(pid, field="VmRSS"):
    """VmRSS: all that is in memory of it; RssAnon: what is its own."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    raise AssertionError(f"no {field} in /proc/{pid}/status")


def commands(redis):
    """Commands that Redis has carried out, also within functions: name -> how many. Our own look is none."""
    stats = redis.info("commandstats")
    return {name.removeprefix("cmdstat_"): stat["calls"] for name, stat in stats.items() if name != "cmdstat_info"}


def machine():
    """What the figures depend on."""
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        model = next((line.split(":", 1)[1].strip() for line in info if line.startswith("model name")), "")
    version = subprocess.run(["redis-server", "--version"], capture_output=True, text=True, check=True).stdout
    redis = re.search(r"v=(\S+)", version)[1]
    facts = (model or os.uname().machine, f"{os.cpu_count()} cores", f"Linux {os.uname().release}", f"Redis {redis}")
    return ", ".join(facts) + f", load {os.getloadavg()[0]:.1f} before"


def print_table(rows, out=sys.stdout):
    head = Row("figure", "measured", "limit, same run", "budget")
    lines = [head, *rows]
    widths = [max(len(getattr(r, a)) for r in lines) for a in ("name", "value", "limit", "budget")]
    for row in lines:
        cells = (row.name, row.value, row.limit, row.budget)
        text = "  ".join(cell.ljust(width) for cell, width in zip(cells, widths))
        met = {None: "", True: "met", False: "NOT MET"}[row.met]
        print((text + "  " + met).rstrip(), file=out)
