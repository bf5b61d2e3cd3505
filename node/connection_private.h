/* Connection, inside: what connection.c (one connection), connection_attempt.c (how it is opened)
 * and connection_pool.c (all of them, and libwebsockets' context) share. Nobody else includes
 * this. */
#ifndef SHOAL_NODE_CONNECTION_PRIVATE_H
#define SHOAL_NODE_CONNECTION_PRIVATE_H

#include "node/connection.h"

#include "shared/addresses.h"
#include "shared/buf.h"
#include "shared/irc/splitter.h"
#include "shared/machine.h"
#include "shared/url.h"

#include <libwebsockets.h>

#define CONNECTION_WRITE_BYTES (16 * 1024)  /* given to libwebsockets at once */
#define CONNECTION_KEEP_BYTES  (16 * 1024)  /* PING and PONG that may wait */
#define CONNECTION_PROTOCOL    "shoal-chat" /* our own word: the server is not told */

/* resolving -> connecting -> open -> ended
 *               ^      |
 *               +- between
 *   anything -> ended */
enum connection_state {
    CONNECTION_RESOLVING,
    CONNECTION_CONNECTING, /* an attempt with one address, which a wsi stands for */
    CONNECTION_BETWEEN,    /* that attempt is over; the loop begins the next */
    CONNECTION_OPEN,
    CONNECTION_ENDED, /* deaf, until its wsi, its timer and its look-up are gone */
};

struct connection {
    struct connections *pool; /* (borrowed) */
    struct connection_callbacks callbacks;
    void *ctx;              /* (borrowed) */
    struct machine machine; /* its state is an enum connection_state */
    bool detached;          /* closed by its user: no callback any more */
    struct url url;
    uint64_t deadline_ms; /* for everything before open */

    uv_getaddrinfo_t lookup;
    bool looking_up;
    struct addresses addresses;

    uv_timer_t timer; /* the end of an attempt; the next one; the end of a close */
    bool timer_closed;
    struct lws *wsi; /* NULL: none */
    bool asked;      /* the upgrade, on this attempt: TCP and TLS are there */
    bool answered;   /* the upgrade, with another status: no other address is asked */
    char why[256];   /* what is known about a failure */

    struct irc_splitter splitter;
    uint64_t long_lines_told;
    struct buf queue;
    struct buf keepalives;   /* go before the queue */
    struct connection *prev; /* utlist */
    struct connection *next;
};

struct connections {
    uv_loop_t *loop; /* (borrowed) */
    uv_prepare_t turn;
    uint64_t turn_ms;      /* when this turn of the loop began */
    uint64_t caught_up_ms; /* the one before: what had come by then, it has read */
    struct lws_context *lws;
    struct lws_vhost *vhost;
    X509_STORE *store; /* until libwebsockets has made `tls` */
    SSL_CTX *tls;      /* (borrowed) what all TLS connections begin from */
    uint64_t connect_ms;
    struct addresses_memory memory;
    size_t opened; /* counts: which address is tried first */
    struct connection *list;
    unsigned char scratch[LWS_PRE + CONNECTION_WRITE_BYTES];
};

/* In connection.c. From here on nothing is told but on_closed, once, and not if the user has closed
 * it. */
void connection_end(struct connection *c, const char *why);
/* Ended, and the last of what it waited for is gone? */
void connection_maybe_free(struct connection *c);
/* Its wsi goes by itself, soon. */
void connection_kill_wsi(struct connection *c);
void connection_on_wsi_gone(struct connection *c);
void connection_set_timer(struct connection *c, uint64_t ms);

/* In connection_attempt.c. Look the name up, and go on from there. 0, or libuv's error. */
MUST_USE int connection_resolve(struct connection *c);
void connection_attempt_over(struct connection *c);
void connection_on_attempt_timer(struct connection *c);
/* CONNECTION_ERROR or WSI_DESTROY. */
int connection_on_attempt_event(struct lws *wsi, enum lws_callback_reasons reason, const char *text,
                                size_t len);

/* In connection_pool.c. libwebsockets has made its TLS context, which is not yet trusting
 * anybody. */
void connections_on_tls(struct connections *pool, SSL_CTX *tls);
/* What libwebsockets calls for every event of every connection. */
int connection_on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                        size_t len);

#endif
