/* Holder: shards, their ports and their timers. See holder.h.
 *
 * A shard core is never destroyed from within its own port functions: what wants to be closed there is
 * closed by the caller of the input, or by the timer. Draws are answered by Redis; what an answer
 * belongs to is found again by id and serial, never by pointer. */
#include "node/held_private.h"

#include "shared/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SHARD_ID      64  /* bytes */
#define BAD_LINE_SHOWN    100 /* bytes */
#define BAD_LINES_TOLD_MS 10000

struct held *holder_find(const struct holder *h, struct slice id)
{
    struct held *held;

    HASH_FIND(hh, h->shards, id.ptr, id.len, held);
    return held;
}

/* The timer ------------------------------------------------------------------------------------------ */

static void on_timer(uv_timer_t *timer);

/* After each input. A timer that fires too early costs a tick; arming it for each line would cost more. */
void holder_arm(struct held *held)
{
    bool at_once = held->connect_failed || held->token_is_new || held->draws_failed != 0;
    uint64_t due = at_once ? 0 : shard_deadline(held->core);

    if (due >= held->armed_ms) {
        return;
    }
    uint64_t now = mono_ms();
    held->armed_ms = due;
    uv_update_time(held->holder->options.loop);
    uv_timer_start(&held->timer, on_timer, due > now ? due - now : 0, 0);
}

static void on_timer(uv_timer_t *timer)
{
    struct held *held = timer->data;

    held->armed_ms = UINT64_MAX;
    if (held->connect_failed) {
        held->connect_failed = false;
        shard_on_disconnected(held->core, "no connection could be begun", mono_ms());
    }
    if (held->token_is_new) {
        held->token_is_new = false;
        shard_on_token(held->core, mono_ms());
    }
    for (unsigned kind = 0; kind < SHARD_DRAW_KINDS; kind++) {
        if ((held->draws_failed & 1u << kind) != 0) {
            held->draws_failed &= ~(1u << kind);
            shard_on_grant(held->core, kind, NULL, 0, mono_ms());
        }
    }
    shard_tick(held->core, mono_ms());
    holder_arm(held);
}

/* Budgets -------------------------------------------------------------------------------------------------- */

struct draw {
    struct holder *holder;
    uint64_t serial;
    enum shard_draw_kind kind;
    char id[65];
};

static void on_draw(void *ctx, const uint64_t *waits_ms, size_t n, const struct err *err)
{
    struct draw *draw = ctx;
    uint64_t at[64];

    if (err != NULL && err->code == ERR_CANCELED) {
        free(draw);
        return; /* the link is closed for good, and the holder may be gone */
    }
    struct held *held = holder_find(draw->holder, slice_of(draw->id));
    if (held != NULL && held->serial == draw->serial) {
        uint64_t now = mono_ms();
        n = err != NULL ? 0 : n < ARRAY_LEN(at) ? n : ARRAY_LEN(at);
        for (size_t i = 0; i < n; i++) {
            at[i] = now + waits_ms[i];
            restate_drew(draw->holder->options.restate, held->user,
                         draw->kind == SHARD_DRAW_LOGIN ? "login" : "join", waits_ms[i]);
        }
        shard_on_grant(held->core, draw->kind, at, n, now);
        holder_arm(held);
    }
    free(draw);
}

static void port_draw(void *ctx, enum shard_draw_kind kind, unsigned n)
{
    struct held *held = ctx;
    struct holder *h = held->holder;
    struct draw *draw = xcalloc(1, sizeof(*draw));

    draw->holder = h;
    draw->serial = held->serial;
    draw->kind = kind;
    snprintf(draw->id, sizeof(draw->id), "%s", held->id);
    if (registry_draw(h->options.registry, h->options.node, h->options.incarnation,
                      slice_of(held->user), kind == SHARD_DRAW_LOGIN ? "login" : "join", n, on_draw,
                      draw) != 0) {
        free(draw);
        held->draws_failed |= 1u << kind; /* the link is down: no slots, the core draws anew soon */
    }
}

/* What the core says ------------------------------------------------------------------------------------------ */

static void port_room_line(void *ctx, const struct shard_channel *channel,
                           const struct irc_line *line)
{
    struct held *held = ctx;

    fanout_line(held->holder->options.fanout, slice_of(channel->name), line->raw);
}

static void port_state_changed(void *ctx, enum shard_state from, enum shard_state to)
{
    struct held *held = ctx;
    const char *error = held->core != NULL ? shard_last_error(held->core) : "";

    log_write(to == SHARD_BACKOFF ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, "shard", "shard.state",
              "shard", held->id, "from", shard_state_name(from), "to", shard_state_name(to),
              "error", error, NULL);
    held->login_refused = held->login_refused && to != SHARD_READY;
    holder_on_contact(held, from, to);
    holder_mark_shard(held);
}

static void port_channel_changed(void *ctx, const struct shard_channel *channel)
{
    struct held *held = ctx;

    if (channel->machine.state == SHARD_CHANNEL_FAILED) {
        log_warn("shard", "channel.failed", "shard", held->id, "channel", channel->name, "reason",
                 channel->reason, NULL);
    }
    holder_mark_channel(held, channel->name);
}

static void port_gap(void *ctx, const struct shard_channel *channel, uint64_t from_ms,
                     uint64_t to_ms)
{
    struct held *held = ctx;

    holder_gap(held->holder, slice_of(channel->name), from_ms, to_ms, 0, "not_joined");
}

/* Junk may come in floods: one warning a shard in a while, and the number of the others with the next.
 * Whoever sends junk may send back what it got: a token is not shown. */
static void port_bad_line(void *ctx, struct slice line, const char *why)
{
    struct held *held = ctx;
    struct tokens *tokens = *held->holder->options.tokens;
    struct slice token = tokens == NULL ? SLICE("") : tokens_get(tokens, slice_of(held->user));
    uint64_t now = mono_ms();
    struct slice shown = {line.ptr, line.len < BAD_LINE_SHOWN ? line.len : BAD_LINE_SHOWN};

    held->dirty = true; /* the count is reported */
    if (held->bad_told_ms != 0 && now - held->bad_told_ms < BAD_LINES_TOLD_MS) {
        held->bad_untold++;
        return;
    }
    if (token.len > 0 && line.len > 0 && memmem(line.ptr, line.len, token.ptr, token.len) != NULL) {
        shown = SLICE("(it holds the token)");
    }
    log_warn("shard", "shard.bad_line", "shard", held->id, "why", why, "bytes",
             line.len > 0 ? log_u64(line.len) : "", "line", log_slice(shown), "others",
             log_u64(held->bad_untold), NULL);
    held->bad_told_ms = now;
    held->bad_untold = 0;
}

static void port_login_refused(void *ctx, struct slice text)
{
    struct held *held = ctx;

    held->login_refused = true;
    held->holder->options.on_contact(held->holder->options.ctx, held->tried_ms, NULL);
    log_error("shard", "shard.login_refused", "shard", held->id, "user", held->user, "twitch",
              log_slice(text), "mend", "put a valid token into the tokens file", NULL);
    if (held->holder->options.on_refused(held->holder->options.ctx, slice_of(held->user))) {
        for (struct held *h = held->holder->shards; h != NULL; h = h->hh.next) {
            h->token_is_new = h->login_refused && strcmp(h->user, held->user) == 0;
            holder_arm(h);
        }
    }
}

/* Life of one -------------------------------------------------------------------------------------------------- */

static void core_begin(struct held *held)
{
    static const struct shard_port port = {
        .connect = holder_connect,
        .close = holder_disconnect,
        .login = holder_log_in,
        .write = holder_write,
        .draw = port_draw,
        .room_line = port_room_line,
        .state_changed = port_state_changed,
        .channel_changed = port_channel_changed,
        .gap = port_gap,
        .send_result = holder_on_send_result,
        .bad_line = port_bad_line,
        .login_refused = port_login_refused,
    };
    struct holder *h = held->holder;
    struct shard_timings timings = shard_timings_default();
    uint64_t now = mono_ms();

    held->rated_ms = 0; /* its stats begin anew */
    timings.failed_retry_ms = h->failed_retry_ms;
    held->core = shard_create(held->id, held->user, &timings, &port, held);
    shard_set_fenced(held->core, h->fenced || h->blind, now);
    shard_set_channels(held->core, held->wants, held->nwants, now);
    if (held->run == SHARD_STARTED) {
        shard_start(held->core, now);
    } else if (held->run == SHARD_STOPPED) {
        shard_close(held->core, "stopped", now);
    }
    holder_arm(held);
}

static void core_end(struct held *held, const char *reason)
{
    /* Whoever waits for the answer to a send hears that there will be none. */
    shard_close(held->core, reason, mono_ms());
    shard_destroy(held->core);
    held->core = NULL;
    connection_close(held->connection);
    held->connection = NULL;
    held->connect_failed = false;
    held->draws_failed = 0;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct held *held = handle->data;
    struct holder *h = held->holder;

    free(held->id);
    free(held->user);
    free(held->wants);
    free(held->names);
    free(held);
    h->open_timers--;
    if (h->destroyed && h->open_timers == 0) {
        holder_free_gaps(h);
        free(h);
    }
}

static void held_close(struct held *held, const char *reason)
{
    struct holder *h = held->holder;

    HASH_DEL(h->shards, held);
    core_end(held, reason);
    holder_forget_sends(held);
    holder_unmark(held);
    uv_close((uv_handle_t *)&held->timer, on_timer_closed);
}

/* A closed core does not open again: a new one takes its place. */
void holder_renew_core(struct held *held)
{
    shard_close(held->core, "started again", mono_ms());
    for (size_t i = 0; i < held->nwants; i++) {
        struct shard_want *want = &held->wants[i];
        const struct shard_channel *channel = shard_channel(held->core, want->name);
        if (channel != NULL) {
            want->rejoin = channel->rejoin;
            want->lost_at_ms = channel->lost_at_ms;
        }
    }
    core_end(held, "started again");
    held->serial = ++held->holder->serials;
    core_begin(held);
}

static void held_want(struct held *held, const struct registry_shard *shard)
{
    uint64_t now = mono_ms();

    free(held->wants);
    free(held->names);
    held->nwants = shard->nchannels;
    held->wants = xcalloc(held->nwants + 1, sizeof(*held->wants));
    held->names = xcalloc(held->nwants + 1, sizeof(*held->names));
    for (size_t i = 0; i < held->nwants; i++) {
        struct slice name = shard->channels[i];
        if (name.len > 0 && name.len < sizeof(held->names[i])) {
            memcpy(held->names[i], name.ptr, name.len);
        }
        held->wants[i].name = slice_of(held->names[i]);
        /* Somebody read it before this node did. (This host may be up for a shorter time than that:
         * differences of these times are right all the same.) */
        held->wants[i].lost_at_ms = shard->unread_ms[i] > 0
                                        ? now - (uint64_t)shard->unread_ms[i]
                                        : holder_recall(held->holder, held->names[i]);
        held->wants[i].rejoin = held->wants[i].lost_at_ms != 0;
        held->wants[i].retry = shard->retry_ms[i] > 0 ? (uint64_t)shard->retry_ms[i] : 0;
    }
}

static void held_run(struct held *held, enum shard_run run)
{
    enum shard_run before = held->run;

    held->run = run;
    if (run == SHARD_STARTED && before != run) {
        holder_renew_core(held);
    } else if (run == SHARD_STOPPED && before != run) {
        shard_stop(held->core, mono_ms());
    }
    if (run == SHARD_STOPPED || before != run) {
        holder_mark_shard(held); /* whoever stopped it waits for the word that it is closed */
    }
}

/* What Redis has of a shard is input. */
static bool can_be_held(const struct registry_shard *shard)
{
    bool named = shard->id.len > 0 && shard->id.len <= MAX_SHARD_ID;

    for (size_t i = 0; named && i < shard->id.len; i++) {
        named = shard->id.ptr[i] > ' ' && shard->id.ptr[i] < 127;
    }
    return named && irc_channel_valid(shard->user);
}

void holder_hold(struct holder *h, const struct registry_shard *shard)
{
    struct held *held = holder_find(h, shard->id);

    if (!can_be_held(shard)) {
        log_error("holder", "shard.damaged", "shard", log_slice(shard->id), "user",
                  log_slice(shard->user), "kept", held != NULL ? "as it was" : "not held", NULL);
        return;
    }

    if (held != NULL && held->epoch != shard->epoch) {
        held_close(held, "placed elsewhere meanwhile");
        held = NULL;
    }
    if (held != NULL) {
        holder_mark_shard(held); /* told to look: the registry may not have what it was told */
        held_want(held, shard);
        shard_set_channels(held->core, held->wants, held->nwants, mono_ms());
        holder_compare(held, shard);
        held_run(held, shard->run);
        holder_arm(held);
        return;
    }
    held = xcalloc(1, sizeof(*held));
    held->holder = h;
    held->id = xstrndup(shard->id.ptr, shard->id.len);
    held->user = xstrndup(shard->user.ptr, shard->user.len);
    held->epoch = shard->epoch;
    held->run = shard->run;
    held->serial = ++h->serials;
    held->armed_ms = UINT64_MAX;
    uv_timer_init(h->options.loop, &held->timer);
    held->timer.data = held;
    h->open_timers++;
    held_want(held, shard);
    HASH_ADD_KEYPTR(hh, h->shards, held->id, strlen(held->id), held);
    log_info("holder", "shard.held", "shard", held->id, "epoch", log_u64(held->epoch), "channels",
             log_u64(held->nwants), NULL);
    core_begin(held);
    holder_mark_shard(held);
}

void holder_keep(struct holder *h, const struct slice *ids, size_t n)
{
    struct held *held;
    struct held *tmp;
    uint64_t mark = ++h->marks;

    for (size_t i = 0; i < n; i++) {
        held = holder_find(h, ids[i]);
        if (held != NULL) {
            held->mark = mark;
        }
    }
    HASH_ITER(hh, h->shards, held, tmp)
    {
        if (held->mark != mark) {
            log_info("holder", "shard.released", "shard", held->id, NULL);
            held_close(held, "placed elsewhere");
        }
    }
}

/* All of them ---------------------------------------------------------------------------------------------------- */

struct holder *holder_create(const struct holder_options *options)
{
    struct holder *h = xcalloc(1, sizeof(*h));

    h->options = *options;
    h->failed_retry_ms = shard_timings_default().failed_retry_ms;
    return h;
}

void holder_drop(struct holder *h)
{
    holder_keep(h, NULL, 0);
}

void holder_destroy(struct holder *h)
{
    if (h == NULL) {
        return;
    }
    holder_drop(h);
    holder_forget_all(h);
    h->destroyed = true;
    if (h->open_timers == 0) {
        holder_free_gaps(h);
        free(h);
    }
}

void holder_set_fenced(struct holder *h, bool fenced)
{
    struct held *held;
    struct held *tmp;

    if (h->fenced == fenced) {
        return;
    }
    h->fenced = fenced;
    HASH_ITER(hh, h->shards, held, tmp)
    {
        if (fenced && held->connection != NULL) {
            connection_discard(held->connection);
        }
        shard_set_fenced(held->core, fenced || h->blind, mono_ms());
        holder_arm(held);
    }
}

static void mark_failed(void *ctx, const struct shard_channel *channel)
{
    if (channel->machine.state == SHARD_CHANNEL_FAILED) {
        holder_mark_channel(ctx, channel->name); /* its next_try */
    }
}

void holder_set_failed_retry(struct holder *h, uint64_t ms)
{
    struct held *held;
    struct held *tmp;

    if (ms == h->failed_retry_ms) {
        return;
    }
    h->failed_retry_ms = ms;
    HASH_ITER(hh, h->shards, held, tmp)
    {
        shard_set_failed_retry(held->core, ms, mono_ms());
        shard_each_channel(held->core, mark_failed, held);
        holder_arm(held);
    }
}

void holder_drain(struct holder *h)
{
    struct held *held;
    struct held *tmp;

    HASH_ITER(hh, h->shards, held, tmp)
    {
        shard_stop(held->core, mono_ms());
        holder_arm(held);
    }
}

bool holder_is_closed(const struct holder *h)
{
    struct held *held;
    struct held *tmp;

    HASH_ITER(hh, h->shards, held, tmp)
    {
        if (shard_state(held->core) != SHARD_CLOSED) {
            return false;
        }
    }
    return true;
}

void holder_on_tokens(struct holder *h)
{
    struct held *held;
    struct held *tmp;

    HASH_ITER(hh, h->shards, held, tmp)
    {
        held->login_refused = false;
        shard_on_token(held->core, mono_ms());
        holder_arm(held);
    }
}

bool holder_holds(const struct holder *h, struct slice shard)
{
    return holder_find(h, shard) != NULL;
}

size_t holder_count(const struct holder *h)
{
    return HASH_COUNT(h->shards);
}
