/* View: names first, then the hashes behind them, a portion at a time. */
#include "coordinator/ctl/view.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PORTION 1000

struct names {
    char **name;
    char **value; /* what the name maps to; empty where it maps to nothing */
    size_t n;
    size_t cap;
    uint64_t now_ms; /* Redis's clock */
};

static void names_add(struct names *names, const char *name, const char *value)
{
    if (names->n == names->cap) {
        names->cap = names->cap ? 2 * names->cap : 64;
        names->name = xrealloc(names->name, names->cap * sizeof(*names->name));
        names->value = xrealloc(names->value, names->cap * sizeof(*names->value));
    }
    names->name[names->n] = xstrdup(name);
    names->value[names->n++] = xstrdup(value);
}

static void names_finish(struct names *names)
{
    for (size_t i = 0; i < names->n; i++) {
        free(names->name[i]);
        free(names->value[i]);
    }
    free(names->name);
    free(names->value);
}

/* Fields that are numbers; everything else stays text, also where it looks like one ("1337" is a
 * channel). */
static bool is_number_field(const char *field)
{
    static const char *const fields[] = {
        "since",       "next_try",      "moderator", "epoch",   "rev",       "channels", "joined",
        "lines_s",     "bytes_s",       "lag_ms",    "pid",     "shards",    "capacity", "link",
        "closes_idle", "login_refused", "bad_lines", "renewed", "read_until"};

    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        if (strcmp(field, fields[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* The hash that comes next, with numbers for what are numbers; a field of ours (a name) is not replaced by one of
 * the hash. */
static void add_hash(cJSON *record, struct reader *r)
{
    cJSON *hash = cJSON_CreateObject();
    const cJSON *item;

    ctl_read_hash(r, hash);
    cJSON_ArrayForEach(item, hash)
    {
        char *end = NULL;
        double number = strtod(item->valuestring, &end);
        if (cJSON_GetObjectItemCaseSensitive(record, item->string)) {
            continue;
        }
        if (is_number_field(item->string) && end != item->valuestring && !*end &&
            isfinite(number)) {
            cJSON_AddNumberToObject(record, item->string, number);
        } else {
            cJSON_AddStringToObject(record, item->string, item->valuestring);
        }
    }
    cJSON_Delete(hash);
}

static int read_now(struct ctl *c, struct names *names)
{
    struct ctl_batch b = {0};

    ctl_ask(&b, "TIME");
    int code = ctl_answer(c, &b);
    if (code == CTL_DONE) {
        struct reader r = ctl_read(&b);
        names->now_ms = ctl_read_time(&r);
        code = r.bad ? ctl_strange("TIME") : code;
    }
    ctl_batch_finish(&b);
    return code;
}

struct pair {
    char *name;
    char *value;
};

static int pair_order(const void *left, const void *right)
{
    return strcmp(((const struct pair *)left)->name, ((const struct pair *)right)->name);
}

/* By name, each once: a scan may tell one twice. */
static void names_sort(struct names *names)
{
    struct pair *pairs = xmalloc((names->n + 1) * sizeof(*pairs));
    size_t kept = 0;

    for (size_t i = 0; i < names->n; i++) {
        pairs[i] = (struct pair){names->name[i], names->value[i]};
    }
    qsort(pairs, names->n, sizeof(*pairs), pair_order);
    for (size_t i = 0; i < names->n; i++) {
        if (kept > 0 && strcmp(pairs[i].name, names->name[kept - 1]) == 0) {
            free(pairs[i].name);
            free(pairs[i].value);
            continue;
        }
        names->name[kept] = pairs[i].name;
        names->value[kept++] = pairs[i].value;
    }
    names->n = kept;
    free(pairs);
}

/* Name and value in turn. */
static bool read_names(const struct redisReply *found, struct names *names)
{
    struct reader r = reader_of(found);

    while (reader_left(&r) > 0) {
        const char *name = reader_text(&r);
        const char *value = reader_text(&r);
        if (!r.bad) {
            names_add(names, name, value);
        }
    }
    return !r.bad;
}

/* Name -> value of a hash or (member -> score) of a zset. */
static int scan(struct ctl *c, const char *command, const char *key, struct names *names)
{
    char cursor[32] = "0";
    int code = read_now(c, names);

    while (code == CTL_DONE) {
        const char *argv[] = {command, key, cursor, "COUNT", "1000"};
        struct ctl_batch b = {0};
        ctl_ask_argv(&b, ARRAY_LEN(argv), argv);
        code = ctl_answer(c, &b);
        if (code == CTL_DONE) {
            struct reader all = ctl_read(&b);
            struct reader r = reader_of(reader_next(&all));
            snprintf(cursor, sizeof(cursor), "%" PRIu64, reader_u64(&r));
            code = read_names(reader_next(&r), names) && !r.bad ? code : ctl_strange(command);
        }
        ctl_batch_finish(&b);
        if (strcmp(cursor, "0") == 0) {
            break;
        }
    }
    names_sort(names);
    return code;
}

/* Ask for the hash behind each name ("channel:NAME"), and where `extra` for the size of the zset of that name under it,
 * and let `make` make a record of it. */
static cJSON *records_of(struct ctl *c, struct names *names, const char *prefix, const char *extra,
                         cJSON *(*make)(const struct names *names, size_t i, struct reader *r),
                         int *code)
{
    cJSON *records = cJSON_CreateArray();

    for (size_t from = 0; from < names->n && *code == CTL_DONE; from += PORTION) {
        size_t to = from + PORTION < names->n ? from + PORTION : names->n;
        struct ctl_batch b = {0};
        for (size_t i = from; i < to; i++) {
            if (extra) {
                ctl_ask(&b, "ZCARD %s", ctl_key(c, "%s:%s:%s", prefix, names->name[i], extra));
            }
            ctl_ask(&b, "HGETALL %s", ctl_key(c, "%s:%s", prefix, names->name[i]));
        }
        *code = ctl_answer(c, &b);
        if (*code == CTL_DONE) {
            struct reader r = ctl_read(&b);
            for (size_t i = from; i < to; i++) {
                cJSON_AddItemToArray(records, make(names, i, &r));
            }
            *code = r.bad ? ctl_strange(extra ? "HGETALL or ZCARD" : "HGETALL") : *code;
        }
        ctl_batch_finish(&b);
    }
    if (*code != CTL_DONE) {
        cJSON_Delete(records);
        records = NULL;
    }
    return records;
}

static cJSON *make_channel(const struct names *names, size_t i, struct reader *r)
{
    cJSON *record = cJSON_CreateObject();

    cJSON_AddStringToObject(record, "channel", names->name[i]);
    cJSON_AddStringToObject(record, "shard", names->value[i]);
    add_hash(record, r);
    return record;
}

static cJSON *make_shard(const struct names *names, size_t i, struct reader *r)
{
    cJSON *record = cJSON_CreateObject();

    cJSON_AddStringToObject(record, "shard", names->name[i]);
    add_hash(record, r);
    /* The last word of a node that died is not what is read now. */
    if (strcmp(view_text(record, "state"), "ready") != 0) {
        static const char *const rates[] = {"lines_s", "bytes_s", "lag_ms"};
        for (size_t k = 0; k < ARRAY_LEN(rates); k++) {
            cJSON *rate = cJSON_GetObjectItemCaseSensitive(record, rates[k]);
            if (rate) {
                cJSON_SetNumberValue(rate, 0);
            }
        }
    }
    return record;
}

static cJSON *make_node(const struct names *names, size_t i, struct reader *r)
{
    cJSON *record = cJSON_CreateObject();
    double deadline = strtod(names->value[i], NULL);

    cJSON_AddStringToObject(record, "node", names->name[i]);
    cJSON_AddNumberToObject(record, "shards", (double)reader_u64(r));
    cJSON_AddNumberToObject(record, "lease_ms",
                            isfinite(deadline) ? deadline - (double)names->now_ms : 0);
    add_hash(record, r);
    /* Not for a page: they are keys to act as that node. */
    cJSON_DeleteItemFromObjectCaseSensitive(record, "incarnation");
    /* Past its lease nobody knows how it is; it may be back at once. */
    if (deadline < (double)names->now_ms) {
        cJSON_ReplaceItemInObjectCaseSensitive(record, "state", cJSON_CreateString("silent"));
    }
    return record;
}

cJSON *view_channels(struct ctl *c, int *code)
{
    struct names names = {0};
    cJSON *records = NULL;

    *code = scan(c, "HSCAN", ctl_key(c, "channels"), &names);
    if (*code == CTL_DONE) {
        records = records_of(c, &names, "channel", NULL, make_channel, code);
    }
    names_finish(&names);
    return records;
}

cJSON *view_shards(struct ctl *c, int *code)
{
    struct names names = {0};
    cJSON *records = NULL;

    *code = scan(c, "ZSCAN", ctl_key(c, "load"), &names);
    if (*code == CTL_DONE) {
        records = records_of(c, &names, "shard", NULL, make_shard, code);
    }
    names_finish(&names);
    return records;
}

cJSON *view_nodes(struct ctl *c, int *code)
{
    struct names names = {0};
    cJSON *records = NULL;

    *code = scan(c, "ZSCAN", ctl_key(c, "nodes"), &names);
    if (*code == CTL_DONE) {
        records = records_of(c, &names, "node", "shards", make_node, code);
    }
    names_finish(&names);
    return records;
}

cJSON *view_settings(struct ctl *c, int *code)
{
    static const char *const fields[] = {"name", "value", "default", "allowed"};
    struct ctl_batch b = {0};
    cJSON *records = NULL;

    ctl_ask(&b, "FCALL_RO shoal1_settings 1 %s", ctl_tag(c));
    *code = ctl_answer(c, &b);
    if (*code == CTL_DONE) {
        struct reader all = ctl_read(&b);
        struct reader list = reader_of(reader_next(&all));
        records = cJSON_CreateArray();
        while (reader_left(&list) > 0) {
            struct reader one = reader_of(reader_next(&list));
            cJSON *record = cJSON_CreateObject();
            for (size_t k = 0; k < ARRAY_LEN(fields); k++) {
                cJSON_AddStringToObject(record, fields[k], reader_text(&one));
            }
            cJSON_AddItemToArray(records, record);
            list.bad = list.bad || one.bad;
        }
        *code = list.bad ? ctl_strange("shoal1_settings") : *code;
    }
    ctl_batch_finish(&b);
    if (*code != CTL_DONE) {
        cJSON_Delete(records);
        records = NULL;
    }
    return records;
}

const char *view_text(const cJSON *record, const char *field)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(record, field));

    return text ? text : "";
}

uint64_t view_number(const cJSON *record, const char *field)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(record, field);
    double number =
        cJSON_IsNumber(value) ? value->valuedouble : strtod(view_text(record, field), NULL);

    return number > 0 && number < 1e18 ? (uint64_t)number : 0; /* beyond, it is none of ours */
}

const cJSON *view_find(const cJSON *records, const char *field, const char *text)
{
    const cJSON *record;

    cJSON_ArrayForEach(record, records)
    {
        if (strcmp(view_text(record, field), text) == 0) {
            return record;
        }
    }
    return NULL;
}
