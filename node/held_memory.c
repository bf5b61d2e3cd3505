/* Held, memory: the channels that were read here when all of the registry was lost. The registry
 * that begins anew does not know that anybody ever read them, so what was missed until they are
 * joined again is told from here. Only what was held is remembered, once. */
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

void held_forget_all(struct holder *h)
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

    held_forget_all(h);
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
