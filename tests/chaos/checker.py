"""The checker: everything that was heard, in the order in which Redis did it, against what the simulator and the
applications know. Promises by their numbers in the design: all ten."""

import json
import time
from pathlib import Path

import plan
import check_readers
from check_lines import OWN, RENEWAL_S, Gaps, Lines, Reading, text_of
from check_registry import Requests, Shards, Wanted
from check_sends import Sends
from event_schema import misfits
from redis_faults import LAST_MOMENT
from shoal import TOKEN

MISSED_S = 30  # so old may a request be whose reply nobody heard
DEAF_S = 10  # a subscriber that is with the replica misses what is published until that is back with its primary
# Words of redis_faults.py.
AWAY = ("killed redis", "SIGSTOP redis", "full_redis", "filled_redis", "lonely_redis", "demote_redis", "cut_nodes")
BACK = ("started redis", "SIGCONT redis", "maxmemory 0", "min-replicas-to-write 0", "primary again", "nodes reach Redis")


def identity(event):
    return tuple(sorted(event.items()))


class Checker:
    def __init__(self, cluster, timeline, subscriber, watch, apps, secrets=(TOKEN,), tokens=None, kept=None, readers=None):
        self._cluster = cluster
        self._timeline = timeline
        self._subscriber = subscriber
        self._watch = watch
        self._apps = apps
        self._seen = 0
        self._events_heard = {}  # identity -> when, by our clock
        self._gap_events = {}  # JSON -> when
        self._unread = []  # events about what groups missed
        self._kept = kept  # Kept, what the streams held; and Readers
        self._readers = readers
        complain = timeline.complain
        self.wanted = Wanted(complain)
        self.shards = Shards(timeline)
        self.requests = Requests(timeline)
        self.reading = Reading(timeline, apps.requests)
        self.gaps = Gaps(timeline)
        self.lines = Lines(complain)
        self.sends = Sends(timeline)
        self._secrets = secrets  # texts nobody may see; grows
        self._tokens = tokens  # Tokens, where there are accounts

    def catch_up(self):
        """Take in what was heard since."""
        messages = self._subscriber.messages
        clock = time.time() - time.monotonic()
        while self._seen < len(messages):
            topic, payload = messages[self._seen]
            if topic == self._watch.mark_topic and int(payload) == len(self._watch.looks) - 1:
                if self._watch.looks[int(payload)] is None:
                    return  # heard before the look itself has its answer
            self._take(topic, payload, self._subscriber.times[self._seen] + clock)
            self._seen += 1

    def _take(self, topic, payload, wall):
        rest = topic.removeprefix(self._cluster.topic(""))
        if rest.startswith("chat:"):
            self.lines.on_chat(rest[5:], payload, wall)
        elif rest.startswith("sent:"):
            self.sends.on_result(json.loads(payload), wall)
        elif rest == "replies":
            self._hear(json.loads(payload), wall)
        elif rest == "events":
            event = json.loads(payload)
            self._events_heard[identity(event)] = wall
            if event["event"] == "gap":
                self._gap_events[payload.decode()] = wall
            self._timeline.note("cluster", payload.decode(), wall)
            self._look_at_event(event)
            for check in (self.shards, self.gaps):
                check.on_event(event, wall)
        elif topic == self._watch.mark_topic:
            look = self._watch.looks.get(int(payload))
            if look:
                self._hear_missed(set(look.channels), wall)
            for check in (self.wanted, self.shards, self.reading):
                if look:
                    check.on_look(look, wall)

    def _look_at_event(self, event):
        for text in misfits([event]):
            self._timeline.complain("an event is not as the contract says", text)
        if event["event"] == "history.unread":
            self._unread.append(event)

    def _hear(self, reply, wall):
        for check in (self.wanted, self.shards, self.requests, self.reading):
            check.on_reply(reply, wall)

    def _hear_missed(self, channels, wall):
        """Replies that were published while our own subscription was not there are kept: those, in the order in which
        they were asked for, that make what was promised what is wanted."""
        wanted, missed = Wanted(None), []
        wanted.channels = set(self.wanted.channels)
        replies = self.requests.kept(self._cluster, self._apps.requests, wall - MISSED_S)
        while wanted.channels != channels:
            reply = next(replies, None)
            if reply is None:
                return
            wanted.on_reply(reply, wall)
            missed.append(reply)
        for reply in missed:
            self._timeline.note("checker", f"nobody heard the reply to {reply['id']}", wall)
            self._hear(reply, wall)

    def _take_missed_gaps(self):
        """Those that came while our subscription was not there are in the log, where each is as old as what was heard
        last before it, by our clock; or in the streams."""
        wall = self._timeline.began
        for event in self._cluster.events():
            wall = self._events_heard.get(identity(event), wall)
            self._look_at_event(event)
            self.gaps.on_event(event, wall)
        for text, walls in self._kept.gaps.items() if self._kept else ():  # Redis may have lost its log
            self.gaps.on_event(json.loads(text), walls[0])

    def at_end(self, record):
        """Everything is quiet: judge the whole. Returns a line of figures."""
        self.catch_up()
        self._take_missed_gaps()
        self._cluster.sim.control("flush")
        received = {c: self._cluster.sim.control(f"received {c}")["messages"] for c in plan.CHANNELS}
        # Who is silenced is not told: another answer that comes just then is taken for that to the message.
        said = {m["text"] for messages in received.values() for m in messages if m["outcome"] in ("said", "silenced")}
        beginnings = tuple(f"{how} {node}" for how in ("killed", "SIGSTOP") for node in plan.NODES)
        deaths = [(at, at) for at in self._timeline.when("fault", beginnings)] + self._times(AWAY, BACK)
        # What Redis was told since, it forgot; and who holds a shard by its older data learns that with a renewal.
        deaths += [(at, end + RENEWAL_S) for at, end in self._times("the data of", "started redis")]
        self._excuse_deaf_moments()
        shown = {line: block.wall for block in self._kept.blocks.values() for line in block.lines}
        sent, heard = self.lines.at_end(record, self.reading, self.gaps, said, deaths, shown)
        self.reading.at_end(self.gaps)
        self.requests.at_end(self._cluster, self._apps.requests)
        self.sends.at_end(
            self._cluster, self._apps.sends, received,
            lambda channel, at: self.lines.is_missed(channel, at, self.reading, self.gaps), self.lines.own,
            self.deafness(), {text_of(line): wall for line, wall in shown.items() if OWN.search(line)},
        )  # fmt: skip
        of_readers = check_readers.at_end(
            self._timeline, self._kept, self._readers, self.lines, self.reading, self._all_gaps(), self._missed_by_groups()
        )
        self._look_for_tokens()
        of_tokens = "; " + self._tokens.at_end(self._cluster.sim.control("http log")) if self._tokens else ""
        statuses = ", ".join(f"{n} {status}" for status, n in sorted(self.sends.statuses.items()))
        gaps = sum(map(len, self.gaps.of.values()))
        return (
            f"{sent} lines sent, {heard} heard, {gaps} gaps, {len(self._apps.requests)} requests, "
            f"{len(self._apps.sends)} sends ({statuses}), {len(self._watch.looks)} looks{of_tokens}; {of_readers}"
        )

    def _all_gaps(self):
        """JSON -> when it was heard; of those that nobody heard, which the log has: long ago."""
        texts = [fields["event"] for _, fields in self._cluster.redis.xrange(self._cluster.key("log"))]
        return {**{text: 0 for text in texts if json.loads(text)["event"] == "gap"}, **self._gap_events}

    def _missed_by_groups(self):
        """(from, to), by Redis's clock, s: what was told, and what is to be."""
        untold = json.loads(self._cluster.redis.hget(self._cluster.key("lines"), "groups") or "[]")
        return [(e["from"] / 1000, e["to"] / 1000) for e in self._unread + untold]

    def _excuse_deaf_moments(self):
        """A node that is started when Redis is back does not wait for subscribers: our own may be later than it. (Where it
        was with the replica it stays, and that one comes back.)"""
        clock = time.time() - time.monotonic()
        confirmed = [at + clock for at in self._subscriber.confirmed_at]
        for killed, started in self._times("killed redis", "started redis"):
            back = next((at for at in confirmed if at > killed), started)
            self._timeline.excuse(started, min(back, started + DEAF_S) + 0.1, LAST_MOMENT)

    def deafness(self):
        """Times in which what is published may not reach anybody."""
        deaths = [(at, at) for at in self._timeline.when("fault", "killed")]
        # Words of faults.py: who gives in takes along what it has heard since it stood still.
        for node in plan.NODES:
            deaths += self._times(f"SIGSTOP {node}, and a twin", f"{node} or its twin ended")
        return deaths + self._times("cut_nodes", "nodes reach Redis")

    def _times(self, begins, ends):
        """From an entry about faults that begins so until the next that ends it."""
        ends = [*self._timeline.when("fault", ends), float("inf")]
        return [(at, min(end for end in ends if end >= at)) for at in self._timeline.when("fault", begins)]

    # Promise 10 ---------------------------------------------------------------------------------------------

    def _look_for_tokens(self):
        secrets = [secret.encode() for secret in self._secrets]

        def shows(data):
            return any(secret in data for secret in secrets)

        for path in self._cluster.directory.glob("*.log"):
            if shows(path.read_bytes()):
                self._timeline.complain("a token is seen", path.name)
        if any(shows(payload) for _, payload in self._subscriber.messages):
            self._timeline.complain("a token is seen", "on a topic")
        for name, process in self._cluster.processes.items():
            for listing in ("cmdline", "environ"):
                if process.is_running() and shows(Path(f"/proc/{process.pid}/{listing}").read_bytes()):
                    self._timeline.complain("a token is seen", f"{listing} of {name}")
        client = self._cluster.redis
        read = {
            "hash": client.hgetall,
            "set": client.smembers,
            "stream": client.xrange,
            "string": client.get,
            "zset": lambda key: client.zrange(key, 0, -1),
        }
        for key in client.scan_iter(count=1000):
            kind = client.type(key)
            if kind in read and shows(str(read[kind](key)).encode()):
                self._timeline.complain("a token is seen", f"key {key}")
