"""The JSON API of coordinators: what it answers, what it takes, and whom it refuses."""

import json
import re
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from dashboard import TOKEN, Api, token_file
from probe import probes  # noqa: F401 (a fixture)
from processes import wait_until
from shoal import ROOT, USER

CHANNELS = {"alpha", "beta", "gamma"}


# What is read -------------------------------------------------------------------------------------------


def test_the_lists_are_those_of_the_document(served):
    wait_until(lambda: served.api.got("status")["channels"] == 3, 5, "three channels")
    document = served.api.got("status")
    assert document["cluster"] == "main"
    assert document["leader"]["id"] == "c1"
    for name, key in (("nodes", "node"), ("shards", "shard"), ("accounts", "account")):
        answer = served.api.got(name)
        assert {row[key] for row in answer[name]} == {row[key] for row in document[name]}
        assert answer["at"] >= document["at"]


def test_the_document_is_read_again_each_second_while_somebody_asks(served):
    first = served.api.got("status")["at"]
    wait_until(lambda: served.api.got("status")["at"] > first, 3, "a newer document")


def test_a_shard_has_its_channels_with_their_states(served):
    (shard,) = (row for row in served.api.got("shards")["shards"] if row["channels"])
    wait_until(lambda: served.joined("alpha", "beta", "gamma"), 10, "joined")
    answer = served.api.got(f"shards/{shard['shard']}")
    assert answer["node"] == "n1" and answer["user"] == USER
    assert {row["channel"]: row["state"] for row in answer["channel_list"]}.items() >= {
        (name, "joined") for name in CHANNELS
    }
    assert answer["channel_list_more"] is False


def test_channels_come_by_name_a_page_at_a_time(served):
    names = sorted(served.channels())
    wait_until(lambda: [row["channel"] for row in served.api.got("channels")["channels"]] == names, 5, "all of them")
    pages = [served.api.got("channels?limit=1")]
    while "next" in pages[-1]:
        pages.append(served.api.got(f"channels?limit=1&after={pages[-1]['next']}"))
    rows = [row for page in pages for row in page["channels"]]
    assert [row["channel"] for row in rows] == names
    assert rows[0]["shard"] == served.channels()["alpha"]
    assert rows[0]["state"] == "joined"
    behind = served.api.got("channels?after=a~&limit=1")
    assert behind["channels"][0]["channel"] == "beta"


def test_of_a_channel_all_is_told_and_what_comes_next_whether_it_is_wanted_or_not(served):
    alpha = served.api.got("channels/alpha")
    assert alpha["wanted"] is True and alpha["state"] == "joined" and alpha["next"]
    assert served.api.got("channels/%23Alpha")["channel"] == "alpha"
    nobody = served.api.got("channels/nobody_joined_it")
    assert nobody["wanted"] is False and nobody["next"]


def test_events_are_the_newest_and_oldest_first(served):
    events = served.api.got("events?limit=1000")
    assert events["events"] == served.events()[-1000:] and events["older"] is False
    last = served.api.got("events?limit=2")
    assert last["events"] == served.events()[-2:] and last["older"] is True
    at = last["events"][0]["at"]
    since = served.api.got(f"events?since={at}")["events"]
    assert since == [event for event in served.events() if event["at"] >= at][-100:]
    assert served.api.got("events?since=9999999999999")["events"] == []


def test_settings_say_what_they_take(served):
    settings = {row["name"]: row for row in served.api.got("settings")["settings"]}
    assert settings["channels_per_shard"]["value"] == "20"
    assert settings["channels_per_shard"]["default"] == "25"
    assert settings == {row["name"]: row for row in served.ctl_json("config", "get")}


@pytest.mark.parametrize(
    "path, status, names",
    [
        ("shards/no-such-shard", 404, "no such shard"),
        ("channels/no%20channel", 400, "1 to 25 of a-z"),
        ("channels?limit=0", 400, "limit: takes a number from 1 to 1000"),
        ("channels?limit=1001", 400, "limit: takes a number from 1 to 1000"),
        ("events?since=-1", 400, "since: takes a number"),
        ("channels/alpha?log=maybe", 400, "log: takes yes or no"),
        ("nothing", 404, "openapi.json"),
    ],
)
def test_what_is_not_there_or_wrong_is_named(served, path, status, names):
    answer = served.api.get(path)
    assert answer.status == status
    assert names in answer.json["error"]


# What is asked for --------------------------------------------------------------------------------------


def test_channels_are_joined_and_parted_and_the_reply_is_the_contracts(served):
    reply = served.api.done("requests", op="join", channels=["#Delta"], by="a page")
    assert reply["ok"] and list(reply["assigned"]) == ["delta"]
    assert json.loads(served.redis.get(served.key(f"reply:{reply['id']}"))) == reply
    wait_until(lambda: served.joined("delta"), 10, "delta is joined")
    assert served.api.done("requests", op="part", channels=["delta"])["parted"] == ["delta"]
    assert "delta" not in served.channels()


def test_a_join_may_say_who_reads_and_what_is_refused_says_why(served):
    reply = served.api.done("requests", op="join", channels=["alpha"], user="anonymous")
    assert reply["refused"]["alpha"] and not reply["ok"]
    assert served.api.done("requests", op="retry", channels=["nobody_joined_it"])["refused"]


def test_settings_are_set_and_unset(served):
    assert served.api.done("admin", op="set", name="send_ttl_ms", value="12345")["ok"]
    assert served.api.got("settings") == {"settings": served.ctl_json("config", "get")}
    assert served.redis.hget(served.key("config"), "send_ttl_ms") == "12345"
    assert not served.api.done("admin", op="set", name="send_ttl_ms", value="soon")["ok"]
    assert served.api.done("admin", op="unset", name="send_ttl_ms")["ok"]
    assert served.redis.hget(served.key("config"), "send_ttl_ms") is None


def test_many_ask_at_once_and_each_has_its_own_reply(served):
    names = [f"many_{i}" for i in range(20)]
    with ThreadPoolExecutor(20) as pool:
        replies = list(pool.map(lambda name: served.api.done("requests", op="join", channels=[name]), names))
    assert [list(reply["assigned"]) for reply in replies] == [[name] for name in names]
    served.api.done("requests", op="part", channels=names)


def test_a_hint_that_is_lost_costs_half_a_second_and_nothing_else(served):
    served.redis.client_kill_filter(_type="pubsub")
    assert served.api.done("requests", op="retry", channels=["alpha"])["id"]


def test_where_nobody_answers_in_time_the_id_does_and_the_request_is_carried_out_later(probes, tmp_path):
    args = ["--http-admin-token", token_file(tmp_path), "--manager-timeout", "60s"]
    probe = probes.lead(args, setup="add:one", assign_shard="never")
    answer = Api(probes.cluster.processes["c1"]).post("requests", {"op": "join", "channels": ["alpha"]})
    assert answer.status == 202
    (id,) = answer.json.values()
    assert probes.cluster.redis.get(probes.cluster.key(f"reply:{id}")) is None
    probe.complete(probe.wait_for_call("assign_shard", "alpha"), "shard:one")
    assert probes.cluster.answer(id)["assigned"] == {"alpha": "one"}


@pytest.mark.parametrize(
    "path, body, names",
    [
        ("requests", b"", "one JSON object"),
        ("requests", b'{"op":"join","channels":["\xff"]}', "UTF-8"),
        ("requests", {"op": "leave", "channels": ["alpha"]}, "join, part or retry"),
        ("requests", {"op": "join", "channels": ["alpha"], "force": True}, '"force" is not known'),
        ("requests", {"op": "join", "channels": ["a"] * 1001}, "at most 1000; make several requests"),
        ("admin", {"op": "account_remove", "name": USER}, "set, unset, start or stop"),
        ("admin", {"op": "set", "name": "user", "value": 5}, "value: takes a string"),
    ],
)
def test_a_wrong_request_is_named_and_not_carried_out(served, path, body, names):
    before = served.channels()
    answer = served.api.post(path, body)
    assert answer.status == 400
    assert names in answer.json["error"]
    assert served.channels() == before


def test_a_coordinator_that_stands_by_serves_the_same_and_its_requests_are_answered(bare, tmp_path):
    bare.start_redis()
    bare.start_sim("--verified")
    leads = bare.start_coordinator("c1")
    wait_until(bare.leader, 10, "c1 leads")
    standby = Api(bare.start_coordinator("c2", args=["--http-admin-token", token_file(tmp_path)]))
    bare.start_node()
    wait_until(bare.is_set_up, 20, "the cluster is set up")

    assert standby.got("status")["leader"]["id"] == "c1"
    assert standby.done("requests", op="join", channels=["alpha"])["assigned"]
    leads.pause()  # c2 takes over while the client waits
    assert standby.done("requests", op="join", channels=["beta"])["assigned"]
    wait_until(lambda: standby.got("status")["leader"]["id"] == "c2", 5, "c2 leads")
    leads.kill()


# Who is refused -----------------------------------------------------------------------------------------

JOIN = {"op": "join", "channels": ["stolen"]}


@pytest.mark.parametrize("path", ["requests", "admin"])
def test_an_action_needs_the_token_and_in_its_header(served, path):
    body = JOIN if path == "requests" else {"op": "stop"}
    assert served.api.post(path, body, token=None).status == 401
    assert served.api.post(path, body, token=TOKEN + "x").status == 401
    assert served.api.post(path, body, token=TOKEN[:-1]).status == 401
    for name in ("token", "access_token", "authorization"):
        assert served.api.post(f"{path}?{name}={TOKEN}", body, token=None).status == 401
    cookie = served.api.post(path, body, token=None, cookie=f"token={TOKEN}")
    assert cookie.status == 401
    assert "stolen" not in served.channels()
    assert served.api.got("status")["stopped"] is False


def test_a_page_of_somebody_else_is_refused_also_with_the_token(served):
    for headers in (
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"host": "evil.example"},
        {"host": f"evil.example:{served.api.port}", "origin": f"http://evil.example:{served.api.port}"},
    ):
        assert served.api.post("requests", JOIN, **headers).status == 403, headers
        assert served.api.get("status", **headers).status == 403, headers
    assert "stolen" not in served.channels()
    own = f"http://127.0.0.1:{served.api.port}"
    assert served.api.post("requests", {"op": "retry", "channels": ["alpha"]}, origin=own).status == 200


def test_without_an_admin_token_nothing_can_be_asked_for(bare):
    bare.start_redis()
    bare.start_sim()
    api = Api(bare.start_coordinator())
    wait_until(bare.leader, 10, "a coordinator leads")
    answer = api.post("requests", JOIN)
    assert answer.status in (401, 403)
    assert "admin token" in answer.json["error"]
    assert api.got("status")["nodes"] == []


def test_the_token_is_in_no_log_and_in_no_answer(served):
    answers = [served.api.get(path) for path in ("status", "settings", "events?limit=1000", "accounts")]
    answers.append(served.api.post("requests", {"op": "join", "channels": []}))
    answers.append(served.api.post("requests", JOIN, token=TOKEN + "x"))
    for answer in answers[:-2]:
        assert answer.status == 200
    for answer in answers:
        assert TOKEN.encode() not in answer.body
    for name, text in served.logs(10**6):
        assert TOKEN not in text, name
    for incarnation in (served.incarnation("n1"), served.redis.hget(served.key("leader"), "incarnation")):
        assert incarnation.encode() not in answers[0].body


def test_what_others_wrote_into_redis_is_answered_as_text(served):
    nasty = b"<b>\x1b[2J\xff\x00\r\n"
    name = uuid.uuid4().hex
    served.redis.hset(served.key("channel:alpha"), "reason", nasty)
    written = [
        served.redis.xadd(served.key("log"), {"event": event})
        for event in (b'{"event":"x","at":1,"why":"' + nasty[:8] + b'"}', name)
    ]
    try:
        for path in ("channels/alpha", "channels", "events"):
            answer = served.api.get(path)
            assert answer.status == 200
            answer.body.decode()
            assert b"\x1b" not in answer.body and b"\x00" not in answer.body
            assert name.encode() not in answer.body
            assert answer.json
    finally:
        served.redis.hdel(served.key("channel:alpha"), "reason")
        served.redis.xdel(served.key("log"), *written)


def test_a_method_that_a_path_does_not_take_is_refused_with_those_it_does(served):
    for method, path, allow in (
        ("POST", "status", "GET, HEAD"),
        ("GET", "requests", "POST"),
        ("DELETE", "admin", "POST"),
        ("PUT", "channels/alpha", "GET, HEAD"),
    ):
        answer = served.api.ask(method, f"/api/v1/{path}")
        assert (answer.status, answer.headers["allow"]) == (405, allow), (method, path)
    assert served.api.ask("HEAD", "/api/v1/status").body == b""


# Redis and bounds ---------------------------------------------------------------------------------------


def test_no_more_than_so_many_wait_and_all_of_them_are_answered(served):
    served.api.got("channels")
    served.redis_process.pause()
    try:
        with ThreadPoolExecutor(80) as pool:
            asked = [pool.submit(served.api.get, "settings") for _ in range(80)]
            wait_until(lambda: sum(each.done() for each in asked) >= 16, 2, "those that are too many hear so")
            served.redis_process.resume()
            refused = [each.result() for each in asked if each.result().status != 200]
    finally:
        served.redis_process.resume()
    assert len(refused) == 16
    assert all(answer.status == 503 and "wait for an answer already" in answer.json["error"] for answer in refused)


def test_more_is_not_read_in_a_second_than_holds_nobody_up(served):
    last = served.events()[-1]
    pipe = served.redis.pipeline(transaction=False)
    for _ in range(1000):
        pipe.xadd(served.key("log"), {"event": json.dumps(last)})
    written = pipe.execute()
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(served.api.get, "events?limit=1000") for _ in range(60)]
        statuses = Counter(each.result().status for each in asked)
    assert set(statuses) == {200, 429} and statuses[200] >= 5, statuses  # others have read, too
    assert served.api.got("status") and served.api.got("nodes"), "what costs nothing is answered"
    wait_until(lambda: served.api.get("events?limit=1").status == 200, 5, "more may be read")
    served.redis.xdel(served.key("log"), *written)


def test_many_who_look_at_channels_at_once_read_the_log_one_after_the_other_and_no_more_than_may_be(served):
    last = json.dumps(served.events()[-1])
    pipe = served.redis.pipeline(transaction=False)
    for _ in range(10000):
        pipe.xadd(served.key("log"), {"event": last})
    written = pipe.execute()
    try:
        with ThreadPoolExecutor(40) as pool:
            answers = list(pool.map(lambda i: served.api.get(f"channels/nobody_{i}"), range(40)))
    finally:
        served.redis.xdel(served.key("log"), *written)
    refused = [answer.json["error"] for answer in answers if answer.status == 429]
    assert 1 <= len(refused) < 40 and all(answer.status in (200, 429) for answer in answers)
    seconds = max(int(re.search(r"try again in (\d+) s$", text)[1]) for text in refused)
    wait_until(lambda: served.api.get("events?limit=1").status == 200, min(seconds, 5), "more may be read then")


def test_of_a_channel_what_the_log_tells_may_be_left_out(served):
    gap = {"event": "gap", "channel": "alpha", "at": 1, "from": 1, "to": 2, "lines": 0, "reason": "not_joined"}
    written = served.redis.xadd(served.key("log"), {"event": json.dumps(gap)})
    assert served.api.got("channels/alpha")["last_gap"] == gap
    served.redis.config_resetstat()
    without = served.api.got("channels/alpha?log=no")
    assert "last_gap" not in without and without["state"] == "joined"
    assert "cmdstat_xrevrange" not in served.redis.info("commandstats")
    served.redis.xdel(served.key("log"), written)


def test_an_answer_that_is_too_large_is_refused(served):
    event = b'{"event":"large","at":1,"why":"' + b"\x01" * (12 << 20) + b'"}'  # each is escaped
    written = served.redis.xadd(served.key("log"), {"event": event})
    try:
        answer = served.api.get("events?limit=2")
    finally:
        served.redis.xdel(served.key("log"), written)
    assert answer.status == 503 and "too large" in answer.json["error"]
    assert served.api.got("events?limit=2")["events"]


def problems(document):
    return [problem["problem"] for problem in document["problems"]]


def test_while_redis_is_away_that_is_said_and_afterwards_all_goes_on(served):
    with served.api.live() as live, ThreadPoolExecutor(1) as pool:
        live.until(lambda message: message["type"] == "status")
        served.redis_process.pause()
        try:
            post = pool.submit(served.api.post, "requests", {"op": "retry", "channels": ["alpha"]})
            live.until(lambda _: "redis_down" in problems(live.document), 15, "it is said")
            document = served.api.got("status")
            assert document["health"] == "degraded"
            for path in ("settings", "events"):
                answer = served.api.get(path)
                assert answer.status == 503 and "Redis cannot be read" in answer.json["error"]
            answer = post.result()
            assert answer.status == 503 and "Redis" in answer.json["error"]
        finally:
            served.redis_process.resume()
        live.until(lambda _: "redis_down" not in problems(live.document), 15, "it is back")
        assert served.api.done("requests", op="retry", channels=["alpha"])["id"]
        live.until(lambda message: message["type"] == "change")


# Files --------------------------------------------------------------------------------------------------


def test_the_description_of_the_api_is_served_and_may_be_kept(served):
    answer = served.api.get("openapi.json")
    assert answer.json["openapi"].startswith("3.")
    assert answer.headers["content-type"] == "application/json"
    again = served.api.get("openapi.json", if_none_match=answer.headers["etag"])
    assert again.status == 304 and again.body == b""


TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


def test_each_file_of_the_page_is_served_as_it_is(served):
    files = list((ROOT / "coordinator" / "web" / "page").iterdir())
    assert {"index.html", "app.js", "style.css"} <= {file.name for file in files}
    assert served.api.ask("GET", "/").body == served.api.ask("GET", "/index.html").body
    for file in files:
        answer = served.api.ask("GET", f"/{file.name}")
        assert answer.status == 200 and answer.body == file.read_bytes(), file.name
        assert answer.headers["content-type"] == TYPES[file.suffix]
        assert "unsafe-inline" not in answer.headers["content-security-policy"]
        assert served.api.ask("GET", f"/{file.name}", if_none_match=answer.headers["etag"]).status == 304
    for path in ("/page/index.html", "/..%2fapi.c", "/%2e%2e/api.c", "/index.html/", "/nothing"):
        assert served.api.ask("GET", path).status in (400, 404), path
