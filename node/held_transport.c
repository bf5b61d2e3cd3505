/* Held, transport: between the core and the connection to Twitch. Another transport than IRC over
 * WebSocket, or a connection that moves, would enter here. */
#include "node/held_private.h"

#include "shared/irc/write.h"
#include "shared/log.h"

#include <string.h>

static void on_open(void *ctx)
{
    struct held *held = ctx;

    shard_on_connected(held->core, mono_ms());
    held_arm(held);
}

static void on_line(void *ctx, struct slice line, uint64_t now_ms)
{
    struct held *held = ctx;

    shard_on_line(held->core, line, now_ms);
    held_arm(held);
}

static void on_long_line(void *ctx)
{
    struct held *held = ctx;

    shard_on_long_line(held->core, mono_ms());
    held_arm(held);
}

static void on_closed(void *ctx, const char *why, uint64_t caught_up_ms)
{
    struct held *held = ctx;

    held->transport.connection = NULL;
    shard_on_disconnected(held->core, why, caught_up_ms, mono_ms());
    held_arm(held);
}

/* While fenced nothing but keepalives is queued. */
static bool may_write(void *ctx)
{
    const struct held *held = ctx;

    return held->holder->o.may_act(held->holder->o.ctx);
}

void transport_connect(void *ctx)
{
    static const struct connection_callbacks callbacks = {on_open, on_line, on_long_line, on_closed,
                                                          may_write};
    struct held *held = ctx;
    struct err err = {0};

    held->transport.connection =
        connection_open(held->holder->o.pool, held->holder->o.twitch_url, &callbacks, held, &err);
    if (held->transport.connection == NULL) {
        log_error("shard", "shard.connect", "shard", held->id, "error", err.text, NULL);
        held->due.connect_failed = true;
    }
}

void transport_disconnect(void *ctx, const char *reason)
{
    struct held *held = ctx;

    log_debug("shard", "shard.close", "shard", held->id, "reason", reason, NULL);
    transport_end(held);
}

void transport_discard(struct held *held)
{
    if (held->transport.connection != NULL) {
        connection_discard(held->transport.connection);
    }
}

void transport_end(struct held *held)
{
    connection_close(held->transport.connection);
    held->transport.connection = NULL;
    held->due.connect_failed = false;
}

bool transport_log_in(void *ctx, struct err *err)
{
    struct held *held = ctx;
    const struct held_options *o = &held->holder->o;
    struct slice token = {NULL, 0};
    struct buf line;

    if (strcmp(held->user, "anonymous") != 0) {
        if (held->report.login_refused || tokens_ended(*o->tokens, slice_of(held->user))) {
            (void)o->on_refused(o->ctx, slice_of(held->user));
        }
        token = tokens_get(*o->tokens, slice_of(held->user));
        if (tokens_ended(*o->tokens, slice_of(held->user))) {
            err_set(err, ERR_AUTH, "the token of %s has ended, and there is no other yet",
                    held->user);
            return false;
        }
        if (token.len == 0) {
            err_set(err, ERR_AUTH, "no token of %s on this node; add it to its tokens file",
                    held->user);
            return false;
        }
    }
    if (!may_write(held)) {
        return false;
    }
    buf_init(&line, IRC_MAX_SENT_BYTES);
    bool written = irc_write_login(&line, slice_of(held->user), token, err) == 0 &&
                   connection_write(held->transport.connection, buf_slice(&line));
    held->transport.asked = held->transport.asked || written;
    buf_wipe(&line);
    return written;
}

bool transport_write(void *ctx, enum shard_write_kind kind, struct slice bytes)
{
    struct held *held = ctx;

    if (kind == SHARD_WRITE_KEEPALIVE) {
        return connection_write_keepalive(held->transport.connection, bytes);
    }
    return may_write(held) && connection_write(held->transport.connection, bytes);
}
