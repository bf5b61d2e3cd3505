/* Loop: signals reach their callbacks, and nothing is left open at the end. */
#include "shared/loop.h"

#include <signal.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

struct seen {
    struct loop loop;
    int stops;
    int reloads;
    uv_timer_t guard;
};

static void on_guard(uv_timer_t *timer)
{
    (void)timer;
    fail_msg("the loop did not end in time");
}

static void on_stop(void *ctx, int times)
{
    struct seen *seen = ctx;
    seen->stops++;
    assert_int_equal(times, seen->stops);
    if (times == 2) {
        loop_close_signals(&seen->loop);
        loop_close_signals(&seen->loop); /* twice does no harm */
        uv_close((uv_handle_t *)&seen->guard, NULL);
    } else {
        kill(getpid(), SIGTERM);
    }
}

static void on_reload(void *ctx)
{
    struct seen *seen = ctx;
    seen->reloads++;
    kill(getpid(), SIGINT);
}

static void start(struct seen *seen, void (*reload)(void *ctx))
{
    *seen = (struct seen){0};
    loop_init(&seen->loop, on_stop, reload, seen);
    uv_timer_init(&seen->loop.uv, &seen->guard);
    uv_timer_start(&seen->guard, on_guard, 5000, 0);
}

static void signals_reach_their_callbacks_and_the_second_stop_counts_two(void **state)
{
    (void)state;
    struct seen seen;
    start(&seen, on_reload);
    kill(getpid(), SIGHUP);

    loop_run(&seen.loop);

    assert_int_equal(seen.reloads, 1);
    assert_int_equal(seen.stops, 2);
    loop_finish(&seen.loop);
}

static void hangup_and_a_broken_pipe_do_not_end_a_process_without_a_reload(void **state)
{
    (void)state;
    struct seen seen;
    int fds[2];
    start(&seen, NULL);
    assert_int_equal(pipe(fds), 0);
    close(fds[0]);

    assert_int_equal(write(fds[1], "x", 1), -1);
    kill(getpid(), SIGHUP);
    kill(getpid(), SIGINT);
    loop_run(&seen.loop);

    close(fds[1]);
    assert_int_equal(seen.stops, 2);
    loop_finish(&seen.loop);
    kill(getpid(), SIGHUP); /* while the last of the log is written */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signals_reach_their_callbacks_and_the_second_stop_counts_two),
        cmocka_unit_test(hangup_and_a_broken_pipe_do_not_end_a_process_without_a_reload),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
