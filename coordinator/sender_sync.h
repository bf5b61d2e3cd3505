/* Sender sync: reads all shards when they changed, lets senders.h choose, writes what differs.
 *
 * Borrows the leader. Loop thread only. */
#ifndef SHOAL_COORDINATOR_SENDER_SYNC_H
#define SHOAL_COORDINATOR_SENDER_SYNC_H

#include "coordinator/leader.h"

struct sender_sync;

struct sender_sync *sender_sync_create(struct leader *leader);
/* Leads from now on: look at all shards, whatever was seen before. */
void sender_sync_begin(struct sender_sync *s);
/* What the leader knows now. */
void sender_sync_on_facts(struct sender_sync *s, const struct registry_lead *facts);
/* After the leader is stopped. */
void sender_sync_destroy(struct sender_sync *s);

#endif
