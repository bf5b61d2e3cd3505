/* Sender rig: see sender_rig.h. */
#include "tests/lib/sender_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

struct sender_rig rig;

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

static int write_send(void *ctx, const struct registry_route *route,
                      const struct registry_send *send, const char *entry, struct err *err)
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
    snprintf(rig.shard, sizeof(rig.shard), "%.*s", (int)route->shard.len, route->shard.ptr);
    snprintf(rig.entry, sizeof(rig.entry), "%s", entry);
    if (rig.count_up) {
        char expected[16];
        snprintf(expected, sizeof(expected), "%u", rig.writes);
        assert_true(slice_is(send->text, expected));
        sender_on_result(rig.sender, entry, &(struct send_outcome){.status = SEND_SENT});
        return 0;
    }
    snprintf(rig.said + at, sizeof(rig.said) - at, "%.*s:%.*s ", (int)send->channel.len,
             send->channel.ptr, (int)send->text.len, send->text.ptr);
    return 0;
}

static void on_drained(void *ctx)
{
    (void)ctx;
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

void serve_foo(void)
{
    struct slice foo = SLICE("foo");
    struct registry_shard shard = {
        .id = SLICE("main-shard"), .sender = SLICE("main-shard"), .nchannels = 1, .channels = &foo};

    sender_serve(rig.sender, &shard);
    wait_until(&w.probe.t, subscriber_is_ready(rig.subscriber));
}

int begin_sender(void **state)
{
    memset(&rig, 0, sizeof(rig));
    rig.may_act = true;
    rig.can_send = true;
    begin_sending(state);

    struct link_options link = {.url = &w.probe.url, .name = "test:control"};
    rig.restate = restate_create();
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
                                     .write = write_send,
                                     .on_drained = on_drained,
                                     .restate = rig.restate};
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

void stop_sender(void)
{
    sender_stop(rig.sender);
    link_close(rig.link, on_closed, NULL);
    subscriber_close(rig.subscriber, on_closed, NULL);
    wait_until(&w.probe.t, rig.closed == 2);
}

int finish_sender(void **state)
{
    if (rig.closed == 0) {
        stop_sender();
    }
    sender_destroy(rig.sender);
    restate_destroy(rig.restate);
    registry_destroy(rig.registry);
    return finish(state);
}

const char *outbox_heard(const char *fields)
{
    const char *entry = outbox(fields);

    sender_rescan(rig.sender);
    return entry;
}

const char *result(const char *id, const char *field)
{
    return world_ask(&w, "HGET shoal:{t}:result:foo:%s %s", id, field);
}

bool is_claimed(const char *channel)
{
    return world_ask(&w, "HGET shoal:{t}:claims %s", channel)[0] != '\0';
}

void answer(enum send_status status, const char *reason)
{
    struct send_outcome outcome = {.status = status, .reason = slice_of(reason)};

    if (status == SEND_SENT) {
        outcome.message_id = SLICE("id-of-it");
    }
    sender_on_result(rig.sender, rig.entry, &outcome);
}

void refuse_for_now(const char *reason, uint64_t passes_in_ms)
{
    struct send_outcome outcome = {.status = SEND_REJECTED,
                                   .reason = slice_of(reason),
                                   .passes = true,
                                   .passes_in_ms = passes_in_ms};

    sender_on_result(rig.sender, rig.entry, &outcome);
}
