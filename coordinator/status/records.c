/* Records: what the cluster's reader tells, as objects. */
#include "coordinator/status/records.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *text_of(struct slice s)
{
    return s.ptr != NULL ? s.ptr : ""; /* a NUL stands behind each */
}

void records_add_hash(cJSON *record, const struct registry_hash *hash, const struct figure *figures)
{
    for (size_t i = 0; i + 1 < hash->n; i += 2) {
        const char *name = text_of(hash->word[i]);
        const char *value = text_of(hash->word[i + 1]);
        const struct figure *f = figure_find(figures, hash->word[i]);
        char *end = NULL;
        double number = strtod(value, &end);
        if (cJSON_GetObjectItemCaseSensitive(record, name)) {
            continue;
        }
        if (f != NULL && f->type != FIGURE_TEXT && end != value && !*end && isfinite(number)) {
            cJSON_AddNumberToObject(record, name, number);
        } else {
            cJSON_AddStringToObject(record, name, value);
        }
    }
}

/* A record of what the reader knows by itself and of the hash, at the end of `records`. What is
 * live is as the reader knows it: the last word of a node that died is not. */
static cJSON *add_record(cJSON *records, const struct figure *figures, const void *of,
                         const struct registry_hash *hash)
{
    cJSON *record = cJSON_CreateObject();

    for (const struct figure *f = figures; f->name != NULL; f++) {
        if (f->by == FIGURE_BY_READER && f->type == FIGURE_TEXT) {
            cJSON_AddStringToObject(record, f->name, text_of(figure_text(f, of)));
        } else if (f->by == FIGURE_BY_READER || f->type == FIGURE_LIVE) {
            cJSON_AddNumberToObject(record, f->name, (double)figure_number(f, of));
        }
    }
    records_add_hash(record, hash, figures);
    cJSON_AddItemToArray(records, record);
    return record;
}

static void on_setting(void *ctx, const struct cluster_setting *s)
{
    struct records *r = ctx;
    cJSON *record = cJSON_CreateObject();

    cJSON_AddStringToObject(record, "name", text_of(s->name));
    cJSON_AddStringToObject(record, "value", text_of(s->value));
    cJSON_AddStringToObject(record, "default", text_of(s->otherwise));
    cJSON_AddStringToObject(record, "allowed", text_of(s->allowed));
    cJSON_AddItemToArray(r->settings, record);
}

static void on_channel(void *ctx, const struct figures_channel *c, const struct registry_hash *hash)
{
    struct records *r = ctx;

    add_record(r->channels, figures_of_channel, c, hash);
}

static bool on_shard(void *ctx, const struct figures_shard *s, const struct registry_hash *hash)
{
    struct records *r = ctx;

    add_record(r->shards, figures_of_shard, s, hash);
    return false;
}

static void on_node(void *ctx, const struct figures_node *n, const struct registry_hash *hash)
{
    struct records *r = ctx;
    cJSON *record = add_record(r->nodes, figures_of_node, n, hash);

    /* Not for a page: they are keys to act as that node. */
    cJSON_DeleteItemFromObjectCaseSensitive(record, "incarnation");
    /* Past its lease nobody knows how it is; it may be back at once. */
    if (n->lease_ms < 0) {
        cJSON_DeleteItemFromObjectCaseSensitive(record, "state"); /* which there may be none of */
        cJSON_AddStringToObject(record, "state", "silent");
    }
}

static void on_account(void *ctx, const struct figures_account *a, const struct registry_hash *hash)
{
    struct records *r = ctx;
    cJSON *record = add_record(r->accounts, figures_of_account, a, hash);

    cJSON_DeleteItemFromObjectCaseSensitive(record, "claim"); /* as with a node's incarnation */
    if (a->expires_at.ms == 0) {
        cJSON_DeleteItemFromObjectCaseSensitive(record, "left_ms"); /* it is not known */
    }
}

static void on_rooms(void *ctx, const struct cluster_rooms *rooms)
{
    struct records *r = ctx;
    cJSON *record = cJSON_CreateObject();

    cJSON_AddStringToObject(record, "reader", text_of(rooms->user));
    cJSON_AddNumberToObject(record, "rooms", (double)rooms->rooms);
    if (rooms->limit > 0) {
        cJSON_AddNumberToObject(record, "limit", (double)rooms->limit);
    }
    if (rooms->refused.len > 0) {
        cJSON_AddStringToObject(record, "error", text_of(rooms->refused));
    }
    cJSON_AddItemToArray(r->readers, record);
}

static void on_done(void *ctx, const struct err *err)
{
    struct records *r = ctx;

    r->on_done(r->ctx, err);
}

void records_init(struct records *r, const struct records_options *o)
{
    unsigned what = o->what;
    const struct cluster_reader_options options = {
        .registry = o->registry,
        .read_only = o->read_only,
        .on_setting = what & (RECORDS_SETTINGS | RECORDS_WHOLE) ? on_setting : NULL,
        .on_node = what & RECORDS_NODES ? on_node : NULL,
        .on_shard = what & RECORDS_SHARDS ? on_shard : NULL,
        .on_channel = what & RECORDS_CHANNELS ? on_channel : NULL,
        .channels = o->channels,
        .nchannels = o->nchannels,
        .on_rooms = what & RECORDS_READERS ? on_rooms : NULL,
        .on_account = what & RECORDS_ACCOUNTS ? on_account : NULL,
        .whole = what & RECORDS_WHOLE,
        .on_done = on_done,
        .ctx = r,
    };

    *r = (struct records){.settings = cJSON_CreateArray(),
                          .nodes = cJSON_CreateArray(),
                          .shards = cJSON_CreateArray(),
                          .channels = cJSON_CreateArray(),
                          .accounts = cJSON_CreateArray(),
                          .readers = cJSON_CreateArray(),
                          .reader = cluster_reader_create(&options),
                          .on_done = o->on_done,
                          .ctx = o->ctx};
    r->state = cluster_reader_state(r->reader);
}

void records_resume(struct records *r)
{
    cluster_reader_resume(r->reader);
}

void records_finish(struct records *r)
{
    cluster_reader_destroy(r->reader);
    cJSON_Delete(r->settings);
    cJSON_Delete(r->nodes);
    cJSON_Delete(r->shards);
    cJSON_Delete(r->channels);
    cJSON_Delete(r->accounts);
    cJSON_Delete(r->readers);
}

const char *records_setting(const struct records *r, const char *name)
{
    return records_text(records_find(r->settings, "name", name), "value");
}

const char *records_text(const cJSON *record, const char *field)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(record, field));

    return text != NULL ? text : "";
}

uint64_t records_number(const cJSON *record, const char *field)
{
    double number = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(record, field));

    return number > 0 && number < 1e18 ? (uint64_t)number : 0; /* beyond, it is none of ours */
}

const cJSON *records_find(const cJSON *records, const char *field, const char *text)
{
    const cJSON *record;

    cJSON_ArrayForEach(record, records)
    {
        if (strcmp(records_text(record, field), text) == 0) {
            return record;
        }
    }
    return NULL;
}
