/* Fan-out rig: see fanout_rig.h. */
#include "tests/lib/fanout_rig.h"

#include "tests/lib/link_probe.h"
#include "tests/lib/private_redis.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static bool may_send(void *ctx)
{
    return ((struct fanout_rig *)ctx)->may_send;
}

static void on_gap(void *ctx, struct slice channel, uint64_t from_ms, uint64_t to_ms,
                   uint64_t lines, const char *reason)
{
    struct fanout_rig *f = ctx;

    assert_true(from_ms <= to_ms);
    f->gap_ms = to_ms - from_ms > f->gap_ms ? to_ms - from_ms : f->gap_ms;
    f->gaps++;
    f->gap_lines += lines;
    snprintf(f->gap_channel, sizeof(f->gap_channel), "%.*s", (int)channel.len, channel.ptr);
    snprintf(f->gap_reason, sizeof(f->gap_reason), "%s", reason);
}

static void on_message(void *ctx, struct slice topic, struct slice payload)
{
    struct fanout_rig *f = ctx;
    unsigned number = 0;

    (void)topic;
    sscanf(payload.ptr, "line %u ", &number);
    if (number != f->next) {
        f->out_of_order = true;
    }
    f->next = number + 1;
    f->got++;
}

static void on_ready(void *ctx)
{
    ((struct fanout_rig *)ctx)->ready = true;
}

static void on_seq(void *ctx, const struct redisReply *reply, const struct err *err)
{
    struct fanout_rig *f = ctx;

    if (err == NULL) {
        uint64_t seq = reply->type == REDIS_REPLY_STRING ? strtoull(reply->str, NULL, 10) : 0;
        fanout_attach(f->fanout, f->link, seq);
        f->attached++;
    }
}

static void on_up(void *ctx)
{
    struct fanout_rig *f = ctx;

    assert_int_equal(link_command(f->link, on_seq, f, "HGET " SEQ_KEY " seq"), 0);
}

static void on_down(void *ctx, const struct err *why)
{
    (void)why;
    fanout_detach(((struct fanout_rig *)ctx)->fanout);
}

static void on_closed(void *ctx)
{
    ((struct fanout_rig *)ctx)->closed++;
}

void fanout_rig_begin(struct fanout_rig *f, size_t buffer_bytes)
{
    struct registry *names = registry_create(NULL, "main");
    struct fanout_options options = {.registry = names,
                                     .node = "n1",
                                     .buffer_bytes = buffer_bytes,
                                     .may_send = may_send,
                                     .on_gap = on_gap,
                                     .ctx = f};
    char text[64];
    struct err err;

    *f = (struct fanout_rig){.may_send = true, .names = names};
    test_loop_init(&f->t);
    snprintf(text, sizeof(text), "redis://127.0.0.1:%u", private_redis_port(redis));
    assert_int_equal(url_parse_redis(text, &f->url, &err), 0);
    f->fanout = fanout_create(&f->t.uv, &options);
}

void fanout_rig_connect(struct fanout_rig *f)
{
    struct subscriber_options topics = {.link = {.url = &f->url, .name = "test:topics"},
                                        .on_message = on_message,
                                        .on_ready = on_ready,
                                        .ctx = f};
    struct link_options link = {
        .url = &f->url, .name = "test:fan", .on_up = on_up, .on_down = on_down, .ctx = f};

    f->subscriber = subscriber_create(&f->t.uv, &topics);
    subscriber_add_pattern(f->subscriber, SLICE("shoal:main:chat:*"));
    wait_until(&f->t, f->ready);
    f->link = link_create(&f->t.uv, &link);
}

void fanout_rig_finish(struct fanout_rig *f)
{
    unsigned handles = 0;

    if (f->link != NULL) {
        link_close(f->link, on_closed, f);
        subscriber_close(f->subscriber, on_closed, f);
        handles = 2;
    }
    wait_until(&f->t, f->closed == handles);
    fanout_destroy(f->fanout);
    registry_destroy(f->names);
    test_loop_finish(&f->t);
}

void fanout_rig_take(struct fanout_rig *f, unsigned from, unsigned n, const char *channel)
{
    char line[256];

    for (unsigned i = from; i < from + n; i++) {
        int len = snprintf(line, sizeof(line), "line %u %0*u", i, (int)(i % 200), 0);
        fanout_line(f->fanout, slice_of(channel), (struct slice){line, (size_t)len}, mono_ms());
    }
}

static void on_done(void *ctx, const struct err *err)
{
    assert_null(err);
    ((struct fanout_rig *)ctx)->done = true;
}

struct registry *fanout_rig_functions(struct fanout_rig *f)
{
    struct registry *r;

    wait_until(&f->t, f->attached == 1);
    r = registry_create(f->link, "main");
    assert_int_equal(registry_load(r, on_done, f), 0);
    wait_until(&f->t, f->done);
    return r;
}
