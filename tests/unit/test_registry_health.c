/* Registry: what is taken from a node that is not well, and what is not, against a real Redis. */
#include "shared/redis/registry.h"

#include "tests/lib/registry_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct world_node n2;

/* A leader, and the node n1 with a shard that has a channel. */
static int begin_with_foo(void **state)
{
    (void)state;
    world_begin(&w, &me, &n1, 10);
    world_add_shard(&w, &me, "main-shard", "anonymous", "");
    world_assign(&w, &me, "", "", "join", "foo");
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
    /* The other renewed a moment later. */
    world_eval(&w,
               "local t = redis.call('TIME') redis.call('ZADD', KEYS[1] .. ':nodes', "
               "t[1] * 1000 + math.floor(t[2] / 1000) + 1000, 'n2') return ''",
               "");
    is_kept(&n1);
    world_end_lease(&w, &n2);
    is_kept(&n1);
    is_kept(&n2);
    assert_string_equal(world_renew(&w, &n2, ""), "current");
    /* There is one that can, but for a lease the other may come back as it did. */
    is_kept(&n1);
    assert_string_equal(world_renew(&w, &n1, ""), "current");
    world_end_lease(&w, &n1);
    world_ask(&w, "HINCRBY shoal:{t}:clock returned -3000"); /* lease_ms */
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

/* Twitch ------------------------------------------------------------------------------------------ */

static const char *state_of(const struct world_node *n)
{
    return world_ask(&w, "HGET shoal:{t}:node:%s state", n->name);
}

/* "blind" for so many ms, "proving", "active" or "draining". */
static void says(struct world_node *n, const char *state, unsigned failing_ms)
{
    char report[200];

    snprintf(report, sizeof(report),
             "{\"node\":{\"state\":\"%s\",\"failing_ms\":%u,\"why\":\"refused\"}}", state,
             failing_ms);
    assert_string_equal(world_renew(&w, n, report), "current");
}

static void has_seen(struct world_node *n, unsigned ms_ago)
{
    char report[100];

    snprintf(report, sizeof(report), "{\"node\":{\"seen_ms\":%u}}", ms_ago);
    assert_string_equal(world_renew(&w, n, report), "current");
}

static void shards_of_a_blind_node_go_to_one_that_has_seen_twitch_since(void **state)
{
    (void)state;
    register_n2(10, "anonymous");
    says(&n1, "blind", 15000);
    assert_string_equal(state_of(&n1), "blind");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:node:n1 error"), "refused");
    assert_int_equal(events("node.blind"), 1);
    assert_false(w.picture.others_blind); /* it is the one itself */
    assert_string_equal(node_of("main-shard"), "n1");

    world_renew(&w, &n2, "");
    assert_true(w.picture.others_blind);
    has_seen(&n2, 20000); /* before n1 began to fail: nobody knows whether it would see now */
    assert_string_equal(node_of("main-shard"), "n1");
    has_seen(&n2, 100);
    assert_string_equal(node_of("main-shard"), "n2");
    assert_int_equal(w.picture.nheld, 1);
    assert_false(w.picture.others_blind);
    world_renew(&w, &n1, "");
    assert_int_equal(w.picture.nheld, 0);
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:shard:main-shard epoch"), "2");
}

static void a_blind_node_takes_nothing_before_it_has_proved_that_it_sees(void **state)
{
    (void)state;
    register_n2(100, "anonymous");
    says(&n2, "blind", 15000);
    assert_string_equal(world_add_shard(&w, &me, "initial-shard-1", "anonymous", ""), "added");
    assert_string_equal(node_of("initial-shard-1"), "n1");
    says(&n2, "proving", 0);
    assert_string_equal(world_add_shard(&w, &me, "initial-shard-2", "anonymous", ""), "added");
    assert_string_equal(node_of("initial-shard-2"), "n1");
    has_seen(&n1, 0);
    assert_false(w.picture.others_blind);
    says(&n2, "active", 0);
    assert_int_equal(events("node.sees"), 1);
    assert_string_equal(world_add_shard(&w, &me, "initial-shard-3", "anonymous", ""), "added");
    assert_string_equal(node_of("initial-shard-3"), "n2");
}

static void a_node_that_has_to_prove_itself_keeps_its_shards(void **state)
{
    (void)state;
    register_n2(10, "anonymous");
    says(&n1, "blind", 15000);
    says(&n1, "proving", 0);
    has_seen(&n2, 0);
    assert_string_equal(node_of("main-shard"), "n1");
}

static void where_all_are_blind_nothing_moves_and_what_needs_a_node_waits(void **state)
{
    (void)state;
    register_n2(10, "anonymous");
    world_configure(&w, &me, "", "", "set", "channels_per_shard,1");
    says(&n1, "blind", 15000);
    says(&n2, "blind", 15000);
    assert_string_equal(node_of("main-shard"), "n1");
    world_assign(&w, &me, "", "", "join", "bar");
    assert_non_null(strstr(w.rest, "\"waiting\":{\"bar\":\"No node sees Twitch.\"}"));
    world_end_lease(&w, &n1);
    is_kept(&n1);
    says(&n2, "proving", 0);
    is_kept(&n1);
    says(&n2, "active", 0);
    assert_string_equal(world_expire(&w, &me, "n1", n1.link_id), "expired");
    assert_string_equal(node_of("main-shard"), "n2");
}

static void what_a_blind_node_holds_is_shared_by_those_that_see(void **state)
{
    (void)state;
    struct world_node n3;
    for (int i = 1; i <= 5; i++) {
        char shard[32];
        snprintf(shard, sizeof(shard), "initial-shard-%d", i);
        world_configure(&w, &me, "", "", "set", "max_shard_count,none");
        assert_string_equal(world_add_shard(&w, &me, shard, "anonymous", ""), "added");
    }
    register_n2(10, "anonymous");
    world_node(&n3, "n3", 1003, 10, "anonymous");
    world_register(&w, &n3, 0);
    says(&n1, "blind", 15000);
    for (int i = 0; i < 6; i++) {
        has_seen(i % 2 == 0 ? &n2 : &n3, 0);
    }
    assert_string_equal(world_ask(&w, "ZCARD shoal:{t}:node:n1:shards"), "0");
    assert_string_equal(world_ask(&w, "ZCARD shoal:{t}:node:n2:shards"), "3");
    assert_string_equal(world_ask(&w, "ZCARD shoal:{t}:node:n3:shards"), "3");
}

static void of_a_blind_node_nobody_takes_what_he_cannot_log_in_as(void **state)
{
    (void)state;
    register_n2(10, "bob");
    says(&n1, "blind", 15000);
    assert_string_equal(world_add_shard(&w, &me, "initial-shard-1", "bob", ""), "added");
    has_seen(&n2, 0);
    assert_string_equal(node_of("main-shard"),
                        "n2"); /* whoever may log in may read as nobody, too */
    says(&n1, "proving", 0);
    says(&n1, "active", 0);
    says(&n2, "blind", 15000);
    has_seen(&n1, 0);
    assert_string_equal(node_of("main-shard"), "n1");
    assert_string_equal(node_of("initial-shard-1"), "n2");
}

static void a_blind_node_that_registers_anew_is_blind_still(void **state)
{
    (void)state;
    register_n2(10, "anonymous");
    says(&n1, "blind", 15000);
    n1.link_id = 1010;
    n1.state = "blind";
    assert_string_equal(world_register(&w, &n1, 0), "current");
    assert_string_equal(state_of(&n1), "blind");
    assert_string_equal(world_add_shard(&w, &me, "initial-shard-1", "anonymous", ""), "added");
    assert_string_equal(node_of("initial-shard-1"), "n2");
    says(&n1, "blind", 15000);
    assert_int_equal(events("node.blind"), 1);
}

static void a_draining_node_says_nothing_else_any_more(void **state)
{
    (void)state;
    says(&n1, "draining", 0);
    says(&n1, "active", 0);
    assert_string_equal(state_of(&n1), "draining");
    says(&n1, "nonsense", 0);
    assert_string_equal(state_of(&n1), "draining");
}

static void what_was_not_read_on_a_blind_node_is_known_by_whoever_takes_it(void **state)
{
    (void)state;
    register_n2(10, "anonymous");
    world_renew(&w, &n1,
                "{\"channels\":{\"foo\":{\"shard\":\"main-shard\",\"state\":\"joined\"}}}");
    world_renew(&w, &n1,
                "{\"channels\":{\"foo\":{\"shard\":\"main-shard\",\"state\":\"queued\",\"unread_"
                "ms\":20000}}}");
    says(&n1, "blind", 15000);
    has_seen(&n2, 0);
    assert_string_equal(w.unread, "foo:20");
}

/* Logins ------------------------------------------------------------------------------------------ */

static void reports(struct world_node *n, const char *shard, const char *state, int refused)
{
    char report[200];

    snprintf(report, sizeof(report),
             "{\"shards\":{\"%s\":{\"epoch\":1,\"state\":\"%s\",\"login_refused\":%d}}}", shard,
             state, refused);
    assert_string_equal(world_renew(&w, n, report), "current");
}

static size_t logins(const struct world_node *n)
{
    assert_string_equal(world_draw(&w, n, "anonymous", "login", 1), "drawn");
    return w.nwaits;
}

static void what_was_refused_is_tried_once_in_a_while_by_all_that_were_refused(void **state)
{
    (void)state;
    assert_string_equal(
        world_ask(&w, "HSET shoal:{t}:config connect_interval_ms off login_limit off"), "2");
    register_n2(10, "anonymous");
    world_add_shard(&w, &me, "initial-shard-1", "anonymous", "");
    assert_int_equal(logins(&n1), 1);
    reports(&n1, "main-shard", "backoff", 1);
    assert_int_equal(logins(&n1), 0);
    assert_int_equal(world_draw(&w, &n1, "anonymous", "join", 1) && w.nwaits == 1, 1);
    /* Another node may have another token, until it was refused as well. */
    assert_int_equal(logins(&n2), 1);
    reports(&n2, node_of("initial-shard-1")[1] == '2' ? "initial-shard-1" : "main-shard", "backoff",
            1);
    assert_int_equal(logins(&n2), 0);
    world_ask(&w, "HSET shoal:{t}:budget:anonymous:refused until 1");
    assert_int_equal(logins(&n2), 1);
    assert_int_equal(logins(&n1), 0);
    assert_int_equal(logins(&n2), 0);
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:budget:anonymous:refused wait"), "60000");
    /* New tokens of a node are tried at once; and what works is no longer held back. */
    world_renew(&w, &n1, "{\"node\":{\"users\":\"anonymous\"}}");
    assert_int_equal(logins(&n1), 1);
    assert_int_equal(logins(&n2), 0);
    reports(&n1, "main-shard", "ready", 0);
    assert_int_equal(logins(&n2), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_with_foo, finish)
    const struct CMUnitTest tests[] = {
        TEST(a_node_that_is_cut_off_alone_keeps_what_it_holds),
        TEST(nodes_that_are_cut_off_together_keep_what_they_hold),
        TEST(a_node_is_kept_where_the_others_have_no_room),
        TEST(a_node_is_kept_where_the_others_have_not_its_users),
        TEST(a_node_is_kept_where_the_others_are_draining),
        TEST(a_node_that_holds_nothing_expires_whoever_else_lives),
        TEST(while_no_node_is_up_a_join_that_needs_one_waits),
        TEST(what_is_kept_is_taken_once_a_newcomer_has_the_node_id),
        TEST(shards_of_a_blind_node_go_to_one_that_has_seen_twitch_since),
        TEST(a_blind_node_takes_nothing_before_it_has_proved_that_it_sees),
        TEST(a_node_that_has_to_prove_itself_keeps_its_shards),
        TEST(where_all_are_blind_nothing_moves_and_what_needs_a_node_waits),
        TEST(what_a_blind_node_holds_is_shared_by_those_that_see),
        TEST(of_a_blind_node_nobody_takes_what_he_cannot_log_in_as),
        TEST(a_blind_node_that_registers_anew_is_blind_still),
        TEST(a_draining_node_says_nothing_else_any_more),
        TEST(what_was_refused_is_tried_once_in_a_while_by_all_that_were_refused),
        TEST(what_was_not_read_on_a_blind_node_is_known_by_whoever_takes_it),
    };
    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
