/* Initial channels: what people write, and what comes of it. Also --set pairs. */
#include "coordinator/options/initial_channels.h"

#include "coordinator/options/cluster_settings.h"
#include "coordinator/options/command_output.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

static char *joined(const struct initial_channels *c)
{
    static char out[1024];
    out[0] = '\0';
    for (size_t i = 0; i < c->n; i++) {
        snprintf(out + strlen(out), sizeof(out) - strlen(out), "%s%.*s", i ? "," : "",
                 (int)c->names[i].len, c->names[i].ptr);
    }
    return out;
}

static void check(const char *value, const char *expected)
{
    struct initial_channels c;
    struct err err = {0};
    if (initial_channels_parse(value, &c, &err) != 0) {
        fail_msg("\"%s\": %s", value, err.text);
    }
    assert_string_equal(joined(&c), expected);
    initial_channels_finish(&c);
}

static void lists_are_split_lowered_and_each_name_is_kept_once(void **state)
{
    (void)state;
    check(NULL, "");
    check("", "");
    check(",, ,", "");
    check("b", "b");
    check("b,a", "b,a");
    check("#One, TWO three", "one,two,three");
    check("b,a,B,#a,c", "b,a,c");
    check("a_1,abcdefghijklmnopqrstuvwxy", "a_1,abcdefghijklmnopqrstuvwxy");
}

static void names_that_are_no_channels_are_refused_by_name(void **state)
{
    (void)state;
    static const char *const bad[] = {"a!b",        "abcdefghijklmnopqrstuvwxyz", "##x", "#", "a.b",
                                      "caf\xc3\xa9"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct initial_channels c;
        struct err err = {0};
        char value[64];
        snprintf(value, sizeof(value), "good,%s", bad[i]);
        assert_int_equal(initial_channels_parse(value, &c, &err), -ERR_USAGE);
        assert_non_null(strstr(err.text, "is not a channel name"));
    }
}

static const char *write_file(const void *text, size_t len)
{
    static char value[64];
    snprintf(value, sizeof(value), "@/tmp/shoal-channels-XXXXXX");
    int fd = mkstemp(value + 1);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, len), len);
    close(fd);
    return value;
}

static void a_file_holds_one_or_several_a_line_and_comments(void **state)
{
    (void)state;
    static const char text[] = "# the first ones\nalpha\n  beta, Gamma # and #more\r\n\n#delta\n"
                               "epsilon,zeta\nalpha\n# the end";
    const char *value = write_file(text, sizeof(text) - 1);
    check(value, "alpha,beta,gamma,delta,epsilon,zeta");
    unlink(value + 1);
}

static void a_sharp_with_a_name_behind_it_is_a_channel_and_not_a_comment(void **state)
{
    (void)state;
    static const char text[] =
        "#alpha\n# alpha beta\n  #Beta,#gamma # delta\n#\n#-- epsilon\n##zeta\n";
    const char *value = write_file(text, sizeof(text) - 1);
    check(value, "alpha,beta,gamma");
    unlink(value + 1);
}

static void a_byte_order_mark_is_passed_over(void **state)
{
    (void)state;
    static const char text[] = "\xef\xbb\xbf"
                               "alpha\nbeta\n";
    const char *value = write_file(text, sizeof(text) - 1);
    check(value, "alpha,beta");
    unlink(value + 1);
    check("!printf '\\357\\273\\277#alpha'", "alpha");
}

static void every_bad_name_is_named(void **state)
{
    (void)state;
    struct initial_channels c;
    struct err err = {0};
    assert_int_equal(initial_channels_parse("good,b!d,worse.,fine,x-y", &c, &err), -ERR_USAGE);
    assert_string_equal(
        err.text, "\"b!d\", \"worse.\", \"x-y\" are not channel names: 1 to 25 of a-z, 0-9 and _");

    static const char text[] = "alpha\nb!d beta\nw.\n";
    const char *value = write_file(text, sizeof(text) - 1);
    char expected[256];
    assert_int_equal(initial_channels_parse(value, &c, &err), -ERR_USAGE);
    snprintf(expected, sizeof(expected), "%s:2: \"b!d\", %s:3: \"w.\" are not channel names",
             value + 1, value + 1);
    assert_memory_equal(err.text, expected, strlen(expected));
    unlink(value + 1);

    char many[4000] = "";
    for (int i = 0; i < 200; i++) {
        snprintf(many + strlen(many), sizeof(many) - strlen(many), "bad!name%d,", i);
    }
    assert_int_equal(initial_channels_parse(many, &c, &err), -ERR_USAGE);
    assert_non_null(strstr(err.text, "\"bad!name0\", \"bad!name1\""));
    assert_non_null(strstr(err.text, " more are not channel names: 1 to 25 of a-z, 0-9 and _"));
}

static void a_bad_name_in_a_file_is_named_with_its_line(void **state)
{
    (void)state;
    static const char text[] = "alpha\n# b!d\nb!d\n";
    const char *value = write_file(text, sizeof(text) - 1);
    struct initial_channels c;
    struct err err = {0};
    assert_int_equal(initial_channels_parse(value, &c, &err), -ERR_USAGE);
    char expected[128];
    snprintf(expected, sizeof(expected), "%s:3: \"b!d\"", value + 1);
    assert_memory_equal(err.text, expected, strlen(expected));
    unlink(value + 1);
}

static void files_that_are_missing_or_binary_are_refused(void **state)
{
    (void)state;
    struct initial_channels c;
    struct err err = {0};
    assert_int_equal(initial_channels_parse("@/nonexistent/file", &c, &err), -ERR_IO);
    assert_non_null(strstr(err.text, "/nonexistent/file"));
    const char *value = write_file("a\0b", 3);
    assert_int_equal(initial_channels_parse(value, &c, &err), -ERR_USAGE);
    unlink(value + 1);
    assert_int_equal(initial_channels_parse("@/tmp", &c, &err), -ERR_IO);
}

static void a_file_larger_than_one_read_is_read_whole(void **state)
{
    (void)state;
    char *text = malloc(200000);
    size_t len = 0;
    for (int i = 0; i < 10000; i++) {
        len += (size_t)sprintf(text + len, "channel_%d\n", i);
    }
    const char *value = write_file(text, len);
    struct initial_channels c;
    struct err err = {0};
    assert_int_equal(initial_channels_parse(value, &c, &err), 0);
    assert_int_equal(c.n, 10000);
    assert_true(slice_is(c.names[9999], "channel_9999"));
    initial_channels_finish(&c);
    unlink(value + 1);
    free(text);
}

static void splitting_stops_at_the_most_that_was_asked_for(void **state)
{
    (void)state;
    struct slice names[3];
    assert_int_equal(channel_names_split(SLICE("a b,c d e"), names, 3), 3);
    assert_true(slice_is(names[2], "c"));
    assert_int_equal(channel_names_split(SLICE(""), names, 3), 0);
    assert_int_equal(channel_names_split((struct slice){0}, names, 3), 0);
}

static void settings_need_a_key_and_a_value(void **state)
{
    (void)state;
    struct err err;
    assert_int_equal(cluster_setting_check("channels_per_shard=25", &err), 0);
    assert_int_equal(cluster_setting_check("user=bot_1", &err), 0);
    assert_int_equal(cluster_setting_check("user=a=b", &err), -ERR_USAGE);
    assert_int_equal(cluster_setting_check("foo", &err), -ERR_USAGE);
    assert_int_equal(cluster_setting_check("=1", &err), -ERR_USAGE);
    assert_int_equal(cluster_setting_check("foo=", &err), -ERR_USAGE);
    assert_int_equal(cluster_setting_check("Foo=1", &err), -ERR_USAGE);
    assert_int_equal(cluster_setting_check("", &err), -ERR_USAGE);
}

static void a_setting_given_twice_counts_as_given_last(void **state)
{
    (void)state;
    static const struct shard_manager_option own[] = {{"b", "0"}, {"c", "4"}, {0}};
    struct cluster_settings s = {0};
    cluster_settings_begin(&s, own);
    cluster_settings_add(&s, "a=1");
    cluster_settings_add(&s, "b=2");
    cluster_settings_add(&s, "a=3");
    assert_int_equal(s.n, 6);
    assert_true(slice_is(s.pairs[0], "b") && slice_is(s.pairs[1], "2"));
    assert_true(slice_is(s.pairs[2], "c") && slice_is(s.pairs[3], "4"));
    assert_true(slice_is(s.pairs[4], "a") && slice_is(s.pairs[5], "3"));
    cluster_settings_finish(&s);
}

static void what_is_a_managers_is_kept_as_it_is_and_in_order(void **state)
{
    (void)state;
    struct cluster_settings s = {0};
    struct err err;
    assert_int_equal(cluster_setting_check("manager.Bob-1=x=y z", &err), 0);
    assert_int_equal(cluster_setting_check("manager.empty=", &err), 0);
    assert_int_equal(cluster_setting_check("manager.=x", &err), -ERR_USAGE);
    assert_int_equal(cluster_setting_check("manager.key", &err), -ERR_USAGE);
    cluster_settings_begin(&s, NULL);
    cluster_settings_add(&s, "manager.Bob-1=x=y z");
    cluster_settings_add(&s, "manager.empty=");
    cluster_settings_add(&s, "manager.Bob-1=again");
    assert_int_equal(s.n, 0);
    assert_int_equal(s.nkwargs, 3);
    assert_string_equal(s.kwargs[0].key, "Bob-1");
    assert_string_equal(s.kwargs[0].value, "x=y z");
    assert_string_equal(s.kwargs[1].value, "");
    const struct shard_manager_options options = {s.nkwargs, s.kwargs};
    assert_string_equal(shard_manager_option(&options, "Bob-1"), "again");
    assert_null(shard_manager_option(&options, "bob-1"));
    cluster_settings_finish(&s);
}

static void parse_command(const char *command, int expected, const char *words)
{
    struct initial_channels c;
    struct err err = {0};
    int rc = initial_channels_parse(command, &c, &err);

    assert_int_equal(rc, expected);
    if (rc != 0) {
        assert_non_null(strstr(err.text, words));
        return;
    }
    assert_int_equal(c.n, 2);
    assert_true(slice_is(c.names[0], "forsen") && slice_is(c.names[1], "xqc"));
    initial_channels_finish(&c);
}

static void a_program_prints_them_one_a_line(void **state)
{
    (void)state;
    setenv("SHOAL_REDIS_URL", "redis://:secret@nowhere", 1);
    parse_command("!printf 'Forsen\nxqc # a comment\n\nforsen\n'", 0, "");
    parse_command("!echo forsen; echo ${SHOAL_REDIS_URL-xqc}", 0, ""); /* no secret of ours */
    unsetenv("SHOAL_REDIS_URL");
}

static void a_program_that_fails_is_named_with_how_it_ended(void **state)
{
    (void)state;
    parse_command("!echo forsen; exit 3", -ERR_IO, "ended with exit code 3");
    parse_command("!kill -9 $$", -ERR_IO, "ended by signal 9");
    parse_command("!no-such-program-of-shoal 2>/dev/null", -ERR_IO, "exit code 127");
    parse_command("!echo forsen; echo not-one", -ERR_USAGE,
                  ":2: \"not-one\" is not a channel name");
    parse_command("!printf 'a\\000b'", -ERR_USAGE, "NUL");
}

static void a_program_that_does_not_end_is_killed_with_what_it_started(void **state)
{
    (void)state;
    struct err err;
    char *out;
    size_t len;
    assert_int_equal(command_output("sleep 100 & sleep 100", 100, 50, &out, &len, &err), -ERR_IO);
    assert_non_null(strstr(err.text, "has not ended after"));
    assert_int_equal(command_output("yes", 100000, 60000, &out, &len, &err), -ERR_IO);
    assert_non_null(strstr(err.text, "more than 100000 bytes"));
}

static void a_program_that_finds_no_descriptor_left_is_an_error(void **state)
{
    (void)state;
    struct err err;
    struct rlimit limit;
    char *out;
    size_t len;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = STDERR_FILENO + 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    int failed = command_output("echo forsen", 100, 60000, &out, &len, &err);
    limit.rlim_cur = before;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(failed, -ERR_IO);
    assert_non_null(strstr(err.text, "cannot run \"echo forsen\": too many open files"));
}

static void an_option_check_runs_no_program(void **state)
{
    (void)state;
    struct err err;
    assert_int_equal(initial_channels_check("!exit 1", &err), 0);
    assert_int_equal(initial_channels_check("!", &err), -ERR_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_are_split_lowered_and_each_name_is_kept_once),
        cmocka_unit_test(names_that_are_no_channels_are_refused_by_name),
        cmocka_unit_test(a_file_holds_one_or_several_a_line_and_comments),
        cmocka_unit_test(a_sharp_with_a_name_behind_it_is_a_channel_and_not_a_comment),
        cmocka_unit_test(a_byte_order_mark_is_passed_over),
        cmocka_unit_test(every_bad_name_is_named),
        cmocka_unit_test(a_bad_name_in_a_file_is_named_with_its_line),
        cmocka_unit_test(files_that_are_missing_or_binary_are_refused),
        cmocka_unit_test(a_file_larger_than_one_read_is_read_whole),
        cmocka_unit_test(splitting_stops_at_the_most_that_was_asked_for),
        cmocka_unit_test(settings_need_a_key_and_a_value),
        cmocka_unit_test(a_setting_given_twice_counts_as_given_last),
        cmocka_unit_test(what_is_a_managers_is_kept_as_it_is_and_in_order),
        cmocka_unit_test(a_program_prints_them_one_a_line),
        cmocka_unit_test(a_program_that_fails_is_named_with_how_it_ended),
        cmocka_unit_test(a_program_that_does_not_end_is_killed_with_what_it_started),
        cmocka_unit_test(a_program_that_finds_no_descriptor_left_is_an_error),
        cmocka_unit_test(an_option_check_runs_no_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
