"""The dashboard, in a browser, watched by a coordinator that stands by: what an operator sees and does."""

import json
import re
import statistics
import time
import uuid

import pytest

from browser import NARROW, WIDE, Browser, axe_source, missing_browser
from dashboard import TOKEN, port_of, token_file
from event_schema import BY_NAME
from processes import wait_until
from shoal import REMEMBERS, Cluster, missing_programs

# One browser and one cluster for all of them; each test leaves both as it found them.
pytestmark = [pytest.mark.xdist_group("dashboard"), pytest.mark.limit(60)]

CHANNELS = [f"room_{i}" for i in range(6)]
PATIENCE = 20  # s, with what is seen within one or two on a machine that does nothing else


def start_coordinator(cluster, name, *args):
    args = ("--http-admin-token", token_file(cluster.directory), *args)
    return cluster.start_coordinator(name, args=args, channels_per_shard=2)


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    absent = missing_programs() + missing_browser()
    assert not absent, f"not built or not installed: {', '.join(absent)}"
    with Cluster(tmp_path_factory.mktemp("dashboard")) as cluster:
        cluster.start_redis(*REMEMBERS)
        cluster.start_sim("--verified")
        start_coordinator(cluster, "c1")
        wait_until(cluster.leader, PATIENCE, "a coordinator leads")
        cluster.stands_by = start_coordinator(cluster, "c2")
        for name in ("n1", "n2", "n3"):
            cluster.start_node(name)
        cluster.settle()
        cluster.join(*CHANNELS)
        cluster.url = f"http://127.0.0.1:{port_of(cluster.stands_by)}/"
        yield cluster


@pytest.fixture(scope="module")
def browser():
    with Browser() as browser:
        yield browser


@pytest.fixture
def page(browser, watched):
    """The page as somebody opens it, live; whatever it complains about, or lays wider than its window, is a failure."""
    browser.look_like()
    browser.expected = ()
    browser.open("about:blank")
    browser.complaints()
    browser.open(watched.url)
    browser.wait_for("return document.querySelectorAll('.shard').length >= 3", PATIENCE, "the page is live")
    yield browser
    assert not browser.complaints(browser.expected)
    wide, window = browser.run("return [document.documentElement.scrollWidth, innerWidth]")
    assert wide <= window


def total(page, name):
    """Of the totals, the number and what stands below it."""
    return page.run(
        "const of = [...document.querySelectorAll('#totals-list div')].find(e => e.firstChild.innerText === arguments[0]);"
        "return [...of.querySelectorAll('dd')].map(e => e.innerText)", name)  # fmt: skip


def nodes_of_shards(page):
    """Shard -> the node in whose card it is."""
    return page.run(
        "return Object.fromEntries([...document.querySelectorAll('.shard')]"
        ".map(e => [e.dataset.shard, e.closest('.node').dataset.node]))"
    )


def look_up(page, channel):
    page.type("#search-name", channel)
    page.press("ENTER")
    page.wait_for("return document.querySelector('#found-facts').innerText.includes('Next')", PATIENCE, "it is looked up")


def give_token(page, token):
    page.wait_for("return document.querySelector('#token').open", PATIENCE, "the token is asked for")
    page.type("#token-input", token)
    page.press("ENTER")


def results(page, words, timeout=10):
    page.wait_for("return document.querySelector('#results').innerText.includes(arguments[0])", timeout, words, words)


# What is seen --------------------------------------------------------------------------------------------


def test_the_first_paint_comes_within_a_second(page):
    paints = page.run("return performance.getEntriesByType('paint').map(e => e.startTime)")
    assert paints and max(paints) < 1000, paints


def test_health_says_who_leads_and_that_this_coordinator_stands_by(page):
    page.wait_for("return document.title.startsWith('Healthy: Shoal main')", PATIENCE, "it is healthy")
    assert page.text("#health-word") == "Healthy"
    assert "c1 leads" in page.text("#health")
    assert "This page is from c2, which stands by." in page.text("#health")
    assert page.text("#link") == "Live"


def test_totals_nodes_and_shards_are_those_of_redis(page, watched):
    page.wait_for("return document.querySelector('#totals').innerText.includes('of 6 wanted')", PATIENCE, "totals")
    assert total(page, "Channels joined") == ["6", "of 6 wanted channels"]
    assert total(page, "Nodes")[0] == "3"
    shards = watched.shards()
    assert nodes_of_shards(page) == {name: shard["node"] for name, shard in shards.items()}
    for name in shards:
        assert page.text(f"[data-shard={name}] .count") == "2/2"
        assert page.text(f"[data-shard={name}] .state") == "ready"
    assert page.text("#no-joins") == "Nothing waits to be joined."
    assert "6, no limit" in page.text("[data-account=shoalbot]")


def test_charts_say_in_words_what_they_draw(page):
    labels = page.run("return [...document.querySelectorAll('.chart svg')].map(e => e.getAttribute('aria-label'))")
    assert len(labels) == 3
    assert all("last 15 minutes" in label for label in labels)


def test_a_join_is_seen_within_a_second(page, watched):
    took = []
    for i in range(4):
        name = f"seen_{i}"
        time.sleep(0.23)  # at another moment of the coordinator's second
        wanted = page.run(
            "const wanted = Number(/of (\\d+) wanted/.exec(document.querySelector('#totals').innerText)[1]) + 1;"
            "window.seen = null;"
            "const look = (_, watch) => { if (document.querySelector('#totals-list').textContent"
            ".includes(`of ${wanted} wanted`)) { window.seen = Date.now(); watch.disconnect() } };"
            "new MutationObserver(look).observe(document.querySelector('#totals-list'), {subtree: true, characterData: true});"
            "return wanted"
        )
        reply = watched.request("join", channels=name)
        assert reply["ok"] and not reply["refused"], reply
        began = time.time() * 1000
        took.append(page.wait_for("return window.seen", PATIENCE, f"{wanted} channels") - began)
    watched.request("part", channels=" ".join(f"seen_{i}" for i in range(4)))
    page.wait_for("return document.querySelector('#totals').innerText.includes('of 6 wanted')", PATIENCE, "the parts")
    assert statistics.median(took) < 1000, took


def test_shards_are_reached_by_keyboard_and_tell_their_figures(page):
    page.run("document.querySelector('.shard[tabindex=\"0\"]').focus()")
    page.press("END")
    shard = page.run("return document.activeElement.dataset.shard")
    page.wait_for("return document.querySelector('#tip').innerText.includes(arguments[0])", PATIENCE, "its figures", shard)
    assert "2 of 2 (2 joined)" in page.text("#tip")
    page.press("ESCAPE")
    assert not page.text("#tip")
    page.press("ENTER")
    page.wait_for("return document.querySelectorAll('#shard-channels li').length === 2", PATIENCE, "its channels")
    assert page.text("#shard-title") == shard
    page.click("#shard-channels button")
    page.wait_for("return document.querySelector('#found-name').innerText.startsWith('#room_')", PATIENCE, "the channel")
    assert not page.run("return document.querySelector('#shard').open")


def test_the_figures_of_a_shard_stay_while_they_are_pointed_at(page):
    page.point_at(".shard")
    page.wait_for("return document.querySelector('#tip').checkVisibility()", PATIENCE, "its figures")
    shown = page.text("#tip strong")
    page.point_at("#tip")
    assert page.text("#tip strong") == shown
    page.point_at(".shard")
    assert page.text("#tip strong") == shown
    page.point_at("#tip")
    page.point_at("#nodes-title")
    page.wait_for("return !document.querySelector('#tip').checkVisibility()", PATIENCE, "they are gone")


def test_a_change_without_a_time_makes_nothing_younger_and_a_point_without_one_is_a_step_later(page):
    known = page.wait(
        "const done = arguments[0]; import('/model.js').then(({Cluster}) => { const c = new Cluster();"
        "c.apply({type: 'status', at: 1000, history: {step_ms: 5000, at: 1000, lines_s: [1], latency_ms: [1], lag_ms: [1]}});"
        "c.changedAt = 7; c.apply({type: 'change', health: 'degraded', point: {lines_s: 2}});"
        "done([c.is.at, c.is.health, c.changedAt, c.history.at, c.history.lines_s]) })"
    )
    assert known == [1000, "degraded", 7, 6000, [1, 2]]


def test_every_event_of_the_contract_has_a_sentence(page):
    known = page.wait("const done = arguments[0]; import('/sentences.js').then(m => done(m.known))")
    assert set(BY_NAME) <= set(known)


def test_events_are_sentences_and_can_be_filtered(page):
    page.wait_for("return document.querySelector('#event-list').innerText.includes('Node n1 is up')", PATIENCE, "events")
    page.type("#event-text", "n2 is up")
    page.wait_for("return document.querySelectorAll('#event-list li').length === 1", PATIENCE, "one is left")
    assert "Node n2 is up, on" in page.text("#event-list")
    page.type("#event-text", "no such words")
    page.wait_for("return !document.querySelector('#no-events').hidden", PATIENCE, "none is left")


def test_an_event_of_somebody_else_is_shown_as_far_as_it_can_be_and_breaks_nothing(page, watched):
    odd = ({"event": "odd", "at": "soon", "why": {"toString": 1}}, {"event": "gap", "channel": "odd", "at": 1e300},
           {"event": {"toString": 1}}, {"event": "gap", "channel": "odder", "from": 1e300, "to": [], "at": 1})  # fmt: skip
    written = [watched.redis.xadd(watched.key("log"), {"event": json.dumps(event)}) for event in odd]
    try:
        page.wait_for("return document.querySelector('#event-list').innerText.includes('#odder')", PATIENCE, "the last of them")
        page.type("#event-text", "odd")
        page.wait_for("return document.querySelectorAll('#event-list li').length === 3", PATIENCE, "those with that word")
        assert 'odd: why {"toString":1}' in page.text("#event-list")
        assert "Chat of #odd is missing from –, –" in page.text("#event-list")
        assert page.run("return document.querySelectorAll('#event-list time[datetime]').length") == 1
    finally:
        watched.redis.xdel(watched.key("log"), *written)


# A channel, and its chat ---------------------------------------------------------------------------------


def test_a_channel_is_found_with_its_shard_node_and_what_happens_next(page, watched):
    look_up(page, "#ROOM_1")
    shard = watched.channels()["room_1"]
    facts = page.text("#found-facts")
    assert page.text("#found-state") == "#room_1 is joined."
    for fact in (shard, watched.shards()[shard]["node"], "shoalbot", "joined, for"):
        assert fact in facts
    look_up(page, "nobody_here")
    assert "is not wanted" in page.text("#found-state")
    page.type("#search-name", "no name!")
    page.press("ENTER")
    assert "up to 25 of a-z" in page.text("#found-state")


def test_the_log_is_read_once_for_a_channel_and_then_its_events_are_heard(page, watched):
    look_up(page, "room_1")
    watched.redis.config_resetstat()
    failed = {"event": "channel.failed", "channel": "room_1", "at": 1, "reason": "msg_banned"}
    written = watched.redis.xadd(watched.key("log"), {"event": json.dumps(failed)})
    watched.redis.publish(watched.topic("events"), json.dumps(failed))
    try:
        page.wait_for("return document.querySelector('#found-facts').innerText.includes('msg_banned')", PATIENCE, "the event")
        look_up(page, "room_1")
        assert "msg_banned" in page.text("#found-facts")
    finally:
        watched.redis.xdel(watched.key("log"), written)
    assert "cmdstat_xrevrange" not in watched.redis.info("commandstats")


def test_the_tail_shows_chat_as_it_arrives(page, watched):
    look_up(page, "room_1")
    said = uuid.uuid4().hex
    wait_until(lambda: watched.inject("room_1", said) and said in page.text("#tail"), PATIENCE, "the line is on the page")
    assert f"bob: {said}" in page.text("#tail")
    assert said not in page.text("#events")


def test_a_hostile_line_stays_text(page, watched):
    look_up(page, "room_2")
    topic = watched.topic("chat:room_2")
    wait_until(lambda: watched.redis.publish(topic, ":a!a@a PRIVMSG #room_2 :begin") and "begin" in page.text("#tail"), PATIENCE, "chat")
    hostile = "<script>window.hacked=1</script><img src=x onerror='window.hacked=1'>&lt;\x07\x1b[31m\u202eevil\u2066\x00."
    name = "<b>admin</b>\u202e"
    watched.redis.publish(topic, f"@display-name={name} :a!a@a PRIVMSG #room_2 :{hostile}")
    watched.redis.publish(topic, ":a!a@a PRIVMSG #room_2 :\x01ACTION <i>dances</i>\x01")
    watched.redis.publish(topic, "@system-msg=<b>raid</b> :tmi USERNOTICE #room_2 :<u>hi</u>")
    watched.redis.publish(topic, "@a=1;a=2 :a!a@a PRIVMSG #room_2 :a tag twice")
    watched.redis.publish(topic, "@display-name=a;__proto__=x :a!a@a PRIVMSG #room_2 :end")
    page.wait_for("return document.querySelector('#tail').innerText.includes('a: end')", PATIENCE, "the last line")
    tail = page.text("#tail")
    assert "<b>admin</b>\ufffd: <script>window.hacked=1</script><img src=x onerror='window.hacked=1'>&lt;" in tail
    assert "\ufffd\ufffd[31m\ufffdevil\ufffd" in tail
    assert "a: a tag twice" in tail
    assert "<i>dances</i>" in tail and "<b>raid</b> – <u>hi</u>" in tail
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00-\x08\x0b-\x1f]", tail)
    assert page.run("return document.querySelectorAll('#tail :not(li, time, span, bdi)').length") == 0
    assert page.run("return window.hacked") is None


# Actions -------------------------------------------------------------------------------------------------


def test_an_action_without_token_is_refused_and_with_it_works(page, watched):
    page.expected = ("401",)  # the browser itself tells of each
    status = page.wait(
        "const done = arguments[0]; fetch('/api/v1/requests', {method: 'POST', headers: {'Content-Type': 'application/json'},"
        " body: '{\"op\":\"join\",\"channels\":[\"sneaked\"]}'}).then(a => done(a.status))"
    )
    assert status == 401

    page.type("#act-channels", "fresh_1, fresh_2")
    page.click("#act [data-op=join]")
    page.wait_for("return document.querySelector('#token').open", PATIENCE, "the token is asked for")
    page.press("ESCAPE")
    results(page, "needs the admin token")
    page.click("#act [data-op=join]")
    give_token(page, f"{TOKEN}\u200b")
    page.wait_for("return document.querySelector('#token-note').innerText.includes('That is no token')", PATIENCE, "it is refused")
    give_token(page, "wrong")
    results(page, "does not take this token")
    assert not {"fresh_1", "sneaked"} & set(watched.channels())
    give_token(page, TOKEN)
    results(page, "#fresh_1 goes to")
    assert {"fresh_1", "fresh_2"} <= set(watched.channels())
    assert TOKEN not in page.run("return document.documentElement.outerHTML + JSON.stringify({...sessionStorage, ...localStorage})")

    page.click("#act [data-op=part]")
    page.wait_for("return document.querySelector('#sure').open", PATIENCE, "it asks first")
    assert "Part 2 channels?" in page.text("#sure")
    page.press("ESCAPE")
    page.click("#act [data-op=part]")
    page.wait_for("return document.querySelector('#sure').open", PATIENCE, "it asks again")
    page.click("#sure-yes")
    results(page, "#fresh_1 is parted")
    assert not {"fresh_1", "fresh_2"} & set(watched.channels())
    page.click("#token-button")
    assert page.text("#token-state") == "Read only."


def test_a_setting_is_changed_and_has_its_default_again(page, watched):
    page.click("#settings summary")
    page.wait_for("return document.querySelector('[data-setting=send_ttl_ms]') !== null", PATIENCE, "the settings")
    page.click("[data-setting=send_ttl_ms] button")
    page.type("#setting-value", "20000")
    page.click("#setting [value=set]")
    give_token(page, TOKEN)
    page.wait_for("return document.querySelector('[data-setting=send_ttl_ms] .other')?.innerText.includes('20000')", PATIENCE, "it is set")
    assert watched.redis.hget(watched.key("config"), "send_ttl_ms") == "20000"
    page.click("[data-setting=send_ttl_ms] button")
    page.click("#setting [value=unset]")
    page.wait_for("return document.querySelector('[data-setting=send_ttl_ms] .other') === null", PATIENCE, "the default again")
    assert watched.redis.hget(watched.key("config"), "send_ttl_ms") is None


def test_the_cluster_is_stopped_after_a_question_and_connected_again(page):
    page.click("#token-button")
    give_token(page, TOKEN)
    page.click("#run-buttons [data-op=stop]")
    page.wait_for("return document.querySelector('#sure').open", PATIENCE, "it asks first")
    page.click("#sure-yes")
    page.wait_for("return document.querySelector('#health').innerText.includes('The cluster is stopped')", PATIENCE, "it is stopped")
    assert page.text("#health-word").startswith("Degraded")
    page.click("#run-buttons [data-op=start]")
    page.wait_for("return document.querySelector('#health-word').innerText === 'Healthy'", PATIENCE, "it runs")
    page.wait_for("return [...document.querySelectorAll('.shard .state')].every(e => e.innerText === 'ready')", PATIENCE, "shards")


# Trouble -------------------------------------------------------------------------------------------------


def test_a_killed_node_turns_red_and_its_shards_move(page, watched):
    before = nodes_of_shards(page)
    held = [shard for shard, node in before.items() if node == "n3"]
    assert held
    watched.processes["n3"].kill()
    page.wait_for("return document.querySelector('[data-node=n3]').dataset.level === 'bad'", PATIENCE, "n3 is red")
    moved = lambda: all(nodes_of_shards(page).get(shard) in ("n1", "n2") for shard in held)
    wait_until(moved, PATIENCE, "its shards are with the other nodes")
    page.wait_for("return document.querySelector('#event-list').innerText.includes('Node n3 was silent')", PATIENCE, "the event")
    red = page.run("return getComputedStyle(document.querySelector('[data-node=n3]')).borderTopColor")
    assert red == "rgb(187, 35, 24)"
    watched.processes["n3"].start()
    page.wait_for("return document.querySelector('[data-node=n3]').dataset.level === 'ok'", PATIENCE, "n3 is back")


def test_a_coordinator_that_hangs_is_said_and_so_is_that_it_goes_on(page, watched):
    watched.stands_by.pause()
    try:
        page.wait_for("return !document.querySelector('#stale').hidden", PATIENCE, "the page says that it is stale")
        assert "What you see is from" in page.text("#stale")
        assert page.text("#health-word") == "Not known now"
    finally:
        watched.stands_by.resume()
    page.wait_for("return document.querySelector('#stale').hidden", PATIENCE, "the page is live again")


def test_a_lost_connection_is_said_and_made_again(page, watched):
    page.expected = ("WebSocket", "ERR_CONNECTION_REFUSED")
    port = port_of(watched.stands_by)
    watched.stands_by.kill()
    page.wait_for("return document.querySelector('#link').innerText === 'Connection lost'", PATIENCE, "it is said")
    assert "The connection to the coordinator is lost." in page.text("#stale")
    watched.stands_by = start_coordinator(watched, "c2", "--http-listen", f"127.0.0.1:{port}")
    page.wait_for("return document.querySelector('#link').innerText === 'Live'", PATIENCE, "it is live by itself")
    page.wait_for("return document.querySelector('#stale').hidden", PATIENCE, "nothing is stale")


# For everybody -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def axe(tmp_path_factory):
    return axe_source(tmp_path_factory.mktemp("axe"))


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(page, watched, axe, scheme, size):
    page.look_like(size, scheme)
    look_up(page, "room_3")
    watched.inject("room_3", "hello")
    page.click("#settings summary")
    page.wait_for("return document.querySelectorAll('[data-setting]').length > 10", PATIENCE, "the settings")
    assert page.axe(axe) == []
    wide, window = page.run("return [document.documentElement.scrollWidth, innerWidth]")
    assert wide <= window
    page.click(".shard")
    page.wait_for("return document.querySelectorAll('#shard-channels li').length > 0", PATIENCE, "a shard's channels")
    assert page.axe(axe) == []
    page.press("ESCAPE")
