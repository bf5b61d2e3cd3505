/* Api, what Redis is asked for: channels a page at a time, one channel, a shard with its channels,
 * events, settings. */
#include "coordinator/web/api_private.h"

#include "coordinator/status/channel_look.h"
#include "shared/irc/parse.h"
#include "shared/json.h"
#include "shared/redis/reader.h"
#include "shared/redis/registry_look.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define PAGE_MOST     1000
#define PAGE_DEFAULT  100
#define SETTINGS_MOST 64 /* as an advance: there are fewer */

/* Ask for records, of channels for those of its page; `on_done` follows, perhaps before this
 * returns. */
static void read_records(struct api_wait *w, unsigned what,
                         void (*on_done)(void *ctx, const struct err *err))
{
    const struct records_options options = {.registry = w->api->registry,
                                            .what = what,
                                            .channels = w->channels,
                                            .nchannels = w->nchannels,
                                            .on_done = on_done,
                                            .ctx = w};

    records_init(&w->records, &options);
    records_resume(&w->records);
}

/* They were read, or could not be. */
static void answer_read(struct api_wait *w, cJSON *answer, const struct err *err)
{
    records_finish(&w->records);
    if (err == NULL) {
        api_wait_answer(w, answer);
    } else {
        cJSON_Delete(answer);
        api_wait_unread(w, err);
    }
}

/* A list of the records becomes a member of the answer. */
static void move_list(cJSON *answer, const char *name, cJSON **list)
{
    cJSON_AddItemToObject(answer, name, *list);
    *list = NULL;
}

/* Channels ------------------------------------------------------------------------------------- */

static void on_channels(void *ctx, const struct err *err)
{
    struct api_wait *w = ctx;
    cJSON *answer = w->answer;

    w->answer = NULL;
    move_list(answer, w->name != NULL ? "channel_list" : "channels", &w->records.channels);
    answer_read(w, answer, err);
}

/* Read the channels behind `after`, of a shard or (NULL) of all. The answer says whether there are
 * more. */
static void read_page(struct api_wait *w, const char *after, const char *shard)
{
    const struct api_names *names = &w->api->names;
    bool more = false;

    w->channels = xcalloc(w->limit, sizeof(*w->channels));
    for (size_t i = 0; i < names->n && !more; i++) {
        const struct cluster_channel *c = &names->channel[i];
        bool wanted = shard != NULL ? strcmp(c->shard, shard) == 0 : strcmp(c->name, after) > 0;
        more = wanted && w->nchannels == w->limit;
        if (wanted && !more) {
            w->channels[w->nchannels++] =
                (struct cluster_channel){xstrdup(c->name), xstrdup(c->shard)};
        }
    }
    if (shard != NULL) {
        cJSON_AddBoolToObject(w->answer, "channel_list_more", more);
    } else if (more) {
        cJSON_AddStringToObject(w->answer, "next", w->channels[w->nchannels - 1].name);
    }
    api_count_rows(w, w->nchannels);
    read_records(w, RECORDS_CHANNELS, on_channels);
}

static void take_names(struct api_wait *w, const cJSON *document)
{
    char *after = w->name;

    (void)document;
    w->name = NULL;
    w->answer = cJSON_CreateObject();
    read_page(w, after, NULL);
    free(after);
}

void api_get_channels(void *ctx, struct web_request *r)
{
    uint64_t limit = PAGE_DEFAULT;
    char after[2049] = "";

    if (!api_number(r, "limit", 1, PAGE_MOST, &limit)) {
        return;
    }
    bool given = web_request_param(r, "after", after, sizeof(after));
    struct api_wait *w = api_wait_begin_reading(coordinator_web_api(ctx), r, (size_t)limit);
    if (w != NULL) {
        w->limit = (size_t)limit;
        w->name = xstrdup(given ? after : "");
        api_wait_for_names(w, take_names);
    }
}

/* One channel ---------------------------------------------------------------------------------- */

static const cJSON *document_of(void *ctx)
{
    const struct api_wait *w = ctx;

    return status_watch_document(w->api->options.watch);
}

static bool on_log(void *ctx, size_t n)
{
    struct api_wait *w = ctx;

    w->nevents += n;
    return w->request != NULL;
}

static void look_at_next(struct api *a);

static void on_channel(void *ctx, cJSON *channel, const struct err *err)
{
    struct api_wait *w = ctx;
    struct api *a = w->api;

    api_count_rows(w, 1 + w->nevents);
    if (!w->no_log) {
        a->log_is_read = false;
        a->log_rows = channel != NULL ? w->nevents : a->log_rows;
    }
    if (channel != NULL) {
        api_wait_answer(w, channel);
    } else {
        api_wait_unread(w, err);
    }
    look_at_next(a);
}

static void look(struct api_wait *w)
{
    channel_look(&(struct channel_look_options){.registry = w->api->registry,
                                                .channel = w->name,
                                                .document = document_of,
                                                .no_log = w->no_log,
                                                .on_log = on_log,
                                                .on_done = on_channel,
                                                .ctx = w});
}

static void look_at_next(struct api *a)
{
    while (a->looks != NULL && !a->log_is_read) {
        struct api_wait *w = a->looks;
        DL_DELETE(a->looks, w);
        if (api_wait_may_read(w)) {
            a->log_is_read = true;
            api_take_rows(w, a->log_rows);
            look(w);
        }
    }
}

static void look_at_channel(struct api_wait *w, const cJSON *document)
{
    struct api *a = w->api;

    (void)document;
    if (w->no_log) {
        look(w);
    } else {
        DL_APPEND(a->looks, w);
        look_at_next(a);
    }
}

void api_get_channel(void *ctx, struct web_request *r)
{
    char name[IRC_CHANNEL_CHARS];
    char log[2049] = "yes";

    if (!irc_channel_normalise(web_request_rest(r), name, sizeof(name))) {
        web_answer_error(r, 400, "a channel has 1 to 25 of a-z, 0-9 and _");
        return;
    }
    (void)web_request_param(r, "log", log, sizeof(log));
    if (strcmp(log, "yes") != 0 && strcmp(log, "no") != 0) {
        web_answer_error(r, 400, "log: takes yes or no");
        return;
    }
    struct api_wait *w = api_wait_begin_reading(coordinator_web_api(ctx), r, 1);
    if (w != NULL) {
        w->no_log = strcmp(log, "no") == 0;
        w->name = xstrdup(name);
        api_wait_for_document(w, look_at_channel);
    }
}

/* A shard -------------------------------------------------------------------------------------- */

static void take_names_of_shard(struct api_wait *w, const cJSON *document)
{
    (void)document;
    w->limit = PAGE_MOST;
    read_page(w, "", w->name);
}

static void look_at_shard(struct api_wait *w, const cJSON *document)
{
    const cJSON *shards = cJSON_GetObjectItemCaseSensitive(document, "shards");
    const cJSON *shard = records_find(shards, "shard", w->name);

    if (shard == NULL) {
        api_wait_refuse(w, 404, "there is no such shard; GET /api/v1/shards has those there are");
        return;
    }
    w->answer = cJSON_Duplicate(shard, true);
    api_wait_for_names(w, take_names_of_shard);
}

void api_get_shard(void *ctx, struct web_request *r)
{
    struct slice name = web_request_rest(r);
    struct api_wait *w = api_wait_begin_reading(coordinator_web_api(ctx), r, PAGE_MOST);

    if (w != NULL) {
        w->name = xstrndup(name.ptr, name.len);
        api_wait_for_document(w, look_at_shard);
    }
}

/* Settings ------------------------------------------------------------------------------------- */

static void on_settings(void *ctx, const struct err *err)
{
    struct api_wait *w = ctx;
    cJSON *answer = cJSON_CreateObject();

    api_count_rows(w, (size_t)cJSON_GetArraySize(w->records.settings));
    move_list(answer, "settings", &w->records.settings);
    answer_read(w, answer, err);
}

void api_get_settings(void *ctx, struct web_request *r)
{
    struct api_wait *w = api_wait_begin_reading(coordinator_web_api(ctx), r, SETTINGS_MOST);

    if (w != NULL) {
        read_records(w, RECORDS_SETTINGS, on_settings);
    }
}

/* Events --------------------------------------------------------------------------------------- */

/* They come newest first. */
static void on_events(void *ctx, const struct registry_entry *entries, size_t n,
                      const struct err *err)
{
    struct api_wait *w = ctx;

    if (err != NULL) {
        api_wait_unread(w, err);
        return;
    }
    cJSON *answer = cJSON_CreateObject();
    cJSON *events = cJSON_AddArrayToObject(answer, "events");
    bool older = n == w->limit; /* there may be */
    api_count_rows(w, n);
    for (size_t i = n; i > 0; i--) {
        cJSON *event = json_parse_object(registry_field(&entries[i - 1], "event"));
        if (event == NULL) {
            continue; /* no step wrote that */
        }
        if (records_number(event, "at") >= w->since_ms) {
            cJSON_AddItemToArray(events, event);
        } else {
            older = false; /* those are not wanted */
            cJSON_Delete(event);
        }
    }
    cJSON_AddBoolToObject(answer, "older", older);
    api_wait_answer(w, answer);
}

void api_get_events(void *ctx, struct web_request *r)
{
    struct api *a = coordinator_web_api(ctx);
    uint64_t limit = PAGE_DEFAULT;
    uint64_t since = 0;

    if (!api_number(r, "limit", 1, PAGE_MOST, &limit) ||
        !api_number(r, "since", 0, READER_MOST, &since)) {
        return;
    }
    struct api_wait *w = api_wait_begin_reading(a, r, (size_t)limit);
    if (w == NULL) {
        return;
    }
    w->since_ms = since;
    w->limit = (size_t)limit;
    if (registry_events_before(a->registry, REGISTRY_FROM_NEWEST, w->limit, on_events, w) != 0) {
        struct err err;
        err_set(&err, ERR_DOWN, "the link is down");
        api_wait_unread(w, &err);
    }
}
