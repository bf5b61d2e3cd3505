/* Status: each problem is told when there is one and only then, with its mend. */
#include "coordinator/status/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define NOW 1700000000000

static struct records records;
static struct cluster_state state;
static struct cluster_muted muted;
static uint64_t slots[20];
static struct look look;
static cJSON *document;

static void setting(const char *name, const char *value)
{
    cJSON *old = (cJSON *)records_find(records.settings, "name", name);

    if (old != NULL) {
        cJSON_ReplaceItemInObject(old, "value", cJSON_CreateString(value));
        return;
    }
    cJSON *one = cJSON_CreateObject();
    cJSON_AddStringToObject(one, "name", name);
    cJSON_AddStringToObject(one, "value", value);
    cJSON_AddItemToArray(records.settings, one);
}

/* A cluster that is well: a node, a shard of alice with ten channels, all joined. */
static int begin(void **unused)
{
    (void)unused;
    state = (struct cluster_state){
        .now = {NOW},
        .leader = {SLICE("c1"), SLICE("host"), 7, 5000},
        .rooms = 10,
    };
    records = (struct records){
        .settings = cJSON_CreateArray(),
        .nodes =
            cJSON_Parse("[{\"node\":\"n1\",\"state\":\"active\",\"shards\":1,\"buffer_bytes\":10,"
                        "\"buffer_limit\":100,\"error\":\"\"},"
                        "{\"node\":\"n2\",\"state\":\"active\"}]"),
        .shards = cJSON_Parse("[{\"shard\":\"initial-shard-1\",\"user\":\"alice\",\"node\":\"n1\","
                              "\"state\":\"ready\",\"channels\":10,\"joined\":10,\"queued\":0,"
                              "\"joining\":0,\"failed\":0,\"moved\":1699999990000}]"),
        .channels = cJSON_CreateArray(),
        .accounts = cJSON_Parse("[{\"account\":\"alice\",\"state\":\"usable\",\"ending\":0}]"),
        .readers = cJSON_Parse("[{\"reader\":\"alice\",\"rooms\":10,\"limit\":100}]"),
        .state = &state,
    };
    setting("user", "alice");
    setting("speaker", "");
    setting("speaker_shard_count", "1");
    setting("channels_per_shard", "25");
    setting("max_shard_count", "5");
    setting("room_limit", "100");
    setting("join_limit", "20");
    setting("join_window_ms", "11000");
    setting("login_limit", "20");
    setting("login_window_ms", "11000");
    setting("message_limit", "20");
    setting("message_mod_limit", "100");
    setting("message_window_ms", "32000");
    look = (struct look){.n = 1, .finding = {{LOOK_RIGHT, "persistence", "", "appendonly is on"}}};
    return 0;
}

static int end(void **unused)
{
    (void)unused;
    cJSON_Delete(document);
    document = NULL;
    cJSON_Delete(records.settings);
    cJSON_Delete(records.nodes);
    cJSON_Delete(records.shards);
    cJSON_Delete(records.channels);
    cJSON_Delete(records.accounts);
    cJSON_Delete(records.readers);
    return 0;
}

static void make(void)
{
    cJSON_Delete(document);
    document = status_document(&(struct status_facts){&records, "main", &look});
}

static const cJSON *member(const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(document, name);
}

static void put_text(cJSON *array, const char *name, const char *value)
{
    cJSON_DeleteItemFromObject(array->child, name);
    cJSON_AddStringToObject(array->child, name, value);
}

static void put(cJSON *array, const char *name, double value)
{
    cJSON_DeleteItemFromObject(array->child, name);
    cJSON_AddNumberToObject(array->child, name, value);
}

static void nobody_leads(void)
{
    state.leader = (struct cluster_leader){0};
}

static void is_stopped(void)
{
    state.stopped = true;
    put(records.shards, "joined", 0); /* which is no join that is stuck */
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
    state.homeless = 1;
}

static void shard_cannot_connect(void)
{
    put_text(records.shards, "state", "backoff");
    put_text(records.shards, "error", "connection refused");
}

static void shard_is_refused(void)
{
    shard_cannot_connect();
    put(records.shards, "login_refused", 1);
}

static void two_wait(void)
{
    state.waiting = 2;
    state.waiting_reason = SLICE("No node is up.");
}

static void one_failed(void)
{
    put(records.shards, "joined", 9);
    put(records.shards, "failed", 1);
}

static void nothing_is_joined(void)
{
    put(records.shards, "joined", 9);
    put(records.shards, "queued", 1);
    put(records.shards, "moved", NOW - 61000.0);
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
    put(records.readers, "rooms", 101);
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
    put(records.accounts, "ending", 1);
    put(records.accounts, "left_ms", 1800000);
}

static void is_muted(void)
{
    muted = (struct cluster_muted){SLICE("alice"), 90000};
    state.muted = &muted;
    state.nmuted = 1;
}

static void nobody_speaks(void)
{
    setting("speaker", "bot");
    state.speaker_error = SLICE("no node can log in as it");
}

static void speaker_is_not_connected(void)
{
    shard_cannot_connect();
    put_text(records.shards, "shard", "speaker-shard-1");
}

static void lost_its_data(void)
{
    state.lost_at_ms = NOW - 3600000;
    state.lost_channels = 7;
}

static void redis_keeps_nothing(void)
{
    look.finding[0] = (struct look_finding){LOOK_WRONG, "persistence", "set appendonly yes", "off"};
}

static void buffer_is_over_half(void)
{
    put(records.nodes, "buffer_bytes", 51);
}

static void joins_are_used_up(void)
{
    for (size_t i = 0; i < ARRAY_LEN(slots); i++) {
        slots[i] = NOW - 10000 + i;
    }
    state.budget[CLUSTER_JOINS] = (struct cluster_budget){ARRAY_LEN(slots), slots};
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
        end(unused);
        begin(unused);
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
        end(unused);
        begin(unused);
        cases[i].make();
        make();
        bool note = strcmp(cases[i].code, "channels_failed") == 0 ||
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
    put(records.shards, "moved", NOW - 59000.0);
    make();
    assert_int_equal(cJSON_GetArraySize(member("problems")), 0);

    put(records.shards, "moved", NOW - 70000.0); /* by one in two windows */
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
    state.lost_at_ms = NOW - 25ULL * 3600000;
    make();
    assert_true(status_is_healthy(document));
}

static void states_are_counted_by_shards_and_what_no_node_counted_is_assigned(void **unused)
{
    (void)unused;
    cJSON_AddItemToArray(
        records.shards,
        cJSON_Parse("{\"shard\":\"s2\",\"user\":\"bob\",\"channels\":7,\"joined\":1,"
                    "\"queued\":2,\"joining\":1,\"failed\":1}"));
    cJSON_AddItemToArray(
        records.shards, /* counted before channels went */
        cJSON_Parse("{\"shard\":\"s3\",\"user\":\"bob\",\"channels\":1,\"joined\":4}"));
    state.waiting = 3;
    make();

    char *text = cJSON_PrintUnformatted(member("states"));
    assert_string_equal(text, "{\"waiting\":3,\"assigned\":2,\"queued\":2,\"joining\":1,"
                              "\"joined\":12,\"failed\":1}");
    free(text);
    assert_int_equal(records_number(document, "channels"), 21);
}

static const cJSON *joins_of(const char *user)
{
    return records_find(member("joins"), "user", user);
}

static void the_time_to_go_is_that_of_the_users_pace(void **unused)
{
    (void)unused;
    make();
    assert_false(cJSON_HasObjectItem(joins_of("alice"), "left_ms"));

    put(records.shards, "channels", 110);
    put(records.shards, "queued", 100);
    setting("channels_per_shard", "none");
    make();
    assert_int_equal(records_number(joins_of("alice"), "left_ms"), 55000);
    assert_int_equal(records_number(joins_of("alice"), "queued"), 100);

    put_text(records.accounts, "tier", "verified");
    make();
    assert_int_equal(records_number(joins_of("alice"), "left_ms"), 550);

    setting("join_limit", "off");
    make();
    assert_true(cJSON_HasObjectItem(joins_of("alice"), "left_ms"));
    assert_int_equal(records_number(joins_of("alice"), "left_ms"), 0);

    state.stopped = true;
    make();
    assert_false(cJSON_HasObjectItem(joins_of("alice"), "left_ms"));
}

static void a_budget_is_used_up_by_the_limits_of_its_user_and_rooms_are_none(void **unused)
{
    (void)unused;
    put_text(records.accounts, "tier", "verified");
    joins_are_used_up();
    state.rooms = 100;
    make();
    assert_int_equal(cJSON_GetArraySize(member("problems")), 0);
    assert_int_equal(records_number(records_find(member("budgets"), "budget", "join"), "limit"),
                     2000);
}

static void settings_are_told_by_name(void **unused)
{
    (void)unused;
    make();
    assert_string_equal(records_text(member("settings"), "join_limit"), "20");
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_cluster_that_is_well_has_no_problem),
        TEST(each_problem_is_told_once_with_its_place_and_mend_and_no_other),
        TEST(a_cluster_is_degraded_by_what_is_bad_and_not_by_notes),
        TEST(each_kind_of_problem_has_its_case_here),
        TEST(joins_that_go_on_or_just_came_are_not_stuck),
        TEST(a_loss_of_data_is_told_for_a_day),
        TEST(states_are_counted_by_shards_and_what_no_node_counted_is_assigned),
        TEST(the_time_to_go_is_that_of_the_users_pace),
        TEST(a_budget_is_used_up_by_the_limits_of_its_user_and_rooms_are_none),
        TEST(settings_are_told_by_name),
        TEST(a_redis_out_of_reach_is_the_first_problem_of_what_was_known_last),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
