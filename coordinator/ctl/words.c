#include "coordinator/ctl/words.h"

#include "coordinator/ctl/table.h"
#include "coordinator/status/status.h"

#include <inttypes.h>
#include <stdlib.h>

#define BAR_MOST 40

void words_set(cJSON *record, const char *field, const char *text)
{
    cJSON_DeleteItemFromObjectCaseSensitive(record, field);
    cJSON_AddStringToObject(record, field, text);
}

void words_bar(cJSON *record, const char *field, uint64_t used, uint64_t most, size_t width)
{
    char bar[BAR_MOST + 3];

    BUG_ON(width > BAR_MOST);
    table_bar(used, most, width, bar);
    words_set(record, field, bar);
}

void words_share(cJSON *record, const char *field, uint64_t used, uint64_t most)
{
    char text[48];

    snprintf(text, sizeof(text), most > 0 ? "%" PRIu64 "/%" PRIu64 : "%" PRIu64, used, most);
    words_set(record, field, text);
}

void words_load(cJSON *shard, const cJSON *document, size_t width)
{
    const cJSON *settings = cJSON_GetObjectItemCaseSensitive(document, "settings");
    uint64_t most = strtoull(records_text(settings, "channels_per_shard"), NULL, 10);
    uint64_t channels = records_number(shard, "channels");

    if (status_speaks(shard)) {
        words_set(shard, "bar", "");
        words_set(shard, "of", "speaks");
    } else {
        words_bar(shard, "bar", channels, most, width);
        words_share(shard, "of", channels, most);
    }
}

void words_states(struct buf *out, const cJSON *document)
{
    const char *mark = ": ";
    const cJSON *state;

    cJSON_ArrayForEach(state, cJSON_GetObjectItemCaseSensitive(document, "states"))
    {
        buf_printf(out, "%s%.0f %s", mark, state->valuedouble, state->string);
        mark = ", ";
    }
}

uint64_t words_joins_left(const cJSON *joins)
{
    return records_number(joins, "assigned") + records_number(joins, "queued") +
           records_number(joins, "joining");
}

void words_in(uint64_t left_ms, char out[WORDS_IN_CHARS])
{
    char age[24];

    table_age(left_ms, age, sizeof(age));
    /* With no limit it takes no time. */
    snprintf(out, WORDS_IN_CHARS, "%s%s", left_ms >= 1000 ? ", in about " : "",
             left_ms >= 1000 ? age : "");
}
