/* Accounts kept valid by the leader, over the real steps, with a Twitch that does what each test
 * says. */
#include "coordinator/chores/accounts.h"

#include "shared/account_secret.h"
#include "tests/lib/http_rig.h"
#include "tests/lib/office.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define KEY_A            "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define KEY_B            "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100"
#define OK(length, body) {"HTTP/1.1 200 OK\r\nContent-Length: " length "\r\n\r\n" body, false}
#define REFUSED(status)                                                                            \
    {"HTTP/1.1 " status                                                                            \
     " X\r\nContent-Length: 36\r\n\r\n{\"status\":400,\"message\":\"not valid\"}",                 \
     false}
#define VALID_4H                                                                                   \
    OK("74", "{\"client_id\":\"a\",\"login\":\"alice\",\"user_id\":\"42\",\"expires_in\":14400, "  \
             "\"x\":1}")
#define VALID_60S                                                                                  \
    OK("74", "{\"client_id\":\"a\",\"login\":\"alice\",\"user_id\":\"42\",\"expires_in\":60,    "  \
             "\"x\":1}")
#define OF_BOB                                                                                     \
    OK("74", "{\"client_id\":\"a\",\"login\":\"bob\",  \"user_id\":\"43\",\"expires_in\":14400, "  \
             "\"x\":1}")
#define NEW_TOKENS                                                                                 \
    OK("78", "{\"access_token\":\"new\",\"refresh_token\":\"next\",\"expires_in\":14400,"          \
             "\"scope\":[\"s\"]}")

static struct office o;
static struct http_rig *twitch_server;
static struct twitch *twitch;
static struct seal_keys *keys;
static struct accounts *accounts;
static char url[64];

static struct seal_keys *keys_of(const char *content)
{
    char path[] = "/tmp/shoal-keys-XXXXXX";
    int fd = mkstemp(path);
    struct seal_keys *loaded;
    struct err err;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, strlen(content)), strlen(content));
    assert_int_equal(close(fd), 0);
    assert_int_equal(seal_keys_load(path, &loaded, &err), 0);
    assert_int_equal(unlink(path), 0);
    return loaded;
}

static void on_facts(void *room, const struct registry_lead *facts)
{
    accounts_on_facts(room, facts);
}

static void close_accounts(void *room)
{
    accounts_destroy(room);
}

static int open_office(void **state)
{
    (void)state;
    memset(&o, 0, sizeof(o));
    office_open(&o, "room_limit,100");
    return 0;
}

/* Who keeps accounts from now on. */
static void keep_accounts(void)
{
    accounts = accounts_create(&(struct accounts_options){.loop = &o.world.probe.t.uv,
                                                          .leader = o.leader,
                                                          .twitch = twitch,
                                                          .keys = keys,
                                                          .cluster = "t"});
    office_room(&o, accounts, on_facts, close_accounts);
}

/* The leader, with these keys, and a Twitch that answers so. */
static void lead(const struct http_move *moves, size_t n, const char *key)
{
    twitch_server = http_rig_create(moves, n, NULL);
    (void)snprintf(url, sizeof(url), "%s", http_rig_url(twitch_server, ""));
    twitch = twitch_create(&(struct twitch_options){
        .http = twitch_server->http, .id_url = url, .api_url = url, .client_id = "app"});
    keys = keys_of(key);
    office_lead(&o);
    keep_accounts();
}

static int close_office(void **state)
{
    (void)state;
    office_close(&o);
    twitch_destroy(twitch);
    http_rig_destroy(twitch_server);
    seal_keys_destroy(keys);
    return 0;
}

static void put(const char *access, const char *refresh)
{
    struct seal_keys *own = keys_of(KEY_A);
    struct account_secret secret = {0};
    char args[1024];

    (void)snprintf(secret.access, sizeof(secret.access), "%s", access);
    (void)snprintf(secret.refresh, sizeof(secret.refresh), "%s", refresh);
    char *sealed = account_secret_seal(own, "t", "alice", &secret);
    (void)snprintf(args, sizeof(args), "alice,%s", sealed);
    world_configure(&o.world, o.leader != NULL ? office_me(&o) : &o.before, "", "", "account_put",
                    args);
    assert_non_null(strstr(o.world.rest, "\"ok\":true"));
    free(sealed);
    seal_keys_destroy(own);
}

/* "access refresh" as they are sealed in Redis. */
static const char *tokens(void)
{
    static char out[2 * ACCOUNT_TOKEN_CHARS];
    struct seal_keys *own = keys_of(KEY_A);
    struct account_secret secret;
    struct err err;

    assert_int_equal(account_secret_open(own, "t", "alice",
                                         slice_of(office_ask(&o, "GET shoal:{t}:secret:alice")),
                                         &secret, &err),
                     0);
    (void)snprintf(out, sizeof(out), "%s %s", secret.access, secret.refresh);
    seal_keys_destroy(own);
    return out;
}

static const char *field(const char *name)
{
    return office_ask(&o, "HGET shoal:{t}:account:alice %s", name);
}

static bool has(const char *name, const char *value)
{
    test_loop_turn(&twitch_server->loop);
    return strcmp(field(name), value) == 0;
}

static bool is(const char *state)
{
    return has("state", state);
}

/* How long until it is looked at again, in seconds. */
static unsigned next_s(void)
{
    static const char script[] =
        "local t = redis.call('TIME') local at = redis.call('ZSCORE', KEYS[1] .. ':accounts', "
        "'alice') return tostring(math.floor((at - t[1] * 1000 - t[2] / 1000) / 1000))";

    return (unsigned)strtoul(world_eval(&o.world, script, ""), NULL, 10);
}

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
        TEST(without_a_refresh_token_its_end_is_the_end),
        TEST(a_twitch_that_is_not_well_ends_no_account),
        TEST(a_refresh_without_an_answer_may_have_used_up_the_token),
        TEST(a_twitch_that_cannot_be_asked_leaves_an_account_as_it_is_until_its_token_ends),
        TEST(what_cannot_be_opened_is_told_and_left_alone),
        TEST(a_token_of_somebody_else_is_none),
        TEST(new_tokens_are_kept_when_redis_is_back),
        cmocka_unit_test(a_death_at_any_moment_leaves_tokens_in_force_or_the_login_required),
        TEST(a_refresh_is_not_begun_when_the_claim_may_run_out_before_its_end),
        TEST(a_refresh_that_somebody_else_began_may_have_used_up_the_token),
    };
    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
