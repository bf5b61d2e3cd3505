/* Meters of the node: what happens is counted once, under the right name. */
#include "node/fanout.h"
#include "node/meters.h"
#include "node/shard_private.h"

#include "shared/redis/registry.h"
#include "tests/lib/shard_rig.h"
#include "tests/lib/test_loop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static uint64_t count_of(const struct histogram *h)
{
    uint64_t n = 0;

    for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++) {
        n += h->counts[i];
    }
    return n;
}

static int begin(void **state)
{
    (void)state;
    meters = (struct meters_node){0};
    return 0;
}

static void lines_are_counted_over_all_connections(void **state)
{
    struct rig *r = rig_ready("foo");
    uint64_t lines = meters.twitch_lines_total;
    uint64_t bytes = meters.twitch_bytes_total;

    (void)state;
    rig_line(r, ":a!a@a PRIVMSG #foo :hello");
    rig_line(r, ":");
    shard_on_long_line(r->s, r->now);
    assert_int_equal(meters.twitch_lines_total - lines, 3);
    assert_int_equal(meters.twitch_bytes_total - bytes, 27);
    assert_int_equal(meters.twitch_bad_lines_total, 2);
    rig_destroy(r);
    r = rig_ready("foo");
    assert_true(meters.twitch_lines_total - lines > 3);
    rig_destroy(r);
}

static void a_join_is_measured_from_its_turn_to_its_answer(void **state)
{
    struct rig *r = rig_ready("foo");
    uint64_t answered = count_of(&meters.join_answer_seconds);

    (void)state;
    r->grants = false;
    rig_want(r, "foo bar");
    rig_grant_at(r, SHARD_DRAW_JOIN, 1, r->now + 7000);
    rig_pass(r, 7000);
    assert_int_equal(meters.join_wait_seconds.last_us, 7000000);
    rig_pass(r, 40);
    rig_joined(r, "bar");
    assert_int_equal(meters.join_answer_seconds.last_us, 40000);
    assert_int_equal(count_of(&meters.join_answer_seconds), answered + 1);
    rig_destroy(r);
}

static void failed_joins_are_counted_by_reasons_of_a_fixed_set(void **state)
{
    struct rig *r = rig_ready("one two three");

    (void)state;
    rig_want(r, "one two three four five six");
    rig_settle_draws(r);
    rig_line(r, "@msg-id=msg_banned :tmi.twitch.tv NOTICE #four :no");
    rig_line(r, "@msg-id=msg_concurrent_channel_limit_reached :tmi.twitch.tv NOTICE #five :no");
    rig_line(r, "@msg-id=msg_made_up :tmi.twitch.tv NOTICE #six :no");
    assert_int_equal(meters.join_failures_total[JOIN_BANNED], 1);
    assert_int_equal(meters.join_failures_total[JOIN_NO_ROOM], 1);
    assert_int_equal(meters.join_failures_total[JOIN_NO_ANSWER], 0);
    rig_pass(r, 25000);
    assert_true(meters.join_failures_total[JOIN_NO_ANSWER] >= 1);
    assert_int_equal(join_reason_of(SLICE("msg_made_up")), JOIN_OTHER);
    assert_int_equal(join_reason_of(SLICE("")), JOIN_OTHER);
    rig_destroy(r);
}

static void a_connection_made_anew_has_its_cause(void **state)
{
    struct rig *r = rig_create();

    (void)state;
    r->grants = true;
    shard_start(r->s, r->now);
    rig_settle_draws(r);
    shard_on_disconnected(r->s, "connect: refused", r->now, r->now);
    assert_int_equal(meters.reconnects_total[RECONNECT_CONNECT], 1);
    rig_destroy(r);

    r = rig_ready("foo");
    shard_on_disconnected(r->s, "closed by the other side", r->now, r->now);
    assert_int_equal(meters.reconnects_total[RECONNECT_LOST], 1);
    rig_pass(r, 10);
    shard_on_connected(r->s, r->now);
    rig_line(r, ":tmi.twitch.tv NOTICE * :Login authentication failed");
    assert_int_equal(meters.reconnects_total[RECONNECT_REFUSED], 1);
    rig_destroy(r);

    r = rig_ready("foo");
    rig_line(r, ":tmi.twitch.tv RECONNECT");
    shard_on_disconnected(r->s, "closed by the other side", r->now, r->now);
    assert_int_equal(meters.reconnects_total[RECONNECT_ASKED], 1);
    rig_pass(r, 10);
    shard_on_connected(r->s, r->now);
    rig_pass(r, 11000);
    assert_int_equal(meters.reconnects_total[RECONNECT_LOGIN], 1);
    rig_destroy(r);

    r = rig_ready("foo");
    r->pongs = false;
    rig_pass(r, 30000);
    assert_int_equal(meters.reconnects_total[RECONNECT_SILENT], 1);
    assert_int_equal(meters.reconnects_total[RECONNECT_LOST], 1);
    shard_close(r->s, "the node leaves", r->now); /* no reconnect */
    rig_destroy(r);
    uint64_t all = 0;
    for (size_t i = 0; i < RECONNECT_CAUSES; i++) {
        all += meters.reconnects_total[i];
    }
    assert_int_equal(all, 6);
}

static bool may_send(void *ctx)
{
    (void)ctx;
    return true;
}

/* Take a line that Twitch sent so long ago. */
static void take_aged(struct fanout *f, const char *before, uint64_t ms)
{
    char line[200];

    snprintf(line, sizeof(line), "@%stmi-sent-ts=%llu;x=1 :a!a@a PRIVMSG #foo :tmi-sent-ts=5",
             before, (unsigned long long)(wall_now().ms - ms));
    fanout_line(f, SLICE("foo"), slice_of(line), mono_ms());
}

/* A fan-out without a link: what it is given stays. */
struct lone_fanout {
    struct test_loop t;
    struct registry *names;
    struct fanout *f;
};

static struct fanout *lone_fanout_init(struct lone_fanout *lone)
{
    lone->names = registry_create(NULL, "main");
    struct fanout_options options = {
        .registry = lone->names, .node = "n1", .buffer_bytes = 1 << 20, .may_send = may_send};

    test_loop_init(&lone->t);
    lone->f = fanout_create(&lone->t.uv, &options);
    return lone->f;
}

static void lone_fanout_finish(struct lone_fanout *lone)
{
    fanout_destroy(lone->f);
    registry_destroy(lone->names);
    test_loop_finish(&lone->t);
}

static void the_age_is_that_of_one_line_of_each_transaction(void **state)
{
    struct lone_fanout lone;
    struct fanout *f = lone_fanout_init(&lone);

    (void)state;
    take_aged(f, "reply-parent-msg-body=tmi-sent-ts=7;", 1500);
    for (unsigned i = 0; i < 63; i++) {
        take_aged(f, "", 60000);
    }
    assert_int_equal(count_of(&meters.chat_age_seconds), 1);
    assert_in_range(meters.chat_age_seconds.last_us, 1500000, 2500000);
    fanout_line(f, SLICE("foo"), SLICE("PING tmi-sent-ts=1"),
                mono_ms()); /* the next one: it has no tags */
    assert_int_equal(count_of(&meters.chat_age_seconds), 1);
    struct fanout_load load = fanout_load(f);
    assert_int_equal(load.lines, 65);
    assert_int_equal(load.limit, 1 << 20);
    assert_true(load.bytes > 65 * 50);
    lone_fanout_finish(&lone);
}

static void a_clock_that_is_behind_makes_no_age(void **state)
{
    struct lone_fanout lone;
    struct fanout *f = lone_fanout_init(&lone);

    (void)state;
    fanout_line(f, SLICE("foo"), SLICE("@tmi-sent-ts=18446744073709551615 :a PRIVMSG #foo :x"),
                mono_ms());
    assert_int_equal(count_of(&meters.chat_age_seconds), 1);
    assert_int_equal(meters.chat_age_seconds.sum_us, 0);
    lone_fanout_finish(&lone);
}

static void gaps_are_counted_by_reason_with_their_lines(void **state)
{
    (void)state;
    meters_gap("buffer_full", 12);
    meters_gap("buffer_full", 3);
    meters_gap("not_joined", 0);
    assert_int_equal(meters.gaps_total[GAP_BUFFER_FULL], 2);
    assert_int_equal(meters.gap_lines_total[GAP_BUFFER_FULL], 15);
    assert_int_equal(meters.gaps_total[GAP_NOT_JOINED], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(lines_are_counted_over_all_connections, begin),
        cmocka_unit_test_setup(a_join_is_measured_from_its_turn_to_its_answer, begin),
        cmocka_unit_test_setup(failed_joins_are_counted_by_reasons_of_a_fixed_set, begin),
        cmocka_unit_test_setup(a_connection_made_anew_has_its_cause, begin),
        cmocka_unit_test_setup(the_age_is_that_of_one_line_of_each_transaction, begin),
        cmocka_unit_test_setup(a_clock_that_is_behind_makes_no_age, begin),
        cmocka_unit_test_setup(gaps_are_counted_by_reason_with_their_lines, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
