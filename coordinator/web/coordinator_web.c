/* Coordinator's web: the routes. */
#include "coordinator/web/coordinator_web.h"

#include "coordinator/web/api.h"
#include "coordinator/web/monitoring.h"

#include <stdio.h>
#include <stdlib.h>

struct coordinator_web {
    struct web *web; /* NULL: it is gone, as the first of them */
    struct status_watch *watch;
    struct monitoring monitoring;
    struct api *api; /* NULL: with metrics_only */
    struct teardown teardown;
    void (*on_closed)(void *ctx);
    void *ctx;
};

static void on_readyz(void *ctx, struct web_request *r)
{
    monitoring_readyz(&((struct coordinator_web *)ctx)->monitoring, r);
}

static void on_metrics(void *ctx, struct web_request *r)
{
    monitoring_metrics(&((struct coordinator_web *)ctx)->monitoring, r);
}

/* What monitoring asks; --http-metrics-only serves these alone. */
#define MONITORING                                                                                 \
    {.method = "GET", .path = "/healthz", .light = true, .handle = web_healthz},                   \
        {.method = "GET", .path = "/readyz", .light = true, .handle = on_readyz},                  \
    {                                                                                              \
        .method = "GET", .path = "/metrics", .handle = on_metrics                                  \
    }

static const struct web_route monitoring[] = {
    MONITORING,
    {0},
};
static const struct web_route all[] = {
    MONITORING,
    {.method = "GET", .path = "/", .handle = api_get_page},
    {.method = "GET", .path = "/api/v1/openapi.json", .handle = api_get_openapi},
    {.method = "GET", .path = "/api/v1/status", .handle = api_get_status},
    {.method = "GET", .path = "/api/v1/nodes", .handle = api_get_nodes},
    {.method = "GET", .path = "/api/v1/shards", .handle = api_get_shards},
    {.method = "GET", .path = "/api/v1/shards/*", .handle = api_get_shard},
    {.method = "GET", .path = "/api/v1/channels", .handle = api_get_channels},
    {.method = "GET", .path = "/api/v1/channels/*", .handle = api_get_channel},
    {.method = "GET", .path = "/api/v1/accounts", .handle = api_get_accounts},
    {.method = "GET", .path = "/api/v1/events", .handle = api_get_events},
    {.method = "GET", .path = "/api/v1/settings", .handle = api_get_settings},
    {.method = "GET", .path = "/api/v1/live", .socket = &api_live},
    {.method = "POST", .path = "/api/v1/requests", .admin = true, .handle = api_post_request},
    {.method = "POST", .path = "/api/v1/admin", .admin = true, .handle = api_post_admin},
    {.method = "GET", .path = "/api/*", .handle = api_get_unknown},
    {.method = "GET", .path = "/*", .handle = api_get_file},
    {0},
};

static void create_api(struct coordinator_web *w, const struct coordinator_web_options *o)
{
    char name[200];

    snprintf(name, sizeof(name), "shoal-coordinator:%.150s:web", o->watch.id);
    w->api = api_create(&(struct api_options){.loop = o->loop,
                                              .link = {.url = o->watch.url,
                                                       .tls_ca = o->watch.tls_ca,
                                                       .group = o->watch.group,
                                                       .name = name},
                                              .watch = w->watch});
}

struct api *coordinator_web_api(void *web)
{
    return ((struct coordinator_web *)web)->api;
}

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
    w->watch = status_watch_create(&o->watch);
    monitoring_begin(&w->monitoring, o->loop, o->leader, w->watch);
    if (!o->settings->metrics_only) {
        create_api(w, o);
    }
    return w;
}

int coordinator_web_reload(struct coordinator_web *w, const struct web_settings *settings,
                           struct err *err)
{
    return w != NULL && w->web != NULL ? web_reload(w->web, &settings->web, err) : 0;
}

static void on_watch_closed(void *ctx)
{
    struct coordinator_web *w = ctx;

    teardown_begin(&w->teardown, free, w, w->on_closed, w->ctx);
    monitoring_end(&w->monitoring, &w->teardown);
    api_close(w->api, teardown_part_gone, teardown_part(&w->teardown));
}

/* In this order: nobody asks, what was asked of Redis is answered, and then the rest. */
static void on_web_closed(void *ctx)
{
    struct coordinator_web *w = ctx;

    w->web = NULL;
    status_watch_close(w->watch, on_watch_closed, w);
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
