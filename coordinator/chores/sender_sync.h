/* Sender sync: asks the shard manager who sends for each shard, and writes what differs.
 *
 * A round for each time the view was read; shards without channels need no sender. What the manager
 * does not answer stays as it is. Borrows leader and manager. Loop thread only. */
#ifndef SHOAL_COORDINATOR_SENDER_SYNC_H
#define SHOAL_COORDINATOR_SENDER_SYNC_H

#include "coordinator/manager/manager.h"

struct sender_sync;

struct sender_sync *sender_sync_create(struct leader *leader, struct shard_manager *manager);
/* The view was read. Only for a cluster that is set up. */
void sender_sync_on_view(struct sender_sync *s);
/* After leader and manager are closed. */
void sender_sync_destroy(struct sender_sync *s);

#endif
