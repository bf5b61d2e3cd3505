/* Reply reader: hiredis believes any array size a server announces and collects a string of any
 * size, and from 1.0 on it nests arrays without end (and frees them by recursion); its createArray
 * is wrapped here to count elements and depth, and bytes are counted between whole replies.
 *
 * What is skipped is parsed, and bounded, just the same; only its objects are all one that is never
 * freed. */
#include "shared/redis/reply_reader.h"

#include <stdlib.h>
#include <string.h>

struct reply_reader {
    redisReader *reader;
    redisReplyObjectFunctions bounded; /* hiredis's own, with our createArray */
    redisReplyObjectFunctions skipped; /* those that make nothing */
    redisReplyObjectFunctions brief;   /* those that make the last element alone */
    redisReplyObjectFunctions hiredis; /* hiredis's own */
    size_t bytes;                      /* fed since the last whole reply */
    size_t elements;                   /* announced by the reply being read */
    bool too_deep;                     /* it has more arrays in arrays than it may */
    redisReply skipped_error;          /* the first; its text is in error_text */
    char error_text[301];
};

/* False: the reply is more than it may be, and its array is not made; hiredis turns that into an
 * error. */
static bool is_within_bounds(struct reply_reader *r, const redisReadTask *task, size_t elements)
{
    unsigned depth = 1;

    while ((task = task->parent) != NULL) {
        depth++;
    }
    r->elements += elements;
    r->too_deep = depth > REPLY_DEPTH_MAX;
    return r->elements <= REPLY_ELEMENTS_MAX && !r->too_deep;
}

#if HIREDIS_MAJOR >= 1
typedef size_t array_size;
#else
typedef int array_size;
#endif

static void *create_array(const redisReadTask *task, array_size elements)
{
    struct reply_reader *r = task->privdata;

    return is_within_bounds(r, task, (size_t)elements) ? r->hiredis.createArray(task, elements)
                                                       : NULL;
}

static redisReply nothing = {.type = REDIS_REPLY_NIL};

static void note_error(struct reply_reader *r, const char *text, size_t len)
{
    if (r->skipped_error.str == NULL) {
        len = len < sizeof(r->error_text) ? len : sizeof(r->error_text) - 1;
        memcpy(r->error_text, text, len);
        r->error_text[len] = '\0';
        r->skipped_error.type = REDIS_REPLY_ERROR;
        r->skipped_error.str = r->error_text;
        r->skipped_error.len = len;
    }
}

static void *skip_string(const redisReadTask *task, char *text, size_t len)
{
    if (task->type == REDIS_REPLY_ERROR) {
        note_error(task->privdata, text, len);
    }
    return &nothing;
}

static void *skip_array(const redisReadTask *task, array_size elements)
{
    struct reply_reader *r = task->privdata;

    return is_within_bounds(r, task, (size_t)elements) ? &nothing : NULL;
}

static void *skip_integer(const redisReadTask *task, long long value)
{
    (void)task;
    (void)value;
    return &nothing;
}

static void *skip_nil(const redisReadTask *task)
{
    (void)task;
    return &nothing;
}

#if HIREDIS_MAJOR >= 1
static void *skip_double(const redisReadTask *task, double value, char *text, size_t len)
{
    (void)value;
    return skip_string(task, text, len);
}

static void *skip_bool(const redisReadTask *task, int value)
{
    (void)value;
    return skip_nil(task);
}
#endif

static void skip_free(void *object)
{
    (void)object;
}

/* Is it, or is it within, an element of the reply that is not its last, and no error? (Errors in
 * arrays there are passed over with these.) */
static bool is_passed_over(const redisReadTask *task)
{
    if (task->type == REDIS_REPLY_ERROR && task->parent != NULL && task->parent->parent == NULL) {
        return false;
    }
    while (task->parent != NULL && task->parent->parent != NULL) {
        task = task->parent;
    }
    return task->parent != NULL && (size_t)task->idx + 1 < (size_t)task->parent->elements;
}

static void *brief_string(const redisReadTask *task, char *text, size_t len)
{
    const struct reply_reader *r = task->privdata;

    return is_passed_over(task) ? &nothing : r->hiredis.createString(task, text, len);
}

static void *brief_array(const redisReadTask *task, array_size elements)
{
    return is_passed_over(task) ? skip_array(task, elements) : create_array(task, elements);
}

static void *brief_integer(const redisReadTask *task, long long value)
{
    const struct reply_reader *r = task->privdata;

    return is_passed_over(task) ? &nothing : r->hiredis.createInteger(task, value);
}

static void *brief_nil(const redisReadTask *task)
{
    const struct reply_reader *r = task->privdata;

    return is_passed_over(task) ? &nothing : r->hiredis.createNil(task);
}

#if HIREDIS_MAJOR >= 1
static void *brief_double(const redisReadTask *task, double value, char *text, size_t len)
{
    const struct reply_reader *r = task->privdata;

    return is_passed_over(task) ? &nothing : r->hiredis.createDouble(task, value, text, len);
}

static void *brief_bool(const redisReadTask *task, int value)
{
    const struct reply_reader *r = task->privdata;

    return is_passed_over(task) ? &nothing : r->hiredis.createBool(task, value);
}
#endif

struct reply_reader *reply_reader_create(void)
{
    struct reply_reader *r = xcalloc(1, sizeof(*r));

    r->reader = redisReaderCreate();
    BUG_ON(r->reader == NULL);
    r->hiredis = *r->reader->fn;
    r->bounded = r->hiredis;
    r->bounded.createArray = create_array;
    r->skipped = r->bounded;
    r->skipped.createString = skip_string;
    r->skipped.createArray = skip_array;
    r->skipped.createInteger = skip_integer;
    r->skipped.createNil = skip_nil;
    r->skipped.freeObject = skip_free;
    r->brief = r->bounded;
    r->brief.createString = brief_string;
    r->brief.createArray = brief_array;
    r->brief.createInteger = brief_integer;
    r->brief.createNil = brief_nil;
#if HIREDIS_MAJOR >= 1
    r->skipped.createDouble = skip_double;
    r->skipped.createBool = skip_bool;
    r->brief.createDouble = brief_double;
    r->brief.createBool = brief_bool;
#endif
    r->reader->fn = &r->bounded;
    r->reader->privdata = r;
    return r;
}

void reply_reader_destroy(struct reply_reader *r)
{
    if (r != NULL) {
        redisReaderFree(r->reader);
        free(r);
    }
}

static int reader_broken(const struct reply_reader *r, struct err *err)
{
    if (r->elements > REPLY_ELEMENTS_MAX) {
        return err_set(err, ERR_PROTOCOL, "sent a reply of more than %zu elements",
                       REPLY_ELEMENTS_MAX);
    }
    if (r->too_deep) {
        return err_set(err, ERR_PROTOCOL, "sent a reply of arrays more than %u deep",
                       REPLY_DEPTH_MAX);
    }
    return err_set(err, ERR_PROTOCOL, "does not speak Redis's protocol (%s)", r->reader->errstr);
}

int reply_reader_feed(struct reply_reader *r, const char *data, size_t len, struct err *err)
{
    r->bytes += len;
    if (r->bytes > REPLY_BYTES_MAX) {
        return err_set(err, ERR_PROTOCOL, "sent a reply of more than %zu bytes", REPLY_BYTES_MAX);
    }
    return redisReaderFeed(r->reader, data, len) == REDIS_OK ? 0 : reader_broken(r, err);
}

/* What hiredis has not used yet begins with a line, be it a length; it looks for that line's end
 * anew with each bytes that come. */
static bool is_endless_line(const struct reply_reader *r)
{
    size_t left = r->reader->len - r->reader->pos;

    return left > REPLY_LINE_MAX &&
           memchr(r->reader->buf + r->reader->pos, '\n', REPLY_LINE_MAX) == NULL;
}

/* The next whole reply, made by `fn` unless it was begun already; NULL: more bytes needed. */
static int read_reply(struct reply_reader *r, redisReplyObjectFunctions *fn, void **reply,
                      struct err *err)
{
    *reply = NULL;
    if (r->reader->ridx == -1) { /* between two replies */
        r->reader->fn = fn;
    }
    if (redisReaderGetReply(r->reader, reply) != REDIS_OK) {
        return reader_broken(r, err);
    }
    if (*reply == NULL && is_endless_line(r)) {
        return err_set(err, ERR_PROTOCOL, "sent a line of more than %zu bytes", REPLY_LINE_MAX);
    }
    if (*reply != NULL) {
        r->bytes = 0;
        r->elements = 0;
    }
    return 0;
}

static int next(struct reply_reader *r, redisReplyObjectFunctions *fn, struct redisReply **out,
                struct err *err)
{
    void *reply = NULL;
    int rc = read_reply(r, fn, &reply, err);

    BUG_ON(reply == &nothing);
    *out = reply;
    return rc;
}

int reply_reader_next(struct reply_reader *r, struct redisReply **out, struct err *err)
{
    return next(r, &r->bounded, out, err);
}

int reply_reader_next_brief(struct reply_reader *r, struct redisReply **out, struct err *err)
{
    return next(r, &r->brief, out, err);
}

/* What a transaction answers to each of its commands is taken off without hiredis: one memcmp. */
static bool skip_queued(struct reply_reader *r)
{
    static const char queued[] = "+QUEUED\r\n";
    size_t len = sizeof(queued) - 1;
    redisReader *reader = r->reader;

    if (reader->ridx != -1 || reader->err != 0 || reader->len - reader->pos < len ||
        memcmp(reader->buf + reader->pos, queued, len) != 0) {
        return false;
    }
    reader->pos += len; /* hiredis gives the bytes up with the next reply that it reads itself */
    r->bytes = 0;
    return true;
}

int reply_reader_skip(struct reply_reader *r, bool *done, struct err *err)
{
    void *reply = NULL;

    if (skip_queued(r)) {
        *done = true;
        return 0;
    }
    int rc = read_reply(r, &r->skipped, &reply, err);
    *done = reply != NULL;
    if (*done && reply != &nothing) { /* begun before it was known that nobody wants it */
        const redisReply *whole = reply;
        if (whole->type == REDIS_REPLY_ERROR) {
            note_error(r, whole->str, (size_t)whole->len);
        }
        freeReplyObject(reply);
    }
    return rc;
}

const struct redisReply *reply_reader_skipped_error(const struct reply_reader *r)
{
    return r->skipped_error.str != NULL ? &r->skipped_error : NULL;
}

void reply_reader_forget(struct reply_reader *r)
{
    r->skipped_error.str = NULL;
}
