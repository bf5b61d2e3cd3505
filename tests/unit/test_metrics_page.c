/* Metrics page: a flood of scrapes makes the text a few times a second, each format by itself. */
#include "shared/metrics/metrics_page.h"

#include "shared/web/web_limits.h"
#include "tests/lib/test_loop.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

struct owner {
    struct metrics_page page;
    struct teardown teardown;
    unsigned written;
    size_t much; /* bytes more to write */
    bool gone;
};

static void write_some(void *ctx, struct exposition *e)
{
    struct owner *o = ctx;

    o->written++;
    buf_printf(e->out, "# %u\n", o->written);
    for (size_t i = 0; i < o->much; i += 1024) {
        buf_printf(e->out, "# %1021s\n", "");
    }
}

static void on_gone(void *owner)
{
    ((struct owner *)owner)->gone = true;
}

static void finish(struct test_loop *t, struct owner *o)
{
    teardown_begin(&o->teardown, on_gone, o, NULL, NULL);
    metrics_page_end(&o->page, &o->teardown);
    wait_until(t, o->gone);
    test_loop_finish(t);
}

static void a_flood_of_scrapes_costs_four_texts_a_second(void **state)
{
    struct test_loop t;
    struct owner o = {0};

    (void)state;
    test_loop_init(&t);
    metrics_page_begin(&o.page, &t.uv, write_some, &o);
    uint64_t began = mono_ms();
    for (unsigned i = 0; i < 1000; i++) {
        assert_true(metrics_page_text(&o.page, false).len > 0);
    }
    assert_true(o.written >= 1 && o.written <= 1 + (mono_ms() - began) / 250);
    unsigned before = o.written;
    struct slice text = metrics_page_text(&o.page, true); /* another format */
    assert_int_equal(o.written, before + 1);
    assert_memory_equal(text.ptr + text.len - 6, "# EOF\n", 6);
    test_loop_run_for(&t, 260);
    metrics_page_text(&o.page, false);
    assert_int_equal(o.written, before + 2);
    finish(&t, &o);
}

static void a_text_without_end_is_none(void **state)
{
    struct test_loop t;
    struct owner o = {.much = WEB_ANSWER_MAX};

    (void)state;
    test_loop_init(&t);
    metrics_page_begin(&o.page, &t.uv, write_some, &o);
    assert_int_equal(metrics_page_text(&o.page, false).len, 0);
    o.much = 0;
    test_loop_run_for(&t, 260);
    assert_true(metrics_page_text(&o.page, false).len > 0);
    finish(&t, &o);
}

static void what_was_not_begun_has_nothing_to_end(void **state)
{
    struct owner o = {0};

    (void)state;
    teardown_begin(&o.teardown, on_gone, &o, NULL, NULL);
    metrics_page_end(&o.page, &o.teardown);
    assert_int_equal(o.teardown.parts, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flood_of_scrapes_costs_four_texts_a_second),
        cmocka_unit_test(a_text_without_end_is_none),
        cmocka_unit_test(what_was_not_begun_has_nothing_to_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
