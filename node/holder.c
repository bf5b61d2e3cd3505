/* Holder: all shards that are held here. See holder.h. */
#include "node/holder.h"

#include "shared/log.h"

#include <stdlib.h>

/* What the registry says ----------------------------------------------------------------------- */

/* What Redis has of a shard is input. */
static bool can_be_held(const struct registry_shard *shard)
{
    bool named = shard->id.len > 0 && shard->id.len < HELD_ID_CHARS;

    for (size_t i = 0; named && i < shard->id.len; i++) {
        named = shard->id.ptr[i] > ' ' && shard->id.ptr[i] < 127;
    }
    return named && irc_channel_valid(shard->user);
}

void holder_hold(struct holder *h, const struct registry_shard *shard)
{
    struct held *held = held_find(h, shard->id);

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
        held_follow(held, shard);
    } else {
        held_create(h, shard);
    }
}

void holder_keep(struct holder *h, const struct slice *ids, size_t n)
{
    struct held *held;
    struct held *tmp;
    uint64_t mark = ++h->marks;

    for (size_t i = 0; i < n; i++) {
        held = held_find(h, ids[i]);
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

/* Life ----------------------------------------------------------------------------------------- */

struct holder *holder_create(const struct held_options *options)
{
    struct holder *h = xcalloc(1, sizeof(*h));

    h->o = *options;
    h->failed_retry_ms = shard_timings_default().failed_retry_ms;
    return h;
}

void holder_drop(struct holder *h)
{
    holder_keep(h, NULL, 0);
}

void holder_destroy(struct holder *h)
{
    holder_drop(h);
    held_forget_all(h);
    free(h);
}

/* What befalls all ----------------------------------------------------------------------------- */

static void each(struct holder *h, void (*act)(struct held *held))
{
    for (struct held *held = h->shards; held != NULL; held = held->hh.next) {
        act(held);
    }
}

void holder_set_fenced(struct holder *h, bool fenced)
{
    if (h->fenced != fenced) {
        h->fenced = fenced;
        each(h, held_set_fenced);
    }
}

void holder_set_blind(struct holder *h, bool blind)
{
    if (h->blind != blind) {
        h->blind = blind;
        each(h, blind ? held_set_fenced : held_try_anew);
    }
}

void holder_set_failed_retry(struct holder *h, uint64_t ms)
{
    if (h->failed_retry_ms != ms) {
        h->failed_retry_ms = ms;
        each(h, held_set_failed_retry);
    }
}

void holder_drain(struct holder *h)
{
    each(h, held_stop);
}

void holder_on_tokens(struct holder *h)
{
    each(h, held_on_token);
}

/* To be asked ---------------------------------------------------------------------------------- */

bool holder_is_working(const struct holder *h)
{
    for (const struct held *held = h->shards; held != NULL; held = held->hh.next) {
        enum shard_state state = shard_state(held->core);
        if (state == SHARD_READY || state == SHARD_DRAINING) {
            return true;
        }
    }
    return false;
}

bool holder_is_idle(const struct holder *h)
{
    for (const struct held *held = h->shards; held != NULL; held = held->hh.next) {
        if (held->run == SHARD_STARTED) {
            return false;
        }
    }
    return true;
}

bool holder_is_closed(const struct holder *h)
{
    for (const struct held *held = h->shards; held != NULL; held = held->hh.next) {
        if (shard_state(held->core) != SHARD_CLOSED) {
            return false;
        }
    }
    return true;
}

uint64_t holder_heard_ms(const struct holder *h)
{
    uint64_t heard_ms = 0;

    for (const struct held *held = h->shards; held != NULL; held = held->hh.next) {
        uint64_t line_ms = shard_last_line_ms(held->core);
        if (shard_state(held->core) == SHARD_READY && line_ms > heard_ms) {
            heard_ms = line_ms;
        }
    }
    return heard_ms;
}

bool holder_can_send(const struct holder *h, struct slice shard)
{
    const struct held *held = held_find(h, shard);

    return held != NULL && shard_can_send(held->core);
}

int holder_send(struct holder *h, struct slice shard, const struct registry_send *send,
                const char *entry, struct err *err)
{
    struct held *held = held_find(h, shard);

    if (held == NULL) {
        return err_set(err, ERR_DOWN, "shard %.*s is not here", (int)shard.len, shard.ptr);
    }
    return held_send(held, send, entry, err);
}
