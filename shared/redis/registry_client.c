#include "shared/redis/registry_client.h"

#include "shared/redis/registry_call.h"

#include <stdio.h>

/* COMMAND KEY */
static void key_args(struct args *a, char key[512], const struct registry *r, const char *command,
                     const char *rest)
{
    args_text(a, command);
    args_text(a, registry_key(r, key, 512, rest));
}

/* Yes or no ------------------------------------------------------------------------------------ */

static void on_yes_no(struct call *call, const struct redisReply *reply, const struct err *err)
{
    struct err space;

    err = call_error(reply, err, &space);
    if (err == NULL && reply->type != REDIS_REPLY_INTEGER) {
        reply_broken(&space, "EXISTS or HEXISTS");
        err = &space;
    }
    call->cb.yes_no(call->ctx, err == NULL && reply->integer != 0, err);
}

int registry_is_there(struct registry *r, registry_bool_cb cb, void *ctx)
{
    struct args a = {0};
    char key[512];

    key_args(&a, key, r, "EXISTS", "version");
    return call_ask(r, &a, on_yes_no, (union call_cb){.yes_no = cb}, ctx);
}

int registry_is_wanted(struct registry *r, const char *channel, registry_bool_cb cb, void *ctx)
{
    struct args a = {0};
    char key[512];

    key_args(&a, key, r, "HEXISTS", "channels");
    args_text(&a, channel);
    return call_ask(r, &a, on_yes_no, (union call_cb){.yes_no = cb}, ctx);
}

static void on_led_time(struct call *call, const struct redisReply *reply, const struct err *err)
{
    struct err space;
    struct wall now = {0};

    err = call_read(err, reply_time(reply, &now, &space), &space);
    call->cb.yes_no(call->ctx, err == NULL && (uint64_t)call->seen >= now.ms, err);
}

static void on_led_deadline(struct call *call, const struct redisReply *reply,
                            const struct err *err)
{
    struct err space;
    uint64_t deadline = 0;

    err = call_error(reply, err, &space);
    if (err == NULL && slice_to_u64(reply_slice(reply), &deadline) && deadline <= INT64_MAX) {
        struct args a = {0};

        args_text(&a, "TIME");
        call->seen = (int64_t)deadline;
        call->answered = on_led_time;
        err = call_send_again(call, &a, &space);
        if (err == NULL) {
            return;
        }
    }
    call->cb.yes_no(call->ctx, false, err); /* nobody ever led, or the link failed */
}

int registry_is_led(struct registry *r, registry_bool_cb cb, void *ctx)
{
    struct args a = {0};
    char key[512];

    key_args(&a, key, r, "HGET", "leader");
    args_text(&a, "deadline");
    return call_ask(r, &a, on_led_deadline, (union call_cb){.yes_no = cb}, ctx);
}

/* Adding --------------------------------------------------------------------------------------- */

static int add(struct registry *r, const char *stream, const struct registry_pair *fields, size_t n,
               registry_done_cb cb, void *ctx)
{
    struct args a = {0};
    char key[512];

    key_args(&a, key, r, "XADD", stream);
    args_text(&a, "*");
    for (size_t i = 0; i < n; i++) {
        args_text(&a, fields[i].name);
        args_text(&a, fields[i].value);
    }
    return call_send_done(r, &a, cb, ctx);
}

int registry_add_request(struct registry *r, const char *op, const struct registry_pair *fields,
                         size_t n, registry_done_cb cb, void *ctx)
{
    static const char *const channels[] = {"join", "part", "retry"};
    bool of_channels = slice_is_one_of(slice_of(op), channels, ARRAY_LEN(channels));

    return add(r, of_channels ? "requests" : "admin", fields, n, cb, ctx);
}

int registry_add_send(struct registry *r, const struct registry_pair *fields, size_t n,
                      registry_done_cb cb, void *ctx)
{
    return add(r, "outbox", fields, n, cb, ctx);
}

/* What became of them -------------------------------------------------------------------------- */

static void on_text(struct call *call, const struct redisReply *reply, const struct err *err)
{
    struct err space;

    err = call_error(reply, err, &space);
    if (err == NULL && reply->type != REDIS_REPLY_STRING && reply->type != REDIS_REPLY_NIL) {
        reply_broken(&space, "GET");
        err = &space;
    }
    call->cb.text(call->ctx, err == NULL ? reply_slice(reply) : (struct slice){0}, err);
}

int registry_find_reply(struct registry *r, const char *id, registry_text_cb cb, void *ctx)
{
    struct args a = {0};
    char key[512];
    char rest[256];

    snprintf(rest, sizeof(rest), "reply:%s", id);
    key_args(&a, key, r, "GET", rest);
    return call_ask(r, &a, on_text, (union call_cb){.text = cb}, ctx);
}

#define ROW(field, kind)                                                                           \
    {.name = #field, .type = FIGURE_##kind, .offset = offsetof(struct registry_result, field)}
const struct figure registry_result_figures[] = {
    ROW(status, TEXT), ROW(reason, TEXT), ROW(text, TEXT), ROW(at, TIME), {0}};

static void on_result(struct call *call, const struct redisReply *reply, const struct err *err)
{
    struct registry_result result = {0};
    struct reply_memory memory = {0};
    struct err space;

    int rc = reply_hash(reply, registry_result_figures, &result, &result.hash, &memory, &space);
    err = call_read(err, rc, &space);
    call->cb.result(call->ctx, err == NULL ? &result : NULL, err);
    reply_memory_finish(&memory);
}

int registry_find_result(struct registry *r, const char *channel, const char *id,
                         registry_result_cb cb, void *ctx)
{
    struct args a = {0};
    char key[512];
    char rest[256];

    snprintf(rest, sizeof(rest), "result:%s:%s", channel, id);
    key_args(&a, key, r, "HGETALL", rest);
    return call_ask(r, &a, on_result, (union call_cb){.result = cb}, ctx);
}
