/* What the files of a conn share: conn.c (bytes in and out, TLS, its life) and conn_address.c. */
#ifndef SHOAL_REDIS_CONN_PRIVATE_H
#define SHOAL_REDIS_CONN_PRIVATE_H

#include "shared/redis/conn.h"

#include "shared/buf.h"
#include "shared/machine.h"
#include "shared/tls.h"
#include "shared/teardown.h"

#define CONN_READ_BYTES (64 * 1024) /* one read */

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
    char host[256];
    char where[320];
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
    struct tls *tls;
    struct teardown teardown; /* begun: closing */
    struct buf out;
    struct buf wire;
    struct buf leaving;
    char in[CONN_READ_BYTES];
};

/* In conn.c: report once; the owner closes. */
void conn_fail(struct conn *conn, const struct err *why);
/* The answer to uv_tcp_connect. */
void conn_on_connected(uv_connect_t *request, int status);

/* In conn_address.c: begins the work, and ends the patience with an address. */
void conn_on_timer(uv_timer_t *timer);
/* This address is of no use: take the next once the socket is closed. */
void conn_address_failed(struct conn *conn, int status);

#endif
