/* Subscriber rig: see subscriber_rig.h. */
#include "tests/lib/subscriber_rig.h"

#include "tests/lib/private_redis.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

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

void fixture_init(struct fixture *f)
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

void fixture_start(struct fixture *f)
{
    f->s = subscriber_create(&f->p.t.uv, &f->options);
}

void fixture_close(struct fixture *f)
{
    struct subscriber *s = f->s;

    f->s = NULL;
    subscriber_close(s, on_closed, f);
}

void fixture_finish(struct fixture *f)
{
    if (f->s != NULL) {
        fixture_close(f);
    }
    link_probe_finish(&f->p);
    assert_int_equal(f->closes, 1);
}

void publish(struct fixture *f, const char *topic, const char *payload)
{
    wait_until(&f->p.t, link_is_up(f->p.link));
    f->published++;
    assert_int_equal(
        link_command(f->p.link, link_probe_on_answer, &f->p, "PUBLISH %s %s", topic, payload), 0);
}

long long publish_and_count(struct fixture *f, const char *topic, const char *payload)
{
    publish(f, topic, payload);
    wait_until(&f->p.t, f->p.answers == f->published); /* a message may overtake the answer */
    return f->p.integer;
}

void add(struct fixture *f, const char *topic)
{
    subscriber_add(f->s, slice_of(topic));
}
