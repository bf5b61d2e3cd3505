/* Outbox sweep: one call after the other. */
#include "coordinator/chores/outbox_sweep.h"

#include <stdlib.h>

#define EVERY_MS   1000
#define MOST_CALLS 100 /* of one sweep */

struct outbox_sweep {
    struct leader *leader;
    uint64_t begun_ms; /* the last sweep */
    bool calling;
    unsigned calls; /* of this sweep */
};

struct outbox_sweep *outbox_sweep_create(struct leader *leader)
{
    struct outbox_sweep *o = xcalloc(1, sizeof(*o));
    o->leader = leader;
    return o;
}

void outbox_sweep_destroy(struct outbox_sweep *o)
{
    free(o);
}

static void take(struct outbox_sweep *o);

static void on_taken(void *ctx, struct slice word, struct slice rest, const struct err *err)
{
    (void)rest;
    struct outbox_sweep *o = ctx;
    o->calling = false;
    if (!leader_stepped(o->leader, "send_take", err)) {
    } else if (slice_is(word, "more") && o->calls < MOST_CALLS && leader_may_act(o->leader)) {
        take(o);
    }
}

static void take(struct outbox_sweep *o)
{
    o->calls++;
    o->calling = registry_send_take(leader_registry(o->leader), on_taken, o) == 0;
}

void outbox_sweep_go(struct outbox_sweep *o)
{
    uint64_t now = mono_ms();
    if (!o->calling && now - o->begun_ms >= EVERY_MS) {
        o->begun_ms = now;
        o->calls = 0;
        take(o);
    }
}
