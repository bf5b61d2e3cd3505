/* Connection: one WebSocket to Twitch chat, on the shared loop.
 *
 * The happy path of connection_open: one address of the name after the other is tried, until one
 * connects (wss: and proves by its certificate who it is) and answers the upgrade: on_open; frames
 * are cut into lines: on_line; on_closed ends it. What can fail before on_open (no such name,
 * refused, TLS, upgrade refused, or all of it together not done within connect_ms) is one on_closed
 * with a text for people. An upgrade that is answered with another HTTP status than 101 is refused;
 * redirects are never followed.
 *
 * Exactly one on_closed for each connection_open, never from within connection_open; after it, or
 * after connection_close (which makes no callback), the handle is gone. TLS is verified, always.
 * Loop thread only. */
#ifndef SHOAL_NODE_CONNECTION_H
#define SHOAL_NODE_CONNECTION_H

#include "shared/err.h"

#include <uv.h>

struct connections; /* all of a node */
struct connection;

struct connection_callbacks {
    void (*on_open)(void *ctx);
    /* One line, no CR LF, valid during the call, read at `now_ms` (mono_ms). connection_close may
     * be called from within. */
    void (*on_line)(void *ctx, struct slice line, uint64_t now_ms);
    /* A line of over IRC_MAX_LINE_BYTES came and was skipped; told after the lines that came with
     * it. */
    void (*on_long_line)(void *ctx);
    /* The connection is gone, `why` in words ("ws://host:80 cannot be reached: ..."). What had come
     * by `caught_up_ms` (mono_ms) was read; what came after it may not have been: where the process
     * stood still, that is before the last line was read. */
    void (*on_closed)(void *ctx, const char *why, uint64_t caught_up_ms);
    /* Asked when what was queued (keepalives aside) is about to be written: false throws it away.
     * Changes nothing. NULL: always. */
    bool (*may_write)(void *ctx);
};

#define CONNECTION_MS          10000         /* connect_ms of the programs */
#define CONNECTION_QUEUE_BYTES (1024 * 1024) /* that may wait to be written, per connection */

/* `tls_ca`: a PEM file to trust instead of the system's; NULL: the system's. `connect_ms`: for
 * resolve, connect, TLS and upgrade together. NULL with err filled where the CA file cannot be
 * read. */
struct connections *connections_create(uv_loop_t *loop, const char *tls_ca, uint64_t connect_ms,
                                       struct err *err);
/* Connections to come verify their server with what is in the file now. -ERR_USAGE: it cannot be
 * used, and nothing has changed. */
MUST_USE int connections_trust(struct connections *pool, const char *tls_ca, struct err *err);
/* Let what is said wait in the sockets, of all that are open, or go on. */
void connections_pause(struct connections *pool, bool pause);
/* Closes every connection without callbacks; run the loop until it returns. Call it once. */
void connections_destroy(struct connections *pool);

/* Open `url` (ws:// or wss://). `callbacks` is copied, ctx borrowed until on_closed or
 * connection_close. NULL with err filled where the URL is wrong. */
struct connection *connection_open(struct connections *pool, const char *url,
                                   const struct connection_callbacks *callbacks, void *ctx,
                                   struct err *err);
/* Queue bytes (whole lines), sent as one text message together with what else waits. False: not
 * open, or CONNECTION_QUEUE_BYTES are waiting; nothing was queued. */
MUST_USE bool connection_write(struct connection *c, struct slice bytes);
/* The same for PING and PONG: they go first, and neither connection_discard nor may_write stops
 * them. */
MUST_USE bool connection_write_keepalive(struct connection *c, struct slice bytes);
/* Throw away what is queued (keepalives aside) and not yet given to the socket (the lease is
 * over). */
void connection_discard(struct connection *c);
/* Close and forget: no callback any more; the handle must not be used again. What is queued is
 * thrown away. NULL is fine; may be called from within a callback. */
void connection_close(struct connection *c);

#endif
