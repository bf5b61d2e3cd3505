/* Senders: one user at a time. The shards of a user lie together (sorted by user, then id), and
 * the ready ones among them form the ring. A shard's place in the ring is where its id is or would
 * be. */
#include "coordinator/manager/senders.h"

#include <stdlib.h>
#include <string.h>

#define NONE SIZE_MAX

/* The shards of one user. */
struct group {
    struct sender_shard *shards;
    size_t n;
    size_t *ring; /* indices of the ready ones, ascending */
    size_t nring;
    size_t *serves; /* for each place in the ring: how many shards it sends for by now */
    size_t *chosen; /* for each shard: the place of its sender, or NONE */
};

static int by_user_and_id(const void *left, const void *right)
{
    const struct sender_shard *a = left;
    const struct sender_shard *b = right;
    int order = strcmp(a->user, b->user);
    return order ? order : strcmp(a->id, b->id);
}

static int by_id(const void *key, const void *element)
{
    const struct sender_shard *shard = element;
    return strcmp(key, shard->id);
}

static bool is_set(const char *text)
{
    return text != NULL && text[0];
}

static const struct sender_shard *find(const struct group *g, const char *id)
{
    return is_set(id) ? bsearch(id, g->shards, g->n, sizeof(*g->shards), by_id) : NULL;
}

/* The first place in the ring whose shard is not before `index`; nring where all are. */
static size_t place_from(const struct group *g, size_t index)
{
    size_t low = 0;
    size_t high = g->nring;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (g->ring[middle] < index) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* The place of shard `index`'s current sender if it may stay so, else NONE. */
static size_t place_kept(const struct group *g, size_t index)
{
    const struct sender_shard *now = find(g, g->shards[index].sender);
    if (now == NULL || !now->ready || now == &g->shards[index]) {
        return NONE;
    }
    return place_from(g, (size_t)(now - g->shards));
}

/* The next place after shard `index` in the ring that has less than its even part; else just the
 * next. */
static size_t place_next(const struct group *g, size_t index, size_t even)
{
    size_t start = place_from(g, index + 1) % g->nring;
    size_t first = NONE;
    for (size_t i = 0; i < g->nring; i++) {
        size_t place = (start + i) % g->nring;
        if (g->ring[place] == index) {
            continue;
        }
        if (g->serves[place] < even) {
            return place;
        }
        if (first == NONE) {
            first = place;
        }
    }
    return first;
}

static void choose(struct group *g)
{
    size_t even = (g->n + g->nring - 1) / g->nring;
    for (size_t i = 0; i < g->n; i++) {
        size_t place = place_kept(g, i);
        /* One more than the even part may stay: no moves for the sake of evenness alone. */
        if (place != NONE && g->serves[place] > even) {
            place = NONE;
        }
        g->chosen[i] = place;
        if (place != NONE) {
            g->serves[place]++;
        }
    }
    for (size_t i = 0; i < g->n; i++) {
        if (g->chosen[i] == NONE) {
            size_t place = place_next(g, i, even);
            g->chosen[i] = place == NONE ? 0 : place; /* NONE: it is the only ready one itself */
            g->serves[g->chosen[i]]++;
        }
    }
}

static size_t report(const struct group *g, senders_change_cb cb, void *ctx)
{
    size_t changes = 0;
    for (size_t i = 0; i < g->n; i++) {
        const struct sender_shard *shard = &g->shards[i];
        const char *sender = g->shards[g->ring[g->chosen[i]]].id;
        if (!is_set(shard->sender) || strcmp(shard->sender, sender) != 0) {
            cb(ctx, shard->id, sender);
            changes++;
        }
    }
    return changes;
}

/* The user's default sender: the current one while it is ready, else the first ready one; where
 * none is ready, the current one while it exists. */
static size_t choose_default(const struct group *g, const char *now, senders_change_cb cb,
                             void *ctx)
{
    const struct sender_shard *current = find(g, now);
    if (current != NULL && (current->ready || g->nring == 0)) {
        return 0;
    }
    const struct sender_shard *best = &g->shards[g->nring ? g->ring[0] : 0];
    char *name = xasprintf("@%s", best->user);
    cb(ctx, name, best->id);
    free(name);
    return 1;
}

static size_t compute_group(struct group *g, const char *default_now, senders_change_cb cb,
                            void *ctx)
{
    for (size_t i = 0; i < g->n; i++) {
        if (g->shards[i].ready) {
            g->ring[g->nring++] = i;
        }
    }
    size_t changes = choose_default(g, default_now, cb, ctx);
    if (g->nring) {
        choose(g);
        changes += report(g, cb, ctx);
    }
    return changes;
}

size_t senders_compute(struct sender_shard *shards, size_t nshards,
                       const struct sender_default *defaults, size_t ndefaults,
                       senders_change_cb cb, void *ctx)
{
    if (!nshards) {
        return 0;
    }
    qsort(shards, nshards, sizeof(*shards), by_user_and_id);
    size_t *room = xcalloc(nshards * 3, sizeof(*room));
    size_t changes = 0;
    for (size_t from = 0, to; from < nshards; from = to) {
        for (to = from; to < nshards && strcmp(shards[to].user, shards[from].user) == 0; to++) {
        }
        const char *default_now = NULL;
        for (size_t i = 0; i < ndefaults; i++) {
            if (strcmp(defaults[i].user, shards[from].user) == 0) {
                default_now = defaults[i].sender;
            }
        }
        struct group g = {
            .shards = shards + from,
            .n = to - from,
            .ring = room + from,
            .serves = room + nshards + from,
            .chosen = room + 2 * nshards + from,
        };
        changes += compute_group(&g, default_now, cb, ctx);
    }
    free(room);
    return changes;
}
