/* Web, inside: what the files of the server share. Nobody else includes this.
 *
 *     web.c           listens, accepts, its life; the tick that keeps all times
 *     web_conn.c      a connection: bytes in and out, TLS, its states
 *     web_head.c      the head of a request, taken apart
 *     web_request.c   a request: from bytes to its handler, and what handlers ask
 *     web_judge.c     what is refused
 *     web_answer.c    answers
 *     web_socket.c    WebSockets, on wslay
 *     web_guard.c     what is judged: hosts, origins, percent-encoding, rates
 */
#ifndef SHOAL_WEB_PRIVATE_H
#define SHOAL_WEB_PRIVATE_H

#include "shared/web/web.h"

#include "shared/buf.h"
#include "shared/machine.h"
#include "shared/teardown.h"
#include "shared/net/tls.h"
#include "shared/web/web_guard.h"
#include "shared/web/web_head.h"
#include "shared/web/web_limits.h"

#include <openssl/sha.h>

/*
 *     (tls) -> head -> body -> handled -> answer -> head | drain
 *              head -----------------------^          (refused)
 *              head -> socket
 *     anything -> closing
 */
enum web_state {
    WEB_TLS,     /* the handshake */
    WEB_HEAD,    /* between requests, or in the head of one */
    WEB_BODY,    /* in the body */
    WEB_HANDLED, /* whole: the handler has it */
    WEB_ANSWER,  /* the answer leaves */
    WEB_DRAIN,   /* the last answer has left: what comes is thrown away until the client ends */
    WEB_SOCKET,
    WEB_CLOSING,
};

struct web_request {
    struct web_conn *conn;
    const struct web_route *route; /* NULL: none is known yet */
    struct buf bytes;              /* of the head */
    struct web_head head;
    struct buf path;    /* decoded */
    struct slice rest;  /* of path */
    struct slice query; /* not decoded */
    struct buf body;
    int refusal; /* status; 0: none */
    const char *why;
    const char *extra; /* header lines of the refusal */
    bool handled;      /* a handler has it, and owes an answer */
    bool is_head;
    bool is_admin;
    void (*on_gone)(void *ctx);
    void *ctx;
};

struct web_conn {
    struct web *web;
    struct web_conn *prev; /* utlist */
    struct web_conn *next;
    struct machine machine; /* its state is an enum web_state */
    uv_tcp_t tcp;
    uv_write_t write;
    uv_shutdown_t shutdown;
    struct tls *tls;      /* NULL: none */
    uint64_t since_ms;    /* in this state */
    uint64_t deadline_ms; /* of the state */
    uint64_t paused_ms;   /* nothing is read before; 0: it is */
    bool reading;
    bool writing; /* `leaving` belongs to libuv */
    bool begun;   /* head: some of it is here */
    bool again;   /* there is more in `in`: it is its turn in the next turn of the loop */
    bool ended;   /* the client sends nothing more */
    bool last;    /* ends with this answer */
    size_t owed;  /* bytes of the answer, in `waiting` of the server */
    size_t drained;
    struct buf in; /* not parsed yet */
    struct buf out;
    struct buf wire; /* with TLS: `out`, encrypted */
    struct buf leaving;
    struct web_request request;
    struct web_socket *socket; /* NULL: none */
};

struct web {
    uv_loop_t *loop;
    const struct web_route *routes;
    void *ctx;
    char **hosts; /* owned */
    size_t nhosts;
    bool has_token;
    unsigned char token[SHA256_DIGEST_LENGTH];
    struct tls_server *tls; /* NULL: none */
    union web_address address;
    uv_tcp_t listener;
    bool waits; /* a connection is to be accepted, later */
    uv_timer_t tick;
    uv_idle_t turn;         /* while there is something to do, or to count, in the next one */
    struct web_conn *conns; /* utlist; closing ones, too */
    size_t nopen;           /* not closing */
    size_t nsockets;
    size_t waiting; /* bytes of answers that are not written */
    struct web_bucket accepts;
    struct web_bucket requests;
    struct web_bucket light; /* requests */
    struct web_bucket bad_tokens;
    unsigned in_turn; /* requests that were looked at in this turn of the loop */
    uint64_t busy_ms; /* when it was told last that there are too many */
    struct teardown teardown;
    char read[WEB_READ_BYTES]; /* what a socket gave; valid during the callback */
};

/* web.c */
/* It is gone: its memory goes with this. */
void web_forget(struct web_conn *c);
/* There are too many of `what`: tell it, now and then. */
void web_busy(struct web *w, const char *what);
/* Its turn comes again. */
void web_again(struct web_conn *c);
/* May another request be looked at in this turn of the loop? */
bool web_has_turn(const struct web *w);
/* One was. */
void web_take_turn(struct web *w);

/* web_conn.c */
/* A connection waits to be accepted: take it, or take it and close it. */
void web_conn_accept(struct web *w);
/* The one setter of its state; the deadline is `ms` away. */
void web_conn_move(struct web_conn *c, enum web_state to, uint64_t ms);
/* Nothing follows the answer that is made or leaves. */
bool web_conn_ends(const struct web_conn *c);
/* Close it now. What hangs on it is told, later. */
void web_conn_close(struct web_conn *c);
/* Nothing more is said: let the client hear the end of it. */
void web_conn_drain(struct web_conn *c);
/* What is in `out` leaves. */
void web_conn_flush(struct web_conn *c);
/* Bytes that are not with the kernel yet. */
size_t web_conn_waiting(const struct web_conn *c);
/* Where the client is: "127.0.0.1:54321", into `out`. */
void web_conn_describe(const struct web_conn *c, char *out, size_t size);
/* It is its turn: look at what is in `in`. */
void web_conn_turn(struct web_conn *c);
/* Times: what is due. */
void web_conn_tick(struct web_conn *c, uint64_t now_ms);

/* web_request.c */
void web_request_init(struct web_conn *c);
/* Forget the request; the next may come. */
void web_request_clear(struct web_request *r);
void web_request_finish(struct web_request *r);
/* Look at what is in `in` up to the end of one request, and have that handled. */
void web_request_read(struct web_conn *c);
/* Nobody will answer: tell the handler. */
void web_request_gone(struct web_request *r);

/* web_judge.c */
/* Its head is whole: find its route, or set its refusal. */
void web_request_judge(struct web_request *r);
/* Refuse it, and look at nothing that follows. */
void web_request_refuse(struct web_request *r, int status, const char *extra, const char *why);

/* web_answer.c */
/* Answer what is not worth a handler; `extra` are further header lines or "". */
void web_answer_refuse(struct web_request *r, int status, const char *extra, const char *why);
/* The head of an answer; bytes of the body follow. */
void web_answer_status(struct buf *out, int status);

/* web_socket.c */
/* Is the request a handshake? NULL (status 0), or why not, with status and header lines. */
const char *web_socket_refusal(const struct web_request *r, int *status, const char **extra);
/* Answer it; the connection is a WebSocket from now on. */
void web_socket_open(struct web_conn *c);
/* Look at what is in `in`. */
void web_socket_read(struct web_conn *c);
/* All that was in `out` has left. */
void web_socket_flushed(struct web_conn *c);
void web_socket_tick(struct web_conn *c, uint64_t now_ms);
/* The server ends. */
void web_socket_going(struct web_socket *s);
/* The connection is gone. */
void web_socket_finish(struct web_socket *s);

#endif
