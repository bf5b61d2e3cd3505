/* What the files of a conn share: conn.c (its life, TLS, bytes in), conn_write.c (bytes out) and
 * conn_address.c (which address). */
#ifndef SHOAL_NET_CONN_PRIVATE_H
#define SHOAL_NET_CONN_PRIVATE_H

#include "shared/net/conn.h"

#include "shared/buf.h"
#include "shared/machine.h"
#include "shared/net/tls.h"
#include "shared/teardown.h"

/* See conn.h for the picture. */
enum conn_state {
    CONN_WAITING,    /* for the loop */
    CONN_RESOLVING,  /* the lookup is under way */
    CONN_CONNECTING, /* to one address */
    CONN_BETWEEN,    /* its socket closes; then it is the next one's turn */
    CONN_TLS,
    CONN_OPEN,
    CONN_FAILED, /* on_fail was called */
    CONN_CLOSING,
};

struct conn {
    struct conn_options o; /* url is not used after conn_open */
    uv_loop_t *loop;
    struct machine machine; /* its state is an enum conn_state */
    bool tcp_open;          /* tcp is initialised and not being closed */
    bool writing;           /* leaving belongs to libuv */
    bool broken; /* the peer takes nothing any more; what it said before is still to be read */
    uint64_t deadline;
    char *host;
    char *where; /* "redis://host:port" */
    uint16_t port;
    bool use_tls;
    struct err last; /* why the newest address failed */
    uv_timer_t timer;
    uv_idle_t idle;
    uv_tcp_t tcp;
    uv_getaddrinfo_t lookup;
    uv_connect_t connect;
    uv_write_t write;
    struct addresses addresses;
    bool heard; /* something came from it: its address works */
    bool room_asked;
    bool rests;  /* it reads no more in this turn */
    bool paused; /* conn_pause */
    bool behind; /* conn_is_behind */
    struct tls *tls;
    struct teardown teardown; /* begun: closing */
    struct buf out;
    struct buf wire;
    struct buf leaving;
};

/* In conn.c. Does nothing come of it any more? */
bool conn_is_over(const struct conn *conn);
/* Report once; the owner closes. */
void conn_fail(struct conn *conn, const struct err *why);
/* It cannot go on: with another address (conn.h: must_speak), or not at all. */
void conn_give_up(struct conn *conn, const struct err *why);
/* The same, for what libuv says of its socket. */
void conn_break(struct conn *conn, int status);
/* Forget TLS and what was to be sent: it was for an address that is of no use. */
void conn_begin_again(struct conn *conn);
/* The answer to uv_tcp_connect. */
void conn_on_connected(uv_connect_t *request, int status);

/* In conn_address.c: begins the work, and ends the patience with an address. */
void conn_on_timer(uv_timer_t *timer);
/* This address is of no use: take the next once the socket is closed. */
void conn_address_failed(struct conn *conn, const struct err *why);
/* The same, for libuv's reason. */
void conn_address_unreachable(struct conn *conn, int status);

#endif
