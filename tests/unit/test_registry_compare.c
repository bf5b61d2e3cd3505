/* Registry: what is damaged from outside is put right and told, and nothing that is wanted is lost by it. */
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

static void configure(const char *op, const char *args)
{
    assert_string_equal(world_configure(&w, &me, "", "", op, args), "done");
    assert_non_null(strstr(w.rest, "\"ok\":true"));
}

/* Two nodes with two shards each, one of them without channels; a, b and c are on main-shard, d on
 * extended-shard-1; w waits. */
static int begin(void **state)
{
    (void)state;
    world_begin(&w, &me, &n1, 10);
    world_node(&n2, "n2", 1002, 10, "anonymous");
    assert_string_equal(world_register(&w, &n2, 0), "current");
    configure("set", "channels_per_shard,3");
    assert_string_equal(world_add_shard(&w, &me, "main-shard", "anonymous", "a,b,c"), "added");
    world_assign(&w, &me, "", "", "join", "d");
    world_add_shard(&w, &me, "initial-shard-1", "anonymous", "");
    world_add_shard(&w, &me, "initial-shard-2", "anonymous", "");
    world_assign_to(&w, &me, "", "", "join", "?later", "w");
    configure("senders", "main-shard,initial-shard-1");
    configure("account_put", "alice,1.0a1b2c3d.QUJD");
    assert_string_equal(world_broken(&w, 3, 5), "");
    assert_int_equal(world_compare(&w, &me), 0);
    return 0;
}

static int finish(void **state)
{
    (void)state;
    world_finish(&w);
    return 0;
}

/* In the words of redis-cli: what somebody may have done. */
static const char *const damages[] = {
    "ZADD shoal:{t}:accounts inf alice",
    "ZADD shoal:{t}:accounts 9007199254740993 alice",
    "ZADD shoal:{t}:accounts 1 Not-One",
    "ZADD shoal:{t}:accounts 1 nobody",
    "DEL shoal:{t}:account:alice",
    "HSET shoal:{t}:account:alice state nosuch",
    "HSET shoal:{t}:account:alice rev x",
    "HSET shoal:{t}:account:alice say_by pigeon",
    "HSET shoal:{t}:account:alice reads perhaps",
    "HSET shoal:{t}:account:alice say_by helix_app",
    "DEL shoal:{t}:secret:alice",
    "SET shoal:{t}:secret:alice \"\"",
    "HSET shoal:{t}:places main-shard x",
    "HSET shoal:{t}:places nosuch x",
    "HDEL shoal:{t}:channels a",
    "DEL shoal:{t}:channels",
    "HSET shoal:{t}:channels a \"\"",
    "HSET shoal:{t}:channels a extended-shard-1",
    "HSET shoal:{t}:channels a nosuch",
    "HSET shoal:{t}:channels w main-shard",
    "HSET shoal:{t}:channels d main-shard",
    "HSET shoal:{t}:channels NoChannel main-shard",
    "HSET shoal:{t}:channels added \"\"",
    "HSET shoal:{t}:channels added extended-shard-1",
    "SREM shoal:{t}:shard:main-shard:channels b",
    "DEL shoal:{t}:shard:main-shard:channels",
    "SADD shoal:{t}:shard:initial-shard-1:channels a",
    "SADD shoal:{t}:shard:initial-shard-1:channels added",
    "DEL shoal:{t}:channel:a",
    "DEL shoal:{t}:channel:w",
    "DEL shoal:{t}:waiting",
    "SADD shoal:{t}:waiting a",
    "SADD shoal:{t}:waiting added",
    "DEL shoal:{t}:load",
    "ZREM shoal:{t}:load main-shard",
    "ZADD shoal:{t}:load 0 main-shard",
    "ZADD shoal:{t}:load 0 nosuch",
    "DEL shoal:{t}:open:anonymous",
    "ZADD shoal:{t}:open:anonymous 0 nosuch",
    "ZADD shoal:{t}:open:anonymous 9 main-shard",
    "HSET shoal:{t}:shard:main-shard channels 7",
    "DEL shoal:{t}:shard:main-shard",
    "DEL shoal:{t}:shard:initial-shard-1",
    "HSET shoal:{t}:shard:main-shard node nosuch",
    "HSET shoal:{t}:shard:main-shard node \"\"",
    "HSET shoal:{t}:shard:main-shard sender nosuch",
    "HDEL shoal:{t}:shard:main-shard sender",
    "DEL shoal:{t}:shard:initial-shard-1:serves",
    "DEL shoal:{t}:senders",
    "HSET shoal:{t}:senders anonymous nosuch",
    "ZADD shoal:{t}:idle 1 main-shard",
    "ZADD shoal:{t}:idle 1 nosuch",
    "SADD shoal:{t}:homeless main-shard",
    "SADD shoal:{t}:homeless nosuch",
    "DEL shoal:{t}:node:n1:shards",
    "DEL shoal:{t}:node:n1:serves",
    "DEL shoal:{t}:node:n2:serves",
    "ZADD shoal:{t}:node:n1:shards 1 nosuch",
    "ZADD shoal:{t}:node:n2:serves 1 nosuch",
    "HSET shoal:{t}:node:n1 shards 9",
    "DEL shoal:{t}:free",
    "ZADD shoal:{t}:free 5 nosuch",
    "ZADD shoal:{t}:free 5 n1",
    "SREM shoal:{t}:rooms:anonymous a",
    "SADD shoal:{t}:rooms:anonymous x y z",
};

static void assert_wanted(const char *channel)
{
    if (strcmp(world_ask(&w, "HEXISTS shoal:{t}:channels %s", channel), "1") != 0) {
        fail_msg("%s is wanted no more", channel);
    }
}

static void assert_views(struct world_node *n)
{
    char view[4096];

    assert_string_equal(world_renew(&w, n, ""), "current");
    assert_string_equal(world_node_view(n, view, sizeof(view)), world_raw_view(&w, n));
}

static void whatever_is_damaged_from_outside_is_put_right_and_told(void **state)
{
    static const char *const wanted[] = {"a", "b", "c", "d", "w"};

    for (size_t i = 0; i < ARRAY_LEN(damages); i++) {
        begin(state);
        print_message("%s\n", damages[i]);
        world_eval(&w,
                   "local words = {} "
                   "for word in string.gmatch(ARGV[1], '%S+') do "
                   "words[#words + 1] = word == '\"\"' and '' or word end "
                   "redis.call(unpack(words)) return ''",
                   damages[i]);
        if (world_broken(&w, 3, 5)[0] == '\0') {
            fail_msg("nothing is damaged by it");
        }
        assert_int_not_equal(world_compare(&w, &me), 0);
        /* A channel that somebody put on a full shard makes one more there. */
        assert_string_equal(world_broken(&w, 4, 5), "");
        assert_int_equal(world_compare(&w, &me), 0);
        assert_non_null(strstr(world_eval(&w,
                                          "local text = '' for _, entry in ipairs(redis.call("
                                          "'XRANGE', KEYS[1] .. ':log', '-', '+')) do "
                                          "text = text .. entry[2][2] end return text",
                                          ""),
                               "registry.repaired"));
        for (size_t k = 0; k < ARRAY_LEN(wanted); k++) {
            assert_wanted(wanted[k]);
        }
        assert_views(&n1);
        assert_views(&n2);
        finish(state);
    }
}

static void many_differences_are_counted_and_the_first_of_them_told(void **state)
{
    (void)state;
    world_eval(
        &w,
        "for i = 1, 2000 do redis.call('HSET', KEYS[1] .. ':channels', 'x' .. i, 'nosuch') end "
        "return ''",
        "");
    assert_int_equal(world_compare(&w, &me), 2000);
    assert_string_equal(world_broken(&w, 3, 5), "");
    assert_string_equal(world_ask(&w, "SCARD shoal:{t}:waiting"), "2001");
    assert_true(strtoul(world_ask(&w, "XLEN shoal:{t}:log"), NULL, 10) < 500);
}

static void only_the_leader_compares(void **state)
{
    (void)state;
    world_ask(&w, "HDEL shoal:{t}:channels a");
    assert_string_equal(world_ask(&w, "FCALL shoal1_compare 1 shoal:{t} x 1 1"),
                        "DEPOSED another coordinator leads");
    assert_string_equal(world_ask(&w, "HEXISTS shoal:{t}:channels a"), "0");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, finish)

/* What happens beside a comparison, which portion it comes before, and which was the last. */
static void (*beside)(void);
static unsigned beside_portion;
static unsigned last_portion;

static void before_portion(unsigned portion)
{
    last_portion = portion;
    if (portion == beside_portion) {
        beside();
    }
}

static void n2_expires(void)
{
    world_end_lease(&w, &n2);
    assert_string_equal(world_expire(&w, &me, "n2", n2.link_id), "expired");
}

static void n2_leaves(void)
{
    assert_string_equal(world_leave(&w, &n2), "done");
}

static void another_process_is_n2(void)
{
    uint64_t link = n2.link_id;
    world_node(&n2, "n2", 1003, 10, "anonymous");
    assert_string_equal(world_register(&w, &n2, link), "current");
}

static void channels_come_and_go(void)
{
    world_assign(&w, &me, "", "", "part", "a,d,w");
    world_assign(&w, &me, "", "", "join", "e,f");
}

static void others_send(void)
{
    configure("senders", "main-shard,initial-shard-2");
}

static void what_happens_beside_a_comparison_needs_no_repair(void **state)
{
    (void)state;
    void (*const happens[])(void) = {n2_expires, n2_leaves, another_process_is_n2,
                                     channels_come_and_go, others_send};
    for (size_t i = 0; i < ARRAY_LEN(happens); i++) {
        beside = happens[i];
        last_portion = 1;
        for (beside_portion = 1; beside_portion <= last_portion; beside_portion++) {
            begin(NULL);
            unsigned repairs = world_compare_beside(&w, &me, before_portion);
            if (repairs > 0) {
                fail_msg(
                    "%zu, before portion %u: %s", i, beside_portion,
                    world_eval(&w,
                               "return redis.call('XREVRANGE', 'shoal:{t}:log', '+', '-')[1][2][2]",
                               ""));
            }
            assert_string_equal(world_broken(&w, 3, 5), "");
            finish(NULL);
        }
        assert_true(last_portion > 5);
    }
}

static void a_user_is_lost(void)
{
    world_ask(&w, "HSET shoal:{t}:shard:extended-shard-1 user x:y");
}

static void a_shard_whose_user_is_lost_beside_a_comparison_has_it_again(void **state)
{
    (void)state;
    beside = a_user_is_lost;
    last_portion = 1;
    for (beside_portion = 1; beside_portion <= last_portion; beside_portion++) {
        begin(NULL);
        world_compare_beside(&w, &me, before_portion);
        world_compare(&w, &me);
        assert_string_equal(world_ask(&w, "HGET shoal:{t}:shard:extended-shard-1 user"),
                            "anonymous");
        assert_string_equal(world_broken(&w, 3, 5), "");
        finish(NULL);
    }
    assert_true(last_portion > 5);
}

static void a_shard_whose_sender_was_forgotten_is_served_where_it_says_when_nodes_go(void **state)
{
    (void)state;
    struct world_node n3;
    struct world_node *nodes[] = {&n1, &n2};

    world_node(&n3, "n3", 1003, 10, "anonymous");
    assert_string_equal(world_register(&w, &n3, 0), "current");
    configure("senders", "main-shard,initial-shard-2");
    world_ask(&w, "HDEL shoal:{t}:shard:main-shard sender");
    assert_true(world_compare(&w, &me) > 0);
    assert_string_equal(world_broken(&w, 3, 5), "");
    for (size_t i = 0; i < ARRAY_LEN(nodes); i++) {
        if (strcmp(world_ask(&w, "HGET shoal:{t}:shard:initial-shard-2 node"), nodes[i]->name) ==
            0) {
            assert_string_equal(world_leave(&w, nodes[i]), "done");
        }
    }
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:shard:initial-shard-2 node"), "n3");
    assert_string_equal(world_broken(&w, 3, 5), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_is_damaged_from_outside_is_put_right_and_told),
        TEST(a_shard_whose_sender_was_forgotten_is_served_where_it_says_when_nodes_go),
        cmocka_unit_test(what_happens_beside_a_comparison_needs_no_repair),
        cmocka_unit_test(a_shard_whose_user_is_lost_beside_a_comparison_has_it_again),
        TEST(many_differences_are_counted_and_the_first_of_them_told),
        TEST(only_the_leader_compares),
    };
    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
