/* Leader: the driver round leadership.c: link, greeting, library, one timer.
 *
 * One question is under way at a time; its sending time is what the own deadline is counted from. The
 * timer stands at the nearest of: the next question, the own deadline, the next try to prepare. */
#include "coordinator/lead/leader.h"

#include "coordinator/lead/leadership.h"
#include "shared/log.h"
#include "shared/redis/rights_watch.h"
#include "shared/trouble.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RETRY_MS  500
#define RESIGN_MS 1000
#define LIBRARY_MS                                                                                 \
    5000 /* so often the library is looked at: nodes call functions that a leader does not */

struct leader {
    struct leader_options options;
    struct link *link;
    struct registry *registry;
    struct rights_watch rights;
    struct leadership leadership;
    struct registry_leader me;
    char incarnation[INCARNATION_CHARS];
    char run_id[41];
    char host[256];
    char pid[24];
    char rival[129]; /* who leads, as logged last */
    uv_timer_t timer;
    struct trouble trouble; /* with steps */
    uint64_t sent_ms;       /* of the question under way */
    uint64_t library_ms;    /* when the library is looked at next */
    bool preparing;         /* greeting or loading is under way */
    bool prepared;          /* this connection may be asked */
    bool told_ready;        /* on_ready was called for this connection */
    bool asking;
    char registry_id[REGISTRY_ID_CHARS]; /* that was led in last; "" none */
    bool ask_again;                      /* leader_ask_now came while a question was under way */
    bool stopping;
    bool closing;
    unsigned open; /* handles */
    void (*on_closed)(void *ctx);
    void *closed_ctx;
};

static void ask(struct leader *l);
static void prepare(struct leader *l);
static void on_timer(uv_timer_t *timer);

/* Set the timer to what comes next. */
static void plan(struct leader *l)
{
    if (l->stopping) {
        return;
    }
    uint64_t now = mono_ms();
    uint64_t due = UINT64_MAX;
    if (l->leadership.state == LEADERSHIP_LEADING) {
        due = l->leadership.deadline_ms;
    }
    bool can_ask = l->prepared && !l->asking;
    bool can_prepare = link_is_up(l->link) && !l->prepared && !l->preparing;
    if ((can_ask || can_prepare) && l->leadership.next_ms < due) {
        due = l->leadership.next_ms;
    }
    if (due == UINT64_MAX) {
        uv_timer_stop(&l->timer);
        return;
    }
    uv_update_time(l->options.loop);
    uv_timer_start(&l->timer, on_timer, due > now ? due - now : 0, 0);
}

static void log_out(struct leader *l, const char *why)
{
    log_warn("leader", "leader.deposed", "id", l->me.id, "why", why, NULL);
    l->rival[0] = '\0';
    l->options.on_out(l->options.ctx);
}

static void on_timer(uv_timer_t *timer)
{
    struct leader *l = timer->data;
    uint64_t now = mono_ms();
    if (l->prepared) {
        (void)rights_watch_look(&l->rights);
    }
    if (leadership_on_time(&l->leadership, now) == LEADERSHIP_OUT) {
        log_out(l, "the lease was not confirmed in time");
    }
    if (now >= l->leadership.next_ms) {
        if (l->prepared && !l->asking) {
            ask(l);
        } else if (link_is_up(l->link) && !l->prepared && !l->preparing) {
            prepare(l);
        }
    }
    plan(l);
}

/* Redis refused something it should not: what the connection was prepared for no longer holds. */
static void unprepare(struct leader *l, const struct err *err)
{
    l->prepared = false;
    l->told_ready = false;
    leadership_on_failure(&l->leadership, mono_ms(), RETRY_MS);
    l->options.on_failed(l->options.ctx, err);
}

/* Is it another registry than the one this process knew? What was there is gone. */
static bool is_other_registry(struct leader *l, struct slice id)
{
    bool other = l->registry_id[0] && !slice_is(id, l->registry_id);

    snprintf(l->registry_id, sizeof(l->registry_id), "%.*s", (int)id.len, id.ptr ? id.ptr : "");
    if (other) {
        l->options.on_registry_lost(l->options.ctx);
    }
    return other;
}

static void on_leading(struct leader *l, const struct registry_lead *facts)
{
    enum leadership_change change =
        leadership_on_leading(&l->leadership, l->sent_ms, mono_ms(), facts->lease_ms, facts->token);
    memcpy(l->me.token, l->leadership.token, sizeof(l->me.token));
    if (change == LEADERSHIP_OUT) {
        log_out(l, "the lease was confirmed too late");
        return;
    }
    if (l->leadership.state != LEADERSHIP_LEADING) {
        return;
    }
    bool lost = is_other_registry(l, facts->registry);
    if (change == LEADERSHIP_WON) {
        log_info("leader", "leader.elected", "id", l->me.id, "token", l->me.token, "lease_ms",
                 log_u64(facts->lease_ms), "nodes", log_u64(facts->nodes), NULL);
    } else if (lost) {
        l->options.on_out(l->options.ctx); /* a new term in the new one */
    }
    if (lost || change == LEADERSHIP_WON) {
        l->options.on_won(l->options.ctx);
    }
    l->options.on_facts(l->options.ctx, facts);
}

static void on_standby(struct leader *l, const struct registry_lead *facts)
{
    if (leadership_on_standby(&l->leadership, mono_ms(), facts->remaining_ms) == LEADERSHIP_OUT) {
        log_out(l, "another coordinator leads");
    }
    (void)is_other_registry(l, facts->registry);
    if (!slice_is(facts->leader_id, l->rival)) {
        snprintf(l->rival, sizeof(l->rival), "%.*s", (int)facts->leader_id.len,
                 facts->leader_id.ptr);
        log_info("leader", "leader.standby", "id", l->me.id, "leader", l->rival, NULL);
    }
}

/* A replica greets and has the library too: only a step that was done shows that Redis is usable. */
static void tell_ready(struct leader *l)
{
    if (!l->told_ready) {
        l->told_ready = true;
        l->options.on_ready(l->options.ctx);
    }
}

static void on_lead(void *ctx, const struct registry_lead *facts, const struct err *err)
{
    struct leader *l = ctx;
    l->asking = false;
    if (l->stopping) {
        return;
    }
    if (err && err_is_silence(err)) {
        leadership_on_failure(&l->leadership, mono_ms(), RETRY_MS);
    } else if (err) {
        unprepare(l, err);
    } else {
        tell_ready(l);
        if (facts->leading) {
            on_leading(l, facts);
        } else {
            on_standby(l, facts);
        }
    }
    if (l->ask_again) {
        l->ask_again = false;
        leadership_ask_at(&l->leadership, mono_ms());
    }
    plan(l);
}

static void on_library(void *ctx, const struct err *err)
{
    struct leader *l = ctx;
    if (err && !l->closing) {
        leader_step_failed(l, "load", err);
    }
}

static void look_at_library(struct leader *l)
{
    if (l->sent_ms >= l->library_ms) {
        l->library_ms = l->sent_ms + LIBRARY_MS;
        (void)!registry_load(l->registry, on_library, l);
    }
}

static void ask(struct leader *l)
{
    l->sent_ms = mono_ms();
    look_at_library(l);
    l->asking = registry_lead(l->registry, &l->me, on_lead, l) == 0;
    if (!l->asking) {
        leadership_on_failure(&l->leadership, l->sent_ms, RETRY_MS);
    }
}

static void on_loaded(void *ctx, const struct err *err)
{
    struct leader *l = ctx;
    l->preparing = false;
    if (l->stopping) {
        return;
    }
    if (err) {
        if (!err_is_silence(err)) {
            unprepare(l, err);
        }
    } else {
        l->prepared = true;
        leadership_ask_at(&l->leadership, mono_ms());
    }
    plan(l);
}

static void on_greeting(void *ctx, const struct registry_greeting *g, const struct err *err)
{
    struct leader *l = ctx;
    l->preparing = false;
    if (l->stopping) {
        return;
    }
    if (err) {
        if (!err_is_silence(err)) {
            unprepare(l, err);
        }
    } else {
        l->me.link_id = g->link_id;
        link_group_server(l->options.group, l->link, g->run_id);
        snprintf(l->run_id, sizeof(l->run_id), "%s", g->run_id);
        l->preparing = registry_load(l->registry, on_loaded, l) == 0;
    }
    plan(l);
}

static void greet(struct leader *l)
{
    l->preparing = registry_greet(l->registry, on_greeting, l) == 0;
    if (!l->preparing) {
        leadership_on_failure(&l->leadership, mono_ms(), RETRY_MS);
    }
}

static void on_rights(void *ctx, const struct err *missing, bool transactions)
{
    struct leader *l = ctx;
    (void)transactions;
    if (missing) {
        l->preparing = false;
        l->options.on_failed(l->options.ctx, missing);
    } else if (link_is_up(l->link) && !l->prepared) {
        greet(l);
        plan(l);
    }
}

static void prepare(struct leader *l)
{
    l->preparing = rights_watch_look(&l->rights);
    if (!l->preparing) {
        greet(l);
    }
}

static void on_link_up(void *ctx)
{
    struct leader *l = ctx;
    if (!l->stopping) {
        l->prepared = false;
        prepare(l);
        plan(l);
    }
}

static void on_link_down(void *ctx, const struct err *why)
{
    struct leader *l = ctx;
    l->prepared = false;
    l->preparing = false;
    l->told_ready = false;
    if (!l->stopping) {
        l->options.on_failed(l->options.ctx, why);
        plan(l);
    }
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
    leadership_init(&l->leadership, mono_ms());
    uv_timer_init(options->loop, &l->timer);
    l->timer.data = l;
    l->open = 2;
    char name[200];
    snprintf(name, sizeof(name), "shoal-coordinator:%.150s:lead", options->id);
    l->link = link_create(options->loop, &(struct link_options){.url = options->url,
                                                                .group = options->group,
                                                                .tls_ca = options->tls_ca,
                                                                .name = name,
                                                                .on_up = on_link_up,
                                                                .on_down = on_link_down,
                                                                .ctx = l});
    l->registry = registry_create(l->link, options->cluster);
    l->rights = (struct rights_watch){
        .loop = options->loop,
        .link = {.url = options->url, .tls_ca = options->tls_ca, .group = options->group},
        .cluster = options->cluster,
        .who = RIGHTS_COORDINATOR,
        .on_answer = on_rights,
        .ctx = l};
    return l;
}

/* Stopping --------------------------------------------------------------------------------------- */

static void handle_closed(struct leader *l)
{
    if (--l->open > 0) {
        return;
    }
    /* The other rooms end in it, and may still ask whether it leads. */
    if (l->on_closed) {
        l->on_closed(l->closed_ctx);
    }
    registry_destroy(l->registry);
    free(l);
}

static void on_timer_closed(uv_handle_t *handle)
{
    handle_closed(handle->data);
}

static void on_link_closed(void *ctx)
{
    handle_closed(ctx);
}

static void close_all(struct leader *l)
{
    if (l->closing) {
        return;
    }
    l->closing = true;
    rights_watch_stop(&l->rights);
    uv_close((uv_handle_t *)&l->timer, on_timer_closed);
    link_close(l->link, on_link_closed, l);
}

static void on_resigned(void *ctx, const struct err *err)
{
    struct leader *l = ctx;
    if (!l->closing) {
        if (!err) {
            log_info("leader", "leader.resigned", "id", l->me.id, NULL);
        }
        close_all(l);
    }
}

static void on_resign_timeout(uv_timer_t *timer)
{
    close_all(timer->data);
}

void leader_stop(struct leader *l, void (*on_closed)(void *ctx), void *ctx)
{
    l->on_closed = on_closed;
    l->closed_ctx = ctx;
    bool first = !l->stopping;
    bool leads = l->leadership.state == LEADERSHIP_LEADING;
    l->stopping = true;
    if (first && leads && registry_resign(l->registry, &l->me, on_resigned, l) == 0) {
        uv_timer_start(&l->timer, on_resign_timeout, RESIGN_MS, 0);
        return;
    }
    close_all(l);
}

/* What other rooms ask ---------------------------------------------------------------------------- */

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
    return !l->stopping && l->prepared && leadership_may_act(&l->leadership, mono_ms());
}

void leader_ask_now(struct leader *l)
{
    if (l->asking) {
        l->ask_again = true;
        return;
    }
    leadership_ask_at(&l->leadership, mono_ms());
    plan(l);
}

void leader_step_failed(struct leader *l, const char *step, const struct err *err)
{
    if (l->stopping || err_is_silence(err)) {
        return;
    }
    if (err->code == ERR_LOST) {
        if (leadership_on_deposed(&l->leadership, mono_ms()) == LEADERSHIP_OUT) {
            log_out(l, "another coordinator leads");
        }
        plan(l);
        return;
    }
    if (err->code == ERR_ABSENT) {
        l->library_ms = 0;
    }
    struct err told = *err;
    err_wrap(&told, "%s", step);
    if (err->code != ERR_UNABLE && trouble_is_news(&l->trouble, &told, mono_ms())) {
        log_warn("leader", "step.failed", "step", step, "error", err->text, NULL);
    }
}
