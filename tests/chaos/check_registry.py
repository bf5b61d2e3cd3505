"""Checks of what the registry holds and answers: wanted channels, limits of shards, requests."""

import contextlib
import json
import time
from collections import Counter

import redis

import plan

REFUSAL_KEPT_S = 290  # five minutes, and some for two clocks


class Wanted:
    """What replies promised is what the registry wants, at every look (promise 4)."""

    def __init__(self, complain):
        self.channels = set()
        self._complain = complain

    def on_reply(self, reply, _wall):
        if reply["op"] == "join":
            self.channels |= set(reply.get("assigned", ())) | set(reply.get("waiting", ()))
        elif reply["op"] == "part":
            self.channels -= set(reply.get("parted", ()))

    def on_look(self, look, wall):
        if set(look.channels) != self.channels:
            self._complain(
                "the registry wants other channels than the replies said",
                f"not: {sorted(self.channels - set(look.channels))}, "
                f"too many: {sorted(set(look.channels) - self.channels)}",
                wall,
            )
            self.channels = set(look.channels)


class Shards:
    """Nothing grows above a limit in force, and the emptiest shard is filled first (promises 2 and 3)."""

    LIMITS = ("channels_per_shard", "max_shard_count", "room_limit")

    def __init__(self, timeline):
        self._timeline = timeline
        self._complain = timeline.complain
        self._force = {name: plan.SETTINGS[name] for name in self.LIMITS}
        self._highest = dict(self._force)  # since the last look
        self._parted = False  # the same: a shard may have had fewer in between than at either look
        self._before = None

    def on_reply(self, reply, _wall):
        self._parted = self._parted or bool(reply.get("parted"))

    def on_event(self, event, wall):
        if event["event"] == "registry.repaired":
            self._complain("the registry had to be repaired", str(event), wall)
        if event["event"] == "config.set" and event["name"] in self.LIMITS:
            value = int(event["value"])
            self._force[event["name"]] = value
            self._highest[event["name"]] = max(value, self._highest[event["name"]])

    def on_look(self, look, wall):
        before = self._before.load if self._before else {}
        for name in self.LIMITS:  # the event may have come while nobody listened
            self._force[name] = int(look.config.get(name, plan.SETTINGS[name]))
            self._highest[name] = max(self._force[name], self._highest[name])
        if self._timeline.is_excused("max_shard_count was exceeded", wall):
            # Settings and shards are what an older Redis knew of, or what is left of them.
            self._highest = dict(self._force)
            before = look.load
        self._grown("shards", len(look.load), len(before), "max_shard_count", wall)
        for shard, count in look.load.items():
            self._grown(f"channels of {shard}", count, before.get(shard, 0), "channels_per_shard", wall)
        for user in set(look.users.values()) or {""}:
            now, then = ({s: n for s, n in load.items() if look.users.get(s, "") == user} for load in (look.load, before))
            # Rooms where the account is moderator do not count.
            rooms, had = sum(now.values()) - len(plan.MODERATED), sum(then.values()) - len(plan.MODERATED)
            self._grown(f"rooms of {user}", rooms, had, "room_limit", wall)
            if not self._parted:
                self._filled_evenly(now, then, wall)
        self._parted = False
        self._before = look
        self._highest = dict(self._force)

    def _grown(self, what, now, before, limit, wall):
        if now > max(before, self._highest[limit]):
            self._complain(
                f"{limit} was exceeded", f"{what}: {now}, the setting was {self._highest[limit]} at most", wall
            )

    def _filled_evenly(self, load, before, wall):
        if load.keys() != before.keys() or any(load[s] < before[s] for s in load):
            return
        least = min(load.values(), default=0)
        for shard, count in load.items():
            if count > before[shard] and count - 1 > least:
                self._complain("a shard took a channel while another had fewer", f"{shard}: {load}", wall)


class Requests:
    """Each request has one reply (promise 4: none is lost with a coordinator)."""

    def __init__(self, timeline):
        self._timeline = timeline
        self._complain = timeline.complain
        self._replies = Counter()
        self._refused = {}  # id -> when it was heard; one that only refuses is kept for five minutes

    def on_reply(self, reply, wall):
        self._replies[reply["id"]] += 1
        if not reply.get("ok"):
            self._refused[reply["id"]] = wall
        if self._replies[reply["id"]] > 1:
            self._complain("a request has two replies", reply["id"], wall)

    def kept(self, cluster, asked, since):
        """Replies that are kept and were not heard, in the order of asking."""
        for id, request in list(asked.items()):
            if request.asked > since and id not in self._replies:
                with contextlib.suppress(redis.RedisError):
                    stored = cluster.redis.get(cluster.key(f"reply:{id}"))
                    if stored:
                        yield json.loads(stored)

    def unanswered(self, cluster, asked):
        """Nobody heard a reply, nor is one kept (a subscriber may miss one when Redis dies)."""
        return [id for id in sorted(set(asked) - set(self._replies)) if not self._is_excused(cluster, id, asked[id])]

    def _is_excused(self, cluster, id, request):
        forgotten = self._timeline.is_excused("a request has no reply", request.asked)
        return request.doubt or forgotten or cluster.redis.exists(cluster.key(f"reply:{id}"))

    def at_end(self, cluster, asked):
        for id in self.unanswered(cluster, asked):
            self._complain("a request has no reply", f"{id}, {asked[id]}", asked[id].asked)
        for id, request in asked.items():
            stored = cluster.redis.get(cluster.key(f"reply:{id}"))
            if stored is None and self._refused.get(id, float("inf")) < time.time() - REFUSAL_KEPT_S:
                continue
            if not request.doubt and (stored is None or json.loads(stored)["id"] != id):
                self._complain("a reply is not kept", f"{id}: {stored}", request.asked)
