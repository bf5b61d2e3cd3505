"""Fixtures of the cluster tests: a cluster that is always stopped, logs where a test failed, a time limit."""

import signal
import threading

import pytest

from accounts import start_twitch
from dashboard import Api, token_file
from processes import wait_until
from shoal import Cluster, missing_programs
from simclient import Sim

LIMIT_SECONDS = 120


def pytest_configure(config):
    config.addinivalue_line("markers", f"limit(seconds): may take so long (default {LIMIT_SECONDS})")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.failed:
        clusters = {v for v in getattr(item, "funcargs", {}).values() if isinstance(v, Cluster)}
        for cluster in clusters:
            report.sections += [(f"log of {name}", text) for name, text in cluster.logs()]


@pytest.fixture(autouse=True)
def time_limit(request):
    """A test that hangs fails, and its cluster is stopped like any other."""
    marker = request.node.get_closest_marker("limit")
    seconds = marker.args[0] if marker else LIMIT_SECONDS
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def over(*_):
        raise TimeoutError(f"the test took more than {seconds} s")

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(seconds)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def bare(tmp_path, time_limit):
    """A cluster of which nothing runs yet."""
    absent = missing_programs()
    assert not absent, f"not built or not installed: {', '.join(absent)}"
    cluster = Cluster(tmp_path)
    yield cluster
    complaints = cluster.close()
    assert not complaints, "\n".join(complaints)


@pytest.fixture
def cluster(bare):
    """Redis, the simulator with a verified user, one coordinator that leads."""
    bare.start_redis()
    bare.start_sim("--verified")
    bare.start_coordinator()
    wait_until(bare.leader, 10, "a coordinator leads")
    return bare


@pytest.fixture
def accounts(bare, tmp_path):
    """A cluster whose coordinator has keys and the public application "app"."""
    bare.start_redis()
    start_twitch(bare, tmp_path, "--verified")
    bare.c1 = bare.start_coordinator(args=bare.account_args, user="alice")
    wait_until(bare.leader, 10, "a coordinator leads")
    return bare


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A cluster that tests of a module share: a coordinator with an admin token, `api` of it, a node, three channels."""
    absent = missing_programs()
    assert not absent, f"not built or not installed: {', '.join(absent)}"
    directory = tmp_path_factory.mktemp("served")
    cluster = Cluster(directory)
    cluster.start_redis()
    cluster.start_sim("--verified")
    coordinator = cluster.start_coordinator(args=["--http-admin-token", token_file(directory)])
    cluster.start_node()
    wait_until(cluster.is_set_up, 20, "the cluster is set up")
    cluster.api = Api(coordinator)
    cluster.join("alpha", "beta", "gamma")
    yield cluster
    complaints = cluster.close()
    assert not complaints, "\n".join(complaints)


@pytest.fixture
def sim(request):
    """A simulator of the test's own; sim_with gives it options."""
    with Sim(*getattr(request, "param", ())) as s:
        yield s
