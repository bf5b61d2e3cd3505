/* Drops: one entry for each channel some of whose lines are gone. */
#include "node/drops.h"

#include "node/meters.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct drop {
    UT_hash_handle hh;
    uint64_t from_ms;
    uint64_t to_ms;
    uint64_t lines;
    size_t len;
    char channel[];
};

static struct drop *find(const struct drops *d, struct slice channel)
{
    struct drop *drop;

    HASH_FIND(hh, d->channels, channel.ptr, channel.len, drop);
    return drop;
}

void drops_add(struct drops *d, struct slice channel, uint64_t from_ms, uint64_t to_ms)
{
    struct drop *drop = find(d, channel);

    if (drop == NULL) {
        drop = xcalloc(1, sizeof(*drop) + channel.len);
        memcpy(drop->channel, channel.ptr, channel.len);
        drop->len = channel.len;
        drop->from_ms = from_ms;
        HASH_ADD_KEYPTR(hh, d->channels, drop->channel, drop->len, drop);
    }
    drop->from_ms = from_ms < drop->from_ms ? from_ms : drop->from_ms;
    drop->to_ms = to_ms > drop->to_ms ? to_ms : drop->to_ms;
    drop->lines++;
    meters.fanout_dropped_lines_total++;
}

bool drops_has(const struct drops *d, struct slice channel)
{
    return d->channels != NULL && find(d, channel) != NULL;
}

void drops_tell(struct drops *d, const char *reason, drops_cb tell, void *ctx)
{
    while (d->channels != NULL) {
        struct drop *drop = d->channels;
        HASH_DEL(d->channels, drop);
        tell(ctx, (struct slice){drop->channel, drop->len}, drop->from_ms, drop->to_ms, drop->lines,
             reason);
        free(drop);
    }
}

void drops_finish(struct drops *d)
{
    while (d->channels != NULL) {
        struct drop *drop = d->channels;
        HASH_DEL(d->channels, drop);
        free(drop);
    }
}
