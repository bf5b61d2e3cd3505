/* DistributedShardManager: TwitchIO's, channels spread over many shards of one user.
 *
 * setup makes `initial-shard-N`, as many as initial_shard_count says or the initial channels need,
 * and splits the initial channels evenly. Every other channel goes to the least-loaded open shard,
 * or to a new `extended-shard-N`: the step in Redis chooses. Who sends is senders.h's choice, made
 * once for a view. */
#ifndef SHOAL_COORDINATOR_BUILT_IN_DISTRIBUTED_H
#define SHOAL_COORDINATOR_BUILT_IN_DISTRIBUTED_H

#include "coordinator/manager/shard_manager.h"
#include "shared/err.h"

extern const struct shard_manager_ops built_in_distributed;

/* How `channels` initial channels are spread: over *shards shards, the first of which get one more
 * than the others where it does not come out even. Limits are SIZE_MAX where there is none.
 * -ERR_REFUSED where more shards would be needed than max_shard_count allows, with both settings
 * and what would do. */
MUST_USE int distributed_spread(size_t channels, size_t channels_per_shard, size_t max_shard_count,
                                size_t initial_shard_count, size_t *shards, struct err *err);

#endif
