/* The life of a shard: signs of life, what fences it, and its end. */
#include "node/shard_private.h"

#include "tests/lib/shard_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void silence_after_a_ping_is_a_dead_connection(void **state)
{
    struct rig *r = rig_ready("a");

    (void)state;
    rig_joined(r, "a");
    r->pongs = false;
    rig_clear(r);
    rig_pass(r, 14999);
    rig_expect_log(r, "");
    rig_pass(r, 1);
    rig_expect_log(r, "write 0 PING :2\n");
    rig_pass(r, 4999);
    rig_expect_log(r, "");
    rig_pass(r, 1);
    rig_expect(r, "ready>backoff\nclose no answer to PING\n");
    rig_destroy(r);
}

static void a_pong_measures_lag_and_any_line_is_a_sign_of_life(void **state)
{
    struct rig *r = rig_ready("a");

    (void)state;
    rig_joined(r, "a");
    r->pongs = false;
    rig_pass(r, 15000);
    rig_clear(r);
    rig_pass(r, 4000);
    rig_line(r, ":x!x@x PRIVMSG #a :alive");
    rig_pass(r, 4000);
    rig_line(r, ":tmi.twitch.tv PONG tmi.twitch.tv :17"); /* not ours */
    assert_int_equal(shard_stats(r->s)->figures.lag_ms, 1);
    rig_line(r, ":tmi.twitch.tv PONG tmi.twitch.tv :2");
    assert_int_equal(shard_stats(r->s)->figures.lag_ms, 8000);
    assert_int_equal(shard_state(r->s), SHARD_READY);

    /* Never silent: lag is measured all the same, and PONG must come at last. */
    rig_clear(r);
    for (int i = 0; i < 13; i++) {
        rig_pass(r, 5000);
        rig_line(r, ":x!x@x PRIVMSG #a :alive");
    }
    rig_expect(r, "write 0 PING :3\n");
    for (int i = 0; i < 12; i++) {
        rig_pass(r, 5000 - 1);
        rig_line(r, ":x!x@x PRIVMSG #a :alive");
    }
    rig_expect(r, "close no answer to PING\n");
    rig_destroy(r);
}

static void a_tick_that_comes_late_reads_before_it_judges(void **state)
{
    struct rig *r = rig_ready("a");

    (void)state;
    rig_joined(r, "a");
    r->pongs = false;
    rig_pass(r, 15000);
    rig_clear(r);
    r->now += 60000; /* the process was stopped */
    (void)shard_tick(r->s, r->now);
    assert_int_equal(shard_state(r->s), SHARD_READY);
    rig_line(r, ":tmi.twitch.tv PONG tmi.twitch.tv :2");
    rig_pass(r, 2000);
    assert_int_equal(shard_state(r->s), SHARD_READY);
    rig_destroy(r);
}

static void a_ping_is_answered_with_its_text_even_while_fenced(void **state)
{
    struct rig *r = rig_ready("a");

    (void)state;
    shard_set_fenced(r->s, true, r->now);
    rig_clear(r);
    rig_line(r, "PING :tmi.twitch.tv");
    rig_line(r, ":tmi.twitch.tv PING");
    rig_expect_log(r, "write 0 PONG :tmi.twitch.tv\nwrite 0 PONG :\n");
    rig_destroy(r);
}

static void reconnect_leaves_within_a_second_and_comes_back_at_once(void **state)
{
    struct rig *r = rig_ready("a");

    (void)state;
    rig_joined(r, "a");
    rig_pass(r, 10000);
    rig_clear(r);
    rig_line(r, ":tmi.twitch.tv RECONNECT");
    assert_false(shard_can_send(r->s));
    rig_pass(r, 500);
    rig_line(r, ":x!x@x PRIVMSG #a :still here");
    rig_expect_log(r, "line a still here\n");
    rig_pass(r, 499);
    rig_expect_log(r, "");
    rig_pass(r, 1);
    rig_expect(r, "ready>backoff\nclose Twitch asked to reconnect\n");
    rig_expect(r, "draw login 1\nbackoff>connecting\nconnect\n");
    shard_on_connected(r->s, r->now);
    rig_line(r, ":tmi.twitch.tv 001 bot :Welcome, GLHF!");
    rig_clear(r);
    rig_joined(r, "a");
    rig_expect(r, "gap a ");

    rig_pass(r, 6000); /* and where the server closes first */
    rig_line(r, ":tmi.twitch.tv RECONNECT");
    rig_clear(r);
    shard_on_disconnected(r->s, "closed", r->now, r->now);
    rig_settle_draws(r);
    rig_expect(r, "connect\n");
    rig_destroy(r);
}

static void a_fenced_shard_joins_parts_sends_and_connects_nothing(void **state)
{
    struct rig *r = rig_ready("a");
    struct err err = {0};

    (void)state;
    rig_joined(r, "a");
    shard_set_fenced(r->s, true, r->now);
    rig_clear(r);
    rig_want(r, "b");
    rig_pass(r, 3000);
    rig_expect_log(r, "#b queued\n#a parting\n");
    assert_int_equal(
        shard_send(r->s, 1, SLICE("a"), SLICE("PRIVMSG #a :x\r\n"), SLICE(""), false, r->now, &err),
        -ERR_DOWN);
    assert_int_equal(shard_state(r->s), SHARD_READY);
    shard_set_fenced(r->s, false, r->now);
    rig_settle_draws(r);
    rig_expect(r, "PART #a\n");
    rig_expect(r, "JOIN #b\n");

    shard_set_fenced(r->s, true, r->now);
    shard_on_disconnected(r->s, "reset", r->now, r->now);
    rig_clear(r);
    rig_pass(r, 100000);
    rig_expect_not(r, "draw");
    rig_expect_not(r, "connect");
    shard_set_fenced(r->s, false, r->now);
    rig_settle_draws(r);
    rig_expect(r, "connect\n");
    shard_set_fenced(r->s, true, r->now);
    shard_on_connected(r->s, r->now);
    rig_expect_not(r, "\nlogin");
    shard_set_fenced(r->s, false, r->now);
    rig_expect(r, "\nlogin\n");
    rig_destroy(r);
}

static void stop_and_close_end_every_state(void **state)
{
    (void)state;
    for (int step = 0; step < 5; step++) {
        for (int how = 0; how < 2; how++) {
            struct rig *r = rig_create();

            r->grants = true;
            if (step > 0) {
                shard_start(r->s, r->now);
                rig_settle_draws(r);
            }
            if (step > 1) {
                shard_on_connected(r->s, r->now);
            }
            if (step > 2) {
                rig_line(r, ":tmi.twitch.tv 001 bot :Welcome, GLHF!");
                rig_want(r, "a b");
            }
            if (step > 3) {
                r->grants = false;
                shard_on_disconnected(r->s, "reset", r->now, r->now);
            }
            rig_clear(r);
            if (how == 0) {
                shard_stop(r->s, r->now);
            } else {
                shard_close(r->s, "lease lost", r->now);
                shard_close(r->s, "lease lost", r->now);
            }
            assert_int_equal(shard_state(r->s), SHARD_CLOSED);
            assert_int_equal(rig_has(r, "close "), step >= 1 && step <= 3);
            rig_destroy(r);
        }
    }
}

static void a_shard_that_is_destroyed_closes_its_connection_and_says_nothing(void **state)
{
    struct rig *r = rig_ready("a");

    (void)state;
    rig_send(r, 1, "a", "n1");
    rig_clear(r);
    shard_destroy(r->s);
    rig_expect_log(r, "close the shard is gone\n");
    r->s = NULL;
    rig_destroy(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(silence_after_a_ping_is_a_dead_connection),
        cmocka_unit_test(a_pong_measures_lag_and_any_line_is_a_sign_of_life),
        cmocka_unit_test(a_tick_that_comes_late_reads_before_it_judges),
        cmocka_unit_test(a_ping_is_answered_with_its_text_even_while_fenced),
        cmocka_unit_test(reconnect_leaves_within_a_second_and_comes_back_at_once),
        cmocka_unit_test(a_fenced_shard_joins_parts_sends_and_connects_nothing),
        cmocka_unit_test(stop_and_close_end_every_state),
        cmocka_unit_test(a_shard_that_is_destroyed_closes_its_connection_and_says_nothing),
    };

    return cmocka_run_group_tests_name("shard", tests, NULL, NULL);
}
