/* WebSockets of the HTTP server. */
#include "shared/web/web.h"

#include "shared/base.h"
#include "shared/buf.h"
#include "shared/web/web_limits.h"
#include "tests/lib/test_clock.h"
#include "tests/lib/web_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define HOST "Host: localhost\r\n"
#define UPGRADE                                                                                    \
    "GET /live HTTP/1.1\r\n" HOST "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
#define VERSION   "Sec-WebSocket-Version: 13\r\n"
#define KEY       "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" /* of RFC 6455, 1.3 */
#define HANDSHAKE UPGRADE VERSION KEY "\r\n"

enum { TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10 };

/* A frame from a client, masked with 'a's; `first` is the first byte. */
static void say_frame(struct web_rig *r, int fd, unsigned first, struct slice payload)
{
    struct buf frame;

    buf_init(&frame, 200000);
    buf_append_char(&frame, (char)first);
    if (payload.len < 126) {
        buf_append_char(&frame, (char)(0x80 | payload.len));
    } else {
        buf_append_char(&frame, (char)(0x80 | 126));
        buf_append_char(&frame, (char)(payload.len >> 8));
        buf_append_char(&frame, (char)payload.len);
    }
    buf_append_str(&frame, "aaaa");
    for (size_t i = 0; i < payload.len; i++) {
        buf_append_char(&frame, (char)(payload.ptr[i] ^ 'a'));
    }
    web_rig_say_bytes(r, fd, frame.data, frame.len);
    buf_finish(&frame);
}

static void say_text(struct web_rig *r, int fd, const char *text)
{
    say_frame(r, fd, 0x80 | TEXT, slice_of(text));
}

/* The next frame: its opcode, 0 where the connection ends; the payload is in r->heard. */
static int hear_frame(struct web_rig *r, int fd)
{
    if (!web_rig_hear_bytes(r, fd, 2)) {
        return 0;
    }
    int opcode = r->heard[0] & 0x0f;
    size_t len = (unsigned char)r->heard[1];
    assert_true(len <= 125);
    assert_true(len == 0 || web_rig_hear_bytes(r, fd, len));
    r->heard[len] = '\0';
    return opcode;
}

static void expect(struct web_rig *r, int fd, int opcode, const char *payload)
{
    assert_int_equal(hear_frame(r, fd), opcode);
    assert_string_equal(r->heard, payload);
}

/* The close of the server, with this code (0: none); then it hangs up. */
static void expect_close(struct web_rig *r, int fd, unsigned code)
{
    assert_int_equal(hear_frame(r, fd), CLOSE);
    if (code != 0) {
        assert_int_equal((unsigned char)r->heard[0] << 8 | (unsigned char)r->heard[1], code);
    }
    assert_false(web_rig_hear_bytes(r, fd, 1));
}

static int open_socket(struct web_rig *r)
{
    int fd = web_rig_connect(r);

    web_rig_say(r, fd, HANDSHAKE);
    assert_int_equal(web_rig_status(web_rig_hear(r, fd)), 101);
    assert_non_null(strstr(r->heard, "\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
    expect(r, fd, TEXT, "welcome");
    return fd;
}

static void messages_go_both_ways(void **state)
{
    struct web_rig *r = *state;
    int fd = open_socket(r);

    say_text(r, fd, "hello");
    expect(r, fd, TEXT, "hello");
    say_frame(r, fd, TEXT, SLICE("in two ")); /* fragments */
    say_frame(r, fd, 0x80 | PING, SLICE("and a ping"));
    say_frame(r, fd, 0x80, SLICE("pieces"));
    expect(r, fd, PONG, "and a ping");
    expect(r, fd, TEXT, "in two pieces");
    close(fd);
    wait_until(&r->loop, r->closed == 1);
}

static void what_comes_with_the_handshake_is_heard(void **state)
{
    struct web_rig *r = *state;
    int fd = web_rig_connect(r);
    static const char together[] = HANDSHAKE "\x81\x82"
                                             "aaaa"
                                             "\x09\x08"; /* "hi" */

    web_rig_say_bytes(r, fd, together, sizeof(together) - 1);
    assert_int_equal(web_rig_status(web_rig_hear(r, fd)), 101);
    expect(r, fd, TEXT, "welcome");
    expect(r, fd, TEXT, "hi");
    close(fd);
}

static void a_handshake_that_is_none_is_refused(void **state)
{
    struct web_rig *r = *state;
    static const struct {
        const char *request;
        int status;
    } cases[] = {
        {"GET /live HTTP/1.1\r\n" HOST "\r\n", 426},
        {"GET /live HTTP/1.1\r\n" HOST "Upgrade: websocket\r\n" VERSION KEY "\r\n", 426},
        {"GET /live HTTP/1.1\r\n" HOST "Connection: Upgrade\r\n" VERSION KEY "\r\n", 426},
        {"GET /live HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nUpgrade: h2c\r\n" VERSION KEY "\r\n",
         426},
        {UPGRADE KEY "\r\n", 426},
        {UPGRADE KEY "Sec-WebSocket-Version: 8\r\n\r\n", 426},
        {UPGRADE VERSION "\r\n", 400},
        {UPGRADE VERSION "Sec-WebSocket-Key: short\r\n\r\n", 400},
        {UPGRADE VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ!==\r\n\r\n", 400},
        {"GET /live HTTP/1.0\r\n" HOST "Connection: Upgrade\r\nUpgrade: websocket\r\n" VERSION KEY
         "\r\n",
         400},
        {UPGRADE VERSION KEY "Content-Length: 3\r\n\r\nabc", 400},
        {UPGRADE VERSION KEY "Origin: http://attacker.example\r\n\r\n", 403},
        {"POST /live HTTP/1.1\r\n" HOST "\r\n", 405},
        {"HEAD /live HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nUpgrade: websocket\r\n" VERSION KEY
         "Connection: close\r\n\r\n",
         400},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        r->head_asked = cases[i].request[0] == 'H';
        int status = web_rig_status(web_rig_ask(r, cases[i].request));
        if (status != cases[i].status) {
            fail_msg("%s-> %d", cases[i].request, status);
        }
    }
    assert_int_equal(r->opened, 0);
}

static void a_close_is_answered(void **state)
{
    struct web_rig *r = *state;
    int fd = open_socket(r);

    say_frame(r, fd, 0x80 | CLOSE, SLICE("\x03\xe8"));
    expect_close(r, fd, 1000);
    close(fd);
    wait_until(&r->loop, r->closed == 1);
}

static void the_owner_closes_with_a_reason(void **state)
{
    struct web_rig *r = *state;
    int fd = open_socket(r);

    say_text(r, fd, "close me");
    assert_int_equal(hear_frame(r, fd), CLOSE);
    assert_string_equal(r->heard + 2, "as you like");
    assert_false(web_rig_hear_bytes(r, fd, 1));
    close(fd);
    wait_until(&r->loop, r->closed == 1);
}

static void who_does_not_answer_a_close_is_dropped(void **state)
{
    struct web_rig *r = *state;
    int fd = open_socket(r);

    say_text(r, fd, "close me");
    wait_until(&r->loop, r->socket != NULL);
    for (int i = 0; i < 10 && r->closed == 0; i++) {
        test_clock_forward(1000);
        test_loop_run_for(&r->loop, 20);
    }
    assert_int_equal(r->closed, 1);
    close(fd);
}

static void what_breaks_the_rules_is_closed_with_its_code(void **state)
{
    static char large[WEB_MESSAGE_MAX + 1];
    struct web_rig *r = *state;
    memset(large, 'x', sizeof(large));
    const struct {
        unsigned first;
        struct slice payload;
        unsigned code;
    } cases[] = {
        {0x80 | BINARY, SLICE("abc"), 1003},
        {0x80 | TEXT, SLICE("\xff\xfe"), 1007},
        {0x80 | TEXT, {large, sizeof(large)}, 1009},
        {0xc0 | TEXT, SLICE("compressed"), 1002},
        {0x80 | 3, SLICE(""), 1002},
        {PING, SLICE("in fragments"), 0},
        {0x80, SLICE("goes on with nothing"), 1002},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int fd = open_socket(r);
        say_frame(r, fd, cases[i].first, cases[i].payload);
        expect_close(r, fd, cases[i].code);
        close(fd);
    }
    wait_until(&r->loop, r->closed == (int)ARRAY_LEN(cases));
}

static void a_frame_that_is_not_masked_ends_it(void **state)
{
    struct web_rig *r = *state;
    int fd = open_socket(r);

    web_rig_say_bytes(r, fd, "\x81\x02hi", 4);
    expect_close(r, fd, 0);
    close(fd);
    wait_until(&r->loop, r->closed == 1);
}

static void who_floods_with_frames_is_closed(void **state)
{
    struct web_rig *r = *state;
    int fd = open_socket(r);
    int opcode = PONG;

    for (int i = 0; i < 2 * WEB_FRAMES; i++) {
        say_frame(r, fd, 0x80 | PING, SLICE(""));
    }
    while (opcode == PONG) {
        opcode = hear_frame(r, fd);
    }
    assert_int_equal(opcode, CLOSE);
    assert_string_equal(r->heard + 2, "too many frames a second");
    close(fd);
}

static void who_reads_too_slowly_is_closed(void **state)
{
    struct web_rig *r = *state;
    int fd = open_socket(r);

    r->floods = true;
    say_text(r, fd, "much");
    wait_until(&r->loop, r->closed == 1);
    close(fd);
}

static void a_message_that_is_too_large_is_told_as_such(void **state)
{
    struct web_rig *r = *state;
    int fd = open_socket(r);
    FILE *log = tmpfile();
    int before = dup(STDERR_FILENO);
    char told[1000] = "";

    assert_true(log != NULL && before >= 0 && dup2(fileno(log), STDERR_FILENO) >= 0);
    say_text(r, fd, "too much");
    wait_until(&r->loop, r->closed == 1);
    assert_true(dup2(before, STDERR_FILENO) >= 0);
    rewind(log);
    assert_true(fread(told, 1, sizeof(told) - 1, log) > 0);
    assert_non_null(strstr(told, " http.too_large "));
    assert_null(strstr(told, "http.slow"));
    fclose(log);
    close(before);
    close(fd);
}

static void the_silent_are_pinged_and_the_dead_dropped(void **state)
{
    struct web_rig *r = *state;
    int fd = open_socket(r);

    for (int i = 0; i < 5; i++) {
        test_clock_forward(WEB_PING_MS);
        expect(r, fd, PING, "");
        say_frame(r, fd, 0x80 | PONG, SLICE(""));
        test_loop_turn(&r->loop);
    }
    assert_int_equal(r->closed, 0);
    for (int i = 0; i < 4; i++) {
        test_clock_forward(WEB_PING_MS);
        test_loop_run_for(&r->loop, 20);
    }
    assert_int_equal(r->closed, 1);
    close(fd);
}

static void there_are_so_many_at_most(void **state)
{
    struct web_rig *r = *state;
    int fds[WEB_SOCKETS_MAX];

    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        fds[i] = open_socket(r);
    }
    assert_int_equal(web_rig_status(web_rig_ask(r, HANDSHAKE)), 503);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        close(fds[i]);
    }
    wait_until(&r->loop, r->closed == WEB_SOCKETS_MAX);
}

static void the_end_of_the_server_is_told(void **state)
{
    struct web_rig *r = web_rig_create(NULL);
    int fd = open_socket(r);
    char bytes[64];

    (void)state;
    web_rig_destroy(r);
    assert_true(read(fd, bytes, sizeof(bytes)) > 4);
    assert_memory_equal(bytes + 2, "\x03\xe9the server ends", 17); /* 1001 */
    close(fd);
}

/* Any bytes after the handshake: no harm. */
static void nothing_that_is_changed_does_harm(void **state)
{
    struct web_rig *r = *state;
    uint64_t seed = random_below(UINT32_MAX);

    print_message("seed %llu\n", (unsigned long long)seed);
    for (int round = 0; round < 300; round++) {
        int fd = open_socket(r);
        char bytes[64];
        for (size_t i = 0; i < sizeof(bytes); i++) {
            seed = seed * 6364136223846793005U + 1442695040888963407U;
            bytes[i] = (char)(seed >> 33);
        }
        bytes[0] = (char)(bytes[0] & 0x8f); /* as far as the opcode, and the mask, all right */
        bytes[1] = (char)(0x80 | (bytes[1] & 0x1f));
        web_rig_say_bytes(r, fd, bytes, sizeof(bytes));
        close(fd);
        test_clock_forward(50);
    }
    wait_until(&r->loop, r->closed == 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        web_rig_test(messages_go_both_ways),
        web_rig_test(what_comes_with_the_handshake_is_heard),
        web_rig_test(a_handshake_that_is_none_is_refused),
        web_rig_test(a_close_is_answered),
        web_rig_test(the_owner_closes_with_a_reason),
        web_rig_test(who_does_not_answer_a_close_is_dropped),
        web_rig_test(what_breaks_the_rules_is_closed_with_its_code),
        web_rig_test(a_frame_that_is_not_masked_ends_it),
        web_rig_test(who_floods_with_frames_is_closed),
        web_rig_test(who_reads_too_slowly_is_closed),
        web_rig_test(a_message_that_is_too_large_is_told_as_such),
        web_rig_test(the_silent_are_pinged_and_the_dead_dropped),
        web_rig_test(there_are_so_many_at_most),
        web_rig_test(the_end_of_the_server_is_told),
        web_rig_test(nothing_that_is_changed_does_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
