/* Send split: long texts in parts. */
#include "node/send_split.h"

#include "shared/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define FAMILY                                                                                     \
    "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa7" /* 5 characters */
#define FLAG   "\xf0\x9f\x87\xa9\xf0\x9f\x87\xaa"                              /* 2 */
#define E_MARK "e\xcc\x81"                                                     /* 2 */

static struct buf text;

static void times(const char *what, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        buf_append_str(&text, what);
    }
}

static int begin(void **state)
{
    (void)state;
    buf_init(&text, 100000);
    return 0;
}

static int finish(void **state)
{
    (void)state;
    buf_finish(&text);
    return 0;
}

static size_t chars(struct slice s)
{
    size_t n = 0;

    for (size_t i = 0; i < s.len; i++) {
        n += ((unsigned char)s.ptr[i] & 0xc0) != 0x80;
    }
    return n;
}

/* The part, and that there are so many. */
static struct slice part(unsigned i, unsigned of)
{
    struct slice out;
    struct err err = {0};
    unsigned parts;

    assert_int_equal(send_split(buf_slice(&text), i, &out, &parts, &err), 0);
    assert_int_equal(parts, of);
    return out;
}

/* Its parts have so many characters; 0 ends them. */
static void expect(const unsigned *lengths)
{
    unsigned n = 0;

    while (lengths[n] > 0) {
        n++;
    }
    for (unsigned i = 0; i < n; i++) {
        assert_int_equal(chars(part(i, n)), lengths[i]);
    }
}

static void a_text_that_fits_is_one_part_as_it_is(void **state)
{
    (void)state;
    buf_append_str(&text, "  a ");
    assert_true(slice_is(part(0, 1), "  a "));
    buf_clear(&text);
    times("x", 499);
    times(" ", 1);
    assert_true(slice_eq(part(0, 1), buf_slice(&text)));
}

static void a_text_is_cut_at_the_last_blank_of_what_fits(void **state)
{
    (void)state;
    times("word ", 150); /* 750: the 100th ends with the blank that is number 500 */
    assert_int_equal(part(0, 2).len, 499);
    assert_memory_equal(part(1, 2).ptr, "word word", 9);
    assert_int_equal(part(1, 2).len, 249);

    buf_clear(&text);
    times("x", 500); /* the blank comes right behind what fits */
    times(" ", 3);
    times("y", 3);
    expect((unsigned[]){500, 3, 0});
    assert_true(slice_is(part(1, 2), "yyy"));

    buf_clear(&text);
    times("x", 400);
    times(" ", 200);
    times("y", 400);
    expect((unsigned[]){400, 400, 0});
}

static void without_a_blank_a_text_is_cut_between_characters(void **state)
{
    (void)state;
    times("\xc3\xbc", 1001);
    expect((unsigned[]){500, 500, 1, 0});
}

static void a_cut_is_never_within_what_is_seen_as_one_character(void **state)
{
    (void)state;
    times("x", 498);
    times(FAMILY, 1);
    times(FLAG, 1);
    expect((unsigned[]){498, 7, 0});

    buf_clear(&text);
    times("x", 499);
    times(FLAG, 3);
    expect((unsigned[]){499, 6, 0});

    buf_clear(&text);
    times("x", 499);
    times(E_MARK, 2);
    expect((unsigned[]){499, 4, 0});

    buf_clear(&text);
    times("x", 499);
    times(" \xcc\x81", 1); /* a blank that carries a mark is none */
    times("y", 10);
    expect((unsigned[]){499, 12, 0});
}

static void what_does_not_fit_is_refused_with_what_is_wrong(void **state)
{
    struct slice out;
    unsigned parts;
    struct err err = {0};

    (void)state;
    times("x", 2501);
    assert_int_equal(send_split(buf_slice(&text), 0, &out, &parts, &err), -ERR_PROTOCOL);
    assert_string_equal(err.text, "text: does not fit into 5 parts of 500 characters.");
    buf_clear(&text);
    times("x", 2500);
    expect((unsigned[]){500, 500, 500, 500, 500, 0});

    buf_clear(&text);
    times("e", 1);
    times("\xcc\x81", 500);
    assert_int_equal(send_split(buf_slice(&text), 0, &out, &parts, &err), -ERR_PROTOCOL);
    assert_string_equal(err.text, "text: a single character in it is longer than 500 characters.");
}

static void a_part_that_looks_like_a_command_leaves_room_for_what_is_put_in_front(void **state)
{
    (void)state;
    buf_clear(&text);
    times("x", 500);
    times("/", 500);
    expect((unsigned[]){500, 499, 1, 0});
}

static void whatever_comes_parts_are_short_and_nothing_but_blanks_is_lost(void **state)
{
    static const char *const pieces[] = {"x",  "word ", " ",        FAMILY,
                                         FLAG, E_MARK,  "\xc3\xbc", "\xff"};
    struct err err;
    uint32_t seed = 1;

    (void)state;
    for (unsigned round = 0; round < 200; round++) {
        size_t at = 0;
        struct slice out;
        unsigned parts;
        buf_clear(&text);
        for (unsigned i = 0; i < 50 + round * 3; i++) {
            seed = seed * 1664525 + 1013904223;
            times(pieces[(seed >> 16) % ARRAY_LEN(pieces)], 1 + (seed >> 24) % 3);
        }
        if (send_split(buf_slice(&text), 0, &out, &parts, &err) != 0) {
            continue;
        }
        for (unsigned i = 0; i < parts; i++) {
            struct slice p = part(i, parts);
            assert_in_range(p.len, 1, 8192);
            for (size_t k = at; k < (size_t)(p.ptr - text.data); k++) {
                assert_int_equal(text.data[k], ' ');
            }
            at = (size_t)(p.ptr - text.data) + p.len;
        }
        for (; at < text.len; at++) {
            assert_int_equal(text.data[at], ' ');
        }
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, finish)
    const struct CMUnitTest tests[] = {
        TEST(a_text_that_fits_is_one_part_as_it_is),
        TEST(a_text_is_cut_at_the_last_blank_of_what_fits),
        TEST(without_a_blank_a_text_is_cut_between_characters),
        TEST(a_cut_is_never_within_what_is_seen_as_one_character),
        TEST(what_does_not_fit_is_refused_with_what_is_wrong),
        TEST(a_part_that_looks_like_a_command_leaves_room_for_what_is_put_in_front),
        TEST(whatever_comes_parts_are_short_and_nothing_but_blanks_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
