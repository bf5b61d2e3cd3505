/* Accounts kept valid by the leader. */
#include "coordinator/chores/accounts.h"

#include "tests/lib/accounts_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void a_token_that_is_valid_is_kept_and_looked_at_hourly(void **state)
{
    static const struct http_move moves[] = {VALID_4H};

    (void)state;
    lead(moves, ARRAY_LEN(moves), KEY_A);
    put("old", "refresh");
    office_until(&o, is("usable"));
    assert_string_equal(tokens(), "old refresh");
    assert_string_equal(field("user_id"), "42");
    assert_string_equal(field("client_id"), "a");
    assert_in_range(next_s(), 3595, 3600);
    assert_int_equal(twitch_server->requests, 1);
    assert_non_null(strstr(twitch_server->heard, "Authorization: OAuth old\r\n"));
}

static void a_token_that_ends_soon_is_refreshed(void **state)
{
    static const struct http_move moves[] = {VALID_60S, NEW_TOKENS};

    (void)state;
    lead(moves, ARRAY_LEN(moves), KEY_A);
    put("old", "refresh");
    office_until(&o, is("usable"));
    assert_string_equal(tokens(), "new next");
    assert_string_equal(field("scopes"), "s");
    assert_int_not_equal(strtoull(field("refreshed_at"), NULL, 10), 0);
    assert_non_null(strstr(twitch_server->heard, "refresh_token=refresh"));
}

static void a_token_that_twitch_does_not_take_is_refreshed(void **state)
{
    static const struct http_move moves[] = {REFUSED("401"), NEW_TOKENS};

    (void)state;
    lead(moves, ARRAY_LEN(moves), KEY_A);
    put("old", "refresh");
    office_until(&o, is("usable"));
    assert_string_equal(tokens(), "new next");
}

static void who_can_not_be_refreshed_has_to_log_in_again(void **state)
{
    static const struct http_move moves[] = {REFUSED("401"), REFUSED("400")};

    (void)state;
    lead(moves, ARRAY_LEN(moves), KEY_A);
    put("old", "refresh");
    office_until(&o, is("login_required"));
    assert_string_equal(field("error"), "not valid");
    assert_string_equal(tokens(), "old refresh");
    assert_int_equal(twitch_server->requests, 2);
    assert_in_range(next_s(), 86390, 86400);
}

static void what_has_no_refresh_token_is_looked_at_an_hour_before_its_end(void **state)
{
    static const struct http_move moves[] = {VALID_90MIN};

    (void)state;
    lead(moves, ARRAY_LEN(moves), KEY_A);
    put("old", "");
    office_until(&o, is("usable"));
    assert_string_equal(field("ending"), "0");
    assert_in_range(next_s(), 1790, 1800);
}

static unsigned told_ending(void)
{
    return (unsigned)strtoul(
        world_eval(&o.world,
                   "local n = 0 for _, e in ipairs(redis.call('XRANGE', KEYS[1] .. ':log', '-', "
                   "'+')) do if e[2][2]:find('account.ending', 1, true) then n = n + 1 end end "
                   "return tostring(n)",
                   ""),
        NULL, 10);
}

static void that_it_ends_is_told_once(void **state)
{
    static const struct http_move moves[] = {
        VALID_60S, {"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n", false}, VALID_60S};
    static const char *const ends[] = {"usable", "usable", "usable"};

    (void)state;
    lead(moves, ARRAY_LEN(moves), KEY_A);
    put("old", "");
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        office_until(
            &o, (is(ends[i]), twitch_server->requests >= i + 1 && field("looked_at")[0] != '\0'));
        assert_int_equal(told_ending(), 1);
        office_ask(&o, "HDEL shoal:{t}:account:alice looked_at");
        office_ask(&o, "ZADD shoal:{t}:accounts 1 alice");
    }
}

static void without_a_refresh_token_its_end_is_the_end(void **state)
{
    static const struct http_move moves[] = {VALID_60S, REFUSED("401")};

    (void)state;
    lead(moves, ARRAY_LEN(moves), KEY_A);
    put("old", "");
    office_until(&o, is("usable"));
    assert_string_equal(field("ending"), "1");
    assert_in_range(next_s(), 55, 62);
    office_ask(&o, "ZADD shoal:{t}:accounts 1 alice");
    office_until(&o, is("login_required"));
    assert_int_equal(twitch_server->requests, 2);
    assert_string_equal(field("error"),
                        "its token has ended (not valid), and it has no refresh token");
}

static void a_twitch_that_is_not_well_ends_no_account(void **state)
{
    static const struct http_move moves[] = {
        REFUSED("401"), {"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n", false}, NEW_TOKENS};

    (void)state;
    lead(moves, ARRAY_LEN(moves), KEY_A);
    put("old", "refresh");
    office_until(&o, is("refused"));
    assert_string_equal(field("error"), "HTTP status 500");
    assert_string_equal(tokens(), "old refresh");
    assert_in_range(next_s(), 5, 60);
}

static void a_refresh_without_an_answer_may_have_used_up_the_token(void **state)
{
    static const struct http_move moves[] = {
        REFUSED("401"), {NULL, true}, REFUSED("401"), REFUSED("400")};

    (void)state;
    lead(moves, ARRAY_LEN(moves), KEY_A);
    put("old", "refresh");
    office_until(&o, is("refused"));
    assert_string_equal(field("doubt"), "1");
    office_ask(&o, "ZADD shoal:{t}:accounts 1 alice");
    office_until(&o, is("login_required"));
    assert_non_null(strstr(field("error"), "whose answer was lost, may have used up"));
}

static void
a_twitch_that_cannot_be_asked_leaves_an_account_as_it_is_until_its_token_ends(void **state)
{
    static const struct http_move moves[] = {
        VALID_4H, {"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n", false}};

    (void)state;
    lead(moves, ARRAY_LEN(moves), KEY_A);
    put("old", "refresh");
    office_until(&o, is("usable"));
    office_ask(&o, "ZADD shoal:{t}:accounts 1 alice");
    office_until(&o, has("error", "HTTP status 500"));
    assert_true(is("usable"));
    office_ask(&o, "HSET shoal:{t}:account:alice expires_at 1000");
    office_ask(&o, "ZADD shoal:{t}:accounts 1 alice");
    office_until(&o, is("refused"));
}

static void a_token_of_somebody_else_is_none(void **state)
{
    static const struct http_move moves[] = {OF_BOB};

    (void)state;
    lead(moves, ARRAY_LEN(moves), KEY_A);
    put("old", "refresh");
    office_until(&o, is("login_required"));
    assert_string_equal(field("error"), "the token is that of bob");
}

static void new_tokens_are_kept_when_redis_is_back(void **state)
{
    static const struct http_move moves[] = {REFUSED("401"), {NULL, false}, NEW_TOKENS};
    struct http_move own[ARRAY_LEN(moves)];

    (void)state;
    memcpy(own, moves, sizeof(own));
    own[1] = moves[2];
    lead(own, 2, KEY_A);
    put("old", "refresh");
    office_until(&o, (test_loop_turn(&twitch_server->loop), twitch_server->requests >= 1));
    private_redis_pause(redis);
    wait_until(&twitch_server->loop, twitch_server->requests == 2);
    test_loop_run_for(&twitch_server->loop, 100);
    private_redis_resume(redis);
    office_until(&o, is("usable"));
    assert_string_equal(tokens(), "new next");
    assert_int_equal(twitch_server->requests, 2);
}

static void redis_takes(unsigned clients)
{
    assert_int_equal(
        link_command(o.world.probe.link, NULL, NULL, "CONFIG SET maxclients %u", clients), 0);
}

static void new_tokens_are_kept_however_long_redis_was_away(void **state)
{
    static const struct http_move moves[] = {REFUSED("401"), NEW_TOKENS};

    (void)state;
    lead(moves, ARRAY_LEN(moves), KEY_A);
    put("old", "refresh");
    office_until(&o, (test_loop_turn(&twitch_server->loop), twitch_server->requests >= 1));
    redis_takes(1); /* none but us */
    assert_int_equal(link_command(o.world.probe.link, NULL, NULL, "CLIENT KILL TYPE normal"), 0);
    office_until(&o, (test_loop_turn(&twitch_server->loop), twitch_server->requests == 2));
    test_loop_run_for(&o.world.probe.t, 1300); /* it is tried to keep them, and again */
    redis_takes(100);
    office_until(&o, is("usable"));
    assert_string_equal(tokens(), "new next");
    assert_int_equal(twitch_server->requests, 2);
}

static void a_refresh_that_somebody_else_began_may_have_used_up_the_token(void **state)
{
    static const struct http_move moves[] = {REFUSED("401"), REFUSED("400")};

    (void)state;
    put("old", "refresh");
    office_ask(&o, "HSET shoal:{t}:account:alice claim another");
    lead(moves, ARRAY_LEN(moves), KEY_A);
    office_until(&o, is("login_required"));
    assert_string_equal(field("error"),
                        "an earlier refresh, whose answer was lost, may have used up the refresh "
                        "token: not valid");
}

/* A death at each moment of a refresh, of a token that is about to end or has ended, and what its
 * successor comes to. Twitch as it is: a refresh token that it has carried out once is used up. */
enum moment { AT_DUE, AT_CLAIMED, AT_VALIDATING, AT_SENT, AT_CARRIED_OUT, AT_KEPT, MOMENTS };

static const struct http_move valid_60s = VALID_60S;
static const struct http_move valid_4h = VALID_4H;
static const struct http_move ended = REFUSED("401");
static const struct http_move used_up = REFUSED("400");
static const struct http_move new_tokens = NEW_TOKENS;
static const struct http_move silence = {NULL, false};

static void until_requests(size_t n)
{
    office_until(&o, (test_loop_turn(&twitch_server->loop), twitch_server->requests == n));
}

/* Up to that moment, and dead. How many requests Twitch has got. */
static size_t die_at(enum moment moment)
{
    if (moment == AT_DUE) {
        return 0;
    }
    if (moment == AT_CLAIMED) {
        accounts_stop(accounts, NULL, NULL);
        put("old", "refresh");
        office_ask(&o, "HSET shoal:{t}:account:alice claim another");
    } else {
        put("old", "refresh");
    }
    if (moment == AT_KEPT) {
        office_until(&o, is("usable"));
    } else if (moment >= AT_VALIDATING) {
        until_requests(moment == AT_VALIDATING ? 1 : 2);
    }
    accounts_destroy(accounts);
    keep_accounts();
    return twitch_server->requests;
}

static void die_and_succeed(enum moment moment, bool has_ended)
{
    struct http_move moves[4];
    bool is_used = moment == AT_CARRIED_OUT || moment == AT_KEPT;
    size_t n = moment < AT_VALIDATING ? 0 : moment == AT_VALIDATING ? 1 : 2;

    moves[0] = moment == AT_VALIDATING ? silence : has_ended ? ended : valid_60s;
    moves[1] = moment == AT_KEPT ? new_tokens : silence;
    moves[n] = moment == AT_KEPT ? valid_4h : has_ended ? ended : valid_60s;
    moves[n + 1] = is_used ? used_up : new_tokens;
    lead(moves, n + 2, KEY_A);
    assert_int_equal(die_at(moment), n);
    if (moment == AT_DUE) {
        put("old", "refresh");
    } else {
        office_ask(&o, "HDEL shoal:{t}:account:alice state");
        office_ask(&o, "ZADD shoal:{t}:accounts 1 alice"); /* the claim has run out */
    }
    if (moment == AT_CARRIED_OUT) {
        office_until(&o, is("login_required"));
        assert_non_null(strstr(field("error"), "an earlier refresh, whose answer was lost"));
        assert_string_equal(tokens(), "old refresh");
    } else {
        office_until(&o, is("usable"));
        assert_string_equal(tokens(), "new next");
    }
    assert_int_equal(twitch_server->requests, n + (moment == AT_KEPT ? 1 : 2));
    assert_string_equal(office_ask(&o, "HEXISTS shoal:{t}:account:alice claim"), "0");
}

static void a_death_at_any_moment_leaves_tokens_in_force_or_the_login_required(void **state)
{
    for (int moment = AT_DUE; moment < MOMENTS; moment++) {
        for (int has_ended = 0; has_ended < 2; has_ended++) {
            print_message("moment %d, ended %d\n", moment, has_ended);
            (void)open_office(state);
            die_and_succeed(moment, has_ended);
            (void)close_office(state);
        }
    }
}

static void a_refresh_is_not_begun_when_the_claim_may_run_out_before_its_end(void **state)
{
    static const struct http_move moves[] = {{NULL, false}, REFUSED("401"), NEW_TOKENS};

    (void)state;
    lead(moves, ARRAY_LEN(moves), KEY_A);
    put("old", "refresh");
    office_until(&o, (test_loop_turn(&twitch_server->loop), twitch_server->requests == 1));
    test_clock_forward(15100); /* validating is tried again */
    office_until(&o, (test_loop_turn(&twitch_server->loop), is("refused")));
    assert_string_equal(field("error"), "validating took too long");
    assert_string_equal(tokens(), "old refresh");
    assert_int_equal(twitch_server->requests, 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_office, close_office)
    const struct CMUnitTest tests[] = {
        TEST(a_token_that_is_valid_is_kept_and_looked_at_hourly),
        TEST(a_token_that_ends_soon_is_refreshed),
        TEST(a_token_that_twitch_does_not_take_is_refreshed),
        TEST(who_can_not_be_refreshed_has_to_log_in_again),
        TEST(what_has_no_refresh_token_is_looked_at_an_hour_before_its_end),
        TEST(that_it_ends_is_told_once),
        TEST(without_a_refresh_token_its_end_is_the_end),
        TEST(a_twitch_that_is_not_well_ends_no_account),
        TEST(a_refresh_without_an_answer_may_have_used_up_the_token),
        TEST(a_twitch_that_cannot_be_asked_leaves_an_account_as_it_is_until_its_token_ends),
        TEST(a_token_of_somebody_else_is_none),
        TEST(new_tokens_are_kept_when_redis_is_back),
        TEST(new_tokens_are_kept_however_long_redis_was_away),
        cmocka_unit_test(a_death_at_any_moment_leaves_tokens_in_force_or_the_login_required),
        TEST(a_refresh_is_not_begun_when_the_claim_may_run_out_before_its_end),
        TEST(a_refresh_that_somebody_else_began_may_have_used_up_the_token),
    };
    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
