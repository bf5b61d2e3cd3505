/* What the files of the node share: node.c (what the lease and the links say),
 * node_sight.c, node_tokens.c and node_leave.c. */
#ifndef SHOAL_NODE_NODE_PRIVATE_H
#define SHOAL_NODE_NODE_PRIVATE_H

#include "node/node.h"

#include "node/connection.h"
#include "node/fanout.h"
#include "node/helix.h"
#include "node/holder.h"
#include "node/node_lease.h"
#include "node/probe.h"
#include "node/sender.h"
#include "node/sight.h"
#include "shared/machine.h"
#include "shared/metrics/metrics_page.h"
#include "shared/redis/link_group.h"
#include "shared/startup.h"
#include "shared/teardown.h"
#include "shared/trouble.h"

struct node_account;

/* The accounts in Redis, as this node can use them. */
struct node_accounts {
    uint64_t rev;              /* as they were read */
    bool asking;               /* they are being read, into `next` */
    uint64_t asked_ms;         /* mono ms: since then */
    struct node_account *list; /* uthash by login; owned, as next is */
    struct node_account *next;
    uint64_t next_rev;
    bool again; /* and then they are read anew */
    bool told_no_keys;
};

enum node_state { NODE_STARTING, NODE_ACTIVE, NODE_FENCED, NODE_LOST, NODE_DRAINING, NODE_GONE };

struct node {
    uv_loop_t *loop;
    struct node_options options;
    struct machine state;       /* enum node_state */
    struct tokens *tokens;      /* those of the file, and of the accounts */
    struct tokens *file_tokens; /* those of the file alone */
    struct node_accounts accounts;
    struct web *web; /* NULL: no HTTP */
    struct metrics_page metrics;
    struct connections *pool;
    struct fanout *fanout;
    struct report *report;
    struct holder *holder;
    struct sender *sender;
    struct helix *helix;
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
    uint64_t resume_ms;     /* held lines flow from then on; 0: they flow, if the lease allows it */
    bool was_away;          /* the link to Redis was lost since lines last flowed */
    uint64_t drain_until_ms;
    struct restate *restate;
    struct wall told; /* Redis's time as answered last, by one that did not ask to restate */
    uint64_t back_ms; /* so far back the registry went, which is to be restated */
    struct probe *probe;
    struct sight sight;
    bool others_blind; /* and holding shards */
    uint64_t blind_ms; /* the setting */
    struct err why;
    struct teardown teardown;
};

/* In node.c. */
void node_move(struct node *n, enum node_state to);
const char *node_state_name(size_t state);
/* Look at the drain by then, and at what is held when its time comes (mono_ms). */
void node_timer_at(struct node *n, uint64_t at_ms);

/* In node_sight.c. As held_options and probe_cb have them. */
void node_on_contact(void *ctx, uint64_t began_ms, const char *why);
void node_on_probe(void *ctx, uint64_t began_ms, const char *why);
/* Does it see Twitch by now? Then it says so soon. */
void node_look_at_sight(struct node *n);
/* The registry has answered, and what it says was carried out. */
void node_sight_current(struct node *n, const struct registry_picture *picture);

/* In node_tokens.c. As held_options has it. */
bool node_on_refused(void *node, struct slice user);
/* Tokens of the file, or of accounts, have changed: those in use follow. */
void node_merge_tokens(struct node *n);

/* In node_accounts.c. They are at `rev` now: read them, where that is another. */
void node_accounts_look(struct node *n, uint64_t rev);
/* At the next look, whatever their rev is: the keys may be others. */
void node_accounts_read_again(struct node *n);
/* The tokens of the accounts, into t. */
void node_accounts_put(const struct node *n, struct tokens *t);
/* Twitch did not take the user's token: true where the user is an account, and the leader is
 * told. */
bool node_accounts_refused(struct node *n, struct slice user);
/* How the user says things: SAY_BY_IRC where it is no account that this node knows of. */
enum registry_say_by node_accounts_say_by(const struct node *n, struct slice user);
/* The same by Helix, as helix_options has it. */
bool node_accounts_find(const struct node *n, struct slice user, enum registry_say_by say_by,
                        struct helix_account *out);
void node_accounts_finish(struct node *n);

/* In node_web.c. Listen, where an option says so. */
MUST_USE int node_web_begin(struct node *n, struct err *err);
/* Begin to measure what is served, if anything is. */
void node_web_measure(struct node *n);

/* In node_send.c: each send goes its way. As sender_options has them. */
void node_begin_helix(struct node *n);
bool node_can_send(void *ctx, struct slice shard);
int node_write_send(void *ctx, const struct registry_route *route, const struct registry_send *send,
                    const char *entry, struct err *err);

/* In node_leave.c: is everything closed and said by now? And: it may be, look soon. */
void node_look_at_drain(struct node *n);
void node_on_drained(void *ctx);
/* Close everything now; `why`, or NULL where it is in order. */
void node_close(void *ctx, const struct err *why);

#endif
