/* Reply reader: hiredis believes any array size a server announces and collects a string of any size;
 * its createArray is wrapped here to count elements, and bytes are counted between whole replies. */
#include "shared/redis/reply_reader.h"

#include <stdlib.h>

struct reply_reader {
    redisReader *reader;
    redisReplyObjectFunctions bounded; /* hiredis's own, with our createArray */
    redisReplyObjectFunctions hiredis; /* hiredis's own */
    size_t bytes;                      /* fed since the last whole reply */
    size_t elements;                   /* announced by the reply being read */
};

#if HIREDIS_MAJOR >= 1
static void *create_array(const redisReadTask *task, size_t elements)
#else
static void *create_array(const redisReadTask *task, int elements)
#endif
{
    struct reply_reader *r = task->privdata;

    r->elements += (size_t)elements;
    if (r->elements > REPLY_ELEMENTS_MAX) {
        return NULL; /* hiredis turns this into an error */
    }
    return r->hiredis.createArray(task, elements);
}

struct reply_reader *reply_reader_create(void)
{
    struct reply_reader *r = xcalloc(1, sizeof(*r));

    r->reader = redisReaderCreate();
    BUG_ON(r->reader == NULL);
    r->hiredis = *r->reader->fn;
    r->bounded = r->hiredis;
    r->bounded.createArray = create_array;
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

int reply_reader_next(struct reply_reader *r, struct redisReply **out, struct err *err)
{
    void *reply = NULL;

    *out = NULL;
    if (redisReaderGetReply(r->reader, &reply) != REDIS_OK) {
        return reader_broken(r, err);
    }
    if (reply != NULL) {
        r->bytes = 0;
        r->elements = 0;
        *out = reply;
    }
    return 0;
}
