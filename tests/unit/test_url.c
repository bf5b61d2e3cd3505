/* URL: what is understood, what is refused and how, and that no password gets out. */
#include "shared/url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void redis_urls_are_taken_apart(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        struct url url;
        const char *shown;
    } cases[] = {
        {"redis://localhost",
         {.scheme = "redis", .host = "localhost", .port = 6379},
         "redis://localhost:6379/0"},
        {"redis://h:1/", {.scheme = "redis", .host = "h", .port = 1}, "redis://h:1/0"},
        {"rediss://me:p%40ss%2f%25@r.example:6380/12",
         {.scheme = "rediss",
          .tls = true,
          .host = "r.example",
          .port = 6380,
          .user = "me",
          .password = "p@ss/%",
          .db = 12},
         "rediss://r.example:6380/12"},
        {"redis://:secret@10.0.0.1",
         {.scheme = "redis", .host = "10.0.0.1", .port = 6379, .password = "secret"},
         "redis://10.0.0.1:6379/0"},
        {"redis://me@h",
         {.scheme = "redis", .host = "h", .port = 6379, .user = "me"},
         "redis://h:6379/0"},
        {"redis://u:a:b@c@[::1]:7/3",
         {.scheme = "redis", .host = "::1", .port = 7, .user = "u", .password = "a:b@c", .db = 3},
         "redis://[::1]:7/3"},
        {"redis://[fe80::1%25eth0]",
         {.scheme = "redis", .host = "fe80::1%25eth0", .port = 6379},
         "redis://[fe80::1%25eth0]:6379/0"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct url url;
        struct err err;
        char shown[600];
        if (url_parse_redis(cases[i].text, &url, &err) != 0) {
            fail_msg("%s: %s", cases[i].text, err.text);
        }
        const struct url *want = &cases[i].url;
        assert_string_equal(url.scheme, want->scheme);
        assert_int_equal(url.tls, want->tls);
        assert_string_equal(url.host, want->host);
        assert_int_equal(url.port, want->port);
        assert_string_equal(url.user, want->user);
        assert_string_equal(url.password, want->password);
        assert_int_equal(url.db, want->db);
        url_describe(&url, shown, sizeof(shown));
        assert_string_equal(shown, cases[i].shown);
    }
}

static void wrong_redis_urls_are_refused_without_repeating_the_password(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *says;
    } cases[] = {
        {"", "redis:// or rediss://"},
        {"hunter2", "redis:// or rediss://"},
        {"http://u:hunter2@h", "redis:// or rediss://"},
        {"Redis://h", "redis:// or rediss://"},
        {"redis://", "host is missing"},
        {"redis://u:hunter2@", "host is missing"},
        {"redis://u:hunter2@:6379", "host is missing"},
        {"redis://u:hunter2", "port"},
        {"redis://u:hunter2@h:0", "port"},
        {"redis://u:hunter2@h:65536", "port"},
        {"redis://u:hunter2@h:", "port"},
        {"redis://u:hunter2%4@h", "hex digits"},
        {"redis://u:hunter2%zz@h", "hex digits"},
        {"redis://u:hunter2%00@h", "NUL"},
        {"redis://u:hunter2@h/x", "number of a database"},
        {"redis://u:hunter2@h/0/1", "number of a database"},
        {"redis://u:hunter2@::1", "[ ]"},
        {"redis://u:hunter2@[::1", "']'"},
        {"redis://u:hunter2@[::1]x", ":port"},
        {"redis://u:hunter2@h?x=y", "host"},
        {"redis://u:hunter2 @h", "spaces"},
        {"redis://u:hunter2\n@h", "spaces"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct url url;
        struct err err = {0};
        assert_int_equal(url_parse_redis(cases[i].text, &url, &err), -ERR_USAGE);
        if (!strstr(err.text, cases[i].says)) {
            fail_msg("%s: %s", cases[i].text, err.text);
        }
        assert_null(strstr(err.text, "hunter2"));
    }
}

static void parts_that_are_too_long_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *before;
        const char *after;
        size_t fits;
    } cases[] = {
        {"redis://", "", 255},
        {"redis://", ":x@h", 255},
        {"redis://:", "@h", 511},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (int more = 0; more < 2; more++) {
            char part[600] = "", text[700];
            struct url url;
            memset(part, 'a', cases[i].fits + more);
            snprintf(text, sizeof(text), "%s%s%s", cases[i].before, part, cases[i].after);
            assert_int_equal(url_parse_redis(text, &url, NULL), more ? -ERR_USAGE : 0);
        }
    }
}

static void websocket_urls_are_taken_apart(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool tls;
        const char *host;
        int port;
        const char *path;
        const char *shown;
    } cases[] = {
        {"wss://irc-ws.chat.twitch.tv:443", true, "irc-ws.chat.twitch.tv", 443, "/",
         "wss://irc-ws.chat.twitch.tv:443/"},
        {"ws://127.0.0.1", false, "127.0.0.1", 80, "/", "ws://127.0.0.1:80/"},
        {"ws://[::1]:8080/chat?x=1", false, "::1", 8080, "/chat?x=1", "ws://[::1]:8080/chat?x=1"},
        {"wss://h/", true, "h", 443, "/", "wss://h:443/"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct url url;
        char shown[600];
        assert_int_equal(url_parse_ws(cases[i].text, &url, NULL), 0);
        assert_int_equal(url.tls, cases[i].tls);
        assert_string_equal(url.host, cases[i].host);
        assert_int_equal(url.port, cases[i].port);
        assert_string_equal(url.path, cases[i].path);
        url_describe(&url, shown, sizeof(shown));
        assert_string_equal(shown, cases[i].shown);
    }
}

static void wrong_websocket_urls_are_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {"redis://h",   "ws://",     "wss:///x", "ws://u:p@h",
                                        "ws://h:port", "ws://h/#x", "ws:/h",    "ws://h:80:80"};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct url url;
        assert_int_equal(url_parse_ws(cases[i], &url, NULL), -ERR_USAGE);
    }
}

static void a_description_that_does_not_fit_is_cut(void **state)
{
    (void)state;
    struct url url;
    char shown[12];
    assert_int_equal(url_parse_redis("redis://localhost", &url, NULL), 0);
    url_describe(&url, shown, sizeof(shown));
    assert_string_equal(shown, "redis://loc");
}

static void this_machine_is_known_by_its_names(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool yes;
    } cases[] = {
        {"ws://localhost", true},  {"ws://LocalHost:1", true},  {"ws://127.0.0.1", true},
        {"ws://127.8.9.1", true},  {"ws://[::1]:80", true},     {"ws://128.0.0.1", false},
        {"ws://10.0.0.1", false},  {"ws://localhost.x", false}, {"ws://[::2]", false},
        {"ws://127.0.0.x", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct url url;
        assert_int_equal(url_parse_ws(cases[i].text, &url, NULL), 0);
        assert_int_equal(url_is_loopback(&url), cases[i].yes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(redis_urls_are_taken_apart),
        cmocka_unit_test(wrong_redis_urls_are_refused_without_repeating_the_password),
        cmocka_unit_test(parts_that_are_too_long_are_refused),
        cmocka_unit_test(websocket_urls_are_taken_apart),
        cmocka_unit_test(wrong_websocket_urls_are_refused),
        cmocka_unit_test(this_machine_is_known_by_its_names),
        cmocka_unit_test(a_description_that_does_not_fit_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
