"""How a program complains to people: one line, and the exit code.

Exit codes: 0 done, 1 refused or failed, 2 wrong usage or configuration, 3 Redis out of reach.
"""

import os
import re

from shoal import COORDINATOR, CTL, NODE

SECRET = "hunter2hunter2"
PROGRAMS = {"node": [NODE], "coordinator": [COORDINATOR], "ctl": [CTL, "status"]}
ALL = ("node", "coordinator", "ctl")


def complaint(done, code):
    """The one line a program says to people when it ends badly; log lines beside it are few."""
    name = os.path.basename(done.args[0])
    lines = done.stderr.splitlines()
    said = [line for line in lines if line.startswith(f"{name}: ")]
    assert done.returncode == code, f"exit code {done.returncode}\n{done.stderr}"
    assert len(said) == 1, done.stderr
    logged = [line for line in lines if line not in said]
    assert all(re.match(r"20\d\d-", line) for line in logged), done.stderr
    assert sum(" warn " in line or " error " in line for line in logged) <= 1, done.stderr
    assert done.stdout == ""
    return said[0]
