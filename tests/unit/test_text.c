/* Text: what a terminal obeys does not reach it. */
#include "shared/text.h"

#include "shared/err.h"
#include "shared/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static const struct {
    const char *in;
    const char *safe;
    const char *json;
} cases[] = {
    {"plain", "plain", "plain"},
    {"\x1b[31mred", "?[31mred", "\\u001b[31mred"},
    {"bell\x07 del\x7f", "bell? del?", "bell\\u0007 del\\u007f"},
    {"\xc2\x9b"
     "31m",
     "?31m", "\\u009b31m"}, /* CSI in one character */
    {"\xc2\x80\xc2\x9f\xc2\xa0", "??\xc2\xa0", "\\u0080\\u009f\xc2\xa0"},
    {"\xe2\x80\xae"
     "evil\xe2\x80\xac",
     "?evil?", "\\u202eevil\\u202c"}, /* override of direction */
    {"\xe2\x81\xa6x\xe2\x81\xa9", "?x?", "\\u2066x\\u2069"},
    {"a\xe2\x80\xa8"
     "b",
     "a?b", "a\\u2028b"}, /* line separator */
    {"\xe2\x80\x8d\xe6\xbc\xa2\xf0\x9f\x90\x9f", "\xe2\x80\x8d\xe6\xbc\xa2\xf0\x9f\x90\x9f",
     "\xe2\x80\x8d\xe6\xbc\xa2\xf0\x9f\x90\x9f"},
    {"\xff\x9bx", "??x", "\xef\xbf\xbd\xef\xbf\xbdx"}, /* bytes that are no UTF-8 */
    {"cut \xe6\xbc", "cut ??", "cut \xef\xbf\xbd\xef\xbf\xbd"},
};

static void what_a_terminal_would_obey_is_shown_as_question_marks(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf out;
        char text[64];
        buf_init(&out, 1024);
        text_append_safe(&out, slice_of(cases[i].in));
        assert_string_equal(out.data, cases[i].safe);
        buf_finish(&out);
        strcpy(text, cases[i].in);
        text_make_safe(text);
        assert_string_equal(text, cases[i].safe);
    }
}

static void json_of_others_and_of_ours_carries_it_as_escapes(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf out;
        struct json j;
        char expected[128];
        buf_init(&out, 1024);
        text_append_json(&out, slice_of(cases[i].in));
        assert_string_equal(out.data, cases[i].json);
        buf_clear(&out);
        json_init(&j, &out);
        json_string(&j, NULL, cases[i].in);
        snprintf(expected, sizeof(expected), "\"%s\"", cases[i].json);
        assert_string_equal(out.data, expected);
        buf_finish(&out);
    }
}

static void a_text_with_a_nul_is_safe_too(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out, 64);
    text_append_safe(&out, SLICE("a\0b"));
    assert_string_equal(out.data, "a?b");
    buf_finish(&out);
}

static void errors_carry_nothing_a_terminal_would_obey(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = {0};
        char expected[128];
        err_set(&err, ERR_IO, "%s", cases[i].in);
        err_wrap(&err, "%s", cases[i].in);
        snprintf(expected, sizeof(expected), "%s: %s", cases[i].safe, cases[i].safe);
        assert_string_equal(err.text, expected);
    }
}

static void secrets_are_masked_by_where_they_stand(void **state)
{
    static const struct {
        const char *in;
        const char *out;
    } texts[] = {
        {"plain", "plain"},
        {"redis://:pw@h:1/2 is it", "redis://:(secret)@h:1/2 is it"},
        {"\"redis://me:p:w/x@y@h\"", "\"redis://me:(secret)@h\""},
        {"redis://pw@h", "redis://(secret)@h"},
        {"\"redis://:passwordthatwascu\" is wrong", "\"redis://:(secret) is wrong"},
        {"Redis at redis://127.0.0.1:1/0: refused", "Redis at redis://127.0.0.1:1/0: refused"},
        {"rediss://[::1]:6379/0", "rediss://[::1]:6379/0"},
        {"redis://:@h", "redis://:@h"},
        {"wss://irc-ws.chat.twitch.tv:443/", "wss://irc-ws.chat.twitch.tv:443/"},
        {"see https://a.example/@b", "see https://a.example/@b"},
        {"PASS OAuth:abc x, oauth:d", "PASS (secret) x, (secret)"},
        {"a://:b@c d://e@f", "a://:(secret)@c d://(secret)@f"},
    };
    char out[100];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct err err = {0};
        assert_true(text_mask(texts[i].in, out, sizeof(out)));
        assert_string_equal(out, texts[i].out);
        err_set(&err, ERR_USAGE, "%s", texts[i].in);
        assert_string_equal(err.text, texts[i].out);
    }
    assert_false(text_mask("abc\xc3\xa4", out, 5));
    assert_string_equal(out, "abc");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_terminal_would_obey_is_shown_as_question_marks),
        cmocka_unit_test(json_of_others_and_of_ours_carries_it_as_escapes),
        cmocka_unit_test(a_text_with_a_nul_is_safe_too),
        cmocka_unit_test(secrets_are_masked_by_where_they_stand),
        cmocka_unit_test(errors_carry_nothing_a_terminal_would_obey),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
