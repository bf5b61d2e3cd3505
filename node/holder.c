/* Holder: all shards that are held here. See holder.h. */
#include "node/holder.h"

#include "shared/log.h"

#include <stdio.h>
#include <stdlib.h>

/* A channel that was held when all of the registry was lost. */
struct remembered {
    UT_hash_handle hh;
    uint64_t lost_at_ms; /* nothing was read since (mono ms) */
    char name[IRC_CHANNEL_CHARS];
};

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

/* Memory ---------------------------------------------------------------------------------------
 *
 * The registry that begins anew does not know that anybody ever read the channels, so what was
 * missed until they are joined again is told from here. Only what was held is remembered, once. */

static void forget_all(struct holder *h)
{
    while (h->remembered != NULL) {
        struct remembered *r = h->remembered;
        HASH_DEL(h->remembered, r);
        free(r);
    }
}

static void remember(void *ctx, const struct shard_channel *channel)
{
    struct holder *h = ctx;
    struct remembered *r;
    bool joined = channel->machine.state == SHARD_CHANNEL_JOINED;

    HASH_FIND_STR(h->remembered, channel->name, r);
    if (r != NULL || (!joined && channel->lost_at_ms == 0)) {
        return;
    }
    r = xcalloc(1, sizeof(*r));
    snprintf(r->name, sizeof(r->name), "%s", channel->name);
    r->lost_at_ms = joined ? mono_ms() : channel->lost_at_ms;
    HASH_ADD_STR(h->remembered, name, r);
}

void holder_remember(struct holder *h, char *what, size_t size)
{
    size_t channels = 0;
    size_t shards = HASH_COUNT(h->shards);

    forget_all(h);
    for (struct held *held = h->shards; held != NULL; held = held->hh.next) {
        shard_each_channel(held->core, remember, h);
        channels += held->wants.n;
    }
    snprintf(what, size, "all that was in Redis is gone; held were %zu shards with %zu channels",
             shards, channels);
    log_error("holder", "registry.lost", "shards", log_u64(shards), "channels", log_u64(channels),
              "mend", "join the channels again", NULL);
}

uint64_t held_recall(struct holder *h, const char *channel)
{
    struct remembered *r;
    uint64_t lost_at_ms = 0;

    HASH_FIND_STR(h->remembered, channel, r);
    if (r != NULL) {
        lost_at_ms = r->lost_at_ms;
        HASH_DEL(h->remembered, r);
        free(r);
    }
    return lost_at_ms;
}

/* Life ----------------------------------------------------------------------------------------- */

struct holder *holder_create(const struct held_options *options)
{
    struct holder *h = xcalloc(1, sizeof(*h));

    h->o = *options;
    h->failed_retry_ms = SETTING_FAILED_RETRY_MS;
    return h;
}

void holder_drop(struct holder *h)
{
    holder_keep(h, NULL, 0);
}

void holder_destroy(struct holder *h)
{
    holder_drop(h);
    forget_all(h);
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

void holder_describe(const struct holder *h, char *out, size_t size)
{
    size_t channels = 0;
    size_t joined = 0;

    for (const struct held *held = h->shards; held != NULL; held = held->hh.next) {
        for (unsigned i = 0; i < SHARD_CHANNEL_STATES; i++) {
            channels += shard_channel_count(held->core, (enum shard_channel_state)i);
        }
        joined += shard_channel_count(held->core, SHARD_CHANNEL_JOINED);
    }
    snprintf(out, size, "%u shards, %zu of %zu channels joined", HASH_COUNT(h->shards), joined,
             channels);
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
