"""A Redis that cannot be used ends a program in time, with what is wrong and the right exit code.

Exit codes: 1 refused or failed, 2 wrong usage or configuration, 3 Redis out of reach.
"""

import socket
import time

import pytest

from complaint import ALL, PROGRAMS, SECRET, complaint
from fake_redis import FakeRedis
from processes import run
from shoal import COORDINATOR


@pytest.mark.parametrize("program", ALL)
def test_a_redis_without_functions_is_refused_with_what_is_needed(program):
    with FakeRedis() as fake:
        said = complaint(run(PROGRAMS[program] + ["--redis-url", fake.url]), 1)
    assert "functions" in said and "Redis 7" in said


@pytest.mark.parametrize("program", ALL)
def test_a_redis_whose_functions_are_hidden_is_refused_with_what_is_needed(program, bare):
    hidden = sum((["--rename-command", name, ""] for name in ("FCALL", "FCALL_RO", "FUNCTION")), [])
    url = bare.start_redis(*hidden).url
    said = complaint(run(PROGRAMS[program] + ["--redis-url", url]), 1)
    assert "functions" in said and "Redis 7" in said


@pytest.mark.parametrize("program", ["coordinator", "ctl"])
def test_a_redis_of_which_no_function_can_be_loaded_is_refused(program, bare):
    url = bare.start_redis("--rename-command", "FUNCTION", "").url
    said = complaint(run(PROGRAMS[program] + ["--redis-url", url]), 1)
    assert ("Redis 7" if program == "coordinator" else "no coordinator has set up") in said


@pytest.mark.parametrize("program", ALL)
def test_a_redis_that_is_not_there_ends_it_in_time(program):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: nobody else gets the port
        url = f"redis://:{SECRET}@127.0.0.1:{taken.getsockname()[1]}"
        limit = "--timeout" if program == "ctl" else "--connect-timeout"
        began = time.monotonic()
        said = complaint(run(PROGRAMS[program] + ["--redis-url", url, limit, "3s"]), 3)
        assert time.monotonic() - began < 8
        assert url.rsplit("@", maxsplit=1)[-1] in said and "refused" in said
        assert SECRET not in said


@pytest.mark.parametrize("program", ALL)
def test_a_redis_that_says_nothing_ends_it_in_time(program):
    with FakeRedis(mute=True) as fake:
        limit = "--timeout" if program == "ctl" else "--connect-timeout"
        began = time.monotonic()
        said = complaint(run(PROGRAMS[program] + ["--redis-url", fake.url, limit, "700ms"]), 3)
        assert time.monotonic() - began < 6, said


@pytest.mark.parametrize("program", ALL)
def test_a_wrong_password_ends_it_at_once(program, bare):
    server = bare.start_redis(password=SECRET)
    address = f"127.0.0.1:{server.port}"
    for url, mend in (
        (f"redis://{address}", "password"),
        (f"redis://:not{SECRET}@{address}", "refuses the password"),
        (f"redis://somebody:{SECRET}@{address}", "somebody"),
    ):
        began = time.monotonic()
        done = run(PROGRAMS[program], {"SHOAL_REDIS_URL": url})
        said = complaint(done, 3)
        assert time.monotonic() - began < 5, "waiting does not mend it"
        assert address in said and mend in said, said
        assert SECRET not in done.stderr


def test_a_setting_that_cannot_be_is_refused_by_name(bare):
    bare.start_redis()
    bare.start_sim("--verified")
    bare.start_node("n1")
    for pair, names in (("no_such=1", "Unknown setting no_such"), ("lease_ms=5", "lease_ms takes a number")):
        argv = [COORDINATOR, "--redis-url", bare.redis_url, "--set", pair]
        assert names in complaint(run(argv), 2)
