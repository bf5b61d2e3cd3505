/* Outbox: the bell and the step. See outbox.h. */
#include "coordinator/requests/outbox.h"

#include "coordinator/requests/bell.h"
#include "shared/log.h"
#include "shared/redis/registry_sends.h"
#include "shared/teardown.h"

#include <stdlib.h>

#define PAUSE_MS   10  /* after it rang: what comes meanwhile is taken together */
#define NOTHING_MS 500 /* where it rang for nothing new: it may do so again and again */
#define EVERY_MS   1000
#define CALLS      100 /* of one look */

struct outbox {
    struct leader *leader;
    struct registry *bell_registry; /* on a link of its own */
    struct machine bell;            /* enum bell */
    uint64_t bell_ms;               /* since when it is waited for */
    struct wall heard;              /* Redis's time when it was answered last; 0: never */
    uv_timer_t pause;
    bool taking;
    bool again;       /* and then once more */
    bool found;       /* something new */
    unsigned calls;   /* of this look */
    uint64_t look_ms; /* it began */
    struct teardown teardown;
};

static void on_paused(uv_timer_t *timer);

/* Taking --------------------------------------------------------------------------------------- */

/* The look is over. */
static void looked(struct outbox *o)
{
    if (o->bell.state == BELL_RANG && !uv_is_active((uv_handle_t *)&o->pause)) {
        uv_timer_start(&o->pause, on_paused, o->found ? PAUSE_MS : NOTHING_MS, 0);
    }
}

static void take(struct outbox *o);

static void look(struct outbox *o)
{
    o->again = o->taking;
    o->look_ms = mono_ms();
    if (o->taking) {
        return;
    }
    o->calls = 0;
    o->found = false;
    if (leader_may_act(o->leader)) {
        take(o);
    } else {
        looked(o);
    }
}

static void on_taken(void *ctx, struct slice word, struct slice rest, const struct err *err)
{
    struct outbox *o = ctx;
    bool ok = leader_stepped(o->leader, "send_take", err) && leader_may_act(o->leader);

    o->taking = false;
    o->found = o->found || slice_is(rest, "new");
    if (ok && slice_is(word, "more") && o->calls < CALLS) {
        take(o);
    } else if (ok && o->again) {
        o->again = false;
        o->calls = 0;
        take(o);
    } else {
        looked(o);
    }
}

static void take(struct outbox *o)
{
    o->calls++;
    o->taking = registry_send_take(leader_registry(o->leader), on_taken, o) == 0;
    if (!o->taking) {
        looked(o);
    }
}

/* The bell ------------------------------------------------------------------------------------- */

static void await_bell(struct outbox *o);

static void on_paused(uv_timer_t *timer)
{
    struct outbox *o = timer->data;

    machine_move(&o->bell, BELL_IDLE, o);
    await_bell(o);
}

static void on_bell(void *ctx, struct wall now, const struct err *err)
{
    struct outbox *o = ctx;
    bool rang = err == NULL && bell_has_rung(o->bell_ms);

    machine_move(&o->bell, rang ? BELL_RANG : BELL_IDLE, o);
    if (rang) {
        o->heard = now;
        look(o);
    }
    if (err == NULL) {
        await_bell(o);
    } else if (!err_is_silence(err)) {
        (void)leader_stepped(o->leader, "await_sends", err); /* the next renewal */
    }
}

/* What was added before it was answered last was taken, or is being taken. */
static void await_bell(struct outbox *o)
{
    if (o->bell.state == BELL_IDLE && leader_may_act(o->leader)) {
        o->bell_ms = mono_ms();
        if (registry_await_sends(o->bell_registry, o->heard, BELL_BLOCK_MS, on_bell, o) == 0) {
            machine_move(&o->bell, BELL_AWAITED, o);
        }
    }
}

static void on_link_up(void *ctx)
{
    await_bell(ctx);
}

static void on_link_down(void *ctx, const struct err *why)
{
    (void)ctx;
    log_debug("outbox", "redis.down", "error", why->text, NULL);
}

/* Outside -------------------------------------------------------------------------------------- */

struct outbox *outbox_create(uv_loop_t *loop, struct leader *leader)
{
    struct outbox *o = xcalloc(1, sizeof(*o));

    o->leader = leader;
    machine_begin(&o->bell, &bell_machine, BELL_IDLE);
    uv_timer_init(loop, &o->pause);
    o->pause.data = o;
    o->bell_registry = leader_connect(leader, "outbox", on_link_up, on_link_down, o);
    return o;
}

void outbox_go_on(struct outbox *o, bool holds)
{
    if (holds && mono_ms() - o->look_ms >= EVERY_MS) {
        look(o);
    }
    await_bell(o);
}

static void finish(void *owner)
{
    struct outbox *o = owner;

    registry_destroy(o->bell_registry);
    free(o);
}

void outbox_close(struct outbox *o)
{
    teardown_begin(&o->teardown, finish, o, NULL, NULL);
    teardown_handle(&o->teardown, (uv_handle_t *)&o->pause);
    link_close(registry_link(o->bell_registry), teardown_part_gone, teardown_part(&o->teardown));
}
