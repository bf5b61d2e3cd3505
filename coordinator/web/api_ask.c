/* Api, what the leader is asked for: an entry of a stream, as applications make them, and its
 * reply.
 *
 * In doubt whether Redis has taken an entry it is added again: it is carried out once, by its id.
 * That a reply was published is a hint to look, and may be lost: it is looked for anyway. */
#include "coordinator/web/api_private.h"

#include "shared/json.h"
#include "shared/loop.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define ASK_MS  10000 /* for an answer; the request stays, and is carried out when somebody leads */
#define LOOK_MS 500   /* between two looks, or tries */

static void ask_end(struct api_ask *k)
{
    struct api *a = k->api;

    DL_DELETE(a->asks, k);
    a->nasks--;
    if (a->asks == NULL && !a->teardown.begun) {
        uv_timer_stop(&a->asks_timer);
    }
    ask_body_finish(&k->body);
    free(k);
}

/* Nobody waits any more; a question under way ends it. */
static void ask_answered(struct api_ask *k)
{
    k->request = NULL;
    if (!k->busy) {
        ask_end(k);
    }
}

static void on_gone(void *ctx)
{
    ask_answered(ctx);
}

static void give_up(struct api_ask *k)
{
    struct buf body;
    struct json j;

    if (!k->added) {
        web_answer_error(k->request, 503,
                         "Redis did not say that it has taken the request; look at the cluster "
                         "before it is made again");
    } else {
        buf_init(&body, 1024);
        json_init(&j, &body);
        json_object_begin(&j, NULL);
        json_string(&j, "id", k->id);
        json_object_end(&j);
        web_answer(k->request, 202, "application/json", buf_slice(&body));
        buf_finish(&body);
    }
    ask_answered(k);
}

static void tell_reply(struct api_ask *k, struct slice reply)
{
    cJSON *tree = json_parse_object(reply);
    struct buf body;

    buf_init(&body, API_TEXT_BYTES);
    if (tree != NULL) {
        json_append_tree(&body, tree);
    }
    if (tree == NULL || body.overflow) {
        web_answer_error(k->request, 502, "the reply in Redis is not what a coordinator says");
    } else {
        web_answer(k->request, 200, "application/json", buf_slice(&body));
    }
    buf_finish(&body);
    cJSON_Delete(tree);
    ask_answered(k);
}

static void on_reply(void *ctx, struct slice text, const struct err *err)
{
    struct api_ask *k = ctx;

    k->busy = false;
    if (k->request == NULL) {
        ask_end(k);
    } else if (err == NULL && text.len > 0) {
        tell_reply(k, text);
    }
}

static void on_added(void *ctx, const struct err *err);

/* Add it, or look for its reply: whichever comes next. */
static void ask_go_on(struct api_ask *k)
{
    struct registry_pair fields[ASK_FIELDS] = {{"id", k->id}};
    int rc;

    if (k->busy) {
        return;
    }
    for (size_t i = 0; i < k->body.n; i++) {
        fields[1 + i] = k->body.fields[i];
    }
    if (k->added) {
        rc = registry_find_reply(k->api->registry, k->id, on_reply, k);
    } else {
        rc = registry_add_request(k->api->registry, k->body.op, fields, 1 + k->body.n, on_added, k);
    }
    k->busy = rc == 0; /* else the link is down; it is tried again */
}

static void on_added(void *ctx, const struct err *err)
{
    struct api_ask *k = ctx;

    k->busy = false;
    k->added = k->added || err == NULL;
    if (k->request == NULL) {
        ask_end(k);
    } else if (err != NULL && !err_is_silence(err)) {
        web_answer_error(k->request, 503, "Redis does not take the request: %s", err->text);
        ask_answered(k);
    } else if (k->added) {
        ask_go_on(k);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct api *a = timer->data;
    struct api_ask *k;
    struct api_ask *next;
    uint64_t now = mono_ms();

    DL_FOREACH_SAFE(a->asks, k, next)
    {
        if (k->request != NULL && now >= k->until_ms) {
            give_up(k);
        } else if (k->request != NULL) {
            ask_go_on(k);
        }
    }
}

void api_asks_hear(struct api *a, struct slice reply)
{
    struct api_ask *k;

    DL_FOREACH(a->asks, k)
    {
        if (k->added && k->request != NULL &&
            memmem(reply.ptr, reply.len, k->id, strlen(k->id)) != NULL) {
            ask_go_on(k);
        }
    }
}

static void ask(struct api *a, struct web_request *r, enum ask_kind kind)
{
    struct ask_body body;
    struct err err;

    if (ask_body_parse(kind, web_request_body(r), &body, &err) != 0) {
        web_answer_error(r, 400, "%s", err.text);
        ask_body_finish(&body);
        return;
    }
    if (a->nasks >= API_WAITING_MAX) {
        web_answer_error(r, 503, "%d requests wait for a reply already; try again",
                         API_WAITING_MAX);
        ask_body_finish(&body);
        return;
    }
    struct api_ask *k = xcalloc(1, sizeof(*k));
    k->api = a;
    k->request = r;
    k->body = body;
    k->until_ms = mono_ms() + ASK_MS;
    random_hex(k->id, 16);
    web_request_on_gone(r, on_gone, k);
    if (a->asks == NULL) {
        uv_timer_start(&a->asks_timer, on_timer, LOOK_MS, LOOK_MS);
    }
    DL_APPEND(a->asks, k);
    a->nasks++;
    ask_go_on(k);
}

void api_post_request(void *ctx, struct web_request *r)
{
    ask(coordinator_web_api(ctx), r, ASK_REQUEST);
}

void api_post_admin(void *ctx, struct web_request *r)
{
    ask(coordinator_web_api(ctx), r, ASK_ADMIN);
}

void api_asks_begin(struct api *a)
{
    uv_timer_init(a->options.loop, &a->asks_timer);
    a->asks_timer.data = a;
}
