/* Sight: when a node is blind, and when it is believed to see again. */
#include "node/sight.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define BLIND_MS 1000
#define T0       100000

static struct sight s;

static int begin(void **state)
{
    (void)state;
    sight_init(&s);
    return 0;
}

static enum sight_state look(uint64_t at_ms, bool working)
{
    enum sight_state before = s.machine.state;
    bool changed = sight_look(&s, working, BLIND_MS, T0 + at_ms);

    assert_int_equal(changed, s.machine.state != before);
    return s.machine.state;
}

static void missed(uint64_t began_ms, uint64_t at_ms)
{
    sight_missed(&s, T0 + began_ms, "refused", T0 + at_ms);
}

static void go_blind(uint64_t from_ms)
{
    missed(from_ms, from_ms);
    missed(from_ms, from_ms);
    assert_int_equal(look(from_ms + BLIND_MS, false), SIGHT_BLIND);
}

static void nothing_is_known_of_a_node_that_has_not_tried(void **state)
{
    (void)state;
    assert_int_equal(look(1000000, false), SIGHT_SEES);
    assert_string_equal(machine_state_name(&s.machine), "active");
}

static void it_is_blind_when_its_tries_have_failed_for_long_enough(void **state)
{
    (void)state;
    missed(0, 10);
    missed(20, 30);
    assert_int_equal(look(999, false), SIGHT_SEES);
    assert_int_equal(look(1000, false), SIGHT_BLIND);
    assert_string_equal(s.why, "refused");
}

static void one_try_that_fails_is_an_accident(void **state)
{
    (void)state;
    missed(0, 900);
    assert_int_equal(look(5000, false), SIGHT_SEES);
    missed(5000, 5900);
    assert_int_equal(look(5900, false), SIGHT_BLIND);
}

static void while_one_connection_works_the_others_may_fail(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 20; i++) {
        missed(i * 100, i * 100 + 50);
        assert_int_equal(look(i * 100 + 60, true), SIGHT_SEES);
    }
    /* From when it is gone it counts. */
    missed(2000, 2100);
    missed(2100, 2200);
    assert_int_equal(look(2999, false), SIGHT_SEES);
    assert_int_equal(look(3000, false), SIGHT_BLIND);
}

static void an_answer_of_twitch_is_no_failure(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 20; i++) {
        missed(i * 1000, i * 1000 + 500);
        sight_saw(&s, T0 + i * 1000 + 500); /* a login refused */
        assert_int_equal(look(i * 1000 + 500, false), SIGHT_SEES);
    }
}

static void what_failed_while_redis_was_away_does_not_count(void **state)
{
    (void)state;
    missed(0, 10);
    missed(20, 30);
    sight_rest(&s);
    assert_int_equal(look(5000, false), SIGHT_SEES);
    missed(5000, 5000);
    assert_int_equal(look(5500, false), SIGHT_SEES);
}

static void it_has_to_prove_that_it_sees_again(void **state)
{
    (void)state;
    go_blind(0);
    assert_int_equal(look(5000, false), SIGHT_BLIND);
    sight_saw(&s, T0 + 5000);
    assert_int_equal(look(5000, false), SIGHT_PROVING);
    assert_int_equal(look(6500, false), SIGHT_PROVING); /* nothing was heard since */
    sight_saw(&s, T0 + 6600);
    assert_int_equal(look(6600, false), SIGHT_SEES);
}

static void a_connection_that_works_for_long_enough_is_proof(void **state)
{
    (void)state;
    go_blind(0);
    assert_int_equal(look(5000, true), SIGHT_PROVING);
    assert_int_equal(look(5999, true), SIGHT_PROVING);
    assert_int_equal(look(6000, true), SIGHT_SEES);
}

static void who_is_blind_again_soon_has_to_prove_it_for_longer(void **state)
{
    (void)state;
    go_blind(0);
    sight_saw(&s, T0 + 2000);
    assert_int_equal(look(2000, false), SIGHT_PROVING);
    missed(2100, 2200);
    missed(2200, 2300);
    assert_int_equal(look(2300, false), SIGHT_BLIND);
    assert_int_equal(look(3000, true), SIGHT_PROVING);
    assert_int_equal(look(4999, true), SIGHT_PROVING);
    assert_int_equal(look(5000, true), SIGHT_SEES);
    go_blind(6000);
    assert_int_equal(look(8000, true), SIGHT_PROVING);
    assert_int_equal(look(11999, true), SIGHT_PROVING);
    assert_int_equal(look(12000, true), SIGHT_SEES);
    go_blind(12000 + 20 * BLIND_MS); /* that is long ago */
    assert_int_equal(look(40000, true), SIGHT_PROVING);
    assert_int_equal(look(41000, true), SIGHT_SEES);
}

static void where_it_is_switched_off_no_node_is_blind(void **state)
{
    (void)state;
    missed(0, 0);
    missed(0, 0);
    assert_false(sight_look(&s, false, 0, T0 + 1000000));
    /* Also one that was. */
    go_blind(0);
    (void)sight_look(&s, false, 0, T0 + 5000);
    (void)sight_look(&s, false, 0, T0 + 5000);
    assert_int_equal(s.machine.state, SIGHT_SEES);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, begin)
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_known_of_a_node_that_has_not_tried),
        TEST(it_is_blind_when_its_tries_have_failed_for_long_enough),
        TEST(one_try_that_fails_is_an_accident),
        TEST(while_one_connection_works_the_others_may_fail),
        TEST(an_answer_of_twitch_is_no_failure),
        TEST(what_failed_while_redis_was_away_does_not_count),
        TEST(it_has_to_prove_that_it_sees_again),
        TEST(a_connection_that_works_for_long_enough_is_proof),
        TEST(who_is_blind_again_soon_has_to_prove_it_for_longer),
        TEST(where_it_is_switched_off_no_node_is_blind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
