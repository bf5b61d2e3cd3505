/* Compare: one portion after another, in bursts, so that Redis has time for the rest: while nothing
 * is known to be wrong two short ones in compare_ms, so that it costs the same however much there
 * is. */
#include "coordinator/chores/compare.h"

#include "coordinator/lead/leader.h"
#include "shared/log.h"

#include <stdio.h>
#include <stdlib.h>

#define BURST_MS 30 /* of the quarter of a lease between two renewals */
#define SHORT_MS 10 /* where nothing is known to be wrong; */
#define BURSTS   2  /* so many in compare_ms */
#define SOON_MS  1000

struct compare {
    struct leader *leader;
    const struct cluster_view *view;
    char cursor[64];
    uint64_t begun_ms; /* this round; 0: none was */
    uint64_t burst_ms; /* when this burst began */
    uint64_t repairs;  /* of this round */
    bool under_way;    /* a round */
    bool busy;         /* a portion */
    bool soon;         /* something is known to be wrong */
    bool hurry;        /* it was, when this round began */
    bool anew;         /* what is under way is of an earlier term */
};

static void next_portion(struct compare *c);

static bool hurries(const struct compare *c)
{
    return c->hurry || c->soon || c->repairs > 0;
}

static void end_round(struct compare *c)
{
    c->under_way = false;
    if (c->repairs > 0) {
        log_warn("compare", "registry.repaired", "count", log_u64(c->repairs), "mend",
                 "the log of events says what; nothing but Shoal may write its keys", NULL);
    }
    log_debug("compare", "compare.done", "ms", log_u64(mono_ms() - c->begun_ms), NULL);
}

static void on_portion(void *ctx, const struct registry_compared *compared, const struct err *err)
{
    struct compare *c = ctx;

    c->busy = false;
    if (c->anew) {
        c->anew = false;
        return;
    }
    if (!leader_stepped(c->leader, "compare", err)) {
        c->under_way = false; /* after compare_ms from the beginning */
        return;
    }
    c->repairs += compared->repairs;
    snprintf(c->cursor, sizeof(c->cursor), "%.*s", (int)compared->cursor.len,
             compared->cursor.len > 0 ? compared->cursor.ptr : "");
    if (!compared->more) {
        end_round(c);
    } else if (mono_ms() - c->burst_ms < (hurries(c) ? BURST_MS : SHORT_MS)) {
        next_portion(c);
    }
}

static void next_portion(struct compare *c)
{
    c->busy = leader_may_act(c->leader) &&
              registry_compare(leader_registry(c->leader), leader_identity(c->leader),
                               slice_of(c->cursor), on_portion, c) == 0;
}

struct compare *compare_create(struct leader *leader, const struct cluster_view *view)
{
    struct compare *c = xcalloc(1, sizeof(*c));

    c->leader = leader;
    c->view = view;
    return c;
}

void compare_begin(struct compare *c)
{
    c->under_way = false;
    c->begun_ms = 0;
    c->anew = c->busy;
}

void compare_soon(struct compare *c)
{
    c->soon = true;
}

void compare_on_facts(struct compare *c, const struct registry_lead *facts)
{
    uint64_t now = mono_ms();

    c->soon = c->soon || facts->damaged;
    /* Not only when the view is whole: what is damaged may be why it is not. */
    if (c->busy || !facts->setup_done) {
        return;
    }
    uint64_t compare_ms = cluster_view_number(c->view, "compare_ms", SETTING_COMPARE_MS);
    if (!c->under_way) {
        uint64_t wait_ms = c->soon && compare_ms > SOON_MS ? SOON_MS : compare_ms;
        if (c->begun_ms != 0 && now - c->begun_ms < wait_ms) {
            return;
        }
        c->hurry = c->soon;
        c->soon = false;
        c->under_way = true;
        c->begun_ms = now;
        c->repairs = 0;
        snprintf(c->cursor, sizeof(c->cursor), "%s", REGISTRY_COMPARE_FROM);
    } else if (!hurries(c) && now - c->burst_ms < compare_ms / BURSTS) {
        return;
    }
    c->burst_ms = now;
    next_portion(c);
}

void compare_destroy(struct compare *c)
{
    free(c);
}
