"""Readers of what is kept: the programs of the README, killed and cut off while the rest dies, and what they have at the
end (check_readers.py judges it).

A logger (each line at least once), a database (exactly once, and what it misses), and a subscriber that resumes.
"""

import contextlib
import re
import sqlite3

from documents import start_program  # of tests/cluster, as the next one
from processes import wait_until

NAMES = ("logger", "database", "resume")
LAST = " :the last line"
MISSING = re.compile(r"missing: between (\d+)-\d+ and (\d+)-\d+")
GONE = re.compile(r"missing: (\d+-\d+)$")


class Readers:
    def __init__(self, cluster):
        self._directory = cluster.directory
        for name in NAMES:
            start_program(cluster, self._directory, "python", name)
        wait_until(lambda: cluster.redis.pubsub_numsub("shoal:main:mark:me")[0][1] == 1, 20, "a subscriber resumes")
        self._processes = {name: cluster.processes[name] for name in NAMES}

    def _said(self, name):
        """What a program has printed: lines of chat, and whatever else it tells."""
        said = ([], [])
        for line in self._processes[name].log.read_bytes().decode(errors="replace").split("\n"):
            said[not line.startswith(("@", ":"))].append(line)
        return said

    def _stored(self, what):
        with contextlib.closing(sqlite3.connect(self._directory / "chat.db", timeout=10)) as db:
            try:
                return db.execute(f"SELECT {what}").fetchall()
            except sqlite3.OperationalError:  # not begun yet
                return []

    def lines(self):
        """Name -> the lines it has, in its order."""
        found = {name: self._said(name)[0] for name in ("logger", "resume")}
        found["database"] = [line for (line,) in self._stored("line FROM line ORDER BY rowid")]
        return found

    def gaps_of_database(self):
        """(channel, begin, end, reason) in seconds of Redis's clock, without those that it read."""
        return [(c, since / 1000, until / 1000, why) for c, since, until, why in self._stored("* FROM gap")]

    def gone_for_logger(self):
        """Ids of entries that were trimmed when it was to read them again: it had died with them, or was slow."""
        return {m[1] for m in map(GONE.match, self._said("logger")[1]) if m}

    def gaps_of_resume(self):
        """(begin, end) in seconds of Redis's clock: where it had been away for too long."""
        found = map(MISSING.match, self._said("resume")[1])
        return [(int(m[1]) / 1000, int(m[2]) / 1000) for m in found if m]

    def wait_for_last(self, channels, timeout):
        """Until all have the last line of each channel."""
        wanted = {f" PRIVMSG #{channel}{LAST}" for channel in channels}
        wait_until(
            lambda: all(sum(line.endswith(LAST) for line in lines) >= len(wanted) for lines in self.lines().values()),
            timeout, "all readers have the last line of each channel",
        )  # fmt: skip


class ReaderFaults:
    """Faults as in faults.py; `_servers`, `_hands_on`, `_hands_on_redis`, `_pause` and `_note` are its."""

    def kill_reader(self, victim, down_s):
        with self._hands_on(victim) as (process,):
            process.kill()
            with open(process.log, "r+b") as log:  # it may have died in a line, which nobody acknowledged
                log.truncate(log.read().rfind(b"\n") + 1)
            self._note(f"{victim} is killed")
            yield down_s
            process.start()
            self._note(f"{victim} is started")

    def pause_reader(self, victim, for_s):
        return self._pause(victim, for_s)

    def cut_reader(self):
        """The subscriber that resumes: its connection, wherever it leads."""
        with self._hands_on_redis():
            for server in (self._servers.primary, self._servers.replica):
                for client in server.client.client_list(_type="pubsub"):
                    if (client["sub"], client["psub"]) == ("1", "1"):  # it alone has so many
                        server.client.client_kill_filter(_id=client["id"])
            self._note("resume is cut off")
            yield 0
