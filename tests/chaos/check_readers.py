"""Checks of what is kept: the streams hold each line that was published, once and in its order, or say that it is missing;
and readers have what the streams held (readers.py), or know that they lack it."""

from collections import Counter, defaultdict

from check_lines import ECHO, PATIENCE_S, STAMP

AWAY_S = 12  # so long a logger may be away, or be told late, that learns from Redis alone that it was emptied
LACK, TWICE, ORDER, STRANGE = "lacks a line", "has a line twice", "has lines out of order", "has what the streams have not"
NOT_KEPT = "what was published is not in the streams"


def channel_of(line):
    words = line.split(b" ")
    at = 1 if line.startswith(b"@") else 0
    at += words[at].startswith(b":")
    return words[at + 1].lstrip(b"#").decode()


class KeptLines:
    """The lines of the streams by channel, each with its block."""

    def __init__(self, timeline, kept, lines, reading):
        self._timeline = timeline
        self._kept = kept
        self._lines = lines
        self._reading = reading
        self.of = defaultdict(list)  # channel -> (line, block)
        for block in kept.blocks.values():
            for line in block.lines:
                self.of[channel_of(line)].append((line, block))
        self.heard = {c: Counter(line for line, _ in of) for c, of in lines.heard.items()}
        self._said = {c: Counter(line for line, _, _ in of) for c, of in lines.sent.items()}

    def _is_lost(self, wall):
        return any(loss.begin - PATIENCE_S <= wall <= loss.end + PATIENCE_S for loss in self._kept.losses)

    def topic(self, channel):
        """What was heard there: (line, when)."""
        return self._lines.heard[channel]

    def said(self, channel, line):
        """How often."""
        return self._said.get(channel, Counter())[line]

    def was_said(self, channel, line):
        return self.said(channel, line) or ECHO.match(line)

    def at_end(self, gap_events):
        """gap_events: the JSON of each -> when it was heard."""
        for channel in set(self.of) | set(self.heard):
            self._judge(channel, Counter(line for line, _ in self.of[channel]))
        for channel, line, at in self._lines.missed:  # though nobody heard it, it is to be kept
            if line not in {kept for kept, _ in self.of[channel]} and not self._is_lost(at):
                self._timeline.complain(NOT_KEPT, f"#{channel}, nobody heard it: {line!r}", at)
        for text, walls in self._kept.gaps.items():
            if len(walls) > 1:
                self._timeline.complain("a gap is in the streams twice", text, walls[-1])
            if text not in gap_events:
                self._timeline.complain("a gap is in the streams alone", text, walls[0])
        for text, wall in gap_events.items():
            if text not in self._kept.gaps and not self._is_lost(wall):
                self._timeline.complain("a gap is not in the streams", text, wall)
        return sum(map(len, self.of.values()))

    def _judge(self, channel, kept):
        heard, told = self.heard.get(channel, Counter()), set()
        for line, block in self.of[channel]:
            if kept[line] > max(heard[line], self.said(channel, line), 1) and line not in told:
                told.add(line)
                if not self._reading.is_read_anew(channel, said_at(line, block.wall)):
                    self._complain("the streams have a line twice", channel, line, block.wall)
            if line not in heard and not self.was_said(channel, line):
                self._complain("the streams have a line that was never said", channel, line, block.wall)
        missing = heard - kept
        when = defaultdict(list)  # of all that are the same, one of which is missing
        for line, wall in self._lines.heard[channel]:
            if missing[line]:
                when[line].append(wall)
        for line, count in missing.items():
            if sum(map(self._is_lost, when[line])) < count:
                excused = (at for at in when[line] if self._timeline.is_excused(NOT_KEPT, at))
                self._complain(NOT_KEPT, channel, line, next(excused, when[line][-1]))
        self._judge_order(channel, kept, heard)

    def _judge_order(self, channel, kept, heard):
        places = {line: i for i, (line, _) in enumerate(self._lines.heard[channel]) if heard[line] == kept[line] == 1}
        last = -1
        for line, block in self.of[channel]:
            place = places.get(line, last)
            if place < last:
                self._complain("the streams have another order than topics had", channel, line, block.wall)
            last = max(last, place)

    def _complain(self, broken, channel, line, wall):
        self._timeline.complain(broken, f"#{channel}: {line!r}", said_at(line, wall))


def said_at(line, wall):
    stamp = STAMP.search(line)
    return int(stamp[1]) / 1e6 if stamp else wall


class Reader:
    """What one reader has, held against the streams."""

    def __init__(self, name, timeline, kept_lines, knows, again=False):
        """knows(block): how many losses that it knows of may have had it. again: may it have lines twice?"""
        self._name = name
        self._timeline = timeline
        self._kept = kept_lines
        self._knows = knows
        self._again = again

    def at_end(self, lines):
        had = defaultdict(list)
        for line in lines:
            raw = line.encode()
            had[channel_of(raw)].append(raw)
        for channel in set(had) | set(self._kept.of):
            self._judge(channel, had[channel])
        return len(lines)

    def _judge(self, channel, had):
        kept = self._kept.of[channel]
        heard = self._kept.heard.get(channel, Counter())
        places = defaultdict(list)
        for place, (line, _) in enumerate(kept):
            places[line].append(place)
        times = Counter(line for line, _ in kept) | heard
        # In the order of topics: we may have seen last in the streams what was added once more.
        order = {line: i for i, (line, _) in enumerate(self._kept.topic(channel)) if times[line] == 1}
        seen, last, got = Counter(), -1, set()
        for line in had:
            seen[line] += 1
            if places[line]:
                got.add(places[line].pop(0))
                if order.get(line, last) < last:
                    self._complain(ORDER, channel, line, 0)
                last = max(last, order.get(line, last))
            elif not times[line] and not self._kept.was_said(channel, line):
                self._complain(STRANGE, channel, line, 0)
            elif seen[line] > max(times[line], self._kept.said(channel, line)) and not self._again:
                self._complain(TWICE, channel, line, 0)
        self._look_for_missing(channel, kept, got)

    def _look_for_missing(self, channel, kept, got):
        missing = Counter(line for i, (line, _) in enumerate(kept) if i not in got)
        known = defaultdict(list)  # of all that are the same
        for line, block in kept:
            if missing[line]:
                known[line].append((self._knows(block), block.wall))
        for line, count in missing.items():
            if sum(times == 1 for times, _ in known[line]) < count:
                times, wall = known[line][-1]
                text = f"{LACK} and knows of it twice" if times > 1 else LACK
                self._complain(text, channel, line, self._excused(text, [at for _, at in known[line]], wall))

    def _excused(self, text, walls, wall):
        """Of lines that are the same it may have been one that is excused."""
        is_excused = self._timeline.is_excused
        return next((at for at in walls if is_excused(f"the {self._name} {text}", at)), wall)

    def _complain(self, broken, channel, line, wall):
        self._timeline.complain(f"the {self._name} {broken}", f"#{channel}: {line!r}", said_at(line, wall))


def is_within(at, begin, end):
    """Where Redis's clock was put back meanwhile, all that was later is."""
    return begin <= at <= end or end < begin <= at


def at_end(timeline, kept, readers, lines, reading, gap_events, missed_by_group):
    """Everything is quiet: judge. Returns a line of figures."""
    kept_lines = KeptLines(timeline, kept, lines, reading)
    count = kept_lines.at_end(gap_events)
    have = readers.lines()
    lost = [loss for loss in kept.losses if loss.node]

    def is_lost(block):
        return any(loss.has(block) for loss in lost)

    gone = readers.gone_for_logger()

    def logger_knows(block):
        emptied = any(at - AWAY_S <= block.wall <= at for at in kept.emptied)
        unread = block.ids & gone or any(is_within(block.at, *missed) for missed in missed_by_group)
        return int(bool(emptied or is_lost(block) or unread))

    gaps = [(begin, end, why) for channel, begin, end, why in readers.gaps_of_database() if not channel]

    def database_knows(block):
        reasons = [why for begin, end, why in gaps if is_within(block.at, begin, end)]
        return reasons.count("not_read") or len(set(reasons))  # of what Redis lost there is one for each node

    def resume_knows(block):
        told = readers.gaps_of_resume()
        return int(is_lost(block) or any(is_within(block.at, *gap) for gap in told))

    for name, knows in (("logger", logger_knows), ("database", database_knows), ("resume", resume_knows)):
        Reader(name, timeline, kept_lines, knows, again=name == "logger").at_end(have[name])
    return (
        f"{count} lines kept, {len(kept.losses)} losses told, {len(kept.gaps)} gaps; "
        + ", ".join(f"{name} {len(of)}" for name, of in have.items())
        + f", {len(gaps)} losses known to the database, {len(readers.gaps_of_resume())} to resume"
    )
