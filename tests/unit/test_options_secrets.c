/* Options that lie in files of their own: a secret in a file, credentials, and the example file. */
#include "shared/options_private.h"

#include "shared/file.h"
#include "tests/lib/options_rig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* Its directory is that of the credentials; the one file in it. */
static char *credential(const char *name, const char *text)
{
    char *directory = xstrndup(path, (size_t)(strrchr(path, '/') - path));
    char *file = xasprintf("%s/%s", directory, name);
    FILE *to = fopen(file, "w");

    assert_non_null(to);
    fputs(text, to);
    fclose(to);
    assert_return_code(chmod(file, 0400), errno);
    setenv("CREDENTIALS_DIRECTORY", directory, 1);
    free(directory);
    return file;
}

static void credential_gone(char *file)
{
    unsetenv("CREDENTIALS_DIRECTORY");
    unlink(file);
    free(file);
}

static void a_url_may_be_in_a_file_that_nobody_else_may_read(void **state)
{
    (void)state;
    write_text("redis://u:secret@h:7/1\n");
    run("--config= --redis-url-file %");
    assert_string_equal(options_string(opts, "redis-url"), "redis://u:secret@h:7/1");
    const char *shown = printed(&daemon_program, "--config= --print-config --redis-url-file %");
    assert_null(strstr(shown, "secret@"));
    assert_non_null(strstr(shown, path));

    assert_return_code(chmod(path, 0604), errno);
    refuses(&daemon_program, "--config= --redis-url-file %", "--redis-url-file: ");
    assert_non_null(strstr(err.text, "others may read it (chmod 600"));
}

static void what_is_no_url_in_it_is_refused_and_never_shown(void **state)
{
    static const char *const wrong[] = {"redis//u:secret@h\n", "redis://h\nsecret\n", "", "\n"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        write_text(wrong[i]);
        refuses(&daemon_program, "--config= --redis-url-file %", "--redis-url");
        assert_null(strstr(err.text, "secret@"));
    }
    refuses(&daemon_program, "--config= --redis-url-file /nowhere", "No such file");
}

static void the_stronger_source_wins_and_of_one_only_one_may_be_given(void **state)
{
    (void)state;
    write_text("redis://file\n");
    setenv("SHOAL_REDIS_URL", "redis://environment", 1);
    run("--config= --redis-url-file %");
    assert_string_equal(options_string(opts, "redis-url"), "redis://file");
    run("--config= --redis-url redis://flag");
    assert_string_equal(options_string(opts, "redis-url"), "redis://flag");
    setenv("SHOAL_REDIS_URL_FILE", "/nowhere", 1); /* not in force, and so not read */
    run("--config= --redis-url redis://flag");
    refuses(&daemon_program, "--config=", "--redis-url and --redis-url-file are both given");
    unsetenv("SHOAL_REDIS_URL_FILE");
}

static void a_file_that_is_given_nowhere_is_the_credential_of_its_name(void **state)
{
    (void)state;
    char *file = credential("redis-url-file", "redis://:secret@credential\n");

    run("--config=");
    assert_string_equal(options_string(opts, "redis-url"), "redis://:secret@credential");
    assert_string_equal(options_string(opts, "redis-url-file"), file);
    assert_null(options_string(opts, "redis-tls-ca"));
    write_text("redis_url = redis://configured\n");
    run("--config %");
    assert_string_equal(options_string(opts, "redis-url"), "redis://configured");
    credential_gone(file);

    file = credential("redis-tls-ca", "no certificate");
    refuses(&daemon_program, "--config=", "--redis-tls-ca (a credential): ");
    credential_gone(file);
    file = credential("capacity", "7"); /* names no file */
    run("--config=");
    assert_int_equal(options_int(opts, "capacity"), 10);
    credential_gone(file);
}

static void a_secret_is_its_owners_alone_or_a_credential(void **state)
{
    static const struct {
        mode_t mode;
        uid_t owner;
        gid_t group;
        bool secret;
    } cases[] = {
        {0600, 7, 7, true},  {0400, 0, 0, true},  {0440, 0, 0, true},  {0440, 0, 7, false},
        {0440, 7, 0, false}, {0640, 0, 0, false}, {0604, 0, 0, false}, {0444, 0, 0, false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct file f = {
            .mode = S_IFREG | cases[i].mode, .owner = cases[i].owner, .group = cases[i].group};
        assert_int_equal(file_is_secret(&f), cases[i].secret);
    }
}

static void a_key_without_a_value_is_not_given(void **state)
{
    (void)state;
    write_text("capacity =\nredis_url_file =\njson=\nset =\n");
    run("--config %");
    assert_int_equal(options_int(opts, "capacity"), 10);
    assert_null(options_string(opts, "redis-url-file"));
    assert_false(options_bool(opts, "json"));
    write_text("capacity =\ncapacity = 3\n");
    refuses(&daemon_program, "--config %", ":2: capacity was given before, in line 1");
}

static void the_example_has_every_option_with_its_default(void **state)
{
    (void)state;
    const char *text = printed(&daemon_program, "--print-example --config /nowhere");

    assert_non_null(strstr(text, "# How many.\n#capacity = 10\n\n"));
    assert_non_null(strstr(text, "# A secret.\n#api_key =\n\n"));
    assert_non_null(strstr(text, "# Settings.\n# Several, with blanks between.\n#set =\n\n"));
    for (size_t i = 0; daemon_program.specs[i].name != NULL; i++) {
        char key[80];
        char *line;
        option_key(daemon_program.specs[i].name, key, sizeof(key));
        line = xasprintf("\n#%s =", key);
        assert_non_null(strstr(text, line));
        free(line);
    }
}

#define T(test) cmocka_unit_test_teardown(test, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_url_may_be_in_a_file_that_nobody_else_may_read),
        T(what_is_no_url_in_it_is_refused_and_never_shown),
        T(the_stronger_source_wins_and_of_one_only_one_may_be_given),
        T(a_file_that_is_given_nowhere_is_the_credential_of_its_name),
        T(a_secret_is_its_owners_alone_or_a_credential),
        T(a_key_without_a_value_is_not_given),
        T(the_example_has_every_option_with_its_default),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
