/* Where more is read than Redis takes: the fan-out asks that what comes waits where it is. */
#include "node/fanout.h"

#include "tests/lib/private_redis.h"
#include "tests/lib/test_loop.h"

#include "shared/redis/link.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#define LINE_BYTES   1000
#define BUFFER_BYTES (64 * 1024) /* half of it is too much */

struct fixture {
    struct test_loop t;
    struct url url;
    struct registry *names;
    struct fanout *fanout;
    struct link *link;
    bool up;
    bool closed;
    bool high;
    unsigned told;
    unsigned gaps;
};

static bool may_send(void *ctx)
{
    (void)ctx;
    return true;
}

static void on_gap(void *ctx, struct slice channel, uint64_t from_ms, uint64_t to_ms,
                   uint64_t lines, const char *reason)
{
    struct fixture *f = ctx;

    (void)channel;
    (void)from_ms;
    (void)to_ms;
    (void)lines;
    (void)reason;
    f->gaps++;
}

static void on_pressure(void *ctx, bool high)
{
    struct fixture *f = ctx;

    assert_true(high != f->high);
    f->high = high;
    f->told++;
}

static void on_up(void *ctx)
{
    struct fixture *f = ctx;

    (void)fanout_attach(f->fanout, f->link, 0);
    f->up = true;
}

static void on_down(void *ctx, const struct err *why)
{
    struct fixture *f = ctx;

    (void)why;
    fanout_detach(f->fanout);
}

static void on_closed(void *ctx)
{
    ((struct fixture *)ctx)->closed = true;
}

static void begin(struct fixture *f)
{
    *f = (struct fixture){.names = registry_create(NULL, "main")};
    struct fanout_options options = {.registry = f->names,
                                     .node = "n1",
                                     .buffer_bytes = BUFFER_BYTES,
                                     .may_send = may_send,
                                     .on_gap = on_gap,
                                     .on_pressure = on_pressure,
                                     .ctx = f};
    struct link_options link = {
        .url = &f->url, .name = "test:fan", .on_up = on_up, .on_down = on_down, .ctx = f};
    char text[64];

    test_loop_init(&f->t);
    snprintf(text, sizeof(text), "redis://127.0.0.1:%u", private_redis_port(redis));
    assert_int_equal(url_parse_redis(text, &f->url, NULL), 0);
    f->fanout = fanout_create(&f->t.uv, &options);
    f->link = link_create(&f->t.uv, &link);
    wait_until(&f->t, f->up);
}

static void finish(struct fixture *f)
{
    link_close(f->link, on_closed, f);
    wait_until(&f->t, f->closed);
    fanout_destroy(f->fanout);
    registry_destroy(f->names);
    test_loop_finish(&f->t);
}

static void take_lines(struct fixture *f, unsigned n)
{
    static const char line[LINE_BYTES];

    for (unsigned i = 0; i < n; i++) {
        fanout_line(f->fanout, SLICE("forsen"), (struct slice){line, sizeof(line)}, mono_ms());
    }
    test_loop_run_for(&f->t, 5);
}

static void it_is_asked_to_wait_until_redis_has_taken_most(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    private_redis_pause(redis);
    take_lines(&f, 20);
    assert_int_equal(f.told, 0);
    take_lines(&f, 20);
    assert_true(f.high);
    private_redis_resume(redis);
    wait_until(&f.t, !f.high);
    assert_in_range(fanout_load(f.fanout).bytes, 0, BUFFER_BYTES / 8);
    wait_until(&f.t, fanout_is_drained(f.fanout));
    assert_int_equal(f.told, 2);
    assert_int_equal(f.gaps, 0);
    finish(&f);
}

static void it_waits_for_a_second_and_then_redis_counts_as_away(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    private_redis_pause(redis);
    uint64_t since = mono_ms();
    take_lines(&f, 40);
    assert_true(f.high);
    wait_until(&f.t, !f.high);
    assert_in_range(mono_ms() - since, 1000, 1500);
    take_lines(&f, 5);
    assert_false(f.high); /* not again, while there is too much */
    private_redis_resume(redis);
    wait_until(&f.t, fanout_is_drained(f.fanout));
    assert_int_equal(f.told, 2);
    private_redis_pause(redis);
    take_lines(&f, 40);
    assert_true(f.high);
    private_redis_resume(redis);
    wait_until(&f.t, fanout_is_drained(f.fanout));
    finish(&f);
}

static void nobody_waits_while_there_is_no_link(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    private_redis_pause(redis);
    take_lines(&f, 40);
    assert_true(f.high);
    link_reset(f.link, "the test breaks it");
    wait_until(&f.t, !f.high);
    private_redis_resume(redis);
    finish(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_asked_to_wait_until_redis_has_taken_most),
        cmocka_unit_test(it_waits_for_a_second_and_then_redis_counts_as_away),
        cmocka_unit_test(nobody_waits_while_there_is_no_link),
    };

    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
