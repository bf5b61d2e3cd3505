/* Conn: one try at a connection: name, address, TCP, TLS, then bytes in and bytes out.
 *
 *   waiting -> resolving -> connecting -> (tls) -> open
 *                            ^      |
 *                            +- between (one address after the other)
 *   anything -> failed -> closing;  anything -> closing
 *
 * What belongs to Redis (greeting, replies, deadlines, coming back) is the link's. Bytes handed to
 * conn_write are collected and leave with one system call at the end of the loop turn; conn_writev
 * tries the socket at once when nothing waits before it. Every callback comes from the loop, never
 * from inside a function of this header; a callback may call any of them. Owns its handles; SIGPIPE
 * must be ignored (loop_init does). Loop thread only. */
#ifndef SHOAL_REDIS_CONN_H
#define SHOAL_REDIS_CONN_H

#include "shared/addresses.h"
#include "shared/err.h"
#include "shared/url.h"

#include <uv.h>

struct conn;

struct conn_options {
    const struct url *url;           /* borrowed during conn_open */
    const char *tls_ca;              /* borrowed during the life; NULL: the system's */
    uint64_t connect_ms;             /* shared out among the addresses of the name */
    struct addresses_memory *memory; /* which of them were of no use; borrowed during the life */
    size_t unsent_max;               /* bytes that may wait */
    void (*on_open)(void *ctx);
    void (*on_bytes)(void *ctx, const char *data, size_t len); /* plain; valid during the call */
    void (*on_fail)(void *ctx, const struct err *why); /* once; then only conn_close is of use */
    void (*on_closed)(void *ctx);                      /* the memory is gone */
    void *ctx;
};

/* Start; the first thing happens in the next loop turn. */
struct conn *conn_open(uv_loop_t *loop, const struct conn_options *options);
/* No callback but on_closed after this; may be called again. on_closed waits for a name lookup that
 * is running in its thread and cannot be stopped. */
void conn_close(struct conn *conn);
/* Send bytes (open only); they are copied. false: they would go past unsent_max, nothing was
 * taken. */
MUST_USE bool conn_write(struct conn *conn, const void *data, size_t len);
/* The same for many parts, at once if the socket takes them; what it leaves is copied. */
MUST_USE bool conn_writev(struct conn *conn, const struct slice *parts, size_t nparts);
/* Bytes taken and not yet handed to the socket. */
size_t conn_unsent(const struct conn *conn);
/* "redis://host:port", for people. */
const char *conn_where(const struct conn *conn);
/* What it is doing: "resolving the name", "connecting", "in the TLS handshake", "open". */
const char *conn_doing(const struct conn *conn);

#endif
