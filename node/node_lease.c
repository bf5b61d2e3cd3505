/* Lease of a node: registration and renewal. See node_lease.h.
 *
 * One timer does all of it: each time it looks whether the right to act is over, and what to ask
 * the registry next. At most one question is under way. */
#include "node/meters.h"
#include "node/node_lease_private.h"

#include "shared/log.h"
#include "shared/loop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SOON_MS      20  /* what is wanted at once is one question */
#define WAITING_MS   200 /* for a cluster: who sets one up waits a little longer (setup.c) */
#define REFUSED_MS   500 /* a Redis that refuses is not rushed */
#define RECONNECT_MS 400 /* at most between tries: a link that comes back late costs the lease */

static void on_timer(uv_timer_t *timer);

/* Set the timer to what comes next. */
static void plan(struct node_lease *l)
{
    if (l->lease.right.state != LEASE_LEAVING) {
        loop_timer_at(&l->timer, on_timer, lease_due_ms(&l->lease));
    }
}

enum lease_state node_lease_state(const struct node_lease *l)
{
    return l->lease.right.state;
}

bool node_lease_holds(struct node_lease *l)
{
    bool holds = lease_may_act(&l->lease, mono_ms());

    /* Who asks is in the middle of something: on_fenced comes from the loop. */
    if (!holds && l->lease.right.state == LEASE_CURRENT) {
        loop_timer_at(&l->timer, on_timer, 0);
    }
    return holds;
}

/* Ask at `when`, but not before Redis has had as long for others as the last answer took: where
 * that is long it has much to do, and less where more is told at once. */
static void ask_at(struct node_lease *l, uint64_t when)
{
    uint64_t least = l->answered_ms + l->took_ms;

    if (lease_ask_at(&l->lease, when > least ? when : least)) {
        plan(l);
    }
}

void node_lease_renew_soon(struct node_lease *l)
{
    if (!l->look) {
        l->look = true;
        l->look_ms = mono_ms() + SOON_MS;
    }
    if (l->lease.link.state != LEASE_LINK_ASKING) {
        ask_at(l, l->look_ms);
    }
}

uint64_t node_lease_margin_ms(const struct node_lease *l)
{
    return lease_may_act(&l->lease, mono_ms()) ? l->margin_ms : 0;
}

bool node_lease_is_answered(const struct node_lease *l)
{
    return lease_is_ready(&l->lease) && lease_may_act(&l->lease, mono_ms());
}

void node_lease_fenced(struct node_lease *l, const char *why)
{
    meters.lease_fenced_total++;
    log_warn("lease", "lease.fenced", "why", why, NULL);
    l->options.on_fenced(l->options.ctx, why);
}

/* Answers -------------------------------------------------------------------------------------- */

void node_lease_answered(struct node_lease *l)
{
    lease_set_link(&l->lease, LEASE_LINK_READY);
    l->answered_ms = mono_ms();
    if (l->look) {
        ask_at(l, l->look_ms);
    }
    plan(l);
}

void node_lease_refused(struct node_lease *l)
{
    lease_on_failure(&l->lease, mono_ms());
    l->took_ms = REFUSED_MS;
}

static void failed(struct node_lease *l)
{
    node_lease_refused(l);
    node_lease_answered(l);
}

/* Registering ---------------------------------------------------------------------------------- */

void node_lease_give_up(struct node_lease *l, const struct err *why)
{
    uv_timer_stop(&l->timer);
    lease_leave(&l->lease, false);
    l->options.on_refused(l->options.ctx, why);
}

static void enter(struct node_lease *l);

static void on_registered(void *ctx, const struct registry_picture *picture,
                          const struct registry_holder *holder, const struct err *err)
{
    struct node_lease *l = ctx;

    if (picture != NULL) {
        log_info("lease", "lease.registered", "node", l->options.node, "incarnation",
                 l->incarnation, NULL);
        l->waiting_said = false;
        node_lease_current(l, picture);
        node_lease_answered(l);
    } else if (holder != NULL) {
        node_lease_id_taken(l, holder);
    } else if (err == NULL) { /* a portion of what is taken over */
        enter(l);
    } else {
        if (!err_is_silence(err) && !err_is_told(err) && !l->waiting_said) {
            log_warn("lease", "lease.register", "error", err->text, NULL);
            l->waiting_said = true;
        }
        failed(l);
    }
}

struct registry_node node_lease_self(const struct node_lease *l)
{
    return (struct registry_node){
        .node = l->options.node,
        .incarnation = l->incarnation,
        .link_id = l->greeting.link_id,
        .run_id = l->greeting.run_id,
        .host = l->host,
        .pid = l->pid,
        .version = SHOAL_VERSION,
        .capacity = l->options.capacity,
        .users = l->options.users,
        .takeover = l->takeover,
        .registry = l->registry_id,
    };
}

static void enter(struct node_lease *l)
{
    struct registry_node node = node_lease_self(l);

    node.state = l->options.state(l->options.ctx);
    lease_asked(&l->lease, mono_ms());
    l->whole_at_ms = l->lease.sent_ms;
    if (registry_register(l->registry, &node, on_registered, l) != 0) {
        failed(l);
    }
}

static void on_checked(void *ctx, const struct err *err)
{
    struct node_lease *l = ctx;
    bool begins = l->former.link_id == 0;

    if (err == NULL) {
        l->options.on_usable(l->options.ctx);
        enter(l);
    } else if (err->code == ERR_REFUSED && begins) {
        /* A Redis that cannot serve, found at the start: waiting does not mend it. */
        node_lease_give_up(l, err);
    } else if (err_is_told(err) && begins) {
        link_refuse(l->link, err->text);
    } else {
        if (err->code == ERR_ABSENT || err->code == ERR_REPLY || err->code == ERR_STRANGE) {
            l->options.on_usable(l->options.ctx);
        }
        if (!err_is_silence(err) && !err_is_told(err) && !l->waiting_said) {
            log_warn("lease", "lease.waiting", "reason", err->text, NULL);
            l->waiting_said = true;
        }
        node_lease_refused(l);
        (void)lease_ask_at(&l->lease, mono_ms() + WAITING_MS);
        node_lease_answered(l);
    }
}

/* Questions ------------------------------------------------------------------------------------ */

static void ask(struct node_lease *l)
{
    lease_asked(&l->lease, mono_ms());
    int rc =
        lease_is_held(&l->lease) ? node_lease_renew(l) : registry_check(l->registry, on_checked, l);
    if (rc != 0) {
        failed(l);
    }
}

/* The link ------------------------------------------------------------------------------------- */

static void on_greeting(void *ctx, const struct registry_greeting *greeting, const struct err *err)
{
    struct node_lease *l = ctx;

    if (err != NULL) {
        if (!err_is_silence(err)) {
            link_refuse(l->link, err->text);
        }
        return;
    }
    l->greeting = *greeting;
    link_group_server(l->options.link.group, l->link, greeting->run_id);
    /* What the former link still had in Redis's or the kernel's buffers must not be carried out
     * behind the answer that says how far the fan-out came. Its answer need not be waited for:
     * order is kept. */
    if (l->former.link_id != 0 && strcmp(l->former.run_id, greeting->run_id) == 0) {
        (void)!registry_kill_link(l->registry, l->former.link_id, NULL, NULL);
    }
    (void)lease_ask_at(&l->lease, mono_ms());
    node_lease_answered(l);
}

static void greet(struct node_lease *l)
{
    if (l->lease.link.state == LEASE_LINK_UP && registry_greet(l->registry, on_greeting, l) == 0) {
        lease_set_link(&l->lease, LEASE_LINK_GREETING);
    }
}

static void on_rights(void *ctx, const struct err *missing, bool transactions)
{
    struct node_lease *l = ctx;

    if (missing != NULL) {
        node_lease_give_up(l, missing);
    } else if (!transactions) {
        /* Lines that leave without a transaction may be said twice. */
        link_refuse(l->link, "Redis does not let this user do MULTI");
    } else {
        greet(l);
    }
}

static void prepare(struct node_lease *l)
{
    if (!rights_watch_look(&l->rights)) {
        greet(l);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct node_lease *l = timer->data;
    uint64_t now = mono_ms();
    bool late = lease_is_late(&l->lease, now);

    if (lease_on_time(&l->lease, now) == LEASE_OUT) {
        node_lease_fenced(l, late ? "the process or its machine stood still"
                                  : "no renewal was answered in time");
    }
    prepare(l);
    if (lease_turn(&l->lease, now) && l->lease.link.state == LEASE_LINK_READY) {
        ask(l);
    }
    plan(l);
}

static void on_up(void *ctx)
{
    struct node_lease *l = ctx;

    lease_set_link(&l->lease, LEASE_LINK_UP);
    prepare(l);
}

static void on_down(void *ctx, const struct err *why)
{
    struct node_lease *l = ctx;

    lease_set_link(&l->lease, LEASE_LINK_DOWN);
    l->attached = false;
    l->options.on_link_down(l->options.ctx, why);
}

struct node_lease *node_lease_create(const struct node_lease_options *options)
{
    struct node_lease *l = xcalloc(1, sizeof(*l));
    struct link_options link = options->link;

    l->options = *options;
    if (gethostname(l->host, sizeof(l->host) - 1) != 0) {
        snprintf(l->host, sizeof(l->host), "unknown");
    }
    snprintf(l->pid, sizeof(l->pid), "%ld", (long)getpid());
    random_hex(l->incarnation, (INCARNATION_CHARS - 1) / 2);
    lease_begin(&l->lease, LEASE_UNREGISTERED, l->options.node, mono_ms());
    uv_timer_init(options->loop, &l->timer);
    l->timer.data = l;
    plan(l);
    link.on_up = on_up;
    link.on_down = on_down;
    link.ctx = l;
    link.backoff_cap_ms = RECONNECT_MS;
    l->link = link_create(options->loop, &link);
    l->registry = registry_create(l->link, options->cluster);
    l->rights = (struct rights_watch){.loop = options->loop,
                                      .link = options->link,
                                      .cluster = options->cluster,
                                      .who = RIGHTS_NODE,
                                      .on_answer = on_rights,
                                      .ctx = l};
    return l;
}

static void finish(void *owner)
{
    struct node_lease *l = owner;

    registry_destroy(l->registry);
    free(l);
}

void node_lease_close(struct node_lease *l, void (*on_closed)(void *ctx), void *ctx)
{
    teardown_begin(&l->teardown, finish, l, on_closed, ctx);
    lease_leave(&l->lease, false); /* answers to come, all ERR_CANCELED, change nothing then */
    rights_watch_stop(&l->rights);
    teardown_handle(&l->teardown, (uv_handle_t *)&l->timer);
    link_close(l->link, teardown_part_gone, teardown_part(&l->teardown));
}

void node_lease_set_users(struct node_lease *l, const char *users)
{
    l->options.users = users;
}

void node_lease_leave(struct node_lease *l, bool said, registry_done_cb cb, void *ctx)
{
    bool held = lease_is_held(&l->lease);

    uv_timer_stop(&l->timer);
    lease_leave(&l->lease, true);
    if (!held || registry_leave(l->registry, l->options.node, l->incarnation, said, cb, ctx) != 0) {
        struct err err = {0};
        err_set(&err, ERR_DOWN, "not registered, or Redis is out of reach");
        cb(ctx, &err);
    }
}

struct registry *node_lease_registry(const struct node_lease *l)
{
    return l->registry;
}

const char *node_lease_incarnation(const struct node_lease *l)
{
    return l->incarnation;
}

uint64_t node_lease_ms(const struct node_lease *l)
{
    return l->lease.lease_ms;
}
