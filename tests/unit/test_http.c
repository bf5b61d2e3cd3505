/* HTTP requests, against a server that does what each test says. */
#include "shared/http/http.h"

#include "shared/base.h"
#include "tests/lib/http_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define OK(body) "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n" body
#define BUSY     "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"

static struct http_rig *rig(const struct http_move *moves, size_t n)
{
    return http_rig_create(moves, n, NULL);
}

static void an_answer_is_handed_on_with_status_and_body(void **state)
{
    static const struct http_move moves[] = {{OK("okay"), false}};
    struct http_rig *r = rig(moves, ARRAY_LEN(moves));

    (void)state;
    http_rig_ask(r, &(struct http_ask){.method = "GET", .url = http_rig_url(r, "/a?b=c")});
    assert_int_equal(r->err.code, ERR_OK);
    assert_int_equal(r->status, 200);
    assert_string_equal(r->body, "okay");
    assert_true(r->sent);
    assert_memory_equal(r->heard, "GET /a?b=c HTTP/1.1\r\n", 21);
    http_rig_destroy(r);
}

static void a_body_and_the_headers_are_sent_as_they_were_given(void **state)
{
    static const struct http_move moves[] = {{OK("okay"), false}};
    struct http_rig *r = rig(moves, ARRAY_LEN(moves));

    (void)state;
    http_rig_ask(r, &(struct http_ask){.method = "POST",
                                       .url = http_rig_url(r, "/token"),
                                       .authorization = "Bearer abc",
                                       .client_id = "id1",
                                       .content_type = "application/json",
                                       .body = SLICE("{\"a\":1}")});
    assert_int_equal(r->status, 200);
    assert_memory_equal(r->heard, "POST /token HTTP/1.1\r\n", 22);
    assert_non_null(strstr(r->heard, "\r\nAuthorization: Bearer abc\r\n"));
    assert_non_null(strstr(r->heard, "\r\nClient-Id: id1\r\n"));
    assert_non_null(strstr(r->heard, "\r\nContent-Type: application/json\r\n"));
    assert_non_null(strstr(r->heard, "\r\n\r\n{\"a\":1}"));
    http_rig_destroy(r);
}

static void a_refusal_is_an_answer(void **state)
{
    static const struct http_move moves[] = {
        {"HTTP/1.1 401 Unauthorized\r\nContent-Length: 4\r\n\r\nnope", false}};
    struct http_rig *r = rig(moves, ARRAY_LEN(moves));

    (void)state;
    http_rig_ask(
        r, &(struct http_ask){
               .method = "GET", .url = http_rig_url(r, "/"), .tries = 3, .may_be_twice = true});
    assert_int_equal(r->err.code, ERR_OK);
    assert_int_equal(r->status, 401);
    assert_string_equal(r->body, "nope");
    assert_int_equal(r->requests, 1);
    http_rig_destroy(r);
}

static void a_redirect_is_an_answer_and_is_not_followed(void **state)
{
    static const struct http_move moves[] = {
        {"HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n", false}};
    struct http_rig *r = rig(moves, ARRAY_LEN(moves));

    (void)state;
    http_rig_ask(r, &(struct http_ask){.method = "GET", .url = http_rig_url(r, "/")});
    assert_int_equal(r->status, 302);
    test_loop_run_for(&r->loop, 50);
    assert_int_equal(r->requests, 1);
    http_rig_destroy(r);
}

static void what_passes_is_tried_again_where_it_may_be_heard_twice(void **state)
{
    static const struct http_move moves[] = {{BUSY, false}, {NULL, true}, {OK("okay"), false}};
    struct http_rig *r = rig(moves, ARRAY_LEN(moves));

    (void)state;
    http_rig_ask(
        r, &(struct http_ask){
               .method = "GET", .url = http_rig_url(r, "/"), .tries = 3, .may_be_twice = true});
    assert_int_equal(r->status, 200);
    assert_int_equal(r->requests, 3);
    http_rig_destroy(r);
}

static void what_may_not_be_heard_twice_is_heard_once(void **state)
{
    static const struct http_move busy[] = {{BUSY, false}};
    static const struct http_move cut[] = {{OK("okay"), false}, {NULL, true}, {OK("okay"), false}};
    struct http_rig *r = rig(busy, ARRAY_LEN(busy));

    (void)state;
    struct http_ask ask = {.method = "POST",
                           .url = http_rig_url(r, "/"),
                           .content_type = "application/json",
                           .body = SLICE("{}"),
                           .tries = 3};
    http_rig_ask(r, &ask);
    assert_int_equal(r->status, 503);
    assert_int_equal(r->requests, 1);
    http_rig_destroy(r);

    /* Also where the connection was used before, which curl itself would forgive. */
    r = rig(cut, ARRAY_LEN(cut));
    ask.url = http_rig_url(r, "/");
    http_rig_ask(r, &(struct http_ask){.method = "GET", .url = ask.url, .may_be_twice = true});
    http_rig_ask(r, &ask);
    assert_int_equal(r->err.code, ERR_UNREACHABLE);
    assert_true(r->sent);
    assert_int_equal(r->requests, 2);
    http_rig_destroy(r);
}

static void what_was_never_sent_is_tried_again(void **state)
{
    static const struct http_move moves[] = {{OK("okay"), false}};
    struct http_rig *r = rig(moves, ARRAY_LEN(moves));
    struct err err;

    (void)state;
    http_rig_stop_server(r);
    uint64_t begun = mono_ms();
    http_rig_ask(r, &(struct http_ask){.method = "POST",
                                       .url = http_rig_url(r, "/x?secret=1"),
                                       .content_type = "text/plain",
                                       .body = SLICE("secret"),
                                       .tries = 2});
    err = r->err;
    assert_int_equal(err.code, ERR_UNREACHABLE);
    assert_false(r->sent);
    assert_true(mono_ms() - begun >= 200); /* a wait lies between the tries */
    assert_non_null(strstr(err.text, "POST http://127.0.0.1:"));
    assert_non_null(strstr(err.text, "/x: "));
    assert_null(strstr(err.text, "secret"));
    http_rig_destroy(r);
}

static void a_server_that_says_nothing_is_given_up_in_time(void **state)
{
    static const struct http_move moves[] = {{NULL, false},
                                             {"HTTP/1.1 200 OK\r\nContent-Le", false}};
    struct http_rig *r = rig(moves, ARRAY_LEN(moves));

    (void)state;
    for (int i = 0; i < 2; i++) {
        http_rig_ask(
            r, &(struct http_ask){.method = "GET", .url = http_rig_url(r, "/"), .timeout_ms = 100});
        assert_int_equal(r->err.code, ERR_TIMEOUT);
        assert_int_equal(r->status, 0);
        assert_true(r->sent);
    }
    http_rig_destroy(r);
}

static void what_is_no_http_and_what_is_too_large_is_refused(void **state)
{
    char *large = xasprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%0*d",
                            HTTP_ANSWER_MAX + 1, HTTP_ANSWER_MAX + 1, 0);
    const struct http_move moves[] = {
        {"SSH-2.0-OpenSSH\r\n", true},
        {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", true},
        {large, false},
    };
    struct http_rig *r = rig(moves, ARRAY_LEN(moves));

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(moves); i++) {
        http_rig_ask(r, &(struct http_ask){.method = "GET", .url = http_rig_url(r, "/")});
        assert_int_equal(r->err.code, ERR_PROTOCOL);
        assert_int_equal(r->status, 0);
    }
    assert_non_null(strstr(r->err.text, "the answer has more than 262144 bytes"));
    http_rig_destroy(r);
    free(large);
}

static void how_long_to_wait_is_read_from_the_answer(void **state)
{
    char *reset = xasprintf("HTTP/1.1 429 Too Many Requests\r\nRatelimit-Reset: %llu\r\n"
                            "Content-Length: 0\r\n\r\n",
                            (unsigned long long)wall_now().ms / 1000 + 10);
    const struct http_move moves[] = {
        {"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", false},
        {reset, false},
        {"HTTP/1.1 503 No\r\nRetry-After: 99999999999\r\nContent-Length: 0\r\n\r\n", false},
        {"HTTP/1.1 429 No\r\nRatelimit-Reset: -1\r\nContent-Length: 0\r\n\r\n", false},
        {BUSY, false},
    };
    static const struct {
        uint64_t least, most;
    } expected[] = {{7000, 7000}, {8000, 10000}, {60000, 60000}, {0, 60000}, {0, 0}};
    struct http_rig *r = rig(moves, ARRAY_LEN(moves));

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(moves); i++) {
        http_rig_ask(r, &(struct http_ask){.method = "GET", .url = http_rig_url(r, "/")});
        assert_in_range(r->wait_ms, expected[i].least, expected[i].most);
    }
    http_rig_destroy(r);
    free(reset);
}

static void a_header_cannot_be_ended_from_within(void **state)
{
    static const struct http_move moves[] = {{OK("okay"), false}};
    struct http_rig *r = rig(moves, ARRAY_LEN(moves));

    (void)state;
    http_rig_ask(r, &(struct http_ask){.method = "GET",
                                       .url = http_rig_url(r, "/"),
                                       .authorization = "Bearer abc\r\nHost: other",
                                       .tries = 3});
    assert_int_equal(r->err.code, ERR_USAGE);
    assert_null(strstr(r->err.text, "abc"));
    assert_int_equal(r->accepted, 0);
    http_rig_destroy(r);
}

static void other_schemes_are_refused(void **state)
{
    static const struct http_move moves[] = {{OK("okay"), false}};
    static const char *const urls[] = {"file:///etc/passwd", "ftp://127.0.0.1/", "gopher://x/", ""};
    struct http_rig *r = rig(moves, ARRAY_LEN(moves));

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        http_rig_ask(r, &(struct http_ask){.method = "GET", .url = urls[i], .tries = 3});
        assert_int_equal(r->err.code, ERR_USAGE);
    }
    http_rig_destroy(r);
}

static void the_environment_names_no_proxy(void **state)
{
    static const struct http_move moves[] = {{OK("okay"), false}};
    struct http_rig *r;

    (void)state;
    assert_int_equal(setenv("http_proxy", "http://127.0.0.1:1", 1), 0);
    assert_int_equal(setenv("ALL_PROXY", "http://127.0.0.1:1", 1), 0);
    r = rig(moves, ARRAY_LEN(moves));
    http_rig_ask(r, &(struct http_ask){.method = "GET", .url = http_rig_url(r, "/")});
    assert_int_equal(r->status, 200);
    http_rig_destroy(r);
    assert_int_equal(unsetenv("http_proxy"), 0);
    assert_int_equal(unsetenv("ALL_PROXY"), 0);
}

static void a_proxy_is_asked_where_one_is_given(void **state)
{
    static const struct http_move moves[] = {{OK("okay"), false}};
    struct http_rig *proxy = rig(moves, ARRAY_LEN(moves));
    struct http_rig *r = http_rig_create(moves, ARRAY_LEN(moves), http_rig_url(proxy, ""));

    (void)state;
    (void)http_begin(r->http, &(struct http_ask){.method = "GET", .url = "http://twitch.invalid/a"},
                     http_rig_answered, r);
    wait_until(&proxy->loop, (test_loop_turn(&r->loop), r->answers > 0));
    assert_int_equal(r->status, 200);
    assert_memory_equal(proxy->heard, "GET http://twitch.invalid/a HTTP/1.1\r\n", 38);
    http_rig_destroy(r);
    http_rig_destroy(proxy);
}

static void many_requests_share_a_few_connections(void **state)
{
    static const struct http_move moves[] = {{OK("okay"), false}};
    struct http_rig *r = rig(moves, ARRAY_LEN(moves));

    (void)state;
    for (int i = 0; i < 100; i++) {
        (void)http_begin(
            r->http,
            &(struct http_ask){.method = "GET", .url = http_rig_url(r, "/"), .may_be_twice = true},
            http_rig_answered, r);
    }
    wait_until(&r->loop, r->answers == 100);
    assert_int_equal(r->status, 200);
    assert_in_range(r->accepted, 1, HTTP_AT_ONCE);
    http_rig_destroy(r);
}

static void a_cancelled_request_is_not_called_back(void **state)
{
    static const struct http_move moves[] = {{NULL, false}};
    struct http_rig *r = rig(moves, ARRAY_LEN(moves));
    const struct http_ask ask = {.method = "GET", .url = http_rig_url(r, "/")};
    struct http_request *heard = http_begin(r->http, &ask, http_rig_answered, r);

    (void)state;
    wait_until(&r->loop, r->requests == 1);
    http_cancel(http_begin(r->http, &ask, http_rig_answered, r)); /* before it began */
    http_cancel(heard);
    test_loop_run_for(&r->loop, 50);
    assert_int_equal(r->answers, 0);
    assert_int_equal(r->requests, 1);
    http_rig_destroy(r);
}

static void all_requests_end_with_the_client(void **state)
{
    static const struct http_move moves[] = {{NULL, false}};
    struct http_rig *r = rig(moves, ARRAY_LEN(moves));
    const struct http_ask ask = {.method = "GET", .url = http_rig_url(r, "/")};

    (void)state;
    for (int i = 0; i < 20; i++) {
        (void)http_begin(r->http, &ask, http_rig_answered, r);
    }
    wait_until(&r->loop, r->requests == HTTP_AT_ONCE);
    (void)http_begin(r->http, &ask, http_rig_answered, r);
    struct http *http = r->http;
    r->http = http_create(&(struct http_options){.loop = &r->loop.uv});
    http_close(http, NULL, NULL);
    assert_int_equal(r->answers, 21);
    assert_int_equal(r->err.code, ERR_CANCELED);
    http_rig_destroy(r);
}

/* Closes the client from within a callback. */
static void close_it(void *ctx, const struct http_answer *answer, const struct err *err)
{
    struct http_rig *r = ctx;
    struct http *http = r->http;

    if (http != NULL) {
        r->http = NULL;
        http_close(http, NULL, NULL);
    }
    http_rig_answered(r, answer, err);
}

static void a_callback_may_close_the_client(void **state)
{
    static const struct http_move moves[] = {{OK("okay"), false}};
    struct http_rig *r = rig(moves, ARRAY_LEN(moves));
    const struct http_ask ask = {.method = "GET", .url = http_rig_url(r, "/")};

    (void)state;
    for (int i = 0; i < 5; i++) {
        (void)http_begin(r->http, &ask, close_it, r);
    }
    wait_until(&r->loop, r->answers == 5);
    assert_string_equal(r->body, "okay"); /* the first one's, which comes last */
    r->http = http_create(&(struct http_options){.loop = &r->loop.uv});
    http_rig_destroy(r);
}

/* A request that is asked about, and what it is told. */
static struct {
    bool may;
    unsigned asked;
    int accepted; /* connections, when it was asked */
} leave;

static bool may_send(void *ctx)
{
    const struct http_rig *r = ctx;

    leave.asked++;
    leave.accepted = r->accepted;
    assert_int_equal(r->heard_len, 0);
    return leave.may;
}

static void what_may_not_leave_any_more_does_not_when_its_connection_stands(void **state)
{
    static const struct http_move moves[] = {{OK("okay"), false}};
    struct http_rig *r = rig(moves, ARRAY_LEN(moves));
    const struct http_ask ask = {.method = "POST",
                                 .url = http_rig_url(r, "/"),
                                 .content_type = "text/plain",
                                 .body = SLICE("hello"),
                                 .tries = 3,
                                 .may_send = may_send};

    (void)state;
    leave.asked = 0;
    leave.may = false;
    http_rig_ask(r, &ask);
    assert_int_equal(r->err.code, ERR_CANCELED);
    assert_false(r->sent);
    assert_int_equal(leave.asked, 1); /* and it is not tried again */
    test_loop_run_for(&r->loop, 50);
    assert_int_equal(r->heard_len, 0);
    leave.may = true;
    http_rig_ask(r, &ask);
    assert_int_equal(leave.asked, 2);
    assert_int_equal(r->status, 200);
    assert_true(r->sent);
    http_rig_destroy(r);
}

static void what_found_no_connection_is_not_asked_about_and_was_not_sent(void **state)
{
    static const struct http_move moves[] = {{OK("okay"), false}};
    struct http_rig *r = rig(moves, ARRAY_LEN(moves));

    (void)state;
    leave.asked = 0;
    http_rig_stop_server(r);
    http_rig_ask(
        r, &(struct http_ask){.method = "POST", .url = http_rig_url(r, "/"), .may_send = may_send});
    assert_int_equal(r->err.code, ERR_UNREACHABLE);
    assert_false(r->sent);
    assert_int_equal(leave.asked, 0);
    http_rig_destroy(r);
}

static void what_a_proxy_does_not_let_through_was_not_sent(void **state)
{
    static const struct http_move moves[] = {
        {"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", false}};
    struct http_rig *r = rig(moves, ARRAY_LEN(moves));
    struct http *http =
        http_create(&(struct http_options){.loop = &r->loop.uv, .proxy = http_rig_url(r, "")});

    (void)state;
    (void)http_begin(http, &(struct http_ask){.method = "POST", .url = "https://api.example/"},
                     http_rig_answered, r);
    wait_until(&r->loop, r->answers == 1);
    assert_memory_equal(r->heard, "CONNECT api.example:443 ", 24);
    assert_int_not_equal(r->err.code, ERR_OK);
    assert_false(r->sent);
    http_close(http, NULL, NULL);
    http_rig_destroy(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_handed_on_with_status_and_body),
        cmocka_unit_test(a_body_and_the_headers_are_sent_as_they_were_given),
        cmocka_unit_test(a_refusal_is_an_answer),
        cmocka_unit_test(a_redirect_is_an_answer_and_is_not_followed),
        cmocka_unit_test(what_passes_is_tried_again_where_it_may_be_heard_twice),
        cmocka_unit_test(what_may_not_be_heard_twice_is_heard_once),
        cmocka_unit_test(what_was_never_sent_is_tried_again),
        cmocka_unit_test(a_server_that_says_nothing_is_given_up_in_time),
        cmocka_unit_test(what_is_no_http_and_what_is_too_large_is_refused),
        cmocka_unit_test(how_long_to_wait_is_read_from_the_answer),
        cmocka_unit_test(a_header_cannot_be_ended_from_within),
        cmocka_unit_test(other_schemes_are_refused),
        cmocka_unit_test(the_environment_names_no_proxy),
        cmocka_unit_test(a_proxy_is_asked_where_one_is_given),
        cmocka_unit_test(many_requests_share_a_few_connections),
        cmocka_unit_test(a_cancelled_request_is_not_called_back),
        cmocka_unit_test(all_requests_end_with_the_client),
        cmocka_unit_test(a_callback_may_close_the_client),
        cmocka_unit_test(what_may_not_leave_any_more_does_not_when_its_connection_stands),
        cmocka_unit_test(what_found_no_connection_is_not_asked_about_and_was_not_sent),
        cmocka_unit_test(what_a_proxy_does_not_let_through_was_not_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
