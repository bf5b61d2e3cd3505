/* Live text: the status document as texts, and what changed since the one before.
 *
 * Rows of nodes, shards and accounts are known by their names, the other members of the document by
 * theirs; what has another text has changed. Made once for all clients, however many there are.
 * Pure. */
#ifndef SHOAL_COORDINATOR_LIVE_TEXT_H
#define SHOAL_COORDINATOR_LIVE_TEXT_H

#include "shared/buf.h"

#include <cjson/cJSON.h>

struct live_text;

struct live_text *live_text_create(void);
/* NULL: nothing. */
void live_text_destroy(struct live_text *t);
/* Take the next document, and append the message of type "change" against the one before to
 * `change`. The document is not kept. */
void live_text_take(struct live_text *t, const cJSON *document, struct buf *change);
/* Append the message of type "status", the whole of the last one taken, but for its closing brace:
 * members may follow. */
void live_text_append_whole(const struct live_text *t, struct buf *out);

#endif
