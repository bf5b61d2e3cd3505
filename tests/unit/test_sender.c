/* Sender: from the outbox to the connection and back, against a real Redis. */
#include "node/sender.h"

#include "tests/lib/sender_rig.h"

#include <hiredis/hiredis.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static void a_send_is_written_once_and_its_result_stored(void **state)
{
    (void)state;
    const char *entry = outbox_heard("channel foo id x text hello");
    wait_until(&w.probe.t, rig.writes == 1);
    assert_string_equal(rig.entry, entry);
    assert_string_equal(rig.shard, "main-shard");
    assert_string_equal(rig.said, "foo:hello ");
    assert_true(is_claimed("foo"));
    assert_string_equal(result("x", "status"), "");
    assert_false(sender_is_drained(rig.sender));

    sender_rescan(rig.sender);
    test_loop_run_for(&w.probe.t, 600);
    assert_int_equal(rig.writes, 1);
    answer(SEND_SENT, "");
    answer(SEND_UNKNOWN, "twice");
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
    assert_string_equal(result("x", "status"), "sent");
    assert_string_equal(result("x", "message_id"), "id-of-it");
    assert_string_equal(world_ask(&w, "XLEN shoal:{t}:outbox"), "0");
}

static void what_twitch_refuses_is_told_with_its_reason(void **state)
{
    (void)state;
    outbox_heard("channel foo id x text hello");
    wait_until(&w.probe.t, rig.writes == 1);
    answer(SEND_REJECTED, "msg_banned");
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
    assert_string_equal(result("x", "status"), "rejected");
    assert_string_equal(result("x", "reason"), "msg_banned");
}

static void what_is_heard_on_the_topic_and_read_in_the_stream_is_said_once(void **state)
{
    (void)state;
    wait_until(&w.probe.t, strcmp(world_ask(&w, "PUBLISH shoal:t:send:foo hello"), "1") == 0);
    wait_until(&w.probe.t, strcmp(world_ask(&w, "XLEN shoal:{t}:outbox"), "1") == 0);
    sender_rescan(rig.sender);
    wait_until(&w.probe.t, rig.writes == 1);
    sender_rescan(rig.sender);
    test_loop_run_for(&w.probe.t, 300);
    answer(SEND_SENT, "");
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
    sender_rescan(rig.sender);
    test_loop_run_for(&w.probe.t, 300);
    assert_string_equal(rig.said, "foo:hello ");
}

static void a_channel_has_one_send_under_way_and_the_next_waits_for_its_slot(void **state)
{
    (void)state;
    set("channel_message_ms,700");
    outbox_heard("channel foo id x text one");
    outbox_heard("channel foo id y text two");
    wait_until(&w.probe.t, rig.writes == 1);
    test_loop_run_for(&w.probe.t, 300);
    assert_int_equal(rig.writes, 1);
    answer(SEND_SENT, "");
    wait_until(&w.probe.t, rig.writes == 2);
    assert_string_equal(rig.said, "foo:one foo:two ");
    assert_in_range(rig.wrote_ms[1] - rig.wrote_ms[0], 690, 1200);
    answer(SEND_SENT, "");
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
    assert_string_equal(result("y", "status"), "sent");
}

static void an_outbox_in_which_nothing_is_costs_no_step(void **state)
{
    (void)state;
    sender_serve_unjoined(rig.sender, SLICE("main-shard")); /* then it looks by itself */
    test_loop_run_for(&w.probe.t, 300);
    world_ask(&w, "CONFIG RESETSTAT");
    test_loop_run_for(&w.probe.t, 2500);
    assert_int_equal(world_calls(&w, "fcall"), 0);
    assert_in_range(world_calls(&w, "xlen"), 1, 4);
    world_ask(&w, "XADD shoal:{t}:outbox * channel foo id x text hello");
    wait_until(&w.probe.t, rig.writes == 1);
    answer(SEND_SENT, "");
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
    world_ask(&w, "CONFIG RESETSTAT");
    test_loop_run_for(&w.probe.t, 500);
    assert_in_range(world_calls(&w, "xlen"), 8, 21); /* where there was one, there are others */

    world_ask(&w, "SET shoal:{t}:outbox no-stream");
    wait_until(&w.probe.t, strcmp(world_ask(&w, "TYPE shoal:{t}:outbox"), "none") == 0);
}

/* Whoever may publish there may send any. */
static void hints_without_end_do_not_hold_up_the_node(void **state)
{
    (void)state;
    static char hint[1200000];
    size_t len = 0;
    uint64_t began = mono_ms();

    len += (size_t)snprintf(hint, sizeof(hint), "sends");
    for (unsigned i = 40000; i > 0; i--) {
        len += (size_t)snprintf(hint + len, sizeof(hint) - len, " foo %u-1", i);
    }
    assert_true(sender_on_hint(rig.sender, (struct slice){hint, len}));
    assert_in_range(mono_ms() - began, 0, 2000);
}

static void a_slot_that_was_missed_is_not_used(void **state)
{
    (void)state;
    set("channel_message_ms,off");
    set("message_limit,1");
    set("message_window_ms,700");
    outbox_heard("channel foo id x text one");
    wait_until(&w.probe.t, rig.writes == 1);
    answer(SEND_SENT, "");
    outbox_heard("channel foo id y text two");
    wait_until(&w.probe.t, is_claimed("foo"));
    uv_sleep(1300); /* the process stands still until its slot is over */
    test_loop_run_for(&w.probe.t, 20);
    assert_int_equal(rig.writes, 1);
    wait_until(&w.probe.t, rig.writes == 2); /* with another slot */
    answer(SEND_SENT, "");
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
}

static void a_slot_that_was_told_late_is_not_used(void **state)
{
    char hint[64];

    (void)state;
    const char *entry = outbox("channel foo id x text hello");
    world_take(&w);
    private_redis_pause(redis); /* as if this process stood still before it reads the answer */
    (void)snprintf(hint, sizeof(hint), "sends foo %s", entry);
    assert_true(sender_on_hint(rig.sender, slice_of(hint)));
    test_loop_run_for(&w.probe.t, 600);
    private_redis_resume(redis);
    test_loop_run_for(&w.probe.t, 100);
    assert_int_equal(rig.writes, 0);
    wait_until(&w.probe.t, rig.writes == 1); /* with another slot */
    answer(SEND_SENT, "");
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
    assert_string_equal(result("x", "status"), "sent");
}

static void what_could_not_be_written_is_taken_back_and_said_later(void **state)
{
    (void)state;
    rig.refuse = -ERR_DOWN;
    outbox_heard("channel foo id x text hello");
    wait_until(&w.probe.t, rig.writes == 1);
    rig.can_send = false;
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
    assert_string_equal(world_ask(&w, "HLEN shoal:{t}:claims"), "0");
    assert_string_equal(result("x", "status"), "");
    assert_string_equal(world_ask(&w, "XLEN shoal:{t}:outbox"), "1");
    test_loop_run_for(&w.probe.t, 600);
    assert_int_equal(rig.writes, 1); /* no slot is drawn in vain */

    rig.refuse = 0;
    rig.can_send = true;
    wait_until(&w.probe.t, rig.writes == 2);
    assert_string_equal(rig.said, "foo:hello ");
    answer(SEND_SENT, "");
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
}

static void what_can_never_be_written_is_rejected(void **state)
{
    (void)state;
    rig.refuse = -ERR_PROTOCOL;
    outbox_heard("channel foo id x text hello");
    wait_until(&w.probe.t, rig.writes == 1);
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
    assert_string_equal(result("x", "status"), "rejected");
    assert_string_equal(result("x", "reason"), "bad_request");
}

static void on_id(void *ctx, const struct redisReply *reply, const struct err *err)
{
    assert_null(err);
    *(long long *)ctx = reply->integer;
}

static void a_result_is_stored_when_the_link_is_back(void **state)
{
    long long id = 0;

    (void)state;
    outbox_heard("channel foo id x text hello");
    wait_until(&w.probe.t, rig.writes == 1);
    assert_int_equal(link_command(rig.link, on_id, &id, "CLIENT ID"), 0);
    wait_until(&w.probe.t, id != 0);
    world_ask(&w, "CLIENT KILL ID %lld", id);
    answer(SEND_SENT, "");
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
    assert_string_equal(result("x", "status"), "sent");
    assert_int_equal(rig.writes, 1);
}

static void a_claim_nobody_here_knows_of_is_taken_back(void **state)
{
    (void)state;
    rig.can_send = false;
    const char *entry = outbox_heard("channel foo id x text hello");
    /* Carried out by Redis after this node had given it up. */
    assert_string_equal(world_claim(&w, &n1, entry), "claimed");
    rig.can_send = true;
    wait_until(&w.probe.t, rig.writes == 1);
    answer(SEND_SENT, "");
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
    assert_string_equal(result("x", "status"), "sent");
}

static void a_claim_whose_answer_was_lost_is_made_again(void **state)
{
    (void)state;
    private_redis_pause(redis);
    assert_true(sender_on_hint(rig.sender, SLICE("sends foo 1-1")));
    test_loop_run_for(&w.probe.t, 50);
    link_reset(rig.link, "the test wants it");
    test_loop_run_for(&w.probe.t, 50);
    private_redis_resume(redis);
    assert_false(sender_is_drained(rig.sender));
    wait_until(&w.probe.t, sender_is_drained(rig.sender)); /* the entry is not there */
    outbox_heard("channel foo id x text hello");
    wait_until(&w.probe.t, rig.writes == 1);
    answer(SEND_SENT, "");
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
}

static void sends_of_a_channel_that_moved_away_are_forgotten_and_found_again(void **state)
{
    (void)state;
    rig.can_send = false;
    outbox_heard("channel foo id x text hello");
    test_loop_run_for(&w.probe.t, 300);
    sender_keep(rig.sender, NULL, 0);
    test_loop_run_for(&w.probe.t, 400);
    unsigned before = rig.looks;
    test_loop_run_for(&w.probe.t, 600);
    assert_int_equal(rig.looks, before);
    assert_string_equal(world_ask(&w, "PUBLISH shoal:t:send:foo lost"), "0");

    rig.can_send = true;
    serve_foo();
    wait_until(&w.probe.t, rig.writes == 1);
    assert_string_equal(rig.said, "foo:hello ");
    answer(SEND_SENT, "");
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
}

static void what_was_written_is_answered_though_its_channel_moved_away(void **state)
{
    (void)state;
    outbox_heard("channel foo id x text hello");
    wait_until(&w.probe.t, rig.writes == 1);
    sender_keep(rig.sender, NULL, 0);
    answer(SEND_UNKNOWN, "connection_lost");
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
    assert_string_equal(result("x", "status"), "unknown");
}

static void a_long_outbox_is_said_in_its_order_without_being_known_at_once(void **state)
{
    (void)state;
    set("channel_message_ms,off");
    set("message_limit,off");
    set("message_mod_limit,off");
    set("channel_send_queue,500");
    rig.count_up = true;
    world_eval(&w,
               "for i = 1, 500 do redis.call('XADD', KEYS[1] .. ':outbox', '*', "
               "'channel', 'foo', 'text', tostring(i)) end return ''",
               "");
    sender_rescan(rig.sender);
    wait_until(&w.probe.t, rig.writes == 500);
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
    assert_string_equal(world_ask(&w, "XLEN shoal:{t}:outbox"), "0");
}

static void a_reset_forgets_everything_and_answers_to_before_are_none(void **state)
{
    (void)state;
    outbox_heard("channel foo id x text one");
    wait_until(&w.probe.t, rig.writes == 1);
    outbox_heard("channel foo id y text two");
    test_loop_run_for(&w.probe.t, 100);
    sender_reset(rig.sender);
    assert_true(sender_is_drained(rig.sender));
    answer(SEND_SENT, "");
    test_loop_run_for(&w.probe.t, 300);
    assert_true(is_claimed("foo"));
    assert_string_equal(world_ask(&w, "PUBLISH shoal:t:send:foo lost"), "0");
    assert_int_equal(rig.writes, 1);

    /* The node is registered anew. */
    n1.link_id = 1003;
    random_hex(n1.incarnation, 16);
    assert_string_equal(world_register(&w, &n1, 1002), "current");
    assert_string_equal(result("x", "status"), "unknown");
    serve_foo();
    wait_until(&w.probe.t, rig.writes == 2);
    assert_string_equal(rig.said, "foo:one foo:two ");
    answer(SEND_SENT, "");
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_sender, finish_sender)
    const struct CMUnitTest tests[] = {
        TEST(a_send_is_written_once_and_its_result_stored),
        TEST(what_twitch_refuses_is_told_with_its_reason),
        TEST(what_is_heard_on_the_topic_and_read_in_the_stream_is_said_once),
        TEST(a_channel_has_one_send_under_way_and_the_next_waits_for_its_slot),
        TEST(an_outbox_in_which_nothing_is_costs_no_step),
        TEST(hints_without_end_do_not_hold_up_the_node),
        TEST(a_slot_that_was_missed_is_not_used),
        TEST(a_slot_that_was_told_late_is_not_used),
        TEST(what_could_not_be_written_is_taken_back_and_said_later),
        TEST(what_can_never_be_written_is_rejected),
        TEST(a_result_is_stored_when_the_link_is_back),
        TEST(a_claim_nobody_here_knows_of_is_taken_back),
        TEST(a_claim_whose_answer_was_lost_is_made_again),
        TEST(sends_of_a_channel_that_moved_away_are_forgotten_and_found_again),
        TEST(what_was_written_is_answered_though_its_channel_moved_away),
        TEST(a_long_outbox_is_said_in_its_order_without_being_known_at_once),
        TEST(a_reset_forgets_everything_and_answers_to_before_are_none),
    };
    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
