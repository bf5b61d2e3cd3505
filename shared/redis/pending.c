/* Pending: a ring whose capacity is a power of two, so that positions wrap with a mask. */
#include "shared/redis/pending.h"

#include <stdlib.h>

#define PENDING_FIRST 64 /* slots of the first allocation */

static struct pending *slot_at(const struct pending_ring *ring, size_t i)
{
    return &ring->slot[(ring->head + i) & (ring->cap - 1)];
}

static void pending_grow(struct pending_ring *ring)
{
    size_t cap = ring->cap > 0 ? 2 * ring->cap : PENDING_FIRST;
    struct pending *slot = xmalloc(cap * sizeof(*slot));

    for (size_t i = 0; i < ring->len; i++) {
        slot[i] = *slot_at(ring, i);
    }
    free(ring->slot);
    ring->slot = slot;
    ring->cap = cap;
    ring->head = 0;
}

void pending_finish(struct pending_ring *ring)
{
    free(ring->slot);
    *ring = (struct pending_ring){0};
}

void pending_push(struct pending_ring *ring, const struct pending *command, uint64_t now_ms,
                  uint64_t reply_ms, uint64_t block_ms)
{
    uint64_t deadline = now_ms + reply_ms + block_ms;

    if (ring->len > 0) {
        uint64_t after_last = slot_at(ring, ring->len - 1)->deadline + block_ms;

        deadline = after_last > deadline ? after_last : deadline;
    }
    if (ring->len == ring->cap) {
        pending_grow(ring);
    }
    struct pending *slot = slot_at(ring, ring->len);

    *slot = *command;
    slot->deadline = deadline;
    ring->len++;
}

struct pending *pending_head(struct pending_ring *ring)
{
    return ring->len > 0 ? &ring->slot[ring->head] : NULL;
}

struct pending pending_pop(struct pending_ring *ring)
{
    BUG_ON(ring->len == 0);
    struct pending command = ring->slot[ring->head];

    ring->head = (ring->head + 1) & (ring->cap - 1);
    ring->len--;
    return command;
}
