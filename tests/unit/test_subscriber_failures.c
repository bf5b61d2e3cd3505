/* Subscriber, what goes wrong: a Redis that restarts, stands still, is left or refuses. */
#include "shared/redis/subscriber.h"

#include "shared/redis/link_group.h"
#include "tests/lib/private_redis.h"
#include "tests/lib/subscriber_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static void everything_wanted_is_subscribed_anew_after_a_restart(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f);
    fixture_start(&f);
    add(&f, "a");
    add(&f, "gone");
    subscriber_add_pattern(f.s, SLICE("p:*"));
    wait_until(&f.p.t, f.readies == 1);

    private_redis_kill(redis);
    wait_until(&f.p.t, f.downs >= 1);
    add(&f, "b"); /* while down */
    subscriber_remove(f.s, SLICE("gone"));
    private_redis_restart(redis);
    wait_until(&f.p.t, f.readies == 2);

    publish(&f, "a", "1");
    publish(&f, "b", "2");
    publish(&f, "p:x", "3");
    wait_until(&f.p.t, f.messages == 3);
    assert_int_equal(publish_and_count(&f, "gone", "4"), 0);
    fixture_finish(&f);
}

static void a_subscriber_is_back_soon_however_long_redis_was_away(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f);
    fixture_start(&f);
    add(&f, "a");
    wait_until(&f.p.t, f.readies == 1);

    private_redis_kill(redis);
    test_loop_run_for(&f.p.t, 4000);
    private_redis_restart(redis);
    uint64_t began = mono_ms();
    wait_until(&f.p.t, f.readies == 2);

    assert_in_range(mono_ms() - began, 0,
                    400); /* half of resume_delay_ms, and some for a slow machine */
    wait_until(&f.p.t, link_is_up(f.p.link));
    fixture_finish(&f);
}

static void the_probe_finds_a_stopped_server(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f);
    f.options.probe_ms = 100;
    f.options.link.reply_ms = 300;
    fixture_start(&f);
    add(&f, "a");
    wait_until(&f.p.t, f.readies == 1);

    private_redis_pause(redis);
    wait_until(&f.p.t, f.downs == 1);
    assert_non_null(strstr(f.why.text, "PING was not answered"));
    private_redis_resume(redis);
    wait_until(&f.p.t, f.readies == 2);

    assert_true(publish_and_count(&f, "a", "back") >= 1);
    wait_until(&f.p.t, f.messages == 1);
    fixture_finish(&f);
}

static void a_quiet_subscription_stays(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f);
    f.options.probe_ms = 20;
    fixture_start(&f);
    wait_until(&f.p.t, f.readies == 1);
    test_loop_run_for(&f.p.t, 150); /* PING outside pub/sub mode */
    add(&f, "a");
    wait_until(&f.p.t, f.readies == 2);
    test_loop_run_for(&f.p.t, 150); /* and inside */

    assert_int_equal(f.downs, 0);
    assert_int_equal(publish_and_count(&f, "a", "still"), 1);
    wait_until(&f.p.t, f.messages == 1);
    fixture_finish(&f);
}

/* Publish while the loop of the test stands still; how many Redis says got it. */
static long long publish_at_once(const char *topic, const char *payload)
{
    redisContext *c = redisConnect("127.0.0.1", private_redis_port(redis));
    redisReply *reply = redisCommand(c, "PUBLISH %s %s", topic, payload);
    long long n = reply->integer;

    freeReplyObject(reply);
    redisFree(c);
    return n;
}

static void who_leaves_a_server_hears_all_that_was_counted_first(void **state)
{
    struct link_group group = {0};
    struct fixture f;

    (void)state;
    fixture_init(&f);
    f.options.link.group = &group;
    fixture_start(&f);
    add(&f, "a");
    subscriber_add_pattern(f.s, SLICE("b*"));
    wait_until(&f.p.t, f.readies == 1);

    assert_int_equal(publish_at_once("a", "read late"), 1);
    link_group_drop(&group, NULL, UINT64_MAX, "the test wants it");
    assert_false(subscriber_is_ready(f.s));
    assert_false(subscriber_is_settled(f.s));
    assert_int_equal(publish_at_once("b1", "later"), 1);
    add(&f, "c"); /* at the next server */
    wait_until(&f.p.t, f.downs == 1);
    assert_int_equal(f.messages, 2);
    assert_string_equal(f.payload, "later");
    assert_string_equal(f.why.text, "the test wants it");

    wait_until(&f.p.t, f.readies == 2);
    assert_int_equal(
        publish_at_once("a", "x") + publish_at_once("b2", "x") + publish_at_once("c", "x"), 3);
    wait_until(&f.p.t, f.messages == 5);
    fixture_finish(&f);
}

static void a_server_that_says_nothing_is_left_soon(void **state)
{
    struct link_group group = {0};
    struct fixture f;

    (void)state;
    fixture_init(&f);
    f.options.link.group = &group;
    fixture_start(&f);
    add(&f, "a");
    wait_until(&f.p.t, f.readies == 1);

    private_redis_pause(redis);
    uint64_t began = uv_hrtime();
    link_group_drop(&group, NULL, UINT64_MAX, "the test wants it");
    wait_until(&f.p.t, f.downs == 1);
    assert_in_range((uv_hrtime() - began) / 1000000, 0, 5000);
    private_redis_resume(redis);
    wait_until(&f.p.t, f.readies == 2);
    fixture_finish(&f);
}

static void a_forbidden_topic_is_said_so(void **state)
{
    const char *args[] = {"--user", "narrow", "on", "nopass", "~*", "+@all", "&allowed", NULL};
    const struct private_redis_options options = {.args = args};
    struct private_redis *guarded = private_redis_start(&options);
    struct url url;
    struct fixture f;

    (void)state;
    fixture_init(&f);
    url = f.p.url;
    url.port = private_redis_port(guarded);
    snprintf(url.user, sizeof(url.user), "narrow");
    f.options.link.url = &url;
    fixture_start(&f);
    add(&f, "allowed");
    wait_until(&f.p.t, f.readies == 1);

    add(&f, "forbidden");
    wait_until(&f.p.t, f.downs == 1);

    assert_non_null(strstr(f.why.text, "refuses the subscription: NOPERM"));
    fixture_finish(&f);
    private_redis_stop(guarded);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_wanted_is_subscribed_anew_after_a_restart),
        cmocka_unit_test(a_subscriber_is_back_soon_however_long_redis_was_away),
        cmocka_unit_test(the_probe_finds_a_stopped_server),
        cmocka_unit_test(a_quiet_subscription_stays),
        cmocka_unit_test(who_leaves_a_server_hears_all_that_was_counted_first),
        cmocka_unit_test(a_server_that_says_nothing_is_left_soon),
        cmocka_unit_test(a_forbidden_topic_is_said_so),
    };

    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
