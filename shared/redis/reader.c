/* Reader: the one place that looks at the types of a reply's elements. */
#include "shared/redis/reader.h"

#include <hiredis/hiredis.h>

struct reader reader_of(const struct redisReply *reply)
{
    struct reader r = {.array = reply};
    r.bad = reply == NULL || reply->type != REDIS_REPLY_ARRAY;
    return r;
}

size_t reader_left(const struct reader *r)
{
    return r->bad ? 0 : r->array->elements - r->at;
}

const struct redisReply *reader_next(struct reader *r)
{
    if (reader_left(r) == 0) {
        r->bad = true;
        return NULL;
    }
    return r->array->element[r->at++];
}

static bool is_text(const struct redisReply *reply)
{
    return reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS;
}

struct slice reader_slice(struct reader *r)
{
    const struct redisReply *e = reader_next(r);
    if (e == NULL || e->type == REDIS_REPLY_NIL) {
        return (struct slice){0};
    }
    if (!is_text(e)) {
        r->bad = true;
        return (struct slice){0};
    }
    return (struct slice){e->str, (size_t)e->len};
}

const char *reader_text(struct reader *r)
{
    const char *text = reader_slice(r).ptr; /* hiredis puts a NUL behind each */
    return text != NULL ? text : "";
}

int64_t reader_i64(struct reader *r)
{
    const struct redisReply *e = reader_next(r);
    if (e == NULL) {
        return 0;
    }
    if (e->type == REDIS_REPLY_INTEGER) {
        return e->integer;
    }
    uint64_t value = 0;
    if (!is_text(e) || !slice_to_u64((struct slice){e->str, (size_t)e->len}, &value) ||
        value > INT64_MAX) {
        r->bad = true;
        return 0;
    }
    return (int64_t)value;
}

/* From 0 to `most`. */
static uint64_t reader_bounded(struct reader *r, int64_t most)
{
    int64_t value = reader_i64(r);
    if (value < 0 || value > most) {
        r->bad = true;
        return 0;
    }
    return (uint64_t)value;
}

uint64_t reader_u64(struct reader *r)
{
    return reader_bounded(r, READER_MOST);
}

uint64_t reader_duration(struct reader *r)
{
    return reader_bounded(r, READER_MOST_MS);
}
