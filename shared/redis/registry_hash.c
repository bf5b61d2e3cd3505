/* Registry hashes: fields in the order they come; of two of a name the last one counts. */
#include "shared/redis/registry_hash.h"

#include "shared/redis/registry_reply.h"

const struct hash_field *registry_hash_field(const struct hash_field *fields, struct slice name)
{
    while (fields->name != NULL && !slice_is(name, fields->name)) {
        fields++;
    }
    return fields->name != NULL ? fields : NULL;
}

/* Fill in what the table knows, and `bad`. */
static void fill(const struct hash_field *fields, struct registry_hash *hash)
{
    for (size_t i = 0; i < hash->n; i += 2) {
        const struct hash_field *field = registry_hash_field(fields, hash->word[i]);
        struct slice value = hash->word[i + 1];
        void *at = (char *)hash + (field != NULL ? field->offset : 0);
        uint64_t number = 0;

        if (field == NULL) {
            continue;
        }
        if (field->type == HASH_TEXT) {
            *(struct slice *)at = value;
        } else if (slice_to_u64(value, &number) && number <= READER_MOST) {
            *(uint64_t *)at = number;
        } else if (hash->bad == NULL && value.len > 0) {
            hash->bad = field->name;
        }
    }
}

int reply_hash(const struct redisReply *reply, const struct hash_field *fields,
               struct registry_hash *hash, struct reply_memory *memory, struct err *err)
{
    int rc = reply_check(reply, err);
    if (rc != 0) {
        return rc;
    }
    struct reader words = reader_of(reply);
    hash->word = reply_rest(&words, memory, &hash->n);
    if (words.bad || hash->n % 2 != 0) {
        return reply_broken(err, "HGETALL");
    }
    fill(fields, hash);
    return 0;
}
