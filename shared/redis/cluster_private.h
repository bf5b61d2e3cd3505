/* Cluster, what the files of its reader share: cluster_reader.c asks and goes on, cluster_lists.c
 * reads what stands behind names, cluster_state.c the whole. */
#ifndef SHOAL_REDIS_CLUSTER_PRIVATE_H
#define SHOAL_REDIS_CLUSTER_PRIVATE_H

#include "shared/redis/cluster.h"
#include "shared/redis/registry_reply.h"

/* What Redis maps a name to: a channel to its shard, a node to its deadline. */
struct cluster_name {
    const char *name;
    const char *value;
    bool set_wanted; /* a shard's */
};

struct cluster_reader {
    struct cluster_reader_options options;
    size_t part;
    bool busy;
    size_t pending; /* questions under way */
    struct err err; /* of this round */
    size_t at;      /* of the part: names that were answered, or 1 */
    size_t i;       /* which one the answer is about */
    /* In cluster_lists.c: */
    struct cluster_name *names;
    size_t n;
    struct reply_memory names_memory;
    bool follows;   /* of the shards those are read that changed */
    uint64_t after; /* after that */
    struct cluster_changes changes;
    uint64_t cursor;
    bool named;           /* all names are there */
    char account[32];     /* the last of the accounts that were told */
    uint64_t held;        /* shards of the node that comes next */
    struct slice *silent; /* nodes whose lease is over */
    size_t nsilent;
    struct reply_memory silent_memory;
    struct registry_hash hash;
    struct reply_memory memory; /* of the newest answer, and of state */
    /* In cluster_state.c: */
    char user[32];    /* whose budgets are asked for */
    char speaker[32]; /* whose budgets of messages are, unless it is empty */
    struct cluster_state state;
};

/* Takes an answer that is no error; NULL: what stands there is damaged, and counts as empty. */
typedef void (*cluster_take)(struct cluster_reader *r, const struct redisReply *reply);

/* Ask COMMAND KEY MORE... about the i-th, the key without "shoal:{main}:"; "" asks without one. */
void cluster_ask(struct cluster_reader *r, cluster_take take, size_t i, const char *command,
                 const char *more, const char *fmt, ...) PRINTF_LIKE(6, 7);
/* The answer to `command` is not of the kind that was asked for. */
void cluster_fail_strange(struct cluster_reader *r, const char *command);
/* The answer to TIME. */
void cluster_take_time(struct cluster_reader *r, const struct redisReply *reply);
/* The number that `command` was answered with; 0 for NULL. */
uint64_t cluster_count(struct cluster_reader *r, const char *command,
                       const struct redisReply *reply);

/* Each asks the next portion; false: nothing is left. */
bool cluster_ask_changes(struct cluster_reader *r);
bool cluster_ask_nodes(struct cluster_reader *r);
bool cluster_ask_shards(struct cluster_reader *r);
bool cluster_ask_shard_count(struct cluster_reader *r);
bool cluster_ask_channels(struct cluster_reader *r);
bool cluster_ask_accounts(struct cluster_reader *r);
bool cluster_ask_state(struct cluster_reader *r);
/* Forget the names of a part. */
void cluster_names_finish(struct cluster_reader *r);

#endif
