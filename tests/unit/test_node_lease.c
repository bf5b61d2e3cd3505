/* Lease: registering, renewing, the own deadline and its loss, against a real Redis. */
#include "node/node_lease.h"

#include "node/node_lease_private.h"

#include "tests/lib/registry_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

/* A lease as a node has it, and what it said. */
struct holder {
    struct node_lease *lease;
    unsigned reports;
    unsigned arrived;
    unsigned report_lost;
    unsigned currents;
    unsigned new_links;
    unsigned changed; /* pictures that brought something */
    unsigned fenced;
    unsigned lost;
    bool emptied; /* the last time */
    unsigned downs;
    unsigned refused;
    unsigned left;
    uint64_t seq;
    struct err why;
    bool rush; /* renew soon whenever a report was lost, as a node does */
    bool closed;
};

static struct world w;
static struct registry_leader me;
static struct holder a;
static struct holder b;

static void set(const char *setting_and_value)
{
    assert_string_equal(world_configure(&w, &me, "", "", "set", setting_and_value), "done");
    assert_non_null(strstr(w.rest, "\"ok\":true"));
}

/* A cluster with a leader and a short lease. */
static int begin(void **state)
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

static int finish(void **state)
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

static void report(void *ctx, struct buf *out)
{
    struct holder *h = ctx;

    h->reports++;
    buf_append_str(out, "{}");
}

static void on_report_arrived(void *ctx)
{
    struct holder *h = ctx;

    h->arrived++;
}

static void on_report_lost(void *ctx)
{
    struct holder *h = ctx;

    h->report_lost++;
    if (h->rush) {
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

static void on_left(void *ctx, const struct err *err)
{
    struct holder *h = ctx;

    assert_null(err);
    h->left++;
}

static void open_lease(struct holder *h)
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
        .on_report_arrived = on_report_arrived,
        .on_report_lost = on_report_lost,
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

static void open_current(struct holder *h)
{
    unsigned before = h->currents;

    open_lease(h);
    wait_until(&w.probe.t, h->currents > before);
}

/* A process that has the node id, holds still, and is connected by `link`. */
static void registered_by_another(struct world_node *n, uint64_t link_id)
{
    world_node(n, "n1", link_id, 10, "");
    assert_string_equal(world_register(&w, n, 0), "current");
    world_ask(&w, "HSET shoal:{t}:node:n1 run_id %s", w.greeting.run_id);
}

static unsigned own_link(void)
{
    return (unsigned)strtoul(world_ask(&w, "HGET shoal:{t}:node:n1 link"), NULL, 10);
}

/* Renewing ------------------------------------------------------------------------------------- */

static void a_lease_is_registered_and_renewed_again_and_again(void **state)
{
    (void)state;
    open_current(&a);
    assert_int_equal(a.new_links, 1);
    assert_int_equal(node_lease_ms(a.lease), 600);
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:node:n1 incarnation"),
                        node_lease_incarnation(a.lease));

    test_loop_run_for(&w.probe.t, 1500);
    assert_true(node_lease_holds(a.lease));
    assert_in_range(a.currents, 8, 17);
    assert_int_equal(a.new_links, 1);
    assert_int_equal(a.fenced, 0);
    assert_int_equal(a.changed, 1);
    assert_in_range(a.arrived, a.reports - 1, a.reports);
}

static void the_whole_picture_is_asked_for_again_and_again(void **state)
{
    (void)state;
    set("compare_ms,500");
    open_current(&a);
    test_loop_run_for(&w.probe.t, 2500);
    assert_in_range(a.changed, 3, 6); /* the registry has not changed */
    assert_int_equal(a.new_links, 1);
}

static void a_renewal_can_be_had_sooner(void **state)
{
    (void)state;
    set("lease_ms,60000");
    open_current(&a);
    test_loop_run_for(&w.probe.t, 600); /* the turn of the first lease, which was shorter */
    unsigned before = a.currents;
    node_lease_renew_soon(a.lease);
    node_lease_renew_soon(a.lease);
    test_loop_run_for(&w.probe.t, 300);
    assert_int_equal(a.currents, before + 1);
}

static void a_redis_that_refuses_is_not_asked_in_a_rush(void **state)
{
    (void)state;
    open_current(&a);
    a.rush = true;
    world_ask(&w, "CONFIG SET min-replicas-to-write 1");
    wait_until(&w.probe.t, a.report_lost > 0);
    unsigned before = a.reports;
    test_loop_run_for(&w.probe.t, 500);
    world_ask(&w, "CONFIG SET min-replicas-to-write 0");
    assert_in_range(a.reports - before, 1, 8); /* one a turn of 100 ms */
    unsigned currents = a.currents;
    wait_until(&w.probe.t, a.currents > currents);
}

static void a_killed_link_is_taken_anew_and_says_so(void **state)
{
    (void)state;
    open_current(&a);
    unsigned former = own_link();
    world_ask(&w, "HSET shoal:{t}:fan:n1 seq 17");

    world_ask(&w, "CLIENT KILL ID %u", former);
    wait_until(&w.probe.t, a.new_links == 2);
    assert_int_equal(a.downs, 1);
    assert_int_equal(a.seq, 17);
    assert_int_equal(a.lost, 0);
    assert_true(own_link() != former);
    assert_true(node_lease_holds(a.lease));

    world_ask(&w, "CLIENT KILL ID %u", own_link());
    wait_until(&w.probe.t, a.new_links == 3);
}

static void an_orderly_leave_is_told(void **state)
{
    (void)state;
    open_current(&a);
    node_lease_leave(a.lease, true, on_left, &a);
    wait_until(&w.probe.t, a.left == 1);
    assert_string_equal(world_ask(&w, "ZCARD shoal:{t}:nodes"), "0");
    unsigned before = a.reports;
    test_loop_run_for(&w.probe.t, 300);
    assert_int_equal(a.reports, before);
    assert_int_equal(a.lost, 0);
}

/* The own deadline ----------------------------------------------------------------------------- */

static void past_its_deadline_a_lease_fences_and_an_answer_ends_that(void **state)
{
    (void)state;
    open_current(&a);
    assert_int_equal(a.reports, 0); /* the first turn comes when this lease wants it */
    wait_until(&w.probe.t, a.arrived == 1);
    private_redis_pause(redis);
    uint64_t start = mono_ms();
    wait_until(&w.probe.t, a.fenced == 1);
    /* 0.9 of a lease from when the last renewal was sent, and not a turn later. */
    assert_in_range(mono_ms() - start, 300, 590);
    assert_false(node_lease_holds(a.lease));
    unsigned before = a.currents;
    test_loop_run_for(&w.probe.t, 300);

    private_redis_resume(redis);
    wait_until(&w.probe.t, a.currents > before);
    assert_true(node_lease_holds(a.lease));
    assert_int_equal(a.fenced, 1);
    assert_int_equal(a.lost, 0);
    assert_int_equal(a.new_links, 1);
}

static void an_answer_that_comes_too_late_is_told_once_more(void **state)
{
    (void)state;
    open_current(&a);
    assert_int_equal(a.changed, 1);
    world_ask(&w, "HINCRBY shoal:{t}:node:n1 rev 1");
    private_redis_pause(redis);
    wait_until(&w.probe.t, a.fenced == 1);
    test_loop_run_for(&w.probe.t, 300);
    private_redis_resume(redis);

    unsigned before = a.currents;
    wait_until(&w.probe.t, a.currents > before);
    assert_int_equal(a.changed, 2);
}

static void asking_for_the_lease_calls_nothing_back(void **state)
{
    (void)state;
    open_current(&a);
    usleep(700 * 1000); /* the process stands still */
    assert_false(node_lease_holds(a.lease));
    assert_false(node_lease_holds(a.lease));
    assert_int_equal(a.fenced, 0);

    wait_until(&w.probe.t, a.fenced == 1);
    unsigned before = a.currents;
    wait_until(&w.probe.t, a.currents > before);
    assert_true(node_lease_holds(a.lease));
}

static void a_loop_that_was_late_fences_until_the_next_answer(void **state)
{
    (void)state;
    open_current(&a);
    test_loop_run_for(&w.probe.t, 150);
    usleep(320 * 1000); /* over a turn and a third of the lease, under the deadline */
    wait_until(&w.probe.t, a.fenced == 1);
    wait_until(&w.probe.t, node_lease_holds(a.lease));
}

static void a_lost_lease_is_registered_anew_under_another_incarnation(void **state)
{
    char former[INCARNATION_CHARS];

    (void)state;
    open_current(&a);
    snprintf(former, sizeof(former), "%s", node_lease_incarnation(a.lease));
    private_redis_pause(redis);
    wait_until(&w.probe.t, a.fenced == 1);
    private_redis_resume(redis);
    /* The leader was quicker. */
    world_ask(&w, "HDEL shoal:{t}:node:n1 incarnation");
    wait_until(&w.probe.t, a.lost == 1);
    wait_until(&w.probe.t, a.new_links == 2);
    assert_true(node_lease_holds(a.lease));
    assert_string_not_equal(node_lease_incarnation(a.lease), former);
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:node:n1 incarnation"),
                        node_lease_incarnation(a.lease));
}

static void an_emptied_redis_is_waited_for_and_registered_at(void **state)
{
    (void)state;
    open_current(&a);
    private_redis_kill(redis);
    wait_until(&w.probe.t, a.downs >= 1);
    private_redis_restart(redis);
    wait_until(&w.probe.t, w.probe.ups >= 2);
    test_loop_run_for(&w.probe.t, 200);
    assert_int_equal(a.new_links, 1); /* nobody has loaded the steps */
    assert_string_equal(world_load(&w), "done");
    wait_until(&w.probe.t, a.new_links == 2);
    assert_int_equal(a.lost, 1);
    assert_true(a.report_lost > 0);
    assert_true(node_lease_holds(a.lease));
}

/* The same node id ----------------------------------------------------------------------------- */

static void the_node_id_of_a_dead_process_is_taken_over_at_once(void **state)
{
    struct world_node other;

    (void)state;
    registered_by_another(&other, 999999);
    uint64_t start = mono_ms();
    open_current(&a);
    assert_in_range(mono_ms() - start, 0, 400);
    assert_int_equal(a.refused, 0);
    assert_string_equal(world_renew(&w, &other, ""), "LOST");
}

static void on_id(void *ctx, const struct redisReply *reply, const struct err *err)
{
    assert_null(err);
    *(uint64_t *)ctx = (uint64_t)reply->integer;
}

/* What Redis says is input: a holder whose lease has no measure. */
static void a_lease_beyond_all_measure_is_survived(void **state)
{
    static struct node_lease l;
    const struct registry_holder holder = {.host = SLICE("h"),
                                           .pid = SLICE("1"),
                                           .link_id = 1,
                                           .remaining_ms = INT64_MAX,
                                           .lease_ms = INT64_MAX,
                                           .run_id = SLICE("")};

    (void)state;
    l = (struct node_lease){.options = {.node = "n1"},
                            .registry = w.r,
                            .taken_since_ms = mono_ms(),
                            .taken_lease_ms = INT64_MAX};
    lease_begin(&l.lease, LEASE_UNREGISTERED, "n1", mono_ms());
    for (enum lease_link to = LEASE_LINK_UP; to <= LEASE_LINK_ASKING; to++) {
        lease_set_link(&l.lease, to);
    }
    node_lease_id_taken(&l, &holder);
    assert_int_equal(l.lease.link.state, LEASE_LINK_ASKING); /* if the holder's link is alive */
    l.teardown.begun = true;
    world_ask(&w, "PING");
}

static void a_process_that_misses_two_renewals_is_cut_off_and_taken_over(void **state)
{
    struct world_node other;
    struct link_options options = {.url = &w.probe.url};
    uint64_t id = 0;

    (void)state;
    set("lease_ms,1200");
    struct link *link = link_create(&w.probe.t.uv, &options);
    wait_until(&w.probe.t, link_is_up(link));
    assert_int_equal(link_command(link, on_id, &id, "CLIENT ID"), 0);
    wait_until(&w.probe.t, id != 0);
    registered_by_another(&other, id);
    uint64_t start = mono_ms();
    open_current(&a);
    assert_in_range(mono_ms() - start, 300, 1150);
    assert_string_equal(world_ask(&w, "CLIENT LIST ID %llu", (unsigned long long)id), "");
    assert_string_equal(world_renew(&w, &other, ""), "LOST");
    link_close(link, NULL, NULL);
}

static void a_shorter_lease_makes_no_process_that_stands_still_look_alive(void **state)
{
    struct world_node other;
    struct link_options options = {.url = &w.probe.url};
    uint64_t id = 0;

    (void)state;
    set("lease_ms,2400");
    struct link *link = link_create(&w.probe.t.uv, &options);
    wait_until(&w.probe.t, link_is_up(link));
    assert_int_equal(link_command(link, on_id, &id, "CLIENT ID"), 0);
    wait_until(&w.probe.t, id != 0);
    registered_by_another(&other, id);
    open_lease(&a);
    test_loop_run_for(&w.probe.t, 100);
    set("lease_ms,600");
    wait_until(&w.probe.t, a.currents > 0 || a.refused > 0);
    assert_int_equal(a.refused, 0);
    assert_string_equal(world_renew(&w, &other, ""), "LOST");
    link_close(link, NULL, NULL);
}

static void a_live_process_keeps_its_node_id_and_is_named_to_the_other(void **state)
{
    char pid[32];
    char host[256] = "";

    (void)state;
    open_current(&a);
    open_lease(&b);
    wait_until(&w.probe.t, b.refused == 1);
    assert_int_equal(b.why.code, ERR_REFUSED);
    snprintf(pid, sizeof(pid), "pid %ld", (long)getpid());
    assert_int_equal(gethostname(host, sizeof(host) - 1), 0);
    assert_non_null(strstr(b.why.text, pid));
    assert_non_null(strstr(b.why.text, host));
    assert_non_null(strstr(b.why.text, "n1"));
    test_loop_run_for(&w.probe.t, 300);
    assert_int_equal(b.refused, 1);
    assert_int_equal(b.currents, 0);
    assert_true(node_lease_holds(a.lease));
    assert_int_equal(a.lost, 0);
    assert_int_equal(a.downs, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, finish)
    const struct CMUnitTest tests[] = {
        TEST(a_lease_beyond_all_measure_is_survived),
        TEST(a_lease_is_registered_and_renewed_again_and_again),
        TEST(the_whole_picture_is_asked_for_again_and_again),
        TEST(a_renewal_can_be_had_sooner),
        TEST(a_redis_that_refuses_is_not_asked_in_a_rush),
        TEST(a_killed_link_is_taken_anew_and_says_so),
        TEST(an_orderly_leave_is_told),
        TEST(past_its_deadline_a_lease_fences_and_an_answer_ends_that),
        TEST(an_answer_that_comes_too_late_is_told_once_more),
        TEST(asking_for_the_lease_calls_nothing_back),
        TEST(a_loop_that_was_late_fences_until_the_next_answer),
        TEST(a_lost_lease_is_registered_anew_under_another_incarnation),
        TEST(an_emptied_redis_is_waited_for_and_registered_at),
        TEST(the_node_id_of_a_dead_process_is_taken_over_at_once),
        TEST(a_process_that_misses_two_renewals_is_cut_off_and_taken_over),
        TEST(a_shorter_lease_makes_no_process_that_stands_still_look_alive),
        TEST(a_live_process_keeps_its_node_id_and_is_named_to_the_other),
    };
    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
