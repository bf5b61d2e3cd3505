/* Registry: budgets, against a real Redis. */
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

/* A leader and the node n1 with room for ten shards. */
static int begin(void **state)
{
    (void)state;
    world_begin(&w, &me, &n1, 10);
    return 0;
}

/* Whatever a test did, the invariants hold. */
static int finish(void **state)
{
    (void)state;
    assert_string_equal(world_broken(&w, 1000000, 1000000), "");
    world_finish(&w);
    return 0;
}

static void set(const char *setting_and_value)
{
    assert_string_equal(world_configure(&w, &me, "", "", "set", setting_and_value), "done");
    assert_non_null(strstr(w.rest, "\"ok\":true"));
}

/* As begin, with a user that may speak and the channel foo on its main-shard. */
static int begin_sending(void **state)
{
    begin(state);
    set("user,bot");
    world_node(&n1, "n1", 1002, 10, "bot");
    world_register(&w, &n1, 1001);
    world_add_shard(&w, &me, "main-shard", "bot", "");
    world_assign(&w, &me, "", "", "join", "foo");
    return 0;
}

/* An entry in the outbox, as an application writes it. */
static const char *outbox(const char *fields)
{
    static char entries[8][64];
    static unsigned next;
    char *entry = entries[next++ % 8];
    snprintf(entry, 64, "%s", world_ask(&w, "XADD shoal:{t}:outbox * %s", fields));
    return entry;
}

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
    world_done(&w, &n1, first, "sent");
    const char *second = outbox("channel foo text 2");
    assert_string_equal(world_claim(&w, &n1, second), "claimed");
    assert_in_range(w.claim.wait_ms, 900, 1200); /* 1.2 s a channel */
    world_done(&w, &n1, second, "sent");
    const char *third = outbox("channel foo text 3");
    assert_string_equal(world_claim(&w, &n1, third), "later");
    assert_in_range(w.claim.wait_ms, 1900, 2400);
    world_renew(&w, &n1, "{\"channels\":{\"foo\":{\"shard\":\"main-shard\",\"moderator\":1}}}");
    assert_string_equal(world_claim(&w, &n1, third), "claimed"); /* moderators are not held back */
    world_done(&w, &n1, third, "sent");
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
        world_done(&w, &n1, entry, "sent");
    }
    assert_string_equal(world_claim(&w, &n1, outbox("channel other text x ttl_ms 60000")), "later");
    const char *entry = outbox("channel foo text x");
    assert_string_equal(world_claim(&w, &n1, entry), "claimed");
    assert_int_equal(w.claim.wait_ms, 0);
    world_done(&w, &n1, entry, "sent");
}

static void a_slot_taken_ahead_holds_up_no_other_channel_that_has_room(void **state)
{
    static const char *const channels[] = {"bar", "baz"};

    (void)state;
    set("message_limit,4");
    world_assign(&w, &me, "", "", "join", "bar,baz");
    for (int i = 0; i < 2; i++) {
        const char *entry = outbox("channel foo text x");
        assert_string_equal(world_claim(&w, &n1, entry), "claimed");
        world_done(&w, &n1, entry, "sent");
    }
    assert_in_range(w.claim.wait_ms, 900, 1200); /* the pace of foo */
    for (int i = 0; i < 2; i++) {
        char fields[64];
        snprintf(fields, sizeof(fields), "channel %s text x", channels[i]);
        const char *entry = outbox(fields);
        assert_string_equal(world_claim(&w, &n1, entry), "claimed");
        assert_int_equal(w.claim.wait_ms, 0);
        world_done(&w, &n1, entry, "sent");
    }
    /* All four count, in the order of their times. */
    world_assign(&w, &me, "", "", "join", "late");
    assert_string_equal(world_claim(&w, &n1, outbox("channel late text x ttl_ms 60000")), "later");
    assert_in_range(w.claim.wait_ms, 30000, 32000);
    assert_string_equal(
        world_eval(&w,
                   "local s = redis.call('LRANGE', KEYS[1] .. ':budget:bot:message', 0, -1) "
                   "for i = 2, #s do if tonumber(s[i]) < tonumber(s[i - 1]) then return 'disorder' "
                   "end end "
                   "return 'slots ' .. #s",
                   ""),
        "slots 4");
}

static void a_clock_that_went_back_does_not_hold_up_a_channel(void **state)
{
    (void)state;
    world_ask(&w, "SET shoal:{t}:budget:bot:channel:foo 99999999999999");
    const char *entry = outbox("channel foo text 1");
    assert_string_equal(world_claim(&w, &n1, entry), "claimed");
    assert_in_range(w.claim.wait_ms, 0, 1200);
    world_done(&w, &n1, entry, "sent");
}

#define TEST(name)    cmocka_unit_test_setup_teardown(name, begin, finish)
#define SENDING(name) cmocka_unit_test_setup_teardown(name, begin_sending, finish)

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
        SENDING(channels_nobody_joined_leave_half_of_the_limits_to_the_others),
        SENDING(a_slot_taken_ahead_holds_up_no_other_channel_that_has_room),
        SENDING(a_clock_that_went_back_does_not_hold_up_a_channel),
    };
    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
