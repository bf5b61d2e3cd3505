/* Node metrics of a node that has not found its Redis: all rows are there, and it is not ready. */
#include "node/node_metrics.h"

#include "tests/lib/test_loop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void on_gone(void *ctx, const struct err *why)
{
    (void)why;
    *(bool *)ctx = true;
}

/* Look at such a node, and end it. */
static char *look(bool openmetrics, struct buf *why)
{
    struct test_loop t;
    struct url redis;
    struct err err = {0};
    struct buf out;
    struct exposition e = {.out = &out, .openmetrics = openmetrics};
    bool gone = false;
    struct node_options options = {.redis = &redis,
                                   .cluster = "main",
                                   .id = "n1",
                                   .twitch_url = "ws://127.0.0.1:1",
                                   .twitch_api_url = "http://127.0.0.1:1",
                                   .capacity = 3,
                                   .buffer_bytes = 1 << 20,
                                   .connect_ms = 60000,
                                   .on_gone = on_gone,
                                   .ctx = &gone};

    assert_int_equal(url_parse_redis("redis://127.0.0.1:1", &redis, &err), 0);
    test_loop_init(&t);
    struct node *n = node_create(&t.uv, &options, &err);
    assert_non_null(n);
    test_loop_run_for(&t, 20);
    buf_init(&out, 1 << 20);
    buf_init(why, 8192);
    node_metrics_write(n, &e);
    exposition_end(&e);
    assert_false(node_metrics_is_ready(n, why));
    node_stop(n, 2);
    wait_until(&t, gone);
    test_loop_run_for(&t, 20);
    node_free(n);
    test_loop_finish(&t);
    return out.data;
}

static void has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        print_error("no\n%s\nin\n%s\n", part, text);
        fail();
    }
}

static void every_value_is_there_from_the_start(void **state)
{
    (void)state;
    struct buf why;
    char *text = look(false, &why);

    has(text, "\nshoal_node_state{state=\"starting\"} 1\n");
    has(text, "\nshoal_node_state{state=\"gone\"} 0\n");
    has(text, "\nshoal_redis_up 0\n");
    has(text, "\nshoal_node_sees_twitch 1\n");
    has(text, "\nshoal_fanout_buffer_limit_bytes 1048576\n");
    has(text, "\nshoal_channels{state=\"failed\"} 0\n");
    has(text, "\nshoal_connections{state=\"ready\"} 0\n");
    has(text, "\nshoal_sends_total{result=\"expired\"} 0\n");
    has(text, "\nshoal_join_failures_total{reason=\"other\"} 0\n");
    has(text, "\nshoal_reconnects_total{cause=\"asked\"} 0\n");
    has(text, "\nshoal_gap_lines_total{reason=\"registry_lost\"} 0\n");
    assert_string_equal(buf_slice(&why).ptr, "the node is starting\n");
    buf_finish(&why);
    free(text);
}

static void promtool_finds_nothing_to_say(void **state)
{
    (void)state;
    struct buf why;
    char *text = look(false, &why);
    FILE *promtool = popen("promtool check metrics 2>&1", "w");

    assert_non_null(promtool);
    assert_true(fputs(text, promtool) >= 0);
    assert_int_equal(pclose(promtool), 0);
    buf_finish(&why);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_value_is_there_from_the_start),
        cmocka_unit_test(promtool_finds_nothing_to_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
