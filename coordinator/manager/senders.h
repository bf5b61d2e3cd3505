/* Senders: which shard says what goes to the channels of each shard (get_sender_shard).
 *
 * The connection that sends does not hear itself, so the sender of a shard is a *ready* shard of
 * the same user other than itself, where there is one: then the holder hears the message as Twitch
 * passed it on. A current sender that is still good is kept, unless it serves clearly more than its
 * part; the others are spread evenly, round the ring of ready shards in the order of their ids. The
 * only ready shard sends for itself too. With no ready shard everything stays as it is. Besides,
 * each user has a default sender, for channels nobody joined: written as shard "@USER".
 *
 * Pure: facts in, changes out. */
#ifndef SHOAL_COORDINATOR_SENDERS_H
#define SHOAL_COORDINATOR_SENDERS_H

#include "shared/base.h"

struct sender_shard {
    const char *id;
    const char *user;
    bool ready;
    const char *sender; /* the current one; NULL or empty: none */
};

struct sender_default {
    const char *user;
    const char *sender;
};

/* `shard` ("@USER" for a default) should be sent for by `sender`. Valid during the call: both are
 * borrowed from the facts, but "@USER". */
typedef void (*senders_change_cb)(void *ctx, const char *shard, const char *sender);

/* Call `cb` for everything that should change. Sorts `shards` by user and id. Returns the number of
 * changes. */
size_t senders_compute(struct sender_shard *shards, size_t nshards,
                       const struct sender_default *defaults, size_t ndefaults,
                       senders_change_cb cb, void *ctx);

#endif
