/* Channel look: all that is known of one channel, and what will happen next, for shoalctl, the JSON
 * API and the dashboard.
 *
 *   channel_look -> the channel, then the log, newest first, unless it is not wanted -> on_done
 *
 * What stands in Redis of the channel alone is read; nodes, shards and accounts are those of the
 * status document. Writes nothing. Loop thread only. */
#ifndef SHOAL_COORDINATOR_CHANNEL_LOOK_H
#define SHOAL_COORDINATOR_CHANNEL_LOOK_H

#include "shared/buf.h"
#include "shared/redis/registry_look.h"

#include <cjson/cJSON.h>

struct channel_look_options {
    struct registry *registry; /* borrowed until on_done */
    const char *channel;       /* a login, as irc_channel_normalise gives it; copied */
    /* The status document as it is when Redis has answered, or NULL where there is none yet; it is
     * borrowed for that moment. */
    const cJSON *(*document)(void *ctx);
    bool no_log; /* the log is not read: the object has neither last_gap nor last_failed */
    /* So many more entries of the log were read; or NULL. False: the look ends, with ERR_CANCELED
     * for on_done. */
    bool (*on_log)(void *ctx, size_t n);
    /* Called once, perhaps before channel_look returns, or with ERR_CANCELED when the link is
     * closed: the object, which belongs to the callee, or NULL and why there is none.
     *
     *   channel, wanted (bool), at (Redis's clock, ms)
     *   state, since, reason, next_try, room, room_id, moderator, vip: as figures.h has them
     *   shard ("": it has none), node, user (that reads it, or is to), sender: where they are known
     *   shard_state, shard_error, node_state, node_error: how these are
     *   sends: how many wait to be said there
     *   joins: while it is not joined, the document's row of its user
     *   last_gap, last_failed: the newest event of its kind that names the channel, if the log has
     *       one
     *   next: what will happen next, in words */
    void (*on_done)(void *ctx, cJSON *channel, const struct err *err);
    void *ctx;
};
void channel_look(const struct channel_look_options *o);

/* What will happen next to that channel (an object as above, without `next`), by the document as it
 * stands (NULL: nothing is known of the cluster). Texts of others are in it as they came. */
void channel_look_next(const cJSON *channel, const cJSON *document, struct buf *out);

#endif
