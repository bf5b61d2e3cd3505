/* UTF-8 in pieces, against utf8_length, which looks at whole sequences. */
#include "shared/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum verdict { BAD, BEGUN, GOOD };

/* All bytes at which something changes (Unicode, table 3-7). */
static const unsigned char edges[] = {0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf,
                                      0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee,
                                      0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xf7, 0xf8, 0xff};
static const unsigned char tails[] = {0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf};

/* One piece, in memory of exactly its size, so that ASan sees a byte too many. */
static bool feed(struct utf8_check *check, const char *text, size_t len)
{
    char *copy = xmalloc(len);

    memcpy(copy, text, len);
    bool good = utf8_check_piece(check, (struct slice){copy, len});
    free(copy);
    return good;
}

/* Cut at `a` and `b`. */
static enum verdict judge(struct slice text, size_t a, size_t b)
{
    struct utf8_check check = {{0}};

    if (!feed(&check, text.ptr, a) || !feed(&check, text.ptr + a, b - a) ||
        !feed(&check, text.ptr + b, text.len - b)) {
        return BAD;
    }
    return utf8_check_is_whole(&check) ? GOOD : BEGUN;
}

/* Is there anything that makes a sequence of it? */
static bool can_be_ended(const char *text, size_t len)
{
    char more[4];

    if (len >= sizeof(more)) {
        return false;
    }
    memcpy(more, text, len);
    for (size_t i = 0; i < ARRAY_LEN(tails); i++) {
        more[len] = (char)tails[i];
        if (utf8_length(more, len + 1) == len + 1 || can_be_ended(more, len + 1)) {
            return true;
        }
    }
    return false;
}

static enum verdict model(struct slice text)
{
    size_t len;

    while ((len = utf8_length(text.ptr, text.len)) > 0) {
        text = (struct slice){text.ptr + len, text.len - len};
    }
    return text.len == 0 ? GOOD : can_be_ended(text.ptr, text.len) ? BEGUN : BAD;
}

static void expect(struct slice text, enum verdict verdict)
{
    for (size_t b = 0; b <= text.len; b++) {
        for (size_t a = 0; a <= b; a++) {
            enum verdict found = judge(text, a, b);
            if (found != verdict) {
                fail_msg("%.*s, cut at %zu and %zu: %d, and not %d", (int)text.len, text.ptr, a, b,
                         found, verdict);
            }
        }
    }
}

/* Byte by byte it is known as early as it can be; and however it is cut, it is the same. */
static void all_that_four_bytes_can_be_is_judged_as_by_their_length(void **state)
{
    const size_t n = ARRAY_LEN(edges);

    (void)state;
    for (size_t i = 0; i < n * n * n * n; i++) {
        const char text[] = {(char)edges[i / n / n / n], (char)edges[i / n / n % n],
                             (char)edges[i / n % n], (char)edges[i % n]};
        struct utf8_check check = {{0}};
        enum verdict verdict = GOOD;

        for (size_t len = 1; len <= sizeof(text) && verdict != BAD; len++) {
            struct slice byte = {text + len - 1, 1};
            bool good = utf8_check_piece(&check, byte);

            verdict = model((struct slice){text, len});
            assert_int_equal(good, verdict != BAD);
            assert_true(!good || utf8_check_is_whole(&check) == (verdict == GOOD));
        }
        if (i % 101 == 0 || verdict == GOOD) {
            expect((struct slice){text, sizeof(text)}, verdict);
        }
    }
}

/* UTF-8 as its definition has it, of any number below 2^21. */
static size_t encode(unsigned long point, char out[4])
{
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    size_t len = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    for (size_t i = len - 1; i > 0; i--, point >>= 6) {
        out[i] = (char)(0x80 | (point & 0x3f));
    }
    out[0] = (char)((len == 2 ? 0xc0 : len == 3 ? 0xe0 : 0xf0) | point);
    return len;
}

static void every_character_is_taken_and_no_surrogate_and_nothing_beyond(void **state)
{
    (void)state;
    for (unsigned long point = 0; point < 1UL << 21; point++) {
        bool good = point <= 0x10ffff && (point < 0xd800 || point > 0xdfff);
        char text[4];
        struct utf8_check check = {{0}};
        struct slice s = {text, encode(point, text)};

        assert_int_equal(utf8_check_piece(&check, s) && utf8_check_is_whole(&check), good);
        if (point % 997 == 0 || (point & 0xfff) == 0 || (point & 0xfff) == 0xfff) {
            expect(s, good ? GOOD : BAD);
        }
    }
}

/* The steps of 64 and 8 bytes overlook none. */
static void in_a_long_text_one_byte_is_enough(void **state)
{
    static const struct {
        const char *bytes;
        enum verdict verdict;
    } odd[] = {
        {"", GOOD},         {"\x80", BAD},        {"\xff", BAD},     {"\xc3\xa4", GOOD},
        {"\xe2x", BAD},     {"\xc0\xaf", BAD},    {"\xc1\xbf", BAD}, {"\xf0\x9f\x90\x9f", GOOD},
        {"\xc3\x80", GOOD}, {"\xed\xa0\x80", BAD}};

    (void)state;
    for (size_t len = 0; len < 150; len++) {
        for (size_t at = 0; at <= len; at++) {
            for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
                char text[200];
                size_t n = strlen(odd[i].bytes);
                struct slice s = {text, len + n};

                memset(text, 'a', sizeof(text));
                memcpy(text + at, odd[i].bytes, n);
                assert_int_equal(judge(s, 0, 0), odd[i].verdict);
                assert_int_equal(judge(s, at, at), odd[i].verdict);
                assert_int_equal(judge(s, n > 0 ? at + 1 : at, s.len), odd[i].verdict);
            }
        }
    }
}

static void a_text_that_ends_in_a_sequence_is_not_whole(void **state)
{
    static const char *const begun[] = {"\xc3",     "\xe2",         "\xe2\x82",  "\xf0",
                                        "\xf0\x9f", "\xf0\x9f\x90", "a\xed\x9f", "\xf4\x8f\xbf"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(begun); i++) {
        expect(slice_of(begun[i]), BEGUN);
    }
}

/* As the Autobahn test suite has them: 6.5 to 6.23. */
static void known_texts_are_judged_right(void **state)
{
    static const char *const good[] = {"hello$world",
                                       "hello\xc2\xa2world",
                                       "hello\xe2\x82\xacworld",
                                       "hello\xf0\xa4\xad\xa2world",
                                       "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5",
                                       "\xc2\x80",
                                       "\xe0\xa0\x80",
                                       "\xf0\x90\x80\x80",
                                       "\x7f",
                                       "\xdf\xbf",
                                       "\xef\xbf\xbf",
                                       "\xf4\x8f\xbf\xbf",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xef\xbf\xbd",
                                       "\xef\xbf\xbe",
                                       "\xf0\x9f\xbf\xbe",
                                       "\xf3\xaf\xbf\xbf",
                                       "\xef\xbf\xb9\xef\xbf\xba\xef\xbf\xbb"};
    static const char *const bad[] = {
        /* five and six bytes, and what is past U+10FFFF */
        "\xf8\x88\x80\x80\x80", "\xfc\x84\x80\x80\x80\x80", "\xf7\xbf\xbf\xbf", "\xf4\x90\x80\x80",
        "\xfb\xbf\xbf\xbf\xbf", "\xfd\xbf\xbf\xbf\xbf\xbf",
        /* what continues nothing, and what is not continued */
        "\x80", "\xbf", "\x80\xbf", "\x80\xbf\x80\xbf\x80\xbf", "\xc0 \xc1 ", "\xdf ", "\xe0 \xe1 ",
        "\xef ", "\xf0 ", "\xf7 ", "\xf8 ", "\xfc ", "\xc0", "\xe0\x80", "\xf0\x80\x80",
        "\xf8\x80\x80\x80", "\xf7\xbf\xbf", "\xe2\x82\xe2\x82", "\xf0\x9f\x90\xc3",
        /* bytes that are in no text */
        "\xfe", "\xff", "\xfe\xfe\xff\xff",
        /* longer than they need be */
        "\xc0\xaf", "\xe0\x80\xaf", "\xf0\x80\x80\xaf", "\xf8\x80\x80\x80\xaf", "\xc1\xbf",
        "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", "\xc0\x80", "\xe0\x80\x80", "\xf0\x80\x80\x80",
        /* surrogates, single and paired */
        "\xed\xa0\x80", "\xed\xad\xbf", "\xed\xae\x80", "\xed\xaf\xbf", "\xed\xb0\x80",
        "\xed\xbf\xbf", "\xed\xa0\x80\xed\xb0\x80", "\xed\xaf\xbf\xed\xbf\xbf"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        expect(slice_of(good[i]), GOOD);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        expect(slice_of(bad[i]), BAD);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_that_four_bytes_can_be_is_judged_as_by_their_length),
        cmocka_unit_test(every_character_is_taken_and_no_surrogate_and_nothing_beyond),
        cmocka_unit_test(in_a_long_text_one_byte_is_enough),
        cmocka_unit_test(a_text_that_ends_in_a_sequence_is_not_whole),
        cmocka_unit_test(known_texts_are_judged_right),
    };

    return cmocka_run_group_tests_name("utf8_check", tests, NULL, NULL);
}
