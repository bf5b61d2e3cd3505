/* Sender: what Twitch refuses for now is tried again within its time, against a real Redis. */
#include "node/sender.h"

#include "tests/lib/sender_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static void what_is_refused_for_now_waits_and_is_said_before_what_came_later(void **state)
{
    (void)state;
    set("channel_message_ms,off");
    outbox_heard("channel foo id x text one");
    outbox_heard("channel foo id y text two");
    wait_until(&w.probe.t, rig.writes == 1);
    refuse_for_now("msg_slowmode", 400);
    wait_until(&w.probe.t, !is_claimed("foo"));
    test_loop_run_for(&w.probe.t, 200);
    assert_int_equal(rig.writes, 1);
    assert_string_equal(result("x", "status"), "");
    wait_until(&w.probe.t, rig.writes == 2);
    assert_in_range(rig.wrote_ms[1] - rig.wrote_ms[0], 390, 1500);
    answer(SEND_SENT, "");
    wait_until(&w.probe.t, rig.writes == 3);
    answer(SEND_SENT, "");
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
    assert_string_equal(rig.said, "foo:one foo:one foo:two ");
    assert_string_equal(result("x", "status"), "sent");
    assert_string_equal(result("y", "status"), "sent");
}

static void what_comes_too_fast_waits_its_pace_and_twice_as_long_each_time(void **state)
{
    (void)state;
    set("channel_message_ms,150");
    outbox_heard("channel foo id x text one");
    for (unsigned i = 1; i <= 3; i++) {
        wait_until(&w.probe.t, rig.writes == i);
        refuse_for_now("msg_ratelimit", 0);
    }
    wait_until(&w.probe.t, rig.writes == 4);
    answer(SEND_SENT, "");
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
    assert_in_range(rig.wrote_ms[1] - rig.wrote_ms[0], 140, 1000);
    assert_in_range(rig.wrote_ms[2] - rig.wrote_ms[1], 290, 1000);
    assert_in_range(rig.wrote_ms[3] - rig.wrote_ms[2], 590, 1500);
    assert_string_equal(result("x", "status"), "sent");
}

static void what_would_wait_beyond_its_time_is_rejected_at_once(void **state)
{
    (void)state;
    outbox_heard("channel foo id x text one ttl_ms 2000");
    wait_until(&w.probe.t, rig.writes == 1);
    refuse_for_now("msg_timedout", 2100);
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
    assert_string_equal(result("x", "status"), "rejected");
    assert_string_equal(result("x", "reason"), "msg_timedout");
    assert_int_equal(rig.writes, 1);
}

static void what_is_refused_for_now_while_redis_is_away_is_taken_back_when_it_is_back(void **state)
{
    (void)state;
    set("channel_message_ms,off");
    outbox_heard("channel foo id x text one");
    wait_until(&w.probe.t, rig.writes == 1);
    private_redis_pause(redis);
    refuse_for_now("msg_slowmode", 1500);
    test_loop_run_for(&w.probe.t, 50);
    link_reset(rig.link, "the test wants it"); /* Redis carries it out, and nobody hears of it */
    test_loop_run_for(&w.probe.t, 50);
    private_redis_resume(redis);
    wait_until(&w.probe.t, rig.writes == 2);
    assert_in_range(rig.wrote_ms[1] - rig.wrote_ms[0], 1490, 4000);
    answer(SEND_SENT, "");
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
    assert_string_equal(rig.said, "foo:one foo:one ");
    assert_string_equal(world_ask(&w, "HLEN shoal:{t}:claims"), "0");
}

static void what_is_claimed_already_is_not_written_once_the_account_is_muted(void **state)
{
    struct slice both[] = {SLICE("foo"), SLICE("bar")};
    struct registry_shard shard = {
        .id = SLICE("main-shard"), .sender = SLICE("main-shard"), .nchannels = 2, .channels = both};

    (void)state;
    world_assign(&w, &me, "", "", "join", "bar");
    sender_serve(rig.sender, &shard);
    set("channel_message_ms,off");
    set("message_limit,1");
    set("message_window_ms,1000");
    set("muted_ms,2500");
    outbox_heard("channel foo text one");
    wait_until(&w.probe.t, rig.writes == 1);
    outbox_heard("channel bar text two");
    wait_until(&w.probe.t, is_claimed("bar"));
    uint64_t muted_ms = mono_ms();
    world_eval(&w,
               "local t = redis.call('TIME') redis.call('ZADD', KEYS[1] .. ':muted', "
               "string.format('%d', t[1] * 1000 + t[2] / 1000 + 2500), 'bot') return ''",
               "");
    outbox_heard("channel foo text three");
    answer(SEND_SENT, "");
    wait_until(&w.probe.t, rig.writes == 2);
    assert_in_range(rig.wrote_ms[1] - muted_ms, 2400, 9000);
    answer(SEND_SENT, "");
    wait_until(&w.probe.t, rig.writes == 3);
    answer(SEND_SENT, "");
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_sender, finish_sender)
    const struct CMUnitTest tests[] = {
        TEST(what_is_refused_for_now_waits_and_is_said_before_what_came_later),
        TEST(what_comes_too_fast_waits_its_pace_and_twice_as_long_each_time),
        TEST(what_would_wait_beyond_its_time_is_rejected_at_once),
        TEST(what_is_claimed_already_is_not_written_once_the_account_is_muted),
        TEST(what_is_refused_for_now_while_redis_is_away_is_taken_back_when_it_is_back),
    };
    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
