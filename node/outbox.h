/* Outbox: hears of every send in the stream, on a link of its own, since reading it blocks.
 *
 * Whenever the link comes up it reads from the beginning, so entries come more than once: whoever is told of
 * them knows what it knows already. Owns its link. Loop thread only. */
#ifndef SHOAL_NODE_OUTBOX_H
#define SHOAL_NODE_OUTBOX_H

#include "shared/redis/registry.h"

struct outbox;

/* `link`: url, tls_ca and name; callbacks are set here. The entry is valid during the call. */
struct outbox *outbox_create(uv_loop_t *loop, const struct link_options *link, const char *cluster,
                             void (*on_entry)(void *ctx, const struct registry_entry *entry),
                             void *ctx);
/* No entries any more; on_closed comes from the loop, then the memory is gone. */
void outbox_close(struct outbox *o, void (*on_closed)(void *ctx), void *ctx);

#endif
