/* Registry hashes: fields in the order they come; of two of a name the last one counts. */
#include "shared/redis/registry_hash.h"

#include "shared/redis/registry_reply.h"

/* Fill in what the table knows, and `bad`. */
static void fill(const struct figure *figures, void *of, struct registry_hash *hash)
{
    for (size_t i = 0; i < hash->n; i += 2) {
        const struct figure *f = figure_find(figures, hash->word[i]);
        struct slice value = hash->word[i + 1];
        uint64_t number = 0;

        if (f == NULL || f->by == FIGURE_BY_READER) {
            continue;
        }
        void *at = (char *)of + f->offset;
        if (f->type == FIGURE_TEXT) {
            *(struct slice *)at = value;
        } else if (slice_to_u64(value, &number) && number <= READER_MOST) {
            *(uint64_t *)at = number;
        } else if (hash->bad == NULL && value.len > 0) {
            hash->bad = f->name;
        }
    }
}

int reply_hash(const struct redisReply *reply, const struct figure *figures, void *of,
               struct registry_hash *hash, struct reply_memory *memory, struct err *err)
{
    struct reader words = reader_of(reply);
    hash->word = reply_rest(&words, memory, &hash->n);
    words.bad = words.bad || hash->n % 2 != 0;
    int rc = reply_end(&words, err, "HGETALL");
    if (rc == 0) {
        fill(figures, of, hash);
    }
    return rc;
}
