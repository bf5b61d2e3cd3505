/* Queue: bytes in at the back, out at the front. The reader takes data + head, len bytes. */
#ifndef SIM_QUEUE_H
#define SIM_QUEUE_H

#include "shared/base.h"

struct queue {
    char *data;
    size_t head;
    size_t len;
    size_t cap;
};

void queue_append(struct queue *q, const void *data, size_t len);
/* Drop `n` bytes at the front (n <= len); an empty queue gives large memory back. */
void queue_consume(struct queue *q, size_t n);
void queue_finish(struct queue *q);

#endif
