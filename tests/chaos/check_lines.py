"""Checks of chat: what Twitch said is heard once, in order, byte for byte; what is missing lies in a gap that
was told (promises 1, 4, 6 and 8)."""

import re
from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass

import plan

STAMP = re.compile(rb"[@;]sim-us=(\d+)")
ECHO = re.compile(rb"^@(?:[^ ]*;)?shoal-echo=1[; ]")

# A line takes a moment from Twitch to the node, on two busy cores and with `lag`, and it is the node that says
# when a gap began: the times of lines and gaps are compared with so much patience.
PATIENCE_S = 1.0

# The longest time between two renewals.
RENEWAL_S = max(plan.CHANGES["lease_ms"]) / 1000 / 4

# What a node that is cut off holds of a channel that is not its any more comes when it is back.
ANEW_S = 15

OWN = re.compile(rb"!shoalbot\d?@")  # plan.USERS

NO_GAP = "a channel was joined again and no gap was told"


def text_of(line):
    return line.split(b" :", 2)[-1].decode(errors="replace")


@dataclass
class Gap:
    begin: float
    end: float
    reason: str
    to: float  # its end by Redis's clock
    earliest: float = float("inf")  # where it began by a clock that was moved since

    def covers(self, at):
        return min(self.begin, self.earliest) - PATIENCE_S <= at <= self.end + PATIENCE_S


class Reading:
    """When a channel must have been read: from its first being joined until somebody asks to part it. And
    every new join in such a time is one gap."""

    def __init__(self, timeline, requests):
        self.periods = defaultdict(list)  # channel -> [begin, end]
        self._timeline = timeline
        self._requests = requests  # grows while the run goes on
        self._known = 0
        self._parts = {}  # those without a reply yet
        self._open = {}  # channel -> its period
        self._joined_at = {}
        self._looked = 0.0
        self._rejoined = []

    def _take_requests(self):
        for id, request in list(self._requests.items())[self._known :]:
            if request.op == "part":
                self._parts[id] = request
        self._known = len(self._requests)

    def on_reply(self, reply, _wall):
        self._take_requests()
        request = self._parts.pop(reply["id"], None)
        for channel in request.channels if request else ():
            period = self._open.pop(channel, None)
            if period:
                period[1] = request.asked

    def on_look(self, look, wall):
        self._take_requests()
        if self._timeline.is_excused(NO_GAP, wall):
            # A Redis with older data does not know of what was joined since.
            for channel in self._open.keys() - set(look.channels):
                self._open.pop(channel)[1] = self._looked
        self._looked = wall
        leaving = {c for r in self._parts.values() if r.asked <= wall for c in r.channels}
        for channel, (state, since_ms) in look.states.items():
            since = since_ms / 1000
            if state != "joined":
                continue
            if channel in self._open:
                if since - self._joined_at[channel] > 0.05:
                    self._rejoined.append((channel, since, wall))
                    self._joined_at[channel] = since
            elif channel in look.channels and channel not in leaving:
                # Not from `since`: that is a time of Redis's clock, and a Redis with older data still has when the
                # channel was joined before it was parted.
                self._open[channel] = [wall, float("inf")]
                self.periods[channel].append(self._open[channel])
                self._joined_at[channel] = since

    def must_be_heard(self, channel, at, heard_at):
        """Was the channel wanted when the line was said, and read again after it? What is parted before it is
        read again has no gap: nobody misses it any more."""
        return any(
            begin + PATIENCE_S < at < end
            and (end == float("inf") or any(at < later < end for later in heard_at[channel]))
            for begin, end in self.periods[channel]
        )

    def is_unknown(self, channel, at, gaps):
        """Redis has forgotten that it was read, or parted: it was joined again then, and nobody knows since when what was
        said is missing."""
        return any(
            rejoined == channel and wall - ANEW_S <= at <= wall
            and self._timeline.is_excused(NO_GAP, wall) and not self._has_gap(channel, since, gaps)
            for rejoined, since, wall in self._rejoined
        )  # fmt: skip

    @staticmethod
    def _has_gap(channel, since, gaps):
        return any(abs(gap.to - since) < 0.1 for gap in gaps.of[channel])

    def is_read_anew(self, channel, at):
        """Was it parted about then and joined again? Its former node may hear of that after the new one has read it."""
        about = [r for r in self._requests.values() if channel in r.channels and abs(r.asked - at) <= ANEW_S]
        parted = min((r.asked for r in about if r.op == "part"), default=float("inf"))
        return any(r.op == "join" and r.asked >= parted for r in about)

    def at_end(self, gaps):
        for channel, since, wall in self._rejoined:
            if not self._has_gap(channel, since, gaps):
                self._timeline.complain(NO_GAP, f"#{channel}", wall)


class Gaps:
    def __init__(self, timeline):
        self.of = defaultdict(list)  # channel -> gaps
        self._known = set()
        self._timeline = timeline
        self._complain = timeline.complain

    def on_event(self, event, wall):
        if event["event"] != "gap":
            return
        if not (event["channel"] in plan.CHANNELS and 0 < event["from"] <= event["to"] <= event["at"] + 1000):
            self._complain("a gap makes no sense", event, wall)
            return
        begin, earliest = self._timeline.by_our_clock(event["from"] / 1000, wall)
        end, _ = self._timeline.by_our_clock(event["to"] / 1000, wall)
        if (event["channel"], event["from"], event["to"]) in self._known:
            return
        self._known.add((event["channel"], event["from"], event["to"]))
        gap = Gap(begin, max(begin, end), event["reason"], event["to"] / 1000, earliest)
        self.of[event["channel"]].append(gap)

    def cover(self, channel, at):
        return any(gap.covers(at) for gap in self.of[channel])

    def at_end(self, heard_at, deaths):
        """A gap is no excuse: but for its edges, nothing was heard in it. (Of a node that died its last two
        renewals tell up to when all was well, and a second is taken off. And what it had joined again just before
        its death, or while Redis could not be told, nobody knows of.) deaths: when nodes were killed or stood still,
        in order, and times in which Redis did."""
        before = 2 * RENEWAL_S + 1 + PATIENCE_S

        def unreported(at):
            return any(begin - RENEWAL_S - PATIENCE_S <= at <= end for begin, end in deaths)

        for channel, gaps in self.of.items():
            times = sorted(heard_at[channel])
            for gap in gaps:
                first, end = bisect_left(times, gap.begin + before), bisect_left(times, gap.end - PATIENCE_S)
                inside = [at for at in times[first:end] if not unreported(at)]
                if inside:
                    self._complain("lines were heard in a gap", f"#{channel}: at {inside[:3]} in {gap}", gap.begin)


class Lines:
    def __init__(self, complain):
        self._complain = complain
        self.heard = defaultdict(list)  # channel -> (line, wall)
        self.sent = {}  # channel -> [line, sent not before, not after]
        self.missed = []  # (channel, line, when) of what was said outside of every gap and was not heard
        self.heard_at = defaultdict(list)  # channel -> when what was heard had been said
        self.own = defaultdict(int)  # text of a message of ours -> how often it was heard

    def on_chat(self, channel, line, wall):
        self.heard[channel].append((line, wall))

    def at_end(self, record, reading, gaps, said, deaths, shown):
        """said: texts of our own messages that Twitch took. shown: line -> when the streams showed it, which is just after
        it was published: where a node held it, while Redis was away, that is long after it was said."""
        self.sent = sent = self._read(record)
        for channel in plan.CHANNELS:
            for line, at, until in self._compare(channel, sent[channel], said, reading):
                own = self.own[text_of(line)] > 0  # said by the holder's own connection: an echo stands for it
                if not own and all(self.is_missed(channel, t, reading, gaps) for t in (at, until)):
                    self.missed.append((channel, line, at))
                    self._complain("a line is lost outside of every gap", f"#{channel}: {line.decode()}", at, shown.get(line))
        for channel in set(self.heard) - set(plan.CHANNELS):
            self._complain("a channel nobody asked for was fanned out", f"{channel}: {self.heard[channel][0]}")
        gaps.at_end(self.heard_at, deaths)
        return sum(map(len, sent.values())), sum(map(len, self.heard.values()))

    def is_missed(self, channel, at, reading, gaps):
        """Something said at that time was not heard: should it have been?"""
        if gaps.cover(channel, at) or reading.is_unknown(channel, at, gaps):
            return False
        return reading.must_be_heard(channel, at, self.heard_at)

    @staticmethod
    def _read(record):
        """channel -> [[line, sent not before, not after]]. The record is in the order of time: of a line without
        a stamp those around it tell when that was, to a second or to many."""
        sent = defaultdict(list)
        at = 0.0
        unstamped = []
        with open(record, "rb") as lines:
            for entry in lines:
                channel, line = entry.rstrip(b"\n").split(b"\t", 1)
                stamp = STAMP.search(line)
                if stamp:
                    at = int(stamp.group(1)) / 1e6
                    for earlier in unstamped:
                        earlier[2] = at
                    unstamped.clear()
                sent[channel.decode()].append([line, at, at])
                if not stamp:
                    unstamped.append(sent[channel.decode()][-1])
        return sent

    def _compare(self, channel, sent, said, reading):
        """What was sent and not heard; complains about what was heard and should not have been."""
        places = defaultdict(list)
        for index, (line, _, _) in enumerate(sent):
            places[line].append(index)
        heard = set()
        last = -1
        for line, wall in self.heard[channel]:
            if OWN.search(line):
                self.own[text_of(line)] += 1
            if ECHO.match(line):
                if text_of(line) not in said:
                    self._complain("an echo of what was not said", f"#{channel}: {line!r}", wall)
                continue
            if line not in places:
                self._complain("a line was heard and never sent", f"#{channel}: {line!r}", wall)
                continue
            # A line without a stamp may have been sent several times, but not later than it was heard.
            latest = float("inf") if STAMP.search(line) else wall + PATIENCE_S
            index = next((i for i in places[line] if i > last and sent[i][1] <= latest), None)
            if index is None:
                stamp = STAMP.search(line)
                # Without a stamp, the last time before it was heard.
                times = [int(stamp.group(1)) / 1e6] if stamp else [sent[i][1] for i in places[line] if sent[i][1] <= latest]
                said_at = max(times, default=wall)
                how = "out of order" if places[line] else "twice"
                if reading.is_read_anew(channel, said_at):
                    heard.update(places[line])
                    continue
                self._complain(f"a line was heard {how}", f"#{channel}: {line!r}", said_at)
                continue
            places[line].remove(index)
            last = index
            heard.add(index)
            if sent[index][1] == sent[index][2]:
                self.heard_at[channel].append(sent[index][1])
        return [entry for index, entry in enumerate(sent) if index not in heard]
