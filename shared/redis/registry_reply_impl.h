/* What the decoders of answers share. Used by registry_reply*.c only. */
#ifndef SHOAL_REDIS_REGISTRY_REPLY_IMPL_H
#define SHOAL_REDIS_REGISTRY_REPLY_IMPL_H

#include "shared/redis/reader.h"
#include "shared/redis/registry_reply.h"

/* Zeroed memory that lives as long as the answer; NULL for none. */
void *reply_memory_take(struct reply_memory *memory, size_t count, size_t size);
/* All that is left, as slices; and the next array, as slices. */
const struct slice *reply_rest(struct reader *r, struct reply_memory *memory, size_t *n);
const struct slice *reply_slices(struct reader *r, struct reply_memory *memory, size_t *n);
/* "Redis's answer to WHAT is not what Shoal expects" */
int reply_broken(struct err *err, const char *what);

#endif
