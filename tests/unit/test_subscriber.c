/* Subscriber: topics that stay subscribed, against a real Redis. */
#include "shared/redis/subscriber.h"

#include "tests/lib/private_redis.h"
#include "tests/lib/subscriber_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

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
        cmocka_unit_test(a_subscriber_may_be_closed_in_its_callbacks),
        cmocka_unit_test(topics_may_change_in_a_message),
    };

    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
