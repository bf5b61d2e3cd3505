/* Log: form of the lines, masking, rate limit, and a reader that does not read.
 *
 * Each test puts a pipe (or socket, or file) in the place of standard error and reads it back. */
#include "shared/log.h"

#include "shared/buf.h"
#include "shared/log_sink.h"

#include <cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static int saved_stderr;
static int reader;
static struct buf got;

static void use_as_stderr(int write_end)
{
    assert_return_code(dup2(write_end, STDERR_FILENO), errno);
    close(write_end);
}

static int setup(void **state)
{
    (void)state;
    int fds[2];
    saved_stderr = dup(STDERR_FILENO);
    assert_return_code(pipe2(fds, O_CLOEXEC), errno);
    assert_return_code(fcntl(fds[0], F_SETFL, O_NONBLOCK), errno);
    reader = fds[0];
    use_as_stderr(fds[1]);
    buf_init(&got, 4 << 20);
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    if (reader >= 0) {
        close(reader);
    }
    unsetenv("JOURNAL_STREAM");
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    buf_finish(&got);
    return 0;
}

/* What has come since the last call. */
static const char *read_back(void)
{
    char chunk[65536];
    buf_clear(&got);
    buf_append_str(&got, "");
    for (ssize_t n; (n = read(reader, chunk, sizeof(chunk))) > 0;) {
        buf_append(&got, chunk, (size_t)n);
    }
    return got.data;
}

/* A line without its time. */
static const char *event_of(const char *line)
{
    assert_true(strlen(line) > 25);
    assert_int_equal(line[10], 'T');
    assert_int_equal(line[23], 'Z');
    return line + 25;
}

static size_t count(const char *text, const char *what)
{
    size_t n = 0;
    for (; (text = strstr(text, what)) != NULL; text += strlen(what)) {
        n++;
    }
    return n;
}

static void a_text_line_has_time_level_room_event_and_pairs(void **state)
{
    (void)state;
    log_info("node", "shard.ready", "shard", "main-shard", "channels", log_u64(25), NULL);
    assert_string_equal(event_of(read_back()),
                        "info node shard.ready shard=main-shard channels=25\n");
}

static void values_that_would_confuse_a_reader_are_quoted(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        const char *shown;
    } cases[] = {
        {"two words", "\"two words\""},
        {"", "\"\""},
        {NULL, "\"\""},
        {"a=b", "\"a=b\""},
        {"say \"hi\"", "\"say \\\"hi\\\"\""},
        {"back\\slash", "\"back\\\\slash\""},
        {"two\nlines\r\n", "\"two\\nlines\\r\\n\""},
        {"\x1b[31mred", "\"\\x1b[31mred\""},
        {"\xc2\x9b", "\"\\xc2\\x9b\""},
        {"\xff", "\"\\xff\""},
        {"k\xc3\xa4se", "k\xc3\xa4se"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char want[100], event[20];
        snprintf(event, sizeof(event), "quote.%zu", i);
        snprintf(want, sizeof(want), "warn test %s v=%s\n", event, cases[i].shown);
        log_warn("test", event, "v", cases[i].value, NULL);
        assert_string_equal(event_of(read_back()), want);
    }
}

static void json_lines_parse_whatever_is_in_them(void **state)
{
    (void)state;
    char all[256];
    for (int i = 1; i < 256; i++) {
        all[i - 1] = (char)i;
    }
    all[255] = '\0';
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON);

    log_error("test", "json", "text", "a \"b\"\n\xc3\xa4", "all", all, "null", NULL, NULL);

    const char *line = read_back();
    assert_int_equal(count(line, "\n"), 1);
    cJSON *read = cJSON_Parse(line);
    assert_non_null(read);
    assert_string_equal(cJSON_GetObjectItem(read, "level")->valuestring, "error");
    assert_string_equal(cJSON_GetObjectItem(read, "room")->valuestring, "test");
    assert_string_equal(cJSON_GetObjectItem(read, "event")->valuestring, "json");
    assert_string_equal(cJSON_GetObjectItem(read, "text")->valuestring, "a \"b\"\n\xc3\xa4");
    assert_string_equal(cJSON_GetObjectItem(read, "null")->valuestring, "");
    assert_non_null(cJSON_GetObjectItem(read, "time"));
    cJSON_Delete(read);
}

static void long_values_are_cut_and_json_stays_whole(void **state)
{
    (void)state;
    char *big = xmalloc(100001);
    memset(big, 1, 100000); /* the byte that grows most */
    big[100000] = '\0';
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON);

    log_info("test", "long", "a", big, "b", big, "c", big, "d", big, "e", big, "f", big, NULL);

    cJSON *read = cJSON_Parse(read_back());
    assert_non_null(read);
    assert_non_null(cJSON_GetObjectItem(read, "c"));
    cJSON_Delete(read);
    free(big);
}

static void tokens_are_masked(void **state)
{
    (void)state;
    log_info("test", "mask", "pass", "oauth:abcdef123456", "line", "PASS OAuth:abcdef123456 x",
             "slice", log_slice(SLICE("oauth:abcdef")), NULL);
    const char *line = read_back();
    assert_null(strstr(line, "abcdef"));
    assert_non_null(strstr(line, "pass=(secret) line=\"PASS (secret) x\" slice=(secret)"));
}

static void levels_below_the_set_one_are_not_written(void **state)
{
    (void)state;
    log_debug("test", "quiet", NULL);
    log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    log_warn("test", "quiet", NULL);
    assert_string_equal(read_back(), "");
    assert_true(log_enabled(LOG_LEVEL_ERROR));
    assert_false(log_enabled(LOG_LEVEL_WARN));

    log_setup(LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT);
    log_debug("test", "loud", NULL);
    assert_string_equal(event_of(read_back()), "debug test loud\n");
}

static void an_event_may_log_20_lines_a_second_and_the_rest_is_counted(void **state)
{
    (void)state;
    for (int i = 0; i < 70; i++) {
        log_info("test", "storm", "i", log_u64((uint64_t)i), NULL);
    }
    log_info("test", "another", NULL);
    const char *text = read_back();
    /* Should the second turn just now, a second batch of 20 is right. */
    size_t written = count(text, " storm ");
    assert_true(written >= 20 && written <= 40);
    assert_int_equal(count(text, " another\n"), 1);

    log_flush(1);

    char want[80];
    snprintf(want, sizeof(want), "warn log log.suppressed of_room=test of_event=storm lines=%zu\n",
             70 - written);
    text = read_back();
    if (written == 20) {
        assert_string_equal(event_of(text), want);
    }
}

static void a_stalled_reader_blocks_nobody_and_learns_what_it_missed(void **state)
{
    (void)state;
    char filler[2001];
    memset(filler, 'x', 2000);
    filler[2000] = '\0';
    uint64_t start = mono_ms();

    for (int i = 0; i < 1000; i++) {
        char event[20];
        snprintf(event, sizeof(event), "e%d", i);
        log_info("stall", event, "filler", filler, NULL);
    }
    log_flush(50);
    assert_true(mono_ms() - start < 3000);
    assert_true(mono_ms() - start >= 50);

    size_t lines = 0, dropped = 0;
    for (int i = 0; i < 50; i++) {
        const char *text = read_back();
        const char *note = strstr(text, "log.dropped lines=");
        lines += count(text, " info stall e");
        dropped = note ? strtoul(note + strlen("log.dropped lines="), NULL, 10) : dropped;
        log_flush(0);
    }
    /* A pipe of 64 KiB and 256 KiB of ours. */
    assert_in_range(lines, 120, 170);
    assert_int_equal(lines + dropped, 1000);

    log_info("stall", "after", NULL);
    assert_string_equal(event_of(read_back()), "info stall after\n");
}

static void the_pipe_shared_with_others_stays_blocking(void **state)
{
    (void)state;
    log_info("test", "flags", NULL);
    assert_int_equal(fcntl(STDERR_FILENO, F_GETFL) & O_NONBLOCK, 0);
}

static void a_reader_that_left_does_not_end_the_process(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    close(reader);
    reader = -1;
    for (int i = 0; i < 3; i++) {
        log_info("test", "gone", NULL);
    }
    log_flush(10);
    (void)log_sink_take_dropped();
}

static void the_journal_gets_a_socket_and_priorities(void **state)
{
    (void)state;
    int fds[2];
    struct stat st;
    char name[64];
    assert_return_code(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), errno);
    assert_return_code(fcntl(fds[0], F_SETFL, O_NONBLOCK), errno);
    close(reader);
    reader = fds[0];
    use_as_stderr(fds[1]);
    assert_return_code(fstat(STDERR_FILENO, &st), errno);
    snprintf(name, sizeof(name), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    setenv("JOURNAL_STREAM", name, 1);
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);

    log_error("test", "bad", NULL);
    const char *line = read_back();
    assert_memory_equal(line, "<3>", 3);
    assert_string_equal(event_of(line + 3), "error test bad\n");

    /* A full socket is no reason to wait either. */
    char filler[2001];
    memset(filler, 'x', 2000);
    filler[2000] = '\0';
    uint64_t start = mono_ms();
    for (int i = 0; i < 400; i++) {
        char event[20];
        snprintf(event, sizeof(event), "s%d", i);
        log_info("sock", event, "filler", filler, NULL);
    }
    assert_true(mono_ms() - start < 3000);
    for (int i = 0; i < 50; i++) {
        (void)read_back();
        log_flush(0);
    }
    setenv("JOURNAL_STREAM", "1:1", 1);
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    (void)read_back();
    log_error("test", "plain", NULL);
    assert_string_equal(event_of(read_back()), "error test plain\n");
}

static void names_of_levels_and_formats_are_known(void **state)
{
    (void)state;
    enum log_level level;
    enum log_format format;
    assert_true(log_level_parse("debug", &level));
    assert_int_equal(level, LOG_LEVEL_DEBUG);
    assert_false(log_level_parse("verbose", &level));
    assert_true(log_format_parse("json", &format));
    assert_int_equal(format, LOG_FORMAT_JSON);
    assert_false(log_format_parse("", &format));
}

static void numbers_and_slices_become_text(void **state)
{
    (void)state;
    char big[500];
    memset(big, 'b', sizeof(big));
    assert_string_equal(log_u64(UINT64_MAX), "18446744073709551615");
    assert_string_equal(log_i64(INT64_MIN), "-9223372036854775808");
    assert_string_equal(log_slice(SLICE("a\0b")), "a?b");
    assert_int_equal(strlen(log_slice((struct slice){big, sizeof(big)})), 200);
}

#define ON_PIPE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_PIPE(a_text_line_has_time_level_room_event_and_pairs),
        ON_PIPE(values_that_would_confuse_a_reader_are_quoted),
        ON_PIPE(json_lines_parse_whatever_is_in_them),
        ON_PIPE(long_values_are_cut_and_json_stays_whole),
        ON_PIPE(tokens_are_masked),
        ON_PIPE(levels_below_the_set_one_are_not_written),
        ON_PIPE(an_event_may_log_20_lines_a_second_and_the_rest_is_counted),
        ON_PIPE(a_stalled_reader_blocks_nobody_and_learns_what_it_missed),
        ON_PIPE(the_pipe_shared_with_others_stays_blocking),
        ON_PIPE(a_reader_that_left_does_not_end_the_process),
        ON_PIPE(the_journal_gets_a_socket_and_priorities),
        cmocka_unit_test(names_of_levels_and_formats_are_known),
        cmocka_unit_test(numbers_and_slices_become_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
