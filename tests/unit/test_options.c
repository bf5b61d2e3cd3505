/* Options: precedence, values and messages. */
#include "shared/options_private.h"

#include "tests/lib/options_rig.h"

#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

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

static void a_word_in_the_help_that_begins_with_a_bracket_ends_at_the_next_blank(void **state)
{
    char *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);

    (void)state;
    options_print_item(to, "--listen ADDRESS", "As in [::1]:9400 (any). [default: a b]");
    fclose(to);
    assert_non_null(strstr(text, " As in [::1]:9400 (any). [default: a b]\n"));
    free(text);
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
        T(a_word_in_the_help_that_begins_with_a_bracket_ends_at_the_next_blank),
        T(help_and_version_win_over_a_wrong_configuration),
        T(check_validates_and_says_so),
        T(the_printed_configuration_reads_back_and_hides_secrets),
        T(secrets_are_masked_whole_or_in_their_url),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
