/* Leadership: who leads, by answers and times alone. */
#include "coordinator/lead/leadership.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define LEASE 3000

static struct leadership leading_since(uint64_t sent)
{
    struct leadership l;
    leadership_init(&l, sent);
    assert_int_equal(leadership_on_leading(&l, sent, sent + 1, LEASE, SLICE("7")), LEADERSHIP_WON);
    return l;
}

static void a_new_coordinator_stands_by_and_asks_at_once(void **state)
{
    (void)state;
    struct leadership l;
    leadership_init(&l, 1000);
    assert_int_equal(l.state, LEADERSHIP_STANDBY);
    assert_int_equal(l.next_ms, 1000);
    assert_false(leadership_may_act(&l, 1000));
}

static void
an_answer_that_it_leads_makes_it_act_until_nine_tenths_of_the_lease_after_asking(void **state)
{
    (void)state;
    struct leadership l;
    leadership_init(&l, 1000);

    assert_int_equal(leadership_on_leading(&l, 1000, 1400, LEASE, SLICE("7")), LEADERSHIP_WON);

    assert_string_equal(l.token, "7");
    assert_true(leadership_may_act(&l, 1400));
    assert_true(leadership_may_act(&l, 3699));
    assert_false(leadership_may_act(&l, 3700));
}

static void a_leader_asks_again_a_sixth_of_the_lease_after_it_asked(void **state)
{
    (void)state;
    struct leadership l = leading_since(1000);
    assert_int_equal(l.next_ms, 1500);
}

static void a_renewal_moves_the_deadline_and_changes_nothing_else(void **state)
{
    (void)state;
    struct leadership l = leading_since(1000);
    assert_int_equal(leadership_on_leading(&l, 1500, 1510, LEASE, SLICE("7")), LEADERSHIP_SAME);
    assert_true(leadership_may_act(&l, 4199));
    assert_false(leadership_may_act(&l, 4200));
}

static void a_leader_is_out_when_its_own_deadline_passes(void **state)
{
    (void)state;
    struct leadership l = leading_since(1000);
    assert_int_equal(leadership_on_time(&l, 3699), LEADERSHIP_SAME);
    assert_int_equal(leadership_on_time(&l, 3700), LEADERSHIP_OUT);
    assert_int_equal(l.state, LEADERSHIP_STANDBY);
    assert_int_equal(leadership_on_time(&l, 9000), LEADERSHIP_SAME);
}

static void an_answer_that_comes_past_the_deadline_makes_nobody_leader(void **state)
{
    (void)state;
    struct leadership l;
    leadership_init(&l, 1000);
    assert_int_equal(leadership_on_leading(&l, 1000, 3700, LEASE, SLICE("7")), LEADERSHIP_SAME);
    assert_int_equal(l.state, LEADERSHIP_STANDBY);
    assert_int_equal(l.next_ms, 3700); /* asks again at once */
}

static void a_late_answer_puts_a_leader_out_of_office(void **state)
{
    (void)state;
    struct leadership l = leading_since(1000);
    assert_int_equal(leadership_on_leading(&l, 1500, 4300, LEASE, SLICE("7")), LEADERSHIP_OUT);
    assert_false(leadership_may_act(&l, 4300));
}

static void a_leader_that_hears_of_another_is_out(void **state)
{
    (void)state;
    struct leadership l = leading_since(1000);
    assert_int_equal(leadership_on_standby(&l, 1600, 2900), LEADERSHIP_OUT);
    assert_false(leadership_may_act(&l, 1600));
    assert_int_equal(leadership_on_standby(&l, 2100, 2900), LEADERSHIP_SAME);
}

static void a_deposed_leader_is_out_and_asks_at_once(void **state)
{
    (void)state;
    struct leadership l = leading_since(1000);
    assert_int_equal(leadership_on_deposed(&l, 1200), LEADERSHIP_OUT);
    assert_int_equal(l.next_ms, 1200);
    assert_int_equal(leadership_on_deposed(&l, 1300), LEADERSHIP_SAME);
}

static void a_standby_asks_a_few_times_in_a_lease(void **state)
{
    (void)state;
    struct leadership l;
    leadership_init(&l, 1000);
    assert_int_equal(leadership_on_standby(&l, 1000, 3000), LEADERSHIP_SAME);
    assert_int_equal(l.next_ms, 1500);
}

static void a_standby_asks_as_soon_as_the_lease_of_a_dead_leader_ends(void **state)
{
    (void)state;
    struct leadership l;
    leadership_init(&l, 0);
    uint64_t deadline = 3000; /* the leader died right after a renewal at 0 */
    uint64_t now = 0;
    while (now <= deadline) {
        assert_int_equal(leadership_on_standby(&l, now, deadline - now + 1), LEADERSHIP_SAME);
        assert_true(l.next_ms > now);
        assert_true(l.next_ms <= now + 500);
        now = l.next_ms;
    }
    assert_true(now <= deadline + 2);
}

static void a_standby_follows_a_lease_that_was_made_shorter(void **state)
{
    (void)state;
    struct leadership l;
    leadership_init(&l, 0);
    assert_int_equal(leadership_on_standby(&l, 0, 60000), LEADERSHIP_SAME);
    uint64_t now = l.next_ms;
    for (int i = 0; i < 40; i++) {
        assert_int_equal(leadership_on_standby(&l, now, 600), LEADERSHIP_SAME);
        now = l.next_ms;
    }
    assert_int_equal(leadership_on_standby(&l, now, 600), LEADERSHIP_SAME);
    assert_true(l.next_ms - now <= 120);
}

static void a_failed_question_is_asked_again_after_a_while(void **state)
{
    (void)state;
    struct leadership l = leading_since(1000);
    leadership_on_failure(&l, 1600, 250);
    assert_int_equal(l.next_ms, 1850);
    assert_true(leadership_may_act(&l, 1850)); /* its deadline still holds */
}

static void asking_sooner_never_puts_off_what_was_planned(void **state)
{
    (void)state;
    struct leadership l = leading_since(1000);
    leadership_ask_at(&l, 1200);
    assert_int_equal(l.next_ms, 1200);
    leadership_ask_at(&l, 9000);
    assert_int_equal(l.next_ms, 1200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_coordinator_stands_by_and_asks_at_once),
        cmocka_unit_test(
            an_answer_that_it_leads_makes_it_act_until_nine_tenths_of_the_lease_after_asking),
        cmocka_unit_test(a_leader_asks_again_a_sixth_of_the_lease_after_it_asked),
        cmocka_unit_test(a_renewal_moves_the_deadline_and_changes_nothing_else),
        cmocka_unit_test(a_leader_is_out_when_its_own_deadline_passes),
        cmocka_unit_test(an_answer_that_comes_past_the_deadline_makes_nobody_leader),
        cmocka_unit_test(a_late_answer_puts_a_leader_out_of_office),
        cmocka_unit_test(a_leader_that_hears_of_another_is_out),
        cmocka_unit_test(a_deposed_leader_is_out_and_asks_at_once),
        cmocka_unit_test(a_standby_asks_a_few_times_in_a_lease),
        cmocka_unit_test(a_standby_asks_as_soon_as_the_lease_of_a_dead_leader_ends),
        cmocka_unit_test(a_standby_follows_a_lease_that_was_made_shorter),
        cmocka_unit_test(a_failed_question_is_asked_again_after_a_while),
        cmocka_unit_test(asking_sooner_never_puts_off_what_was_planned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
