/* Connection: the websocket driver. See connection.h.
 *
 *     resolving -> connecting -> open -> ended
 *       resolving, connecting -> ended
 *
 * Happy path: uv_getaddrinfo; libwebsockets is given one address after the other until one answers
 * the upgrade (the first of them changes with each try, so that a dead one costs one try only);
 * frames arrive (RECEIVE), lines go out of them without a copy; what is written waits in `queue`
 * until the socket takes it (WRITEABLE), at most 16 KiB a turn, so that little is beyond recall.
 *
 * Failures: libwebsockets 4.1.6 may refuse without any callback but WSI_DESTROY, or return NULL
 * with none at all; so an attempt is over when its wsi is gone, whatever was said before, and a
 * timer of our own bounds all attempts together. A connection that is ended lives on, deaf, until
 * its wsi, its timer and its look-up are gone; only then is it freed. */
#include "node/connection_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <utlist.h>

#define CLOSE_MS            1000 /* for the close frame to get out */
#define SWITCHING_PROTOCOLS 101

static void attempt(struct connection *c);

/* Life ---------------------------------------------------------------------------------------- */

static void maybe_free(struct connection *c)
{
    if (c->state != CONNECTION_ENDED || c->looking_up || !c->timer_closed) {
        return;
    }
    DL_DELETE(c->pool->list, c);
    if (c->addresses != NULL) {
        uv_freeaddrinfo(c->addresses);
    }
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
    maybe_free(c);
}

/* The wsi is gone, and the connection ended: the timer is the last to go. */
static void close_timer(struct connection *c)
{
    if (!uv_is_closing((uv_handle_t *)&c->timer)) {
        uv_close((uv_handle_t *)&c->timer, on_timer_closed);
    }
}

static void kill_wsi(struct connection *c)
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

/* From here on nothing is told but on_closed, once, and not if the user has closed it. */
static void end(struct connection *c, const char *why)
{
    bool open = c->state == CONNECTION_OPEN;

    if (c->state == CONNECTION_ENDED) {
        return;
    }
    c->state = CONNECTION_ENDED;
    discard(&c->queue);
    discard(&c->keepalives);
    if (c->looking_up) {
        (void)uv_cancel((uv_req_t *)&c->lookup);
    }
    if (c->wsi == NULL) {
        close_timer(c);
    } else if (c->closing) {
        uv_timer_stop(&c->timer);
    } else if (open) {
        /* WRITEABLE sends the close frame; a peer that does not read is not waited for. */
        lws_callback_on_writable(c->wsi);
        uv_timer_start(&c->timer, on_timer, CLOSE_MS, CLOSE_MS);
    } else {
        kill_wsi(c);
        uv_timer_start(&c->timer, on_timer, CLOSE_MS, CLOSE_MS);
    }
    if (!c->detached) {
        c->callbacks.on_closed(c->ctx, why);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct connection *c = timer->data;
    char why[sizeof(c->url.host) + 100];

    if (c->state == CONNECTION_ENDED) {
        if (c->wsi != NULL) {
            kill_wsi(c);
        }
    } else if (c->try_next) {
        c->try_next = false;
        attempt(c);
    } else if (c->state != CONNECTION_OPEN) {
        (void)snprintf(why, sizeof(why), "%s %s: no answer within %llu ms",
                       c->state == CONNECTION_RESOLVING ? "resolve" : "connect to", c->url.host,
                       (unsigned long long)c->pool->connect_ms);
        end(c, why);
    }
}

/* Connecting ---------------------------------------------------------------------------------- */

/* The wsi of an attempt is gone. What comes next is done from the loop, not from within lws. */
static void attempt_over(struct connection *c)
{
    c->try_next = true;
    uv_timer_start(&c->timer, on_timer, 0, 0);
}

static bool begin_attempt(struct connection *c, const struct addrinfo *address)
{
    struct lws_client_connect_info info = {0};
    char ip[64];

    c->asked = false;
    if (uv_ip_name(address->ai_addr, ip, sizeof(ip)) != 0) {
        return false;
    }
    info.context = c->pool->lws;
    info.vhost = c->pool->vhost;
    info.address = ip; /* so that lws need not resolve: it would block */
    info.port = c->url.port;
    info.path = c->url.path;
    info.host = c->url.host; /* what TLS asks for and verifies */
    info.origin = c->url.host;
    info.ssl_connection = c->url.tls ? LCCSCF_USE_SSL : 0;
    info.alpn = "http/1.1";
    info.local_protocol_name = CONNECTION_PROTOCOL;
    info.opaque_user_data = c;
    info.pwsi = &c->wsi;
    return lws_client_connect_via_info(&info) != NULL;
}

/* Try the next address, or give up. */
static void attempt(struct connection *c)
{
    const struct addrinfo *address = c->addresses;
    uint64_t now = mono_ms();
    char why[sizeof(c->why) + 300];

    if (c->answered || c->tried == c->naddresses || now >= c->deadline_ms) {
        (void)snprintf(why, sizeof(why), "connect to %s: %s", c->url.host,
                       c->why[0] != '\0' ? c->why
                       : c->asked        ? "the WebSocket upgrade failed: no answer"
                                         : "refused");
        end(c, why);
        return;
    }
    for (size_t i = (c->first_address + c->tried++) % c->naddresses; i > 0; i--) {
        address = address->ai_next;
    }
    c->state = CONNECTION_CONNECTING;
    uv_timer_start(&c->timer, on_timer, c->deadline_ms - now, 0);
    if (!begin_attempt(c, address) && !c->try_next) {
        c->wsi = NULL;
        attempt_over(c);
    }
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *result)
{
    struct connection *c = request->data;
    char why[sizeof(c->why) + 300];

    c->looking_up = false;
    c->addresses = result;
    if (c->state == CONNECTION_ENDED) {
        maybe_free(c);
        return;
    }
    for (const struct addrinfo *a = result; a != NULL; a = a->ai_next) {
        c->naddresses++;
    }
    if (status != 0 || c->naddresses == 0) {
        (void)snprintf(why, sizeof(why), "resolve %s: %s", c->url.host,
                       status == 0 ? "no address" : uv_strerror(status));
        end(c, why);
        return;
    }
    c->first_address = c->pool->opened++ % c->naddresses;
    attempt(c);
}

struct connection *connection_open(struct connections *pool, const char *url,
                                   const struct connection_callbacks *callbacks, void *ctx,
                                   struct err *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_protocol = IPPROTO_TCP};
    struct connection *c = xcalloc(1, sizeof(*c));
    int rc;

    if (url_parse_ws(url, &c->url, err) != 0) {
        free(c);
        return NULL;
    }
    c->pool = pool;
    c->callbacks = *callbacks;
    c->ctx = ctx;
    c->state = CONNECTION_RESOLVING;
    c->lookup.data = c;
    rc = uv_getaddrinfo(pool->loop, &c->lookup, on_resolved, c->url.host, NULL, &hints);
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
    uv_update_time(pool->loop);
    uv_timer_start(&c->timer, on_timer, pool->connect_ms, 0);
    DL_APPEND(pool->list, c);
    return c;
}

void connection_close(struct connection *c)
{
    if (c != NULL) {
        c->detached = true;
        end(c, "");
    }
}

/* Reading and writing ------------------------------------------------------------------------- */

static bool on_split_line(void *ctx, struct slice line)
{
    struct connection *c = ctx;

    c->callbacks.on_line(c->ctx, line);
    return c->state == CONNECTION_OPEN;
}

static int on_receive(struct connection *c, const char *bytes, size_t len)
{
    bool last = lws_is_final_fragment(c->wsi) && lws_remaining_packet_payload(c->wsi) == 0;

    c->newlines = c->newlines || memchr(bytes, '\n', len) != NULL;
    irc_splitter_feed(&c->splitter, (struct slice){bytes, len}, on_split_line, c);
    /* Twitch ends each line; a peer that never does means each message to be one. */
    if (last && !c->newlines && c->state == CONNECTION_OPEN) {
        irc_splitter_end_message(&c->splitter, on_split_line, c);
    }
    while (c->state == CONNECTION_OPEN && c->long_lines_told < c->splitter.too_long) {
        c->long_lines_told++;
        c->callbacks.on_long_line(c->ctx);
    }
    return 0;
}

static bool queue_bytes(struct connection *c, struct buf *queue, struct slice bytes)
{
    if (c->state != CONNECTION_OPEN || bytes.len > queue->max - queue->len) {
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

size_t connection_unsent(const struct connection *c)
{
    return c->queue.len;
}

void connection_discard(struct connection *c)
{
    discard(&c->queue);
}

/* As many whole lines as fit into one write; if not even one does, a piece of it. */
static size_t write_len(const struct buf *queue)
{
    const char *end;

    if (queue->len <= CONNECTION_WRITE_BYTES) {
        return queue->len;
    }
    end = memrchr(queue->data, '\n', CONNECTION_WRITE_BYTES);
    return end == NULL ? CONNECTION_WRITE_BYTES : (size_t)(end - queue->data) + 1;
}

static int write_from(struct connection *c, struct buf *queue)
{
    unsigned char *out = c->pool->scratch + LWS_PRE;
    size_t len = write_len(queue);
    int written;

    memcpy(out, queue->data, len);
    written = lws_write(c->wsi, out, len, LWS_WRITE_TEXT);
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

/* Why an attempt failed: the socket knows better than libwebsockets, if it was its fault. */
static void set_why(struct connection *c, const char *text, size_t len)
{
    unsigned status = c->asked ? lws_http_client_http_response(c->wsi) : 0;
    int error = 0;
    socklen_t size = sizeof(error);
    int number;

    if (status != 0 && status != SWITCHING_PROTOCOLS) {
        (void)snprintf(c->why, sizeof(c->why), "the WebSocket upgrade failed: HTTP status %u",
                       status);
        c->answered = true;
        return;
    }
    (void)snprintf(c->why, sizeof(c->why), "%s%.*s",
                   c->asked ? "the WebSocket upgrade failed: " : "", (int)(len > 200 ? 200 : len),
                   text);
    if (sscanf(c->why, "conn fail: %d", &number) == 1) {
        error = number;
    } else if (getsockopt(lws_get_socket_fd(c->wsi), SOL_SOCKET, SO_ERROR, &error, &size) != 0) {
        error = 0;
    }
    if (error != 0) {
        (void)snprintf(c->why, sizeof(c->why), "%s", strerror(error));
    } else if (c->url.tls && lws_get_ssl(c->wsi) != NULL &&
               SSL_get_verify_result(lws_get_ssl(c->wsi)) != X509_V_OK) {
        (void)snprintf(c->why, sizeof(c->why), "TLS: the certificate is refused: %s",
                       X509_verify_cert_error_string(SSL_get_verify_result(lws_get_ssl(c->wsi))));
    }
}

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

/* An attempt that failed may leave its wsi behind: libwebsockets frees it when the loop has let go
 * of the socket, and by then the connection may have another, or be gone. */
static struct connection *owner_of(struct lws *wsi)
{
    struct connections *pool = lws_context_user(lws_get_context(wsi));
    struct connection *c;

    DL_FOREACH(pool->list, c)
    {
        if (c->wsi == wsi) {
            return c;
        }
    }
    return NULL;
}

static void on_wsi_gone(struct connection *c)
{
    c->wsi = NULL;
    if (c->state == CONNECTION_ENDED) {
        close_timer(c);
    } else if (c->state == CONNECTION_OPEN) {
        end(c, c->why[0] == '\0' ? "connection lost" : c->why);
    } else {
        attempt_over(c);
    }
}

/* The two that may come for an attempt that is forgotten. */
static int on_attempt_event(struct lws *wsi, enum lws_callback_reasons reason, const char *text,
                            size_t len)
{
    struct connection *c = owner_of(wsi);

    if (c != NULL && reason == LWS_CALLBACK_WSI_DESTROY) {
        on_wsi_gone(c);
    } else if (c != NULL && text != NULL) {
        set_why(c, text, len);
    }
    return 0;
}

static int on_open(struct connection *c)
{
    if (c->state != CONNECTION_CONNECTING) {
        return -1;
    }
    c->state = CONNECTION_OPEN;
    c->why[0] = '\0';
    uv_timer_stop(&c->timer);
    c->callbacks.on_open(c->ctx);
    return 0;
}

int connection_on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                        size_t len)
{
    struct connection *c = lws_get_opaque_user_data(wsi);

    switch (reason) {
    case LWS_CALLBACK_OPENSSL_LOAD_EXTRA_CLIENT_VERIFY_CERTS:
        connections_on_tls(lws_context_user(lws_get_context(wsi)), user);
        return 0;
    case LWS_CALLBACK_CLIENT_RECEIVE:
        return c->state == CONNECTION_OPEN ? on_receive(c, in, len) : 0;
    case LWS_CALLBACK_CLIENT_WRITEABLE:
        if (c->state == CONNECTION_OPEN) {
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
        c->closing = true;
        end(c, c->why[0] == '\0' ? "connection lost" : c->why);
        return 0;
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
    case LWS_CALLBACK_WSI_DESTROY:
        return on_attempt_event(wsi, reason, in, len);
    default:
        return 0;
    }
}
