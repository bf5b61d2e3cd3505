/* Shard manager, what the files of its base share: shard_manager.c has the attributes and the life,
 * shard_manager_call.c the calls of the table, shard_manager_shards.c what changes shards. */
#ifndef SHOAL_COORDINATOR_SHARD_MANAGER_IMPL_H
#define SHOAL_COORDINATOR_SHARD_MANAGER_IMPL_H

#include "coordinator/manager.h"

/* What an errand waits for when its steps are done. */
enum errand_wait {
    WAIT_NOT,
    WAIT_EXIT,    /* its shard has exited; without one, all have */
    WAIT_STOPPED, /* those that were stopped are closed */
};

/* Somebody who is to be called back, from the loop. Exactly one of the callbacks is set. */
struct errand {
    struct errand *prev;
    struct errand *next;
    struct shard_manager *manager;
    shard_cb cb;
    shard_added_cb on_added;
    token_handler_cb on_token;
    void *ctx;
    uint64_t round;     /* of the view that is waited for first; 0: none */
    enum shard_run all; /* then all shards are to be started or stopped; SHARD_NEW: no */
    enum errand_wait wait;
    char *shard;                       /* the one it is about, or NULL */
    char *text;                        /* the error, or NULL */
    char *login;                       /* token handler; or the user of an added shard */
    char (*names)[CHANNEL_NAME_CHARS]; /* channels of an added shard */
    size_t nnames;
    bool usable;
    size_t pending; /* steps under way */
};

struct call {
    UT_hash_handle hh;
    struct call *prev; /* oldest first */
    struct call *next;
    shard_call id;
    enum manager_op op;
    char *channel;
    bool is_initial;
    uint64_t deadline_ms;
    manager_answer_cb cb;
    void *ctx;
};

struct cluster {
    struct shard_manager *manager;
};
struct token_handler {
    struct shard_manager *manager;
};

struct shard_manager {
    struct shard_manager_create_options options;
    void *self;
    struct cluster client;
    struct token_handler token_handler;
    const char **initial; /* NULL: none were given */
    size_t ninitial;
    struct call *calls;
    struct call *oldest;
    struct errand *due;   /* to be called back in the next turn */
    struct errand *waits; /* for shards to exit */
    size_t steps;         /* under way */
    bool passes;          /* what failed since setup was asked for: manager_failure_passes */
    shard_call last_call;
    uv_timer_t deadline; /* of the oldest call */
    uv_timer_t turn;     /* calls back what is due */
    unsigned open;       /* handles */
    void (*on_closed)(void *ctx);
    void *closed_ctx;
};

#define MANAGER_OUT_TEXT "This coordinator does not lead any more."

/* In shard_manager_call.c: every call under way is answered with MANAGER_OUT. */
void calls_out(struct shard_manager *m);

struct errand *errand_create(struct shard_manager *m);
/* Calls back in the next turn of the loop, with `error` unless that is NULL. It must be in no list. */
void errand_due(struct errand *e, const char *error);
/* In shard_manager_shards.c: call back those who have waited long enough, as the view has it. */
void errands_look(struct shard_manager *m);

#endif
