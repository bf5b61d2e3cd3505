/* Monitoring: a scrape waits for a fresh document, or for nothing any more. */
#include "coordinator/web/monitoring.h"

#include "coordinator/status/status_meters.h"

#include <stdio.h>
#include <stdlib.h>

#define TEXT "text/plain; charset=utf-8"

#define METERS_OF_COORDINATOR(X)                                                                   \
    X(coordinator_leads, GAUGE, "", NONE, "1: this coordinator leads; 0: it stands by")
struct meters_coordinator {
    METERS_OF_COORDINATOR(METER_MEMBER)
};
#define COORDINATOR_ROW(...) METER_ROW(struct meters_coordinator, __VA_ARGS__)
static const struct meter rows[] = {METERS_OF_COORDINATOR(COORDINATOR_ROW){0}};

struct scrape {
    struct monitoring *monitoring;
    struct web_request *request;
};

static void write_all(void *ctx, struct exposition *e)
{
    struct monitoring *m = ctx;
    const struct meters_coordinator own = {.coordinator_leads = leader_may_act(m->leader)};

    exposition_write(e, rows, &own);
    status_meters_write(status_watch_document(m->watch), e);
}

void monitoring_begin(struct monitoring *m, uv_loop_t *loop, const struct leader *leader,
                      struct status_watch *watch)
{
    m->leader = leader;
    m->watch = watch;
    metrics_page_begin(&m->page, loop, write_all, m);
}

void monitoring_end(struct monitoring *m, struct teardown *t)
{
    metrics_page_end(&m->page, t);
}

/* Where there is none, that is told, and what can be told without. */
static void on_document(void *ctx, const cJSON *document, const struct err *why)
{
    struct scrape *s = ctx;

    (void)document;
    (void)why;
    metrics_page_answer(&s->monitoring->page, s->request);
    free(s);
}

static void on_gone(void *ctx)
{
    struct scrape *s = ctx;

    status_watch_forget(s->monitoring->watch, s);
    free(s);
}

void monitoring_metrics(struct monitoring *m, struct web_request *r)
{
    struct scrape *s = xmalloc(sizeof(*s));

    *s = (struct scrape){m, r};
    web_request_on_gone(r, on_gone, s);
    status_watch_ask(m->watch, on_document, s);
}

void monitoring_readyz(const struct monitoring *m, struct web_request *r)
{
    char how[200];
    char body[210];
    bool ready = leader_describe(m->leader, how, sizeof(how));

    snprintf(body, sizeof(body), "%s\n", how);
    web_answer(r, ready ? 200 : 503, TEXT, slice_of(body));
}
