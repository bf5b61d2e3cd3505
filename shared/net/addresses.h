/* Addresses: those of one name, in the order in which they are worth a try.
 *
 * One after another, in the spirit of RFC 8305: first those not known to be dead, after a failure
 * one of the other family, and not so long at one that the next would come late. A memory keeps
 * which were of no use, for all that share it: so a dead address costs its wait once, and not once
 * a connection. A memory only orders: where nothing better is left, the dead are tried as well.
 *
 * Pure: no socket, no clock. Borrows the memory for its lifetime; owns nothing. Loop thread
 * only. */
#ifndef SHOAL_NET_ADDRESSES_H
#define SHOAL_NET_ADDRESSES_H

#include "shared/base.h"

#include <netdb.h>
#include <netinet/in.h>

#define ADDRESSES_MAX         16   /* of a name; more are not tried */
#define ADDRESSES_REMEMBERED  32   /* dead ones, of all names; then the oldest is forgotten */
#define ADDRESSES_PATIENCE_MS 1500 /* with one, while another is left that may be alive */
#define ADDRESSES_FORGET_MS   (5 * 60 * 1000) /* then a dead one is as good as any */

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* All zero: nothing is known. */
struct addresses_memory {
    struct {
        union address address;
        uint64_t until_ms; /* 0: unused */
    } dead[ADDRESSES_REMEMBERED];
    size_t oldest;
};

struct addresses {
    struct addresses_memory *memory; /* (borrowed) */
    union address list[ADDRESSES_MAX];
    bool tried[ADDRESSES_MAX];
    size_t n;
    size_t turn;
    const union address *current; /* NULL: none was tried */
};

/* No address yet. `turn` says which of equals comes first: count it up to spread connections over
 * them. */
void addresses_init(struct addresses *a, struct addresses_memory *memory, size_t turn);
/* Add one of IPv4 or IPv6; others, and what is too many, are left out. */
void addresses_add(struct addresses *a, const struct sockaddr *address);
/* Add what a look-up found. */
void addresses_add_all(struct addresses *a, const struct addrinfo *found);
/* The next to try, and for how long, out of the time that is left for all of them; NULL: all were
 * tried. */
const struct sockaddr *addresses_next(struct addresses *a, uint64_t now_ms, uint64_t left_ms,
                                      uint64_t *patience_ms);
/* The one tried last was of no use; or was. */
void addresses_failed(struct addresses *a, uint64_t now_ms);
void addresses_worked(struct addresses *a);

#endif
