/* Manager run over the real steps: the shard manager is asked to start and to stop, once each
 * time. */
#include "coordinator/manager/manager_run.h"

#include "tests/lib/office.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct office o;
static struct manager_run *run;

static void on_facts(void *room, const struct registry_lead *facts)
{
    manager_run_on_facts(room, facts);
}

static void close_run(void *room)
{
    manager_run_destroy(room);
}

static void begin(const char *settings)
{
    memset(&o, 0, sizeof(o));
    office_open(&o, settings);
    office_lead(&o);
    run = manager_run_create(o.manager);
    manager_run_begin(run);
    office_room(&o, run, on_facts, close_run);
}

static void ask_for(const char *op)
{
    assert_string_equal(world_configure(&o.world, office_me(&o), "", "", op, ""), "done");
    office_facts(&o);
}

static void a_leader_asks_to_start_once(void **state)
{
    (void)state;
    begin("");
    office_facts(&o);
    office_facts(&o);
    office_expect_asked(&o, "start\n");

    manager_run_begin(run); /* it leads anew */
    office_facts(&o);

    office_expect_asked(&o, "start\n");
    office_close(&o);
}

static void a_cluster_that_is_not_set_up_is_not_started(void **state)
{
    (void)state;
    begin(NULL);
    office_facts(&o);
    office_expect_asked(&o, "");

    ask_for("setup_done");

    office_expect_asked(&o, "start\n");
    office_close(&o);
}

static void stop_and_start_follow_what_the_cluster_was_asked_for(void **state)
{
    (void)state;
    begin("");
    office_facts(&o);
    ask_for("stop");
    office_expect_asked(&o, "start\nstop\n");
    office_facts(&o);
    office_expect_asked(&o, "");

    ask_for("start");

    office_expect_asked(&o, "start\n");
    office_close(&o);
}

static void what_failed_is_tried_again_after_a_while(void **state)
{
    (void)state;
    begin("lease_ms,20000");
    office_facts(&o); /* the lease is as long from now on */
    ask_for("stop");
    o.asked[0] = '\0';
    o.answers[MANAGER_START] = "fail:not now";
    ask_for("start");
    office_expect_asked(&o, "start\n");
    office_after(&o, 4900);
    office_expect_asked(&o, "");

    office_after(&o, 200);

    office_expect_asked(&o, "start\n");
    office_close(&o);
}

static void a_start_that_failed_after_stop_was_asked_for_changes_nothing(void **state)
{
    (void)state;
    begin("lease_ms,20000");
    o.answers[MANAGER_START] = "later";
    office_facts(&o);
    ask_for("stop");
    office_expect_asked(&o, "start\nstop\n");

    office_answer(&o, "fail:too late");

    office_after(&o, 6000);
    office_expect_asked(&o, "");
    office_close(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_leader_asks_to_start_once),
        cmocka_unit_test(a_cluster_that_is_not_set_up_is_not_started),
        cmocka_unit_test(stop_and_start_follow_what_the_cluster_was_asked_for),
        cmocka_unit_test(what_failed_is_tried_again_after_a_while),
        cmocka_unit_test(a_start_that_failed_after_stop_was_asked_for_changes_nothing),
    };
    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
