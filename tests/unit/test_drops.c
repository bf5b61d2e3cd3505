/* Drops: counted by channel, told once. */
#include "node/drops.h"
#include "node/meters.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

struct told {
    unsigned calls;
    char text[256]; /* "channel lines reason|..." */
    uint64_t from_ms;
    uint64_t to_ms;
};

static void tell(void *ctx, struct slice channel, uint64_t from_ms, uint64_t to_ms, uint64_t lines,
                 const char *reason)
{
    struct told *told = ctx;
    size_t at = strlen(told->text);

    snprintf(told->text + at, sizeof(told->text) - at, "%.*s %u %s|", (int)channel.len, channel.ptr,
             (unsigned)lines, reason);
    told->calls++;
    told->from_ms = from_ms;
    told->to_ms = to_ms;
}

static void lines_are_counted_by_channel_and_told_once(void **state)
{
    struct drops d = {0};
    struct told told = {0};
    uint64_t before = meters.fanout_dropped_lines_total;

    (void)state;
    assert_false(d.channels != NULL);
    assert_false(drops_has(&d, SLICE("a")));
    drops_add(&d, SLICE("a"), 1, 1);
    drops_add(&d, SLICE("b"), 1, 1);
    drops_add(&d, SLICE("a"), 1, 1);
    assert_true(drops_has(&d, SLICE("a")));
    assert_false(drops_has(&d, SLICE("ab")));
    drops_tell(&d, "why", tell, &told);
    assert_string_equal(told.text, "a 2 why|b 1 why|");

    assert_false(d.channels != NULL);
    drops_tell(&d, "why", tell, &told);
    assert_int_equal(told.calls, 2);
    assert_int_equal(meters.fanout_dropped_lines_total - before, 3);
}

static void a_gap_is_from_the_first_line_to_the_last(void **state)
{
    struct drops d = {0};
    struct told told = {0};

    (void)state;
    drops_add(&d, SLICE("a"), 2000, 2500);
    drops_add(&d, SLICE("a"), 1000, 1500);
    drops_tell(&d, "", tell, &told);
    assert_int_equal(told.from_ms, 1000);
    assert_int_equal(told.to_ms, 2500);

    drops_add(&d, SLICE("a"), 1, 1);
    drops_finish(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_counted_by_channel_and_told_once),
        cmocka_unit_test(a_gap_is_from_the_first_line_to_the_last),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
