/* Messages into lines, however they are cut. */
#include "shared/irc/splitter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* What a splitter gave out, joined with '|'. */
struct seen {
    char text[512];
    size_t lines;
    size_t bytes;
    size_t stop_after; /* lines; 0: never */
    struct irc_splitter *finish;
};

static bool on_line(void *ctx, struct slice line)
{
    struct seen *seen = ctx;
    size_t at = strlen(seen->text);

    if (at + line.len + 2 < sizeof(seen->text)) {
        memcpy(seen->text + at, line.ptr, line.len);
        memcpy(seen->text + at + line.len, "|", 2);
    }
    seen->lines++;
    seen->bytes += line.len;
    if (seen->lines == seen->stop_after) {
        if (seen->finish != NULL) {
            irc_splitter_finish(seen->finish);
        }
        return false;
    }
    return true;
}

static void lines_that_share_a_frame_are_split(void **state)
{
    struct irc_splitter s;
    struct seen seen = {0};

    (void)state;
    irc_splitter_init(&s);
    (void)irc_splitter_piece(&s, SLICE("PING :a\r\nPING :b\n\r\n\nPING :c\r\n"), false, on_line,
                             &seen);
    assert_string_equal(seen.text, "PING :a|PING :b|PING :c|");
    assert_null(s.pending);
    irc_splitter_finish(&s);
}

static void a_line_cut_anywhere_comes_out_the_same(void **state)
{
    static const char text[] = "PING :first\r\nPRIVMSG #bar :second\r\nX\r\n";
    size_t len = sizeof(text) - 1;

    (void)state;
    for (size_t a = 0; a <= len; a++) {
        for (size_t b = a; b <= len; b++) {
            struct irc_splitter s;
            struct seen seen = {0};

            irc_splitter_init(&s);
            (void)irc_splitter_piece(&s, (struct slice){text, a}, false, on_line, &seen);
            (void)irc_splitter_piece(&s, (struct slice){text + a, b - a}, false, on_line, &seen);
            (void)irc_splitter_piece(&s, (struct slice){text + b, len - b}, false, on_line, &seen);
            assert_string_equal(seen.text, "PING :first|PRIVMSG #bar :second|X|");
            irc_splitter_finish(&s);
        }
    }
}

static void the_end_of_a_message_ends_a_line(void **state)
{
    struct irc_splitter s;
    struct seen seen = {0};

    (void)state;
    irc_splitter_init(&s);
    (void)irc_splitter_piece(&s, SLICE("PING :a"), false, on_line, &seen);
    assert_int_equal(seen.lines, 0);
    assert_true(irc_splitter_piece(&s, SLICE(""), true, on_line, &seen));
    assert_true(irc_splitter_piece(&s, SLICE(""), true, on_line, &seen));
    assert_string_equal(seen.text, "PING :a|");
    (void)irc_splitter_piece(&s, SLICE("PING :b\r"), false, on_line, &seen);
    assert_true(irc_splitter_piece(&s, SLICE(""), true, on_line, &seen));
    assert_string_equal(seen.text, "PING :a|PING :b|");
    irc_splitter_finish(&s);
}

static void a_line_too_long_is_skipped_and_the_next_one_is_not(void **state)
{
    static const size_t pieces[] = {100 * 1000, 1000, 7, 65536, 65537};
    char *big = malloc(100 * 1000);

    (void)state;
    memset(big, 'x', 100 * 1000);
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        struct irc_splitter s;
        struct seen seen = {0};
        size_t left = 100 * 1000;

        irc_splitter_init(&s);
        while (left > 0) {
            size_t n = left < pieces[i] ? left : pieces[i];

            (void)irc_splitter_piece(&s, (struct slice){big, n}, false, on_line, &seen);
            left -= n;
        }
        (void)irc_splitter_piece(&s, SLICE("tail\r\nPING :after\r\n"), false, on_line, &seen);
        assert_string_equal(seen.text, "PING :after|");
        assert_int_equal(s.too_long, 1);
        assert_true(s.cap <= IRC_MAX_LINE_BYTES * 2);
        irc_splitter_finish(&s);
    }
    free(big);
}

static void the_longest_line_passes_whole_and_cut(void **state)
{
    size_t len = IRC_MAX_LINE_BYTES + 2;
    char *big = malloc(len);

    (void)state;
    memset(big, 'x', len);
    big[len - 2] = '\r';
    big[len - 1] = '\n';
    for (size_t cut = 0; cut <= len; cut += cut + 3 < len - 3 && cut > 3 ? 8191 : 1) {
        struct irc_splitter s;
        struct seen seen = {0};

        irc_splitter_init(&s);
        (void)irc_splitter_piece(&s, (struct slice){big, cut}, false, on_line, &seen);
        (void)irc_splitter_piece(&s, (struct slice){big + cut, len - cut}, false, on_line, &seen);
        assert_int_equal(seen.lines, 1);
        assert_int_equal(seen.bytes, IRC_MAX_LINE_BYTES);
        assert_int_equal(s.too_long, 0);
        irc_splitter_finish(&s);
    }
    big[len - 2] = 'x'; /* now one byte too many, and LF alone */
    for (size_t cut = 0; cut <= 2; cut++) {
        struct irc_splitter s;
        struct seen seen = {0};

        irc_splitter_init(&s);
        (void)irc_splitter_piece(&s, (struct slice){big, len - cut}, false, on_line, &seen);
        (void)irc_splitter_piece(&s, (struct slice){big + len - cut, cut}, false, on_line, &seen);
        assert_int_equal(seen.lines, 0);
        assert_int_equal(s.too_long, 1);
        irc_splitter_finish(&s);
    }
    free(big);
}

static void a_listener_that_stops_may_finish_the_splitter(void **state)
{
    struct irc_splitter s;
    struct seen seen = {.stop_after = 1, .finish = &s};

    (void)state;
    irc_splitter_init(&s);
    (void)irc_splitter_piece(&s, SLICE("PING "), false, on_line, &seen);
    (void)irc_splitter_piece(&s, SLICE(":a\r\nPING :b\r\n"), false, on_line, &seen);
    assert_int_equal(seen.lines, 1);
    assert_null(s.pending);
}

static void of_a_peer_that_ends_its_lines_the_end_of_a_message_is_none(void **state)
{
    struct irc_splitter s;
    struct seen seen = {0};

    (void)state;
    irc_splitter_init(&s);
    assert_true(irc_splitter_piece(&s, SLICE("PING :a"), true, on_line, &seen));
    assert_int_equal(seen.lines, 1);
    assert_true(irc_splitter_piece(&s, SLICE("PING :b\r\nPING "), true, on_line, &seen));
    assert_int_equal(seen.lines, 2);
    assert_true(irc_splitter_piece(&s, SLICE(":c\r\n"), true, on_line, &seen));
    assert_int_equal(seen.lines, 3);
    irc_splitter_finish(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_that_share_a_frame_are_split),
        cmocka_unit_test(a_line_cut_anywhere_comes_out_the_same),
        cmocka_unit_test(the_end_of_a_message_ends_a_line),
        cmocka_unit_test(a_line_too_long_is_skipped_and_the_next_one_is_not),
        cmocka_unit_test(the_longest_line_passes_whole_and_cut),
        cmocka_unit_test(a_listener_that_stops_may_finish_the_splitter),
        cmocka_unit_test(of_a_peer_that_ends_its_lines_the_end_of_a_message_is_none),
    };

    return cmocka_run_group_tests_name("splitter", tests, NULL, NULL);
}
