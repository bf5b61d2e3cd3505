/* Lease rig: leases as nodes have them, in a cluster with a leader, and what they said. */
#ifndef SHOAL_TESTS_LEASE_RIG_H
#define SHOAL_TESTS_LEASE_RIG_H

#include "node/node_lease.h"
#include "tests/lib/registry_case.h"

/* One lease of the node n1. */
struct holder {
    struct node_lease *lease;
    unsigned reports;
    unsigned arrived;
    unsigned report_lost;
    unsigned currents;
    unsigned new_links;
    unsigned changed; /* pictures that brought something */
    unsigned fenced;
    unsigned lost;
    bool emptied; /* the last time */
    unsigned downs;
    unsigned refused;
    unsigned left;
    uint64_t seq;
    uint64_t resume_delay_ms;
    struct err why;
    bool rush;  /* renew soon whenever a report was lost, as a node does */
    bool tells; /* something with each renewal; else it rests */
    bool closed;
};

extern struct holder a;
extern struct holder b;

/* Setup and teardown (cmocka): a cluster with a leader and a short lease. */
int begin_leases(void **state);
int finish_leases(void **state);

void open_lease(struct holder *h);
/* The same, and wait until it is current. */
void open_current(struct holder *h);
/* A process that has the node id, holds still, and is connected by `link_id`. */
void registered_by_another(struct world_node *n, uint64_t link_id);
/* The link by which n1 is registered. */
unsigned own_link(void);

#endif
