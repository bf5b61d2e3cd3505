/* Status watch: one timer, one round at a time, and who waits for its end. */
#include "coordinator/status/status_watch.h"

#include "coordinator/status/status_history.h"
#include "shared/loop.h"
#include "shared/teardown.h"

#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

#define ROUND_MS    1000  /* between two rounds while somebody looks */
#define SOON_MS     250   /* where something happened */
#define AGAIN_MS    200   /* after one that failed */
#define LOOKS_MS    15000 /* who asked is taken to look for so long */
#define PATIENCE_MS 2000  /* of who asks */
#define REDIS_MS    60000 /* between two looks at Redis itself */

struct waiter {
    status_watch_cb cb;
    void *ctx;
    uint64_t until_ms;
    struct waiter *prev;
    struct waiter *next;
};

struct status_watch {
    struct status_watch_options options;
    struct registry *registry;
    uv_timer_t timer;
    struct teardown teardown;
    uint64_t looked_at_until_ms;
    struct waiter *waiters;
    void (*on_change)(void *ctx);
    void *ctx;
    /* The round: */
    struct records records;
    bool reading;
    bool whole;             /* all is read, not the nodes alone */
    uint64_t began_ms;      /* the last that was whole */
    uint64_t whole_due_ms;  /* while somebody looks */
    uint64_t not_before_ms; /* the last one failed */
    /* Redis itself: */
    struct look look;   /* under way */
    struct look looked; /* the last that was whole */
    bool has_looked;
    uint64_t look_due_ms;
    /* What is known: */
    struct status_history history;
    cJSON *document;
    uint64_t made_ms; /* then; 0: it is not fresh whatever the time */
    struct err why;   /* it is not read; code 0: it is */
};

static void go_on(struct status_watch *w);

/* Who waits ------------------------------------------------------------------------------------ */

static void answer(struct status_watch *w, struct waiter *waiter)
{
    struct waiter one = *waiter;

    DL_DELETE(w->waiters, waiter);
    free(waiter);
    one.cb(one.ctx, w->document, w->document == NULL ? &w->why : NULL);
}

/* Those who waited long enough, or all. */
static void answer_waiters(struct status_watch *w, bool all)
{
    uint64_t now_ms = mono_ms();

    /* The first has waited longest. */
    while (w->waiters != NULL && (all || now_ms >= w->waiters->until_ms)) {
        answer(w, w->waiters);
    }
}

static bool is_fresh(const struct status_watch *w)
{
    return w->document != NULL &&
           (w->why.code != ERR_OK || (w->made_ms > 0 && mono_ms() < w->made_ms + ROUND_MS));
}

void status_watch_ask(struct status_watch *w, status_watch_cb cb, void *ctx)
{
    struct waiter *waiter = xmalloc(sizeof(*waiter));

    *waiter = (struct waiter){.cb = cb, .ctx = ctx, .until_ms = mono_ms() + PATIENCE_MS};
    DL_APPEND(w->waiters, waiter);
    if (is_fresh(w) || w->teardown.begun) {
        answer(w, waiter);
    }
    status_watch_look(w);
}

void status_watch_forget(struct status_watch *w, const void *ctx)
{
    struct waiter *waiter;
    struct waiter *next;

    DL_FOREACH_SAFE(w->waiters, waiter, next)
    {
        if (waiter->ctx == ctx) {
            DL_DELETE(w->waiters, waiter);
            free(waiter);
        }
    }
}

void status_watch_look(struct status_watch *w)
{
    w->looked_at_until_ms = mono_ms() + LOOKS_MS;
    go_on(w);
}

void status_watch_soon(struct status_watch *w)
{
    uint64_t soon_ms = w->began_ms + SOON_MS;

    if (soon_ms < w->whole_due_ms) {
        w->whole_due_ms = soon_ms;
        go_on(w);
    }
}

/* What is known -------------------------------------------------------------------------------- */

/* Before who waits is answered: what was made of the document before is forgotten then. */
static void tell(struct status_watch *w)
{
    if (w->on_change != NULL && !w->teardown.begun) {
        w->on_change(w->ctx);
    }
}

static void put_history(struct status_watch *w)
{
    if (w->document != NULL) {
        cJSON_DeleteItemFromObjectCaseSensitive(w->document, "history");
        cJSON_AddItemToObject(w->document, "history", status_history_json(&w->history));
    }
}

/* `nodes` NULL: they could not be read. */
static void add_point(struct status_watch *w, const cJSON *nodes, struct wall at)
{
    if (status_history_is_due(&w->history, mono_ms())) {
        status_history_add(&w->history, mono_ms(), nodes, at);
        put_history(w);
    }
}

static void make_document(struct status_watch *w)
{
    cJSON_Delete(w->document);
    w->document = status_document(
        &(struct status_facts){&w->records, w->options.cluster, w->has_looked ? &w->looked : NULL});
    cJSON_AddStringToObject(w->document, "coordinator", w->options.id);
    w->made_ms = mono_ms();
    put_history(w);
}

static void is_out_of_reach(struct status_watch *w, const struct err *why)
{
    w->why = *why;
    w->made_ms = 0;
    w->not_before_ms = mono_ms() + AGAIN_MS;
    if (w->document != NULL) {
        status_is_out_of_reach(w->document, why->text);
        tell(w);
        answer_waiters(w, true);
    }
}

/* Rounds --------------------------------------------------------------------------------------- */

static void on_looked(void *ctx, const struct look *l)
{
    struct status_watch *w = ctx;

    if (!l->failed) {
        w->looked = *l;
        w->has_looked = true;
        w->look_due_ms = mono_ms() + REDIS_MS;
    }
}

static void on_read(void *ctx, const struct err *err)
{
    struct status_watch *w = ctx;

    w->reading = false;
    if (err == NULL) {
        w->why = (struct err){0};
        add_point(w, w->records.nodes, w->records.state->now);
    }
    if (err == NULL && w->whole) {
        make_document(w);
    }
    records_finish(&w->records);
    if (err != NULL) {
        is_out_of_reach(w, err);
    } else if (w->whole) {
        tell(w);
        answer_waiters(w, true);
    }
    go_on(w);
}

static void begin(struct status_watch *w, bool whole)
{
    uint64_t now_ms = mono_ms();

    w->reading = true;
    w->whole = whole;
    if (whole) {
        w->began_ms = now_ms;
        w->whole_due_ms = now_ms + ROUND_MS;
    }
    /* Asked before all else, so it is answered when the round is done. */
    if (whole && now_ms >= w->look_due_ms && !look_is_under_way(&w->look)) {
        (void)!look_begin(&w->look, w->registry, w->options.url->db, on_looked, w);
    }
    records_init(&w->records,
                 &(struct records_options){.registry = w->registry,
                                           .what = whole ? STATUS_RECORDS : RECORDS_NODES,
                                           .on_done = on_read,
                                           .ctx = w});
    records_resume(&w->records);
}

static uint64_t earlier(uint64_t one, uint64_t other)
{
    return one < other ? one : other;
}

/* When to look at what is due again. */
static uint64_t next_ms(const struct status_watch *w, uint64_t now_ms)
{
    uint64_t next = w->history.due_ms;

    if (now_ms < w->looked_at_until_ms) {
        next = earlier(next, w->whole_due_ms);
    }
    if (w->waiters != NULL) {
        next = earlier(next, earlier(w->not_before_ms, w->waiters->until_ms));
    }
    return next > now_ms ? next : now_ms + AGAIN_MS;
}

static void on_timer(uv_timer_t *timer)
{
    struct status_watch *w = timer->data;

    if (w->waiters != NULL && mono_ms() >= w->waiters->until_ms) {
        struct err slow = w->why;
        if (slow.code == ERR_OK) {
            err_set(&slow, ERR_TIMEOUT, "Redis has not answered for %d s", PATIENCE_MS / 1000);
        }
        is_out_of_reach(w, &slow);
        answer_waiters(w, false);
    }
    if (!link_is_up(registry_link(w->registry)) && w->history.n > 0) {
        add_point(w, NULL, (struct wall){0});
    }
    go_on(w);
}

static void go_on(struct status_watch *w)
{
    uint64_t now_ms = mono_ms();
    bool looked_at = now_ms < w->looked_at_until_ms;
    bool due = looked_at ? w->waiters != NULL || now_ms >= w->whole_due_ms
                         : status_history_is_due(&w->history, now_ms);

    if (w->teardown.begun) {
        return;
    }
    if (due && !w->reading && now_ms >= w->not_before_ms &&
        link_is_up(registry_link(w->registry))) {
        begin(w, looked_at);
    }
    loop_timer_at(&w->timer, on_timer, next_ms(w, now_ms));
}

/* Life ----------------------------------------------------------------------------------------- */

static void on_up(void *ctx)
{
    struct status_watch *w = ctx;

    w->not_before_ms = 0;
    go_on(w);
}

static void on_down(void *ctx, const struct err *why)
{
    is_out_of_reach(ctx, why);
}

struct status_watch *status_watch_create(const struct status_watch_options *options)
{
    struct status_watch *w = xcalloc(1, sizeof(*w));
    char name[200];

    w->options = *options;
    snprintf(name, sizeof(name), "shoal-coordinator:%.150s:status", options->id);
    const struct link_options link = {.url = options->url,
                                      .group = options->group,
                                      .tls_ca = options->tls_ca,
                                      .name = name,
                                      .on_up = on_up,
                                      .on_down = on_down,
                                      .ctx = w};
    BUG_ON(uv_timer_init(options->loop, &w->timer) != 0);
    w->timer.data = w;
    w->registry = registry_create(link_create(options->loop, &link), options->cluster);
    go_on(w);
    return w;
}

static void finish(void *owner)
{
    struct status_watch *w = owner;

    registry_destroy(w->registry);
    cJSON_Delete(w->document);
    free(w);
}

void status_watch_close(struct status_watch *w, void (*on_closed)(void *ctx), void *ctx)
{
    if (w == NULL) {
        if (on_closed != NULL) {
            on_closed(ctx);
        }
        return;
    }
    teardown_begin(&w->teardown, finish, w, on_closed, ctx);
    err_set(&w->why, ERR_CANCELED, "the coordinator stops");
    answer_waiters(w, true);
    teardown_handle(&w->teardown, (uv_handle_t *)&w->timer);
    link_close(registry_link(w->registry), teardown_part_gone, teardown_part(&w->teardown));
}

void status_watch_on_change(struct status_watch *w, void (*on_change)(void *ctx), void *ctx)
{
    w->on_change = on_change;
    w->ctx = ctx;
}

const cJSON *status_watch_document(const struct status_watch *w)
{
    return w->document;
}

struct registry *status_watch_registry(const struct status_watch *w)
{
    return w->registry;
}
