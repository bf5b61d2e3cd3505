/* Leader: the driver round the lease: link, greeting, library, one timer. See leader.h. */
#include "coordinator/lead/leader.h"

#include "shared/lease.h"
#include "shared/log.h"
#include "shared/loop.h"
#include "shared/redis/rights_watch.h"
#include "shared/teardown.h"
#include "shared/trouble.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RESIGN_MS  1000
#define LIBRARY_MS 5000 /* between two looks at the library: nodes call what a leader does not */

struct leader {
    struct leader_options options;
    struct lease lease; /* does it lead, and when it asks */
    struct registry *registry;
    struct rights_watch rights;
    struct registry_leader me;
    char incarnation[INCARNATION_CHARS];
    char run_id[41];
    char host[256];
    char pid[24];
    char rival[129]; /* who leads, as logged last */
    uv_timer_t timer;
    struct trouble trouble;              /* with steps */
    uint64_t library_ms;                 /* when the library is looked at next */
    bool told_ready;                     /* on_ready was called for this connection */
    char registry_id[REGISTRY_ID_CHARS]; /* that was led in last; "" none */
    struct teardown teardown;
    void (*on_closed)(void *ctx);
    void *closed_ctx;
};

static void on_timer(uv_timer_t *timer);

/* Resigned, or about to be. */
static bool is_over(const struct leader *l)
{
    return l->lease.right.state == LEASE_LEAVING;
}

/* Set the timer to what comes next. */
static void plan(struct leader *l)
{
    if (!is_over(l)) {
        loop_timer_at(&l->timer, on_timer, lease_due_ms(&l->lease));
    }
}

static void tell_out(struct leader *l, enum lease_change change, const char *why)
{
    if (change == LEASE_OUT) {
        log_warn("leader", "leader.deposed", "id", l->me.id, "why", why, NULL);
        l->rival[0] = '\0';
        l->options.on_out(l->options.ctx);
    }
}

/* Redis refused something it should not: what the connection was prepared for no longer holds. */
static void unprepare(struct leader *l, const struct err *err)
{
    lease_set_link(&l->lease, LEASE_LINK_UP);
    lease_on_failure(&l->lease, mono_ms());
    l->told_ready = false;
    l->options.on_failed(l->options.ctx, err);
}

/* Is it another registry than the one this process knew? What was there is gone. */
static bool is_other_registry(struct leader *l, struct slice id)
{
    bool other = l->registry_id[0] && !slice_is(id, l->registry_id);

    snprintf(l->registry_id, sizeof(l->registry_id), "%.*s", (int)id.len,
             id.ptr != NULL ? id.ptr : "");
    if (other) {
        l->options.on_registry_lost(l->options.ctx);
    }
    return other;
}

static void on_leading(struct leader *l, const struct registry_lead *facts)
{
    uint64_t now = mono_ms();
    enum lease_change change = lease_on_granted(&l->lease, now, facts->lease_ms);

    snprintf(l->me.token, sizeof(l->me.token), "%.*s", (int)facts->token.len, facts->token.ptr);
    tell_out(l, change, "the lease was confirmed too late");
    if (!lease_may_act(&l->lease, now)) {
        return;
    }
    lease_meet(&l->lease, (int64_t)facts->now.ms - (int64_t)now);
    bool lost = is_other_registry(l, facts->registry);
    if (change == LEASE_WON) {
        log_info("leader", "leader.elected", "id", l->me.id, "token", l->me.token, "lease_ms",
                 log_u64(facts->lease_ms), "nodes", log_u64(facts->nodes), NULL);
    } else if (lost) {
        l->options.on_out(l->options.ctx); /* a new term in the new one */
    }
    if (lost || change == LEASE_WON) {
        l->options.on_won(l->options.ctx);
    }
    l->options.on_facts(l->options.ctx, facts);
}

static void on_standby(struct leader *l, const struct registry_lead *facts)
{
    tell_out(l, lease_on_standby(&l->lease, mono_ms(), facts->remaining_ms),
             "another coordinator leads");
    (void)is_other_registry(l, facts->registry);
    if (!slice_is(facts->leader_id, l->rival)) {
        snprintf(l->rival, sizeof(l->rival), "%.*s", (int)facts->leader_id.len,
                 facts->leader_id.ptr);
        log_info("leader", "leader.standby", "id", l->me.id, "leader", l->rival, NULL);
    }
}

static void on_lead(void *ctx, const struct registry_lead *facts, const struct err *err)
{
    struct leader *l = ctx;
    if (is_over(l)) {
        return;
    }
    lease_set_link(&l->lease, LEASE_LINK_READY);
    if (err != NULL && err_is_silence(err)) {
        lease_on_failure(&l->lease, mono_ms());
    } else if (err != NULL) {
        unprepare(l, err);
    } else {
        if (!l->told_ready) {
            /* A replica greets and has the library too: only a step that was done shows that Redis
             * is usable. */
            l->told_ready = true;
            l->options.on_ready(l->options.ctx);
        }
        if (facts->leading) {
            on_leading(l, facts);
        } else {
            on_standby(l, facts);
        }
    }
    plan(l);
}

static void on_library(void *ctx, const struct err *err)
{
    (void)leader_stepped(ctx, "load", err);
}

static void ask(struct leader *l)
{
    uint64_t now = mono_ms();

    if (now >= l->library_ms) {
        l->library_ms = now + LIBRARY_MS;
        (void)!registry_load(l->registry, on_library, l);
    }
    if (registry_lead(l->registry, &l->me, on_lead, l) == 0) {
        lease_asked(&l->lease, now);
    } else {
        lease_on_failure(&l->lease, now);
    }
}

/* May the connection be prepared further, after this answer? */
static bool goes_on(struct leader *l, const struct err *err)
{
    if (is_over(l)) {
        return false;
    }
    if (err != NULL && !err_is_silence(err)) {
        unprepare(l, err);
        plan(l);
    }
    return err == NULL;
}

static void on_loaded(void *ctx, const struct err *err)
{
    struct leader *l = ctx;
    if (goes_on(l, err)) {
        lease_set_link(&l->lease, LEASE_LINK_READY);
        leader_ask_now(l);
    }
}

/* A step of preparing was sent, or was not: `failed`. */
static void wait_for(struct leader *l, int failed)
{
    lease_set_link(&l->lease, failed ? LEASE_LINK_UP : LEASE_LINK_GREETING);
    if (failed) {
        lease_on_failure(&l->lease, mono_ms());
    }
    plan(l);
}

static void on_greeting(void *ctx, const struct registry_greeting *g, const struct err *err)
{
    struct leader *l = ctx;
    if (goes_on(l, err)) {
        l->me.link_id = g->link_id;
        link_group_server(l->options.group, registry_link(l->registry), g->run_id);
        snprintf(l->run_id, sizeof(l->run_id), "%s", g->run_id);
        wait_for(l, registry_load(l->registry, on_loaded, l));
    }
}

static void on_rights(void *ctx, const struct err *missing, bool transactions)
{
    (void)transactions;
    struct leader *l = ctx;
    if (missing != NULL) {
        l->options.on_failed(l->options.ctx, missing);
    } else if (l->lease.link.state == LEASE_LINK_UP) {
        wait_for(l, registry_greet(l->registry, on_greeting, l));
    }
}

static void prepare(struct leader *l)
{
    if (!rights_watch_look(&l->rights)) {
        on_rights(l, NULL, false);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct leader *l = timer->data;
    uint64_t now = mono_ms();

    if (lease_is_ready(&l->lease)) {
        (void)rights_watch_look(&l->rights);
    }
    tell_out(l, lease_on_time(&l->lease, now), "the lease was not confirmed in time");
    if (!lease_turn(&l->lease, now)) {
        /* It came for the deadline, or to see that the loop runs. */
    } else if (lease_is_ready(&l->lease)) {
        ask(l);
    } else {
        prepare(l);
    }
    plan(l);
}

static void on_link_up(void *ctx)
{
    struct leader *l = ctx;
    if (!is_over(l)) {
        lease_set_link(&l->lease, LEASE_LINK_UP);
        prepare(l);
    }
}

static void on_link_down(void *ctx, const struct err *why)
{
    struct leader *l = ctx;
    lease_set_link(&l->lease, LEASE_LINK_DOWN);
    l->told_ready = false;
    if (!is_over(l)) {
        l->options.on_failed(l->options.ctx, why);
        plan(l);
    }
}

struct registry *leader_connect(const struct leader *l, const char *purpose,
                                void (*on_up)(void *ctx),
                                void (*on_down)(void *ctx, const struct err *why), void *ctx)
{
    char name[200];

    snprintf(name, sizeof(name), "shoal-coordinator:%.150s:%s", l->options.id, purpose);
    const struct link_options options = {.url = l->options.url,
                                         .group = l->options.group,
                                         .tls_ca = l->options.tls_ca,
                                         .name = name,
                                         .on_up = on_up,
                                         .on_down = on_down,
                                         .ctx = ctx};
    return registry_create(link_create(l->options.loop, &options), l->options.cluster);
}

struct leader *leader_create(const struct leader_options *options)
{
    struct leader *l = xcalloc(1, sizeof(*l));
    l->options = *options;
    random_hex(l->incarnation, 16);
    if (gethostname(l->host, sizeof(l->host) - 1) != 0) {
        snprintf(l->host, sizeof(l->host), "localhost");
    }
    snprintf(l->pid, sizeof(l->pid), "%d", (int)getpid());
    l->me = (struct registry_leader){.id = options->id,
                                     .incarnation = l->incarnation,
                                     .run_id = l->run_id,
                                     .host = l->host,
                                     .pid = l->pid};
    lease_begin(&l->lease, LEASE_STANDBY, options->id, mono_ms());
    uv_timer_init(options->loop, &l->timer);
    l->timer.data = l;
    l->registry = leader_connect(l, "lead", on_link_up, on_link_down, l);
    l->rights = (struct rights_watch){
        .loop = options->loop,
        .link = {.url = options->url, .tls_ca = options->tls_ca, .group = options->group},
        .cluster = options->cluster,
        .who = RIGHTS_COORDINATOR,
        .on_answer = on_rights,
        .ctx = l};
    return l;
}

/* Stopping ------------------------------------------------------------------------------------- */

static void finish(void *owner)
{
    struct leader *l = owner;

    /* The other rooms end in it, and may still ask whether it leads. */
    l->on_closed(l->closed_ctx);
    registry_destroy(l->registry);
    free(l);
}

static void close_all(struct leader *l)
{
    if (!l->teardown.begun) {
        teardown_begin(&l->teardown, finish, l, NULL, NULL);
        rights_watch_stop(&l->rights);
        teardown_handle(&l->teardown, (uv_handle_t *)&l->timer);
        link_close(registry_link(l->registry), teardown_part_gone, teardown_part(&l->teardown));
    }
}

static void on_resigned(void *ctx, const struct err *err)
{
    struct leader *l = ctx;
    if (err == NULL) {
        log_info("leader", "leader.resigned", "id", l->me.id, NULL);
    }
    close_all(l);
}

static void on_resign_timeout(uv_timer_t *timer)
{
    close_all(timer->data);
}

void leader_stop(struct leader *l, void (*on_closed)(void *ctx), void *ctx)
{
    bool leads = l->lease.right.state == LEASE_LEADING;

    l->on_closed = on_closed;
    l->closed_ctx = ctx;
    lease_leave(&l->lease, false);
    if (leads && registry_resign(l->registry, &l->me, on_resigned, l) == 0) {
        uv_timer_start(&l->timer, on_resign_timeout, RESIGN_MS, 0);
    } else {
        close_all(l);
    }
}

/* What other rooms ask ------------------------------------------------------------------------- */

struct registry *leader_registry(const struct leader *l)
{
    return l->registry;
}

const struct registry_leader *leader_identity(const struct leader *l)
{
    return &l->me;
}

bool leader_may_act(const struct leader *l)
{
    return lease_is_ready(&l->lease) && lease_may_act(&l->lease, mono_ms());
}

bool leader_describe(const struct leader *l, char *out, size_t size)
{
    if (lease_may_act(&l->lease, mono_ms())) {
        snprintf(out, size, "leads");
        return true;
    }
    if (l->told_ready && l->rival[0] != '\0') {
        snprintf(out, size, "stands by; %s leads", l->rival);
        return true;
    }
    snprintf(out, size, "%s", l->told_ready ? "stands by" : "waits for Redis");
    return false;
}

void leader_ask_in(struct leader *l, uint64_t ms)
{
    (void)lease_ask_at(&l->lease, mono_ms() + ms);
    plan(l);
}

void leader_ask_now(struct leader *l)
{
    leader_ask_in(l, 0);
}

int leader_do(const struct leader *l, const char *step, const struct slice *args, size_t n,
              registry_outcome_cb cb, void *ctx)
{
    return leader_may_act(l) ? registry_do(l->registry, &l->me, step, args, n, cb, ctx)
                             : -ERR_CANCELED;
}

bool leader_stepped(struct leader *l, const char *step, const struct err *err)
{
    if (err == NULL || is_over(l) || err_is_silence(err)) {
        return err == NULL;
    }
    if (err->code == ERR_LOST) {
        tell_out(l, lease_on_deposed(&l->lease, mono_ms()), "another coordinator leads");
        plan(l);
        return false;
    }
    if (err->code == ERR_ABSENT) {
        l->library_ms = 0;
    }
    struct err told = *err;
    err_wrap(&told, "%s", step);
    if (!err_is_told(err) && trouble_is_news(&l->trouble, &told, mono_ms())) {
        log_warn("leader", "step.failed", "step", step, "error", err->text, NULL);
    }
    return false;
}

static void on_told(void *ctx, const struct registry_outcome *outcome, const struct err *err)
{
    (void)outcome;
    (void)leader_stepped(ctx, "tell", err);
}

void leader_tell(struct leader *l, const char *step, const struct slice *args, size_t n)
{
    if (leader_do(l, step, args, n, on_told, l) != 0) {
        log_debug("leader", "step.untold", "step", step, "why",
                  "it does not lead, or the link to Redis is down", NULL);
    }
}
