/* Registry, for who looks at a cluster: one channel, and the log of events. As registry.h has it:
 * each call returns 0 and calls back once, or what the link refused it with. */
#ifndef SHOAL_REDIS_REGISTRY_LOOK_H
#define SHOAL_REDIS_REGISTRY_LOOK_H

#include "shared/figures.h"
#include "shared/redis/registry.h"

/* What stands in Redis of one channel alone. */
struct registry_channel {
    struct wall now;              /* Redis's */
    bool wanted;                  /* somebody joined it, and nobody has parted it */
    struct figures_channel known; /* its name and shard too */
    struct registry_hash hash;    /* the same as it stands there */
    uint64_t sends;               /* that wait to be said there */
};
typedef void (*registry_channel_cb)(void *ctx, const struct registry_channel *channel,
                                    const struct err *err);
MUST_USE int registry_find_channel(struct registry *r, const char *channel, registry_channel_cb cb,
                                   void *ctx);

/* Entries of the log, which hold an event as JSON in their field `event`. */
typedef void (*registry_events_cb)(void *ctx, const struct registry_entry *entries, size_t n,
                                   const struct err *err);
#define REGISTRY_EVENT_ID_CHARS 48
#define REGISTRY_FROM_NEWEST    "+"
/* The last ones behind which the id `before` stands, or of all (REGISTRY_FROM_NEWEST): the newest
 * comes first, `most` at most; none: there are no more. */
MUST_USE int registry_events_before(struct registry *r, const char *before, size_t most,
                                    registry_events_cb cb, void *ctx);
/* The first ones behind the id `after` (REGISTRY_FROM_BEGINNING, or "MS-0" for a time of Redis's
 * clock), oldest first. Where there is none it is waited for, block_ms at most (less than the
 * link's deadline; 0: not at all); so long all that follows on the link waits, too: use one of its
 * own. */
MUST_USE int registry_events_after(struct registry *r, const char *after, size_t most,
                                   uint64_t block_ms, registry_events_cb cb, void *ctx);

#endif
