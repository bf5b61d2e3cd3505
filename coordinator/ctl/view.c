/* View: what the cluster's reader tells, as records. */
#include "coordinator/ctl/view.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *text_of(struct slice s)
{
    return s.ptr != NULL ? s.ptr : ""; /* a NUL stands behind each */
}

void view_add_hash(cJSON *record, const struct registry_hash *hash, const struct hash_field *fields)
{
    for (size_t i = 0; i + 1 < hash->n; i += 2) {
        const char *name = text_of(hash->word[i]);
        const char *value = text_of(hash->word[i + 1]);
        const struct hash_field *field = registry_hash_field(fields, hash->word[i]);
        char *end = NULL;
        double number = strtod(value, &end);
        if (cJSON_GetObjectItemCaseSensitive(record, name)) {
            continue;
        }
        if (field != NULL && field->type == HASH_NUMBER && end != value && !*end &&
            isfinite(number)) {
            cJSON_AddNumberToObject(record, name, number);
        } else {
            cJSON_AddStringToObject(record, name, value);
        }
    }
}

static void on_setting(void *ctx, const struct cluster_setting *s)
{
    struct view *v = ctx;
    cJSON *record = cJSON_CreateObject();

    cJSON_AddStringToObject(record, "name", text_of(s->name));
    cJSON_AddStringToObject(record, "value", text_of(s->value));
    cJSON_AddStringToObject(record, "default", text_of(s->otherwise));
    cJSON_AddStringToObject(record, "allowed", text_of(s->allowed));
    cJSON_AddItemToArray(v->settings, record);
}

static void on_channel(void *ctx, const struct cluster_channel *c)
{
    struct view *v = ctx;
    cJSON *record = cJSON_CreateObject();

    cJSON_AddStringToObject(record, "channel", text_of(c->name));
    cJSON_AddStringToObject(record, "shard", text_of(c->shard));
    view_add_hash(record, &c->hash, cluster_channel_fields);
    cJSON_AddItemToArray(v->channels, record);
}

static bool on_shard(void *ctx, const struct cluster_shard *s)
{
    struct view *v = ctx;
    cJSON *record = cJSON_CreateObject();

    cJSON_AddStringToObject(record, "shard", text_of(s->id));
    view_add_hash(record, &s->hash, cluster_shard_fields);
    /* The last word of a node that died is not what is read now. */
    if (!slice_is(s->state, "ready")) {
        static const char *const rates[] = {"lines_s", "bytes_s", "lag_ms"};
        for (size_t k = 0; k < ARRAY_LEN(rates); k++) {
            cJSON *rate = cJSON_GetObjectItemCaseSensitive(record, rates[k]);
            if (rate != NULL) {
                cJSON_SetNumberValue(rate, 0);
            }
        }
    }
    cJSON_AddItemToArray(v->shards, record);
    return false;
}

static void on_node(void *ctx, const struct cluster_node *n)
{
    struct view *v = ctx;
    struct wall now = cluster_reader_now(v->reader);
    cJSON *record = cJSON_CreateObject();

    cJSON_AddStringToObject(record, "node", text_of(n->id));
    cJSON_AddNumberToObject(record, "shards", (double)n->held);
    cJSON_AddNumberToObject(record, "lease_ms", (double)n->deadline.ms - (double)now.ms);
    view_add_hash(record, &n->hash, cluster_node_fields);
    /* Not for a page: they are keys to act as that node. */
    cJSON_DeleteItemFromObjectCaseSensitive(record, "incarnation");
    /* Past its lease nobody knows how it is; it may be back at once. */
    if (n->deadline.ms < now.ms) {
        cJSON_ReplaceItemInObjectCaseSensitive(record, "state", cJSON_CreateString("silent"));
    }
    cJSON_AddItemToArray(v->nodes, record);
}

static void on_state(void *ctx, const struct cluster_state *s)
{
    struct view *v = ctx;

    v->on_state(v, s);
}

static const char *budgets_of(void *ctx)
{
    const char *user = view_setting(ctx, "user");

    return user[0] ? user : "anonymous";
}

static void on_done(void *ctx, const struct err *err)
{
    struct view *v = ctx;

    ctl_answered(v->ctl, err);
}

/* Behind what was read before the link failed, if it did. */
static int go_on(void *ctx)
{
    struct view *v = ctx;

    if (v->begun) {
        cluster_reader_resume(v->reader);
    } else {
        v->begun = true;
        cluster_reader_begin(v->reader);
    }
    return 0;
}

int view_read(struct ctl *c, unsigned what, struct view *v)
{
    const struct cluster_reader_options options = {
        .registry = c->registry,
        .read_only = true,
        .on_setting = what & VIEW_SETTINGS ? on_setting : NULL,
        .on_node = what & VIEW_NODES ? on_node : NULL,
        .on_shard = what & VIEW_SHARDS ? on_shard : NULL,
        .on_channel = what & VIEW_CHANNELS ? on_channel : NULL,
        .on_state = v->on_state != NULL ? on_state : NULL,
        .budgets_of = budgets_of,
        .on_done = on_done,
        .ctx = v,
    };
    v->ctl = c;
    v->settings = cJSON_CreateArray();
    v->nodes = cJSON_CreateArray();
    v->shards = cJSON_CreateArray();
    v->channels = cJSON_CreateArray();
    v->reader = cluster_reader_create(&options);
    int code = ctl_ask(c, go_on, v);
    v->now = cluster_reader_now(v->reader);
    cluster_reader_destroy(v->reader);
    return code;
}

void view_finish(struct view *v)
{
    cJSON_Delete(v->settings);
    cJSON_Delete(v->nodes);
    cJSON_Delete(v->shards);
    cJSON_Delete(v->channels);
}

const char *view_setting(const struct view *v, const char *name)
{
    return view_text(view_find(v->settings, "name", name), "value");
}

const char *view_text(const cJSON *record, const char *field)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(record, field));

    return text != NULL ? text : "";
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
