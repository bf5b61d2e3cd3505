/* Twitch's web services: what is asked, and what is made of the answers. */
#include "shared/twitch/twitch.h"

#include "shared/base.h"
#include "tests/lib/http_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

struct rig {
    struct http_rig *http;
    struct twitch *twitch;
    char id_url[64];
    int outcomes;
    char told[1024]; /* the last outcome */
};

/* Twitch as this server plays it, with one answer: "200 {...}". */
static struct rig *rig(const char *answer)
{
    static char text[4096];
    static struct http_move move;
    struct rig *r = calloc(1, sizeof(*r));

    assert_non_null(r);
    (void)snprintf(text, sizeof(text), "HTTP/1.1 %.3s X\r\nContent-Length: %zu\r\n\r\n%s", answer,
                   strlen(answer + 4), answer + 4);
    move = (struct http_move){text, false};
    r->http = http_rig_create(&move, 1, NULL);
    (void)snprintf(r->id_url, sizeof(r->id_url), "%s", http_rig_url(r->http, ""));
    r->twitch = twitch_create(&(struct twitch_options){.http = r->http->http,
                                                       .id_url = r->id_url,
                                                       .api_url = r->id_url,
                                                       .client_id = "app1",
                                                       .client_secret = "s&cret"});
    return r;
}

static void destroy(struct rig *r)
{
    twitch_destroy(r->twitch);
    http_rig_destroy(r->http);
    free(r);
}

static const char *or_dash(const char *text)
{
    return text != NULL ? text : "-";
}

static void on_outcome(void *ctx, const struct twitch_outcome *o)
{
    static const char *const verdicts[] = {"ok", "refused", "later", "unknown"};
    struct rig *r = ctx;
    size_t n = 0;

    r->outcomes++;
    assert_non_null(o->message);
    n += (size_t)snprintf(r->told, sizeof(r->told), "%s", verdicts[o->verdict]);
    if (o->message[0] != '\0') {
        n += (size_t)snprintf(r->told + n, sizeof(r->told) - n, " '%s'", o->message);
    }
    if (o->access_token != NULL) {
        n += (size_t)snprintf(r->told + n, sizeof(r->told) - n, " %s %s %llu", o->access_token,
                              or_dash(o->refresh_token), (unsigned long long)o->expires_in_s);
    }
    if (o->user_id != NULL) {
        n += (size_t)snprintf(r->told + n, sizeof(r->told) - n, " %s %s %s %llu", o->login,
                              o->user_id, o->client_id, (unsigned long long)o->expires_in_s);
    }
    if (o->device_code != NULL) {
        n += (size_t)snprintf(r->told + n, sizeof(r->told) - n, " %s %s %s %llu %llu",
                              o->device_code, o->user_code, o->verification_uri,
                              (unsigned long long)o->interval_s,
                              (unsigned long long)o->expires_in_s);
    }
    for (size_t i = 0; i < o->scopes.n; i++) {
        n += (size_t)snprintf(r->told + n, sizeof(r->told) - n, " %s", o->scopes.item[i]);
    }
    for (size_t i = 0; i < o->logins.n; i++) {
        n += (size_t)snprintf(r->told + n, sizeof(r->told) - n, " %s=%s", o->logins.item[i],
                              o->user_ids.item[i]);
    }
    if (o->message_id != NULL || o->drop_code != NULL) {
        (void)snprintf(r->told + n, sizeof(r->told) - n, " %s %s %s",
                       o->is_sent ? "sent" : "dropped", or_dash(o->message_id),
                       or_dash(o->drop_code));
    }
}

/* One call by its name. */
static void call(struct rig *r, const char *name)
{
    static const struct twitch_caller caller = {"tok", "app2"};
    static const char *const logins[] = {"alice", "bob"};
    struct twitch *t = r->twitch;

    if (strcmp(name, "validate") == 0) {
        (void)twitch_validate(t, "tok", on_outcome, r);
    } else if (strcmp(name, "refresh") == 0) {
        (void)twitch_refresh(t, "ref+resh", on_outcome, r);
    } else if (strcmp(name, "device") == 0) {
        (void)twitch_device(t, "chat:read chat:edit", on_outcome, r);
    } else if (strcmp(name, "device_tokens") == 0) {
        (void)twitch_device_tokens(t, "code", "chat:read", on_outcome, r);
    } else if (strcmp(name, "app_token") == 0) {
        (void)twitch_app_token(t, on_outcome, r);
    } else if (strcmp(name, "revoke") == 0) {
        (void)twitch_revoke(t, NULL, "tok", on_outcome, r);
    } else if (strcmp(name, "users") == 0) {
        (void)twitch_users(t, &caller, logins, 2, on_outcome, r);
    } else {
        (void)twitch_say(t, &caller,
                         &(struct twitch_message){.broadcaster_id = "1",
                                                  .sender_id = "2",
                                                  .text = SLICE("a \"b\"\n"),
                                                  .reply_to = "m-1"},
                         on_outcome, r);
    }
    wait_until(&r->http->loop, r->outcomes == 1);
}

static void each_call_asks_as_twitch_documents_it(void **state)
{
    static const struct {
        const char *name;
        const char *line;   /* of the request */
        const char *header; /* NULL: no token in one */
        const char *body;
    } cases[] = {
        {"validate", "GET /oauth2/validate HTTP/1.1\r\n", "Authorization: OAuth tok\r\n", ""},
        {"refresh", "POST /oauth2/token HTTP/1.1\r\n", NULL,
         "client_id=app1&client_secret=s%26cret&grant_type=refresh_token&refresh_token=ref%2Bresh"},
        {"device", "POST /oauth2/device HTTP/1.1\r\n", NULL,
         "client_id=app1&scopes=chat%3Aread%20chat%3Aedit"},
        {"device_tokens", "POST /oauth2/token HTTP/1.1\r\n", NULL,
         "client_id=app1&client_secret=s%26cret&"
         "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code&device_code=code&"
         "scopes=chat%3Aread"},
        {"app_token", "POST /oauth2/token HTTP/1.1\r\n", NULL,
         "client_id=app1&client_secret=s%26cret&grant_type=client_credentials"},
        {"revoke", "POST /oauth2/revoke HTTP/1.1\r\n", NULL, "client_id=app1&token=tok"},
        {"users", "GET /helix/users?login=alice&login=bob HTTP/1.1\r\n",
         "Authorization: Bearer tok\r\nClient-Id: app2\r\n", ""},
        {"say", "POST /helix/chat/messages HTTP/1.1\r\n",
         "Authorization: Bearer tok\r\nClient-Id: app2\r\n",
         "{\"broadcaster_id\":\"1\",\"sender_id\":\"2\",\"message\":\"a \\\"b\\\"\\n\","
         "\"reply_parent_message_id\":\"m-1\"}"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct rig *r = rig("400 {\"status\":400,\"message\":\"no\"}");
        call(r, cases[i].name);
        assert_memory_equal(r->http->heard, cases[i].line, strlen(cases[i].line));
        if (cases[i].header != NULL) {
            assert_non_null(strstr(r->http->heard, cases[i].header));
        } else {
            assert_null(strstr(r->http->heard, "Authorization"));
            assert_non_null(
                strstr(r->http->heard, "Content-Type: application/x-www-form-urlencoded\r\n"));
        }
        assert_string_equal(strstr(r->http->heard, "\r\n\r\n") + 4, cases[i].body);
        assert_string_equal(r->told, "refused 'no'");
        destroy(r);
    }
}

struct answer_case {
    const char *call;
    const char *answer;
    const char *told;
};

static void expect(const struct answer_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct rig *r = rig(cases[i].answer);
        call(r, cases[i].call);
        assert_string_equal(r->told, cases[i].told);
        assert_int_equal(r->http->requests, 1);
        destroy(r);
    }
}

static void what_twitch_answers_is_read(void **state)
{
    static const struct answer_case cases[] = {
        {"validate",
         "200 {\"client_id\":\"app1\",\"login\":\"alice\",\"scopes\":[\"chat:read\",\"chat:edit\"],"
         "\"user_id\":\"42\",\"expires_in\":5520838}",
         "ok alice 42 app1 5520838 chat:read chat:edit"},
        {"validate",
         "200 {\"client_id\":\"app1\",\"login\":\"alice\",\"scopes\":null,\"user_id\":\"42\","
         "\"expires_in\":0}",
         "ok alice 42 app1 0"},
        {"validate", "401 {\"status\":401,\"message\":\"invalid access token\"}",
         "refused 'invalid access token'"},
        {"refresh",
         "200 {\"access_token\":\"new\",\"refresh_token\":\"next\",\"expires_in\":14124,"
         "\"scope\":[\"chat:read\"],\"token_type\":\"bearer\"}",
         "ok new next 14124 chat:read"},
        {"refresh", "400 {\"status\":400,\"message\":\"Invalid refresh token\"}",
         "refused 'Invalid refresh token'"},
        {"device",
         "200 {\"device_code\":\"ike3GM8\",\"expires_in\":1800,\"interval\":5,"
         "\"user_code\":\"ABCDEFGH\",\"verification_uri\":"
         "\"https://www.twitch.tv/activate?device-code=ABCDEFGH\"}",
         "ok ike3GM8 ABCDEFGH https://www.twitch.tv/activate?device-code=ABCDEFGH 5 1800"},
        {"device_tokens", "400 {\"status\":400,\"message\":\"authorization_pending\"}",
         "refused 'authorization_pending'"},
        {"app_token",
         "200 {\"access_token\":\"app\",\"expires_in\":5011271,\"token_type\":\"bearer\"}",
         "ok app - 5011271"},
        {"revoke", "200 ", "ok"},
        {"users",
         "200 {\"data\":[{\"id\":\"1\",\"login\":\"alice\"},{\"id\":\"2\",\"login\":\"bob\"}]}",
         "ok alice=1 bob=2"},
        {"users", "200 {\"data\":[]}", "ok"},
        {"say", "200 {\"data\":[{\"message_id\":\"abc-1\",\"is_sent\":true}]}", "ok sent abc-1 -"},
        {"say",
         "200 {\"data\":[{\"message_id\":\"\",\"is_sent\":false,\"drop_reason\":{\"code\":"
         "\"msg_duplicate\",\"message\":\"Your message is identical.\"}}]}",
         "ok 'Your message is identical.' dropped - msg_duplicate"},
        {"say",
         "401 {\"error\":\"Unauthorized\",\"status\":401,\"message\":\"Invalid OAuth token\"}",
         "refused 'Invalid OAuth token'"},
    };

    (void)state;
    expect(cases, ARRAY_LEN(cases));
}

static void an_answer_that_cannot_be_right_is_none(void **state)
{
    static const struct answer_case cases[] = {
        {"refresh", "200 ", "unknown 'the answer lacks what it should have'"},
        {"refresh", "200 []", "unknown 'the answer lacks what it should have'"},
        {"refresh", "200 {\"access_token\":\"a\",\"expires_in\":-1}",
         "unknown 'the answer lacks what it should have'"},
        {"refresh", "200 {\"access_token\":\"a\",\"expires_in\":1e300}",
         "unknown 'the answer lacks what it should have'"},
        {"refresh", "200 {\"access_token\":\"a b\",\"expires_in\":1}",
         "unknown 'the answer lacks what it should have'"},
        {"refresh", "200 {\"access_token\":\"a\\r\\nX: y\",\"expires_in\":1}",
         "unknown 'the answer lacks what it should have'"},
        {"refresh", "200 {\"access_token\":7,\"expires_in\":1}",
         "unknown 'the answer lacks what it should have'"},
        {"refresh", "200 {\"access_token\":\"a\",\"refresh_token\":7,\"expires_in\":1}",
         "unknown 'the answer lacks what it should have'"},
        {"validate",
         "200 {\"client_id\":\"a\",\"login\":\"Al{ice}\",\"user_id\":\"1\",\"expires_in\":1}",
         "unknown 'the answer lacks what it should have'"},
        {"validate",
         "200 {\"client_id\":\"a\",\"login\":\"alice\",\"user_id\":\"x\",\"expires_in\":1}",
         "unknown 'the answer lacks what it should have'"},
        {"users", "200 {\"data\":[{\"id\":\"1\"}]}",
         "unknown 'the answer lacks what it should have'"},
        {"users", "200 {\"data\":{}}", "unknown 'the answer lacks what it should have'"},
        {"say", "200 {\"data\":[]}", "unknown 'the answer lacks what it should have'"},
        {"say", "200 {\"data\":[{\"is_sent\":false}]}",
         "unknown 'the answer lacks what it should have'"},
    };

    (void)state;
    expect(cases, ARRAY_LEN(cases));
}

static void only_twitch_refuses(void **state)
{
    static const struct answer_case cases[] = {
        {"refresh", "403 <html>your proxy</html>", "later 'HTTP status 403'"},
        {"refresh", "302 ", "later 'HTTP status 302'"},
        {"refresh", "429 {\"status\":429,\"message\":\"slow down\"}", "later 'slow down'"},
        {"refresh", "500 {\"status\":500,\"message\":\"oops\"}", "unknown 'oops'"},
        {"say", "503 ", "unknown 'HTTP status 503'"},
        {"refresh", "400 {\"status\":400,\"message\":\"\\u001b[2Jx\"}", "refused '?[2Jx'"},
    };

    (void)state;
    expect(cases, ARRAY_LEN(cases));
}

static void a_call_that_is_cut_off_may_have_been_carried_out(void **state)
{
    static const struct http_move cut = {NULL, true};
    struct rig *r = rig("200 ");

    (void)state;
    r->http->moves = &cut;
    call(r, "say");
    assert_memory_equal(r->told, "unknown ", 8);
    r->outcomes = 0;
    http_rig_stop_server(r->http);
    call(r, "say");
    assert_memory_equal(r->told, "later ", 6);
    assert_null(strstr(r->told, "tok"));
    destroy(r);
}

static void a_cancelled_call_has_no_outcome(void **state)
{
    struct rig *r = rig("200 ");

    (void)state;
    twitch_cancel(twitch_validate(r->twitch, "tok", on_outcome, r));
    test_loop_run_for(&r->http->loop, 30);
    assert_int_equal(r->outcomes, 0);
    destroy(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_call_asks_as_twitch_documents_it),
        cmocka_unit_test(what_twitch_answers_is_read),
        cmocka_unit_test(an_answer_that_cannot_be_right_is_none),
        cmocka_unit_test(only_twitch_refuses),
        cmocka_unit_test(a_call_that_is_cut_off_may_have_been_carried_out),
        cmocka_unit_test(a_cancelled_call_has_no_outcome),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
