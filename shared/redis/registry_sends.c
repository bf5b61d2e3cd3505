/* Registry, budgets and sends. See registry.c for how a call works. */
#include "shared/redis/registry.h"
#include "shared/redis/registry_call.h"

#include "shared/buf.h"
#include "shared/json.h"

#define RESULT_BYTES 4096

static void on_draw(struct call *call, const struct redisReply *reply, const struct err *err)
{
    const uint64_t *waits = NULL;
    size_t n = 0;
    struct reply_memory memory = {0};
    struct err space;
    err = call_read(err, reply_waits(reply, &waits, &n, &memory, &space), &space);
    call->cb.draw(call->ctx, err == NULL ? waits : NULL, err == NULL ? n : 0, err);
    reply_memory_finish(&memory);
}

int registry_draw(struct registry *r, const char *node, const char *incarnation, struct slice user,
                  const char *kind, size_t n, registry_draw_cb cb, void *ctx)
{
    struct args a = {0};
    node_args(&a, r, "draw", node, incarnation);
    args_slice(&a, user);
    args_text(&a, kind);
    args_number(&a, n > REGISTRY_DRAWS_AT_ONCE ? REGISTRY_DRAWS_AT_ONCE : (int64_t)n);
    return call_ask(r, &a, on_draw, (union call_cb){.draw = cb}, ctx);
}

int registry_send_accept(struct registry *r, const char *node, const char *incarnation,
                         const struct registry_send *send, const struct registry_heard *heard,
                         registry_word_cb cb, void *ctx)
{
    struct args a = {0};
    node_args(&a, r, "send_accept", node, incarnation);
    args_slice(&a, send->channel);
    args_slice(&a, send->id);
    args_slice(&a, send->text);
    args_slice(&a, send->reply_to);
    args_slice(&a, send->user);
    args_slice(&a, send->ttl_ms);
    args_slice(&a, send->by);
    args_text(&a, send->as_command ? "1" : "0");
    args_text(&a, heard->process);
    args_number(&a, (int64_t)heard->number);
    args_number(&a, (int64_t)heard->age_ms);
    args_text(&a, heard->problem);
    return call_send_word(r, &a, cb, ctx);
}

int registry_send_take(struct registry *r, registry_word_cb cb, void *ctx)
{
    struct args a = {0};
    args_fcall(&a, r, "send_take");
    return call_send_word(r, &a, cb, ctx);
}

static void on_list(struct call *call, const struct redisReply *reply, const struct err *err)
{
    struct registry_sends sends = {0};
    struct reply_memory memory = {0};
    struct err space;
    err = call_read(err, reply_sends(reply, &sends, &memory, &space), &space);
    call->cb.sends(call->ctx, err == NULL ? &sends : NULL, err);
    reply_memory_finish(&memory);
}

int registry_send_list(struct registry *r, const char *node, const char *incarnation, uint64_t from,
                       registry_sends_cb cb, void *ctx)
{
    struct args a = {0};
    node_args(&a, r, "send_list", node, incarnation);
    args_number(&a, (int64_t)from);
    return call_ask(r, &a, on_list, (union call_cb){.sends = cb}, ctx);
}

static void on_listen(struct call *call, const struct redisReply *reply, const struct err *err)
{
    struct registry_listeners listeners = {0};
    struct reply_memory memory = {0};
    struct err space;
    err = call_read(err, reply_listeners(reply, &listeners, &memory, &space), &space);
    call->cb.listeners(call->ctx, err == NULL ? &listeners : NULL, err);
    reply_memory_finish(&memory);
}

int registry_send_listen(struct registry *r, const char *node, const char *incarnation,
                         uint64_t link_id, const char *run_id, const struct slice *topics, size_t n,
                         registry_listeners_cb cb, void *ctx)
{
    struct args a = {0};
    node_args(&a, r, "send_listen", node, incarnation);
    args_number(&a, (int64_t)link_id);
    args_text(&a, run_id);
    for (size_t i = 0; i < n; i++) {
        args_slice(&a, topics[i]);
    }
    return call_ask(r, &a, on_listen, (union call_cb){.listeners = cb}, ctx);
}

static void on_claim(struct call *call, const struct redisReply *reply, const struct err *err)
{
    struct registry_claim claim = {0};
    struct err space;
    err = call_read(err, reply_claim(reply, &claim, &space), &space);
    call->cb.claim(call->ctx, err == NULL ? &claim : NULL, err);
}

int registry_send_claim(struct registry *r, const char *node, const char *incarnation,
                        struct slice entry, registry_claim_cb cb, void *ctx)
{
    struct args a = {0};
    node_args(&a, r, "send_claim", node, incarnation);
    args_slice(&a, entry);
    return call_ask(r, &a, on_claim, (union call_cb){.claim = cb}, ctx);
}

int registry_send_unclaim(struct registry *r, const char *node, const char *incarnation,
                          struct slice entry, registry_done_cb cb, void *ctx)
{
    struct args a = {0};
    node_args(&a, r, "send_unclaim", node, incarnation);
    args_slice(&a, entry);
    return call_send_done(r, &a, cb, ctx);
}

int registry_send_done(struct registry *r, const char *node, const char *incarnation,
                       struct slice entry, enum send_status status, struct slice reason,
                       struct slice text, uint64_t said_ms, registry_done_cb cb, void *ctx)
{
    struct args a = {0};
    node_args(&a, r, "send_done", node, incarnation);
    args_slice(&a, entry);
    args_text(&a, send_status_name(status));
    args_slice(&a, reason);
    args_slice(&a, text);
    args_number(&a, (int64_t)said_ms);
    return call_send_done(r, &a, cb, ctx);
}

int registry_send_tell(struct registry *r, const char *channel, const struct registry_send *send,
                       enum send_status status, const char *reason, const char *text)
{
    char topic[REGISTRY_TOPIC_CHARS];
    struct args a = {0};
    struct buf out;
    struct json j;

    buf_init(&out, RESULT_BYTES);
    json_init(&j, &out);
    json_object_begin(&j, NULL);
    json_slice(&j, "id", send->id.len <= REGISTRY_MAX_ID ? send->id : SLICE(""));
    json_string(&j, "channel", channel);
    json_string(&j, "status", send_status_name(status));
    json_number(&j, "at", (int64_t)wall_now().ms);
    if (reason[0] != '\0') {
        json_string(&j, "reason", reason);
    }
    json_string(&j, "text", text);
    if (send->by.len > 0 && send->by.len <= REGISTRY_MAX_ID) {
        json_slice(&j, "by", send->by);
    }
    json_object_end(&j);
    args_text(&a, "PUBLISH");
    args_text(&a, registry_topic(r, TOPIC_SENT, channel, topic));
    args_slice(&a, buf_slice(&out));
    int rc = args_send(&a, r, NULL, NULL);
    buf_finish(&out);
    return rc;
}
