/* Report: what is measured is told where it moved, and what rests is not told at all. */
#include "node/meters.h"
#include "node/report.h"

#include "tests/lib/shard_rig.h"
#include "tests/lib/test_clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define EACH_MS 2000 /* so often figures are fresh */
#define AT_REST "{\"shards\":{\"s1\":{\"epoch\":7,\"silent_ms\":"

static struct report *r;
static struct sight sight;
static struct fanout_load fanout;
static struct rig *rig;
static struct report_shard shard;
static struct report_shard other; /* in the tests that want two */
static struct rig *another;
static char told[4096]; /* the newest */

static void on_change(void *ctx)
{
    (void)ctx;
}

/* Write a report, which arrives; false: there is nothing to tell. */
static bool take(void)
{
    struct buf out;

    buf_init(&out, sizeof(told) - 1);
    report_write(r, &(struct report_node){.sight = &sight, .fanout = fanout}, &out);
    snprintf(told, sizeof(told), "%.*s", (int)out.len, out.len > 0 ? out.data : "");
    report_arrived(r, &sight);
    buf_finish(&out);
    return told[0] != '\0';
}

static bool tells(const char *text)
{
    return strstr(told, text) != NULL;
}

/* The number that is told under that name, behind that text. */
static unsigned number(const char *behind, const char *name)
{
    const char *at = strstr(told, behind);

    at = at != NULL ? strstr(at, name) : NULL;
    assert_non_null(at);
    return (unsigned)strtoul(at + strlen(name) + 2, NULL, 10);
}

static void pass(uint64_t ms)
{
    test_clock_forward(ms);
    rig->now += ms;
}

static void lines(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        rig_line(rig, ":x!x@x PRIVMSG #a :hi");
    }
}

/* Two seconds in which so many lines came; false: the figures are as they were told. */
static bool told_of(unsigned n)
{
    pass(EACH_MS - 500);
    lines(n);
    pass(500);
    return take() && tells("lines_s");
}

/* A node with one shard that is ready and has a channel joined; all was told. */
static int begin(void **state)
{
    (void)state;
    sight_init(&sight);
    fanout = (struct fanout_load){.limit = 1000};
    meters = (struct meters_node){0};
    r = report_create(on_change, NULL);
    rig = rig_ready("a");
    rig->now = mono_ms();
    rig_joined(rig, "a");
    shard = (struct report_shard){0};
    report_shard_begin(&shard, r, "s1", 7);
    report_shard_set_core(&shard, rig->s);
    report_shard_changed(&shard);
    (void)told_of(20);
    (void)told_of(20);
    return 0;
}

static int finish(void **state)
{
    (void)state;
    if (another != NULL) {
        report_shard_end(&other);
        rig_destroy(another);
        another = NULL;
    }
    report_shard_end(&shard);
    report_destroy(r);
    rig_destroy(rig);
    return 0;
}

static void a_node_tells_what_its_shards_read_together_and_what_was_fanned_out(void **state)
{
    (void)state;
    meters.fanout_lines_total += 60;
    histogram_add(&meters.fanout_seconds, 70000);
    histogram_add(&meters.chat_age_seconds, 150000);
    fanout.bytes = 500;

    assert_true(told_of(1000));

    const char *of[] = {"\"s1\":{", "\"node\":{"};
    for (size_t i = 0; i < ARRAY_LEN(of); i++) {
        assert_in_range(number(of[i], "lines_s"), 480, 500);
        assert_in_range(number(of[i], "bytes_s"), 480 * 21, 500 * 21);
        assert_int_equal(number(of[i], "lag_ms"), 1);
    }
    assert_in_range(number("\"node\":{", "published_s"), 28, 30);
    assert_true(tells("\"latency_ms\":70,\"age_ms\":150,"));
    assert_true(tells("\"buffer_bytes\":500,\"buffer_limit\":1000}"));
    assert_true(tells("\"s1\":{\"epoch\":7,\"state\":\"ready\",\"joined\":1,\"queued\":0,"
                      "\"joining\":0,\"failed\":0,\"lines_s\":"));
    assert_int_equal(meters.fanout_seconds.worst_us, 0);
    assert_int_equal(meters.chat_age_seconds.last_us, 0);
}

static void figures_are_fresh_each_two_seconds_and_no_sooner(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        lines(25);
        pass(500);
        assert_false(take() && tells("lines_s"));
    }
    lines(25);
    pass(500);
    assert_true(take());
    assert_in_range(number("\"s1\"", "lines_s"), 48, 50);
}

static void what_is_a_tenth_more_is_the_same_and_what_is_more_than_that_is_told(void **state)
{
    (void)state;
    assert_false(told_of(21)); /* 20 were told */
    assert_true(told_of(40));
}

static void of_times_a_few_ms_are_the_same(void **state)
{
    (void)state;
    histogram_add(&meters.fanout_seconds, 20000);
    assert_false(told_of(20));
    histogram_add(&meters.fanout_seconds, 21000);
    assert_true(told_of(20));
    assert_true(tells("\"latency_ms\":21,"));
}

static void what_did_not_arrive_is_told_again(void **state)
{
    (void)state;
    report_again(r);
    assert_true(take());
    assert_true(tells("\"node\":{\"lines_s\":") && tells("\"s1\":{\"epoch\":7,\"state\":"));
    assert_false(take() && tells("lines_s"));
}

/* Which channels had lines lately waits ten seconds; then the shard is silent, and that is told. */
static void fall_silent(void)
{
    for (int i = 0; i < 3; i++) {
        pass(5000);
        (void)take();
    }
}

/* How long the one that has heard least of those that are silent has heard nothing. */
static uint64_t quiet(void)
{
    return mono_ms() - report_quiet_ms(r);
}

/* Its connection lives: every 15 s a PING is answered. */
static void a_shard_at_rest_tells_once_that_it_is_silent(void **state)
{
    (void)state;
    pass(400);
    assert_false(take());
    assert_int_equal(report_quiet_ms(r), 0);
    pass(100);
    assert_true(take());
    assert_memory_equal(told, AT_REST, strlen(AT_REST));
    assert_in_range(number("s1", "silent_ms"), 1000, 1100);
    assert_in_range(number("]", "quiet_ms"), 1000, 1100);
    fall_silent();
    for (int ms = 0; ms < 60000; ms += 500) {
        rig_pass(rig, 0);
        pass(500);
        assert_false(take());
        assert_in_range(quiet(), 1000, 17000);
    }
    lines(1); /* of the channel: at once */
    assert_true(take());
    assert_memory_equal(told, AT_REST, strlen(AT_REST));
    assert_int_equal(number("s1", "silent_ms"), 0);
    assert_int_equal(report_quiet_ms(r), 0);
}

/* A line that is no room's, as the answer to a PING is. */
static void answer(struct rig *of)
{
    of->now = mono_ms();
    rig_line(of, ":tmi.twitch.tv PONG tmi.twitch.tv :1");
}

static void what_is_silent_is_as_quiet_as_who_has_heard_least(void **state)
{
    (void)state;
    another = rig_ready("b");
    another->now = mono_ms();
    rig_joined(another, "b");
    other = (struct report_shard){0};
    report_shard_begin(&other, r, "s2", 8);
    report_shard_set_core(&other, another->s);
    answer(rig);
    answer(another);
    pass(2000);
    (void)take();
    assert_in_range(quiet(), 2000, 2100);
    answer(another);
    pass(1500);
    (void)take();
    assert_in_range(quiet(), 3500, 3600); /* the other one has heard nothing since */
    answer(rig);
    pass(1500);
    (void)take();
    assert_in_range(quiet(), 3000, 3100);
    another->now = mono_ms();
    rig_line(another, ":x!x@x PRIVMSG #b :hi"); /* it is not silent any more */
    (void)take();
    assert_in_range(quiet(), 1500, 1600);
}

static void what_was_told_of_silence_and_did_not_arrive_is_told_again(void **state)
{
    (void)state;
    fall_silent();
    assert_false(take());
    report_again(r);
    assert_true(take());
    assert_in_range(number("]", "quiet_ms"), 15500, 15600);
    assert_in_range(number("s1", "silent_ms"), 15500, 15600);
}

static void mark(const char *channel)
{
    report_channel_changed(&shard, shard_channel(rig->s, slice_of(channel)));
}

static void what_a_channel_is_on_its_way_is_told_where_that_lasts(void **state)
{
    (void)state;
    rig_want(rig, "a b");
    mark("b");
    assert_false(report_is_due(r));
    assert_false(take());
    pass(500);
    assert_true(take());
    assert_true(tells("\"b\":{\"shard\":\"s1\",\"state\":\"joining\""));
    assert_false(take());

    rig_want(rig, "a b c d");
    mark("c");
    mark("d");
    rig_joined(rig, "c");
    mark("c");
    assert_true(report_is_due(r));
    assert_true(take());
    assert_true(tells("\"c\":{\"shard\":\"s1\",\"state\":\"joined\"") && !tells("\"d\":"));
    assert_false(report_is_due(r));
}

static void a_shard_that_is_not_ready_has_no_rates(void **state)
{
    (void)state;
    shard_on_disconnected(rig->s, "gone", rig->now, rig->now);
    report_shard_changed(&shard);
    assert_true(take());
    assert_true(tells("\"state\":\"backoff\"") && tells("\"lines_s\":0,\"bytes_s\":0,"));
    assert_true(told_of(20));
    assert_true(tells("\"node\":{\"lines_s\":0,"));
}

#define T(name) cmocka_unit_test_setup_teardown(name, begin, finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_node_tells_what_its_shards_read_together_and_what_was_fanned_out),
        T(figures_are_fresh_each_two_seconds_and_no_sooner),
        T(what_is_a_tenth_more_is_the_same_and_what_is_more_than_that_is_told),
        T(of_times_a_few_ms_are_the_same),
        T(what_did_not_arrive_is_told_again),
        T(a_shard_at_rest_tells_once_that_it_is_silent),
        T(what_is_silent_is_as_quiet_as_who_has_heard_least),
        T(what_was_told_of_silence_and_did_not_arrive_is_told_again),
        T(what_a_channel_is_on_its_way_is_told_where_that_lasts),
        T(a_shard_that_is_not_ready_has_no_rates),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
