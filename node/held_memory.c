/* Held, memory: the channels that were read here when all of the registry was lost. The registry
 * that begins anew does not know that anybody ever read them, so what was missed until they are
 * joined again is told from here. Only what was held is remembered, once. */
#include "node/held_private.h"

#include "shared/log.h"

#include <stdio.h>
#include <stdlib.h>

/* A channel that was held when all of the registry was lost. */
struct remembered {
    UT_hash_handle hh;
    uint64_t lost_at_ms; /* nothing was read since (mono ms) */
    char name[IRC_CHANNEL_CHARS];
};

void held_forget_all(struct held_common *common)
{
    struct remembered *r;
    struct remembered *tmp;

    HASH_ITER(hh, common->remembered, r, tmp)
    {
        HASH_DEL(common->remembered, r);
        free(r);
    }
}

static void remember(void *ctx, const struct shard_channel *channel)
{
    struct held_common *common = ctx;
    struct remembered *r;
    bool joined = channel->machine.state == SHARD_CHANNEL_JOINED;

    HASH_FIND_STR(common->remembered, channel->name, r);
    if (r != NULL || (!joined && channel->lost_at_ms == 0)) {
        return;
    }
    r = xcalloc(1, sizeof(*r));
    snprintf(r->name, sizeof(r->name), "%s", channel->name);
    r->lost_at_ms = joined ? mono_ms() : channel->lost_at_ms;
    HASH_ADD_STR(common->remembered, name, r);
}

void held_remember_all(struct held_common *common, char *what, size_t size)
{
    size_t channels = 0;
    size_t shards = HASH_COUNT(common->shards);

    held_forget_all(common);
    for (struct held *held = common->shards; held != NULL; held = held->hh.next) {
        shard_each_channel(held->core, remember, common);
        channels += held->wants.n;
    }
    snprintf(what, size, "all that was in Redis is gone; held were %zu shards with %zu channels",
             shards, channels);
    log_error("holder", "registry.lost", "shards", log_u64(shards), "channels", log_u64(channels),
              "mend", "join the channels again", NULL);
}

uint64_t held_recall(struct held_common *common, const char *channel)
{
    struct remembered *r;
    uint64_t lost_at_ms = 0;

    HASH_FIND_STR(common->remembered, channel, r);
    if (r != NULL) {
        lost_at_ms = r->lost_at_ms;
        HASH_DEL(common->remembered, r);
        free(r);
    }
    return lost_at_ms;
}
