/* Connection, inside: what connection.c (one connection) and connection_pool.c (all of them, and
 * what they share) know of each other. Nobody else includes this. */
#ifndef SHOAL_NODE_CONNECTION_PRIVATE_H
#define SHOAL_NODE_CONNECTION_PRIVATE_H

#include "node/connection.h"

#include "shared/buf.h"
#include "shared/irc/splitter.h"
#include "shared/machine.h"
#include "shared/net/addresses.h"
#include "shared/net/conn.h"
#include "shared/net/tls.h"
#include "shared/net/websocket.h"
#include "shared/teardown.h"

/* connecting -> open -> ended;  connecting -> ended */
enum connection_state {
    CONNECTION_CONNECTING, /* until the upgrade is answered */
    CONNECTION_OPEN,
    CONNECTION_ENDED, /* deaf, until its conn and its timer are gone */
};

struct connection {
    struct connections *pool; /* (borrowed) */
    struct connection_callbacks callbacks;
    void *ctx;              /* (borrowed) */
    struct machine machine; /* its state is an enum connection_state */
    bool detached;          /* closed by its user: no callback any more */
    struct url *url;        /* until it is open */
    struct conn *conn;
    uv_timer_t timer; /* the end of connecting; the end of a close */
    struct teardown teardown;
    struct websocket websocket;
    struct irc_splitter splitter;
    uint64_t long_lines_told;
    uint64_t read_ms;   /* when what is being read was */
    uint64_t behind_ms; /* what had come by then was read, and not all of what came since; 0: all */
    uint64_t drained_turn; /* of the pool, in which that was read to its end; 0: it was not yet */
    struct buf queue;
    struct buf keepalives;   /* go before the queue */
    struct connection *prev; /* utlist */
    struct connection *next;
};

struct connections {
    uv_loop_t *loop; /* (borrowed) */
    uv_prepare_t turn;
    uint64_t turns;        /* of the loop, so far */
    uint64_t turn_ms;      /* when the last of them began */
    uint64_t caught_up_ms; /* the one before: what had come by then, it has read */
    uv_timer_t settled;    /* runs since one was opened */
    struct tls_trust *trust;
    uint64_t connect_ms;
    struct addresses_memory memory;
    bool paused;   /* connections_pause */
    size_t opened; /* counts: which address is tried first */
    struct connection *list;
    struct teardown teardown; /* begun: nobody waits for a peer any more */
};

/* One was opened. */
void connections_opened(struct connections *pool);

/* In connection.c. Does nothing where it is not open. */
void connection_pause(struct connection *c, bool pause);

#endif
