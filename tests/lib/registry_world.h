/* Registry world: a cluster "t" in a private Redis, driven step by step by a test that waits for each
 * answer. Strings of the newest answer stay in the world until the next step. */
#ifndef SHOAL_TESTS_REGISTRY_WORLD_H
#define SHOAL_TESTS_REGISTRY_WORLD_H

#include "shared/redis/registry_sends.h"
#include "tests/lib/link_probe.h"
#include "tests/lib/private_redis.h"

/* A node as the test plays it, and what it believes it holds and serves: "shard:epoch:channel,...". */
struct world_node {
    char name[16];
    char incarnation[INCARNATION_CHARS];
    char users[64];
    char registry[REGISTRY_ID_CHARS]; /* what its renewals name; "" nothing */
    uint64_t link_id;
    uint64_t capacity;
    const char *state; /* as it registers: "active", "blind", "proving" */
    int64_t seen;
    /* What the newest picture said, beside what it holds and serves: */
    struct registry_settings settings;
    char default_sender[64];
    bool others_blind;
    size_t nviews;
    struct world_view {
        bool serves;
        bool kept; /* named by the newest answer */
        char id[64];
        char text[4096]; /* sorted channels, after epoch or sender */
    } views[64];
};

struct world {
    struct link_probe probe;
    struct registry *r;
    unsigned answers;
    /* The newest answer: */
    bool failed;
    struct err err;
    char word[64]; /* "" where it failed */
    char rest[1 << 18];
    struct registry_compared compared; /* its cursor is in rest */
    struct registry_lead lead;         /* slices not valid, but: */
    char leader_id[64];
    char expired[64]; /* the first of the expired nodes */
    char idle[64];    /* the first of the idle shards */
    struct registry_picture picture;
    char registry[REGISTRY_ID_CHARS]; /* of the newest picture */
    enum shard_run run;               /* the last of the shards that changed in it */
    /* Of the shards that changed: "a:0 b:-1 c:5", for how many seconds (rounded) a channel is unread. */
    char unread[256];
    char order[256];   /* the same channels as they came: "c a b" */
    char retries[256]; /* those that are to be tried again: "a b " */
    bool held_by_other;
    char holder[128]; /* "host pid link" */
    uint64_t holder_link;
    uint64_t again_ms; /* a node at rest is to ask again */
    uint64_t waits[1000];
    size_t nwaits;
    struct registry_claim claim;
    char claim_shard[64];
    char claim_user[64];
    char claim_room_id[64];
    char claim_text[64];
    struct registry_greeting greeting;
    const char *standing;            /* what Twitch answers to those that are done; NULL: nothing */
    char process[INCARNATION_CHARS]; /* what world_accept says of itself */
    uint64_t heard;
    uint64_t heard_age_ms;     /* of the next ones */
    const char *message_id;    /* what world_done tells; NULL: none */
    uint64_t quiet_ms;         /* what world_rest tells */
    uint64_t behind_ms;        /* and so long ago is what it takes for now */
    struct world_node *asking; /* whose view a picture updates */
};

/* On the running Redis (start_redis); load the library, empty everything. Finish closes the link. */
void world_start(struct world *w);
void world_finish(struct world *w);
/* Start with a leader, the user "anonymous" and one live node. */
void world_begin(struct world *w, struct registry_leader *me, struct world_node *n,
                 uint64_t capacity);
/* Do as if the lease of the node had ended. */
void world_end_lease(struct world *w, const struct world_node *n);
/* Any command of words between spaces, printf'd; its text (integers too), in w->rest. */
const char *world_ask(struct world *w, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* EVAL of a script with one argument; the text it returns. */
const char *world_eval(struct world *w, const char *script, const char *argument);
/* So often that command was called since the statistics were reset. */
unsigned world_calls(struct world *w, const char *command);
/* "" or what is wrong with the registry: the first few broken invariants. `most` is the highest
 * channels_per_shard there has been. */
const char *world_broken(struct world *w, unsigned most, unsigned most_shards);

/* Steps. Each waits for its answer and returns w->word, "LOST" for ERR_LOST, "ERROR" else. */
const char *world_lead(struct world *w, struct registry_leader *me);
const char *world_resign(struct world *w, struct registry_leader *me);
void world_leader(struct registry_leader *me, const char *id); /* fills it with a new incarnation */
void world_node(struct world_node *n, const char *name, uint64_t link_id, uint64_t capacity,
                const char *users);
/* "current", "held". */
const char *world_register(struct world *w, struct world_node *n, uint64_t takeover);
const char *world_renew(struct world *w, struct world_node *n, const char *report);
/* "current", and a renewal right after it told nothing new, as it should be; or "look". */
const char *world_rest(struct world *w, struct world_node *n);
/* Without that renewal. */
const char *world_rest_alone(struct world *w, struct world_node *n);
const char *world_leave(struct world *w, struct world_node *n);
const char *world_expire(struct world *w, const struct registry_leader *me, const char *node,
                         uint64_t link_id);
/* All portions of one comparison; how much was put right. */
unsigned world_compare(struct world *w, const struct registry_leader *me);
/* The same; `before` each portion, the first is 1, something else happens. */
unsigned world_compare_beside(struct world *w, const struct registry_leader *me,
                              void (*before)(unsigned portion));
/* Names between commas; `where` as registry_wish has it, for all of them. */
const char *world_add_shard(struct world *w, const struct registry_leader *me, const char *shard,
                            const char *user, const char *channels);
const char *world_assign_to(struct world *w, const struct registry_leader *me, const char *entry,
                            const char *id, const char *mode, const char *where,
                            const char *channels);
const char *world_assign(struct world *w, const struct registry_leader *me, const char *entry,
                         const char *id, const char *mode, const char *channels);
const char *world_assign_wishes(struct world *w, const struct registry_leader *me, const char *mode,
                                const struct registry_wish *wishes, size_t n);
const char *world_release(struct world *w, const struct registry_leader *me, const char *entry,
                          const char *id, const char *mode, const char *names);
const char *world_retry(struct world *w, const struct registry_leader *me, const char *entry,
                        const char *id, const char *names);
/* `op` as a request has it, or a step that the leader takes by itself. */
const char *world_configure(struct world *w, const struct registry_leader *me, const char *entry,
                            const char *id, const char *op, const char *args);
/* "drawn" and w->waits. */
const char *world_draw(struct world *w, const struct world_node *n, const char *user,
                       const char *kind, size_t count);
const char *world_accept(struct world *w, const struct world_node *n, const char *channel,
                         const char *id, const char *text);
/* Takes all that is in the outbox: "done". */
const char *world_take(struct world *w);
/* The claim's word as text, and w->claim. n NULL: only expire. */
const char *world_claim(struct world *w, const struct world_node *n, const char *entry);
const char *world_keep_room_id(struct world *w, const struct world_node *n, const char *channel,
                               const char *room_id);
const char *world_unclaim(struct world *w, const struct world_node *n, const char *entry);
/* All that waits for the node: "channel entry channel entry ". */
const char *world_list(struct world *w, const struct world_node *n);
const char *world_later(struct world *w, const struct world_node *n, const char *entry,
                        uint64_t wait_ms, const char *msg_id);
const char *world_done(struct world *w, const struct world_node *n, const char *entry,
                       enum send_status status);
/* The same; it was written so long ago (world_done: a minute). */
const char *world_said(struct world *w, const struct world_node *n, const char *entry,
                       enum send_status status, uint64_t said_ms);
/* back_ms and report as registry_restate has them; the last portion. */
const char *world_restate(struct world *w, const struct world_node *n, uint64_t back_ms,
                          const char *report);
const char *world_load(struct world *w);
const char *world_check(struct world *w);

/* What the node believes, and what the registry has for it, in the same words. */
const char *world_node_view(struct world_node *n, char *out, size_t size);
const char *world_raw_view(struct world *w, const struct world_node *n);

#endif
