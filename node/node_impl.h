/* What the files of the node share: node.c (what the lease and the links say) and node_leave.c. */
#ifndef SHOAL_NODE_NODE_IMPL_H
#define SHOAL_NODE_NODE_IMPL_H

#include "node/node.h"

#include "node/connection.h"
#include "node/fanout.h"
#include "node/holder.h"
#include "node/lease.h"
#include "node/sender.h"
#include "shared/redis/link_group.h"
#include "shared/startup.h"
#include "shared/trouble.h"

/* Something to tell the registry, once. */
struct news {
    bool due;
    bool told; /* in a report that is under way */
    char why[200];
};

struct node {
    uv_loop_t *loop;
    struct node_options options;
    enum node_state state;
    struct tokens *tokens;
    struct connections *pool;
    struct fanout *fanout;
    struct holder *holder;
    struct sender *sender;
    struct lease *lease;
    struct subscriber *subscriber;
    struct link_group group; /* of all links */
    struct link *control;
    struct registry *control_registry;
    char names[3][128]; /* of the links, for CLIENT LIST */
    char inbox_topic[160];
    char topic_prefix[80];
    uv_timer_t timer; /* resume delay, drain */
    struct startup startup;
    struct trouble trouble; /* with the fan-out link */
    uint64_t resume_ms;     /* held lines flow from then on; 0: they flow */
    bool was_away;          /* the link to Redis was lost since lines last flowed */
    uint64_t drain_until_ms;
    bool leaving;       /* the registry is being told */
    struct news users;  /* those this node has tokens for changed */
    struct news fenced; /* this node was */
    struct news lost;   /* it was, under its last incarnation */
    struct err why;
    unsigned closing;
};

/* In node.c. */
void node_move(struct node *n, enum node_state to);
void node_timer_at(struct node *n, uint64_t wait_ms);

/* In node_leave.c: is everything closed and said by now? */
void node_look_at_drain(struct node *n);
/* Close everything now; `why`, or NULL where it is in order. */
void node_close(struct node *n, const struct err *why);

#endif
