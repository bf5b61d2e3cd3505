/* Registry: budgets, against a real Redis. */
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

/* Logins and joins -------------------------------------------------------------------------------- */

static void draws_never_exceed_the_window(void **state)
{
    (void)state;
    static uint64_t at[400];
    size_t n = 0;
    set("join_limit,7");
    set("join_window_ms,100");
    uint64_t start = mono_ms();
    while (n < 60) {
        uint64_t before = mono_ms() - start;
        assert_string_equal(world_draw(&w, &n1, "anonymous", "join", 1 + random_below(10)),
                            "drawn");
        uint64_t after = mono_ms() - start;
        for (size_t i = 0; i < w.nwaits; i++) {
            assert_true(w.waits[i] <= 100);
            at[n + i] = before + w.waits[i];
            /* Seven slots earlier is a window earlier, but for the time the call took. */
            if (n + i >= 7) {
                assert_true(at[n + i] + (after - before) + 2 >= at[n + i - 7] + 100);
            }
        }
        n += w.nwaits;
        if (w.nwaits == 0) {
            test_loop_run_for(&w.probe.t, 5);
        }
    }
}

static void a_draw_gives_a_window_and_no_more(void **state)
{
    (void)state;
    world_draw(&w, &n1, "anonymous", "join", 1000);
    assert_int_equal(w.nwaits, 40); /* 20 now, 20 in 11 s */
    assert_int_equal(w.waits[19], 0);
    assert_in_range(w.waits[20], 10000, 11000);
    world_draw(&w, &n1, "anonymous", "join", 1);
    assert_int_equal(w.nwaits, 0);
    world_draw(&w, &n1, "other", "join", 1);
    assert_int_equal(w.nwaits, 1); /* another user has its own */
}

static void a_budget_that_is_off_has_no_waits(void **state)
{
    (void)state;
    set("join_limit,off");
    world_draw(&w, &n1, "anonymous", "join", 500);
    assert_int_equal(w.nwaits, 500);
    assert_int_equal(w.waits[499], 0);
}

static void logins_come_in_a_burst_and_then_one_an_interval(void **state)
{
    (void)state;
    world_draw(&w, &n1, "anonymous", "login", 20);
    assert_int_equal(w.nwaits, 10); /* 5 at once, then every 2 s within the window of 11 s */
    assert_int_equal(w.waits[4], 0);
    assert_int_equal(w.waits[5], 2000);
    assert_int_equal(w.waits[9], 10000);
    world_draw(&w, &n1, "anonymous", "login", 1);
    assert_int_equal(w.nwaits, 0);
}

static void a_budget_recovers_when_the_clock_went_back(void **state)
{
    (void)state;
    set("join_window_ms,100");
    world_ask(&w, "RPUSH shoal:{t}:budget:anonymous:join 99999999999999");
    world_draw(&w, &n1, "anonymous", "join", 1);
    assert_int_equal(w.nwaits, 1);
    assert_int_equal(w.waits[0], 100);
}

static void slots_move_with_the_clock_when_it_went_back(void **state)
{
    (void)state;
    set("join_window_ms,10000");
    set("join_limit,4");
    world_draw(&w, &n1, "anonymous", "join", 3);
    /* As if the clock had been two minutes ahead until now. */
    world_eval(
        &w,
        "local bk = KEYS[1] .. ':budget:anonymous:join' local at = {} "
        "for i, slot in ipairs(redis.call('LRANGE', bk, 0, -1)) do at[i] = slot + 120000 end "
        "redis.call('DEL', bk) redis.call('RPUSH', bk, unpack(at)) "
        "redis.call('HSET', KEYS[1] .. ':clock', 'seen', at[3]) return ''",
        "");
    world_draw(&w, &n1, "anonymous", "join", 2);
    assert_int_equal(w.nwaits, 2);
    assert_in_range(w.waits[0], 0, 50);
    assert_in_range(w.waits[1], 9000, 10000);
}

static void only_the_holder_of_the_lease_draws(void **state)
{
    (void)state;
    struct world_node stranger;
    world_node(&stranger, "n1", 5, 1, "anonymous");
    assert_string_equal(world_draw(&w, &stranger, "anonymous", "join", 1), "LOST");
    assert_string_equal(world_draw(&w, &n1, "anonymous", "beer", 1), "ERROR");
    assert_string_equal(world_draw(&w, &n1, "anonymous", "join", 0), "ERROR");
}

/* Messages ----------------------------------------------------------------------------------------- */

static void messages_keep_to_their_budgets(void **state)
{
    (void)state;
    const char *first = outbox("channel foo text 1");
    assert_string_equal(world_claim(&w, &n1, first), "claimed");
    world_done(&w, &n1, first, SEND_SENT);
    const char *second = outbox("channel foo text 2");
    assert_string_equal(world_claim(&w, &n1, second), "later");
    assert_int_equal(w.claim.held_by, HELD_BY_CHANNEL);
    assert_in_range(w.claim.wait_ms, 900, 1200); /* 1.2 s a channel */
    world_renew(&w, &n1, "{\"channels\":{\"foo\":{\"shard\":\"main-shard\",\"moderator\":1}}}");
    assert_string_equal(world_claim(&w, &n1, second), "claimed"); /* moderators are not held back */
    world_done(&w, &n1, second, SEND_SENT);
    world_renew(&w, &n1, "{\"channels\":{\"foo\":{\"shard\":\"main-shard\",\"moderator\":0}}}");
}

static void channels_nobody_joined_leave_half_of_the_limits_to_the_others(void **state)
{
    (void)state;
    set("message_limit,4");
    for (int i = 0; i < 2; i++) {
        char fields[64];
        snprintf(fields, sizeof(fields), "channel stranger%d text x", i);
        const char *entry = outbox(fields);
        assert_string_equal(world_claim(&w, &n1, entry), "claimed");
        world_done(&w, &n1, entry, SEND_SENT);
    }
    assert_string_equal(world_claim(&w, &n1, outbox("channel other text x ttl_ms 60000")), "later");
    const char *entry = outbox("channel foo text x");
    assert_string_equal(world_claim(&w, &n1, entry), "claimed");
    assert_int_equal(w.claim.wait_ms, 0);
    world_done(&w, &n1, entry, SEND_SENT);
}

static void a_slot_taken_ahead_holds_up_no_other_channel_that_has_room(void **state)
{
    static const char *const channels[] = {"bar", "baz", "late", "foo"};

    (void)state;
    set("message_limit,2");
    set("message_window_ms,1500");
    world_assign(&w, &me, "", "", "join", "bar,baz,late");
    world_renew(&w, &n1, "{\"channels\":{\"foo\":{\"shard\":\"main-shard\",\"moderator\":1}}}");
    for (size_t i = 0; i < ARRAY_LEN(channels); i++) {
        char fields[64];
        snprintf(fields, sizeof(fields), "channel %s text x", channels[i]);
        const char *entry = outbox(fields);
        assert_string_equal(world_claim(&w, &n1, entry), "claimed");
        if (strcmp(channels[i], "late") == 0) {
            assert_in_range(w.claim.wait_ms, 1, 1500);
        } else {
            assert_int_equal(w.claim.wait_ms, 0); /* of foo there is another limit */
        }
        world_done(&w, &n1, entry, SEND_SENT);
    }
    /* All four count, in the order of their times. */
    assert_string_equal(
        world_eval(&w,
                   "local s = redis.call('LRANGE', KEYS[1] .. ':budget:bot:message_mod', 0, -1) "
                   "for i = 2, #s do if tonumber(s[i]) < tonumber(s[i - 1]) then return 'disorder' "
                   "end end "
                   "return 'slots ' .. #s",
                   ""),
        "slots 4");
    world_renew(&w, &n1, "{\"channels\":{\"foo\":{\"shard\":\"main-shard\",\"moderator\":0}}}");
}

static void a_clock_that_went_back_does_not_hold_up_a_channel(void **state)
{
    (void)state;
    world_ask(&w, "RPUSH shoal:{t}:budget:bot:channel:foo 99999999999999");
    const char *entry = outbox("channel foo text 1");
    assert_string_equal(world_claim(&w, &n1, entry), "later");
    assert_in_range(w.claim.wait_ms, 1, 1200); /* its pace */
}

/* Standing ----------------------------------------------------------------------------------------- */

/* A message to the channel, which Twitch answers with that; the word of its claim. */
static const char *say_as(const char *channel, const char *standing)
{
    static char word[64];
    char fields[64];

    snprintf(fields, sizeof(fields), "channel %s text x", channel);
    const char *entry = outbox(fields);
    snprintf(word, sizeof(word), "%s", world_claim(&w, &n1, entry));
    w.standing = standing;
    if (strcmp(word, "claimed") == 0) {
        assert_string_equal(world_said(&w, &n1, entry, SEND_SENT, 0), "done");
    }
    return word;
}

static void what_twitch_answers_to_a_message_tells_how_the_account_stands_there(void **state)
{
    (void)state;
    /* Of a channel that nobody joined nothing else does. */
    assert_string_equal(say_as("stranger", "none"), "claimed");
    assert_string_equal(say_as("stranger", NULL), "later"); /* its pace */
    assert_string_equal(say_as("modded", "moderator"), "claimed");
    assert_string_equal(say_as("modded", NULL), "claimed");
    assert_string_equal(say_as("modded", "none"), "claimed");
    assert_string_equal(say_as("modded", "none"), "later"); /* not any more */
    assert_string_equal(world_ask(&w, "EXISTS shoal:{t}:standing:bot"), "0");
}

static void a_moderator_draws_from_the_wide_budget_alone_and_a_vip_has_no_pace(void **state)
{
    (void)state;
    world_renew(&w, &n1,
                "{\"channels\":{\"foo\":{\"shard\":\"main-shard\",\"vip\":1,\"moderator\":0}}}");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:standing:bot foo"), "vip");
    assert_string_equal(say_as("foo", "vip"), "claimed");
    assert_string_equal(say_as("foo", "vip"), "claimed");
    assert_string_equal(world_ask(&w, "LLEN shoal:{t}:budget:bot:message"), "2");
    assert_string_equal(say_as("foo", "moderator"), "claimed");
    assert_string_equal(say_as("foo", "moderator"), "claimed");
    assert_string_equal(world_ask(&w, "LLEN shoal:{t}:budget:bot:message"), "3");
    assert_string_equal(world_ask(&w, "LLEN shoal:{t}:budget:bot:message_mod"), "4");
}

static void a_room_where_the_account_came_to_be_moderator_counts_no_more(void **state)
{
    (void)state;
    assert_string_equal(world_ask(&w, "SISMEMBER shoal:{t}:rooms:bot foo"), "1");
    say_as("foo", "moderator");
    say_as("stranger", "moderator");
    say_as("stranger", "none");
    assert_string_equal(world_ask(&w, "SCARD shoal:{t}:rooms:bot"),
                        "0"); /* it is not in the other */
    say_as("foo", "none");
    assert_string_equal(world_ask(&w, "SISMEMBER shoal:{t}:rooms:bot foo"), "1");
}

static void how_it_stands_is_forgotten_with_the_channel(void **state)
{
    (void)state;
    say_as("foo", "vip");
    say_as("stranger", "moderator");
    assert_int_equal(world_compare(&w, &me), 0);
    assert_string_equal(world_ask(&w, "HLEN shoal:{t}:standing:bot"), "2");
    /* Nothing was said there for so long that its budget is gone. */
    world_ask(&w, "DEL shoal:{t}:budget:bot:channel:stranger shoal:{t}:budget:bot:channel:foo");
    assert_int_equal(world_compare(&w, &me), 0);
    assert_string_equal(world_ask(&w, "HEXISTS shoal:{t}:standing:bot stranger"), "0");
    world_release(&w, &me, "", "", "part", "foo");
    assert_int_equal(world_compare(&w, &me), 0);
    assert_string_equal(world_ask(&w, "EXISTS shoal:{t}:standing:bot"), "0");
}

/* Shares ------------------------------------------------------------------------------------------- */

/* As begin_sending, with a second channel, bar, and no pace within a channel. */
static int begin_sharing(void **state)
{
    begin_sending(state);
    set("channel_message_ms,off");
    world_assign(&w, &me, "", "", "join", "bar");
    return 0;
}

/* One more send to that channel: is it said, or what becomes of it? */
static const char *say(const char *channel)
{
    char fields[64];
    snprintf(fields, sizeof(fields), "channel %s text x ttl_ms 60000", channel);
    const char *entry = outbox(fields);
    const char *word = world_claim(&w, &n1, entry);
    if (strcmp(word, "claimed") != 0) {
        return word;
    }
    world_done(&w, &n1, entry, SEND_SENT);
    return "claimed";
}

/* So many are said to the channel at once, and the next one is held back by that. */
static void says_at_once(const char *channel, unsigned n, enum registry_held_by held_by)
{
    for (unsigned i = 0; i < n; i++) {
        assert_string_equal(say(channel), "claimed");
        assert_int_equal(w.claim.wait_ms, 0);
    }
    assert_string_equal(say(channel), "later");
    assert_int_equal(w.claim.held_by, held_by);
}

static void a_channel_leaves_a_quarter_of_the_limit_to_the_others(void **state)
{
    (void)state;
    set("message_limit,8");
    says_at_once("foo", 6, HELD_BY_CHANNEL);
    assert_in_range(w.claim.wait_ms, 31000, 32000);
    says_at_once("bar", 2, HELD_BY_PLAIN);
}

static void a_channel_at_its_share_keeps_no_slot_that_others_may_use(void **state)
{
    (void)state;
    set("message_limit,4");
    set("message_window_ms,1500"); /* its next slot is no further away than a claim is made */
    says_at_once("foo", 3, HELD_BY_CHANNEL);
    assert_string_equal(say("bar"), "claimed");
    assert_int_equal(w.claim.wait_ms, 0);
}

static void the_only_joined_channel_may_use_all_of_the_limit(void **state)
{
    (void)state;
    set("message_limit,8");
    world_release(&w, &me, "", "", "part", "bar");
    says_at_once("foo", 8, HELD_BY_PLAIN);
}

static void its_share_counts_as_soon_as_another_channel_is_joined(void **state)
{
    (void)state;
    set("message_limit,8");
    world_release(&w, &me, "", "", "part", "bar");
    for (int i = 0; i < 7; i++) {
        assert_string_equal(say("foo"), "claimed");
    }
    world_assign(&w, &me, "", "", "join", "bar");
    says_at_once("foo", 0, HELD_BY_CHANNEL);
    says_at_once("bar", 1, HELD_BY_PLAIN);
}

static void where_it_is_moderator_it_leaves_a_quarter_of_all_messages(void **state)
{
    (void)state;
    set("message_limit,4");
    set("message_mod_limit,8");
    world_renew(&w, &n1, "{\"channels\":{\"foo\":{\"shard\":\"main-shard\",\"moderator\":1}}}");
    says_at_once("foo", 6, HELD_BY_CHANNEL);
    says_at_once("bar", 2, HELD_BY_ALL);
    world_renew(&w, &n1, "{\"channels\":{\"foo\":{\"shard\":\"main-shard\",\"moderator\":0}}}");
}

static void of_the_smallest_limits_one_slot_is_left_to_the_others_if_there_is_another(void **state)
{
    static const struct {
        const char *limit;
        unsigned own;
        unsigned left;
    } cases[] = {{"message_limit,1", 1, 0}, {"message_limit,2", 1, 1}, {"message_limit,3", 2, 1}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        set(cases[i].limit);
        says_at_once("foo", cases[i].own, HELD_BY_CHANNEL);
        for (unsigned left = cases[i].left; left > 0; left--) {
            assert_string_equal(say("bar"), "claimed");
        }
        assert_string_equal(say("bar"), "later");
        world_ask(&w, "DEL shoal:{t}:budget:bot:message shoal:{t}:budget:bot:channel:foo "
                      "shoal:{t}:budget:bot:channel:bar");
    }
}

static void a_share_follows_the_limit_while_it_runs(void **state)
{
    (void)state;
    for (int i = 0; i < 6; i++) {
        assert_string_equal(say("foo"), "claimed");
    }
    set("message_limit,8");
    says_at_once("foo", 0, HELD_BY_CHANNEL);
    assert_string_equal(say("bar"), "claimed");
    set("message_limit,12");
    says_at_once("foo", 3, HELD_BY_CHANNEL);
    set("message_limit,off");
    set("message_mod_limit,off");
    for (int i = 0; i < 20; i++) {
        assert_string_equal(say("foo"), "claimed");
    }
}

/* As if the clock had been so far ahead until now. */
static void clock_went_back(const char *ms)
{
    world_eval(&w,
               "local ms, now = tonumber(ARGV[1]), redis.call('TIME')[1] * 1000 "
               "for _, k in ipairs({'message', 'message_mod', 'channel:foo'}) do "
               "local bk = KEYS[1] .. ':budget:bot:' .. k local at = {} "
               "for i, slot in ipairs(redis.call('LRANGE', bk, 0, -1)) do at[i] = slot + ms end "
               "redis.call('DEL', bk) redis.call('RPUSH', bk, unpack(at)) end "
               "redis.call('HSET', KEYS[1] .. ':clock', 'seen', now + ms) return ''",
               ms);
}

static void a_share_is_the_same_when_the_clock_went_back(void **state)
{
    static const char *const jumps[] = {"120000", "4000"};

    (void)state;
    set("message_limit,8");
    for (size_t i = 0; i < ARRAY_LEN(jumps); i++) {
        says_at_once("foo", 6, HELD_BY_CHANNEL);
        clock_went_back(jumps[i]);
        says_at_once("foo", 0, HELD_BY_CHANNEL);
        assert_in_range(w.claim.wait_ms, 30000, 36000);
        says_at_once("bar", 2, HELD_BY_PLAIN);
        world_ask(&w, "DEL shoal:{t}:budget:bot:message shoal:{t}:budget:bot:message_mod "
                      "shoal:{t}:budget:bot:channel:foo shoal:{t}:budget:bot:channel:bar");
    }
}

static void what_a_channel_said_is_kept_for_the_window_and_no_longer(void **state)
{
    (void)state;
    world_ask(&w, "RPUSH shoal:{t}:budget:bot:channel:foo 1 2 3 4 5");
    for (int i = 0; i < 4; i++) {
        assert_string_equal(say("foo"), "claimed");
    }
    assert_string_equal(world_ask(&w, "LLEN shoal:{t}:budget:bot:channel:foo"), "4");
    assert_in_range(atoi(world_ask(&w, "PTTL shoal:{t}:budget:bot:channel:foo")), 90000, 160000);
    set("message_limit,off");
    set("message_mod_limit,off");
    set("message_window_ms,100");
    set("channel_message_ms,30000");
    assert_string_equal(say("foo"), "later"); /* by the pace alone */
    set("channel_message_ms,600000");
    world_ask(&w, "DEL shoal:{t}:budget:bot:channel:foo");
    world_ask(&w, "RPUSH shoal:{t}:budget:bot:channel:foo 1 2");
    assert_string_equal(say("foo"), "claimed");
    assert_in_range(atoi(world_ask(&w, "PTTL shoal:{t}:budget:bot:channel:foo")), 600000, 2000000);
    assert_string_equal(world_ask(&w, "LLEN shoal:{t}:budget:bot:channel:foo"), "1");
}

static void a_channel_keeps_its_pace_from_when_its_last_message_was_written(void **state)
{
    (void)state;

    set("channel_message_ms,20000");
    const char *first = outbox("channel foo text one");
    assert_string_equal(world_claim(&w, &n1, first), "claimed");
    /* Its slot was 10 s ago: the node, or the way to it, stood still. */
    world_ask(&w, "LSET shoal:{t}:budget:bot:channel:foo -1 %llu",
              (unsigned long long)wall_now().ms - 10000);
    assert_string_equal(world_said(&w, &n1, first, SEND_SENT, 1000), "done");

    assert_string_equal(say("foo"), "later");
    assert_in_range(w.claim.wait_ms, 15000, 19000);
}

#define TEST(name)    cmocka_unit_test_setup_teardown(name, begin, finish)
#define SENDING(name) cmocka_unit_test_setup_teardown(name, begin_sending, finish)
#define SHARING(name) cmocka_unit_test_setup_teardown(name, begin_sharing, finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(draws_never_exceed_the_window),
        TEST(a_draw_gives_a_window_and_no_more),
        TEST(a_budget_that_is_off_has_no_waits),
        TEST(logins_come_in_a_burst_and_then_one_an_interval),
        TEST(a_budget_recovers_when_the_clock_went_back),
        TEST(slots_move_with_the_clock_when_it_went_back),
        TEST(only_the_holder_of_the_lease_draws),
        SENDING(messages_keep_to_their_budgets),
        SENDING(a_channel_keeps_its_pace_from_when_its_last_message_was_written),
        SENDING(channels_nobody_joined_leave_half_of_the_limits_to_the_others),
        SENDING(a_slot_taken_ahead_holds_up_no_other_channel_that_has_room),
        SENDING(a_clock_that_went_back_does_not_hold_up_a_channel),
        SENDING(what_twitch_answers_to_a_message_tells_how_the_account_stands_there),
        SENDING(a_moderator_draws_from_the_wide_budget_alone_and_a_vip_has_no_pace),
        SENDING(a_room_where_the_account_came_to_be_moderator_counts_no_more),
        SENDING(how_it_stands_is_forgotten_with_the_channel),
        SHARING(a_channel_leaves_a_quarter_of_the_limit_to_the_others),
        SHARING(a_channel_at_its_share_keeps_no_slot_that_others_may_use),
        SHARING(the_only_joined_channel_may_use_all_of_the_limit),
        SHARING(its_share_counts_as_soon_as_another_channel_is_joined),
        SHARING(where_it_is_moderator_it_leaves_a_quarter_of_all_messages),
        SHARING(of_the_smallest_limits_one_slot_is_left_to_the_others_if_there_is_another),
        SHARING(a_share_follows_the_limit_while_it_runs),
        SHARING(a_share_is_the_same_when_the_clock_went_back),
        SHARING(what_a_channel_said_is_kept_for_the_window_and_no_longer),
    };
    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
