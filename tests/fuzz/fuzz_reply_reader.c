/* Fuzz: RESP of a hostile Redis, as it comes: in pieces, and with replies that nobody wants.
 *
 * The first byte of the input says how the rest is cut. What must hold: however it is cut, the same replies come and
 * the same word about what is none; as many are passed over, up to the same word, where nobody wants them; and the
 * first error passed over is the first that would have been told. */
#include "shared/redis/link.h"
#include "shared/redis/reply_reader.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    size_t replies;
    bool refused;    /* there was an error reply, in arrays too */
    char error[301]; /* the first of them */
    struct err why;  /* what ended it */
};

/* Every byte is read, so that a wrong one is found. */
static void look(const struct redisReply *reply, struct seen *seen)
{
    static volatile unsigned sink;
    struct slice text = reply_slice(reply);

    for (size_t i = 0; i < text.len; i++) {
        sink += (unsigned char)text.ptr[i];
    }
    if (reply->type == REDIS_REPLY_ERROR && !seen->refused) {
        seen->refused = true;
        size_t len = text.len < sizeof(seen->error) ? text.len : sizeof(seen->error) - 1;
        memcpy(seen->error, text.ptr, len);
    }
    /* Of an array, or of what newer protocols have. */
    for (size_t i = 0; i < reply->elements; i++) {
        look(reply->element[i], seen);
    }
}

enum way { MADE, BRIEF, SKIPPED };

/* The next one; false: more bytes are needed, or it is over. */
static bool next(struct reply_reader *reader, enum way way, struct seen *seen)
{
    struct redisReply *reply = NULL;
    bool done = false;

    if (way == SKIPPED) {
        return reply_reader_skip(reader, &done, &seen->why) == 0 && done;
    }
    int rc = way == BRIEF ? reply_reader_next_brief(reader, &reply, &seen->why)
                          : reply_reader_next(reader, &reply, &seen->why);
    if (rc != 0 || reply == NULL) {
        return false;
    }
    if (way == BRIEF) { /* of an array the last alone is there */
        for (size_t i = 0; i + 1 < reply->elements; i++) {
            const redisReply *element = reply->element[i];
            BUG_ON(element != NULL && element->type != REDIS_REPLY_ERROR);
        }
        if (reply->elements > 0) {
            look(reply->element[reply->elements - 1], seen);
        }
    } else {
        look(reply, seen);
    }
    freeReplyObject(reply);
    return true;
}

static void read_all(struct slice bytes, size_t piece, enum way way, struct seen *seen)
{
    struct reply_reader *reader = reply_reader_create();

    *seen = (struct seen){0};
    while (bytes.len > 0 && seen->why.code == ERR_OK) {
        size_t n = bytes.len < piece ? bytes.len : piece;
        if (reply_reader_feed(reader, bytes.ptr, n, &seen->why) == 0) {
            while (next(reader, way, seen)) {
                seen->replies++;
            }
        }
        bytes = (struct slice){bytes.ptr + n, bytes.len - n};
    }
    if (way == SKIPPED && reply_reader_skipped_error(reader) != NULL) {
        const struct redisReply *error = reply_reader_skipped_error(reader);
        seen->refused = true;
        BUG_ON((size_t)error->len >= sizeof(seen->error));
        memcpy(seen->error, error->str, (size_t)error->len);
    }
    reply_reader_destroy(reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct seen whole;
    struct seen cut;
    struct seen skipped;
    struct seen brief;

    if (size < 2) {
        return 0;
    }
    struct slice bytes = {(const char *)data + 1, size - 1};
    read_all(bytes, bytes.len, MADE, &whole);
    read_all(bytes, (size_t)data[0] % 61 + 1, MADE, &cut);
    read_all(bytes, (size_t)data[0] % 61 + 1, SKIPPED, &skipped);
    read_all(bytes, (size_t)data[0] % 61 + 1, BRIEF, &brief);
    BUG_ON(whole.replies != brief.replies || whole.why.code != brief.why.code);
    BUG_ON(whole.replies != cut.replies || whole.replies != skipped.replies);
    BUG_ON(whole.why.code != cut.why.code || whole.why.code != skipped.why.code);
    BUG_ON(whole.refused != cut.refused || strcmp(whole.error, cut.error) != 0);
    /* One that is passed over is told as soon as it is read, be the reply round it whole or not. */
    BUG_ON(whole.refused && (!skipped.refused || strcmp(whole.error, skipped.error) != 0));
    return 0;
}
