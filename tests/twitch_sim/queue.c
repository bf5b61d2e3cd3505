/* A queue that moves its content to the front only when the back is reached: consuming is cheap. */
#include "tests/twitch_sim/queue.h"

#include <stdlib.h>
#include <string.h>

void queue_append(struct queue *q, const void *data, size_t len)
{
    if (q->head + q->len + len > q->cap) {
        if (q->head > 0) {
            memmove(q->data, q->data + q->head, q->len);
            q->head = 0;
        }
        if (q->len + len > q->cap) {
            q->cap = q->cap ? q->cap : 1024;
            while (q->cap < q->len + len) {
                q->cap *= 2;
            }
            q->data = xrealloc(q->data, q->cap);
        }
    }
    memcpy(q->data + q->head + q->len, data, len);
    q->len += len;
}

void queue_consume(struct queue *q, size_t n)
{
    q->head += n;
    q->len -= n;
    if (q->len == 0) {
        q->head = 0;
        if (q->cap > 8192) {
            free(q->data);
            memset(q, 0, sizeof(*q));
        }
    }
}

void queue_finish(struct queue *q)
{
    free(q->data);
    memset(q, 0, sizeof(*q));
}
