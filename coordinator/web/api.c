/* Api: what the document answers, files, and its life. */
#include "coordinator/web/api_private.h"

#include "coordinator/web/page.h"
#include "shared/json.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Answers -------------------------------------------------------------------------------------- */

bool api_number(struct web_request *r, const char *name, uint64_t least, uint64_t most,
                uint64_t *value)
{
    char text[2049]; /* longer than a whole target */

    if (!web_request_param(r, name, text, sizeof(text))) {
        return true;
    }
    if (slice_to_u64(slice_of(text), value) && *value >= least && *value <= most) {
        return true;
    }
    web_answer_error(r, 400, "%s: takes a number from %" PRIu64 " to %" PRIu64, name, least, most);
    return false;
}

/* The document --------------------------------------------------------------------------------- */

static const char *const lists[API_TEXTS] = {NULL, "nodes", "shards", "accounts"};

/* The whole, or a list of it. Made once for all who ask for the same document. */
static void take_text(struct api_wait *w, const cJSON *document)
{
    struct buf *text = &w->api->texts[w->text];
    const char *name = lists[w->text];

    if (text->len == 0 && name == NULL) {
        json_append_tree(text, document);
    } else if (text->len == 0) {
        const cJSON *at = cJSON_GetObjectItemCaseSensitive(document, "at");
        const cJSON *list = cJSON_GetObjectItemCaseSensitive(document, name);
        buf_append_str(text, "{\"at\":");
        json_append_tree(text, at);
        buf_printf(text, ",\"%s\":", name);
        json_append_tree(text, list);
        buf_append_char(text, '}');
    }
    api_wait_answer_text(w, text);
}

static void get_text(struct api *a, struct web_request *r, size_t text)
{
    struct api_wait *w = api_wait_begin(a, r);

    if (w != NULL) {
        w->text = text;
        api_wait_for_document(w, take_text);
    }
}

void api_get_status(void *ctx, struct web_request *r)
{
    get_text(coordinator_web_api(ctx), r, 0);
}

void api_get_nodes(void *ctx, struct web_request *r)
{
    get_text(coordinator_web_api(ctx), r, 1);
}

void api_get_shards(void *ctx, struct web_request *r)
{
    get_text(coordinator_web_api(ctx), r, 2);
}

void api_get_accounts(void *ctx, struct web_request *r)
{
    get_text(coordinator_web_api(ctx), r, 3);
}

/* WebSockets ----------------------------------------------------------------------------------- */

static void *on_live(void *ctx, struct web_socket *s)
{
    return live_client_open(coordinator_web_api(ctx)->live, s);
}

const struct web_socket_ops api_live = {
    .on_open = on_live, .on_message = live_client_message, .on_close = live_client_close};

/* Files ---------------------------------------------------------------------------------------- */

void api_get_page(void *ctx, struct web_request *r)
{
    (void)ctx;
    page_answer(r, slice_of("index.html"));
}

void api_get_file(void *ctx, struct web_request *r)
{
    (void)ctx;
    page_answer(r, web_request_rest(r));
}

void api_get_openapi(void *ctx, struct web_request *r)
{
    (void)ctx;
    page_answer(r, slice_of("openapi.json"));
}

void api_get_unknown(void *ctx, struct web_request *r)
{
    (void)ctx;
    web_answer_error(r, 404, "there is no such path; GET /api/v1/openapi.json has those there are");
}

/* Life ----------------------------------------------------------------------------------------- */

static void on_message(void *ctx, struct slice topic, struct slice payload)
{
    struct api *a = ctx;
    size_t chat = strlen(a->chat_topic);

    if (slice_is(topic, a->events_topic)) {
        live_hear_event(a->live);
    } else if (slice_is(topic, a->replies_topic)) {
        api_asks_hear(a, payload);
        status_watch_soon(a->options.watch); /* whoever asked: most likely something is other now */
    } else if (topic.len > chat && memcmp(topic.ptr, a->chat_topic, chat) == 0) {
        live_hear_line(a->live, (struct slice){topic.ptr + chat, topic.len - chat}, payload);
    }
}

static void on_document(void *ctx)
{
    struct api *a = ctx;

    for (size_t i = 0; i < API_TEXTS; i++) {
        buf_clear(&a->texts[i]);
    }
    live_on_document(a->live);
}

struct api *api_create(const struct api_options *o)
{
    struct api *a = xcalloc(1, sizeof(*a));
    const struct subscriber_options listens = {.link = o->link, .on_message = on_message, .ctx = a};

    a->options = *o;
    for (size_t i = 0; i < API_TEXTS; i++) {
        buf_init(&a->texts[i], API_TEXT_BYTES);
    }
    a->registry = status_watch_registry(o->watch);
    registry_topic(a->registry, TOPIC_EVENTS, "", a->events_topic);
    registry_topic(a->registry, TOPIC_REPLIES, "", a->replies_topic);
    registry_topic(a->registry, TOPIC_CHAT, "", a->chat_topic);
    a->subscriber = subscriber_create(o->loop, &listens);
    subscriber_add(a->subscriber, slice_of(a->replies_topic));
    a->live = live_create(o->loop, o->watch, a->subscriber);
    api_names_begin(a);
    api_asks_begin(a);
    status_watch_on_change(o->watch, on_document, a);
    return a;
}

static void finish(void *owner)
{
    struct api *a = owner;

    BUG_ON(a->nwaits > 0 || a->nasks > 0);
    api_names_end(a);
    for (size_t i = 0; i < API_TEXTS; i++) {
        buf_finish(&a->texts[i]);
    }
    free(a);
}

void api_close(struct api *a, void (*on_closed)(void *ctx), void *ctx)
{
    if (a == NULL) {
        on_closed(ctx);
        return;
    }
    teardown_begin(&a->teardown, finish, a, on_closed, ctx);
    subscriber_close(a->subscriber, teardown_part_gone, teardown_part(&a->teardown));
    live_close(a->live, teardown_part_gone, teardown_part(&a->teardown));
    teardown_handle(&a->teardown, (uv_handle_t *)&a->asks_timer);
}
