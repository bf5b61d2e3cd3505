/* Node: this process's membership in the cluster: lease, links to Redis, and what follows from
 * them.
 *
 *     starting -> active <-> fenced -> lost -> starting
 *                 active -> draining -> gone
 *
 * Three connections to Redis: the fan-out link (registration, renewals and chat, so that a process
 * that fences the node can cut all three by killing one link), a control link (budgets, claims,
 * results), and one for topics.
 *
 * The lease (shared/lease.h) is renewed on the fan-out link, ahead of queued chat. Fenced, the node
 * writes nothing but PING and PONG, keeps everything and reads on. The next renewal that is
 * answered decides: current, and everything goes on; or LOST: it closes its shards, counts and
 * drops what it held, and registers anew under a new incarnation.
 * Loop thread only. */
#ifndef SHOAL_NODE_NODE_H
#define SHOAL_NODE_NODE_H

#include "shared/seal.h"
#include "shared/url.h"
#include "shared/web/web.h"

#include <uv.h>

struct node;

struct node_options {
    const struct url *redis;  /* read anew for each connection */
    const char *redis_tls_ca; /* or NULL */
    const char *cluster;
    const char *id;
    const char *twitch_url;
    const char *twitch_tls_ca;            /* or NULL */
    const char *twitch_api_url;           /* Helix */
    const char *http_proxy;               /* on the way there; or NULL */
    const char *tokens_file;              /* or NULL */
    const struct seal_keys *account_keys; /* NULL: it opens no account */
    struct web_options web;               /* but for loop, routes, ctx; listen NULL: no server */
    uint64_t capacity;                    /* shards */
    size_t buffer_bytes;
    uint64_t drain_ms;   /* the longest an orderly leave may take */
    uint64_t connect_ms; /* Redis must be reached for the first time within this */
    /* The node is gone and every handle of it is closing: ERR_OK in order, else why. */
    void (*on_gone)(void *ctx, const struct err *why);
    void *ctx;
};

/* Start; strings are borrowed for the node's life, or until node_reload gives others. NULL with err
 * filled where it cannot even begin. */
struct node *node_create(uv_loop_t *loop, const struct node_options *options, struct err *err);
/* Leave in order (times 1) or at once (times 2 and more). on_gone follows. */
void node_stop(struct node *n, int times);
/* Take tokens_file, twitch_tls_ca, drain_ms and web (web_reload) of `fresh`, the files read anew;
 * the rest of it is not looked at. On an error nothing has changed. */
MUST_USE int node_reload(struct node *n, const struct node_options *fresh, struct err *err);
/* How it is, in one line into `out`. True: it is registered with a lease in force. */
bool node_describe(const struct node *n, char *out, size_t size);
/* After the loop has returned: frees what is left. */
void node_free(struct node *n);

#endif
