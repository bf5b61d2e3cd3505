/* Pending: the commands of a link that were sent and not answered, oldest first.
 *
 * A ring that grows, so that a command costs no allocation. Pure: the caller says what time it is.
 * Owns its memory; what `ctx` points to is the caller's. */
#ifndef SHOAL_REDIS_PENDING_H
#define SHOAL_REDIS_PENDING_H

#include "shared/redis/link.h"

struct pending {
    link_reply_cb cb; /* may be NULL */
    void *ctx;
    uint64_t deadline; /* ms; never earlier than that of the command before */
    size_t replies;    /* still to come; the last one is cb's */
    bool is_brief;     /* of an array, cb gets the last element alone (link_send_raw) */
    bool is_try;       /* a refusal is an answer like any other (link_try_argv) */
};

struct pending_ring {
    struct pending *slot;
    size_t cap; /* 0 or a power of two */
    size_t head;
    size_t len;
};

/* All zero is an empty ring. Gives the memory back; what is in it is forgotten. */
void pending_finish(struct pending_ring *ring);
/* Append a command that must be answered within reply_ms, and block_ms more because it blocks;
 * behind another that may block it gets that one's time, too. */
void pending_push(struct pending_ring *ring, const struct pending *command, uint64_t now_ms,
                  uint64_t reply_ms, uint64_t block_ms);
/* The oldest, valid until the next push; NULL: none. */
struct pending *pending_head(struct pending_ring *ring);
/* Take the oldest out (there must be one). */
struct pending pending_pop(struct pending_ring *ring);

#endif
