/* Sender: topics it listens on, and what it hears there or past its lease, against a real Redis. */
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

static void serve(const char *id, const char *first, const char *second)
{
    struct slice names[] = {slice_of(first), slice_of(second)};
    struct registry_shard shard = {.id = slice_of(id),
                                   .sender = SLICE("main-shard"),
                                   .nchannels = second[0] != '\0' ? 2 : 1,
                                   .channels = names};

    sender_serve(rig.sender, &shard);
}

static const char *listeners(const char *channel)
{
    return world_eval(
        &w, "return redis.call('PUBSUB', 'NUMSUB', 'shoal:t:send:' .. ARGV[1])[2] .. ''", channel);
}

static void becomes_served(const char *channel, bool served)
{
    wait_until(&w.probe.t, strcmp(listeners(channel), served ? "1" : "0") == 0);
}

static void topics_follow_the_shards_that_are_served(void **state)
{
    struct slice other = SLICE("other");

    (void)state;
    rig.can_send = false;
    serve("main-shard", "foo", "bar");
    becomes_served("foo", true);
    becomes_served("bar", true);
    serve("main-shard", "bar", "bar");
    becomes_served("foo", false);
    becomes_served("bar", true);
    serve("other", "bar", "baz"); /* it moved to another shard */
    serve("main-shard", "foo", "");
    becomes_served("foo", true);
    becomes_served("bar", true);
    sender_keep(rig.sender, &other, 1);
    becomes_served("foo", false);
    becomes_served("bar", true);
    becomes_served("baz", true);
    sender_keep(rig.sender, NULL, 0);
    becomes_served("bar", false);
}

static void channels_nobody_joined_are_the_default_senders(void **state)
{
    (void)state;
    outbox_heard("channel bar id x text hello");
    test_loop_run_for(&w.probe.t, 300);
    assert_int_equal(rig.writes, 0);
    sender_serve_unjoined(rig.sender, SLICE("main-shard"));
    wait_until(&w.probe.t, rig.writes == 1);
    assert_string_equal(rig.said, "bar:hello ");
    answer(SEND_SENT, "");
    outbox_heard("channel not-a-channel id y text hello");
    wait_until(&w.probe.t,
               strcmp(world_ask(&w, "HGET shoal:{t}:result::y status"), "rejected") == 0);
}

static void past_the_lease_nothing_is_entered_claimed_or_written(void **state)
{
    (void)state;
    rig.may_act = false;
    world_ask(&w, "PUBLISH shoal:t:send:foo lost");
    outbox_heard("channel foo id x text hello");
    test_loop_run_for(&w.probe.t, 600);
    assert_string_equal(world_ask(&w, "XLEN shoal:{t}:outbox"), "1");
    assert_string_equal(result("x", "status"), "");
    rig.may_act = true;
    wait_until(&w.probe.t, rig.writes == 1);
    answer(SEND_SENT, "");
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
}

static void hear(const char *payload)
{
    assert_true(sender_on_message(rig.sender, SLICE("shoal:t:send:foo"), slice_of(payload)));
}

/* Ask Redis while the loop of the test stands still: what was written to it before was carried out. A number, where
 * that is its answer. */
static long long ask_at_once(const char *command)
{
    redisContext *c = redisConnect("127.0.0.1", private_redis_port(redis));

    freeReplyObject(redisCommand(c, "PING"));
    redisReply *reply = redisCommand(c, command);
    long long number = reply->integer;
    freeReplyObject(reply);
    redisFree(c);
    return number;
}

static void an_entry_that_comes_while_others_are_taken_is_taken_at_once(void **state)
{
    (void)state;
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
    private_redis_pause(redis);
    sender_rescan(rig.sender);
    test_loop_run_for(&w.probe.t, 50);
    private_redis_resume(redis);
    ask_at_once("XADD shoal:{t}:outbox * channel foo id x text hello");
    uint64_t began = mono_ms();
    sender_rescan(rig.sender); /* that answer, which is on its way, does not know of it */
    wait_until(&w.probe.t, rig.writes == 1);
    assert_in_range(mono_ms() - began, 0, 5000); /* not at the next rescan */
    answer(SEND_SENT, "");
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
}

static void an_answer_that_is_read_past_the_lease_makes_nobody_listen(void **state)
{
    (void)state;
    rig.can_send = false;
    private_redis_pause(redis);
    serve("main-shard", "foo", "bar");
    test_loop_run_for(&w.probe.t, 50);
    rig.may_act = false; /* it stood still, and another took over meanwhile */
    private_redis_resume(redis);
    test_loop_run_for(&w.probe.t, 300);
    assert_string_equal(world_ask(&w, "PUBLISH shoal:t:send:bar x"), "0");
    rig.may_act = true;
    wait_until(&w.probe.t, strcmp(world_ask(&w, "PUBLISH shoal:t:send:bar x"), "1") == 0);
}

/* It was told that it may listen, stood still before it did, and is gone by now. */
static void who_could_yet_begin_to_listen_is_killed_before_another_begins(void **state)
{
    redisContext *ghost = redisConnect("127.0.0.1", private_redis_port(redis));
    redisReply *id = redisCommand(ghost, "CLIENT ID");
    char command[64];
    char text[24];

    (void)state;
    rig.can_send = false;
    snprintf(text, sizeof(text), "%lld", id->integer);
    snprintf(command, sizeof(command), "CLIENT LIST ID %s", text);
    freeReplyObject(redisCommand(ghost, "SUBSCRIBE shoal:t:node:ghost"));
    world_eval(&w,
               "local run_id = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') "
               "redis.call('HSET', 'shoal:{t}:listeners', ' ', run_id, 'ghost', ARGV[1]) return ''",
               text);
    serve("main-shard", "foo", "bar");
    becomes_served("bar", true);
    assert_string_equal(world_ask(&w, "%s", command), "");
    freeReplyObject(id);
    redisFree(ghost);
}

static void what_is_heard_past_the_lease_is_entered_when_it_holds_again(void **state)
{
    (void)state;
    rig.may_act = false;
    hear("{\"text\":\"hello\",\"id\":\"x\"}");
    test_loop_run_for(&w.probe.t, 400);
    assert_false(sender_is_drained(rig.sender));
    assert_string_equal(world_ask(&w, "XLEN shoal:{t}:outbox"), "0");
    rig.may_act = true;
    wait_until(&w.probe.t, rig.writes == 1);
    answer(SEND_SENT, "");
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
    assert_string_equal(result("x", "status"), "sent");
}

static void a_send_whose_entering_was_not_answered_is_entered_once(void **state)
{
    (void)state;
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
    private_redis_pause(redis);
    hear("hello"); /* without an id nothing but its number tells it apart */
    test_loop_run_for(&w.probe.t, 50);
    private_redis_resume(redis);
    assert_int_equal(ask_at_once("XLEN shoal:{t}:outbox"), 1);
    link_reset(rig.link, "the test wants it"); /* the answer is on its way */
    wait_until(&w.probe.t, rig.writes == 1);
    answer(SEND_SENT, "");
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
    test_loop_run_for(&w.probe.t, 600);
    assert_string_equal(rig.said, "foo:hello ");
    assert_string_equal(world_ask(&w, "XLEN shoal:{t}:outbox"), "0");
}

static void more_than_can_be_held_is_refused_and_what_is_held_is_said(void **state)
{
    (void)state;
    set("channel_message_ms,off");
    set("message_limit,off");
    set("message_mod_limit,off");
    rig.count_up = true;
    rig.may_act = false;
    for (unsigned i = 1; i <= 201; i++) {
        char text[16];
        snprintf(text, sizeof(text), "%u", i);
        hear(text);
    }
    rig.may_act = true;
    wait_until(&w.probe.t, rig.writes == 200);
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
    assert_int_equal(rig.writes, 200);
}

static void who_leaves_enters_what_was_heard_first(void **state)
{
    (void)state;
    rig.may_act = false;
    hear("hello");
    sender_drain(rig.sender);
    test_loop_run_for(&w.probe.t, 300);
    assert_false(sender_is_drained(rig.sender));
    assert_string_equal(world_ask(&w, "PUBLISH shoal:t:send:foo late"), "0");
    rig.may_act = true;
    wait_until(&w.probe.t, rig.writes == 1);
    answer(SEND_SENT, "");
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
}

static void who_has_stopped_touches_nothing(void **state)
{
    (void)state;
    hear("hello");
    wait_until(&w.probe.t, rig.writes == 1);
    sender_on_topics_down(rig.sender); /* it listens again, after a moment */
    stop_sender();
    test_loop_run_for(&w.probe.t, 600); /* link and subscriber are gone */
    assert_int_equal(rig.writes, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_sender, finish_sender)
    const struct CMUnitTest tests[] = {
        TEST(topics_follow_the_shards_that_are_served),
        TEST(channels_nobody_joined_are_the_default_senders),
        TEST(past_the_lease_nothing_is_entered_claimed_or_written),
        TEST(an_entry_that_comes_while_others_are_taken_is_taken_at_once),
        TEST(an_answer_that_is_read_past_the_lease_makes_nobody_listen),
        TEST(who_could_yet_begin_to_listen_is_killed_before_another_begins),
        TEST(what_is_heard_past_the_lease_is_entered_when_it_holds_again),
        TEST(a_send_whose_entering_was_not_answered_is_entered_once),
        TEST(more_than_can_be_held_is_refused_and_what_is_held_is_said),
        TEST(who_leaves_enters_what_was_heard_first),
        TEST(who_has_stopped_touches_nothing),
    };
    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
