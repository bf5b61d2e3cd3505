/* Tokens: files good and bad; a token never shows in a message. */
#include "node/tokens.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static char path[] = "/tmp/shoal-test-tokens-XXXXXX";

static int load(const char *text, struct tokens **out, struct err *err)
{
    snprintf(path, sizeof(path), "/tmp/shoal-test-tokens-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    int rc = tokens_load(path, out, err);
    unlink(path);
    return rc;
}

static void users_keep_the_order_of_the_file(void **state)
{
    struct tokens *t;
    struct err err = {0};

    (void)state;
    assert_int_equal(load("; the bot\nZed = oauth:abc123\n\n# other\nalice=def456\n", &t, &err), 0);
    assert_string_equal(tokens_users(t), "zed,alice");
    assert_true(slice_is(tokens_get(t, SLICE("zed")), "abc123"));
    assert_true(slice_is(tokens_get(t, SLICE("alice")), "def456"));
    assert_int_equal(tokens_get(t, SLICE("nobody")).len, 0);
    tokens_destroy(t);
}

static void no_file_means_anonymous(void **state)
{
    struct tokens *t;
    struct err err = {0};

    (void)state;
    assert_int_equal(tokens_load(NULL, &t, &err), 0);
    assert_string_equal(tokens_users(t), "");
    tokens_destroy(t);
}

static void bad_files_are_refused_by_name_without_the_token(void **state)
{
    static const struct {
        const char *text;
        const char *says;
    } cases[] = {
        {"bot\n", ":1"},
        {"bot = \n", "token of bot"},
        {"bot = se cret\n", "token of bot"},
        {"bot = secret\r\nbot = secret2\n", "twice"},
        {"not a login = secret\n", ":1: what stands before the = is not a Twitch login"},
        {"bot = a\nse0cret9se0cret9se0cret9secret = bot\n", ":2: what stands before the ="},
        {"oauth:secret = bot\n", ":1: the token of oauth"},
        {"[section]\nbot = secret\n", "section"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct tokens *t;
        struct err err = {0};
        assert_int_equal(load(cases[i].text, &t, &err), -ERR_USAGE);
        assert_non_null(strstr(err.text, path));
        assert_non_null(strstr(err.text, cases[i].says));
        assert_null(strstr(err.text, "cret"));
    }
}

static void a_missing_file_and_a_directory_are_refused(void **state)
{
    struct tokens *t;
    struct err err = {0};

    (void)state;
    assert_int_equal(tokens_load("/nonexistent/tokens", &t, &err), -ERR_USAGE);
    assert_non_null(strstr(err.text, "/nonexistent/tokens"));
    assert_int_equal(tokens_load("/tmp", &t, &err), -ERR_USAGE);
    assert_non_null(strstr(err.text, "is a directory, not a tokens file"));
}

static void a_fifo_does_not_stop_the_start(void **state)
{
    struct tokens *t;
    struct err err = {0};

    (void)state;
    snprintf(path, sizeof(path), "/tmp/shoal-test-tokens-XXXXXX");
    close(mkstemp(path));
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(tokens_load(path, &t, &err), -ERR_USAGE);
    assert_non_null(strstr(err.text, "is not a regular file"));
    unlink(path);
}

static void a_mark_of_an_editor_is_no_part_of_a_login(void **state)
{
    struct tokens *t;
    struct err err = {0};

    (void)state;
    assert_int_equal(load("\xef\xbb\xbf"
                          "bot = abc\n",
                          &t, &err),
                     0);
    assert_string_equal(tokens_users(t), "bot");
    tokens_destroy(t);
}

static void a_token_that_ends_is_told_from_one_that_has(void **state)
{
    struct tokens *t;
    struct tokens *copy;
    struct err err = {0};
    uint64_t now = mono_ms();

    (void)state;
    assert_int_equal(load("bot = abc\n", &t, &err), 0);
    tokens_put(t, "soon", "def", now + 1000);
    tokens_put(t, "later", "ghi", now + 60000);
    assert_false(tokens_ended(t, SLICE("bot")));
    assert_true(tokens_ended(t, SLICE("soon")));
    assert_false(tokens_ended(t, SLICE("later")));
    assert_false(tokens_ended(t, SLICE("nobody")));
    assert_true(slice_is(tokens_get(t, SLICE("soon")), "def"));

    copy = tokens_copy(t);
    assert_true(tokens_equal(t, copy));
    tokens_put(copy, "soon", "def", now + 60000);
    assert_false(tokens_equal(t, copy));
    assert_false(tokens_ended(copy, SLICE("soon")));
    tokens_destroy(copy);
    tokens_destroy(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(users_keep_the_order_of_the_file),
        cmocka_unit_test(no_file_means_anonymous),
        cmocka_unit_test(bad_files_are_refused_by_name_without_the_token),
        cmocka_unit_test(a_fifo_does_not_stop_the_start),
        cmocka_unit_test(a_mark_of_an_editor_is_no_part_of_a_login),
        cmocka_unit_test(a_token_that_ends_is_told_from_one_that_has),
        cmocka_unit_test(a_missing_file_and_a_directory_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
