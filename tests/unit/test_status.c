/* Status: the members of the document, each from what was read. */
#include "coordinator/status/status.h"

#include "tests/lib/status_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

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
    whole.waiting = 3;
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

    put_number(records.shards, "channels", 110);
    put_number(records.shards, "queued", 100);
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

    whole.stopped = true;
    make();
    assert_false(cJSON_HasObjectItem(joins_of("alice"), "left_ms"));
}

static void settings_are_told_by_name(void **unused)
{
    (void)unused;
    make();
    assert_string_equal(records_text(member("settings"), "join_limit"), "20");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_status, end_status)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(states_are_counted_by_shards_and_what_no_node_counted_is_assigned),
        TEST(the_time_to_go_is_that_of_the_users_pace),
        TEST(settings_are_told_by_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
