/* Base: slices, numbers, random values, clocks, and the end of a process that has a bug. */
#include "shared/base.h"

#include "shared/utf8.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void copies_are_nul_terminated_and_own(void **state)
{
    (void)state;
    char text[] = "abcdef";

    char *copy = xstrndup(text, 3);
    char *none = xstrndup(NULL, 0);
    char *printed = xasprintf("%s-%d", text, 7);
    text[0] = 'X';

    assert_string_equal(copy, "abc");
    assert_string_equal(none, "");
    assert_string_equal(printed, "abcdef-7");
    free(copy);
    free(none);
    free(printed);
}

static void asking_for_nothing_gives_memory_all_the_same(void **state)
{
    (void)state;
    void *a = xmalloc(0);
    void *b = xcalloc(0, 8);
    a = xrealloc(a, 0);

    assert_non_null(a);
    assert_non_null(b);
    free(a);
    free(b);
}

static void slices_compare_by_their_bytes(void **state)
{
    (void)state;
    assert_true(slice_eq(SLICE("abc"), slice_of("abc")));
    assert_true(slice_eq((struct slice){NULL, 0}, slice_of(NULL)));
    assert_false(slice_eq(SLICE("abc"), SLICE("abd")));
    assert_false(slice_eq(SLICE("ab"), SLICE("abc")));
    assert_true(slice_is((struct slice){"abcdef", 3}, "abc"));
    assert_false(slice_is(SLICE("a\0b"), "a"));
}

static void slices_are_trimmed_and_split(void **state)
{
    struct slice left = SLICE("a,,b");
    struct slice one;

    (void)state;
    assert_true(slice_is(slice_trim(SLICE(" \ta b\t ")), "a b"));
    assert_int_equal(slice_trim(SLICE(" \t ")).len, 0);
    assert_int_equal(slice_trim((struct slice){NULL, 0}).len, 0);
    assert_true(slice_split(&left, ',', &one) && slice_is(one, "a") && slice_is(left, ",b"));
    assert_true(slice_split(&left, ',', &one) && slice_is(one, "") && slice_is(left, "b"));
    assert_true(!slice_split(&left, ',', &one) && slice_is(one, "b") && slice_is(left, ""));
    assert_true(!slice_split(&left, ',', &one) && slice_is(one, ""));
}

static void a_number_is_a_number_whole_or_not_at_all(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool good;
        uint64_t value;
    } cases[] = {
        {"0", true, 0},
        {"007", true, 7},
        {"18446744073709551615", true, UINT64_MAX},
        {"18446744073709551616", false, 0},
        {"99999999999999999999", false, 0},
        {"", false, 0},
        {"-1", false, 0},
        {"+1", false, 0},
        {" 1", false, 0},
        {"1 ", false, 0},
        {"1x", false, 0},
        {"0x1", false, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t value = 4711;
        assert_int_equal(slice_to_u64(slice_of(cases[i].text), &value), cases[i].good);
        assert_true(value == (cases[i].good ? cases[i].value : 4711));
    }
}

static void only_well_formed_utf8_has_a_length(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t len;
    } cases[] = {
        {"a", 1},
        {"\xc3\xa4", 2},
        {"\xe2\x82\xac", 3},
        {"\xf0\x9f\x90\x9f", 4},
        {"", 0},
        {"\x80", 0},             /* a tail alone */
        {"\xc0\x80", 0},         /* overlong */
        {"\xe0\x80\x80", 0},     /* overlong */
        {"\xed\xa0\x80", 0},     /* surrogate */
        {"\xf4\x90\x80\x80", 0}, /* past U+10FFFF */
        {"\xe2\x82", 0},         /* cut */
        {"\xe2\x82x", 0},
        {"\xff", 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(utf8_length(cases[i].text, strlen(cases[i].text)), cases[i].len);
    }
}

static void random_hex_fills_exactly_its_length(void **state)
{
    (void)state;
    char a[INCARNATION_CHARS + 1], b[INCARNATION_CHARS], big[2 * 100 + 1];
    a[INCARNATION_CHARS] = '!';

    random_hex(a, 16);
    random_hex(b, 16);
    random_hex(big, 100);

    assert_int_equal(strlen(a), 32);
    assert_int_equal(strspn(a, "0123456789abcdef"), 32);
    assert_int_equal(a[INCARNATION_CHARS], '!');
    assert_int_equal(strspn(big, "0123456789abcdef"), 200);
    assert_string_not_equal(a, b);
}

static void random_below_stays_below_and_reaches_every_value(void **state)
{
    (void)state;
    unsigned seen = 0;
    for (int i = 0; i < 2000; i++) {
        uint64_t n = random_below(10);
        assert_true(n < 10);
        seen |= 1u << n;
    }
    assert_int_equal(seen, 0x3ff);
    assert_int_equal(random_below(1), 0);
}

static void clocks_do_not_go_backwards_and_know_the_century(void **state)
{
    (void)state;
    uint64_t before = mono_ms();
    assert_true(mono_ms() >= before);
    assert_true(wall_now().ms > 1700000000000u);
}

static void a_bug_aborts_the_process(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        close(STDERR_FILENO);
        signal(SIGABRT, SIG_DFL);
        bug_abort("file.c", 1, "a test");
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_are_nul_terminated_and_own),
        cmocka_unit_test(asking_for_nothing_gives_memory_all_the_same),
        cmocka_unit_test(slices_compare_by_their_bytes),
        cmocka_unit_test(slices_are_trimmed_and_split),
        cmocka_unit_test(a_number_is_a_number_whole_or_not_at_all),
        cmocka_unit_test(only_well_formed_utf8_has_a_length),
        cmocka_unit_test(random_hex_fills_exactly_its_length),
        cmocka_unit_test(random_below_stays_below_and_reaches_every_value),
        cmocka_unit_test(clocks_do_not_go_backwards_and_know_the_century),
        cmocka_unit_test(a_bug_aborts_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
