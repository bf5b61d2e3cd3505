/* What of an HTTP request is judged: hosts, origins, percent-encoding, rates. */
#include "shared/web/web_guard.h"

#include "shared/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static void an_address_to_listen_on_is_a_number_with_a_port(void **state)
{
    static const struct {
        const char *text;
        const char *described; /* NULL: refused */
        bool loopback;
    } cases[] = {
        {"127.0.0.1:9400", "127.0.0.1:9400", true},
        {"127.1.2.3:0", "127.1.2.3:0", true},
        {"localhost:80", "127.0.0.1:80", true},
        {"[::1]:9400", "[::1]:9400", true},
        {"0.0.0.0:1", "0.0.0.0:1", false},
        {"[::]:65535", "[::]:65535", false},
        {"10.0.0.1:80", "10.0.0.1:80", false},
        {"", NULL, false},
        {":80", NULL, false},
        {"80", NULL, false},
        {"127.0.0.1", NULL, false},
        {"127.0.0.1:", NULL, false},
        {"127.0.0.1:65536", NULL, false},
        {"127.0.0.1:-1", NULL, false},
        {"127.0.0.1:8o", NULL, false},
        {"example.org:80", NULL, false},
        {"::1:80", NULL, false},
        {"[::1]", NULL, false},
        {"[::1", NULL, false},
        {"[127.0.0.1]:80", NULL, false},
        {"[localhost]:80", NULL, false},
        {"[]:80", NULL, false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        union web_address address;
        struct err err;
        char text[80];
        int rc = web_listen_parse(cases[i].text, &address, &err);
        if (cases[i].described == NULL) {
            assert_int_equal(rc, -ERR_USAGE);
            continue;
        }
        assert_int_equal(rc, 0);
        web_listen_describe(&address, text, sizeof(text));
        assert_string_equal(text, cases[i].described);
        assert_int_equal(web_listen_is_loopback(&address), cases[i].loopback);
    }
}

static void host_is_a_name_that_nobody_else_can_give_to_us(void **state)
{
    static const char *const names[] = {"shoal.example", "box"};
    static const struct {
        const char *host;
        bool ours;
    } cases[] = {
        {"localhost", true},
        {"LocalHost:9400", true},
        {"127.0.0.1", true},
        {"127.0.0.1:1", true},
        {"192.168.7.7:80", true},
        {"[::1]", true},
        {"[fe80::1]:9400", true},
        {"shoal.example", true},
        {"SHOAL.example:443", true},
        {"box", true},
        {"", false},
        {":80", false},
        {"attacker.example", false},
        {"shoal.example.attacker.example", false},
        {"shoal.example.", false},
        {"localhost.attacker.example", false},
        {"127.0.0.1.attacker.example", false},
        {"127.0.0.1:", false},
        {"127.0.0.1:x", false},
        {"127.0.0.1:99999", false},
        {"127.1", false}, /* a browser would not send it */
        {"::1", false},
        {"[::1", false},
        {"[::1]x", false},
        {"[box]", false},
        {"a@localhost", false},
        {"localhost, attacker.example", false},
        {"localhost/", false},
        {"local host", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(web_host_is_ours(slice_of(cases[i].host), names, ARRAY_LEN(names)),
                         cases[i].ours);
    }
    assert_false(web_host_is_ours((struct slice){"localhost\0x", 11}, names, 0));
    assert_false(web_host_is_ours((struct slice){"127.0.0.1\0x", 11}, names, 0));
}

static void an_origin_is_ours_where_it_is_whom_the_browser_asks(void **state)
{
    static const struct {
        const char *origin;
        const char *host;
        bool ours;
    } cases[] = {
        {"http://localhost:9400", "localhost:9400", true},
        {"https://shoal.example", "shoal.example", true},
        {"HTTPS://Shoal.Example", "shoal.example", true},
        {"http://[::1]:9400", "[::1]:9400", true},
        {"http://localhost:9401", "localhost:9400", false},
        {"http://localhost", "localhost:9400", false},
        {"http://127.0.0.1:9400", "localhost:9400", false},
        {"null", "localhost", false},
        {"", "localhost", false},
        {"http://", "", false},
        {"file://localhost", "localhost", false},
        {"http://localhost.attacker.example", "localhost", false},
        {"http://localhost/", "localhost", false},
        {"localhost", "localhost", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(web_origin_is_ours(slice_of(cases[i].origin), slice_of(cases[i].host)),
                         cases[i].ours);
    }
}

static void percent_encoding_is_undone_or_refused(void **state)
{
    static const struct {
        const char *text;
        bool form;
        const char *decoded; /* NULL: refused */
    } cases[] = {
        {"", false, ""},
        {"/a/b", false, "/a/b"},
        {"%61%2B+", false, "a++"},
        {"a+b%20c", true, "a b c"},
        {"%C3%B6", false, "\xc3\xb6"},
        {"\xc3\xb6", false, "\xc3\xb6"},
        {"%2F", true, "/"},
        {"%2F", false, NULL},
        {"%2f", false, NULL},
        {"%", false, NULL},
        {"%4", false, NULL},
        {"%4g", false, NULL},
        {"%%34", false, NULL},
        {"%00", true, NULL},
        {"%0a", true, NULL},
        {"%1b[2J", true, NULL},
        {"%7f", true, NULL},
        {"%c3%28", true, NULL},
        {"%c0%af", true, NULL},    /* an overlong '/' */
        {"%ed%a0%80", true, NULL}, /* a surrogate */
        {"%e2%80%ae", true, NULL}, /* turns a line round */
        {"%f5%80%80%80", true, NULL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf out;
        buf_init(&out, 100);
        bool good = web_decode(slice_of(cases[i].text), cases[i].form, &out);
        assert_int_equal(good, cases[i].decoded != NULL);
        if (good) {
            assert_true(slice_is(buf_slice(&out), cases[i].decoded));
        }
        buf_finish(&out);
    }
}

static void what_is_longer_than_there_is_room_is_refused(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out, 3);
    assert_true(web_decode(SLICE("%61bc"), false, &out));
    assert_false(web_decode(SLICE("%61bcd"), false, &out));
    buf_finish(&out);
}

static void a_path_that_climbs_is_known(void **state)
{
    static const char *const climbs[] = {"/..", "/../", "/a/../b", "/.", "/a/./b", "..", "/a/.."};
    static const char *const stays[] = {"", "/", "/a", "/...", "/a..", "/..a", "/.well-known"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(climbs); i++) {
        assert_true(web_path_climbs(slice_of(climbs[i])));
    }
    for (size_t i = 0; i < ARRAY_LEN(stays); i++) {
        assert_false(web_path_climbs(slice_of(stays[i])));
    }
}

static void a_parameter_is_the_first_of_its_name(void **state)
{
    static const struct {
        const char *query;
        const char *value; /* NULL: it is not there */
    } cases[] = {
        {"a=1", "1"},    {"b=2&a=1", "1"}, {"a=1&a=2", "1"}, {"a=", ""},     {"a", ""},
        {"a&b", ""},     {"a==", "="},     {"", NULL},       {"aa=1", NULL}, {"=a", NULL},
        {"b=a=1", NULL}, {"&&&", NULL},    {"&a=1&", "1"},   {"A=1", NULL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice value;
        bool there = web_query_find(slice_of(cases[i].query), "a", &value);
        assert_int_equal(there, cases[i].value != NULL);
        assert_true(!there || slice_is(value, cases[i].value));
    }
}

static void a_bucket_gives_so_many_at_once_and_so_many_a_second(void **state)
{
    struct web_bucket b = {0};

    (void)state;
    for (int i = 0; i < 5; i++) {
        assert_true(web_bucket_take(&b, 10, 5, 1000));
    }
    assert_false(web_bucket_take(&b, 10, 5, 1000));
    assert_false(web_bucket_take(&b, 10, 5, 1099));
    assert_true(web_bucket_take(&b, 10, 5, 1100));
    assert_false(web_bucket_take(&b, 10, 5, 1199));
    assert_false(web_bucket_take(&b, 10, 5, 1000)); /* a clock that goes back gives nothing */
    for (int i = 0; i < 5; i++) {
        assert_true(web_bucket_take(&b, 10, 5, UINT64_MAX / 2));
    }
    assert_false(web_bucket_take(&b, 10, 5, UINT64_MAX / 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_to_listen_on_is_a_number_with_a_port),
        cmocka_unit_test(host_is_a_name_that_nobody_else_can_give_to_us),
        cmocka_unit_test(an_origin_is_ours_where_it_is_whom_the_browser_asks),
        cmocka_unit_test(percent_encoding_is_undone_or_refused),
        cmocka_unit_test(what_is_longer_than_there_is_room_is_refused),
        cmocka_unit_test(a_path_that_climbs_is_known),
        cmocka_unit_test(a_parameter_is_the_first_of_its_name),
        cmocka_unit_test(a_bucket_gives_so_many_at_once_and_so_many_a_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
