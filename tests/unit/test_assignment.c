/* Assignment over the real steps: the shard manager decides for each channel, one step assigns them
 * all. */
#include "coordinator/requests/assignment.h"

#include "tests/lib/office.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct office o;
static unsigned sent;
static unsigned answers;
static char word[32];
static char reply[4096];
static enum err_code failed;

static void on_sent(void *ctx)
{
    (void)ctx;
    assert_int_equal(answers, 0);
    sent++;
}

static void on_answer(void *ctx, const struct registry_outcome *outcome, const struct err *err)
{
    (void)ctx;
    answers++;
    failed = err != NULL ? err->code : ERR_OK;
    struct slice first = outcome != NULL ? outcome->word : SLICE("");
    struct slice json = outcome != NULL ? outcome->json : SLICE("");
    snprintf(word, sizeof(word), "%.*s", (int)first.len, first.ptr);
    snprintf(reply, sizeof(reply), "%.*s", (int)json.len, json.ptr);
}

static struct slice as_user;

static void begin(const char *const *channels, size_t n, const char *not_yet)
{
    struct slice names[8];

    for (size_t i = 0; i < n; i++) {
        names[i] = slice_of(channels[i]);
    }
    sent = answers = 0;
    const struct assignment_request request = {.manager = o.manager,
                                               .mode = "join",
                                               .channels = names,
                                               .n = n,
                                               .user = as_user,
                                               .not_yet = not_yet,
                                               .on_sent = on_sent,
                                               .cb = on_answer};
    assignment_begin(&request);
}

static void assign(const char *const *channels, size_t n)
{
    begin(channels, n, NULL);
    office_until(&o, answers > 0);
    assert_int_equal(answers, 1);
}

/* Two shards of three channels each. */
static int open_office(void **state)
{
    (void)state;
    memset(&o, 0, sizeof(o));
    office_open(&o, "channels_per_shard,3,max_shard_count,3");
    world_add_shard(&o.world, &o.before, "one", "anonymous", "first");
    world_add_shard(&o.world, &o.before, "two", "anonymous", "");
    office_lead(&o);
    return 0;
}

static int close_office(void **state)
{
    (void)state;
    office_close(&o);
    return 0;
}

static const char *shard_of(const char *channel)
{
    return office_ask(&o, "HGET shoal:{t}:channels %s", channel);
}

static const char *seen_on(const char *channel)
{
    const struct shard *s = cluster_view_shard_of(o.view, channel);
    return s != NULL ? s->id : "";
}

static void each_channel_goes_where_the_manager_says_in_one_step(void **state)
{
    (void)state;
    const char *const channels[] = {"alice", "#Bob"};
    o.answers[MANAGER_ASSIGN] = "shard:two";

    assign(channels, 2);

    office_expect_asked(&o, "assign alice\nassign bob\n");
    assert_int_equal(sent, 1);
    assert_string_equal(word, "done");
    assert_non_null(strstr(reply, "\"alice\":\"two\""));
    assert_string_equal(shard_of("bob"), "two");
    assert_string_equal(seen_on("bob"), "two");
}

static void nothing_changes_until_the_last_answer_is_there(void **state)
{
    (void)state;
    const char *const channels[] = {"alice", "bob"};
    o.answers[MANAGER_ASSIGN] = "later";
    begin(channels, 2, NULL);
    office_answer(&o, "shard:two");
    office_facts(&o);
    assert_int_equal(sent, 0);
    assert_string_equal(shard_of("alice"), "");

    office_answer(&o, "least_loaded");

    assert_int_equal(sent, 1);
    office_until(&o, answers > 0);
    assert_string_equal(shard_of("alice"), "two");
    assert_string_not_equal(shard_of("bob"), "");
}

static void a_decision_counts_in_the_next_one_before_its_step_is_made(void **state)
{
    (void)state;
    const char *const channels[] = {"alice", "bob"};
    o.answers[MANAGER_ASSIGN] = "later";
    begin(channels, 2, NULL);

    office_answer(&o, "shard:two");

    assert_string_equal(seen_on("alice"), "two");
    office_answer(&o, "shard:two");
    office_until(&o, answers > 0);
}

static void what_the_step_refuses_is_taken_out_of_the_view_again(void **state)
{
    (void)state;
    const char *const channels[] = {"a", "b", "c"};
    o.answers[MANAGER_ASSIGN] = "shard:one"; /* which has room for two */

    assign(channels, 3);

    assert_non_null(strstr(reply, "\"refused\":{\"c\":"));
    assert_string_equal(seen_on("b"), "one");
    assert_string_equal(seen_on("c"), "");
    assert_string_equal(shard_of("c"), "");
}

static void a_manager_that_fails_refuses_the_channel_with_its_words(void **state)
{
    (void)state;
    const char *const channels[] = {"alice"};
    o.answers[MANAGER_ASSIGN] = "fail:not today";

    assign(channels, 1);

    assert_non_null(strstr(reply, "\"refused\":{\"alice\":"));
    assert_non_null(strstr(reply, "not today"));
}

static void what_is_no_channel_is_refused_by_name_and_never_decided(void **state)
{
    (void)state;
    const char *const channels[] = {"not-one", "alice"};

    assign(channels, 2);

    office_expect_asked(&o, "assign alice\n");
    assert_non_null(strstr(reply, "\"not-one\":"));
    assert_string_not_equal(shard_of("alice"), "");
}

static void what_cannot_be_taken_yet_is_kept_as_wanted_without_asking(void **state)
{
    (void)state;
    const char *const channels[] = {"alice"};

    begin(channels, 1, "the cluster is not set up yet");
    office_until(&o, answers > 0);

    office_expect_asked(&o, "");
    assert_non_null(strstr(reply, "\"waiting\":{\"alice\":"));
    assert_string_equal(office_ask(&o, "SISMEMBER shoal:{t}:waiting alice"), "1");
}

static void a_user_that_is_named_decides_and_the_manager_is_not_asked(void **state)
{
    (void)state;
    const char *const channels[] = {"alice", "not-one", "first"};
    world_configure(&o.world, office_me(&o), "", "", "setup_done", "");
    as_user = SLICE("anonymous");
    assign(channels, 3);
    as_user = SLICE("");

    office_expect_asked(&o, "");
    assert_string_equal(shard_of("alice"), "two"); /* the least loaded */
    assert_non_null(strstr(reply, "\"not-one\":"));
    assert_non_null(strstr(reply, "\"first\":\"one\""));
}

static void what_another_user_reads_is_refused_and_stays_in_the_view(void **state)
{
    (void)state;
    const char *const channels[] = {"first"};
    world_configure(&o.world, office_me(&o), "", "", "setup_done", "");
    as_user = SLICE("bot");
    assign(channels, 1);
    as_user = (struct slice){"b\0t", 3};
    assert_non_null(strstr(reply, "\"refused\":{\"first\":\"It is on shard one already, which "
                                  "reads as anonymous; part it first.\"}"));
    office_read(&o);
    assert_string_equal(seen_on("first"), "one");

    assign(channels, 1);
    as_user = SLICE("");
    assert_non_null(strstr(reply, "is no Twitch login in lower case, nor anonymous."));
}

static void who_leads_no_more_sends_no_step(void **state)
{
    (void)state;
    const char *const channels[] = {"alice"};
    o.answers[MANAGER_ASSIGN] = "later";
    begin(channels, 1, NULL);

    manager_out(o.manager);

    assert_int_equal(answers, 1);
    assert_int_equal(failed, ERR_CANCELED);
    assert_int_equal(sent, 0);
    assert_string_equal(shard_of("alice"), "");
}

static void a_manager_that_takes_too_long_is_given_up_and_the_others_go_on(void **state)
{
    (void)state;
    const char *const channels[] = {"alice", "bob"};
    o.answers[MANAGER_ASSIGN] = "later";
    begin(channels, 2, NULL);
    office_answer(&o, "shard:two");

    test_clock_forward(1000);

    office_until(&o, answers > 0);
    assert_non_null(strstr(reply, "\"alice\":\"two\""));
    assert_non_null(strstr(reply, "did not answer assign_shard within 1000 ms"));
    o.nlater = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define OFFICE_TEST(f) cmocka_unit_test_setup_teardown(f, open_office, close_office)
        OFFICE_TEST(each_channel_goes_where_the_manager_says_in_one_step),
        OFFICE_TEST(nothing_changes_until_the_last_answer_is_there),
        OFFICE_TEST(a_decision_counts_in_the_next_one_before_its_step_is_made),
        OFFICE_TEST(what_the_step_refuses_is_taken_out_of_the_view_again),
        OFFICE_TEST(a_manager_that_fails_refuses_the_channel_with_its_words),
        OFFICE_TEST(what_is_no_channel_is_refused_by_name_and_never_decided),
        OFFICE_TEST(what_cannot_be_taken_yet_is_kept_as_wanted_without_asking),
        OFFICE_TEST(a_user_that_is_named_decides_and_the_manager_is_not_asked),
        OFFICE_TEST(what_another_user_reads_is_refused_and_stays_in_the_view),
        OFFICE_TEST(who_leads_no_more_sends_no_step),
        OFFICE_TEST(a_manager_that_takes_too_long_is_given_up_and_the_others_go_on),
    };
    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
