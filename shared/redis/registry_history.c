/* Registry, chat that is kept: XREAD of several streams, and the hash that says which there are. */
#include "shared/redis/registry_history.h"

#include "shared/redis/reader.h"
#include "shared/redis/registry_call.h"
#include "shared/redis/registry_reply.h"

#include <stdio.h>
#include <string.h>
#include <zlib.h>

unsigned registry_history_stream(struct slice channel, unsigned streams)
{
    return streams < 2
               ? 0
               : (unsigned)(crc32(0, (const Bytef *)channel.ptr, (uInt)channel.len) % streams);
}

static uint64_t number_of(struct slice text)
{
    uint64_t number = 0;

    return slice_to_u64(text, &number) ? number : 0;
}

/* {streams, epoch, gone:0, ...}, each nil where there is none. */
static void on_history(struct call *call, const struct redisReply *reply, const struct err *err)
{
    struct registry_history history = {0};

    err = call_error(call, reply, err);
    if (err == NULL) {
        struct reader r = reader_of(reply);
        uint64_t streams = number_of(reply_slice(reader_next(&r)));
        history.streams = streams <= REGISTRY_HISTORY_STREAMS ? (unsigned)streams : 0;
        history.epoch = reply_slice(reader_next(&r));
        for (size_t k = 0; k < REGISTRY_HISTORY_STREAMS; k++) {
            history.gone[k] = reader_slice(&r);
        }
        err = call_read(call, NULL, reply_end(&r, &call->err, "lines"));
    }
    call->cb.history(call->ctx, err == NULL ? &history : NULL, err);
}

int registry_find_history(struct registry *r, registry_history_cb cb, void *ctx)
{
    struct args a = args_of("HMGET");

    args_key(&a, r, "lines");
    args_words(&a, "streams epoch");
    for (unsigned k = 0; k < REGISTRY_HISTORY_STREAMS; k++) {
        char field[16];
        snprintf(field, sizeof(field), "gone:%u", k);
        args_text(&a, field);
    }
    return call_ask(r, a, on_history, (union call_cb){.history = cb}, ctx);
}

/* The number behind the last colon of its key. */
static unsigned stream_of(struct slice key)
{
    const char *colon = key.len > 0 ? memrchr(key.ptr, ':', key.len) : NULL;

    return colon == NULL ? 0
                         : (unsigned)number_of(
                               (struct slice){colon + 1, key.len - (size_t)(colon + 1 - key.ptr)});
}

/* {{key, {entry, ...}}, ...}, or nil where there is none. */
static void on_entries(struct call *call, const struct redisReply *reply, const struct err *err)
{
    err = call_error(call, reply, err);
    if (err == NULL && reply->type != REDIS_REPLY_NIL) {
        struct reader streams = reader_of(reply);
        while (err == NULL && reader_left(&streams) > 0) {
            struct reader one = reader_of(reader_next(&streams));
            unsigned stream = stream_of(reader_slice(&one));
            const struct registry_entry *entries = NULL;
            size_t n = 0;
            err = call_read(
                call, NULL,
                reply_entries(reader_next(&one), &entries, &n, &call->memory, &call->err));
            if (err == NULL) {
                call->cb.history_entries(call->ctx, &stream, entries, n, NULL);
            }
        }
    }
    call->cb.history_entries(call->ctx, NULL, NULL, 0, err);
}

int registry_history_after(struct registry *r, const struct registry_history_place *places,
                           size_t n, size_t most, uint64_t block_ms, registry_history_entries_cb cb,
                           void *ctx)
{
    struct args a = args_of_read(most, block_ms);

    for (size_t i = 0; i < n; i++) {
        args_key(&a, r, "lines:%u", places[i].stream);
    }
    for (size_t i = 0; i < n; i++) {
        args_text(&a, places[i].after);
    }
    return call_ask(r, a, on_entries, (union call_cb){.history_entries = cb}, ctx);
}

int registry_rewound(const struct registry *r, struct link *link, const char *node, uint64_t from,
                     uint64_t to, uint64_t kept_from, struct wall clock)
{
    struct registry there = *r;
    struct args a = step_args(r, "rewound");

    there.link = link;
    args_text(&a, node);
    args_number(&a, (int64_t)from);
    args_number(&a, (int64_t)to);
    args_number(&a, (int64_t)kept_from);
    args_number(&a, (int64_t)clock.ms);
    return args_send(a, &there, NULL, NULL);
}

int registry_emptied(const struct registry *r, struct link *link,
                     const struct registry_emptied *emptied)
{
    struct registry there = *r;
    struct args a = step_args(r, "emptied");

    there.link = link;
    args_number(&a, (int64_t)emptied->from.ms);
    args_number(&a, (int64_t)emptied->lacks.ms);
    args_number(&a, (int64_t)emptied->to.ms);
    return args_send(a, &there, NULL, NULL);
}
