/* Buf: growing, the bound, and what happens at it. */
#include "shared/buf.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void an_empty_buf_has_an_empty_slice(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 10);

    assert_int_equal(buf_slice(&b).len, 0);
    assert_true(slice_is(buf_slice(&b), ""));
    buf_consume(&b, 0);
    buf_clear(&b);
    buf_finish(&b);
}

static void appends_add_up_and_stay_terminated(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1000);

    buf_append_str(&b, "PUBLISH ");
    buf_append_slice(&b, SLICE("abc"));
    buf_append_char(&b, '-');
    buf_printf(&b, "%d%s", 42, "!");
    buf_append(&b, NULL, 0);

    assert_string_equal(b.data, "PUBLISH abc-42!");
    assert_int_equal(b.len, 15);
    buf_finish(&b);
}

static void the_bound_is_reached_but_not_passed(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 8);

    buf_append_str(&b, "12345678");
    assert_false(b.overflow);
    assert_int_equal(b.data[8], '\0');
    buf_append_char(&b, '9');
    assert_true(b.overflow);
    assert_string_equal(b.data, "12345678");

    buf_finish(&b);
}

static void an_append_that_does_not_fit_appends_nothing_nor_do_later_ones(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 8);

    buf_append_str(&b, "123");
    buf_printf(&b, "%s", "456789");
    buf_append_char(&b, 'x');

    assert_true(b.overflow);
    assert_string_equal(b.data, "123");
    buf_clear(&b);
    assert_false(b.overflow);
    buf_append_str(&b, "ok");
    assert_string_equal(b.data, "ok");
    buf_finish(&b);
}

static void a_length_that_would_wrap_is_an_overflow(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 100);
    buf_append_str(&b, "x");
    buf_append(&b, "y", SIZE_MAX);
    assert_true(b.overflow);
    assert_int_equal(b.len, 1);
    buf_finish(&b);
}

static void consuming_keeps_the_rest(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 100);
    buf_append_str(&b, "first\nsecond");

    buf_consume(&b, 6);
    assert_string_equal(b.data, "second");
    buf_consume(&b, 6);
    assert_string_equal(b.data, "");
    buf_finish(&b);
}

static void a_finished_buf_may_be_used_again(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 4);
    buf_append_str(&b, "12345");
    buf_finish(&b);
    assert_null(b.data);
    buf_append_str(&b, "1234");
    assert_string_equal(b.data, "1234");
    buf_finish(&b);
}

static void many_small_appends_make_one_big_run(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 100000);
    for (int i = 0; i < 100000; i++) {
        buf_append_char(&b, (char)('a' + i % 26));
    }
    assert_false(b.overflow);
    assert_int_equal(b.len, 100000);
    assert_int_equal(b.data[99999], 'a' + 99999 % 26);
    buf_finish(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_buf_has_an_empty_slice),
        cmocka_unit_test(appends_add_up_and_stay_terminated),
        cmocka_unit_test(the_bound_is_reached_but_not_passed),
        cmocka_unit_test(an_append_that_does_not_fit_appends_nothing_nor_do_later_ones),
        cmocka_unit_test(a_length_that_would_wrap_is_an_overflow),
        cmocka_unit_test(consuming_keeps_the_rest),
        cmocka_unit_test(a_finished_buf_may_be_used_again),
        cmocka_unit_test(many_small_appends_make_one_big_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
