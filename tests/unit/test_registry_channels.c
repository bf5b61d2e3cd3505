/* Registry: channels, shards and requests, against a real Redis. */
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

/* From now on as a named account. */
static void log_in(void)
{
    world_node(&n1, "n1", 1002, 10, "anonymous,bot");
    assert_string_equal(world_register(&w, &n1, 1001), "current");
    set("user,bot");
}

static const char *shard_of(const char *channel)
{
    return world_ask(&w, "HGET shoal:{t}:channels %s", channel);
}

/* "PREFIX1,PREFIX2,...": COUNT names, to be freed. */
static char *many(const char *prefix, unsigned count)
{
    char *out = xcalloc(count, 24);
    size_t len = 0;
    for (unsigned i = 1; i <= count; i++) {
        len += (size_t)sprintf(out + len, "%s%s%u", i > 1 ? "," : "", prefix, i);
    }
    return out;
}

static void join(const char *channels)
{
    assert_string_equal(world_assign(&w, &me, "", "", "join", channels), "done");
}

static void join_many(const char *prefix, unsigned count)
{
    char *names = many(prefix, count);
    join(names);
    free(names);
}

/* Assigning --------------------------------------------------------------------------------------- */

static void a_channel_opens_the_first_shard(void **state)
{
    (void)state;
    join("#Foo");
    assert_string_equal(w.rest, "{\"refused\":{},\"op\":\"join\",\"id\":\"\",\"ok\":true,"
                                "\"assigned\":{\"foo\":\"extended-shard-1\"}}");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:channel:foo state"), "assigned");
}

static void a_full_shard_refuses_the_26th_channel(void **state)
{
    (void)state;
    set("max_shard_count,1");
    world_add_shard(&w, &me, "main-shard", "anonymous", "");
    join_many("c", 25);
    assert_non_null(strstr(w.rest, "\"ok\":true"));

    join("c26");

    assert_non_null(strstr(w.rest, "\"ok\":false"));
    assert_non_null(strstr(w.rest, "\"c26\":\"All shards are full, and the shard count limit has "
                                   "been reached. (max_shard_count is 1)\""));
    assert_string_equal(shard_of("c26"), "");
    assert_string_equal(world_broken(&w, 25, 1), "");
}

static void a_full_shard_makes_the_next_one_open(void **state)
{
    (void)state;
    world_add_shard(&w, &me, "main-shard", "anonymous", "");
    join_many("c", 26);
    assert_string_equal(world_ask(&w, "ZCARD shoal:{t}:load"), "2");
    assert_string_equal(world_ask(&w, "ZSCORE shoal:{t}:load extended-shard-1"), "1");
}

static void the_sixth_shard_is_refused(void **state)
{
    (void)state;
    for (int i = 1; i <= 5; i++) {
        char shard[32];
        snprintf(shard, sizeof(shard), "initial-shard-%d", i);
        assert_string_equal(world_add_shard(&w, &me, shard, "anonymous", ""), "added");
    }
    assert_string_equal(world_add_shard(&w, &me, "initial-shard-6", "anonymous", ""), "refused");
    assert_string_equal(w.rest, "All shards are full, and the shard count limit has been reached. "
                                "(max_shard_count is 5)");
    set("room_limit,off");
    join_many("c", 126);
    assert_non_null(strstr(w.rest, "\"ok\":false"));
    assert_string_equal(world_ask(&w, "ZCARD shoal:{t}:load"), "5");
    assert_string_equal(world_broken(&w, 25, 5), "");
}

static void the_least_loaded_shard_takes_the_channel(void **state)
{
    (void)state;
    world_add_shard(&w, &me, "main-shard", "anonymous", "");
    join("a,b,c");
    world_add_shard(&w, &me, "initial-shard-1", "anonymous", "");

    join("d");
    assert_string_equal(shard_of("d"), "initial-shard-1");
    join("e,f");
    assert_string_equal(shard_of("e"), "initial-shard-1");
    assert_string_equal(shard_of("f"), "initial-shard-1");
    join("g,h");
    assert_string_equal(world_ask(&w, "ZSCORE shoal:{t}:load main-shard"), "4");
    assert_string_equal(world_ask(&w, "ZSCORE shoal:{t}:load initial-shard-1"), "4");
}

static void a_channel_asked_for_twice_stays_where_it_is(void **state)
{
    (void)state;
    join("foo");
    join("foo,#FOO,bar");
    assert_non_null(strstr(w.rest, "\"ok\":true"));
    assert_string_equal(world_ask(&w, "ZSCORE shoal:{t}:load extended-shard-1"), "2");
}

static void invalid_names_are_refused_and_the_others_joined(void **state)
{
    (void)state;
    join("foo,b\xffr,a b,x23456789012345678901234567,#");
    assert_non_null(strstr(w.rest, "\"ok\":false"));
    assert_non_null(strstr(w.rest, "\"b?r\":\"Not a channel name"));
    assert_non_null(strstr(w.rest, "\"a b\":\"Not a channel name"));
    assert_non_null(strstr(w.rest, "\"x23456789012345678901234567\":\"Not a channel name"));
    assert_non_null(strstr(w.rest, "\"#\":\"Not a channel name"));
    assert_string_equal(world_ask(&w, "HLEN shoal:{t}:channels"), "1");
}

static void a_thousand_channels_go_in_one_request(void **state)
{
    (void)state;
    set("room_limit,off");
    set("channels_per_shard,100");
    set("max_shard_count,none");
    join_many("c", 1000);
    assert_non_null(strstr(w.rest, "\"ok\":true"));
    assert_string_equal(world_ask(&w, "HLEN shoal:{t}:channels"), "1000");
    assert_string_equal(world_ask(&w, "ZCARD shoal:{t}:load"), "10");
    assert_string_equal(world_broken(&w, 100, 10), "");
}

static void a_thousand_and_one_are_too_many(void **state)
{
    (void)state;
    join_many("c", 1001);
    assert_non_null(strstr(w.rest, "A join names 1 to 1000 channels."));
    join("");
    assert_non_null(strstr(w.rest, "A join names 1 to 1000 channels."));
    char *names = many("c", 1001);
    world_release(&w, &me, "", "", "part", names);
    free(names);
    assert_non_null(strstr(w.rest, "A part names 1 to 1000 channels."));
}

static void the_room_limit_names_user_count_and_limit(void **state)
{
    (void)state;
    log_in();
    set("room_limit,2");
    join("foo,bar,bot,baz"); /* the own channel does not count */
    assert_non_null(strstr(w.rest, "\"baz\":\"The room limit of user bot has been reached: it "
                                   "is in 2 of 2 rooms. (room_limit is 2)\""));
    assert_string_equal(shard_of("bot"), "extended-shard-1");
    world_release(&w, &me, "", "", "part", "foo");
    join("baz");
    assert_string_equal(shard_of("baz"), "extended-shard-1");
}

/* Twitch caps named accounts only. */
static void rooms_of_the_anonymous_reader_are_not_limited(void **state)
{
    (void)state;
    set("room_limit,2");
    join("a,b,c,d");
    assert_null(strstr(w.rest, "room limit"));
    assert_string_equal(shard_of("d"), "extended-shard-1");
    assert_string_equal(world_add_shard(&w, &me, "main-shard", "anonymous", "e,f,g"), "added");
    world_assign_to(&w, &me, "", "", "join", "=main-shard", "h,i");
    assert_string_equal(shard_of("i"), "main-shard");
}

static void a_room_moderated_does_not_count(void **state)
{
    (void)state;
    log_in();
    set("room_limit,1");
    join("foo");
    world_renew(&w, &n1,
                "{\"channels\":{\"foo\":{\"shard\":\"extended-shard-1\","
                "\"moderator\":1}}}");
    join("bar");
    assert_string_equal(shard_of("bar"), "extended-shard-1");
    /* Put right for the check of the invariants. */
    world_renew(&w, &n1,
                "{\"channels\":{\"foo\":{\"shard\":\"extended-shard-1\","
                "\"moderator\":0}}}");
}

static void without_room_on_any_node_a_join_is_refused(void **state)
{
    (void)state;
    struct world_node small;
    world_node(&small, "n1", 1002, 0, "anonymous");
    world_register(&w, &small, 1001);
    join("foo");
    assert_non_null(strstr(
        w.rest, "\"foo\":\"No node has room for another shard. (--shard-capacity of the nodes)\""));
    assert_string_equal(world_ask(&w, "HLEN shoal:{t}:channels"), "0");
}

static void without_any_node_a_join_waits(void **state)
{
    (void)state;
    world_leave(&w, &n1);
    join("foo");
    assert_non_null(strstr(w.rest, "\"waiting\":{\"foo\":\"No node is up.\"}"));
    assert_non_null(strstr(w.rest, "\"ok\":true"));

    world_node(&n1, "n1", 1002, 5, "anonymous");
    world_register(&w, &n1, 0);
    world_assign(&w, &me, "", "", "waiting",
                 "foo,bar"); /* bar does not wait: it is no wish of anybody */

    assert_string_equal(world_ask(&w, "HEXISTS shoal:{t}:channels bar"), "0");
    assert_string_equal(shard_of("foo"), "extended-shard-1");
    assert_string_equal(world_ask(&w, "SCARD shoal:{t}:waiting"), "0");
    assert_string_equal(world_ask(&w, "HEXISTS shoal:{t}:channel:foo reason"), "0");
}

static void waiting_channels_are_assigned_when_room_appears(void **state)
{
    (void)state;
    set("max_shard_count,1");
    set("channels_per_shard,2");
    world_assign(&w, &me, "", "", "initial", "a,b,c,d");
    assert_string_equal(world_ask(&w, "SCARD shoal:{t}:waiting"), "2");
    world_assign(&w, &me, "", "", "waiting", "a,b,c,d");
    assert_string_equal(world_ask(&w, "SCARD shoal:{t}:waiting"), "2");
    world_release(&w, &me, "", "", "part", "a");

    world_assign(&w, &me, "", "", "waiting", "a,b,c,d");

    assert_string_equal(world_ask(&w, "SCARD shoal:{t}:waiting"), "1");
    set("channels_per_shard,none");
    world_assign(&w, &me, "", "", "waiting", "a,b,c,d");
    assert_string_equal(world_ask(&w, "SCARD shoal:{t}:waiting"), "0");
}

static void an_initial_channel_that_was_parted_is_not_joined_again(void **state)
{
    (void)state;
    world_assign(&w, &me, "", "", "initial", "foo,bar");
    world_release(&w, &me, "", "", "part", "foo");
    world_assign(&w, &me, "", "", "initial", "foo,bar,baz");
    assert_string_equal(shard_of("foo"), "");
    assert_string_equal(shard_of("baz"), "extended-shard-1");
}

/* Parting ----------------------------------------------------------------------------------------- */

static void a_part_lets_go_and_refuses_what_is_not_joined(void **state)
{
    (void)state;
    join("foo,bar");
    world_release(&w, &me, "", "", "part", "#FOO,nope,a b");
    assert_non_null(strstr(w.rest, "\"parted\":[\"foo\"]"));
    assert_non_null(strstr(w.rest, "\"nope\":\"The channel is not joined.\""));
    assert_non_null(strstr(w.rest, "\"a b\":\"Not a channel name"));
    assert_string_equal(world_ask(&w, "HLEN shoal:{t}:channels"), "1");
    assert_string_equal(world_ask(&w, "EXISTS shoal:{t}:channel:foo"), "0");
}

static void idle_extended_shards_close_and_others_stay(void **state)
{
    (void)state;
    set("idle_shard_ms,0");
    set("channels_per_shard,1");
    world_add_shard(&w, &me, "main-shard", "anonymous", "");
    join("a,b");
    world_release(&w, &me, "", "", "part", "a,b");
    test_loop_run_for(&w.probe.t, 2);
    world_lead(&w, &me);
    assert_int_equal(w.lead.nidle, 1);
    assert_string_equal(w.idle, "extended-shard-1");

    world_release(&w, &me, "", "", "idle", "extended-shard-1,main-shard,nosuch");

    assert_string_equal(world_ask(&w, "ZCARD shoal:{t}:load"), "1");
    assert_string_equal(world_ask(&w, "EXISTS shoal:{t}:shard:extended-shard-1"), "0");
    char view[4096];
    world_renew(&w, &n1, "");
    assert_string_equal(world_node_view(&n1, view, sizeof(view)),
                        "main-shard:1\nmain-shard>main-shard\n");
    join("a,b");
    assert_string_equal(world_ask(&w, "EXISTS shoal:{t}:shard:extended-shard-2"), "1");
}

static void a_shard_in_use_again_does_not_close(void **state)
{
    (void)state;
    join("a");
    world_release(&w, &me, "", "", "part", "a");
    join("b");
    world_release(&w, &me, "", "", "idle", "extended-shard-1");
    assert_string_equal(shard_of("b"), "extended-shard-1");
    assert_string_equal(world_ask(&w, "ZCARD shoal:{t}:load"), "1");
}

static void no_number_of_an_extended_shard_is_used_twice(void **state)
{
    (void)state;
    set("channels_per_shard,1");
    world_add_shard(&w, &me, "extended-shard-3", "anonymous", "z");
    join("a");
    assert_string_equal(shard_of("a"), "extended-shard-4");
    world_release(&w, &me, "", "", "part", "a");
    world_release(&w, &me, "", "", "idle", "extended-shard-4");
    join("a");
    assert_string_equal(shard_of("a"), "extended-shard-5");
}

/* What shard managers decide -------------------------------------------------------------------------- */

static void a_named_shard_takes_the_channel_though_others_have_fewer(void **state)
{
    (void)state;
    world_add_shard(&w, &me, "main-shard", "anonymous", "a,b,c");
    world_add_shard(&w, &me, "initial-shard-1", "anonymous", "");
    world_assign_to(&w, &me, "", "", "join", "=main-shard", "d");
    assert_string_equal(shard_of("d"), "main-shard");
    world_assign_to(&w, &me, "", "", "join", "=nosuch", "e");
    assert_non_null(strstr(w.rest, "\"e\":\"Shard nosuch does not exist.\""));
    world_assign_to(&w, &me, "", "", "join", "=x:channels", "e");
    assert_non_null(strstr(w.rest, "does not exist."));
    world_assign_to(&w, &me, "", "", "join", "=initial-shard-1", "d");
    assert_string_equal(shard_of("d"), "main-shard"); /* it has one already */
    assert_string_equal(world_broken(&w, 25, 5), "");
}

static void a_named_shard_refuses_the_26th_channel_and_rooms_above_the_limit(void **state)
{
    (void)state;
    log_in();
    set("channels_per_shard,2");
    world_add_shard(&w, &me, "main-shard", "bot", "a");
    world_assign_to(&w, &me, "", "", "join", "=main-shard", "b,c");
    assert_non_null(strstr(
        w.rest,
        "\"c\":\"Shard main-shard is full: it has 2 of 2 channels. (channels_per_shard is 2)\""));
    set("channels_per_shard,none");
    set("room_limit,3");
    world_assign_to(&w, &me, "", "", "join", "=main-shard", "d,e");
    assert_non_null(strstr(w.rest, "\"e\":\"The room limit of user bot"));
    assert_string_equal(world_broken(&w, 3, 5), "");
}

static void the_least_loaded_is_counted_with_what_named_shards_take_in_the_same_step(void **state)
{
    (void)state;
    const struct registry_wish wishes[] = {
        {SLICE("x"), SLICE("")},
        {SLICE("a"), SLICE("=main-shard")},
        {SLICE("b"), SLICE("=main-shard")},
        {SLICE("y"), SLICE("")},
    };
    world_add_shard(&w, &me, "main-shard", "anonymous", "");
    world_add_shard(&w, &me, "initial-shard-1", "anonymous", "");
    world_assign_wishes(&w, &me, "join", wishes, ARRAY_LEN(wishes));
    assert_string_equal(shard_of("x"), "initial-shard-1");
    assert_string_equal(shard_of("y"), "initial-shard-1");
    assert_string_equal(world_broken(&w, 25, 5), "");
}

static void a_managers_refusal_is_told_and_a_later_is_kept_as_wanted(void **state)
{
    (void)state;
    world_assign_to(&w, &me, "", "", "join", "!not today", "a");
    assert_non_null(strstr(w.rest, "\"refused\":{\"a\":\"not today\"}"));
    assert_string_equal(world_ask(&w, "HEXISTS shoal:{t}:channels a"), "0");
    world_assign_to(&w, &me, "", "", "join", "?soon", "b");
    assert_non_null(strstr(w.rest, "\"waiting\":{\"b\":\"soon\"}"));
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:channel:b reason"), "soon");
    world_assign_to(&w, &me, "", "", "initial", "!not today", "c");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:channel:c reason"), "not today");
    static const char last[] =
        "return redis.call('XREVRANGE', ARGV[1], '+', '-', 'COUNT', 1)[1][2][2]";
    assert_non_null(strstr(world_eval(&w, last, "shoal:{t}:log"), "\"where\":\"assign_shard\""));
    world_assign_to(&w, &me, "", "", "initial", "-", "d");
    assert_non_null(
        strstr(w.rest, "\"waiting\":{\"d\":\"The shard manager assigned it to no shard.\"}"));
}

static void a_shard_is_added_with_its_channels_or_not_at_all(void **state)
{
    (void)state;
    static const struct {
        const char *shard;
        const char *user;
        const char *channels;
        const char *word;
        const char *why;
    } bad[] = {
        {"Main", "anonymous", "", "refused", "Not a shard id"},
        {"x", "nobody", "", "later", "No node has a token for user nobody."},
        {"x", "anonymous", "a,b c", "refused", "Not a channel name"},
        {"x", "anonymous", "a,b,c,d", "refused", "channels_per_shard is 3"},
        {"x", "anonymous", "a,taken", "refused", "Channel taken is on shard main-shard already."},
        {"x", "bot", "a,b,c", "refused", "above the room limit of user bot: it is in 1 of 3"},
    };
    log_in();
    set("channels_per_shard,3");
    set("room_limit,3");
    assert_string_equal(world_add_shard(&w, &me, "main-shard", "bot", "taken"), "added");
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_string_equal(world_add_shard(&w, &me, bad[i].shard, bad[i].user, bad[i].channels),
                            bad[i].word);
        assert_non_null(strstr(w.rest, bad[i].why));
    }
    assert_string_equal(world_add_shard(&w, &me, "main-shard", "anonymous", "z"), "exists");
    assert_string_equal(world_ask(&w, "ZCARD shoal:{t}:load"), "1");
    assert_string_equal(world_ask(&w, "HLEN shoal:{t}:channels"), "1");
    assert_string_equal(world_add_shard(&w, &me, "x", "anonymous", "A,#b,a"), "added");
    assert_string_equal(world_ask(&w, "ZSCORE shoal:{t}:load x"), "2");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:shard:x run"), "new");
    assert_string_equal(world_broken(&w, 3, 5), "");
}

static void channels_leave_the_shard_they_are_on_and_no_other(void **state)
{
    (void)state;
    world_add_shard(&w, &me, "main-shard", "anonymous", "a,b");
    world_add_shard(&w, &me, "initial-shard-1", "anonymous", "c");
    world_release(&w, &me, "", "", "remove", "main-shard,a,c,nosuch");
    assert_non_null(strstr(w.rest, "\"parted\":[\"a\"]"));
    assert_non_null(strstr(w.rest, "\"c\":\"The channel is not on shard main-shard.\""));
    assert_non_null(strstr(w.rest, "\"nosuch\":\"The channel is not joined.\""));
    assert_string_equal(shard_of("c"), "initial-shard-1");
    assert_string_equal(world_broken(&w, 25, 5), "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_channel_opens_the_first_shard),
        TEST(a_full_shard_refuses_the_26th_channel),
        TEST(a_full_shard_makes_the_next_one_open),
        TEST(the_sixth_shard_is_refused),
        TEST(the_least_loaded_shard_takes_the_channel),
        TEST(a_channel_asked_for_twice_stays_where_it_is),
        TEST(invalid_names_are_refused_and_the_others_joined),
        TEST(a_thousand_channels_go_in_one_request),
        TEST(a_thousand_and_one_are_too_many),
        TEST(the_room_limit_names_user_count_and_limit),
        TEST(rooms_of_the_anonymous_reader_are_not_limited),
        TEST(a_room_moderated_does_not_count),
        TEST(without_room_on_any_node_a_join_is_refused),
        TEST(without_any_node_a_join_waits),
        TEST(waiting_channels_are_assigned_when_room_appears),
        TEST(an_initial_channel_that_was_parted_is_not_joined_again),
        TEST(a_part_lets_go_and_refuses_what_is_not_joined),
        TEST(idle_extended_shards_close_and_others_stay),
        TEST(a_shard_in_use_again_does_not_close),
        TEST(no_number_of_an_extended_shard_is_used_twice),
        TEST(a_named_shard_takes_the_channel_though_others_have_fewer),
        TEST(a_named_shard_refuses_the_26th_channel_and_rooms_above_the_limit),
        TEST(the_least_loaded_is_counted_with_what_named_shards_take_in_the_same_step),
        TEST(a_managers_refusal_is_told_and_a_later_is_kept_as_wanted),
        TEST(a_shard_is_added_with_its_channels_or_not_at_all),
        TEST(channels_leave_the_shard_they_are_on_and_no_other),
    };
    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
