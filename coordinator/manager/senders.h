/* Senders: which shard says what goes to the channels of each shard (get_sender_shard).
 *
 * The connection that sends does not hear itself, so the sender of a shard is a *ready* shard of
 * the same user other than itself, where there is one: then the holder hears the message as Twitch
 * passed it on. A current sender that is still good is kept, unless it serves clearly more than its
 * part; the others are spread evenly, round the ring of ready shards in the order of their ids. The
 * only ready shard sends for itself too. With no ready shard everything stays as it is. Besides,
 * the cluster's user has a default sender, for channels nobody joined.
 *
 * Pure. */
#ifndef SHOAL_COORDINATOR_SENDERS_H
#define SHOAL_COORDINATOR_SENDERS_H

#include "shared/base.h"

struct sender_shard {
    const char *id;
    const char *user;
    bool ready;
    const char *sender; /* the current one; NULL or empty: none */
};

/* Sets `sender` of all shards, and the default sender of `user`, to ids among them where it should
 * change. Sorts `shards` by user and id. */
void senders_compute(struct sender_shard *shards, size_t nshards, const char *user,
                     const char **default_sender);

#endif
