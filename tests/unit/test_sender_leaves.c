/* Sender: what is written only after its connection was made: may it leave, and when it may not. */
#include "node/sender.h"

#include "tests/lib/sender_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static void a_channels_pace_runs_from_when_its_message_left(void **state)
{
    (void)state;
    set("channel_message_ms,700");
    outbox_heard("channel foo id x text one");
    outbox_heard("channel foo id y text two");
    wait_until(&w.probe.t, rig.writes == 1);
    test_loop_run_for(&w.probe.t, 400);
    assert_true(sender_may_leave(rig.sender, rig.entry));
    uint64_t left_ms = mono_ms();
    answer(SEND_SENT, "");
    wait_until(&w.probe.t, rig.writes == 2);
    assert_in_range(rig.wrote_ms[1] - left_ms, 690, 1200);
    answer(SEND_SENT, "");
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
}

static void nothing_leaves_past_the_lease(void **state)
{
    (void)state;
    outbox_heard("channel foo id x text hello");
    wait_until(&w.probe.t, rig.writes == 1);
    rig.may_act = false;
    assert_false(sender_may_leave(rig.sender, rig.entry));
    sender_on_unsaid(rig.sender, rig.entry);
    wait_until(&w.probe.t, !is_claimed("foo"));
    assert_string_equal(result("x", "status"), "");
    assert_false(sender_may_leave(rig.sender, rig.entry)); /* it is written no more */
    rig.may_act = true;
    wait_until(&w.probe.t, rig.writes == 2);
    assert_true(sender_may_leave(rig.sender, rig.entry));
    answer(SEND_SENT, "");
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
    assert_string_equal(rig.said, "foo:hello foo:hello ");
    assert_string_equal(result("x", "status"), "sent");
}

static void nothing_leaves_long_after_its_slot(void **state)
{
    (void)state;
    outbox_heard("channel foo id x text hello");
    wait_until(&w.probe.t, rig.writes == 1);
    test_loop_run_for(&w.probe.t, 1000);
    assert_true(sender_may_leave(rig.sender, rig.entry));
    test_loop_run_for(&w.probe.t, 600);
    assert_false(sender_may_leave(rig.sender, rig.entry));
    sender_on_unsaid(rig.sender, rig.entry);
    wait_until(&w.probe.t, rig.writes == 2); /* with another slot */
    assert_true(sender_may_leave(rig.sender, rig.entry));
    answer(SEND_SENT, "");
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
}

static void what_is_settled_or_forgotten_does_not_leave(void **state)
{
    (void)state;
    assert_false(sender_may_leave(rig.sender, "1-1"));
    outbox_heard("channel foo id x text hello");
    wait_until(&w.probe.t, rig.writes == 1);
    answer(SEND_UNKNOWN, "no_answer");
    sender_on_unsaid(rig.sender, rig.entry); /* it has its result */
    assert_false(sender_may_leave(rig.sender, rig.entry));
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
    assert_string_equal(result("x", "status"), "unknown");

    outbox_heard("channel foo id y text hello");
    wait_until(&w.probe.t, rig.writes == 2);
    sender_reset(rig.sender);
    assert_false(sender_may_leave(rig.sender, rig.entry));
    sender_on_unsaid(rig.sender, rig.entry);
    test_loop_run_for(&w.probe.t, 50);
    assert_true(is_claimed("foo")); /* whoever takes over says what became of it */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_sender, finish_sender)
    const struct CMUnitTest tests[] = {
        TEST(a_channels_pace_runs_from_when_its_message_left),
        TEST(nothing_leaves_past_the_lease),
        TEST(nothing_leaves_long_after_its_slot),
        TEST(what_is_settled_or_forgotten_does_not_leave),
    };
    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
