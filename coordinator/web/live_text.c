/* Live text: rows by name in hash tables, each with the text it was last sent as. */
#include "coordinator/web/live_text.h"

#include "shared/json.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define ROW_BYTES ((size_t)16 << 20) /* of one row, or member: what is larger is not told */

struct row {
    UT_hash_handle hh;
    uint64_t round; /* it was there in */
    char *text;
    char *name;
};

/* Rows of a list, or the members of the document. */
enum { NODES, SHARDS, ACCOUNTS, LISTS, MEMBERS = LISTS, PARTS };
static const struct {
    const char *list;
    const char *name; /* the field a row is known by */
} lists[LISTS] = {{"nodes", "node"}, {"shards", "shard"}, {"accounts", "account"}};

struct live_text {
    struct row *rows[PARTS];
    uint64_t round;
    double history_at; /* its newest point */
    struct buf text;   /* of the row that is looked at */
};

struct live_text *live_text_create(void)
{
    struct live_text *t = xcalloc(1, sizeof(*t));

    buf_init(&t->text, ROW_BYTES);
    return t;
}

static void row_free(struct live_text *t, int part, struct row *row)
{
    HASH_DEL(t->rows[part], row);
    free(row->text);
    free(row->name);
    free(row);
}

void live_text_destroy(struct live_text *t)
{
    struct row *row;
    struct row *next;

    for (int part = 0; t != NULL && part < PARTS; part++) {
        HASH_ITER(hh, t->rows[part], row, next)
        {
            row_free(t, part, row);
        }
    }
    if (t != NULL) {
        buf_finish(&t->text);
    }
    free(t);
}

/* The row of that name is there in this round, as `item`. Its text where that is another than
 * before, else NULL. */
static const char *row_take(struct live_text *t, int part, const char *name, const cJSON *item)
{
    struct row *row;

    buf_clear(&t->text);
    json_append_tree(&t->text, item);
    HASH_FIND_STR(t->rows[part], name, row);
    if (t->text.overflow) {
        return NULL;
    }
    if (row == NULL) {
        row = xcalloc(1, sizeof(*row));
        row->name = xstrdup(name);
        HASH_ADD_KEYPTR(hh, t->rows[part], row->name, strlen(row->name), row);
    }
    row->round = t->round;
    if (row->text != NULL && strcmp(row->text, t->text.data) == 0) {
        return NULL;
    }
    free(row->text);
    row->text = xstrndup(t->text.data, t->text.len);
    return row->text;
}

/* The members that are rows: those that changed. */
static void take_list(struct live_text *t, int part, const cJSON *document, struct json *j)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(document, lists[part].list);
    const cJSON *item;

    json_array_begin(j, lists[part].list);
    cJSON_ArrayForEach(item, list)
    {
        const cJSON *name = cJSON_GetObjectItemCaseSensitive(item, lists[part].name);
        const char *text = cJSON_IsString(name) ? row_take(t, part, name->valuestring, item) : NULL;
        if (text != NULL) {
            json_raw(j, NULL, slice_of(text));
        }
    }
    json_array_end(j);
}

/* Names of the rows that are not there any more, which are forgotten. */
static void take_gone(struct live_text *t, int part, struct json *j)
{
    struct row *row;
    struct row *next;

    json_array_begin(j, lists[part].list);
    HASH_ITER(hh, t->rows[part], row, next)
    {
        if (row->round != t->round) {
            json_string(j, NULL, row->name);
            row_free(t, part, row);
        }
    }
    json_array_end(j);
}

/* The newest of each series, where there is a newer one than was told; all of it where several are:
 * a point comes each step, give or take a round of the reader. */
static void take_history(struct live_text *t, const cJSON *history, struct json *j)
{
    const cJSON *at = cJSON_GetObjectItemCaseSensitive(history, "at");
    double step_ms = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(history, "step_ms"));
    const char *whole = row_take(t, MEMBERS, "history", history);
    const cJSON *series;

    if (whole == NULL || !cJSON_IsNumber(at) || at->valuedouble == t->history_at) {
        return;
    }
    bool missed = at->valuedouble - t->history_at > 1.5 * step_ms;
    t->history_at = at->valuedouble;
    if (missed) {
        json_raw(j, "history", slice_of(whole));
        return;
    }
    json_object_begin(j, "point");
    cJSON_ArrayForEach(series, history)
    {
        const cJSON *last =
            cJSON_IsArray(series) && series->child != NULL ? series->child->prev : NULL;
        if (last != NULL) {
            buf_clear(&t->text);
            json_append_tree(&t->text, last);
            json_raw(j, series->string, slice_of(t->text.data));
        }
    }
    json_object_end(j);
}

static bool is_list(const char *name)
{
    for (int part = 0; part < LISTS; part++) {
        if (strcmp(name, lists[part].list) == 0) {
            return true;
        }
    }
    return false;
}

static void take_members(struct live_text *t, const cJSON *document, struct json *j)
{
    const cJSON *member;
    struct row *row;
    struct row *next;

    cJSON_ArrayForEach(member, document)
    {
        if (strcmp(member->string, "history") == 0) {
            take_history(t, member, j);
        } else if (!is_list(member->string)) {
            const char *text = row_take(t, MEMBERS, member->string, member);
            if (text != NULL) {
                json_raw(j, member->string, slice_of(text));
            }
        }
    }
    HASH_ITER(hh, t->rows[MEMBERS], row, next)
    {
        if (row->round != t->round) {
            json_raw(j, row->name, slice_of("null"));
            row_free(t, MEMBERS, row);
        }
    }
}

void live_text_take(struct live_text *t, const cJSON *document, struct buf *change)
{
    struct json j;

    t->round++;
    json_init(&j, change);
    json_object_begin(&j, NULL);
    json_string(&j, "type", "change");
    take_members(t, document, &j);
    for (int part = 0; part < LISTS; part++) {
        take_list(t, part, document, &j);
    }
    json_object_begin(&j, "gone");
    for (int part = 0; part < LISTS; part++) {
        take_gone(t, part, &j);
    }
    json_object_end(&j);
    json_object_end(&j);
}

void live_text_append_whole(const struct live_text *t, struct buf *out)
{
    const struct row *row;
    struct json j;

    json_init(&j, out);
    json_object_begin(&j, NULL);
    json_string(&j, "type", "status");
    for (row = t->rows[MEMBERS]; row != NULL; row = row->hh.next) {
        json_raw(&j, row->name, slice_of(row->text));
    }
    for (int part = 0; part < LISTS; part++) {
        json_array_begin(&j, lists[part].list);
        for (row = t->rows[part]; row != NULL; row = row->hh.next) {
            json_raw(&j, NULL, slice_of(row->text));
        }
        json_array_end(&j);
    }
}
