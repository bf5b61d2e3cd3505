/* Options: precedence, values, messages, and files of every bad kind. */
#include "shared/options_private.h"

#include "shared/buf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static int check_even(const char *value, struct err *err)
{
    return atoi(value) % 2 == 0 ? 0 : err_set(err, ERR_USAGE, "\"%s\" is odd", value);
}

static const struct option_spec specs[] = {
    OPTIONS_COMMON,
    OPTIONS_DAEMON,
    {"capacity", OPTION_INT, 0, "10", 1, 100, "N", "How many.", NULL},
    {"offset", OPTION_INT, 0, NULL, -5, 5, "N", "May be negative.", NULL},
    {"any", OPTION_INT, 0, NULL, 0, 0, "N", "No bounds.", check_even},
    {"buffer-bytes", OPTION_BYTES, 0, "64k", 1024, 1 << 30, "BYTES", "Buffer.", NULL},
    {"timeout", OPTION_DURATION, OPTION_RELOAD, "30s", 100, 3600000, "TIME", "Wait.", NULL},
    {"json", OPTION_BOOL, 0, "false", 0, 0, NULL, "JSON.", NULL},
    {"set", OPTION_STRING, OPTION_REPEAT, NULL, 0, 0, "KEY=VALUE", "Settings.", NULL},
    {"program", OPTION_STRING, OPTION_CODE, NULL, 0, 0, "X", "May name code.", NULL},
    {"api-key", OPTION_STRING, OPTION_SECRET, NULL, 0, 0, "KEY", "A secret.", NULL},
    {0},
};
static const struct options_program daemon_program = {
    .name = "shoal-test",
    .purpose = "Tests.",
    .usage = "",
    .specs = specs,
};
static const struct options_program tool_program = {
    .name = "shoaltool",
    .purpose = "Tests with arguments.",
    .usage = "COMMAND [ARG...]",
    .epilogue = "The end.\n",
    .specs = specs,
    .takes_arguments = true,
};

static char directory[] = "/tmp/test_options_XXXXXX";
static char path[64];
static struct options *opts;
static struct err err;

static int make_directory(void **state)
{
    (void)state;
    extern char **environ;
    for (char **at = environ; *at;) {
        if (strncmp(*at, "SHOAL_", 6) == 0) {
            char name[100];
            snprintf(name, sizeof(name), "%.*s", (int)strcspn(*at, "="), *at);
            unsetenv(name);
        } else {
            at++;
        }
    }
    if (!mkdtemp(directory)) {
        return -1;
    }
    snprintf(path, sizeof(path), "%s/shoal.conf", directory);
    return 0;
}

static int remove_directory(void **state)
{
    (void)state;
    return rmdir(directory);
}

static int teardown(void **state)
{
    (void)state;
    static const char *const names[] = {"SHOAL_CAPACITY", "SHOAL_CONFIG",    "SHOAL_JSON",
                                        "SHOAL_SET",      "SHOAL_REDIS_URL", "SHOAL_NO_SUCH"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        unsetenv(names[i]);
    }
    options_destroy(opts);
    opts = NULL;
    unlink(path);
    return 0;
}

/* Parse the words of `line`; "%" in it is the path of the file. */
static enum options_outcome parse(const struct options_program *program, const char *line)
{
    static char words[1024];
    static char name[] = "prog";
    static char *argv[40] = {name}; /* to be read again */
    char *rest = words;
    int argc = 1;
    snprintf(words, sizeof(words), "%s", line);
    for (char *word; (word = strsep(&rest, " ")) != NULL;) {
        if (*word) {
            argv[argc++] = strcmp(word, "%") == 0 ? path : word;
        }
    }
    options_destroy(opts);
    err = (struct err){0};
    return options_parse(program, argc, argv, &opts, &err);
}

static void run(const char *line)
{
    if (parse(&daemon_program, line) != OPTIONS_RUN) {
        fail_msg("%s: %s", line, err.text);
    }
}

static void write_file(const char *content, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_return_code(fd, errno);
    assert_int_equal(write(fd, content, len), len);
    close(fd);
}

static void write_text(const char *content)
{
    write_file(content, strlen(content));
}

/* What a parse printed to standard output. */
static char *printed(const struct options_program *program, const char *line)
{
    static char text[16384];
    int saved = dup(STDOUT_FILENO);
    FILE *file = tmpfile();
    assert_non_null(file);
    fflush(stdout);
    dup2(fileno(file), STDOUT_FILENO);
    enum options_outcome outcome = parse(program, line);
    fflush(stdout);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    rewind(file);
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    fclose(file);
    if (outcome != OPTIONS_DONE) {
        fail_msg("%s: %s", line, err.text);
    }
    assert_null(opts);
    return text;
}

static void refuses(const struct options_program *program, const char *line, const char *says)
{
    assert_int_equal(parse(program, line), OPTIONS_ERROR);
    assert_null(opts);
    assert_int_equal(err.code, ERR_USAGE);
    if (!strstr(err.text, says)) {
        fail_msg("%s: \"%s\" lacks \"%s\"", line, err.text, says);
    }
}

static void defaults_hold_where_nothing_is_given(void **state)
{
    (void)state;
    run("--config=");
    assert_string_equal(options_string(opts, "redis-url"), "redis://127.0.0.1:6379");
    assert_null(options_string(opts, "redis-tls-ca"));
    assert_int_equal(options_int(opts, "capacity"), 10);
    assert_int_equal(options_int(opts, "buffer-bytes"), 65536);
    assert_int_equal(options_int(opts, "timeout"), 30000);
    assert_false(options_bool(opts, "json"));
    assert_int_equal(options_count(opts, "set"), 0);
    assert_int_equal(options_argc(opts), 0);
}

static void flag_beats_environment_beats_file_beats_default(void **state)
{
    (void)state;
    write_text("capacity = 2\n");
    setenv("SHOAL_CONFIG", path, 1);
    run("");
    assert_int_equal(options_int(opts, "capacity"), 2);
    setenv("SHOAL_CAPACITY", "3", 1);
    run("");
    assert_int_equal(options_int(opts, "capacity"), 3);
    run("--capacity 4");
    assert_int_equal(options_int(opts, "capacity"), 4);
    run("--capacity 4 --capacity=5");
    assert_int_equal(options_int(opts, "capacity"), 5);
    run("--config=");
    assert_int_equal(options_int(opts, "capacity"), 3);
}

static void a_weaker_wrong_value_does_not_stop_a_stronger_right_one(void **state)
{
    (void)state;
    write_text("capacity = lots\n");
    setenv("SHOAL_CAPACITY", "more", 1);
    run("--config % --capacity 4");
    assert_int_equal(options_int(opts, "capacity"), 4);
}

static void an_empty_variable_counts_as_not_given_and_a_foreign_one_is_ignored(void **state)
{
    (void)state;
    setenv("SHOAL_CAPACITY", "", 1);
    setenv("SHOAL_NO_SUCH", "x", 1);
    run("--config=");
    assert_int_equal(options_int(opts, "capacity"), 10);
}

static void values_are_understood_in_all_their_forms(void **state)
{
    (void)state;
    static const struct {
        const char *flag;
        const char *name;
        int64_t value;
    } cases[] = {
        {"--capacity=1", "capacity", 1},
        {"--capacity 100", "capacity", 100},
        {"--offset -5", "offset", -5},
        {"--offset=-0", "offset", 0},
        {"--any 9223372036854775806", "any", INT64_MAX - 1},
        {"--buffer-bytes 1k", "buffer-bytes", 1024},
        {"--buffer-bytes 2M", "buffer-bytes", 2 << 20},
        {"--buffer-bytes 1g", "buffer-bytes", 1 << 30},
        {"--buffer-bytes 4096", "buffer-bytes", 4096},
        {"--timeout 100ms", "timeout", 100},
        {"--timeout 3s", "timeout", 3000},
        {"--timeout 3", "timeout", 3000},
        {"--timeout 5m", "timeout", 300000},
        {"--timeout 1h", "timeout", 3600000},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        run(cases[i].flag);
        assert_true(options_int(opts, cases[i].name) == cases[i].value);
    }
}

static void booleans_take_no_value_or_one_after_an_equals_sign(void **state)
{
    (void)state;
    static const struct {
        const char *flag;
        bool value;
    } cases[] = {
        {"--json", true},      {"--json=true", true},   {"--json=Yes", true},
        {"--json=on", true},   {"--json=1", true},      {"--json=no", false},
        {"--json=off", false}, {"--json=FALSE", false}, {"--json=0", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        run(cases[i].flag);
        assert_int_equal(options_bool(opts, "json"), cases[i].value);
    }
    setenv("SHOAL_JSON", "on", 1);
    run("");
    assert_true(options_bool(opts, "json"));
    run("--json=false");
    assert_false(options_bool(opts, "json"));
}

static void repeated_options_collect_and_the_strongest_source_stands_alone(void **state)
{
    (void)state;
    write_text("set = a=1  b=2\nset = c=3\n");
    run("--config %");
    assert_int_equal(options_count(opts, "set"), 3);
    assert_string_equal(options_at(opts, "set", 0), "a=1");
    assert_string_equal(options_at(opts, "set", 2), "c=3");

    setenv("SHOAL_SET", "d=4 e=5", 1);
    run("--config %");
    assert_int_equal(options_count(opts, "set"), 2);

    run("--config % --set f=6 --set g=7");
    assert_int_equal(options_count(opts, "set"), 2);
    assert_string_equal(options_at(opts, "set", 1), "g=7");
}

static void arguments_may_stand_between_flags_for_a_program_that_takes_them(void **state)
{
    (void)state;
    setenv("POSIXLY_CORRECT", "1", 1);
    assert_int_equal(parse(&tool_program, "send --json chan - -- --not-a-flag"), OPTIONS_RUN);
    unsetenv("POSIXLY_CORRECT");
    assert_int_equal(options_argc(opts), 4);
    assert_string_equal(options_arg(opts, 0), "send");
    assert_string_equal(options_arg(opts, 1), "chan");
    assert_string_equal(options_arg(opts, 2), "-");
    assert_string_equal(options_arg(opts, 3), "--not-a-flag");
    assert_true(options_bool(opts, "json"));
}

static void wrong_command_lines_are_refused_with_what_is_allowed(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        const char *says;
    } cases[] = {
        {"--capacity 0", "--capacity (from the command line): \"0\" is out of range: 1 to 100"},
        {"--capacity 101", "1 to 100"},
        {"--capacity -1", "\"-1\" is out of range: 1 to 100"},
        {"--capacity 1x", "not a whole number"},
        {"--capacity 99999999999999999999", "not a whole number"},
        {"--capacity=", "\"\" is not a whole number"},
        {"--any 3", "--any (from the command line): \"3\" is odd"},
        {"--any 3x", "\"3x\" is not a whole number"},
        {"--buffer-bytes 1t", "a number of bytes (like 65536, 64k, 1m, 2g) from 1k to 1g"},
        {"--buffer-bytes 2g", "1k to 1g"},
        {"--buffer-bytes 17179869184g", "not a number of bytes"},
        {"--timeout 2h", "100ms to 1h"},
        {"--timeout soon", "a duration (like 500ms, 3s, 5m, 1h)"},
        {"--json=maybe", "neither true nor false"},
        {"--cluster A", "1 to 32 of a-z 0-9 _ -"},
        {"--log-level loud", "error, warn, info or debug"},
        {"--log-format xml", "text nor json"},
        {"--redis-url http://x", "--redis-url (from the command line): a URL that begins with"},
        {"--capacity", "--capacity needs a value"},
        {"--check=yes", "--check takes no value"},
        {"--capactiy 3", "unknown option --capactiy; did you mean --capacity?"},
        {"--cap 3", "unknown option --cap; did you mean --capacity?"},
        {"--cap=3", "unknown option --cap; did you mean --capacity?"},
        {"--redis_url x", "did you mean --redis-url?"},
        {"--pint-config", "did you mean --print-config?"},
        {"--entirely-different", "--help lists them all"},
        {"-x", "unknown option -x"},
        {"-capacity", "unknown option"},
        {"stray", "unexpected argument \"stray\""},
        {"-- stray", "unexpected argument \"stray\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        refuses(&daemon_program, cases[i].line, cases[i].says);
    }
}

static void errors_name_the_source_of_the_value(void **state)
{
    (void)state;
    char says[200];
    setenv("SHOAL_CAPACITY", "many", 1);
    refuses(&daemon_program, "", "--capacity (from SHOAL_CAPACITY): \"many\"");
    unsetenv("SHOAL_CAPACITY");

    write_text("# comment\n\ncapacity = many\n");
    snprintf(says, sizeof(says), "--capacity (from %s:3): \"many\"", path);
    refuses(&daemon_program, "--config %", says);
}

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

static void help_and_version_win_over_a_wrong_configuration(void **state)
{
    (void)state;
    setenv("SHOAL_CAPACITY", "many", 1);
    char *text = printed(&tool_program, "x --help --no-such");
    assert_non_null(strstr(text, "Usage: shoaltool [OPTION...] COMMAND [ARG...]\n"));
    assert_non_null(strstr(text, "\n  --capacity N              How many. [default: 10]\n"));
    assert_non_null(strstr(text, "\n  --json                    JSON.\n"));
    assert_non_null(strstr(text, "\n  --config FILE "));
    assert_non_null(strstr(text, "The end.\n"));
    for (char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        assert_true(strcspn(line, "\n") <= 80);
    }
    assert_string_equal(printed(&tool_program, "--version"), "shoaltool " SHOAL_VERSION "\n");
}

static void check_validates_and_says_so(void **state)
{
    (void)state;
    assert_string_equal(printed(&daemon_program, "--check"),
                        "shoal-test: the configuration is valid\n");
    refuses(&daemon_program, "--check --capacity 0", "out of range");
}

static void the_printed_configuration_reads_back_and_hides_secrets(void **state)
{
    (void)state;
    setenv("SHOAL_REDIS_URL", "rediss://me:hunter2@h:1/2", 1);
    char *text =
        printed(&daemon_program,
                "--print-config --capacity=5 --set a=1 --set b=2 --api-key hunter2 --json");

    assert_null(strstr(text, "hunter2"));
    assert_non_null(strstr(text, "redis_url = rediss://me:(secret)@h:1/2\n"));
    assert_non_null(strstr(text, "api_key = (secret)\n"));
    assert_non_null(strstr(text, "capacity = 5\n"));
    assert_non_null(strstr(text, "set = a=1 b=2\n"));
    assert_non_null(strstr(text, "# redis_tls_ca is not set\n"));

    write_text(text);
    unsetenv("SHOAL_REDIS_URL");
    run("--config %");
    assert_int_equal(options_int(opts, "capacity"), 5);
    assert_int_equal(options_count(opts, "set"), 2);
    assert_true(options_bool(opts, "json"));
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

static void secrets_are_masked_whole_or_in_their_url(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *shown;
    } cases[] = {
        {"redis://127.0.0.1:6379", "redis://127.0.0.1:6379"},
        {"redis://u@h", "redis://(secret)@h"},
        {"redis://u:p@h", "redis://u:(secret)@h"},
        {"redis://:p@h/3", "redis://:(secret)@h/3"},
        {"redis://p@h/3", "redis://(secret)@h/3"},
        {"redis://h:1/3", "redis://h:1/3"},
        {"rediss://[::1]:1", "rediss://[::1]:1"},
        {"redis://u:p:q@r@h", "redis://u:(secret)@h"},
        {"redis://u:p", "(secret)"},
        {"http://u:p@h", "(secret)"},
        {"plain", "(secret)"},
        {"", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *shown = option_value_mask(cases[i].text);
        assert_string_equal(shown, cases[i].shown);
        free(shown);
    }
}

#define T(test) cmocka_unit_test_teardown(test, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(defaults_hold_where_nothing_is_given),
        T(flag_beats_environment_beats_file_beats_default),
        T(a_weaker_wrong_value_does_not_stop_a_stronger_right_one),
        T(an_empty_variable_counts_as_not_given_and_a_foreign_one_is_ignored),
        T(values_are_understood_in_all_their_forms),
        T(booleans_take_no_value_or_one_after_an_equals_sign),
        T(repeated_options_collect_and_the_strongest_source_stands_alone),
        T(arguments_may_stand_between_flags_for_a_program_that_takes_them),
        T(wrong_command_lines_are_refused_with_what_is_allowed),
        T(errors_name_the_source_of_the_value),
        T(the_file_takes_comments_indents_and_crlf),
        T(wrong_files_are_refused_with_line_and_reason),
        T(a_line_that_is_too_long_is_refused_not_cut),
        T(a_fifo_does_not_stop_the_start),
        T(code_is_not_taken_from_a_file_that_others_may_write),
        T(files_that_cannot_be_read_are_told_apart),
        T(help_and_version_win_over_a_wrong_configuration),
        T(check_validates_and_says_so),
        T(the_printed_configuration_reads_back_and_hides_secrets),
        T(what_is_read_again_takes_over_where_it_may_change),
        T(a_wrong_file_read_again_changes_nothing),
        T(secrets_are_masked_whole_or_in_their_url),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
