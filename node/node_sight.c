/* Node, seeing Twitch: what its connections and its probe say goes to sight.h, and what follows
 * from that to the holder and the registry.
 *
 * While the registry may have this node as blind, nodes that see Twitch may take its shards at any
 * moment. So the shards are not connected before the registry was told, and has answered, that the
 * node sees again. */
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
    bool matters = n->state.state == NODE_ACTIVE && n->blind_ms != 0;
    uint64_t often = n->blind_ms / 3 < PROBE_MOST ? n->blind_ms / 3 : PROBE_MOST;
    uint64_t every = 0;

    if (matters && ((n->sight.machine.state != SIGHT_SEES && !working) || n->others_blind)) {
        every = often; /* connections that work may be quiet for longer */
    } else if (matters && holder_is_idle(n->holder)) {
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
        report_news(n->report, REPORT_SIGHT, "");
        node_lease_renew_soon(n->lease);
    }
    plan_probe(n, working);
}

void node_sight_current(struct node *n, const struct registry_picture *picture)
{
    if (!n->sight.given_away && n->sight.machine.state != SIGHT_BLIND) {
        holder_set_blind(n->holder, false);
    }
    if (picture->others_blind && !n->others_blind) {
        node_lease_renew_soon(n->lease);
    }
    n->blind_ms = picture->settings.blind_ms;
    n->others_blind = picture->others_blind;
}
