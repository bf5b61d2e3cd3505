/* Helix: what becomes of a send, with a Twitch that does what each test says. */
#include "node/helix.h"

#include "tests/lib/http_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define ANSWER(status, body) {"HTTP/1.1 " status " X\r\n\r\n" body, true} /* to its end */
#define SAID                 ANSWER("200", "{\"data\":[{\"message_id\":\"m-1\",\"is_sent\":true}]}")
#define ROOM_42              ANSWER("200", "{\"data\":[{\"id\":\"42\",\"login\":\"foo\"}]}")
#define UNAUTHORIZED         ANSWER("401", "{\"status\":401,\"message\":\"Invalid OAuth token\"}")

static struct {
    struct http_rig *http;
    struct helix *helix;
    char url[64];
    struct helix_account account;
    bool has_account;
    bool may_say;
    unsigned asked;   /* may_say */
    unsigned ends;    /* results, and what was put back */
    char told[2048];  /* all of them, each in brackets */
    char room_id[64]; /* "foo 42" */
    unsigned refused; /* on_refused */
    bool closed;
} rig;

static bool account(void *ctx, struct slice user, enum registry_say_by say_by,
                    struct helix_account *out)
{
    (void)ctx;
    assert_true(slice_is(user, "bot"));
    assert_int_not_equal(say_by, SAY_BY_IRC);
    *out = rig.account;
    return rig.has_account;
}

static bool may_say(void *ctx, const char *entry)
{
    (void)ctx;
    (void)entry;
    rig.asked++;
    return rig.may_say;
}

static void tell(const char *text)
{
    size_t len = strlen(rig.told);

    (void)snprintf(rig.told + len, sizeof(rig.told) - len, "[%s]", text);
    rig.ends++;
}

static void on_result(void *ctx, const char *entry, const struct send_outcome *o)
{
    char text[768];

    (void)ctx;
    (void)snprintf(text, sizeof(text), "%s %s: %.*s '%.*s' %.*s", entry,
                   send_status_name(o->status), (int)o->reason.len, o->reason.ptr, (int)o->text.len,
                   o->text.ptr, (int)o->message_id.len, o->message_id.ptr);
    tell(text);
}

static void on_unsaid(void *ctx, const char *entry)
{
    char text[64];

    (void)ctx;
    (void)snprintf(text, sizeof(text), "%s unsaid", entry);
    tell(text);
}

static void on_refused(void *ctx, const char *login)
{
    (void)ctx;
    assert_string_equal(login, rig.account.login);
    rig.refused++;
}

static void on_room_id(void *ctx, const char *channel, const char *room_id)
{
    (void)ctx;
    (void)snprintf(rig.room_id, sizeof(rig.room_id), "%s %s", channel, room_id);
}

static void begin(const struct http_move *moves, size_t n)
{
    memset(&rig, 0, sizeof(rig));
    rig.http = http_rig_create(moves, n, NULL);
    (void)snprintf(rig.url, sizeof(rig.url), "%s", http_rig_url(rig.http, ""));
    rig.account = (struct helix_account){
        .login = "bot", .rev = 1, .token = "s3cret", .client_id = "app1", .user_id = "7"};
    rig.has_account = true;
    rig.may_say = true;
    rig.helix = helix_create(&(struct helix_options){.loop = &rig.http->loop.uv,
                                                     .api_url = rig.url,
                                                     .account = account,
                                                     .may_say = may_say,
                                                     .on_result = on_result,
                                                     .on_unsaid = on_unsaid,
                                                     .on_refused = on_refused,
                                                     .on_room_id = on_room_id});
}

static void on_closed(void *ctx)
{
    (void)ctx;
    rig.closed = true;
}

static void end(void)
{
    assert_null(strstr(rig.told, "s3cret"));
    helix_close(rig.helix, on_closed, NULL);
    wait_until(&rig.http->loop, rig.closed);
    http_rig_destroy(rig.http);
}

static struct registry_send send_of(const char *text)
{
    return (struct registry_send){
        .channel = SLICE("foo"), .id = SLICE("x"), .text = slice_of(text), .reply_to = SLICE("")};
}

static int say_in(const char *room_id, const struct registry_send *send, const char *entry,
                  struct err *err)
{
    struct registry_route route = {.user = SLICE("bot"),
                                   .shard = SLICE("main-shard"),
                                   .say_by = SAY_BY_HELIX,
                                   .room_id = slice_of(room_id)};

    return helix_say(rig.helix, &route, send, entry, err);
}

/* Say "hello" in the channel of that id, and wait for its end. */
static void say(const char *room_id, const char *entry)
{
    struct registry_send send = send_of("hello");
    struct err err = {0};
    unsigned before = rig.ends;

    assert_int_equal(say_in(room_id, &send, entry, &err), 0);
    wait_until(&rig.http->loop, rig.ends > before);
}

/* What is asked for ------------------------------------------------------------------------------- */

static void a_message_is_one_request_and_its_answer_the_result(void **state)
{
    static const struct http_move moves[] = {SAID};

    (void)state;
    begin(moves, ARRAY_LEN(moves));
    say("42", "1-1");
    assert_string_equal(rig.told, "[1-1 sent:  '' m-1]");
    assert_int_equal(rig.http->requests, 1);
    assert_non_null(strstr(rig.http->heard, "POST /helix/chat/messages HTTP/1.1\r\n"));
    assert_non_null(strstr(rig.http->heard, "Authorization: Bearer s3cret\r\n"));
    assert_non_null(strstr(rig.http->heard, "Client-Id: app1\r\n"));
    assert_non_null(strstr(
        rig.http->heard, "{\"broadcaster_id\":\"42\",\"sender_id\":\"7\",\"message\":\"hello\"}"));
    assert_int_equal(rig.asked, 1);
    end();
}

static void a_reply_names_its_message_and_what_looks_like_a_command_is_none(void **state)
{
    static const struct http_move moves[] = {SAID};
    struct registry_send send = send_of(".ban somebody");

    (void)state;
    begin(moves, ARRAY_LEN(moves));
    send.reply_to = SLICE("m-0");
    assert_int_equal(say_in("42", &send, "1-1", NULL), 0);
    wait_until(&rig.http->loop, rig.ends == 1);
    assert_non_null(strstr(rig.http->heard, "\"message\":\"\xe2\x80\x8b.ban somebody\","
                                            "\"reply_parent_message_id\":\"m-0\"}"));
    end();
}

static void what_helix_can_not_say_is_refused_in_words(void **state)
{
    static const struct http_move moves[] = {SAID};
    char long_text[502];
    struct registry_send send = send_of("/color red");
    struct err err = {0};

    (void)state;
    begin(moves, ARRAY_LEN(moves));
    send.as_command = true;
    assert_int_equal(say_in("42", &send, "1-1", &err), -ERR_PROTOCOL);
    assert_non_null(strstr(err.text, "commands go over IRC alone"));
    memset(long_text, '/', 500);
    long_text[500] = '\0';
    send = send_of(long_text);
    assert_int_equal(say_in("42", &send, "1-1", &err), -ERR_PROTOCOL);
    assert_non_null(strstr(err.text, "501 characters"));
    send = send_of("a\nb");
    assert_int_equal(say_in("42", &send, "1-1", &err), -ERR_PROTOCOL);
    rig.has_account = false;
    send = send_of("hello");
    assert_int_equal(say_in("42", &send, "1-1", &err), -ERR_DOWN);
    assert_false(helix_can_say(rig.helix, SLICE("bot"), SAY_BY_HELIX));
    assert_int_equal(rig.http->accepted, 0);
    end();
}

/* The channel's id -------------------------------------------------------------------------------- */

static void the_id_of_a_channel_that_nobody_knows_is_asked_for(void **state)
{
    static const struct http_move moves[] = {ROOM_42, SAID};

    (void)state;
    begin(moves, ARRAY_LEN(moves));
    say("", "1-1");
    assert_string_equal(rig.told, "[1-1 sent:  '' m-1]");
    assert_string_equal(rig.room_id, "foo 42");
    assert_non_null(strstr(rig.http->heard, "GET /helix/users?login=foo HTTP/1.1\r\n"));
    assert_non_null(strstr(rig.http->heard, "{\"broadcaster_id\":\"42\""));
    end();
}

static void a_channel_that_there_is_not_is_told(void **state)
{
    static const struct http_move moves[] = {
        ANSWER("200", "{\"data\":[]}"),
        ANSWER("400", "{\"status\":400,\"message\":\"Bad Identifiers.\"}"),
        ANSWER("200", "{\"data\":[{\"id\":\"42\",\"login\":\"bar\"}]}"),
    };

    (void)state;
    begin(moves, ARRAY_LEN(moves));
    for (size_t i = 0; i < ARRAY_LEN(moves); i++) {
        rig.told[0] = '\0';
        say("", "1-1");
        assert_string_equal(rig.told, "[1-1 rejected: no_such_channel "
                                      "'There is no channel of that name.' ]");
    }
    assert_string_equal(rig.room_id, "");
    assert_int_equal(rig.asked, 0);
    end();
}

/* Answers ----------------------------------------------------------------------------------------- */

static void each_answer_has_its_result(void **state)
{
    static const struct {
        struct http_move move;
        const char *told;
        bool rests;
    } cases[] = {
        {ANSWER("200",
                "{\"data\":[{\"message_id\":\"\",\"is_sent\":false,\"drop_reason\":{\"code\":"
                "\"msg_duplicate\",\"message\":\"It is identical.\"}}]}"),
         "[1-1 rejected: msg_duplicate 'It is identical.' ]", false},
        {ANSWER("400", "{\"status\":400,\"message\":\"not valid\"}"),
         "[1-1 rejected: bad_request 'not valid' ]", false},
        {ANSWER("401", "{\"status\":401,\"message\":\"Missing scope: user:write:chat\"}"),
         "[1-1 rejected: missing_scope 'Missing scope: user:write:chat' ]", false},
        {ANSWER("403", "{\"status\":403,\"message\":\"not permitted\"}"),
         "[1-1 rejected: forbidden 'not permitted' ]", false},
        {ANSWER("404", "{\"status\":404,\"message\":\"not there\"}"),
         "[1-1 rejected: refused 'not there' ]", false},
        {ANSWER("500", "{\"status\":500,\"message\":\"oops\"}"),
         "[1-1 unknown: server_error 'oops' ]", false},
        {ANSWER("200", "{}"), "[1-1 unknown: no_answer 'the answer lacks what it should have' ]",
         false},
        {ANSWER("429", "{\"status\":429,\"message\":\"slow down\"}"), "[1-1 unsaid]", true},
        {ANSWER("403", "<html>a proxy</html>"), "[1-1 unsaid]", true},
        {UNAUTHORIZED, "[1-1 unsaid]", true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        begin(&cases[i].move, 1);
        say("42", "1-1");
        assert_string_equal(rig.told, cases[i].told);
        assert_int_equal(rig.http->requests, 1);
        assert_int_equal(helix_can_say(rig.helix, SLICE("bot"), SAY_BY_HELIX), !cases[i].rests);
        end();
    }
}

static void what_was_cut_off_may_have_been_said(void **state)
{
    static const struct http_move moves[] = {{NULL, true}};

    (void)state;
    begin(moves, ARRAY_LEN(moves));
    say("42", "1-1");
    assert_memory_equal(rig.told, "[1-1 unknown: no_answer '", 25);
    assert_int_equal(rig.http->requests, 1);
    end();
}

static void what_did_not_reach_twitch_is_put_back_and_the_account_rests(void **state)
{
    static const struct http_move moves[] = {SAID};

    (void)state;
    begin(moves, ARRAY_LEN(moves));
    http_rig_stop_server(rig.http);
    say("42", "1-1");
    assert_string_equal(rig.told, "[1-1 unsaid]");
    assert_int_equal(rig.asked, 0);
    assert_false(helix_can_say(rig.helix, SLICE("bot"), SAY_BY_HELIX));
    end();
}

static void an_account_rests_as_long_as_twitch_wants(void **state)
{
    static const struct http_move moves[] = {
        {"HTTP/1.1 429 X\r\nRetry-After: 2\r\nContent-Length: 0\r\n\r\n", false}, SAID};
    struct registry_send send = send_of("hello");
    uint64_t began = mono_ms();

    (void)state;
    begin(moves, ARRAY_LEN(moves));
    say("42", "1-1");
    assert_string_equal(rig.told, "[1-1 unsaid]");
    assert_int_equal(say_in("42", &send, "1-1", NULL), -ERR_DOWN);
    wait_until(&rig.http->loop, helix_can_say(rig.helix, SLICE("bot"), SAY_BY_HELIX));
    assert_in_range(mono_ms() - began, 2000, 5000);
    say("42", "1-1");
    assert_string_equal(rig.told, "[1-1 unsaid][1-1 sent:  '' m-1]");
    end();
}

static void a_token_that_is_refused_waits_for_another(void **state)
{
    static const struct http_move moves[] = {UNAUTHORIZED, SAID};

    (void)state;
    begin(moves, ARRAY_LEN(moves));
    say("42", "1-1");
    assert_string_equal(rig.told, "[1-1 unsaid]");
    assert_int_equal(rig.refused, 1);
    assert_false(helix_can_say(rig.helix, SLICE("bot"), SAY_BY_HELIX));
    rig.account.rev = 2;
    assert_true(helix_can_say(rig.helix, SLICE("bot"), SAY_BY_HELIX));
    say("42", "1-1");
    assert_string_equal(rig.told, "[1-1 unsaid][1-1 sent:  '' m-1]");
    assert_int_equal(rig.refused, 1);
    end();
}

static void what_no_token_mends_is_the_result(void **state)
{
    static const struct http_move moves[] = {UNAUTHORIZED};

    (void)state;
    begin(moves, ARRAY_LEN(moves));
    say("42", "1-1");
    rig.account.rev = 2;
    say("42", "1-1");
    say("42", "1-2"); /* and nobody is asked for tokens without end */
    assert_string_equal(rig.told, "[1-1 unsaid][1-1 rejected: not_authorized 'Invalid OAuth "
                                  "token' ][1-2 rejected: not_authorized 'Invalid OAuth token' ]");
    assert_int_equal(rig.refused, 1);
    end();
}

static void the_application_way_says_what_it_needs(void **state)
{
    static const struct http_move moves[] = {
        ANSWER("403", "{\"status\":403,\"message\":\"not permitted\"}")};
    struct registry_send send = send_of("hello");
    struct registry_route route = {
        .user = SLICE("bot"), .say_by = SAY_BY_HELIX_APP, .room_id = SLICE("42")};

    (void)state;
    begin(moves, ARRAY_LEN(moves));
    assert_int_equal(helix_say(rig.helix, &route, &send, "1-1", NULL), 0);
    wait_until(&rig.http->loop, rig.ends == 1);
    assert_non_null(strstr(rig.told, "rejected: forbidden 'not permitted"));
    assert_non_null(strstr(rig.told, "user:bot"));
    assert_non_null(strstr(rig.told, "channel:bot"));
    end();
}

/* Fencing ----------------------------------------------------------------------------------------- */

static void what_may_not_be_said_any_more_does_not_leave(void **state)
{
    static const struct http_move moves[] = {SAID};

    (void)state;
    begin(moves, ARRAY_LEN(moves));
    rig.may_say = false;
    say("42", "1-1");
    assert_string_equal(rig.told, "[1-1 unsaid]");
    assert_int_equal(rig.asked, 1);
    assert_int_equal(rig.http->heard_len, 0);
    assert_int_equal(rig.http->accepted, 1); /* as late as that */
    assert_true(helix_can_say(rig.helix, SLICE("bot"), SAY_BY_HELIX));
    end();
}

static void what_is_dropped_is_not_said_and_nobody_is_told(void **state)
{
    static const struct http_move moves[] = {SAID};
    struct registry_send send = send_of("hello");

    (void)state;
    begin(moves, ARRAY_LEN(moves));
    assert_int_equal(say_in("42", &send, "1-1", NULL), 0);
    assert_int_equal(say_in("", &send, "1-2", NULL), 0);
    helix_drop(rig.helix);
    test_loop_run_for(&rig.http->loop, 100);
    assert_int_equal(rig.http->heard_len, 0);
    assert_string_equal(rig.told, "");
    end();
}

static void closing_it_ends_what_waits_for_an_answer(void **state)
{
    static const struct http_move moves[] = {{NULL, false}};
    struct registry_send send = send_of("hello");

    (void)state;
    begin(moves, ARRAY_LEN(moves));
    assert_int_equal(say_in("42", &send, "1-1", NULL), 0);
    wait_until(&rig.http->loop, rig.http->requests == 1);
    end();
    assert_string_equal(rig.told, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_is_one_request_and_its_answer_the_result),
        cmocka_unit_test(a_reply_names_its_message_and_what_looks_like_a_command_is_none),
        cmocka_unit_test(what_helix_can_not_say_is_refused_in_words),
        cmocka_unit_test(the_id_of_a_channel_that_nobody_knows_is_asked_for),
        cmocka_unit_test(a_channel_that_there_is_not_is_told),
        cmocka_unit_test(each_answer_has_its_result),
        cmocka_unit_test(what_was_cut_off_may_have_been_said),
        cmocka_unit_test(what_did_not_reach_twitch_is_put_back_and_the_account_rests),
        cmocka_unit_test(an_account_rests_as_long_as_twitch_wants),
        cmocka_unit_test(a_token_that_is_refused_waits_for_another),
        cmocka_unit_test(what_no_token_mends_is_the_result),
        cmocka_unit_test(the_application_way_says_what_it_needs),
        cmocka_unit_test(what_may_not_be_said_any_more_does_not_leave),
        cmocka_unit_test(what_is_dropped_is_not_said_and_nobody_is_told),
        cmocka_unit_test(closing_it_ends_what_waits_for_an_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
