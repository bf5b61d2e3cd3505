/* Fuzz: entries of the streams `requests` and `admin`, as Redis hands them on, up to the arguments of a step.
 *
 * What must hold: every slice lies in the request's own copy, and none is longer than it may be. */
#include "coordinator/requests/request.h"
#include "shared/redis/registry_reply.h"
#include "shared/redis/reply_reader.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look(const struct request *r, struct slice s, size_t most)
{
    BUG_ON(s.len > most);
    BUG_ON(s.len > 0 && (s.ptr < r->text || s.ptr + s.len > r->text + r->bytes));
}

static void take(const struct registry_entry *entry)
{
    struct request *r = request_create(entry);

    request_split(r);
    look(r, r->entry, entry->id.len);
    look(r, r->id, entry->id.len > REGISTRY_MAX_ID ? entry->id.len : REGISTRY_MAX_ID + 1);
    look(r, r->op, 32);
    look(r, r->by, REQUEST_MAX_BY);
    look(r, r->channels, SIZE_MAX);
    BUG_ON(r->nargs > REGISTRY_MAX_CHANNELS + 1);
    BUG_ON(r->is_admin && r->step != REQUEST_CONFIGURE);
    for (size_t i = 0; i < r->nargs; i++) {
        look(r, r->args[i], r->step == REQUEST_CONFIGURE ? 200 : 64);
    }
    request_destroy(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reply_reader *reader = reply_reader_create();
    struct redisReply *reply = NULL;

    if (reply_reader_feed(reader, (const char *)data, size, NULL) == 0) {
        while (reply_reader_next(reader, &reply, NULL) == 0 && reply != NULL) {
            struct reply_memory memory = {0};
            const struct registry_entry *entries;
            size_t n = 0;
            if (reply_entries(reply, &entries, &n, &memory, NULL) == 0) {
                for (size_t i = 0; i < n; i++) {
                    take(&entries[i]);
                }
            }
            reply_memory_finish(&memory);
            freeReplyObject(reply);
        }
    }
    reply_reader_destroy(reader);
    return 0;
}
