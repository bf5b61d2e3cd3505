/* Registry: several users that read, against a real Redis: who takes a channel, and why nobody
 * does. */
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

static void node_knows(const char *users)
{
    world_node(&n1, "n1", n1.link_id + 1, 500, users);
    assert_string_equal(world_register(&w, &n1, n1.link_id - 1), "current");
}

/* A list has commas. */
static void readers(const char *value)
{
    world_ask(&w, "HSET shoal:{t}:config readers %s", value);
}

/* Three users that a node can log in as; shards of two channels, as many as are wanted. */
static int begin_reading(void **state)
{
    begin(state);
    node_knows("bot1,bot2,bot3");
    set("user,bot1");
    readers("all");
    set("channels_per_shard,2");
    set("max_shard_count,none");
    return 0;
}

static const char *shard_of(const char *channel)
{
    return world_ask(&w, "HGET shoal:{t}:channels %s", channel);
}

/* Whom the channel is read as; "" where it has no shard. */
static const char *reader_of(const char *channel)
{
    char shard[64];

    snprintf(shard, sizeof(shard), "%s", shard_of(channel));
    return world_ask(&w, "HGET shoal:{t}:shard:%s user", shard);
}

static void join(const char *channels)
{
    assert_string_equal(world_assign(&w, &me, "", "", "join", channels), "done");
}

static void join_as(const char *where, const char *channels)
{
    assert_string_equal(world_assign_to(&w, &me, "", "", "join", where, channels), "done");
}

static void assert_told(const char *text)
{
    if (strstr(w.rest, text) == NULL) {
        fail_msg("not told: %s\nbut: %s", text, w.rest);
    }
}

static void assert_rooms(const char *user, const char *number)
{
    assert_string_equal(world_ask(&w, "SCARD shoal:{t}:rooms:%s", user), number);
}

static void account(const char *login, const char *field, const char *value)
{
    world_ask(&w, "HSET shoal:{t}:account:%s %s %s", login, field, value);
}

/* Which reads ---------------------------------------------------------------------------------- */

static void by_itself_the_user_of_the_cluster_alone_reads(void **state)
{
    (void)state;
    readers("first");
    set("room_limit,2");
    join("a,b,c");
    assert_string_equal(reader_of("b"), "bot1");
    assert_string_equal(shard_of("c"), "");
    join("d");
    assert_told("\"d\":\"The room limit of user bot1 has been reached: it is in 2 of 2 rooms. "
                "(room_limit is 2)\"");
}

static void the_least_loaded_open_shard_of_all_readers_takes_the_channel(void **state)
{
    (void)state;
    set("channels_per_shard,10");
    world_add_shard(&w, &me, "one", "bot1", "a,b,c");
    world_add_shard(&w, &me, "two", "bot2", "d,e");
    world_add_shard(&w, &me, "three", "bot3", "f,g,h,i");
    join("j");
    assert_string_equal(shard_of("j"), "two");
    join("k,l,m,n,o,p");
    assert_string_equal(world_ask(&w, "ZSCORE shoal:{t}:load one"), "6");
    assert_string_equal(world_ask(&w, "ZSCORE shoal:{t}:load two"), "5");
    assert_string_equal(world_ask(&w, "ZSCORE shoal:{t}:load three"), "5");
}

static void a_shard_is_opened_for_the_reader_with_most_rooms_left(void **state)
{
    (void)state;
    world_add_shard(&w, &me, "one", "bot1", "a,b");
    world_add_shard(&w, &me, "two", "bot3", "c,d");
    join("e");
    assert_string_equal(reader_of("e"), "bot2");
    join("f,g"); /* where all have as many, by name */
    assert_string_equal(reader_of("f"), "bot2");
    assert_string_equal(reader_of("g"), "bot1");
}

static void a_full_reader_takes_nothing_though_its_shards_have_fewest_channels(void **state)
{
    (void)state;
    set("channels_per_shard,10");
    set("room_limit,3");
    world_add_shard(&w, &me, "one", "bot1", "a,b,c");
    world_add_shard(&w, &me, "empty", "bot1", "");
    world_add_shard(&w, &me, "two", "bot2", "d,e");
    join("f,bot1");
    assert_string_equal(shard_of("f"), "two");
    assert_string_equal(shard_of("bot1"), "empty"); /* its own room does not count */
}

static void readers_fill_up_and_the_refusal_names_each_with_its_count_and_its_limit(void **state)
{
    (void)state;
    set("room_limit,4");
    join("a,b,c,d,e,f,g,h,i,j,k,l");
    assert_told("\"ok\":true");
    assert_rooms("bot1", "4");
    assert_rooms("bot2", "4");
    assert_rooms("bot3", "4");
    join("m,bot2");
    assert_told("\"m\":\"No reader has a room left: bot1 is in 4 of 4 rooms, bot2 is in 4 of 4 "
                "rooms, bot3 is in 4 of 4 rooms. (room_limit is 4)\"");
    assert_string_equal(reader_of("bot2"), "bot2");
    world_release(&w, &me, "", "", "part", "a");
    join("m");
    assert_told("\"ok\":true");
}

static void of_very_many_readers_those_in_the_middle_are_counted(void **state)
{
    (void)state;
    char list[1024] = "";

    for (unsigned i = 10; i < 60; i++) {
        snprintf(list + strlen(list), sizeof(list) - strlen(list), "%sbot%u", i > 10 ? "," : "", i);
    }
    node_knows("bot11,bot12,bot13");
    readers(list);
    set("room_limit,1");
    join("a,b,c,d");
    assert_told("No reader has a room left: bot11 is in 1 of 1 rooms, bot12 is in 1 of 1 rooms, "
                "bot13 is in 1 of 1 rooms, bot10: no node can log in as it, bot14: ");
    assert_told("bot15: no node can log in as it, ... (38 more) ..., bot54: ");
    assert_told("bot59: no node can log in as it. (room_limit is 1)");
}

static void anonymous_has_no_room_limit(void **state)
{
    (void)state;
    set("room_limit,1");
    set("readers,anonymous");
    join("a,b,c,d,e");
    assert_told("\"ok\":true");
    assert_string_equal(reader_of("e"), "anonymous");
    readers("bot1,anonymous");
    join("f"); /* on an open shard of anonymous, which has room */
    assert_string_equal(reader_of("f"), "anonymous");
    join("g"); /* whoever has endlessly many rooms left opens one */
    assert_string_equal(reader_of("g"), "anonymous");
}

static void where_rooms_are_not_limited_the_reader_in_fewer_of_them_opens_a_shard(void **state)
{
    (void)state;
    set("room_limit,off");
    join("a,b,c,d,e,f");
    assert_rooms("bot1", "2");
    assert_rooms("bot2", "2");
    assert_rooms("bot3", "2");
}

static void the_shard_limit_counts_the_shards_of_all_readers(void **state)
{
    (void)state;
    set("max_shard_count,2");
    join("a,b,c,d,e");
    assert_told("\"e\":\"All shards are full, and the shard count limit has been reached. "
                "(max_shard_count is 2)\"");
    assert_string_equal(world_broken(&w, 2, 2), "");
}

static void where_no_node_has_room_for_one_reader_another_opens_the_shard(void **state)
{
    (void)state;
    struct world_node small;

    node_knows("bot2");
    world_node(&small, "n2", 2001, 0, "bot1,bot3");
    world_register(&w, &small, 0);
    join("a,b,c");
    assert_string_equal(reader_of("a"), "bot2");
    assert_string_equal(reader_of("c"), "bot2");
    readers("bot1,bot3");
    join("d");
    assert_told("\"d\":\"No node has room for another shard. (--shard-capacity of the nodes)\"");
}

static void a_change_of_the_readers_counts_for_later_joins(void **state)
{
    (void)state;
    readers("bot1");
    join("a");
    readers("bot2,bot3");
    join("b,c,d");
    assert_string_equal(reader_of("a"), "bot1");
    assert_string_equal(reader_of("b"), "bot2");
    assert_string_equal(reader_of("d"), "bot3");
}

static void many_channels_spread_evenly_over_the_shards_of_all_readers(void **state)
{
    (void)state;
    char *names = xcalloc(1000, 8);
    size_t len = 0;

    set("channels_per_shard,50");
    set("room_limit,off");
    for (unsigned i = 0; i < 90; i++) { /* so many that no reader's are read at once */
        char shard[16];
        char user[8];
        snprintf(shard, sizeof(shard), "s%u", i);
        snprintf(user, sizeof(user), "bot%u", 1 + (i * i) % 3);
        world_add_shard(&w, &me, shard, user, "");
    }
    for (unsigned i = 0; i < 1000; i++) {
        len += (size_t)sprintf(names + len, "%sc%u", i > 0 ? "," : "", i);
    }
    for (char *at = names; at != NULL;) { /* 1, 2, 4, ... of them */
        char *end = at;
        for (size_t k = (size_t)(at - names) + 1; k > 0 && end != NULL; k--) {
            end = strchr(end + 1, ',');
        }
        if (end != NULL) {
            *end = '\0';
        }
        join(at);
        at = end != NULL ? end + 1 : NULL;
    }
    free(names);
    assert_string_equal(world_ask(&w, "ZCOUNT shoal:{t}:load 11 12"), "90");
    assert_string_equal(world_broken(&w, 50, 90), "");
}

/* Of the open shards of readers with a room left that are not full, the fewest channels; -1: none. */
static const char fewest[] =
    "local least = -1 "
    "for _, user in ipairs({'bot1', 'bot2', 'bot3'}) do "
    "  if redis.call('SCARD', 'shoal:{t}:rooms:' .. user) < 12 then "
    "    local first = redis.call('ZRANGE', 'shoal:{t}:open:' .. user, 0, 0, 'WITHSCORES')[2] "
    "    local n = tonumber(first or 5) "
    "    if n < 5 and (least < 0 or n < least) then least = n end "
    "  end "
    "end "
    "return tostring(least)";

static void no_shard_takes_a_channel_while_another_with_a_room_left_has_fewer(void **state)
{
    (void)state;
    unsigned random = 1;
    unsigned taken = 0;

    set("channels_per_shard,5");
    set("room_limit,12");
    set("max_shard_count,8");
    for (unsigned i = 0; i < 600; i++) {
        char channel[8];
        char least[8];
        random = random * 1103515245 + 12345;
        snprintf(channel, sizeof(channel), "c%u", (random >> 16) % 50);
        snprintf(least, sizeof(least), "%s", world_eval(&w, fewest, ""));
        if (shard_of(channel)[0] != '\0') {
            world_release(&w, &me, "", "", "part", channel);
            continue;
        }
        bool opens = strcmp(world_ask(&w, "ZCARD shoal:{t}:load"), "8") != 0;
        join(channel);
        char shard[64];
        snprintf(shard, sizeof(shard), "%s", shard_of(channel));
        if (shard[0] == '\0') {
            assert_string_equal(least, "-1");
            continue;
        }
        taken++;
        long now = strtol(world_ask(&w, "ZSCORE shoal:{t}:load %s", shard), NULL, 10);
        long before = strtol(least, NULL, 10);
        assert_int_equal(now, before < 0 ? 1 : before + 1);
        assert_true(before >= 0 || opens);
        assert_string_equal(world_broken(&w, 5, 8), "");
    }
    assert_true(taken > 100);
}

/* Who is passed over --------------------------------------------------------------------------- */

static void a_reader_that_does_not_read_or_that_nobody_can_log_in_as_is_passed_over(void **state)
{
    (void)state;
    account("bot1", "reads", "no");
    readers("bot1,bot2,stranger");
    set("room_limit,2");
    join("a,b,c");
    assert_told("\"c\":\"No reader has a room left: bot2 is in 2 of 2 rooms, bot1: it does not "
                "read, stranger: no node can log in as it. (room_limit is 2)\"");
    assert_string_equal(reader_of("a"), "bot2");
    readers("stranger");
    join("c");
    assert_told("\"c\":\"No reader takes channels now: stranger: no node can log in as it. "
                "(readers is stranger)\"");
    readers("all");
    node_knows("anonymous");
    join("c");
    assert_told("\"c\":\"No reader takes channels now: no node can log in as anybody. "
                "(readers is all)\"");
}

static void an_account_that_dies_gets_no_new_channels_until_it_is_mended(void **state)
{
    (void)state;
    set("channels_per_shard,10");
    world_add_shard(&w, &me, "one", "bot1", "");
    world_add_shard(&w, &me, "two", "bot2", "a,b,c");
    account("bot1", "state", "login_required");
    join("d,e");
    assert_string_equal(shard_of("d"), "two");
    assert_string_equal(shard_of("e"), "two");
    account("bot1", "state", "usable");
    join("f");
    assert_string_equal(shard_of("f"), "one");
}

static void a_reader_whose_token_twitch_refuses_on_all_its_nodes_gets_no_new_channels(void **state)
{
    (void)state;
    struct world_node other;
    static const char refused[] = "{\"shards\":{\"one\":{\"epoch\":1,\"state\":\"backoff\","
                                  "\"login_refused\":1}}}";

    world_add_shard(&w, &me, "one", "bot1", "");
    world_add_shard(&w, &me, "two", "bot2", "a");
    world_renew(&w, &n1, refused);
    join("b");
    assert_string_equal(shard_of("b"), "two");
    world_node(&other, "n2", 2001, 5, "bot1"); /* with another token, perhaps */
    world_register(&w, &other, 0);
    join("c");
    assert_string_equal(shard_of("c"), "one");
}

static void while_redis_clock_is_not_trusted_all_nodes_can_log_in(void **state)
{
    (void)state;
    world_add_shard(&w, &me, "one", "bot1", "");
    world_end_lease(&w, &n1);
    world_eval(&w,
               "local t = redis.call('TIME') redis.call('HSET', 'shoal:{t}:clock', 'grace', "
               "t[1] * 1000 + 60000) return ''",
               "");
    join("a");
    assert_string_equal(shard_of("a"), "one");
    world_ask(&w, "HDEL shoal:{t}:clock grace");
}

static void what_does_not_read_takes_no_channel_though_it_is_named(void **state)
{
    (void)state;
    static const char why[] =
        "Account bot1 does not read: shoalctl account set bot1 reads yes changes that.";

    world_add_shard(&w, &me, "one", "bot1", "");
    account("bot1", "reads", "no");
    join_as("@bot1", "a");
    assert_told(why);
    join_as("=one", "a");
    assert_told(why);
    world_configure(&w, &me, "", "", "setup_done", "");
    join_as("+bot1", "b");
    assert_told(why);
    readers("first");
    join("c");
    assert_told(why);
    assert_string_equal(world_add_shard(&w, &me, "two", "bot1", "c"), "refused");
    assert_told(why);
    assert_string_equal(world_add_shard(&w, &me, "two", "bot1", ""), "added");
}

/* Rooms ---------------------------------------------------------------------------------------- */

static void told(const char *channel, const char *shard, int moderator)
{
    char report[200];

    snprintf(report, sizeof(report),
             "{\"channels\":{\"%s\":{\"shard\":\"%s\",\"state\":\"joined\",\"moderator\":%d}}}",
             channel, shard, moderator);
    world_renew(&w, &n1, report);
}

static void a_room_counts_for_its_own_reader_and_only_while_that_is_no_moderator(void **state)
{
    (void)state;
    set("room_limit,1");
    readers("bot1,bot2");
    join("a,b");
    assert_string_equal(reader_of("a"), "bot1");
    assert_string_equal(reader_of("b"), "bot2");
    told("a", "extended-shard-1", 1);
    assert_rooms("bot1", "0");
    join("c");
    assert_string_equal(reader_of("c"), "bot1");
    join("d");
    assert_told("bot1 is in 1 of 1 rooms, bot2 is in 1 of 1 rooms");
    told("a", "extended-shard-1", 0);
    assert_rooms("bot1", "2");
    world_release(&w, &me, "", "", "part", "c");
    join("d");
    assert_told("bot1 is in 1 of 1 rooms, bot2 is in 1 of 1 rooms");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_reading, finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(by_itself_the_user_of_the_cluster_alone_reads),
        TEST(the_least_loaded_open_shard_of_all_readers_takes_the_channel),
        TEST(a_shard_is_opened_for_the_reader_with_most_rooms_left),
        TEST(a_full_reader_takes_nothing_though_its_shards_have_fewest_channels),
        TEST(readers_fill_up_and_the_refusal_names_each_with_its_count_and_its_limit),
        TEST(of_very_many_readers_those_in_the_middle_are_counted),
        TEST(anonymous_has_no_room_limit),
        TEST(where_rooms_are_not_limited_the_reader_in_fewer_of_them_opens_a_shard),
        TEST(the_shard_limit_counts_the_shards_of_all_readers),
        TEST(where_no_node_has_room_for_one_reader_another_opens_the_shard),
        TEST(a_change_of_the_readers_counts_for_later_joins),
        TEST(many_channels_spread_evenly_over_the_shards_of_all_readers),
        TEST(no_shard_takes_a_channel_while_another_with_a_room_left_has_fewer),
        TEST(a_reader_that_does_not_read_or_that_nobody_can_log_in_as_is_passed_over),
        TEST(an_account_that_dies_gets_no_new_channels_until_it_is_mended),
        TEST(a_reader_whose_token_twitch_refuses_on_all_its_nodes_gets_no_new_channels),
        TEST(while_redis_clock_is_not_trusted_all_nodes_can_log_in),
        TEST(what_does_not_read_takes_no_channel_though_it_is_named),
        TEST(a_room_counts_for_its_own_reader_and_only_while_that_is_no_moderator),
    };
    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
