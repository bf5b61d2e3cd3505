/* Lease: registration, renewal and the own deadline. See node_lease.h.
 *
 * One timer does all of it: each turn it looks whether the deadline has passed, whether the loop was late,
 * and what to ask the registry next. At most one question is under way. */
#include "node/node_lease_private.h"

#include "shared/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIRST_LEASE_MS 3000 /* until the registry has said how long it is */
#define SOON_MS        20
#define RECONNECT_MS   400 /* at most between tries: a link that comes back late costs the lease */
#define REPORT_BYTES   ((size_t)1024 * 1024)

static void ask(struct node_lease *l);

static void tick_at(struct node_lease *l, uint64_t wait_ms);

static void fence(struct node_lease *l, const char *why)
{
    if (l->registered && !l->fenced) {
        l->fenced = true;
        log_warn("lease", "lease.fenced", "why", why, NULL);
        l->options.on_fenced(l->options.ctx, why);
    }
}

static bool is_late(const struct node_lease *l, uint64_t now)
{
    return now > l->tick_due_ms + l->lease_ms / 3;
}

bool node_lease_holds(struct node_lease *l)
{
    if (!l->registered || l->fenced) {
        return false;
    }
    if (mono_ms() < l->deadline_ms) {
        return true;
    }
    /* Who asks is in the middle of something: on_fenced comes from the loop. */
    if (!l->fence_due && !l->leaving && l->closing == 0) {
        l->fence_due = true;
        l->stood_still = is_late(l, mono_ms()); /* who woke up may ask before the timer fires */
        tick_at(l, 0);
    }
    return false;
}

static void on_tick(uv_timer_t *timer)
{
    struct node_lease *l = timer->data;
    uint64_t now = mono_ms();

    bool stood_still = l->stood_still || is_late(l, now);

    l->fence_due = false;
    l->stood_still = false;
    if (stood_still) {
        fence(l, "the process or its machine stood still");
    } else if (now >= l->deadline_ms) {
        fence(l, "no renewal was answered in time");
    }
    tick_at(l, l->lease_ms / LEASE_RENEWS);
    (void)rights_watch_look(&l->rights);
    ask(l);
}

/* At the deadline at the latest: what is queued then must not be written. */
static void tick_at(struct node_lease *l, uint64_t wait_ms)
{
    uint64_t now = mono_ms();

    if (l->registered && !l->fenced && now + wait_ms > l->deadline_ms) {
        wait_ms = l->deadline_ms > now ? l->deadline_ms - now : 0;
    }
    l->tick_due_ms = now + wait_ms;
    uv_update_time(l->options.loop);
    uv_timer_start(&l->timer, on_tick, wait_ms, 0);
}

void node_lease_renew_soon(struct node_lease *l)
{
    if (l->asking) {
        l->again = true;
    } else if (!l->leaving && l->closing == 0 && mono_ms() + SOON_MS < l->tick_due_ms) {
        tick_at(l, SOON_MS);
    }
}

/* Answers -------------------------------------------------------------------------------------------- */

void node_lease_answered(struct node_lease *l)
{
    l->asking = false;
    if (l->again) {
        l->again = false;
        node_lease_renew_soon(l);
    }
}

/* The answer was made between the question and now. What contradicts the former answers stands: a clock was set. */
static void learn_clock(struct node_lease *l, uint64_t redis_ms)
{
    int64_t low = (int64_t)redis_ms - (int64_t)mono_ms();
    int64_t high = (int64_t)redis_ms - (int64_t)l->sent_ms;

    if (low > l->redis_high || high < l->redis_low) {
        l->redis_low = low;
        l->redis_high = high;
    } else {
        l->redis_low = low > l->redis_low ? low : l->redis_low;
        l->redis_high = high < l->redis_high ? high : l->redis_high;
    }
}

uint64_t node_lease_redis_ms(const struct node_lease *l)
{
    return l->redis_high != 0 ? (uint64_t)((int64_t)mono_ms() + l->redis_low) : 0;
}

static void current(struct node_lease *l, const struct registry_picture *picture)
{
    bool new_link = !l->attached;

    learn_clock(l, picture->now_ms);

    l->registered = true;
    l->attached = true;
    l->held_since_ms = 0;
    l->takeover = 0;
    l->former_link = l->greeting.link_id;
    memcpy(l->former_run, l->greeting.run_id, sizeof(l->former_run));
    snprintf(l->registry_id, sizeof(l->registry_id), "%.*s", (int)picture->registry.len,
             picture->registry.ptr != NULL ? picture->registry.ptr : "");
    l->lease_ms = picture->lease_ms;
    l->compare_ms = picture->compare_ms;
    l->deadline_ms = l->sent_ms + l->lease_ms * 9 / 10;
    if (l->tick_due_ms > mono_ms() + l->lease_ms / LEASE_RENEWS && !l->leaving) {
        tick_at(l, l->lease_ms / LEASE_RENEWS); /* the lease is shorter than it was thought to be */
    }
    if (mono_ms() >= l->deadline_ms) {
        /* The answer itself came too late to act on; the next one decides, and tells this picture again. */
        fence(l, "the renewal was answered too late");
        l->attached = !new_link;
        l->again = true;
        return;
    }
    l->seen_rev = (int64_t)picture->rev;
    if (l->fenced) {
        l->fenced = false;
        log_info("lease", "lease.current", NULL);
    }
    l->options.on_current(l->options.ctx, picture, new_link);
}

static void lost(struct node_lease *l, const char *why, bool emptied)
{
    log_error("lease", "lease.lost", "node", l->options.node, "why", why, NULL);
    l->registered = false;
    l->fenced = false;
    l->attached = false;
    l->options.on_lost(l->options.ctx, why, emptied);
    random_hex(l->incarnation, (INCARNATION_CHARS - 1) / 2);
    l->seen_rev = -1;
    l->again = true;
}

static void on_renewed(void *ctx, const struct registry_picture *picture, const struct err *err)
{
    struct node_lease *l = ctx;

    if (l->closing > 0) {
        return;
    }
    if (picture != NULL) {
        l->options.on_report_arrived(l->options.ctx);
        trouble_over(&l->trouble);
        current(l, picture);
    } else if (err->code == ERR_LOST || err->code == ERR_EMPTIED) {
        l->options.on_report_lost(l->options.ctx);
        lost(l, err->text, err->code == ERR_EMPTIED);
    } else {
        l->options.on_report_lost(l->options.ctx);
        l->again = false; /* at the next turn: a Redis that refuses must not be asked in a rush */
        if ((err->code == ERR_REPLY || err->code == ERR_ABSENT) &&
            trouble_is_news(&l->trouble, err, mono_ms())) {
            log_warn("lease", "lease.renew", "error", err->text, NULL);
        }
    }
    node_lease_answered(l);
}

/* Registering ------------------------------------------------------------------------------------------ */

void node_lease_give_up(struct node_lease *l, const struct err *why)
{
    uv_timer_stop(&l->timer);
    l->leaving = true;
    l->options.on_refused(l->options.ctx, why);
}

static void on_registered(void *ctx, const struct registry_picture *picture,
                          const struct registry_holder *holder, const struct err *err)
{
    struct node_lease *l = ctx;

    if (l->closing > 0) {
        return;
    }
    if (picture != NULL) {
        log_info("lease", "lease.registered", "node", l->options.node, "incarnation",
                 l->incarnation, NULL);
        l->waiting_said = false;
        current(l, picture);
        node_lease_answered(l);
    } else if (holder != NULL) {
        node_lease_id_taken(l, holder);
    } else {
        if (!err_is_silence(err) && err->code != ERR_UNABLE && !l->waiting_said) {
            log_warn("lease", "lease.register", "error", err->text, NULL);
            l->waiting_said = true;
        }
        node_lease_answered(l);
    }
}

static void fill_node(const struct node_lease *l, struct registry_node *n)
{
    *n = (struct registry_node){
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

static void on_checked(void *ctx, const struct err *err)
{
    struct node_lease *l = ctx;
    struct registry_node node;

    if (l->closing > 0) {
        return;
    }
    if (err != NULL) {
        if (err->code == ERR_REFUSED && l->former_link == 0) {
            /* A Redis that cannot serve, found at the start: waiting does not mend it. */
            node_lease_give_up(l, err);
            return;
        }
        if (err->code == ERR_UNABLE && l->former_link == 0) {
            link_refuse(l->link, err->text);
            return;
        }
        if (err->code == ERR_ABSENT || err->code == ERR_REPLY) {
            l->options.on_usable(l->options.ctx);
        }
        if (!err_is_silence(err) && err->code != ERR_UNABLE && !l->waiting_said) {
            log_warn("lease", "lease.waiting", "reason", err->text, NULL);
            l->waiting_said = true;
        }
        node_lease_answered(l);
        return;
    }
    l->options.on_usable(l->options.ctx);
    fill_node(l, &node);
    node.state = l->options.state(l->options.ctx);
    l->sent_ms = mono_ms();
    l->whole_at_ms = l->sent_ms;
    if (registry_register(l->registry, &node, on_registered, l) != 0) {
        node_lease_answered(l);
    }
}

/* Questions -------------------------------------------------------------------------------------------- */

static int renew(struct node_lease *l)
{
    struct registry_node node;
    struct buf report;

    buf_init(&report, REPORT_BYTES);
    l->options.report(l->options.ctx, &report);
    if (report.overflow) {
        log_error("lease", "report.too_large", NULL);
        buf_clear(&report);
    }
    fill_node(l, &node);
    l->sent_ms = mono_ms();
    bool whole = !l->attached || l->sent_ms - l->whole_at_ms >= l->compare_ms;
    l->whole_at_ms = whole ? l->sent_ms : l->whole_at_ms;
    int rc = registry_renew(l->registry, &node, whole ? -1 : l->seen_rev, buf_slice(&report),
                            on_renewed, l);
    if (rc != 0) {
        l->options.on_report_lost(l->options.ctx);
    }
    buf_finish(&report);
    return rc;
}

static void ask(struct node_lease *l)
{
    if (!l->greeted || l->asking || l->leaving || l->closing > 0) {
        return;
    }
    l->asking = true;
    int rc = l->registered ? renew(l) : registry_check(l->registry, on_checked, l);
    if (rc != 0) {
        l->asking = false;
    }
}

/* The link ------------------------------------------------------------------------------------------------ */

static void on_greeting(void *ctx, const struct registry_greeting *greeting, const struct err *err)
{
    struct node_lease *l = ctx;

    if (l->closing > 0) {
        return;
    }
    if (err != NULL) {
        if (!err_is_silence(err)) {
            link_refuse(l->link, err->text);
        }
        return;
    }
    l->greeting = *greeting;
    l->greeted = true;
    link_group_server(l->options.link.group, l->link, greeting->run_id);
    /* What the former link still had in Redis's or the kernel's buffers must not be carried out behind the
     * answer that says how far the fan-out came. Its answer need not be waited for: order is kept. */
    if (l->former_link != 0 && strcmp(l->former_run, greeting->run_id) == 0) {
        (void)!registry_kill_link(l->registry, l->former_link, NULL, NULL);
    }
    ask(l);
}

static void greet(struct node_lease *l)
{
    if (!l->greeting_begun && link_is_up(l->link)) {
        l->greeting_begun = registry_greet(l->registry, on_greeting, l) == 0;
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

static void on_up(void *ctx)
{
    struct node_lease *l = ctx;

    if (!rights_watch_look(&l->rights)) {
        greet(l);
    }
}

static void on_down(void *ctx, const struct err *why)
{
    struct node_lease *l = ctx;

    l->greeting_begun = false;
    l->greeted = false;
    l->attached = false;
    l->asking = false;
    l->again = false;
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
    l->lease_ms = FIRST_LEASE_MS;
    l->seen_rev = -1;
    uv_timer_init(options->loop, &l->timer);
    l->timer.data = l;
    tick_at(l, l->lease_ms / LEASE_RENEWS);
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

static void handle_gone(struct node_lease *l)
{
    if (--l->closing == 0) {
        void (*on_closed)(void *ctx) = l->on_closed;
        void *ctx = l->closed_ctx;
        registry_destroy(l->registry);
        free(l);
        on_closed(ctx);
    }
}

static void on_link_closed(void *ctx)
{
    handle_gone(ctx);
}

static void on_timer_closed(uv_handle_t *handle)
{
    handle_gone(handle->data);
}

void node_lease_close(struct node_lease *l, void (*on_closed)(void *ctx), void *ctx)
{
    l->closing = 2;
    l->registered = false;
    l->on_closed = on_closed;
    l->closed_ctx = ctx;
    rights_watch_stop(&l->rights);
    uv_close((uv_handle_t *)&l->timer, on_timer_closed);
    link_close(l->link, on_link_closed, l);
}

void node_lease_set_users(struct node_lease *l, const char *users)
{
    l->options.users = users;
}

void node_lease_leave(struct node_lease *l, bool said, registry_done_cb cb, void *ctx)
{
    l->leaving = true;
    uv_timer_stop(&l->timer);
    if (!l->registered ||
        registry_leave(l->registry, l->options.node, l->incarnation, said, cb, ctx) != 0) {
        struct err err = {0};
        err_set(&err, ERR_DOWN, "not registered, or Redis is out of reach");
        cb(ctx, &err);
    }
}

struct registry *node_lease_registry(const struct node_lease *l)
{
    return l->registry;
}

struct link *node_lease_link(const struct node_lease *l)
{
    return l->link;
}

const char *node_lease_incarnation(const struct node_lease *l)
{
    return l->incarnation;
}

uint64_t node_lease_ms(const struct node_lease *l)
{
    return l->lease_ms;
}
