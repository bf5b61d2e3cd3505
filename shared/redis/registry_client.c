#include "shared/redis/registry_client.h"

#include "shared/redis/registry_call.h"

/* Yes or no ------------------------------------------------------------------------------------ */

static void on_yes_no(struct call *call, const struct redisReply *reply, const struct err *err)
{
    err = call_error(call, reply, err);
    if (err == NULL && reply->type != REDIS_REPLY_INTEGER) {
        err = call_read(call, NULL, reply_broken(&call->err, "EXISTS or HEXISTS"));
    }
    call->cb.yes_no(call->ctx, err == NULL && reply->integer != 0, err);
}

int registry_is_there(struct registry *r, registry_bool_cb cb, void *ctx)
{
    struct args a = args_of("EXISTS");

    args_key(&a, r, "version");
    return call_ask(r, a, on_yes_no, (union call_cb){.yes_no = cb}, ctx);
}

int registry_is_wanted(struct registry *r, const char *channel, registry_bool_cb cb, void *ctx)
{
    struct args a = args_of("HEXISTS");

    args_key(&a, r, "channels");
    args_text(&a, channel);
    return call_ask(r, a, on_yes_no, (union call_cb){.yes_no = cb}, ctx);
}

static void on_led_time(struct call *call, const struct redisReply *reply, const struct err *err)
{
    struct wall now = {0};

    err = call_read(call, err, reply_time(reply, &now, &call->err));
    call->cb.yes_no(call->ctx, err == NULL && (uint64_t)call->seen >= now.ms, err);
}

static void on_led_deadline(struct call *call, const struct redisReply *reply,
                            const struct err *err)
{
    uint64_t deadline = 0;

    err = call_error(call, reply, err);
    if (err == NULL && slice_to_u64(reply_slice(reply), &deadline) && deadline <= INT64_MAX) {
        call->seen = (int64_t)deadline;
        call_again(call, args_of("TIME"), on_led_time);
    } else {
        call->cb.yes_no(call->ctx, false, err); /* nobody ever led, or the link failed */
    }
}

int registry_is_led(struct registry *r, registry_bool_cb cb, void *ctx)
{
    struct args a = args_of("HGET");

    args_key(&a, r, "leader");
    args_text(&a, "deadline");
    return call_ask(r, a, on_led_deadline, (union call_cb){.yes_no = cb}, ctx);
}

/* Adding --------------------------------------------------------------------------------------- */

static int add(struct registry *r, const char *stream, const struct registry_pair *fields, size_t n,
               registry_done_cb cb, void *ctx)
{
    struct args a = args_of("XADD");

    args_key(&a, r, "%s", stream);
    args_text(&a, "*");
    for (size_t i = 0; i < n; i++) {
        args_text(&a, fields[i].name);
        args_text(&a, fields[i].value);
    }
    return call_ask_done(r, a, cb, ctx);
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
    err = call_error(call, reply, err);
    if (err == NULL && reply->type != REDIS_REPLY_STRING && reply->type != REDIS_REPLY_NIL) {
        err = call_read(call, NULL, reply_broken(&call->err, "GET"));
    }
    call->cb.text(call->ctx, err == NULL ? reply_slice(reply) : (struct slice){0}, err);
}

int registry_find_reply(struct registry *r, const char *id, registry_text_cb cb, void *ctx)
{
    struct args a = args_of("GET");

    args_key(&a, r, "reply:%s", id);
    return call_ask(r, a, on_text, (union call_cb){.text = cb}, ctx);
}

#define ROW(field, kind)                                                                           \
    {.name = #field, .type = FIGURE_##kind, .offset = offsetof(struct registry_result, field)}
const struct figure registry_result_figures[] = {
    ROW(status, TEXT), ROW(reason, TEXT), ROW(text, TEXT), ROW(at, TIME), {0}};

static void on_result(struct call *call, const struct redisReply *reply, const struct err *err)
{
    struct registry_result result = {0};
    int rc = reply_hash(reply, registry_result_figures, &result, &result.hash, &call->memory,
                        &call->err);

    err = call_read(call, err, rc);
    call->cb.result(call->ctx, err == NULL ? &result : NULL, err);
}

int registry_find_result(struct registry *r, const char *channel, const char *id,
                         registry_result_cb cb, void *ctx)
{
    struct args a = args_of("HGETALL");

    args_key(&a, r, "result:%s:%s", channel, id);
    return call_ask(r, a, on_result, (union call_cb){.result = cb}, ctx);
}
