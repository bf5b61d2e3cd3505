/* Conn: one try at a connection: name, address, TCP, TLS, then bytes in and bytes out.
 *
 *   waiting -> resolving -> connecting -> (tls) -> open
 *                            ^  |           |       |
 *                            +- between <---+-------+   (one address after the other)
 *   anything -> failed -> closing;  anything -> closing
 *
 * What the bytes mean (Redis's greeting and replies, WebSocket), deadlines for it, and coming back
 * are its owner's. Bytes handed to conn_write are collected and leave with one system call at the
 * end of the loop turn; conn_writev tries the socket at once when nothing waits before it. Every
 * callback comes from the loop, never from inside a function of this header; a callback may call
 * any of them. In a turn of the loop each reads at most 64 KiB: what else waits to be done comes
 * before more of it. Owns its handles; SIGPIPE must be ignored (loop_init does). Loop thread
 * only. */
#ifndef SHOAL_NET_CONN_H
#define SHOAL_NET_CONN_H

#include "shared/err.h"
#include "shared/net/addresses.h"
#include "shared/url.h"

#include <uv.h>

struct conn;
struct tls_trust;

struct conn_options {
    const struct url *url;           /* borrowed during conn_open */
    const char *url_option;          /* the option it came from, for messages; borrowed */
    struct tls_trust *const *trust;  /* of TLS; what it points to may change; borrowed. NULL: */
    const char *tls_ca;              /* read anew for it; NULL: the system's; borrowed */
    const char *ca_option;           /* the option of that, for messages; borrowed */
    uint64_t connect_ms;             /* shared out among the addresses of the name */
    struct addresses_memory *memory; /* which of them were of no use; borrowed */
    size_t turn;                     /* which of equals comes first (addresses_init) */
    /* An address that connects and then says nothing, or hangs up, is of no use: the next one is
     * tried, and on_open comes again. */
    bool must_speak;
    size_t unsent_max; /* bytes that may wait */
    void (*on_open)(void *ctx);
    void (*on_bytes)(void *ctx, const char *data, size_t len); /* plain; valid during the call */
    void (*on_room)(void *ctx); /* after conn_ask; NULL: it is never called */
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
/* Call on_room, once, as soon as the socket has taken all that was written before: for what should
 * stay within reach until then (open only). */
void conn_ask(struct conn *conn);
/* Write now what the socket takes, and not at the end of the turn. */
void conn_flush(struct conn *conn);
/* Read nothing until it is undone, or go on (open only). */
void conn_pause(struct conn *conn, bool pause);
/* Is there more to be read, as far as is known? Within on_bytes: behind what it is given. */
bool conn_is_behind(const struct conn *conn);
/* Bytes taken and not yet handed to the socket. */
size_t conn_unsent(const struct conn *conn);
/* "redis://host:port", for people. */
const char *conn_where(const struct conn *conn);
/* What it is doing: "resolving the name", "connecting", "in the TLS handshake", "open". */
const char *conn_doing(const struct conn *conn);

#endif
