/* Request queue: a ring of lanes; the first has its turn. */
#include "coordinator/requests/request_queue.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

struct request_lane {
    struct request_lane *prev;
    struct request_lane *next;
    char by[REQUEST_MAX_BY + 1];
    bool admin;
    struct request *requests;
    size_t n;
    size_t bytes;
};

struct request_queue {
    struct request_lane *lanes; /* with requests, the next in turn first */
    size_t nlanes;
    uint64_t entries; /* a lane may hold */
    uint64_t bytes;
    size_t all;
    size_t all_bytes;
};

struct request_queue *request_queue_create(void)
{
    struct request_queue *q = xcalloc(1, sizeof(*q));

    q->entries = UINT64_MAX / REQUEST_QUEUE_SHARE;
    q->bytes = UINT64_MAX / REQUEST_QUEUE_SHARE;
    return q;
}

void request_queue_destroy(struct request_queue *q)
{
    request_queue_clear(q);
    free(q);
}

void request_queue_limit(struct request_queue *q, uint64_t entries, uint64_t bytes)
{
    q->entries = entries;
    q->bytes = bytes;
}

/* The lane of who asked; the emptiest where there are as many as may be; NULL: there is none
 * yet. */
static struct request_lane *lane_of(const struct request_queue *q, const struct request *r)
{
    struct request_lane *lane;
    struct request_lane *emptiest = NULL;

    DL_FOREACH(q->lanes, lane)
    {
        if (lane->admin == r->is_admin && slice_is(r->by, lane->by)) {
            return lane;
        }
        if (lane->admin == r->is_admin && (emptiest == NULL || lane->bytes < emptiest->bytes)) {
            emptiest = lane;
        }
    }
    return q->nlanes < REQUEST_QUEUE_LANES ? NULL : emptiest;
}

/* Is there no room for it, and which bound says so? */
static bool is_over(const struct request_queue *q, const struct request_lane *lane,
                    const struct request *r, char *why, size_t size)
{
    size_t n = lane != NULL ? lane->n : 0;
    size_t bytes = lane != NULL ? lane->bytes : 0;

    if (n >= q->entries) {
        snprintf(why, size,
                 "Too many requests of \"%s\" wait already. (request_limit is %" PRIu64 ")",
                 lane->by, q->entries);
    } else if (bytes + r->bytes > q->bytes) {
        snprintf(why, size,
                 "Too much asked for by \"%.*s\" waits already. (request_limit_bytes is %" PRIu64
                 ")",
                 (int)r->by.len, r->by.ptr, q->bytes);
    } else if (q->all >= REQUEST_QUEUE_SHARE * q->entries) {
        snprintf(why, size,
                 "Too many requests wait already. (%d times request_limit, which is %" PRIu64 ")",
                 REQUEST_QUEUE_SHARE, q->entries);
    } else if (q->all_bytes + r->bytes > REQUEST_QUEUE_SHARE * q->bytes) {
        snprintf(why, size,
                 "Too much that is asked for waits already. (%d times request_limit_bytes, which "
                 "is %" PRIu64 ")",
                 REQUEST_QUEUE_SHARE, q->bytes);
    } else {
        return false;
    }
    return true;
}

bool request_queue_add(struct request_queue *q, struct request *r, char *why, size_t size)
{
    struct request_lane *lane = lane_of(q, r);

    if (is_over(q, lane, r, why, size)) {
        return false;
    }
    if (lane == NULL) {
        lane = xcalloc(1, sizeof(*lane));
        lane->admin = r->is_admin;
        snprintf(lane->by, sizeof(lane->by), "%.*s", (int)r->by.len,
                 r->by.ptr != NULL ? r->by.ptr : "");
        DL_APPEND(q->lanes, lane);
        q->nlanes++;
    }
    DL_APPEND(lane->requests, r);
    lane->n++;
    lane->bytes += r->bytes;
    q->all++;
    q->all_bytes += r->bytes;
    return true;
}

struct request *request_queue_first(const struct request_queue *q)
{
    return q->lanes != NULL ? q->lanes->requests : NULL;
}

void request_queue_take(struct request_queue *q)
{
    struct request_lane *lane = q->lanes;
    struct request *r = lane->requests;

    DL_DELETE(lane->requests, r);
    lane->n--;
    lane->bytes -= r->bytes;
    q->all--;
    q->all_bytes -= r->bytes;
    DL_DELETE(q->lanes, lane);
    if (lane->requests != NULL) {
        DL_APPEND(q->lanes, lane);
    } else {
        q->nlanes--;
        free(lane);
    }
}

void request_queue_clear(struct request_queue *q)
{
    while (q->lanes != NULL) {
        struct request *r = request_queue_first(q);
        request_queue_take(q);
        request_destroy(r);
    }
}
