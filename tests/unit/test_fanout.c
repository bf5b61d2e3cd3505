/* Fan-out: lines arrive once and in order whatever happens to the link, against a real Redis. */
#include "node/fanout_private.h"
#include "node/meters.h"

#include "shared/redis/registry.h"
#include "shared/redis/subscriber.h"
#include "tests/lib/fanout_rig.h"
#include "tests/lib/link_probe.h"
#include "tests/lib/private_redis.h"
#include "tests/lib/test_loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void lines_arrive_once_and_in_order(void **state)
{
    struct fanout_rig f;

    (void)state;
    fanout_rig_begin(&f, 64 << 20);
    fanout_rig_connect(&f);

    for (unsigned i = 0; i < 100; i++) {
        fanout_rig_take(&f, i * 100, 100, "forsen");
        test_loop_turn(&f.t);
    }
    wait_until(&f.t, fanout_is_drained(f.fanout) && f.got == 10000);

    assert_false(f.out_of_order);
    fanout_rig_finish(&f);
}

static void a_lone_line_leaves_at_once(void **state)
{
    struct fanout_rig f;

    (void)state;
    fanout_rig_begin(&f, 64 << 20);
    fanout_rig_connect(&f);
    wait_until(&f.t, f.attached == 1);

    fanout_rig_take(&f, 0, 1, "forsen");
    wait_until(&f.t, f.got == 1);

    fanout_rig_finish(&f);
}

static void a_link_that_breaks_again_and_again_loses_and_doubles_nothing(void **state)
{
    struct fanout_rig f;
    unsigned taken = 0;
    struct meters_node before = meters;

    (void)state;
    fanout_rig_begin(&f, 64 << 20);
    fanout_rig_connect(&f);

    for (unsigned round = 0; round < 15; round++) {
        unsigned attached = f.attached;
        for (unsigned i = 0; i < 5 + round; i++) {
            fanout_rig_take(&f, taken, 300, "forsen");
            taken += 300;
            test_loop_turn(&f.t);
        }
        if (link_is_up(f.link)) {
            link_reset(f.link, "the test breaks it");
            wait_until(&f.t, f.attached > attached);
        }
    }
    wait_until(&f.t, fanout_is_drained(f.fanout) && f.got >= taken);

    assert_int_equal(f.got, taken);
    assert_false(f.out_of_order);
    assert_int_equal(meters.fanout_lines_total - before.fanout_lines_total, taken);
    assert_true(meters.fanout_bytes_total - before.fanout_bytes_total > taken * 10);
    assert_true(meters.fanout_transactions_total - before.fanout_transactions_total > taken / 64);
    assert_true(histogram_take_worst(&meters.fanout_seconds) > 0);
    fanout_rig_finish(&f);
}

static void what_redis_had_answered_is_not_said_again_though_redis_forgot_it(void **state)
{
    struct fanout_rig f;

    (void)state;
    fanout_rig_begin(&f, 64 << 20);
    fanout_rig_connect(&f);
    fanout_rig_take(&f, 0, 64, "forsen");
    fanout_rig_take(&f, 64, 64, "forsen");
    wait_until(&f.t, fanout_is_drained(f.fanout) && f.got == 128);
    assert_int_equal(f.fanout->seq, 128);
    assert_int_equal(f.fanout->answered, 128);

    assert_int_equal(fanout_attach(f.fanout, f.link, 64), 64);
    assert_int_equal(fanout_attach(f.fanout, f.link, 64), 0); /* told once */
    fanout_rig_take(&f, 128, 64, "forsen");
    wait_until(&f.t, fanout_is_drained(f.fanout) && f.got >= 192);

    assert_int_equal(f.got, 192);
    assert_false(f.out_of_order);
    fanout_rig_finish(&f);
}

static void set_full(struct fanout_rig *f, bool full)
{
    assert_int_equal(link_command(f->link, NULL, NULL, "CONFIG SET maxmemory %s", full ? "1" : "0"),
                     0);
}

static void lines_flow_while_redis_is_full_once_and_in_order(void **state)
{
    struct fanout_rig f;
    unsigned taken = 0;

    (void)state;
    fanout_rig_begin(&f, 64 << 20);
    fanout_rig_connect(&f);
    struct registry *r = fanout_rig_functions(&f);

    for (unsigned round = 0; round < 4; round++) {
        set_full(&f, round % 2 == 0);
        uint64_t until = mono_ms() + (round == 1 ? 2500 : 200); /* long enough for a trial */
        while (mono_ms() < until) {
            fanout_rig_take(&f, taken, 7, "forsen");
            taken += 7;
            test_loop_run_for(&f.t, 2);
        }
        wait_until(&f.t, fanout_is_drained(f.fanout) && f.got == taken);
    }

    assert_false(f.out_of_order);
    assert_int_equal(f.attached, 1);
    set_full(&f, false);
    registry_destroy(r);
    fanout_rig_finish(&f);
}

static void what_was_refused_and_overtaken_is_neither_lost_nor_doubled(void **state)
{
    struct fanout_rig f;

    (void)state;
    fanout_rig_begin(&f, 64 << 20);
    fanout_rig_connect(&f);
    struct registry *r = fanout_rig_functions(&f);

    /* Each time so many that most leave at once, not when the turn ends: what was answered is seen
     * before that. */
    set_full(&f, true);
    fanout_rig_take(&f, 0, 2000, "forsen");
    set_full(&f, false);
    fanout_rig_take(&f, 2000, 2000, "forsen"); /* carried out, though the first were not */
    wait_until(&f.t, fanout_is_drained(f.fanout) && f.got >= 4000);
    link_reset(f.link, "the test breaks it");
    fanout_rig_take(&f, 4000, 10, "forsen");
    wait_until(&f.t, f.attached == 2 && fanout_is_drained(f.fanout) && f.got >= 4010);

    assert_true(f.out_of_order);
    assert_int_equal(f.got, 4010);
    registry_destroy(r);
    fanout_rig_finish(&f);
}

/* Somebody put a string at the key of seq: an EXEC that answers an array was carried out all the
 * same. */
static void what_was_published_without_its_seq_is_not_published_again(void **state)
{
    struct fanout_rig f;
    unsigned resets;

    (void)state;
    fanout_rig_begin(&f, 64 << 20);
    fanout_rig_connect(&f);
    wait_until(&f.t, f.attached == 1);
    fanout_rig_take(&f, 0, 100, "forsen");
    wait_until(&f.t, fanout_is_drained(f.fanout) && f.got == 100);
    assert_int_equal(link_command(f.link, NULL, NULL, "SET " SEQ_KEY " junk"), 0);
    fanout_rig_take(&f, 100, 200, "forsen");
    wait_until(&f.t, f.got >= 300);
    wait_until(&f.t, fanout_is_drained(f.fanout));
    assert_int_equal(f.attached, 1); /* a new link would not mend it */

    /* Redis does not know how far it came. */
    resets = f.attached;
    link_reset(f.link, "the test breaks it");
    wait_until(&f.t, f.attached > resets);
    fanout_rig_take(&f, 300, 1, "forsen");
    wait_until(&f.t, f.got == 301);
    assert_int_equal(link_command(f.link, NULL, NULL, "DEL " SEQ_KEY), 0);
    fanout_rig_take(&f, 301, 99, "forsen");
    wait_until(&f.t, fanout_is_drained(f.fanout) && f.got >= 400);

    assert_int_equal(f.got, 400);
    assert_false(f.out_of_order);
    fanout_rig_finish(&f);
}

static void nothing_leaves_without_the_lease(void **state)
{
    struct fanout_rig f;

    (void)state;
    fanout_rig_begin(&f, 64 << 20);
    f.may_send = false;
    fanout_rig_connect(&f);
    wait_until(&f.t, f.attached == 1);
    fanout_rig_take(&f, 0, 1000, "forsen");
    test_loop_run_for(&f.t, 100);
    assert_int_equal(f.got, 0);

    f.may_send = true;
    fanout_hold(f.fanout, false);
    wait_until(&f.t, f.got == 1000);

    assert_false(f.out_of_order);
    fanout_rig_finish(&f);
}

static void what_does_not_fit_is_dropped_without_holes_and_told_once(void **state)
{
    struct fanout_rig f;

    (void)state;
    fanout_rig_begin(&f, 64 << 10);
    uint64_t before = meters.fanout_dropped_lines_total;
    fanout_rig_take(&f, 0, 2000, "forsen");
    unsigned dropped = (unsigned)(meters.fanout_dropped_lines_total - before);
    assert_true(dropped > 0);
    assert_int_equal(f.gaps, 0);

    unsigned held = 2000 - dropped;
    fanout_rig_connect(&f);
    wait_until(&f.t, fanout_is_drained(f.fanout) && f.got == held);
    assert_false(f.out_of_order); /* the first `held` lines, none missing between them */
    assert_int_equal(f.gaps, 1);  /* told when there is room, not with the next line */
    fanout_rig_take(&f, held, 1, "forsen");
    wait_until(&f.t, f.got == held + 1);

    assert_int_equal(f.gaps, 1);
    assert_int_equal(f.gap_lines, dropped);
    assert_string_equal(f.gap_channel, "forsen");
    assert_string_equal(f.gap_reason, "buffer_full");
    fanout_rig_finish(&f);
}

static void a_lost_lease_counts_what_it_drops_per_channel(void **state)
{
    struct fanout_rig f;

    (void)state;
    fanout_rig_begin(&f, 1 << 20);
    fanout_rig_take(&f, 0, 130, "forsen");
    test_loop_run_for(&f.t, 60);
    fanout_rig_take(&f, 130, 1, "forsen");
    fanout_rig_take(&f, 0, 70, "shroud");
    uint64_t before = meters.fanout_dropped_lines_total;

    fanout_drop(f.fanout, "lease_lost");

    assert_int_equal(f.gaps, 2);
    assert_int_equal(f.gap_lines, 201);
    assert_string_equal(f.gap_reason, "lease_lost");
    assert_int_equal(meters.fanout_dropped_lines_total - before, 201);
    assert_true(fanout_is_drained(f.fanout));
    fanout_rig_finish(&f);
}

/* Somebody else may have read what was said while it stood still. */
static void no_gap_spans_the_time_in_which_the_node_stood_still(void **state)
{
    struct fanout_rig f;

    (void)state;
    fanout_rig_begin(&f, 1 << 20);
    fanout_rig_take(&f, 0, 10, "forsen");
    test_loop_run_for(&f.t, 1200);
    fanout_rig_take(&f, 10, 10, "forsen");

    fanout_drop(f.fanout, "lease_lost");

    assert_int_equal(f.gaps, 2);
    assert_int_equal(f.gap_lines, 20);
    assert_true(f.gap_ms < 500);
    fanout_rig_finish(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lines_arrive_once_and_in_order, start_redis, stop_redis),
        cmocka_unit_test_setup_teardown(a_lone_line_leaves_at_once, start_redis, stop_redis),
        cmocka_unit_test_setup_teardown(
            a_link_that_breaks_again_and_again_loses_and_doubles_nothing, start_redis, stop_redis),
        cmocka_unit_test_setup_teardown(
            what_redis_had_answered_is_not_said_again_though_redis_forgot_it, start_redis,
            stop_redis),
        cmocka_unit_test_setup_teardown(lines_flow_while_redis_is_full_once_and_in_order,
                                        start_redis, stop_redis),
        cmocka_unit_test_setup_teardown(what_was_refused_and_overtaken_is_neither_lost_nor_doubled,
                                        start_redis, stop_redis),
        cmocka_unit_test_setup_teardown(what_was_published_without_its_seq_is_not_published_again,
                                        start_redis, stop_redis),
        cmocka_unit_test_setup_teardown(nothing_leaves_without_the_lease, start_redis, stop_redis),
        cmocka_unit_test_setup_teardown(what_does_not_fit_is_dropped_without_holes_and_told_once,
                                        start_redis, stop_redis),
        cmocka_unit_test_setup_teardown(a_lost_lease_counts_what_it_drops_per_channel, start_redis,
                                        stop_redis),
        cmocka_unit_test_setup_teardown(no_gap_spans_the_time_in_which_the_node_stood_still,
                                        start_redis, stop_redis),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
