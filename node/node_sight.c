/* Node, seeing Twitch: what its connections and its probe say goes to sight.h, and what follows
 * from that to the holder and the registry.
 *
 * While the registry may have this node as blind, whoever sees Twitch may take its shards at any
 * moment: they are not connected before it was told, and has answered, that the node sees again. */
#include "node/node_private.h"

#include "shared/log.h"

#define IDLE_PROBES 4    /* blind_ms between two probes of a node that has nothing to connect */
#define PROBE_MOST  5000 /* ms between two, where it matters */

void node_on_contact(void *ctx, uint64_t began_ms, const char *why)
{
    struct node *n = ctx;

    if (why == NULL) {
        sight_saw(&n->sight, mono_ms());
    } else if (n->sight.machine.state != SIGHT_BLIND) { /* then the probe alone tries */
        sight_missed(&n->sight, began_ms, why, mono_ms());
    }
}

void node_on_probe(void *ctx, uint64_t began_ms, const char *why)
{
    struct node *n = ctx;

    if (why == NULL) {
        sight_saw(&n->sight, mono_ms());
    } else {
        sight_missed(&n->sight, began_ms, why, mono_ms());
    }
    node_look_at_sight(n);
}

static void plan_probe(struct node *n, bool working)
{
    bool idle = holder_is_idle(n->holder);
    uint64_t often = n->blind_ms / 3 < PROBE_MOST ? n->blind_ms / 3 : PROBE_MOST;
    uint64_t every = 0;

    if (n->state.state != NODE_ACTIVE || n->blind_ms == 0) {
        every = 0;
    } else if ((n->sight.machine.state != SIGHT_SEES && !working) || n->others_blind) {
        every = often; /* connections that work may be quiet for longer */
    } else if (idle) {
        every = n->sight.failures > 0 ? often : IDLE_PROBES * n->blind_ms;
    }
    probe_every(n->probe, every);
}

void node_look_at_sight(struct node *n)
{
    bool working = holder_is_working(n->holder);

    if (n->state.state == NODE_ACTIVE && sight_look(&n->sight, working, n->blind_ms, mono_ms())) {
        if (n->sight.machine.state == SIGHT_BLIND) {
            log_warn("node", "node.blind", "node", n->options.id, "why", n->sight.why, NULL);
            holder_set_blind(n->holder, true);
        } else {
            log_info("node", n->sight.machine.state == SIGHT_SEES ? "node.sees" : "node.proving",
                     "node", n->options.id, NULL);
        }
        news_set(&n->sight_news, "");
        node_lease_renew_soon(n->lease);
    }
    plan_probe(n, working);
}

const char *node_sight_told(struct node *n)
{
    n->sight_told = n->sight.machine.state;
    n->given_away = n->given_away || n->sight.machine.state == SIGHT_BLIND;
    return machine_state_name(&n->sight.machine);
}

void node_sight_arrived(struct node *n)
{
    n->given_away = n->sight_told == SIGHT_BLIND;
}

void node_sight_current(struct node *n, const struct registry_picture *picture)
{
    if (!n->given_away && n->sight.machine.state != SIGHT_BLIND) {
        holder_set_blind(n->holder, false);
    }
    if (picture->others_blind && !n->others_blind) {
        node_lease_renew_soon(n->lease);
    }
    n->blind_ms = picture->blind_ms;
    n->others_blind = picture->others_blind;
}

void node_report_sight(struct node *n, struct json *j)
{
    uint64_t now = mono_ms();
    uint64_t heard_ms = holder_heard_ms(n->holder);

    /* Again and again while it does not see: what the registry has of that must not be lost. */
    if (n->sight_news.due || n->sight.machine.state != SIGHT_SEES) {
        n->sight_news.told = true;
        json_string(j, "state", node_sight_told(n));
        json_string(j, "why", n->sight.why);
        json_number(j, "failing_ms",
                    n->sight.failing_ms != 0 ? (int64_t)(now - n->sight.failing_ms) : 0);
    }
    heard_ms = heard_ms > n->sight.seen_ms ? heard_ms : n->sight.seen_ms;
    if (n->others_blind && n->sight.machine.state == SIGHT_SEES && heard_ms != 0) {
        json_number(j, "seen_ms", (int64_t)(now - heard_ms));
    }
}
