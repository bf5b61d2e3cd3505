/* Addresses. Lists are short: everything is a walk. */
#include "shared/net/addresses.h"

#include <string.h>

static bool same(const union address *a, const union address *b)
{
    if (a->any.sa_family != b->any.sa_family) {
        return false;
    }
    if (a->any.sa_family == AF_INET) {
        return a->v4.sin_port == b->v4.sin_port && a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
    }
    return a->v6.sin6_port == b->v6.sin6_port && a->v6.sin6_scope_id == b->v6.sin6_scope_id &&
           memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, sizeof(a->v6.sin6_addr)) == 0;
}

/* Its place in the memory, or ADDRESSES_REMEMBERED. */
static size_t find(const struct addresses_memory *m, const union address *address)
{
    size_t i = 0;

    while (i < ADDRESSES_REMEMBERED &&
           (m->dead[i].until_ms == 0 || !same(&m->dead[i].address, address))) {
        i++;
    }
    return i;
}

static bool is_dead(const struct addresses *a, size_t i, uint64_t now_ms)
{
    size_t at = find(a->memory, &a->list[i]);

    return at < ADDRESSES_REMEMBERED && now_ms < a->memory->dead[at].until_ms;
}

void addresses_init(struct addresses *a, struct addresses_memory *memory, size_t turn)
{
    *a = (struct addresses){.memory = memory, .turn = turn};
}

void addresses_add(struct addresses *a, const struct sockaddr *address)
{
    size_t len = address->sa_family == AF_INET    ? sizeof(a->list[0].v4)
                 : address->sa_family == AF_INET6 ? sizeof(a->list[0].v6)
                                                  : 0;

    if (len > 0 && a->n < ADDRESSES_MAX) {
        memcpy(&a->list[a->n++], address, len);
    }
}

void addresses_add_all(struct addresses *a, const struct addrinfo *found)
{
    for (; found != NULL; found = found->ai_next) {
        addresses_add(a, found->ai_addr);
    }
}

/* How little an address is worth now: dead counts more than the family of the one that failed just
 * before. */
static unsigned rank(const struct addresses *a, size_t i, uint64_t now_ms)
{
    bool family = a->current != NULL && a->current->any.sa_family == a->list[i].any.sa_family;

    return (is_dead(a, i, now_ms) ? 2U : 0U) + (family ? 1U : 0U);
}

const struct sockaddr *addresses_next(struct addresses *a, uint64_t now_ms, uint64_t left_ms,
                                      uint64_t *patience_ms)
{
    size_t best = a->n;
    size_t left = 0;
    size_t hopeful = 0;

    for (size_t k = 0; k < a->n; k++) {
        size_t i = (a->turn + k) % a->n;

        if (a->tried[i]) {
            continue;
        }
        left++;
        hopeful += is_dead(a, i, now_ms) ? 0 : 1;
        if (best == a->n || rank(a, i, now_ms) < rank(a, best, now_ms)) {
            best = i;
        }
    }
    if (left == 0) {
        return NULL;
    }
    *patience_ms = left_ms / left;
    if (hopeful > 1 && *patience_ms > ADDRESSES_PATIENCE_MS) {
        *patience_ms = ADDRESSES_PATIENCE_MS;
    }
    a->tried[best] = true;
    a->current = &a->list[best];
    return &a->current->any;
}

void addresses_failed(struct addresses *a, uint64_t now_ms)
{
    struct addresses_memory *m = a->memory;

    if (a->current == NULL) {
        return;
    }
    size_t at = find(m, a->current);
    if (at == ADDRESSES_REMEMBERED) {
        at = m->oldest;
        m->oldest = (m->oldest + 1) % ADDRESSES_REMEMBERED;
    }
    m->dead[at].address = *a->current;
    m->dead[at].until_ms = now_ms + ADDRESSES_FORGET_MS;
}

void addresses_worked(struct addresses *a)
{
    size_t at = a->current == NULL ? ADDRESSES_REMEMBERED : find(a->memory, a->current);

    if (at < ADDRESSES_REMEMBERED) {
        a->memory->dead[at].until_ms = 0;
    }
}
