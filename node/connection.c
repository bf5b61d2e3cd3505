/* Connection: the websocket driver. See connection.h.
 *
 * Happy path: uv_getaddrinfo; libwebsockets is given one address after the other until one answers
 * the upgrade (connection_attempt.c); frames arrive (RECEIVE), lines go out of them without a copy;
 * what is written waits in `queue` until the socket takes it (WRITEABLE), at most 16 KiB a turn, so
 * that little is beyond recall.
 *
 * A connection that is ended lives on, deaf, until its wsi, its timer and its look-up are gone;
 * only then is it freed. */
#include "node/connection_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define CLOSE_MS 1000 /* for the close frame to get out */

static const struct machine_state states[] = {
    [CONNECTION_RESOLVING] = {"resolving",
                              MACHINE_BIT(CONNECTION_CONNECTING) | MACHINE_BIT(CONNECTION_ENDED)},
    [CONNECTION_CONNECTING] = {"connecting", MACHINE_BIT(CONNECTION_BETWEEN) |
                                                 MACHINE_BIT(CONNECTION_OPEN) |
                                                 MACHINE_BIT(CONNECTION_ENDED)},
    [CONNECTION_BETWEEN] = {"between",
                            MACHINE_BIT(CONNECTION_CONNECTING) | MACHINE_BIT(CONNECTION_ENDED)},
    [CONNECTION_OPEN] = {"open", MACHINE_BIT(CONNECTION_ENDED)},
    [CONNECTION_ENDED] = {"ended", 0},
};

static const char *id(const void *owner)
{
    return ((const struct connection *)owner)->url.host;
}

static void check(const void *owner)
{
    const struct connection *c = owner;
    enum connection_state state = c->machine.state;

    BUG_ON(c->looking_up && state != CONNECTION_ENDED);
    BUG_ON((c->wsi != NULL) != (state == CONNECTION_OPEN) && state != CONNECTION_ENDED);
    BUG_ON((c->queue.len > 0 || c->keepalives.len > 0) && state != CONNECTION_OPEN);
}

static const struct machine_type machine = {"connection", states, ARRAY_LEN(states), id, check};

/* Life ---------------------------------------------------------------------------------------- */

void connection_maybe_free(struct connection *c)
{
    if (c->machine.state != CONNECTION_ENDED || c->looking_up || !c->timer_closed) {
        return;
    }
    DL_DELETE(c->pool->list, c);
    explicit_bzero(&c->url, sizeof(c->url));
    irc_splitter_finish(&c->splitter);
    buf_finish(&c->queue);
    buf_finish(&c->keepalives);
    free(c);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct connection *c = handle->data;

    c->timer_closed = true;
    connection_maybe_free(c);
}

/* The wsi is gone, and the connection ended: the timer is the last to go. */
static void close_timer(struct connection *c)
{
    if (!uv_is_closing((uv_handle_t *)&c->timer)) {
        uv_close((uv_handle_t *)&c->timer, on_timer_closed);
    }
}

void connection_kill_wsi(struct connection *c)
{
    lws_set_timeout(c->wsi, PENDING_TIMEOUT_CLOSE_SEND, LWS_TO_KILL_ASYNC);
    lws_cancel_service(c->pool->lws); /* set outside its callbacks, it is seen when lws wakes */
}

static void discard(struct buf *queue)
{
    if (queue->data != NULL) {
        explicit_bzero(queue->data, queue->len); /* a login may be in it */
    }
    buf_clear(queue);
}

static void on_timer(uv_timer_t *timer);

/* `wsi_goes`: by itself. */
static void end(struct connection *c, bool wsi_goes, const char *why)
{
    bool open = c->machine.state == CONNECTION_OPEN;

    if (c->machine.state == CONNECTION_ENDED) {
        return;
    }
    discard(&c->queue);
    discard(&c->keepalives);
    machine_move(&c->machine, CONNECTION_ENDED, c);
    if (c->looking_up) {
        (void)uv_cancel((uv_req_t *)&c->lookup);
    }
    if (c->wsi == NULL) {
        close_timer(c);
    } else if (wsi_goes) {
        uv_timer_stop(&c->timer);
    } else {
        /* WRITEABLE sends the close frame; a peer that does not read is not waited for. */
        if (open) {
            lws_callback_on_writable(c->wsi);
        } else {
            connection_kill_wsi(c);
        }
        uv_timer_start(&c->timer, on_timer, CLOSE_MS, CLOSE_MS);
    }
    if (!c->detached) {
        c->callbacks.on_closed(c->ctx, why, c->pool->caught_up_ms);
    }
}

void connection_end(struct connection *c, const char *why)
{
    end(c, false, why);
}

static void on_timer(uv_timer_t *timer)
{
    struct connection *c = timer->data;

    if (c->machine.state != CONNECTION_ENDED) {
        connection_on_attempt_timer(c);
    } else if (c->wsi != NULL) {
        connection_kill_wsi(c);
    }
}

void connection_set_timer(struct connection *c, uint64_t ms)
{
    uv_update_time(c->pool->loop);
    uv_timer_start(&c->timer, on_timer, ms, 0);
}

struct connection *connection_open(struct connections *pool, const char *url,
                                   const struct connection_callbacks *callbacks, void *ctx,
                                   struct err *err)
{
    struct connection *c = xcalloc(1, sizeof(*c));

    if (url_parse_ws(url, &c->url, err) != 0) {
        free(c);
        return NULL;
    }
    c->pool = pool;
    c->callbacks = *callbacks;
    c->ctx = ctx;
    machine_begin(&c->machine, &machine, CONNECTION_RESOLVING);
    int rc = connection_resolve(c);
    if (rc != 0) {
        (void)err_set(err, ERR_IO, "resolve %s: %s", c->url.host, uv_strerror(rc));
        free(c);
        return NULL;
    }
    c->looking_up = true;
    c->deadline_ms = mono_ms() + pool->connect_ms;
    irc_splitter_init(&c->splitter);
    buf_init(&c->queue, CONNECTION_QUEUE_BYTES);
    buf_init(&c->keepalives, CONNECTION_KEEP_BYTES);
    BUG_ON(uv_timer_init(pool->loop, &c->timer) != 0);
    c->timer.data = c;
    connection_set_timer(c, pool->connect_ms);
    DL_APPEND(pool->list, c);
    return c;
}

void connection_close(struct connection *c)
{
    if (c != NULL) {
        c->detached = true;
        connection_end(c, "");
    }
}

/* Reading and writing ------------------------------------------------------------------------- */

static bool on_split_line(void *ctx, struct slice line)
{
    struct connection *c = ctx;

    c->callbacks.on_line(c->ctx, line);
    return c->machine.state == CONNECTION_OPEN;
}

static int on_receive(struct connection *c, const char *bytes, size_t len)
{
    bool last = lws_is_final_fragment(c->wsi) && lws_remaining_packet_payload(c->wsi) == 0;

    (void)irc_splitter_piece(&c->splitter, (struct slice){bytes, len}, last, on_split_line, c);
    while (c->machine.state == CONNECTION_OPEN && c->long_lines_told < c->splitter.too_long) {
        c->long_lines_told++;
        c->callbacks.on_long_line(c->ctx);
    }
    return 0;
}

static bool queue_bytes(struct connection *c, struct buf *queue, struct slice bytes)
{
    if (c->machine.state != CONNECTION_OPEN || bytes.len > queue->max - queue->len) {
        return false;
    }
    buf_append_slice(queue, bytes);
    lws_callback_on_writable(c->wsi);
    return true;
}

bool connection_write(struct connection *c, struct slice bytes)
{
    return c != NULL && queue_bytes(c, &c->queue, bytes);
}

bool connection_write_keepalive(struct connection *c, struct slice bytes)
{
    return c != NULL && queue_bytes(c, &c->keepalives, bytes);
}

void connection_discard(struct connection *c)
{
    discard(&c->queue);
}

/* As many whole lines as fit into one write; if not even one does, a piece of it. */
static size_t write_len(const struct buf *queue)
{
    if (queue->len <= CONNECTION_WRITE_BYTES) {
        return queue->len;
    }
    const char *end = memrchr(queue->data, '\n', CONNECTION_WRITE_BYTES);
    return end == NULL ? CONNECTION_WRITE_BYTES : (size_t)(end - queue->data) + 1;
}

static int write_from(struct connection *c, struct buf *queue)
{
    unsigned char *out = c->pool->scratch + LWS_PRE;
    size_t len = write_len(queue);

    memcpy(out, queue->data, len);
    int written = lws_write(c->wsi, out, len, LWS_WRITE_TEXT);
    explicit_bzero(out, len); /* a login may have been in it */
    if (len == queue->len) {
        discard(queue);
    } else {
        buf_consume(queue, len);
    }
    if (c->queue.len > 0 || c->keepalives.len > 0) {
        lws_callback_on_writable(c->wsi);
    }
    return written < (int)len ? -1 : 0;
}

static int on_writable(struct connection *c)
{
    if (c->keepalives.len > 0) {
        return write_from(c, &c->keepalives);
    }
    /* It may have waited for long, and a process that stood still wakes up right here. */
    if (c->queue.len > 0 && c->callbacks.may_write != NULL && !c->callbacks.may_write(c->ctx)) {
        discard(&c->queue);
    }
    return c->queue.len > 0 ? write_from(c, &c->queue) : 0;
}

/* libwebsockets ------------------------------------------------------------------------------- */

/* The peer's close frame: two bytes of status, then a text. */
static void set_peer_why(struct connection *c, const unsigned char *in, size_t len)
{
    if (len < 2) {
        (void)snprintf(c->why, sizeof(c->why), "closed by the server");
        return;
    }
    (void)snprintf(c->why, sizeof(c->why), "closed by the server: %d%s%.*s", in[0] << 8 | in[1],
                   len > 2 ? " " : "", (int)(len > 125 ? 123 : len - 2), (const char *)in + 2);
}

void connection_on_wsi_gone(struct connection *c)
{
    c->wsi = NULL;
    if (c->machine.state == CONNECTION_ENDED) {
        close_timer(c);
    } else if (c->machine.state == CONNECTION_OPEN) {
        connection_end(c, c->why[0] == '\0' ? "connection lost" : c->why);
    } else {
        connection_attempt_over(c);
    }
}

static int on_open(struct connection *c)
{
    if (c->machine.state != CONNECTION_CONNECTING) {
        return -1;
    }
    machine_move(&c->machine, CONNECTION_OPEN, c);
    addresses_worked(&c->addresses);
    c->why[0] = '\0';
    uv_timer_stop(&c->timer);
    c->callbacks.on_open(c->ctx);
    return 0;
}

/* Of a wsi without an owner: an attempt that was given up, or one that is not ours. */
static int on_stray_event(struct lws *wsi, enum lws_callback_reasons reason, void *user)
{
    switch (reason) {
    case LWS_CALLBACK_OPENSSL_LOAD_EXTRA_CLIENT_VERIFY_CERTS:
        connections_on_tls(lws_context_user(lws_get_context(wsi)), user);
        return 0;
    case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER:
    case LWS_CALLBACK_CLIENT_HTTP_REDIRECT:
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
        return -1;
    default:
        return 0;
    }
}

int connection_on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                        size_t len)
{
    struct connection *c = lws_get_opaque_user_data(wsi);

    if (c == NULL) {
        return on_stray_event(wsi, reason, user);
    }
    switch (reason) {
    case LWS_CALLBACK_CLIENT_RECEIVE:
        return c->machine.state == CONNECTION_OPEN ? on_receive(c, in, len) : 0;
    case LWS_CALLBACK_CLIENT_WRITEABLE:
        if (c->machine.state == CONNECTION_OPEN) {
            return on_writable(c);
        }
        lws_close_reason(wsi, LWS_CLOSE_STATUS_NORMAL, NULL, 0);
        return -1;
    case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER:
        c->asked = true;
        return 0;
    case LWS_CALLBACK_CLIENT_HTTP_REDIRECT:
        return -1; /* libwebsockets would follow it, and resolve the name on the loop */
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
        return on_open(c);
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        set_peer_why(c, in, len);
        return 0;
    case LWS_CALLBACK_CLIENT_CLOSED:
        end(c, true, c->why[0] == '\0' ? "connection lost" : c->why);
        return 0;
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
    case LWS_CALLBACK_WSI_DESTROY:
        return connection_on_attempt_event(wsi, reason, in, len);
    default:
        return 0;
    }
}
