/* Trouble: what is logged of failures that repeat. */
#include "shared/trouble.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void the_same_trouble_is_news_once_a_minute(void **state)
{
    struct trouble t = {0};
    struct err why = {0};

    (void)state;
    err_set(&why, ERR_DOWN, "refused");
    assert_true(trouble_is_news(&t, &why, 1000));
    assert_false(trouble_is_news(&t, &why, 1001));
    assert_false(trouble_is_news(&t, &why, 1000 + TROUBLE_AGAIN_MS - 1));
    assert_true(trouble_is_news(&t, &why, 1000 + TROUBLE_AGAIN_MS));
}

static void other_words_or_another_code_are_news(void **state)
{
    struct trouble t = {0};
    struct err why = {0};

    (void)state;
    err_set(&why, ERR_DOWN, "refused");
    assert_true(trouble_is_news(&t, &why, 0));
    err_set(&why, ERR_DOWN, "reset");
    assert_true(trouble_is_news(&t, &why, 0));
    err_set(&why, ERR_TIMEOUT, "reset");
    assert_true(trouble_is_news(&t, &why, 0));
}

static void what_comes_after_it_was_over_is_news(void **state)
{
    struct trouble t = {0};
    struct err why = {0};

    (void)state;
    err_set(&why, ERR_DOWN, "refused");
    assert_false(trouble_over(&t));
    assert_true(trouble_is_news(&t, &why, 5));
    assert_true(trouble_over(&t));
    assert_false(trouble_over(&t));
    assert_true(trouble_is_news(&t, &why, 6));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_trouble_is_news_once_a_minute),
        cmocka_unit_test(other_words_or_another_code_are_news),
        cmocka_unit_test(what_comes_after_it_was_over_is_news),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
