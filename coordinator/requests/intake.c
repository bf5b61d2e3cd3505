/* Intake: the driver between the streams and the steps.
 *
 * `place` is how far they have been read. Steps, and reading, which is one too, go through the
 * leader's link, which keeps their order; waiting for the bell goes through a link of its own,
 * since it blocks. */
#include "coordinator/requests/intake.h"

#include "coordinator/requests/assignment.h"
#include "coordinator/requests/bell.h"
#include "coordinator/requests/request_queue.h"
#include "shared/log.h"
#include "shared/machine.h"

#include <stdlib.h>
#include <string.h>

#define MAX_UNDER_WAY 64
#define MAX_NAMES     4000 /* channels in all steps under way, so that a renewal never waits long */
#define READ_AGAIN_MS 1000 /* after a refused step */
#define SET_UP_MS     2000 /* mostly a cluster is set up in less: a join waits for it so long */
#define NEVER         UINT64_MAX

/* READER_DONE: up to `place`, as far as is known. */
enum reader { READER_DONE, READER_BEHIND, READER_READING };

static const struct machine_state readers[] = {
    [READER_DONE] = {"done", MACHINE_BIT(READER_BEHIND)},
    [READER_BEHIND] = {"behind", MACHINE_BIT(READER_READING)},
    [READER_READING] = {"reading", MACHINE_BIT(READER_DONE) | MACHINE_BIT(READER_BEHIND)},
};
static const struct machine_type reader_machine = {NULL, readers, ARRAY_LEN(readers), NULL, NULL};

struct intake {
    struct leader *leader;
    struct shard_manager *manager;
    struct registry *bell_registry; /* on a link of its own */
    struct machine reader;          /* enum reader */
    struct machine bell;            /* enum bell */
    bool active;
    bool pumping;   /* pump is under way */
    bool deciding;  /* the shard manager was asked about the join that comes next */
    bool is_set_up; /* before that, channels wait */
    uint64_t began_ms;
    uint64_t anew_ms; /* read from the beginning then, once nothing is under way; or NEVER */
    uint64_t bell_ms; /* since when it is waited for */
    struct registry_place place;
    struct request_queue *queue; /* read and not sent */
    size_t nunder_way;
    size_t nnames; /* channels in the steps under way */
};

static void pump(struct intake *i);

/* There may be something to read. */
static void look(struct intake *i)
{
    if (i->reader.state == READER_DONE) {
        machine_move(&i->reader, READER_BEHIND, i);
    }
}

static void forget_bell(struct intake *i)
{
    if (i->bell.state == BELL_RANG) {
        machine_move(&i->bell, BELL_IDLE, i);
    }
}

static void read_anew(struct intake *i, uint64_t delay_ms)
{
    i->anew_ms = mono_ms() + delay_ms;
}

/* The step changed what the shard manager looks at. */
static void tell_view(const struct intake *i, const struct request *r,
                      const struct registry_outcome *outcome)
{
    struct cluster_view *view = manager_view(i->manager);

    if (r->step == REQUEST_PART) {
        cluster_view_on_outcome(view, outcome);
    } else if (r->step == REQUEST_CONFIGURE) {
        cluster_view_refresh(view);
    }
}

/* Refusing ------------------------------------------------------------------------------------- */

static void on_refused(void *ctx, const struct err *err)
{
    struct intake *i = ctx;
    if (!leader_stepped(i->leader, "refuse", err)) {
        read_anew(i, READ_AGAIN_MS);
    }
}

static void refuse(struct intake *i, const struct registry_refusal *refusals, size_t n,
                   const char *why)
{
    if (n > 0 && registry_refuse(leader_registry(i->leader), leader_identity(i->leader),
                                 slice_of(why), refusals, n, on_refused, i) != 0) {
        read_anew(i, 0);
    }
}

/* Sending -------------------------------------------------------------------------------------- */

static void on_step(void *ctx, const struct registry_outcome *outcome, const struct err *err)
{
    struct request *r = ctx;
    struct intake *i = r->owner;
    i->nunder_way--;
    i->nnames -= r->nargs;
    if (leader_stepped(i->leader, "request", err)) {
        tell_view(i, r, outcome);
        log_debug("intake", "request.done", "id", log_slice(r->id), "op", log_slice(r->op), "word",
                  log_slice(outcome->word), "reply", log_slice(outcome->json), NULL);
    } else if (err->code == ERR_MEMORY) {
        /* What needs memory does not wait until there is some: the asker can do more about it. */
        refuse(i, &(struct registry_refusal){{r->entry, r->id}, r->op}, 1, err->text);
    } else {
        read_anew(i, err_is_silence(err) || err->code == ERR_LOST ? 0 : READ_AGAIN_MS);
        if (err->code == ERR_CANCELED) {
            i->deciding = false;
            request_queue_clear(i->queue); /* it comes again, before them */
        }
    }
    request_destroy(r);
    pump(i);
}

static void on_sent(void *ctx)
{
    const struct request *r = ctx;
    struct intake *i = r->owner;

    i->deciding = false;
    pump(i);
}

static void begin_join(struct intake *i, struct request *r)
{
    const struct assignment_request join = {
        .manager = i->manager,
        .request = {.entry = r->entry, .id = r->id},
        .mode = "join",
        .channels = r->args,
        .n = r->nargs,
        .user = r->user,
        .not_yet = i->is_set_up ? NULL : "The cluster is being set up.",
        .on_sent = on_sent,
        .cb = on_step,
        .ctx = r,
    };
    i->deciding = true;
    assignment_begin(&join);
}

/* Send the first of the queue; false where the link is down. */
static bool send_first(struct intake *i)
{
    struct request *r = request_queue_first(i->queue);

    r->owner = i;
    if (r->step != REQUEST_ASSIGN &&
        request_send(r, leader_registry(i->leader), leader_identity(i->leader), on_step, r) != 0) {
        return false;
    }
    request_queue_take(i->queue);
    i->nunder_way++;
    i->nnames += r->nargs;
    if (r->step == REQUEST_ASSIGN) {
        begin_join(i, r);
    }
    return true;
}

/* A channel that is on a shard soon is not written as one that waits for it first. */
static bool waits_for_setup(const struct intake *i, const struct request *r)
{
    uint64_t until = i->began_ms + SET_UP_MS;
    uint64_t now = mono_ms();

    if (r->step != REQUEST_ASSIGN || i->is_set_up || now >= until) {
        return false;
    }
    leader_ask_in(i->leader, until - now);
    return true;
}

/* The next that may be sent now, or NULL. */
static struct request *next_request(const struct intake *i)
{
    struct request *r = request_queue_first(i->queue);

    if (r == NULL || i->deciding || i->nunder_way >= MAX_UNDER_WAY || mono_ms() >= i->anew_ms ||
        waits_for_setup(i, r)) {
        return NULL;
    }
    request_split(r);
    return i->nunder_way == 0 || i->nnames + r->nargs <= MAX_NAMES ? r : NULL;
}

static void send_queued(struct intake *i)
{
    i->pumping = true;
    while (next_request(i) != NULL) {
        if (!send_first(i)) {
            request_queue_clear(i->queue);
            read_anew(i, 0);
        }
    }
    i->pumping = false;
}

/* Reading -------------------------------------------------------------------------------------- */

/* Into the queue, as far as there is room. */
static void take_entries(struct intake *i, const struct registry_entry *entries, size_t n)
{
    struct registry_refusal *refusals = xcalloc(n, sizeof(*refusals));
    char why[300] = "";
    size_t nrefused = 0;
    const struct cluster_view *view = manager_view(i->manager);

    request_queue_limit(i->queue, cluster_view_number(view, "request_limit", 10000),
                        cluster_view_number(view, "request_limit_bytes", (uint64_t)8 << 20));
    for (size_t at = 0; at < n; at++) {
        struct request *r = request_create(&entries[at]);
        char now[sizeof(why)];
        if (request_queue_add(i->queue, r, now, sizeof(now))) {
            continue;
        }
        if (strcmp(now, why) != 0) {
            refuse(i, refusals, nrefused, why);
            nrefused = 0;
            memcpy(why, now, sizeof(why));
        }
        refusals[nrefused++] = (struct registry_refusal){
            {entries[at].id, registry_field(&entries[at], "id")}, SLICE("")};
        request_destroy(r);
    }
    refuse(i, refusals, nrefused, why);
    free(refusals);
}

static void on_read(void *ctx, const struct registry_requests *got, const struct err *err)
{
    struct intake *i = ctx;
    bool used = err == NULL && i->active;

    machine_move(&i->reader, used && got->n == 0 ? READER_DONE : READER_BEHIND, i);
    if (!leader_stepped(i->leader, "requests", err)) {
        return; /* tried again at the next renewal */
    }
    if (used) {
        i->place = got->last;
    }
    if (used && got->n > 0) {
        take_entries(i, got->entries, got->n);
        forget_bell(i);
    }
    pump(i);
}

static void read_more(struct intake *i)
{
    if (registry_read_requests(leader_registry(i->leader), leader_identity(i->leader), &i->place,
                               on_read, i) == 0) {
        machine_move(&i->reader, READER_READING, i);
    }
}

static void on_bell(void *ctx, struct wall now, const struct err *err)
{
    struct intake *i = ctx;
    bool rang = err == NULL && bell_has_rung(i->bell_ms);

    (void)now;
    machine_move(&i->bell, rang ? BELL_RANG : BELL_IDLE, i);
    if (rang) {
        look(i);
    }
    if (err == NULL) {
        pump(i);
    } else if (!err_is_silence(err)) {
        (void)leader_stepped(i->leader, "await_requests", err); /* the next renewal */
    }
}

static void await_bell(struct intake *i)
{
    i->bell_ms = mono_ms();
    if (registry_await_requests(i->bell_registry, &i->place, BELL_BLOCK_MS, on_bell, i) == 0) {
        machine_move(&i->bell, BELL_AWAITED, i);
    }
}

/* Read from the beginning, if that is due. */
static void begin_anew(struct intake *i)
{
    if (i->nunder_way == 0 && i->reader.state != READER_READING && mono_ms() >= i->anew_ms) {
        i->anew_ms = NEVER;
        look(i);
        request_queue_clear(i->queue);
        i->place = (struct registry_place){REGISTRY_FROM_BEGINNING, REGISTRY_FROM_BEGINNING};
    }
}

static void pump(struct intake *i)
{
    if (!i->active || i->pumping || !leader_may_act(i->leader)) {
        return;
    }
    begin_anew(i);
    send_queued(i);
    if (i->reader.state == READER_BEHIND) {
        read_more(i);
    } else if (i->reader.state == READER_DONE && i->bell.state == BELL_IDLE) {
        await_bell(i);
    }
}

static void on_link_up(void *ctx)
{
    pump(ctx);
}

static void on_link_down(void *ctx, const struct err *why)
{
    (void)ctx;
    log_debug("intake", "redis.down", "error", why->text, NULL);
}

struct intake *intake_create(struct leader *leader, struct shard_manager *manager)
{
    struct intake *i = xcalloc(1, sizeof(*i));
    i->leader = leader;
    i->manager = manager;
    i->queue = request_queue_create();
    i->anew_ms = NEVER;
    machine_begin(&i->reader, &reader_machine, READER_DONE);
    machine_begin(&i->bell, &bell_machine, BELL_IDLE);
    i->bell_registry = leader_connect(leader, "requests", on_link_up, on_link_down, i);
    return i;
}

void intake_begin(struct intake *i)
{
    i->active = true;
    i->began_ms = mono_ms();
    request_queue_clear(i->queue);
    intake_anew(i);
}

void intake_anew(struct intake *i)
{
    read_anew(i, 0);
    pump(i);
}

void intake_end(struct intake *i)
{
    i->active = false;
    i->is_set_up = false;
    request_queue_clear(i->queue);
}

void intake_set_up(struct intake *i, bool done)
{
    i->is_set_up = done;
}

void intake_go_on(struct intake *i)
{
    forget_bell(i);
    if (i->bell.state != BELL_AWAITED) { /* nothing rings while that link is down */
        look(i);
    }
    pump(i);
}

static void on_link_closed(void *ctx)
{
    struct intake *i = ctx;

    registry_destroy(i->bell_registry);
    request_queue_destroy(i->queue);
    free(i);
}

void intake_close(struct intake *i)
{
    BUG_ON(i->nunder_way > 0);
    intake_end(i);
    link_close(registry_link(i->bell_registry), on_link_closed, i);
}
