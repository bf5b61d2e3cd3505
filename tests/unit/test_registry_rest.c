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
    const char *script =
        "local t = redis.call('TIME') return t[1] * 1000 + math.floor(t[2] / 1000)";

    return strtoull(world_eval(&w, script, ""), NULL, 10);
}

static unsigned long long field(const char *name)
{
    return strtoull(world_ask(&w, "HGET shoal:{t}:node:n1 %s", name), NULL, 10);
}

static unsigned long long deadline(void)
{
    return strtoull(world_ask(&w, "ZSCORE shoal:{t}:nodes n1"), NULL, 10);
}

static void it_keeps_its_lease(void **state)
{
    (void)state;
    unsigned long long now = now_ms();
    unsigned long long renewed = w.picture.now.ms;

    world_ask(&w, "ZADD shoal:{t}:nodes %llu n1", now + 1000);
    w.quiet_ms = now - 7000;
    assert_string_equal(world_rest_alone(&w, &n1), "current");
    assert_in_range(deadline(), now + 3000, now + 5000);
    assert_in_range(field("renewed"), now, now + 2000);
    assert_int_equal(field("read_until"), renewed); /* what was read by then is fanned out */
    assert_int_equal(field("quiet"), now - 7000);
    assert_string_equal(world_rest(&w, &n1), "current");
    assert_string_equal(world_rest(&w, &n1), "current");
}

static void it_asks_little(void **state)
{
    (void)state;
    world_ask(&w, "CONFIG RESETSTAT");
    assert_string_equal(world_rest_alone(&w, &n1), "current");
    const char *const asked[] = {"multi", "time", "hmget", "zadd", "hset", "exec"};
    const unsigned most[] = {1, 1, 2, 1, 1, 1};
    for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
        assert_in_range(world_calls(&w, asked[i]), 1, most[i]);
    }
    const char *const left[] = {"fcall", "hget", "hgetall", "zrangebyscore", "zscore", "exists"};
    for (size_t i = 0; i < ARRAY_LEN(left); i++) {
        assert_int_equal(world_calls(&w, left[i]), 0);
    }
}

static void who_is_gone_is_none_of_the_nodes_by_it(void **state)
{
    (void)state;
    world_end_lease(&w, &n1);
    assert_string_equal(world_expire(&w, &me, "n1", n1.link_id), "expired");
    assert_string_equal(world_rest_alone(&w, &n1), "look");
    assert_string_equal(world_ask(&w, "ZSCORE shoal:{t}:nodes n1"), "");
    assert_string_equal(world_renew(&w, &n1, ""), "LOST");
    assert_string_equal(world_renew(&w, &n2, ""), "current");
    snprintf(n2.registry, sizeof(n2.registry), "%s", w.registry);
    world_ask(&w, "FLUSHALL");
    assert_string_equal(world_rest_alone(&w, &n2), "look");
    assert_string_equal(world_renew(&w, &n2, ""), "ERROR");
    assert_int_equal(w.err.code, ERR_EMPTIED);
}

static void a_registry_that_lost_its_clock_alone_is_not_emptied(void **state)
{
    (void)state;
    assert_string_equal(world_lead(&w, &me), "leading");
    world_renew(&w, &n1, "");
    snprintf(n1.registry, sizeof(n1.registry), "%s", w.registry);
    world_ask(&w, "DEL shoal:{t}:clock");
    assert_string_equal(world_renew(&w, &n1, ""), "current");
    assert_string_equal(w.registry, n1.registry);
    world_end_lease(&w, &n1);
    assert_string_equal(world_expire(&w, &me, "n1", n1.link_id), "expired");
    world_ask(&w, "DEL shoal:{t}:clock");
    assert_string_equal(world_renew(&w, &n1, ""), "LOST");
}

static void what_is_lost_of_it_is_there_again_with_the_next_renewal(void **state)
{
    (void)state;
    world_ask(&w, "ZREM shoal:{t}:nodes n1");
    assert_string_equal(world_rest_alone(&w, &n1), "look");
    look();
    assert_in_range(deadline(), now_ms() + 2000, now_ms() + 5000);
}

/* Redis is another, or was started again: this much it has. */
static void what_it_renewed_by_is_what_redis_is_known_to_have(void **state)
{
    (void)state;
    unsigned long long now = now_ms();

    world_ask(&w, "HSET shoal:{t}:clock run_id before seen %llu", now - 700);
    world_ask(&w, "HSET shoal:{t}:node:n1 renewed %llu", now - 300);
    world_ask(&w, "HSET shoal:{t}:node:n2 renewed %llu", now - 500);
    world_ask(&w, "ZADD shoal:{t}:nodes %llu n1 %llu n2", now + 2700, now + 2500);
    world_renew(&w, &n2, "");
    assert_true(w.picture.must_restate);
    assert_int_equal(w.picture.kept.ms, now - 300);
}

/* Redis's clock jumped, or was not read for long: by a twelfth of a lease at least. */
static void a_time_that_is_not_redis_s_is_put_right(void **state)
{
    const int64_t behind_ms[] = {10000, 300, -300, -10000};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(behind_ms); i++) {
        w.behind_ms = (uint64_t)behind_ms[i];
        assert_string_equal(world_rest_alone(&w, &n1), "look");
        w.behind_ms = 0;
        look();
        assert_in_range(deadline(), now_ms() + 2000, now_ms() + 4000);
    }
    w.behind_ms = 100;
    assert_string_equal(world_rest_alone(&w, &n1), "current");
}

/* Another process may not be said to be away for what time it is here. */
static void where_nobody_leads_nodes_see_to_it_that_redis_s_clock_is_watched(void **state)
{
    (void)state;
    world_ask(&w, "HSET shoal:{t}:clock seen %llu", now_ms() - 750); /* as if somebody led */
    assert_string_equal(world_rest_alone(&w, &n1), "current");
    assert_in_range(w.again_ms, 250, 500); /* before half a lease is over */
    world_ask(&w, "HSET shoal:{t}:clock seen %llu", now_ms() - 1050);
    assert_string_equal(world_rest_alone(&w, &n1), "look");
    look();
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:clock grace"), "");
}

static void the_leader_looks_at_empty_streams_more_rarely(void **state)
{
    char at[32];

    (void)state;
    assert_string_equal(world_lead(&w, &me), "leading"); /* trims them */
    snprintf(at, sizeof(at), "%llu", now_ms() - 2000);
    world_ask(&w, "HSET shoal:{t}:lines trimmed %s", at);
    assert_string_equal(world_lead(&w, &me), "leading");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:lines trimmed"), at);

    world_ask(&w, "XADD shoal:{t}:lines:0 * lines x");
    assert_string_equal(world_lead(&w, &me), "leading");
    assert_string_not_equal(world_ask(&w, "HGET shoal:{t}:lines trimmed"), at);
}

static void a_full_redis_is_asked_with_a_step(void **state)
{
    (void)state;
    world_ask(&w, "CONFIG SET maxmemory 1");
    assert_string_equal(world_rest_alone(&w, &n1), "look");
    assert_string_equal(world_renew(&w, &n1, ""), "current");
    world_ask(&w, "CONFIG SET maxmemory 0");
    assert_string_equal(world_rest(&w, &n1), "current");
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
    for (int i = 0; i < 4; i++) { /* it looks at some of them each time */
        assert_string_equal(world_lead(&w, &me), "leading");
    }
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
        finish(state);
        begin_resting(state);
        assert_string_equal(world_rest(&w, &n1), "current");
        news[i]();
        if (strcmp(world_rest(&w, &n1), "look") != 0) {
            fail_msg("of news %zu it heard nothing", i);
        }
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

/* Which asks for the step that did this. */
static void a_node_of_an_earlier_version_is_told_to_renew(void **state)
{
    (void)state;
    world_ask(&w, "FCALL shoal1_rest 1 shoal:{t} n1 %s 1001 run 1 1 3000 0", n1.incarnation);
    assert_string_equal(w.rest, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_keeps_its_lease),
        TEST(it_asks_little),
        TEST(who_is_gone_is_none_of_the_nodes_by_it),
        TEST(a_registry_that_lost_its_clock_alone_is_not_emptied),
        TEST(what_is_lost_of_it_is_there_again_with_the_next_renewal),
        TEST(what_it_renewed_by_is_what_redis_is_known_to_have),
        TEST(a_time_that_is_not_redis_s_is_put_right),
        TEST(where_nobody_leads_nodes_see_to_it_that_redis_s_clock_is_watched),
        TEST(the_leader_looks_at_empty_streams_more_rarely),
        TEST(a_full_redis_is_asked_with_a_step),
        TEST(what_is_new_is_looked_for),
        TEST(that_it_is_not_set_up_after_all_is_news),
        TEST(a_node_that_comes_is_no_news),
        TEST(a_node_of_an_earlier_version_is_told_to_renew),
    };
    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
