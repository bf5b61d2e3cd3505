/* Due: many things, each by the time it is due; the first of them at once (a binary heap).
 *
 * Intrusive: a thing has a `struct due_item` in it, zeroed at first, and must be taken out before
 * it is freed. */
#ifndef SHOAL_DUE_H
#define SHOAL_DUE_H

#include "shared/base.h"

struct due_item {
    uint64_t at_ms;
    size_t place; /* in the heap, from 1; 0: not in it */
};

struct due {
    struct due_item **items;
    size_t n;
    size_t room;
};

/* It is due at `at_ms`, whether it was in already or not. */
void due_set(struct due *d, struct due_item *item, uint64_t at_ms);
/* It is not due any more; nothing where it was not. */
void due_clear(struct due *d, struct due_item *item);
/* The one that is due first; NULL where there is none. */
struct due_item *due_first(const struct due *d);
/* Free what the heap itself holds. */
void due_finish(struct due *d);

#endif
