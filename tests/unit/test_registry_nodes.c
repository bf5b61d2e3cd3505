/* Registry: nodes, their leases and their shards, against a real Redis. */
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

static void a_second_process_with_the_node_id_is_refused_naming_the_first(void **state)
{
    (void)state;
    struct world_node second;
    world_node(&second, "n1", 1002, 5, "anonymous");

    assert_string_equal(world_register(&w, &second, 0), "held");

    assert_true(w.held_by_other);
    assert_string_equal(w.holder, "host1 4711 1001");
    assert_string_equal(world_renew(&w, &n1, ""), "current");
    assert_string_equal(world_renew(&w, &second, ""), "LOST");
}

static void a_newcomer_takes_over_where_the_link_is_gone(void **state)
{
    (void)state;
    struct world_node second;
    world_node(&second, "n1", 1002, 5, "anonymous");
    world_add_shard(&w, &me, "main-shard", "anonymous", "");
    world_assign(&w, &me, "", "", "join", "foo");

    assert_string_equal(world_register(&w, &second, 1001), "current");

    assert_int_equal(w.picture.nheld, 1);
    assert_string_equal(world_renew(&w, &n1, ""), "LOST");
    assert_string_equal(world_ask(&w, "ZSCORE shoal:{t}:free n1"), "4");
}

static void an_expired_node_gives_its_shards_to_the_freest_live_node(void **state)
{
    (void)state;
    struct world_node n2;
    struct world_node n3;
    world_add_shard(&w, &me, "main-shard", "anonymous", "");
    world_assign(&w, &me, "", "", "join", "foo,bar");
    world_node(&n2, "n2", 1002, 3, "anonymous");
    world_node(&n3, "n3", 1003, 7, "anonymous");
    world_register(&w, &n2, 0);
    world_register(&w, &n3, 0);
    world_renew(&w, &n1,
                "{\"shards\":{\"main-shard\":{\"epoch\":1,\"lines_s\":7,\"bytes_s\":700,"
                "\"lag_ms\":20,\"queued\":1}}}");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:shard:main-shard lines_s"), "7");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:shard:main-shard queued"), "1");
    world_end_lease(&w, &n1);

    assert_string_equal(world_expire(&w, &me, "n1", 1001), "expired");

    assert_string_equal(world_ask(&w, "HGET shoal:{t}:shard:main-shard node"), "n3");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:shard:main-shard lines_s"), "0");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:shard:main-shard bytes_s"), "0");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:shard:main-shard lag_ms"), "0");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:shard:main-shard queued"), "0");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:shard:main-shard epoch"), "2");
    assert_string_equal(world_renew(&w, &n3, ""), "current");
    char view[4096];
    assert_string_equal(world_node_view(&n3, view, sizeof(view)),
                        "main-shard:2,bar,foo\nmain-shard>main-shard,bar,foo\n");
    assert_string_equal(world_renew(&w, &n1, ""), "LOST");
    assert_string_equal(world_ask(&w, "EXISTS shoal:{t}:node:n1"), "0");
}

static void a_shard_goes_only_to_a_node_that_can_log_in_as_its_user(void **state)
{
    (void)state;
    struct world_node n2;
    world_node(&n2, "n2", 1002, 3, "alice,bob");
    world_register(&w, &n2, 0);

    assert_string_equal(world_add_shard(&w, &me, "main-shard", "bob", ""), "added");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:shard:main-shard node"), "n2");
    assert_string_equal(world_add_shard(&w, &me, "initial-shard-1", "carol", ""), "later");
    assert_string_equal(w.rest, "No node has a token for user carol.");
    assert_string_equal(world_add_shard(&w, &me, "main-shard", "bob", ""), "exists");
}

static void a_node_with_a_new_token_gets_the_shards_that_wait_for_it(void **state)
{
    (void)state;
    struct world_node n2;
    world_node(&n2, "n2", 1002, 3, "bot");
    world_register(&w, &n2, 0);
    assert_string_equal(world_add_shard(&w, &me, "main-shard", "bot", ""), "added");
    world_leave(&w, &n2);
    assert_string_equal(world_ask(&w, "SCARD shoal:{t}:homeless"), "1");
    world_renew(&w, &n1, "{\"node\":{\"users\":\"bot\"}}");
    assert_string_equal(world_ask(&w, "SCARD shoal:{t}:homeless"), "0");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:shard:main-shard node"), "n1");
}

static void a_node_that_drains_gets_no_more_shards(void **state)
{
    (void)state;
    world_renew(&w, &n1, "{\"node\":{\"state\":\"draining\"}}");
    assert_string_equal(world_add_shard(&w, &me, "main-shard", "anonymous", ""), "added");
    assert_string_equal(world_ask(&w, "SCARD shoal:{t}:homeless"), "1");
    assert_string_equal(world_register(&w, &n1, 0), "current");
    assert_string_equal(world_ask(&w, "SCARD shoal:{t}:homeless"), "0");
}

static void shards_without_a_node_are_placed_when_one_registers(void **state)
{
    (void)state;
    struct world_node n2;
    world_add_shard(&w, &me, "main-shard", "anonymous", "");
    assert_string_equal(world_leave(&w, &n1), "done");
    world_lead(&w, &me);
    assert_int_equal(w.lead.homeless, 1);

    world_node(&n2, "n2", 1002, 3, "anonymous");
    assert_string_equal(world_register(&w, &n2, 0), "current");

    assert_int_equal(w.picture.nheld, 1);
    world_lead(&w, &me);
    assert_int_equal(w.lead.homeless, 0);
}

static void a_renewed_lease_is_not_expired(void **state)
{
    (void)state;
    world_end_lease(&w, &n1);
    assert_string_equal(world_renew(&w, &n1, ""), "current");
    assert_string_equal(world_expire(&w, &me, "n1", 1001), "renewed");
}

static void a_link_that_was_given_up_is_not_the_registered_one_again(void **state)
{
    (void)state;
    struct world_node late = n1;
    n1.link_id = 1002; /* it has connected anew */
    assert_string_equal(world_renew(&w, &n1, ""), "current");
    assert_string_equal(world_renew(&w, &late, ""), "ERROR");
    assert_non_null(strstr(w.err.text, "OVERTAKEN"));
    assert_string_equal(world_register(&w, &late, 0), "ERROR");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:node:n1 link"), "1002");
    /* Another server counts anew. */
    world_ask(&w, "HSET shoal:{t}:node:n1 run_id another");
    assert_string_equal(world_renew(&w, &late, ""), "current");
}

static void a_node_with_another_link_by_now_is_not_expired(void **state)
{
    (void)state;
    world_end_lease(&w, &n1);
    assert_string_equal(world_expire(&w, &me, "n1", 999), "link");
    assert_string_equal(world_renew(&w, &n1, ""), "current");
}

static void after_a_pause_nothing_expires_for_two_leases(void **state)
{
    (void)state;
    set("lease_ms,300");
    assert_string_equal(world_renew(&w, &n1, ""), "current");
    private_redis_pause(redis);
    test_loop_run_for(&w.probe.t, 500);
    private_redis_resume(redis);

    /* The lease is over by Redis's clock, and the expire comes before the node's renewal does. */
    assert_string_equal(world_expire(&w, &me, "n1", 1001), "grace");
    world_lead(&w, &me);
    assert_int_equal(w.lead.nexpired, 0);
    assert_string_equal(world_renew(&w, &n1, ""), "current");
}

static void after_the_clock_went_back_nothing_expires(void **state)
{
    (void)state;
    world_end_lease(&w, &n1);
    world_ask(&w, "HSET shoal:{t}:clock seen 99999999999999");
    assert_string_equal(world_expire(&w, &me, "n1", 1001), "grace");
}

/* As if the clock had been `ms` ahead until now. */
static void clock_was_ahead(long ms)
{
    char script[1024];

    snprintf(script, sizeof(script),
             "local t = redis.call('TIME') local now = t[1] * 1000 + math.floor(t[2] / 1000) + %ld "
             "local k = KEYS[1] "
             "redis.call('HSET', k .. ':clock', 'seen', now, 'grace', 0) "
             "redis.call('HSET', k .. ':leader', 'deadline', now + 3000) "
             "for _, n in ipairs(redis.call('ZRANGE', k .. ':nodes', 0, -1)) do "
             "redis.call('ZADD', k .. ':nodes', now + 3000, n) end "
             "for _, s in ipairs(redis.call('ZRANGE', k .. ':idle', 0, -1)) do "
             "redis.call('ZADD', k .. ':idle', now, s) end return ''",
             ms);
    world_eval(&w, script, "");
}

static void
after_the_clock_went_back_leases_and_idle_times_are_no_longer_than_they_are(void **state)
{
    (void)state;
    set("lease_ms,300");
    set("idle_shard_ms,100");
    world_assign(&w, &me, "", "", "join", "foo");
    world_release(&w, &me, "", "", "part", "foo");
    struct world_node other;
    world_node(&other, "n2", 1002, 10, "anonymous");
    world_register(&w, &other, 0);
    clock_was_ahead(120000);

    struct registry_leader next;
    world_leader(&next, "c2");
    assert_string_equal(world_lead(&w, &next), "standby");
    assert_in_range(w.lead.remaining_ms, 1, 300);
    test_loop_run_for(&w.probe.t, 320);
    assert_string_equal(world_renew(&w, &other, ""), "current");
    assert_string_equal(world_lead(&w, &next), "leading");
    assert_string_equal(w.idle, "extended-shard-1");
    for (int i = 0; i < 20 && w.expired[0] == '\0'; i++) { /* two leases of grace */
        test_loop_run_for(&w.probe.t, 50);
        assert_string_equal(world_renew(&w, &other, ""), "current");
        assert_string_equal(world_lead(&w, &next), "leading");
    }
    assert_string_equal(w.expired, "n1");
    assert_string_equal(world_expire(&w, &next, "n1", n1.link_id), "expired");
}

static void new_connections_wait_for_their_interval_alone_after_the_clock_went_back(void **state)
{
    (void)state;
    set("login_limit,off");
    set("login_window_ms,1000");
    set("connect_interval_ms,100");
    world_ask(&w, "SET shoal:{t}:budget:bot:connect 99999999999999");
    for (int i = 0; i < 3; i++) {
        assert_string_equal(world_draw(&w, &n1, "bot", "login", 1), "drawn");
        assert_int_equal(w.nwaits, 1);
        assert_true(w.waits[0] <= 400);
    }
}

static void a_renewal_tells_an_emptied_registry_from_a_lost_lease(void **state)
{
    (void)state;
    world_renew(&w, &n1, "");
    snprintf(n1.registry, sizeof(n1.registry), "%s", w.registry);
    assert_true(n1.registry[0] != '\0');
    world_ask(&w, "HDEL shoal:{t}:node:n1 incarnation");
    assert_string_equal(world_renew(&w, &n1, ""), "LOST");
    world_ask(&w, "FLUSHALL");
    assert_string_equal(world_renew(&w, &n1, ""), "ERROR");
    assert_int_equal(w.err.code, ERR_EMPTIED);
    assert_string_equal(world_register(&w, &n1, 0), "current");
    assert_string_not_equal(w.registry, n1.registry);
}

static void a_node_that_leaves_gives_its_shards_away(void **state)
{
    (void)state;
    struct world_node n2;
    set("max_shard_count,none");
    world_node(&n2, "n2", 1002, 200, "anonymous");
    world_register(&w, &n2, 0);
    for (int i = 1; i <= 120; i++) { /* more than one portion */
        char shard[32];
        snprintf(shard, sizeof(shard), "initial-shard-%d", i);
        assert_string_equal(world_add_shard(&w, &me, shard, "anonymous", ""), "added");
    }
    struct world_node n3;
    world_node(&n3, "n3", 1003, 200, "anonymous");
    world_register(&w, &n3, 0);

    assert_string_equal(world_leave(&w, &n2), "done");

    assert_string_equal(world_ask(&w, "EXISTS shoal:{t}:node:n2"), "0");
    assert_string_equal(world_ask(&w, "ZSCORE shoal:{t}:nodes n2"), "");
    assert_string_equal(world_ask(&w, "SCARD shoal:{t}:homeless"), "0");
    assert_string_equal(world_renew(&w, &n2, ""), "LOST");
}

static void a_report_is_kept_and_a_stale_one_is_not(void **state)
{
    (void)state;
    world_add_shard(&w, &me, "main-shard", "anonymous", "");
    world_assign(&w, &me, "", "", "join", "foo");
    assert_string_equal(
        world_renew(&w, &n1,
                    "{\"shards\":{\"main-shard\":{\"epoch\":1,\"state\":\"ready\",\"joined\":1,"
                    "\"rate\":6,\"user\":\"x\",\"stop\":\"x\"}},"
                    "\"channels\":{\"foo\":{\"shard\":\"main-shard\",\"state\":\"joined\","
                    "\"rate\":7,\"moderator\":true}},\"node\":{\"rate\":5,\"incarnation\":\"x\"},"
                    "\"gaps\":[{\"channel\":\"foo\",\"lines\":3}]}"),
        "current");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:shard:main-shard state"), "ready");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:channel:foo state"), "joined");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:channel:foo moderator"), "1");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:node:n1 rate"), "5");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:shard:main-shard rate"), "6");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:shard:main-shard user"), "anonymous");
    assert_string_equal(world_ask(&w, "HEXISTS shoal:{t}:shard:main-shard stop"), "0");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:channel:foo rate"), "7");
    assert_string_equal(world_ask(&w, "HEXISTS shoal:{t}:channel:foo shard"), "0");
    world_renew(&w, &n1, "{\"channels\":{\"foo\":{\"shard\":\"main-shard\",\"moderator\":0}}}");

    assert_string_equal(
        world_renew(&w, &n1,
                    "{\"shards\":{\"main-shard\":{\"epoch\":7,\"state\":\"backoff\"}},"
                    "\"channels\":{\"foo\":{\"shard\":\"other\",\"state\":\"failed\"}}}"),
        "current");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:shard:main-shard state"), "ready");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:channel:foo state"), "joined");
}

static bool has_moved(void)
{
    bool moved = strcmp(world_ask(&w, "HGET shoal:{t}:shard:main-shard moved"), "1") != 0;

    world_ask(&w, "HSET shoal:{t}:shard:main-shard moved 1");
    return moved;
}

static void a_shard_moves_when_it_gets_channels_connects_or_has_one_joined(void **state)
{
    static const struct {
        const char *told;
        bool moves;
    } reports[] = {{"\"state\":\"connecting\"", false},
                   {"\"state\":\"ready\",\"joined\":0", true},
                   {"\"state\":\"ready\",\"joined\":0,\"queued\":1", false},
                   {"\"joined\":1,\"moved\":7", true},
                   {"\"joined\":1", false},
                   {"\"joined\":0", false}};

    (void)state;
    world_add_shard(&w, &me, "main-shard", "anonymous", "");
    world_assign(&w, &me, "", "", "join", "foo");
    assert_true(has_moved());
    for (size_t i = 0; i < ARRAY_LEN(reports); i++) {
        char report[120];
        snprintf(report, sizeof(report), "{\"shards\":{\"main-shard\":{\"epoch\":1,%s}}}",
                 reports[i].told);
        assert_string_equal(world_renew(&w, &n1, report), "current");
        assert_int_equal(has_moved(), reports[i].moves);
    }
}

static void a_broken_report_is_refused_and_odd_members_are_passed_over(void **state)
{
    (void)state;
    assert_string_equal(world_renew(&w, &n1, "{"), "ERROR");
    assert_non_null(strstr(w.rest, "BADARG"));
    assert_string_equal(world_renew(&w, &n1,
                                    "{\"shards\":3,\"channels\":{\"a\":null},\"gaps\":7,"
                                    "\"node\":{\"x\":null,\"y\":{}}}"),
                        "current");
}

struct many {
    bool answered;
    size_t held;
    size_t told;
};

static void on_many(void *ctx, const struct registry_picture *picture, const struct err *err)
{
    struct many *many = ctx;
    assert_null(err);
    many->answered = true;
    many->held = picture->nheld;
    many->told = picture->nheld_changed;
}

static void a_node_with_many_shards_is_told_of_them_in_portions(void **state)
{
    (void)state;
    struct world_node big;
    set("max_shard_count,none");
    world_node(&big, "big", 1002, 1000, "anonymous");
    world_register(&w, &big, 0);
    for (int i = 1; i <= 300; i++) {
        char shard[32];
        snprintf(shard, sizeof(shard), "initial-shard-%d", i);
        world_add_shard(&w, &me, shard, "anonymous", "");
    }
    /* As a node that knows nothing asks: what it gets is whole. */
    struct many many = {0};
    struct registry_node node = {.node = "big",
                                 .incarnation = big.incarnation,
                                 .run_id = "r",
                                 .host = "host1",
                                 .pid = "1",
                                 .version = "0",
                                 .capacity = 1000,
                                 .users = "anonymous"};
    world_ask(&w, "CONFIG RESETSTAT");
    assert_int_equal(registry_renew(w.r, &node, -1, SLICE(""), on_many, &many), 0);
    wait_until(&w.probe.t, many.answered);
    assert_int_equal(many.held, 300);
    assert_int_equal(many.told, 300);
    const char *stats = world_ask(&w, "INFO commandstats");
    assert_true(atoi(strstr(stats, "cmdstat_fcall:calls=") + 20) > 3);
}

static void a_start_and_a_stop_reach_the_node(void **state)
{
    (void)state;
    world_add_shard(&w, &me, "main-shard", "anonymous", "");
    world_renew(&w, &n1, "");
    assert_int_equal(w.run, SHARD_NEW);
    world_configure(&w, &me, "", "", "shard_start", "main-shard");
    world_renew(&w, &n1, "");
    assert_int_equal(w.run, SHARD_STARTED);
    world_configure(&w, &me, "", "", "shard_start", "main-shard");
    assert_non_null(strstr(w.rest, "Perhaps it has already been started?"));
    world_configure(&w, &me, "", "", "shard_stop", "main-shard");
    world_renew(&w, &n1, "");
    assert_int_equal(w.run, SHARD_STOPPED);
    world_configure(&w, &me, "", "", "shard_stop", "main-shard");
    assert_non_null(strstr(w.rest, "has not been started."));
    world_configure(&w, &me, "", "", "shard_start", "nosuch");
    assert_non_null(strstr(w.rest, "Shard nosuch does not exist."));
    world_configure(&w, &me, "", "", "stop", "");
    assert_true(world_lead(&w, &me) && w.lead.stopped);
    world_configure(&w, &me, "", "", "shard_start", "main-shard");
    assert_non_null(strstr(w.rest, "the cluster is stopped"));
    world_configure(&w, &me, "", "", "start", "");
    assert_true(world_lead(&w, &me) && !w.lead.stopped);
}

static void senders_are_served_where_the_sending_shard_is(void **state)
{
    (void)state;
    struct world_node n2;
    char view[4096];
    world_add_shard(&w, &me, "main-shard", "anonymous", "");
    world_node(&n2, "n2", 1002, 20, "anonymous,bob");
    world_register(&w, &n2, 0);
    world_add_shard(&w, &me, "initial-shard-1", "anonymous", "");
    world_add_shard(&w, &me, "initial-shard-2", "bob", "");
    world_assign(&w, &me, "", "", "join", "foo,bar");

    world_configure(&w, &me, "", "", "senders",
                    "main-shard,initial-shard-1,initial-shard-1,main-shard,"
                    "initial-shard-2,main-shard,@anonymous,initial-shard-1,nosuch,main-shard");

    world_renew(&w, &n1, "");
    assert_string_equal(world_node_view(&n1, view, sizeof(view)),
                        "initial-shard-1>main-shard,foo\nmain-shard:1,bar\n");
    world_renew(&w, &n2, "");
    assert_string_equal(world_node_view(&n2, view, sizeof(view)), world_raw_view(&w, &n2));
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:senders anonymous"), "initial-shard-1");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:shard:initial-shard-2 sender"),
                        "initial-shard-2"); /* nobody speaks as another user */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_second_process_with_the_node_id_is_refused_naming_the_first),
        TEST(a_newcomer_takes_over_where_the_link_is_gone),
        TEST(an_expired_node_gives_its_shards_to_the_freest_live_node),
        TEST(a_shard_goes_only_to_a_node_that_can_log_in_as_its_user),
        TEST(a_node_with_a_new_token_gets_the_shards_that_wait_for_it),
        TEST(a_node_that_drains_gets_no_more_shards),
        TEST(shards_without_a_node_are_placed_when_one_registers),
        TEST(a_renewed_lease_is_not_expired),
        TEST(a_link_that_was_given_up_is_not_the_registered_one_again),
        TEST(a_node_with_another_link_by_now_is_not_expired),
        TEST(after_a_pause_nothing_expires_for_two_leases),
        TEST(after_the_clock_went_back_nothing_expires),
        TEST(after_the_clock_went_back_leases_and_idle_times_are_no_longer_than_they_are),
        TEST(new_connections_wait_for_their_interval_alone_after_the_clock_went_back),
        TEST(a_renewal_tells_an_emptied_registry_from_a_lost_lease),
        TEST(a_node_that_leaves_gives_its_shards_away),
        TEST(a_report_is_kept_and_a_stale_one_is_not),
        TEST(a_shard_moves_when_it_gets_channels_connects_or_has_one_joined),
        TEST(a_broken_report_is_refused_and_odd_members_are_passed_over),
        TEST(a_node_with_many_shards_is_told_of_them_in_portions),
        TEST(a_start_and_a_stop_reach_the_node),
        TEST(senders_are_served_where_the_sending_shard_is),
    };
    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
