/* Startup: patience at first, none where it is pointless. */
#include "shared/startup.h"

#include "shared/log.h"

#include <inttypes.h>

static void give_up(struct startup *s, const struct err *why)
{
    s->over = true;
    uv_timer_stop(&s->timer);
    s->on_give_up(s->ctx, why);
}

static void on_patience_over(uv_timer_t *timer)
{
    struct startup *s = timer->data;
    if (s->last.code == ERR_OK) {
        err_set(&s->last, ERR_TIMEOUT, "Redis did not answer");
    }
    struct err why;
    err_set(&why, s->last.code, "%.400s%s (gave up after %" PRIu64 " s)", s->last.text,
            s->last.code == ERR_UNABLE ? "" : "; is Redis running, and --redis-url right?",
            (s->patience_ms + 999) / 1000);
    give_up(s, &why);
}

void startup_begin(struct startup *s, uv_loop_t *loop, uint64_t patience_ms,
                   void (*on_give_up)(void *ctx, const struct err *why), void *ctx)
{
    *s = (struct startup){.patience_ms = patience_ms, .on_give_up = on_give_up, .ctx = ctx};
    uv_timer_init(loop, &s->timer);
    s->timer.data = s;
    uv_timer_start(&s->timer, on_patience_over, patience_ms, 0);
}

void startup_failed(struct startup *s, const struct err *why)
{
    if (s->over) {
        return;
    }
    if (why->code == ERR_AUTH || why->code == ERR_REFUSED || why->code == ERR_USAGE) {
        give_up(s, why);
        return;
    }
    s->last = *why;
    if (why->code == ERR_LOADING) { /* it will be done, and says so: that is no silence */
        uv_timer_start(&s->timer, on_patience_over, s->patience_ms, 0);
    }
    if (!s->warned && why->code != ERR_UNABLE) { /* the link has told that */
        s->warned = true;
        log_warn("startup", "redis.waiting", "error", why->text, "patience_ms",
                 log_u64(s->patience_ms), NULL);
    }
}

void startup_succeeded(struct startup *s)
{
    if (!s->over) {
        s->over = true;
        uv_timer_stop(&s->timer);
    }
}

bool startup_is_over(const struct startup *s)
{
    return s->over;
}

void startup_close(struct startup *s)
{
    if (!uv_is_closing((uv_handle_t *)&s->timer)) {
        uv_close((uv_handle_t *)&s->timer, NULL);
    }
}
