/* Fuzz: RESP from a hostile Redis through every decoder of the registry's answers. */
#include "shared/redis/refusal.h"
#include "shared/redis/registry_reply.h"
#include "shared/redis/reply_reader.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Read every byte of a slice, so that a wrong one is found. */
static unsigned look(struct slice s)
{
    unsigned sum = 0;
    for (size_t i = 0; i < s.len; i++) {
        sum += (unsigned char)s.ptr[i];
    }
    return sum;
}

static unsigned look_at_shards(const struct registry_shard *shards, size_t n)
{
    unsigned sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += look(shards[i].id) + look(shards[i].user) + look(shards[i].sender);
        for (size_t k = 0; k < shards[i].nchannels; k++) {
            sum += look(shards[i].channels[k]);
        }
    }
    return sum;
}

static unsigned decode(const struct redisReply *reply)
{
    struct reply_memory memory = {0};
    struct registry_picture picture = {0};
    struct registry_holder holder = {0};
    struct registry_lead lead = {0};
    struct registry_claim claim = {0};
    struct registry_sends sends = {0};
    struct registry_listeners listeners = {0};
    struct registry_greeting greeting = {0};
    const struct registry_entry *entries;
    const uint64_t *waits;
    struct slice a;
    struct slice b;
    uint64_t revision;
    size_t n;
    unsigned sum = 0;

    if (reply_picture(reply, -1, &picture, &a, &memory, NULL) == 0 ||
        reply_portion(reply, &picture, &a, &memory, NULL) == 0) {
        sum += look(a);
        sum += look_at_shards(picture.held_changed, picture.nheld_changed);
        sum += look_at_shards(picture.served_changed, picture.nserved_changed);
    }
    if (reply_holder(reply, &holder, NULL) == 0) {
        sum += look(holder.host) + look(holder.pid);
    }
    if (reply_lead(reply, &lead, &memory, NULL) == 0 && lead.leading) {
        for (size_t i = 0; i < lead.nexpired; i++) {
            sum += look(lead.expired[i].node) + look(lead.expired[i].run_id);
        }
        for (size_t i = 0; i < lead.nidle; i++) {
            sum += look(lead.idle[i]);
        }
    }
    if (reply_sends(reply, &sends, &memory, NULL) == 0) {
        for (size_t i = 0; i < 2 * sends.n; i++) {
            sum += look(sends.sends[i]);
        }
    }
    if (reply_listeners(reply, &listeners, &memory, NULL) == 0 && listeners.ngone > 0) {
        sum += listeners.gone[listeners.ngone - 1];
    }
    if (reply_claim(reply, &claim, NULL) == 0) {
        sum += look(claim.send.text) + look(claim.route.shard) + look(claim.route.user) +
               look(claim.route.room_id);
    }
    if (reply_info(reply, &greeting, NULL) == 0) {
        sum += (unsigned)strlen(greeting.run_id) + (unsigned)strlen(greeting.redis_version);
    }
    if (reply_waits(reply, &waits, &n, &memory, NULL) == 0 && n > 0) {
        sum += (unsigned)waits[n - 1];
    }
    if (reply_entries(reply, &entries, &n, &memory, NULL) == 0 && n > 0) {
        sum += look(entries[n - 1].id) + look(registry_field(&entries[n - 1], "id"));
    }
    if (reply_word(reply, &a, &b, NULL) == 0) {
        sum += look(a);
    }
    sum += reply_version(reply, &revision, NULL) == 0;
    sum += refusal_of(reply) != NULL;
    reply_memory_finish(&memory);
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static volatile unsigned sink;
    struct reply_reader *reader = reply_reader_create();
    struct redisReply *reply = NULL;

    if (reply_reader_feed(reader, (const char *)data, size, NULL) == 0) {
        while (reply_reader_next(reader, &reply, NULL) == 0 && reply != NULL) {
            sink += decode(reply);
            freeReplyObject(reply);
        }
    }
    (void)sink;
    reply_reader_destroy(reader);
    return 0;
}
