/* Assignment: channels that somebody asked for, on their way to shards.
 *
 *   the shard manager is asked where each may go -> one step assigns them all, with the reply
 *
 * Where the request names the user that is to read them, the manager is not asked: the step takes
 * them to that user's shards. The manager may answer at once or later; until the last answer is
 * there nothing is changed, and the step comes after all that was sent before. A name that is no
 * channel is left to the step, which refuses it. */
#ifndef SHOAL_COORDINATOR_ASSIGNMENT_H
#define SHOAL_COORDINATOR_ASSIGNMENT_H

#include "coordinator/manager/manager.h"

struct assignment_request {
    struct shard_manager *manager;
    struct registry_request request; /* borrowed until `cb` */
    const char *mode;                /* "join", "initial" or "waiting" (registry_assign) */
    const struct slice *channels;    /* copied */
    size_t n;
    struct slice user; /* whom they are to be read as; empty: whoever the manager chooses */
    /* NULL: ask the manager. Else none can take them yet, for this reason, and they are kept as
     * wanted. */
    const char *not_yet;
    void (*on_sent)(void *ctx); /* the step is under way; may be NULL */
    /* Exactly once: the step's answer, after on_sent; or ERR_CANCELED without it, none was sent. */
    registry_outcome_cb cb;
    void *ctx;
};

/* Both callbacks may come before it returns. */
void assignment_begin(const struct assignment_request *request);

#endif
