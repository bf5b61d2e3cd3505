/* Probe: one connection at a time, and a timer between them. */
#include "node/probe.h"

#include "shared/log.h"
#include "shared/loop.h"
#include "shared/teardown.h"

#include <stdlib.h>

struct probe {
    struct connections *pool;
    const char *url;
    probe_cb cb;
    void *ctx;
    uv_timer_t timer;
    struct connection *connection; /* under way */
    uint64_t every_ms;
    uint64_t began_ms; /* the one under way, or the last */
    uint64_t ended_ms; /* the last; where there was none, since when there should be */
    struct teardown teardown;
};

static void on_timer(uv_timer_t *timer);

static void plan(struct probe *p)
{
    if (p->every_ms == 0 || p->connection != NULL) {
        uv_timer_stop(&p->timer);
        return;
    }
    loop_timer_at(&p->timer, on_timer,
                  p->ended_ms + p->every_ms + random_below(p->every_ms / 3 + 1));
}

static void on_ended(void *ctx, const char *why, uint64_t caught_up_ms)
{
    struct probe *p = ctx;

    (void)caught_up_ms;
    log_debug("probe", "probe.done", "error", why != NULL ? why : "", NULL);
    p->connection = NULL;
    p->ended_ms = mono_ms();
    plan(p);
    p->cb(p->ctx, p->began_ms, why);
}

static void on_open(void *ctx)
{
    struct probe *p = ctx;

    connection_close(p->connection);
    on_ended(p, NULL, 0);
}

static void on_timer(uv_timer_t *timer)
{
    /* It is closed when it is open: no line comes. */
    static const struct connection_callbacks callbacks = {.on_open = on_open,
                                                          .on_closed = on_ended};
    struct probe *p = timer->data;
    struct err err = {0};

    p->began_ms = mono_ms();
    p->connection = connection_open(p->pool, p->url, &callbacks, p, &err);
    if (p->connection == NULL) {
        on_ended(p, err.text, 0);
    }
}

struct probe *probe_create(uv_loop_t *loop, struct connections *pool, const char *url, probe_cb cb,
                           void *ctx)
{
    struct probe *p = xmalloc(sizeof(*p));

    *p = (struct probe){.pool = pool, .url = url, .cb = cb, .ctx = ctx};
    uv_timer_init(loop, &p->timer);
    p->timer.data = p;
    return p;
}

void probe_every(struct probe *p, uint64_t every_ms)
{
    if (every_ms == p->every_ms) {
        return;
    }
    if (p->every_ms == 0) {
        p->ended_ms = mono_ms();
    }
    p->every_ms = every_ms;
    plan(p);
}

void probe_close(struct probe *p, void (*on_closed)(void *ctx), void *ctx)
{
    connection_close(p->connection);
    teardown_begin(&p->teardown, free, p, on_closed, ctx);
    teardown_handle(&p->teardown, (uv_handle_t *)&p->timer);
}
