/* Reader: walks one array of a reply from Redis, checking types.
 *
 * What Redis sends is input. Reading past the array's end, or reading another type than is there, marks the reader
 * *bad* and gives zero or the empty text; so a decoder reads everything and looks at `bad` once, at the end. What is
 * read points into the reply. */
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
/* The same, not below 0. */
uint64_t reader_u64(struct reader *r);

#endif
