/* Sweep: facts in, steps out. Of each kind of work one piece at most is under way; what it leaves
 * over comes with the next facts, which are asked for at once when it got somewhere. */
#include "coordinator/chores/sweep.h"

#include "coordinator/requests/assignment.h"
#include "shared/log.h"

#include <stdlib.h>
#include <utlist.h>

#define DEADLINE_SLACK_MS 5    /* the step compares with Redis's clock, which is not ours */
#define WAITING_RETRY_MS  1000 /* something may have changed that the facts do not tell */
#define PLACE_RETRY_MS    1000
#define WAITING_AT_ONCE   1000 /* channels a step, as many as it takes */
#define SPEAKERS_RETRY_MS 1000
#define SPEAKERS_NONE_MS  10000 /* nobody is the speaker */

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
    struct leader *leader;
    const char *step; /* of what is no more than one (chore_do) */
    bool busy;
    uint64_t done_ms;
    uint64_t shards_rev;
    uint64_t nodes;
};

struct sweep {
    struct leader *leader;
    struct shard_manager *manager;
    struct burial *burials; /* under way */
    struct chore homeless;
    struct chore waiting;
    struct chore idle;
    struct chore speakers;
    bool had_speaker; /* when that was done last */
};

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

static void on_done(void *ctx, const struct registry_outcome *outcome, const struct err *err)
{
    (void)outcome;
    struct chore *c = ctx;
    c->busy = false;
    (void)leader_stepped(c->leader, c->step, err);
}

static void chore_do(struct chore *c, const struct slice *args, size_t n)
{
    c->busy = leader_do(c->leader, c->step, args, n, on_done, c) == 0;
}

/* Dead nodes ----------------------------------------------------------------------------------- */

static void burial_end(struct burial *b)
{
    LL_DELETE(b->sweep->burials, b);
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
        registry_expire(leader_registry(s->leader), leader_identity(s->leader), slice_of(b->node),
                        b->link_id, on_expired, b) != 0) {
        burial_end(b);
    }
}

static void on_killed(void *ctx, const struct err *err)
{
    struct burial *b = ctx;
    if (leader_stepped(b->sweep->leader, "kill_link", err)) {
        expire(b);
    } else {
        burial_end(b);
    }
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
    b->sweep = s;
    b->node = xstrndup(dead->node.ptr, dead->node.len);
    b->link_id = dead->link_id;
    LL_PREPEND(s->burials, b);
    if (dead->link_id == 0 || !slice_is(dead->run_id, leader_identity(s->leader)->run_id)) {
        expire(b);
    } else if (registry_kill_link(leader_registry(s->leader), b->link_id, on_killed, b) != 0) {
        burial_end(b);
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
    s->waiting.busy =
        leader_may_act(s->leader) &&
        registry_waiting(leader_registry(s->leader), WAITING_AT_ONCE, on_waiting, s) == 0;
}

/* Outside -------------------------------------------------------------------------------------- */

struct sweep *sweep_create(struct leader *leader, struct shard_manager *manager)
{
    struct sweep *s = xcalloc(1, sizeof(*s));
    s->leader = leader;
    s->manager = manager;
    s->homeless = (struct chore){.leader = leader, .step = "place_homeless"};
    s->idle = (struct chore){.leader = leader, .step = "close_idle"};
    s->speakers = (struct chore){.leader = leader, .step = "speakers"};
    return s;
}

/* Where nobody is the speaker any more, what it had is closed; each portion of that is a change. */
static void see_to_speakers(struct sweep *s, const struct registry_lead *facts)
{
    const char *speaker = cluster_view_setting(manager_view(s->manager), "speaker");
    bool has_speaker = speaker != NULL && speaker[0] != '\0';
    bool is_often = has_speaker || s->had_speaker;

    if (chore_due(&s->speakers, facts, is_often ? SPEAKERS_RETRY_MS : SPEAKERS_NONE_MS)) {
        s->had_speaker = has_speaker;
        chore_do(&s->speakers, NULL, 0);
    }
}

/* A node is up: what has no place finds one. */
static void place(struct sweep *s, const struct registry_lead *facts)
{
    if (facts->homeless > 0 && chore_due(&s->homeless, facts, PLACE_RETRY_MS)) {
        chore_do(&s->homeless, NULL, 0);
    }
    if (facts->setup_done) {
        see_to_speakers(s, facts);
    }
    if (facts->waiting > 0 && facts->setup_done &&
        cluster_view_is_whole(manager_view(s->manager)) &&
        chore_due(&s->waiting, facts, WAITING_RETRY_MS)) {
        assign_waiting(s);
    }
}

void sweep_on_facts(struct sweep *s, const struct registry_lead *facts)
{
    for (size_t i = 0; i < facts->nexpired; i++) {
        bury(s, &facts->expired[i]);
    }
    if (facts->nodes > 0) {
        place(s, facts);
    }
    if (facts->nidle > 0 && !s->idle.busy) {
        chore_do(&s->idle, facts->idle, facts->nidle);
    }
    if (facts->next_deadline_ms >= 0) {
        leader_ask_in(s->leader, (uint64_t)facts->next_deadline_ms + DEADLINE_SLACK_MS);
    }
}

void sweep_destroy(struct sweep *s)
{
    BUG_ON(s->burials != NULL);
    free(s);
}
