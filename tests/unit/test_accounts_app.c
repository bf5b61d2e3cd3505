/* The application as an account: its token is there while somebody says by it. */
#include "coordinator/chores/accounts.h"

#include "tests/lib/accounts_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *app_field(const char *name)
{
    return office_ask(&o, "HGET shoal:{t}:account:@app %s", name);
}

static bool app_is(const char *state)
{
    test_loop_turn(&twitch_server->loop);
    return strcmp(app_field("state"), state) == 0;
}

/* What alice says by. */
static void say_by(const char *value)
{
    char args[64] = "alice,say_by,";

    world_configure(&o.world, office_me(&o), "", "", "account_set", strcat(args, value));
    assert_non_null(strstr(o.world.rest, "\"ok\":true"));
}

static const char *app_token(void)
{
    static char out[ACCOUNT_TOKEN_CHARS];
    struct account_secret secret;
    struct err err;

    assert_int_equal(account_secret_open(keys, "t", "@app",
                                         slice_of(office_ask(&o, "GET shoal:{t}:secret:@app")),
                                         &secret, &err),
                     0);
    memcpy(out, secret.access, sizeof(out));
    assert_string_equal(secret.refresh, "");
    return out;
}

static void its_token_is_had_while_an_account_says_by_it(void **state)
{
    static const struct http_move moves[] = {VALID_4H, APP_TOKEN, APP_VALID};

    (void)state;
    client_secret = "hush";
    lead(moves, ARRAY_LEN(moves), KEY_A);
    put("old", "refresh");
    office_until(&o, is("usable"));
    assert_string_equal(office_ask(&o, "ZSCORE shoal:{t}:accounts @app"), "");
    say_by("helix_app");
    office_until(&o, app_is("usable"));
    assert_string_equal(app_token(), "apptoken");
    assert_non_null(
        strstr(twitch_server->heard, "client_secret=hush&grant_type=client_credentials"));
    assert_int_equal(twitch_server->requests, 2);
    assert_int_not_equal(strtoull(app_field("expires_at"), NULL, 10), 0);
    assert_string_equal(app_field("ending"), "");

    office_ask(&o, "HDEL shoal:{t}:account:@app looked_at");
    office_ask(&o, "ZADD shoal:{t}:accounts 1 @app");
    office_until(&o, (app_is("usable"), app_field("looked_at")[0] != '\0'));
    assert_int_equal(twitch_server->requests, 3); /* it was validated, and is good */
    assert_string_equal(app_field("client_id"), "app");
    assert_string_equal(app_token(), "apptoken");

    say_by("irc");
    assert_string_equal(office_ask(&o, "EXISTS shoal:{t}:account:@app shoal:{t}:secret:@app"), "0");
    assert_string_equal(office_ask(&o, "ZSCORE shoal:{t}:accounts @app"), "");
}

static void a_token_of_it_that_twitch_does_not_take_is_had_anew(void **state)
{
    static const struct http_move moves[] = {VALID_4H, APP_TOKEN, REFUSED("401"), APP_TOKEN};

    (void)state;
    client_secret = "hush";
    lead(moves, ARRAY_LEN(moves), KEY_A);
    put("old", "refresh");
    office_until(&o, is("usable"));
    say_by("helix_app");
    office_until(&o, app_is("usable"));
    office_ask(&o, "ZADD shoal:{t}:accounts 1 @app");
    office_until(&o, (app_is("usable"), twitch_server->requests == 4));
    assert_string_equal(app_token(), "apptoken");
}

static void without_a_secret_there_is_none_and_that_is_said(void **state)
{
    static const struct http_move moves[] = {VALID_4H};

    (void)state;
    lead(moves, ARRAY_LEN(moves), KEY_A);
    put("old", "refresh");
    office_until(&o, is("usable"));
    say_by("helix_app");
    office_until(&o, app_is("login_required"));
    assert_non_null(strstr(app_field("error"), "no --client-secret"));
    assert_int_equal(twitch_server->requests, 1);
    assert_string_equal(field("state"), "usable");
}

static void a_secret_that_twitch_refuses_is_told(void **state)
{
    static const struct http_move moves[] = {VALID_4H, REFUSED("403")};

    (void)state;
    client_secret = "wrong";
    lead(moves, ARRAY_LEN(moves), KEY_A);
    put("old", "refresh");
    office_until(&o, is("usable"));
    say_by("helix_app");
    office_until(&o, app_is("login_required"));
    assert_string_equal(app_field("error"), "Twitch gives the application no token: not valid");
}

static void a_token_of_an_application_is_none_of_a_user(void **state)
{
    static const struct http_move moves[] = {APP_VALID};

    (void)state;
    lead(moves, ARRAY_LEN(moves), KEY_A);
    put("apptoken", "");
    office_until(&o, is("login_required"));
    assert_string_equal(field("error"), "the token is that of an application");
}

static void nobody_can_put_set_or_remove_it(void **state)
{
    static const struct http_move moves[] = {VALID_4H};
    static const char *const ops[][2] = {{"account_put", "@app,1.0a1b2c3d.QUJD"},
                                         {"account_set", "@app,say_by,irc"},
                                         {"account_remove", "@app"},
                                         {"account_revoke", "@app"}};

    (void)state;
    lead(moves, ARRAY_LEN(moves), KEY_A);
    put("old", "refresh");
    office_until(&o, is("usable"));
    say_by("helix_app");
    for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
        world_configure(&o.world, office_me(&o), "", "", ops[i][0], ops[i][1]);
        assert_non_null(strstr(o.world.rest, "is no Twitch login"));
    }
    world_configure(&o.world, office_me(&o), "", "", "account_remove", "alice");
    assert_string_equal(office_ask(&o, "EXISTS shoal:{t}:account:@app shoal:{t}:accounts"), "0");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_office, close_office)
    const struct CMUnitTest tests[] = {
        TEST(its_token_is_had_while_an_account_says_by_it),
        TEST(a_token_of_it_that_twitch_does_not_take_is_had_anew),
        TEST(without_a_secret_there_is_none_and_that_is_said),
        TEST(a_secret_that_twitch_refuses_is_told),
        TEST(a_token_of_an_application_is_none_of_a_user),
        TEST(nobody_can_put_set_or_remove_it),
    };
    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
