/* Node's web: what monitoring asks of a node over HTTP. */
#include "node/node_metrics.h"
#include "node/node_private.h"

#define WHY_BYTES 16384

static void on_readyz(void *ctx, struct web_request *r)
{
    struct buf why;

    buf_init(&why, WHY_BYTES);
    bool ready = node_metrics_is_ready(ctx, &why);
    web_answer(r, ready ? 200 : 503, "text/plain; charset=utf-8",
               ready ? SLICE("ready\n") : buf_slice(&why));
    buf_finish(&why);
}

static void on_metrics(void *ctx, struct web_request *r)
{
    struct node *n = ctx;

    metrics_page_answer(&n->metrics, r);
}

static void write_metrics(void *ctx, struct exposition *e)
{
    node_metrics_write(ctx, e);
}

static const struct web_route routes[] = {
    {.method = "GET", .path = "/metrics", .handle = on_metrics},
    {.method = "GET", .path = "/readyz", .handle = on_readyz},
    {.method = "GET", .path = "/healthz", .light = true, .handle = web_healthz},
    {0},
};

int node_web_begin(struct node *n, struct err *err)
{
    struct web_options o = n->options.web;

    if (o.listen == NULL) {
        return 0;
    }
    o.loop = n->loop;
    o.routes = routes;
    o.ctx = n;
    n->web = web_create(&o, err);
    return n->web != NULL ? 0 : -(int)err->code;
}

void node_web_measure(struct node *n)
{
    if (n->web != NULL) {
        metrics_page_begin(&n->metrics, n->loop, write_metrics, n);
    }
}
