/* Sweep: what has to be cleared away while this process leads, told by the facts of each renewal.
 *
 *   a node's lease ran out   -> kill its link at Redis, expire it, a portion at a time; and a timer
 *                               at the next deadline, so that a death is seen at once
 *   shards without a node    -> place them
 *   channels without a shard -> assign them, as the shard manager says, when something changed or
 *                               every second
 *   shards idle for long     -> close them
 *   sends nobody serves      -> once a second the outbox is looked through, and what is over its
 *                               ttl expires
 *
 * Each is a step that checks for itself whether it is still right: a sweep never needs to be
 * undone. Borrows leader and manager. Loop thread only. */
#ifndef SHOAL_COORDINATOR_SWEEP_H
#define SHOAL_COORDINATOR_SWEEP_H

#include "coordinator/manager/manager.h"

struct sweep;

struct sweep *sweep_create(uv_loop_t *loop, struct leader *leader, struct shard_manager *manager);
/* What the leader knows now. */
void sweep_on_facts(struct sweep *s, const struct registry_lead *facts);
/* Leads no more: the timer rests. */
void sweep_end(struct sweep *s);
/* After the leader is stopped; the memory goes from the loop. */
void sweep_close(struct sweep *s);

#endif
