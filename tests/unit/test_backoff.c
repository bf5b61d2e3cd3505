/* Backoff: bounds of each wait. */
#include "shared/backoff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void assert_within(uint64_t wait, uint64_t step)
{
    assert_in_range(wait, step / 2, step);
}

static void waits_double_up_to_the_cap(void **state)
{
    (void)state;
    struct backoff b;
    backoff_init(&b, 100, 1000, 60000);

    assert_within(backoff_next(&b, 0), 100);
    assert_within(backoff_next(&b, 0), 200);
    assert_within(backoff_next(&b, 0), 400);
    assert_within(backoff_next(&b, 0), 800);
    for (int i = 0; i < 100; i++) {
        assert_within(backoff_next(&b, 0), 1000);
    }
}

static void being_up_shortly_does_not_reset_but_a_stable_time_does(void **state)
{
    (void)state;
    struct backoff b;
    backoff_init(&b, 100, 10000, 60000);
    for (int i = 0; i < 5; i++) {
        (void)backoff_next(&b, 0);
    }

    assert_within(backoff_next(&b, 59999), 3200);
    assert_within(backoff_next(&b, 60000), 100);
    assert_within(backoff_next(&b, 0), 200);
}

static void two_nodes_do_not_wait_alike(void **state)
{
    (void)state;
    uint64_t first = 0;
    bool differs = false;
    for (int i = 0; i < 50 && !differs; i++) {
        struct backoff b;
        backoff_init(&b, 100000, 100000, 1);
        uint64_t wait = backoff_next(&b, 0);
        differs = i > 0 && wait != first;
        first = wait;
    }
    assert_true(differs);
}

static void senseless_settings_do_no_harm(void **state)
{
    (void)state;
    struct backoff b;
    backoff_init(&b, 0, 0, 0);
    assert_in_range(backoff_next(&b, 0), 0, 1);
    backoff_init(&b, UINT64_MAX / 2, UINT64_MAX - 1, 0);
    (void)backoff_next(&b, 0);
    assert_true(backoff_next(&b, 0) >= UINT64_MAX / 2 - 1);
    assert_true(backoff_next(&b, 0) >= UINT64_MAX / 2 - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_double_up_to_the_cap),
        cmocka_unit_test(being_up_shortly_does_not_reset_but_a_stable_time_does),
        cmocka_unit_test(two_nodes_do_not_wait_alike),
        cmocka_unit_test(senseless_settings_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
