/* Lease: registering, renewing, the own deadline and its loss, against a real Redis. */
#include "node/node_lease.h"

#include "tests/lib/lease_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>
#include <cmocka.h>

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

/* So often all that a node is told was read since CONFIG RESETSTAT. */
static unsigned pictures(void)
{
    return world_calls(&w, "hgetall");
}

/* As if somebody led: else nodes see to it that Redis's clock is watched. */
static void watch_clock(void)
{
    world_eval(
        &w,
        "local t = redis.call('TIME') "
        "redis.call('HSET', KEYS[1] .. ':clock', 'seen', t[1] * 1000 + math.floor(t[2] / 1000)) "
        "return ''",
        "");
}

/* So many renewals. */
static void rest_times(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        unsigned before = a.currents;
        watch_clock();
        wait_until(&w.probe.t, a.currents > before);
    }
}

static void where_nothing_is_new_it_rests_and_else_it_looks(void **state)
{
    (void)state;
    open_current(&a);
    wait_until(&w.probe.t, a.currents > 3);
    world_ask(&w, "CONFIG RESETSTAT");
    rest_times(10);
    assert_int_equal(pictures(), 0);

    world_ask(&w, "HINCRBY shoal:{t}:node:n1 rev 1"); /* without a hint */
    wait_until(&w.probe.t, a.changed == 2);
    set("resume_delay_ms,1234");
    wait_until(&w.probe.t, a.resume_delay_ms == 1234);
    rest_times(2);
    world_ask(&w, "CONFIG RESETSTAT");
    rest_times(5);
    assert_int_equal(pictures(), 0);
    assert_int_equal(a.resume_delay_ms, 1234);

    node_lease_renew_soon(a.lease);
    wait_until(&w.probe.t, pictures() == 1);
    a.tells = true;
    wait_until(&w.probe.t, pictures() > 3);
    assert_int_equal(a.lost + a.fenced, 0);
}

static void where_nobody_leads_redis_is_not_taken_to_have_been_away(void **state)
{
    (void)state;
    set("lease_ms,2000");
    open_current(&a);

    test_loop_run_for(&w.probe.t, 4000);

    assert_string_equal(world_ask(&w, "HGET shoal:{t}:clock grace"), "");
    assert_true(pictures() > 2); /* it renews by the step, too */
}

static void the_more_there_is_the_rarer_the_whole_is_asked_for(void **state)
{
    (void)state;
    set("compare_ms,500");
    set("channels_per_shard,none");
    set("user,anonymous");
    open_current(&a);
    world_add_shard(&w, &me, "main-shard", "anonymous", "");
    char names[4000];
    size_t len = 0;
    for (unsigned i = 0; i < 500; i++) {
        len += (size_t)snprintf(names + len, sizeof(names) - len, "%sc%u", i > 0 ? "," : "", i);
    }
    assert_string_equal(world_assign(&w, &me, "", "", "join", names), "done");
    /* 500 channels, to be read and to be sent to: of each four times as many as in compare_ms. */
    test_loop_run_for(&w.probe.t, 1000);
    unsigned before = a.changed;
    test_loop_run_for(&w.probe.t, 6000);
    assert_in_range(a.changed - before, 2, 4);
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

static void a_redis_that_takes_long_is_asked_more_rarely(void **state)
{
    (void)state;
    set("lease_ms,3000");
    open_current(&a);
    test_loop_run_for(&w.probe.t, 50);
    world_ask(&w, "CLIENT PAUSE 150");
    unsigned before = a.currents;
    node_lease_renew_soon(a.lease);
    wait_until(&w.probe.t, a.currents > before);

    uint64_t answered_ms = mono_ms();
    before = a.currents;
    node_lease_renew_soon(a.lease);
    wait_until(&w.probe.t, a.currents > before);

    assert_in_range(mono_ms() - answered_ms, 75, 700); /* as long as that took */
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

static void on_left(void *ctx, const struct err *err)
{
    struct holder *h = ctx;

    assert_null(err);
    h->left++;
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
    unsigned before = a.currents;
    wait_until(&w.probe.t, a.currents > before);
    usleep(420 * 1000); /* over a turn and a third of the lease, under the deadline */
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

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_leases, finish_leases)
    const struct CMUnitTest tests[] = {
        TEST(a_lease_is_registered_and_renewed_again_and_again),
        TEST(the_whole_picture_is_asked_for_again_and_again),
        TEST(where_nothing_is_new_it_rests_and_else_it_looks),
        TEST(where_nobody_leads_redis_is_not_taken_to_have_been_away),
        TEST(the_more_there_is_the_rarer_the_whole_is_asked_for),
        TEST(a_renewal_can_be_had_sooner),
        TEST(a_redis_that_takes_long_is_asked_more_rarely),
        TEST(a_redis_that_refuses_is_not_asked_in_a_rush),
        TEST(a_killed_link_is_taken_anew_and_says_so),
        TEST(an_orderly_leave_is_told),
        TEST(past_its_deadline_a_lease_fences_and_an_answer_ends_that),
        TEST(an_answer_that_comes_too_late_is_told_once_more),
        TEST(asking_for_the_lease_calls_nothing_back),
        TEST(a_loop_that_was_late_fences_until_the_next_answer),
        TEST(a_lost_lease_is_registered_anew_under_another_incarnation),
        TEST(an_emptied_redis_is_waited_for_and_registered_at),
    };
    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
