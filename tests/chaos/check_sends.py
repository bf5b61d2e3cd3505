"""Checks of sends: each is said at most once and has one result, which is true (promises 7 and 8)."""

import time
from collections import Counter, defaultdict

HEARD_S = 6  # so long a node may hold what it heard: past its lease, on two busy cores


class Sends:
    def __init__(self, timeline):
        self._timeline = timeline
        self._complain = timeline.complain
        self._results = defaultdict(list)  # id -> results as published

    def on_result(self, result, wall):
        self._results[result["id"]].append({**result, "heard": wall})

    def unfinished(self, cluster, sends, lost):
        """Without a result that was heard or is kept: of those that Redis has acknowledged and still knows. lost: as
        at_end has it."""
        return [
            id for id, send in sends.items()
            if send.taken and not (send.doubt or self._results[id] or self._died(send, lost))
            and not self._timeline.is_excused("a send has no result", send.asked)
            and not cluster.redis.exists(self.key(cluster, id, send))
        ]  # fmt: skip

    @staticmethod
    def _died(send, lost):
        """What was published on a topic may be lost with the node that heard it; it is not said then."""
        return send.way == "topic" and any(begin - HEARD_S < send.asked <= end for begin, end in lost)

    @staticmethod
    def key(cluster, id, send):
        return cluster.key(f"result:{send.channel}:{id}")

    def at_end(self, cluster, sends, received, is_missed, own_heard, lost, shown):
        """received: channel -> what Twitch got. is_missed(channel, at): should what was said then be heard?
        own_heard: text -> how often it was fanned out. lost: times in which what is published may not reach anybody:
        somebody was killed, nodes were cut off. shown: text -> when the streams showed it."""
        self.statuses = Counter()
        got = defaultdict(list)
        for channel, messages in received.items():
            for message in messages:
                got[(channel, message["text"])].append(message)
        for id, send in sends.items():
            self._judge(cluster, id, send, got.pop((send.channel, send.text), []), lost)
            heard = own_heard[send.text]
            if heard > 1:
                self._complain("a message of ours was fanned out twice", f"{id}: {heard} times")
        for (channel, text), messages in got.items():
            self._complain("a message was said that nobody sent", f"#{channel}: {text}", messages[0]["at_ms"] / 1000)
        for channel, messages in received.items():
            for message in messages:
                at = message["at_ms"] / 1000
                unheard = message["outcome"] == "said" and not own_heard[message["text"]]
                if unheard and is_missed(channel, at):
                    text = message["text"]
                    self._complain("a message of ours was not fanned out", f"#{channel}: {text}", at, shown.get(text))

    def _judge(self, cluster, id, send, messages, lost):
        results = self._results[id]
        who = f"{id} by {send.way} to #{send.channel}"
        said = [m for m in messages if m["outcome"] == "said"]
        if len(messages) > 1:
            self._complain("a send was written twice", f"{who}: {messages}", messages[1]["at_ms"] / 1000)
        # The same one may be told again, where Redis has forgotten that it was.
        if len({result["status"] for result in results}) > 1 or (
            len(results) > 1 and not self._timeline.is_excused("a request has two replies", results[0]["heard"])
        ):
            self._complain("a send has two results", f"{who}: {results}", results[-1]["heard"])
        kept = cluster.redis.hgetall(self.key(cluster, id, send))
        if not results and kept:
            at, _ = self._timeline.by_our_clock(int(kept["at"]) / 1000, time.time())
            results = [{**kept, "heard": at}]
        if not results:
            if messages or (send.taken and not send.doubt and not self._died(send, lost)):
                self._complain("a send has no result", f"{who}; Twitch got {messages}", send.asked)
            return
        result = results[0]
        self.statuses[result["status"]] += 1
        if kept.get("status") != result["status"]:
            self._complain("another result is kept than was published", f"{who}: {result}, {kept}", result["heard"])
        wrong = {
            "sent": len(said) != 1,
            "expired": bool(messages),
            "rejected": bool(said),
            "unknown": False,
        }.get(result["status"], True)
        if wrong:
            # When it was written (what was written twice has Twitch's answer to the second), which is not when it
            # was asked for: Redis may have forgotten the one alone.
            at = messages[-1]["at_ms"] / 1000 if messages else send.asked
            self._complain("a result is not true", f"{who}: {result}, but Twitch got {messages}", at)
        late = [m for m in messages if m["at_ms"] / 1000 > result["heard"] + 1]
        if late:
            self._complain("a send was written after its result", f"{who}: {result}, {late}", late[0]["at_ms"] / 1000)
