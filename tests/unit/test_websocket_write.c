/* Frames that are sent: read back by hand, as a server does. */
#include "shared/net/websocket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* Unmask the payload of one frame that is all of `frame`, with a head of `head` bytes and its key. */
static void unmask(struct buf *frame, size_t head)
{
    for (size_t i = head + 4; i < frame->len; i++) {
        frame->data[i] = (char)(frame->data[i] ^ frame->data[head + (i - head) % 4]);
    }
}

static void expect(struct buf *frame, const char *head, size_t len, struct slice payload)
{
    assert_int_equal(frame->len, len + 4 + payload.len);
    assert_memory_equal(frame->data, head, len);
    unmask(frame, len);
    assert_memory_equal(frame->data + len + 4, payload.len > 0 ? payload.ptr : "", payload.len);
    buf_clear(frame);
}

static void a_length_is_written_in_its_shortest_form(void **state)
{
    static const struct {
        size_t len;
        const char *head;
        size_t head_len;
    } rows[] = {
        {0, "\x81\x80", 2},
        {1, "\x81\x81", 2},
        {125, "\x81\xfd", 2},
        {126, "\x81\xfe\0\x7e", 4},
        {0x1234, "\x81\xfe\x12\x34", 4},
        {65535, "\x81\xfe\xff\xff", 4},
        {65536, "\x81\xff\0\0\0\0\0\1\0\0", 10},
        {0x123456, "\x81\xff\0\0\0\0\0\x12\x34\x56", 10},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char *payload = xmalloc(rows[i].len);
        struct buf out;

        for (size_t j = 0; j < rows[i].len; j++) {
            payload[j] = (char)(j * 7);
        }
        buf_init(&out, 1 << 22);
        websocket_write(&out, WEBSOCKET_TEXT_FRAME, (struct slice){payload, rows[i].len});
        expect(&out, rows[i].head, rows[i].head_len, (struct slice){payload, rows[i].len});
        buf_finish(&out);
        free(payload);
    }
}

static void frames_stand_behind_each_other_each_with_a_key_of_its_own(void **state)
{
    struct buf out;
    char keys[64][4];

    (void)state;
    buf_init(&out, 4096);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        websocket_write(&out, WEBSOCKET_PONG_FRAME, SLICE("abc"));
        assert_int_equal(out.len, (i + 1) * 9);
        assert_memory_equal(out.data + i * 9, "\x8a\x83", 2);
        memcpy(keys[i], out.data + i * 9 + 2, 4);
        for (size_t j = 0; j < i; j++) {
            assert_memory_not_equal(keys[i], keys[j],
                                    4); /* once in 2 million runs they are equal */
        }
    }
    buf_finish(&out);
}

static void a_frame_is_written_whole_or_not_at_all(void **state)
{
    (void)state;
    for (size_t max = 0; max < 12; max++) {
        struct buf out;

        buf_init(&out, max);
        websocket_write(&out, WEBSOCKET_PING_FRAME, SLICE("hello"));
        assert_int_equal(out.overflow, max < 11);
        assert_int_equal(out.len, max < 11 ? 0 : 11);
        websocket_write(&out, WEBSOCKET_PONG_FRAME, SLICE(""));
        assert_true(out.overflow);
        assert_int_equal(out.len, max < 11 ? 0 : 11);
        buf_finish(&out);
    }
}

#define A119                                                                                       \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"                                 \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

/* 123 bytes are left for the reason, and a character that does not fit is not cut. */
static void a_reason_is_cut_between_two_characters(void **state)
{
    static const struct {
        const char *reason, *kept;
    } rows[] = {
        {"", ""},
        {"bye \xc3\x9f", "bye \xc3\x9f"},
        {A119 "1234", A119 "1234"},
        {A119 "12345", A119 "1234"},
        {A119 "12\xc3\x9f", A119 "12\xc3\x9f"},
        {A119 "123\xc3\x9f", A119 "123"},
        {A119 "1\xe2\x82\xac", A119 "1\xe2\x82\xac"},
        {A119 "12\xe2\x82\xac", A119 "12"},
        {A119 "\xf0\x9f\x90\x9f", A119 "\xf0\x9f\x90\x9f"},
        {A119 "1\xf0\x9f\x90\x9f", A119 "1"},
        {"no \xff UTF-8", "no "},
    };
    struct buf out;

    (void)state;
    assert_int_equal(strlen(A119), 119);
    buf_init(&out, 4096);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char head[] = {(char)0x88, (char)(0x80 | (2 + strlen(rows[i].kept)))};
        char *payload = xasprintf("\x03\xea%s", rows[i].kept);

        websocket_write_close(&out, WEBSOCKET_CODE_PROTOCOL, slice_of(rows[i].reason));
        expect(&out, head, sizeof(head), slice_of(payload));
        free(payload);
    }
    websocket_write_close(&out, WEBSOCKET_CODE_NONE, SLICE("not said"));
    expect(&out, "\x88\x80", 2, SLICE(""));
    buf_finish(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_length_is_written_in_its_shortest_form),
        cmocka_unit_test(frames_stand_behind_each_other_each_with_a_key_of_its_own),
        cmocka_unit_test(a_frame_is_written_whole_or_not_at_all),
        cmocka_unit_test(a_reason_is_cut_between_two_characters),
    };

    return cmocka_run_group_tests_name("websocket_write", tests, NULL, NULL);
}
