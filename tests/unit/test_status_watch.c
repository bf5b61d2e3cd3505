/* Status watch: how often what is read, and what is said while Redis is away. */
#include "coordinator/status/status_watch.h"

#include "tests/lib/registry_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct status_watch *watch;
static unsigned closed;
static unsigned changes;

struct answer {
    unsigned n;
    bool has_document;
    uint64_t at;
    char problem[64]; /* the first, "" where there is none */
    struct err why;
    unsigned changes; /* that were told before */
};

static void take(void *ctx, const cJSON *document, const struct err *why)
{
    struct answer *a = ctx;
    const cJSON *problems = cJSON_GetObjectItemCaseSensitive(document, "problems");

    a->n++;
    a->has_document = document != NULL;
    a->at = records_number(document, "at");
    snprintf(a->problem, sizeof(a->problem), "%s",
             document != NULL ? records_text(problems->child, "problem") : "");
    a->why = why != NULL ? *why : (struct err){0};
    a->changes = changes;
}

static void on_change(void *ctx)
{
    (void)ctx;
    changes++;
}

static void on_closed(void *ctx)
{
    (void)ctx;
    closed++;
}

static void open_at(const struct url *url)
{
    changes = closed = 0;
    watch = status_watch_create(&(struct status_watch_options){
        .loop = &w.probe.t.uv, .url = url, .cluster = "t", .id = "c1"});
    status_watch_on_change(watch, on_change, NULL);
}

static int begin_watch(void **state)
{
    begin_sending(state);
    open_at(&w.probe.url);
    return 0;
}

static void close_watch(void)
{
    status_watch_close(watch, on_closed, NULL);
    watch = NULL;
    wait_until(&w.probe.t, closed == 1);
}

static int finish_watch(void **state)
{
    if (watch != NULL) {
        close_watch();
    }
    return finish(state);
}

static void ask(struct answer *a)
{
    *a = (struct answer){0};
    status_watch_ask(watch, take, a);
    wait_until(&w.probe.t, a->n > 0);
}

static void who_asks_gets_the_document_also_before_the_first_round(void **state)
{
    struct answer a;

    (void)state;
    ask(&a);
    assert_true(a.has_document);
    assert_true(a.at > 0);
    assert_int_equal(records_number(status_watch_document(watch), "channels"), 1);
    const cJSON *history =
        cJSON_GetObjectItemCaseSensitive(status_watch_document(watch), "history");
    assert_int_equal(records_number(history, "step_ms"), 5000);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(history, "lines_s")), 1);
}

static void redis_itself_is_looked_at_for_the_first_document_and_not_for_the_next(void **state)
{
    struct answer a;

    (void)state;
    ask(&a);
    assert_string_equal(a.problem, "redis_misconfigured"); /* that of tests keeps nothing */
    world_ask(&w, "CONFIG RESETSTAT");
    test_loop_run_for(&w.probe.t, 1100);
    ask(&a);
    assert_string_equal(a.problem, "redis_misconfigured");
    assert_true(world_calls(&w, "time") > 0);
    assert_int_equal(world_calls(&w, "config|get"), 0);
}

static void many_who_ask_at_once_are_answered_by_one_round(void **state)
{
    static struct answer a[100];
    struct answer first;

    (void)state;
    world_ask(&w, "CONFIG RESETSTAT");
    for (size_t i = 0; i < ARRAY_LEN(a); i++) {
        a[i] = (struct answer){0};
        status_watch_ask(watch, take, &a[i]);
    }
    wait_until(&w.probe.t, a[ARRAY_LEN(a) - 1].n > 0);
    for (size_t i = 0; i < ARRAY_LEN(a); i++) {
        assert_int_equal(a[i].n, 1);
        assert_int_equal(a[i].at, a[0].at);
    }
    ask(&first); /* it is fresh still */
    assert_int_equal(first.at, a[0].at);
    assert_int_equal(world_calls(&w, "fcall"), 3); /* settings, readers, accounts */
}

static void while_nobody_looks_the_nodes_alone_are_read(void **state)
{
    (void)state;
    world_ask(&w, "CONFIG RESETSTAT");
    wait_until(&w.probe.t, world_calls(&w, "zscan") > 0);
    test_loop_run_for(&w.probe.t, 1500);
    assert_int_equal(world_calls(&w, "zscan"), 1);
    assert_int_equal(world_calls(&w, "fcall"), 0);
    assert_null(status_watch_document(watch));
    assert_int_equal(changes, 0);
}

static void
while_somebody_looks_all_is_read_each_second_and_sooner_where_something_happened(void **state)
{
    (void)state;
    status_watch_look(watch);
    wait_until(&w.probe.t, changes == 1);
    uint64_t began_ms = mono_ms();
    wait_until(&w.probe.t, changes == 2);
    assert_in_range(mono_ms() - began_ms, 800, 2000);

    began_ms = mono_ms();
    status_watch_soon(watch);
    wait_until(&w.probe.t, changes == 3);
    assert_in_range(mono_ms() - began_ms, 100, 800);
}

/* Texts are made of it, and kept until it changes. */
static void that_there_is_another_document_is_told_before_who_waits_gets_it(void **state)
{
    struct answer a;

    (void)state;
    ask(&a);
    assert_int_equal(a.changes, 1);
    private_redis_pause(redis);
    test_loop_run_for(&w.probe.t, 1100);
    changes = 0;
    ask(&a);
    assert_string_equal(a.problem, "redis_down");
    assert_int_equal(a.changes, 1);
    private_redis_resume(redis);
    wait_until(&w.probe.t, link_is_up(w.probe.link));
}

static void who_left_is_not_answered(void **state)
{
    struct answer gone = {0};
    struct answer here = {0};

    (void)state;
    status_watch_ask(watch, take, &gone);
    status_watch_ask(watch, take, &here);
    status_watch_forget(watch, &gone);
    wait_until(&w.probe.t, here.n == 1);
    assert_int_equal(gone.n, 0);
}

static void
a_redis_that_hangs_is_told_in_the_last_document_and_when_it_is_back_no_more(void **state)
{
    struct answer before;
    struct answer a;

    (void)state;
    ask(&before);
    private_redis_pause(redis);
    test_loop_run_for(&w.probe.t, 1100);
    ask(&a);
    assert_true(a.has_document);
    assert_string_equal(a.problem, "redis_down");
    assert_in_range(a.at, before.at, before.at + 1000); /* one round more may have been answered */
    assert_false(status_is_healthy(status_watch_document(watch)));

    private_redis_resume(redis);
    do {
        test_loop_run_for(&w.probe.t, 50);
        ask(&a);
    } while (strcmp(a.problem, "redis_down") == 0);
    assert_true(a.at > before.at);
    wait_until(&w.probe.t, link_is_up(w.probe.link));
}

static void where_redis_was_never_there_who_asks_hears_why(void **state)
{
    struct url nowhere = w.probe.url;
    struct answer a;

    (void)state;
    close_watch();
    nowhere.port = free_port();
    open_at(&nowhere);
    uint64_t began_ms = mono_ms();
    ask(&a);
    assert_in_range(mono_ms() - began_ms, 1500, 4000);
    assert_false(a.has_document);
    assert_non_null(strstr(a.why.text, "refused"));
}

static void who_waits_when_it_ends_is_answered(void **state)
{
    struct answer a = {0};

    (void)state;
    status_watch_ask(watch, take, &a);
    close_watch();
    assert_int_equal(a.n, 1);
    status_watch_close(NULL, on_closed, NULL);
    assert_int_equal(closed, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_watch, finish_watch)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(who_asks_gets_the_document_also_before_the_first_round),
        TEST(redis_itself_is_looked_at_for_the_first_document_and_not_for_the_next),
        TEST(many_who_ask_at_once_are_answered_by_one_round),
        TEST(while_nobody_looks_the_nodes_alone_are_read),
        TEST(while_somebody_looks_all_is_read_each_second_and_sooner_where_something_happened),
        TEST(that_there_is_another_document_is_told_before_who_waits_gets_it),
        TEST(who_left_is_not_answered),
        TEST(a_redis_that_hangs_is_told_in_the_last_document_and_when_it_is_back_no_more),
        TEST(where_redis_was_never_there_who_asks_hears_why),
        TEST(who_waits_when_it_ends_is_answered),
    };

    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
