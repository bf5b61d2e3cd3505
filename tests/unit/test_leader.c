/* Leader over the real steps: who leads, when it is over, and what a failed step means. */
#include "coordinator/lead/leader.h"

#include "tests/lib/office.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct office o;

static int open_office(void **state)
{
    (void)state;
    memset(&o, 0, sizeof(o));
    office_open(&o, "lease_ms,20000");
    office_lead(&o);
    office_facts(&o); /* the lease is as long from now on */
    return 0;
}

static int close_office(void **state)
{
    (void)state;
    office_close(&o);
    return 0;
}

static void somebody_else_leads(void)
{
    office_ask(&o, "HSET shoal:{t}:leader incarnation other id c9 token 99");
}

static void it_leads_where_nobody_does_and_says_so_in_the_registry(void **state)
{
    (void)state;
    assert_int_equal(o.wins, 1);
    assert_true(leader_may_act(o.leader));
    assert_string_equal(office_ask(&o, "HGET shoal:{t}:leader id"), "c1");
    assert_string_equal(office_ask(&o, "HGET shoal:{t}:leader token"), office_me(&o)->token);
}

static void it_renews_without_being_asked(void **state)
{
    (void)state;
    unsigned before = o.facts;

    test_clock_forward(20000 / 4 + 100);

    office_until(&o, o.facts > before);
    assert_int_equal(o.outs, 0);
}

static void its_own_deadline_ends_it_whatever_redis_would_say(void **state)
{
    (void)state;
    private_redis_pause(redis);
    test_clock_forward(17900);
    test_loop_run_for(&o.world.probe.t, 20);
    assert_true(leader_may_act(o.leader));
    assert_int_equal(o.outs, 0);

    test_clock_forward(200);

    office_until(&o, o.outs == 1);
    assert_false(leader_may_act(o.leader));
    private_redis_resume(redis);
    office_until(&o, o.wins == 2); /* Redis still has it as the leader */
}

static void a_step_that_finds_another_leader_ends_it_at_once(void **state)
{
    (void)state;
    const struct err deposed = {.code = ERR_LOST, .text = "another one leads"};
    somebody_else_leads();

    (void)leader_stepped(o.leader, "assign", &deposed);

    assert_int_equal(o.outs, 1);
    assert_false(leader_may_act(o.leader));
}

static void an_answer_that_another_one_leads_ends_it(void **state)
{
    (void)state;
    somebody_else_leads();

    leader_ask_now(o.leader);

    office_until(&o, o.outs == 1);
    assert_false(leader_may_act(o.leader));
}

static void it_comes_back_when_the_other_one_is_gone(void **state)
{
    (void)state;
    somebody_else_leads();
    leader_ask_now(o.leader);
    office_until(&o, o.outs == 1);
    office_ask(&o, "HSET shoal:{t}:leader deadline 0");

    leader_ask_now(o.leader);

    office_until(&o, o.wins == 2);
    assert_true(leader_may_act(o.leader));
}

static void a_step_that_failed_for_any_other_reason_ends_nothing(void **state)
{
    (void)state;
    const struct err refused = {.code = ERR_REPLY, .text = "no"};
    const struct err silent = {.code = ERR_DOWN, .text = "the link is down"};

    (void)leader_stepped(o.leader, "assign", &refused);
    (void)leader_stepped(o.leader, "assign", &silent);

    assert_int_equal(o.outs, 0);
    assert_true(leader_may_act(o.leader));
}

static void while_its_link_is_down_it_acts_on_nothing_and_leads_again_when_it_is_back(void **state)
{
    (void)state;
    office_ask(&o, "CLIENT KILL TYPE normal SKIPME yes");
    office_until(&o, !leader_may_act(o.leader));

    for (int i = 0; i < 100 && !leader_may_act(o.leader); i++) {
        test_loop_run_for(&o.world.probe.t, 10);
        test_clock_forward(50);
    }

    assert_true(leader_may_act(o.leader));
    assert_int_equal(o.wins, 1); /* it led all the time */
}

static void a_library_that_was_removed_is_loaded_again(void **state)
{
    (void)state;
    office_ask(&o, "FUNCTION FLUSH");
    leader_ask_now(o.leader);

    for (int i = 0; i < 200 && office_ask(&o, "FUNCTION LIST LIBRARYNAME shoal1")[0] == '\0'; i++) {
        test_loop_run_for(&o.world.probe.t, 10);
        test_clock_forward(50);
    }

    unsigned before = o.facts;
    office_until(&o, o.facts > before);
    assert_true(leader_may_act(o.leader));
}

static void a_registry_that_was_emptied_begins_a_new_term(void **state)
{
    (void)state;
    office_ask(&o, "FLUSHALL");

    leader_ask_now(o.leader);

    office_until(&o, o.losses == 1);
    assert_int_equal(o.outs, 1);
    assert_int_equal(o.wins, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define OFFICE_TEST(f) cmocka_unit_test_setup_teardown(f, open_office, close_office)
        OFFICE_TEST(it_leads_where_nobody_does_and_says_so_in_the_registry),
        OFFICE_TEST(it_renews_without_being_asked),
        OFFICE_TEST(its_own_deadline_ends_it_whatever_redis_would_say),
        OFFICE_TEST(a_step_that_finds_another_leader_ends_it_at_once),
        OFFICE_TEST(an_answer_that_another_one_leads_ends_it),
        OFFICE_TEST(it_comes_back_when_the_other_one_is_gone),
        OFFICE_TEST(a_step_that_failed_for_any_other_reason_ends_nothing),
        OFFICE_TEST(while_its_link_is_down_it_acts_on_nothing_and_leads_again_when_it_is_back),
        OFFICE_TEST(a_library_that_was_removed_is_loaded_again),
        OFFICE_TEST(a_registry_that_was_emptied_begins_a_new_term),
    };
    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
