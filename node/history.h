/* History: what is published goes to streams as well, by the same transaction (shared/contract.md).
 *
 *   lines of a block -> by channel, CRC-32 modulo the streams -> XADD, one for each stream touched
 *
 * An entry has the fields `by` (node/first 8 digits of the incarnation), `seq` (the number of its
 * last line, as in fan:<node>) and `lines`, with LF between. Keeps nothing, owns nothing. */
#ifndef SHOAL_NODE_HISTORY_H
#define SHOAL_NODE_HISTORY_H

#include "shared/buf.h"
#include "shared/redis/registry.h"

#define HISTORY_LINES_MOST 64u /* of one block */

#define HISTORY_BY_CHARS 9u /* first digits of an incarnation */

struct history {
    unsigned streams;               /* 0: nothing is kept */
    char key[REGISTRY_TOPIC_CHARS]; /* of the streams, up to their number */
    const char *node;               /* borrowed */
    char by[HISTORY_BY_CHARS];      /* the incarnation */
};

/* Keep from now on in so many streams (at most REGISTRY_HISTORY_STREAMS
 * are used; 0: nothing is kept). */
void history_keep(struct history *h, const struct registry *registry, const char *node,
                  const char *incarnation, uint64_t streams);
/* Append an XADD for each stream that lines of `commands` belong to (PUBLISH commands, as
 * publish_put wrote them; the incarnation `by` gave the last line the number `last_seq`). How many
 * commands these are. */
unsigned history_put(const struct history *h, struct buf *out, struct slice commands,
                     struct slice topic_prefix, const char *by, uint64_t last_seq);

#endif
