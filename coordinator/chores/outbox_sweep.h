/* Outbox sweep: sends that no node takes or serves still get their result.
 *
 * Once a second at most the step that takes what is new and settles what is overdue is called,
 * until it has nothing more to do or has been called often. Borrows the leader. */
#ifndef SHOAL_COORDINATOR_OUTBOX_SWEEP_H
#define SHOAL_COORDINATOR_OUTBOX_SWEEP_H

#include "coordinator/lead/leader.h"

struct outbox_sweep;

struct outbox_sweep *outbox_sweep_create(struct leader *leader);
/* A renewal was answered: sweep if it is time. */
void outbox_sweep_go(struct outbox_sweep *o);
/* After the leader is stopped. */
void outbox_sweep_destroy(struct outbox_sweep *o);

#endif
