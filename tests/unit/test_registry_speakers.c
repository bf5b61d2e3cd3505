/* Registry: a cluster that anonymous reads, and bot speaks for, against a real Redis. */
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

/* foo is read on reader-1, which is on n1; n2 has the token of bot. */
static int begin_reading(void **state)
{
    begin(state);
    world_node(&n2, "n2", 1002, 10, "bot");
    world_register(&w, &n2, 0);
    world_configure(&w, &me, "", "", "setup_done", "");
    world_add_shard(&w, &me, "reader-1", "anonymous", "foo");
    set("user,anonymous");
    return 0;
}

static void speakers(void)
{
    assert_string_equal(world_configure(&w, &me, "", "", "speakers", ""), "done");
}

/* The same with a speaker shard, and the pictures of both nodes. */
static int begin_speaking(void **state)
{
    begin_reading(state);
    set("speaker,bot");
    speakers();
    world_renew(&w, &n1, "");
    world_renew(&w, &n2, "");
    return 0;
}

static const char *of_shard(const char *shard, const char *field)
{
    return world_ask(&w, "HGET shoal:{t}:shard:%s %s", shard, field);
}

static bool is_there(const char *shard)
{
    return world_ask(&w, "ZSCORE shoal:{t}:load %s", shard)[0] != '\0';
}

static unsigned events(const char *text)
{
    const char *all =
        world_eval(&w,
                   "local n = 0 for _, entry in ipairs(redis.call('XRANGE', KEYS[1] .. "
                   "':log', '-', '+')) do if string.find(entry[2][2], ARGV[1], 1, true) "
                   "then n = n + 1 end end return tostring(n)",
                   text);
    return (unsigned)strtoul(all, NULL, 10);
}

static const char *result(const char *channel, const char *id, const char *field)
{
    return world_ask(&w, "HGET shoal:{t}:result:%s:%s %s", channel, id, field);
}

/* Shards ------------------------------------------------------------------------------------------- */

static void its_shard_holds_no_channels_and_is_started_on_a_node_with_its_token(void **state)
{
    (void)state;
    assert_string_equal(of_shard("speaker-shard-1", "user"), "bot");
    assert_string_equal(of_shard("speaker-shard-1", "run"), "started");
    assert_string_equal(of_shard("speaker-shard-1", "node"), "n2");
    assert_string_equal(world_ask(&w, "EXISTS shoal:{t}:open:bot"), "0");
    assert_string_equal(world_ask(&w, "ZSCORE shoal:{t}:idle speaker-shard-1"), "");
    speakers();
    assert_string_equal(world_ask(&w, "ZCARD shoal:{t}:load"), "2");
    assert_int_equal(events("shard.added"), 2);
}

static void nothing_is_opened_before_the_cluster_is_set_up_and_for_nobody(void **state)
{
    (void)state;
    set("speaker,anonymous");
    speakers();
    world_ask(&w, "HDEL shoal:{t}:config setup");
    set("speaker,bot");
    speakers();
    assert_string_equal(world_ask(&w, "ZCARD shoal:{t}:load"), "1");
}

static void a_stopped_cluster_opens_it_and_does_not_start_it(void **state)
{
    (void)state;
    world_configure(&w, &me, "", "", "stop", "");
    set("speaker,bot");
    speakers();
    assert_string_equal(of_shard("speaker-shard-1", "run"), "new");
    world_configure(&w, &me, "", "", "start", "");
}

static void it_takes_no_channels(void **state)
{
    (void)state;
    world_assign_to(&w, &me, "", "", "join", "=speaker-shard-1", "bar");
    assert_non_null(strstr(w.rest, "Shard speaker-shard-1 takes no channels: it only speaks."));
    world_assign_to(&w, &me, "", "", "join", "@bot", "bar");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:channels bar"), "extended-shard-1");
    assert_string_equal(world_add_shard(&w, &me, "speaker-shard-2", "bot", ""), "refused");
    assert_non_null(strstr(w.rest, "speaker"));
}

static void shards_of_it_are_on_different_nodes_where_there_are_as_many(void **state)
{
    (void)state;
    struct world_node n3;
    world_node(&n3, "n3", 1003, 2, "bot");
    world_register(&w, &n3, 0);
    set("speaker_shard_count,3");
    speakers();
    assert_string_equal(of_shard("speaker-shard-1", "node"), "n2");
    assert_string_equal(of_shard("speaker-shard-2", "node"), "n3");
    assert_string_equal(of_shard("speaker-shard-3", "node"), "n2");
}

static void those_that_are_too_many_or_of_another_account_are_closed(void **state)
{
    (void)state;
    struct world_node n3;
    world_node(&n3, "n3", 1003, 10, "other");
    world_register(&w, &n3, 0);
    set("speaker_shard_count,3");
    speakers();
    assert_true(is_there("speaker-shard-3"));
    set("speaker_shard_count,2");
    speakers();
    assert_true(is_there("speaker-shard-2") && !is_there("speaker-shard-3"));
    world_configure(&w, &me, "", "", "senders", "reader-1,speaker-shard-2");
    set("speaker,other");
    speakers();
    assert_string_equal(of_shard("speaker-shard-1", "user"), "other");
    assert_string_equal(of_shard("speaker-shard-2", "user"), "other");
    world_configure(&w, &me, "", "", "unset", "speaker");
    speakers();
    assert_string_equal(world_ask(&w, "ZCARD shoal:{t}:load"), "1");
    assert_string_equal(of_shard("reader-1", "sender"), "reader-1");
    assert_string_equal(world_ask(&w, "HGETALL shoal:{t}:senders"), "");
    assert_string_equal(world_ask(&w, "HLEN shoal:{t}:senders"), "1"); /* of anonymous */
}

static void many_that_send_for_many_are_closed_a_portion_a_call(void **state)
{
    (void)state;
    char pairs[2000];
    set("max_shard_count,none");
    set("speaker_shard_count,2");
    speakers();
    for (unsigned i = 0; i < 150; i++) {
        char id[32];
        snprintf(id, sizeof(id), "many-%u", i);
        world_add_shard(&w, &me, id, "anonymous", "");
        snprintf(pairs, sizeof(pairs), "%s,speaker-shard-%u", id, 1 + i % 2);
        world_configure(&w, &me, "", "", "senders", pairs);
    }
    world_configure(&w, &me, "", "", "unset", "speaker");
    unsigned calls = 0;
    while (is_there("speaker-shard-1") || is_there("speaker-shard-2")) {
        speakers();
        calls++;
    }
    assert_in_range(calls, 2, 4);
}

static void why_it_has_no_shard_is_told_once(void **state)
{
    (void)state;
    set("lease_ms,300");
    set("speaker,nobodys");
    speakers();
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:clock speaker_error"),
                        "No node has a token for user nobodys.");
    assert_int_equal(events("token for user nobodys"), 0); /* one may have yet to read it */
    test_loop_run_for(&w.probe.t, 650);
    for (int i = 0; i < 3; i++) {
        speakers();
    }
    assert_int_equal(events("token for user nobodys"), 1);
    set("speaker,bot");
    set("max_shard_count,1");
    speakers();
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:clock speaker_error"),
                        "All shards are full, and the shard count limit has been reached. "
                        "(max_shard_count is 1)");
    set("max_shard_count,2");
    speakers();
    assert_true(is_there("speaker-shard-1"));
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:clock speaker_error"), "");
    world_end_lease(&w, &n1);
    set("lease_ms,3000");
    world_register(&w, &n1, n1.link_id);
    world_register(&w, &n2, n2.link_id);
}

static void an_account_that_is_to_say_nothing_is_no_speaker(void **state)
{
    (void)state;
    set("speaker,bot");
    speakers();
    assert_true(is_there("speaker-shard-1"));
    world_ask(&w, "HSET shoal:{t}:account:bot says no");
    speakers();
    assert_false(is_there("speaker-shard-1"));
    assert_non_null(
        strstr(world_ask(&w, "HGET shoal:{t}:clock speaker_error"), "Nothing is said as"));
    world_ask(&w, "DEL shoal:{t}:account:bot");
}

/* Sends -------------------------------------------------------------------------------------------- */

static void it_says_what_goes_to_channels_of_others_and_of_nobody(void **state)
{
    static const char *const channels[] = {"foo", "stranger"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(channels); i++) {
        char fields[64];
        snprintf(fields, sizeof(fields), "channel %s text x id s", channels[i]);
        const char *entry = outbox(fields);
        assert_string_equal(world_claim(&w, &n1, entry), "elsewhere");
        assert_string_equal(world_claim(&w, &n2, entry), "claimed");
        assert_string_equal(w.claim_shard, "speaker-shard-1");
        assert_string_equal(world_done(&w, &n2, entry, SEND_SENT), "done");
        assert_string_equal(result(channels[i], "s", "status"), "sent");
    }
    assert_string_equal(world_ask(&w, "LLEN shoal:{t}:budget:bot:message_mod"), "2");
    assert_string_equal(world_ask(&w, "EXISTS shoal:{t}:budget:anonymous:message_mod"), "0");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:senders bot"), "speaker-shard-1");
}

static void sends_wait_while_it_has_no_shard(void **state)
{
    (void)state;
    set("speaker,bot");
    const char *joined = outbox("channel foo text x id s");
    const char *unjoined = outbox("channel stranger text x id s");
    world_take(&w);
    assert_string_equal(world_claim(&w, &n1, joined), "elsewhere");
    assert_string_equal(world_claim(&w, &n2, unjoined), "elsewhere");
    assert_string_equal(result("foo", "s", "status"), "");
    speakers();
    assert_string_equal(world_claim(&w, &n2, joined), "claimed");
    assert_string_equal(world_claim(&w, &n2, unjoined), "claimed");
    world_done(&w, &n2, joined, SEND_SENT);
    world_done(&w, &n2, unjoined, SEND_SENT);
}

static void a_send_is_refused_by_who_would_say_it(void **state)
{
    (void)state;
    outbox("channel foo text x id a user anonymous");
    outbox("channel foo text x id b user bot");
    world_take(&w);
    assert_string_equal(result("foo", "a", "reason"), "unknown_user");
    assert_string_equal(result("foo", "b", "status"), "");
    world_configure(&w, &me, "", "", "unset", "speaker");
    outbox("channel foo text x id c");
    world_take(&w);
    assert_string_equal(result("foo", "c", "reason"), "anonymous");
    speakers();
}

static void nobody_else_speaks_for_shards_of_another_user(void **state)
{
    (void)state;
    world_add_shard(&w, &me, "bots", "bot", "");
    world_configure(&w, &me, "", "", "unset", "speaker");
    world_configure(&w, &me, "", "", "senders", "reader-1,bots");
    assert_string_equal(of_shard("reader-1", "sender"), "reader-1");
    world_ask(&w, "HSET shoal:{t}:shard:reader-1 sender bots");
    outbox("channel foo text x id a");
    world_take(&w);
    assert_string_equal(result("foo", "a", "reason"),
                        "anonymous"); /* though that is written there */
    world_ask(&w, "HSET shoal:{t}:shard:reader-1 sender reader-1");
    set("speaker,bot");
    world_configure(&w, &me, "", "", "senders", "reader-1,bots");
    assert_string_equal(of_shard("reader-1", "sender"), "bots");
    assert_string_equal(world_configure(&w, &me, "", "", "senders", "bots,reader-1"), "done");
    assert_string_equal(of_shard("bots", "sender"), "bots");
}

static void a_new_shard_is_sent_for_by_the_speaker_from_the_beginning(void **state)
{
    (void)state;
    world_add_shard(&w, &me, "reader-2", "anonymous", "bar");
    assert_string_equal(of_shard("reader-2", "sender"), "speaker-shard-1");
    assert_string_equal(world_ask(&w, "ZSCORE shoal:{t}:node:n1:serves reader-2"), "");
    assert_string_not_equal(world_ask(&w, "ZSCORE shoal:{t}:node:n2:serves reader-2"), "");
}

static void when_its_node_dies_another_with_its_token_goes_on(void **state)
{
    (void)state;
    struct world_node n3;
    world_node(&n3, "n3", 1003, 10, "bot");
    world_register(&w, &n3, 0);
    world_add_shard(&w, &me, "reader-2", "anonymous", "bar");
    world_end_lease(&w, &n2);
    assert_string_equal(world_expire(&w, &me, "n2", n2.link_id), "expired");
    assert_string_equal(of_shard("speaker-shard-1", "node"), "n3");
    const char *entry = outbox("channel bar text x");
    assert_string_equal(world_claim(&w, &n3, entry), "claimed");
    world_done(&w, &n3, entry, SEND_SENT);
}

/* Damage ------------------------------------------------------------------------------------------- */

static void what_is_damaged_of_it_is_put_right(void **state)
{
    static const char *const damages[] = {
        "ZADD shoal:{t}:open:bot 0 speaker-shard-1",
        "SADD shoal:{t}:shard:speaker-shard-1:channels stray",
        "HSET shoal:{t}:channels foo speaker-shard-1",
        "HDEL shoal:{t}:shard:speaker-shard-1 user",
        "HSET shoal:{t}:shard:reader-1 sender nosuch",
        "HSET shoal:{t}:shard:speaker-shard-1 sender nosuch",
        "HDEL shoal:{t}:senders bot",
        "ZREM shoal:{t}:load speaker-shard-1",
        "HSET shoal:{t}:shard:speaker-shard-1 node nosuch",
    };

    for (size_t i = 0; i < ARRAY_LEN(damages); i++) {
        begin_speaking(state);
        print_message("%s\n", damages[i]);
        world_ask(&w, "%s", damages[i]);
        assert_string_not_equal(world_broken(&w, 100, 10), "");
        assert_int_not_equal(world_compare(&w, &me), 0);
        speakers();
        world_compare(&w, &me);
        assert_string_equal(world_broken(&w, 100, 10), "");
        assert_int_equal(world_compare(&w, &me), 0);
        assert_true(is_there("speaker-shard-1"));
        assert_string_equal(world_ask(&w, "HEXISTS shoal:{t}:channels foo"), "1");
        finish(state);
    }
}

#define READING(name)  cmocka_unit_test_setup_teardown(name, begin_reading, finish)
#define SPEAKING(name) cmocka_unit_test_setup_teardown(name, begin_speaking, finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPEAKING(its_shard_holds_no_channels_and_is_started_on_a_node_with_its_token),
        READING(nothing_is_opened_before_the_cluster_is_set_up_and_for_nobody),
        READING(a_stopped_cluster_opens_it_and_does_not_start_it),
        SPEAKING(it_takes_no_channels),
        SPEAKING(shards_of_it_are_on_different_nodes_where_there_are_as_many),
        SPEAKING(those_that_are_too_many_or_of_another_account_are_closed),
        SPEAKING(many_that_send_for_many_are_closed_a_portion_a_call),
        READING(why_it_has_no_shard_is_told_once),
        READING(an_account_that_is_to_say_nothing_is_no_speaker),
        SPEAKING(it_says_what_goes_to_channels_of_others_and_of_nobody),
        READING(sends_wait_while_it_has_no_shard),
        SPEAKING(a_send_is_refused_by_who_would_say_it),
        SPEAKING(nobody_else_speaks_for_shards_of_another_user),
        SPEAKING(a_new_shard_is_sent_for_by_the_speaker_from_the_beginning),
        SPEAKING(when_its_node_dies_another_with_its_token_goes_on),
        cmocka_unit_test(what_is_damaged_of_it_is_put_right),
    };
    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
