/* Node, reporting: what its next renewal tells, and what became of that. */
#include "node/node_private.h"

#include <stdio.h>

void news_set(struct news *news, const char *why)
{
    news->due = true;
    news->told = false;
    snprintf(news->why, sizeof(news->why), "%s", why);
}

static void news_arrived(struct news *news)
{
    news->due = news->due && !news->told;
    news->told = false;
}

/* What became of this node itself. */
static bool report_node(struct node *n, struct json *j)
{
    struct news *all[] = {&n->users, &n->fenced, &n->lost, &n->rewound, &n->sight_news};
    bool any =
        n->state.state == NODE_DRAINING || n->others_blind || n->sight.machine.state != SIGHT_SEES;

    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        all[i]->told = all[i]->due;
        any = any || all[i]->due;
    }
    if (!any) {
        return false;
    }
    json_object_begin(j, "node");
    if (n->state.state == NODE_DRAINING) {
        json_string(j, "state", machine_state_name(&n->state));
    } else {
        node_report_sight(n, j);
    }
    if (n->users.due) {
        json_string(j, "users", tokens_users(n->tokens));
    }
    if (n->fenced.due) {
        json_string(j, "fenced", n->fenced.why);
    }
    if (n->lost.due) {
        json_string(j, "lost", n->lost.why);
    }
    if (n->rewound.due) {
        node_report_rewound(n, j);
    }
    json_object_end(j);
    return true;
}

void node_report(void *ctx, struct buf *out)
{
    struct node *n = ctx;
    struct json j;

    node_look_at_sight(n);
    json_init(&j, out);
    json_object_begin(&j, NULL);
    /* What is told becomes events: they wait for their subscribers, as chat does. */
    bool any = n->resume_ms == 0 && holder_report(n->holder, &j);
    uint64_t waits_ms = fanout_waits_ms(n->fanout);
    if (waits_ms > 0) {
        json_number(&j, "waits_ms", (int64_t)waits_ms);
        any = true;
    }
    any = (n->resume_ms == 0 && report_node(n, &j)) || any;
    uint64_t at_ms = node_lease_redis_ms(n->lease);
    if (at_ms > 0) {
        json_number(&j, "at_ms", (int64_t)at_ms);
    }
    json_object_end(&j);
    if (!any) {
        buf_clear(out);
    }
}

void node_report_arrived(void *ctx)
{
    struct node *n = ctx;

    holder_report_arrived(n->holder);
    news_arrived(&n->users);
    news_arrived(&n->fenced);
    news_arrived(&n->lost);
    news_arrived(&n->rewound);
    if (n->sight_news.told) {
        node_sight_arrived(n);
    }
    news_arrived(&n->sight_news);
}

void node_report_lost(void *ctx)
{
    struct node *n = ctx;

    holder_report_all(n->holder);
    n->users.told = false;
    n->fenced.told = false;
    n->lost.told = false;
    n->rewound.told = false;
    n->sight_news.told = false;
}
