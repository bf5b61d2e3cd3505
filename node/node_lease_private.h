/* What the files of the lease share: node_lease.c (registering, the link, the deadline),
 * node_lease_renew.c and node_lease_takeover.c. */
#ifndef SHOAL_NODE_NODE_LEASE_PRIVATE_H
#define SHOAL_NODE_NODE_LEASE_PRIVATE_H

#include "node/node_lease.h"

#include "shared/redis/rights_watch.h"
#include "shared/teardown.h"
#include "shared/trouble.h"

struct node_lease {
    struct node_lease_options options;
    struct lease lease; /* what it may do, and when it asks */
    struct link *link;
    struct registry *registry;
    struct rights_watch rights;
    uv_timer_t timer;
    char host[256];
    char pid[16];
    char incarnation[INCARNATION_CHARS];
    struct registry_greeting greeting; /* of the link that is up */
    struct registry_greeting former;   /* the last link that was registered */
    bool attached;                     /* on_current was told of this link */
    bool waiting_said;                 /* "waiting for a coordinator" was logged */
    struct trouble trouble;            /* with renewing */
    int64_t redis_low;                 /* Redis's clock is between so far */
    int64_t redis_high; /* and so far ahead of mono_ms; both 0: nothing is known of it */
    int64_t seen_rev;
    char registry_id[REGISTRY_ID_CHARS]; /* which registry it was that answered last */
    struct wall rested; /* what Redis's clock was taken to show when it last rested */
    bool look;          /* something is new here, or there: it renews, and does not rest */
    uint64_t look_ms;   /* when it is to */
    struct registry_picture known; /* what was told last, but for its lists */
    char default_sender[65];       /* its own */
    uint64_t whole_at_ms;          /* the whole picture was asked for */
    uint64_t whole_ms;             /* so long after it, it is again */
    size_t shards;                 /* held, and sent for */
    size_t channels;               /* of those, when it was told last */
    uint64_t taken_since_ms; /* another process has the id, under one lease, since; 0: none has */
    uint64_t taken_lease_ms; /* that lease */
    uint64_t takeover;       /* its link, gone or killed */
    uint64_t asked_us;       /* when the last renewal was sent */
    uint64_t margin_ms;      /* what was left of the lease when that was answered */
    uint64_t answered_ms;
    uint64_t took_ms; /* its answer; 0 where it told much */
    bool told_much;
    struct teardown teardown;
};

/* In node_lease.c: it is, and why. */
void node_lease_fenced(struct node_lease *l, const char *why);
/* What Redis is told of the node. */
struct registry_node node_lease_self(const struct node_lease *l);
/* The question under way has its answer; go on. */
void node_lease_answered(struct node_lease *l);
/* It was refused, or did not arrive; it is asked again. */
void node_lease_refused(struct node_lease *l);
/* Nothing more is tried: `why` it is refused. */
void node_lease_give_up(struct node_lease *l, const struct err *why);

/* In node_lease_renew.c: registered or renewed. */
void node_lease_current(struct node_lease *l, const struct registry_picture *picture);
/* Ask. 0, or -ERR_DOWN. */
int node_lease_renew(struct node_lease *l);

/* In node_lease_takeover.c: registering was answered with a process that holds the node id. */
void node_lease_id_taken(struct node_lease *l, const struct registry_holder *holder);

#endif
