/* Status meters: what Prometheus is told of a document. */
#include "coordinator/status/status_meters.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static struct buf text;

static void write_document(const char *json, bool openmetrics)
{
    cJSON *document = cJSON_Parse(json);
    struct exposition e = {.out = &text, .openmetrics = openmetrics};

    assert_non_null(document);
    buf_finish(&text);
    buf_init(&text, 1 << 20);
    status_meters_write(document, &e);
    exposition_end(&e);
    cJSON_Delete(document);
}

static void says(const char *line)
{
    char whole[300];

    snprintf(whole, sizeof(whole), "\n%s\n", line);
    if (strstr(text.data, whole) == NULL) {
        fail_msg("no line %s in:\n%s", line, text.data);
    }
}

static void says_not(const char *part)
{
    if (strstr(text.data, part) != NULL) {
        fail_msg("%s is in:\n%s", part, text.data);
    }
}

#define DOCUMENT                                                                                   \
    "{\"at\":1700000000500,\"health\":\"degraded\",\"leader\":{\"id\":\"c1\"},\"elections\":3,"    \
    "\"kept\":{\"streams\":1,\"entries\":9,\"bytes\":4096,\"age_ms\":90000,\"rewinds\":2,"         \
    "\"groups\":[{\"group\":\"logger\",\"key\":\"lines:0\",\"behind_ms\":2500,\"pending\":7,"      \
    "\"cuts\":1}]},"                                                                               \
    "\"stopped\":false,\"sends\":{\"expired\":2},\"homeless\":1,\"settings\":{\"max_shard_"        \
    "count\":\"5\",\"history_ms\":\"600000\",\"history_bytes\":\"67108864\"},"                     \
    "\"problems\":[{\"problem\":\"node_silent\"},{\"problem\":\"node_silent\"},"                   \
    "{\"problem\":\"redis_misconfigured\"}],"                                                      \
    "\"nodes\":[{\"node\":\"n1\",\"state\":\"active\",\"shards\":2,\"capacity\":8,\"lines_s\":40," \
    "\"latency_ms\":3,\"buffer_bytes\":10,\"buffer_limit\":100},"                                  \
    "{\"node\":\"n2\",\"state\":\"silent\"}],\"shards\":[{},{}],"                                  \
    "\"states\":{\"joined\":7,\"failed\":1},"                                                      \
    "\"joins\":[{\"user\":\"alice\",\"queued\":3,\"left_ms\":1500},{\"user\":\"bob\"},{\"user\":"  \
    "\"stopped\",\"queued\":1}],"                                                                  \
    "\"accounts\":[{\"account\":\"alice\",\"state\":\"usable\",\"left_ms\":60000,\"rooms\":5,"     \
    "\"room_limit\":100}],"                                                                        \
    "\"readers\":[{\"reader\":\"alice\",\"rooms\":5,\"error\":\"no node can log in as it\"},"      \
    "{\"reader\":\"bob\",\"rooms\":3}],\"muted\":[{\"account\":\"bob\"}],"                         \
    "\"budgets\":[{\"budget\":\"join\",\"used\":4,\"limit\":20},{\"budget\":\"rooms\",\"used\":5}" \
    "]}"

static void of_what_was_never_read_nothing_is_told_but_that(void **state)
{
    struct exposition e = {.out = &text};

    (void)state;
    buf_finish(&text);
    buf_init(&text, 1 << 20);
    status_meters_write(NULL, &e);
    says("shoal_redis_up 0");
    says_not("\nshoal_cluster");
    says_not("\nshoal_account");
}

static void the_cluster_is_told_in_base_units(void **state)
{
    (void)state;
    write_document(DOCUMENT, false);
    says("shoal_redis_up 1");
    says("shoal_cluster_problems{problem=\"redis_misconfigured\",level=\"bad\"} 1");
    says("shoal_cluster_read_timestamp_seconds 1700000000.5");
    says("shoal_cluster_leader 1");
    says("shoal_leader_elections_total 3");
    says("shoal_cluster_healthy 0");
    says("shoal_cluster_stopped 0");
    says("shoal_cluster_nodes{state=\"active\"} 1");
    says("shoal_cluster_nodes{state=\"silent\"} 1");
    says("shoal_cluster_nodes{state=\"blind\"} 0");
    says("shoal_cluster_shards 2");
    says("shoal_cluster_shards_limit 5");
    says("shoal_cluster_shards_homeless 1");
    says("shoal_cluster_channels{state=\"joined\"} 7");
    says("shoal_cluster_channels{state=\"waiting\"} 0");
    says("shoal_cluster_sends_total{result=\"expired\"} 2");
    says("shoal_cluster_sends_total{result=\"sent\"} 0");
    says("shoal_cluster_node_shards{node=\"n1\"} 2");
    says("shoal_cluster_node_capacity_shards{node=\"n1\"} 8");
    says("shoal_cluster_node_lines_per_second{node=\"n1\"} 40");
    says("shoal_cluster_node_latency_seconds{node=\"n1\"} 0.003");
    says("shoal_cluster_node_buffer_bytes{node=\"n1\"} 10");
    says("shoal_cluster_node_buffer_limit_bytes{node=\"n1\"} 100");
    says("shoal_cluster_joins_left_seconds{user=\"alice\"} 1.5");
    says("shoal_history_entries 9");
    says("shoal_history_bytes 4096");
    says("shoal_history_limit_bytes 67108864");
    says("shoal_history_age_seconds 90");
    says("shoal_history_limit_seconds 600");
    says("shoal_history_rewinds_total 2");
    says("shoal_history_group_behind_seconds{group=\"logger\",key=\"lines:0\"} 2.5");
    says("shoal_history_group_pending_entries{group=\"logger\",key=\"lines:0\"} 7");
    says("shoal_history_group_cuts_total{group=\"logger\",key=\"lines:0\"} 1");
    says("shoal_cluster_joins_left_seconds{user=\"bob\"} 0");
    says_not("shoal_cluster_joins_left_seconds{user=\"stopped\"}");
    says("shoal_budget_used{budget=\"join\"} 4");
    says("shoal_budget_limit{budget=\"join\"} 20");
}

static void each_problem_is_counted_also_where_there_is_none(void **state)
{
    (void)state;
    write_document(DOCUMENT, false);
    says("shoal_cluster_problems{problem=\"node_silent\",level=\"bad\"} 2");
    says("shoal_cluster_problems{problem=\"no_leader\",level=\"bad\"} 0");
    says("shoal_cluster_problems{problem=\"channels_failed\",level=\"note\"} 0");
}

static void accounts_are_those_there_are_and_the_users_of_tokens_files_that_read(void **state)
{
    (void)state;
    write_document(DOCUMENT, false);
    says("shoal_account_usable{account=\"alice\"} 1");
    says("shoal_account_token_left_seconds{account=\"alice\"} 60");
    says("shoal_account_rooms{account=\"alice\"} 5");
    says("shoal_account_rooms_limit{account=\"alice\"} 100");
    says("shoal_account_muted{account=\"alice\"} 0");
    says("shoal_account_usable{account=\"bob\"} 1");
    says("shoal_account_rooms{account=\"bob\"} 3");
    says("shoal_account_muted{account=\"bob\"} 1");
}

static void what_is_not_limited_or_not_known_is_not_shown(void **state)
{
    (void)state;
    write_document(DOCUMENT, false);
    says_not("rooms_limit{account=\"bob\"}");
    says_not("token_left_seconds{account=\"bob\"}");
    says_not("budget_limit{budget=\"rooms\"}");
    says_not("buffer_limit_bytes{node=\"n2\"}");
}

static void while_redis_is_away_nothing_is_told_of_the_cluster_but_how_old_it_is(void **state)
{
    (void)state;
    write_document(
        "{\"at\":1000,\"health\":\"degraded\",\"problems\":[{\"problem\":\"redis_down\"}],"
        "\"states\":{\"joined\":7}}",
        false);
    says("shoal_redis_up 0");
    says("shoal_cluster_read_timestamp_seconds 1");
    says_not("shoal_cluster_channels");
    says_not("shoal_cluster_leader");
}

static void an_empty_cluster_and_hostile_names_are_told_as_well(void **state)
{
    (void)state;
    write_document("{}", true);
    assert_non_null(strstr(text.data, "# EOF\n"));
    write_document("{\"nodes\":[{\"node\":\"n\\\"1\\n}\\\\ \\u001b[31m\",\"state\":\"\\\"\"}]}",
                   false);
    assert_null(strchr(text.data, '\x1b'));
    assert_non_null(strstr(text.data, "node=\"n\\\"1"));
}

static void promtool_finds_nothing_to_say(void **state)
{
    static const char *const documents[] = {
        DOCUMENT, "{}",
        "{\"nodes\":[{\"node\":\"n\\\"1\\n}\\\\ \\u001b[31m\",\"buffer_limit\":1}],"
        "\"accounts\":[{\"account\":\"{a=\\\"\",\"left_ms\":-5}],\"budgets\":[{\"budget\":\"#\"}]"
        "}"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(documents); i++) {
        write_document(documents[i], false);
        FILE *promtool = popen("promtool check metrics 2>&1", "w");
        assert_non_null(promtool);
        assert_true(fputs(text.data, promtool) >= 0);
        assert_int_equal(pclose(promtool), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_cluster_is_told_in_base_units),
        cmocka_unit_test(each_problem_is_counted_also_where_there_is_none),
        cmocka_unit_test(accounts_are_those_there_are_and_the_users_of_tokens_files_that_read),
        cmocka_unit_test(of_what_was_never_read_nothing_is_told_but_that),
        cmocka_unit_test(what_is_not_limited_or_not_known_is_not_shown),
        cmocka_unit_test(while_redis_is_away_nothing_is_told_of_the_cluster_but_how_old_it_is),
        cmocka_unit_test(an_empty_cluster_and_hostile_names_are_told_as_well),
        cmocka_unit_test(promtool_finds_nothing_to_say),
    };

    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_finish(&text);
    return failed;
}
