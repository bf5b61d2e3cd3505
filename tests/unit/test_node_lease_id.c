/* Lease: a node id that another process has, or had, against a real Redis. */
#include "node/node_lease.h"

#include "node/node_lease_private.h"

#include "tests/lib/lease_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

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
    lease_leave(&l.lease, false); /* no timer runs: the answer plans nothing */
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
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_leases, finish_leases)
    const struct CMUnitTest tests[] = {
        TEST(a_lease_beyond_all_measure_is_survived),
        TEST(the_node_id_of_a_dead_process_is_taken_over_at_once),
        TEST(a_process_that_misses_two_renewals_is_cut_off_and_taken_over),
        TEST(a_shorter_lease_makes_no_process_that_stands_still_look_alive),
        TEST(a_live_process_keeps_its_node_id_and_is_named_to_the_other),
    };
    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
