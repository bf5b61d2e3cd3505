/* Frames of a server, good and bad, whole and cut anywhere. The rows are named after the cases of the Autobahn test
 * suite that they are like: groups 1 to 7, and 10; what is named otherwise is not in it. */
#include "tests/lib/websocket_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { CONT = 0, TEXT = 1, BIN = 2, CLOSE = 8, PING = 9, PONG = 10, FIN = 0x80 };

struct frame {
    unsigned first;
    struct slice payload;
};

/* What frames are told as. `at`: bytes after which it is known that they are wrong. */
struct row {
    const char *name;
    struct frame frames[8]; /* those behind the last have no payload at all */
    const char *told;
    size_t at;
};

#define F(first, payload) {(first), {(payload), sizeof(payload) - 1}}
#define P125              /* a payload of 125 bytes */                                             \
    "0123456789012345678901234567890123456789012345678901234567890123456789"                       \
    "0123456789012345678901234567890123456789012345678901234"
#define BROKEN  "(broken 1002)"
#define NO_UTF8 "(broken 1007)"

/* `cut` may have told more of a message before it was known that it is not UTF-8. */
static bool same(const char *whole, const char *cut)
{
    size_t head = strlen(whole) - strlen(NO_UTF8);

    return strcmp(whole, cut) == 0 ||
           (strstr(whole, NO_UTF8) != NULL && strncmp(whole, cut, head) == 0 &&
            strcmp(cut + strlen(cut) - strlen(NO_UTF8), NO_UTF8) == 0);
}

static void feed_and_expect(const char *name, struct slice bytes, size_t piece, const char *told,
                            size_t at)
{
    struct websocket_rig r;

    websocket_rig_open(&r);
    websocket_rig_feed(&r, bytes, piece);
    if (!same(told, websocket_rig_told(&r))) {
        fail_msg("%s, in pieces of %zu: %s, and not %s", name, piece, websocket_rig_told(&r), told);
    }
    if (at != 0 && (r.ended_at < at || r.ended_at - at >= piece)) {
        fail_msg("%s, in pieces of %zu: known after %zu bytes, and not %zu", name, piece,
                 r.ended_at, at);
    }
    websocket_rig_finish(&r);
}

static void expect_rows(const struct row *rows, size_t n)
{
    struct buf bytes;

    buf_init(&bytes, 1 << 20);
    for (size_t i = 0; i < n; i++) {
        const struct frame *f = rows[i].frames;

        buf_clear(&bytes);
        for (; f < rows[i].frames + ARRAY_LEN(rows[i].frames) && f->payload.ptr != NULL; f++) {
            websocket_rig_frame(&bytes, f->first, f->payload);
        }
        for (size_t piece = 1; piece <= bytes.len; piece++) {
            feed_and_expect(rows[i].name, buf_slice(&bytes), piece, rows[i].told, rows[i].at);
        }
    }
    buf_finish(&bytes);
}

static void messages_of_every_form_of_length_come_as_they_are(void **state)
{
    static const size_t lengths[] = {0,   1,    124,   125,   126,   127,   128,
                                     129, 1000, 65534, 65535, 65536, 65537, 131072};
    static const size_t pieces[] = {1, 2, 3, 7, 64, 997, 1300, 4096, 65535, 65536, 1 << 20};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        char *payload = xmalloc(lengths[i] + 2);
        struct buf bytes;

        buf_init(&bytes, 1 << 20);
        memset(payload, '*', lengths[i]);
        websocket_rig_frame(&bytes, FIN | TEXT, (struct slice){payload, lengths[i]}); /* 1.1 */
        websocket_rig_frame(&bytes, FIN | BIN, (struct slice){payload, lengths[i]});  /* 1.2 */
        memcpy(payload + lengths[i], "|", 2);
        char *told = xasprintf("%s%s", payload, payload);
        for (size_t j = 0; j < ARRAY_LEN(pieces); j++) {
            feed_and_expect("1.1", buf_slice(&bytes), pieces[j], told, 0);
        }
        free(told);
        free(payload);
        buf_finish(&bytes);
    }
}

static void payload_is_handed_out_from_where_it_was_read(void **state)
{
    static const char bytes[] = "\x81\x05helloxx\x89\x02!!";
    struct websocket_rig r;
    struct slice in = {bytes, 7};
    struct websocket_found found;

    (void)state;
    websocket_rig_open(&r);
    assert_int_equal(websocket_next(&r.ws, &in, &found, &r.err), WEBSOCKET_DATA);
    assert_ptr_equal(found.bytes.ptr, bytes + 2);
    assert_int_equal(found.bytes.len, 5);
    assert_true(found.last);
    in = (struct slice){bytes + 9, 4};
    assert_int_equal(websocket_next(&r.ws, &in, &found, &r.err), WEBSOCKET_PING);
    assert_ptr_equal(found.bytes.ptr, bytes + 11);
    assert_null(r.ws.answer.line.data); /* and nothing else is kept */
    websocket_rig_finish(&r);
}

/* A megabyte in frames of 1 KiB, and in one frame: 10.1, 1.1.6. */
static void a_message_has_no_bound(void **state)
{
    char kib[1024];
    char head[] = "\x82\x7f\0\0\0\1\0\0\0\0"; /* 4 GiB */
    struct websocket_rig r;
    struct websocket_found found;
    struct buf frame;
    uint64_t got = 0;

    (void)state;
    memset(kib, '*', sizeof(kib));
    buf_init(&frame, 2048);
    websocket_rig_open(&r);
    for (int i = 0; i <= 1024; i++) {
        buf_clear(&frame);
        websocket_rig_frame(&frame, (i == 0 ? TEXT : CONT) | (i == 1024 ? FIN : 0),
                            (struct slice){kib, sizeof(kib)});
        struct slice in = buf_slice(&frame);
        assert_int_equal(websocket_next(&r.ws, &in, &found, &r.err), WEBSOCKET_DATA);
        assert_int_equal(found.bytes.len, sizeof(kib));
        assert_int_equal(found.last, i == 1024);
    }
    struct slice in = {head, 10};
    assert_int_equal(websocket_next(&r.ws, &in, &found, &r.err), WEBSOCKET_MORE);
    while (got < UINT64_C(1) << 32) {
        static char mib[1 << 20];
        in = (struct slice){mib, sizeof(mib)};
        assert_int_equal(websocket_next(&r.ws, &in, &found, &r.err), WEBSOCKET_DATA);
        got += found.bytes.len;
        assert_int_equal(found.last, got == UINT64_C(1) << 32);
    }
    buf_finish(&frame);
    websocket_rig_finish(&r);
}

static void pings_are_told_and_pongs_are_not(void **state)
{
    static const struct row rows[] = {
        {"2.1", {F(FIN | PING, "")}, "(ping )", 0},
        {"2.2", {F(FIN | PING, "Hello, world!")}, "(ping Hello, world!)", 0},
        {"2.3", {F(FIN | PING, "\x01\xff\xfe\xfd\xfc\xfb")}, "(ping \x01\xff\xfe\xfd\xfc\xfb)", 0},
        {"2.4, 2.6", {F(FIN | PING, P125)}, "(ping " P125 ")", 0},
        {"2.5", {F(FIN | PING, P125 "x")}, BROKEN, 2},
        {"2.7", {F(FIN | PONG, "")}, "", 0},
        {"2.8", {F(FIN | PONG, "unsolicited")}, "", 0},
        {"2.9", {F(FIN | PONG, "unsolicited"), F(FIN | PING, "p")}, "(ping p)", 0},
        {"a long pong", {F(FIN | PONG, P125 "x")}, BROKEN, 2},
        {"2.10, 2.11",
         {F(FIN | PING, "0"), F(FIN | PING, "1"), F(FIN | PING, "2"), F(FIN | PING, "3"),
          F(FIN | PONG, "no"), F(FIN | PING, "4"), F(FIN | PING, P125), F(FIN | TEXT, "x")},
         "(ping 0)(ping 1)(ping 2)(ping 3)(ping 4)(ping " P125 ")x|",
         0},
    };

    (void)state;
    expect_rows(rows, ARRAY_LEN(rows));
}

static void bits_of_extensions_are_refused(void **state)
{
    static const struct row rows[] = {
        {"3.1", {F(FIN | 0x10 | TEXT, "x")}, BROKEN, 1},
        {"3.2", {F(FIN | TEXT, "x"), F(FIN | 0x20 | TEXT, "y"), F(FIN | PING, "")}, "x|" BROKEN, 4},
        {"3.3", {F(FIN | TEXT, "x"), F(FIN | 0x30 | TEXT, "y"), F(FIN | PING, "")}, "x|" BROKEN, 4},
        {"3.4", {F(FIN | TEXT, "x"), F(FIN | 0x40 | TEXT, "y"), F(FIN | PING, "")}, "x|" BROKEN, 4},
        {"3.5", {F(FIN | 0x50 | BIN, "x")}, BROKEN, 1},
        {"3.6", {F(FIN | 0x60 | PING, "x")}, BROKEN, 1},
        {"3.7", {F(FIN | 0x70 | CLOSE, "")}, BROKEN, 1},
        {"in a continuation", {F(TEXT, "x"), F(FIN | 0x10 | CONT, "y")}, "x" BROKEN, 4},
    };

    (void)state;
    expect_rows(rows, ARRAY_LEN(rows));
}

static void unknown_opcodes_are_refused(void **state)
{
    (void)state;
    for (unsigned opcode = 0; opcode < 16; opcode++) {
        bool known = opcode <= BIN || (opcode >= CLOSE && opcode <= PONG);
        struct row rows[] = {
            {"4.1.1, 4.2.1", {F(FIN | opcode, "")}, BROKEN, 1},
            {"4.1.3, 4.2.3", {F(FIN | TEXT, "x"), F(FIN | opcode, "y")}, "x|" BROKEN, 4},
            {"4, in a message", {F(TEXT, "x"), F(opcode, "y")}, "x" BROKEN, 4},
        };

        if (!known) {
            expect_rows(rows, ARRAY_LEN(rows));
        }
    }
}

static void messages_are_fragmented_as_they_may_be(void **state)
{
    static const struct row rows[] = {
        {"5.1", {F(PING, "a"), F(FIN | CONT, "b")}, BROKEN, 1},
        {"5.2", {F(PONG, "a"), F(FIN | CONT, "b")}, BROKEN, 1},
        {"a close in fragments", {F(CLOSE, ""), F(FIN | CONT, "")}, BROKEN, 1},
        {"5.3 to 5.5", {F(TEXT, "one, "), F(FIN | CONT, "two")}, "one, two|", 0},
        {"5.6 to 5.8",
         {F(TEXT, "one, "), F(FIN | PING, "p"), F(FIN | CONT, "two")},
         "one, (ping p)two|",
         0},
        {"5.9 to 5.11", {F(FIN | CONT, "x"), F(FIN | TEXT, "y")}, BROKEN, 1},
        {"5.12 to 5.14", {F(CONT, "x"), F(FIN | TEXT, "y")}, BROKEN, 1},
        {"5.15",
         {F(TEXT, "one, "), F(FIN | CONT, "two"), F(CONT, "x"), F(FIN | TEXT, "y")},
         "one, two|" BROKEN,
         13},
        {"5.16", {F(CONT, "x"), F(TEXT, "y"), F(FIN | CONT, "z")}, BROKEN, 1},
        {"5.17", {F(FIN | CONT, "x"), F(TEXT, "y"), F(FIN | CONT, "z")}, BROKEN, 1},
        {"5.18", {F(TEXT, "one, "), F(FIN | TEXT, "two")}, "one, " BROKEN, 8},
        {"a binary within a text", {F(TEXT, "one"), F(FIN | BIN, "two")}, "one" BROKEN, 6},
        {"a text within a binary", {F(BIN, "one"), F(FIN | TEXT, "two")}, "one" BROKEN, 6},
        {"5.19, 5.20",
         {F(TEXT, "1"), F(CONT, "2"), F(FIN | PING, "p"), F(CONT, "3"), F(CONT, "4"),
          F(FIN | PING, "q"), F(FIN | CONT, "5"), F(FIN | TEXT, "6")},
         "12(ping p)34(ping q)5|6|",
         0},
        {"a binary in fragments", {F(BIN, "\xff"), F(FIN | CONT, "\x80")}, "\xff\x80|", 0},
        {"6.1.1", {F(FIN | TEXT, "")}, "|", 0},
        {"6.1.2", {F(TEXT, ""), F(CONT, ""), F(FIN | CONT, "")}, "|", 0},
        {"6.1.3", {F(TEXT, ""), F(CONT, "x"), F(FIN | CONT, "")}, "x|", 0},
    };

    (void)state;
    expect_rows(rows, ARRAY_LEN(rows));
}

#define KOSME "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"

static void a_text_that_is_not_utf8_ends_it_as_early_as_that_is_known(void **state)
{
    static const struct row rows[] = {
        {"6.2.1", {F(FIN | TEXT, "Hello-\xc2\xb5@\xc3\x9f")}, "Hello-\xc2\xb5@\xc3\x9f|", 0},
        {"6.2.2",
         {F(TEXT, "Hello-\xc2\xb5@"), F(FIN | CONT, "\xc3\x9f")},
         "Hello-\xc2\xb5@\xc3\x9f|",
         0},
        {"6.2.3", {F(TEXT, "\xc2"), F(CONT, "\xb5"), F(FIN | CONT, "")}, "\xc2\xb5|", 0},
        {"6.2.4",
         {F(TEXT, "\xf0"), F(CONT, "\x9f"), F(FIN | PING, "\xff"), F(CONT, "\x90"),
          F(FIN | CONT, "\x9f")},
         "\xf0\x9f(ping \xff)\x90\x9f|",
         0},
        {"6.3.1",
         {F(FIN | TEXT, KOSME "\xed\xa0\x80"
                              "edited")},
         NO_UTF8,
         15},
        {"6.3.2", {F(TEXT, "\xed"), F(CONT, "\xa0"), F(FIN | CONT, "\x80")}, "\xed" NO_UTF8, 6},
        {"6.4.1",
         {F(TEXT, KOSME), F(CONT, "\xf4\x90\x80\x80"), F(FIN | CONT, "edited")},
         KOSME NO_UTF8,
         17},
        {"6.4.2",
         {F(TEXT, KOSME "\xf4"), F(CONT, "\x90"), F(FIN | CONT, "\x80\x80")},
         KOSME "\xf4" NO_UTF8,
         17},
        {"6.4.3, 6.4.4",
         {F(FIN | TEXT, KOSME "\xf4\x90\x80\x80"
                              "edited")},
         NO_UTF8,
         15},
        {"a binary may have it", {F(FIN | BIN, "\xed\xa0\x80")}, "\xed\xa0\x80|", 0},
        {"a message ends in a sequence", {F(FIN | TEXT, "x\xe2\x82")}, NO_UTF8, 5},
        {"the same, in fragments",
         {F(TEXT, "x\xe2\x82"), F(FIN | CONT, "")},
         "x\xe2\x82" NO_UTF8,
         7},
        {"the next message does not end it",
         {F(FIN | TEXT, "x\xe2"), F(FIN | TEXT, "\x82\xac")},
         NO_UTF8,
         4},
    };

    (void)state;
    expect_rows(rows, ARRAY_LEN(rows));
}

static void after_a_close_nothing_is_told(void **state)
{
    static const struct row rows[] = {
        {"7.1.1", {F(FIN | TEXT, "x"), F(FIN | CLOSE, "\x03\xe8")}, "x|(close 1000 )", 7},
        {"7.1.2", {F(FIN | CLOSE, "\x03\xe8"), F(FIN | CLOSE, "\x03\xe8")}, "(close 1000 )", 4},
        {"7.1.3", {F(FIN | CLOSE, ""), F(FIN | PING, "p")}, "(close 1005 )", 2},
        {"7.1.4", {F(FIN | CLOSE, ""), F(FIN | TEXT, "x")}, "(close 1005 )", 2},
        {"7.1.5", {F(TEXT, "x"), F(FIN | CLOSE, ""), F(FIN | CONT, "y")}, "x(close 1005 )", 5},
        {"7.1.6", {F(FIN | CLOSE, ""), F(0x70, "x")}, "(close 1005 )", 2},
        {"nor after what is broken", {F(FIN | 3, ""), F(FIN | TEXT, "x")}, BROKEN, 1},
    };

    (void)state;
    expect_rows(rows, ARRAY_LEN(rows));
}

static void a_close_says_a_code_and_a_reason_or_neither(void **state)
{
    static const struct row rows[] = {
        {"7.3.1", {F(FIN | CLOSE, "")}, "(close 1005 )", 2},
        {"nothing of a pong", {F(FIN | PONG, "no"), F(FIN | CLOSE, "")}, "(close 1005 )", 6},
        {"7.3.2", {F(FIN | CLOSE, "\x03")}, BROKEN, 2},
        {"7.3.3", {F(FIN | CLOSE, "\x03\xe8")}, "(close 1000 )", 4},
        {"7.3.4", {F(FIN | CLOSE, "\x03\xe8 bye \xc3\x9f")}, "(close 1000  bye \xc3\x9f)", 11},
        {"7.3.5", {F(FIN | CLOSE, "01" P125)}, BROKEN, 2},
        {"7.3.6", {F(FIN | CLOSE, "\x0f\xa1" P125)}, BROKEN, 2},
        {"7.5.1", {F(FIN | CLOSE, "\x03\xe8\xed\xa0\x80")}, NO_UTF8, 7},
        {"a reason that is cut", {F(FIN | CLOSE, "\x03\xe8x\xe2\x82")}, NO_UTF8, 7},
        {"7.1.5, a message is cut",
         {F(TEXT, "\xe2\x82"), F(FIN | CLOSE, "")},
         "\xe2\x82(close 1005 )",
         6},
    };
    static const struct {
        unsigned first, last;
    } valid[] = {{1000, 1003}, {1007, 1014}, {3000, 4999}}; /* 7.7; all others: 7.9, 7.13 */

    (void)state;
    expect_rows(rows, ARRAY_LEN(rows));
    for (unsigned code = 0; code <= 0xffff; code++) {
        const char frame[] = {(char)(FIN | CLOSE), 2, (char)(code >> 8), (char)code};
        char told[32] = BROKEN;

        for (size_t i = 0; i < ARRAY_LEN(valid); i++) {
            if (code >= valid[i].first && code <= valid[i].last) {
                (void)snprintf(told, sizeof(told), "(close %u )", code);
            }
        }
        feed_and_expect("7.7, 7.9", (struct slice){frame, 4}, 4, told, 0);
    }
}

static void heads_that_no_server_writes_are_refused(void **state)
{
    const struct {
        const char *name;
        struct slice bytes;
        size_t at;
    } rows[] = {
        {"masked", SLICE("\x81\x81\1\2\3\4x"), 2},
        {"masked and empty", SLICE("\x81\x80\1\2\3\4"), 2},
        {"a masked ping", SLICE("\x89\x80\1\2\3\4"), 2},
        {"0 in 2 bytes", SLICE("\x82\x7e\0\0"), 4},
        {"125 in 2 bytes", SLICE("\x82\x7e\0\x7d"), 4},
        {"0 in 8 bytes", SLICE("\x82\x7f\0\0\0\0\0\0\0\0"), 10},
        {"125 in 8 bytes", SLICE("\x82\x7f\0\0\0\0\0\0\0\x7d"), 10},
        {"65535 in 8 bytes", SLICE("\x82\x7f\0\0\0\0\0\0\xff\xff"), 10},
        {"the top bit", SLICE("\x82\x7f\x80\0\0\0\0\1\0\0"), 10},
        {"all bits", SLICE("\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff"), 10},
        {"a ping with 2 bytes of length", SLICE("\x89\x7e\0\x7e"), 2},
        {"a close with 8 bytes of length", SLICE("\x88\x7f\0\0\0\0\0\1\0\0"), 2},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (size_t piece = 1; piece <= rows[i].bytes.len; piece++) {
            feed_and_expect(rows[i].name, rows[i].bytes, piece, BROKEN, rows[i].at);
        }
    }
    feed_and_expect("the largest", SLICE("\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff*"), 1, "*", 0);
}

static void what_is_broken_is_said(void **state)
{
    struct websocket_rig r;

    (void)state;
    websocket_rig_open(&r);
    websocket_rig_feed(&r, SLICE("\x81\x81"), 2);
    assert_int_equal(r.err.code, ERR_PROTOCOL);
    assert_string_equal(r.err.text,
                        "the WebSocket protocol is broken: a frame of the server is masked");
    assert_false(r.answered);
    websocket_rig_finish(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_of_every_form_of_length_come_as_they_are),
        cmocka_unit_test(payload_is_handed_out_from_where_it_was_read),
        cmocka_unit_test(a_message_has_no_bound),
        cmocka_unit_test(pings_are_told_and_pongs_are_not),
        cmocka_unit_test(bits_of_extensions_are_refused),
        cmocka_unit_test(unknown_opcodes_are_refused),
        cmocka_unit_test(messages_are_fragmented_as_they_may_be),
        cmocka_unit_test(a_text_that_is_not_utf8_ends_it_as_early_as_that_is_known),
        cmocka_unit_test(after_a_close_nothing_is_told),
        cmocka_unit_test(a_close_says_a_code_and_a_reason_or_neither),
        cmocka_unit_test(heads_that_no_server_writes_are_refused),
        cmocka_unit_test(what_is_broken_is_said),
    };

    return cmocka_run_group_tests_name("websocket", tests, NULL, NULL);
}
