/* Status case: a cluster in memory that is well, until a test changes it. */
#include "tests/lib/status_case.h"

struct records records;
struct cluster_state whole;
struct look look;
cJSON *document;

void setting(const char *name, const char *value)
{
    cJSON *old = (cJSON *)records_find(records.settings, "name", name);

    if (old != NULL) {
        cJSON_ReplaceItemInObject(old, "value", cJSON_CreateString(value));
        return;
    }
    cJSON *one = cJSON_CreateObject();
    cJSON_AddStringToObject(one, "name", name);
    cJSON_AddStringToObject(one, "value", value);
    cJSON_AddItemToArray(records.settings, one);
}

int begin_status(void **unused)
{
    (void)unused;
    whole = (struct cluster_state){
        .now = {NOW},
        .leader = {SLICE("c1"), SLICE("host"), 7, 5000},
        .rooms = 10,
    };
    records = (struct records){
        .settings = cJSON_CreateArray(),
        .nodes =
            cJSON_Parse("[{\"node\":\"n1\",\"state\":\"active\",\"shards\":1,\"buffer_bytes\":10,"
                        "\"buffer_limit\":100,\"error\":\"\"},"
                        "{\"node\":\"n2\",\"state\":\"active\"}]"),
        .shards = cJSON_Parse("[{\"shard\":\"initial-shard-1\",\"user\":\"alice\",\"node\":\"n1\","
                              "\"state\":\"ready\",\"channels\":10,\"joined\":10,\"queued\":0,"
                              "\"joining\":0,\"failed\":0,\"moved\":1699999990000}]"),
        .channels = cJSON_CreateArray(),
        .accounts = cJSON_Parse("[{\"account\":\"alice\",\"state\":\"usable\",\"ending\":0}]"),
        .readers = cJSON_Parse("[{\"reader\":\"alice\",\"rooms\":10,\"limit\":100}]"),
        .state = &whole,
    };
    setting("user", "alice");
    setting("speaker", "");
    setting("speaker_shard_count", "1");
    setting("channels_per_shard", "25");
    setting("max_shard_count", "5");
    setting("room_limit", "100");
    setting("join_limit", "20");
    setting("join_window_ms", "11000");
    setting("login_limit", "20");
    setting("login_window_ms", "11000");
    setting("message_limit", "20");
    setting("message_mod_limit", "100");
    setting("message_window_ms", "32000");
    look = (struct look){.n = 1, .finding = {{LOOK_RIGHT, "persistence", "", "appendonly is on"}}};
    return 0;
}

int end_status(void **unused)
{
    (void)unused;
    cJSON_Delete(document);
    document = NULL;
    cJSON_Delete(records.settings);
    cJSON_Delete(records.nodes);
    cJSON_Delete(records.shards);
    cJSON_Delete(records.channels);
    cJSON_Delete(records.accounts);
    cJSON_Delete(records.readers);
    return 0;
}

void make(void)
{
    cJSON_Delete(document);
    document = status_document(&(struct status_facts){&records, "main", &look});
}

const cJSON *member(const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(document, name);
}

void put_text(cJSON *array, const char *name, const char *value)
{
    cJSON_DeleteItemFromObject(array->child, name);
    cJSON_AddStringToObject(array->child, name, value);
}

void put_number(cJSON *array, const char *name, double value)
{
    cJSON_DeleteItemFromObject(array->child, name);
    cJSON_AddNumberToObject(array->child, name, value);
}
