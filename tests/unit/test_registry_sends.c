/* Registry: sends, against a real Redis. */
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

static const char *result_in(const char *channel, const char *id, const char *field)
{
    return world_ask(&w, "HGET shoal:{t}:result:%s:%s %s", channel, id, field);
}

/* Sends ------------------------------------------------------------------------------------------- */

static void a_send_gets_one_result(void **state)
{
    (void)state;
    const char *entry = outbox("channel #Foo text hello id s1");

    assert_string_equal(world_claim(&w, &n1, entry), "claimed");
    assert_string_equal(w.claim_shard, "main-shard");
    assert_string_equal(w.claim_text, "hello");
    assert_int_equal(w.claim.wait_ms, 0);
    assert_string_equal(result("s1", "status"), ""); /* it has none yet */
    assert_string_equal(world_claim(&w, &n1, entry), "busy");
    assert_string_equal(world_done(&w, &n1, entry, SEND_SENT), "done");

    assert_string_equal(result("s1", "status"), "sent");
    assert_string_equal(world_claim(&w, &n1, entry), "gone");
    world_done(&w, &n1, entry, SEND_REJECTED); /* not its claim any more */
    assert_string_equal(result("s1", "status"), "sent");
    assert_string_equal(world_ask(&w, "XLEN shoal:{t}:outbox"), "0");
    assert_string_equal(world_ask(&w, "HLEN shoal:{t}:claims"), "0");
    assert_in_range(atoi(world_ask(&w, "TTL shoal:{t}:result:foo:s1")), 86000, 86400);
}

static void the_same_send_id_is_said_once(void **state)
{
    (void)state;
    const char *first = outbox("channel foo text hello id s1");
    const char *second = outbox("channel foo text hello id s1");
    assert_string_equal(world_claim(&w, &n1, first), "claimed");
    assert_string_equal(world_claim(&w, &n1, second), "busy");
    world_done(&w, &n1, first, SEND_SENT);
    assert_string_equal(world_claim(&w, &n1, second), "done");
    assert_string_equal(result("s1", "status"), "sent");
    assert_string_equal(world_ask(&w, "XLEN shoal:{t}:outbox"), "0");
}

static void of_sends_with_the_same_id_any_may_come_first(void **state)
{
    (void)state;
    const char *first = outbox("channel foo text hello id s1");
    const char *second = outbox("channel foo text hello id s1");
    world_take(&w);
    assert_string_equal(world_claim(&w, &n1, second), "claimed");
    assert_string_equal(world_claim(&w, &n1, first), "busy");
    world_done(&w, &n1, second, SEND_SENT);
    assert_string_equal(world_claim(&w, &n1, first), "done");
    assert_string_equal(result("s1", "status"), "sent");
    assert_string_equal(world_ask(&w, "ZCARD shoal:{t}:sends"), "0");
    assert_string_equal(world_ask(&w, "HLEN shoal:{t}:ids"), "0");
}

/* Its time is over. */
static void overdue(const char *entry)
{
    char script[512];
    snprintf(
        script, sizeof(script),
        "for _, m in ipairs(redis.call('ZRANGE', KEYS[1] .. ':sends', 0, -1)) do "
        "if string.find(m, '%s', 1, true) then redis.call('ZADD', KEYS[1] .. ':sends', 1000, m) "
        "end end return ''",
        entry);
    world_eval(&w, script, "");
}

static void a_repeat_whose_time_is_over_has_the_result_of_the_one_that_is_said(void **state)
{
    (void)state;
    const char *first = outbox("channel foo text hello id s1");
    const char *second = outbox("channel foo text hello id s1");
    const char *third = outbox("channel foo text hello id s1");
    world_take(&w);
    overdue(second);
    world_take(&w);
    assert_string_equal(result("s1", "status"), "");
    assert_string_equal(world_ask(&w, "XLEN shoal:{t}:outbox"), "2");
    assert_string_equal(world_claim(&w, &n1, first), "claimed");
    const char *late = outbox("channel foo text hello id s1 ttl_ms 0");
    world_take(&w);
    assert_string_equal(result("s1", "status"), "");
    world_done(&w, &n1, first, SEND_SENT);
    overdue(third);
    overdue(late);
    world_take(&w);
    assert_string_equal(result("s1", "status"), "sent");
    assert_string_equal(world_ask(&w, "XLEN shoal:{t}:outbox"), "0");
    assert_string_equal(world_ask(&w, "ZCARD shoal:{t}:sends"), "0");
}

static void one_send_of_a_channel_is_claimed_at_a_time(void **state)
{
    (void)state;
    set("channel_message_ms,off");
    world_assign(&w, &me, "", "", "join", "bar");
    const char *first = outbox("channel foo text 1");
    const char *second = outbox("channel foo text 2");
    const char *other = outbox("channel bar text 3");
    assert_string_equal(world_claim(&w, &n1, first), "claimed");
    assert_string_equal(world_claim(&w, &n1, second), "busy");
    assert_string_equal(world_claim(&w, &n1, other), "claimed");
    world_unclaim(&w, &n1, first);
    assert_string_equal(world_claim(&w, &n1, second), "claimed");
    world_done(&w, &n1, second, SEND_SENT);
    world_done(&w, &n1, other, SEND_REJECTED);
    assert_string_equal(world_claim(&w, &n1, first), "claimed");
    world_done(&w, &n1, first, SEND_SENT);
}

static void a_claim_of_a_lost_node_becomes_unknown(void **state)
{
    (void)state;
    const char *entry = outbox("channel #FOO text hello id s1");
    const char *next = outbox("channel foo text more id s2");
    struct world_node n2;
    world_node(&n2, "n2", 1003, 5, "bot");
    world_register(&w, &n2, 0);
    assert_string_equal(world_claim(&w, &n1, entry), "claimed");
    world_end_lease(&w, &n1);
    assert_string_equal(world_expire(&w, &me, "n1", 1002), "expired");

    assert_string_equal(result("s1", "status"), "unknown");
    assert_string_equal(result("s1", "reason"), "node_lost");
    assert_string_equal(world_done(&w, &n1, entry, SEND_SENT), "LOST");
    set("channel_message_ms,off");
    assert_string_equal(world_claim(&w, &n2, next), "claimed"); /* the channel is free again */
    world_done(&w, &n2, next, SEND_SENT);
}

static void a_claim_taken_over_with_its_node_becomes_unknown(void **state)
{
    (void)state;
    const char *entry = outbox("channel foo text hello id s1");
    assert_string_equal(world_claim(&w, &n1, entry), "claimed");
    world_node(&n1, "n1", 1003, 5, "bot");
    assert_string_equal(world_register(&w, &n1, 1002), "current");
    assert_string_equal(result("s1", "status"), "unknown");
}

static void all_claims_of_a_node_taken_over_become_unknown_however_many(void **state)
{
    char names[2048] = "";
    char fields[64];
    size_t len = 0;

    (void)state;
    set("channels_per_shard,none");
    set("room_limit,off");
    set("message_limit,off");
    set("message_mod_limit,off");
    for (unsigned i = 0; i < 250; i++) {
        len += (size_t)snprintf(names + len, sizeof(names) - len, "%sc%u", i > 0 ? "," : "", i);
    }
    world_assign(&w, &me, "", "", "join", names);
    for (unsigned i = 0; i < 250; i++) {
        snprintf(fields, sizeof(fields), "channel c%u text hello id s", i);
        assert_string_equal(world_claim(&w, &n1, outbox(fields)), "claimed");
    }
    world_node(&n1, "n1", 1003, 5, "bot");
    assert_string_equal(world_register(&w, &n1, 1002), "current");
    for (unsigned i = 0; i < 250; i++) {
        assert_string_equal(world_ask(&w, "HGET shoal:{t}:result:c%u:s reason", i), "node_lost");
    }
    assert_string_equal(world_ask(&w, "HLEN shoal:{t}:node:n1:claims"), "0");
    assert_string_equal(world_ask(&w, "HLEN shoal:{t}:claims"), "0");
}

static void a_claim_whose_entry_was_trimmed_still_ends(void **state)
{
    (void)state;
    const char *entry = outbox("channel foo text hello id s1");
    assert_string_equal(world_claim(&w, &n1, entry), "claimed");
    world_ask(&w, "XTRIM shoal:{t}:outbox MAXLEN 0");
    world_done(&w, &n1, entry, SEND_SENT);
    assert_string_equal(result("s1", "status"), "sent");
    assert_string_equal(world_ask(&w, "HLEN shoal:{t}:claims"), "0");
}

static void a_claim_nobody_finishes_is_given_up(void **state)
{
    (void)state;
    const char *entry = outbox("channel foo text hello id s1");
    assert_string_equal(world_claim(&w, &n1, entry), "claimed");
    world_eval(&w,
               "local m = redis.call('ZRANGE', KEYS[1] .. ':sends', 0, 0)[1] "
               "redis.call('ZADD', KEYS[1] .. ':sends', 1000, m) return ''",
               "");
    assert_string_equal(world_take(&w), "done");
    assert_string_equal(result("s1", "status"), "unknown");
    assert_string_equal(result("s1", "reason"), "no_word");
    assert_string_equal(world_ask(&w, "HLEN shoal:{t}:node:n1:claims"), "0");
    assert_string_equal(world_ask(&w, "HLEN shoal:{t}:claims"), "0");
}

static void a_send_too_old_expires(void **state)
{
    (void)state;
    const char *entry =
        world_ask(&w, "XADD shoal:{t}:outbox 1000-1 channel foo text hello id s1 ttl_ms 50");
    assert_string_equal(entry, "1000-1");
    assert_string_equal(world_take(&w), "done");
    assert_string_equal(result("s1", "status"), "expired");
    outbox("channel foo text fresh");
    assert_string_equal(world_take(&w), "done");
    assert_string_equal(world_ask(&w, "XLEN shoal:{t}:outbox"), "1");
}

static void a_send_that_can_never_be_said_is_rejected_with_the_reason(void **state)
{
    (void)state;
    static const struct {
        const char *fields;
        const char *reason;
        const char *channel;
    } cases[] = {
        {"text x id s", "bad_request", ""},
        {"channel foo id s", "bad_request", "foo"},
        {"channel a.b text x id s", "bad_request", ""},
        {"channel foo text x\ry id s", "bad_request", "foo"},
        {"channel foo text x ttl_ms soon id s", "bad_request", "foo"},
        {"channel foo text x ttl_ms 999999999999 id s", "bad_request", "foo"},
        {"channel foo text caf\xe9 id s", "bad_request", "foo"},
        {"channel foo text x user carol id s", "unknown_user", "foo"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *channel = cases[i].channel;
        world_ask(&w, "DEL shoal:{t}:result:%s:s", channel);
        assert_string_equal(world_claim(&w, &n1, outbox(cases[i].fields)), "done");
        assert_string_equal(result_in(channel, "s", "status"), "rejected");
        assert_string_equal(result_in(channel, "s", "reason"), cases[i].reason);
    }
    assert_string_equal(world_add_shard(&w, &me, "reads-only", "anonymous", "quiet"), "added");
    assert_string_equal(world_claim(&w, &n1, outbox("channel quiet text x id t")), "done");
    assert_string_equal(result_in("quiet", "t", "reason"), "anonymous");
}

static void a_send_may_name_the_user_that_sends_to_its_channel(void **state)
{
    (void)state;
    struct world_node n2;
    world_node(&n2, "n2", 1002, 5, "carol");
    world_register(&w, &n2, 0);
    assert_string_equal(world_add_shard(&w, &me, "of-carol", "carol", "hers"), "added");
    assert_string_equal(world_claim(&w, &n2, outbox("channel hers text x user carol")), "claimed");
    assert_string_equal(w.claim_shard, "of-carol");
    assert_string_equal(world_claim(&w, &n2, outbox("channel hers text x user bot id t")), "done");
    assert_string_equal(result_in("hers", "t", "reason"), "unknown_user");
}

/* The first byte is what is looked at, the rest of it and the next character what follows. */
static void a_text_is_utf8_or_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool valid;
    } cases[] = {
        {"caf\xc3\xa9", true},
        {"\xe2\x82\xac", true},
        {"\xed\x9f\xbf", true},
        {"\xee\x80\x80", true},
        {"\xf0\x9f\x98\x80x", true},
        {"\xf4\x8f\xbf\xbf", true},
        {"\xc3", false},
        {"\xc3x", false},
        {"\x80", false},
        {"\xc0\x80", false},
        {"\xe0\x80\x80", false},
        {"\xed\xa0\x80", false},
        {"\xf0\x8f\xbf\xbf", false},
        {"\xf4\x90\x80\x80", false},
        {"\xf5\x80\x80\x80", false},
        {"\xc3\xa9\xe2\x82", false},
        {"\xff", false},
    };
    set("channel_message_ms,off");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char fields[64];
        snprintf(fields, sizeof(fields), "channel foo text %s", cases[i].text);
        const char *entry = outbox(fields);
        assert_string_equal(world_claim(&w, &n1, entry), cases[i].valid ? "claimed" : "done");
        if (cases[i].valid) {
            world_done(&w, &n1, entry, SEND_SENT);
        } else {
            assert_string_equal(result(entry, "text"), "text: is not UTF-8.");
        }
    }
}

static void an_id_that_cannot_be_used_is_refused_under_the_entry(void **state)
{
    (void)state;
    char fields[256];
    for (int i = 0; i < 2; i++) {
        snprintf(fields, sizeof(fields), "channel foo text x id %0*d%s", i == 0 ? 129 : 1, 1,
                 i == 0 ? "" : "\xff");
        const char *entry = outbox(fields);
        assert_string_equal(world_claim(&w, &n1, entry), "done");
        assert_string_equal(result(entry, "reason"), "bad_request");
        assert_string_equal(result(entry, "text"),
                            "id: has at most 128 bytes, in UTF-8; this one has not.");
    }
}

static void a_send_is_claimed_where_its_sender_is(void **state)
{
    (void)state;
    struct world_node n2;
    world_node(&n2, "n2", 1003, 20, "bot");
    world_register(&w, &n2, 0);
    const char *entry = outbox("channel foo text hello");
    assert_string_equal(world_claim(&w, &n2, entry), "elsewhere");
    world_add_shard(&w, &me, "initial-shard-1", "bot", "");
    world_configure(&w, &me, "", "", "senders", "main-shard,initial-shard-1");
    assert_string_equal(world_claim(&w, &n1, entry), "elsewhere");
    assert_string_equal(world_claim(&w, &n2, entry), "claimed");
    assert_string_equal(w.claim_shard, "initial-shard-1");
    world_unclaim(&w, &n2, entry);
    /* What nobody joined goes to the default sender. */
    assert_string_equal(world_claim(&w, &n1, outbox("channel elsewhere text hello")), "claimed");
    assert_string_equal(w.claim_shard, "main-shard");
}

static void json_is_utf8_whatever_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *host;
        const char *shown;
    } cases[] = {
        {"h", "\"host\":\"h\""},
        {"caf\xc3\xa9", "\"host\":\"caf\xc3\xa9\""},
        {"\xe9", "\"host\":\"\xef\xbf\xbd\""},
        {"\xe2\x82x\xff\xe2\x82\xac",
         "\"host\":\"\xef\xbf\xbd\xef\xbf\xbdx\xef\xbf\xbd\xe2\x82\xac\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t link = n1.link_id + i;
        world_ask(&w,
                  "FCALL shoal1_register 1 shoal:{t} n1 new%zu %zu run %s 1 v 10 bot %zu active", i,
                  link + 1, cases[i].host, link);
        const char *log = world_eval(
            &w, "return redis.call('XREVRANGE', KEYS[1] .. ':log', '+', '-')[1][2][2]", "");
        if (strstr(log, cases[i].shown) == NULL) {
            fail_msg("%s lacks %s", log, cases[i].shown);
        }
    }
}

static void a_send_heard_on_the_topic_becomes_an_entry(void **state)
{
    (void)state;
    struct world_node stranger;
    assert_string_equal(world_accept(&w, &n1, "foo", "s1", "hello there"), "accepted");
    char entry[64];
    snprintf(entry, sizeof(entry), "%.60s", w.rest);
    assert_string_equal(world_claim(&w, &n1, entry), "claimed");
    assert_string_equal(w.claim_text, "hello there");
    world_done(&w, &n1, entry, SEND_SENT);
    assert_string_equal(result("s1", "status"), "sent");
    world_node(&stranger, "n1", 7, 1, "bot");
    assert_string_equal(world_accept(&w, &stranger, "foo", "s2", "x"), "LOST");
    assert_string_equal(world_claim(&w, &stranger, entry), "LOST");
    const char *said = world_ask(&w, "FCALL shoal1_send_done 1 shoal:{t} n1 %s %s eaten why text",
                                 n1.incarnation, entry);
    assert_non_null(strstr(said, "sent|rejected|expired|unknown"));
}

/* Bounds ------------------------------------------------------------------------------------------- */

static void too_many_sends_of_a_channel_are_refused_by_the_name_of_the_setting(void **state)
{
    (void)state;
    set("channel_send_queue,2");
    outbox("channel foo text 1");
    outbox("channel foo text 2");
    outbox("channel foo text 3 id third by me");
    outbox("channel bar text 4");
    world_take(&w);
    assert_string_equal(result("third", "status"), "rejected");
    assert_string_equal(result("third", "reason"), "queue_full");
    assert_string_equal(result("third", "by"), "me");
    assert_non_null(strstr(result("third", "text"), "channel_send_queue is 2"));
    assert_in_range(atoi(world_ask(&w, "TTL shoal:{t}:result:foo:third")), 3500, 3600);
    assert_string_equal(world_ask(&w, "XLEN shoal:{t}:outbox"), "3");
}

static void channels_nobody_joined_leave_half_of_the_queue_to_the_others(void **state)
{
    (void)state;
    set("send_queue,4");
    outbox("channel a text 1");
    outbox("channel b text 2");
    outbox("channel c text 3 id third");
    outbox("channel foo text 4");
    outbox("channel foo text 5");
    outbox("channel foo text 6 id sixth");
    world_take(&w);
    assert_non_null(strstr(result_in("c", "third", "text"), "send_queue (4)"));
    assert_non_null(strstr(result("sixth", "text"), "send_queue is 4"));
    assert_string_equal(world_ask(&w, "XLEN shoal:{t}:outbox"), "4");
}

static void a_send_whose_slot_comes_after_its_ttl_is_expired_at_once(void **state)
{
    (void)state;
    const char *first = outbox("channel foo text 1");
    assert_string_equal(world_claim(&w, &n1, first), "claimed");
    world_done(&w, &n1, first, SEND_SENT);
    const char *second = outbox("channel foo text 2 id s2 ttl_ms 100");
    assert_string_equal(world_claim(&w, &n1, second), "done");
    assert_string_equal(result("s2", "status"), "expired");
}

static void an_entry_of_any_size_is_refused_and_holds_up_no_other(void **state)
{
    (void)state;
    world_eval(&w,
               "for i, f in ipairs({'text', 'id', 'channel', 'by', 'unknown'}) do "
               "local e = {id = 'big' .. i, channel = 'foo', text = 'x'} "
               "e[f] = string.rep('x', 4000000) local l = {} "
               "for k, v in pairs(e) do l[#l + 1] = k l[#l + 1] = v end "
               "redis.call('XADD', KEYS[1] .. ':outbox', '*', unpack(l)) end return ''",
               "");
    const char *next = outbox("channel foo text hello id s1");
    world_take(&w);
    assert_string_equal(result("big1", "reason"), "bad_request");
    assert_string_equal(result("big5", "status"), "rejected");
    assert_string_equal(world_ask(&w, "XLEN shoal:{t}:outbox"), "1");
    assert_string_equal(world_claim(&w, &n1, next), "claimed");
    world_done(&w, &n1, next, SEND_SENT);
}

static void a_send_that_is_entered_again_in_doubt_is_entered_once(void **state)
{
    (void)state;
    assert_string_equal(world_accept(&w, &n1, "foo", "", "hello"), "accepted");
    w.heard--;
    assert_string_equal(world_accept(&w, &n1, "foo", "", "hello"), "again");
    assert_string_equal(world_ask(&w, "XLEN shoal:{t}:outbox"), "1");
    w.heard_age_ms = 60000; /* heard so long ago that its time is over */
    assert_string_equal(world_accept(&w, &n1, "foo", "late", "hello"), "refused");
    assert_string_equal(result("late", "status"), "expired");
}

#define SENDING(name) cmocka_unit_test_setup_teardown(name, begin_sending, finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SENDING(a_send_gets_one_result),
        SENDING(the_same_send_id_is_said_once),
        SENDING(of_sends_with_the_same_id_any_may_come_first),
        SENDING(a_repeat_whose_time_is_over_has_the_result_of_the_one_that_is_said),
        SENDING(one_send_of_a_channel_is_claimed_at_a_time),
        SENDING(a_claim_of_a_lost_node_becomes_unknown),
        SENDING(a_claim_taken_over_with_its_node_becomes_unknown),
        SENDING(all_claims_of_a_node_taken_over_become_unknown_however_many),
        SENDING(a_claim_whose_entry_was_trimmed_still_ends),
        SENDING(a_claim_nobody_finishes_is_given_up),
        SENDING(a_send_too_old_expires),
        SENDING(a_send_that_can_never_be_said_is_rejected_with_the_reason),
        SENDING(a_send_may_name_the_user_that_sends_to_its_channel),
        SENDING(a_text_is_utf8_or_refused),
        SENDING(an_id_that_cannot_be_used_is_refused_under_the_entry),
        SENDING(json_is_utf8_whatever_is_told),
        SENDING(a_send_is_claimed_where_its_sender_is),
        SENDING(a_send_heard_on_the_topic_becomes_an_entry),
        SENDING(too_many_sends_of_a_channel_are_refused_by_the_name_of_the_setting),
        SENDING(channels_nobody_joined_leave_half_of_the_queue_to_the_others),
        SENDING(a_send_whose_slot_comes_after_its_ttl_is_expired_at_once),
        SENDING(an_entry_of_any_size_is_refused_and_holds_up_no_other),
        SENDING(a_send_that_is_entered_again_in_doubt_is_entered_once),
    };
    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
