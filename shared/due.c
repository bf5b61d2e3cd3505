/* Due: a binary heap in an array, the children of n at 2n and 2n + 1. */
#include "shared/due.h"

#include <stdlib.h>

static void put(struct due *d, size_t place, struct due_item *item)
{
    d->items[place - 1] = item;
    item->place = place;
}

static bool before(const struct due *d, size_t a, size_t b)
{
    return d->items[a - 1]->at_ms < d->items[b - 1]->at_ms;
}

static void swap(struct due *d, size_t a, size_t b)
{
    struct due_item *item = d->items[a - 1];

    put(d, a, d->items[b - 1]);
    put(d, b, item);
}

/* Up or down to where it belongs. */
static void settle(struct due *d, size_t at)
{
    while (at > 1 && before(d, at, at / 2)) {
        swap(d, at, at / 2);
        at /= 2;
    }
    for (;;) {
        size_t child = 2 * at;
        if (child < d->n && before(d, child + 1, child)) {
            child++;
        }
        if (child > d->n || !before(d, child, at)) {
            return;
        }
        swap(d, at, child);
        at = child;
    }
}

void due_set(struct due *d, struct due_item *item, uint64_t at_ms)
{
    item->at_ms = at_ms;
    if (item->place == 0) {
        if (d->n == d->room) {
            d->room = d->room == 0 ? 16 : 2 * d->room;
            d->items = xrealloc(d->items, d->room * sizeof(struct due_item *));
        }
        d->n++;
        put(d, d->n, item);
    }
    settle(d, item->place);
}

void due_clear(struct due *d, struct due_item *item)
{
    size_t at = item->place;

    if (at == 0) {
        return;
    }
    struct due_item *last = d->items[d->n - 1];
    d->n--;
    item->place = 0;
    if (last != item) {
        put(d, at, last);
        settle(d, at);
    }
}

struct due_item *due_first(const struct due *d)
{
    return d->n > 0 ? d->items[0] : NULL;
}

void due_finish(struct due *d)
{
    free(d->items);
    *d = (struct due){0};
}
