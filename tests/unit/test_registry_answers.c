/* Registry: what Twitch answered to sends, against a real Redis. */
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

/* What the result of a send to foo says. */
static const char *result(const char *id, const char *field)
{
    return world_ask(&w, "HGET shoal:{t}:result:foo:%s %s", id, field);
}

static void a_result_has_twitchs_message_id_cut_and_as_utf8(void **state)
{
    (void)state;
    char id[200];
    const char *entry = outbox("channel foo text hello id s1");
    world_claim(&w, &n1, entry);
    memset(id, 'x', sizeof(id));
    id[0] = '\xff';
    id[199] = '\0';
    w.message_id = id;
    assert_string_equal(world_done(&w, &n1, entry, SEND_SENT), "done");
    assert_int_equal(strlen(result("s1", "message_id")), 130); /* U+FFFD takes three bytes */
    assert_memory_equal(result("s1", "message_id"), "\xef\xbf\xbdxxx", 6);
}

static void what_twitch_refused_for_now_waits_and_holds_up_its_channel_alone(void **state)
{
    (void)state;
    const char *first = outbox("channel foo text hello id s1 ttl_ms 20000");
    const char *second = outbox("channel foo text hello id s2 ttl_ms 4000");
    const char *other = outbox("channel bar text hello");
    assert_string_equal(world_claim(&w, &n1, first), "claimed");
    assert_in_range(w.claim.left_ms, 19000, 20000);
    assert_int_equal(w.claim.pace_ms, 1200);
    assert_string_equal(world_later(&w, &n1, first, 5000, "msg_slowmode"), "done");
    assert_string_equal(world_later(&w, &n1, first, 9000, "msg_slowmode"), "done"); /* gone */
    assert_string_equal(world_claim(&w, &n1, first), "later");
    assert_int_equal(w.claim.held_by, HELD_BY_CHANNEL);
    assert_in_range(w.claim.wait_ms, 4000, 5000);
    assert_string_equal(world_claim(&w, &n1, second), "done");
    assert_string_equal(result("s2", "status"), "expired");
    assert_string_equal(world_claim(&w, &n1, other), "claimed");
    world_done(&w, &n1, other, SEND_SENT);
    world_ask(&w, "SET shoal:{t}:budget:bot:wait:foo 5_%d", 1);
    assert_string_equal(world_claim(&w, &n1, first), "later"); /* the pace */
    assert_in_range(w.claim.wait_ms, 1, 1200);
    world_ask(&w, "DEL shoal:{t}:budget:bot:channel:foo");
    assert_string_equal(world_claim(&w, &n1, first), "claimed");
    world_ask(&w, "SET shoal:{t}:budget:bot:wait:foo 99999999999999999999");
    world_done(&w, &n1, first, SEND_SENT);
    assert_string_equal(result("s1", "status"), "sent");
}

static void too_fast(const char *channel)
{
    char fields[64];
    snprintf(fields, sizeof(fields), "channel %s text hello", channel);
    const char *entry = outbox(fields);
    world_ask(&w, "DEL shoal:{t}:budget:bot:wait:%s shoal:{t}:budget:bot:channel:%s", channel,
              channel);
    assert_string_equal(world_claim(&w, &n1, entry), "claimed");
    world_later(&w, &n1, entry, 1, "msg_ratelimit");
    world_ask(&w, "XDEL shoal:{t}:outbox %s", entry);
}

static void an_account_that_twitch_finds_too_fast_five_times_in_a_row_is_muted(void **state)
{
    (void)state;
    set("muted_ms,5000");
    for (int i = 0; i < 4; i++) {
        too_fast(i % 2 == 0 ? "foo" : "bar");
    }
    const char *said = outbox("channel other text hello");
    world_claim(&w, &n1, said);
    world_done(&w, &n1, said, SEND_SENT);
    const char *waits = outbox("channel other text hello id waits ttl_ms 3000");
    world_take(&w);
    for (int i = 0; i < 5; i++) {
        assert_string_equal(world_ask(&w, "ZCARD shoal:{t}:muted"), "0");
        too_fast(i % 2 == 0 ? "foo" : "bar");
    }
    assert_string_equal(world_ask(&w, "ZCARD shoal:{t}:muted"), "1");

    world_take(&w); /* what waits */
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:result:other:waits reason"), "muted");
    assert_string_equal(world_claim(&w, &n1, waits), "gone");
    world_claim(&w, &n1, outbox("channel foo text hello id short ttl_ms 3000"));
    assert_string_equal(result("short", "status"), "rejected");
    assert_string_equal(result("short", "reason"), "muted");
    assert_non_null(strstr(result("short", "text"), "Twitch says nothing of bot until "));
    const char *lasts = outbox("channel foo text hello id long");
    assert_string_equal(world_claim(&w, &n1, lasts), "later");
    assert_int_equal(w.claim.held_by, HELD_BY_MUTED);
    assert_in_range(w.claim.wait_ms, 3000, 5000);

    world_ask(&w, "ZADD shoal:{t}:muted 1000 bot");
    world_take(&w);
    assert_string_equal(world_ask(&w, "ZCARD shoal:{t}:muted"), "0");
    world_ask(&w, "DEL shoal:{t}:budget:bot:channel:foo shoal:{t}:budget:bot:wait:foo");
    assert_string_equal(world_claim(&w, &n1, lasts), "claimed");
    world_done(&w, &n1, lasts, SEND_SENT);
}

static void a_room_in_slow_mode_has_its_pace_but_for_moderators_and_vips(void **state)
{
    static const struct {
        const char *room;
        const char *standing;
        const char *pace_ms;
        uint64_t least;
        uint64_t most;
    } cases[] = {
        {"-", "none", "1200", 1000, 1200},
        {"slow=3", "none", "1200", 3300, 3500},
        {"emote-only slow=3 r9k", "none", "off", 3300, 3500},
        {"slow=1", "none", "5000", 4800, 5000},
        {"slow=9999999999", "none", "1200", 3600300, 3600500},
        {"xslow=3", "none", "1200", 1000, 1200},
        {"slow=3", "moderator", "1200", 0, 0},
        {"slow=3", "vip", "1200", 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char setting[64];
        snprintf(setting, sizeof(setting), "channel_message_ms,%s", cases[i].pace_ms);
        set(setting);
        world_eval(&w,
                   "redis.call('HSET', KEYS[1] .. ':channel:foo', 'room', ARGV[1]) "
                   "redis.call('DEL', KEYS[1] .. ':budget:bot:channel:foo') return ''",
                   cases[i].room);
        world_ask(&w, "HSET shoal:{t}:standing:bot foo %s", cases[i].standing);
        const char *first = outbox("channel foo text 1 ttl_ms 600000");
        assert_string_equal(world_claim(&w, &n1, first), "claimed");
        world_said(&w, &n1, first, SEND_SENT, 0);
        const char *second = outbox("channel foo text 2 ttl_ms 600000");
        const char *word = world_claim(&w, &n1, second);
        if (cases[i].most > 600000) {
            assert_string_equal(word, "done"); /* it would be beyond its time */
        } else if (cases[i].most > 0) {
            assert_string_equal(word, "later");
            assert_in_range(w.claim.wait_ms, cases[i].least, cases[i].most);
            world_ask(&w, "XDEL shoal:{t}:outbox %s", second);
        } else {
            assert_string_equal(word, "claimed");
            world_done(&w, &n1, second, SEND_SENT);
        }
    }
}

static void low_priority_leaves_a_quarter_of_the_limits_to_others(void **state)
{
    (void)state;
    set("message_limit,4");
    set("channel_message_ms,off");
    world_assign(&w, &me, "", "", "join", "a,b,c,d,e");
    for (int i = 0; i < 3; i++) {
        char fields[64];
        snprintf(fields, sizeof(fields), "channel %c text hello priority low", 'a' + i);
        const char *entry = outbox(fields);
        assert_string_equal(world_claim(&w, &n1, entry), "claimed");
        world_done(&w, &n1, entry, SEND_SENT);
    }
    const char *low = outbox("channel d text hello priority low ttl_ms 600000");
    assert_string_equal(world_claim(&w, &n1, low), "later");
    assert_int_equal(w.claim.held_by, HELD_BY_LOW);
    const char *normal = outbox("channel d text hello");
    assert_string_equal(world_claim(&w, &n1, normal), "claimed");
    world_done(&w, &n1, normal, SEND_SENT);
    assert_string_equal(
        world_claim(&w, &n1, outbox("channel e text hello ttl_ms 600000 priority high")), "later");
    assert_int_equal(w.claim.held_by, HELD_BY_PLAIN);
}

static void overdue_all(void)
{
    world_eval(&w,
               "for _, m in ipairs(redis.call('ZRANGE', KEYS[1] .. ':sends', 0, -1)) do "
               "redis.call('ZADD', KEYS[1] .. ':sends', 1000, m) end return ''",
               "");
}

static void a_node_is_told_the_priority_of_what_waits(void **state)
{
    (void)state;
    char expected[200];
    const char *high = outbox("channel foo text hello priority high");
    const char *normal = outbox("channel foo text hello");
    const char *low = outbox("channel foo text hello priority low");
    world_take(&w);
    (void)snprintf(expected, sizeof(expected), "foo %sh foo %s foo %sl ", high, normal, low);
    assert_string_equal(world_list(&w, &n1), expected);
    assert_string_equal(world_claim(&w, &n1, high), "claimed");
    world_done(&w, &n1, high, SEND_SENT);
    assert_string_equal(world_ask(&w, "ZCARD shoal:{t}:sends"), "2");
    overdue_all();
    world_take(&w);
    assert_string_equal(world_ask(&w, "ZCARD shoal:{t}:sends"), "0");
    assert_string_equal(world_ask(&w, "XLEN shoal:{t}:outbox"), "0");
}

/* A send of three parts of which the first was said. */
static const char *begun(const char *id)
{
    char fields[1200];
    size_t len = (size_t)snprintf(fields, sizeof(fields), "channel foo id %s split 1 text ", id);
    memset(fields + len, 'x', 1001);
    fields[len + 1001] = '\0';
    const char *entry = outbox(fields);
    assert_string_equal(world_claim(&w, &n1, entry), "claimed");
    assert_int_equal(w.claim.parts_said, 0);
    world_ask(&w, "FCALL shoal1_send_part 1 shoal:{t} n1 %s %s 1/3 0", n1.incarnation, entry);
    world_ask(&w, "FCALL shoal1_send_part 1 shoal:{t} n1 %s %s 2/3 0", n1.incarnation, entry);
    return entry; /* the second word found no claim */
}

static void what_is_left_of_a_split_text_is_said_by_another_or_tells_how_far_it_came(void **state)
{
    (void)state;
    set("channel_message_ms,off");
    const char *entry = begun("s1");
    assert_string_equal(world_claim(&w, &n1, entry), "claimed");
    assert_int_equal(w.claim.parts_said, 1);
    world_end_lease(&w, &n1);
    n1.link_id++;
    random_hex(n1.incarnation, 16);
    world_register(&w, &n1, n1.link_id - 1);
    assert_string_equal(result("s1", "status"), "unknown");
    assert_string_equal(result("s1", "parts"), "1/3");
    assert_string_equal(world_claim(&w, &n1, entry), "gone");

    entry = begun("s2");
    world_ask(&w, "XTRIM shoal:{t}:outbox MAXLEN 0");
    assert_string_equal(world_claim(&w, &n1, entry), "gone");
}

static void
what_waits_since_before_redis_clock_went_back_waits_no_longer_than_it_would(void **state)
{
    (void)state;
    const char *entry = outbox("channel foo text hello");
    world_eval(&w, "return redis.call('SET', KEYS[1] .. ':budget:bot:wait:foo', '9999999999999 1')",
               "");
    assert_string_equal(world_claim(&w, &n1, entry), "claimed");
    world_done(&w, &n1, entry, SEND_SENT);

    set("muted_ms,5000");
    world_ask(&w, "ZADD shoal:{t}:muted 9999999999999 bot");
    world_take(&w);
    assert_string_equal(world_eval(&w,
                                   "local t = redis.call('TIME') local at = redis.call('ZSCORE', "
                                   "KEYS[1] .. ':muted', 'bot') return at - t[1] * 1000 <= 6000 "
                                   "and 'soon' or 'late'",
                                   ""),
                        "soon");
}

#define SENDING(name) cmocka_unit_test_setup_teardown(name, begin_sending, finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SENDING(a_result_has_twitchs_message_id_cut_and_as_utf8),
        SENDING(what_twitch_refused_for_now_waits_and_holds_up_its_channel_alone),
        SENDING(an_account_that_twitch_finds_too_fast_five_times_in_a_row_is_muted),
        SENDING(what_waits_since_before_redis_clock_went_back_waits_no_longer_than_it_would),
        SENDING(a_room_in_slow_mode_has_its_pace_but_for_moderators_and_vips),
        SENDING(low_priority_leaves_a_quarter_of_the_limits_to_others),
        SENDING(a_node_is_told_the_priority_of_what_waits),
        SENDING(what_is_left_of_a_split_text_is_said_by_another_or_tells_how_far_it_came),
    };
    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
