/* Intake: the driver between the stream and the steps.
 *
 * `after` is the last entry read. Steps go through the leader's link, which keeps their order; reading
 * goes through a link of its own, since it blocks. A read that was under way when leading ended or when
 * reading began anew is known by its generation, and its entries are not used. */
#include "coordinator/intake.h"

#include "coordinator/assignment.h"
#include "coordinator/request.h"
#include "shared/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

#define MAX_UNDER_WAY  64
#define MAX_NAMES      8000 /* channels in all steps under way, so that a renewal never waits long */
#define BLOCK_MS       1000
#define READ_AGAIN_MS  1000 /* after a refused step */
#define FROM_BEGINNING "0-0"

struct intake {
    struct intake_options options;
    struct link *link;
    struct registry *reader;
    bool active;
    bool closing;
    bool reading;
    bool pumping;     /* pump is under way */
    bool deciding;    /* the shard manager was asked about the join that comes next */
    bool is_set_up;   /* before that, joins wait */
    bool anew;        /* a step failed: read from the beginning once nothing is under way ... */
    uint64_t anew_ms; /* ... and not before */
    unsigned generation;
    unsigned read_generation; /* of the read under way */
    char after[64];
    struct request *pending; /* read and not sent */
    size_t nunder_way;
    size_t nnames; /* channels in the steps under way */
    void (*on_closed)(void *ctx);
    void *closed_ctx;
};

/* A step under way. */
struct errand {
    struct intake *intake;
    struct request *request;
};

static void pump(struct intake *i);

static void forget_pending(struct intake *i)
{
    struct request *each;
    struct request *spare;
    LL_FOREACH_SAFE(i->pending, each, spare)
    {
        LL_DELETE(i->pending, each);
        request_destroy(each);
    }
}

static void read_anew(struct intake *i, uint64_t delay_ms)
{
    i->anew = true;
    i->anew_ms = mono_ms() + delay_ms;
}

/* The step changed what the shard manager looks at. */
static void tell_view(const struct intake *i, const struct request *r, struct slice reply)
{
    struct cluster_view *view = manager_view(i->options.manager);

    if (r->step == REQUEST_RELEASE) {
        cluster_view_on_reply(view, reply);
    } else if (r->step == REQUEST_CONFIGURE) {
        cluster_view_refresh(view);
    }
}

static void on_step(void *ctx, struct slice word, struct slice rest, const struct err *err)
{
    struct errand *errand = ctx;
    struct intake *i = errand->intake;
    struct request *r = errand->request;
    free(errand);
    i->nunder_way--;
    i->nnames -= r->nargs;
    if (err) {
        leader_step_failed(i->options.leader, "request", err);
        read_anew(i, err_is_silence(err) || err->code == ERR_LOST ? 0 : READ_AGAIN_MS);
        if (err->code == ERR_CANCELED) {
            i->deciding = false;
            forget_pending(i); /* it comes again, before them */
        }
    } else {
        tell_view(i, r, rest);
        log_debug("intake", "request.done", "id", log_slice(r->id), "op", log_slice(r->op), "word",
                  log_slice(word), "reply", log_slice(rest), NULL);
    }
    request_destroy(r);
    pump(i);
}

static void on_sent(void *ctx)
{
    struct errand *errand = ctx;
    struct intake *i = errand->intake;

    i->deciding = false;
    pump(i);
}

static void begin_join(struct intake *i, struct request *r, struct errand *errand)
{
    const struct assignment_request join = {
        .manager = i->options.manager,
        .request = {.entry = r->entry, .id = r->id},
        .mode = "join",
        .channels = r->args,
        .n = r->nargs,
        .not_yet = i->is_set_up ? NULL : "The cluster is being set up.",
        .on_sent = on_sent,
        .cb = on_step,
        .ctx = errand,
    };
    i->deciding = true;
    assignment_begin(&join);
}

/* Send the first of the pending; false where the link is down. */
static bool send_first(struct intake *i)
{
    struct request *r = i->pending;
    struct errand *errand = xmalloc(sizeof(*errand));
    struct leader *leader = i->options.leader;

    *errand = (struct errand){i, r};
    if (r->step != REQUEST_ASSIGN &&
        request_send(r, leader_registry(leader), leader_identity(leader), on_step, errand) != 0) {
        free(errand);
        return false;
    }
    LL_DELETE(i->pending, r);
    i->nunder_way++;
    i->nnames += r->nargs;
    if (r->step == REQUEST_ASSIGN) {
        begin_join(i, r, errand);
    }
    return true;
}

static void on_entries(void *ctx, const struct registry_entry *entries, size_t n,
                       const struct err *err)
{
    struct intake *i = ctx;
    i->reading = false;
    if (err && !err_is_silence(err)) {
        leader_step_failed(i->options.leader, "read_stream", err);
        read_anew(i, READ_AGAIN_MS);
        return; /* tried again at the next renewal */
    }
    if (err) {
        read_anew(i, 0);
        return; /* tried again when the link is up */
    }
    if (i->read_generation == i->generation && i->active && n > 0) {
        for (size_t at = 0; at < n; at++) {
            struct request *r = request_create(&entries[at]);
            LL_APPEND(i->pending, r);
        }
        snprintf(i->after, sizeof(i->after), "%.*s", (int)entries[n - 1].id.len,
                 entries[n - 1].id.ptr);
    }
    pump(i);
}

static void read_more(struct intake *i)
{
    if (i->anew && i->nunder_way == 0 && mono_ms() >= i->anew_ms) {
        i->anew = false;
        snprintf(i->after, sizeof(i->after), FROM_BEGINNING);
    }
    i->read_generation = i->generation;
    i->reading =
        registry_read_stream(i->reader, "requests", i->after, BLOCK_MS, on_entries, i) == 0;
}

static void send_pending(struct intake *i)
{
    i->pumping = true;
    while (i->pending && !i->deciding && i->nunder_way < MAX_UNDER_WAY &&
           (i->nunder_way == 0 || i->nnames + i->pending->nargs <= MAX_NAMES)) {
        if (!send_first(i)) {
            forget_pending(i);
            read_anew(i, 0);
        }
    }
    i->pumping = false;
}

static void pump(struct intake *i)
{
    if (!i->active || i->closing || i->pumping || !leader_may_act(i->options.leader)) {
        return;
    }
    send_pending(i);
    if (!i->pending && !i->reading && link_is_up(i->link)) {
        read_more(i);
    }
}

static void on_link_up(void *ctx)
{
    struct intake *i = ctx;
    read_anew(i, 0);
    pump(i);
}

static void on_link_down(void *ctx, const struct err *why)
{
    (void)ctx;
    log_debug("intake", "redis.down", "error", why->text, NULL);
}

struct intake *intake_create(const struct intake_options *options)
{
    struct intake *i = xcalloc(1, sizeof(*i));
    i->options = *options;
    snprintf(i->after, sizeof(i->after), FROM_BEGINNING);
    char name[200];
    snprintf(name, sizeof(name), "shoal-coordinator:%.150s:requests", options->id);
    i->link = link_create(options->loop, &(struct link_options){.url = options->url,
                                                                .group = options->group,
                                                                .tls_ca = options->tls_ca,
                                                                .name = name,
                                                                .on_up = on_link_up,
                                                                .on_down = on_link_down,
                                                                .ctx = i});
    i->reader = registry_create(i->link, options->cluster);
    return i;
}

void intake_begin(struct intake *i)
{
    i->active = true;
    i->generation++;
    forget_pending(i);
    read_anew(i, 0);
    pump(i);
}

void intake_end(struct intake *i)
{
    i->active = false;
    i->is_set_up = false;
    i->generation++;
    forget_pending(i);
}

void intake_set_up(struct intake *i, bool done)
{
    i->is_set_up = done;
}

void intake_go_on(struct intake *i)
{
    pump(i);
}

static void on_link_closed(void *ctx)
{
    struct intake *i = ctx;
    void (*on_closed)(void *ctx) = i->on_closed;
    void *closed_ctx = i->closed_ctx;
    registry_destroy(i->reader);
    forget_pending(i);
    free(i);
    if (on_closed) {
        on_closed(closed_ctx);
    }
}

void intake_close(struct intake *i, void (*on_closed)(void *ctx), void *ctx)
{
    BUG_ON(i->nunder_way > 0);
    i->closing = true;
    i->on_closed = on_closed;
    i->closed_ctx = ctx;
    link_close(i->link, on_link_closed, i);
}
