/* Errand: a change that a shard manager asked for: steps in Redis, then perhaps waiting until the
 * view shows that shards have exited, then the callback.
 *
 *   begin -> step, stepped, ... -> settle -> due -> told, and gone
 *                                         -> waits (the next view, shards that run) -> due */
#ifndef SHOAL_COORDINATOR_MANAGER_ERRAND_H
#define SHOAL_COORDINATOR_MANAGER_ERRAND_H

#include "coordinator/manager/manager_private.h"

/* What an errand waits for when its steps are done. */
enum errand_wait {
    WAIT_NOT,
    WAIT_EXIT,    /* its shard has exited; without one, all have */
    WAIT_STOPPED, /* those that were stopped are closed */
};

struct errand {
    struct owed owed;
    struct errand *prev; /* in the manager's list of those that wait */
    struct errand *next;
    struct shard_manager *manager;
    shard_cb cb;
    void *ctx;
    uint64_t round;                     /* of the view that is waited for first; 0: none */
    void (*on_round)(struct errand *e); /* what is done then; NULL: look whether it is over */
    enum errand_wait wait;
    enum shard_run to; /* of one that starts or stops shards */
    char *shard;       /* the one it is about, or NULL */
    char *text;        /* the error, or NULL */
    size_t pending;    /* steps under way */
};

/* One that changes `shard` (NULL: all). */
struct errand *errand_create(struct shard_manager *m, const char *shard, shard_cb cb, void *ctx);
/* The same as the beginning of something larger, which is all zeros: `tell` calls errand_finish. */
void errand_begin(struct errand *e, struct shard_manager *m, const char *shard,
                  void (*tell)(struct owed *o, bool silently));
/* Frees what is in it. */
void errand_finish(struct errand *e);

/* May it begin? Nobody may while another one leads, or Redis is away: then it ends with that. */
bool errand_may_act(struct errand *e);
/* A step was sent, or (`failed`) was not. */
void errand_step(struct errand *e, int failed);
/* A step ended: true, and its reply to be used, where it was carried out. */
bool errand_stepped(struct errand *e, const char *step, const struct err *err);
/* The first thing that went wrong is what it is told. Takes the text. */
void errand_note(struct errand *e, char *error);
/* Where all its steps are done, or one failed, it ends or waits. */
void errand_settle(struct errand *e);
/* Wait for a view that is not older than this, then go on. */
void errand_await_view(struct errand *e, void (*on_round)(struct errand *e));

#endif
