/* Options: configuration files, of every good and bad kind, and read again. */
#include "shared/options_private.h"

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

static void the_file_takes_comments_indents_and_crlf(void **state)
{
    (void)state;
    char comment[2000];
    memset(comment, '#', sizeof(comment));
    comment[sizeof(comment) - 1] = '\0';
    char *text = xasprintf("\xef\xbb\xbf%s\n; c\r\n   capacity = 7 ; why\r\n\tcluster=a\n"
                           "    json = on\n\ntokens = other program's\n"
                           "redis_url = redis://u:p#;x@h/1\ntimeout: 2s",
                           comment);
    write_text(text);
    free(text);

    run("--config %");
    assert_int_equal(options_int(opts, "capacity"), 7);
    assert_string_equal(options_string(opts, "cluster"), "a");
    assert_true(options_bool(opts, "json"));
    assert_string_equal(options_string(opts, "redis-url"), "redis://u:p#;x@h/1");
    assert_int_equal(options_int(opts, "timeout"), 2000);
}

static void wrong_files_are_refused_with_line_and_reason(void **state)
{
    (void)state;
    static const struct {
        const char *content;
        const char *says;
    } cases[] = {
        {"capacty = 3\n", ":1: unknown key \"capacty\"; did you mean capacity?"},
        {"redis-url = x\n", ":1: unknown key \"redis-url\"; did you mean redis_url?"},
        {"zzzzzzzz = 3\n", ":1: unknown key \"zzzzzzzz\""},
        {"\ncapacity\n", ":2: not of the form key = value"},
        {"= 3\n", ":1: not of the form key = value"},
        {"[node]\ncapacity = 3\n", ":1: sections"},
        {"capacity = 3\n\ncapacity = 4\n", ":3: capacity was given before, in line 1"},
        {"cluster = a\xff\n", ":1: holds the byte 0xff"},
        {"\n\ncluster = \x01\n", ":3: holds the byte 0x01"},
        {"capacity 3\ncapactiy = 4\n", ":2: unknown key"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        write_text(cases[i].content);
        refuses(&daemon_program, "--config %", cases[i].says);
        assert_non_null(strstr(err.text, path));
    }
    write_file("capacity = 3\n\0\0", 15);
    refuses(&daemon_program, "--config %", ":2: holds the byte 0x00");
}

static void a_line_that_is_too_long_is_refused_not_cut(void **state)
{
    (void)state;
    char line[400];
    for (int len = 190; len < 210; len++) {
        int used = snprintf(line, sizeof(line), "api_key = ");
        memset(line + used, 'x', len - used);
        line[len] = '\0';
        write_text(line);
        if (len <= 197) {
            run("--config %");
            assert_string_equal(options_string(opts, "api-key"), line + used);
        } else {
            refuses(&daemon_program, "--config %", ":1: the line is longer than 197 bytes");
        }
    }
}

static void a_fifo_does_not_stop_the_start(void **state)
{
    (void)state;
    remove(path);
    assert_return_code(mkfifo(path, 0600), errno);
    refuses(&daemon_program, "--config %", "is not a regular file");
    remove(path);
}

static void code_is_not_taken_from_a_file_that_others_may_write(void **state)
{
    static const struct {
        const char *text;
        mode_t mode;
        bool taken;
    } cases[] = {
        {"program = !date\n", 0600, true},   {"program = !date\n", 0644, true},
        {"program = !date\n", 0664, false},  {"program = !date\n", 0646, false},
        {"program = ./x.so\n", 0602, false}, {"program = x.so\n", 0602, false},
        {"program = a,b\n", 0666, true},     {"program = @/a/list\n", 0666, true},
        {"set = !date\n", 0666, true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        write_text(cases[i].text);
        assert_return_code(chmod(path, cases[i].mode), errno);
        if (cases[i].taken) {
            run("--config %");
        } else {
            refuses(&daemon_program, "--config %", ":1): it names code to run");
            run("--config % --program !date"); /* given by a stronger source, it is ours */
        }
    }
    if (geteuid() == 0) {
        write_text("program = !date\n");
        assert_return_code(chown(path, 65534, 0), errno);
        refuses(&daemon_program, "--config %", "it names code to run");
    }
}

static void files_that_cannot_be_read_are_told_apart(void **state)
{
    (void)state;
    refuses(&daemon_program, "--config %", "cannot be opened: No such file");
    refuses(&daemon_program, "--config /", "/: is a directory");
    refuses(&daemon_program, "--config /dev/zero", "is not a regular file");
    char *big = xmalloc(OPTIONS_FILE_MAX_BYTES + 1);
    memset(big, '\n', OPTIONS_FILE_MAX_BYTES + 1);
    write_file(big, OPTIONS_FILE_MAX_BYTES + 1);
    refuses(&daemon_program, "--config %", "larger than 256 KiB");
    write_file(big, OPTIONS_FILE_MAX_BYTES);
    run("--config %");
    free(big);
    write_text("");
    run("--config %");
}

static void what_is_read_again_takes_over_where_it_may_change(void **state)
{
    (void)state;
    struct options *fresh;
    write_text("log_level = warn\ncapacity = 7\ntimeout = 5s\n");
    run("--config % --cluster a");
    const char *cluster = options_string(opts, "cluster");

    write_text("log_level = debug\ncapacity = 8\ncluster = b\ntimeout = 6s\n");
    assert_int_equal(options_read_again(opts, &fresh, &err), 0);
    options_go_over(&opts, fresh, "test");

    assert_string_equal(options_string(opts, "log-level"), "debug");
    assert_int_equal(options_int(opts, "timeout"), 6000);
    assert_int_equal(options_int(opts, "capacity"), 7);         /* is told to stay */
    assert_ptr_equal(options_string(opts, "cluster"), cluster); /* borrowed by somebody */
    assert_string_equal(cluster, "a"); /* the flag is as strong as before */
}

static void a_wrong_file_read_again_changes_nothing(void **state)
{
    (void)state;
    struct options *fresh;
    write_text("capacity = 7\n");
    run("--config %");

    write_text("capacity = lots\n");
    assert_int_equal(options_read_again(opts, &fresh, &err), -ERR_USAGE);
    assert_non_null(strstr(err.text, ":1): \"lots\""));
    assert_int_equal(options_int(opts, "capacity"), 7);
}

#define T(test) cmocka_unit_test_teardown(test, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(the_file_takes_comments_indents_and_crlf),
        T(wrong_files_are_refused_with_line_and_reason),
        T(a_line_that_is_too_long_is_refused_not_cut),
        T(a_fifo_does_not_stop_the_start),
        T(code_is_not_taken_from_a_file_that_others_may_write),
        T(files_that_cannot_be_read_are_told_apart),
        T(what_is_read_again_takes_over_where_it_may_change),
        T(a_wrong_file_read_again_changes_nothing),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
