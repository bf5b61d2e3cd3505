/* Registry: accounts, against a real Redis. */
#include "shared/redis/registry_accounts.h"

#include "tests/lib/registry_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define SEALED  "1.0a1b2c3d.QUJD"
#define SEALED2 "1.0a1b2c3d.REVG"

static struct {
    bool answered;
    char text[1024]; /* what was due, or the word */
    char of[41];     /* of the first that was due */
    uint64_t left_ms;
} got;

static void on_due(void *ctx, const struct registry_due_account *due, size_t n,
                   const struct err *err)
{
    size_t len = 0;

    (void)ctx;
    assert_null(err);
    got.text[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        len += (size_t)snprintf(got.text + len, sizeof(got.text) - len, "%.*s %.*s%s %.*s\n",
                                (int)due[i].login.len, due[i].login.ptr, (int)due[i].state.len,
                                due[i].state.ptr, due[i].claimed ? " claimed" : "",
                                (int)due[i].secret.len, due[i].secret.ptr);
    }
    if (n > 0) {
        (void)snprintf(got.of, sizeof(got.of), "%.*s", (int)due[0].of.len, due[0].of.ptr);
    }
    got.answered = true;
}

static void on_word(void *ctx, struct slice word, struct slice rest, const struct err *err)
{
    (void)ctx;
    (void)rest;
    (void)snprintf(got.text, sizeof(got.text), "%.*s", (int)word.len,
                   err == NULL ? word.ptr : err->text);
    got.answered = true;
}

static void on_accounts(void *ctx, uint64_t rev, const struct registry_account *accounts, size_t n,
                        const struct err *err)
{
    static const char *const ways[] = {"irc", "helix", "helix_app"};
    size_t len = (size_t)snprintf(got.text, sizeof(got.text), "%llu\n", (unsigned long long)rev);

    (void)ctx;
    assert_null(err);
    for (size_t i = 0; i < n; i++) {
        len += (size_t)snprintf(got.text + len, sizeof(got.text) - len, "%.*s %.*s %s%s%s %.*s\n",
                                (int)accounts[i].login.len, accounts[i].login.ptr,
                                (int)accounts[i].state.len, accounts[i].state.ptr,
                                accounts[i].reads ? "reads " : "", accounts[i].says ? "says " : "",
                                ways[accounts[i].say_by], (int)accounts[i].secret.len,
                                accounts[i].secret.ptr);
        got.left_ms = accounts[i].left_ms;
    }
    got.answered = true;
}

#define ASK(call)                                                                                  \
    do {                                                                                           \
        got.answered = false;                                                                      \
        assert_int_equal((call), 0);                                                               \
        wait_until(&w.probe.t, got.answered);                                                      \
    } while (0)

static const char *due(void)
{
    ASK(registry_due_accounts(w.r, &me, on_due, NULL));
    return got.text;
}

static uint64_t rev_of(const char *login)
{
    return strtoull(world_ask(&w, "HGET shoal:{t}:account:%s rev", login), NULL, 10);
}

static const char *claim(const char *login, uint64_t rev, const char *id)
{
    ASK(registry_claim_account(w.r, &me, slice_of(login), rev, id, on_word, NULL));
    return got.text;
}

static const char *keep(const char *login, const char *id, const char *state, const char *secret,
                        const char *error)
{
    const struct slice found[] = {SLICE("error"),   slice_of(error), SLICE("user_id"),
                                  SLICE("42"),      SLICE("rev"),    SLICE("1000"),
                                  SLICE("left_ms"), SLICE("60000")};
    const struct registry_looked looked = {.login = slice_of(login),
                                           .claim = id,
                                           .next_ms = 3600000,
                                           .state = state,
                                           .of = got.of,
                                           .secret = slice_of(secret),
                                           .refreshed = secret[0] != '\0',
                                           .found = found,
                                           .nfound = ARRAY_LEN(found)};
    ASK(registry_keep_account(w.r, &looked, on_word, NULL));
    return got.text;
}

static const char *put(const char *login, const char *secret)
{
    char args[256];

    (void)snprintf(args, sizeof(args), "%s,%s", login, secret);
    return world_configure(&w, &me, "", "", "account_put", args);
}

static const char *told(const char *after)
{
    ASK(registry_accounts(w.r, n1.name, n1.incarnation, slice_of(after), on_accounts, NULL));
    return got.text;
}

static const char *last_event(void)
{
    return world_eval(
        &w,
        "local e = redis.call('XREVRANGE', KEYS[1] .. ':log', '+', '-', 'COUNT', 1)[1] "
        "return cjson.decode(e[2][2]).event",
        "");
}

static void new_tokens_are_looked_at_at_once(void **state)
{
    (void)state;
    world_lead(&w, &me);
    assert_false(w.lead.accounts_due);
    put("alice", SEALED);
    assert_non_null(strstr(w.rest, "\"ok\":true"));
    assert_string_equal(last_event(), "account.added");
    world_lead(&w, &me);
    assert_true(w.lead.accounts_due);
    assert_string_equal(due(), "alice new " SEALED "\n");
    put("alice", SEALED2);
    assert_string_equal(last_event(), "account.replaced");
    assert_string_equal(due(), "alice new " SEALED2 "\n");
}

static void what_is_no_account_is_refused(void **state)
{
    static const char *const args[] = {"Alice," SEALED, "anonymous," SEALED,
                                       "a b," SEALED,   "alice,oauth:secret",
                                       "alice",         "alice,1.zz.QUJD"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(args); i++) {
        world_configure(&w, &me, "", "", "account_put", args[i]);
        assert_non_null(strstr(w.rest, "\"ok\":false"));
        assert_null(strstr(w.rest, "secret\""));
    }
    assert_string_equal(world_ask(&w, "EXISTS shoal:{t}:accounts shoal:{t}:secret:alice"), "0");
    world_configure(&w, &me, "", "", "account_remove", "alice");
    assert_non_null(strstr(w.rest, "There is no account alice."));
    world_configure(&w, &me, "", "", "account_set", "alice,reads,no");
    assert_non_null(strstr(w.rest, "There is no account alice."));
    put("alice", SEALED);
    world_configure(&w, &me, "", "", "account_set", "alice,reads,perhaps");
    assert_non_null(strstr(w.rest, "An account has reads (yes, no), says (yes, no)"));
    world_configure(&w, &me, "", "", "account_set", "alice,state,usable");
    assert_non_null(strstr(w.rest, "\"ok\":false"));
}

static void what_came_of_a_claim_is_kept_and_told_once(void **state)
{
    (void)state;
    put("alice", SEALED);
    assert_string_equal(claim("alice", rev_of("alice"), "c1"), "claimed");
    assert_string_equal(due(), ""); /* not for half a minute */
    assert_string_equal(keep("alice", "c1", "usable", "", ""), "kept");
    assert_string_equal(last_event(), "account.usable");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:account:alice user_id"), "42");
    assert_string_equal(world_ask(&w, "HEXISTS shoal:{t}:account:alice claim"), "0");
    assert_int_not_equal(rev_of("alice"), 1000); /* the leader writes what it finds out, no more */
    assert_string_equal(due(), "");
    assert_string_equal(keep("alice", "c1", "usable", "", ""), "changed");

    uint64_t rev = rev_of("alice");
    assert_string_equal(claim("alice", rev, "c2"), "claimed");
    assert_string_equal(keep("alice", "c2", "usable", "", ""), "kept");
    assert_int_equal(rev_of("alice"), rev); /* nothing that nodes go by */
    told("");
    assert_in_range(got.left_ms, 50000, 60000);
    assert_string_equal(last_event(), "account.usable");
    assert_string_equal(claim("alice", rev, "c3"), "claimed");
    assert_string_equal(keep("alice", "c3", "usable", SEALED2, ""), "kept");
    assert_string_equal(last_event(), "account.refreshed");
    assert_string_equal(world_ask(&w, "GET shoal:{t}:secret:alice"), SEALED2);
    assert_string_equal(claim("alice", rev, "c4"), "changed");
    assert_string_equal(claim("alice", rev_of("alice"), "c5"), "claimed");
    assert_string_equal(keep("alice", "c5", "login_required", "", "Invalid refresh token"), "kept");
    assert_string_equal(last_event(), "account.login_required");
}

static void tokens_that_were_put_meanwhile_are_not_overwritten(void **state)
{
    (void)state;
    put("alice", SEALED);
    due();
    assert_string_equal(claim("alice", rev_of("alice"), "c1"), "claimed");
    put("alice", SEALED2);
    assert_string_equal(keep("alice", "c1", "usable", SEALED, ""), "changed");
    assert_string_equal(world_ask(&w, "GET shoal:{t}:secret:alice"), SEALED2);
    assert_string_equal(due(), "alice new " SEALED2 "\n");
}

static void a_claim_of_which_no_more_is_heard_is_looked_at_again(void **state)
{
    (void)state;
    put("alice", SEALED);
    assert_string_equal(claim("alice", rev_of("alice"), "c1"), "claimed");
    world_ask(&w, "ZADD shoal:{t}:accounts 1 alice"); /* half a minute later */
    assert_string_equal(due(), "alice new claimed " SEALED "\n");
    assert_string_equal(claim("alice", rev_of("alice"), "c2"), "claimed");
    assert_string_equal(keep("alice", "c1", "usable", "", ""), "changed");
    assert_string_equal(keep("alice", "c2", "usable", SEALED2, ""), "kept");
}

static void whoever_comes_late_with_new_tokens_for_those_that_are_there_is_welcome(void **state)
{
    (void)state;
    put("alice", SEALED);
    assert_string_equal(due(), "alice new " SEALED "\n");
    assert_string_equal(claim("alice", rev_of("alice"), "c1"), "claimed");
    assert_string_equal(claim("alice", rev_of("alice"), "c2"), "claimed");
    assert_string_equal(keep("alice", "c1", "usable", SEALED2, ""), "kept");
    assert_string_equal(keep("alice", "c2", "login_required", "", "it is used up"), "changed");
    assert_string_equal(world_ask(&w, "GET shoal:{t}:secret:alice"), SEALED2);
    assert_string_equal(keep("alice", "c1", "usable", SEALED, ""), "changed");

    put("alice", SEALED);
    due();
    assert_string_equal(claim("alice", rev_of("alice"), "c3"), "claimed");
    assert_string_equal(keep("alice", "c3", "login_required", "", "it is used up"), "kept");
    assert_string_equal(keep("alice", "c1", "usable", SEALED2, ""), "kept");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:account:alice state"), "usable");
    world_configure(&w, &me, "", "", "account_remove", "alice");
    assert_string_equal(keep("alice", "c1", "usable", SEALED2, ""), "changed");
    assert_string_equal(world_ask(&w, "EXISTS shoal:{t}:secret:alice"), "0");
}

static void a_leader_that_was_deposed_still_keeps_what_twitch_gave_it(void **state)
{
    (void)state;
    put("alice", SEALED);
    assert_string_equal(claim("alice", rev_of("alice"), "c1"), "claimed");
    world_ask(&w, "HSET shoal:{t}:leader incarnation other");
    assert_string_equal(keep("alice", "c1", "usable", SEALED2, ""), "kept");
    assert_string_equal(world_ask(&w, "GET shoal:{t}:secret:alice"), SEALED2);
    world_ask(&w, "HSET shoal:{t}:leader incarnation %s", me.incarnation);
}

static void an_account_that_is_revoked_goes_when_its_tokens_have_ended(void **state)
{
    (void)state;
    put("alice", SEALED);
    assert_string_equal(claim("alice", rev_of("alice"), "c1"), "claimed");
    assert_string_equal(keep("alice", "c1", "usable", "", ""), "kept");
    world_configure(&w, &me, "", "", "account_revoke", "alice");
    assert_non_null(strstr(w.rest, "\"ok\":true"));
    assert_string_equal(last_event(), "account.revoking");
    assert_string_equal(due(), "alice revoking " SEALED "\n");
    assert_string_equal(claim("alice", rev_of("alice"), "c2"), "claimed");
    assert_string_equal(keep("alice", "c2", "revoking", "", "not reached"), "kept");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:account:alice error"), "not reached");
    assert_string_equal(claim("alice", rev_of("alice"), "c3"), "claimed");
    assert_string_equal(keep("alice", "c3", "revoked", "", ""), "kept");
    assert_string_equal(last_event(), "account.revoked");
    assert_string_equal(
        world_ask(&w, "EXISTS shoal:{t}:account:alice shoal:{t}:secret:alice shoal:{t}:accounts"),
        "0");
    world_configure(&w, &me, "", "", "account_revoke", "alice");
    assert_non_null(strstr(w.rest, "There is no account alice."));
}

static void what_a_refresh_brings_while_it_is_revoked_is_kept_and_revoked_too(void **state)
{
    (void)state;
    put("alice", SEALED);
    assert_string_equal(claim("alice", rev_of("alice"), "c1"), "claimed");
    world_configure(&w, &me, "", "", "account_revoke", "alice");
    assert_string_equal(due(), ""); /* what comes of the claim is waited for */
    assert_string_equal(keep("alice", "c1", "usable", SEALED2, ""), "kept");
    assert_string_equal(due(), "alice revoking " SEALED2 "\n");
    put("alice", SEALED); /* somebody logs in meanwhile: it is an account again */
    assert_string_equal(due(), "alice new " SEALED "\n");
}

static void what_another_key_seals_is_looked_at_when_that_is_asked_for(void **state)
{
    (void)state;
    put("alice", SEALED);
    put("bob", "1.ffffffff.QUJD");
    put("carol", SEALED);
    world_ask(&w,
              "ZADD shoal:{t}:accounts 3000000000000 alice 3000000000000 bob 3000000000000 carol");
    world_ask(&w, "HSET shoal:{t}:account:carol claim c1"); /* what comes of that is waited for */
    assert_string_equal(due(), "");
    ASK(registry_look_at_accounts(w.r, &me, "ffffffff", SLICE(""), on_word, NULL));
    assert_string_equal(got.text, "done");
    assert_string_equal(due(), "alice new " SEALED "\n");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:account:bob key"), "ffffffff");
}

static void nodes_see_that_an_account_has_changed_and_read_it(void **state)
{
    char expected[256];

    (void)state;
    world_renew(&w, &n1, "");
    uint64_t before = w.picture.settings.accounts;
    put("bob", SEALED2);
    put("alice", SEALED);
    world_configure(&w, &me, "", "", "account_set", "bob,reads,no");
    world_configure(&w, &me, "", "", "account_set", "bob,say_by,helix");
    world_renew(&w, &n1, "");
    uint64_t now = w.picture.settings.accounts;
    assert_int_equal(now, before + 4);
    (void)snprintf(expected, sizeof(expected),
                   "%llu\nalice new reads says irc " SEALED "\nbob new says helix " SEALED2 "\n",
                   (unsigned long long)now);
    assert_string_equal(told(""), expected);
    (void)snprintf(expected, sizeof(expected), "%llu\nbob new says helix " SEALED2 "\n",
                   (unsigned long long)now);
    assert_string_equal(told("alice"), expected);
    world_configure(&w, &me, "", "", "account_remove", "bob");
    assert_string_equal(last_event(), "account.removed");
    (void)snprintf(expected, sizeof(expected), "%llu\n", (unsigned long long)now + 1);
    assert_string_equal(told("alice"), expected);
    assert_string_equal(world_ask(&w, "EXISTS shoal:{t}:account:bob shoal:{t}:secret:bob"), "0");
}

static void a_token_that_twitch_did_not_take_is_looked_at_at_once(void **state)
{
    (void)state;
    put("alice", SEALED);
    assert_string_equal(claim("alice", rev_of("alice"), "c1"), "claimed");
    assert_string_equal(keep("alice", "c1", "usable", "", ""), "kept");
    uint64_t rev = rev_of("alice");
    ASK(registry_account_refused(w.r, n1.name, n1.incarnation, SLICE("alice"), rev - 1, on_word,
                                 NULL));
    assert_string_equal(due(), ""); /* it was another one */
    ASK(registry_account_refused(w.r, n1.name, n1.incarnation, SLICE("alice"), rev, on_word, NULL));
    assert_string_equal(got.text, "told");
    assert_string_equal(due(), "alice usable " SEALED "\n");
}

static void a_refused_login_brings_no_second_look_beside_the_first(void **state)
{
    (void)state;
    put("alice", SEALED);
    assert_string_equal(claim("alice", rev_of("alice"), "c1"), "claimed");
    assert_string_equal(keep("alice", "c1", "usable", "", ""), "kept");
    uint64_t rev = rev_of("alice");
    assert_string_equal(claim("alice", rev, "c2"), "claimed");
    ASK(registry_account_refused(w.r, n1.name, n1.incarnation, SLICE("alice"), rev, on_word, NULL));
    assert_string_equal(got.text, "later");
    assert_string_equal(due(), "");
    assert_string_equal(keep("alice", "c2", "usable", SEALED2, ""), "kept");
}

static void what_is_damaged_is_put_right_or_told(void **state)
{
    (void)state;
    put("alice", SEALED);
    world_ask(&w, "ZADD shoal:{t}:accounts 1 Not-One 2 nobody");
    world_ask(&w, "DEL shoal:{t}:account:alice");
    assert_string_equal(due(), "alice new " SEALED "\n");
    assert_string_equal(claim("alice", rev_of("alice"), "c1"), "claimed"); /* it has a rev again */
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:account:nobody state"), "login_required");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:account:nobody error"),
                        "its tokens are gone from Redis");
    assert_string_equal(world_ask(&w, "ZCARD shoal:{t}:accounts"), "2");
    world_ask(&w, "DEL shoal:{t}:secret:alice");
    world_ask(&w, "SADD shoal:{t}:secret:alice x");
    world_ask(&w, "ZADD shoal:{t}:accounts 1 alice");
    assert_string_equal(due(), "");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:account:alice state"), "login_required");
    assert_string_equal(world_ask(&w, "HEXISTS shoal:{t}:account:alice claim"), "0");
    put("alice", SEALED2); /* the mend */
    assert_string_equal(due(), "alice new " SEALED2 "\n");
    world_ask(&w, "DEL shoal:{t}:account:nobody");
    world_ask(&w, "ZREM shoal:{t}:accounts nobody");
}

static void an_account_that_twitch_has_verified_has_more(void **state)
{
    (void)state;
    world_ask(&w, "HSET shoal:{t}:account:big tier verified");
    world_draw(&w, &n1, "big", "join", 1000);
    assert_int_equal(w.nwaits, 1000);
    assert_int_equal(w.waits[999], 0);
    set("join_limit,off");
    world_draw(&w, &n1, "big", "join", 1000);
    world_draw(&w, &n1, "big", "join", 1000);
    assert_int_equal(w.nwaits, 1000);
    assert_int_equal(w.waits[999], 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, finish)
    const struct CMUnitTest tests[] = {
        TEST(new_tokens_are_looked_at_at_once),
        TEST(what_is_no_account_is_refused),
        TEST(what_came_of_a_claim_is_kept_and_told_once),
        TEST(tokens_that_were_put_meanwhile_are_not_overwritten),
        TEST(a_claim_of_which_no_more_is_heard_is_looked_at_again),
        TEST(a_leader_that_was_deposed_still_keeps_what_twitch_gave_it),
        TEST(an_account_that_is_revoked_goes_when_its_tokens_have_ended),
        TEST(what_a_refresh_brings_while_it_is_revoked_is_kept_and_revoked_too),
        TEST(what_another_key_seals_is_looked_at_when_that_is_asked_for),
        TEST(nodes_see_that_an_account_has_changed_and_read_it),
        TEST(a_token_that_twitch_did_not_take_is_looked_at_at_once),
        TEST(whoever_comes_late_with_new_tokens_for_those_that_are_there_is_welcome),
        TEST(a_refused_login_brings_no_second_look_beside_the_first),
        TEST(what_is_damaged_is_put_right_or_told),
        TEST(an_account_that_twitch_has_verified_has_more),
    };
    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
