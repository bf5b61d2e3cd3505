/* Node, where Redis has forgotten what it had answered: how much is told, and the rest stated
 * anew. */
#include "node/node_private.h"

#include "shared/log.h"

static void rewound(struct node *n, uint64_t ms, uint64_t lines)
{
    log_warn("node", "redis.rewound", "ms", log_u64(ms), "lines", log_u64(lines), "error",
             "Redis has forgotten what it had answered; it was restarted with older data, or a "
             "replica that was "
             "behind is the primary now",
             NULL);
    report_rewound(n->report, ms, lines);
}

void node_restate(struct node *n, const struct registry_picture *picture, uint64_t forgotten)
{
    uint64_t back_ms = 0;

    if (!picture->must_restate) {
        n->told = picture->now;
        n->back_ms = 0;
    } else if (n->back_ms == 0 && wall_since(picture->kept, n->told) > 0) {
        back_ms = wall_since(picture->kept, n->told);
        n->back_ms = back_ms;
    }
    if (back_ms > 0 || forgotten > 0) {
        rewound(n, back_ms, forgotten);
    }
    if (picture->must_restate) {
        restate_tell(n->restate, node_lease_registry(n->lease), n->options.id,
                     node_lease_incarnation(n->lease), n->back_ms);
    }
}
