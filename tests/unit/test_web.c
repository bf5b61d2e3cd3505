/* The HTTP server: what it answers to those who speak HTTP. */
#include "shared/web/web.h"

#include "shared/base.h"
#include "shared/web/web_limits.h"
#include "tests/lib/web_rig.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#define HOST   "Host: localhost\r\n"
#define BEARER "Authorization: Bearer " WEB_RIG_TOKEN "\r\n"

static void a_request_is_answered_with_what_keeps_a_browser_safe(void **state)
{
    const char *answer = web_rig_ask(*state, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    static const char *const lines[] = {
        "HTTP/1.1 200 OK\r\n",
        "\r\nContent-Type: text/plain\r\n",
        "\r\nContent-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; "
        "connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'\r\n",
        "\r\nX-Content-Type-Options: nosniff\r\n",
        "\r\nReferrer-Policy: no-referrer\r\n",
        "\r\nCache-Control: no-store\r\n",
        "\r\n\r\nhello\n",
    };

    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        assert_non_null(strstr(answer, lines[i]));
    }
}

static void a_connection_is_kept_and_its_requests_are_answered_in_order(void **state)
{
    struct web_rig *r = *state;
    int fd = web_rig_connect(r);

    web_rig_say(r, fd,
                "GET /names/a HTTP/1.1\r\n" HOST "\r\nGET /names/b HTTP/1.1\r\n" HOST
                "\r\nGET /slow HTTP/1.1\r\n" HOST "\r\nGET /names/c HTTP/1.1\r\n" HOST "\r\n");
    assert_non_null(strstr(web_rig_hear(r, fd), "[a]"));
    assert_non_null(strstr(web_rig_hear(r, fd), "[b]"));
    wait_until(&r->loop, r->slow != NULL);
    test_loop_run_for(&r->loop, 30);
    assert_int_equal(r->handled, 3);
    web_rig_answer(r);
    assert_non_null(strstr(web_rig_hear(r, fd), "at last"));
    assert_non_null(strstr(web_rig_hear(r, fd), "[c]"));
    close(fd);
}

static void who_asks_for_the_end_gets_it(void **state)
{
    struct web_rig *r = *state;
    static const char *const requests[] = {
        "GET /hello HTTP/1.1\r\n" HOST "Connection: close\r\n\r\nGET /hello HTTP/1.1\r\n" HOST
        "\r\n",
        "GET /hello HTTP/1.0\r\n\r\n",
    };

    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        int fd = web_rig_connect(r);
        web_rig_say(r, fd, requests[i]);
        assert_non_null(strstr(web_rig_hear(r, fd), "\r\nConnection: close\r\n"));
        assert_false(web_rig_hear_bytes(r, fd, 1));
        close(fd);
    }
    assert_int_equal(r->handled, 2);
}

static void a_head_has_no_body_and_the_same_length(void **state)
{
    struct web_rig *r = *state;
    int fd = web_rig_connect(r);

    r->head_asked = true;
    web_rig_say(r, fd, "HEAD /hello HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n");
    assert_non_null(strstr(web_rig_hear(r, fd), "Content-Length: 6\r\n"));
    assert_false(web_rig_hear_bytes(r, fd, 1));
    close(fd);
}

static void a_body_comes_with_its_length(void **state)
{
    struct web_rig *r = *state;

    assert_non_null(
        strstr(web_rig_ask(r, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nabcde"),
               "\r\n\r\nabcde"));
}

static void who_wants_to_be_asked_for_the_body_is_asked(void **state)
{
    struct web_rig *r = *state;
    int fd = web_rig_connect(r);

    web_rig_say(r, fd,
                "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    assert_string_equal(web_rig_hear(r, fd), "HTTP/1.1 100 Continue\r\n\r\n");
    web_rig_say(r, fd, "abc");
    assert_non_null(strstr(web_rig_hear(r, fd), "\r\n\r\nabc"));
    close(fd);
}

static void a_path_below_and_parameters_are_decoded(void **state)
{
    struct web_rig *r = *state;
    const struct {
        const char *target;
        const char *answer;
    } cases[] = {
        {"/names/forsen", "[forsen] - "},
        {"/names/f%C3%B6r?x=1&q=a%20b+c", "[f\xc3\xb6r] a b c "},
        {"/names/a/b?q=", "[a/b]  "},
        {"/names/a?q=12345678", "[a] - "}, /* too long for the handler */
        {"/names/a?qq=1&q=%2f", "[a] / "},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char request[256];
        snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\n" HOST "\r\n", cases[i].target);
        assert_non_null(strstr(web_rig_ask(r, request), cases[i].answer));
    }
}

static void what_needs_the_token_is_refused_without(void **state)
{
    struct web_rig *r = *state;

    assert_non_null(strstr(web_rig_ask(r, "POST /secret HTTP/1.1\r\n" HOST BEARER "\r\n"),
                           "{\"error\":\"a \\\"reason\\\"\"}"));
    assert_int_equal(r->handled, 1);
    const char *without = web_rig_ask(r, "POST /secret HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(web_rig_status(without), 401);
    assert_non_null(strstr(without, "\r\nWWW-Authenticate: Bearer\r\n"));
    assert_int_equal(web_rig_status(web_rig_ask(r, "POST /secret HTTP/1.1\r\n" HOST
                                                   "Authorization: Bearer wrong\r\n\r\n")),
                     401);
    assert_int_equal(r->handled, 1);
}

static void where_no_token_is_configured_nobody_is_admin(void **state)
{
    struct web_rig *r = web_rig_create(&(struct web_options){.admin_token = NULL});

    (void)state;
    assert_int_equal(web_rig_status(web_rig_ask(r, "POST /secret HTTP/1.1\r\n" HOST BEARER "\r\n")),
                     403);
    assert_int_equal(r->handled, 0);
    web_rig_destroy(r);
}

static void what_never_changes_is_sent_once(void **state)
{
    struct web_rig *r = *state;

    assert_non_null(
        strstr(web_rig_ask(r, "GET /static HTTP/1.1\r\n" HOST "\r\n"), "\r\nETag: \"abc\"\r\n"));
    const char *again =
        web_rig_ask(r, "GET /static HTTP/1.1\r\n" HOST "If-None-Match: W/\"x\", \"abc\"\r\n\r\n");
    assert_int_equal(web_rig_status(again), 304);
    assert_null(strstr(again, "p{}"));
    assert_int_equal(web_rig_status(web_rig_ask(r, "GET /static HTTP/1.1\r\n" HOST
                                                   "If-None-Match: \"abd\"\r\n\r\n")),
                     200);
}

static void a_client_that_leaves_is_told_to_the_handler(void **state)
{
    struct web_rig *r = *state;
    int fd = web_rig_connect(r);

    const struct linger at_once = {.l_onoff = 1};

    web_rig_say(r, fd, "GET /slow HTTP/1.1\r\n" HOST "\r\n");
    wait_until(&r->loop, r->slow != NULL);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
    close(fd);
    wait_until(&r->loop, r->gone == 1);
    assert_null(r->slow);
}

static void who_says_nothing_more_is_answered_all_it_asked(void **state)
{
    struct web_rig *r = *state;
    int fd = web_rig_connect(r);

    web_rig_say(r, fd, "GET /names/a HTTP/1.1\r\n" HOST "\r\nGET /slow HTTP/1.1\r\n" HOST "\r\n");
    shutdown(fd, SHUT_WR);
    assert_non_null(strstr(web_rig_hear(r, fd), "[a]"));
    wait_until(&r->loop, r->slow != NULL);
    test_loop_run_for(&r->loop, 30);
    assert_int_equal(r->gone, 0);
    web_rig_answer(r);
    assert_non_null(strstr(web_rig_hear(r, fd), "\r\nConnection: close\r\n"));
    assert_non_null(strstr(r->heard, "at last"));
    assert_false(web_rig_hear_bytes(r, fd, 1));
    close(fd);
}

static void who_says_nothing_more_in_the_midst_of_a_request_is_not_waited_for(void **state)
{
    struct web_rig *r = *state;
    static const char *const beginnings[] = {
        "",
        "GET /hello HTTP/1.1\r\nHost: local",
        "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 100\r\n\r\nabc",
    };

    for (size_t i = 0; i < ARRAY_LEN(beginnings); i++) {
        int fd = web_rig_connect(r);
        web_rig_say(r, fd, beginnings[i]);
        shutdown(fd, SHUT_WR);
        assert_false(web_rig_hear_bytes(r, fd, 1));
        close(fd);
    }
    assert_int_equal(r->handled, 0);
}

static void who_waits_when_the_server_ends_is_told_to_the_handler(void **state)
{
    struct web_rig *r = web_rig_create(NULL);
    int fd = web_rig_connect(r);

    (void)state;
    web_rig_say(r, fd, "GET /slow HTTP/1.1\r\n" HOST "\r\n");
    wait_until(&r->loop, r->slow != NULL);
    web_rig_destroy(r); /* looks */
    close(fd);
}

static void a_large_answer_is_read_at_the_clients_pace(void **state)
{
    struct web_rig *r = *state;
    const char *answer = web_rig_ask(r, "GET /large?bytes=3000000 HTTP/1.1\r\n" HOST "\r\n");
    const char *body = strstr(answer, "\r\n\r\n") + 4;

    assert_int_equal(strlen(body), 3000000);
    assert_int_equal(
        web_rig_status(web_rig_ask(r, "GET /large?bytes=9000000 HTTP/1.1\r\n" HOST "\r\n")), 503);
}

/* How often a text of which `hidden` has the complement is in what this process has written. */
static int count_in_memory(const char *hidden, size_t len)
{
    static char block[65536];
    FILE *maps = fopen("/proc/self/maps", "r");
    int mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    unsigned long long from;
    unsigned long long to;
    char line[512];
    int n = 0;

    assert_true(maps != NULL && mem >= 0);
    while (fgets(line, sizeof(line), maps) != NULL) {
        bool ours = sscanf(line, "%llx-%llx rw-p", &from, &to) == 2 && strstr(line, " rw-p ");
        for (; ours && from < to && to - from < (64U << 20); from += sizeof(block) - len) {
            ssize_t got = pread(mem, block, sizeof(block), (off_t)from);
            for (ssize_t i = 0; i + (ssize_t)len <= got; i++) {
                size_t k = 0;
                while (k < len && (block[i + (ssize_t)k] ^ hidden[k]) == -1) {
                    k++;
                }
                n += k == len;
            }
            explicit_bzero(block, sizeof(block)); /* it is looked through as well */
        }
    }
    fclose(maps);
    close(mem);
    return n;
}

static void no_token_stays_in_memory(void **state)
{
    static const char *const behind[] = {
        "\r\n\r\n", "\r\n\r\nGET /hello HTTP/1.1\r\n" HOST "\r\n", "\r\nbroken\r\n\r\n",
        "", /* its head is not whole */
    };
    static const char before[] = "POST /secret HTTP/1.1\r\n" HOST "Authorization: Bearer ";
    struct web_rig *r = *state;
    char hidden[24];

    for (size_t i = 0; i < sizeof(hidden); i++) {
        hidden[i] = (char)~('a' + (char)random_below(26));
    }
    for (size_t i = 0; i < ARRAY_LEN(behind); i++) {
        char said[256];
        size_t len = sizeof(before) - 1;
        int fd = web_rig_connect(r);
        memcpy(said, before, len);
        for (size_t k = 0; k < sizeof(hidden); k++) {
            said[len++] = (char)~hidden[k];
        }
        memcpy(said + len, behind[i], strlen(behind[i]));
        web_rig_say_bytes(r, fd, said, len + strlen(behind[i]));
        explicit_bzero(said, sizeof(said));
        shutdown(fd, SHUT_WR);
        while (web_rig_hear_bytes(r, fd, 1)) {
        }
        close(fd);
        assert_int_equal(count_in_memory(hidden, sizeof(hidden)), 0);
    }
}

static void what_cannot_be_listened_on_is_an_error(void **state)
{
    struct web_rig *r = *state;
    struct err err;
    char taken[64];
    const struct {
        const char *listen;
        const char *cert;
        const char *says;
    } cases[] = {
        {taken, NULL, "address already in use"},
        {"example.org:80", NULL, "not a name"},
        {"127.0.0.1", NULL, "is not ADDRESS:PORT"},
        {"127.0.0.1:0", "/no/such/file", "cannot read a certificate"},
        {"127.0.0.1:0", "/proc/self/status", "not a certificate in PEM"},
    };

    snprintf(taken, sizeof(taken), "127.0.0.1:%u", web_port(r->web));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct web_options o = {.loop = &r->loop.uv,
                                      .listen = cases[i].listen,
                                      .tls_cert = cases[i].cert,
                                      .tls_key = cases[i].cert};
        assert_null(web_create(&o, &err));
        assert_non_null(strstr(err.text, cases[i].says));
    }
}

static void set_closed(void *ctx)
{
    *(bool *)ctx = true;
}

static void no_server_is_closed_at_once(void **state)
{
    bool closed = false;

    (void)state;
    web_close(NULL, set_closed, &closed);
    assert_true(closed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        web_rig_test(a_request_is_answered_with_what_keeps_a_browser_safe),
        web_rig_test(a_connection_is_kept_and_its_requests_are_answered_in_order),
        web_rig_test(who_asks_for_the_end_gets_it),
        web_rig_test(a_head_has_no_body_and_the_same_length),
        web_rig_test(a_body_comes_with_its_length),
        web_rig_test(who_wants_to_be_asked_for_the_body_is_asked),
        web_rig_test(a_path_below_and_parameters_are_decoded),
        web_rig_test(what_needs_the_token_is_refused_without),
        web_rig_test(where_no_token_is_configured_nobody_is_admin),
        web_rig_test(what_never_changes_is_sent_once),
        web_rig_test(a_client_that_leaves_is_told_to_the_handler),
        web_rig_test(who_says_nothing_more_is_answered_all_it_asked),
        web_rig_test(who_says_nothing_more_in_the_midst_of_a_request_is_not_waited_for),
        web_rig_test(who_waits_when_the_server_ends_is_told_to_the_handler),
        web_rig_test(a_large_answer_is_read_at_the_clients_pace),
        web_rig_test(no_token_stays_in_memory),
        web_rig_test(what_cannot_be_listened_on_is_an_error),
        web_rig_test(no_server_is_closed_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
