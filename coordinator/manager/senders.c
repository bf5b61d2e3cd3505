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
    size_t *place;  /* for each shard: its own, or that of the next ready one; nring behind them */
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

static const struct sender_shard *find(const struct group *g, const char *id)
{
    return id != NULL ? bsearch(id, g->shards, g->n, sizeof(*g->shards), by_id) : NULL;
}

/* The place of shard `index`'s current sender if it may stay so, else NONE. */
static size_t place_kept(const struct group *g, size_t index)
{
    const struct sender_shard *now = find(g, g->shards[index].sender);
    if (now == NULL || !now->ready || now == &g->shards[index]) {
        return NONE;
    }
    return g->place[now - g->shards];
}

/* The next place after shard `index` in the ring that has less than its even part; else just the
 * next. */
static size_t place_next(const struct group *g, size_t index, size_t even)
{
    size_t start = g->place[index] + g->shards[index].ready;
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
        size_t place = g->chosen[i];
        if (place == NONE) {
            place = place_next(g, i, even);
            place = place == NONE ? 0 : place; /* NONE: it is the only ready one itself */
            g->serves[place]++;
        }
        g->shards[i].sender = g->shards[g->ring[place]].id;
    }
}

/* The default sender: the current one while it is ready, else the first ready one; where none is
 * ready, the current one while it exists. */
static const char *choose_default(const struct group *g, const char *now)
{
    const struct sender_shard *current = find(g, now);
    bool stays = current != NULL && (current->ready || g->nring == 0);

    return stays ? current->id : g->shards[g->nring ? g->ring[0] : 0].id;
}

void senders_compute(struct sender_shard *shards, size_t nshards, const char *user,
                     const char **default_sender)
{
    size_t *room = xcalloc(nshards * 4 + 1, sizeof(*room));
    if (nshards > 0) {
        qsort(shards, nshards, sizeof(*shards), by_user_and_id);
    }
    for (size_t from = 0; from < nshards;) {
        struct group g = {
            .shards = shards + from,
            .ring = room + from,
            .place = room + nshards + from,
            .serves = room + 2 * nshards + from,
            .chosen = room + 3 * nshards + from,
        };
        for (; from < nshards && strcmp(shards[from].user, g.shards->user) == 0; from++, g.n++) {
            g.place[g.n] = g.nring;
            if (shards[from].ready) {
                g.ring[g.nring++] = g.n;
            }
        }
        if (strcmp(user, g.shards->user) == 0) {
            *default_sender = choose_default(&g, *default_sender);
        }
        if (g.nring > 0) {
            choose(&g);
        }
    }
    free(room);
}
