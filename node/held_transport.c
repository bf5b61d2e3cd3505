/* Holder, connecting: a shard's connection to Twitch, its login, and what is written to it. */
#include "node/held_private.h"

#include "shared/irc/write.h"
#include "shared/log.h"

#include <string.h>

static void on_open(void *ctx)
{
    struct held *held = ctx;

    shard_on_connected(held->core, mono_ms());
    holder_arm(held);
}

static void on_line(void *ctx, struct slice line)
{
    struct held *held = ctx;

    shard_on_line(held->core, line, mono_ms());
    holder_arm(held);
}

static void on_long_line(void *ctx)
{
    struct held *held = ctx;

    shard_on_long_line(held->core, mono_ms());
    holder_arm(held);
}

static void on_closed(void *ctx, const char *why)
{
    struct held *held = ctx;

    held->connection = NULL;
    shard_on_disconnected(held->core, why, mono_ms());
    holder_arm(held);
}

/* While fenced nothing but keepalives is queued. */
static bool may_write(void *ctx)
{
    const struct held *held = ctx;

    return held->holder->options.may_act(held->holder->options.ctx);
}

void holder_connect(void *ctx)
{
    static const struct connection_callbacks callbacks = {on_open, on_line, on_long_line, on_closed,
                                                          may_write};
    struct held *held = ctx;
    struct err err = {0};

    held->connection = connection_open(held->holder->options.pool, held->holder->options.twitch_url,
                                       &callbacks, held, &err);
    if (held->connection == NULL) {
        log_error("shard", "shard.connect", "shard", held->id, "error", err.text, NULL);
        held->connect_failed = true;
    }
}

void holder_disconnect(void *ctx, const char *reason)
{
    struct held *held = ctx;

    log_debug("shard", "shard.close", "shard", held->id, "reason", reason, NULL);
    connection_close(held->connection);
    held->connection = NULL;
}

bool holder_log_in(void *ctx, struct err *err)
{
    struct held *held = ctx;
    struct holder *h = held->holder;
    struct slice token = {NULL, 0};
    struct buf line;

    if (strcmp(held->user, "anonymous") != 0) {
        if (held->login_refused) {
            (void)h->options.on_refused(h->options.ctx, slice_of(held->user));
        }
        token = tokens_get(*h->options.tokens, slice_of(held->user));
        if (token.len == 0) {
            err_set(err, ERR_AUTH, "no token of %s on this node; add it to its tokens file",
                    held->user);
            return false;
        }
    }
    if (!h->options.may_act(h->options.ctx)) {
        return false;
    }
    buf_init(&line, IRC_MAX_SENT_BYTES);
    bool written = irc_write_login(&line, slice_of(held->user), token, err) == 0 &&
                   connection_write(held->connection, buf_slice(&line));
    held->asked = held->asked || written;
    if (line.data != NULL) {
        explicit_bzero(line.data, line.len);
    }
    buf_finish(&line);
    return written;
}

bool holder_write(void *ctx, enum shard_write_kind kind, struct slice bytes)
{
    struct held *held = ctx;
    struct holder *h = held->holder;

    if (held->connection == NULL) {
        return false;
    }
    if (kind == SHARD_WRITE_KEEPALIVE) {
        return connection_write_keepalive(held->connection, bytes);
    }
    return h->options.may_act(h->options.ctx) && connection_write(held->connection, bytes);
}
