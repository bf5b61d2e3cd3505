/* Api, requests that wait for what is read. What was asked of Redis is answered, also where the
 * client is gone by then. */
#include "coordinator/web/api_private.h"

#include "shared/json.h"

#include <inttypes.h>
#include <stdlib.h>

/* Rows of Redis that are read for all clients in a second, and at once: 5,000 channels, or events,
 * take a tenth of a second here and as much in Redis. */
#define ROWS_S    5000
#define ROWS_MOST 10000

static void wait_end(struct api_wait *w)
{
    api_count_rows(w, 0);
    w->api->nwaits--;
    cJSON_Delete(w->answer);
    api_channels_free(w->channels, w->nchannels);
    free(w->name);
    free(w);
}

static void on_gone(void *ctx)
{
    struct api_wait *w = ctx;

    w->request = NULL;
    if (w->asks_watch) {
        status_watch_forget(w->api->options.watch, w);
        wait_end(w);
    }
}

struct api_wait *api_wait_begin(struct api *a, struct web_request *r)
{
    if (a->nwaits >= API_WAITING_MAX) {
        web_answer_error(r, 503, "%d requests wait for an answer already; try again",
                         API_WAITING_MAX);
        return NULL;
    }
    struct api_wait *w = xcalloc(1, sizeof(*w));
    w->api = a;
    w->request = r;
    a->nwaits++;
    web_request_on_gone(r, on_gone, w);
    return w;
}

/* False: it was answered. */
static bool may_read(struct api *a, struct web_request *r)
{
    uint64_t now = mono_ms();
    uint64_t passed_ms = now - a->rows_ms < 10000 ? now - a->rows_ms : 10000;

    a->rows += (int64_t)(passed_ms * ROWS_S / 1000);
    a->rows = a->rows < ROWS_MOST ? a->rows : ROWS_MOST;
    a->rows_ms = now;
    if (a->rows <= 0) {
        web_answer_error(r, 429,
                         "more was read than may be in a second; try again in %" PRId64 " s",
                         -a->rows / ROWS_S + 1);
    }
    return a->rows > 0;
}

struct api_wait *api_wait_begin_reading(struct api *a, struct web_request *r, size_t rows)
{
    struct api_wait *w = may_read(a, r) ? api_wait_begin(a, r) : NULL;

    if (w != NULL) {
        api_take_rows(w, rows);
    }
    return w;
}

void api_take_rows(struct api_wait *w, size_t rows)
{
    w->advance += rows;
    w->api->rows -= (int64_t)rows;
}

bool api_wait_may_read(struct api_wait *w)
{
    bool may = w->request != NULL && may_read(w->api, w->request);

    if (!may) {
        wait_end(w);
    }
    return may;
}

void api_count_rows(struct api_wait *w, size_t rows)
{
    w->api->rows += (int64_t)w->advance - (int64_t)rows;
    w->advance = 0;
}

void api_wait_answer_text(struct api_wait *w, const struct buf *json)
{
    if (json->overflow) {
        api_wait_refuse(w, 503, "the answer is too large; ask for less of it");
        return;
    }
    if (w->request != NULL) {
        web_answer(w->request, 200, "application/json", buf_slice(json));
    }
    wait_end(w);
}

void api_wait_answer(struct api_wait *w, cJSON *tree)
{
    struct buf text;

    buf_init(&text, API_TEXT_BYTES);
    json_append_tree(&text, tree);
    cJSON_Delete(tree);
    api_wait_answer_text(w, &text);
    buf_finish(&text);
}

void api_wait_refuse(struct api_wait *w, int status, const char *text)
{
    if (w->request != NULL) {
        web_answer_error(w->request, status, "%s", text);
    }
    wait_end(w);
}

void api_wait_unread(struct api_wait *w, const struct err *err)
{
    struct err told = *err;

    err_wrap(&told, "Redis cannot be read");
    api_wait_refuse(w, 503, told.text);
}

static void on_document(void *ctx, const cJSON *document, const struct err *why)
{
    struct api_wait *w = ctx;

    w->asks_watch = false;
    if (document != NULL) {
        w->take(w, document);
    } else {
        api_wait_unread(w, why);
    }
}

void api_wait_for_document(struct api_wait *w,
                           void (*take)(struct api_wait *w, const cJSON *document))
{
    w->take = take;
    w->asks_watch = true;
    status_watch_ask(w->api->options.watch, on_document, w);
}
