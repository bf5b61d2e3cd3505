/* Compare over the real steps: what differs in the registry is put right, at its time. */
#include "coordinator/chores/compare.h"

#include "tests/lib/office.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct office o;
static struct compare *compare;

static void on_facts(void *room, const struct registry_lead *facts)
{
    compare_on_facts(room, facts);
}

static void close_compare(void *room)
{
    compare_destroy(room);
}

static void damage(void)
{
    office_ask(&o, "ZADD shoal:{t}:load 7 one");
}

static bool is_right(void)
{
    office_facts(&o);
    return strcmp(office_ask(&o, "ZSCORE shoal:{t}:load one"), "1") == 0;
}

/* Facts enough for a whole comparison. */
static void nothing_is_repaired(void)
{
    for (int i = 0; i < 10; i++) {
        assert_false(is_right());
    }
}

/* It is, within the time of some rounds, however many short bursts one takes here. */
static bool is_put_right(void)
{
    for (int i = 0; i < 60; i++) {
        if (is_right()) {
            return true;
        }
        test_clock_forward(2000);
    }
    return false;
}

/* A shard with one channel; compared once. */
static int open_office(void **state)
{
    (void)state;
    memset(&o, 0, sizeof(o));
    office_open(&o, "lease_ms,20000,compare_ms,24000,channels_per_shard,none,room_limit,off");
    assert_string_equal(world_add_shard(&o.world, &o.before, "one", "anonymous", "alice"), "added");
    office_lead(&o);
    compare = compare_create(o.leader, o.view);
    compare_begin(compare);
    office_room(&o, compare, on_facts, close_compare);
    damage();
    compare_soon(compare); /* long bursts, to its end */
    office_until(&o, is_right());
    for (int i = 0; i < 20; i++) {
        office_facts(&o);
    }
    test_clock_forward(16000);
    return 0;
}

static int close_office(void **state)
{
    (void)state;
    office_close(&o);
    return 0;
}

static void what_differs_is_put_right_every_compare_ms(void **state)
{
    (void)state;
    damage();
    nothing_is_repaired();
    test_clock_forward(7000);
    nothing_is_repaired();

    test_clock_forward(1100);

    assert_true(is_put_right());
}

static void what_is_known_to_be_wrong_is_compared_within_a_second(void **state)
{
    (void)state;
    damage();
    compare_soon(compare);
    test_clock_forward(1000);

    office_until(&o, is_right());

    damage();
    test_clock_forward(1100);
    nothing_is_repaired();
}

static void a_new_term_compares_at_once(void **state)
{
    (void)state;
    damage();
    nothing_is_repaired();

    compare_begin(compare);

    assert_true(is_put_right());
}

static void what_a_step_passed_over_makes_the_next_one_come_soon(void **state)
{
    (void)state;
    damage();
    office_ask(&o, "HSET shoal:{t}:clock damaged 1");
    office_facts(&o);

    test_clock_forward(1000);

    office_until(&o, is_right());
}

/* More than is compared in a short burst. */
static void add_many(void)
{
    char names[8000];
    char id[16];

    for (unsigned shard = 0; shard < 4; shard++) {
        size_t len = 0;
        for (unsigned i = 0; i < 1000; i++) {
            len += (size_t)snprintf(names + len, sizeof(names) - len, "%sc%ux%u", i > 0 ? "," : "",
                                    shard, i);
        }
        snprintf(id, sizeof(id), "many%u", shard);
        assert_string_equal(world_add_shard(&o.world, office_me(&o), id, "anonymous", names),
                            "added");
    }
}

static void where_nothing_is_known_to_be_wrong_it_takes_its_time(void **state)
{
    (void)state;
    add_many();
    damage();
    test_clock_forward(8100);
    for (int i = 0; i < 3; i++) {
        nothing_is_repaired(); /* however often somebody asks */
    }
    for (int i = 0; i < 100 && !is_right(); i++) {
        test_clock_forward(2000);
    }
    assert_true(is_right());

    damage();
    compare_soon(compare);
    test_clock_forward(1000);
    office_until(&o, is_right());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define OFFICE_TEST(f) cmocka_unit_test_setup_teardown(f, open_office, close_office)
        OFFICE_TEST(what_differs_is_put_right_every_compare_ms),
        OFFICE_TEST(what_is_known_to_be_wrong_is_compared_within_a_second),
        OFFICE_TEST(a_new_term_compares_at_once),
        OFFICE_TEST(where_nothing_is_known_to_be_wrong_it_takes_its_time),
        OFFICE_TEST(what_a_step_passed_over_makes_the_next_one_come_soon),
    };
    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
