/* Live: clients, and the document. */
#include "coordinator/web/live_private.h"

#include "shared/json.h"
#include "shared/log.h"

#include <stdlib.h>
#include <utlist.h>

void live_send(struct live_client *c, const struct buf *message)
{
    if (message->overflow) {
        log_warn("http", "http.too_large", "what", "what is told live to a client", NULL);
        web_socket_close(c->socket, "what is to be told is too long");
    } else {
        (void)!web_socket_send(c->socket, buf_slice(message));
    }
}

void live_send_to_all(struct live *l, const struct buf *message)
{
    struct live_client *c;

    DL_FOREACH(l->clients, c)
    {
        if (c->begun) {
            live_send(c, message);
        }
    }
}

/* The document --------------------------------------------------------------------------------- */

void live_go_on(struct live *l)
{
    struct live_client *c;
    struct buf whole;

    if (l->text == NULL || !l->known) {
        return;
    }
    buf_init(&whole, LIVE_MESSAGE_MAX);
    DL_FOREACH(l->clients, c)
    {
        if (!c->begun && whole.len == 0) {
            live_text_append_whole(l->text, &whole);
            buf_append_str(&whole, ",\"events\":");
            live_events_append(l, &whole);
            buf_append_char(&whole, '}');
        }
        if (!c->begun) {
            c->begun = true;
            live_send(c, &whole);
            live_tail_go_on(c);
        }
    }
    buf_finish(&whole);
}

static void take_document(struct live *l, const cJSON *document)
{
    struct buf change;

    if (l->text == NULL) {
        l->text = live_text_create();
    }
    buf_init(&change, LIVE_MESSAGE_MAX);
    live_text_take(l->text, document, &change);
    live_send_to_all(l, &change);
    buf_finish(&change);
    live_go_on(l);
}

void live_on_document(struct live *l)
{
    const cJSON *document = status_watch_document(l->watch);

    if (l->n > 0 && document != NULL) {
        take_document(l, document);
    }
}

/* For the first client: it does not wait for the next one. */
static void on_first_document(void *ctx, const cJSON *document, const struct err *why)
{
    (void)why; /* it comes when Redis is there */
    struct live *l = ctx;

    if (l->text == NULL && document != NULL) {
        take_document(l, document);
    }
}

/* Clients -------------------------------------------------------------------------------------- */

static void on_second(uv_timer_t *timer)
{
    struct live *l = timer->data;
    struct live_client *c;

    status_watch_look(l->watch);
    live_events_read(l);
    DL_FOREACH(l->clients, c)
    {
        c->messages = 0;
        live_tail_second(c);
    }
}

void *live_client_open(struct live *l, struct web_socket *s)
{
    struct live_client *c = xcalloc(1, sizeof(*c));

    c->live = l;
    c->socket = s;
    DL_APPEND(l->clients, c);
    if (l->n++ == 0) {
        uv_timer_start(&l->second, on_second, 1000, 1000);
        status_watch_ask(l->watch, on_first_document, l);
        live_events_begin(l);
    }
    live_go_on(l);
    return c;
}

void live_client_message(void *client, struct slice text)
{
    struct live_client *c = client;

    if (c->messages++ < LIVE_MESSAGES_S) {
        live_tail_ask(c, text);
    } else {
        web_socket_close(c->socket, "too many messages in a second");
    }
}

void live_client_close(void *client)
{
    struct live_client *c = client;
    struct live *l = c->live;

    DL_DELETE(l->clients, c);
    live_tail_stop(c);
    free(c);
    if (--l->n == 0) {
        uv_timer_stop(&l->second);
        live_events_end(l);
        status_watch_forget(l->watch, l);
        live_text_destroy(l->text);
        l->text = NULL;
    }
}

/* Life ----------------------------------------------------------------------------------------- */

struct live *live_create(uv_loop_t *loop, struct status_watch *watch, struct subscriber *listens)
{
    struct live *l = xcalloc(1, sizeof(*l));

    l->watch = watch;
    l->registry = status_watch_registry(watch);
    l->subscriber = listens;
    uv_timer_init(loop, &l->second);
    uv_timer_init(loop, &l->soon);
    l->second.data = l->soon.data = l;
    return l;
}

void live_close(struct live *l, void (*on_closed)(void *ctx), void *ctx)
{
    BUG_ON(l->n > 0 || l->reading);
    teardown_begin(&l->teardown, free, l, on_closed, ctx);
    teardown_handle(&l->teardown, (uv_handle_t *)&l->second);
    teardown_handle(&l->teardown, (uv_handle_t *)&l->soon);
}
