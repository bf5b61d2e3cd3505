/* The simulator's HTTP: requests taken apart, wherever they are cut, and whatever is in them. */
#include "tests/twitch_sim/web_request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const char WHOLE[] = "POST /oauth2/token?a=b&c HTTP/1.1\r\n"
                            "Host: x\r\n"
                            "AUTHORIZATION:\t Bearer abc \r\n"
                            "client-id: bot\r\n"
                            "Content-Type: application/x-www-form-urlencoded ; charset=utf-8\r\n"
                            "Content-Length: 9\r\n\r\n"
                            "x=1&y=2&zGET";

static void a_whole_request_is_taken_apart(void **state)
{
    struct web_request r;
    size_t used = 0;

    (void)state;
    assert_int_equal(web_request_parse(slice_of(WHOLE), &r, &used), 0);
    assert_int_equal(used, strlen(WHOLE) - 3);
    assert_true(slice_is(r.method, "POST"));
    assert_true(slice_is(r.path, "/oauth2/token"));
    assert_true(slice_is(r.query, "a=b&c"));
    assert_true(slice_is(r.authorization, "Bearer abc"));
    assert_true(slice_is(r.client_id, "bot"));
    assert_true(slice_is(r.body, "x=1&y=2&z"));
    assert_false(r.close);
}

/* In memory of its own, so that a look past the end is seen. */
static unsigned parse_cut(const char *text, size_t len)
{
    struct web_request r;
    size_t used = 0;
    char *copy = malloc(len + 1);

    assert_non_null(copy);
    memcpy(copy, text, len);
    char *tight = realloc(copy, len > 0 ? len : 1);
    assert_non_null(tight);
    unsigned status = web_request_parse((struct slice){tight, len}, &r, &used);
    free(tight);
    return status;
}

static void a_request_that_is_cut_anywhere_waits_for_the_rest(void **state)
{
    (void)state;
    for (size_t len = 0; len < strlen(WHOLE) - 3; len++) {
        assert_int_equal(parse_cut(WHOLE, len), 1);
    }
}

static void any_changed_byte_is_a_request_or_a_refusal(void **state)
{
    char text[sizeof(WHOLE)];

    (void)state;
    for (size_t at = 0; at + 1 < sizeof(WHOLE); at++) {
        for (int byte = 0; byte < 256; byte++) {
            memcpy(text, WHOLE, sizeof(WHOLE));
            text[at] = (char)byte;
            unsigned status = parse_cut(text, strlen(WHOLE));
            assert_true(status < 2 || (status >= 400 && status <= 505));
        }
    }
}

static void the_connection_ends_where_the_client_wants_that(void **state)
{
    struct web_request r;
    size_t used = 0;

    (void)state;
    assert_int_equal(web_request_parse(SLICE("GET / HTTP/1.0\n\n"), &r, &used), 0);
    assert_true(r.close);
    assert_int_equal(
        web_request_parse(SLICE("GET / HTTP/1.1\r\nConnection: Close\r\n\r\n"), &r, &used), 0);
    assert_true(r.close);
}

static void parameters_are_unescaped_and_found_in_the_form_first(void **state)
{
    struct web_request r = {.content_type = SLICE("application/x-www-form-urlencoded"),
                            .body = SLICE("a=1+%2B%3d%zz%4&empty=&n%61me=b&a=2&nul=x%00y&&=&c"),
                            .query = SLICE("a=3&empty=4&q=%C3%B6")};
    char value[WEB_VALUE_MAX];

    (void)state;
    assert_true(web_param(&r, "a", value));
    assert_string_equal(value, "1 +=%zz%4");
    assert_true(web_param(&r, "empty", value));
    assert_string_equal(value, "4");
    assert_true(web_param(&r, "name", value));
    assert_string_equal(value, "b");
    assert_true(web_param(&r, "nul", value));
    assert_string_equal(value, "x?y");
    assert_true(web_param(&r, "q", value));
    assert_string_equal(value, "\xc3\xb6");
    assert_false(web_param(&r, "c", value));
    assert_string_equal(value, "");
    r.content_type = SLICE("application/json");
    assert_true(web_param(&r, "a", value));
    assert_string_equal(value, "3");
}

static void a_long_parameter_is_cut(void **state)
{
    char text[3000] = "a=";
    struct web_pair pair;
    char *name = calloc(1, 3000);

    (void)state;
    assert_non_null(name);
    memset(text + 2, 'x', sizeof(text) - 2);
    struct slice left = {text, sizeof(text)};
    assert_true(web_pair_next(&left, &pair));
    assert_int_equal(strlen(pair.value), WEB_VALUE_MAX - 1);
    assert_false(web_pair_next(&left, &pair));
    memset(name, 'n', 2999);
    left = slice_of(name);
    assert_true(web_pair_next(&left, &pair));
    assert_int_equal(strlen(pair.name), sizeof(pair.name) - 1);
    assert_string_equal(pair.value, "");
    free(name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_request_is_taken_apart),
        cmocka_unit_test(a_request_that_is_cut_anywhere_waits_for_the_rest),
        cmocka_unit_test(any_changed_byte_is_a_request_or_a_refusal),
        cmocka_unit_test(the_connection_ends_where_the_client_wants_that),
        cmocka_unit_test(parameters_are_unescaped_and_found_in_the_form_first),
        cmocka_unit_test(a_long_parameter_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
