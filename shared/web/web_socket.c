/* WebSockets: the handshake is ours, frames are wslay's (RFC 6455, UTF-8 checked). See web.h.
 *
 * What wslay has to send goes into `out` of the connection at once. One that has too much there is
 * closed without a word: it reads nothing. */
#include "shared/web/web_private.h"

#include "shared/log.h"
#include "shared/net/websocket_key.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <wslay/wslay.h>

#define WHY_MAX 123  /* bytes of a reason, RFC 6455, 5.5 */
#define END_MS  2000 /* for a close, and what waits before it, to leave */

#define CODE_GOING 1001
#define CODE_TYPE  1003
#define CODE_RULES 1008

struct web_socket {
    struct web_conn *conn;
    const struct web_socket_ops *ops;
    void *of;
    wslay_event_context_ptr frames;
    struct web_bucket bucket; /* of frames */
    uint64_t heard_ms;
    uint64_t pinged_ms;
    bool busy;   /* inside wslay, or the owner: what is to be sent leaves behind it */
    bool ending; /* a close was said, or nothing more will be */
};

/* The handshake ------------------------------------------------------------------------------- */

static bool is_key(struct slice key)
{
    static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i + 2 < key.len; i++) {
        if (memchr(base64, key.ptr[i], sizeof(base64) - 1) == NULL) {
            return false;
        }
    }
    return key.len == WEBSOCKET_KEY_CHARS &&
           memcmp(key.ptr + WEBSOCKET_KEY_CHARS - 2, "==", 2) == 0;
}

const char *web_socket_refusal(const struct web_request *r, int *status, const char **extra)
{
    struct slice to = web_request_header(r, "upgrade");

    *status = 0;
    *extra = "";
    if (!r->head.upgrade || to.len != 9 || strncasecmp(to.ptr, "websocket", 9) != 0 ||
        !slice_is(web_request_header(r, "sec-websocket-version"), "13")) {
        *status = 426;
        *extra = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n";
        return "this path is for WebSockets";
    }
    if (r->head.minor == 0 || r->is_head || r->head.body > 0 ||
        !is_key(web_request_header(r, "sec-websocket-key"))) {
        *status = 400;
        return "this is no handshake of RFC 6455";
    }
    if (r->conn->web->nsockets >= WEB_SOCKETS_MAX) {
        *status = 503;
        return "there are too many WebSockets";
    }
    return NULL;
}

static void write_accept(struct buf *out, struct slice key)
{
    char accept[WEBSOCKET_ACCEPT_CHARS];

    websocket_key_accept(key, accept);
    web_answer_status(out, 101);
    buf_printf(out, "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
               accept);
}

/* wslay --------------------------------------------------------------------------------------- */

static ssize_t on_recv(wslay_event_context_ptr frames, uint8_t *out, size_t len, int flags,
                       void *user)
{
    struct buf *in = &((struct web_socket *)user)->conn->in;
    size_t n = len < in->len ? len : in->len;

    (void)flags;
    if (n == 0) {
        wslay_event_set_error(frames, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    memcpy(out, in->data, n);
    buf_consume(in, n);
    return (ssize_t)n;
}

static ssize_t on_send(wslay_event_context_ptr frames, const uint8_t *data, size_t len, int flags,
                       void *user)
{
    struct buf *out = &((struct web_socket *)user)->conn->out;

    (void)flags;
    buf_append(out, data, len);
    if (out->overflow) {
        wslay_event_set_error(frames, WSLAY_ERR_CALLBACK_FAILURE);
        return -1;
    }
    return (ssize_t)len;
}

/* Say a close, and listen no more. */
static void end(struct web_socket *s, unsigned code, const char *why)
{
    size_t len = strlen(why);

    if (!s->ending) {
        s->ending = true;
        (void)wslay_event_queue_close(s->frames, (uint16_t)code, (const uint8_t *)why,
                                      len < WHY_MAX ? len : WHY_MAX);
        wslay_event_shutdown_read(s->frames);
        s->conn->deadline_ms = mono_ms() + END_MS;
    }
}

static void on_frame(wslay_event_context_ptr frames,
                     const struct wslay_event_on_frame_recv_start_arg *frame, void *user)
{
    struct web_socket *s = user;

    (void)frames;
    (void)frame;
    if (!web_bucket_take(&s->bucket, WEB_FRAMES_S, WEB_FRAMES, mono_ms())) {
        end(s, CODE_RULES, "too many frames a second");
    }
}

static void on_message(wslay_event_context_ptr frames,
                       const struct wslay_event_on_msg_recv_arg *message, void *user)
{
    struct web_socket *s = user;

    (void)frames;
    if (s->ending) {
        return;
    }
    if (message->opcode == WSLAY_TEXT_FRAME) {
        s->ops->on_message(s->of, (struct slice){(const char *)message->msg, message->msg_length});
    } else if (message->opcode == WSLAY_BINARY_FRAME) {
        end(s, CODE_TYPE, "text is spoken here");
    }
}

/* What wslay has to send leaves, unless whoever is at work will do it. */
static void leave(struct web_socket *s)
{
    if (s->busy || s->conn->machine.state == WEB_CLOSING) {
        return;
    }
    s->busy = true;
    int rc = wslay_event_send(s->frames);
    s->busy = false;
    if (rc != 0) {
        web_conn_close(s->conn);
        return;
    }
    if (!s->ending && !wslay_event_get_read_enabled(s->frames)) {
        s->ending = true; /* wslay has said a close */
        s->conn->deadline_ms = mono_ms() + END_MS;
    }
    web_conn_flush(s->conn);
}

void web_socket_open(struct web_conn *c)
{
    static const struct wslay_event_callbacks callbacks = {
        .recv_callback = on_recv,
        .send_callback = on_send,
        .on_frame_recv_start_callback = on_frame,
        .on_msg_recv_callback = on_message,
    };
    struct web_socket *s = xcalloc(1, sizeof(*s));

    s->conn = c;
    s->ops = c->request.route->socket;
    s->heard_ms = s->pinged_ms = mono_ms();
    BUG_ON(wslay_event_context_server_init(&s->frames, &callbacks, s) != 0);
    wslay_event_config_set_max_recv_msg_length(s->frames, WEB_MESSAGE_MAX);
    write_accept(&c->out, web_request_header(&c->request, "sec-websocket-key"));
    c->socket = s;
    c->web->nsockets++;
    web_request_clear(&c->request);
    web_conn_move(c, WEB_SOCKET, 0);
    s->busy = true;
    s->of = s->ops->on_open(c->web->ctx, s);
    s->busy = false;
    leave(s);
    if (c->in.len > 0) {
        web_again(c);
    }
}

void web_socket_read(struct web_conn *c)
{
    struct web_socket *s = c->socket;

    s->heard_ms = mono_ms();
    s->busy = true;
    int rc = wslay_event_get_read_enabled(s->frames) ? wslay_event_recv(s->frames) : 0;
    s->busy = false;
    buf_clear(&c->in); /* what is left comes behind a close */
    if (rc != 0) {     /* no frames of WebSocket: it has said a close without a reason */
        wslay_event_shutdown_read(s->frames);
    }
    leave(s);
}

void web_socket_flushed(struct web_conn *c)
{
    if (c->socket->ending && !wslay_event_want_write(c->socket->frames)) {
        web_conn_drain(c);
    }
}

void web_socket_tick(struct web_conn *c, uint64_t now_ms)
{
    struct web_socket *s = c->socket;

    if ((s->ending && now_ms >= c->deadline_ms) || now_ms - s->heard_ms >= WEB_SILENCE_MS) {
        web_conn_close(c);
    } else if (now_ms - s->pinged_ms >= WEB_PING_MS) {
        s->pinged_ms = now_ms;
        (void)wslay_event_queue_msg(s->frames, &(struct wslay_event_msg){.opcode = WSLAY_PING});
        leave(s);
    }
}

static bool give_up(struct web_socket *s)
{
    s->ending = true;
    web_conn_close(s->conn);
    return false;
}

bool web_socket_send(struct web_socket *s, struct slice text)
{
    const struct wslay_event_msg message = {
        .opcode = WSLAY_TEXT_FRAME, .msg = (const uint8_t *)text.ptr, .msg_length = text.len};

    if (s->ending || s->conn->machine.state != WEB_SOCKET) {
        return false;
    }
    if (text.len > WEB_ANSWER_MAX) {
        log_warn("http", "http.too_large", "what", "a message to a WebSocket, which is closed",
                 "bytes", log_u64(text.len), NULL);
        return give_up(s);
    }
    if (web_conn_waiting(s->conn) + wslay_event_get_queued_msg_length(s->frames) >=
        WEB_SOCKET_WAIT_MAX) {
        log_warn("http", "http.slow", "what", "a WebSocket reads too slowly, and is closed", NULL);
        return give_up(s);
    }
    (void)wslay_event_queue_msg(s->frames, &message);
    leave(s);
    return true;
}

void web_socket_close(struct web_socket *s, const char *why)
{
    if (s->conn->machine.state == WEB_SOCKET) {
        end(s, CODE_RULES, why);
        leave(s);
    }
}

void web_socket_going(struct web_socket *s)
{
    if (s->conn->machine.state == WEB_SOCKET) {
        end(s, CODE_GOING, "the server ends");
        leave(s);
    }
}

void web_socket_finish(struct web_socket *s)
{
    s->conn->web->nsockets--;
    s->conn->socket = NULL;
    s->ops->on_close(s->of);
    wslay_event_context_free(s->frames);
    free(s);
}
