/* Registry: Redis has forgotten what it had answered, and nodes state it again, against a real Redis. */
#include "shared/redis/registry.h"

#include "tests/lib/registry_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static struct world w;
static struct registry_leader me;
static struct world_node n1;
static struct world_node n2;

/* Two nodes; foo is on n1's main-shard, which says what goes there. */
static int begin(void **state)
{
    (void)state;
    world_begin(&w, &me, &n1, 10);
    assert_string_equal(world_configure(&w, &me, "", "", "set", "user,bot"), "done");
    world_node(&n1, "n1", 1002, 10, "bot");
    world_register(&w, &n1, 1001);
    world_node(&n2, "n2", 1003, 0, "bot");
    world_register(&w, &n2, 0);
    world_add_shard(&w, &me, "main-shard", "bot", "");
    world_assign(&w, &me, "", "", "join", "foo");
    return 0;
}

static int finish(void **state)
{
    (void)state;
    assert_string_equal(world_broken(&w, 1000000, 1000000), "");
    world_finish(&w);
    return 0;
}

/* Redis was restarted: what is in it was written by another server. */
static void restart(void)
{
    world_ask(&w, "HSET shoal:{t}:clock run_id another");
}

static const char *outbox(const char *id)
{
    static char entries[8][64];
    static unsigned next;
    char *entry = entries[next++ % 8];
    snprintf(entry, 64, "%s",
             world_ask(&w, "XADD shoal:{t}:outbox * id %s channel foo text x", id));
    return entry;
}

static const char *status(const char *id)
{
    return world_ask(&w, "HGET shoal:{t}:result:foo:%s status", id);
}

/* A node's report of one send. */
static const char *of_send(const char *entry, const char *id, const char *what, int told)
{
    static char report[512];
    snprintf(report, sizeof(report),
             "{\"sends\":[{\"entry\":\"%s\",\"channel\":\"foo\",\"status\":\"%s\",\"id\":\"%s\","
             "\"shard\":\"main-shard\",\"ago_ms\":100,\"wait_ms\":0,\"reason\":\"\",\"text\":\"\","
             "\"message_id\":\"m\",\"told\":%d}]}",
             entry, what, id, told);
    return report;
}

static void restated(void)
{
    assert_string_equal(world_restate(&w, &n1, 0, "{}"), "done");
    assert_string_equal(world_restate(&w, &n2, 0, "{}"), "done");
}

static void nothing_is_claimed_drawn_or_settled_until_all_nodes_have_restated(void **state)
{
    (void)state;
    const char *entry = outbox("a");
    assert_string_equal(world_claim(&w, &n1, entry), "claimed");
    const char *next = outbox("b");
    restart();
    assert_string_equal(world_renew(&w, &n1, ""), "current");
    assert_true(w.picture.must_restate);

    assert_string_equal(world_done(&w, &n1, entry, SEND_SENT),
                        "ERROR"); /* it may not be known yet */
    assert_string_equal(world_claim(&w, &n1, next), "later");
    world_draw(&w, &n1, "bot", "join", 3);
    assert_int_equal(w.nwaits, 0);
    assert_string_equal(world_restate(&w, &n1, 0, "{}"), "done");
    assert_string_equal(world_done(&w, &n1, entry, SEND_SENT), "done");
    assert_string_equal(world_claim(&w, &n1, next), "later");
    world_renew(&w, &n1, "");
    assert_false(w.picture.must_restate);
    assert_string_equal(world_restate(&w, &n2, 0, "{}"), "done");

    world_draw(&w, &n1, "bot", "join", 3);
    assert_int_equal(w.nwaits, 3);
    assert_string_not_equal(world_claim(&w, &n1, next), "ERROR");
}

static void a_node_that_says_nothing_is_waited_for_two_leases_at_most(void **state)
{
    (void)state;
    assert_string_equal(world_configure(&w, &me, "", "", "set", "lease_ms,300"), "done");
    restart();
    world_renew(&w, &n1, "");
    assert_string_equal(world_restate(&w, &n1, 0, "{}"), "done");
    world_draw(&w, &n1, "bot", "join", 1);
    assert_int_equal(w.nwaits, 0);

    test_loop_run_for(&w.probe.t, 650);

    world_draw(&w, &n1, "bot", "join", 1);
    assert_int_equal(w.nwaits, 1);
}

static void others_have_the_time_to_come_back_where_redis_went_back(void **state)
{
    (void)state;
    restart();
    world_renew(&w, &n1, "");
    assert_string_equal(world_restate(&w, &n1, 5000, "{}"), "done");
    assert_string_equal(world_restate(&w, &n2, 5000, "{}"), "done");

    world_draw(&w, &n1, "bot", "join", 1);

    assert_int_equal(w.nwaits, 0);
}

static void what_was_said_is_not_said_again_and_its_result_not_told_again(void **state)
{
    (void)state;
    const char *entry = outbox("a");
    world_take(&w);
    restart();
    world_renew(&w, &n1, "");

    assert_string_equal(world_restate(&w, &n1, 0, of_send(entry, "a", "sent", 1)), "done");
    restated();

    assert_string_equal(status("a"), "sent");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:result:foo:a message_id"), "m");
    assert_string_equal(world_claim(&w, &n1, entry), "gone");
    assert_string_equal(world_ask(&w, "XLEN shoal:{t}:outbox"), "0");
    assert_string_equal(world_ask(&w, "ZCARD shoal:{t}:sends"), "0");
}

static void a_claim_that_was_forgotten_is_known_again_and_gets_its_result(void **state)
{
    (void)state;
    const char *entry = outbox("a");
    restart();
    world_renew(&w, &n1, "");

    assert_string_equal(world_restate(&w, &n1, 0, of_send(entry, "a", "claimed", 1)), "done");
    restated();

    assert_string_equal(world_claim(&w, &n1, entry), "busy");
    assert_string_equal(world_done(&w, &n1, entry, SEND_SENT), "done");
    assert_string_equal(status("a"), "sent");
    /* And of one whose entry is forgotten as well. */
    restart();
    world_renew(&w, &n1, "");
    assert_string_equal(world_restate(&w, &n1, 0, of_send("5-5", "b", "claimed", 1)), "done");
    restated();
    assert_string_equal(world_done(&w, &n1, "5-5", SEND_UNKNOWN), "done");
    assert_string_equal(status("b"), "unknown");
}

static void a_claim_that_is_over_does_not_hold_up_its_channel(void **state)
{
    (void)state;
    world_ask(&w, "HSET shoal:{t}:config channel_message_ms off");
    static const char *const words[] = {"sent", "unclaimed"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        const char *entry = outbox(words[i]);
        assert_string_equal(world_claim(&w, &n1, entry), "claimed");
        const char *next = outbox("next");
        restart();
        world_renew(&w, &n1, "");
        assert_string_equal(world_restate(&w, &n1, 0, of_send(entry, words[i], words[i], 1)),
                            "done");
        restated();
        assert_string_equal(world_claim(&w, &n1, i == 0 ? next : entry), "claimed");
        assert_string_equal(world_done(&w, &n1, i == 0 ? next : entry, SEND_SENT), "done");
    }
}

static void a_part_that_was_said_is_not_said_again_though_redis_forgot_it(void **state)
{
    (void)state;
    world_ask(&w, "HSET shoal:{t}:config channel_message_ms off");
    char entry[64];
    char report[512];
    snprintf(entry, sizeof(entry), "%s",
             world_ask(&w, "XADD shoal:{t}:outbox * id a channel foo text x split 1"));
    for (int i = 0; i < 2; i++) {
        restart();
        world_renew(&w, &n1, "");
        snprintf(report, sizeof(report),
                 "{\"sends\":[{\"entry\":\"%s\",\"channel\":\"foo\",\"status\":\"unclaimed\","
                 "\"parts\":\"%d/3\",\"told\":1}]}",
                 entry, 2 - i);
        assert_string_equal(world_restate(&w, &n1, 0, report), "done");
        restated();
        assert_string_equal(world_claim(&w, &n1, entry), "claimed");
        assert_int_equal(w.claim.parts_said, 2);
        world_unclaim(&w, &n1, entry);
    }
}

/* As if Redis was started anew, with all that it had then. */
static void written_down_until_5s_ago(void)
{
    world_eval(
        &w,
        "local time = redis.call('TIME') local now = time[1] * 1000 + math.floor(time[2] / 1000) "
        "redis.call('HSET', 'shoal:{t}:clock', 'run_id', 'x', 'seen', now - 5000) "
        "for _, node in ipairs(redis.call('ZRANGE', 'shoal:{t}:nodes', 0, -1)) do "
        "redis.call('HSET', 'shoal:{t}:node:' .. node, 'renewed', now - 5000) end return ''",
        "");
}

static void slots_that_redis_forgot_are_used_and_those_it_knows_are_not_counted_twice(void **state)
{
    (void)state;
    assert_string_equal(world_configure(&w, &me, "", "", "set", "join_limit,5"), "done");
    assert_string_equal(world_configure(&w, &me, "", "", "set", "connect_burst,3"), "done");
    world_draw(&w, &n1, "bot", "join", 2);
    written_down_until_5s_ago();
    world_renew(&w, &n1, "");

    static const char report[] =
        "{\"draws\":[{\"user\":\"bot\",\"kind\":\"join\",\"ago_ms\":7000,\"wait_ms\":0},"
        "{\"user\":\"bot\",\"kind\":\"join\",\"ago_ms\":2000,\"wait_ms\":0},"
        "{\"user\":\"bot\",\"kind\":\"join\",\"ago_ms\":2000,\"wait_ms\":1000},"
        "{\"user\":\"bot\",\"kind\":\"login\",\"ago_ms\":100,\"wait_ms\":0},"
        "{\"user\":\"bot\",\"kind\":\"login\",\"ago_ms\":100,\"wait_ms\":0},"
        "{\"user\":\"#\",\"kind\":7},3]}";
    assert_string_equal(world_restate(&w, &n1, 0, report), "done");
    restated();

    world_draw(&w, &n1, "bot", "join", 2);
    assert_int_equal(w.nwaits, 2);
    assert_int_equal(w.waits[0], 0); /* 2 here, 2 restated */
    assert_in_range(w.waits[1], 8000, 11000);
    world_draw(&w, &n1, "bot", "login", 2);
    assert_int_equal(w.waits[0], 0);
    assert_in_range(w.waits[1], 1000, 2000); /* a burst of three */
}

static void what_a_channel_said_counts_where_redis_forgot_it(void **state)
{
    static const char report[] =
        "{\"sends\":["
        "{\"entry\":\"5-1\",\"channel\":\"foo\",\"status\":\"sent\",\"id\":\"a\",\"shard\":"
        "\"main-shard\",\"ago_ms\":3000,\"wait_ms\":0},"
        "{\"entry\":\"5-2\",\"channel\":\"foo\",\"status\":\"sent\",\"id\":\"b\",\"shard\":"
        "\"main-shard\",\"ago_ms\":2000,\"wait_ms\":1000},"
        "{\"entry\":\"5-3\",\"channel\":\"foo\",\"status\":\"sent\",\"id\":\"c\",\"shard\":"
        "\"main-shard\",\"ago_ms\":100,\"wait_ms\":0}]}";

    (void)state;
    world_assign(&w, &me, "", "", "join", "bar");
    written_down_until_5s_ago();
    world_renew(&w, &n1, "");
    assert_string_equal(world_restate(&w, &n1, 0, report), "done");
    restated();

    const char *entry = outbox("d");
    assert_string_equal(world_claim(&w, &n1, entry), "later");
    assert_in_range(w.claim.wait_ms, 800, 1200); /* its pace */
    assert_string_equal(world_configure(&w, &me, "", "", "set", "channel_message_ms,off"), "done");
    assert_string_equal(world_configure(&w, &me, "", "", "set", "message_limit,5"), "done");
    assert_string_equal(world_claim(&w, &n1, outbox("e")), "later"); /* its share: 3 of 5 */
    assert_int_equal(w.claim.held_by, HELD_BY_CHANNEL);
    assert_in_range(w.claim.wait_ms, 25000, 31000);
}

static void odd_reports_are_refused_or_passed_over(void **state)
{
    (void)state;
    restart();
    world_renew(&w, &n1, "");
    assert_string_equal(world_restate(&w, &n1, 0, "{"), "ERROR");
    assert_string_equal(world_restate(&w, &n1, 0, "7"), "ERROR");
    assert_string_equal(
        world_restate(&w, &n1, 0,
                      "{\"sends\":[7,{},{\"entry\":\"x\"},{\"entry\":\"1-1\",\"channel\":\"foo\","
                      "\"status\":\"sent\",\"id\":{}}],\"draws\":{\"a\":1}}"),
        "done");
    world_node(&n2, "n2", 1003, 0, "bot");
    assert_string_equal(world_restate(&w, &n2, 0, "{}"), "LOST");
}

#define T(name) cmocka_unit_test_setup_teardown(name, begin, finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(nothing_is_claimed_drawn_or_settled_until_all_nodes_have_restated),
        T(a_node_that_says_nothing_is_waited_for_two_leases_at_most),
        T(others_have_the_time_to_come_back_where_redis_went_back),
        T(what_was_said_is_not_said_again_and_its_result_not_told_again),
        T(a_part_that_was_said_is_not_said_again_though_redis_forgot_it),
        T(a_claim_that_was_forgotten_is_known_again_and_gets_its_result),
        T(a_claim_that_is_over_does_not_hold_up_its_channel),
        T(slots_that_redis_forgot_are_used_and_those_it_knows_are_not_counted_twice),
        T(what_a_channel_said_counts_where_redis_forgot_it),
        T(odd_reports_are_refused_or_passed_over),
    };

    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
