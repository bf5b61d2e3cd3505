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
    err = call_read(call, err, reply_waits(reply, &waits, &n, &call->memory, &call->err));
    call->cb.draw(call->ctx, err == NULL ? waits : NULL, err == NULL ? n : 0, err);
}

int registry_draw(struct registry *r, const char *node, const char *incarnation, struct slice user,
                  const char *kind, size_t n, registry_draw_cb cb, void *ctx)
{
    struct args a = node_args(r, "draw", node, incarnation);
    args_slice(&a, user);
    args_text(&a, kind);
    args_number(&a, n > REGISTRY_DRAWS_AT_ONCE ? REGISTRY_DRAWS_AT_ONCE : (int64_t)n);
    return call_ask(r, a, on_draw, (union call_cb){.draw = cb}, ctx);
}

int registry_send_accept(struct registry *r, const char *node, const char *incarnation,
                         const struct registry_send *send, const struct registry_heard *heard,
                         registry_word_cb cb, void *ctx)
{
    struct args a = node_args(r, "send_accept", node, incarnation);
    const struct slice fields[] = {send->channel, send->id,     send->text, send->reply_to,
                                   send->user,    send->ttl_ms, send->by};
    args_slices(&a, fields, ARRAY_LEN(fields));
    args_text(&a, send->as_command ? "1" : "0");
    args_slice(&a, send->priority);
    args_text(&a, send->split ? "1" : "0");
    args_text(&a, heard->process);
    args_number(&a, (int64_t)heard->number);
    args_number(&a, (int64_t)heard->age_ms);
    args_text(&a, heard->problem);
    return call_ask_word(r, a, cb, ctx);
}

int registry_send_take(struct registry *r, registry_word_cb cb, void *ctx)
{
    return call_ask_word(r, step_args(r, "send_take"), cb, ctx);
}

static void on_counted(struct call *call, const struct redisReply *reply, const struct err *err)
{
    struct slice none = {0};

    if (err != NULL || (reply->type == REDIS_REPLY_INTEGER && reply->integer == 0)) {
        call->cb.word(call->ctx, err == NULL ? SLICE("empty") : none, none, err);
    } else {
        call_again(call, step_args(call->registry, "send_take"), call_answer_word);
    }
}

int registry_send_look(struct registry *r, registry_word_cb cb, void *ctx)
{
    struct args a = args_of("XLEN");
    args_key(&a, r, "outbox");
    return call_ask(r, a, on_counted, (union call_cb){.word = cb}, ctx);
}

static void on_list(struct call *call, const struct redisReply *reply, const struct err *err)
{
    struct registry_sends sends = {0};
    err = call_read(call, err, reply_sends(reply, &sends, &call->memory, &call->err));
    call->cb.sends(call->ctx, err == NULL ? &sends : NULL, err);
}

int registry_send_list(struct registry *r, const char *node, const char *incarnation, uint64_t from,
                       registry_sends_cb cb, void *ctx)
{
    struct args a = node_args(r, "send_list", node, incarnation);
    args_number(&a, (int64_t)from);
    return call_ask(r, a, on_list, (union call_cb){.sends = cb}, ctx);
}

static void on_listen(struct call *call, const struct redisReply *reply, const struct err *err)
{
    struct registry_listeners listeners = {0};
    err = call_read(call, err, reply_listeners(reply, &listeners, &call->memory, &call->err));
    call->cb.listeners(call->ctx, err == NULL ? &listeners : NULL, err);
}

int registry_send_listen(struct registry *r, const char *node, const char *incarnation,
                         uint64_t link_id, const char *run_id, const struct slice *topics, size_t n,
                         registry_listeners_cb cb, void *ctx)
{
    struct args a = node_args(r, "send_listen", node, incarnation);
    args_number(&a, (int64_t)link_id);
    args_text(&a, run_id);
    args_slices(&a, topics, n);
    return call_ask(r, a, on_listen, (union call_cb){.listeners = cb}, ctx);
}

static void on_claim(struct call *call, const struct redisReply *reply, const struct err *err)
{
    struct registry_claim claim = {0};
    err = call_read(call, err, reply_claim(reply, &claim, &call->err));
    call->cb.claim(call->ctx, err == NULL ? &claim : NULL, err);
}

int registry_send_claim(struct registry *r, const char *node, const char *incarnation,
                        struct slice entry, registry_claim_cb cb, void *ctx)
{
    struct args a = node_args(r, "send_claim", node, incarnation);
    args_slice(&a, entry);
    return call_ask(r, a, on_claim, (union call_cb){.claim = cb}, ctx);
}

int registry_send_unclaim(struct registry *r, const char *node, const char *incarnation,
                          struct slice entry, registry_done_cb cb, void *ctx)
{
    struct args a = node_args(r, "send_unclaim", node, incarnation);
    args_slice(&a, entry);
    return call_ask_done(r, a, cb, ctx);
}

int registry_send_later(struct registry *r, const char *node, const char *incarnation,
                        struct slice entry, uint64_t wait_ms, struct slice msg_id,
                        registry_done_cb cb, void *ctx)
{
    struct args a = node_args(r, "send_later", node, incarnation);
    args_slice(&a, entry);
    args_number(&a, (int64_t)wait_ms);
    args_slice(&a, msg_id);
    return call_ask_done(r, a, cb, ctx);
}

int registry_keep_room_id(struct registry *r, const char *node, const char *incarnation,
                          struct slice channel, struct slice room_id, registry_done_cb cb,
                          void *ctx)
{
    struct args a = node_args(r, "keep_room_id", node, incarnation);
    args_slice(&a, channel);
    args_slice(&a, room_id);
    return call_ask_done(r, a, cb, ctx);
}

int registry_send_part(struct registry *r, const char *node, const char *incarnation,
                       struct slice entry, struct slice parts, uint64_t said_ms,
                       registry_done_cb cb, void *ctx)
{
    struct args a = node_args(r, "send_part", node, incarnation);
    args_slice(&a, entry);
    args_slice(&a, parts);
    args_number(&a, (int64_t)said_ms);
    return call_ask_done(r, a, cb, ctx);
}

int registry_send_done(struct registry *r, const char *node, const char *incarnation,
                       struct slice entry, const struct send_outcome *outcome, uint64_t said_ms,
                       registry_done_cb cb, void *ctx)
{
    struct args a = node_args(r, "send_done", node, incarnation);
    args_slice(&a, entry);
    args_text(&a, send_status_name(outcome->status));
    args_slice(&a, outcome->reason);
    args_slice(&a, outcome->text);
    args_number(&a, (int64_t)said_ms);
    args_slice(&a, outcome->message_id);
    args_text(&a, outcome->standing != NULL ? outcome->standing : "");
    args_slice(&a, outcome->parts);
    return call_ask_done(r, a, cb, ctx);
}

int registry_send_tell(struct registry *r, const char *channel, const struct registry_send *send,
                       enum send_status status, const char *reason, const char *text)
{
    struct args a = args_of("PUBLISH");
    char topic[REGISTRY_TOPIC_CHARS];
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
    args_text(&a, registry_topic(r, TOPIC_SENT, channel, topic));
    args_slice(&a, buf_slice(&out));
    buf_finish(&out);
    return args_send(a, r, NULL, NULL);
}
