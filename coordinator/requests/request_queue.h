/* Request queue: requests that were read and not sent yet, taken in turn from all who asked.
 *
 *   add -> the lane of its `by` -> first / take: one of each lane, in turn; within a lane in the
 *                                  order of the stream
 *
 * So an asker with many requests delays nobody else. Administration has lanes of its own. A lane
 * holds a bounded number of entries and bytes, and all together hold REQUEST_QUEUE_SHARE times as
 * much. There are at most REQUEST_QUEUE_LANES; a further asker shares the emptiest. Owns the
 * requests in it. Pure. Loop thread only. */
#ifndef SHOAL_COORDINATOR_REQUEST_QUEUE_H
#define SHOAL_COORDINATOR_REQUEST_QUEUE_H

#include "coordinator/requests/request.h"

#define REQUEST_QUEUE_LANES 256
#define REQUEST_QUEUE_SHARE 8 /* lanes as full as allowed that fit in */

struct request_queue;

struct request_queue *request_queue_create(void);
void request_queue_destroy(struct request_queue *q);
/* What a lane may hold from now on (the settings request_limit and request_limit_bytes). */
void request_queue_limit(struct request_queue *q, uint64_t entries, uint64_t bytes);
/* Takes the request; or returns false, `why` says which bound is reached, and it stays the
 * caller's. */
MUST_USE bool request_queue_add(struct request_queue *q, struct request *r, char *why, size_t size);
/* The next in turn, which stays in; NULL: it is empty. */
struct request *request_queue_first(const struct request_queue *q);
/* Take out what request_queue_first returned: the caller's from now on. */
void request_queue_take(struct request_queue *q);
/* Forget all. */
void request_queue_clear(struct request_queue *q);

#endif
