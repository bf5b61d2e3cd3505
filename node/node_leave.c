/* Node, leaving: in order, or at once. Shards close, what was read is said, the registry is told,
 * the links close; then nothing of it is left but memory. */
#include "node/node_private.h"

#include "shared/log.h"

#include <stdlib.h>

static void on_left(void *ctx, const struct err *err)
{
    struct node *n = ctx;

    if (n->state.state != NODE_GONE) {
        if (err != NULL && err->code != ERR_LOST) {
            log_warn("node", "node.leave", "error", err->text, NULL);
        }
        node_close(n, NULL);
    }
}

/* Shards closed and sends answered, then everything said, and reported up to when each channel was
 * read, then leave. */
void node_look_at_drain(struct node *n)
{
    uint64_t now = mono_ms();
    bool late = now >= n->drain_until_ms;
    bool drained = holder_is_closed(n->holder) && sender_is_drained(n->sender) &&
                   fanout_is_drained(n->fanout) && !report_is_due(n->report);
    bool told = node_lease_state(n->lease) == LEASE_LEAVING; /* the registry is being told */
    bool leave = !told && (drained || late);

    if (told && late) {
        on_left(n, NULL);
        return;
    }
    n->drain_until_ms = leave ? now + node_lease_ms(n->lease) : n->drain_until_ms;
    node_timer_at(n, n->drain_until_ms);
    if (leave && !drained) {
        log_warn("node", "node.drain", "reason", "took longer than --drain-timeout", NULL);
    }
    if (leave) {
        node_lease_leave(n->lease, drained, on_left, n);
    }
}

void node_on_drained(void *ctx)
{
    struct node *n = ctx;

    if (n->state.state == NODE_DRAINING) {
        node_timer_at(n, mono_ms()); /* from within a room nothing is closed */
    }
}

void node_stop(struct node *n, int times)
{
    if (n->state.state == NODE_GONE) {
        return;
    }
    if (times > 1 || (n->state.state != NODE_ACTIVE && n->state.state != NODE_FENCED)) {
        node_close(n, NULL);
        return;
    }
    node_move(n, NODE_DRAINING);
    n->drain_until_ms = mono_ms() + n->options.drain_ms;
    holder_drain(n->holder);
    sender_drain(n->sender);
    node_look_at_sight(n);
    node_on_drained(n);
}

static void on_all_closed(void *ctx)
{
    struct node *n = ctx;

    /* No link is left whose callbacks could reach them. */
    holder_destroy(n->holder);
    sender_destroy(n->sender);
    fanout_destroy(n->fanout);
    report_destroy(n->report);
    connections_destroy(n->pool);
    n->options.on_gone(n->options.ctx, &n->why);
}

void node_close(void *ctx, const struct err *why)
{
    struct node *n = ctx;

    if (n->state.state == NODE_GONE) {
        return;
    }
    n->why = why != NULL ? *why : (struct err){0};
    n->resume_ms = 0;
    teardown_begin(&n->teardown, on_all_closed, n, NULL, NULL);
    node_move(n, NODE_GONE);
    fanout_detach(n->fanout);
    /* Subscriber and link stay in memory until their callbacks; the sender lets go of them here. */
    sender_stop(n->sender);
    holder_drop(n->holder);
    teardown_handle(&n->teardown, (uv_handle_t *)&n->timer);
    startup_close(&n->startup);
    web_close(n->web, teardown_part_gone, teardown_part(&n->teardown));
    metrics_page_end(&n->metrics, &n->teardown);
    helix_close(n->helix, teardown_part_gone, teardown_part(&n->teardown));
    probe_close(n->probe, teardown_part_gone, teardown_part(&n->teardown));
    link_close(n->control, teardown_part_gone, teardown_part(&n->teardown));
    subscriber_close(n->subscriber, teardown_part_gone, teardown_part(&n->teardown));
    node_lease_close(n->lease, teardown_part_gone, teardown_part(&n->teardown));
}

void node_free(struct node *n)
{
    if (n == NULL) {
        return;
    }
    restate_destroy(n->restate);
    registry_destroy(n->control_registry);
    node_accounts_finish(n);
    tokens_destroy(n->file_tokens);
    tokens_destroy(n->tokens);
    free(n);
}
