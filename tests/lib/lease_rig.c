/* Lease rig: see lease_rig.h. */
#include "tests/lib/lease_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

struct holder a;
struct holder b;

int begin_leases(void **state)
{
    (void)state;
    memset(&a, 0, sizeof(a));
    memset(&b, 0, sizeof(b));
    world_start(&w);
    world_leader(&me, "c1");
    assert_string_equal(world_lead(&w, &me), "leading");
    set("lease_ms,600");
    return 0;
}

static void on_lease_closed(void *ctx)
{
    struct holder *h = ctx;

    h->closed = true;
}

static void close_lease(struct holder *h)
{
    if (h->lease != NULL) {
        node_lease_close(h->lease, on_lease_closed, h);
        h->lease = NULL;
        wait_until(&w.probe.t, h->closed);
    }
}

int finish_leases(void **state)
{
    (void)state;
    close_lease(&a);
    close_lease(&b);
    world_finish(&w);
    return 0;
}

static const char *node_state(void *ctx)
{
    (void)ctx;
    return "active";
}

static uint64_t report(void *ctx, struct buf *out)
{
    struct holder *h = ctx;

    h->reports++;
    if (h->tells) {
        buf_append_str(out, "{}");
    }
    return 0;
}

static void on_reported(void *ctx, bool arrived)
{
    struct holder *h = ctx;

    h->arrived += arrived;
    h->report_lost += !arrived;
    if (!arrived && h->rush) {
        node_lease_renew_soon(h->lease);
    }
}

static void on_current(void *ctx, const struct registry_picture *picture, bool new_link)
{
    struct holder *h = ctx;

    assert_true(node_lease_holds(h->lease));
    h->currents++;
    h->new_links += new_link;
    h->changed += picture->changed;
    h->seq = picture->seq;
    h->resume_delay_ms = picture->settings.resume_delay_ms;
}

static void on_fenced(void *ctx, const char *why)
{
    struct holder *h = ctx;

    assert_true(strlen(why) > 0);
    assert_false(node_lease_holds(h->lease));
    h->fenced++;
}

static void on_lost(void *ctx, const char *why, bool emptied)
{
    struct holder *h = ctx;

    assert_true(strlen(why) > 0);
    assert_false(node_lease_holds(h->lease));
    h->emptied = emptied;
    h->lost++;
}

static void on_link_down(void *ctx, const struct err *why)
{
    struct holder *h = ctx;

    h->downs++;
    h->why = *why;
}

static void on_usable(void *ctx)
{
    (void)ctx;
}

static void on_refused(void *ctx, const struct err *why)
{
    struct holder *h = ctx;

    h->refused++;
    h->why = *why;
}

void open_lease(struct holder *h)
{
    struct node_lease_options options = {
        .loop = &w.probe.t.uv,
        .link = {.url = &w.probe.url, .name = "test:fan"},
        .cluster = "t",
        .node = "n1",
        .capacity = 10,
        .users = "",
        .report = report,
        .state = node_state,
        .on_current = on_current,
        .on_reported = on_reported,
        .on_fenced = on_fenced,
        .on_lost = on_lost,
        .on_link_down = on_link_down,
        .on_usable = on_usable,
        .on_refused = on_refused,
        .ctx = h,
    };
    h->lease = node_lease_create(&options);
    assert_false(node_lease_holds(h->lease));
}

void open_current(struct holder *h)
{
    unsigned before = h->currents;

    open_lease(h);
    wait_until(&w.probe.t, h->currents > before);
}

void registered_by_another(struct world_node *n, uint64_t link_id)
{
    world_node(n, "n1", link_id, 10, "");
    assert_string_equal(world_register(&w, n, 0), "current");
    world_ask(&w, "HSET shoal:{t}:node:n1 run_id %s", w.greeting.run_id);
}

unsigned own_link(void)
{
    return (unsigned)strtoul(world_ask(&w, "HGET shoal:{t}:node:n1 link"), NULL, 10);
}
