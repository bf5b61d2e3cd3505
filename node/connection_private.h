/* Connection, inside: what connection.c (one connection) and connection_pool.c (all of them, and
 * libwebsockets' context) share. Nobody else includes this. */
#ifndef SHOAL_NODE_CONNECTION_PRIVATE_H
#define SHOAL_NODE_CONNECTION_PRIVATE_H

#include "node/connection.h"

#include "shared/buf.h"
#include "shared/ca_store.h"
#include "shared/irc/parse.h"
#include "shared/url.h"

#include <libwebsockets.h>

#define CONNECTION_WRITE_BYTES (16 * 1024)  /* given to libwebsockets at once */
#define CONNECTION_KEEP_BYTES  (16 * 1024)  /* PING and PONG that may wait */
#define CONNECTION_PROTOCOL    "shoal-chat" /* our own word: the server is not told */

enum connection_state {
    CONNECTION_RESOLVING,
    CONNECTION_CONNECTING,
    CONNECTION_OPEN,
    CONNECTION_ENDED,
};

struct connection {
    struct connections *pool; /* (borrowed) */
    struct connection_callbacks callbacks;
    void *ctx; /* (borrowed) */
    enum connection_state state;
    bool detached; /* closed by its user: no callback any more */
    struct url url;
    uint64_t deadline_ms; /* for everything before open */

    uv_getaddrinfo_t lookup;
    bool looking_up;
    struct addrinfo *addresses; /* owns */
    size_t naddresses;
    size_t first_address;
    size_t tried;

    uv_timer_t timer; /* the deadline; the next attempt; the end of a close */
    bool timer_closed;
    bool closing;    /* the wsi goes by itself */
    struct lws *wsi; /* NULL: none */
    bool try_next;   /* the attempt is over */
    bool asked;      /* the upgrade, on this attempt: TCP and TLS are there */
    bool answered;   /* the upgrade, with another status: no other address is asked */
    bool newlines;   /* the peer ends its lines */
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
    struct lws_context *lws;
    struct lws_vhost *vhost;
    X509_STORE *store; /* until libwebsockets has made `tls` */
    SSL_CTX *tls;      /* (borrowed) what all TLS connections begin from */
    uint64_t connect_ms;
    size_t opened; /* counts: which address is tried first */
    struct connection *list;
    unsigned char scratch[LWS_PRE + CONNECTION_WRITE_BYTES];
};

/* libwebsockets has made its TLS context, which is not yet trusting anybody. */
void connections_on_tls(struct connections *pool, SSL_CTX *tls);
/* What libwebsockets calls for every event of every connection. */
int connection_on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                        size_t len);

#endif
