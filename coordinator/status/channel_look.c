/* Channel look: asks Redis, then puts together what that and the document tell. */
#include "coordinator/status/channel_look.h"

#include "coordinator/status/records.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PORTION   1000u  /* entries of the log at a time, */
#define LOG_MOST  20000u /* and in all: it has 10,000, and what Redis did not trim yet */
#define NEXT_MOST 2048u

struct look {
    struct channel_look_options o;
    char channel[64];
    cJSON *object;
    size_t seen;                          /* entries of the log */
    char before[REGISTRY_EVENT_ID_CHARS]; /* the next portion of it ends there */
};

static void finish(struct look *l, const struct err *err)
{
    struct channel_look_options o = l->o;
    cJSON *object = l->object;

    if (err != NULL) {
        cJSON_Delete(object);
        object = NULL;
    }
    free(l);
    o.on_done(o.ctx, object, err);
}

/* What the document tells ---------------------------------------------------------------------- */

static void add_text(cJSON *object, const char *name, const cJSON *row, const char *field)
{
    const char *text = records_text(row, field);

    if (text[0] != '\0' && !cJSON_HasObjectItem(object, name)) {
        cJSON_AddStringToObject(object, name, text);
    }
}

static const cJSON *row_of(const cJSON *document, const char *list, const char *field,
                           const char *name)
{
    return records_find(cJSON_GetObjectItemCaseSensitive(document, list), field, name);
}

static void add_document(cJSON *object, const cJSON *document)
{
    const cJSON *shard = row_of(document, "shards", "shard", records_text(object, "shard"));
    const cJSON *node = row_of(document, "nodes", "node", records_text(shard, "node"));

    add_text(object, "node", shard, "node");
    add_text(object, "user", shard, "user");
    add_text(object, "sender", shard, "sender");
    add_text(object, "shard_state", shard, "state");
    add_text(object, "shard_error", shard, "error");
    add_text(object, "node_state", node, "state");
    add_text(object, "node_error", node, "error");
    const cJSON *joins = row_of(document, "joins", "user", records_text(object, "user"));
    if (joins != NULL && strcmp(records_text(object, "state"), "joined") != 0) {
        cJSON_AddItemToObject(object, "joins", cJSON_Duplicate(joins, true));
    }
}

static void put_together(struct look *l)
{
    const cJSON *document = l->o.document(l->o.ctx);
    struct buf next;

    add_document(l->object, document);
    buf_init(&next, NEXT_MOST);
    channel_look_next(l->object, document, &next);
    cJSON_DeleteItemFromObjectCaseSensitive(l->object, "next"); /* from a hash that is not ours */
    cJSON_AddStringToObject(l->object, "next", next.data);
    buf_finish(&next);
    finish(l, NULL);
}

/* What Redis tells ----------------------------------------------------------------------------- */

/* Keep the event as `name` if it is the newest of its kind, and of this channel. */
static void take_event(struct look *l, const char *name, const char *kind, const cJSON *event)
{
    if (!cJSON_HasObjectItem(l->object, name) && strcmp(records_text(event, "event"), kind) == 0 &&
        strcmp(records_text(event, "channel"), l->channel) == 0) {
        cJSON_AddItemToObject(l->object, name, cJSON_Duplicate(event, true));
    }
}

static void ask_events(struct look *l);

static void on_events(void *ctx, const struct registry_entry *entries, size_t n,
                      const struct err *err)
{
    struct look *l = ctx;

    if (err != NULL) {
        finish(l, err);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        struct slice text = registry_field(&entries[i], "event");
        if (text.len > 0 && memmem(text.ptr, text.len, l->channel, strlen(l->channel)) != NULL) {
            cJSON *event = cJSON_ParseWithLength(text.ptr, text.len);
            take_event(l, "last_gap", "gap", event);
            take_event(l, "last_failed", "channel.failed", event);
            cJSON_Delete(event);
        }
        snprintf(l->before, sizeof(l->before), "%.*s", (int)entries[i].id.len, entries[i].id.ptr);
    }
    l->seen += n;
    if (l->o.on_log != NULL && !l->o.on_log(l->o.ctx, n)) {
        finish(l, &(struct err){ERR_CANCELED, "nobody waits for it any more"});
        return;
    }
    bool both =
        cJSON_HasObjectItem(l->object, "last_gap") && cJSON_HasObjectItem(l->object, "last_failed");
    if (n == 0 || both || l->seen >= LOG_MOST) {
        put_together(l);
    } else {
        ask_events(l);
    }
}

static void ask_events(struct look *l)
{
    if (registry_events_before(l->o.registry, l->before, PORTION, on_events, l) != 0) {
        finish(l, &(struct err){ERR_DOWN, "the link to Redis is down"});
    }
}

static void on_channel(void *ctx, const struct registry_channel *channel, const struct err *err)
{
    struct look *l = ctx;

    if (err != NULL) {
        finish(l, err);
        return;
    }
    cJSON *o = cJSON_CreateObject();
    l->object = o;
    cJSON_AddStringToObject(o, "channel", l->channel);
    cJSON_AddBoolToObject(o, "wanted", channel->wanted);
    cJSON_AddNumberToObject(o, "at", (double)channel->now.ms);
    cJSON_AddNumberToObject(o, "sends", (double)channel->sends);
    cJSON_AddStringToObject(o, "shard",
                            channel->known.shard.len > 0 ? channel->known.shard.ptr : "");
    if (channel->wanted) {
        records_add_hash(o, &channel->hash, figures_of_channel);
    }
    if (l->o.no_log) {
        put_together(l);
    } else {
        ask_events(l);
    }
}

void channel_look(const struct channel_look_options *o)
{
    struct look *l = xcalloc(1, sizeof(*l));

    l->o = *o;
    snprintf(l->channel, sizeof(l->channel), "%s", o->channel);
    snprintf(l->before, sizeof(l->before), "%s", REGISTRY_FROM_NEWEST);
    if (registry_find_channel(o->registry, l->channel, on_channel, l) != 0) {
        finish(l, &(struct err){ERR_DOWN, "the link to Redis is down"});
    }
}
