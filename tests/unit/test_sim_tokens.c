/* The simulator's tokens: who gets which, how long they are good, and what ends them. */
#include "tests/twitch_sim/device.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

struct rig {
    struct tokens *tokens;
    const struct application *bot; /* confidential */
    const struct application *pub; /* public */
};

static int set_up(void **state)
{
    struct rig *r = calloc(1, sizeof(*r));

    assert_non_null(r);
    r->tokens = tokens_create();
    r->bot = tokens_put_app(r->tokens, "bot", "secret");
    r->pub = tokens_put_app(r->tokens, "pub", NULL);
    *state = r;
    return 0;
}

static int tear_down(void **state)
{
    struct rig *r = *state;

    tokens_destroy(r->tokens);
    free(r);
    return 0;
}

static bool is_good(const struct rig *r, const struct token *token, uint64_t now)
{
    return tokens_find(r->tokens, token->text, now) == token;
}

static void a_token_is_good_until_its_time_has_passed(void **state)
{
    struct rig *r = *state;
    struct issued usual = tokens_grant(r->tokens, r->bot, "alice", "a", 0, 1000);
    struct issued brief = tokens_grant(r->tokens, r->bot, "alice", "a", 50, 1000);

    assert_true(is_good(r, brief.access, 1049));
    tokens_note_dead_login(r->tokens, brief.access->text, 1049);
    assert_int_equal(brief.access->dead_logins, 0);
    assert_false(is_good(r, brief.access, 1050));
    tokens_note_dead_login(r->tokens, brief.access->text, 1051);
    tokens_note_dead_login(r->tokens, "nonsense", 1052);
    assert_int_equal(brief.access->dead_logins, 1);
    assert_int_equal(brief.access->dead_login_at, 1051);
    assert_true(is_good(r, usual.access, 1000 + TOKEN_USER_TTL - 1));
    assert_false(is_good(r, usual.access, 1000 + TOKEN_USER_TTL));
    r->tokens->ttl_ms = 7;
    assert_int_equal(tokens_for_app(r->tokens, r->bot, 1000).access->ends, 1007);
    assert_null(tokens_find(r->tokens, "nonsense", 1000));
}

static void tokens_differ_and_scopes_are_tidy(void **state)
{
    struct rig *r = *state;
    struct issued one = tokens_grant(r->tokens, r->bot, "alice", ",a:b  c a:b,,a ", 0, 1);
    struct issued two = tokens_grant(r->tokens, r->bot, "alice", "", 0, 1);

    assert_string_equal(one.access->scopes, "a:b c a");
    assert_string_equal(two.refresh->scopes, "");
    assert_string_not_equal(one.access->text, two.access->text);
    assert_int_equal(strlen(one.access->text), 30);
    assert_int_equal(strlen(one.refresh->text), 50);
    assert_true(scopes_have("chat:read chat:edit", "chat:edit"));
    assert_false(scopes_have("chat:read chat:edit", "chat:e"));
    assert_false(scopes_have("user:write:chat", "chat"));
    assert_false(scopes_have("", "chat"));
}

static void a_confidential_refresh_token_stays(void **state)
{
    struct rig *r = *state;
    struct issued first = tokens_grant(r->tokens, r->bot, "alice", "a", 0, 1);
    struct issued next = {NULL, NULL};

    for (int i = 0; i < 3; i++) {
        assert_true(tokens_refresh(r->tokens, r->bot, first.refresh->text, 1, &next));
        assert_ptr_equal(next.refresh, first.refresh);
        assert_string_equal(next.access->login, "alice");
    }
    assert_int_equal(first.refresh->used, 3);
    assert_true(is_good(r, first.access, 1));
    assert_false(tokens_refresh(r->tokens, r->pub, first.refresh->text, 1, &next));
    assert_int_equal(first.refresh->refused, 1);
}

static void a_public_refresh_token_is_used_up_by_its_use(void **state)
{
    struct rig *r = *state;
    struct issued first = tokens_grant(r->tokens, r->pub, "alice", "a", 0, 1);
    struct issued next = {NULL, NULL};
    struct issued none = {NULL, NULL};

    assert_true(tokens_refresh(r->tokens, r->pub, first.refresh->text, 7, &next));
    assert_ptr_not_equal(next.refresh, first.refresh);
    assert_false(tokens_refresh(r->tokens, r->pub, first.refresh->text, 8, &none));
    assert_int_equal(first.refresh->used_at, 7);
    assert_int_equal(first.refresh->refused_at, 8);
    assert_int_equal(next.access->made, 7);
    assert_true(tokens_refresh(r->tokens, r->pub, next.refresh->text, 1, &none));
    assert_false(tokens_refresh(r->tokens, r->pub, "nonsense", 1, &none));
    assert_int_equal(r->tokens->unknown_refused, 1);
}

static void a_token_is_revoked_by_its_own_client_once(void **state)
{
    struct rig *r = *state;
    const struct token *token = tokens_grant(r->tokens, r->bot, "alice", "a", 50, 1).access;

    assert_false(tokens_revoke(r->tokens, r->pub, token->text, 1));
    assert_true(tokens_revoke(r->tokens, r->bot, token->text, 1));
    assert_false(tokens_revoke(r->tokens, r->bot, token->text, 1));
    assert_false(is_good(r, token, 1));
    token = tokens_grant(r->tokens, r->bot, "alice", "a", 50, 1).access;
    assert_false(tokens_revoke(r->tokens, r->bot, token->text, 51));
}

static void tokens_end_by_their_text_or_their_user(void **state)
{
    struct rig *r = *state;
    struct issued one = tokens_grant(r->tokens, r->bot, "alice", "a", 0, 1);
    struct issued two = tokens_grant(r->tokens, r->pub, "alice", "a", 0, 1);
    struct issued bob = tokens_grant(r->tokens, r->bot, "bob", "a", 0, 1);
    struct issued next = {NULL, NULL};

    assert_int_equal(tokens_expire(r->tokens, one.access->text, 2), 1);
    assert_int_equal(tokens_expire(r->tokens, "alice", 2), 1);
    assert_int_equal(tokens_expire(r->tokens, "alice", 2), 0);
    assert_false(is_good(r, one.access, 2) || is_good(r, two.access, 2));
    assert_true(is_good(r, bob.access, 2));
    assert_true(tokens_refresh(r->tokens, r->bot, one.refresh->text, 2, &next));
}

static void what_is_granted_lasts_until_the_user_takes_it_back(void **state)
{
    struct rig *r = *state;
    struct issued first = tokens_grant(r->tokens, r->pub, "alice", "user:bot", 1, 1);
    struct issued next = {NULL, NULL};

    assert_true(tokens_refresh(r->tokens, r->pub, first.refresh->text, 500, &next));
    assert_true(tokens_granted(r->tokens, r->pub, "alice", "user:bot"));
    assert_false(tokens_granted(r->tokens, r->pub, "alice", "user"));
    assert_false(tokens_granted(r->tokens, r->bot, "alice", "user:bot"));
    assert_false(tokens_granted(r->tokens, r->pub, "bob", "user:bot"));
    tokens_disconnect(r->tokens, "alice");
    assert_false(tokens_granted(r->tokens, r->pub, "alice", "user:bot"));
    assert_false(is_good(r, next.access, 500));
    assert_false(tokens_refresh(r->tokens, r->pub, next.refresh->text, 500, &first));
}

static void a_device_code_tells_what_its_user_did(void **state)
{
    struct rig *r = *state;
    struct tokens *t = r->tokens;
    struct issued got = {NULL, NULL};
    const struct device *d = device_begin(t, r->pub, "a b", 1000, 1);
    const struct device *denied = device_begin(t, r->pub, "a", LIMIT_OFF, 1);

    assert_int_equal(strlen(d->user_code), 8);
    assert_int_equal(device_look(t, r->pub, d->code, 100, 1, &got), DEVICE_NOT_YET);
    assert_int_equal(device_look(t, r->pub, d->code, 100, 80, &got), DEVICE_SLOWER);
    assert_int_equal(device_look(t, r->pub, d->code, LIMIT_OFF, 81, &got), DEVICE_NOT_YET);
    assert_int_equal(device_look(t, r->pub, d->code, 100, 172, &got), DEVICE_NOT_YET);
    assert_int_equal(device_look(t, r->bot, d->code, 100, 300, &got), DEVICE_NONE);
    assert_int_equal(device_look(t, r->pub, "nonsense", 100, 300, &got), DEVICE_NONE);
    assert_true(device_decide(t, d->user_code, "alice", 300));
    assert_false(device_decide(t, d->user_code, "alice", 300));
    assert_int_equal(device_look(t, r->pub, d->code, 100, 400, &got), DEVICE_TOKENS);
    assert_string_equal(got.access->login, "alice");
    assert_string_equal(got.access->scopes, "a b");
    assert_int_equal(device_look(t, r->pub, d->code, 100, 900, &got), DEVICE_NONE);
    assert_true(device_decide(t, denied->user_code, NULL, UINT32_MAX));
    assert_int_equal(device_look(t, r->pub, denied->code, 100, UINT32_MAX, &got), DEVICE_REFUSED);
}

static void a_device_code_ends(void **state)
{
    struct rig *r = *state;
    struct issued got = {NULL, NULL};
    const struct device *d = device_begin(r->tokens, r->bot, "a", 1000, 1);

    assert_int_equal(device_look(r->tokens, r->bot, d->code, 10, 1000, &got), DEVICE_NOT_YET);
    assert_int_equal(device_look(r->tokens, r->bot, d->code, 10, 1001, &got), DEVICE_OVER);
    assert_false(device_decide(r->tokens, d->user_code, "alice", 1001));
}

static void seconds_left_are_rounded_up(void **state)
{
    (void)state;
    assert_int_equal(token_seconds_left(2000, 1000), 1);
    assert_int_equal(token_seconds_left(2001, 1000), 2);
    assert_int_equal(token_seconds_left(1001, 1000), 1);
    assert_int_equal(token_seconds_left(TOKEN_NEVER, 1000), 0);
}

static void a_bucket_empties_and_fills_up_in_a_minute(void **state)
{
    struct bucket b = {0, 0};
    struct bucket_look look;

    (void)state;
    for (uint64_t left = 3; left > 0; left--) {
        assert_true(bucket_take(&b, 1000000, 3, &look));
        assert_int_equal(look.remaining, left - 1);
    }
    assert_false(bucket_take(&b, 1000000, 3, &look));
    assert_int_equal(look.limit, 3);
    assert_int_equal(look.full_in_ms, 60000);
    assert_false(bucket_take(&b, 1019999, 3, &look));
    assert_true(bucket_take(&b, 1020000, 3, &look));
    bucket_look(&b, 1080000, 3, &look);
    assert_int_equal(look.remaining, 3);
    assert_int_equal(look.full_in_ms, 0);
    assert_false(bucket_take(&b, 1080000, 0, &look));
    assert_true(bucket_take(&b, 1080000, LIMIT_OFF, &look));
    assert_true(look.remaining > 1000000);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_token_is_good_until_its_time_has_passed),
        TEST(tokens_differ_and_scopes_are_tidy),
        TEST(a_confidential_refresh_token_stays),
        TEST(a_public_refresh_token_is_used_up_by_its_use),
        TEST(a_token_is_revoked_by_its_own_client_once),
        TEST(tokens_end_by_their_text_or_their_user),
        TEST(what_is_granted_lasts_until_the_user_takes_it_back),
        TEST(a_device_code_tells_what_its_user_did),
        TEST(a_device_code_ends),
        cmocka_unit_test(seconds_left_are_rounded_up),
        cmocka_unit_test(a_bucket_empties_and_fills_up_in_a_minute),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
