/* Loop: libuv's loop, the three signals a daemon hears, and a shutdown that leaves nothing open. */
#include "shared/loop.h"

#include "shared/log.h"

#include <signal.h>
#include <stdio.h>

static void on_stop_signal(uv_signal_t *handle, int signum)
{
    (void)signum;
    struct loop *loop = handle->data;
    loop->stops++;
    service_stopping(&loop->service);
    if (loop->on_stop) {
        loop->on_stop(loop->ctx, loop->stops);
    }
}

static void on_reload_signal(uv_signal_t *handle, int signum)
{
    (void)signum;
    struct loop *loop = handle->data;
    if (loop->on_reload) {
        service_reloading(&loop->service);
        loop->on_reload(loop->ctx);
        service_reloaded(&loop->service);
    }
}

static void watch_signal(struct loop *loop, uv_signal_t *handle, uv_signal_cb cb, int signum)
{
    BUG_ON(uv_signal_init(&loop->uv, handle) != 0);
    handle->data = loop;
    BUG_ON(uv_signal_start(handle, cb, signum) != 0);
}

static void on_log_timer(uv_timer_t *timer)
{
    (void)timer;
    log_flush(0);
}

void loop_init(struct loop *loop, void (*on_stop)(void *ctx, int times),
               void (*on_reload)(void *ctx), void *ctx)
{
    *loop = (struct loop){.on_stop = on_stop, .on_reload = on_reload, .ctx = ctx};
    BUG_ON(uv_loop_init(&loop->uv) != 0);
    signal(SIGPIPE, SIG_IGN); /* a write to a closed peer is an error of that write */
    watch_signal(loop, &loop->sigint, on_stop_signal, SIGINT);
    watch_signal(loop, &loop->sigterm, on_stop_signal, SIGTERM);
    /* Watched even without on_reload: a daemon does not die of SIGHUP. */
    watch_signal(loop, &loop->sighup, on_reload_signal, SIGHUP);
    uv_timer_init(&loop->uv, &loop->log_timer);
    uv_timer_start(&loop->log_timer, on_log_timer, 1000, 1000);
}

void loop_run(struct loop *loop)
{
    uv_run(&loop->uv, UV_RUN_DEFAULT);
}

static void close_handle(uv_handle_t *handle)
{
    if (!uv_is_closing(handle)) {
        uv_close(handle, NULL);
    }
}

void loop_close_signals(struct loop *loop)
{
    close_handle((uv_handle_t *)&loop->sigint);
    close_handle((uv_handle_t *)&loop->sigterm);
    close_handle((uv_handle_t *)&loop->sighup);
    signal(SIGHUP, SIG_IGN); /* libuv has made it deadly again: something is still to be done */
    close_handle((uv_handle_t *)&loop->log_timer);
    service_close(&loop->service);
}

void loop_timer_at(uv_timer_t *timer, uv_timer_cb cb, uint64_t at_ms)
{
    uint64_t now = mono_ms();

    uv_update_time(timer->loop);
    uv_timer_start(timer, cb, at_ms > now ? at_ms - now : 0, 0);
}

void loop_finish(struct loop *loop)
{
    int failed = uv_loop_close(&loop->uv);
    if (failed) {
        fprintf(stderr, "handles left open at the end of the loop:\n");
        uv_print_all_handles(&loop->uv, stderr);
    }
    BUG_ON(failed);
}
