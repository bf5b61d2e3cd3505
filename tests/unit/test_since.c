/* Since: times as people write them. */
#include "coordinator/ctl/since.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#define NOW_MS 1795780800000 /* 2026-11-27 12:00:00 UTC */

static int in_utc_plus_two(void **state)
{
    (void)state;
    setenv("TZ", "EET-2", 1);
    tzset();
    return 0;
}

static void it_is_how_long_ago_or_when(void **state)
{
    static const struct {
        const char *text;
        uint64_t ms;
    } rows[] = {
        {"90", NOW_MS - 90000},
        {"500ms", NOW_MS - 500},
        {"90s", NOW_MS - 90000},
        {"10m", NOW_MS - 600000},
        {"2h", NOW_MS - 7200000},
        {"3d", NOW_MS - 259200000},
        {"99999d", 1}, /* before there were times */
        {"2026-11-27T11:00:00Z", NOW_MS - 3600000},
        {"2026-11-27 13:00:00", NOW_MS - 3600000}, /* two hours ahead of UTC */
        {"2026-11-27T13:00:00", NOW_MS - 3600000},
        {"2026-11-27 13:00", NOW_MS - 3600000},
        {"2026-11-27", NOW_MS - 14 * 3600000},
        {"13:00", NOW_MS - 3600000},
        {"13:00:30", NOW_MS - 3600000 + 30000},
        {"15:00", NOW_MS - 23 * 3600000}, /* yesterday */
    };
    struct wall at;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(since_parse(rows[i].text, (struct wall){NOW_MS}, &at, NULL), 0);
        assert_int_equal(at.ms, rows[i].ms);
    }
}

static void what_is_no_time_is_refused_with_what_is_one(void **state)
{
    static const char *const texts[] = {"",
                                        "soon",
                                        "-5m",
                                        "5w",
                                        "10m ",
                                        "25:00",
                                        "12:",
                                        "2026-13-01",
                                        "2026-11-27 25:00",
                                        "99999999999999999999d"};
    struct err err;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        assert_int_equal(since_check(texts[i], &err), -ERR_USAGE);
        assert_non_null(strstr(err.text, "10m"));
    }
}

static void a_time_is_shown_in_this_hosts_zone(void **state)
{
    char text[SINCE_CHARS];

    (void)state;
    since_format((struct wall){NOW_MS}, text);
    assert_string_equal(text, "2026-11-27 14:00:00");
    since_format((struct wall){0}, text);
    assert_string_equal(text, "?");
    since_format((struct wall){UINT64_MAX}, text);
    assert_true(strlen(text) < SINCE_CHARS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_how_long_ago_or_when),
        cmocka_unit_test(what_is_no_time_is_refused_with_what_is_one),
        cmocka_unit_test(a_time_is_shown_in_this_hosts_zone),
    };

    return cmocka_run_group_tests(tests, in_utc_plus_two, NULL);
}
