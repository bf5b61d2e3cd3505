/* Test loop: a repeating timer bounds each turn, so a condition is looked at every 10 ms at least. */
#include "tests/lib/test_loop.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define TICK_MS 10

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

void test_loop_init(struct test_loop *t)
{
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(uv_loop_init(&t->uv), 0);
    assert_int_equal(uv_timer_init(&t->uv, &t->tick), 0);
    uv_timer_start(&t->tick, on_tick, TICK_MS, TICK_MS);
}

void test_loop_turn(struct test_loop *t)
{
    uv_run(&t->uv, UV_RUN_ONCE);
}

void test_loop_run_for(struct test_loop *t, uint64_t ms)
{
    uint64_t start = uv_hrtime();

    while ((uv_hrtime() - start) / 1000000 < ms) {
        test_loop_turn(t);
    }
}

static void on_too_long(uv_timer_t *timer)
{
    uv_print_all_handles(timer->loop, stderr);
    fail_msg("handles were left open");
}

void test_loop_finish(struct test_loop *t)
{
    uv_timer_start(&t->tick, on_too_long, TEST_WAIT_MS, 0);
    uv_unref((uv_handle_t *)&t->tick);
    uv_run(&t->uv, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&t->tick, NULL);
    uv_run(&t->uv, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&t->uv), 0);
}
