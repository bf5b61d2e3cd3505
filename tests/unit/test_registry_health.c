/* Registry: what is taken from a node that is not well, and what is not, against a real Redis. */
#include "shared/redis/registry.h"

#include "tests/lib/registry_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct world w;
static struct registry_leader me;
static struct world_node n1;
static struct world_node n2;

/* A leader, and the node n1 with a shard that has a channel. */
static int begin(void **state)
{
    (void)state;
    world_begin(&w, &me, &n1, 10);
    world_add_shard(&w, &me, "main-shard", "anonymous", "");
    world_assign(&w, &me, "", "", "join", "foo");
    return 0;
}

static int finish(void **state)
{
    (void)state;
    assert_string_equal(world_broken(&w, 1000000, 1000000), "");
    world_finish(&w);
    return 0;
}

static const char *node_of(const char *shard)
{
    return world_ask(&w, "HGET shoal:{t}:shard:%s node", shard);
}

static void register_n2(uint64_t capacity, const char *users)
{
    world_node(&n2, "n2", 1002, capacity, users);
    assert_string_equal(world_register(&w, &n2, 0), "current");
}

static unsigned events(const char *name)
{
    char script[256];

    snprintf(script, sizeof(script),
             "local n = 0 for _, e in ipairs(redis.call('XRANGE', KEYS[1] .. ':log', '-', '+')) do "
             "if cjson.decode(e[2][2]).event == ARGV[1] then n = n + 1 end end return tostring(n)");
    return (unsigned)strtoul(world_eval(&w, script, name), NULL, 10);
}

/* Both ways in which the leader could take it away. */
static void is_kept(const struct world_node *n)
{
    world_lead(&w, &me);
    assert_int_equal(w.lead.nexpired, 0);
    assert_string_equal(world_expire(&w, &me, n->name, n->link_id), "kept");
}

/* Leases ------------------------------------------------------------------------------------------ */

static void a_node_that_is_cut_off_alone_keeps_what_it_holds(void **state)
{
    (void)state;
    world_end_lease(&w, &n1);
    is_kept(&n1);
    is_kept(&n1);
    assert_int_equal(events("node.silent"), 1);
    assert_int_equal(w.lead.nodes, 0);
    assert_string_equal(world_renew(&w, &n1, ""), "current");
    assert_string_equal(node_of("main-shard"), "n1");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:shard:main-shard epoch"), "1");

    world_end_lease(&w, &n1);
    is_kept(&n1);
    assert_int_equal(events("node.silent"), 2);
}

static void nodes_that_are_cut_off_together_keep_what_they_hold(void **state)
{
    (void)state;
    register_n2(10, "anonymous");
    world_add_shard(&w, &me, "initial-shard-1", "anonymous", "");
    world_end_lease(&w, &n1);
    world_end_lease(&w, &n2);
    is_kept(&n1);
    is_kept(&n2);
    assert_string_equal(world_renew(&w, &n2, ""), "current");
    /* From now on there is one that can. */
    world_lead(&w, &me);
    assert_string_equal(w.expired, "n1");
    assert_string_equal(world_expire(&w, &me, "n1", n1.link_id), "expired");
    assert_string_equal(node_of("main-shard"), "n2");
}

static void a_node_is_kept_where_the_others_have_no_room(void **state)
{
    (void)state;
    register_n2(0, "anonymous");
    world_end_lease(&w, &n1);
    is_kept(&n1);
}

static void a_node_is_kept_where_the_others_have_not_its_users(void **state)
{
    (void)state;
    register_n2(5, "bob");
    assert_string_equal(world_add_shard(&w, &me, "initial-shard-1", "bob", ""), "added");
    world_end_lease(&w, &n2);
    is_kept(&n2);
}

static void a_node_is_kept_where_the_others_are_draining(void **state)
{
    (void)state;
    register_n2(5, "anonymous");
    world_renew(&w, &n2, "{\"node\":{\"state\":\"draining\"}}");
    world_end_lease(&w, &n1);
    is_kept(&n1);
}

static void a_node_that_holds_nothing_expires_whoever_else_lives(void **state)
{
    (void)state;
    register_n2(5, "anonymous");
    world_end_lease(&w, &n1);
    world_end_lease(&w, &n2);
    world_lead(&w, &me);
    assert_int_equal(w.lead.nexpired, 1);
    assert_string_equal(w.expired, "n2");
    assert_string_equal(world_expire(&w, &me, "n2", n2.link_id), "expired");
}

static void while_no_node_is_up_a_join_that_needs_one_waits(void **state)
{
    (void)state;
    world_configure(&w, &me, "", "", "set", "channels_per_shard,1");
    world_end_lease(&w, &n1);
    is_kept(&n1);
    world_assign(&w, &me, "", "", "join", "bar");
    assert_non_null(strstr(w.rest, "\"waiting\":{\"bar\":\"No node is up.\"}"));
}

static void what_is_kept_is_taken_once_a_newcomer_has_the_node_id(void **state)
{
    (void)state;
    struct world_node newcomer;
    world_end_lease(&w, &n1);
    is_kept(&n1);
    world_node(&newcomer, "n1", 1003, 10, "anonymous");
    assert_string_equal(world_register(&w, &newcomer, 1001), "current");
    assert_int_equal(w.picture.nheld, 1);
    assert_string_equal(world_renew(&w, &n1, ""), "LOST");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, finish)
    const struct CMUnitTest tests[] = {
        TEST(a_node_that_is_cut_off_alone_keeps_what_it_holds),
        TEST(nodes_that_are_cut_off_together_keep_what_they_hold),
        TEST(a_node_is_kept_where_the_others_have_no_room),
        TEST(a_node_is_kept_where_the_others_have_not_its_users),
        TEST(a_node_is_kept_where_the_others_are_draining),
        TEST(a_node_that_holds_nothing_expires_whoever_else_lives),
        TEST(while_no_node_is_up_a_join_that_needs_one_waits),
        TEST(what_is_kept_is_taken_once_a_newcomer_has_the_node_id),
    };
    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
