/* Manager, what its files share: manager.c has the life and whom it calls back, manager_call.c the
 * calls of the table, shard_manager.c what a manager may look at, shard_manager_run.c and
 * shard_manager_channels.c what it may change, which are errands (manager_errand.h). */
#ifndef SHOAL_COORDINATOR_MANAGER_PRIVATE_H
#define SHOAL_COORDINATOR_MANAGER_PRIVATE_H

#include "coordinator/manager/manager.h"
#include "shared/teardown.h"

struct errand;

/* A question whose asker waits to be called back from the loop; its struct begins with this. */
struct owed {
    struct owed *prev;
    struct owed *next;
    void (*tell)(struct owed *o, bool silently); /* the end of the question: frees it */
};

/* A call of the table that is not completed yet. */
struct manager_call {
    UT_hash_handle hh;
    shard_call id;
    enum manager_op op;
    char channel[IRC_CHANNEL_CHARS];
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
    struct manager_create_options options;
    void *self;
    struct cluster client;
    struct token_handler token_handler;
    const char **initial; /* NULL: none were given */
    size_t ninitial;
    struct manager_call *calls; /* oldest first, as uthash keeps them */
    struct owed *due;           /* in the next turn */
    struct errand *waits;       /* for shards to exit */
    size_t steps;               /* under way */
    bool passes;                /* what failed since setup was asked for: manager_failure_passes */
    shard_call last_call;
    uv_timer_t deadline; /* of the oldest call */
    uv_timer_t turn;     /* calls back what is due */
    struct teardown teardown;
};

#define MANAGER_OUT_TEXT "This coordinator does not lead any more."

/* In manager_call.c: every call under way is answered with MANAGER_OUT. */
void calls_out(struct shard_manager *m);

/* Call back in the next turn of the loop. */
void owed_due(struct shard_manager *m, struct owed *o);
/* In manager_errand.c: call back all who wait, since this coordinator leads no more. */
void errands_out(struct shard_manager *m);

#endif
