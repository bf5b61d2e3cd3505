/* Logins of a shard: slots, waits, refusals, and what a login tells. */
#include "node/shard_private.h"

#include "tests/lib/shard_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static void a_shard_connects_when_its_login_slot_is_due_and_logs_in_at_once(void **state)
{
    struct rig *r = rig_create();

    (void)state;
    assert_int_equal(shard_deadline(r->s), UINT64_MAX);
    shard_start(r->s, r->now);
    rig_expect_log(r, "draw login 1\n");
    rig_grant_at(r, SHARD_DRAW_LOGIN, 1, r->now + 700);
    rig_expect_log(r, "");
    rig_pass(r, 699);
    rig_expect_log(r, "");
    rig_pass(r, 1);
    rig_expect_log(r, "idle>connecting\nconnect\n");
    shard_on_connected(r->s, r->now);
    rig_expect_log(r, "connecting>authenticating\nlogin\n");
    rig_line(r, ":tmi.twitch.tv CAP * ACK :twitch.tv/tags twitch.tv/commands");
    rig_expect_log(r, "");
    rig_line(r, ":tmi.twitch.tv 001 bot :Welcome, GLHF!");
    rig_expect_log(r, "authenticating>ready\nwrite 0 PING :1\n");
    assert_true(shard_can_send(r->s));
    rig_destroy(r);
}

static void a_connection_that_took_long_draws_anew_to_log_in(void **state)
{
    struct rig *r = rig_create();

    (void)state;
    shard_start(r->s, r->now);
    rig_grant_at(r, SHARD_DRAW_LOGIN, 1, r->now);
    rig_clear(r);
    rig_pass(r, 501);
    shard_on_connected(r->s, r->now);
    rig_expect_log(r, "connecting>authenticating\ndraw login 1\n");
    rig_grant_at(r, SHARD_DRAW_LOGIN, 1, r->now + 15000);
    rig_pass(r, 14999);
    rig_expect_log(r, "");
    rig_pass(r, 1);
    rig_expect_log(r, "login\n");
    rig_pass(r, 9999); /* the answer is waited for from then on */
    rig_expect_log(r, "");
    rig_pass(r, 1);
    rig_expect(r, "authenticating>backoff\nclose no answer to the login\n");

    rig_grant_at(r, SHARD_DRAW_LOGIN, 1, r->now);
    rig_pass(r, 501);
    shard_on_connected(r->s, r->now);
    rig_clear(r);
    rig_pass(r, 30000);
    rig_expect(r, "authenticating>backoff\nclose no lease or no slot to log in with\n");
    rig_destroy(r);
}

static void a_slot_not_used_in_time_is_lost_and_drawn_anew(void **state)
{
    struct rig *r = rig_create();

    (void)state;
    shard_start(r->s, r->now);
    rig_clear(r);
    r->now += 2000;
    rig_grant_at(r, SHARD_DRAW_LOGIN, 1, r->now - 501);
    rig_expect_log(r, "draw login 1\n");
    assert_int_equal(shard_stats(r->s)->slots_lost, 1);
    rig_grant_at(r, SHARD_DRAW_LOGIN, 1, r->now - 500);
    rig_expect_log(r, "idle>connecting\nconnect\n");
    rig_destroy(r);
}

static void a_draw_that_gives_nothing_is_repeated_after_a_second(void **state)
{
    struct rig *r = rig_create();

    (void)state;
    shard_start(r->s, r->now);
    rig_clear(r);
    rig_grant_at(r, SHARD_DRAW_LOGIN, 0, 0);
    rig_expect_log(r, "");
    rig_pass(r, 999);
    rig_expect_log(r, "");
    rig_pass(r, 1);
    rig_expect_log(r, "draw login 1\n");
    r->owed[SHARD_DRAW_LOGIN] = 0; /* and one that is never answered, after half a minute */
    rig_pass(r, 30000);
    rig_expect_log(r, "draw login 1\n");
    rig_destroy(r);
}

static void no_connection_or_no_answer_to_the_login_ends_in_backoff(void **state)
{
    struct rig *r = rig_create();

    (void)state;
    shard_start(r->s, r->now);
    rig_grant_at(r, SHARD_DRAW_LOGIN, 1, r->now);
    rig_clear(r);
    rig_pass(r, 14999);
    rig_expect_log(r, "");
    rig_pass(r, 1);
    rig_expect_log(r, "connecting>backoff\nclose no connection in time\ndraw login 1\n");
    assert_string_equal(shard_last_error(r->s), "no connection in time");

    rig_grant_at(r, SHARD_DRAW_LOGIN, 1, r->now);
    shard_on_connected(r->s, r->now);
    rig_clear(r);
    rig_pass(r, 9999);
    rig_expect_log(r, "");
    rig_pass(r, 1);
    rig_expect(r, "authenticating>backoff\nclose no answer to the login\n");
    rig_destroy(r);
}

static void waits_grow_from_none_to_a_minute_and_begin_anew_when_stable(void **state)
{
    /* At once, then 1, 2, 4 ... 60 s; half of each is random. */
    static const uint64_t steps[] = {0, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};
    struct rig *r = rig_ready("");

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        shard_on_disconnected(r->s, "reset", r->now, r->now);
        assert_int_equal(shard_state(r->s), SHARD_BACKOFF);
        rig_settle_draws(r);
        rig_expect_connecting(r, steps[i] / 2, steps[i]);
        shard_on_connected(r->s, r->now);
        rig_line(r, ":tmi.twitch.tv 001 bot :Welcome, GLHF!");
    }
    rig_pass(r, 60000);
    shard_on_disconnected(r->s, "reset", r->now, r->now);
    rig_settle_draws(r);
    assert_int_equal(shard_state(r->s), SHARD_CONNECTING);
    rig_destroy(r);
}

static void a_refused_login_waits_long_unless_a_new_token_comes(void **state)
{
    static const char *const texts[] = {"Login authentication failed", "Improperly formatted auth",
                                        "Invalid NICK", "Login unsuccessful"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct rig *r = rig_create();
        char text[100];

        r->grants = true;
        shard_start(r->s, r->now);
        rig_settle_draws(r);
        shard_on_connected(r->s, r->now);
        rig_clear(r);
        (void)snprintf(text, sizeof(text), ":tmi.twitch.tv NOTICE * :%s", texts[i]);
        rig_line(r, text);
        rig_expect(r, "authenticating>backoff\nclose login refused: ");
        rig_expect(r, "\nrefused ");
        assert_non_null(strstr(shard_last_error(r->s), texts[i]));
        rig_clear(r);
        rig_pass(r, 14999);
        rig_expect_log(r, "");
        shard_on_token(r->s, r->now);
        rig_expect(r, "draw login 1\n");
        rig_destroy(r);
    }
}

static void refused_logins_wait_up_to_ten_minutes(void **state)
{
    struct rig *r = rig_create();

    (void)state;
    r->grants = true;
    shard_start(r->s, r->now);
    for (int i = 0; i < 8; i++) {
        uint64_t step = 30000ull << i > 600000 ? 600000 : 30000ull << i;

        rig_settle_draws(r);
        assert_int_equal(shard_state(r->s), SHARD_CONNECTING);
        shard_on_connected(r->s, r->now);
        rig_line(r, ":tmi.twitch.tv NOTICE * :Login authentication failed");
        rig_expect_connecting(r, step / 2, step);
    }
    rig_destroy(r);
}

static void a_missing_token_is_a_refused_login(void **state)
{
    struct rig *r = rig_create();

    (void)state;
    r->grants = true;
    r->login_ok = false;
    r->login_auth = true;
    shard_start(r->s, r->now);
    rig_settle_draws(r);
    shard_on_connected(r->s, r->now);
    rig_expect(r, "authenticating>backoff\n");
    rig_expect(r, "refused no token for bot\n");
    rig_destroy(r);
}

static void an_anonymous_login_learns_its_name(void **state)
{
    struct rig *r = rig_create();

    (void)state;
    r->grants = true;
    shard_start(r->s, r->now);
    rig_settle_draws(r);
    shard_on_connected(r->s, r->now);
    rig_line(r, ":tmi.twitch.tv 001 justinfan12345 :Welcome, GLHF!");
    rig_want(r, "a");
    rig_line(r, ":justinfan12345!justinfan12345@justinfan12345.tmi.twitch.tv JOIN #a");
    assert_int_equal(rig_state_of(r, "a"), SHARD_CHANNEL_JOINED);
    rig_destroy(r);
}

static void refused_capabilities_are_a_failure(void **state)
{
    struct rig *r = rig_create();

    (void)state;
    r->grants = true;
    shard_start(r->s, r->now);
    rig_settle_draws(r);
    shard_on_connected(r->s, r->now);
    rig_line(r, ":tmi.twitch.tv CAP * NAK :twitch.tv/tags twitch.tv/commands");
    rig_expect(r, "authenticating>backoff\n");
    rig_destroy(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_shard_connects_when_its_login_slot_is_due_and_logs_in_at_once),
        cmocka_unit_test(a_connection_that_took_long_draws_anew_to_log_in),
        cmocka_unit_test(a_slot_not_used_in_time_is_lost_and_drawn_anew),
        cmocka_unit_test(a_draw_that_gives_nothing_is_repeated_after_a_second),
        cmocka_unit_test(no_connection_or_no_answer_to_the_login_ends_in_backoff),
        cmocka_unit_test(waits_grow_from_none_to_a_minute_and_begin_anew_when_stable),
        cmocka_unit_test(a_refused_login_waits_long_unless_a_new_token_comes),
        cmocka_unit_test(refused_logins_wait_up_to_ten_minutes),
        cmocka_unit_test(a_missing_token_is_a_refused_login),
        cmocka_unit_test(an_anonymous_login_learns_its_name),
        cmocka_unit_test(refused_capabilities_are_a_failure),
    };

    return cmocka_run_group_tests_name("shard_logins", tests, NULL, NULL);
}
