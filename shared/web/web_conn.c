/* Connections: bytes in and out, TLS, and the states. See web_private.h for the picture.
 *
 * Bytes that came and are not done with are in `in`: a head that is not whole, or what follows a
 * request that is not answered; nothing more is read then. Bytes to leave are collected in `out`,
 * handed to the socket by web_conn_flush, and what it does not take is libuv's (`leaving`). */
#include "shared/web/web_private.h"

#include "shared/log.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define IN_MAX  (4 * WEB_READ_BYTES) /* a TLS record may have been begun before */
#define OUT_MAX (WEB_ANSWER_MAX + WEB_SOCKET_WAIT_MAX + 65536)

#define BIT MACHINE_BIT
static const struct machine_state states[] = {
    [WEB_TLS] = {"tls", BIT(WEB_HEAD) | BIT(WEB_CLOSING)},
    [WEB_HEAD] = {"head", BIT(WEB_BODY) | BIT(WEB_HANDLED) | BIT(WEB_ANSWER) | BIT(WEB_SOCKET) |
                              BIT(WEB_CLOSING)},
    [WEB_BODY] = {"body", BIT(WEB_HANDLED) | BIT(WEB_CLOSING)},
    [WEB_HANDLED] = {"handled", BIT(WEB_ANSWER) | BIT(WEB_CLOSING)},
    [WEB_ANSWER] = {"answer", BIT(WEB_HEAD) | BIT(WEB_DRAIN) | BIT(WEB_CLOSING)},
    [WEB_DRAIN] = {"drain", BIT(WEB_CLOSING)},
    [WEB_SOCKET] = {"socket", BIT(WEB_DRAIN) | BIT(WEB_CLOSING)},
    [WEB_CLOSING] = {"closing", 0},
};
#undef BIT

/* Without a name: it moves with each request. */
static const struct machine_type machine = {NULL, states, ARRAY_LEN(states), NULL, NULL};

static void on_read_space(uv_handle_t *handle, size_t suggested, uv_buf_t *out);
static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *bytes);

static bool wants_bytes(const struct web_conn *c)
{
    switch ((enum web_state)c->machine.state) {
    case WEB_CLOSING:
        return false;
    case WEB_HEAD:
    case WEB_BODY:
        return !c->ended && c->paused_ms == 0 && !c->again;
    case WEB_HANDLED: /* that the connection breaks is read */
    case WEB_ANSWER:
        return !c->ended && c->in.len == 0;
    default:
        return !c->ended;
    }
}

static void look_at_reading(struct web_conn *c)
{
    bool wants = wants_bytes(c);

    if (wants && !c->reading) {
        c->reading = uv_read_start((uv_stream_t *)&c->tcp, on_read_space, on_read) == 0;
    } else if (!wants && c->reading && c->machine.state != WEB_CLOSING) {
        c->reading = false;
        uv_read_stop((uv_stream_t *)&c->tcp);
    }
}

void web_conn_move(struct web_conn *c, enum web_state to, uint64_t ms)
{
    c->since_ms = mono_ms();
    c->deadline_ms = c->since_ms + ms;
    machine_move(&c->machine, to, c);
    look_at_reading(c);
}

/* Closing -------------------------------------------------------------------------------------- */

static void on_closed(uv_handle_t *handle)
{
    struct web_conn *c = handle->data;

    web_request_gone(&c->request);
    if (c->socket != NULL) {
        web_socket_finish(c->socket);
    }
    web_request_finish(&c->request);
    tls_destroy(c->tls);
    buf_wipe(&c->in);
    buf_finish(&c->out);
    buf_finish(&c->wire);
    buf_finish(&c->leaving);
    web_forget(c);
}

static void forget_owed(struct web_conn *c)
{
    c->web->waiting -= c->owed;
    c->owed = 0;
}

void web_conn_close(struct web_conn *c)
{
    if (c->machine.state != WEB_CLOSING) {
        web_conn_move(c, WEB_CLOSING, 0);
        forget_owed(c);
        c->web->nopen--;
        uv_close((uv_handle_t *)&c->tcp, on_closed);
    }
}

static void on_shut_down(uv_shutdown_t *request, int status)
{
    (void)request;
    (void)status;
}

void web_conn_drain(struct web_conn *c)
{
    if (c->ended || uv_shutdown(&c->shutdown, (uv_stream_t *)&c->tcp, on_shut_down) != 0) {
        web_conn_close(c);
        return;
    }
    buf_wipe(&c->in);
    c->paused_ms = 0;
    web_conn_move(c, WEB_DRAIN, WEB_DRAIN_MS);
}

/* Bytes out ------------------------------------------------------------------------------------ */

size_t web_conn_waiting(const struct web_conn *c)
{
    return c->out.len + c->wire.len + (c->writing ? c->leaving.len : 0);
}

bool web_conn_ends(const struct web_conn *c)
{
    return c->last || (c->ended && c->in.len == 0);
}

/* The answer is with the kernel. */
static void answered(struct web_conn *c)
{
    forget_owed(c);
    web_request_clear(&c->request);
    if (web_conn_ends(c)) {
        web_conn_drain(c);
        return;
    }
    c->begun = false;
    web_conn_move(c, WEB_HEAD, WEB_IDLE_MS);
    if (c->in.len > 0) {
        web_again(c);
    }
}

static void flushed(struct web_conn *c)
{
    if (c->machine.state == WEB_ANSWER) {
        answered(c);
    } else if (c->machine.state == WEB_SOCKET) {
        web_socket_flushed(c);
    }
}

static void on_written(uv_write_t *request, int status)
{
    struct web_conn *c = request->data;

    c->writing = false;
    buf_finish(&c->leaving);
    if (status < 0) {
        web_conn_close(c);
    } else {
        web_conn_flush(c);
    }
}

/* Make TLS records of what was collected. */
static bool encrypt_out(struct web_conn *c)
{
    if (c->out.len > 0 && tls_write(c->tls, c->out.data, c->out.len, NULL) != 0) {
        return false;
    }
    if (c->machine.state == WEB_ANSWER && web_conn_ends(c)) {
        tls_end(c->tls);
    }
    buf_finish(&c->out);
    return !c->wire.overflow;
}

/* Give libuv what the socket did not take at once: all of `from` but its first `skip` bytes. */
static void write_rest(struct web_conn *c, struct buf *from, size_t skip)
{
    c->leaving = *from;
    buf_init(from, c->leaving.max);
    uv_buf_t bytes = uv_buf_init(c->leaving.data + skip, (unsigned)(c->leaving.len - skip));

    c->writing = true;
    c->write.data = c;
    if (uv_write(&c->write, (uv_stream_t *)&c->tcp, &bytes, 1, on_written) != 0) {
        c->writing = false;
        web_conn_close(c);
    }
}

void web_conn_flush(struct web_conn *c)
{
    struct buf *from = c->tls != NULL ? &c->wire : &c->out;

    if (c->writing || c->machine.state == WEB_CLOSING) {
        return;
    }
    if (c->tls != NULL && c->machine.state != WEB_TLS && !encrypt_out(c)) {
        web_conn_close(c);
        return;
    }
    if (from->len == 0) {
        flushed(c);
        return;
    }
    uv_buf_t bytes = uv_buf_init(from->data, (unsigned)from->len);
    int taken = uv_try_write((uv_stream_t *)&c->tcp, &bytes, 1);

    taken = taken == UV_EAGAIN ? 0 : taken;
    if (taken < 0) {
        web_conn_close(c);
    } else if ((size_t)taken == from->len) {
        buf_finish(from);
        flushed(c);
    } else {
        write_rest(c, from, (size_t)taken);
    }
}

/* Bytes in ------------------------------------------------------------------------------------- */

/* It asked for something that was not looked at or answered yet. */
static bool is_owed(const struct web_conn *c)
{
    switch ((enum web_state)c->machine.state) {
    case WEB_HEAD:
    case WEB_BODY:
        return c->in.len > 0 && (c->again || c->paused_ms != 0);
    case WEB_HANDLED:
    case WEB_ANSWER:
        return true;
    default:
        return false;
    }
}

void web_conn_turn(struct web_conn *c)
{
    if (c->machine.state == WEB_HEAD || c->machine.state == WEB_BODY) {
        web_request_read(c);
    } else if (c->machine.state == WEB_SOCKET) {
        web_socket_read(c);
    }
    if (c->in.len == 0) {
        buf_finish(&c->in); /* most connections rest most of the time */
    }
    if (c->ended && !is_owed(c)) {
        web_conn_close(c);
    }
    look_at_reading(c);
}

static void deliver(struct web_conn *c, const char *data, size_t len)
{
    if (c->machine.state == WEB_DRAIN) {
        c->drained += len;
    } else {
        buf_append(&c->in, data, len);
    }
    if (c->in.overflow || c->drained > WEB_DRAIN_BYTES) {
        web_conn_close(c);
    } else if (!c->again) {
        web_conn_turn(c);
    }
}

/* The client sends nothing more; with UV_EOF it may still read, and gets what it asked for. */
static void on_end(struct web_conn *c, int status)
{
    c->ended = true;
    if (status != UV_EOF || !is_owed(c)) {
        web_conn_close(c);
    } else {
        look_at_reading(c);
    }
}

static void read_tls(struct web_conn *c, const char *data, size_t len)
{
    char plain[WEB_READ_BYTES];
    int n = 0;

    tls_receive(c->tls, data, len);
    if (c->machine.state == WEB_TLS) {
        n = tls_handshake(c->tls, NULL);
        web_conn_flush(c);
        if (n < 0) {
            web_conn_close(c);
        }
        if (n <= 0 || c->machine.state == WEB_CLOSING) {
            return;
        }
        web_conn_move(c, WEB_HEAD, WEB_HEAD_MS);
    }
    while (c->machine.state != WEB_CLOSING &&
           (n = tls_read(c->tls, plain, sizeof(plain), NULL)) > 0) {
        deliver(c, plain, (size_t)n);
        explicit_bzero(plain, (size_t)n);
    }
    if (c->machine.state != WEB_CLOSING && n < 0) {
        on_end(c, tls_has_ended(c->tls) ? UV_EOF : UV_EPROTO);
    } else if (c->machine.state != WEB_ANSWER) {
        web_conn_flush(c); /* TLS 1.3 may answer a key update */
    }
}

static void on_read_space(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct web_conn *c = handle->data;

    (void)suggested;
    *out = uv_buf_init(c->web->read, sizeof(c->web->read));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *bytes)
{
    struct web_conn *c = stream->data;

    if (c->machine.state == WEB_CLOSING || n == 0) {
        return;
    }
    if (n < 0) {
        on_end(c, (int)n);
    } else if (c->tls != NULL) {
        read_tls(c, bytes->base, (size_t)n);
    } else {
        deliver(c, bytes->base, (size_t)n);
        explicit_bzero(bytes->base, (size_t)n);
    }
}

/* Beginning, and times ------------------------------------------------------------------------- */

/* The one that has waited longest without a request. */
static struct web_conn *longest_idle(const struct web *w)
{
    struct web_conn *longest = NULL;
    struct web_conn *c;

    DL_FOREACH(w->conns, c)
    {
        bool idle = c->machine.state == WEB_TLS || (c->machine.state == WEB_HEAD && !c->again);
        if (idle && (longest == NULL || c->since_ms < longest->since_ms)) {
            longest = c;
        }
    }
    return longest;
}

void web_conn_accept(struct web *w)
{
    struct web_conn *idle = w->nopen >= WEB_CONNECTIONS_MAX ? longest_idle(w) : NULL;
    struct web_conn *c = xcalloc(1, sizeof(*c));

    c->web = w;
    BUG_ON(uv_tcp_init(w->loop, &c->tcp) != 0);
    c->tcp.data = c;
    buf_init(&c->in, IN_MAX);
    buf_init(&c->out, OUT_MAX);
    buf_init(&c->wire, OUT_MAX + OUT_MAX / 16);
    web_request_init(c);
    machine_begin(&c->machine, &machine, w->tls != NULL ? WEB_TLS : WEB_HEAD);
    c->since_ms = mono_ms();
    c->deadline_ms = c->since_ms + WEB_HEAD_MS;
    DL_APPEND(w->conns, c);
    w->nopen++;
    bool taken = uv_accept((uv_stream_t *)&w->listener, (uv_stream_t *)&c->tcp) == 0;
    if (idle != NULL) {
        web_conn_close(idle);
    }
    if (!taken || w->nopen > WEB_CONNECTIONS_MAX) {
        web_busy(w, "connections");
        web_conn_close(c);
        return;
    }
    if (w->tls != NULL) {
        c->tls = tls_accept(w->tls, &c->wire);
    }
    (void)uv_tcp_nodelay(&c->tcp, 1);
    look_at_reading(c);
}

void web_conn_describe(const struct web_conn *c, char *out, size_t size)
{
    union web_address peer = {.v4 = {.sin_family = AF_INET}};
    int len = sizeof(peer);

    (void)uv_tcp_getpeername(&c->tcp, &peer.any, &len);
    web_listen_describe(&peer, out, size);
}

static void on_deadline(struct web_conn *c)
{
    if (c->machine.state == WEB_HANDLED) {
        log_warn("http", "http.unanswered", "path", c->request.route->path, NULL);
        web_request_gone(&c->request);
        c->last = true;
        web_answer_refuse(&c->request, 504, "", "no answer in time");
    } else {
        web_conn_close(c);
    }
}

void web_conn_tick(struct web_conn *c, uint64_t now_ms)
{
    if (c->machine.state == WEB_CLOSING) {
        return;
    }
    if (c->paused_ms != 0 && now_ms >= c->paused_ms) {
        c->paused_ms = 0;
        if (c->in.len > 0) {
            web_again(c);
        }
        look_at_reading(c);
    }
    if (c->machine.state == WEB_SOCKET) {
        web_socket_tick(c, now_ms);
    } else if (now_ms >= c->deadline_ms) {
        on_deadline(c);
    }
}
