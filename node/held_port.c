/* Held, port: what the core asks of the registry and says of itself. Draws are answered by Redis;
 * what an answer belongs to is found again by id and serial, never by pointer. */
#include "node/held_private.h"

#include "shared/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BAD_LINE_SHOWN    100 /* bytes */
#define BAD_LINES_TOLD_MS 10000

/* Budgets -------------------------------------------------------------------------------------- */

struct draw {
    struct holder *holder;
    uint64_t serial;
    enum shard_draw_kind kind;
    char id[HELD_ID_CHARS];
};

static const char *draw_name(enum shard_draw_kind kind)
{
    return kind == SHARD_DRAW_LOGIN ? "login" : "join";
}

static void on_draw(void *ctx, const uint64_t *waits_ms, size_t n, const struct err *err)
{
    struct draw *draw = ctx;
    uint64_t at[64];

    if (err != NULL && err->code == ERR_CANCELED) {
        free(draw);
        return; /* the link is closed for good, and nothing may be held any more */
    }
    struct held *held = held_find(draw->holder, slice_of(draw->id));
    if (held != NULL && held->serial == draw->serial) {
        uint64_t now = mono_ms();
        n = err != NULL ? 0 : n < ARRAY_LEN(at) ? n : ARRAY_LEN(at);
        for (size_t i = 0; i < n; i++) {
            at[i] = now + waits_ms[i];
            restate_drew(draw->holder->o.restate, held->user, draw_name(draw->kind), waits_ms[i]);
        }
        shard_on_grant(held->core, draw->kind, at, n, now);
        held_arm(held);
    }
    free(draw);
}

static void port_draw(void *ctx, enum shard_draw_kind kind, unsigned n)
{
    struct held *held = ctx;
    const struct held_options *o = &held->holder->o;
    struct draw *draw = xcalloc(1, sizeof(*draw));

    draw->holder = held->holder;
    draw->serial = held->serial;
    draw->kind = kind;
    snprintf(draw->id, sizeof(draw->id), "%s", held->id);
    if (registry_draw(o->registry, o->node, o->incarnation, slice_of(held->user), draw_name(kind),
                      n, on_draw, draw) != 0) {
        free(draw);
        /* The link is down: no slots, and the core draws anew soon. */
        held->due.draws_failed |= 1u << kind;
    }
}

/* What the core says --------------------------------------------------------------------------- */

static void port_room_line(void *ctx, const struct shard_channel *channel,
                           const struct irc_line *line)
{
    struct held *held = ctx;

    fanout_line(held->holder->o.fanout, slice_of(channel->name), line->raw,
                channel->last_active_ms);
}

static void port_state_changed(void *ctx, enum shard_state from, enum shard_state to)
{
    struct held *held = ctx;
    const struct held_options *o = &held->holder->o;
    const char *error = held->core != NULL ? shard_last_error(held->core) : "";

    log_write(to == SHARD_BACKOFF ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, "shard", "shard.state",
              "shard", held->id, "from", shard_state_name(from), "to", shard_state_name(to),
              "error", error, NULL);
    held->report.login_refused = held->report.login_refused && to != SHARD_READY;
    if (to == SHARD_CONNECTING) {
        held->transport.tried_ms = mono_ms();
        held->transport.asked = false;
    } else if (to == SHARD_READY) {
        o->on_contact(o->ctx, held->transport.tried_ms, NULL);
    } else if (to == SHARD_BACKOFF && (from == SHARD_CONNECTING ||
                                       (from == SHARD_AUTHENTICATING && held->transport.asked))) {
        o->on_contact(o->ctx, held->transport.tried_ms, error);
    }
    report_shard_changed(&held->report);
}

static void port_channel_changed(void *ctx, const struct shard_channel *channel)
{
    struct held *held = ctx;

    if (channel->machine.state == SHARD_CHANNEL_FAILED) {
        log_warn("shard", "channel.failed", "shard", held->id, "channel", channel->name, "reason",
                 channel->reason, NULL);
    }
    report_channel_changed(&held->report, channel);
}

static void port_gap(void *ctx, const struct shard_channel *channel, uint64_t from_ms,
                     uint64_t to_ms)
{
    struct held *held = ctx;

    report_gap(held->holder->o.report, slice_of(channel->name), from_ms, to_ms, 0, "not_joined");
}

/* Junk may come in floods: one warning a shard in a while, and the number of the others with the
 * next. A peer that sends junk may send back what it got: a token is not shown. */
static void port_bad_line(void *ctx, struct slice line, const char *why)
{
    struct held *held = ctx;
    struct tokens *tokens = *held->holder->o.tokens;
    struct slice token = tokens == NULL ? SLICE("") : tokens_get(tokens, slice_of(held->user));
    uint64_t now = mono_ms();
    struct slice shown = {line.ptr, line.len < BAD_LINE_SHOWN ? line.len : BAD_LINE_SHOWN};

    held->report.dirty = true; /* the count is reported */
    if (held->bad_lines.told_ms != 0 && now - held->bad_lines.told_ms < BAD_LINES_TOLD_MS) {
        held->bad_lines.untold++;
        return;
    }
    if (token.len > 0 && line.len > 0 && memmem(line.ptr, line.len, token.ptr, token.len) != NULL) {
        shown = SLICE("(it holds the token)");
    }
    log_warn("shard", "shard.bad_line", "shard", held->id, "why", why, "bytes",
             line.len > 0 ? log_u64(line.len) : "", "line", log_slice(shown), "others",
             log_u64(held->bad_lines.untold), NULL);
    held->bad_lines.told_ms = now;
    held->bad_lines.untold = 0;
}

static void port_login_refused(void *ctx, struct slice text)
{
    struct held *held = ctx;
    const struct held_options *o = &held->holder->o;

    held->report.login_refused = true;
    o->on_contact(o->ctx, held->transport.tried_ms, NULL);
    log_error("shard", "shard.login_refused", "shard", held->id, "user", held->user, "twitch",
              log_slice(text), "mend", "put a valid token into the tokens file", NULL);
    if (o->on_refused(o->ctx, slice_of(held->user))) {
        for (struct held *h = held->holder->shards; h != NULL; h = h->hh.next) {
            h->due.token_is_new = h->report.login_refused && strcmp(h->user, held->user) == 0;
            held_arm(h);
        }
    }
}

const struct shard_port held_port = {
    .connect = transport_connect,
    .close = transport_disconnect,
    .login = transport_log_in,
    .write = transport_write,
    .draw = port_draw,
    .room_line = port_room_line,
    .state_changed = port_state_changed,
    .channel_changed = port_channel_changed,
    .gap = port_gap,
    .send_result = held_on_send_result,
    .bad_line = port_bad_line,
    .login_refused = port_login_refused,
};
