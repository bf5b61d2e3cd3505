"""The plan of a run: what is done when, all of it drawn from one seed before anything starts.

A plan is a list of actions in the order of their times. What an action means is in faults.py (what dies or
stands still) and apps.py (what applications ask for): `what` is the name of a function there, `args` are its
arguments. A new kind of fault, a move or a partition say, is a function there and a line in a table here.
"""

import random
from dataclasses import dataclass, field

NODES = ("n1", "n2", "n3")
COORDINATORS = ("c1", "c2")
USERS = ("shoalbot",)  # who reads and says
CHANNELS = tuple(f"room{i}" for i in range(30))
MODERATED = CHANNELS[:2]  # the accounts are moderators there

LEASE_MS = 1500

# What the simulator enforces; the cluster is told the same numbers, and windows that are wider by what a
# slot may be late (0.5 s) and by what two busy cores may be late.
SIM_ARGS = (
    "--join-limit", 10, "--join-window", "2s", "--login-limit", 8, "--login-window", "2s",
    "--message-limit", 10, "--message-limit-moderator", 15, "--message-window", "3s",
    "--channel-interval", "300ms", "--room-limit", 100,
    "--ping-interval", "10s", "--ping-timeout", "5s", "--reconnect-grace", "2s",
)  # fmt: skip
SETTINGS = {
    "channels_per_shard": 5, "max_shard_count": 5, "initial_shard_count": 2, "room_limit": 40,
    "join_limit": 10, "join_window_ms": 3500, "login_limit": 8, "login_window_ms": 3500,
    "message_limit": 10, "message_mod_limit": 15, "message_window_ms": 4500, "channel_message_ms": 1500,
    "lease_ms": LEASE_MS, "failed_retry_ms": 2000, "idle_shard_ms": 3000, "send_ttl_ms": 15000,
    "compare_ms": 1000, "resume_delay_ms": 1500,  # who listens here is back after a moment as well
    "history_ms": 12000,  # so that it is trimmed
}  # fmt: skip
# What they may become while the cluster runs; all of it within what the simulator enforces.
CHANGES = {
    "channels_per_shard": (3, 4, 5, 7),
    "max_shard_count": (4, 5, 6),
    "room_limit": (12, 25, 40),
    "join_limit": (6, 10),
    "message_limit": (5, 10),
    "lease_ms": (1000, 1500, 3000),
    "idle_shard_ms": (1000, 3000),
    "resume_delay_ms": (1500, 2500),
}
# In force while the run is judged: everybody who waits finds a place.
ROOMY = {"channels_per_shard": 10, "max_shard_count": 6, "room_limit": 40, "lease_ms": LEASE_MS, "join_limit": 10}


@dataclass(frozen=True)
class Action:
    at: float  # seconds since the beginning
    what: str
    args: dict = field(default_factory=dict)

    def __str__(self):
        return f"{self.what}({', '.join(f'{k}={v}' for k, v in self.args.items())})"


# Faults: how often, compared with the others, and with which arguments --------------------------------------

def kill_node(rng):
    # Back within its lease, or after it.
    return {"victim": rng.choice(NODES), "down_s": rng.choice((0, 0.3, 1, 4))}


def stop_node(rng):
    return {"victim": rng.choice(NODES)}


def kill_coordinator(rng):
    return {"victim": rng.choice(("leader", "leader", "standby")), "down_s": rng.choice((0, 0.5, 3))}


def pause_node(rng):
    # Shorter and longer than the lease.
    return {"victim": rng.choice(NODES), "for_s": rng.choice((0.3, 0.7, 1.2, 2.5, 5))}


def pause_coordinator(rng):
    return {"victim": "leader", "for_s": rng.choice((0.5, 1.2, 2.5, 5))}


def all_nodes(rng):
    return {"down_s": rng.choice((0, 1, 4))}


def both_coordinators(rng):
    return {"down_s": rng.choice((0.5, 3, 6))}


def stopped(rng):
    return {"for_s": rng.choice((0.3, 2))}


def twin(rng):
    return {"victim": rng.choice(NODES)}


def disconnect(rng):
    return {"whom": rng.choice(("all", "random=1", "random=3")), "how": rng.choice(("close", "reset"))}


def reconnect(rng):
    return {"whom": rng.choice(("all", "random=2")), "ms": rng.choice((100, 1500))}


def half_open(_rng):
    return {}


def outage(rng):
    return {"for_s": rng.choice((0.5, 2, 4))}


def lag(rng):
    return {"whom": rng.choice(("all", "random=2")), "ms": rng.choice((50, 300)), "for_s": rng.choice((1, 4))}


def garbage(rng):
    kind = rng.choice(("utf8", "binary", "nul", "cr", "opcode", "bytes"))
    return {"whom": rng.choice(("random=1", "random=3")), "kind": kind}


def closed_room(rng):
    state = rng.choice(("suspended", "banned", "missing"))
    return {"channel": rng.choice(CHANNELS), "state": state, "for_s": rng.choice((2, 6))}


FAULTS = {
    kill_node: 6, pause_node: 6, kill_coordinator: 3, pause_coordinator: 3, disconnect: 3, stop_node: 2,
    reconnect: 2, lag: 2, garbage: 2, closed_room: 2, all_nodes: 1, both_coordinators: 1, twin: 1,
    half_open: 1, outage: 1, stopped: 1,
}  # fmt: skip


# What fails of Redis (redis_faults.py) ---------------------------------------------------------------------

def restart_redis(rng):
    return {"down_s": rng.choice((0, 0.5, 2, 6))}


def older_redis(rng):
    return {"age_s": rng.choice((1, 5, 20)), "down_s": rng.choice((0, 1))}


def emptied_redis(rng):
    return {"how": rng.choice(("flushall", "restart"))}


def pause_redis(rng):
    return {"for_s": rng.choice((0.3, 1, 2, 5))}


def swap_redis(_rng):
    return {}


def demote_redis(rng):
    return {"for_s": rng.choice((0.5, 3))}


def lagging_redis(rng):
    # Nodes keep what was answered in the last 2 s.
    return {"behind_s": rng.choice((0.1, 0.5, 1, 1.5, 4)), "down_s": rng.choice((0, 1))}


def crash_redis(rng):
    return {"down_s": rng.choice((0, 0.5, 2))}


def full_redis(rng):
    return {"for_s": rng.choice((1, 4))}


def filled_redis(rng):
    return {"share": rng.choice((0.9, 1.1)), "for_s": rng.choice((1, 4))}


def lonely_redis(rng):
    return {"for_s": rng.choice((1, 4))}


def kill_clients(rng):
    return {"kind": rng.choice(("normal", "pubsub"))}


def cut_nodes(rng):
    return {"for_s": rng.choice((0.5, 2, 6))}


def move_clock(rng):
    # Of Redis alone, and back: where it leaps ahead, budgets are free before their time, and nobody can tell.
    return {"back_s": rng.choice((2, 5, 40))}


# Patterns of keys; one of each is deleted.
DELETED = ["shard:*", "shard:*:channels", "channel:*", "node:n*", "nodes", "load", "free", "leader", "clock", "open:*",
           "channels", "shard:*:read", "homeless", "rooms:*", "fan:*"]  # fmt: skip


def delete_keys(rng):
    return {"kinds": rng.sample(DELETED, rng.choice((1, 2)))}


REDIS = {
    restart_redis: 4, pause_redis: 3, older_redis: 2, cut_nodes: 2, swap_redis: 2, full_redis: 2, demote_redis: 1,
    filled_redis: 2, lagging_redis: 2, crash_redis: 1, lonely_redis: 1, kill_clients: 2, move_clock: 2, delete_keys: 2, emptied_redis: 1,
}  # fmt: skip


# What befalls accounts, and who keeps their tokens valid (account_faults.py) ----------------------------------------

def strike_at_refresh(rng):
    how, down_s = rng.choice((("kill", 0.5), ("kill", 3), ("pause", 1.2), ("pause", 5), ("stop", 0)))
    return {"moment": rng.choice(("claimed", "sent", "answered", "answered", "kept")), "how": how, "down_s": down_s}


def http_fault(rng):
    path = rng.choice(("/oauth2/validate", "/oauth2/token"))
    broken = ("malformed=json", "malformed=http", "close") if path == "/oauth2/validate" else ("late=3000",)
    what = rng.choice(("status=500", "status=429,retry=2", "silence", "slow ms=20", *broken))
    return {"path": path, "what": what, "for_s": rng.choice((1, 5, 12))}


def token_ends(rng):
    return {"login": rng.choice(USERS)}


def user_takes_back(rng):
    return {"login": rng.choice(USERS)}


def spoil_refresh(rng):
    return {"how": rng.choice(("close", "malformed=json", "malformed=http", "huge"))}


ACCOUNTS = {strike_at_refresh: 8, http_fault: 4, token_ends: 3, user_takes_back: 1, spoil_refresh: 1}


def with_accounts():
    """From now on plans are for a larger cluster, which reads and says as several users whose tokens it keeps valid."""
    global NODES, USERS  # pylint: disable=global-statement
    NODES, USERS = ("n1", "n2", "n3", "n4", "n5"), ("shoalbot1", "shoalbot2", "shoalbot3")
    SETTINGS.update(readers="all", initial_shard_count=len(USERS))
    DELETED.extend(("account:*", "secret:*", "accounts"))


# What befalls who reads the streams (readers.py) ---------------------------------------------------------------------

def kill_reader(rng):
    return {"victim": rng.choice(("logger", "database")), "down_s": rng.choice((0, 0.5, 2))}


def cut_reader(_rng):
    return {}


def pause_reader(rng):
    return {"victim": rng.choice(("logger", "database", "resume")), "for_s": rng.choice((0.5, 2))}


READERS = {kill_reader: 3, cut_reader: 3, pause_reader: 1}


def certain(seconds):
    """Also in the shortest run."""
    yield Action(seconds * 0.2, "kill_reader", {"victim": "logger", "down_s": 1})
    yield Action(seconds * 0.3, "kill_reader", {"victim": "database", "down_s": 1.5 * SETTINGS["history_ms"] / 1000})
    yield Action(seconds * 0.4, "cut_reader")


# What applications ask for -----------------------------------------------------------------------------------

def join(rng):
    return {"channels": rng.sample(CHANNELS, rng.choice((1, 1, 2, 5)))}


def part(rng):
    return {"channels": rng.sample(CHANNELS, rng.choice((1, 1, 2)))}


def part_and_join(rng):
    return {"channels": rng.sample(CHANNELS, 1)}


def send_by_outbox(rng):
    return {"channel": rng.choice(CHANNELS), "ttl_ms": rng.choice((2000, 8000, 15000))}


def send_by_topic(rng):
    return {"channel": rng.choice(CHANNELS)}


def send_burst(rng):
    return {"channels": [rng.choice(CHANNELS) for _ in range(8)], "ttl_ms": 15000}


def configure(rng):
    name = rng.choice(sorted(CHANGES))
    return {"name": name, "value": rng.choice(CHANGES[name])}


def configure_by_ctl(rng):
    return configure(rng)


def flood(rng):
    """An application that does not know what it does."""
    return {"kind": rng.choice(("outbox", "requests", "topic", "large"))}


APPS = {
    send_by_topic: 10, send_by_outbox: 10, join: 6, part: 4, part_and_join: 1, configure: 2, send_burst: 1,
    configure_by_ctl: 1, flood: 1,
}  # fmt: skip


def draw(rng, table, seconds, mean_s):
    """Actions of a table, at random times, `mean_s` apart on the average."""
    at = 0.0
    while table:
        at += rng.expovariate(1 / mean_s)
        if at >= seconds:
            return
        kind = rng.choices(list(table), weights=list(table.values()))[0]
        yield Action(round(at, 3), kind.__name__, kind(rng))


def make(seed, seconds, only=(), redis=False, accounts=False):
    """The actions of a run. Each table has a generator of random numbers of its own: a change of the one leaves
    the other parts of the plan as they were. only: these kinds of faults alone; redis: also what fails of Redis, and floods; accounts: also
    what befalls them (with_accounts was called)."""
    if only:
        unknown = set(only) - {kind.__name__ for kind in [*FAULTS, *REDIS, *ACCOUNTS, *READERS, *APPS]}
        if unknown:
            raise ValueError(f"no such action: {', '.join(sorted(unknown))}")

    def chosen(table):
        return {kind: n for kind, n in table.items() if not only or kind.__name__ in only}

    faults = draw(random.Random(f"{seed} faults"), chosen(FAULTS), seconds, 2.5)
    asked = {kind: n for kind, n in APPS.items() if kind is not flood or "flood" in only or (redis and not only)}
    apps = draw(random.Random(f"{seed} apps"), asked, seconds, 0.4)
    # Time to come to rest between two of Redis's, or nothing but outages would be tried.
    of_redis = draw(random.Random(f"{seed} redis"), chosen(REDIS) if redis or only else {}, seconds, 8)
    of_accounts = draw(random.Random(f"{seed} accounts"), chosen(ACCOUNTS) if accounts else {}, seconds, 8)
    of_readers = draw(random.Random(f"{seed} readers"), chosen(READERS), seconds, 6)
    sure = [action for action in certain(seconds) if not only or action.what in only]
    return sorted([*faults, *apps, *of_redis, *of_accounts, *of_readers, *sure], key=lambda action: action.at)
