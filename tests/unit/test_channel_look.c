/* Channel look: all that is known of one channel, and what will happen next. */
#include "coordinator/status/channel_look.h"

#include "coordinator/status/records.h"
#include "tests/lib/registry_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* Next ---------------------------------------------------------------------------------------------- */

#define LED   "\"leader\":{\"id\":\"c1\"}"
#define NODES "\"nodes\":[{\"node\":\"n1\"}]"

static void what_comes_next_is_told_by_what_holds_it_up(void **state)
{
    static const struct {
        const char *channel;
        const char *document;
        const char *next;
    } rows[] = {
        {"\"wanted\":false,\"shard\":\"\"", "{" LED "," NODES "}",
         "is not read; shoalctl join foo reads it"},
        {"\"wanted\":true,\"shard\":\"\",\"state\":\"waiting\"", "{\"leader\":{}," NODES "}",
         "gets a shard when a coordinator leads"},
        {"\"wanted\":true,\"shard\":\"\",\"state\":\"waiting\",\"reason\":\"No node is up.\"",
         "{" LED ",\"nodes\":[]}", "gets a shard when a node is up"},
        {"\"wanted\":true,\"shard\":\"\",\"state\":\"waiting\",\"reason\":\"All shards are full\"",
         "{" LED "," NODES "}",
         "a shard is looked for every second until there is one: All shards are full"},
        {"\"wanted\":true,\"shard\":\"s1\",\"state\":\"joined\"",
         "{\"stopped\":true," LED "," NODES "}",
         "is joined after shoalctl start: the cluster is stopped"},
        {"\"wanted\":true,\"shard\":\"s1\",\"state\":\"assigned\"", "{" LED ",\"nodes\":[]}",
         "is read when a node is up, which takes s1"},
        {"\"wanted\":true,\"shard\":\"s1\",\"state\":\"assigned\"", "{" LED "," NODES "}",
         "is read when a node has room for s1"},
        {"\"wanted\":true,\"shard\":\"s1\",\"node\":\"n2\"", "{" LED "," NODES "}",
         "node n2 has not renewed its lease: it comes back, or s1 goes to another node"},
        {"\"wanted\":true,\"shard\":\"s1\",\"node\":\"n1\",\"node_state\":\"silent\"",
         "{\"leader\":{}," NODES "}",
         "node n1 has not renewed its lease: it comes back, or s1 goes to another when a "
         "coordinator leads"},
        {"\"wanted\":true,\"shard\":\"s1\",\"node\":\"n1\",\"node_state\":\"blind\","
         "\"node_error\":\"refused\"",
         "{" LED "," NODES "}",
         "node n1 does not see Twitch: s1 goes to a node that does, or waits: refused"},
        {"\"wanted\":true,\"shard\":\"s1\",\"node\":\"n1\",\"node_state\":\"active\","
         "\"shard_state\":\"backoff\",\"shard_error\":\"reset\"",
         "{" LED "," NODES "}", "is joined when s1 is connected; it is backoff: reset"},
        {"\"wanted\":true,\"shard\":\"s1\",\"node\":\"n1\",\"node_state\":\"active\","
         "\"shard_state\":\"backoff\",\"user\":\"mybot\"",
         "{" LED "," NODES ",\"accounts\":[{\"account\":\"mybot\",\"state\":\"login_required\"}]}",
         "is joined when s1 can log in as mybot: after shoalctl account login"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char *text = xasprintf("{\"channel\":\"foo\",%s}", rows[i].channel);
        cJSON *channel = cJSON_Parse(text);
        cJSON *document = cJSON_Parse(rows[i].document);
        struct buf next;
        assert_non_null(channel);
        assert_non_null(document);
        buf_init(&next, 1000);
        channel_look_next(channel, document, &next);
        assert_string_equal(next.data, rows[i].next);
        buf_finish(&next);
        cJSON_Delete(document);
        cJSON_Delete(channel);
        free(text);
    }
}

static void on_a_shard_that_is_connected_its_own_state_tells(void **state)
{
    static const struct {
        const char *channel;
        const char *next;
    } rows[] = {
        {"\"state\":\"joined\"", "is read until shoalctl part foo"},
        {"\"state\":\"joining\"", "Twitch answers the JOIN within 10 s, or it is sent once more"},
        {"\"state\":\"queued\"", "is joined at once"},
        {"\"state\":\"queued\",\"user\":\"mybot\",\"joins\":{\"queued\":24,\"assigned\":1,"
         "\"left_ms\":11800}",
         "is joined within about 12 s: 25 channels are to be joined as mybot, at its pace"},
        {"\"state\":\"failed\",\"at\":1000,\"next_try\":3121000",
         "is tried again in 52 min; shoalctl retry foo tries now"},
        {"\"state\":\"failed\",\"at\":1000,\"next_try\":0", "is tried again now"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char *text = xasprintf("{\"channel\":\"foo\",\"wanted\":true,\"shard\":\"s1\",\"node\":"
                               "\"n1\",\"node_state\":\"active\",\"shard_state\":\"ready\",%s}",
                               rows[i].channel);
        cJSON *channel = cJSON_Parse(text);
        cJSON *document = cJSON_Parse("{" LED "," NODES "}");
        struct buf next;
        assert_non_null(channel);
        buf_init(&next, 1000);
        channel_look_next(channel, document, &next);
        assert_string_equal(next.data, rows[i].next);
        buf_clear(&next);
        channel_look_next(channel, NULL, &next); /* nothing is known of the cluster */
        assert_string_equal(next.data, rows[i].next);
        buf_finish(&next);
        cJSON_Delete(document);
        cJSON_Delete(channel);
        free(text);
    }
}

/* Looking ------------------------------------------------------------------------------------------- */

struct seen {
    bool done;
    cJSON *channel;
    struct err err;
    cJSON *document;
    size_t read; /* of the log */
    bool leaves; /* after the first portion */
};

static const cJSON *document_of(void *ctx)
{
    return ((struct seen *)ctx)->document;
}

static void on_done(void *ctx, cJSON *channel, const struct err *err)
{
    struct seen *s = ctx;

    assert_false(s->done);
    s->done = true;
    s->channel = channel;
    s->err = err != NULL ? *err : (struct err){0};
}

static bool on_log(void *ctx, size_t n)
{
    struct seen *s = ctx;

    s->read += n;
    return !s->leaves;
}

static void look_so(struct seen *s, const char *channel, bool no_log)
{
    channel_look(&(struct channel_look_options){.registry = w.r,
                                                .channel = channel,
                                                .document = document_of,
                                                .no_log = no_log,
                                                .on_log = on_log,
                                                .on_done = on_done,
                                                .ctx = s});
    wait_until(&w.probe.t, s->done);
}

static struct seen look(const char *channel, const char *document)
{
    struct seen s = {.document = cJSON_Parse(document)};

    look_so(&s, channel, false);
    cJSON_Delete(s.document);
    return s;
}

static int begin_with_channel(void **state)
{
    begin(state);
    world_add_shard(&w, &me, "main-shard", "anonymous", "foo");
    return 0;
}

static void all_that_is_known_of_a_channel_is_put_together(void **state)
{
    (void)state;
    world_ask(&w, "HSET shoal:{t}:channel:foo state failed reason msg_banned next_try 5 room_id 7");
    world_ask(&w, "HSET shoal:{t}:queued foo 3");
    struct seen s = look("foo", "{" LED "," NODES ",\"shards\":[{\"shard\":\"main-shard\",\"node\":"
                                "\"n1\",\"user\":\"mybot\",\"state\":\"ready\",\"error\":\"\"}],"
                                "\"joins\":[{\"user\":\"mybot\",\"queued\":1}]}");
    assert_true(cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(s.channel, "wanted")));
    assert_string_equal(records_text(s.channel, "shard"), "main-shard");
    assert_string_equal(records_text(s.channel, "reason"), "msg_banned");
    assert_string_equal(records_text(s.channel, "room_id"), "7");
    assert_string_equal(records_text(s.channel, "node"), "n1");
    assert_string_equal(records_text(s.channel, "user"), "mybot");
    assert_string_equal(records_text(s.channel, "shard_state"), "ready");
    assert_false(cJSON_HasObjectItem(s.channel, "shard_error"));
    assert_int_equal(records_number(s.channel, "sends"), 3);
    assert_int_equal(records_number(s.channel, "next_try"), 5);
    assert_true(records_number(s.channel, "at") > 1500000000000);
    assert_true(cJSON_HasObjectItem(s.channel, "joins"));
    assert_true(records_text(s.channel, "next")[0] != '\0');
    cJSON_Delete(s.channel);
}

static void a_channel_that_nobody_wants_is_no_error(void **state)
{
    (void)state;
    struct seen s = look("bar", "{}");
    assert_true(cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(s.channel, "wanted")));
    assert_string_equal(records_text(s.channel, "next"), "is not read; shoalctl join bar reads it");
    cJSON_Delete(s.channel);
}

/* An event in the log, as a step writes it. */
static void tell(const char *kind, const char *channel, unsigned lines)
{
    world_ask(&w, "XADD shoal:{t}:log * event {\"event\":\"%s\",\"channel\":\"%s\",\"lines\":%u}",
              kind, channel, lines);
}

static void the_newest_events_of_the_channel_are_found_however_far_back_where_wanted(void **state)
{
    (void)state;
    tell("gap", "foo", 1);
    tell("gap", "foo", 2);
    tell("channel.failed", "foobar", 3);
    world_eval(&w,
               "for i = 1, 2500 do redis.call('XADD', 'shoal:{t}:log', '*', 'event', "
               "'{\"event\":\"gap\",\"channel\":\"other\"}') end return ''",
               "");
    world_ask(&w, "XADD shoal:{t}:log * event foo"); /* no JSON */
    world_ask(&w, "XADD shoal:{t}:log * other foo");
    struct seen s = look("foo", "{}");
    const cJSON *gap = cJSON_GetObjectItemCaseSensitive(s.channel, "last_gap");
    assert_int_equal(records_number(gap, "lines"), 2);
    assert_false(cJSON_HasObjectItem(s.channel, "last_failed"));
    assert_true(s.read > 2500);
    cJSON_Delete(s.channel);

    struct seen without = {0};
    look_so(&without, "foo", true);
    assert_true(records_text(without.channel, "next")[0] != '\0');
    assert_false(cJSON_HasObjectItem(without.channel, "last_gap"));
    assert_int_equal(without.read, 0);
    cJSON_Delete(without.channel);

    struct seen gone = {.leaves = true};
    look_so(&gone, "foo", false);
    assert_null(gone.channel);
    assert_int_equal(gone.err.code, ERR_CANCELED);
    assert_int_equal(gone.read, 1000);
}

static void a_link_that_fails_is_told_once(void **state)
{
    struct seen s = {.document = NULL};

    (void)state;
    channel_look(&(struct channel_look_options){
        .registry = w.r, .channel = "foo", .document = document_of, .on_done = on_done, .ctx = &s});
    link_reset(w.probe.link, "a test");
    wait_until(&w.probe.t, s.done);
    assert_null(s.channel);
    assert_true(err_is_silence(&s.err));
    s = (struct seen){0};
    channel_look(&(struct channel_look_options){.registry = w.r,
                                                .channel = "foo",
                                                .document = document_of,
                                                .on_done = on_done,
                                                .ctx = &s}); /* down */
    wait_until(&w.probe.t, s.done);
    assert_null(s.channel);
    assert_true(err_is_silence(&s.err));
    wait_until(&w.probe.t, link_is_up(w.probe.link));
}

/* The log ------------------------------------------------------------------------------------------- */

struct read {
    bool done;
    size_t n;
    char first[REGISTRY_EVENT_ID_CHARS];
};

static void on_events(void *ctx, const struct registry_entry *entries, size_t n,
                      const struct err *err)
{
    struct read *r = ctx;

    assert_null(err);
    r->done = true;
    r->n = n;
    if (n > 0) {
        snprintf(r->first, sizeof(r->first), "%.*s", (int)entries[0].id.len, entries[0].id.ptr);
    }
}

static void what_is_awaited_of_the_log_is_told_when_it_comes(void **state)
{
    struct read r = {0};
    struct read more = {0};

    (void)state;
    assert_int_equal(registry_events_before(w.r, REGISTRY_FROM_NEWEST, 1, on_events, &r), 0);
    wait_until(&w.probe.t, r.done);
    assert_int_equal(r.n, 1);
    assert_int_equal(registry_events_after(w.r, r.first, 10, 0, on_events, &more), 0);
    wait_until(&w.probe.t, more.done);
    assert_int_equal(more.n, 0);
    more = (struct read){0};
    assert_int_equal(registry_events_after(w.r, r.first, 10, 1, on_events, &more), 0);
    wait_until(&w.probe.t, more.done);
    assert_int_equal(more.n, 0); /* in vain */
    tell("gap", "foo", 1);
    tell("gap", "foo", 2);
    more = (struct read){0};
    assert_int_equal(registry_events_after(w.r, r.first, 10, 1000, on_events, &more), 0);
    wait_until(&w.probe.t, more.done);
    assert_int_equal(more.n, 2);
    assert_int_equal(registry_events_before(w.r, more.first, 1, on_events, &r), 0);
    r = (struct read){0};
    wait_until(&w.probe.t, r.done);
    assert_int_equal(r.n, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_comes_next_is_told_by_what_holds_it_up),
        cmocka_unit_test(on_a_shard_that_is_connected_its_own_state_tells),
        cmocka_unit_test_setup_teardown(all_that_is_known_of_a_channel_is_put_together,
                                        begin_with_channel, finish),
        cmocka_unit_test_setup_teardown(a_channel_that_nobody_wants_is_no_error, begin_with_channel,
                                        finish),
        cmocka_unit_test_setup_teardown(
            the_newest_events_of_the_channel_are_found_however_far_back_where_wanted,
            begin_with_channel, finish),
        cmocka_unit_test_setup_teardown(a_link_that_fails_is_told_once, begin_with_channel, finish),
        cmocka_unit_test_setup_teardown(what_is_awaited_of_the_log_is_told_when_it_comes,
                                        begin_with_channel, finish),
    };

    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}
