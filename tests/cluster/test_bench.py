"""The benchmarks run: a few lines each, no figure is looked at."""

import json
import os
import subprocess
import sys

import pytest

from shoal import BIN, ROOT

RUN = ROOT / "tests" / "bench" / "run"


@pytest.mark.limit(300)
def test_each_benchmark_runs_and_measures_what_it_names():
    done = subprocess.run(
        [sys.executable, RUN, "--small", "--json"],
        env={**os.environ, "SHOAL_BIN_DIR": str(BIN)},
        capture_output=True,
        text=True,
        timeout=290,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-8000:]
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    for word in ("fan-out: CPU", "fan-out, TLS", "p99", "a lone line", "idle node", "assign", "memory: a TLS shard", "dead node", "for 3 leases", "for half a lease",
                 "leader killed", "idle cluster", "quiet shards", "joined after", "at rest: Redis", "figures and reports"):  # fmt: skip
        assert any(word in row["name"] for row in rows), f"no figure of {word}"


def test_an_unknown_benchmark_is_named():
    done = subprocess.run(
        [sys.executable, RUN, "nosuch"], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 2
    assert "'nosuch'" in done.stderr and "fanout" in done.stderr
