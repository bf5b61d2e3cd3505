/* Cluster view, what its files share: cluster_view.c keeps what was read, cluster_view_round.c
 * reads. */
#ifndef SHOAL_COORDINATOR_CLUSTER_VIEW_PRIVATE_H
#define SHOAL_COORDINATOR_CLUSTER_VIEW_PRIVATE_H

#include "coordinator/view/cluster_view.h"
#include "shared/redis/cluster.h"

struct view_pairs {
    struct view_pair *pair;
    size_t n;
};

/* What counts from the end of a round on. */
struct view_facts {
    struct view_pairs settings;
    struct view_pairs senders; /* user -> shard */
    struct view_pairs readers; /* user -> why it takes no channels now, "" */
    struct view_pairs nodes;   /* node -> users */
};

struct cluster_view {
    struct cluster_view_options options;
    struct cluster_reader *reader;
    struct shard_manager *manager;
    struct shard *shards;
    struct view_channel *channels;
    struct view_facts facts;
    struct view_facts read; /* in this round */
    uint64_t rounds;
    bool whole;
    bool wanted;        /* a round, whatever the facts say */
    bool stale;         /* the round under way may have read what was before */
    uint64_t seen_rev;  /* shards_rev that was read */
    uint64_t round_rev; /* of this round */
    uint64_t change;    /* of the shards what changed after it is to be read; 0: all */
    uint64_t link_id;   /* by which it was read: another may lead to a Redis that forgot some */
    bool all;           /* the next round reads all, whatever changed */
    uint64_t begun_ms;
    uint64_t not_before_ms;
};

/* In cluster_view.c: */
/* Known, or new; seen in this round. */
struct shard *view_shard_found(struct cluster_view *v, const char *id);
/* It is not there, if it ever was. */
void view_shard_gone(struct cluster_view *v, const char *id);
/* Those that were last seen before that round. */
void view_shards_forget(struct cluster_view *v, uint64_t seen);
void view_shard_empty(struct cluster_view *v, struct shard *s);
void view_shard_put(struct cluster_view *v, struct shard *s, struct slice channel);

/* In cluster_view_round.c: */
void view_round_create(struct cluster_view *v);
void view_round_begin(struct cluster_view *v, uint64_t rev);
void view_round_finish(struct cluster_view *v); /* frees what rounds have read */

#endif
