/* Sweep: facts in, steps out. Of each kind of work one piece at most is under way; what it leaves
 * over comes with the next facts, which are asked for at once when it got somewhere. */
#include "coordinator/chores/sweep.h"

#include "coordinator/chores/outbox_sweep.h"
#include "coordinator/requests/assignment.h"
#include "shared/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEADLINE_SLACK_MS 5    /* the step compares with Redis's clock, which is not ours */
#define WAITING_RETRY_MS  1000 /* something may have changed that the facts do not tell */
#define PLACE_RETRY_MS    1000
#define WAITING_AT_ONCE   500 /* channels a step */

/* A node on its way out. */
struct burial {
    struct burial *next;
    struct sweep *sweep;
    char *node;
    uint64_t link_id;
};

/* Work that is repeated while it helps: since when, and under which circumstances it was done
 * last. */
struct chore {
    bool busy;
    uint64_t done_ms;
    uint64_t shards_rev;
    uint64_t nodes;
};

struct sweep {
    struct leader *leader;
    struct shard_manager *manager;
    struct outbox_sweep *outbox;
    uv_timer_t deadline;
    struct burial *burials; /* under way */
    struct chore homeless;
    struct chore waiting;
    bool closing_idle;
};

static struct registry *steps(const struct sweep *s)
{
    return leader_registry(s->leader);
}

static const struct registry_leader *me(const struct sweep *s)
{
    return leader_identity(s->leader);
}

/* Is the chore due: did something change, or is it `retry_ms` ago? Notes that it is done now. */
static bool chore_due(struct chore *c, const struct registry_lead *facts, uint64_t retry_ms)
{
    uint64_t now = mono_ms();
    bool changed = c->shards_rev != facts->shards_rev || c->nodes != facts->nodes;
    if (c->busy || (!changed && now - c->done_ms < retry_ms)) {
        return false;
    }
    c->done_ms = now;
    c->shards_rev = facts->shards_rev;
    c->nodes = facts->nodes;
    return true;
}

/* Dead nodes ----------------------------------------------------------------------------------- */

static void burial_end(struct burial *b)
{
    struct burial **at = &b->sweep->burials;
    while (*at != b) {
        at = &(*at)->next;
    }
    *at = b->next;
    free(b->node);
    free(b);
}

static void expire(struct burial *b);

static void on_expired(void *ctx, struct slice word, struct slice rest, const struct err *err)
{
    (void)rest;
    struct burial *b = ctx;
    struct sweep *s = b->sweep;
    if (!leader_stepped(s->leader, "expire", err)) {
    } else if (slice_is(word, "more")) {
        expire(b);
        return;
    } else {
        log_info("sweep", slice_is(word, "expired") ? "node.expired" : "node.kept", "node", b->node,
                 "word", log_slice(word), NULL);
    }
    burial_end(b);
    if (err == NULL && s->burials == NULL) {
        leader_ask_now(s->leader); /* there may be more of them than one answer holds */
    }
}

static void expire(struct burial *b)
{
    struct sweep *s = b->sweep;
    if (!leader_may_act(s->leader) ||
        registry_expire(steps(s), me(s), slice_of(b->node), b->link_id, on_expired, b) != 0) {
        burial_end(b);
    }
}

static void on_killed(void *ctx, const struct err *err)
{
    struct burial *b = ctx;
    if (!leader_stepped(b->sweep->leader, "kill_link", err)) {
        burial_end(b);
        return;
    }
    expire(b);
}

static bool is_under_way(const struct sweep *s, struct slice node)
{
    for (const struct burial *b = s->burials; b != NULL; b = b->next) {
        if (slice_is(node, b->node)) {
            return true;
        }
    }
    return false;
}

/* First its link, so that nothing it wrote before is executed any more; then its lease. Link ids
 * belong to one run of a server: those of an earlier run are gone anyhow, and may be somebody
 * else's by now. */
static void bury(struct sweep *s, const struct registry_expired *dead)
{
    if (is_under_way(s, dead->node)) {
        return;
    }
    struct burial *b = xcalloc(1, sizeof(*b));
    *b = (struct burial){.next = s->burials,
                         .sweep = s,
                         .node = xstrndup(dead->node.ptr, dead->node.len),
                         .link_id = dead->link_id};
    s->burials = b;
    if (dead->link_id == 0 || !slice_is(dead->run_id, me(s)->run_id)) {
        expire(b);
    } else if (registry_kill_link(steps(s), b->link_id, on_killed, b) != 0) {
        burial_end(b);
    }
}

static void on_deadline(uv_timer_t *timer)
{
    struct sweep *s = timer->data;
    leader_ask_now(s->leader);
}

/* Shards without a node ------------------------------------------------------------------------ */

static void on_placed(void *ctx, const struct registry_outcome *outcome, const struct err *err)
{
    (void)outcome;
    struct sweep *s = ctx;
    s->homeless.busy = false;
    (void)leader_stepped(s->leader, "place_homeless", err);
}

static void place_homeless(struct sweep *s, const struct registry_lead *facts)
{
    if (facts->homeless > 0 && facts->nodes > 0 && chore_due(&s->homeless, facts, PLACE_RETRY_MS)) {
        s->homeless.busy =
            registry_do(steps(s), me(s), "place_homeless", NULL, 0, on_placed, s) == 0;
    }
}

/* Channels without a shard --------------------------------------------------------------------- */

static void assign_waiting(struct sweep *s);

static void on_assigned(void *ctx, const struct registry_outcome *outcome, const struct err *err)
{
    struct sweep *s = ctx;

    s->waiting.busy = false;
    if (!leader_stepped(s->leader, "assign", err)) {
    } else if (outcome->assigned.n > 0) {
        assign_waiting(s); /* it takes a portion of those that wait: go on while that helps */
    }
}

static void on_waiting(void *ctx, const struct slice *channels, size_t n, const struct err *err)
{
    struct sweep *s = ctx;
    struct assignment_request waiting = {.manager = s->manager,
                                         .mode = "waiting",
                                         .channels = channels,
                                         .n = n,
                                         .cb = on_assigned,
                                         .ctx = s};

    if (err != NULL || n == 0 || !leader_may_act(s->leader)) {
        s->waiting.busy = false;
        (void)leader_stepped(s->leader, "waiting", err);
        return;
    }
    assignment_begin(&waiting);
}

static void assign_waiting(struct sweep *s)
{
    s->waiting.busy = leader_may_act(s->leader) &&
                      registry_waiting(steps(s), WAITING_AT_ONCE, on_waiting, s) == 0;
}

/* Idle shards ---------------------------------------------------------------------------------- */

static void on_idle_closed(void *ctx, const struct registry_outcome *outcome, const struct err *err)
{
    (void)outcome;
    struct sweep *s = ctx;
    s->closing_idle = false;
    (void)leader_stepped(s->leader, "close_idle", err);
}

static void close_idle(struct sweep *s, const struct registry_lead *facts)
{
    if (facts->nidle == 0 || s->closing_idle) {
        return;
    }
    s->closing_idle = registry_do(steps(s), me(s), "close_idle", facts->idle, facts->nidle,
                                  on_idle_closed, s) == 0;
}

/* Outside -------------------------------------------------------------------------------------- */

struct sweep *sweep_create(uv_loop_t *loop, struct leader *leader, struct shard_manager *manager)
{
    struct sweep *s = xcalloc(1, sizeof(*s));
    s->leader = leader;
    s->manager = manager;
    s->outbox = outbox_sweep_create(leader);
    uv_timer_init(loop, &s->deadline);
    s->deadline.data = s;
    return s;
}

void sweep_on_facts(struct sweep *s, const struct registry_lead *facts)
{
    for (size_t i = 0; i < facts->nexpired; i++) {
        bury(s, &facts->expired[i]);
    }
    place_homeless(s, facts);
    if (facts->waiting > 0 && facts->nodes > 0 && facts->setup_done &&
        cluster_view_is_whole(manager_view(s->manager)) &&
        chore_due(&s->waiting, facts, WAITING_RETRY_MS)) {
        assign_waiting(s);
    }
    close_idle(s, facts);
    outbox_sweep_go(s->outbox);
    if (facts->next_deadline_ms >= 0) {
        uv_timer_start(&s->deadline, on_deadline,
                       (uint64_t)facts->next_deadline_ms + DEADLINE_SLACK_MS, 0);
    } else {
        uv_timer_stop(&s->deadline);
    }
}

void sweep_end(struct sweep *s)
{
    uv_timer_stop(&s->deadline);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct sweep *s = handle->data;

    outbox_sweep_destroy(s->outbox);
    free(s);
}

void sweep_close(struct sweep *s)
{
    BUG_ON(s->burials != NULL);
    uv_close((uv_handle_t *)&s->deadline, on_timer_closed);
}
