"""What was done when, and what was seen: one list, written beside the logs and shown where a run fails."""

import threading
import time

SHOWN = 3  # complaints of a kind


class Taken(Exception):
    """The victim of a fault is in the hands of another."""


class Timeline:
    """Lines of a run. `at` is seconds since it began, by the wall clock, as all times of a run are."""

    def __init__(self):
        self.began = time.time()
        self.complaints = {}  # what was broken -> [(at, detail)]
        self._entries = []
        self.offsets = [(self.began, 0)]  # from when on Redis's clock was how many seconds off
        self._excuses = []  # (begin, end, what may be broken then)
        self._lock = threading.Lock()

    def note(self, who, what, wall=None):
        """who: plan, fault, app, cluster or checker."""
        at = (wall or time.time()) - self.began
        with self._lock:
            self._entries.append((at, who, what))

    def when(self, who, beginnings):
        """Wall times of the entries of somebody that begin with those words, or with one of a tuple of them."""
        with self._lock:
            return [at + self.began for at, by, what in self._entries if by == who and what.startswith(beginnings)]

    def excuse(self, begin, end, broken, where=lambda: True, rest=False):
        """Nobody promises these things (the words of complaints) for that time, of the wall clock: Redis lost
        what it had, or somebody deleted it. Only if `where` holds, which is asked with each complaint. rest: until
        all has come to rest, which takes longer where something else begins."""
        with self._lock:
            self._excuses.append((begin, end, frozenset(broken), where, rest))

    def prolong(self, since, until):
        """What was excused then, or has been since, until all is at rest, is until that time."""
        with self._lock:
            self._excuses = [
                (begin, max(end, until) if rest and end >= since else end, words, where, rest)
                for begin, end, words, where, rest in self._excuses
            ]

    def by_our_clock(self, redis_s, wall):
        """Redis's time of something that was told at `wall`, and the earliest it may mean: it may have been noted
        before its clock was moved."""
        offsets = [offset for at, offset in self.offsets if at <= wall + 1]
        return redis_s - offsets[-1], min(redis_s - offset for offset in offsets)

    def is_excused(self, broken, wall, until=None):
        """until: it may have been broken at any time from `wall` to that."""
        until = max(wall, until or wall)
        with self._lock:
            excuses = list(self._excuses)
        return any(begin <= until and wall <= end and broken in words and where() for begin, end, words, where, _ in excuses)

    def complain(self, broken, detail="", wall=None, until=None):
        """A promise was broken: the same words for the same promise, and what exactly, which is kept where it
        is the first of its kind or one of the next few. until: as in is_excused."""
        if self.is_excused(broken, wall or time.time(), until):
            self.note("checker", f"excused: {broken}: {detail}", wall)
            return
        at = (wall or time.time()) - self.began
        with self._lock:
            of_this_kind = self.complaints.setdefault(broken, [])
            of_this_kind.append((at, detail))
        if len(of_this_kind) <= SHOWN:
            self.note("checker", f"BROKEN: {broken}: {detail}", wall)

    def complaints_text(self):
        lines = []
        for broken, details in self.complaints.items():
            lines.append(f"broken {len(details)} times: {broken}")
            lines += [f"{at:9.3f}  {detail}" for at, detail in sorted(details)[:SHOWN]]
        return "\n".join(lines)

    def text(self, since=0.0, until=float("inf")):
        with self._lock:
            entries = sorted(self._entries, key=lambda entry: entry[0])
        return "\n".join(
            f"{at:9.3f}  {who:8} {what}" for at, who, what in entries if since <= at <= until
        )

    def around_first_complaint(self, before=15.0, after=3.0):
        """The part that tells the story, for people who have not opened the file yet."""
        first = min(at for details in self.complaints.values() for at, _ in details)
        return self.text(first - before, first + after)
