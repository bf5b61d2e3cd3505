/* Coordinator's web: the routes. */
#include "coordinator/web/coordinator_web.h"

#include <stdlib.h>

struct coordinator_web {
    struct web *web;
    void (*on_closed)(void *ctx);
    void *ctx;
};

static void on_healthz(void *ctx, struct web_request *r)
{
    (void)ctx;
    web_answer(r, 200, "text/plain; charset=utf-8", SLICE("ok\n")); /* the loop turns */
}

/* What monitoring asks; --http-metrics-only serves these alone. */
#define MONITORING {.method = "GET", .path = "/healthz", .light = true, .handle = on_healthz}

static const struct web_route monitoring[] = {
    MONITORING,
    {0},
};
static const struct web_route all[] = {
    MONITORING,
    {0},
};

struct coordinator_web *coordinator_web_create(const struct coordinator_web_options *o,
                                               struct err *err)
{
    struct coordinator_web *w = xcalloc(1, sizeof(*w));
    struct web_options web = o->settings->web;

    web.loop = o->loop;
    web.routes = o->settings->metrics_only ? monitoring : all;
    web.ctx = w;
    w->web = web_create(&web, err);
    if (w->web == NULL) {
        free(w);
        return NULL;
    }
    return w;
}

int coordinator_web_reload(struct coordinator_web *w, const struct web_settings *settings,
                           struct err *err)
{
    return w != NULL ? web_reload(w->web, &settings->web, err) : 0;
}

static void on_web_closed(void *ctx)
{
    struct coordinator_web *w = ctx;
    void (*then)(void *ctx) = w->on_closed;
    void *then_ctx = w->ctx;

    free(w);
    then(then_ctx);
}

void coordinator_web_close(struct coordinator_web *w, void (*on_closed)(void *ctx), void *ctx)
{
    if (w == NULL) {
        on_closed(ctx);
        return;
    }
    w->on_closed = on_closed;
    w->ctx = ctx;
    web_close(w->web, on_web_closed, w);
}
