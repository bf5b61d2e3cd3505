/* Web: an HTTP/1.1 server (RFC 9112) with WebSockets (RFC 6455) on the loop, for what people and
 * monitoring ask of a daemon.
 *
 * Everything that comes in is hostile until it was looked at. Whatever a client does, the loop is
 * held up for a few milliseconds at most, and memory and file descriptors are bounded: the bounds
 * are in web_limits.h. Requests of one connection are answered one after the other, one of each
 * connection in a turn of the loop. What is no HTTP, has another Host than ours or comes from a
 * page of somebody else is refused before a handler hears of it.
 *
 * Every answer forbids scripts and frames of others, guessing of types, and keeping it. A HEAD is a
 * GET whose body is not sent; OPTIONS and all other methods are refused with 405.
 *
 * No callback is made from within web_create, web_close, web_socket_send and web_socket_close.
 * Loop thread only; SIGPIPE must be ignored (loop_init does). */
#ifndef SHOAL_WEB_H
#define SHOAL_WEB_H

#include "shared/err.h"

#include <uv.h>

struct web;         /* a server: one listening socket */
struct web_request; /* one request, until it is answered */
struct web_socket;  /* one WebSocket, until its on_close */

/* Of the WebSockets of a route. What on_open returns is handed to the others. */
struct web_socket_ops {
    void *(*on_open)(void *ctx, struct web_socket *s);
    /* A whole text message, UTF-8, at most WEB_MESSAGE_MAX bytes; valid during the call. */
    void (*on_message)(void *of, struct slice text);
    /* It is gone, and so is `s`; whoever closed it. */
    void (*on_close)(void *of);
};

struct web_route {
    const char *method; /* "GET", "POST"; NULL ends the table */
    /* "/metrics"; one that ends in a slash and a star takes all below it. The first in the table
     * that takes a path is the path's, with those behind it that are the same. */
    const char *path;
    bool admin; /* needs the admin token: 401 without, and 403 where there is none */
    bool light; /* costs no more than a refusal: is never refused as one too many */
    /* Answer with web_answer*, now or later; later only after web_request_on_gone. */
    void (*handle)(void *ctx, struct web_request *r);
    const struct web_socket_ops *socket; /* instead of handle: the path is for WebSockets alone */
};

struct web_options {
    uv_loop_t *loop;
    const char *listen;       /* as web_listen_parse takes it; port 0: any that is free */
    const char *tls_cert;     /* PEM, with its chain; NULL: no TLS */
    const char *tls_key;      /* PEM */
    const char *admin_token;  /* NULL: none */
    const char *const *hosts; /* names in Host beside addresses, localhost and the host name */
    size_t nhosts;
    const struct web_route *routes; /* borrowed for the server's life, as is ctx */
    void *ctx;                      /* of the routes */
};

/* Listen. NULL and err: the port is in use, the certificate cannot be used, ... */
MUST_USE struct web *web_create(const struct web_options *o, struct err *err);
/* The port it listens on. */
unsigned web_port(const struct web *w);
/* From now on certificate, key and token are those of `o` (files read anew; the rest of it is not
 * looked at). On an error nothing has changed. */
MUST_USE int web_reload(struct web *w, const struct web_options *o, struct err *err);
/* No connections any more: requests without an answer are told (on_gone), WebSockets too
 * (on_close), then on_closed, all from the loop. NULL `w`: on_closed at once. */
void web_close(struct web *w, void (*on_closed)(void *ctx), void *ctx);

/* What the star of the route stands for, percent-decoded: UTF-8 without control characters and
 * without '/'s that were encoded. Valid until it is answered, as all of these. */
struct slice web_request_rest(const struct web_request *r);
/* The parameter of the query, decoded in the same way, NUL-terminated; false: it is not there, or
 * longer. */
bool web_request_param(const struct web_request *r, const char *name, char *out, size_t size);
/* A header by its name, in any case; empty: it is not there. */
struct slice web_request_header(const struct web_request *r, const char *name);
/* At most WEB_BODY_MAX bytes. */
struct slice web_request_body(const struct web_request *r);
/* on_gone is called, instead of an answer, where the connection breaks or the server closes before
 * it, or WEB_HANDLE_MS are over: `r` is gone then. Who only sends nothing more is answered. */
void web_request_on_gone(struct web_request *r, void (*on_gone)(void *ctx), void *ctx);

/* Answer: copies the body; `r` is gone. Where too much waits to be sent already, the client gets a
 * 503 instead. */
void web_answer(struct web_request *r, int status, const char *type, struct slice body);
/* The same with a body {"error": "..."}. */
void web_answer_error(struct web_request *r, int status, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Answer 200 with what never changes while we run and has the name `etag` (without quotes), which
 * clients may keep: 304 where they have it. */
void web_answer_static(struct web_request *r, const char *type, struct slice body,
                       const char *etag);

/* The handler of a /healthz: the loop turns. */
void web_healthz(void *ctx, struct web_request *r);

/* Send a text message: copies it. False: it is being closed, or WEB_SOCKET_WAIT_MAX bytes wait
 * already, or these are over WEB_ANSWER_MAX, and so it is closed now; on_close follows. */
bool web_socket_send(struct web_socket *s, struct slice text);
/* Close it with a reason for people; no on_message any more, and on_close follows. */
void web_socket_close(struct web_socket *s, const char *why);

#endif
