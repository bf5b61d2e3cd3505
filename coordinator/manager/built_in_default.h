/* DefaultShardManager: TwitchIO's, one shard `main-shard` for everything.
 *
 * A cluster it sets up has channels_per_shard=none and max_shard_count=1. */
#ifndef SHOAL_COORDINATOR_BUILT_IN_DEFAULT_H
#define SHOAL_COORDINATOR_BUILT_IN_DEFAULT_H

#include "coordinator/manager/shard_manager.h"

extern const struct shard_manager_ops built_in_default;

#endif
