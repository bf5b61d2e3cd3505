/* Sweep over the real steps: the dead are buried, shards and channels find their places. */
#include "coordinator/chores/sweep.h"

#include "tests/lib/office.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct office o;
static struct world_node second;
static struct sweep *sweep;

static void on_facts(void *room, const struct registry_lead *facts)
{
    sweep_on_facts(room, facts);
}

static void close_sweep(void *room)
{
    sweep_destroy(room);
}

static int open_office(void **state)
{
    (void)state;
    memset(&o, 0, sizeof(o));
    office_open(&o, "channels_per_shard,2,max_shard_count,none,idle_shard_ms,0");
    return 0;
}

static void lead(void)
{
    office_lead(&o);
    sweep = sweep_create(o.leader, o.manager);
    office_room(&o, sweep, on_facts, close_sweep);
}

static int close_office(void **state)
{
    (void)state;
    office_close(&o);
    return 0;
}

static void second_node(void)
{
    world_node(&second, "n2", 1002, 10, "anonymous");
    assert_string_equal(world_register(&o.world, &second, 0), "current");
}

static const char *node_of(const char *shard)
{
    return office_ask(&o, "HGET shoal:{t}:shard:%s node", shard);
}

static bool is_on(const char *shard, const char *node)
{
    office_facts(&o);
    return strcmp(node_of(shard), node) == 0;
}

static void the_shards_of_a_node_whose_lease_ended_move_to_one_that_lives(void **state)
{
    (void)state;
    world_add_shard(&o.world, &o.before, "one", "anonymous", "alice");
    assert_string_equal(node_of("one"), "n1");
    second_node();
    lead();
    office_facts(&o);
    assert_string_equal(node_of("one"), "n1");

    world_end_lease(&o.world, &o.node);

    office_until(&o, is_on("one", "n2"));
    assert_string_equal(office_ask(&o, "ZSCORE shoal:{t}:nodes n1"), "");
}

static void a_death_is_seen_at_the_deadline_and_not_only_at_the_next_renewal(void **state)
{
    (void)state;
    world_configure(&o.world, &o.before, "", "", "set", "lease_ms,60000"); /* a renewal each 10 s */
    world_add_shard(&o.world, &o.before, "one", "anonymous", "alice");
    second_node();
    lead();
    office_ask(&o, "HDEL shoal:{t}:clock grace");
    world_eval(
        &o.world,
        "local now = redis.call('TIME'); "
        "redis.call('ZADD', KEYS[1] .. ':nodes', now[1] * 1000 + now[2] / 1000 + 300, 'n1'); "
        "return 'ok'",
        "");
    office_facts(&o);
    unsigned before = o.facts;

    wait_until(&o.world.probe.t, o.facts > before);

    office_until(&o, is_on("one", "n2"));
}

static void shards_without_a_node_are_placed_when_one_comes(void **state)
{
    (void)state;
    for (char id[] = "a"; id[0] <= 'k'; id[0]++) { /* one more than it can hold */
        world_add_shard(&o.world, &o.before, id, "anonymous", "");
    }
    assert_string_equal(node_of("k"), "");
    lead();
    office_facts(&o);
    assert_string_equal(node_of("k"), "");

    second_node();

    office_until(&o, is_on("k", "n2"));
}

static void
speaker_shards_are_opened_when_there_is_a_node_that_can_log_in_as_the_speaker(void **state)
{
    (void)state;
    world_configure(&o.world, &o.before, "", "", "setup_done", "");
    world_configure(&o.world, &o.before, "", "", "set", "speaker,bot");
    lead();
    office_facts(&o);
    assert_string_equal(office_ask(&o, "ZCARD shoal:{t}:load"), "0");

    world_node(&second, "n2", 1002, 10, "bot");
    assert_string_equal(world_register(&o.world, &second, 0), "current");

    office_until(&o, is_on("speaker-shard-1", "n2"));
}

static void channels_that_wait_are_assigned_as_the_manager_says(void **state)
{
    (void)state;
    world_add_shard(&o.world, &o.before, "one", "anonymous", "");
    world_assign_to(&o.world, &o.before, "", "", "join", "?no node is up", "alice,bob");
    assert_string_equal(office_ask(&o, "SCARD shoal:{t}:waiting"), "2");
    o.answers[MANAGER_ASSIGN] = "shard:one";

    lead();
    office_facts(&o);

    office_until(&o, strcmp(office_ask(&o, "SCARD shoal:{t}:waiting"), "0") == 0);
    assert_string_equal(office_ask(&o, "HGET shoal:{t}:channels alice"), "one");
    assert_non_null(strstr(o.asked, "assign alice\n"));
    assert_non_null(strstr(o.asked, "assign bob\n"));
}

static void channels_nobody_takes_are_asked_about_again_after_a_while_alone(void **state)
{
    (void)state;
    world_assign_to(&o.world, &o.before, "", "", "join", "?no node is up", "alice");
    o.answers[MANAGER_ASSIGN] = "fail:no";
    lead();
    office_facts(&o);
    office_expect_asked(&o, "assign alice\n");
    office_facts(&o);
    office_expect_asked(&o, "");

    office_after(&o, 1000);

    office_expect_asked(&o, "assign alice\n");
}

static void a_shard_that_was_idle_for_long_is_closed(void **state)
{
    (void)state;
    assert_string_equal(world_assign(&o.world, &o.before, "", "", "join", "alice"), "done");
    assert_string_equal(office_ask(&o, "ZCARD shoal:{t}:load"), "1");
    world_release(&o.world, &o.before, "", "", "part", "alice");
    lead();

    office_until(&o, (office_facts(&o), strcmp(office_ask(&o, "ZCARD shoal:{t}:load"), "0") == 0));
}

static void who_leads_no_more_sweeps_no_more(void **state)
{
    (void)state;
    world_add_shard(&o.world, &o.before, "one", "anonymous", "alice");
    second_node();
    lead();
    office_facts(&o);

    office_ask(&o, "HSET shoal:{t}:leader incarnation other id c9 token 99");
    leader_ask_now(o.leader);
    office_until(&o, o.outs == 1);
    world_end_lease(&o.world, &o.node);
    test_loop_run_for(&o.world.probe.t, 50);

    assert_string_equal(node_of("one"), "n1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define OFFICE_TEST(f) cmocka_unit_test_setup_teardown(f, open_office, close_office)
        OFFICE_TEST(the_shards_of_a_node_whose_lease_ended_move_to_one_that_lives),
        OFFICE_TEST(a_death_is_seen_at_the_deadline_and_not_only_at_the_next_renewal),
        OFFICE_TEST(shards_without_a_node_are_placed_when_one_comes),
        OFFICE_TEST(speaker_shards_are_opened_when_there_is_a_node_that_can_log_in_as_the_speaker),
        OFFICE_TEST(channels_that_wait_are_assigned_as_the_manager_says),
        OFFICE_TEST(channels_nobody_takes_are_asked_about_again_after_a_while_alone),
        OFFICE_TEST(a_shard_that_was_idle_for_long_is_closed),
        OFFICE_TEST(who_leads_no_more_sweeps_no_more),
    };
    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
