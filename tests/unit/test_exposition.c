/* Exposition: what Prometheus reads, letter by letter, and what it must not be led astray by. */
#include "shared/metrics/exposition.h"
#include "shared/metrics/process_meters.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static const char *why_name(size_t i)
{
    static const char *const names[] = {"late", "shoes"};

    return names[i];
}

#define METER_LABEL_WHY {"why", 2, why_name}
#define METER_DIM_WHY   [2]

#define METERS_OF_DOOR(X)                                                                          \
    X(door_opened_total, COUNTER, "", NONE, "times it was opened")                                 \
    X(door_refused_total, COUNTER, "", WHY, "who was not let in, and why")                         \
    X(door_busy_seconds_total, SECONDS, "seconds", NONE, "time it was open")                       \
    X(door_width_bytes, GAUGE, "bytes", NONE, "how wide it is")                                    \
    X(door_state, GAUGE, "", WHY, "how it is")                                                     \
    X(door_info, INFO, "", VERSION, "which one it is")                                             \
    X(door_open_seconds, HISTOGRAM, "seconds", NONE, "how long it was open")

struct meters_door {
    METERS_OF_DOOR(METER_MEMBER)
};

#define ROW(...) METER_ROW(struct meters_door, __VA_ARGS__)
static const struct meter meters_of_door[] = {METERS_OF_DOOR(ROW){0}};

static char *text_of(const struct meter *rows, const struct exposition_of *each, size_t n,
                     bool openmetrics)
{
    struct buf out;
    struct exposition e = {.out = &out, .openmetrics = openmetrics};

    buf_init(&out, 1024 * 1024);
    exposition_write_each(&e, rows, each, n);
    exposition_end(&e);
    assert_false(out.overflow);
    return out.data != NULL ? out.data : xstrdup("");
}

static struct meters_door door(void)
{
    struct meters_door d = {.door_opened_total = 12,
                            .door_refused_total = {3, 4},
                            .door_busy_seconds_total = 1500000,
                            .door_width_bytes = 0.25,
                            .door_state = {1, NAN},
                            .door_info = "0.5.0"};

    histogram_add(&d.door_open_seconds, 100);
    histogram_add(&d.door_open_seconds, 2000000);
    histogram_add(&d.door_open_seconds, UINT64_C(86400000000));
    return d;
}

static void has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        print_error("no\n%s\nin\n%s\n", part, text);
        fail();
    }
}

static void a_row_is_its_help_its_type_and_its_values(void **state)
{
    (void)state;
    struct meters_door d = door();
    char *text = text_of(meters_of_door, &(struct exposition_of){.meters = &d}, 1, false);

    has(text, "# HELP shoal_door_opened_total times it was opened\n"
              "# TYPE shoal_door_opened_total counter\n"
              "shoal_door_opened_total 12\n"
              "# HELP shoal_door_refused_total who was not let in, and why\n"
              "# TYPE shoal_door_refused_total counter\n"
              "shoal_door_refused_total{why=\"late\"} 3\n"
              "shoal_door_refused_total{why=\"shoes\"} 4\n");
    has(text, "# TYPE shoal_door_busy_seconds_total counter\nshoal_door_busy_seconds_total 1.5\n");
    has(text, "# TYPE shoal_door_width_bytes gauge\nshoal_door_width_bytes 0.25\n");
    has(text, "# TYPE shoal_door_info gauge\nshoal_door_info{version=\"0.5.0\"} 1\n");
    assert_null(strstr(text, "# EOF"));
    assert_null(strstr(text, "# UNIT"));
    free(text);
}

static void a_number_is_as_it_is(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } cases[] = {
        {0, "0"},
        {-0.5, "-0.5"},
        {3, "3"},
        {1795812290.556, "1795812290.556"},
        {1e14, "100000000000000"},
        {1e300, "1e+300"},
        {INFINITY, "+Inf"},
        {-INFINITY, "-Inf"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct meters_door d = {.door_width_bytes = cases[i].value};
        char *text = text_of(meters_of_door, &(struct exposition_of){.meters = &d}, 1, false);
        char line[100];
        snprintf(line, sizeof(line), "\nshoal_door_width_bytes %s\n", cases[i].text);
        has(text, line);
        free(text);
    }
}

static void what_is_not_known_is_not_shown(void **state)
{
    (void)state;
    struct meters_door d = door();
    d.door_info = NULL;
    char *text = text_of(meters_of_door, &(struct exposition_of){.meters = &d}, 1, false);

    has(text, "shoal_door_state{why=\"late\"} 1\n# HELP");
    assert_null(strstr(text, "shoal_door_state{why=\"shoes\"}"));
    assert_null(strstr(text, "version"));
    free(text);
}

static void a_histogram_counts_up_from_bound_to_bound(void **state)
{
    (void)state;
    struct meters_door d = door();
    char *text = text_of(meters_of_door, &(struct exposition_of){.meters = &d}, 1, false);

    has(text, "shoal_door_open_seconds_bucket{le=\"0.0001\"} 1\n");
    has(text, "shoal_door_open_seconds_bucket{le=\"1.0\"} 1\n"
              "shoal_door_open_seconds_bucket{le=\"2.5\"} 2\n");
    has(text, "shoal_door_open_seconds_bucket{le=\"1800.0\"} 2\n"
              "shoal_door_open_seconds_bucket{le=\"+Inf\"} 3\n"
              "shoal_door_open_seconds_sum 86402.0001\n"
              "shoal_door_open_seconds_count 3\n");
    free(text);
}

static void the_worst_and_the_newest_are_taken_once(void **state)
{
    (void)state;
    struct histogram h = {0};

    assert_int_equal(histogram_take_worst(&h), 0);
    histogram_add(&h, 700);
    histogram_add(&h, 500);
    assert_int_equal(histogram_take_last(&h), 500);
    assert_int_equal(histogram_take_last(&h), 0);
    assert_int_equal(histogram_take_worst(&h), 700);
    assert_int_equal(histogram_take_worst(&h), 0);
    histogram_add(&h, 3);
    assert_int_equal(histogram_take_worst(&h), 3);
}

static void openmetrics_names_families_and_units_and_ends(void **state)
{
    (void)state;
    struct meters_door d = door();
    char *text = text_of(meters_of_door, &(struct exposition_of){.meters = &d}, 1, true);

    has(text, "# HELP shoal_door_opened times it was opened\n"
              "# TYPE shoal_door_opened counter\n"
              "shoal_door_opened_total 12\n");
    has(text, "# TYPE shoal_door_busy_seconds counter\n"
              "# UNIT shoal_door_busy_seconds seconds\n"
              "shoal_door_busy_seconds_total 1.5\n");
    has(text, "# TYPE shoal_door info\nshoal_door_info{version=\"0.5.0\"} 1\n");
    has(text, "# UNIT shoal_door_open_seconds seconds\n");
    assert_string_equal(text + strlen(text) - 6, "# EOF\n");
    free(text);
}

static void of_several_a_row_is_written_once(void **state)
{
    (void)state;
    struct meters_door a = door();
    struct meters_door b = door();
    b.door_opened_total = 5;
    struct exposition_of each[] = {
        {.meters = &a, .labels = {{"house", SLICE("red")}, {"floor", SLICE("1")}}},
        {.meters = &b, .labels = {{"house", SLICE("blue")}}}};
    char *text = text_of(meters_of_door, each, 2, false);

    has(text, "# TYPE shoal_door_opened_total counter\n"
              "shoal_door_opened_total{house=\"red\",floor=\"1\"} 12\n"
              "shoal_door_opened_total{house=\"blue\"} 5\n# HELP");
    has(text, "shoal_door_refused_total{house=\"red\",floor=\"1\",why=\"shoes\"} 4\n");
    has(text, "shoal_door_open_seconds_bucket{house=\"blue\",le=\"+Inf\"} 3\n");
    free(text);
    text = text_of(meters_of_door, NULL, 0, true);
    assert_string_equal(text, "# EOF\n");
    free(text);
}

static void a_label_stays_in_its_quotes(void **state)
{
    (void)state;
    struct meters_door d = door();
    char longest[300];
    struct exposition_of each[] = {
        {.meters = &d, .labels = {{"house", SLICE("a\"} 1\n# EOF\\\x7f\x1b[2J")}}},
        {.meters = &d, .labels = {{"house", SLICE("caf\xc3\xa9 \xff\xc3")}}},
        {.meters = &d, .labels = {{"house", SLICE("\xc2\x9b[2J\xe2\x80\xae\xe2\x80\xa8.")}}},
        {.meters = &d, .labels = {{"house", {longest, 299}}}},
        {.meters = &d, .labels = {{"house", {NULL, 0}}}}};
    memset(longest, 'x', sizeof(longest));
    char *text = text_of(meters_of_door, each, 5, true);

    has(text, "shoal_door_opened_total{house=\"a\\\"} 1?# EOF\\\\??[2J\"} 12\n");
    has(text, "shoal_door_opened_total{house=\"caf\xc3\xa9 ??\"} 12\n");
    has(text, "shoal_door_opened_total{house=\"?[2J??.\"} 12\n");
    has(text, "shoal_door_opened_total{house=\"\"} 12\n");
    longest[128] = '\0';
    has(text, longest);
    longest[128] = 'x';
    longest[129] = '\0';
    assert_null(strstr(text, longest));
    free(text);
}

static void the_client_says_which_format_it_likes(void **state)
{
    (void)state;
    static const struct {
        const char *accept;
        bool openmetrics;
    } cases[] = {
        {"", false},
        {"*/*", false},
        {"text/plain", false},
        {"application/openmetrics-text", true},
        {"application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;"
         "q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
         true},
        {"application/vnd.google.protobuf;q=0.7,application/openmetrics-text;version=1.0.0;q=0.6,"
         "text/plain;version=0.0.4;q=0.5",
         true},
        {"text/plain;q=0.9, application/openmetrics-text;version=1.0.0; q=0.25", false},
        {"application/openmetrics-text;version=0.0.1", false},
        {"application/openmetrics-text;q=0", false},
        {"application/openmetrics-text;q=zero,,;;,", false},
        {",,,", false},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (exposition_is_openmetrics(slice_of(cases[i].accept)) != cases[i].openmetrics) {
            print_error("%s\n", cases[i].accept);
            fail();
        }
    }
    assert_string_equal(exposition_content_type(false), "text/plain; version=0.0.4; charset=utf-8");
    assert_string_equal(exposition_content_type(true),
                        "application/openmetrics-text; version=1.0.0; charset=utf-8");
}

static void what_does_not_fit_is_seen(void **state)
{
    (void)state;
    struct meters_door d = door();
    struct buf out;
    struct exposition e = {.out = &out};

    buf_init(&out, 200);
    exposition_write(&e, meters_of_door, &d);
    assert_true(out.overflow);
    buf_finish(&out);
}

/* The process's own ---------------------------------------------------------------------------- */

static char *process_text(bool openmetrics)
{
    static struct process_meters p;
    struct buf out;
    struct exposition e = {.out = &out, .openmetrics = openmetrics};
    uv_loop_t loop;

    uv_loop_init(&loop);
    buf_init(&out, 1024 * 1024);
    process_meters_begin(&p, &loop);
    while (p.values.loop_delay_seconds.sum_us == 0) { /* 300 ms late once */
        uv_sleep(400);
        uv_run(&loop, UV_RUN_ONCE);
    }
    assert_true(histogram_take_worst(&p.values.loop_delay_seconds) >= 250000);
    process_meters_write(&p, &e);
    exposition_end(&e);
    uv_close((uv_handle_t *)&p.timer, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    return out.data;
}

static double value_of(const char *text, const char *name)
{
    const char *at = strstr(text, name);

    assert_non_null(at);
    return strtod(at + strlen(name), NULL);
}

static void a_process_tells_of_itself(void **state)
{
    (void)state;
    char *text = process_text(false);
    double now = (double)wall_now().ms / 1000;

    has(text, "\nshoal_build_info{version=\"" SHOAL_VERSION "\"} 1\n");
    assert_true(value_of(text, "\nprocess_start_time_seconds ") > now - 60);
    assert_true(value_of(text, "\nprocess_start_time_seconds ") <= now);
    assert_true(value_of(text, "\nprocess_cpu_seconds_total ") > 0);
    assert_true(value_of(text, "\nprocess_resident_memory_bytes ") > 1e6);
    assert_true(value_of(text, "\nprocess_open_fds ") >= 3);
    assert_true(value_of(text, "\nprocess_max_fds ") >= value_of(text, "\nprocess_open_fds "));
    assert_true(value_of(text, "\nshoal_loop_delay_seconds_count ") >= 1);
    assert_true(value_of(text, "\nshoal_loop_delay_seconds_bucket{le=\"0.25\"} ") <
                value_of(text, "\nshoal_loop_delay_seconds_count "));
    free(text);
}

static void promtool_finds_nothing_to_say(void **state)
{
    (void)state;
    struct meters_door d = door();
    char *text[] = {process_text(false),
                    text_of(meters_of_door, &(struct exposition_of){.meters = &d}, 1, false)};

    for (size_t i = 0; i < ARRAY_LEN(text); i++) {
        FILE *promtool = popen("promtool check metrics 2>&1", "w");
        assert_non_null(promtool);
        assert_true(fputs(text[i], promtool) >= 0);
        assert_int_equal(pclose(promtool), 0);
        free(text[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_is_its_help_its_type_and_its_values),
        cmocka_unit_test(a_number_is_as_it_is),
        cmocka_unit_test(what_is_not_known_is_not_shown),
        cmocka_unit_test(a_histogram_counts_up_from_bound_to_bound),
        cmocka_unit_test(the_worst_and_the_newest_are_taken_once),
        cmocka_unit_test(openmetrics_names_families_and_units_and_ends),
        cmocka_unit_test(of_several_a_row_is_written_once),
        cmocka_unit_test(a_label_stays_in_its_quotes),
        cmocka_unit_test(the_client_says_which_format_it_likes),
        cmocka_unit_test(what_does_not_fit_is_seen),
        cmocka_unit_test(a_process_tells_of_itself),
        cmocka_unit_test(promtool_finds_nothing_to_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
