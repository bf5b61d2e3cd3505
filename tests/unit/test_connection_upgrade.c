/* What a server may answer to the WebSocket upgrade, against servers of its own (wire.h). */
#include "node/connection.h"

#include "shared/buf.h"
#include "tests/lib/wire.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define WRONG_UPGRADE                                                                              \
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"            \
    "Sec-WebSocket-Accept: bm90IHRoaXMgb25lCg==\r\n\r\n"

#define CLOSED "closed ws://127.0.0.1:%d: the WebSocket upgrade failed: "

/* Ask once; the answer must end it, once, with `why`, and nothing else may be connected to. */
static void expect_refused(const char *answer, const char *why)
{
    struct wire *r = wire_create(NULL, 1000);
    char expected[256];

    wire_start_tcp(r, answer);
    wire_open(r, "ws", "127.0.0.1", r->tcp_port);
    wire_run_until(r, wire_is_closed);
    wire_nap(r, 50);
    (void)snprintf(expected, sizeof(expected), CLOSED "%s|", r->tcp_port, why);
    assert_string_equal(r->log, expected);
    assert_int_equal(r->tcp_accepted, 1);
    wire_destroy(r);
}

static void the_status_of_a_refusal_is_told(void **state)
{
    static const char *const lines[] = {"200 OK", "400 Bad Request", "403 Forbidden",
                                        "429 Too Many Requests", "503 Service Unavailable"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        char answer[256];
        char why[32];

        (void)snprintf(answer, sizeof(answer), "HTTP/1.1 %s\r\nContent-Length: 2\r\n\r\nhi",
                       lines[i]);
        (void)snprintf(why, sizeof(why), "HTTP status %.3s", lines[i]);
        expect_refused(answer, why);
    }
}

static void a_redirect_is_never_followed(void **state)
{
    static const char *const statuses[] = {"301", "302", "303", "307", "308"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
        char answer[256];
        char why[32];

        (void)snprintf(answer, sizeof(answer),
                       "HTTP/1.1 %s Moved\r\nLocation: ws://no-such-name.invalid/\r\n"
                       "Content-Length: 0\r\n\r\n",
                       statuses[i]);
        (void)snprintf(why, sizeof(why), "HTTP status %s", statuses[i]);
        expect_refused(answer, why);
        (void)snprintf(answer, sizeof(answer), "HTTP/1.1 %s Moved\r\nContent-Length: 0\r\n\r\n",
                       statuses[i]);
        expect_refused(answer, why);
    }
}

static void a_host_that_a_redirect_names_is_not_connected_to(void **state)
{
    static const char *const schemes[] = {"ws", "wss", "http", "https"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        struct wire *r = wire_create(NULL, 1000);
        char answer[256];

        wire_start_tcp(r, "");
        (void)snprintf(answer, sizeof(answer),
                       "HTTP/1.1 302 Found\r\nLocation: %s://127.0.0.1:%d/\r\n"
                       "Content-Length: 0\r\n\r\n",
                       schemes[i], r->tcp_port);
        r->tcp_says = answer;
        wire_open(r, "ws", "127.0.0.1", r->tcp_port);
        wire_run_until(r, wire_is_closed);
        wire_nap(r, 50);
        (void)snprintf(answer, sizeof(answer), CLOSED "HTTP status 302|", r->tcp_port);
        assert_string_equal(r->log, answer);
        assert_int_equal(r->tcp_accepted, 1);
        wire_destroy(r);
    }
}

static void a_connection_closed_while_it_is_refused_calls_nothing_back(void **state)
{
    (void)state;
    for (uint64_t ms = 0; ms < 8; ms++) {
        struct wire *r = wire_create(NULL, 1000);

        wire_start_tcp(r, "HTTP/1.1 307 Moved\r\nLocation: ws://no-such-name.invalid/\r\n\r\n");
        wire_open(r, "ws", "127.0.0.1", r->tcp_port);
        wire_nap(r, ms);
        r->log[0] = '\0';
        connection_close(r->c);
        r->c = NULL;
        wire_nap(r, 20);
        assert_string_equal(r->log, "");
        wire_destroy(r);
    }
}

static void a_peer_that_is_no_websocket_server_is_one_on_closed(void **state)
{
    static const char *const answers[] = {
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "HTTP/1.1 99999999999 Many\r\n\r\n",
        "HTTP/1.1 -5 Few\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "\r\n\r\n",
        "",
        "HTTP/1.1 abc\r\n\r\n",
        "HTTP/1.1\r\n\r\n",
        WRONG_UPGRADE,
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        struct wire *r = wire_create(NULL, 1000);

        wire_start_tcp(r, answers[i]);
        wire_open(r, "ws", "127.0.0.1", r->tcp_port);
        wire_run_until(r, wire_is_closed);
        assert_null(strstr(r->log, "open|"));
        assert_non_null(strstr(r->log, "closed "));
        wire_nap(r, 20);
        assert_null(strstr(r->log, "|closed"));
        wire_destroy(r);
    }
}

/* Headers without end, an endless one, a body without end: given up at the deadline at the latest, with little kept. */
static void an_answer_without_end_is_given_up(void **state)
{
    static const char *const begins[] = {
        "HTTP/1.1 101 Switching Protocols\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nX-Long: ", "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1/"};
    static const char *const goes_on[] = {"X-A: b\r\n", "xxxxxxxx", "xxxxxxxx", "xxxxxxxx"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(begins); i++) {
        struct wire *r = wire_create(NULL, 500);
        struct buf answer;

        buf_init(&answer, 1 << 20);
        buf_append_str(&answer, begins[i]);
        while (answer.len < 100000) {
            buf_append_str(&answer, goes_on[i]);
        }
        buf_append_char(&answer, '\0');
        wire_start_tcp(r, answer.data);
        r->tcp_stays = true;
        wire_open(r, "ws", "127.0.0.1", r->tcp_port);
        wire_run_until(r, wire_is_closed);
        wire_nap(r, 20);
        assert_null(strstr(r->log, "open|"));
        assert_null(strstr(r->log, "|closed"));
        wire_destroy(r);
        buf_finish(&answer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_status_of_a_refusal_is_told),
        cmocka_unit_test(a_redirect_is_never_followed),
        cmocka_unit_test(a_host_that_a_redirect_names_is_not_connected_to),
        cmocka_unit_test(a_connection_closed_while_it_is_refused_calls_nothing_back),
        cmocka_unit_test(an_answer_without_end_is_given_up),
        cmocka_unit_test(a_peer_that_is_no_websocket_server_is_one_on_closed),
    };

    return cmocka_run_group_tests_name("connection_upgrade", tests, wire_set_up, wire_tear_down);
}
