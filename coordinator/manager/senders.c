/* Senders: one account at a time. The shards whose channels it speaks to lie together (sorted by
 * account, then id), and those of it that may send form the ring. A shard's place in the ring is
 * where its id is or would be. */
#include "coordinator/manager/senders.h"

#include <stdlib.h>
#include <string.h>

#define NONE SIZE_MAX

/* The shards of one account. */
struct group {
    struct sender_shard *shards;
    size_t n;
    size_t nserved; /* of them: all but speaker shards */
    size_t nready;  /* of these */
    size_t *ring;   /* indices of those that may send, ascending */
    size_t nring;
    size_t *place; /* for each shard: its own, or that of the next in the ring; nring behind them */
    size_t *serves; /* for each place in the ring: how many shards it sends for by now */
    size_t *chosen; /* for each shard: the place of its sender, or NONE */
};

static int by_account_and_id(const void *left, const void *right)
{
    const struct sender_shard *a = left;
    const struct sender_shard *b = right;
    int order = strcmp(a->account, b->account);
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

static bool is_in_ring(const struct group *g, size_t index)
{
    return g->place[index] < g->nring && g->ring[g->place[index]] == index;
}

/* The place of shard `index`'s current sender if it may stay so, else NONE. */
static size_t place_kept(const struct group *g, size_t index)
{
    const struct sender_shard *now = find(g, g->shards[index].sender);
    if (now == NULL || !is_in_ring(g, now - g->shards) || now == &g->shards[index]) {
        return NONE;
    }
    return g->place[now - g->shards];
}

/* The next place after shard `index` in the ring that has less than its even part; else just the
 * next. */
static size_t place_next(const struct group *g, size_t index, size_t even)
{
    size_t start = g->place[index] + is_in_ring(g, index);
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

/* It comes up, as most others do: who sends for it is chosen once, when there is choice. */
static bool comes_up(const struct group *g, const struct sender_shard *s)
{
    bool own = s->sender != NULL && strcmp(s->sender, s->id) == 0;

    return own && !s->ready && 2 * g->nready < g->nserved;
}

static void choose(struct group *g)
{
    size_t even = (g->nserved + g->nring - 1) / g->nring;
    for (size_t i = 0; i < g->n; i++) {
        size_t place = g->shards[i].speaks ? NONE : place_kept(g, i);
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
        if (g->shards[i].speaks || (place == NONE && comes_up(g, &g->shards[i]))) {
            continue;
        }
        if (place == NONE) {
            place = place_next(g, i, even);
            place = place == NONE ? 0 : place; /* NONE: it is the only ready one itself */
            g->serves[place]++;
        }
        g->shards[i].sender = g->shards[g->ring[place]].id;
    }
}

static bool is_of_account(const struct sender_shard *shard)
{
    return strcmp(shard->user, shard->account) == 0;
}

/* The default sender: the current one while it may send, else the first that may; where none may,
 * the current one while it exists, else the first of the account. */
static const char *choose_default(const struct group *g, const char *now)
{
    const struct sender_shard *current = find(g, now);

    if (g->nring > 0) {
        bool stays = current != NULL && is_in_ring(g, current - g->shards);
        return stays ? current->id : g->shards[g->ring[0]].id;
    }
    for (size_t i = 0; i < g->n && (current == NULL || !is_of_account(current)); i++) {
        current = is_of_account(&g->shards[i]) ? &g->shards[i] : current;
    }
    return current != NULL && is_of_account(current) ? current->id : now;
}

/* Who may send: the ready ones of the account; where speaker shards are, they alone. */
static void make_ring(struct group *g)
{
    bool speaks = false;

    for (size_t i = 0; i < g->n; i++) {
        const struct sender_shard *s = &g->shards[i];
        speaks = speaks || (s->speaks && s->ready && is_of_account(s));
        g->nserved += !s->speaks;
        g->nready += s->ready && !s->speaks;
    }
    for (size_t i = 0; i < g->n; i++) {
        const struct sender_shard *s = &g->shards[i];
        g->place[i] = g->nring;
        if (s->ready && is_of_account(s) && s->speaks == speaks) {
            g->ring[g->nring++] = i;
        }
    }
}

void senders_compute(struct sender_shard *shards, size_t nshards, const char *user,
                     const char *speaker, const char **default_sender)
{
    size_t *room = xcalloc(nshards * 4 + 1, sizeof(*room));
    for (size_t i = 0; i < nshards; i++) {
        shards[i].account = speaker[0] ? speaker : shards[i].user;
    }
    if (nshards > 0) {
        qsort(shards, nshards, sizeof(*shards), by_account_and_id);
    }
    for (size_t from = 0; from < nshards;) {
        struct group g = {
            .shards = shards + from,
            .ring = room + from,
            .place = room + nshards + from,
            .serves = room + 2 * nshards + from,
            .chosen = room + 3 * nshards + from,
        };
        while (from < nshards && strcmp(shards[from].account, g.shards->account) == 0) {
            from++;
            g.n++;
        }
        make_ring(&g);
        if (strcmp(speaker[0] ? speaker : user, g.shards->account) == 0) {
            *default_sender = choose_default(&g, *default_sender);
        }
        if (g.nring > 0) {
            choose(&g);
        }
    }
    free(room);
}
