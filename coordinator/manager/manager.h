/* Manager: the shard manager as the rest of the coordinator sees it (shard_manager.h is what a
 * manager sees).
 *
 * Every question is answered once, perhaps before manager_ask returns: with what the manager
 * decided, or that it took too long, or that this coordinator leads no more. Borrows leader and
 * view. Loop thread only. */
#ifndef SHOAL_COORDINATOR_MANAGER_H
#define SHOAL_COORDINATOR_MANAGER_H

#include "coordinator/manager/shard_manager.h"
#include "coordinator/view/cluster_view.h"

enum manager_op {
    MANAGER_SETUP,
    MANAGER_ASSIGN,
    MANAGER_SENDER,
    MANAGER_START,
    MANAGER_STOP,
    MANAGER_OPS, /* how many */
};

/* What it says, and the text that belongs to that. */
enum manager_answer {
    MANAGER_DONE,
    MANAGER_FAILED,       /* text: why */
    MANAGER_LATE,         /* it was given up, and has been told as an error; text: so */
    MANAGER_OUT,          /* this coordinator leads no more */
    MANAGER_SHARD,        /* text: its id */
    MANAGER_LEAST_LOADED, /* text: of this user; "" the cluster's */
};

/* The text is valid during the callback. */
typedef void (*manager_answer_cb)(void *ctx, enum manager_answer answer, const char *text);

struct manager_create_options {
    uv_loop_t *loop;
    struct leader *leader;
    struct cluster_view *view;
    const char *cluster; /* borrowed, as all below */
    const struct shard_manager_ops *ops;
    struct shard_manager_options kwargs;
    const struct slice *channels; /* --initial-channels, nchannels of them; NULL: not given */
    size_t nchannels;
    uint64_t timeout_ms;
};

/* NULL, err filled: its create failed. */
struct shard_manager *manager_create(const struct manager_create_options *options, struct err *err);
/* One of the table's functions. `channel` for ASSIGN (is_initial) and SENDER, else "". */
void manager_ask(struct shard_manager *m, enum manager_op op, const char *channel, bool is_initial,
                 manager_answer_cb cb, void *ctx);
/* Since setup was asked for last: did a step fail (Redis, or its link), or was something refused
 * that passes by itself (no node is up, or none that has a token for a user)? Then a failure is not
 * the manager's. */
bool manager_failure_passes(const struct shard_manager *m);
/* The view was read anew: a call that waits for a shard may have waited long enough. */
void manager_on_view(struct shard_manager *m);
/* This coordinator leads no more: everything under way is answered so. */
void manager_out(struct shard_manager *m);
/* The end; after the leader is closed. The memory goes from the loop. */
void manager_close(struct shard_manager *m);
const char *manager_name(const struct shard_manager *m);
struct cluster_view *manager_view(const struct shard_manager *m);
struct leader *manager_leader(const struct shard_manager *m);

#endif
