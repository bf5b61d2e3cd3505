/* Reply reader: hiredis's parser with bounds, for a server that is not to be trusted.
 *
 * A reply may have REPLY_BYTES_MAX bytes, announce REPLY_ELEMENTS_MAX array elements (so that its
 * objects take no more memory than its bytes), have lines (an error, a number, a length) of
 * REPLY_LINE_MAX bytes, and arrays in arrays REPLY_DEPTH_MAX deep; more is a protocol error. Owns
 * what it was fed; gives the replies. */
#ifndef SHOAL_REDIS_REPLY_READER_H
#define SHOAL_REDIS_REPLY_READER_H

#include "shared/err.h"

#include <hiredis/hiredis.h>

#define REPLY_BYTES_MAX    ((size_t)64 * 1024 * 1024)
#define REPLY_ELEMENTS_MAX ((size_t)1024 * 1024)
#define REPLY_LINE_MAX     ((size_t)64 * 1024)
#define REPLY_DEPTH_MAX    7u /* hiredis 0.14 can no more than 8; entries read in EXEC are 5 deep */

struct reply_reader;

struct reply_reader *reply_reader_create(void);
/* NULL is fine. */
void reply_reader_destroy(struct reply_reader *r);
/* Hand in bytes; they are copied. 0, or -ERR_PROTOCOL. */
MUST_USE int reply_reader_feed(struct reply_reader *r, const char *data, size_t len,
                               struct err *err);
/* The next whole reply, for freeReplyObject; NULL: more bytes needed. 0, or -ERR_PROTOCOL. */
MUST_USE int reply_reader_next(struct reply_reader *r, struct redisReply **out, struct err *err);
/* The same; where it is an array, of its elements the last alone is made, and those that are
 * errors, the others are NULL: of what EXEC answers, nobody wants more. */
MUST_USE int reply_reader_next_brief(struct reply_reader *r, struct redisReply **out,
                                     struct err *err);
/* Pass over the next whole reply without making objects of it: 65 of the 66 replies of a
 * transaction say nothing. *done false: more bytes needed, then skip again before anything else. 0,
 * or -ERR_PROTOCOL. */
MUST_USE int reply_reader_skip(struct reply_reader *r, bool *done, struct err *err);
/* The first error reply among those skipped since the last reply_reader_forget, cut at 300 bytes;
 * NULL: none. Owned by the reader. */
const struct redisReply *reply_reader_skipped_error(const struct reply_reader *r);
void reply_reader_forget(struct reply_reader *r);

#endif
