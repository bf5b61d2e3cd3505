/* Status, problems: each is told when there is one and only then, with its mend. */
#include "coordinator/status/status.h"

#include "tests/lib/status_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct cluster_muted muted;
static uint64_t slots[20];

static void nobody_leads(void)
{
    whole.leader = (struct cluster_leader){0};
}

static void is_stopped(void)
{
    whole.stopped = true;
    put_number(records.shards, "joined", 0); /* which is no join that is stuck */
    put_text(records.shards, "state", "closed");
}

static void has_no_node(void)
{
    cJSON_DeleteItemFromArray(records.nodes, 0);
    cJSON_DeleteItemFromArray(records.nodes, 0);
}

static void node_is_late(void)
{
    put_text(records.nodes, "state", "silent");
}

static void node_is_kept(void)
{
    node_is_late();
    put_text(records.nodes, "silent", "1");
}

static void node_sees_nothing(void)
{
    put_text(records.nodes, "state", "blind");
    put_text(records.nodes, "error", "no route to host");
}

static void one_is_homeless(void)
{
    whole.homeless = 1;
}

static void shard_cannot_connect(void)
{
    put_text(records.shards, "state", "backoff");
    put_text(records.shards, "error", "connection refused");
}

static void shard_is_refused(void)
{
    shard_cannot_connect();
    put_number(records.shards, "login_refused", 1);
}

static void two_wait(void)
{
    whole.waiting = 2;
    whole.waiting_reason = SLICE("No node is up.");
}

static void one_failed(void)
{
    put_number(records.shards, "joined", 9);
    put_number(records.shards, "failed", 1);
}

static void nothing_is_joined(void)
{
    put_number(records.shards, "joined", 9);
    put_number(records.shards, "queued", 1);
    put_number(records.shards, "moved", NOW - 61000.0);
}

static void shard_is_too_full(void)
{
    setting("channels_per_shard", "9");
}

static void there_are_too_many_shards(void)
{
    setting("max_shard_count", "1");
    cJSON_AddItemToArray(records.shards, cJSON_Parse("{\"shard\":\"initial-shard-2\"}"));
}

static void is_in_too_many_rooms(void)
{
    put_number(records.readers, "rooms", 101);
}

static void reader_is_passed_over(void)
{
    put_text(records.readers, "error", "no node can log in as it");
}

static void has_to_log_in(void)
{
    put_text(records.accounts, "state", "login_required");
    put_text(records.accounts, "error", "Invalid refresh token");
}

static void app_has_no_token(void)
{
    put_text(records.accounts, "account", "@app");
    put_text(records.accounts, "state", "login_required");
}

static void key_is_missing(void)
{
    put_text(records.accounts, "state", "locked");
}

static void token_ends(void)
{
    put_number(records.accounts, "ending", 1);
    put_number(records.accounts, "left_ms", 1800000);
}

static void is_muted(void)
{
    muted = (struct cluster_muted){SLICE("alice"), 90000};
    whole.muted = &muted;
    whole.nmuted = 1;
}

static void nobody_speaks(void)
{
    setting("speaker", "bot");
    whole.speaker_error = SLICE("no node can log in as it");
}

static void speaker_is_not_connected(void)
{
    shard_cannot_connect();
    put_text(records.shards, "shard", "speaker-shard-1");
}

static void lost_its_data(void)
{
    whole.lost_at_ms = NOW - 3600000;
    whole.lost_channels = 7;
}

static void redis_keeps_nothing(void)
{
    look.finding[0] = (struct look_finding){LOOK_WRONG, "persistence", "set appendonly yes", "off"};
}

static void buffer_is_over_half(void)
{
    put_number(records.nodes, "buffer_bytes", 51);
}

static void memory_is_short(void)
{
    whole.kept.streams = 1;
    whole.kept.short_at.ms = NOW - 119000;
}

static void nothing_is_kept_now(void)
{
    whole.kept.streams = 1;
    whole.kept.missing = true;
}

/* The other one is nearer. */
static void a_group_is_behind(void)
{
    whole.kept = (struct cluster_kept){
        .streams = 1,
        .oldest = {NOW - 60000},
        .groups = SLICE("[{\"group\":\"logger\",\"key\":\"lines:0\",\"behind_ms\":30001},"
                        "{\"group\":\"other\",\"key\":\"lines:0\",\"behind_ms\":30000}]")};
}

static void joins_are_used_up(void)
{
    for (size_t i = 0; i < ARRAY_LEN(slots); i++) {
        slots[i] = NOW - 10000 + i;
    }
    whole.budget[CLUSTER_JOINS] = (struct cluster_budget){ARRAY_LEN(slots), slots};
}

static const struct {
    const char *code;
    void (*make)(void);
    const char *where; /* and which */
    const char *mend;  /* a part of it */
} cases[] = {
    {"no_leader", nobody_leads, "", "start a shoal-coordinator"},
    {"stopped", is_stopped, "", "shoalctl start"},
    {"no_node", has_no_node, "", "start a shoal-node"},
    {"node_silent", node_is_late, "node n1", "log"},
    {"node_fenced", node_is_kept, "node n1", "start another one"},
    {"node_blind", node_sees_nothing, "node n1", "reach Twitch"},
    {"shards_homeless", one_is_homeless, "", "--shard-capacity"},
    {"shard_error", shard_cannot_connect, "shard initial-shard-1", "log of its node"},
    {"shard_error", shard_is_refused, "shard initial-shard-1", "account login"},
    {"channels_waiting", two_wait, "", "reason"},
    {"channels_failed", one_failed, "", "shoalctl retry"},
    {"joins_stuck", nothing_is_joined, "account alice", "logs of the nodes"},
    {"over_limit", shard_is_too_full, "shard initial-shard-1", "raise the setting"},
    {"over_limit", there_are_too_many_shards, "", "raise the setting"},
    {"room_limit", is_in_too_many_rooms, "account alice", "part channels"},
    {"reader_refused", reader_is_passed_over, "account alice", "account list"},
    {"account_unusable", has_to_log_in, "account alice", "shoalctl account login"},
    {"account_unusable", app_has_no_token, "account @app", "--client-secret"},
    {"account_unusable", key_is_missing, "account alice", "--account-keys"},
    {"token_ending", token_ends, "account alice", "shoalctl account login"},
    {"account_muted", is_muted, "account alice", "send less"},
    {"speaker_missing", nobody_speaks, "account bot", "reason"},
    {"speaker_missing", speaker_is_not_connected, "shard speaker-shard-1", "log of its node"},
    {"data_lost", lost_its_data, "", "join the channels again"},
    {"redis_misconfigured", redis_keeps_nothing, "", "set appendonly yes"},
    {"buffer_filling", buffer_is_over_half, "node n1", "Redis"},
    {"history_short", memory_is_short, "", "history_bytes"},
    {"history_missing", nothing_is_kept_now, "", "more memory"},
    {"reader_behind", a_group_is_behind, "", "XGROUP DESTROY"},
    {"budget_exhausted", joins_are_used_up, "", "it passes"},
};

static void a_cluster_that_is_well_has_no_problem(void **unused)
{
    (void)unused;
    make();
    assert_true(status_is_healthy(document));
    assert_int_equal(cJSON_GetArraySize(member("problems")), 0);
    assert_string_equal(records_text(document, "health"), "healthy");
    assert_int_equal(records_number(document, "at"), NOW);
}

static void each_problem_is_told_once_with_its_place_and_mend_and_no_other(void **unused)
{
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        end_status(unused);
        begin_status(unused);
        cases[i].make();
        make();
        const cJSON *problem = member("problems")->child;
        char *told = cJSON_Print(member("problems"));
        if (cJSON_GetArraySize(member("problems")) != 1 ||
            strcmp(records_text(problem, "problem"), cases[i].code) != 0) {
            fail_msg("%s: %s", cases[i].code, told);
        }
        free(told);
        assert_non_null(strstr(records_text(problem, "mend"), cases[i].mend));
        assert_true(strlen(records_text(problem, "text")) > 10);
        const char *where = strchr(cases[i].where, ' ');
        char *kind = xstrndup(cases[i].where, where ? (size_t)(where - cases[i].where) : 0);
        assert_string_equal(records_text(problem, kind), where ? where + 1 : "");
        free(kind);
    }
}

static void a_cluster_is_degraded_by_what_is_bad_and_not_by_notes(void **unused)
{
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        end_status(unused);
        begin_status(unused);
        cases[i].make();
        make();
        bool note = strcmp(cases[i].code, "channels_failed") == 0 ||
                    strcmp(cases[i].code, "reader_behind") == 0 ||
                    strcmp(cases[i].code, "budget_exhausted") == 0;
        assert_int_equal(status_is_healthy(document), note);
        assert_string_equal(records_text(member("problems")->child, "level"),
                            note ? "note" : "bad");
    }
}

static void each_kind_of_problem_has_its_case_here(void **unused)
{
    (void)unused;
    for (size_t kind = 0; kind < STATUS_PROBLEM_KINDS; kind++) {
        size_t found = kind == STATUS_redis_down; /* below */
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
            found += strcmp(cases[i].code, status_kinds[kind].code) == 0;
        }
        if (found == 0) {
            fail_msg("%s has no case", status_kinds[kind].code);
        }
    }
}

static void joins_that_go_on_or_just_came_are_not_stuck(void **unused)
{
    (void)unused;
    nothing_is_joined();
    put_number(records.shards, "moved", NOW - 59000.0);
    make();
    assert_int_equal(cJSON_GetArraySize(member("problems")), 0);

    put_number(records.shards, "moved", NOW - 70000.0); /* by one in two windows */
    setting("join_window_ms", "40000");
    make();
    assert_int_equal(cJSON_GetArraySize(member("problems")), 0);
    setting("join_window_ms", "11000");

    put_text(records.shards, "state", "connecting"); /* which is another matter */
    make();
    assert_int_equal(cJSON_GetArraySize(member("problems")), 0);
}

static void a_loss_of_data_is_told_for_a_day(void **unused)
{
    (void)unused;
    lost_its_data();
    whole.lost_at_ms = NOW - 25ULL * 3600000;
    make();
    assert_true(status_is_healthy(document));
}

static void a_budget_is_used_up_by_the_limits_of_its_user_and_rooms_are_none(void **unused)
{
    (void)unused;
    put_text(records.accounts, "tier", "verified");
    joins_are_used_up();
    whole.rooms = 100;
    make();
    assert_int_equal(cJSON_GetArraySize(member("problems")), 0);
    assert_int_equal(records_number(records_find(member("budgets"), "budget", "join"), "limit"),
                     2000);
}

static void a_redis_out_of_reach_is_the_first_problem_of_what_was_known_last(void **unused)
{
    (void)unused;
    one_is_homeless();
    make();
    status_is_out_of_reach(document, "connection refused");
    status_is_out_of_reach(document, "no answer");

    assert_int_equal(cJSON_GetArraySize(member("problems")), 2);
    assert_string_equal(records_text(member("problems")->child, "problem"), "redis_down");
    assert_non_null(strstr(records_text(member("problems")->child, "text"), "no answer"));
    assert_false(status_is_healthy(document));
    assert_int_equal(records_number(document, "at"), NOW);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_status, end_status)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_cluster_that_is_well_has_no_problem),
        TEST(each_problem_is_told_once_with_its_place_and_mend_and_no_other),
        TEST(a_cluster_is_degraded_by_what_is_bad_and_not_by_notes),
        TEST(each_kind_of_problem_has_its_case_here),
        TEST(joins_that_go_on_or_just_came_are_not_stuck),
        TEST(a_loss_of_data_is_told_for_a_day),
        TEST(a_redis_out_of_reach_is_the_first_problem_of_what_was_known_last),
        TEST(a_budget_is_used_up_by_the_limits_of_its_user_and_rooms_are_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
