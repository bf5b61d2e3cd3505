/* Sender: from the outbox and the topics to the connection and back, against a real Redis. */
#include "node/sender.h"

#include "tests/lib/registry_world.h"

#include <hiredis/hiredis.h>
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

/* The sender's surroundings, and what it wrote. */
static struct {
    struct link *link;
    struct registry *registry;
    struct subscriber *subscriber;
    struct sender *sender;
    bool may_act;
    bool can_send;
    int refuse; /* what the next writes answer */
    unsigned looks;
    unsigned writes;
    char shard[64];
    char entry[48];
    char said[256]; /* every text, each with a blank */
    uint64_t wrote_ms[8];
    unsigned closed;
    bool count_up; /* texts are numbers that count up; they are answered at once */
} rig;

static void set(const char *setting_and_value)
{
    assert_string_equal(world_configure(&w, &me, "", "", "set", setting_and_value), "done");
    assert_non_null(strstr(w.rest, "\"ok\":true"));
}

static bool may_act(void *ctx)
{
    (void)ctx;
    rig.looks++;
    return rig.may_act;
}

static bool can_send(void *ctx, struct slice shard)
{
    (void)ctx;
    return rig.can_send && slice_is(shard, "main-shard");
}

static int write_send(void *ctx, struct slice shard, const struct registry_send *send,
                      const char *entry, struct err *err)
{
    size_t at = strlen(rig.said);

    (void)ctx;
    if (rig.writes < ARRAY_LEN(rig.wrote_ms)) {
        rig.wrote_ms[rig.writes] = mono_ms();
    }
    rig.writes++;
    if (rig.refuse != 0) {
        return err_set(err, (enum err_code) - rig.refuse, "refused by the test");
    }
    snprintf(rig.shard, sizeof(rig.shard), "%.*s", (int)shard.len, shard.ptr);
    snprintf(rig.entry, sizeof(rig.entry), "%s", entry);
    if (rig.count_up) {
        char expected[16];
        snprintf(expected, sizeof(expected), "%u", rig.writes);
        assert_true(slice_is(send->text, expected));
        sender_on_result(rig.sender, entry, SEND_SENT, SLICE(""), SLICE(""));
        return 0;
    }
    snprintf(rig.said + at, sizeof(rig.said) - at, "%.*s:%.*s ", (int)send->channel.len,
             send->channel.ptr, (int)send->text.len, send->text.ptr);
    return 0;
}

static void on_message(void *ctx, struct slice topic, struct slice payload)
{
    (void)ctx;
    assert_true(sender_on_message(rig.sender, topic, payload));
}

static void on_topics_down(void *ctx, const struct err *why)
{
    (void)ctx;
    (void)why;
    if (rig.sender != NULL) {
        sender_on_topics_down(rig.sender);
    }
}

static void serve_foo(void)
{
    struct slice foo = SLICE("foo");
    struct registry_shard shard = {
        .id = SLICE("main-shard"), .sender = SLICE("main-shard"), .nchannels = 1, .channels = &foo};

    sender_serve(rig.sender, &shard);
    wait_until(&w.probe.t, subscriber_is_ready(rig.subscriber));
}

/* A user that may speak, foo on its main-shard, which is on n1; and n1's sender. */
static int begin(void **state)
{
    (void)state;
    memset(&rig, 0, sizeof(rig));
    rig.may_act = true;
    rig.can_send = true;
    world_begin(&w, &me, &n1, 10);
    set("user,bot");
    world_node(&n1, "n1", 1002, 10, "bot");
    world_register(&w, &n1, 1001);
    world_add_shard(&w, &me, "main-shard", "bot", "");
    world_assign(&w, &me, "", "", "join", "foo");

    struct link_options link = {.url = &w.probe.url, .name = "test:control"};
    rig.link = link_create(&w.probe.t.uv, &link);
    rig.registry = registry_create(rig.link, "t");
    struct subscriber_options topics = {.link = {.url = &w.probe.url, .name = "test:topics"},
                                        .greet = true,
                                        .on_message = on_message,
                                        .on_down = on_topics_down};
    rig.subscriber = subscriber_create(&w.probe.t.uv, &topics);
    struct sender_options options = {.registry = rig.registry,
                                     .subscriber = rig.subscriber,
                                     .node = "n1",
                                     .incarnation = n1.incarnation,
                                     .may_act = may_act,
                                     .can_send = can_send,
                                     .write = write_send};
    rig.sender = sender_create(&w.probe.t.uv, &options);
    wait_until(&w.probe.t, link_is_up(rig.link));
    serve_foo();
    return 0;
}

static void on_closed(void *ctx)
{
    (void)ctx;
    rig.closed++;
}

static int finish(void **state)
{
    (void)state;
    sender_reset(rig.sender);
    link_close(rig.link, on_closed, NULL);
    subscriber_close(rig.subscriber, on_closed, NULL);
    wait_until(&w.probe.t, rig.closed == 2);
    sender_destroy(rig.sender);
    registry_destroy(rig.registry);
    assert_string_equal(world_broken(&w, 1000000, 1000000), "");
    world_finish(&w);
    return 0;
}

/* An application's XADD, and the sender hears of it. */
static const char *outbox(const char *fields)
{
    static char entries[8][64];
    static unsigned next;
    char *entry = entries[next++ % 8];

    snprintf(entry, 64, "%s", world_ask(&w, "XADD shoal:{t}:outbox * %s", fields));
    sender_rescan(rig.sender);
    return entry;
}

static const char *result(const char *id, const char *field)
{
    return world_ask(&w, "HGET shoal:{t}:result:foo:%s %s", id, field);
}

static bool is_claimed(const char *channel)
{
    return world_ask(&w, "HGET shoal:{t}:claims %s", channel)[0] != '\0';
}

static void answer(enum send_status status, const char *reason)
{
    sender_on_result(rig.sender, rig.entry, status, slice_of(reason), SLICE(""));
}

static void a_send_is_written_once_and_its_result_stored(void **state)
{
    (void)state;
    const char *entry = outbox("channel foo id x text hello");
    wait_until(&w.probe.t, rig.writes == 1);
    assert_string_equal(rig.entry, entry);
    assert_string_equal(rig.shard, "main-shard");
    assert_string_equal(rig.said, "foo:hello ");
    assert_true(is_claimed("foo"));
    assert_string_equal(result("x", "status"), "");
    assert_false(sender_is_drained(rig.sender));

    sender_rescan(rig.sender);
    test_loop_run_for(&w.probe.t, 600);
    assert_int_equal(rig.writes, 1);
    answer(SEND_SENT, "");
    answer(SEND_UNKNOWN, "twice");
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
    assert_string_equal(result("x", "status"), "sent");
    assert_string_equal(world_ask(&w, "XLEN shoal:{t}:outbox"), "0");
}

static void what_twitch_refuses_is_told_with_its_reason(void **state)
{
    (void)state;
    outbox("channel foo id x text hello");
    wait_until(&w.probe.t, rig.writes == 1);
    answer(SEND_REJECTED, "msg_banned");
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
    assert_string_equal(result("x", "status"), "rejected");
    assert_string_equal(result("x", "reason"), "msg_banned");
}

static void what_is_heard_on_the_topic_and_read_in_the_stream_is_said_once(void **state)
{
    (void)state;
    wait_until(&w.probe.t, strcmp(world_ask(&w, "PUBLISH shoal:t:send:foo hello"), "1") == 0);
    wait_until(&w.probe.t, strcmp(world_ask(&w, "XLEN shoal:{t}:outbox"), "1") == 0);
    sender_rescan(rig.sender);
    wait_until(&w.probe.t, rig.writes == 1);
    sender_rescan(rig.sender);
    test_loop_run_for(&w.probe.t, 300);
    answer(SEND_SENT, "");
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
    sender_rescan(rig.sender);
    test_loop_run_for(&w.probe.t, 300);
    assert_string_equal(rig.said, "foo:hello ");
}

static void a_channel_has_one_send_under_way_and_the_next_waits_for_its_slot(void **state)
{
    (void)state;
    set("channel_message_ms,700");
    outbox("channel foo id x text one");
    outbox("channel foo id y text two");
    wait_until(&w.probe.t, rig.writes == 1);
    test_loop_run_for(&w.probe.t, 300);
    assert_int_equal(rig.writes, 1);
    answer(SEND_SENT, "");
    wait_until(&w.probe.t, rig.writes == 2);
    assert_string_equal(rig.said, "foo:one foo:two ");
    assert_in_range(rig.wrote_ms[1] - rig.wrote_ms[0], 690, 1200);
    answer(SEND_SENT, "");
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
    assert_string_equal(result("y", "status"), "sent");
}

/* Whoever may publish there may send any. */
static void hints_without_end_do_not_hold_up_the_node(void **state)
{
    (void)state;
    static char hint[1200000];
    size_t len = 0;
    uint64_t began = mono_ms();

    len += (size_t)snprintf(hint, sizeof(hint), "sends");
    for (unsigned i = 40000; i > 0; i--) {
        len += (size_t)snprintf(hint + len, sizeof(hint) - len, " foo %u-1", i);
    }
    assert_true(sender_on_hint(rig.sender, (struct slice){hint, len}));
    assert_in_range(mono_ms() - began, 0, 2000);
}

static void a_slot_that_was_missed_is_not_used(void **state)
{
    (void)state;
    set("channel_message_ms,off");
    set("message_limit,1");
    set("message_window_ms,700");
    outbox("channel foo id x text one");
    wait_until(&w.probe.t, rig.writes == 1);
    answer(SEND_SENT, "");
    outbox("channel foo id y text two");
    wait_until(&w.probe.t, is_claimed("foo"));
    uv_sleep(1300); /* the process stands still until its slot is over */
    test_loop_run_for(&w.probe.t, 20);
    assert_int_equal(rig.writes, 1);
    wait_until(&w.probe.t, rig.writes == 2); /* with another slot */
    answer(SEND_SENT, "");
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
}

static void what_could_not_be_written_is_taken_back_and_said_later(void **state)
{
    (void)state;
    rig.refuse = -ERR_DOWN;
    outbox("channel foo id x text hello");
    wait_until(&w.probe.t, rig.writes == 1);
    rig.can_send = false;
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
    assert_string_equal(world_ask(&w, "HLEN shoal:{t}:claims"), "0");
    assert_string_equal(result("x", "status"), "");
    assert_string_equal(world_ask(&w, "XLEN shoal:{t}:outbox"), "1");
    test_loop_run_for(&w.probe.t, 600);
    assert_int_equal(rig.writes, 1); /* no slot is drawn in vain */

    rig.refuse = 0;
    rig.can_send = true;
    wait_until(&w.probe.t, rig.writes == 2);
    assert_string_equal(rig.said, "foo:hello ");
    answer(SEND_SENT, "");
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
}

static void what_can_never_be_written_is_rejected(void **state)
{
    (void)state;
    rig.refuse = -ERR_PROTOCOL;
    outbox("channel foo id x text hello");
    wait_until(&w.probe.t, rig.writes == 1);
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
    assert_string_equal(result("x", "status"), "rejected");
    assert_string_equal(result("x", "reason"), "bad_request");
}

static void on_id(void *ctx, const struct redisReply *reply, const struct err *err)
{
    assert_null(err);
    *(long long *)ctx = reply->integer;
}

static void a_result_is_stored_when_the_link_is_back(void **state)
{
    long long id = 0;

    (void)state;
    outbox("channel foo id x text hello");
    wait_until(&w.probe.t, rig.writes == 1);
    assert_int_equal(link_command(rig.link, on_id, &id, "CLIENT ID"), 0);
    wait_until(&w.probe.t, id != 0);
    world_ask(&w, "CLIENT KILL ID %lld", id);
    answer(SEND_SENT, "");
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
    assert_string_equal(result("x", "status"), "sent");
    assert_int_equal(rig.writes, 1);
}

static void a_claim_nobody_here_knows_of_is_taken_back(void **state)
{
    (void)state;
    rig.can_send = false;
    const char *entry = outbox("channel foo id x text hello");
    /* Carried out by Redis after this node had given it up. */
    assert_string_equal(world_claim(&w, &n1, entry), "claimed");
    rig.can_send = true;
    wait_until(&w.probe.t, rig.writes == 1);
    answer(SEND_SENT, "");
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
    assert_string_equal(result("x", "status"), "sent");
}

static void a_claim_whose_answer_was_lost_is_made_again(void **state)
{
    (void)state;
    private_redis_pause(redis);
    assert_true(sender_on_hint(rig.sender, SLICE("sends foo 1-1")));
    test_loop_run_for(&w.probe.t, 50);
    link_reset(rig.link, "the test wants it");
    test_loop_run_for(&w.probe.t, 50);
    private_redis_resume(redis);
    assert_false(sender_is_drained(rig.sender));
    wait_until(&w.probe.t, sender_is_drained(rig.sender)); /* the entry is not there */
    outbox("channel foo id x text hello");
    wait_until(&w.probe.t, rig.writes == 1);
    answer(SEND_SENT, "");
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
}

static void sends_of_a_channel_that_moved_away_are_forgotten_and_found_again(void **state)
{
    (void)state;
    rig.can_send = false;
    outbox("channel foo id x text hello");
    test_loop_run_for(&w.probe.t, 300);
    sender_keep(rig.sender, NULL, 0);
    test_loop_run_for(&w.probe.t, 400);
    unsigned before = rig.looks;
    test_loop_run_for(&w.probe.t, 600);
    assert_int_equal(rig.looks, before);
    assert_string_equal(world_ask(&w, "PUBLISH shoal:t:send:foo lost"), "0");

    rig.can_send = true;
    serve_foo();
    wait_until(&w.probe.t, rig.writes == 1);
    assert_string_equal(rig.said, "foo:hello ");
    answer(SEND_SENT, "");
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
}

static void what_was_written_is_answered_though_its_channel_moved_away(void **state)
{
    (void)state;
    outbox("channel foo id x text hello");
    wait_until(&w.probe.t, rig.writes == 1);
    sender_keep(rig.sender, NULL, 0);
    answer(SEND_UNKNOWN, "connection_lost");
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
    assert_string_equal(result("x", "status"), "unknown");
}

static void serve(const char *id, const char *first, const char *second)
{
    struct slice names[] = {slice_of(first), slice_of(second)};
    struct registry_shard shard = {.id = slice_of(id),
                                   .sender = SLICE("main-shard"),
                                   .nchannels = second[0] != '\0' ? 2 : 1,
                                   .channels = names};

    sender_serve(rig.sender, &shard);
}

static const char *listeners(const char *channel)
{
    return world_eval(
        &w, "return redis.call('PUBSUB', 'NUMSUB', 'shoal:t:send:' .. ARGV[1])[2] .. ''", channel);
}

static void becomes_served(const char *channel, bool served)
{
    wait_until(&w.probe.t, strcmp(listeners(channel), served ? "1" : "0") == 0);
}

static void topics_follow_the_shards_that_are_served(void **state)
{
    struct slice other = SLICE("other");

    (void)state;
    rig.can_send = false;
    serve("main-shard", "foo", "bar");
    becomes_served("foo", true);
    becomes_served("bar", true);
    serve("main-shard", "bar", "bar");
    becomes_served("foo", false);
    becomes_served("bar", true);
    serve("other", "bar", "baz"); /* it moved to another shard */
    serve("main-shard", "foo", "");
    becomes_served("foo", true);
    becomes_served("bar", true);
    sender_keep(rig.sender, &other, 1);
    becomes_served("foo", false);
    becomes_served("bar", true);
    becomes_served("baz", true);
    sender_keep(rig.sender, NULL, 0);
    becomes_served("bar", false);
}

static void channels_nobody_joined_are_the_default_senders(void **state)
{
    (void)state;
    outbox("channel bar id x text hello");
    test_loop_run_for(&w.probe.t, 300);
    assert_int_equal(rig.writes, 0);
    sender_serve_unjoined(rig.sender, SLICE("main-shard"));
    wait_until(&w.probe.t, rig.writes == 1);
    assert_string_equal(rig.said, "bar:hello ");
    answer(SEND_SENT, "");
    outbox("channel not-a-channel id y text hello");
    wait_until(&w.probe.t,
               strcmp(world_ask(&w, "HGET shoal:{t}:result::y status"), "rejected") == 0);
}

static void a_long_outbox_is_said_in_its_order_without_being_known_at_once(void **state)
{
    (void)state;
    set("channel_message_ms,off");
    set("message_limit,off");
    set("message_mod_limit,off");
    set("channel_send_queue,500");
    rig.count_up = true;
    world_eval(&w,
               "for i = 1, 500 do redis.call('XADD', KEYS[1] .. ':outbox', '*', "
               "'channel', 'foo', 'text', tostring(i)) end return ''",
               "");
    sender_rescan(rig.sender);
    wait_until(&w.probe.t, rig.writes == 500);
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
    assert_string_equal(world_ask(&w, "XLEN shoal:{t}:outbox"), "0");
}

static void past_the_lease_nothing_is_entered_claimed_or_written(void **state)
{
    (void)state;
    rig.may_act = false;
    world_ask(&w, "PUBLISH shoal:t:send:foo lost");
    outbox("channel foo id x text hello");
    test_loop_run_for(&w.probe.t, 600);
    assert_string_equal(world_ask(&w, "XLEN shoal:{t}:outbox"), "1");
    assert_string_equal(result("x", "status"), "");
    rig.may_act = true;
    wait_until(&w.probe.t, rig.writes == 1);
    answer(SEND_SENT, "");
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
}

static void hear(const char *payload)
{
    assert_true(sender_on_message(rig.sender, SLICE("shoal:t:send:foo"), slice_of(payload)));
}

/* Ask Redis while the loop of the test stands still: what was written to it before was carried out. A number, where
 * that is its answer. */
static long long ask_at_once(const char *command)
{
    redisContext *c = redisConnect("127.0.0.1", private_redis_port(redis));

    freeReplyObject(redisCommand(c, "PING"));
    redisReply *reply = redisCommand(c, command);
    long long number = reply->integer;
    freeReplyObject(reply);
    redisFree(c);
    return number;
}

static void an_entry_that_comes_while_others_are_taken_is_taken_at_once(void **state)
{
    (void)state;
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
    private_redis_pause(redis);
    sender_rescan(rig.sender);
    test_loop_run_for(&w.probe.t, 50);
    private_redis_resume(redis);
    ask_at_once("XADD shoal:{t}:outbox * channel foo id x text hello");
    uint64_t began = mono_ms();
    sender_rescan(rig.sender); /* that answer, which is on its way, does not know of it */
    wait_until(&w.probe.t, rig.writes == 1);
    assert_in_range(mono_ms() - began, 0, 5000); /* not at the next rescan */
    answer(SEND_SENT, "");
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
}

static void an_answer_that_is_read_past_the_lease_makes_nobody_listen(void **state)
{
    (void)state;
    rig.can_send = false;
    private_redis_pause(redis);
    serve("main-shard", "foo", "bar");
    test_loop_run_for(&w.probe.t, 50);
    rig.may_act = false; /* it stood still, and another took over meanwhile */
    private_redis_resume(redis);
    test_loop_run_for(&w.probe.t, 300);
    assert_string_equal(world_ask(&w, "PUBLISH shoal:t:send:bar x"), "0");
    rig.may_act = true;
    wait_until(&w.probe.t, strcmp(world_ask(&w, "PUBLISH shoal:t:send:bar x"), "1") == 0);
}

static void what_is_heard_past_the_lease_is_entered_when_it_holds_again(void **state)
{
    (void)state;
    rig.may_act = false;
    hear("{\"text\":\"hello\",\"id\":\"x\"}");
    test_loop_run_for(&w.probe.t, 400);
    assert_false(sender_is_drained(rig.sender));
    assert_string_equal(world_ask(&w, "XLEN shoal:{t}:outbox"), "0");
    rig.may_act = true;
    wait_until(&w.probe.t, rig.writes == 1);
    answer(SEND_SENT, "");
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
    assert_string_equal(result("x", "status"), "sent");
}

static void a_send_whose_entering_was_not_answered_is_entered_once(void **state)
{
    (void)state;
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
    private_redis_pause(redis);
    hear("hello"); /* without an id nothing but its number tells it apart */
    test_loop_run_for(&w.probe.t, 50);
    private_redis_resume(redis);
    assert_int_equal(ask_at_once("XLEN shoal:{t}:outbox"), 1);
    link_reset(rig.link, "the test wants it"); /* the answer is on its way */
    wait_until(&w.probe.t, rig.writes == 1);
    answer(SEND_SENT, "");
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
    test_loop_run_for(&w.probe.t, 600);
    assert_string_equal(rig.said, "foo:hello ");
    assert_string_equal(world_ask(&w, "XLEN shoal:{t}:outbox"), "0");
}

static void more_than_can_be_held_is_refused_and_what_is_held_is_said(void **state)
{
    (void)state;
    set("channel_message_ms,off");
    set("message_limit,off");
    set("message_mod_limit,off");
    rig.count_up = true;
    rig.may_act = false;
    for (unsigned i = 1; i <= 201; i++) {
        char text[16];
        snprintf(text, sizeof(text), "%u", i);
        hear(text);
    }
    rig.may_act = true;
    wait_until(&w.probe.t, rig.writes == 200);
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
    assert_int_equal(rig.writes, 200);
}

static void who_leaves_enters_what_was_heard_first(void **state)
{
    (void)state;
    rig.may_act = false;
    hear("hello");
    sender_drain(rig.sender);
    test_loop_run_for(&w.probe.t, 300);
    assert_false(sender_is_drained(rig.sender));
    assert_string_equal(world_ask(&w, "PUBLISH shoal:t:send:foo late"), "0");
    rig.may_act = true;
    wait_until(&w.probe.t, rig.writes == 1);
    answer(SEND_SENT, "");
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
}

static void a_reset_forgets_everything_and_answers_to_before_are_none(void **state)
{
    (void)state;
    outbox("channel foo id x text one");
    wait_until(&w.probe.t, rig.writes == 1);
    outbox("channel foo id y text two");
    test_loop_run_for(&w.probe.t, 100);
    sender_reset(rig.sender);
    assert_true(sender_is_drained(rig.sender));
    answer(SEND_SENT, "");
    test_loop_run_for(&w.probe.t, 300);
    assert_true(is_claimed("foo"));
    assert_string_equal(world_ask(&w, "PUBLISH shoal:t:send:foo lost"), "0");
    assert_int_equal(rig.writes, 1);

    /* The node is registered anew. */
    n1.link_id = 1003;
    random_hex(n1.incarnation, 16);
    assert_string_equal(world_register(&w, &n1, 1002), "current");
    assert_string_equal(result("x", "status"), "unknown");
    serve_foo();
    wait_until(&w.probe.t, rig.writes == 2);
    assert_string_equal(rig.said, "foo:one foo:two ");
    answer(SEND_SENT, "");
    wait_until(&w.probe.t, sender_is_drained(rig.sender));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, finish)
    const struct CMUnitTest tests[] = {
        TEST(a_send_is_written_once_and_its_result_stored),
        TEST(what_twitch_refuses_is_told_with_its_reason),
        TEST(what_is_heard_on_the_topic_and_read_in_the_stream_is_said_once),
        TEST(a_channel_has_one_send_under_way_and_the_next_waits_for_its_slot),
        TEST(hints_without_end_do_not_hold_up_the_node),
        TEST(a_slot_that_was_missed_is_not_used),
        TEST(what_could_not_be_written_is_taken_back_and_said_later),
        TEST(what_can_never_be_written_is_rejected),
        TEST(a_result_is_stored_when_the_link_is_back),
        TEST(a_claim_nobody_here_knows_of_is_taken_back),
        TEST(a_claim_whose_answer_was_lost_is_made_again),
        TEST(sends_of_a_channel_that_moved_away_are_forgotten_and_found_again),
        TEST(what_was_written_is_answered_though_its_channel_moved_away),
        TEST(topics_follow_the_shards_that_are_served),
        TEST(channels_nobody_joined_are_the_default_senders),
        TEST(a_long_outbox_is_said_in_its_order_without_being_known_at_once),
        TEST(past_the_lease_nothing_is_entered_claimed_or_written),
        TEST(an_entry_that_comes_while_others_are_taken_is_taken_at_once),
        TEST(an_answer_that_is_read_past_the_lease_makes_nobody_listen),
        TEST(what_is_heard_past_the_lease_is_entered_when_it_holds_again),
        TEST(a_send_whose_entering_was_not_answered_is_entered_once),
        TEST(more_than_can_be_held_is_refused_and_what_is_held_is_said),
        TEST(who_leaves_enters_what_was_heard_first),
        TEST(a_reset_forgets_everything_and_answers_to_before_are_none),
    };
    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
