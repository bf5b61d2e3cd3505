/* Holder, memory: the channels that were read here when all of the registry was lost. The registry that begins anew
 * does not know that anybody ever read them, so what was missed until they are joined again is told from here. Only
 * what was held is remembered, once. */
#include "node/held_private.h"

#include "shared/log.h"

#include <stdio.h>
#include <stdlib.h>

void holder_forget_all(struct holder *h)
{
    struct remembered *r;
    struct remembered *tmp;

    HASH_ITER(hh, h->remembered, r, tmp)
    {
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

    holder_forget_all(h);
    for (struct held *held = h->shards; held != NULL; held = held->hh.next) {
        shard_each_channel(held->core, remember, h);
        channels += held->nwants;
    }
    snprintf(what, size, "all that was in Redis is gone; held were %zu shards with %zu channels",
             holder_count(h), channels);
    log_error("holder", "registry.lost", "shards", log_u64(holder_count(h)), "channels",
              log_u64(channels), "mend", "join the channels again", NULL);
}

uint64_t holder_recall(struct holder *h, const char *channel)
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
