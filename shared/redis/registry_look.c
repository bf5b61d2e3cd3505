#include "shared/redis/registry_look.h"

#include "shared/redis/registry_call.h"

#include <stdlib.h>

/* One channel: questions that are sent together; the last answer calls the user back. */

struct finding {
    registry_channel_cb cb;
    void *ctx;
    struct registry_channel found;
    struct reply_memory memory;
    struct err err; /* the first */
    size_t pending;
};

typedef int (*finding_take)(struct finding *f, const struct redisReply *reply);

static void answered(struct finding *f, const struct redisReply *reply, const struct err *err,
                     finding_take take)
{
    if (f->err.code == ERR_OK && err != NULL) {
        f->err = *err;
    } else if (f->err.code == ERR_OK && reply_check(reply, &f->err) == 0) {
        (void)!take(f, reply);
    }
    if (--f->pending == 0) {
        bool good = f->err.code == ERR_OK;
        f->cb(f->ctx, good ? &f->found : NULL, good ? NULL : &f->err);
        reply_memory_finish(&f->memory);
        free(f);
    }
}

static int take_time(struct finding *f, const struct redisReply *reply)
{
    return reply_time(reply, &f->found.now, &f->err);
}

static int take_shard(struct finding *f, const struct redisReply *reply)
{
    if (reply->type != REDIS_REPLY_STRING && reply->type != REDIS_REPLY_NIL) {
        return reply_broken(&f->err, "HGET");
    }
    f->found.wanted = reply->type == REDIS_REPLY_STRING;
    f->found.known.shard = reply_memory_keep(&f->memory, reply_slice(reply));
    return 0;
}

static int take_sends(struct finding *f, const struct redisReply *reply)
{
    if (!slice_to_u64(reply_slice(reply), &f->found.sends)) {
        f->found.sends = 0; /* none wait, or that is none of ours */
    }
    return 0;
}

/* The last one: what it tells points into the reply. */
static int take_hash(struct finding *f, const struct redisReply *reply)
{
    return reply_hash(reply, figures_of_channel, &f->found.known, &f->found.hash, &f->memory,
                      &f->err);
}

#define ON_ANSWER(name)                                                                            \
    static void on_##name(void *ctx, const struct redisReply *reply, const struct err *err)        \
    {                                                                                              \
        answered(ctx, reply, err, take_##name);                                                    \
    }
ON_ANSWER(time)
ON_ANSWER(shard)
ON_ANSWER(sends)
ON_ANSWER(hash)

int registry_find_channel(struct registry *r, const char *channel, registry_channel_cb cb,
                          void *ctx)
{
    struct finding *f = xcalloc(1, sizeof(*f));
    struct args asked[] = {args_of("TIME"), args_of("HGET"), args_of("HGET"), args_of("HGETALL")};
    static const link_reply_cb cbs[] = {on_time, on_shard, on_sends, on_hash};
    int rc = 0;

    f->cb = cb;
    f->ctx = ctx;
    f->found.known.channel = reply_memory_keep(&f->memory, slice_of(channel));
    args_key(&asked[1], r, "channels");
    args_text(&asked[1], channel);
    args_key(&asked[2], r, "queued");
    args_text(&asked[2], channel);
    args_key(&asked[3], r, "channel:%s", channel);
    for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
        int failed = args_send(asked[i], r, cbs[i], f);
        f->pending += failed == 0;
        rc = rc != 0 ? rc : failed;
    }
    if (f->pending == 0) {
        reply_memory_finish(&f->memory);
        free(f);
        return rc;
    }
    if (rc != 0) { /* those that were sent call back */
        err_set(&f->err, ERR_DOWN, "the link to Redis is down");
    }
    return 0;
}

/* The log -------------------------------------------------------------------------------------- */

static void tell_events(struct call *call, const struct redisReply *list, const struct err *err)
{
    const struct registry_entry *entries = NULL;
    size_t n = 0;

    err = call_read(call, err, reply_entries(list, &entries, &n, &call->memory, &call->err));
    call->cb.events(call->ctx, entries, err == NULL ? n : 0, err);
}

int registry_events_before(struct registry *r, const char *before, size_t most,
                           registry_events_cb cb, void *ctx)
{
    bool newest = before[0] == REGISTRY_FROM_NEWEST[0];
    struct args a = args_of("XREVRANGE");

    args_key(&a, r, "log");
    char *from = xasprintf("%s%s", newest ? "" : "(", before);
    args_text(&a, from);
    free(from);
    args_words(&a, "- COUNT");
    args_number(&a, (int64_t)most);
    return call_ask(r, a, tell_events, (union call_cb){.events = cb}, ctx);
}

/* {{key, {entry, ...}}}, or nil where there is none. */
static void on_read(struct call *call, const struct redisReply *reply, const struct err *err)
{
    err = call_error(call, reply, err);
    if (err != NULL || reply->type == REDIS_REPLY_NIL) {
        call->cb.events(call->ctx, NULL, 0, err);
        return;
    }
    struct reader streams = reader_of(reply);
    struct reader stream = reader_of(reader_next(&streams));
    (void)reader_slice(&stream);
    tell_events(call, reader_next(&stream), NULL);
}

int registry_events_after(struct registry *r, const char *after, size_t most, uint64_t block_ms,
                          registry_events_cb cb, void *ctx)
{
    struct args a = args_of_read(most, block_ms);

    args_key(&a, r, "log");
    args_text(&a, after);
    return call_ask(r, a, on_read, (union call_cb){.events = cb}, ctx);
}
