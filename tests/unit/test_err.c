/* Err: codes, texts and wrapping. */
#include "shared/err.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void an_error_carries_code_and_text(void **state)
{
    (void)state;
    struct err err;
    int rc = err_set(&err, ERR_TIMEOUT, "no PONG in %d s", 3);

    assert_int_equal(rc, -ERR_TIMEOUT);
    assert_int_equal(err.code, ERR_TIMEOUT);
    assert_string_equal(err.text, "no PONG in 3 s");
}

static void words_go_before_the_text_and_the_code_stays(void **state)
{
    (void)state;
    struct err err;
    err_set(&err, ERR_AUTH, "WRONGPASS");

    assert_int_equal(err_wrap(&err, "link %s", "fan-out"), -ERR_AUTH);
    assert_int_equal(err_wrap(&err, "start"), -ERR_AUTH);
    assert_string_equal(err.text, "start: link fan-out: WRONGPASS");
}

static void a_text_may_be_made_from_the_old_text(void **state)
{
    (void)state;
    struct err err;
    err_set(&err, ERR_IO, "old");
    err_set(&err, ERR_DOWN, "%s and new", err.text);
    assert_string_equal(err.text, "old and new");
    err_wrap(&err, "%s", err.text);
    assert_string_equal(err.text, "old and new: old and new");
}

static void control_characters_do_not_get_through(void **state)
{
    (void)state;
    struct err err;
    err_set(&err, ERR_PROTOCOL, "a\r\nb\x1b[2Jc\x7f");
    assert_string_equal(err.text, "a??b?[2Jc?");
}

static void long_texts_are_cut_not_overrun(void **state)
{
    (void)state;
    struct err err;
    char text[2000];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';

    err_set(&err, ERR_IO, "%s", text);
    assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
    err_wrap(&err, "%s", "front");
    assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
    assert_memory_equal(err.text, "front: xxx", 10);
    err_wrap(&err, "%s", text);
    assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
}

static void nobody_listening_is_no_crash(void **state)
{
    (void)state;
    assert_int_equal(err_set(NULL, ERR_FULL, "x"), -ERR_FULL);
    assert_true(err_wrap(NULL, "x") < 0);
}

static void each_code_has_a_text_and_an_exit_code(void **state)
{
    (void)state;
    assert_int_equal(err_exit_code(ERR_OK), 0);
    assert_int_equal(err_exit_code(ERR_USAGE), 2);
    assert_int_equal(err_exit_code(ERR_UNREACHABLE), 3);
    assert_int_equal(err_exit_code(ERR_TIMEOUT), 3);
    assert_int_equal(err_exit_code(ERR_AUTH), 3);
    assert_int_equal(err_exit_code(ERR_DOWN), 3);
    assert_int_equal(err_exit_code(ERR_REFUSED), 1);
    assert_int_equal(err_exit_code(ERR_IO), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_error_carries_code_and_text),
        cmocka_unit_test(words_go_before_the_text_and_the_code_stays),
        cmocka_unit_test(a_text_may_be_made_from_the_old_text),
        cmocka_unit_test(control_characters_do_not_get_through),
        cmocka_unit_test(long_texts_are_cut_not_overrun),
        cmocka_unit_test(nobody_listening_is_no_crash),
        cmocka_unit_test(each_code_has_a_text_and_an_exit_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
