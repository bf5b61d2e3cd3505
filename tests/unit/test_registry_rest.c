/* Registry: a node that has nothing to tell, and to which nothing is new, keeps its lease by next to nothing. */
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_resting, finish)

/* A second node, and a shard on the first; n1 knows all there is. */
static struct world_node n2;

static int begin_resting(void **state)
{
    begin(state);
    world_add_shard(&w, &me, "main-shard", "anonymous", "");
    world_node(&n2, "n2", 1002, 5, "bot");
    world_register(&w, &n2, 0);
    assert_string_equal(world_renew(&w, &n1, ""), "current");
    return 0;
}

/* It looks again. */
static void look(void)
{
    assert_string_equal(world_renew(&w, &n1, ""), "current");
    assert_string_equal(world_rest(&w, &n1), "current");
}

static unsigned long long now_ms(void)
{
    return strtoull(world_eval(&w, "local t = redis.call('TIME') return t[1] .. '000'", ""), NULL,
                    10);
}

static unsigned long long field(const char *name)
{
    return strtoull(world_ask(&w, "HGET shoal:{t}:node:n1 %s", name), NULL, 10);
}

/* Without a look at what a renewal would have told. */
static void rest(void)
{
    world_ask(&w, "FCALL shoal1_rest 1 shoal:{t} n1 %s %llu run %lld %llu %llu %llu",
              n1.incarnation, (unsigned long long)n1.link_id, (long long)n1.seen,
              (unsigned long long)n1.settings.told, (unsigned long long)n1.settings.lease_ms,
              (unsigned long long)w.quiet_ms);
}

static void it_keeps_its_lease(void **state)
{
    (void)state;
    unsigned long long now = now_ms();

    world_ask(&w, "ZADD shoal:{t}:nodes %llu n1", now + 1000);
    world_ask(&w, "HSET shoal:{t}:node:n1 renewed %llu read_until %llu", now - 500, now - 900);
    w.quiet_ms = now - 7000;
    rest();
    assert_in_range(strtoull(world_ask(&w, "ZSCORE shoal:{t}:nodes n1"), NULL, 10), now + 3000,
                    now + 5000);
    assert_in_range(field("renewed"), now, now + 2000);
    assert_int_equal(field("read_until"), now - 500); /* what was read by then is fanned out */
    assert_int_equal(field("quiet"), now - 7000);
    assert_string_equal(world_rest(&w, &n1), "current");
    assert_string_equal(world_rest(&w, &n1), "current");
}

static void it_asks_little(void **state)
{
    (void)state;
    world_ask(&w, "CONFIG RESETSTAT");
    rest();
    const char *const asked[] = {"time", "hmget", "zadd", "hset"};
    const unsigned most[] = {1, 2, 1, 2};
    for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
        assert_in_range(world_calls(&w, asked[i]), 1, most[i]);
    }
    const char *const left[] = {"hget", "hgetall", "zrangebyscore", "zscore", "exists"};
    for (size_t i = 0; i < ARRAY_LEN(left); i++) {
        assert_int_equal(world_calls(&w, left[i]), 0);
    }
}

static void a_setting(void)
{
    set("resume_delay_ms,77");
}

static void a_setting_no_more(void)
{
    set("resume_delay_ms,77");
    look();
    world_configure(&w, &me, "", "", "unset", "resume_delay_ms");
}

static void what_the_cluster_is_created_with(void)
{
    assert_string_equal(world_configure(&w, &me, "", "", "create", "default,resume_delay_ms,77"),
                        "done");
}

static void an_account(void)
{
    world_configure(&w, &me, "", "", "account_put", "alice,1.0a1b2c3d.QUJD");
}

static void an_account_no_more(void)
{
    an_account();
    look();
    world_configure(&w, &me, "", "", "account_remove", "alice");
    assert_non_null(strstr(w.rest, "\"ok\":true"));
}

static void a_default_sender(void)
{
    world_add_shard(&w, &me, "other", "anonymous", "");
    world_renew(&w, &n1, "");
    look();
    world_configure(&w, &me, "", "", "senders", "@anonymous,other");
}

/* Of the user of the cluster, on n2. */
static void the_first_shard(void)
{
    set("user,bot");
    look();
    world_assign(&w, &me, "", "", "join", "foo");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:senders bot"), "extended-shard-1");
}

static void the_last_shard_no_more(void)
{
    the_first_shard();
    look();
    world_release(&w, &me, "", "", "part", "foo");
    assert_string_equal(world_rest(&w, &n1), "current");
    world_configure(&w, &me, "", "", "close_idle", "extended-shard-1");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:senders bot"), "");
}

static void a_node_that_is_blind(void)
{
    world_renew(&w, &n2, "{\"node\":{\"state\":\"blind\",\"why\":\"x\",\"failing_ms\":1}}");
}

static void a_node_that_comes_and_is_blind(void)
{
    struct world_node n3;
    world_node(&n3, "n3", 1003, 5, "anonymous");
    n3.state = "blind";
    assert_string_equal(world_register(&w, &n3, 0), "current");
}

static void a_channel(void)
{
    world_assign(&w, &me, "", "", "join", "foo");
}

static void a_repair(void)
{
    world_ask(&w, "HSET shoal:{t}:shard:main-shard channels 7");
    assert_true(world_compare(&w, &me) > 0);
}

static void a_repair_of_what_all_are_told(void)
{
    the_first_shard();
    look();
    world_ask(&w, "HDEL shoal:{t}:senders bot");
    assert_true(world_compare(&w, &me) > 0);
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:senders bot"), "extended-shard-1");
}

static void a_key_that_was_nothing_of_shoals(void)
{
    world_ask(&w, "SET shoal:{t}:active x");
    assert_string_equal(world_lead(&w, &me), "leading");
    assert_int_equal(atoi(world_ask(&w, "EXISTS shoal:{t}:active")), 0);
}

static void another_redis(void)
{
    world_ask(&w, "HSET shoal:{t}:clock run_id before");
    world_renew(&w, &n2, "");
}

static void a_redis_that_was_away(void)
{
    world_ask(&w, "HSET shoal:{t}:clock seen 1");
}

static void a_clock_that_went_back(void)
{
    world_ask(&w, "HSET shoal:{t}:clock seen 99999999999999");
}

static void that_it_was_said_to_be_silent(void)
{
    world_ask(&w, "HSET shoal:{t}:node:n1 silent 1");
}

static void another_link(void)
{
    world_ask(&w, "HSET shoal:{t}:node:n1 link 999");
}

static void another_process(void)
{
    world_ask(&w, "HSET shoal:{t}:node:n1 incarnation other");
}

static void that_it_is_gone(void)
{
    world_end_lease(&w, &n1);
    assert_string_equal(world_expire(&w, &me, "n1", n1.link_id), "expired");
}

static void what_is_new_is_looked_for(void **state)
{
    (void)state;
    void (*const news[])(void) = {
        a_setting,
        a_setting_no_more,
        what_the_cluster_is_created_with,
        an_account_no_more,
        the_first_shard,
        the_last_shard_no_more,
        an_account,
        a_default_sender,
        a_node_that_is_blind,
        a_node_that_comes_and_is_blind,
        a_channel,
        a_repair,
        a_repair_of_what_all_are_told,
        a_key_that_was_nothing_of_shoals,
        another_redis,
        a_redis_that_was_away,
        a_clock_that_went_back,
        that_it_was_said_to_be_silent,
        another_link,
        another_process,
        that_it_is_gone,
    };
    for (size_t i = 0; i < ARRAY_LEN(news); i++) {
        char deadline[32];
        finish(state);
        begin_resting(state);
        assert_string_equal(world_rest(&w, &n1), "current");
        news[i]();
        snprintf(deadline, sizeof(deadline), "%s", world_ask(&w, "ZSCORE shoal:{t}:nodes n1"));
        if (strcmp(world_rest(&w, &n1), "look") != 0) {
            fail_msg("of news %zu it heard nothing", i);
        }
        assert_string_equal(world_ask(&w, "ZSCORE shoal:{t}:nodes n1"), deadline);
    }
}

static void that_it_is_not_set_up_after_all_is_news(void **state)
{
    finish(state);
    begin(state);
    what_the_cluster_is_created_with();
    world_renew(&w, &n1, "");
    look();
    world_configure(&w, &me, "", "", "abandon", "resume_delay_ms");
    assert_string_equal(world_rest(&w, &n1), "look");
}

static void a_node_that_comes_is_no_news(void **state)
{
    struct world_node n3;

    (void)state;
    world_node(&n3, "n3", 1003, 5, "anonymous");
    assert_string_equal(world_register(&w, &n3, 0), "current");
    assert_string_equal(world_rest(&w, &n1), "current");
}

static void what_nobody_can_mean_is_refused(void **state)
{
    (void)state;
    const char *const leases[] = {"0", "-1", "60001", "x", ""};
    for (size_t i = 0; i < ARRAY_LEN(leases); i++) {
        world_ask(&w, "FCALL shoal1_rest 1 shoal:{t} n1 %s 1001 run 1 1 %s 0", n1.incarnation,
                  leases[i]);
        assert_int_equal(strncmp(w.rest, "BADARG", 6), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_keeps_its_lease),           TEST(it_asks_little),
        TEST(what_is_new_is_looked_for),    TEST(that_it_is_not_set_up_after_all_is_news),
        TEST(a_node_that_comes_is_no_news), TEST(what_nobody_can_mean_is_refused),
    };
    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
