/* Fuzz: what a hostile Redis answers to shoalctl, as RESP and as the JSON of a reply, up to what is printed. */
#include "coordinator/ctl/ask.h"
#include "coordinator/ctl/ctl.h"
#include "coordinator/ctl/table.h"
#include "coordinator/status/records.h"
#include "shared/redis/registry_reply.h"
#include "shared/redis/reply_reader.h"
#include "shared/text.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct table_column columns[] = {
    {"A", "a", false}, {"AT", "at", true}, {"B", "b", false}};

/* Nothing that a terminal obeys but the line ends of ours. */
static void look_at_text(const char *text, size_t len)
{
    for (size_t i = 0; i < len;) {
        bool safe;
        size_t bytes = text_char(text + i, len - i, &safe);
        BUG_ON(!safe && text[i] != '\n');
        i += bytes;
    }
}

static void show(const cJSON *record)
{
    cJSON *records = cJSON_CreateArray();
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    BUG_ON(!out);
    cJSON_AddItemReferenceToArray(records, (cJSON *)record);
    table_print(out, 0, columns, ARRAY_LEN(columns), records);
    (void)fclose(out);
    look_at_text(text, len);
    free(text);
    cJSON_Delete(records);
}

static void look_at_reply(struct redisReply *reply)
{
    struct figures_shard shard = {0};
    struct registry_hash hash = {0};
    struct reply_memory memory = {0};
    cJSON *record = cJSON_CreateObject();
    struct wall now = {0};

    if (reply_hash(reply, figures_of_shard, &shard, &hash, &memory, NULL) == 0) {
        records_add_hash(record, &hash, figures_of_shard);
        BUG_ON(shard.lag_ms > READER_MOST);
    }
    show(record);
    cJSON_Delete(record);
    reply_memory_finish(&memory);
    BUG_ON(reply_time(reply, &now, NULL) == 0 && now.ms > INT64_MAX);
    struct reader r = reader_of(reply);
    while (reader_left(&r) > 0) {
        BUG_ON(strlen(reader_text(&r)) > 1 << 20);
    }
}

static void look_at_json(const uint8_t *data, size_t size)
{
    struct registry_outcome outcome;

    registry_outcome_read((struct slice){(const char *)data, size}, &outcome);
    for (size_t i = 0; i < outcome.refused.n; i++) {
        BUG_ON(!outcome.refused.item[i].name || !outcome.refused.item[i].text);
    }
    if (outcome.valid) {
        show(outcome.tree);
    }
    registry_outcome_finish(&outcome);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reply_reader *reader = reply_reader_create();
    struct redisReply *reply = NULL;

    if (reply_reader_feed(reader, (const char *)data, size, NULL) == 0) {
        while (reply_reader_next(reader, &reply, NULL) == 0 && reply != NULL) {
            look_at_reply(reply);
            freeReplyObject(reply);
        }
    }
    reply_reader_destroy(reader);
    look_at_json(data, size);
    return 0;
}
