/* Fan-out rig: a fan-out of node n1, a link that attaches it, and a subscriber that hears
 * everything, against the private Redis of the test. */
#ifndef SHOAL_TESTS_FANOUT_RIG_H
#define SHOAL_TESTS_FANOUT_RIG_H

#include "node/fanout.h"

#include "shared/redis/subscriber.h"
#include "tests/lib/test_loop.h"

#define SEQ_KEY "shoal:{main}:fan:n1"

struct fanout_rig {
    struct test_loop t;
    struct url url;
    struct registry *names;
    struct fanout *fanout;
    struct link *link;
    struct subscriber *subscriber;
    bool may_send;
    bool ready;
    unsigned attached;
    unsigned got;      /* messages */
    unsigned next;     /* the number that the next message should have */
    bool out_of_order; /* a message had another number */
    unsigned gaps;
    uint64_t gap_lines;
    uint64_t gap_ms; /* of the longest */
    char gap_channel[64];
    char gap_reason[64];
    unsigned closed;
    bool done;
};

/* A fan-out alone. */
void fanout_rig_begin(struct fanout_rig *f, size_t buffer_bytes);
/* A subscriber that hears everything, and a link that attaches the fan-out when it is up. */
void fanout_rig_connect(struct fanout_rig *f);
void fanout_rig_finish(struct fanout_rig *f);
/* Load the library of steps; the registry on the link, for registry_destroy. */
struct registry *fanout_rig_functions(struct fanout_rig *f);
/* `n` lines "line NUMBER 000...", of many lengths, numbered from `from`. */
void fanout_rig_take(struct fanout_rig *f, unsigned from, unsigned n, const char *channel);

#endif
