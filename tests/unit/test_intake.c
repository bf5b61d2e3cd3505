/* Intake over the real steps: what stands in the streams is carried out in order, whatever
 * fails. */
#include "coordinator/requests/intake.h"

#include "tests/lib/office.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct office o;
static struct intake *intake;

static void on_facts(void *room, const struct registry_lead *facts)
{
    intake_set_up(room, facts->setup_done);
    intake_go_on(room);
}

static void on_ready(void *room)
{
    intake_anew(room);
}

static void on_out(void *room)
{
    intake_end(room);
}

static void close_intake(void *room)
{
    intake_close(room);
}

static void lead(void)
{
    office_lead(&o);
    intake = intake_create(o.leader, o.manager);
    office_room(&o, intake, on_facts, close_intake);
    o.on_ready = on_ready;
    o.on_out = on_out;
    intake_begin(intake);
}

static void begin(const char *settings)
{
    memset(&o, 0, sizeof(o));
    office_open(&o, settings);
    lead();
    office_facts(&o);
}

static void request(const char *id, const char *op, const char *channels)
{
    office_ask(&o, "XADD shoal:{t}:requests * id %s op %s channels %s by somebody", id, op,
               channels);
}

static const char *reply_to(const char *id)
{
    return office_ask(&o, "GET shoal:{t}:reply:%s", id);
}

static bool is_answered(const char *id)
{
    return reply_to(id)[0] != '\0';
}

static void what_is_asked_for_is_done_answered_and_taken_out(void **state)
{
    (void)state;
    begin("");
    request("r1", "join", "alice,bob");

    office_until(&o, is_answered("r1"));

    office_expect_asked(&o, "assign alice\nassign bob\n");
    assert_non_null(strstr(reply_to("r1"), "\"ok\":true"));
    assert_string_equal(office_ask(&o, "XLEN shoal:{t}:requests"), "0");
    assert_string_equal(office_ask(&o, "HEXISTS shoal:{t}:channels bob"), "1");
    office_close(&o);
}

static void what_stood_there_before_it_led_is_read_from_the_beginning(void **state)
{
    (void)state;
    memset(&o, 0, sizeof(o));
    office_open(&o, "");
    for (int i = 0; i < 30; i++) {
        office_ask(&o, "XADD shoal:{t}:requests * id old-%d op join channels c%d", i, i);
    }

    lead();

    for (int i = 0; i < 30; i++) {
        char id[16];
        snprintf(id, sizeof(id), "old-%d", i);
        office_until(&o, (office_facts(&o), is_answered(id)));
    }
    assert_string_equal(office_ask(&o, "XLEN shoal:{t}:requests"), "0");
    office_close(&o);
}

static void a_part_behind_a_join_waits_until_that_is_decided(void **state)
{
    (void)state;
    begin("");
    o.answers[MANAGER_ASSIGN] = "later";
    request("r1", "join", "alice");
    request("r2", "part", "alice");
    office_until(&o, o.nlater == 1);
    office_facts(&o);
    assert_false(is_answered("r2"));

    office_answer(&o, "least_loaded");

    office_until(&o, is_answered("r2"));
    assert_non_null(strstr(reply_to("r2"), "\"parted\":[\"alice\"]"));
    assert_string_equal(office_ask(&o, "HEXISTS shoal:{t}:channels alice"), "0");
    assert_null(cluster_view_shard_of(o.view, "alice"));
    office_close(&o);
}

static void while_the_cluster_is_set_up_joins_are_kept_as_wanted(void **state)
{
    (void)state;
    begin(NULL);
    office_facts(&o);
    request("r1", "join", "alice");

    office_until(&o, is_answered("r1"));

    office_expect_asked(&o, "");
    assert_non_null(strstr(reply_to("r1"), "being set up"));
    assert_string_equal(office_ask(&o, "SISMEMBER shoal:{t}:waiting alice"), "1");
    office_close(&o);
}

static void a_join_waits_for_a_cluster_that_is_about_to_be_set_up(void **state)
{
    (void)state;
    begin(NULL);
    request("r1", "join", "alice");
    request("r2", "retry", "alice");
    office_facts(&o);
    test_loop_run_for(&o.world.probe.t, 200);
    assert_false(is_answered("r1"));
    assert_string_equal(office_ask(&o, "XLEN shoal:{t}:requests"), "2");

    assert_string_equal(world_configure(&o.world, office_me(&o), "", "", "create", "office"),
                        "done");
    assert_string_equal(world_configure(&o.world, office_me(&o), "", "", "setup_done", ""), "done");
    office_facts(&o);

    office_until(&o, is_answered("r2"));
    office_expect_asked(&o, "assign alice\n");
    assert_non_null(strstr(reply_to("r1"), "\"assigned\""));
    office_close(&o);
}

static void settings_that_are_changed_are_seen_by_the_manager(void **state)
{
    (void)state;
    begin("");
    office_ask(&o, "XADD shoal:{t}:admin * id a1 op set name channels_per_shard value 3");

    office_until(&o, is_answered("a1"));

    office_until(&o, strcmp(cluster_view_setting(o.view, "channels_per_shard"), "3") == 0);
    office_close(&o);
}

static void more_than_may_wait_is_refused_at_once(void **state)
{
    (void)state;
    char id[16];
    unsigned refused = 0;
    begin("request_limit,10");
    o.answers[MANAGER_ASSIGN] = "later"; /* all behind it wait */
    request("first", "join", "alice");
    office_until(&o, o.nlater == 1);
    for (int i = 0; i < 15; i++) {
        snprintf(id, sizeof(id), "r%d", i);
        request(id, "part", "alice");
    }

    office_until(&o, (office_facts(&o), is_answered("r14")));

    assert_non_null(strstr(reply_to("r14"), "request_limit is 10"));
    assert_false(is_answered("r0"));
    office_answer(&o, "least_loaded");
    for (int i = 0; i < 15; i++) {
        snprintf(id, sizeof(id), "r%d", i);
        office_until(&o, is_answered(id));
        refused += strstr(reply_to(id), "request_limit") != NULL;
    }
    assert_int_equal(refused, 5);
    office_close(&o);
}

static void when_all_connections_were_cut_it_goes_on(void **state)
{
    (void)state;
    begin("lease_ms,20000");
    office_facts(&o);
    request("r1", "join", "alice");
    office_until(&o, is_answered("r1"));

    office_ask(&o, "CLIENT KILL TYPE normal SKIPME yes");
    request("r2", "part", "alice");

    for (int i = 0; i < 100 && !is_answered("r2"); i++) {
        test_loop_run_for(&o.world.probe.t, 20);
        test_clock_forward(100);
    }
    assert_true(is_answered("r2"));
    office_close(&o);
}

/* As after a restart with older data: an entry from before the last that was read stands there. */
static void what_came_back_with_a_redis_is_carried_out_though_later_ones_were_read(void **state)
{
    (void)state;
    begin("lease_ms,20000");
    office_facts(&o);
    request("r1", "join", "alice");
    office_until(&o, is_answered("r1"));
    office_ask(&o, "DEL shoal:{t}:requests");
    office_ask(&o, "XADD shoal:{t}:requests 5-1 id back op join channels bob by somebody");
    test_loop_run_for(&o.world.probe.t, 50);
    assert_false(is_answered("back"));

    office_ask(&o, "CLIENT KILL TYPE normal SKIPME yes");

    for (int i = 0; i < 100 && !is_answered("back"); i++) {
        test_loop_run_for(&o.world.probe.t, 20);
        test_clock_forward(100);
    }
    assert_true(is_answered("back"));
    office_close(&o);
}

static void a_join_whose_leader_was_deposed_is_the_successors(void **state)
{
    (void)state;
    begin("");
    o.answers[MANAGER_ASSIGN] = "later";
    request("r1", "join", "alice");
    office_until(&o, o.nlater == 1);

    office_ask(&o, "HSET shoal:{t}:leader incarnation other id c9 token 99");
    leader_ask_now(o.leader);
    office_until(&o, o.outs == 1);
    test_loop_run_for(&o.world.probe.t, 50);

    assert_false(is_answered("r1"));
    assert_string_equal(office_ask(&o, "XLEN shoal:{t}:requests"), "1");
    office_close(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_asked_for_is_done_answered_and_taken_out),
        cmocka_unit_test(what_stood_there_before_it_led_is_read_from_the_beginning),
        cmocka_unit_test(a_part_behind_a_join_waits_until_that_is_decided),
        cmocka_unit_test(while_the_cluster_is_set_up_joins_are_kept_as_wanted),
        cmocka_unit_test(a_join_waits_for_a_cluster_that_is_about_to_be_set_up),
        cmocka_unit_test(settings_that_are_changed_are_seen_by_the_manager),
        cmocka_unit_test(more_than_may_wait_is_refused_at_once),
        cmocka_unit_test(when_all_connections_were_cut_it_goes_on),
        cmocka_unit_test(what_came_back_with_a_redis_is_carried_out_though_later_ones_were_read),
        cmocka_unit_test(a_join_whose_leader_was_deposed_is_the_successors),
    };
    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
