/* Registry hashes: a hash of Redis in a struct, by a table.
 *
 * The table says of each field how it is called, what it is, and where it goes. What Redis holds is
 * input: a field that should be a number and is none counts as 0 and is told in `bad`; one that no
 * table knows stays in `word`. */
#ifndef SHOAL_REDIS_REGISTRY_HASH_H
#define SHOAL_REDIS_REGISTRY_HASH_H

#include "shared/err.h"

struct redisReply;
struct reply_memory;

enum hash_type { HASH_TEXT, HASH_NUMBER };

/* One field. */
struct hash_field {
    const char *name; /* in Redis */
    enum hash_type type;
    size_t offset; /* in the struct: of a slice, or a uint64_t */
};

/* A hash as Redis has it, the first member of such a struct: name and value in turn. Each ends in a
 * NUL. */
struct registry_hash {
    size_t n; /* words */
    const struct slice *word;
    const char *bad; /* the first field that should be a number and is none, or NULL */
};

/* The row of a field, or NULL; the table ends with a row without name. */
const struct hash_field *registry_hash_field(const struct hash_field *fields, struct slice name);
/* HGETALL's answer into the struct that begins with `hash`: its words (of `memory`), and what the
 * table knows. 0, or the reply's error, or -ERR_STRANGE. */
MUST_USE int reply_hash(const struct redisReply *reply, const struct hash_field *fields,
                        struct registry_hash *hash, struct reply_memory *memory, struct err *err);

#endif
