/* Drops: lines that were dropped, channel by channel: how many, and from when to when.
 *
 * All zeros to begin with; drops_finish when done. Owns its entries. Loop thread only. */
#ifndef SHOAL_NODE_DROPS_H
#define SHOAL_NODE_DROPS_H

#include "shared/base.h"

struct drop;

struct drops {
    struct drop *channels; /* since drops_tell; NULL: none were dropped since */
};

/* When the first and the last of them was read (mono ms); `reason` as drops_tell was given it. */
typedef void (*drops_cb)(void *ctx, struct slice channel, uint64_t from_ms, uint64_t to_ms,
                         uint64_t lines, const char *reason);

/* A line is dropped that was read at from_ms or later, and at to_ms or before (mono ms). */
void drops_add(struct drops *d, struct slice channel, uint64_t from_ms, uint64_t to_ms);
/* Were lines of this channel dropped since the last drops_tell? */
bool drops_has(const struct drops *d, struct slice channel);
/* One call a channel, and they are forgotten. */
void drops_tell(struct drops *d, const char *reason, drops_cb tell, void *ctx);
void drops_finish(struct drops *d);

#endif
