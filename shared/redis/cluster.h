/* Cluster: what the registry holds, as typed structs: settings, senders, nodes, shards, channels,
 * and the whole.
 *
 * The one reader of the cluster: the coordinator's view, shoalctl, and whatever else shows a
 * cluster stand on it. Which fields a hash has, and what they are, stands in figures.h.
 *
 *   cluster_reader_begin -> names -> what is behind them, 1,000 at a time -> callbacks -> on_done
 *
 * Figures that are live (figures.h) are 0 in the structs where nothing lives: of a shard that is
 * not ready, and of whatever a node had told whose lease is over. The hash is as it is in Redis.
 *
 * It writes nothing, and what is read in several portions may have changed in between. What Redis
 * holds is input: a field that should be a number and is not is told in `bad`; what is of another
 * type altogether goes to on_damaged, or is an error.
 *
 * Slices are valid during the callback. A reader borrows its registry, and reads one round at a
 * time. Loop thread only. */
#ifndef SHOAL_REDIS_CLUSTER_H
#define SHOAL_REDIS_CLUSTER_H

#include "shared/figures.h"
#include "shared/redis/registry.h"
#include "shared/send_status.h"

struct cluster_setting {
    struct slice name;
    struct slice value; /* in force */
    struct slice otherwise;
    struct slice allowed;
};

enum cluster_budget_kind {
    CLUSTER_LOGINS,
    CLUSTER_JOINS,
    CLUSTER_MESSAGES,
    CLUSTER_MESSAGES_MOD,
    CLUSTER_BUDGETS
};

/* When slots of a budget were drawn, or are to be used. */
struct cluster_budget {
    size_t n;
    const uint64_t *at_ms;
};

struct cluster_leader {
    struct slice id; /* empty: nobody leads */
    struct slice host;
    uint64_t pid;
    uint64_t leads_ms; /* for so long */
};

/* An account of which Twitch says nothing. */
struct cluster_muted {
    struct slice user;
    uint64_t left_ms; /* for so long */
};

/* The streams that keep chat, as they were when they were trimmed last. */
struct cluster_kept {
    uint64_t streams; /* 0: nothing is kept */
    struct wall since;
    uint64_t rewinds; /* so often Redis lost some of it that had been answered */
    uint64_t entries;
    uint64_t bytes;
    struct wall oldest;   /* entry; 0: there is none */
    struct wall short_at; /* Redis had so little memory left that part of it went; 0: it had not */
    bool missing;         /* what is published now is not kept */
    struct slice groups;  /* of readers: JSON, as the contract has it, if it is what Shoal wrote */
};

/* The whole. Texts end in a NUL. */
struct cluster_state {
    struct wall now; /* by Redis's clock, since the round began */
    struct cluster_leader leader;
    uint64_t elections;          /* so often the lead was taken in this registry */
    uint64_t waiting;            /* channels without a shard */
    struct slice waiting_reason; /* why one of them has none; empty: none waits */
    uint64_t homeless;           /* shards without a node */
    bool stopped;
    uint64_t lost_at_ms; /* an earlier registry was gone then; 0: none was */
    uint64_t lost_channels;
    uint64_t lost_shards;
    uint64_t sends[SEND_STATUSES]; /* so many ended so, in this registry */
    struct slice speaker_error;    /* why the speaker has not all of its shards; empty: it has */
    /* Of the cluster's user; those of messages of the speaker, if there is one. */
    struct cluster_budget budget[CLUSTER_BUDGETS];
    uint64_t rooms; /* that user is in so many */
    size_t nmuted;
    const struct cluster_muted *muted;
    struct cluster_kept kept;
};

/* A user that channels are read as (the setting `readers`). */
struct cluster_rooms {
    struct slice user;
    uint64_t rooms;       /* it is in so many that count */
    uint64_t limit;       /* 0: none */
    struct slice refused; /* why it takes no channels now; empty: it does */
};

/* A channel and its shard, "" where it has none. */
struct cluster_channel {
    const char *name;
    const char *shard;
};

/* What has no callback is not read. Settings come first, then senders, readers, nodes, shards,
 * channels, accounts, and the whole. */
struct cluster_reader_options {
    struct registry *registry;
    bool read_only; /* for a user of Redis that may call no function that writes */
    /* Asked before each portion: false ends the round with ERR_CANCELED. NULL: always. */
    bool (*may_go_on)(void *ctx);
    void (*on_setting)(void *ctx, const struct cluster_setting *s);
    /* Who sends as `user` to channels nobody joined. */
    void (*on_sender)(void *ctx, struct slice user, struct slice shard);
    void (*on_rooms)(void *ctx, const struct cluster_rooms *rooms); /* by name */
    void (*on_node)(void *ctx, const struct figures_node *n, const struct registry_hash *hash);
    /* True: its channels are wanted. */
    bool (*on_shard)(void *ctx, const struct figures_shard *s, const struct registry_hash *hash);
    /* The channels that are assigned to it; NULL: that is not what Shoal wrote. */
    void (*on_shard_channels)(void *ctx, const char *shard, const struct slice *channels, size_t n);
    void (*on_channel)(void *ctx, const struct figures_channel *c,
                       const struct registry_hash *hash);
    /* All channels, by name: what stands behind the names is not read for it. */
    void (*on_channel_name)(void *ctx, const struct cluster_channel *channel);
    /* Of these alone on_channel tells; NULL: of all. Borrowed until the round is over. */
    const struct cluster_channel *channels;
    size_t nchannels;
    void (*on_account)(void *ctx, const struct figures_account *a,
                       const struct registry_hash *hash);
    bool whole; /* asks for on_setting: a setting is the user whose budgets are read */
    /* Something stands at the key of a node, a shard or a channel that is none of Shoal's: it
     * counts as empty. NULL: that is an error. */
    void (*on_damaged)(void *ctx);
    /* The round is over. ERR_REPLY: Redis refused; ERR_STRANGE: a broken answer; ERR_DOWN and its
     * like: the link failed. */
    void (*on_done)(void *ctx, const struct err *err);
    void *ctx;
};

struct cluster_reader;

struct cluster_reader *cluster_reader_create(const struct cluster_reader_options *options);
/* Not within a round. NULL: nothing. */
void cluster_reader_destroy(struct cluster_reader *r);
/* Begin a round: on_done follows, in any case, perhaps before this returns. */
void cluster_reader_begin(struct cluster_reader *r);
/* The same, but of the shards those alone are read that changed after `change` (0: all), as far as
 * Redis still knows which; the hash of one that is gone is empty. */
void cluster_reader_begin_after(struct cluster_reader *r, uint64_t change);
/* The same, where the last round failed: behind what it has read; or where there was none. */
void cluster_reader_resume(struct cluster_reader *r);
/* What was read of the whole; valid until the next round begins. */
const struct cluster_state *cluster_reader_state(const struct cluster_reader *r);
bool cluster_reader_is_busy(const struct cluster_reader *r);
/* Of a round that was begun so and has ended well. */
struct cluster_changes {
    uint64_t up_to;  /* what had changed until then was read */
    bool all;        /* all shards were */
    uint64_t shards; /* there were so many in the end */
};
const struct cluster_changes *cluster_reader_changes(const struct cluster_reader *r);

#endif
