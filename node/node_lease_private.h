/* What the files of the lease share: node_lease.c (registering, renewing, the deadline) and node_lease_takeover.c. */
#ifndef SHOAL_NODE_NODE_LEASE_PRIVATE_H
#define SHOAL_NODE_NODE_LEASE_PRIVATE_H

#include "node/node_lease.h"

#include "shared/redis/rights_watch.h"
#include "shared/trouble.h"

#define LEASE_RENEWS 6 /* in a lease */

struct node_lease {
    struct node_lease_options options;
    struct link *link;
    struct registry *registry;
    struct rights_watch rights;
    uv_timer_t timer;
    char host[256];
    char pid[16];
    char incarnation[INCARNATION_CHARS];
    struct registry_greeting greeting; /* of the link that is up */
    bool greeting_begun;
    bool greeted;
    bool attached;        /* on_current was told of this link */
    uint64_t former_link; /* the last link that was registered */
    char former_run[41];
    bool registered;
    bool fenced;
    bool asking;      /* a question is under way on this link */
    bool again;       /* another one was wanted meanwhile */
    bool stood_still; /* the timer was late when the deadline was seen to have passed */
    bool fence_due;   /* the deadline has passed, the timer will say so */
    bool leaving;
    bool waiting_said;      /* "waiting for a coordinator" was logged */
    struct trouble trouble; /* with renewing */
    uint64_t lease_ms;
    uint64_t sent_ms;
    int64_t redis_low;  /* Redis's clock is between so far */
    int64_t redis_high; /* and so far ahead of mono_ms; both 0: nothing is known of it */
    uint64_t deadline_ms;
    uint64_t tick_due_ms;
    int64_t seen_rev;
    char registry_id[REGISTRY_ID_CHARS]; /* which registry it was that answered last */
    uint64_t whole_at_ms;                /* the whole picture was asked for */
    uint64_t compare_ms;                 /* so often it is */
    uint64_t
        held_since_ms; /* the node id is another's, and under the same lease, since; 0: is not */
    uint64_t held_lease_ms; /* that lease */
    uint64_t takeover;      /* the holder's link, gone or killed */
    unsigned closing;       /* handles to go */
    void (*on_closed)(void *ctx);
    void *closed_ctx;
};

/* In node_lease.c: the question under way has its answer; go on. */
void node_lease_answered(struct node_lease *l);
/* Nothing more is tried: `why` it is refused. */
void node_lease_give_up(struct node_lease *l, const struct err *why);

/* In node_lease_takeover.c: registering was answered with a process that holds the node id. */
void node_lease_id_taken(struct node_lease *l, const struct registry_holder *holder);

#endif
