/* Registry hashes: a hash of Redis in a struct, by a table of figures.
 *
 * What Redis holds is input: a field that should be a number and is none leaves what was in the
 * struct, and is told in `bad`; one that no table knows stays in `word`. */
#ifndef SHOAL_REDIS_REGISTRY_HASH_H
#define SHOAL_REDIS_REGISTRY_HASH_H

#include "shared/err.h"
#include "shared/figures.h"

struct redisReply;
struct reply_memory;

/* A hash as Redis has it: name and value in turn. Each ends in a NUL. */
struct registry_hash {
    size_t n; /* words */
    const struct slice *word;
    const char *bad; /* the first field that should be a number and is none, or NULL */
};

/* HGETALL's answer: its words (of `memory`), and what the table knows into the struct `of` those
 * figures. 0, or the reply's error, or -ERR_STRANGE. */
MUST_USE int reply_hash(const struct redisReply *reply, const struct figure *figures, void *of,
                        struct registry_hash *hash, struct reply_memory *memory, struct err *err);

#endif
