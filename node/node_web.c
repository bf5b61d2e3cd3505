/* Node's web: what monitoring asks of a node over HTTP. */
#include "node/node_private.h"

static void on_healthz(void *ctx, struct web_request *r)
{
    (void)ctx;
    web_answer(r, 200, "text/plain; charset=utf-8", SLICE("ok\n")); /* the loop turns */
}

static const struct web_route routes[] = {
    {.method = "GET", .path = "/healthz", .light = true, .handle = on_healthz},
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
