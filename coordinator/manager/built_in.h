/* The two shard managers that come with Shoal, and what they have in common. */
#ifndef SHOAL_COORDINATOR_BUILT_IN_H
#define SHOAL_COORDINATOR_BUILT_IN_H

#include "coordinator/manager/shard_manager.h"
#include "shared/err.h"

/* DefaultShardManager: TwitchIO's, one shard `main-shard` for everything.
 *
 * A cluster it sets up has channels_per_shard=none and max_shard_count=1. */
extern const struct shard_manager_ops built_in_default;

/* DistributedShardManager: TwitchIO's, channels spread over many shards of the cluster's readers.
 *
 * setup makes `initial-shard-N`, as many as initial_shard_count says or the initial channels need,
 * for the readers in turn, and splits the initial channels evenly, as far as each reader has rooms.
 * Every other channel goes to the least-loaded open shard, or to a new `extended-shard-N`: the step
 * in Redis chooses. Who sends is senders.h's choice, made
 * once for a view. */
extern const struct shard_manager_ops built_in_distributed;

/* How `channels` initial channels are spread: over *shards shards, the first of which get one more
 * than the others where it does not come out even. Limits are SIZE_MAX where there is none.
 * -ERR_REFUSED where more shards would be needed than max_shard_count allows, with both settings
 * and what would do. */
MUST_USE int distributed_spread(size_t channels, size_t channels_per_shard, size_t max_shard_count,
                                size_t initial_shard_count, size_t *shards, struct err *err);

#define BUILT_IN_CREATE_MOST                                                                       \
    1000 /* channels a shard is created with; the others come by assign_shard */

/* Start all shards; the call is completed when they have exited. */
void built_in_start(struct shard_manager *m, shard_call call);
/* How many of the n channels, from the first on, a user may be in that has so many rooms left:
 * those that count are taken from them. */
size_t built_in_fit(const char *const *channels, size_t n, const char *user, size_t *rooms_left);
/* The rooms that a user may be in; SIZE_MAX where they are not limited. */
size_t built_in_rooms(const struct cluster *client, const char *user);
/* Is it a speaker shard? */
bool built_in_speaks(const struct shard *s);
/* A numeric setting in force; SIZE_MAX where it is off. */
size_t built_in_limit(const struct cluster *client, const char *name);

#endif
