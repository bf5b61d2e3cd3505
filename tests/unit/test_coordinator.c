/* Coordinator: all rooms together over the real steps, from the first connection to the last. */
#include "coordinator/coordinator.h"

#include "coordinator/manager/built_in.h"
#include "tests/lib/registry_world.h"
#include "tests/lib/test_clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct world w;
static struct world_node n1;
static struct cluster_settings settings;
static struct initial_channels channels;
static const struct twitch_settings twitch = {
    .twitch = {.id_url = "http://127.0.0.1:1", .api_url = "http://127.0.0.1:1"}};

struct run {
    struct coordinator *c;
    struct coordinator_options options;
    unsigned gone;
    struct err why;
};

static void on_gone(void *ctx, const struct err *why)
{
    struct run *run = ctx;
    run->gone++;
    run->why = *why;
}

static void begin(struct run *run, const char *id)
{
    memset(run, 0, sizeof(*run));
    run->options = (struct coordinator_options){.redis = &w.probe.url,
                                                .cluster = "t",
                                                .id = id,
                                                .manager = &built_in_distributed,
                                                .settings = &settings,
                                                .channels = &channels,
                                                .manager_timeout_ms = 10000,
                                                .connect_ms = 10000,
                                                .twitch = &twitch,
                                                .on_gone = on_gone,
                                                .ctx = run};
    run->c = coordinator_create(&w.probe.t.uv, &run->options);
}

static void end(struct run *run)
{
    if (run->gone == 0) {
        coordinator_stop(run->c);
    }
    wait_until(&w.probe.t, run->gone > 0);
    assert_int_equal(run->gone, 1);
}

/* What is asked of Redis is `expected`; time goes on meanwhile. */
static void until_it_says(const char *expected, const char *command)
{
    for (int i = 0; i < 400 && strcmp(world_ask(&w, "%s", command), expected) != 0; i++) {
        test_loop_run_for(&w.probe.t, 5);
        test_clock_forward(50);
    }
    assert_string_equal(world_ask(&w, "%s", command), expected);
}

static void begin_world(void)
{
    struct err err;

    world_start(&w);
    assert_string_equal(world_load(&w), "done");
    memset(&settings, 0, sizeof(settings));
    cluster_settings_begin(&settings, NULL);
    cluster_settings_add(&settings, "channels_per_shard=2");
    cluster_settings_add(&settings, "lease_ms=20000");
    assert_int_equal(initial_channels_parse("alice,bob,carol", &channels, &err), 0);
    world_node(&n1, "n1", 1001, 10, "anonymous");
    assert_string_equal(world_register(&w, &n1, 0), "current");
}

static void end_world(void)
{
    world_finish(&w);
    cluster_settings_finish(&settings);
    initial_channels_finish(&channels);
}

static void it_sets_a_cluster_up_serves_requests_and_lets_go_of_the_lead(void **state)
{
    (void)state;
    struct run one;
    begin_world();
    begin(&one, "c1");
    until_it_says("done", "HGET shoal:{t}:config setup");
    assert_string_equal(world_ask(&w, "ZCARD shoal:{t}:load"), "2");
    until_it_says("started", "HGET shoal:{t}:shard:initial-shard-1 run");

    world_ask(&w, "XADD shoal:{t}:requests * op join channels dave");

    until_it_says("1", "HEXISTS shoal:{t}:channels dave");
    until_it_says("0", "XLEN shoal:{t}:requests");
    end(&one);
    assert_int_equal(one.why.code, ERR_OK);
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:leader incarnation"), "");
    end_world();
    coordinator_free(one.c);
}

static void another_one_takes_over_what_was_under_way(void **state)
{
    (void)state;
    struct run one;
    struct run two;
    begin_world();
    begin(&one, "c1");
    until_it_says("c1", "HGET shoal:{t}:leader id");
    begin(&two, "c2");
    test_loop_run_for(&w.probe.t, 50);

    end(&one);

    until_it_says("c2", "HGET shoal:{t}:leader id");
    until_it_says("done", "HGET shoal:{t}:config setup");
    until_it_says("1", "HEXISTS shoal:{t}:channels carol");
    end(&two);
    end_world();
    coordinator_free(one.c);
    coordinator_free(two.c);
}

static void a_registry_that_was_emptied_is_told_and_set_up_anew(void **state)
{
    (void)state;
    struct run one;
    begin_world();
    begin(&one, "c1");
    until_it_says("done", "HGET shoal:{t}:config setup");
    until_it_says("1", "HEXISTS shoal:{t}:channels alice");

    world_ask(&w, "FLUSHALL");
    world_node(&n1, "n1", 1001, 10, "anonymous");
    assert_string_equal(world_register(&w, &n1, 0), "current");

    until_it_says("done", "HGET shoal:{t}:config setup");
    until_it_says("1", "HEXISTS shoal:{t}:channels alice");
    assert_non_null(strstr(world_eval(&w,
                                      "return cjson.encode(redis.call('XRANGE', KEYS[1] .. ':log', "
                                      "'-', '+'))",
                                      ""),
                           "registry.lost"));
    end(&one);
    assert_int_equal(one.why.code, ERR_OK);
    end_world();
    coordinator_free(one.c);
}

static void a_setting_that_is_refused_ends_it_with_the_reason(void **state)
{
    (void)state;
    struct run one;
    begin_world();
    cluster_settings_add(&settings, "channels_per_shard=0");
    begin(&one, "c1");

    wait_until(&w.probe.t, one.gone > 0);

    assert_int_equal(one.why.code, ERR_USAGE);
    assert_non_null(strstr(one.why.text, "channels_per_shard"));
    coordinator_stop(one.c); /* nothing is left to be stopped */
    end_world();
    coordinator_free(one.c);
}

static void a_shard_manager_that_cannot_begin_ends_it_at_once(void **state)
{
    (void)state;
    struct run one;
    begin_world();
    cluster_settings_add(&settings, "manager.colour=red"); /* it takes none */
    begin(&one, "c1");

    wait_until(&w.probe.t, one.gone > 0);

    assert_int_equal(one.why.code, ERR_REFUSED);
    assert_non_null(strstr(one.why.text, "distributed"));
    end_world();
    coordinator_free(one.c);
}

static void a_redis_out_of_reach_is_given_up_in_time(void **state)
{
    (void)state;
    struct run one;
    begin_world();
    uint16_t port = w.probe.url.port;
    w.probe.url.port = free_port();
    begin(&one, "c1");
    test_loop_run_for(&w.probe.t, 50);
    assert_int_equal(one.gone, 0);

    test_clock_forward(10000);

    wait_until(&w.probe.t, one.gone > 0);
    assert_int_equal(err_exit_code(one.why.code), 3);
    w.probe.url.port = port;
    end_world();
    coordinator_free(one.c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_sets_a_cluster_up_serves_requests_and_lets_go_of_the_lead),
        cmocka_unit_test(another_one_takes_over_what_was_under_way),
        cmocka_unit_test(a_registry_that_was_emptied_is_told_and_set_up_anew),
        cmocka_unit_test(a_setting_that_is_refused_ends_it_with_the_reason),
        cmocka_unit_test(a_shard_manager_that_cannot_begin_ends_it_at_once),
        cmocka_unit_test(a_redis_out_of_reach_is_given_up_in_time),
    };
    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
