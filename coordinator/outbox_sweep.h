/* Outbox sweep: sends that no node serves still get their result: `expired`, once over their ttl.
 *
 * Once a second at most the outbox is read from where the last sweep stopped, and what may be over its ttl
 * is handed to the step that decides. At most 1,000 entries a sweep. Borrows the leader. */
#ifndef SHOAL_COORDINATOR_OUTBOX_SWEEP_H
#define SHOAL_COORDINATOR_OUTBOX_SWEEP_H

#include "coordinator/leader.h"

struct outbox_sweep;

struct outbox_sweep *outbox_sweep_create(struct leader *leader);
/* A renewal was answered: sweep if it is time. */
void outbox_sweep_go(struct outbox_sweep *o);
/* After the leader is stopped. */
void outbox_sweep_destroy(struct outbox_sweep *o);

/* May a send that was entered with `entry_id` be over its ttl at `now_ms` of Redis's clock? `ttl` is the
 * entry's own, or empty. Rather yes than no: the step looks closer. */
bool outbox_may_be_over(struct slice entry_id, struct slice ttl, uint64_t now_ms);
/* The id after `entry_id` ("5-1" -> "5-2"), in out; false if it is not an entry id. */
bool outbox_next_id(struct slice entry_id, char *out, size_t size);

#endif
