/* Startup: how long a daemon waits for a Redis that it never reached. */
#include "shared/startup.h"

#include "tests/lib/test_loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define PATIENCE_MS 200

struct daemon {
    struct test_loop t;
    struct startup startup;
    struct err why; /* what it gave up with */
    bool gave_up;
};

static void on_give_up(void *ctx, const struct err *why)
{
    struct daemon *d = ctx;

    assert_false(d->gave_up);
    d->gave_up = true;
    d->why = *why;
}

static void failed(struct daemon *d, enum err_code code, const char *text)
{
    struct err why;

    err_set(&why, code, "%s", text);
    startup_failed(&d->startup, &why);
}

static void begin(struct daemon *d, uint64_t patience_ms)
{
    *d = (struct daemon){0};
    test_loop_init(&d->t);
    startup_begin(&d->startup, &d->t.uv, patience_ms, on_give_up, d);
}

static void finish(struct daemon *d)
{
    startup_close(&d->startup);
    test_loop_finish(&d->t);
}

static void who_is_out_of_reach_is_given_up_in_time(void **state)
{
    struct daemon d;

    (void)state;
    begin(&d, 50);
    failed(&d, ERR_UNREACHABLE, "nobody listens");
    assert_false(d.gave_up);
    wait_until(&d.t, d.gave_up);
    assert_int_equal(d.why.code, ERR_UNREACHABLE);
    assert_string_equal(d.why.text, "nobody listens; is Redis running, and --redis-url right? "
                                    "(gave up after 1 s)");
    finish(&d);
}

static void what_trying_again_cannot_mend_is_given_up_at_once(void **state)
{
    struct daemon d;

    (void)state;
    begin(&d, 10000);
    failed(&d, ERR_AUTH, "wrong password");
    assert_true(d.gave_up);
    assert_string_equal(d.why.text, "wrong password");
    finish(&d);
}

/* Gigabytes take minutes. */
static void a_redis_that_loads_is_waited_for(void **state)
{
    struct daemon d;

    (void)state;
    begin(&d, 10000);
    test_loop_run_for(&d.t, 30);
    failed(&d, ERR_DOWN, "it went");
    assert_true(uv_timer_get_due_in(&d.startup.timer) < 10000);
    uv_update_time(&d.t.uv);
    failed(&d, ERR_LOADING, "it loads");
    assert_int_equal(uv_timer_get_due_in(&d.startup.timer), 10000);
    startup_succeeded(&d.startup);
    assert_false(uv_is_active((uv_handle_t *)&d.startup.timer));
    assert_false(d.gave_up);
    finish(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_out_of_reach_is_given_up_in_time),
        cmocka_unit_test(what_trying_again_cannot_mend_is_given_up_at_once),
        cmocka_unit_test(a_redis_that_loads_is_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
