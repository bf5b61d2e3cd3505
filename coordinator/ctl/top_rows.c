/* Top, the tables: which columns they have, which rows are left, and in which order. */
#include "coordinator/ctl/top_private.h"
#include "coordinator/ctl/words.h"
#include "coordinator/status/records.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BAR_CHARS 10
#define NARROW    60 /* columns of a terminal that has no room for bars */
#define LEAST     8  /* columns of a text that is cut */

/* What is shown and not in the document -------------------------------------------------------- */

static void add_shard(cJSON *row, const struct top *t)
{
    words_load(row, t->document, BAR_CHARS);
}

static void add_node(cJSON *row, const struct top *t)
{
    uint64_t shards = records_number(row, "shards");
    uint64_t capacity = records_number(row, "capacity");

    (void)t;
    words_bar(row, "bar", shards, capacity, BAR_CHARS);
    words_share(row, "of", shards, capacity);
    words_bar(row, "buffer", records_number(row, "buffer_bytes"),
              records_number(row, "buffer_limit"), BAR_CHARS);
}

static void add_account(cJSON *row, const struct top *t)
{
    uint64_t rooms = records_number(row, "rooms");
    uint64_t most = records_number(row, "room_limit");
    char left[24];

    (void)t;
    words_bar(row, "bar", rooms, most, BAR_CHARS);
    words_share(row, "of", rooms, most);
    words_share(row, "messages", records_number(row, "messages_left"),
                records_number(row, "message_limit"));
    table_age(records_number(row, "left_ms"), left, sizeof(left));
    words_set(row, "left", cJSON_HasObjectItem(row, "left_ms") ? left : "");
}

/* How it does ---------------------------------------------------------------------------------- */

static enum top_style style_of(const cJSON *row, const char *good, const char *const *waits)
{
    const char *state = records_text(row, "state");

    if (strcmp(state, good) == 0) {
        return TOP_PLAIN;
    }
    for (; *waits != NULL; waits++) {
        if (strcmp(state, *waits) == 0) {
            return TOP_WAITS;
        }
    }
    return TOP_BAD;
}

static enum top_style style_of_shard(const cJSON *row)
{
    static const char *const waits[] = {"idle", "connecting", "authenticating", "draining", NULL};

    return style_of(row, "ready", waits);
}

static enum top_style style_of_node(const cJSON *row)
{
    static const char *const waits[] = {"proving", "draining", "leaving", NULL};

    return style_of(row, "active", waits);
}

static enum top_style style_of_account(const cJSON *row)
{
    static const char *const waits[] = {"new", NULL};

    return style_of(row, "usable", waits);
}

/* The tables ----------------------------------------------------------------------------------- */

static const struct top_column shards[] = {
    {{"SHARD", "shard", false}, "shard"},   {{"STATE", "state", false}, "state"},
    {{"LOAD", "bar", false}, "channels"},   {{"OF", "of", true}, "channels"},
    {{"JOINED", "joined", true}, "joined"}, {{"LINES/S", "lines_s", true}, "lines_s"},
    {{"NODE", "node", false}, "node"},      {{"USER", "user", false}, "user"},
    {{"QUEUED", "queued", true}, "queued"}, {{"FAILED", "failed", true}, "failed"},
    {{"LAG_MS", "lag_ms", true}, "lag_ms"}, {{"ERROR", "error", false}, "error"},
};

static const struct top_column nodes[] = {
    {{"NODE", "node", false}, "node"},
    {{"STATE", "state", false}, "state"},
    {{"LOAD", "bar", false}, "shards"},
    {{"SHARDS", "of", true}, "shards"},
    {{"LINES/S", "lines_s", true}, "lines_s"},
    {{"LATENCY", "latency_ms", true}, "latency_ms"},
    {{"LAG_MS", "lag_ms", true}, "lag_ms"},
    {{"BUFFER", "buffer", false}, "buffer_bytes"},
    {{"LEASE_MS", "lease_ms", true}, "lease_ms"},
    {{"HOST", "host", false}, "host"},
    {{"ERROR", "error", false}, "error"},
};

static const struct top_column accounts[] = {
    {{"ACCOUNT", "account", false}, "account"}, {{"STATE", "state", false}, "state"},
    {{"ROOMS", "bar", false}, "rooms"},         {{"OF", "of", true}, "rooms"},
    {{"SHARDS", "shards", true}, "shards"},     {{"MESSAGES", "messages", true}, "messages_left"},
    {{"LEFT", "left", true}, "left_ms"},        {{"SAY_BY", "say_by", false}, "say_by"},
    {{"ERROR", "error", false}, "error"},
};

const struct top_table top_tables[TOP_VIEWS] = {
    [TOP_SHARDS] = {"shards", shards, ARRAY_LEN(shards), 5, add_shard, style_of_shard},
    [TOP_NODES] = {"nodes", nodes, ARRAY_LEN(nodes), 4, add_node, style_of_node},
    [TOP_ACCOUNTS] = {"accounts", accounts, ARRAY_LEN(accounts), 0, add_account, style_of_account},
};

/* Bars go first where there is little room: what they show stands beside them. */
static bool is_bar(const struct table_column *column)
{
    return strcmp(column->field, "bar") == 0 || strcmp(column->field, "buffer") == 0;
}

void top_columns(const struct top *t, const cJSON *rows, size_t width, struct top_columns *out)
{
    const struct top_table *table = &top_tables[t->view];
    size_t widths[TABLE_MAX_COLUMNS];
    size_t used = 0;
    size_t n = 0;

    for (size_t i = 0; i < table->n; i++) {
        bool sorts = i == t->sort[t->view];
        struct table_column column = table->columns[i].shown;
        if (width < NARROW && is_bar(&column)) {
            continue;
        }
        snprintf(out->titles[n], sizeof(out->titles[n]), "%s%s", column.title,
                 !sorts               ? ""
                 : t->turned[t->view] ? "^"
                                      : "v");
        column.title = out->titles[n];
        out->shown[n++] = column;
    }
    table_widths(out->shown, n, rows, widths);
    /* The last one may be cut. */
    for (out->n = 0; out->n < n; out->n++) {
        size_t least = out->shown[out->n].right || widths[out->n] < LEAST ? widths[out->n] : LEAST;
        if (out->n > 0 && used + least > width) {
            return;
        }
        used += widths[out->n] + 2;
    }
}

/* Rows ----------------------------------------------------------------------------------------- */

/* Is the text in one of the columns? */
static bool has(const struct top_table *table, const cJSON *row, const char *text)
{
    for (size_t i = 0; i < table->n; i++) {
        if (strcasestr(records_text(row, table->columns[i].by), text) != NULL) {
            return true;
        }
    }
    return false;
}

struct order {
    const char *by;
    const char *name; /* where they are alike */
    bool turned;
};

static int compare(const cJSON *a, const cJSON *b, const char *field)
{
    const cJSON *left = cJSON_GetObjectItemCaseSensitive(a, field);
    const cJSON *right = cJSON_GetObjectItemCaseSensitive(b, field);

    if (cJSON_IsString(left) || cJSON_IsString(right)) {
        return strcmp(records_text(a, field), records_text(b, field));
    }
    /* Of numbers the largest is the first. */
    double x = cJSON_IsNumber(left) ? left->valuedouble : -1;
    double y = cJSON_IsNumber(right) ? right->valuedouble : -1;
    return (x < y) - (x > y);
}

static int by_order(const void *left, const void *right, void *ctx)
{
    const cJSON *a = *(const cJSON *const *)left;
    const cJSON *b = *(const cJSON *const *)right;
    const struct order *order = ctx;
    int first = compare(a, b, order->by);

    if (first != 0) {
        return order->turned ? -first : first;
    }
    return compare(a, b, order->name);
}

cJSON *top_rows(const struct top *t, const cJSON *all)
{
    const struct top_table *table = &top_tables[t->view];
    struct order order = {table->columns[t->sort[t->view]].by, table->columns[0].by,
                          t->turned[t->view]};
    const cJSON **some = xcalloc((size_t)cJSON_GetArraySize(all) + 1, sizeof(const cJSON *));
    cJSON *rows = cJSON_CreateArray();
    const cJSON *row;
    size_t n = 0;

    cJSON_ArrayForEach(row, all)
    {
        if (has(table, row, t->filter)) {
            some[n++] = row;
        }
    }
    qsort_r(some, n, sizeof(const cJSON *), by_order, &order);
    for (size_t i = 0; i < n; i++) {
        cJSON *copy = cJSON_Duplicate(some[i], true);
        table->add(copy, t);
        cJSON_AddItemToArray(rows, copy);
    }
    free(some);
    return rows;
}
