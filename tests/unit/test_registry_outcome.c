/* Registry outcome: replies to requests, as steps make them, and as anybody else may. */
#include "shared/redis/registry_outcome.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void every_member_of_a_reply_is_read(void **state)
{
    struct registry_outcome o;

    (void)state;
    registry_outcome_read(
        SLICE("{\"ok\":false,\"error\":\"e\",\"assigned\":{\"a\":\"s1\",\"b\":\"s2\"},\"waiting\":{"
              "\"c\":\"w\"},"
              "\"refused\":{\"d\":\"r\"},\"refused_more\":7,\"parted\":[\"p\"],\"retried\":{},"
              "\"manager\":\"m\",\"different\":{\"x\":\"1\"}}"),
        &o);
    assert_true(o.valid && !o.ok && o.names_channels);
    assert_string_equal(o.error, "e");
    assert_int_equal(o.assigned.n, 2);
    assert_string_equal(o.assigned.item[1].name, "b");
    assert_string_equal(o.assigned.item[1].text, "s2");
    assert_string_equal(o.waiting.item[0].text, "w");
    assert_string_equal(o.refused.item[0].name, "d");
    assert_int_equal(o.refused_more, 7);
    assert_string_equal(o.parted.item[0].name, "p");
    assert_int_equal(o.retried.n, 0);
    assert_string_equal(o.manager, "m");
    assert_string_equal(o.different.item[0].text, "1");
    registry_outcome_finish(&o);
}

static void a_reply_that_names_no_channels_says_so(void **state)
{
    struct registry_outcome o;

    (void)state;
    registry_outcome_read(SLICE("{\"ok\":true,\"error\":\"\\\"assigned\\\":{}\"}"), &o);
    assert_true(o.valid && o.ok && !o.names_channels);
    registry_outcome_finish(&o);
    registry_outcome_read(SLICE("{\"ok\":true,\"assigned\":{}}"), &o);
    assert_true(o.valid && o.names_channels && o.assigned.n == 0);
    registry_outcome_finish(&o);
}

static void what_no_step_makes_is_told_and_passed_over(void **state)
{
    static const char *const bad[] = {
        "",
        "null",
        "[]",
        "7",
        "{",
        "{}",
        "{\"ok\":1}",
        "{\"ok\":true,\"error\":7}",
        "{\"ok\":true,\"refused\":[\"a\"]}",
        "{\"ok\":true,\"refused\":{\"a\":1}}",
        "{\"ok\":true,\"refused\":null}",
        "{\"ok\":true,\"parted\":{\"a\":\"b\"}}",
        "{\"ok\":true,\"parted\":[1,null,{}]}",
        "{\"ok\":true,\"waiting\":7}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct registry_outcome o;
        registry_outcome_read(slice_of(bad[i]), &o);
        assert_false(o.valid);
        for (size_t k = 0; k < o.refused.n; k++) {
            assert_non_null(o.refused.item[k].text);
        }
        registry_outcome_finish(&o);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_member_of_a_reply_is_read),
        cmocka_unit_test(a_reply_that_names_no_channels_says_so),
        cmocka_unit_test(what_no_step_makes_is_told_and_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
