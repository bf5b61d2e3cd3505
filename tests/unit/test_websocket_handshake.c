/* The upgrade: what is asked, and every answer that is taken or not, whole and cut anywhere. */
#include "tests/lib/websocket_rig.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define STATUS     "HTTP/1.1 101 Switching Protocols\r\n"
#define UPGRADE    "Upgrade: websocket\r\n"
#define CONNECTION "Connection: Upgrade\r\n"
#define ACCEPT     "Sec-WebSocket-Accept: @\r\n" /* @ stands for what is right */
#define FIELDS     UPGRADE CONNECTION ACCEPT
#define FAILED     "the WebSocket upgrade failed: "
#define NO_HTTP    FAILED "the answer is not HTTP/1.1"

/* Feed an answer in which @ is replaced by the right Sec-WebSocket-Accept, and ~ by the same in capitals. */
static void feed_answer(struct websocket_rig *r, const char *answer, size_t piece)
{
    struct buf bytes;

    buf_init(&bytes, 1 << 20);
    for (; *answer != '\0'; answer++) {
        if (*answer == '@') {
            buf_append_str(&bytes, r->ws.answer.accept);
        } else if (*answer == '~') {
            for (const char *c = r->ws.answer.accept; *c != '\0'; c++) {
                buf_append_char(&bytes, (char)toupper(*c));
            }
        } else {
            buf_append_char(&bytes, *answer);
        }
    }
    websocket_rig_feed(r, buf_slice(&bytes), piece == 0 ? bytes.len : piece);
    buf_finish(&bytes);
}

/* Whole, byte by byte, and in pieces of every size. `why` NULL: it is taken. */
static void expect(const char *answer, const char *why, bool answered)
{
    size_t most = strlen(answer) + WEBSOCKET_ACCEPT_CHARS;

    for (size_t piece = 1; piece <= most; piece += most > 1000 ? 997 : 1) {
        struct websocket_rig r;

        websocket_rig_begin(&r);
        feed_answer(&r, answer, piece);
        const char *told = websocket_rig_told(&r);
        if (strcmp(told, why == NULL ? "(open)" : "(broken 0)") != 0 ||
            (why != NULL && strcmp(r.err.text, why) != 0) || r.answered != answered) {
            fail_msg("%.200s, in pieces of %zu: %s%s", answer, piece, told, r.err.text);
        }
        assert_int_equal(r.err.code, why == NULL ? ERR_OK : answered ? ERR_REFUSED : ERR_PROTOCOL);
        websocket_rig_finish(&r);
    }
}

/* Asking -------------------------------------------------------------------------------------- */

/* The request for a URL, its key taken out into `key`. */
static char *ask(const char *text, char key[WEBSOCKET_KEY_CHARS + 1])
{
    struct websocket ws;
    struct url url;
    struct buf out;
    char accept[WEBSOCKET_ACCEPT_CHARS];

    assert_int_equal(url_parse_ws(text, &url, NULL), 0);
    buf_init(&out, 4096);
    websocket_init(&ws);
    websocket_ask(&ws, &url, &out);
    char *at = strstr(out.data, "Sec-WebSocket-Key: ");
    assert_non_null(at);
    at += strlen("Sec-WebSocket-Key: ");
    (void)snprintf(key, WEBSOCKET_KEY_CHARS + 1, "%s", at);
    websocket_key_accept((struct slice){key, WEBSOCKET_KEY_CHARS}, accept);
    assert_string_equal(ws.answer.accept, accept);
    memmove(at, at + WEBSOCKET_KEY_CHARS, strlen(at + WEBSOCKET_KEY_CHARS) + 1);
    websocket_finish(&ws);
    return out.data;
}

static void the_request_is_that_of_the_rfc(void **state)
{
    static const struct {
        const char *url, *path, *host;
    } rows[] = {
        {"ws://example.org", "/", "example.org"},
        {"ws://example.org/chat?room=1", "/chat?room=1", "example.org"},
        {"ws://example.org:80/", "/", "example.org"},
        {"ws://example.org:443/", "/", "example.org:443"},
        {"wss://irc-ws.chat.twitch.tv:443", "/", "irc-ws.chat.twitch.tv"},
        {"wss://127.0.0.1:8080/x", "/x", "127.0.0.1:8080"},
        {"wss://[::1]:80/", "/", "[::1]:80"},
        {"ws://[fe80::1%eth0]/", "/", "[fe80::1]"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char expected[512];
        char key[WEBSOCKET_KEY_CHARS + 1];
        char *request = ask(rows[i].url, key);

        (void)snprintf(expected, sizeof(expected),
                       "GET %s HTTP/1.1\r\nHost: %s\r\n" UPGRADE CONNECTION
                       "Sec-WebSocket-Key: \r\nSec-WebSocket-Version: 13\r\n\r\n",
                       rows[i].path, rows[i].host);
        assert_string_equal(request, expected);
        free(request);
    }
}

static void each_key_is_another_16_bytes(void **state)
{
    char keys[64][WEBSOCKET_KEY_CHARS + 1];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        free(ask("ws://example.org", keys[i]));
        assert_int_equal(strspn(keys[i], "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                         "0123456789+/"),
                         22);
        assert_string_equal(keys[i] + 22, "==");
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(keys[i], keys[j]);
        }
    }
}

/* RFC 6455, 1.3. */
static void accept_is_the_digest_of_the_rfc(void **state)
{
    char accept[WEBSOCKET_ACCEPT_CHARS];

    (void)state;
    websocket_key_accept(SLICE("dGhlIHNhbXBsZSBub25jZQ=="), accept);
    assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

/* So nothing of a URL can end a line of the request. */
static void a_url_has_no_control_characters(void **state)
{
    struct url url;

    (void)state;
    for (int c = 1; c < 128; c++) {
        char path[64];
        char host[64];
        bool control = c <= ' ' || c == 0x7f;

        (void)snprintf(path, sizeof(path), "ws://example.org/a%cb", c);
        (void)snprintf(host, sizeof(host), "ws://exam%cple.org/", c);
        if (control) {
            assert_int_equal(url_parse_ws(path, &url, NULL), -ERR_USAGE);
            assert_int_equal(url_parse_ws(host, &url, NULL), -ERR_USAGE);
        } else if (c != '#') {
            assert_int_equal(url_parse_ws(path, &url, NULL), 0);
        }
    }
}

/* Answers ------------------------------------------------------------------------------------- */

static void what_proves_a_websocket_server_is_taken(void **state)
{
    static const char *const answers[] = {
        STATUS FIELDS "\r\n",
        "HTTP/1.1 101 \r\n" FIELDS "\r\n",
        "HTTP/1.1 101\r\n" FIELDS "\r\n",
        "HTTP/1.2 101 Fine\r\n" FIELDS "\r\n",
        STATUS "upgrade: WebSocket\r\nCONNECTION: uPGRADE\r\nsec-websocket-accept:@\r\n\r\n",
        STATUS "Upgrade:\t websocket \t\r\n" CONNECTION "Sec-WebSocket-Accept:   @  \r\n\r\n",
        STATUS "Upgrade: , websocket,,\r\n" CONNECTION ACCEPT "\r\n",
        STATUS UPGRADE UPGRADE CONNECTION ACCEPT "\r\n",
        STATUS UPGRADE ACCEPT "Connection: keep-alive, Upgrade\r\n\r\n",
        STATUS UPGRADE ACCEPT "Connection: keep-alive\r\nConnection: x ,\tupgrade\r\n\r\n",
        STATUS UPGRADE ACCEPT CONNECTION "Connection: keep-alive\r\n\r\n",
        STATUS "Date: now\r\nServer: \xc3\xa4\r\nX-Empty:\r\nContent-Length: 5\r\n" FIELDS "\r\n",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        expect(answers[i], NULL, false);
    }
}

static void what_lacks_a_proof_is_refused(void **state)
{
    static const char *const upgrade = FAILED "it lacks Upgrade: websocket";
    static const char *const other = FAILED "it upgrades to something else than websocket";
    static const char *const connection = FAILED "it lacks Connection: upgrade";
    static const char *const accept = FAILED "it lacks Sec-WebSocket-Accept";
    static const char *const wrong =
        FAILED "Sec-WebSocket-Accept is not what belongs to the key, once";
    const struct {
        const char *answer, *why;
    } rows[] = {
        {STATUS "\r\n", upgrade},
        {STATUS CONNECTION ACCEPT "\r\n", upgrade},
        {STATUS "Upgrade: \r\n" CONNECTION ACCEPT "\r\n", upgrade},
        {STATUS "Upgrade: ,\r\n" CONNECTION ACCEPT "\r\n", upgrade},
        {STATUS "X-Upgrade: websocket\r\n" CONNECTION ACCEPT "\r\n", upgrade},
        {STATUS "Upgrade: h2c\r\n" CONNECTION ACCEPT "\r\n", other},
        {STATUS "Upgrade: websocket, h2c\r\n" CONNECTION ACCEPT "\r\n", other},
        {STATUS UPGRADE "Upgrade: h2c\r\n" CONNECTION ACCEPT "\r\n", other},
        {STATUS "Upgrade: websockets\r\n" CONNECTION ACCEPT "\r\n", other},
        {STATUS "Upgrade: web\r\n" CONNECTION ACCEPT "\r\n", other},
        {STATUS "Upgrade: websocket/13\r\n" CONNECTION ACCEPT "\r\n", other},
        {STATUS UPGRADE ACCEPT "\r\n", connection},
        {STATUS UPGRADE ACCEPT "Connection: keep-alive\r\n\r\n", connection},
        {STATUS UPGRADE ACCEPT "Connection: upgraded\r\n\r\n", connection},
        {STATUS UPGRADE ACCEPT "Connection: not upgrade\r\n\r\n", connection},
        {STATUS UPGRADE CONNECTION "\r\n", accept},
        {STATUS UPGRADE CONNECTION "Sec-WebSocket-Accept:\r\n\r\n", wrong},
        {STATUS UPGRADE CONNECTION "Sec-WebSocket-Accept: bm90IHRoaXMgb25lCg==\r\n\r\n", wrong},
        {STATUS UPGRADE CONNECTION "Sec-WebSocket-Accept: @=\r\n\r\n", wrong},
        {STATUS UPGRADE CONNECTION "Sec-WebSocket-Accept: x@\r\n\r\n", wrong},
        {STATUS UPGRADE CONNECTION "Sec-WebSocket-Accept: ~\r\n\r\n", wrong},
        {STATUS UPGRADE CONNECTION ACCEPT ACCEPT "\r\n", wrong},
        {STATUS UPGRADE CONNECTION "Sec-WebSocket-Accept: @, @\r\n\r\n", wrong},
        {STATUS UPGRADE CONNECTION ACCEPT "Sec-WebSocket-Accept: x\r\n\r\n", wrong},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        expect(rows[i].answer, rows[i].why, false);
    }
}

static void what_was_not_asked_for_is_refused(void **state)
{
    static const char *const protocol =
        FAILED "it has a Sec-WebSocket-Protocol, and none was asked for";
    static const char *const extensions =
        FAILED "it has Sec-WebSocket-Extensions, and none were asked for";

    (void)state;
    expect(STATUS FIELDS "Sec-WebSocket-Protocol: chat\r\n\r\n", protocol, false);
    expect(STATUS "sec-websocket-protocol:\r\n" FIELDS "\r\n", protocol, false);
    expect(STATUS FIELDS "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n", extensions, false);
}

static void another_status_is_told_and_no_redirect_is_followed(void **state)
{
    static const char *const statuses[] = {"200", "204", "300", "301", "302", "307",
                                           "308", "400", "401", "403", "404", "426",
                                           "429", "500", "503", "599", "600", "999"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
        for (int minor = 0; minor <= 2; minor++) {
            char answer[256];
            char why[100];

            (void)snprintf(why, sizeof(why), FAILED "HTTP status %s", statuses[i]);
            (void)snprintf(answer, sizeof(answer),
                           "HTTP/1.%d %s Why\r\nLocation: ws://example.net/\r\n" FIELDS "\r\nbody",
                           minor, statuses[i]);
            expect(answer, why, true);
            answer[strlen("HTTP/1.1 403 Why\r\n")] = '\0'; /* its line is enough */
            expect(answer, why, true);
        }
    }
}

static void what_is_no_http_is_refused(void **state)
{
    static const char *const answers[] = {
        "SSH-2.0-OpenSSH_9.2\r\n",
        "\r\n",
        "\r\n" STATUS FIELDS "\r\n",
        "\x16\x03\x01",
        "S",
        "HTTP/2",
        "HTTP/1,",
        "http/1.1 101 x\r\n",
        "HTTP/1.1\r\n",
        "HTTP/1.x 101 x\r\n",
        "HTTP/1.10 101 x\r\n",
        "HTTP/1.1  101 x\r\n",
        "HTTP/1.1\t101 x\r\n",
        "HTTP/1.1 abc\r\n",
        "HTTP/1.1 1o1 x\r\n",
        "HTTP/1.1 10 x\r\n",
        "HTTP/1.1 10x x\r\n",
        "HTTP/1.1 101x\r\n",
        "HTTP/1.1 1010 x\r\n",
        "HTTP/1.1 -10 x\r\n",
        "HTTP/1.1 099 x\r\n",
        "HTTP/1.1 99999999999 Many\r\n",
        "HTTP/1.1 403 x\x01\r\n",
        "HTTP/1.1 403 x\n",
        "HTTP/1.0 101 x\r\n" FIELDS "\r\n", /* 1.0 has no upgrade */
        STATUS UPGRADE CONNECTION "Sec-WebSocket-Accept: @\n\r\n",
        STATUS FIELDS "\n",
        STATUS "\n" FIELDS "\r\n",
        STATUS FIELDS "no colon\r\n\r\n",
        STATUS FIELDS ": no name\r\n\r\n",
        STATUS FIELDS "blank : x\r\n\r\n",
        STATUS FIELDS "X: folded\r\n more\r\n\r\n",
        STATUS FIELDS "X: control\x01\r\n\r\n",
        STATUS FIELDS "X: control\x7f\r\n\r\n",
        STATUS FIELDS "X: return\rY: z\r\n\r\n",
        "HTTP/1.1 100 Continue\r\nno colon\r\n\r\n" STATUS FIELDS "\r\n",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        expect(answers[i], NO_HTTP, false);
    }
}

static void interim_answers_are_passed_over(void **state)
{
    (void)state;
    expect("HTTP/1.1 100 Continue\r\n\r\n" STATUS FIELDS "\r\n", NULL, false);
    expect(
        "HTTP/1.1 103 Early Hints\r\nLink: x\r\nUpgrade: h2c\r\nSec-WebSocket-Protocol: x\r\n\r\n"
        "HTTP/1.1 199 x\r\n\r\n" STATUS FIELDS "\r\n",
        NULL, false);
    expect("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 403 Forbidden\r\n\r\n", FAILED "HTTP status 403",
           true);
    /* What an interim answer has proves nothing of the next. */
    expect("HTTP/1.1 100 Continue\r\n" FIELDS "\r\n" STATUS "\r\n",
           FAILED "it lacks Upgrade: websocket", false);
}

/* An answer of so many bytes: interim ones, and a long field. */
static char *make_answer(size_t len)
{
    struct buf out;
    const char *begin = "HTTP/1.1 100 Continue\r\n\r\n" STATUS FIELDS "X: ";
    size_t accept = WEBSOCKET_ACCEPT_CHARS - 1 - 1; /* @ becomes longer by so many */

    buf_init(&out, len + 100);
    buf_append_str(&out, begin);
    while (out.len + accept + 4 < len) {
        buf_append_char(&out, 'x');
    }
    buf_append_str(&out, "\r\n\r\n");
    assert_int_equal(out.len + accept, len);
    return out.data;
}

static void the_head_is_bounded(void **state)
{
    static const char *const why = FAILED "the answer has no end within 8 KiB";
    static const char *const begins[] = {"HTTP/1.1 101 ", STATUS "X: ", "HTTP/1.1 100 x\r\nX: "};
    char *fits = make_answer(WEBSOCKET_HEAD_MAX);
    char *too_long = make_answer(WEBSOCKET_HEAD_MAX + 1);
    struct buf endless;

    (void)state;
    expect(fits, NULL, false);
    expect(too_long, why, false);
    buf_init(&endless, 1 << 20);
    for (size_t i = 0; i < ARRAY_LEN(begins); i++) {
        buf_clear(&endless);
        buf_append_str(&endless, begins[i]);
        while (endless.len < 100000) {
            buf_append_char(&endless, 'x');
        }
        expect(endless.data, why, false);
    }
    buf_clear(&endless);
    while (endless.len < 100000) {
        buf_append_str(&endless, "HTTP/1.1 100 Continue\r\n\r\n");
    }
    expect(endless.data, why, false);
    buf_finish(&endless);
    free(fits);
    free(too_long);
}

static void what_comes_behind_the_head_are_frames(void **state)
{
    for (size_t piece = 1; piece < 300; piece++) {
        struct websocket_rig r;

        websocket_rig_begin(&r);
        feed_answer(&r, STATUS FIELDS "\r\n\x81\x05hello\x89\x04ping", piece);
        assert_string_equal(websocket_rig_told(&r), "(open)hello|(ping ping)");
        assert_null(r.ws.answer.line.data); /* the head is not kept */
        websocket_rig_finish(&r);
    }
    (void)state;
}

static void one_that_is_left_in_the_middle_gives_all_back(void **state)
{
    struct websocket_rig r;

    (void)state;
    websocket_rig_begin(&r);
    feed_answer(&r, STATUS "X: ", 0);
    assert_string_equal(websocket_rig_told(&r), "");
    websocket_rig_finish(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_request_is_that_of_the_rfc),
        cmocka_unit_test(each_key_is_another_16_bytes),
        cmocka_unit_test(accept_is_the_digest_of_the_rfc),
        cmocka_unit_test(a_url_has_no_control_characters),
        cmocka_unit_test(what_proves_a_websocket_server_is_taken),
        cmocka_unit_test(what_lacks_a_proof_is_refused),
        cmocka_unit_test(what_was_not_asked_for_is_refused),
        cmocka_unit_test(another_status_is_told_and_no_redirect_is_followed),
        cmocka_unit_test(what_is_no_http_is_refused),
        cmocka_unit_test(interim_answers_are_passed_over),
        cmocka_unit_test(the_head_is_bounded),
        cmocka_unit_test(what_comes_behind_the_head_are_frames),
        cmocka_unit_test(one_that_is_left_in_the_middle_gives_all_back),
    };

    return cmocka_run_group_tests_name("websocket_handshake", tests, NULL, NULL);
}
