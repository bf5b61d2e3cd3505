/* Office: what the rooms of a coordinator stand on, for a test of one of them: a leader, a view and
 * a shard manager over the real steps in a private Redis. The test plays the nodes and looks into
 * the registry (world), decides in the place of the shard manager, and gives the time
 * (test_clock.h).
 *
 *     struct office o = {0};
 *     office_open(&o, "channels_per_shard,25");     a cluster that is set up, with one node
 *     o.answers[MANAGER_ASSIGN] = "shard:main";
 *     office_lead(&o);                              it leads, and the view is whole
 *     struct sweep *s = sweep_create(...);
 *     office_room(&o, s, on_facts, close);
 *     ...
 *     office_close(&o);                             the leader, then the manager, the room, the
 * view */
#ifndef SHOAL_TESTS_OFFICE_H
#define SHOAL_TESTS_OFFICE_H

#include "coordinator/manager/manager.h"
#include "shared/redis/link_group.h"
#include "tests/lib/registry_world.h"
#include "tests/lib/test_clock.h"

struct office {
    struct world world; /* another connection to the same Redis; its loop is that of all */
    struct world_node node;
    struct registry_leader before; /* who led until office_lead */
    struct link_group group;
    struct leader *leader;
    struct cluster_view *view;
    struct shard_manager *manager;
    const struct slice *channels; /* initial ones, before office_lead; NULL: not given */
    size_t nchannels;
    /* How the shard manager answers from now on: "done", "fail:TEXT", "shard:ID", "least_loaded"
     * or "least_loaded:USER", "later" (office_answer). At first: done, least_loaded, fail, done,
     * done. */
    const char *answers[MANAGER_OPS];
    char asked[16384]; /* what it was asked, a word and a channel a line: "assign alice\n" */
    shard_call later[8];
    size_t nlater;
    unsigned wins;
    unsigned outs;
    unsigned facts;
    unsigned damages;
    unsigned losses; /* of the registry */
    bool setup_done; /* by the newest facts */
    /* The room under test: */
    void *room;
    void (*on_facts)(void *room, const struct registry_lead *facts);
    void (*on_ready)(void *room);
    void (*on_fresh)(void *room);
    void (*on_out)(void *room);
    void (*close)(void *room);
};

/* A cluster in the running Redis (start_redis), with user "anonymous" and the node "n1" of capacity
 * 10; with these settings ("NAME,VALUE,..."; NULL: it is not set up). */
void office_open(struct office *o, const char *settings);
/* Leader, view and shard manager; wait until it leads and has read everything. */
void office_lead(struct office *o);
/* What happens is told to it from now on, and it is closed with the office. The functions may be
 * NULL. */
void office_room(struct office *o, void *room,
                 void (*on_facts)(void *room, const struct registry_lead *facts),
                 void (*close)(void *room));
void office_close(struct office *o);

/* Complete the oldest call that is answered later, as one of `answers` says. */
void office_answer(struct office *o, const char *answer);
/* Wait until the leader has been told new facts (and the room with it); twice, so that what it did
 * is in them. */
void office_facts(struct office *o);
/* The same after that much time. */
void office_after(struct office *o, uint64_t ms);
/* Wait until the view was read anew. */
void office_read(struct office *o);
/* The manager was asked exactly this since the last look. */
void office_expect_asked(struct office *o, const char *asked);

/* Who calls the steps, for world_x: another connection of the same leader. */
const struct registry_leader *office_me(const struct office *o);
/* `redis-cli`: words between spaces. */
#define office_ask(o, ...) world_ask(&(o)->world, __VA_ARGS__)
/* Turn the loop until `condition` holds. */
#define office_until(o, condition) wait_until(&(o)->world.probe.t, condition)

#endif
