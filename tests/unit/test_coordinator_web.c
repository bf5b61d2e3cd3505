/* Coordinator's web: its end. */
#include "coordinator/web/coordinator_web.h"

#include "tests/lib/test_loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void on_closed(void *ctx)
{
    *(bool *)ctx = true;
}

/* A SIGHUP may come at any time: also when the server is gone, and what it asked of Redis is not. */
static void what_is_read_again_while_it_ends_does_no_harm(void **state)
{
    static const struct url nowhere = {.host = "127.0.0.1", .port = 1};
    struct web_settings settings = {.web = {.listen = "127.0.0.1:0"}};
    struct test_loop t;
    struct err err = {0};
    bool closed = false;

    (void)state;
    test_loop_init(&t);
    struct coordinator_web *web = coordinator_web_create(
        &(struct coordinator_web_options){
            .loop = &t.uv,
            .settings = &settings,
            .watch = {.loop = &t.uv, .url = &nowhere, .cluster = "t", .id = "c1"}},
        &err);
    assert_non_null(web);
    coordinator_web_close(web, on_closed, &closed);
    int turns = 0;
    while (!closed) {
        assert_true(turns++ < 1000);
        assert_int_equal(coordinator_web_reload(web, &settings, &err), 0);
        uv_run(&t.uv, UV_RUN_NOWAIT);
    }
    test_loop_finish(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_read_again_while_it_ends_does_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
