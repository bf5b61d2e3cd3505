/* Registry: since when a channel is not read, whoever dies meanwhile, against a real Redis. */
#include "shared/redis/registry.h"

#include "tests/lib/registry_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define CHANNEL(name, rest) "\"" name "\":{\"shard\":\"main-shard\"," rest "}"
#define JOINED(name)        CHANNEL(name, "\"state\":\"joined\"")
#define QUEUED(name, ms)    CHANNEL(name, "\"state\":\"queued\",\"unread_ms\":" ms)
#define REPORT(channels)    "{\"channels\":{" channels "}}"
#define SILENT(ms)          "{\"shards\":{\"main-shard\":{\"epoch\":1,\"silent_ms\":" ms "}}"
#define JOINED_ABC          "\"channels\":{" JOINED("a") "," JOINED("b") "," JOINED("c") "}"

/* A leader, and a node with a shard that holds a, b and c. */
static int begin_with_abc(void **state)
{
    (void)state;
    world_begin(&w, &me, &n1, 10);
    world_add_shard(&w, &me, "main-shard", "anonymous", "");
    world_assign(&w, &me, "", "", "join", "a,b,c");
    return 0;
}

/* What the node is told when it asks for everything. */
static const char *unread(struct world_node *n)
{
    n->seen = -1;
    assert_string_equal(world_renew(&w, n, ""), "current");
    return w.unread;
}

static void report(struct world_node *n, const char *text)
{
    assert_string_equal(world_renew(&w, n, text), "current");
}

/* Beside the times below, a second: so long may a connection be silent before that is reported. */

/* As if the node had renewed so many ms ago, and so many before that. */
static void renewed_ago(const struct world_node *n, unsigned ms)
{
    char argument[100];

    snprintf(argument, sizeof(argument), "%s %u", n->name, ms);
    world_eval(&w,
               "local node, ms = string.match(ARGV[1], '(%S+) (%d+)') "
               "local time = redis.call('TIME') "
               "local at = time[1] * 1000 + math.floor(time[2] / 1000) - ms "
               "redis.call('HSET', KEYS[1] .. ':node:' .. node, 'renewed', at, 'read_until', at) "
               "return ''",
               argument);
}

/* Another process takes over the node id. */
static void take_over(struct world_node *n)
{
    struct world_node newcomer;

    world_node(&newcomer, n->name, n->link_id + 1, 10, "anonymous");
    assert_string_equal(world_register(&w, &newcomer, n->link_id), "current");
    *n = newcomer;
}

static void a_channel_is_read_from_its_join_until_its_node_says_otherwise(void **state)
{
    (void)state;
    assert_string_equal(unread(&n1), "a:-1 b:-1 c:-1");
    report(&n1, REPORT(JOINED("a") "," JOINED("b")));
    assert_string_equal(unread(&n1), "a:0 b:0 c:-1");
    report(&n1, REPORT(QUEUED("b", "20000")));
    assert_string_equal(unread(&n1), "a:0 b:20 c:-1");
    report(&n1, REPORT(JOINED("b")));
    assert_string_equal(unread(&n1), "a:0 b:0 c:-1");
}

static void whoever_reads_them_next_is_told_first_of_those_with_lines_lately(void **state)
{
    struct world_node n2;

    (void)state;
    report(&n1, "{\"active\":[\"c\",\"never-wanted\"]," JOINED_ABC "}");
    test_loop_run_for(&w.probe.t, 3);
    report(&n1, "{\"active\":[\"b\"]}");
    world_node(&n2, "n2", 2001, 5, "anonymous");
    world_register(&w, &n2, 0);
    world_end_lease(&w, &n1);
    assert_string_equal(world_expire(&w, &me, "n1", n1.link_id), "expired");
    unread(&n2);
    assert_string_equal(w.order, "b c a");
    world_release(&w, &me, "", "", "part", "b");
    assert_string_equal(world_ask(&w, "ZSCORE shoal:{t}:active b"), "");
}

static void when_a_node_dies_its_last_renewals_say_up_to_when_it_read(void **state)
{
    struct world_node n2;

    (void)state;
    report(&n1, REPORT(JOINED("a") "," QUEUED("b", "20000")));
    renewed_ago(&n1, 5000);
    world_node(&n2, "n2", 2001, 5, "anonymous");
    world_register(&w, &n2, 0);
    world_end_lease(&w, &n1);
    assert_string_equal(world_expire(&w, &me, "n1", n1.link_id), "expired");
    assert_string_equal(unread(&n2), "a:6 b:20 c:-1");
}

static void whoever_takes_over_a_node_id_is_told_what_was_missed(void **state)
{
    (void)state;
    report(&n1, REPORT(JOINED("a")));
    renewed_ago(&n1, 5000);
    take_over(&n1);
    assert_string_equal(unread(&n1), "a:6 b:-1 c:-1");
    /* It dies before it has joined anything: nothing was read since. */
    take_over(&n1);
    assert_string_equal(unread(&n1), "a:6 b:-1 c:-1");
}

static void so_it_is_of_more_shards_than_one_step_takes_over(void **state)
{
    struct world_node n2;
    char shard[16];
    char channel[16];
    unsigned calls = 0;

    (void)state;
    set("max_shard_count,none");
    set("room_limit,off");
    world_node(&n2, "n2", 2001, 1000, "anonymous");
    world_register(&w, &n2, 0);
    for (unsigned i = 0; i < 250; i++) {
        snprintf(shard, sizeof(shard), "s%u", i);
        snprintf(channel, sizeof(channel), "x%u", i);
        assert_string_equal(world_add_shard(&w, &me, shard, "anonymous", channel), "added");
        world_ask(&w, "HSET shoal:{t}:shard:%s:read %s 99999999999999", shard, channel);
    }
    do {
        world_ask(&w, "FCALL shoal1_register 1 shoal:{t} n2 other 2002 run host 1 0 999 anonymous "
                      "2001 active");
        calls++;
    } while (strcmp(world_ask(&w, "HGET shoal:{t}:node:n2 incarnation"), "other") != 0);
    assert_int_equal(calls, 3);
    assert_string_equal(world_ask(&w, "ZCARD shoal:{t}:node:n2:shards"), "250");
    assert_string_equal(
        world_eval(&w,
                   "local n = 0 for i = 0, 249 do "
                   "local at = redis.call('HGET', KEYS[1] .. ':shard:s' .. i .. ':read', 'x' .. i) "
                   "local stop = redis.call('HGET', KEYS[1] .. ':shard:s' .. i, 'stop') "
                   "if stop or tonumber(at) < 9e13 then n = n + 1 end end return tostring(n)",
                   ""),
        "250");
}

static void a_node_that_leaves_tells_it_as_well(void **state)
{
    struct world_node n2;

    (void)state;
    world_node(&n2, "n2", 2001, 5, "anonymous");
    world_register(&w, &n2, 0);
    report(&n1, REPORT(JOINED("a")));
    renewed_ago(&n1, 3000);
    assert_string_equal(world_leave(&w, &n1), "done");
    assert_string_equal(unread(&n2), "a:4 b:-1 c:-1");
}

static void what_a_node_that_leaves_has_told_of_a_channel_is_exact(void **state)
{
    struct world_node n2;

    (void)state;
    world_node(&n2, "n2", 2001, 5, "anonymous");
    world_register(&w, &n2, 0);
    report(&n1, REPORT(JOINED("a") "," JOINED("b")));
    renewed_ago(&n1, 5000);
    report(&n1, REPORT(QUEUED("a", "2000")));
    assert_string_equal(world_leave(&w, &n1), "done");
    assert_string_equal(unread(&n2), "a:2 b:6 c:-1");
}

static void what_waits_to_be_fanned_out_is_not_read_yet(void **state)
{
    (void)state;
    report(&n1, REPORT(JOINED("a") "," QUEUED("b", "1000")));
    renewed_ago(&n1, 3000);
    report(&n1, "{\"waits_ms\":4000}");
    take_over(&n1);
    /* Nobody knows whether what was read of b before it was lost is among what waited. */
    assert_string_equal(unread(&n1), "a:8 b:8 c:-1");
}

static void of_a_silent_connection_nothing_is_known_since_its_last_line(void **state)
{
    (void)state;
    report(&n1, REPORT(JOINED("a")));
    report(&n1, SILENT("30000") "}");
    take_over(&n1);
    assert_string_equal(unread(&n1), "a:30 b:-1 c:-1");

    report(&n1, REPORT(JOINED("a")));
    report(&n1, SILENT("30000") "}");
    report(&n1, SILENT("0") "}");
    take_over(&n1);
    assert_string_equal(unread(&n1), "a:1 b:-1 c:-1");
}

static void what_a_node_tells_of_all_that_is_silent_counts_for_each(void **state)
{
    (void)state;
    report(&n1, REPORT(JOINED("a")));
    report(&n1, SILENT("30000") "}");
    report(&n1, "{\"quiet_ms\":12000}");
    take_over(&n1);
    assert_string_equal(unread(&n1), "a:12 b:-1 c:-1");

    /* It became silent after that was told. */
    report(&n1, "{\"quiet_ms\":20000," JOINED_ABC "}");
    report(&n1, SILENT("7000") "}");
    take_over(&n1);
    assert_string_equal(unread(&n1), "a:7 b:7 c:7");

    /* Of one that is not silent it says nothing, nor does what another process told. */
    report(&n1, "{\"quiet_ms\":20000," JOINED_ABC "}");
    take_over(&n1);
    assert_string_equal(unread(&n1), "a:1 b:1 c:1");
    report(&n1, SILENT("15000") "," JOINED_ABC "}");
    take_over(&n1);
    assert_string_equal(unread(&n1), "a:15 b:15 c:15");
}

static void that_a_connection_is_silent_says_nothing_else_of_its_shard(void **state)
{
    char changes[32];

    (void)state;
    report(&n1, "{\"shards\":{\"main-shard\":{\"epoch\":1,\"state\":\"ready\",\"login_refused\":1,"
                "\"lines_s\":7}}}");
    snprintf(changes, sizeof(changes), "%s", world_ask(&w, "HGET shoal:{t}:clock shards"));
    report(&n1, SILENT("30000") "}");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:clock shards"), changes);
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:shard:main-shard login_refused"), "1");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:shard:main-shard state"), "ready");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:shard:main-shard lines_s"), "7");
    assert_string_not_equal(world_ask(&w, "HGET shoal:{t}:shard:main-shard silent"), "");
}

/* Redis stood still while the report lay in its socket. */
static void a_report_that_is_read_late_tells_the_times_it_was_written_with(void **state)
{
    (void)state;
    char text[200];
    report(&n1, REPORT(JOINED("b") "," JOINED("c")));
    unsigned long long now =
        strtoull(world_eval(&w, "return redis.call('TIME')[1] .. '000'", ""), NULL, 10);

    snprintf(text, sizeof(text), "{\"at_ms\":%llu,\"channels\":{%s,%s}}", now - 20000,
             QUEUED("b", "5000"), CHANNEL("c", "\"state\":\"joined\",\"since_ms\":7000"));
    report(&n1, text);
    unsigned long long since = strtoull(world_ask(&w, "HGET shoal:{t}:channel:c since"), NULL, 10);
    assert_int_equal(since, now - 27000);
    assert_in_range(strtoul(strstr(unread(&n1), "b:") + 2, NULL, 10), 25, 27);

    /* A node whose picture of Redis's clock is wrong is not believed. */
    snprintf(text, sizeof(text), "{\"at_ms\":%llu,\"channels\":{%s}}", now + 3600000,
             CHANNEL("c", "\"state\":\"joined\",\"since_ms\":7000"));
    report(&n1, text);
    since = strtoull(world_ask(&w, "HGET shoal:{t}:channel:c since"), NULL, 10);
    assert_in_range(since, now - 7000, now - 5000);
}

static void what_was_parted_was_never_read(void **state)
{
    (void)state;
    report(&n1, REPORT(JOINED("a") "," QUEUED("b", "1000")));
    world_release(&w, &me, "", "", "part", "a,b");
    world_assign(&w, &me, "", "", "join", "a,b");
    assert_string_equal(unread(&n1), "a:-1 b:-1 c:-1");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_with_abc, finish)
    const struct CMUnitTest tests[] = {
        TEST(a_channel_is_read_from_its_join_until_its_node_says_otherwise),
        TEST(whoever_reads_them_next_is_told_first_of_those_with_lines_lately),
        TEST(when_a_node_dies_its_last_renewals_say_up_to_when_it_read),
        TEST(whoever_takes_over_a_node_id_is_told_what_was_missed),
        TEST(so_it_is_of_more_shards_than_one_step_takes_over),
        TEST(a_node_that_leaves_tells_it_as_well),
        TEST(what_a_node_that_leaves_has_told_of_a_channel_is_exact),
        TEST(what_waits_to_be_fanned_out_is_not_read_yet),
        TEST(of_a_silent_connection_nothing_is_known_since_its_last_line),
        TEST(what_a_node_tells_of_all_that_is_silent_counts_for_each),
        TEST(that_a_connection_is_silent_says_nothing_else_of_its_shard),
        TEST(a_report_that_is_read_late_tells_the_times_it_was_written_with),
        TEST(what_was_parted_was_never_read),
    };
    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
