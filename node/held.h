/* Held: one shard that is placed on this node: its core, its connection to Twitch and its timer.
 *
 *   picture -> held_follow -> core (shard.h) <-> transport <-> Twitch
 *                              |  room lines -> fan-out
 *                              |  what changed -> report
 *
 * It does what the core's port asks (connect, write, draw from the user's budget, fan out) and
 * feeds back what comes of it. Besides it report and the holder call the core, to read it; nothing
 * else calls the transport. Loop thread only. */
#ifndef SHOAL_NODE_HELD_H
#define SHOAL_NODE_HELD_H

#include "node/connection.h"
#include "node/fanout.h"
#include "node/report.h"
#include "node/restate.h"
#include "shared/redis/registry_sends.h"
#include "node/tokens.h"

#include <uthash.h>

#define HELD_ID_CHARS 65 /* of a shard's id, with the NUL */

struct held_options { /* all borrowed */
    uv_loop_t *loop;
    struct connections *pool;
    const char *twitch_url;
    struct tokens *const *tokens; /* the pointer may change (SIGHUP) */
    struct registry *registry;    /* for draws */
    struct fanout *fanout;
    struct report *report;
    struct restate *restate; /* remembers what was drawn */
    const char *node;
    const char *incarnation;
    bool (*may_act)(void *ctx); /* does this node hold its lease now? */
    void (*on_send_result)(void *ctx, const char *entry, const struct send_outcome *outcome);
    /* A connection that was tried since `began_ms` was answered by Twitch (why NULL), or failed.
     * From within a shard. */
    void (*on_contact)(void *ctx, uint64_t began_ms, const char *why);
    /* The user's login was refused, or is tried again after that, or its token has ended: read the
     * tokens anew. True: that user's is another now. */
    bool (*on_refused)(void *ctx, struct slice user);
    void *ctx;
};

/* All that are held here, and what they have in common. See holder.h. */
struct holder {
    struct held_options o;
    struct held *shards;           /* by id */
    struct remembered *remembered; /* channels, by name; see holder_remember */
    bool fenced;
    bool blind;
    uint64_t failed_retry_ms;
    uint64_t serials;
    uint64_t send_ids;
    uint64_t marks;
};

struct held { /* to be read only, but `mark` */
    UT_hash_handle hh;
    struct holder *holder;
    char *id;
    char *user;
    uint64_t epoch;
    uint64_t serial;    /* tells this held from an earlier one of the same id */
    uint64_t mark;      /* the holder's */
    enum shard_run run; /* what is asked of it */
    struct shard_core *core;
    struct {
        uint64_t lines; /* read by its cores before this one */
        uint64_t bytes;
    } past;
    struct report_shard report;
    struct {
        struct shard_want *all;
        char (*names)[IRC_CHANNEL_CHARS];
        size_t n;
    } wants;
    struct {
        struct connection *connection; /* NULL: none */
        uint64_t tried_ms;             /* when it was last connected */
        bool asked;                    /* it was logged in since, be it answered or not */
    } transport;
    struct {
        uv_timer_t timer;
        uint64_t armed_ms;     /* when it fires; UINT64_MAX: not armed */
        bool connect_failed;   /* what the core is told from the loop: this, */
        bool token_is_new;     /* that the login that was refused may be tried again, */
        unsigned draws_failed; /* and kinds (bits) that could not be asked for */
    } due;
    struct {
        uint64_t told_ms; /* when it was logged that Twitch sent what is no line */
        uint64_t untold;  /* such lines since then */
    } bad_lines;
    struct written *written; /* sends that wait for Twitch's answer */
};

/* NULL: not held here. */
struct held *held_find(const struct holder *h, struct slice id);
/* Hold this shard, in the hash as well. It connects if it is to run. */
void held_create(struct holder *h, const struct registry_shard *shard);
/* Do as the registry has it now: other channels, started or stopped. */
void held_follow(struct held *held, const struct registry_shard *shard);
/* Close it and take it out of the hash; the memory goes when the loop has closed the timer. */
void held_close(struct held *held, const char *reason);

/* `fenced` or `blind` of what is common is another. */
void held_set_fenced(struct held *held);
/* Try to connect at once, whatever it had still to wait, unless it is ready or is not to run. */
void held_try_anew(struct held *held);
/* failed_retry_ms of what is common is another. */
void held_set_failed_retry(struct held *held);
/* Close it when the answers to its sends are there. */
void held_stop(struct held *held);
/* There are new tokens. */
void held_on_token(struct held *held);

/* See holder_send. */
MUST_USE int held_send(struct held *held, const struct registry_send *send, const char *entry,
                       struct err *err);

/* In holder.c. Since when the channel is unread (mono ms), if holder_remember remembered it; it
 * is forgotten with that. 0: it is not. */
uint64_t held_recall(struct holder *h, const char *channel);

#endif
