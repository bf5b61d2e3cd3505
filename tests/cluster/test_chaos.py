"""The checker of the chaos runs sees what it is there to see, and nothing else."""

import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "chaos"))

import plan  # noqa: E402  (of tests/chaos, as the next ones)
from account_faults import Mend  # noqa: E402
from apps import Request, Send  # noqa: E402
from check_accounts import Tokens  # noqa: E402
from check_lines import Gaps, Lines, Reading  # noqa: E402
from check_registry import Requests, Shards, Wanted  # noqa: E402
from check_sends import Sends  # noqa: E402
from checker import Checker  # noqa: E402
from timeline import Timeline  # noqa: E402
from watch import Look  # noqa: E402

T = 1_700_000_000  # when a channel was joined, s


class Complaints(list):
    """A timeline as the checks see it."""

    excused = ()
    offset = 0.0  # of Redis's clock

    def __init__(self):
        self.times = {}  # what is broken -> when, as it was told last

    def __call__(self, broken, detail="", wall=None, until=None):
        self.append(broken)
        self.times[broken] = wall

    complain = __call__

    def is_excused(self, broken, _wall, _until=None):
        return broken in self.excused

    def by_our_clock(self, redis_s, _wall):
        return redis_s - self.offset, redis_s - self.offset


@pytest.fixture
def complaints():
    return Complaints()


def line(at, text, channel="room0"):
    return f"@sim-us={int(at * 1e6)};id=1 :x!x@x PRIVMSG #{channel} :{text}".encode()


def look(channels=(), load=None, states=None):
    return Look(load or {}, {}, dict.fromkeys(channels, "s1"), states or {}, [])


def gap(begin, end, channel="room0"):
    return {"event": "gap", "channel": channel, "from": int(begin * 1000), "to": int(end * 1000),
            "at": int(end * 1000), "reason": "not_joined"}  # fmt: skip


def checker(complaints, asked, kept):
    """One that was told nothing yet. asked: ids and channels of joins; kept: those whose reply Redis has."""
    replies = {f"reply:{id}": json.dumps(joined_reply(id, channels)) for id, channels in asked.items() if id in kept}
    cluster = SimpleNamespace(key=str, topic=lambda rest: f"shoal:main:{rest}", redis=SimpleNamespace(get=replies.get))
    complaints.note = lambda *_: None
    requests = {id: Request("join", channels, T) for id, channels in asked.items()}
    apps = SimpleNamespace(requests=requests)
    watch = SimpleNamespace(mark_topic="look", looks={})
    return Checker(cluster, complaints, SimpleNamespace(messages=[], times=[]), watch, apps)


def joined_reply(id, channels):
    return {"id": id, "op": "join", "assigned": dict.fromkeys(channels, "s1")}


# Tokens --------------------------------------------------------------------------------------------------


def tokens(complaints, refresh=(), access=(), faults=(), mends=(), is_public=True):
    """What is wrong with these? refresh: (used, its time, refused, its time); access: (made, ends, dead logins, their
    time); faults: (time, words); mends: (time, error) of logins that were required. Times in seconds after T."""
    complaints.note, complaints.began = lambda *_: None, T
    complaints.when = lambda _who, words: [T + at for at, what in faults if what.startswith(words)]
    of_mends = [Mend("alice", T + at, "login_required", error) for at, error in mends]
    check = Tokens(complaints, SimpleNamespace(mends=of_mends, is_public=is_public))
    names = ("used", "used_ms", "refused", "refused_ms"), ("made_ms", "ends_ms", "dead_logins", "dead_login_ms")
    told = [
        [{"login": "alice", "hash": f"{i}", **{n: (T + v) * 1000 if n.endswith("_ms") else v for n, v in zip(of, each)}}
         for i, each in enumerate(rows)]
        for of, rows in zip(names, (refresh, access))
    ]  # fmt: skip
    check.at_end({"refresh_tokens": told[0], "access_tokens": told[1]})
    return complaints


def test_a_refresh_token_is_used_once_and_not_presented_again(complaints):
    assert tokens(complaints, [(1, 10, 0, 0), (1, 26, 0, 0)]) == []
    assert tokens(complaints, [(2, 10, 0, 0)]) == ["a refresh token was used twice"]
    assert tokens(complaints, [(1, 10, 1, 40)])[1:] == ["a used-up refresh token was presented"]


def test_a_confidential_refresh_token_is_used_again_and_again(complaints):
    assert tokens(complaints, [(9, 10, 0, 0)], is_public=False) == []
    assert tokens(complaints, [(9, 10, 1, 40)], is_public=False, faults=[(5, "alice took back all")]) == []
    assert tokens(complaints, [(9, 10, 1, 40)], is_public=False) == ["a used-up refresh token was presented"]


def test_a_refresh_whose_answer_died_with_its_asker_is_asked_for_once_more(complaints):
    for words in ("killed c1", "SIGSTOP c2", "spoilt a refresh"):
        assert tokens(complaints, [(1, 10, 1, 40)], faults=[(11, words)]) == []
        assert tokens(complaints, [(1, 10, 2, 40)], faults=[(11, words)]) == ["a used-up refresh token was presented"]
        complaints.clear()
    for at, words in ((30, "killed c1"), (8, "killed c1"), (11, "killed n1")):
        assert tokens(complaints, [(1, 10, 1, 40)], faults=[(at, words)]) == ["a used-up refresh token was presented"]
        complaints.clear()


def test_who_asks_once_more_may_die_with_that_answer_as_well(complaints):
    deaths = [(11, "killed c1"), (41, "killed c2")]
    assert tokens(complaints, [(1, 10, 2, 71)], faults=deaths) == []
    assert tokens(complaints, [(1, 10, 3, 71)], faults=deaths) == ["a used-up refresh token was presented"]


def test_what_the_user_took_back_is_presented_once_and_again_where_that_answer_died(complaints):
    back = [(5, "alice took back all")]
    assert tokens(complaints, [(0, 0, 1, 40)], faults=back) == []
    assert tokens(complaints, [(0, 0, 2, 40)], faults=[*back, (20, "killed c1")]) == []
    assert tokens(complaints, [(0, 0, 2, 40)], faults=back) == ["a used-up refresh token was presented"]


def test_a_refresh_that_nobody_needed_is_seen(complaints):
    twice = [(1, 10, 0, 0), (1, 13, 0, 0)]
    assert tokens(complaints, twice, faults=[(12, "ended the tokens of alice")]) == []
    assert tokens(complaints, twice, mends=[(12, "it may have used up the refresh token")]) == []
    assert tokens(complaints, twice) == ["an account was refreshed too early"]
    assert tokens(complaints, twice, faults=[(9, "ended the tokens of alice")])[1:] == ["an account was refreshed too early"]


def test_nobody_logs_in_with_a_token_that_is_known_to_be_dead(complaints):
    ended = [(5, "ended the tokens of alice")]
    assert tokens(complaints, access=[(0, 5, 3, 6), (7, 27, 0, 0)], faults=ended) == []
    assert tokens(complaints, access=[(0, 20, 1, 21)]) == ["somebody logged in with a dead token"]
    assert tokens(complaints, access=[(0, 5, 1, 30), (7, 27, 0, 0)], faults=ended)[1:] == ["somebody logged in with a dead token"]


def test_whoever_has_to_log_in_anew_has_a_reason(complaints):
    assert tokens(complaints, mends=[(10, "an earlier refresh may have used up the refresh token: no")]) == []
    assert tokens(complaints, mends=[(10, "no")], faults=[(5, "alice took back all")]) == []
    assert tokens(complaints, mends=[(10, "no")]) == ["an account was dead without a reason"]


# Chat ----------------------------------------------------------------------------------------------------


SAID = [(T + 10 + i, f"line {i}") for i in range(10)]


def heard(complaints, tmp_path, indices, gaps=(), extra=(), said=SAID, deaths=(), asked=(), shown=None):
    """Ten lines were said in a channel that is joined; these were heard. What is wrong with that?"""
    record = tmp_path / "record"
    said = [line(*each) if isinstance(each, tuple) else each for each in said]
    record.write_bytes(b"".join(b"room0\t" + each + b"\n" for each in said))
    requests = {i: Request(op, ["room0"], at) for i, (op, at) in enumerate(asked)}
    reading, told, lines = Reading(complaints, requests), Gaps(complaints), Lines(complaints.complain)
    reading.on_look(look(["room0"], states={"room0": ("joined", T * 1000)}), T)
    for event in gaps:
        told.on_event(event, T)
    for payload in [said[i] for i in indices] + list(extra):
        lines.on_chat("room0", payload, T + 60)
    lines.at_end(record, reading, told, set(), deaths, shown or {})
    reading.at_end(told)
    return complaints


@pytest.mark.parametrize(
    ("indices", "broken"),
    [
        (range(10), []),
        ([0, 1, 1, *range(2, 10)], ["a line was heard twice"]),
        ([0, 2, 1, *range(3, 10)], ["a line was heard out of order", "a line is lost outside of every gap"]),
        ([0, 1, *range(5, 10)], ["a line is lost outside of every gap"] * 3),
    ],
)
def test_lines_are_heard_once_and_in_order(complaints, tmp_path, indices, broken):
    assert heard(complaints, tmp_path, indices) == broken


def test_a_channel_that_was_parted_and_joined_again_may_be_heard_of_two_nodes(complaints, tmp_path):
    twice = [0, 1, 4, 5, 2, 3, 4, 6, 7, 8, 9]
    assert heard(complaints, tmp_path, twice, asked=[("part", T + 13), ("join", T + 13)]) == []
    others = [("part", T + 13)], [("part", T + 40), ("join", T + 40)], [("join", T + 12), ("part", T + 13)]
    for asked in others:
        assert "a line was heard out of order" in heard(complaints, tmp_path, twice, asked=asked)
        complaints.clear()


def test_what_was_never_said_is_not_heard(complaints, tmp_path):
    echo = b"@a=b;shoal-echo=1 :shoalbot!shoalbot@shoalbot PRIVMSG #room0 :mine"
    assert heard(complaints, tmp_path, range(10), extra=[line(T, "invented"), echo]) == [
        "a line was heard and never sent", "an echo of what was not said",
    ]  # fmt: skip


def test_a_gap_covers_what_was_lost_in_it_and_nothing_else(complaints, tmp_path):
    missing = [0, 1, 2, 8, 9]
    assert heard(complaints, tmp_path, missing, [gap(T + 12.5, T + 17.5)]) == []
    assert heard(complaints, tmp_path, missing, [gap(T + 15.5, T + 17.5)]) == [
        "a line is lost outside of every gap"
    ] * 2


@pytest.mark.parametrize(("seen", "broken"), [(T + 39, 1), (T + 40.5, 0), (T + 50, 0)])
def test_what_was_published_while_nobody_listened_is_not_lost_though_it_was_said_before(tmp_path, seen, broken):
    timeline = Timeline()
    timeline.excuse(T + 40, T + 41, {"a line is lost outside of every gap"})
    heard(timeline, tmp_path, range(9), shown={line(*SAID[9]): seen})
    assert len(timeline.complaints) == broken


def test_a_gap_in_which_lines_were_heard_is_not_true(complaints, tmp_path):
    assert heard(complaints, tmp_path, range(10), [gap(T + 10, T + 20)]) == ["lines were heard in a gap"]
    assert heard(complaints, tmp_path, range(10), [gap(T + 20, T + 10)])[1:] == ["a gap makes no sense"]


def test_what_a_node_read_just_before_its_death_may_lie_in_a_gap(complaints, tmp_path):
    long = [gap(T + 5, T + 25)]
    assert heard(complaints, tmp_path, [3, 9], long, deaths=[(T + 13.5, T + 13.5), (T + 19.1, T + 19.1)]) == []
    assert heard(complaints, tmp_path, [3, 9], long, deaths=[(T + 13.5, T + 13.5), (T + 23, T + 23)]) == ["lines were heard in a gap"]


def test_a_line_without_a_stamp_is_as_old_as_the_next_one(complaints, tmp_path):
    plain = b":tmi.twitch.tv ROOMSTATE #room0"
    said = [*SAID[:5], plain, (T + 40, "much later"), (T + 41, "and later"), (T + 43, "the end")]
    long = [gap(T + 14.5, T + 40)]
    assert heard(complaints, tmp_path, range(9), long, said=said) == []
    assert heard(complaints, tmp_path, [*range(5), 6, 7, 8], long, said=said) == []


def test_a_new_join_is_a_gap_but_not_after_a_part(complaints):
    requests = {}
    reading, told = Reading(complaints, requests), Gaps(complaints)

    def joined(since, wall):
        reading.on_look(look(["room0"], states={"room0": ("joined", since * 1000)}), wall)

    joined(T, T + 1)
    requests["part"] = Request("part", ["room0"], T + 2)
    reading.on_reply({"id": "part"}, T + 3)
    joined(T + 4, T + 5)
    reading.at_end(told)
    assert complaints == []
    assert reading.periods["room0"] == [[T + 1, T + 2], [T + 5, float("inf")]], "by our clock, not by Redis's"

    joined(T + 8, T + 9)
    reading.at_end(told)
    assert complaints == ["a channel was joined again and no gap was told"]


def test_the_gap_of_a_new_join_is_known_though_redis_has_another_clock(complaints):
    complaints.offset = -82
    reading, told = Reading(complaints, {}), Gaps(complaints)
    for since, wall in ((T - 82, T + 1), (T - 74, T + 9)):
        reading.on_look(look(["room0"], states={"room0": ("joined", since * 1000)}), wall)
    told.on_event(gap(T - 80, T - 74), T + 9)
    reading.at_end(told)
    assert complaints == []
    assert told.cover("room0", T + 5)


def test_who_gives_in_to_a_twin_takes_along_what_it_heard_since_it_stood_still(complaints):
    check = checker(complaints, {}, ())
    done = [(T + 1, "SIGSTOP n1, and a twin is started"), (T + 5, "SIGCONT n1, which has a twin"),
            (T + 9, "n1 or its twin ended by itself"), (T + 20, "SIGSTOP n2")]  # fmt: skip
    complaints.when = lambda _who, words: [at for at, what in done if what.startswith(words)]
    assert check.deafness() == [(T + 1, T + 9)]


def test_a_gap_that_nobody_heard_is_as_old_as_what_was_heard_before_it(complaints):
    events = [{"event": "heard", "at": (T + 5) * 1000}, gap(T + 6, T + 8), {"event": "later", "at": (T + 9) * 1000}]
    check = checker(complaints, {}, ())
    check._cluster.events = lambda: events
    complaints.began = T
    moved_at = T + 10
    complaints.by_our_clock = lambda redis_s, wall: (redis_s + 90 * (wall > moved_at),) * 2

    for event, wall in ((events[0], T + 5), (events[2], T + 99)):
        check._take("shoal:main:events", json.dumps(event).encode(), wall)
    check._take_missed_gaps()

    assert check.gaps.cover("room0", T + 7)
    assert not check.gaps.cover("room0", T + 97)


# The registry ----------------------------------------------------------------------------------------------


def test_the_registry_wants_what_the_replies_said(complaints):
    wanted = Wanted(complaints)
    wanted.on_reply({"op": "join", "assigned": {"a": "s1"}, "waiting": {"b": "No node is up."}}, T)
    wanted.on_look(look(["a", "b"]), T)
    wanted.on_reply({"op": "part", "parted": ["a"]}, T)
    wanted.on_look(look(["b"]), T)
    assert complaints == []
    wanted.on_look(look(["a", "b"]), T)
    wanted.on_look(look([]), T)
    assert complaints == ["the registry wants other channels than the replies said"] * 2


def test_a_reply_that_nobody_heard_counts_where_it_is_kept_and_explains_what_is_wanted(complaints):
    def looked(check):
        check._watch.looks[0] = look(["a", "b"])
        check._take("shoal:main:replies", json.dumps(joined_reply("first", ["a"])), T)
        check._take("look", b"0", T + 1)
        return check.wanted.channels

    asked = {"first": ["a"], "missed": ["b"], "later": ["c"]}
    assert looked(checker(complaints, asked, kept=["first", "missed", "later"])) == {"a", "b"}
    assert complaints == []
    looked(checker(complaints, asked, kept=["first", "later"]))
    assert complaints == ["the registry wants other channels than the replies said"]


def test_nothing_grows_above_a_limit_in_force(complaints):
    shards = Shards(complaints)
    most, per_shard = plan.SETTINGS["max_shard_count"], plan.SETTINGS["channels_per_shard"]
    full = {f"s{i}": per_shard for i in range(most)}
    shards.on_look(look(load=full), T)
    shards.on_event({"event": "config.set", "name": "channels_per_shard", "value": "1"}, T)
    shards.on_look(look(load=full), T)
    shards.on_look(look(load=full), T)
    assert complaints == [], "what was there before may stay"
    shards.on_look(look(load={**full, "one more": 1}), T)
    shards.on_look(look(load={**full, "s0": per_shard + 1}), T)
    assert complaints == ["max_shard_count was exceeded", "channels_per_shard was exceeded"]


def test_the_emptiest_shard_is_filled_first(complaints):
    shards = Shards(complaints)
    for load in ({"a": 1, "b": 1}, {"a": 2, "b": 1}, {"a": 2, "b": 3}):
        shards.on_look(look(load=load), T)
    assert complaints == []
    shards.on_look(look(load={"a": 2, "b": 4}), T)
    assert complaints == ["a shard took a channel while another had fewer"]
    shards.on_reply({"op": "part", "parted": ["c"]}, T)
    shards.on_look(look(load={"a": 2, "b": 5}), T)
    assert len(complaints) == 1, "it had as many until one was parted"


def kept(**values):
    """A cluster in whose Redis these keys are kept."""
    client = SimpleNamespace(get=values.get, hgetall=lambda key: values.get(key, {}), exists=lambda key: key in values)
    return SimpleNamespace(redis=client, key=lambda rest: rest)


def test_each_request_has_one_reply(complaints):
    requests = Requests(complaints)
    for id in ("a", "b", "b"):
        requests.on_reply({"id": id}, T)
    replies = {f"reply:{id}": json.dumps({"id": id}) for id in "ab"}
    asked = {id: Request("join", [], T) for id in "abc"}
    requests.at_end(kept(**replies), asked)
    assert complaints == ["a request has two replies", "a request has no reply", "a reply is not kept"]


def test_a_reply_that_only_refused_need_not_be_kept_for_long(complaints):
    requests = Requests(complaints)
    now = time.time()
    asked = {id: Request("join", [], at) for id, at in (("old", now - 400), ("new", now - 100))}
    for id, request in asked.items():
        requests.on_reply({"id": id, "ok": False}, request.asked)
    requests.at_end(kept(), asked)
    assert complaints == ["a reply is not kept"]


def test_a_reply_that_was_kept_and_not_heard_is_one(complaints):
    requests = Requests(complaints)
    asked = {id: Request("join", [], T) for id in "ab"} | {"c": Request("join", [], T, doubt=True)}
    assert requests.unanswered(kept(**{"reply:a": "{}"}), asked) == ["b"]
    complaints.excused = {"a request has no reply"}
    assert requests.unanswered(kept(), asked) == []


# Sends -----------------------------------------------------------------------------------------------------


def judged(complaints, way, results, messages, kills=()):
    sends = Sends(complaints)
    for status in results:
        sends.on_result({"id": "send-0", "status": status, "at": T * 1000}, T)
    received = {"room0": [{"text": "hello", "outcome": o, "at_ms": at * 1000} for o, at in messages]}
    cluster = kept(**({"result:room0:send-0": {"status": results[0], "at": T * 1000}} if results else {}))
    asked = {"send-0": Send("room0", "hello", way, asked=T)}
    sends.at_end(cluster, asked, received, lambda channel, at: True, {"hello": 1}, kills, {})
    return complaints


def test_a_send_is_finished_with_its_result_or_with_the_node_that_heard_it(complaints):
    sends = Sends(complaints)
    asked = {way: Send("room0", "hello", way, asked=T) for way in ("topic", "outbox")}
    assert sends.unfinished(kept(), asked, []) == ["topic", "outbox"]
    assert sends.unfinished(kept(), asked, [(T + 1, T + 1)]) == ["outbox"]
    assert sends.unfinished(kept(**{"result:room0:outbox": {"status": "sent"}}), asked, [(T + 1, T + 1)]) == []


def test_a_wrong_result_of_a_send_that_was_written_twice_is_as_old_as_the_second(complaints):
    judged(complaints, "outbox", ["rejected"], [("said", T - 9), ("msg_duplicate", T - 2)])
    assert complaints.times == {"a send was written twice": T - 2, "a result is not true": T - 2}


@pytest.mark.parametrize(
    ("way", "results", "messages", "broken"),
    [
        ("outbox", ["sent"], [("said", T)], []),
        ("outbox", ["unknown"], [], []),
        ("outbox", ["expired"], [], []),
        ("topic", [], [], ["a send has no result"]),
        ("topic", [], [("said", T)], ["a send has no result"]),
        ("outbox", [], [], ["a send has no result"]),
        ("outbox", ["sent"], [], ["a result is not true"]),
        ("outbox", ["expired"], [("said", T)], ["a result is not true"]),
        ("outbox", ["sent", "sent"], [("said", T)], ["a send has two results"]),
        ("outbox", ["sent"], [("said", T)] * 2, ["a send was written twice", "a result is not true"]),
        ("outbox", ["unknown"], [("said", T + 5)], ["a send was written after its result"]),
    ],
)
def test_a_send_is_said_once_at_most_and_its_result_is_true(complaints, way, results, messages, broken):
    assert judged(complaints, way, results, messages) == broken


# The plan --------------------------------------------------------------------------------------------------


def test_a_seed_draws_the_same_plan_each_time():
    assert plan.make(7, 60) == plan.make(7, 60) != plan.make(8, 60)
    actions = plan.make(7, 60)
    assert len(actions) > 100
    assert [a.at for a in actions] == sorted(a.at for a in actions)
