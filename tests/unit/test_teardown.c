/* Teardown: the owner goes with its last part, once, and is told of after that. */
#include "shared/teardown.h"

#include "tests/lib/test_loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

struct owner {
    struct teardown teardown;
    uv_timer_t timers[2];
};

static unsigned finished;
static unsigned closed;

static void finish(void *owner)
{
    assert_int_equal(closed, 0);
    finished++;
    free(owner);
}

static void on_closed(void *ctx)
{
    assert_int_equal(finished, 1);
    ++*(unsigned *)ctx;
}

static struct owner *begun(void (*then)(void *ctx))
{
    struct owner *o = xcalloc(1, sizeof(*o));

    finished = closed = 0;
    assert_false(o->teardown.begun);
    teardown_begin(&o->teardown, finish, o, then, &closed);
    assert_true(o->teardown.begun);
    return o;
}

static void the_owner_goes_with_its_last_part(void **state)
{
    (void)state;
    struct owner *o = begun(on_closed);
    void *first = teardown_part(&o->teardown);
    void *second = teardown_part(&o->teardown);

    teardown_part_gone(second);
    assert_int_equal(finished, 0);
    teardown_part_gone(first);
    assert_int_equal(finished, 1);
    assert_int_equal(closed, 1);
}

static void nobody_need_be_told(void **state)
{
    (void)state;
    struct owner *o = begun(NULL);

    teardown_part_gone(teardown_part(&o->teardown));
    assert_int_equal(finished, 1);
}

static void handles_are_closed_and_waited_for(void **state)
{
    (void)state;
    struct test_loop t;
    struct owner *o = begun(on_closed);

    test_loop_init(&t);
    for (size_t i = 0; i < ARRAY_LEN(o->timers); i++) {
        uv_timer_init(&t.uv, &o->timers[i]);
        o->timers[i].data = NULL;
        teardown_handle(&o->teardown, (uv_handle_t *)&o->timers[i]);
    }
    assert_int_equal(finished, 0);
    wait_until(&t, closed == 1);
    test_loop_finish(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_owner_goes_with_its_last_part),
        cmocka_unit_test(nobody_need_be_told),
        cmocka_unit_test(handles_are_closed_and_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
