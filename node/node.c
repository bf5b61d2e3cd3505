/* Node: puts lease, holder, fan-out and sender together. See node.h for the states.
 *
 * How it works: every renewal brings the registry's picture (node_lease.h); reconcile() makes the
 * holder and the sender agree with it. Room lines go from the holder to the fan-out, which writes
 * to the lease's link. Fenced and lost come from the lease and are passed on to all three. Leaving:
 * shards close, the fan-out drains, the registry is told, the links close, in that order. */
#include "node/node_private.h"

#include "shared/log.h"
#include "shared/loop.h"

#include <stdio.h>
#include <stdlib.h>

static const struct machine_state states[] = {
    [NODE_STARTING] = {"starting", MACHINE_BIT(NODE_ACTIVE) | MACHINE_BIT(NODE_GONE)},
    [NODE_ACTIVE] = {"active", MACHINE_BIT(NODE_FENCED) | MACHINE_BIT(NODE_LOST) |
                                   MACHINE_BIT(NODE_DRAINING) | MACHINE_BIT(NODE_GONE)},
    [NODE_FENCED] = {"fenced", MACHINE_BIT(NODE_ACTIVE) | MACHINE_BIT(NODE_LOST) |
                                   MACHINE_BIT(NODE_DRAINING) | MACHINE_BIT(NODE_GONE)},
    [NODE_LOST] = {"lost", MACHINE_BIT(NODE_STARTING)},
    [NODE_DRAINING] = {"draining", MACHINE_BIT(NODE_GONE)},
    [NODE_GONE] = {"gone", 0},
};

static const char *id(const void *owner)
{
    return ((const struct node *)owner)->options.id;
}

static void check(const void *owner)
{
    const struct node *n = owner;
    enum node_state state = n->state.state;
    enum lease_state lease = node_lease_state(n->lease);

    BUG_ON(state == NODE_ACTIVE && lease != LEASE_CURRENT);
    BUG_ON(state == NODE_FENCED && lease != LEASE_FENCED);
    BUG_ON(state == NODE_LOST && lease != LEASE_LOST);
    BUG_ON(n->resume_ms != 0 && state != NODE_ACTIVE && state != NODE_FENCED &&
           state != NODE_DRAINING);
    BUG_ON((state == NODE_GONE) != n->teardown.begun);
}

static const struct machine_type machine = {"node", states, ARRAY_LEN(states), id, check};

const char *node_state_name(size_t state)
{
    BUG_ON(state >= ARRAY_LEN(states));
    return states[state].name;
}

void node_move(struct node *n, enum node_state to)
{
    log_info("node", "node.state", "node", n->options.id, "from", machine_state_name(&n->state),
             "to", states[to].name, NULL);
    machine_move(&n->state, to, n);
}

/* What the rooms ask --------------------------------------------------------------------------- */

static bool may_act(void *ctx)
{
    struct node *n = ctx;

    return n->state.state != NODE_GONE && node_lease_holds(n->lease);
}

static void on_gap(void *ctx, struct slice channel, uint64_t from_ms, uint64_t to_ms,
                   uint64_t lines, const char *reason)
{
    struct node *n = ctx;

    report_gap(n->report, channel, from_ms, to_ms, lines, reason);
}

static void on_change(void *ctx)
{
    struct node *n = ctx;

    if (n->state.state != NODE_GONE) {
        node_lease_renew_soon(n->lease);
    }
    node_on_drained(n);
}

static void on_send_result(void *ctx, const char *entry, const struct send_outcome *outcome)
{
    struct node *n = ctx;

    sender_on_result(n->sender, entry, outcome);
}

static const char *sight_state(void *ctx)
{
    struct node *n = ctx;

    return sight_tell(&n->sight);
}

/* What the lease says -------------------------------------------------------------------------- */

static void reconcile(struct node *n, const struct registry_picture *picture)
{
    holder_set_failed_retry(n->holder, picture->settings.failed_retry_ms);
    sender_set_ttl(n->sender, picture->settings.send_ttl_ms);
    node_accounts_look(n, picture->settings.accounts);
    if (picture->changed) {
        holder_keep(n->holder, picture->held, picture->nheld);
        for (size_t i = 0; i < picture->nheld_changed; i++) {
            holder_hold(n->holder, &picture->held_changed[i]);
        }
        sender_keep(n->sender, picture->served, picture->nserved);
        for (size_t i = 0; i < picture->nserved_changed; i++) {
            sender_serve(n->sender, &picture->served_changed[i]);
        }
    }
    /* Who sends to channels nobody joined changes without a word to the node it changes to. */
    bool here = held_find(n->holder, picture->default_sender) != NULL;
    sender_serve_unjoined(n->sender, here ? picture->default_sender : SLICE(""));
}

static void on_timer(uv_timer_t *timer);

void node_timer_at(struct node *n, uint64_t at_ms)
{
    bool resumes = n->resume_ms != 0 && n->resume_ms < at_ms;

    loop_timer_at(&n->timer, on_timer, resumes ? n->resume_ms : at_ms);
}

/* Redis may have forgotten what it had answered, `forgotten` lines of the fan-out among it: tell
 * how much, and if it asks for that, state the rest anew. */
static void restate(struct node *n, const struct registry_picture *picture, uint64_t forgotten)
{
    uint64_t back_ms = 0;

    if (!picture->must_restate) {
        n->told = picture->now;
        n->back_ms = 0;
    } else if (n->back_ms == 0) {
        back_ms = wall_since(picture->kept, n->told);
        n->back_ms = back_ms;
    }
    if (back_ms > 0 || forgotten > 0) {
        log_warn("node", "redis.rewound", "ms", log_u64(back_ms), "lines", log_u64(forgotten),
                 "error",
                 "Redis has forgotten what it had answered; it was restarted with older data, or a "
                 "replica that was behind is the primary now",
                 NULL);
        report_rewound(n->report, back_ms, forgotten);
    }
    if (picture->must_restate) {
        restate_tell(n->restate, node_lease_registry(n->lease), n->options.id,
                     node_lease_incarnation(n->lease), n->back_ms);
    }
}

static void on_current(void *ctx, const struct registry_picture *picture, bool new_link)
{
    struct node *n = ctx;
    uint64_t forgotten = 0;

    if (trouble_over(&n->trouble)) {
        log_info("node", "redis.up", "link", "fan", NULL);
    }
    if (n->state.state == NODE_STARTING) {
        node_move(n, NODE_ACTIVE);
        sight_told(&n->sight); /* it registered with it */
        report_again(n->report);
    } else if (n->state.state == NODE_FENCED) {
        node_move(n, NODE_ACTIVE);
    }
    fanout_keep(n->fanout, &picture->settings, node_lease_incarnation(n->lease), picture->now);
    if (new_link) {
        /* Subscribers need a moment to be back as well, before what was held flows. */
        if (n->was_away) {
            n->resume_ms = mono_ms() + picture->settings.resume_delay_ms;
            fanout_hold(n->fanout, true);
            node_timer_at(n, n->state.state == NODE_DRAINING ? n->drain_until_ms : n->resume_ms);
        }
        n->was_away = false;
        forgotten =
            fanout_attach(n->fanout, registry_link(node_lease_registry(n->lease)), picture->seq);
    }
    restate(n, picture, forgotten);
    if (n->resume_ms == 0) {
        fanout_hold(n->fanout, false);
    }
    holder_set_fenced(n->holder, false);
    if (n->state.state == NODE_ACTIVE) {
        reconcile(n, picture);
        node_sight_current(n, picture);
    }
    if (n->resume_ms == 0 && report_is_due(n->report)) {
        node_lease_renew_soon(n->lease);
    }
}

static void on_fenced(void *ctx, const char *why)
{
    struct node *n = ctx;

    report_news(n->report, REPORT_FENCED, why);
    if (n->state.state == NODE_ACTIVE) {
        node_move(n, NODE_FENCED);
    }
    fanout_hold(n->fanout, true);
    holder_set_fenced(n->holder, true);
    sight_rest(&n->sight);
}

static void on_lost(void *ctx, const char *why, bool emptied)
{
    struct node *n = ctx;
    struct err err = {0};
    char held[200] = "";

    if (n->state.state == NODE_DRAINING) {
        err_set(&err, ERR_LOST, "the lease was lost while leaving");
        node_close(n, &err);
        return;
    }
    if (emptied) {
        holder_remember(n->holder, held, sizeof(held));
    }
    report_news(n->report, REPORT_LOST, emptied ? held : why);
    n->resume_ms = 0;
    if (n->state.state != NODE_STARTING) { /* registered, but answered too late to become active */
        node_move(n, NODE_LOST);
    }
    holder_drop(n->holder);
    if (emptied) {
        fanout_emptied(n->fanout);
    } else {
        fanout_drop(n->fanout, "lease_lost");
    }
    sender_reset(n->sender);
    helix_drop(n->helix);
    restate_lost(n->restate);
    holder_set_fenced(n->holder, false);
    if (n->state.state == NODE_LOST) {
        node_move(n, NODE_STARTING);
    }
}

static void on_link_down(void *ctx, const struct err *why)
{
    struct node *n = ctx;

    fanout_detach(n->fanout);
    if (!startup_is_over(&n->startup)) {
        startup_failed(&n->startup, why);
        return;
    }
    n->was_away = true;
    if (!err_is_told(why) && trouble_is_news(&n->trouble, why, mono_ms())) {
        log_warn("node", "redis.down", "link", "fan", "error", why->text, NULL);
    }
}

static void on_usable(void *ctx)
{
    struct node *n = ctx;

    startup_succeeded(&n->startup);
}

static uint64_t write_report(void *ctx, struct buf *out)
{
    struct node *n = ctx;

    node_look_at_sight(n);
    report_write(n->report,
                 &(struct report_node){.draining = n->state.state == NODE_DRAINING,
                                       .held = n->resume_ms != 0,
                                       .sight = &n->sight,
                                       .heard_ms = holder_heard_ms(n->holder),
                                       .others_blind = n->others_blind,
                                       .users = tokens_users(n->tokens),
                                       .waits_ms = fanout_waits_ms(n->fanout),
                                       .at = node_lease_redis_now(n->lease),
                                       .fanout = fanout_load(n->fanout)},
                 out);
    return report_quiet_ms(n->report);
}

static void on_reported(void *ctx, bool arrived)
{
    struct node *n = ctx;

    if (arrived) {
        report_arrived(n->report, &n->sight);
        node_on_drained(n);
    } else {
        report_again(n->report);
    }
}

/* The other links ------------------------------------------------------------------------------ */

static void on_control_up(void *ctx)
{
    struct node *n = ctx;

    sender_rescan(n->sender);
}

static void on_control_down(void *ctx, const struct err *why)
{
    (void)ctx;
    log_debug("node", "redis.down", "link", "control", "error", why->text, NULL);
}

static void on_message(void *ctx, struct slice topic, struct slice payload)
{
    struct node *n = ctx;

    if (!slice_is(topic, n->inbox_topic)) {
        sender_on_message(n->sender, topic, payload);
    } else if (!sender_on_hint(n->sender, payload)) {
        node_lease_renew_soon(n->lease);
    }
}

static void on_topics_down(void *ctx, const struct err *why)
{
    struct node *n = ctx;

    (void)why;
    sender_on_topics_down(n->sender);
    node_on_drained(n);
}

static void on_timer(uv_timer_t *timer)
{
    struct node *n = timer->data;

    if (n->resume_ms != 0 && mono_ms() >= n->resume_ms) {
        n->resume_ms = 0;
        fanout_hold(n->fanout, !node_lease_holds(n->lease));
        node_lease_renew_soon(n->lease);
    }
    if (n->state.state == NODE_DRAINING) {
        node_look_at_drain(n);
    }
}

/* Life ----------------------------------------------------------------------------------------- */

static struct link_options link_options_of(struct node *n, unsigned i, const char *name)
{
    snprintf(n->names[i], sizeof(n->names[i]), "shoal-node:%s:%s", n->options.id, name);
    return (struct link_options){.url = n->options.redis,
                                 .tls_ca = n->options.redis_tls_ca,
                                 .group = &n->group,
                                 .name = n->names[i],
                                 .ctx = n};
}

static void begin_links(struct node *n)
{
    struct link_options control = link_options_of(n, 0, "control");
    struct subscriber_options topics = {.link = link_options_of(n, 1, "topics"),
                                        .greet = true,
                                        .on_message = on_message,
                                        .on_down = on_topics_down,
                                        .on_settled = node_on_drained,
                                        .ctx = n};
    struct node_lease_options lease = {
        .loop = n->loop,
        .link = link_options_of(n, 2, "fan"),
        .cluster = n->options.cluster,
        .node = n->options.id,
        .capacity = n->options.capacity,
        .users = tokens_users(n->tokens),
        .state = sight_state,
        .report = write_report,
        .on_current = on_current,
        .on_reported = on_reported,
        .on_fenced = on_fenced,
        .on_lost = on_lost,
        .on_link_down = on_link_down,
        .on_usable = on_usable,
        .on_refused = node_close,
        .ctx = n,
    };

    control.on_up = on_control_up;
    control.on_down = on_control_down;
    n->control = link_create(n->loop, &control);
    n->control_registry = registry_create(n->control, n->options.cluster);
    n->subscriber = subscriber_create(n->loop, &topics);
    registry_topic(n->control_registry, TOPIC_NODE, n->options.id, n->inbox_topic);
    subscriber_add(n->subscriber, slice_of(n->inbox_topic));
    n->lease = node_lease_create(&lease);
}

static void on_pressure(void *ctx, bool high)
{
    struct node *n = ctx;

    connections_pause(n->pool, high);
}

static void begin_rooms(struct node *n)
{
    struct fanout_options fanout = {.registry = n->control_registry,
                                    .node = n->options.id,
                                    .buffer_bytes = n->options.buffer_bytes,
                                    .may_send = may_act,
                                    .on_gap = on_gap,
                                    .on_drained = node_on_drained,
                                    .on_pressure = on_pressure,
                                    .ctx = n};
    n->fanout = fanout_create(n->loop, &fanout);
    n->report = report_create(on_change, n);
    struct held_options held = {.loop = n->loop,
                                .pool = n->pool,
                                .twitch_url = n->options.twitch_url,
                                .tokens = &n->tokens,
                                .registry = n->control_registry,
                                .fanout = n->fanout,
                                .report = n->report,
                                .node = n->options.id,
                                .incarnation = node_lease_incarnation(n->lease),
                                .may_act = may_act,
                                .on_send_result = on_send_result,
                                .restate = n->restate,
                                .on_contact = node_on_contact,
                                .on_refused = node_on_refused,
                                .ctx = n};
    n->holder = holder_create(&held);
    struct sender_options sender = {.registry = n->control_registry,
                                    .subscriber = n->subscriber,
                                    .node = n->options.id,
                                    .incarnation = node_lease_incarnation(n->lease),
                                    .may_act = may_act,
                                    .can_send = node_can_send,
                                    .write = node_write_send,
                                    .on_drained = node_on_drained,
                                    .restate = n->restate,
                                    .ctx = n};
    n->sender = sender_create(n->loop, &sender);
    node_begin_helix(n);
    n->probe = probe_create(n->loop, n->pool, n->options.twitch_url, node_on_probe, n);
}

struct node *node_create(uv_loop_t *loop, const struct node_options *options, struct err *err)
{
    struct node *n = xcalloc(1, sizeof(*n));

    n->loop = loop;
    n->options = *options;
    machine_begin(&n->state, &machine, NODE_STARTING);
    sight_init(&n->sight);
    n->restate = restate_create();
    if (tokens_load(options->tokens_file, &n->file_tokens, err) == 0) {
        n->tokens = tokens_copy(n->file_tokens);
        if (node_web_begin(n, err) == 0) {
            n->pool = connections_create(loop, options->twitch_tls_ca, CONNECTION_MS, err);
        }
    }
    if (n->pool == NULL) {
        web_close(n->web, NULL, NULL);
        node_free(n);
        return NULL;
    }
    uv_timer_init(loop, &n->timer);
    n->timer.data = n;
    node_web_measure(n);
    startup_begin(&n->startup, loop, options->connect_ms, node_close, n);
    begin_links(n);
    begin_rooms(n);
    return n;
}

bool node_describe(const struct node *n, char *out, size_t size)
{
    char held[100];

    if (n->state.state == NODE_GONE) {
        snprintf(out, size, "ends");
    } else if (n->state.state == NODE_STARTING) {
        snprintf(out, size, "waits %s",
                 startup_is_over(&n->startup) ? "to be registered" : "for Redis");
    } else {
        holder_describe(n->holder, held, sizeof(held));
        snprintf(out, size, "%sholds %s",
                 n->state.state == NODE_DRAINING ? "leaves; "
                 : n->state.state == NODE_ACTIVE ? ""
                                                 : "waits for Redis; ",
                 held);
    }
    return n->state.state == NODE_ACTIVE;
}
