/* Registry: the two streams of requests, what is read of them, and the one reply to each, against a real Redis. */
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

/* An entry in a stream, as the steps name it. */
static const char *entry_in(const char *stream, const char *op, const char *id)
{
    static char entries[8][64];
    static unsigned next;
    char *entry = entries[next++ % ARRAY_LEN(entries)];
    snprintf(entry, sizeof(entries[0]), "%s%s", strcmp(stream, "admin") == 0 ? "admin:" : "",
             world_ask(&w, "XADD shoal:{t}:%s * id %s op %s", stream, id, op));
    return entry;
}

static const char *request(const char *op, const char *id)
{
    return entry_in("requests", op, id);
}

static const char *shard_of(const char *channel)
{
    return world_ask(&w, "HGET shoal:{t}:channels %s", channel);
}

/* An entry with one field of so many bytes, which the server makes. */
static void add_large(const char *id, unsigned bytes)
{
    char script[300];
    snprintf(script, sizeof(script),
             "return redis.call('XADD', 'shoal:{t}:requests', '*', 'id', '%s', 'op', 'join', "
             "'channels', string.rep('x', %u))",
             id, bytes);
    world_eval(&w, script, "");
}

/* What one read gave: "ENTRY=OP " of each. */
struct seen {
    char text[2000];
    struct registry_place last;
    size_t n;
    bool answered;
};

static void on_read(void *ctx, const struct registry_requests *got, const struct err *err)
{
    struct seen *s = ctx;
    s->answered = true;
    assert_null(err);
    s->n = got->n;
    s->last = got->last;
    for (size_t i = 0; i < got->n && i < 20; i++) {
        struct slice op = registry_field(&got->entries[i], "op");
        size_t len = strlen(s->text);
        snprintf(s->text + len, sizeof(s->text) - len, "%.*s=%.*s ", (int)got->entries[i].id.len,
                 got->entries[i].id.ptr, (int)op.len, op.ptr ? op.ptr : "");
    }
}

static struct seen read_after(const struct registry_place *after)
{
    static const struct registry_place beginning = {REGISTRY_FROM_BEGINNING,
                                                    REGISTRY_FROM_BEGINNING};
    struct seen s = {0};
    assert_int_equal(registry_read_requests(w.r, &me, after ? after : &beginning, on_read, &s), 0);
    wait_until(&w.probe.t, s.answered);
    return s;
}

/* Ids --------------------------------------------------------------------------------------------- */

static void a_request_is_answered_once(void **state)
{
    (void)state;
    const char *first = request("join", "r1");
    const char *second = request("join", "r1");

    assert_string_equal(world_assign(&w, &me, first, "r1", "join", "foo"), "done");
    char reply[512];
    snprintf(reply, sizeof(reply), "%.500s", w.rest);
    assert_non_null(strstr(reply, "\"id\":\"r1\""));
    assert_string_equal(world_assign(&w, &me, first, "r1", "join", "foo"), "gone");
    assert_string_equal(world_assign(&w, &me, second, "r1", "join", "foo"), "again");

    assert_string_equal(w.rest, reply);
    assert_string_equal(world_ask(&w, "XLEN shoal:{t}:requests"), "0");
    assert_string_equal(world_ask(&w, "GET shoal:{t}:reply:r1"), reply);
    assert_in_range(atoi(world_ask(&w, "TTL shoal:{t}:reply:r1")), 3500, 3600);
}

static void another_request_under_a_used_id_is_refused_under_its_entry(void **state)
{
    (void)state;
    static const char *const ops[] = {"join", "part"};
    const char *first = request("join", "r1");
    assert_string_equal(world_assign(&w, &me, first, "r1", "join", "foo"), "done");
    char reply[512];
    snprintf(reply, sizeof(reply), "%.500s", w.rest);

    for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
        const char *entry = request(ops[i], "r1");
        const char *word = i == 0 ? world_assign(&w, &me, entry, "r1", "join", "bar")
                                  : world_release(&w, &me, entry, "r1", "part", "foo");
        assert_string_equal(word, "again");
        assert_non_null(strstr(w.rest, "Another request had the id"));
        assert_non_null(strstr(w.rest, "\"given\":\"r1\""));
        assert_non_null(strstr(w.rest, entry));
        assert_string_not_equal(world_ask(&w, "GET shoal:{t}:reply:%s", entry), "");
    }
    assert_string_equal(shard_of("bar"), "");
    assert_string_equal(shard_of("foo"), "extended-shard-1");
    assert_string_equal(world_ask(&w, "GET shoal:{t}:reply:r1"), reply);
    assert_string_equal(world_ask(&w, "XLEN shoal:{t}:requests"), "0");
}

static void requests_without_an_id_do_not_share_a_reply(void **state)
{
    (void)state;
    const char *first = request("join", "x");
    const char *second = request("join", "x");
    assert_string_equal(world_assign(&w, &me, first, "", "join", "foo"), "done");
    assert_string_equal(world_assign(&w, &me, second, "", "join", "bar"), "done");
    assert_non_null(strstr(w.rest, second));
    assert_string_equal(shard_of("bar"), "extended-shard-1");
}

static void an_id_that_cannot_be_used_is_refused_under_the_entry(void **state)
{
    (void)state;
    static const struct {
        const char *id;
        const char *words;
    } cases[] = {{"caf\xe9", "in UTF-8; this one has not"},
                 {"1700000000000-0", "is that of an entry"},
                 {"1-1", "is that of an entry"},
                 {"admin:5-0", "is that of an entry"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *entry = request("join", "x");
        assert_string_equal(world_assign(&w, &me, entry, cases[i].id, "join", "foo"), "again");
        assert_non_null(strstr(w.rest, entry));
        assert_non_null(strstr(w.rest, cases[i].words));
        assert_string_equal(world_ask(&w, "EXISTS shoal:{t}:reply:%s", cases[i].id), "0");
    }
    assert_string_equal(shard_of("foo"), "");
    assert_string_equal(world_ask(&w, "XLEN shoal:{t}:requests"), "0");
}

/* Streams ----------------------------------------------------------------------------------------- */

static void administration_is_refused_among_requests_naming_its_stream(void **state)
{
    (void)state;
    static const char *const ops[] = {"set", "unset", "start", "stop"};
    for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
        const char *entry = request(ops[i], "x");
        assert_string_equal(world_configure(&w, &me, entry, "", ops[i], "lease_ms,300"), "done");
        assert_non_null(strstr(w.rest, "\"ok\":false"));
        assert_non_null(strstr(w.rest, "add it to the stream shoal:{t}:admin."));
    }
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:config lease_ms"), "");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:config stopped"), "");
}

static void administration_has_a_stream_of_its_own_and_the_same_replies(void **state)
{
    (void)state;
    const char *entry = entry_in("admin", "set", "x");
    assert_string_equal(world_configure(&w, &me, entry, "", "set", "lease_ms,5000"), "done");
    assert_non_null(strstr(w.rest, "\"ok\":true"));
    assert_string_not_equal(world_ask(&w, "GET shoal:{t}:reply:%s", entry), "");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:config lease_ms"), "5000");
    assert_string_equal(world_ask(&w, "XLEN shoal:{t}:admin"), "0");
    assert_string_equal(world_configure(&w, &me, entry, "", "set", "lease_ms,300"), "gone");

    entry = entry_in("admin", "join", "x");
    assert_string_equal(world_configure(&w, &me, entry, "", "join", ""), "done");
    assert_non_null(strstr(w.rest, "add it to the stream shoal:{t}:requests."));
}

static void an_unknown_op_is_refused_by_name(void **state)
{
    (void)state;
    const char *entry = request("jion", "r1");
    assert_string_equal(world_configure(&w, &me, entry, "r1", "jion", ""), "done");
    assert_non_null(strstr(w.rest, "Unknown op \\\"jion\\\"; ops are join, part and retry"));
    entry = entry_in("admin", "drop", "r2");
    assert_string_equal(world_configure(&w, &me, entry, "r2", "drop", ""), "done");
    assert_non_null(strstr(w.rest, "ops of this stream are set, unset, start, stop, account_put"));
    /* Nor is what the leader does by itself anybody else's to ask for. */
    entry = entry_in("admin", "setup", "r3");
    assert_string_equal(world_configure(&w, &me, entry, "r3", "setup", ""), "done");
    assert_non_null(strstr(w.rest, "Unknown op"));
}

static void administration_is_read_first(void **state)
{
    (void)state;
    char expected[200];
    const char *one = request("join", "a");
    const char *two = entry_in("admin", "stop", "b");
    snprintf(expected, sizeof(expected), "%s=stop %s=join ", two, one);
    struct seen s = read_after(NULL);
    assert_string_equal(s.text, expected);
    assert_int_equal(read_after(&s.last).n, 0);
}

static void what_is_too_large_has_its_reply_and_the_next_is_read(void **state)
{
    (void)state;
    add_large("big", 10 << 20);
    const char *next = request("join", "next");

    struct seen s = read_after(NULL);
    assert_int_equal(s.n, 1); /* and nothing of it came */
    assert_string_equal(strchr(s.text, '='), "= ");
    const char *reply = world_ask(&w, "GET shoal:{t}:reply:big");
    assert_non_null(strstr(reply, "A request has at most 65536 bytes; this one has 10485"));
    assert_in_range(atoi(world_ask(&w, "TTL shoal:{t}:reply:big")), 200, 300);
    assert_string_equal(world_ask(&w, "XLEN shoal:{t}:requests"), "1");

    s = read_after(&s.last);
    assert_int_equal(s.n, 1);
    assert_memory_equal(s.text, next, strlen(next));
}

static void a_portion_is_bounded_in_entries_and_bytes(void **state)
{
    (void)state;
    for (int i = 0; i < 250; i++) {
        request("join", "x");
    }
    struct seen s = read_after(NULL);
    assert_int_equal(s.n, 200);
    assert_int_equal(read_after(&s.last).n, 50);
    for (int i = 0; i < 30; i++) {
        add_large("x", 60000);
    }
    s = read_after(&s.last);
    s = read_after(&s.last);
    assert_in_range(s.n, 1, 18);
}

static void on_rung(void *ctx, struct wall now, const struct err *err)
{
    assert_null(err);
    assert_in_range(now.ms, wall_now().ms - 1000, wall_now().ms + 1000);
    *(bool *)ctx = true;
}

static void the_bell_rings_for_either_stream_and_brings_nothing_of_the_entry(void **state)
{
    (void)state;
    struct registry_place after = {REGISTRY_FROM_BEGINNING, REGISTRY_FROM_BEGINNING};
    for (int i = 0; i < 3; i++) {
        bool rung = false;
        if (i == 0) {
            entry_in("admin", "stop", "x");
        } else if (i == 1) {
            world_ask(&w, "DEL shoal:{t}:admin");
            add_large("x", 50 << 20);
        } else {
            world_ask(&w, "DEL shoal:{t}:requests"); /* nothing: after its time */
        }
        assert_int_equal(registry_await_requests(w.r, &after, 50, on_rung, &rung), 0);
        wait_until(&w.probe.t, rung);
        assert_string_equal(world_ask(&w, "PING"),
                            "PONG"); /* answers still belong to their questions */
    }
}

/* Replies ----------------------------------------------------------------------------------------- */

static void a_thousand_bad_names_have_a_short_reply(void **state)
{
    (void)state;
    char *names = xcalloc(1000, 70);
    for (int i = 0; i < 1000; i++) {
        sprintf(names + strlen(names), "%snot!a!channel!%050d", i ? "," : "", i);
    }
    const char *entry = request("join", "bad");
    assert_string_equal(world_assign(&w, &me, entry, "bad", "join", names), "done");
    assert_non_null(strstr(w.rest, "\"refused_more\":900"));
    assert_in_range(strlen(w.rest), 1000, 16384);
    assert_in_range(atoi(world_ask(&w, "TTL shoal:{t}:reply:bad")), 200, 300);
    free(names);
}

static void where_many_replies_are_made_they_are_kept_shorter(void **state)
{
    (void)state;
    world_ask(&w, "HSET shoal:{t}:clock replies_bytes 8388608");
    world_eval(&w,
               "return redis.call('HSET', 'shoal:{t}:clock', 'replies_minute', "
               "string.format('%d', math.floor(tonumber(redis.call('TIME')[1]) / 60)))",
               "");
    const char *entry = request("join", "r1");
    assert_string_equal(world_assign(&w, &me, entry, "r1", "join", "foo"), "done");
    assert_in_range(atoi(world_ask(&w, "TTL shoal:{t}:reply:r1")), 1, 60);
}

static void on_done(void *ctx, const struct err *err)
{
    assert_null(err);
    *(bool *)ctx = true;
}

static void the_leader_refuses_many_at_once(void **state)
{
    (void)state;
    struct registry_refusal refusals[3] = {0};
    const char *entries[3];
    for (int i = 0; i < 3; i++) {
        entries[i] = request("join", i == 0 ? "r1" : "x");
        refusals[i].request.entry = slice_of(entries[i]);
        refusals[i].request.id = i == 0 ? SLICE("r1") : i == 1 ? SLICE("5-5") : SLICE("");
        refusals[i].op = SLICE("join");
    }
    bool done = false;
    assert_int_equal(registry_refuse(w.r, &me, SLICE("No room."), refusals, 3, on_done, &done), 0);
    wait_until(&w.probe.t, done);
    for (int i = 0; i < 3; i++) {
        const char *reply = world_ask(&w, "GET shoal:{t}:reply:%s", i == 0 ? "r1" : entries[i]);
        assert_non_null(strstr(reply, "\"error\":\"No room.\""));
    }
    assert_string_equal(world_ask(&w, "XLEN shoal:{t}:requests"), "0");
}

/* Retry ------------------------------------------------------------------------------------------- */

static void twitch_refuses(const char *channel)
{
    char report[300];
    snprintf(report, sizeof(report),
             "{\"channels\":{\"%s\":{\"shard\":\"extended-shard-1\",\"state\":\"failed\","
             "\"reason\":\"msg_banned\"}}}",
             channel);
    world_renew(&w, &n1, report);
}

static void a_retry_tells_the_node_of_channels_that_failed(void **state)
{
    (void)state;
    world_assign(&w, &me, "", "", "join", "foo,bar");
    twitch_refuses("foo");
    const char *entry = request("retry", "r1");
    world_retry(&w, &me, entry, "r1", "foo,bar,baz,no!ne");
    assert_non_null(strstr(w.rest, "\"retried\":[\"foo\"]"));
    assert_non_null(strstr(w.rest, "\"bar\":\"The channel has not failed.\""));
    assert_non_null(strstr(w.rest, "\"baz\":\"The channel is not joined.\""));
    assert_non_null(strstr(w.rest, "\"no!ne\":\"Not a channel name"));

    world_renew(&w, &n1, "");
    assert_string_equal(w.retries, "foo ");
    world_renew(&w, &n1,
                "{\"channels\":{\"foo\":{\"shard\":\"extended-shard-1\",\"state\":\"joined\"}}}");
    assert_string_equal(world_ask(&w, "EXISTS shoal:{t}:shard:extended-shard-1:retry"), "0");
}

static void a_join_of_a_failed_channel_tries_it_again(void **state)
{
    (void)state;
    world_assign(&w, &me, "", "", "join", "foo,bar");
    twitch_refuses("foo");
    world_assign(&w, &me, "", "", "join", "foo,bar");
    assert_non_null(strstr(w.rest, "\"ok\":true"));
    world_renew(&w, &n1, "");
    assert_string_equal(w.retries, "foo ");
}

/* As whom a join wants channels read ----------------------------------------------------------- */

/* Two users whom a node can log in as; the first is that of the cluster, which is set up. */
static void begin_as(void)
{
    world_node(&n1, "n1", 1002, 10, "bot1,bot2");
    assert_string_equal(world_register(&w, &n1, 1001), "current");
    set("user,bot1");
    world_configure(&w, &me, "", "", "setup_done", "");
}

static void join_as(const char *where, const char *channels)
{
    assert_string_equal(world_assign_to(&w, &me, "", "", "join", where, channels), "done");
}

static const char *reader_of(const char *channel)
{
    char shard[64];

    snprintf(shard, sizeof(shard), "%s", shard_of(channel));
    return world_ask(&w, "HGET shoal:{t}:shard:%s user", shard);
}

static void a_join_as_a_user_goes_to_that_user_or_says_why_not(void **state)
{
    (void)state;
    begin_as();
    join_as("", "a");
    join_as("+bot2", "b");
    assert_string_equal(reader_of("b"), "bot2");
    join_as("+bot2", "a,b");
    assert_non_null(strstr(w.rest, "\"b\":\"extended-shard-2\""));
    assert_non_null(strstr(w.rest,
                           "\"a\":\"It is on shard extended-shard-1 already, which reads as "
                           "bot1; part it first.\""));
    assert_string_equal(reader_of("a"), "bot1");
    join_as("@bot2", "a"); /* what a shard manager would do with it now moves nothing */
    assert_non_null(strstr(w.rest, "\"a\":\"extended-shard-1\""));
    join_as("+stranger", "c");
    assert_non_null(strstr(w.rest, "\"c\":\"No node has a token for user stranger.\""));
    join_as("+Bot,2", "c");
    assert_non_null(strstr(w.rest,
                           "\"error\":\"\\\"Bot,2\\\" is no Twitch login in lower case, nor "
                           "anonymous.\""));
    assert_string_equal(shard_of("c"), "");
}

static void a_channel_that_waits_is_read_as_the_user_it_was_asked_for(void **state)
{
    (void)state;
    begin_as();
    world_ask(&w, "HDEL shoal:{t}:config setup");
    join_as("+bot2", "a");
    assert_non_null(strstr(w.rest, "\"waiting\":{\"a\":\"The cluster is being set up.\"}"));
    world_configure(&w, &me, "", "", "setup_done", "");
    set("max_shard_count,1");
    world_add_shard(&w, &me, "one", "bot1", "");
    world_assign(&w, &me, "", "", "waiting", "a");
    join_as("", "a");
    assert_string_equal(shard_of("a"), "");
    assert_string_equal(world_ask(&w, "HGET shoal:{t}:channel:a user"), "bot2");
    set("max_shard_count,2");
    world_assign(&w, &me, "", "", "waiting", "a");
    assert_string_equal(reader_of("a"), "bot2");
    assert_string_equal(world_ask(&w, "HEXISTS shoal:{t}:channel:a user"), "0");
}

static void the_same_join_as_another_user_is_another_request(void **state)
{
    (void)state;
    begin_as();
    for (unsigned i = 0; i < 3; i++) {
        world_assign_to(&w, &me, request("join", "r1"), "r1", "join", i < 2 ? "+bot1" : "+bot2",
                        "a");
        assert_string_equal(w.word, i == 0 ? "done" : "again");
        assert_int_equal(strstr(w.rest, "Another request had the id") != NULL, i == 2);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_request_is_answered_once),
        TEST(another_request_under_a_used_id_is_refused_under_its_entry),
        TEST(requests_without_an_id_do_not_share_a_reply),
        TEST(an_id_that_cannot_be_used_is_refused_under_the_entry),
        TEST(administration_is_refused_among_requests_naming_its_stream),
        TEST(administration_has_a_stream_of_its_own_and_the_same_replies),
        TEST(an_unknown_op_is_refused_by_name),
        TEST(administration_is_read_first),
        TEST(what_is_too_large_has_its_reply_and_the_next_is_read),
        TEST(a_portion_is_bounded_in_entries_and_bytes),
        TEST(the_bell_rings_for_either_stream_and_brings_nothing_of_the_entry),
        TEST(a_thousand_bad_names_have_a_short_reply),
        TEST(where_many_replies_are_made_they_are_kept_shorter),
        TEST(the_leader_refuses_many_at_once),
        TEST(a_retry_tells_the_node_of_channels_that_failed),
        TEST(a_join_of_a_failed_channel_tries_it_again),
        TEST(a_join_as_a_user_goes_to_that_user_or_says_why_not),
        TEST(a_channel_that_waits_is_read_as_the_user_it_was_asked_for),
        TEST(the_same_join_as_another_user_is_another_request),
    };
    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
