/* Accounts whose secret does not open, is sealed anew, or is to end. */
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

static void what_cannot_be_opened_is_told_and_left_alone(void **state)
{
    static const struct http_move moves[] = {VALID_4H};

    (void)state;
    lead(moves, ARRAY_LEN(moves), KEY_B);
    put("old", "refresh");
    office_until(&o, is("locked"));
    assert_non_null(strstr(field("error"), "which the file of account keys lacks"));
    assert_string_equal(tokens(), "old refresh");
    assert_int_equal(twitch_server->requests, 0);
}

/* What seals it. */
static const char *key_name(void)
{
    static char name[9];

    (void)snprintf(name, sizeof(name), "%.8s", office_ask(&o, "GET shoal:{t}:secret:alice") + 2);
    return name;
}

static void
what_an_older_key_seals_is_sealed_under_the_first_when_somebody_begins_to_lead(void **state)
{
    static const struct http_move moves[] = {VALID_4H, VALID_4H};
    struct err err;

    (void)state;
    lead(moves, ARRAY_LEN(moves), KEY_A);
    put("old", "refresh");
    office_until(&o, is("usable"));
    seal_keys_take(keys, keys_of(KEY_B "\n" KEY_A));
    assert_string_not_equal(key_name(), seal_key_name(keys));
    accounts_begin(accounts);
    office_until(&o, (is("usable"), strcmp(key_name(), seal_key_name(keys)) == 0));
    struct account_secret secret;
    struct seal_keys *fresh = keys_of(KEY_B);
    assert_int_equal(account_secret_open(fresh, "t", "alice",
                                         slice_of(office_ask(&o, "GET shoal:{t}:secret:alice")),
                                         &secret, &err),
                     0);
    assert_string_equal(secret.access, "old");
    assert_string_equal(secret.refresh, "refresh");
    assert_string_equal(field("key"), seal_key_name(fresh));
    assert_string_equal(field("refreshed_at"), "");
    seal_keys_destroy(fresh);
    accounts_begin(accounts); /* nothing is left to do */
    test_loop_run_for(&o.world.probe.t, 50);
    assert_int_equal(twitch_server->requests, 2);
}

static void what_was_put_for_another_account_or_changed_is_locked_and_not_overwritten(void **state)
{
    static const struct http_move moves[] = {VALID_4H};
    char before[1024];

    (void)state;
    lead(moves, ARRAY_LEN(moves), KEY_B "\n" KEY_A);
    put("old", "refresh");
    (void)snprintf(before, sizeof(before), "%s", office_ask(&o, "GET shoal:{t}:secret:alice"));
    before[20] = before[20] == 'A' ? 'B' : 'A';
    office_ask(&o, "SET shoal:{t}:secret:alice %s", before);
    office_ask(&o, "ZADD shoal:{t}:accounts 1 alice");
    office_until(&o, is("locked"));
    assert_non_null(strstr(field("error"), "tampered"));
    assert_string_equal(office_ask(&o, "GET shoal:{t}:secret:alice"), before);
    assert_int_equal(twitch_server->requests, 0);
}

#define ENDED {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false}

static bool is_gone(void)
{
    test_loop_turn(&twitch_server->loop);
    return strcmp(office_ask(&o, "EXISTS shoal:{t}:account:alice shoal:{t}:secret:alice"), "0") ==
           0;
}

static void both_tokens_of_an_account_that_is_revoked_end_and_then_it_goes(void **state)
{
    static const struct http_move moves[] = {VALID_4H, ENDED, REFUSED("400")};

    (void)state;
    lead(moves, ARRAY_LEN(moves), KEY_A);
    put("old", "refresh");
    office_until(&o, is("usable"));
    world_configure(&o.world, office_me(&o), "", "", "account_revoke", "alice");
    office_until(&o, is_gone());
    assert_int_equal(twitch_server->requests, 3);
    /* As the application that they are of. */
    assert_non_null(strstr(twitch_server->heard, "client_id=a&token=refresh"));
}

static void an_account_whose_tokens_cannot_be_ended_stays_and_is_told(void **state)
{
    static const struct http_move moves[] = {REFUSED("404")};

    (void)state;
    lead(moves, ARRAY_LEN(moves), KEY_A);
    put("old", "");
    world_configure(&o.world, office_me(&o), "", "", "account_revoke", "alice");
    office_until(&o, (is("revoking"), field("error")[0] != '\0'));
    assert_string_equal(field("error"), "Twitch: not valid");
    assert_string_equal(tokens(), "old ");
    assert_in_range(next_s(), 3590, 3600);
}

static void an_account_that_no_key_opens_is_not_revoked(void **state)
{
    static const struct http_move moves[] = {ENDED};

    (void)state;
    lead(moves, ARRAY_LEN(moves), KEY_B);
    put("old", "refresh");
    world_configure(&o.world, office_me(&o), "", "", "account_revoke", "alice");
    office_until(&o, (is("revoking"), field("error")[0] != '\0'));
    assert_non_null(strstr(field("error"), "which the file of account keys lacks"));
    assert_int_equal(twitch_server->requests, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_office, close_office)
    const struct CMUnitTest tests[] = {
        TEST(what_cannot_be_opened_is_told_and_left_alone),
        TEST(what_an_older_key_seals_is_sealed_under_the_first_when_somebody_begins_to_lead),
        TEST(what_was_put_for_another_account_or_changed_is_locked_and_not_overwritten),
        TEST(both_tokens_of_an_account_that_is_revoked_end_and_then_it_goes),
        TEST(an_account_whose_tokens_cannot_be_ended_stays_and_is_told),
        TEST(an_account_that_no_key_opens_is_not_revoked),
    };
    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
