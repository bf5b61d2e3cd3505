/* What the files of the node share: node.c (what the lease and the links say), report.c,
 * node_sight.c, node_tokens.c and node_leave.c. */
#ifndef SHOAL_NODE_NODE_PRIVATE_H
#define SHOAL_NODE_NODE_PRIVATE_H

#include "node/node.h"

#include "node/connection.h"
#include "node/fanout.h"
#include "node/holder.h"
#include "node/node_lease.h"
#include "node/probe.h"
#include "node/sender.h"
#include "node/sight.h"
#include "shared/machine.h"
#include "shared/redis/link_group.h"
#include "shared/startup.h"
#include "shared/teardown.h"
#include "shared/trouble.h"

enum node_state { NODE_STARTING, NODE_ACTIVE, NODE_FENCED, NODE_LOST, NODE_DRAINING, NODE_GONE };

/* Something to tell the registry, once. */
struct news {
    bool due;
    bool told; /* in a report that is under way */
    char why[200];
};

struct node {
    uv_loop_t *loop;
    struct node_options options;
    struct machine state; /* enum node_state */
    struct tokens *tokens;
    struct connections *pool;
    struct fanout *fanout;
    struct holder *holder;
    struct sender *sender;
    struct node_lease *lease;
    struct subscriber *subscriber;
    struct link_group group; /* of all links */
    struct link *control;
    struct registry *control_registry;
    char names[3][128]; /* of the links, for CLIENT LIST */
    char inbox_topic[REGISTRY_TOPIC_CHARS];
    uv_timer_t timer; /* resume delay, drain */
    struct startup startup;
    struct trouble trouble; /* with the fan-out link */
    uint64_t resume_ms;     /* held lines flow from then on; 0: they flow */
    bool was_away;          /* the link to Redis was lost since lines last flowed */
    uint64_t drain_until_ms;
    struct news users;   /* those this node has tokens for changed */
    struct news fenced;  /* this node was */
    struct news lost;    /* it was, under its last incarnation */
    struct news rewound; /* Redis has forgotten what it had answered: */
    uint64_t rewound_ms; /* so much of time, */
    uint64_t rewound_lines;
    struct restate *restate;
    uint64_t told_ms; /* Redis's time as answered last, by one that did not ask to restate */
    uint64_t back_ms; /* so far back the registry went, which is to be restated */
    struct probe *probe;
    struct sight sight;
    struct news sight_news;      /* the state of its sight is another */
    enum sight_state sight_told; /* as it was told last */
    bool given_away;             /* the registry may have it as blind */
    bool others_blind;           /* and holding shards */
    uint64_t blind_ms;           /* the setting */
    struct err why;
    struct teardown teardown;
};

/* In node.c. */
void node_move(struct node *n, enum node_state to);
void node_timer_at(struct node *n, uint64_t wait_ms);

/* In report.c. */
void news_set(struct news *news, const char *why);
/* As lease_options has them. */
void node_report(void *node, struct buf *out);
void node_report_arrived(void *node);
void node_report_lost(void *node);

/* In node_restate.c: a renewal was answered: tell again what Redis may have forgotten, if it asks
 * for that; `forgotten` lines of the fan-out are. And the members of a report's "node" that say how
 * much. */
void node_restate(struct node *n, const struct registry_picture *picture, uint64_t forgotten);
void node_report_rewound(const struct node *n, struct json *j);

/* In node_sight.c. As holder_options and probe_cb have them. */
void node_on_contact(void *node, uint64_t began_ms, const char *why);
void node_on_probe(void *node, uint64_t began_ms, const char *why);
/* Does it see Twitch by now? Then it says so soon. */
void node_look_at_sight(struct node *n);
/* The members of a report's "node" that say it. */
void node_report_sight(struct node *n, struct json *j);
/* The name of its state, which is about to be told; and it has arrived. */
const char *node_sight_told(struct node *n);
void node_sight_arrived(struct node *n);
/* The registry has answered, and what it says was carried out. */
void node_sight_current(struct node *n, const struct registry_picture *picture);

/* In node_tokens.c. As holder_options has it. */
bool node_on_refused(void *node, struct slice user);

/* In node_leave.c: is everything closed and said by now? */
void node_look_at_drain(struct node *n);
/* Close everything now; `why`, or NULL where it is in order. */
void node_close(struct node *n, const struct err *why);

#endif
