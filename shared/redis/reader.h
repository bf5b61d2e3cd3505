/* Reader: walks one array of a reply from Redis, checking types.
 *
 * What Redis sends is input. Reading past the array's end, or reading another type than is there,
 * marks the reader *bad* and gives zero or the empty text; so a decoder reads everything and looks
 * at `bad` once, at the end. What is read points into the reply. */
#ifndef SHOAL_REDIS_READER_H
#define SHOAL_REDIS_READER_H

#include "shared/base.h"

struct redisReply;

struct reader {
    const struct redisReply *array;
    size_t at;
    bool bad;
};

/* At the first element; bad at once where the reply is NULL or no array. */
struct reader reader_of(const struct redisReply *reply);
/* Elements not read yet; 0 once it is bad. */
size_t reader_left(const struct reader *r);
/* The next element, whatever it is; NULL (and bad) at the end. */
const struct redisReply *reader_next(struct reader *r);
/* Text; a nil counts as the empty text (a field that is not set). */
struct slice reader_slice(struct reader *r);
/* The same as a C string, "" for a nil; what follows a NUL byte in it is not seen. */
const char *reader_text(struct reader *r);
/* An integer, or a text of digits. */
int64_t reader_i64(struct reader *r);
/* Numbers are counted with: none of ours comes near these. */
#define READER_MOST    ((int64_t)1 << 53)
#define READER_MOST_MS ((int64_t)24 * 60 * 60 * 1000)
/* The same, from 0 to READER_MOST. */
uint64_t reader_u64(struct reader *r);
/* The same, in ms, from 0 to READER_MOST_MS: no lease, wait or interval is longer than a day. */
uint64_t reader_duration(struct reader *r);

#endif
