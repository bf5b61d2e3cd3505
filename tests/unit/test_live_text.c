/* Live text: a client that applies each change to what it has holds the newest document. */
#include "coordinator/web/live_text.h"

#include "shared/json.h"

#include <stdio.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static struct live_text *texts;
static struct buf change;

static int setup(void **state)
{
    (void)state;
    texts = live_text_create();
    buf_init(&change, 1 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    live_text_destroy(texts);
    buf_finish(&change);
    return 0;
}

/* What is said of that document after the one before; the caller deletes it. */
static cJSON *take(const char *document)
{
    cJSON *doc = json_parse_object(slice_of(document));

    assert_non_null(doc);
    buf_clear(&change);
    live_text_take(texts, doc, &change);
    cJSON_Delete(doc);
    cJSON *told = json_parse_object(buf_slice(&change));
    assert_non_null(told);
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(told, "type")), "change");
    return told;
}

static cJSON *whole(void)
{
    struct buf out;

    buf_init(&out, 1 << 20);
    live_text_append_whole(texts, &out);
    buf_append_char(&out, '}');
    cJSON *told = json_parse_object(buf_slice(&out));
    buf_finish(&out);
    assert_non_null(told);
    cJSON_DeleteItemFromObject(told, "type");
    return told;
}

static void assert_text(const cJSON *object, const char *name, const char *expected)
{
    char *text = cJSON_PrintUnformatted(cJSON_GetObjectItemCaseSensitive(object, name));

    assert_string_equal(text != NULL ? text : "absent", expected);
    cJSON_free(text);
}

static void a_change_has_the_rows_and_members_that_are_others(void **state)
{
    (void)state;
    cJSON_Delete(take("{\"at\":1,\"health\":\"healthy\",\"stopped\":false,"
                      "\"nodes\":[{\"node\":\"n1\",\"shards\":1},{\"node\":\"n2\",\"shards\":2}],"
                      "\"shards\":[{\"shard\":\"s1\",\"lines_s\":3}],\"accounts\":[]}"));

    cJSON *told = take("{\"at\":2,\"health\":\"degraded\",\"stopped\":false,"
                       "\"nodes\":[{\"node\":\"n1\",\"shards\":1},{\"node\":\"n2\",\"shards\":3}],"
                       "\"shards\":[{\"shard\":\"s1\",\"lines_s\":3}],"
                       "\"accounts\":[{\"account\":\"bot\"}]}");

    assert_text(told, "at", "2");
    assert_text(told, "health", "\"degraded\"");
    assert_text(told, "stopped", "absent");
    assert_text(told, "nodes", "[{\"node\":\"n2\",\"shards\":3}]");
    assert_text(told, "shards", "[]");
    assert_text(told, "accounts", "[{\"account\":\"bot\"}]");
    assert_text(told, "gone", "{\"nodes\":[],\"shards\":[],\"accounts\":[]}");
    cJSON_Delete(told);
}

static void what_is_gone_is_named(void **state)
{
    (void)state;
    cJSON_Delete(take("{\"at\":1,\"nodes\":[{\"node\":\"n1\"},{\"node\":\"n2\"}],"
                      "\"shards\":[{\"shard\":\"s1\"}],\"more\":1}"));

    cJSON *told = take("{\"at\":1,\"nodes\":[{\"node\":\"n2\"}],\"shards\":[]}");

    assert_text(told, "gone", "{\"nodes\":[\"n1\"],\"shards\":[\"s1\"],\"accounts\":[]}");
    assert_text(told, "more", "null");
    cJSON_Delete(told);
    told = whole();
    assert_text(told, "nodes", "[{\"node\":\"n2\"}]");
    assert_text(told, "more", "absent");
    cJSON_Delete(told);
}

static void of_the_history_the_newest_point_is_told_once(void **state)
{
    (void)state;
    cJSON_Delete(take("{\"history\":{\"step_ms\":5000,\"at\":5000,\"lines_s\":[1],"
                      "\"lag_ms\":[null]}}"));

    cJSON *told = take("{\"history\":{\"step_ms\":5000,\"at\":10000,\"lines_s\":[1,7],"
                       "\"lag_ms\":[null,null]}}");
    assert_text(told, "point", "{\"lines_s\":7,\"lag_ms\":null}");
    assert_text(told, "history", "absent");
    cJSON_Delete(told);
    told = take("{\"history\":{\"step_ms\":5000,\"at\":10000,\"lines_s\":[1,7],"
                "\"lag_ms\":[null,null]}}");
    assert_text(told, "point", "absent");
    cJSON_Delete(told);

    told = whole();
    assert_text(told, "history",
                "{\"step_ms\":5000,\"at\":10000,\"lines_s\":[1,7],\"lag_ms\":[null,null]}");
    cJSON_Delete(told);
}

static void where_points_were_missed_the_history_is_told_whole(void **state)
{
    (void)state;
    cJSON_Delete(take("{\"history\":{\"step_ms\":5000,\"at\":5000,\"lines_s\":[1]}}"));
    cJSON *told = take("{\"history\":{\"step_ms\":5000,\"at\":10900,\"lines_s\":[1,2]}}");
    assert_text(told, "point", "{\"lines_s\":2}"); /* it came late, and none is missing */
    assert_text(told, "history", "absent");
    cJSON_Delete(told);
    told = take("{\"history\":{\"step_ms\":5000,\"at\":20000,\"lines_s\":[1,2,null,4]}}");
    assert_text(told, "point", "absent");
    assert_text(told, "history", "{\"step_ms\":5000,\"at\":20000,\"lines_s\":[1,2,null,4]}");
    cJSON_Delete(told);
}

static void bytes_of_others_stay_text(void **state)
{
    (void)state;
    cJSON_Delete(take("{\"nodes\":[{\"node\":\"n1\",\"error\":\"\\u001b[2J\xff\"}]}"));
    assert_null(strchr(change.data, '\x1b'));
    assert_null(strchr(change.data, '\xff'));
}

/* A document of random rows, of which a seed makes the same again. */
static void random_document(struct buf *out)
{
    static const char *const lists[][2] = {
        {"nodes", "node"}, {"shards", "shard"}, {"accounts", "account"}};
    struct json j;

    json_init(&j, out);
    json_object_begin(&j, NULL);
    json_number(&j, "at", (int64_t)random_below(1000));
    for (size_t i = 0; i < 3; i++) {
        json_array_begin(&j, lists[i][0]);
        for (unsigned row = 0; row < 6; row++) {
            char name[8];
            snprintf(name, sizeof(name), "r%u", row);
            if (random_below(3) > 0) {
                json_object_begin(&j, NULL);
                json_string(&j, lists[i][1], name);
                json_number(&j, "value", (int64_t)random_below(3));
                json_object_end(&j);
            }
        }
        json_array_end(&j);
    }
    json_bool(&j, "stopped", random_below(2) == 0);
    json_object_end(&j);
}

static void drop_row(cJSON *rows, const char *key, const char *name)
{
    for (int i = cJSON_GetArraySize(rows) - 1; i >= 0; i--) {
        const cJSON *field = cJSON_GetObjectItem(cJSON_GetArrayItem(rows, i), key);
        if (strcmp(field->valuestring, name) == 0) {
            cJSON_DeleteItemFromArray(rows, i);
        }
    }
}

/* What a page does. */
static void apply(cJSON *mine, cJSON *told)
{
    static const char *const lists[][2] = {
        {"nodes", "node"}, {"shards", "shard"}, {"accounts", "account"}};
    const cJSON *each;

    for (size_t i = 0; i < 3; i++) {
        cJSON *rows = cJSON_GetObjectItem(mine, lists[i][0]);
        cJSON *fresh = cJSON_DetachItemFromObject(told, lists[i][0]);
        cJSON_ArrayForEach(each,
                           cJSON_GetObjectItem(cJSON_GetObjectItem(told, "gone"), lists[i][0]))
        {
            drop_row(rows, lists[i][1], each->valuestring);
        }
        while (fresh->child != NULL) {
            cJSON *row = cJSON_DetachItemFromArray(fresh, 0);
            drop_row(rows, lists[i][1], cJSON_GetObjectItem(row, lists[i][1])->valuestring);
            cJSON_AddItemToArray(rows, row);
        }
        cJSON_Delete(fresh);
    }
    cJSON_ArrayForEach(each, told)
    {
        if (strcmp(each->string, "type") != 0 && strcmp(each->string, "gone") != 0) {
            cJSON_DeleteItemFromObject(mine, each->string);
            cJSON_AddItemToObject(mine, each->string, cJSON_Duplicate(each, true));
        }
    }
}

/* Rows may stand in another order. */
static bool same(const cJSON *a, const cJSON *b)
{
    const cJSON *each;
    const cJSON *other;

    if (!cJSON_IsArray(a)) {
        return cJSON_Compare(a, b, true);
    }
    cJSON_ArrayForEach(each, a)
    {
        bool found = false;
        cJSON_ArrayForEach(other, b)
        {
            found = found || cJSON_Compare(each, other, true);
        }
        if (!found) {
            return false;
        }
    }
    return cJSON_GetArraySize(a) == cJSON_GetArraySize(b);
}

static void changes_applied_give_the_document(void **state)
{
    (void)state;
    cJSON *mine = NULL;
    struct buf doc;

    buf_init(&doc, 1 << 16);
    for (int round = 0; round < 200; round++) {
        buf_clear(&doc);
        random_document(&doc);
        cJSON *told = take(doc.data);
        if (mine == NULL) {
            mine = whole();
        } else {
            apply(mine, told);
        }
        cJSON_Delete(told);
        cJSON *expected = json_parse_object(buf_slice(&doc));
        const cJSON *member;
        cJSON_ArrayForEach(member, expected)
        {
            assert_true(same(member, cJSON_GetObjectItem(mine, member->string)));
        }
        assert_int_equal(cJSON_GetArraySize(expected), cJSON_GetArraySize(mine));
        cJSON_Delete(expected);
    }
    cJSON_Delete(mine);
    buf_finish(&doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_change_has_the_rows_and_members_that_are_others, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_is_gone_is_named, setup, teardown),
        cmocka_unit_test_setup_teardown(of_the_history_the_newest_point_is_told_once, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(where_points_were_missed_the_history_is_told_whole, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(bytes_of_others_stay_text, setup, teardown),
        cmocka_unit_test_setup_teardown(changes_applied_give_the_document, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
