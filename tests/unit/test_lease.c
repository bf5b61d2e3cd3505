/* Lease: who may act and who asks when, by answers and times alone. */
#include "shared/lease.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define LEASE 3000

static struct lease begun(enum lease_state first, uint64_t now)
{
    struct lease l;

    lease_begin(&l, first, "x", now);
    lease_set_link(&l, LEASE_LINK_UP);
    lease_set_link(&l, LEASE_LINK_GREETING);
    lease_set_link(&l, LEASE_LINK_READY);
    return l;
}

/* It is asked at `sent`, as is due, and waits for the answer. */
static void ask(struct lease *l, uint64_t sent)
{
    assert_true(lease_turn(l, sent));
    lease_asked(l, sent);
}

/* Asked at `sent`, and granted at `now`. */
static enum lease_change granted(struct lease *l, uint64_t sent, uint64_t now, uint64_t lease_ms)
{
    ask(l, sent);
    lease_set_link(l, LEASE_LINK_READY);
    return lease_on_granted(l, now, lease_ms);
}

static enum lease_change other_leads(struct lease *l, uint64_t now, uint64_t remaining_ms)
{
    ask(l, now);
    lease_set_link(l, LEASE_LINK_READY);
    return lease_on_standby(l, now, remaining_ms);
}

static struct lease leading_since(uint64_t sent)
{
    struct lease l = begun(LEASE_STANDBY, sent);

    assert_int_equal(granted(&l, sent, sent + 1, LEASE), LEASE_WON);
    return l;
}

/* A node whose loop is on time. */
static struct lease current_since(uint64_t sent)
{
    struct lease l = begun(LEASE_UNREGISTERED, sent);

    assert_int_equal(lease_on_time(&l, sent), LEASE_SAME);
    assert_int_equal(granted(&l, sent, sent + 1, LEASE), LEASE_WON);
    assert_int_equal(lease_on_time(&l, sent + 1), LEASE_SAME);
    return l;
}

/* Both ----------------------------------------------------------------------------------------- */

static void who_is_new_may_not_act_and_asks_as_soon_as_the_link_is_ready(void **state)
{
    static const enum lease_state first[] = {LEASE_UNREGISTERED, LEASE_STANDBY};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(first); i++) {
        struct lease l;

        lease_begin(&l, first[i], "x", 1000);
        assert_int_equal(l.right.state, first[i]);
        assert_false(lease_may_act(&l, 1000));
        assert_false(lease_turn(&l, 1000));
        assert_true(lease_due_ms(&l) > 1000);
        l = begun(first[i], 1000);
        assert_int_equal(lease_due_ms(&l), 1000);
        assert_true(lease_turn(&l, 1000));
    }
}

static void a_grant_lasts_nine_tenths_of_the_lease_from_when_it_was_asked_for(void **state)
{
    static const enum lease_state first[] = {LEASE_UNREGISTERED, LEASE_STANDBY};
    static const enum lease_state then[] = {LEASE_CURRENT, LEASE_LEADING};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(first); i++) {
        struct lease l = begun(first[i], 1000);

        assert_int_equal(granted(&l, 1000, 1400, LEASE), LEASE_WON);
        assert_int_equal(l.right.state, then[i]);
        assert_true(lease_may_act(&l, 1400));
        assert_true(lease_may_act(&l, 3699));
        assert_false(lease_may_act(&l, 3700));
        assert_true(lease_due_ms(&l) <= 1750);
    }
}

static void it_is_renewed_each_quarter_of_the_lease_from_when_it_was_asked_for(void **state)
{
    (void)state;
    struct lease l = current_since(1000);

    /* When it was to be renewed first was planned before it was known how long it is. */
    for (uint64_t sent = 1500; sent < 60000; sent += 750) {
        assert_int_equal(l.next_ms, sent);
        assert_in_range(lease_due_ms(&l), sent - LEASE / 4, sent);
        assert_int_equal(lease_on_time(&l, sent), LEASE_SAME);
        assert_int_equal(granted(&l, sent, sent + 3, LEASE), LEASE_SAME);
        assert_true(lease_may_act(&l, sent + 2699));
        assert_false(lease_may_act(&l, sent + 2700));
    }
}

/* Of Redis's clock, which is 30 ms ahead; a quarter of the lease has three moments. */
#define AHEAD  30
#define MOMENT (LEASE / 4 / 3)

static uint64_t past_a_moment(const struct lease *l)
{
    return (l->next_ms + AHEAD) % MOMENT;
}

static void renewals_meet_at_moments_of_redis_and_stay_there(UNUSED void **state)
{
    for (uint64_t sent = 1000; sent < 1000 + LEASE / 4; sent++) {
        struct lease l = current_since(sent - 500);

        assert_int_equal(granted(&l, sent, sent + 1, LEASE), LEASE_SAME);
        lease_meet(&l, AHEAD);
        uint64_t met = l.next_ms;
        assert_in_range(met, sent + LEASE / 4 - MOMENT, sent + LEASE / 4);
        assert_true(past_a_moment(&l) == 0 || past_a_moment(&l) >= MOMENT - MOMENT / 8);
        assert_int_equal(granted(&l, met, met + 1, LEASE), LEASE_SAME);
        lease_meet(&l, AHEAD);
        assert_int_equal(l.next_ms, met + LEASE / 4);
    }
}

static void one_that_is_late_meets_again_and_one_that_is_early_loses_no_step(UNUSED void **state)
{
    struct lease l = current_since(1070);

    assert_int_equal(granted(&l, 1570, 1571, LEASE), LEASE_SAME);
    lease_meet(&l, AHEAD);
    assert_int_equal(l.next_ms, 2220);
    assert_int_equal(granted(&l, 2223, 2224, LEASE), LEASE_SAME);
    lease_meet(&l, AHEAD);
    assert_int_equal(l.next_ms, 2970);
    assert_int_equal(granted(&l, 2970, 2971, LEASE), LEASE_SAME);
    lease_meet(&l, AHEAD - 2); /* it is another now */
    assert_int_equal(l.next_ms, 3720);
}

static void meeting_never_takes_long_whatever_the_lease_and_the_clocks(UNUSED void **state)
{
    for (uint64_t lease_ms = 1; lease_ms < 300; lease_ms++) {
        struct lease l = begun(LEASE_UNREGISTERED, 1000);

        (void)!granted(&l, 1000, 1000, lease_ms);
        uint64_t planned = l.next_ms;
        lease_meet(&l, INT64_MIN + (int64_t)lease_ms);
        assert_in_range(l.next_ms, planned - (planned - 1000) / 3 - 1, planned);
        lease_meet(&l, INT64_MAX);
        assert_true(l.next_ms <= planned);
    }
}

static void a_renewal_follows_a_lease_that_was_made_shorter(void **state)
{
    (void)state;
    struct lease l = leading_since(1000);

    assert_int_equal(granted(&l, 1500, 1510, 600), LEASE_SAME);
    assert_int_equal(l.next_ms, 1650);
    assert_true(lease_may_act(&l, 2039));
    assert_false(lease_may_act(&l, 2040));
}

static void an_answer_past_the_deadline_wins_nothing_and_is_asked_for_anew_at_once(void **state)
{
    (void)state;
    struct lease leader = begun(LEASE_STANDBY, 1000);
    struct lease node = begun(LEASE_UNREGISTERED, 1000);

    assert_int_equal(granted(&leader, 1000, 3700, LEASE), LEASE_SAME);
    assert_int_equal(leader.right.state, LEASE_STANDBY);
    assert_true(lease_turn(&leader, 3700));
    /* Redis knows the node: it is renewed next. */
    assert_int_equal(granted(&node, 1000, 3700, LEASE), LEASE_OUT);
    assert_int_equal(node.right.state, LEASE_FENCED);
    assert_true(lease_is_held(&node));
    assert_true(lease_turn(&node, 3700));
}

static void a_late_answer_ends_what_was_held(void **state)
{
    (void)state;
    struct lease leader = leading_since(1000);
    struct lease node = current_since(1000);

    assert_int_equal(granted(&leader, 1500, 4300, LEASE), LEASE_OUT);
    assert_int_equal(leader.right.state, LEASE_STANDBY);
    assert_false(lease_may_act(&leader, 4300));
    assert_int_equal(granted(&node, 1500, 4300, LEASE), LEASE_OUT);
    assert_int_equal(node.right.state, LEASE_FENCED);
    assert_false(lease_may_act(&node, 4300));
}

static void the_loop_comes_at_the_deadline_and_the_right_ends_there_once(void **state)
{
    (void)state;
    struct lease all[] = {current_since(1000), leading_since(1000)};
    static const enum lease_state then[] = {LEASE_FENCED, LEASE_STANDBY};

    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        struct lease *l = &all[i];
        uint64_t now = 1500;

        ask(l, 1500); /* Redis is silent from here on */
        while (now < 3700) {
            assert_int_equal(lease_on_time(l, now), LEASE_SAME);
            assert_false(lease_turn(l, now));
            assert_true(lease_may_act(l, now));
            now = lease_due_ms(l);
        }
        assert_int_equal(now, 3700);
        assert_int_equal(lease_on_time(l, now), LEASE_OUT);
        assert_int_equal(l->right.state, then[i]);
        assert_int_equal(lease_on_time(l, 9000), LEASE_SAME);
    }
}

static void past_the_deadline_it_asks_at_once(void **state)
{
    (void)state;
    struct lease l = leading_since(1000);

    ask(&l, 3650);
    lease_set_link(&l, LEASE_LINK_READY);
    lease_on_failure(&l, 3660);
    assert_false(lease_turn(&l, 3700));
    assert_int_equal(lease_on_time(&l, 3700), LEASE_OUT);
    assert_true(lease_turn(&l, 3700));
}

static void a_question_that_failed_is_asked_again_after_a_while_and_ends_nothing(void **state)
{
    (void)state;
    struct lease l = leading_since(1000);

    ask(&l, 1500);
    assert_true(
        lease_ask_at(&l, 1510)); /* was wanted meanwhile: a Redis that refuses is not rushed */
    lease_set_link(&l, LEASE_LINK_READY);
    lease_on_failure(&l, 1600);
    assert_false(lease_turn(&l, 2099));
    assert_true(lease_turn(&l, 2100));
    assert_true(lease_may_act(&l, 2100)); /* its deadline still holds */

    l = begun(LEASE_UNREGISTERED, 1000);
    assert_int_equal(granted(&l, 1000, 1001, 60000), LEASE_WON);
    ask(&l, 11000);
    lease_set_link(&l, LEASE_LINK_READY);
    lease_on_failure(&l, 11000);
    assert_true(lease_turn(&l, 11500)); /* a quarter of a long lease is long */
}

static void asking_sooner_never_puts_off_what_was_planned(void **state)
{
    (void)state;
    struct lease l = leading_since(1000);

    assert_true(lease_ask_at(&l, 1200));
    assert_int_equal(lease_due_ms(&l), 1200);
    assert_false(lease_ask_at(&l, 9000));
    assert_int_equal(lease_due_ms(&l), 1200);
}

static void what_is_wanted_while_it_asks_is_asked_after_the_answer(void **state)
{
    (void)state;
    struct lease l = current_since(1000);

    ask(&l, 1500);
    assert_true(lease_ask_at(&l, 1520));
    assert_false(lease_turn(&l, 1700)); /* one question at a time */
    lease_set_link(&l, LEASE_LINK_READY);
    assert_int_equal(lease_on_granted(&l, 1700, LEASE), LEASE_SAME);
    assert_true(lease_turn(&l, 1700));
}

static void who_leaves_asks_nothing_more(void **state)
{
    (void)state;
    struct lease node = current_since(1000);
    struct lease leader = leading_since(1000);

    lease_leave(&node, true);
    assert_true(lease_may_act(&node, 3699)); /* orderly, up to its deadline */
    assert_false(lease_may_act(&node, 3700));
    assert_false(lease_turn(&node, 9000));
    assert_int_equal(lease_on_time(&node, 9000), LEASE_SAME);
    lease_leave(&leader, false);
    assert_false(lease_may_act(&leader, 1002));
    assert_false(lease_turn(&leader, 9000));
}

static void a_renewal_that_was_under_way_when_it_left_counts(void **state)
{
    (void)state;
    struct lease l = current_since(1000);

    ask(&l, 1500);
    lease_leave(&l, true);
    lease_set_link(&l, LEASE_LINK_READY);
    assert_int_equal(lease_on_granted(&l, 1600, LEASE), LEASE_SAME);
    assert_true(lease_may_act(&l, 4199));
    assert_int_equal(l.right.state, LEASE_LEAVING);
    lease_on_lost(&l);
    assert_false(lease_may_act(&l, 1700));
    lease_begin_anew(&l, 1700);
    assert_int_equal(l.right.state, LEASE_LEAVING);
}

/* A node --------------------------------------------------------------------------------------- */

static void a_loop_that_is_late_by_a_third_of_the_lease_fences(void **state)
{
    (void)state;
    struct lease l = current_since(1000); /* the loop is expected by 1501 */

    assert_false(lease_is_late(&l, 2501));
    assert_true(lease_is_late(&l, 2502));
    assert_true(lease_may_act(&l, 2502)); /* the deadline is not reached */
    assert_int_equal(lease_on_time(&l, 2502), LEASE_OUT);
    assert_int_equal(l.right.state, LEASE_FENCED);
    assert_false(lease_may_act(&l, 2502));
    assert_false(lease_is_late(&l, 9000)); /* once */
    assert_int_equal(granted(&l, 2502, 2510, LEASE), LEASE_WON);
    assert_true(lease_may_act(&l, 2510));
}

static void answers_and_wishes_do_not_hide_that_the_loop_is_late(void **state)
{
    (void)state;
    struct lease l = current_since(1000);

    assert_true(lease_ask_at(&l, 1100));
    ask(&l, 2400);
    lease_set_link(&l, LEASE_LINK_READY);
    assert_int_equal(lease_on_granted(&l, 2505, LEASE), LEASE_SAME);
    assert_int_equal(lease_on_time(&l, 2510), LEASE_OUT);
}

static void a_leader_is_never_late(UNUSED void **state)
{
    struct lease l = leading_since(1000);

    assert_false(lease_is_late(&l, 3699));
    assert_int_equal(lease_on_time(&l, 3699), LEASE_SAME);
}

static void a_fenced_node_goes_on_with_the_next_answer(void **state)
{
    (void)state;
    struct lease l = current_since(1000);

    assert_int_equal(lease_on_time(&l, 3700), LEASE_OUT);
    assert_int_equal(granted(&l, 3700, 6400, LEASE), LEASE_SAME); /* too late as well */
    assert_int_equal(l.right.state, LEASE_FENCED);
    assert_int_equal(granted(&l, 6400, 6410, LEASE), LEASE_WON);
    assert_int_equal(l.right.state, LEASE_CURRENT);
}

static void a_lost_node_registers_anew_at_once(void **state)
{
    (void)state;
    struct lease l = current_since(1000);

    ask(&l, 1500);
    lease_set_link(&l, LEASE_LINK_READY);
    lease_on_lost(&l);
    assert_int_equal(l.right.state, LEASE_LOST);
    assert_false(lease_may_act(&l, 1501));
    lease_begin_anew(&l, 1501);
    assert_int_equal(l.right.state, LEASE_UNREGISTERED);
    assert_false(lease_is_held(&l));
    assert_int_equal(granted(&l, 1501, 1510, LEASE), LEASE_WON);
}

static void a_renewal_is_late_where_under_five_eighths_remain(void **state)
{
    (void)state;
    assert_false(lease_is_behind(3000, 3000));
    assert_false(lease_is_behind(3000, 2250)); /* renewing is due */
    assert_false(lease_is_behind(3000, 1875));
    assert_true(lease_is_behind(3000, 1874));
    assert_true(lease_is_behind(3000, -1));
    assert_false(lease_is_behind(INT64_MAX, INT64_MAX));
}

/* A leader ------------------------------------------------------------------------------------- */

static void a_leader_that_hears_of_another_is_out(void **state)
{
    (void)state;
    struct lease l = leading_since(1000);

    assert_int_equal(other_leads(&l, 1600, 2900), LEASE_OUT);
    assert_false(lease_may_act(&l, 1600));
    assert_int_equal(other_leads(&l, 2500, 2900), LEASE_SAME);
}

static void a_deposed_leader_is_out_and_asks_at_once(void **state)
{
    (void)state;
    struct lease l = leading_since(1000);

    assert_int_equal(lease_on_deposed(&l, 1200), LEASE_OUT);
    assert_int_equal(lease_due_ms(&l), 1200);
    assert_int_equal(lease_on_deposed(&l, 1300), LEASE_SAME);
}

static void a_standby_asks_a_few_times_in_a_lease(UNUSED void **state)
{
    struct lease l = begun(LEASE_STANDBY, 1000);

    assert_int_equal(other_leads(&l, 1000, 3000), LEASE_SAME);
    assert_int_equal(lease_due_ms(&l), 1500);
}

static void a_standby_asks_as_soon_as_the_lease_of_a_dead_leader_ends(void **state)
{
    (void)state;
    struct lease l = begun(LEASE_STANDBY, 0);
    uint64_t deadline = 3000; /* the leader died right after a renewal at 0 */
    uint64_t now = 0;

    while (now <= deadline) {
        assert_int_equal(other_leads(&l, now, deadline - now + 1), LEASE_SAME);
        assert_true(l.next_ms > now);
        assert_true(l.next_ms <= now + LEASE / 4);
        now = l.next_ms;
    }
    assert_true(now <= deadline + 2);
}

static void a_standby_follows_a_lease_that_was_made_shorter(void **state)
{
    (void)state;
    struct lease l = begun(LEASE_STANDBY, 0);

    assert_int_equal(other_leads(&l, 0, 60000), LEASE_SAME);
    uint64_t now = l.next_ms;
    for (int i = 0; i < 40; i++) {
        assert_int_equal(other_leads(&l, now, 600), LEASE_SAME);
        now = l.next_ms;
    }
    assert_int_equal(other_leads(&l, now, 600), LEASE_SAME);
    assert_true(l.next_ms - now <= 170);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_new_may_not_act_and_asks_as_soon_as_the_link_is_ready),
        cmocka_unit_test(a_grant_lasts_nine_tenths_of_the_lease_from_when_it_was_asked_for),
        cmocka_unit_test(it_is_renewed_each_quarter_of_the_lease_from_when_it_was_asked_for),
        cmocka_unit_test(renewals_meet_at_moments_of_redis_and_stay_there),
        cmocka_unit_test(one_that_is_late_meets_again_and_one_that_is_early_loses_no_step),
        cmocka_unit_test(meeting_never_takes_long_whatever_the_lease_and_the_clocks),
        cmocka_unit_test(a_renewal_follows_a_lease_that_was_made_shorter),
        cmocka_unit_test(an_answer_past_the_deadline_wins_nothing_and_is_asked_for_anew_at_once),
        cmocka_unit_test(a_late_answer_ends_what_was_held),
        cmocka_unit_test(the_loop_comes_at_the_deadline_and_the_right_ends_there_once),
        cmocka_unit_test(past_the_deadline_it_asks_at_once),
        cmocka_unit_test(a_question_that_failed_is_asked_again_after_a_while_and_ends_nothing),
        cmocka_unit_test(asking_sooner_never_puts_off_what_was_planned),
        cmocka_unit_test(what_is_wanted_while_it_asks_is_asked_after_the_answer),
        cmocka_unit_test(who_leaves_asks_nothing_more),
        cmocka_unit_test(a_renewal_that_was_under_way_when_it_left_counts),
        cmocka_unit_test(a_loop_that_is_late_by_a_third_of_the_lease_fences),
        cmocka_unit_test(answers_and_wishes_do_not_hide_that_the_loop_is_late),
        cmocka_unit_test(a_leader_is_never_late),
        cmocka_unit_test(a_fenced_node_goes_on_with_the_next_answer),
        cmocka_unit_test(a_lost_node_registers_anew_at_once),
        cmocka_unit_test(a_renewal_is_late_where_under_five_eighths_remain),
        cmocka_unit_test(a_leader_that_hears_of_another_is_out),
        cmocka_unit_test(a_deposed_leader_is_out_and_asks_at_once),
        cmocka_unit_test(a_standby_asks_a_few_times_in_a_lease),
        cmocka_unit_test(a_standby_asks_as_soon_as_the_lease_of_a_dead_leader_ends),
        cmocka_unit_test(a_standby_follows_a_lease_that_was_made_shorter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
