/* Senders: which shard says what goes to the channels of each shard (get_sender_shard).
 *
 * All is said as the speaker, if there is one, else each shard's channels are spoken to as its own
 * user. The connection that sends does not hear itself, so the sender of a shard is a *ready* shard
 * of that account other than itself, where there is one: then the holder hears the message as
 * Twitch passed it on. Speaker shards, which hold no channels, come before all others. A current
 * sender that is still good is kept, unless it serves clearly more than its part; the others are
 * spread evenly, round the ring of those that may send in the order of their ids. The only ready
 * shard sends for itself too. With no ready shard everything stays as it is; and while fewer than
 * half of the shards are ready, those that are not, and send for themselves (as new ones do), do so
 * until they are: what is chosen of a few moves again as the others come. Besides, the account has
 * a default sender, for channels nobody joined.
 *
 * Pure. */
#ifndef SHOAL_COORDINATOR_SENDERS_H
#define SHOAL_COORDINATOR_SENDERS_H

#include "shared/base.h"

struct sender_shard {
    const char *id;
    const char *user;
    bool ready;
    bool speaks;         /* it is a speaker shard: nobody need send for it */
    const char *sender;  /* the current one; NULL or empty: none */
    const char *account; /* as which its channels are spoken to: set here */
};

/* Sets `sender` of all shards, and the default sender, to ids among them where it should change.
 * `user` is the cluster's, `speaker` empty where there is none. Sorts `shards`. */
void senders_compute(struct sender_shard *shards, size_t nshards, const char *user,
                     const char *speaker, const char **default_sender);

#endif
