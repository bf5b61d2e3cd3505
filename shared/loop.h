/* Loop: the process's one event loop (libuv), its signals, and how a daemon stops.
 *
 * Tells the service manager of stops and reloads; the owner begins that (service_begin).
 * Once a second it writes what the log held back (log_flush).
 * Life: loop_init; rooms start their handles on `uv`; loop_run returns when loop_stop_watch'ed
 * handles are all closed; loop_finish asserts that nothing was left open (uv_loop_close == 0). */
#ifndef SHOAL_LOOP_H
#define SHOAL_LOOP_H

#include "shared/service.h"

#include <uv.h>

struct loop {
    uv_loop_t uv;
    uv_signal_t sigint;
    uv_signal_t sigterm;
    uv_signal_t sighup;
    uv_timer_t log_timer;
    struct service_state service;
    void (*on_stop)(void *ctx, int times); /* SIGINT or SIGTERM; times: 1 drain, 2 leave at once */
    void (*on_reload)(void *ctx);          /* SIGHUP; may be NULL */
    void *ctx;
    int stops;
};

/* Start the loop and its signal handlers; SIGPIPE is ignored. */
void loop_init(struct loop *loop, void (*on_stop)(void *ctx, int times),
               void (*on_reload)(void *ctx), void *ctx);
/* Run until every handle is closed. Rooms close their own; the caller calls loop_close_signals. */
void loop_run(struct loop *loop);
/* Let go of signal handlers, service and timer, so that loop_run can return. */
void loop_close_signals(struct loop *loop);
/* Start the timer so that it fires at `at_ms` (mono_ms), once, or as soon as may be. */
void loop_timer_at(uv_timer_t *timer, uv_timer_cb cb, uint64_t at_ms);
/* Close the loop; an open handle is a bug and is printed. */
void loop_finish(struct loop *loop);

#endif
