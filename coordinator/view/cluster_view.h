/* Cluster view: the shards, their channels, the nodes' users and the settings, as the leader last
 * read them.
 *
 *   leads -> a round: settings, nodes, the shards that changed, and their channels -> on_fresh
 *   shards_rev grew, or somebody asked -> another round, at most a fifth of the time
 *
 * Between two rounds the leader's own steps keep the channels right: only a leader moves them.
 * Shard managers decide by what is here; what counts is in Redis, and the steps compare. All
 * reading goes through the leader's link, so a round never sees less than the steps answered before
 * it. A round that fails is begun again with the next facts. Borrows the leader. Loop thread
 * only. */
#ifndef SHOAL_COORDINATOR_CLUSTER_VIEW_H
#define SHOAL_COORDINATOR_CLUSTER_VIEW_H

#include "coordinator/lead/leader.h"
#include "shared/irc/parse.h"

#include <uthash.h>

struct cluster_view;
struct shard_manager; /* the view hands it on, and knows nothing of it */

/* A shard as shard managers see it. Owned by the view; gone when a round does not find it any
 * more. */
struct shard {
    UT_hash_handle hh;
    struct shard_manager *manager; /* whom its functions ask */
    char *id;
    char *user;
    char *node; /* "" on none */
    char *sender;
    uint64_t rev;
    enum shard_run run;
    bool ready;
    bool connected; /* not known to be closed */
    bool login_refused;
    bool reading; /* its channels were asked for */
    struct view_channel *channels;
    size_t nchannels;
    const char **names; /* of the channels, for who asks; NULL: to be made anew */
    uint64_t seen;      /* round that found it last */
};

struct view_channel {
    UT_hash_handle hh;
    struct view_channel *prev; /* of its shard */
    struct view_channel *next;
    struct shard *shard;
    char name[IRC_CHANNEL_CHARS];
};

/* A text by its name: a setting; whom a user sends by; what users ("a,b") a node has tokens for;
 * why a reader takes no channels now ("": it does). */
struct view_pair {
    char *name;
    char *value;
};

/* Is `user` one of `users`, "a,b"? */
bool users_have(const char *users, const char *user);

struct cluster_view_options {
    struct leader *leader;
    void (*on_fresh)(void *ctx); /* a round ended well */
    /* Something of it is not as Shoal wrote it: passed over. */
    void (*on_damaged)(void *ctx);
    void *ctx;
};

struct cluster_view *cluster_view_create(const struct cluster_view_options *options);
/* Whose shards they are. */
void cluster_view_set_manager(struct cluster_view *v, struct shard_manager *m);
/* Leads from now on: everything is read anew, whatever was known. */
void cluster_view_begin(struct cluster_view *v);
/* What the leader knows now. */
void cluster_view_on_facts(struct cluster_view *v, const struct registry_lead *facts);
/* Read again at once: something changed that facts do not tell (settings). The round that will show
 * it. */
uint64_t cluster_view_refresh(struct cluster_view *v);
/* After the leader is stopped. */
void cluster_view_destroy(struct cluster_view *v);

/* Was there a round since cluster_view_begin? */
bool cluster_view_is_whole(const struct cluster_view *v);
/* Grows with every round. */
uint64_t cluster_view_round(const struct cluster_view *v);
struct shard *cluster_view_shard(const struct cluster_view *v, const char *id);
/* The first; the others by hh.next. */
struct shard *cluster_view_shards(const struct cluster_view *v);
struct shard *cluster_view_shard_of(const struct cluster_view *v, const char *channel);
/* The shard that sends as `user` to channels nobody joined, or "". */
const char *cluster_view_default_sender(const struct cluster_view *v, const char *user);
/* NULL: there is no such setting. */
const char *cluster_view_setting(const struct cluster_view *v, const char *name);
/* The same as a number; `otherwise` where it is none. */
uint64_t cluster_view_number(const struct cluster_view *v, const char *name, uint64_t otherwise);
/* Each with its users. */
const struct view_pair *cluster_view_nodes(const struct cluster_view *v, size_t *n);
/* The users that channels are read as, by name, each with why it takes none now. */
const struct view_pair *cluster_view_readers(const struct cluster_view *v, size_t *n);
/* Has a node a token for the user? Nobody needs one to be "anonymous". */
bool cluster_view_knows_user(const struct cluster_view *v, const char *user);
/* The first user of the first node (by name) that has tokens, in `out`, else "anonymous". */
void cluster_view_first_user(const struct cluster_view *v, char *out, size_t size);

/* A step added it: not started, on no node as far as is known. */
void cluster_view_add(struct cluster_view *v, const char *id, const char *user);
/* A step has been answered, or will be: the channel is on that shard (one that is not known here is
 * left to the next round), or on none. */
void cluster_view_put(struct cluster_view *v, struct slice channel, struct slice shard);
void cluster_view_drop(struct cluster_view *v, struct slice channel);
/* A step failed: read all shards and their channels again. */
void cluster_view_doubt(struct cluster_view *v);
/* What assign or part answered. */
void cluster_view_on_outcome(struct cluster_view *v, const struct registry_outcome *o);

#endif
