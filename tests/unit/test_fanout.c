/* Fan-out: lines arrive once and in order whatever happens to the link, against a real Redis. */
#include "node/fanout_private.h"
#include "node/meters.h"

#include "shared/redis/registry.h"
#include "shared/redis/subscriber.h"
#include "tests/lib/link_probe.h"
#include "tests/lib/private_redis.h"
#include "tests/lib/test_loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define SEQ_KEY "shoal:{main}:fan:n1"

struct fixture {
    struct test_loop t;
    struct url url;
    struct registry *names;
    struct fanout *fanout;
    struct link *link;
    struct subscriber *subscriber;
    bool may_send;
    bool ready;
    unsigned attached;
    unsigned got;      /* messages */
    unsigned next;     /* the number that the next message should have */
    bool out_of_order; /* a message had another number */
    unsigned gaps;
    uint64_t gap_lines;
    uint64_t gap_ms; /* of the longest */
    char gap_channel[64];
    char gap_reason[64];
    unsigned closed;
    bool done;
};

static bool may_send(void *ctx)
{
    return ((struct fixture *)ctx)->may_send;
}

static void on_gap(void *ctx, struct slice channel, uint64_t from_ms, uint64_t to_ms,
                   uint64_t lines, const char *reason)
{
    struct fixture *f = ctx;

    assert_true(from_ms <= to_ms);
    f->gap_ms = to_ms - from_ms > f->gap_ms ? to_ms - from_ms : f->gap_ms;
    f->gaps++;
    f->gap_lines += lines;
    snprintf(f->gap_channel, sizeof(f->gap_channel), "%.*s", (int)channel.len, channel.ptr);
    snprintf(f->gap_reason, sizeof(f->gap_reason), "%s", reason);
}

static void on_message(void *ctx, struct slice topic, struct slice payload)
{
    struct fixture *f = ctx;
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
    ((struct fixture *)ctx)->ready = true;
}

static void on_seq(void *ctx, const struct redisReply *reply, const struct err *err)
{
    struct fixture *f = ctx;

    if (err == NULL) {
        uint64_t seq = reply->type == REDIS_REPLY_STRING ? strtoull(reply->str, NULL, 10) : 0;
        fanout_attach(f->fanout, f->link, seq);
        f->attached++;
    }
}

static void on_up(void *ctx)
{
    struct fixture *f = ctx;

    assert_int_equal(link_command(f->link, on_seq, f, "HGET " SEQ_KEY " seq"), 0);
}

static void on_down(void *ctx, const struct err *why)
{
    (void)why;
    fanout_detach(((struct fixture *)ctx)->fanout);
}

static void on_closed(void *ctx)
{
    ((struct fixture *)ctx)->closed++;
}

static void begin(struct fixture *f, size_t buffer_bytes)
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

    *f = (struct fixture){.may_send = true, .names = names};
    test_loop_init(&f->t);
    snprintf(text, sizeof(text), "redis://127.0.0.1:%u", private_redis_port(redis));
    assert_int_equal(url_parse_redis(text, &f->url, &err), 0);
    f->fanout = fanout_create(&f->t.uv, &options);
}

/* A subscriber that hears everything, and a link that attaches the fan-out when it is up. */
static void connect_both(struct fixture *f)
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

static void finish(struct fixture *f)
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

static void take_lines(struct fixture *f, unsigned from, unsigned n, const char *channel)
{
    char line[256];

    for (unsigned i = from; i < from + n; i++) {
        int len = snprintf(line, sizeof(line), "line %u %0*u", i, (int)(i % 200), 0);
        fanout_line(f->fanout, slice_of(channel), (struct slice){line, (size_t)len}, mono_ms());
    }
}

static void lines_arrive_once_and_in_order(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, 64 << 20);
    connect_both(&f);

    for (unsigned i = 0; i < 100; i++) {
        take_lines(&f, i * 100, 100, "forsen");
        test_loop_turn(&f.t);
    }
    wait_until(&f.t, fanout_is_drained(f.fanout) && f.got == 10000);

    assert_false(f.out_of_order);
    finish(&f);
}

static void a_lone_line_leaves_at_once(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, 64 << 20);
    connect_both(&f);
    wait_until(&f.t, f.attached == 1);

    take_lines(&f, 0, 1, "forsen");
    wait_until(&f.t, f.got == 1);

    finish(&f);
}

static void a_link_that_breaks_again_and_again_loses_and_doubles_nothing(void **state)
{
    struct fixture f;
    unsigned taken = 0;
    struct meters_node before = meters;

    (void)state;
    begin(&f, 64 << 20);
    connect_both(&f);

    for (unsigned round = 0; round < 15; round++) {
        unsigned attached = f.attached;
        for (unsigned i = 0; i < 5 + round; i++) {
            take_lines(&f, taken, 300, "forsen");
            taken += 300;
            test_loop_turn(&f.t);
        }
        if (link_is_up(f.link)) {
            link_reset(f.link, "the test breaks it");
            wait_until(&f.t, f.attached > attached);
        }
    }
    wait_until(&f.t, fanout_is_drained(f.fanout) && f.got >= taken);

    assert_int_equal(f.got, taken);
    assert_false(f.out_of_order);
    assert_int_equal(meters.fanout_lines_total - before.fanout_lines_total, taken);
    assert_true(meters.fanout_bytes_total - before.fanout_bytes_total > taken * 10);
    assert_true(meters.fanout_transactions_total - before.fanout_transactions_total > taken / 64);
    assert_true(histogram_take_worst(&meters.fanout_seconds) > 0);
    finish(&f);
}

static void what_redis_had_answered_is_not_said_again_though_redis_forgot_it(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, 64 << 20);
    connect_both(&f);
    take_lines(&f, 0, 64, "forsen");
    take_lines(&f, 64, 64, "forsen");
    wait_until(&f.t, fanout_is_drained(f.fanout) && f.got == 128);
    assert_int_equal(f.fanout->seq, 128);
    assert_int_equal(f.fanout->answered, 128);

    assert_int_equal(fanout_attach(f.fanout, f.link, 64), 64);
    assert_int_equal(fanout_attach(f.fanout, f.link, 64), 0); /* told once */
    take_lines(&f, 128, 64, "forsen");
    wait_until(&f.t, fanout_is_drained(f.fanout) && f.got >= 192);

    assert_int_equal(f.got, 192);
    assert_false(f.out_of_order);
    finish(&f);
}

static void on_done(void *ctx, const struct err *err)
{
    assert_null(err);
    ((struct fixture *)ctx)->done = true;
}

/* A Redis with the functions, full or not. */
static struct registry *functions(struct fixture *f)
{
    struct registry *r;

    wait_until(&f->t, f->attached == 1);
    r = registry_create(f->link, "main");
    assert_int_equal(registry_load(r, on_done, f), 0);
    wait_until(&f->t, f->done);
    return r;
}

static void set_full(struct fixture *f, bool full)
{
    assert_int_equal(link_command(f->link, NULL, NULL, "CONFIG SET maxmemory %s", full ? "1" : "0"),
                     0);
}

static void lines_flow_while_redis_is_full_once_and_in_order(void **state)
{
    struct fixture f;
    unsigned taken = 0;

    (void)state;
    begin(&f, 64 << 20);
    connect_both(&f);
    struct registry *r = functions(&f);

    for (unsigned round = 0; round < 4; round++) {
        set_full(&f, round % 2 == 0);
        uint64_t until = mono_ms() + (round == 1 ? 2500 : 200); /* long enough for a trial */
        while (mono_ms() < until) {
            take_lines(&f, taken, 7, "forsen");
            taken += 7;
            test_loop_run_for(&f.t, 2);
        }
        wait_until(&f.t, fanout_is_drained(f.fanout) && f.got == taken);
    }

    assert_false(f.out_of_order);
    assert_int_equal(f.attached, 1);
    set_full(&f, false);
    registry_destroy(r);
    finish(&f);
}

static void what_was_refused_and_overtaken_is_neither_lost_nor_doubled(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, 64 << 20);
    connect_both(&f);
    struct registry *r = functions(&f);

    set_full(&f, true);
    take_lines(&f, 0, 2000, "forsen"); /* so many that most leave before the turn ends */
    set_full(&f, false);
    take_lines(&f, 2000, 64, "forsen"); /* carried out, though the first were not */
    wait_until(&f.t, fanout_is_drained(f.fanout) && f.got >= 2064);
    link_reset(f.link, "the test breaks it");
    take_lines(&f, 2064, 10, "forsen");
    wait_until(&f.t, f.attached == 2 && fanout_is_drained(f.fanout) && f.got >= 2074);

    assert_true(f.out_of_order);
    assert_int_equal(f.got, 2074);
    registry_destroy(r);
    finish(&f);
}

/* Somebody put a string at the key of seq: an EXEC that answers an array was carried out all the
 * same. */
static void what_was_published_without_its_seq_is_not_published_again(void **state)
{
    struct fixture f;
    unsigned resets;

    (void)state;
    begin(&f, 64 << 20);
    connect_both(&f);
    wait_until(&f.t, f.attached == 1);
    take_lines(&f, 0, 100, "forsen");
    wait_until(&f.t, fanout_is_drained(f.fanout) && f.got == 100);
    assert_int_equal(link_command(f.link, NULL, NULL, "SET " SEQ_KEY " junk"), 0);
    take_lines(&f, 100, 200, "forsen");
    wait_until(&f.t, f.got >= 300);
    wait_until(&f.t, fanout_is_drained(f.fanout));
    assert_int_equal(f.attached, 1); /* a new link would not mend it */

    /* Redis does not know how far it came. */
    resets = f.attached;
    link_reset(f.link, "the test breaks it");
    wait_until(&f.t, f.attached > resets);
    take_lines(&f, 300, 1, "forsen");
    wait_until(&f.t, f.got == 301);
    assert_int_equal(link_command(f.link, NULL, NULL, "DEL " SEQ_KEY), 0);
    take_lines(&f, 301, 99, "forsen");
    wait_until(&f.t, fanout_is_drained(f.fanout) && f.got >= 400);

    assert_int_equal(f.got, 400);
    assert_false(f.out_of_order);
    finish(&f);
}

static void nothing_leaves_without_the_lease(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, 64 << 20);
    f.may_send = false;
    connect_both(&f);
    wait_until(&f.t, f.attached == 1);
    take_lines(&f, 0, 1000, "forsen");
    test_loop_run_for(&f.t, 100);
    assert_int_equal(f.got, 0);

    f.may_send = true;
    fanout_hold(f.fanout, false);
    wait_until(&f.t, f.got == 1000);

    assert_false(f.out_of_order);
    finish(&f);
}

static void what_does_not_fit_is_dropped_without_holes_and_told_once(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, 64 << 10);
    uint64_t before = meters.fanout_dropped_lines_total;
    take_lines(&f, 0, 2000, "forsen");
    unsigned dropped = (unsigned)(meters.fanout_dropped_lines_total - before);
    assert_true(dropped > 0);
    assert_int_equal(f.gaps, 0);

    unsigned held = 2000 - dropped;
    connect_both(&f);
    wait_until(&f.t, fanout_is_drained(f.fanout) && f.got == held);
    assert_false(f.out_of_order); /* the first `held` lines, none missing between them */
    assert_int_equal(f.gaps, 1);  /* told when there is room, not with the next line */
    take_lines(&f, held, 1, "forsen");
    wait_until(&f.t, f.got == held + 1);

    assert_int_equal(f.gaps, 1);
    assert_int_equal(f.gap_lines, dropped);
    assert_string_equal(f.gap_channel, "forsen");
    assert_string_equal(f.gap_reason, "buffer_full");
    finish(&f);
}

static void a_lost_lease_counts_what_it_drops_per_channel(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, 1 << 20);
    take_lines(&f, 0, 130, "forsen");
    test_loop_run_for(&f.t, 60);
    take_lines(&f, 130, 1, "forsen");
    take_lines(&f, 0, 70, "shroud");
    uint64_t before = meters.fanout_dropped_lines_total;

    fanout_drop(f.fanout, "lease_lost");

    assert_int_equal(f.gaps, 2);
    assert_int_equal(f.gap_lines, 201);
    assert_string_equal(f.gap_reason, "lease_lost");
    assert_int_equal(meters.fanout_dropped_lines_total - before, 201);
    assert_true(fanout_is_drained(f.fanout));
    finish(&f);
}

/* Somebody else may have read what was said while it stood still. */
static void no_gap_spans_the_time_in_which_the_node_stood_still(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, 1 << 20);
    take_lines(&f, 0, 10, "forsen");
    test_loop_run_for(&f.t, 1200);
    take_lines(&f, 10, 10, "forsen");

    fanout_drop(f.fanout, "lease_lost");

    assert_int_equal(f.gaps, 2);
    assert_int_equal(f.gap_lines, 20);
    assert_true(f.gap_ms < 500);
    finish(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lines_arrive_once_and_in_order, start_redis, stop_redis),
        cmocka_unit_test_setup_teardown(a_lone_line_leaves_at_once, start_redis, stop_redis),
        cmocka_unit_test_setup_teardown(
            a_link_that_breaks_again_and_again_loses_and_doubles_nothing, start_redis, stop_redis),
        cmocka_unit_test_setup_teardown(
            what_redis_had_answered_is_not_said_again_though_redis_forgot_it, start_redis,
            stop_redis),
        cmocka_unit_test_setup_teardown(lines_flow_while_redis_is_full_once_and_in_order,
                                        start_redis, stop_redis),
        cmocka_unit_test_setup_teardown(what_was_refused_and_overtaken_is_neither_lost_nor_doubled,
                                        start_redis, stop_redis),
        cmocka_unit_test_setup_teardown(what_was_published_without_its_seq_is_not_published_again,
                                        start_redis, stop_redis),
        cmocka_unit_test_setup_teardown(nothing_leaves_without_the_lease, start_redis, stop_redis),
        cmocka_unit_test_setup_teardown(what_does_not_fit_is_dropped_without_holes_and_told_once,
                                        start_redis, stop_redis),
        cmocka_unit_test_setup_teardown(a_lost_lease_counts_what_it_drops_per_channel, start_redis,
                                        stop_redis),
        cmocka_unit_test_setup_teardown(no_gap_spans_the_time_in_which_the_node_stood_still,
                                        start_redis, stop_redis),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
