/* What the two shard managers that come with Shoal have in common. */
#ifndef SHOAL_COORDINATOR_BUILT_IN_H
#define SHOAL_COORDINATOR_BUILT_IN_H

#include "coordinator/manager/shard_manager.h"

#define BUILT_IN_CREATE_MOST                                                                       \
    1000 /* channels a shard is created with; the others come by assign_shard */

/* Start all shards; the call is completed when they have exited. */
void built_in_start(struct shard_manager *m, shard_call call);
/* How many of the initial channels, from the first on, the user may be in under room_limit. */
size_t built_in_initial(const struct shard_manager *m, const struct cluster *client);
/* A numeric setting in force; SIZE_MAX where it is off. */
size_t built_in_limit(const struct cluster *client, const char *name);

#endif
