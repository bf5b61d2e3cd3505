/* Subscriber: topics that stay subscribed, against a real Redis. */
#include "shared/redis/subscriber.h"

#include "shared/redis/link_group.h"
#include "tests/lib/link_probe.h"
#include "tests/lib/private_redis.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* A subscriber that counts, and a link to publish on (its probe owns the loop). */
struct fixture {
    struct link_probe p;
    struct subscriber_options options;
    struct subscriber *s;
    unsigned readies;
    unsigned settled;
    unsigned downs;
    unsigned closes;
    unsigned messages;
    unsigned published;
    char topic[64];
    char payload[64];
    struct err why;
    void (*at_message)(struct fixture *f);
    void (*at_ready)(struct fixture *f);
    void (*at_down)(struct fixture *f);
};

static void on_message(void *ctx, struct slice topic, struct slice payload)
{
    struct fixture *f = ctx;

    assert_int_equal(f->closes, 0);
    f->messages++;
    snprintf(f->topic, sizeof(f->topic), "%.*s", (int)topic.len, topic.ptr);
    snprintf(f->payload, sizeof(f->payload), "%.*s", (int)payload.len, payload.ptr);
    if (f->at_message != NULL) {
        f->at_message(f);
    }
}

static void on_settled(void *ctx)
{
    struct fixture *f = ctx;

    assert_true(subscriber_is_settled(f->s));
    f->settled++;
}

static void on_ready(void *ctx)
{
    struct fixture *f = ctx;

    assert_true(subscriber_is_ready(f->s));
    f->readies++;
    if (f->at_ready != NULL) {
        f->at_ready(f);
    }
}

static void on_down(void *ctx, const struct err *why)
{
    struct fixture *f = ctx;

    assert_false(subscriber_is_ready(f->s));
    f->downs++;
    f->why = *why;
    if (f->at_down != NULL) {
        f->at_down(f);
    }
}

static void on_closed(void *ctx)
{
    struct fixture *f = ctx;

    f->closes++;
}

/* Everything but the subscriber. */
static void fixture_init(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    link_probe_up(&f->p, private_redis_port(redis));
    f->options = (struct subscriber_options){
        .link = {.url = &f->p.url, .name = "test-sub", .connect_ms = 15000, .reply_ms = 15000},
        .on_message = on_message,
        .on_ready = on_ready,
        .on_settled = on_settled,
        .on_down = on_down,
        .ctx = f,
    };
}

static void fixture_start(struct fixture *f)
{
    f->s = subscriber_create(&f->p.t.uv, &f->options);
}

static void fixture_close(struct fixture *f)
{
    struct subscriber *s = f->s;

    f->s = NULL;
    subscriber_close(s, on_closed, f);
}

static void fixture_finish(struct fixture *f)
{
    if (f->s != NULL) {
        fixture_close(f);
    }
    link_probe_finish(&f->p);
    assert_int_equal(f->closes, 1);
}

static void publish(struct fixture *f, const char *topic, const char *payload)
{
    wait_until(&f->p.t, link_is_up(f->p.link));
    f->published++;
    assert_int_equal(
        link_command(f->p.link, link_probe_on_answer, &f->p, "PUBLISH %s %s", topic, payload), 0);
}

/* How many Redis says got it. */
static long long publish_and_count(struct fixture *f, const char *topic, const char *payload)
{
    publish(f, topic, payload);
    wait_until(&f->p.t, f->p.answers == f->published); /* a message may overtake the answer */
    return f->p.integer;
}

static void add(struct fixture *f, const char *topic)
{
    subscriber_add(f->s, slice_of(topic));
}

static void messages_of_wanted_topics_arrive_in_order(void **state)
{
    struct fixture f;
    char text[16];

    (void)state;
    fixture_init(&f);
    fixture_start(&f);
    add(&f, "a");
    add(&f, "b");
    add(&f, "a"); /* again: no matter */
    wait_until(&f.p.t, f.readies == 1);

    for (unsigned i = 0; i < 1000; i++) {
        snprintf(text, sizeof(text), "%u", i);
        publish(&f, i % 2 == 0 ? "a" : "b", text);
    }
    for (unsigned i = 0; i < 1000; i++) {
        wait_until(&f.p.t, f.messages > i);
    }

    assert_int_equal(f.messages, 1000);
    assert_string_equal(f.payload, "999");
    assert_string_equal(f.topic, "b");
    assert_int_equal(publish_and_count(&f, "c", "nobody"), 0);
    fixture_finish(&f);
}

static void a_subscriber_that_wants_nothing_is_ready(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f);
    fixture_start(&f);
    assert_false(subscriber_is_ready(f.s));

    wait_until(&f.p.t, f.readies == 1);

    assert_true(subscriber_is_ready(f.s));
    fixture_finish(&f);
}

static void a_removed_topic_is_silent_and_may_come_back(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f);
    fixture_start(&f);
    add(&f, "a");
    add(&f, "b");
    wait_until(&f.p.t, f.readies == 1);

    subscriber_remove(f.s, SLICE("a"));
    subscriber_remove(f.s, SLICE("never-added"));
    test_loop_turn(&f.p.t);
    wait_until(&f.p.t, publish_and_count(&f, "a", "lost") == 0);
    unsigned before = f.messages; /* those that Redis said were heard */
    add(&f, "a");
    assert_false(subscriber_is_ready(f.s));
    wait_until(&f.p.t, f.readies == 2);

    assert_int_equal(publish_and_count(&f, "a", "back"), 1);
    wait_until(&f.p.t, f.messages == before + 1);
    assert_string_equal(f.payload, "back");
    fixture_finish(&f);
}

static void the_last_of_many_changes_of_a_topic_counts(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f);
    fixture_start(&f);
    add(&f, "other");
    wait_until(&f.p.t, f.readies == 1);

    for (int i = 0; i < 20; i++) { /* within a turn, and over turns */
        add(&f, "a");
        if (i % 3 == 0) {
            uv_run(&f.p.t.uv, UV_RUN_NOWAIT);
        }
        subscriber_remove(f.s, SLICE("a"));
        if (i % 4 == 0) {
            uv_run(&f.p.t.uv, UV_RUN_NOWAIT);
        }
    }
    add(&f, "a");
    wait_until(&f.p.t, subscriber_is_ready(f.s));
    assert_int_equal(publish_and_count(&f, "a", "yes"), 1);
    wait_until(&f.p.t, f.messages == 1);

    add(&f, "b");
    subscriber_remove(f.s, SLICE("b"));
    wait_until(&f.p.t, subscriber_is_ready(f.s));
    assert_int_equal(publish_and_count(&f, "b", "no"), 0);
    fixture_finish(&f);
}

static void what_is_removed_is_told_when_redis_has_confirmed_it(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f);
    fixture_start(&f);
    add(&f, "a");
    add(&f, "b");
    wait_until(&f.p.t, f.settled == 1);

    subscriber_remove(f.s, SLICE("a"));
    subscriber_remove(f.s, SLICE("b"));
    assert_false(subscriber_is_settled(f.s));
    wait_until(&f.p.t, f.settled == 2);

    assert_int_equal(publish_and_count(&f, "a", "no"), 0);
    fixture_finish(&f);
}

static void patterns_hand_on_the_topic_of_the_message(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f);
    fixture_start(&f);
    subscriber_add_pattern(f.s, SLICE("shoal:*:chat:*"));
    subscriber_add_pattern(f.s, SLICE("shoal:*:chat:*"));
    wait_until(&f.p.t, f.readies == 1);

    publish(&f, "shoal:main:chat:forsen", "hello");
    wait_until(&f.p.t, f.messages == 1);

    assert_string_equal(f.topic, "shoal:main:chat:forsen");
    assert_string_equal(f.payload, "hello");
    fixture_finish(&f);
}

static void five_thousand_topics_may_be_added_at_once(void **state)
{
    struct fixture f;
    char name[32];

    (void)state;
    fixture_init(&f);
    fixture_start(&f);
    wait_until(&f.p.t, f.readies == 1);

    for (int i = 0; i < 5000; i++) {
        snprintf(name, sizeof(name), "topic-%d", i);
        add(&f, name);
    }
    wait_until(&f.p.t, f.readies == 2);
    publish(&f, "topic-0", "first");
    publish(&f, "topic-4999", "last");
    wait_until(&f.p.t, f.messages == 2);
    assert_string_equal(f.topic, "topic-4999");

    for (int i = 0; i < 5000; i++) {
        snprintf(name, sizeof(name), "topic-%d", i);
        subscriber_remove(f.s, slice_of(name));
    }
    wait_until(&f.p.t, publish_and_count(&f, "topic-4999", "x") == 0);
    assert_true(subscriber_is_ready(f.s));
    fixture_finish(&f);
}

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

static void close_it(struct fixture *f)
{
    if (f->s != NULL) {
        fixture_close(f);
    }
}

static void a_subscriber_may_be_closed_in_its_callbacks(void **state)
{
    (void)state;
    for (int which = 0; which < 3; which++) {
        struct fixture f;

        fixture_init(&f);
        f.at_ready = which == 0 ? close_it : NULL;
        f.at_message = which == 1 ? close_it : NULL;
        f.at_down = which == 2 ? close_it : NULL;
        fixture_start(&f);
        add(&f, "a");
        wait_until(&f.p.t, f.readies == 1);
        if (which == 1) {
            publish(&f, "a", "1");
            publish(&f, "a", "2");
        } else if (which == 2) {
            link_probe_ask(&f.p, "CLIENT KILL TYPE pubsub");
            f.published++;
        }
        wait_until(&f.p.t, f.closes == 1);
        assert_true(f.messages <= 1);
        fixture_finish(&f);
    }
}

static void a_callback_may_change_what_is_wanted(struct fixture *f)
{
    if (f->messages == 1) {
        subscriber_remove(f->s, SLICE("a"));
        add(f, "b");
    }
}

static void topics_may_change_in_a_message(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f);
    f.at_message = a_callback_may_change_what_is_wanted;
    fixture_start(&f);
    add(&f, "a");
    wait_until(&f.p.t, f.readies == 1);

    publish(&f, "a", "1");
    publish(
        &f, "a",
        "2"); /* in the same read: not wanted any more, but its publisher was told that it is heard */
    wait_until(&f.p.t, f.readies == 2);
    assert_string_equal(f.payload, "2");
    publish(&f, "b", "3");
    wait_until(&f.p.t, f.messages == 3);

    assert_string_equal(f.payload, "3");
    fixture_finish(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_of_wanted_topics_arrive_in_order),
        cmocka_unit_test(a_subscriber_that_wants_nothing_is_ready),
        cmocka_unit_test(a_removed_topic_is_silent_and_may_come_back),
        cmocka_unit_test(the_last_of_many_changes_of_a_topic_counts),
        cmocka_unit_test(what_is_removed_is_told_when_redis_has_confirmed_it),
        cmocka_unit_test(patterns_hand_on_the_topic_of_the_message),
        cmocka_unit_test(five_thousand_topics_may_be_added_at_once),
        cmocka_unit_test(everything_wanted_is_subscribed_anew_after_a_restart),
        cmocka_unit_test(a_subscriber_is_back_soon_however_long_redis_was_away),
        cmocka_unit_test(the_probe_finds_a_stopped_server),
        cmocka_unit_test(a_quiet_subscription_stays),
        cmocka_unit_test(who_leaves_a_server_hears_all_that_was_counted_first),
        cmocka_unit_test(a_server_that_says_nothing_is_left_soon),
        cmocka_unit_test(a_forbidden_topic_is_said_so),
        cmocka_unit_test(a_subscriber_may_be_closed_in_its_callbacks),
        cmocka_unit_test(topics_may_change_in_a_message),
    };

    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
