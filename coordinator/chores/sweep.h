/* Sweep: what has to be cleared away while this process leads, told by the facts of each renewal.
 *
 *   a node's lease ran out   -> kill its link at Redis, expire it, a portion at a time; at the next
 *                               deadline facts are asked for, so that a death is seen at once
 *   shards without a node    -> place them
 *   channels without a shard -> assign them, as the shard manager says, when something changed or
 *                               every second
 *   shards idle for long     -> close them
 *   speaker shards           -> open those that are missing, close those that are too many, when
 *                               something changed or every second (where nobody is the speaker,
 *                               every ten)
 *
 * Each is a step that checks for itself whether it is still right: a sweep never needs to be
 * undone. Borrows leader and manager. Loop thread only. */
#ifndef SHOAL_COORDINATOR_SWEEP_H
#define SHOAL_COORDINATOR_SWEEP_H

#include "coordinator/manager/manager.h"

struct sweep;

struct sweep *sweep_create(struct leader *leader, struct shard_manager *manager);
/* What the leader knows now. */
void sweep_on_facts(struct sweep *s, const struct registry_lead *facts);
/* After leader and manager are closed. */
void sweep_destroy(struct sweep *s);

#endif
