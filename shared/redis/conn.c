/* Conn: from a URL to a stream of plain bytes.
 *
 * How it works: a timer of 0 ms starts the work, so that nothing calls back from inside conn_open.
 * A literal address is used as it is; a name goes through uv_getaddrinfo. Addresses are tried in
 * turn, each on a fresh uv_tcp (libuv cannot connect one twice). Writes: `out` collects plain
 * bytes; the idle handle flushes it before the loop sleeps (an active idle handle also keeps the
 * loop from sleeping, whatever wrote and when). With TLS, `wire` collects what OpenSSL made of it.
 * What the socket does not take moves to `leaving`, which stays put until libuv has written it. */
#include "shared/redis/conn_private.h"

#include <stdio.h>
#include <stdlib.h>

#define CONN_PLAIN      (16 * 1024)  /* a TLS record */
#define CONN_PARTS      512          /* parts tried at once */
#define CONN_KEEP_BYTES (256 * 1024) /* an empty buffer larger than this gives its memory back */
#define CONN_KEEPALIVE  15           /* seconds */

#define ENDS (MACHINE_BIT(CONN_FAILED) | MACHINE_BIT(CONN_CLOSING))

static const struct machine_state states[] = {
    [CONN_WAITING] = {"waiting", MACHINE_BIT(CONN_RESOLVING) | MACHINE_BIT(CONN_CONNECTING) | ENDS},
    [CONN_RESOLVING] = {"resolving the name", MACHINE_BIT(CONN_CONNECTING) | ENDS},
    [CONN_CONNECTING] = {"connecting", MACHINE_BIT(CONN_BETWEEN) | MACHINE_BIT(CONN_TLS) |
                                           MACHINE_BIT(CONN_OPEN) | ENDS},
    [CONN_BETWEEN] = {"connecting again", MACHINE_BIT(CONN_CONNECTING) | ENDS},
    [CONN_TLS] = {"in the TLS handshake", MACHINE_BIT(CONN_OPEN) | ENDS},
    [CONN_OPEN] = {"open", ENDS},
    [CONN_FAILED] = {"failed", MACHINE_BIT(CONN_CLOSING)},
    [CONN_CLOSING] = {"closing", 0},
};

static const char *id(const void *owner)
{
    return ((const struct conn *)owner)->where;
}

static void check(const void *owner)
{
    const struct conn *conn = owner;
    enum conn_state state = conn->machine.state;
    bool connected = state == CONN_TLS || state == CONN_OPEN;

    BUG_ON(state != CONN_FAILED && conn->tcp_open != (connected || state == CONN_CONNECTING));
    BUG_ON((state == CONN_CLOSING) != conn->teardown.begun);
    BUG_ON(connected && conn->use_tls != (conn->tls != NULL));
}

static const struct machine_type machine = {"conn", states, ARRAY_LEN(states), id, check};

static void conn_flush(struct conn *conn);

static void finish(void *owner)
{
    struct conn *conn = owner;

    tls_destroy(conn->tls);
    buf_finish(&conn->out);
    buf_finish(&conn->wire);
    buf_finish(&conn->leaving);
    free(conn);
}

void conn_close(struct conn *conn)
{
    if (conn->machine.state == CONN_CLOSING) {
        return;
    }
    teardown_begin(&conn->teardown, finish, conn, conn->o.on_closed, conn->o.ctx);
    if (conn->machine.state == CONN_RESOLVING) {
        (void)uv_cancel((uv_req_t *)&conn->lookup);
    }
    if (conn->machine.state == CONN_RESOLVING || conn->machine.state == CONN_BETWEEN) {
        (void)teardown_part(&conn->teardown); /* the lookup, or the socket that closes already */
    }
    if (!conn->heard) {
        addresses_failed(&conn->addresses, uv_now(conn->loop));
    }
    if (conn->tcp_open) {
        conn->tcp_open = false;
        teardown_handle(&conn->teardown, (uv_handle_t *)&conn->tcp);
    }
    teardown_handle(&conn->teardown, (uv_handle_t *)&conn->timer);
    teardown_handle(&conn->teardown, (uv_handle_t *)&conn->idle);
    machine_move(&conn->machine, CONN_CLOSING, conn);
}

/* Nothing comes of it any more. */
static bool is_over(const struct conn *conn)
{
    return conn->machine.state == CONN_FAILED || conn->machine.state == CONN_CLOSING;
}

void conn_fail(struct conn *conn, const struct err *why)
{
    if (is_over(conn)) {
        return;
    }
    struct err told = *why;

    machine_move(&conn->machine, CONN_FAILED, conn);
    uv_idle_stop(&conn->idle);
    conn->o.on_fail(conn->o.ctx, &told);
}

static void conn_fail_broken(struct conn *conn, int status)
{
    struct err err;

    if (conn->machine.state == CONN_TLS && status == UV_EOF) {
        err_set(&err, ERR_UNREACHABLE,
                "%s closed the connection in the TLS handshake; is it a TLS port?", conn->where);
    } else if (status == UV_EOF) {
        err_set(&err, ERR_DOWN, "%s closed the connection", conn->where);
    } else {
        err_set(&err, ERR_DOWN, "the connection to %s broke: %s", conn->where, uv_strerror(status));
    }
    conn_fail(conn, &err);
}

static void buf_reuse(struct buf *b)
{
    if (b->cap > CONN_KEEP_BYTES) {
        buf_finish(b);
    } else {
        buf_clear(b);
    }
}

/* A peer that died is noticed by writing first, though its last answers may lie unread in the
 * socket: without them, what was answered would be taken for unanswered. Reading comes to
 * their end, and to the reason. */
static void conn_write_failed(struct conn *conn, int status)
{
    if (status != UV_ECONNRESET && status != UV_EPIPE) {
        conn_fail_broken(conn, status);
        return;
    }
    conn->broken = true;
    buf_reuse(&conn->out);
    buf_reuse(&conn->wire);
}

static void on_written(uv_write_t *request, int status)
{
    struct conn *conn = request->data;

    conn->writing = false;
    buf_reuse(&conn->leaving);
    if (status < 0) {
        if (status != UV_ECANCELED) {
            conn_write_failed(conn, status);
        }
        return;
    }
    conn_flush(conn);
}

/* Make TLS records of what was collected; false: it failed and was reported. */
static bool encrypt_out(struct conn *conn)
{
    struct err err;

    if (conn->out.len == 0) {
        return true;
    }
    if (tls_write(conn->tls, conn->out.data, conn->out.len, &err) != 0) {
        err_wrap(&err, "%s", conn->where);
        conn_fail(conn, &err);
        return false;
    }
    buf_reuse(&conn->out);
    tls_take(conn->tls, &conn->wire);
    return true;
}

/* Give libuv what the socket did not take at once: all of `from` but its first `skip` bytes. */
static void write_rest(struct conn *conn, struct buf *from, size_t skip)
{
    struct buf rest = *from;
    uv_buf_t bytes = uv_buf_init(rest.data + skip, (unsigned)(rest.len - skip));

    *from = conn->leaving;
    conn->leaving = rest;
    conn->writing = true;
    conn->write.data = conn;
    int rc = uv_write(&conn->write, (uv_stream_t *)&conn->tcp, &bytes, 1, on_written);
    if (rc != 0) {
        conn->writing = false;
        conn_write_failed(conn, rc);
    }
}

static void conn_flush(struct conn *conn)
{
    struct buf *from = conn->use_tls ? &conn->wire : &conn->out;

    uv_idle_stop(&conn->idle);
    if (conn->writing || conn->broken || is_over(conn)) {
        return;
    }
    if ((conn->use_tls && !encrypt_out(conn)) || from->len == 0) {
        return;
    }
    uv_buf_t bytes = uv_buf_init(from->data, (unsigned)from->len);
    int taken = uv_try_write((uv_stream_t *)&conn->tcp, &bytes, 1);

    if (taken == UV_EAGAIN) {
        taken = 0;
    }
    if (taken < 0) {
        conn_write_failed(conn, taken);
    } else if ((size_t)taken == from->len) {
        buf_reuse(from);
    } else {
        write_rest(conn, from, (size_t)taken);
    }
}

static void on_idle(uv_idle_t *idle)
{
    conn_flush(idle->data);
}

static void conn_opened(struct conn *conn)
{
    machine_move(&conn->machine, CONN_OPEN, conn);
    conn->o.on_open(conn->o.ctx);
}

static void deliver(struct conn *conn, const char *data, size_t len)
{
    if (!conn->heard) {
        conn->heard = true;
        addresses_worked(&conn->addresses);
    }
    conn->o.on_bytes(conn->o.ctx, data, len);
}

static void tls_progress(struct conn *conn)
{
    char plain[CONN_PLAIN];
    struct err err;
    int n;

    if (conn->machine.state == CONN_TLS) {
        n = tls_handshake(conn->tls, &err);
        tls_take(conn->tls, &conn->wire); /* an alert for the peer, too */
        conn_flush(conn);
        if (n < 0) {
            err_wrap(&err, "%s cannot be reached", conn->where);
            conn_fail(conn, &err);
        }
        if (n <= 0 || is_over(conn)) {
            return;
        }
        conn_opened(conn);
    }
    while (conn->machine.state == CONN_OPEN) {
        n = tls_read(conn->tls, plain, sizeof(plain), &err);
        if (n < 0) {
            err_wrap(&err, "%s", conn->where);
            conn_fail(conn, &err);
            return;
        }
        if (n == 0) {
            break;
        }
        deliver(conn, plain, (size_t)n);
    }
    if (conn->machine.state == CONN_OPEN) {
        tls_take(conn->tls, &conn->wire); /* TLS 1.3 may answer a key update */
        conn_flush(conn);
    }
}

static void on_read_space(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct conn *conn = handle->data;

    (void)suggested;
    *out = uv_buf_init(conn->in, sizeof(conn->in));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *bytes)
{
    struct conn *conn = stream->data;

    if (is_over(conn) || n == 0) {
        return;
    }
    if (n < 0) {
        uv_read_stop(stream);
        conn_fail_broken(conn, (int)n);
    } else if (conn->use_tls) {
        tls_receive(conn->tls, bytes->base, (size_t)n);
        tls_progress(conn);
    } else {
        deliver(conn, bytes->base, (size_t)n);
    }
}

void conn_on_connected(uv_connect_t *request, int status)
{
    struct conn *conn = request->data;
    struct err err;

    if (status == UV_ECANCELED || conn->machine.state != CONN_CONNECTING) {
        return;
    }
    if (status < 0) {
        conn_address_failed(conn, status);
        return;
    }
    uv_timer_stop(&conn->timer);
    (void)uv_tcp_nodelay(&conn->tcp, 1);
    (void)uv_tcp_keepalive(&conn->tcp, 1, CONN_KEEPALIVE);
    status = uv_read_start((uv_stream_t *)&conn->tcp, on_read_space, on_read);
    if (status < 0) {
        conn_fail_broken(conn, status);
        return;
    }
    if (!conn->use_tls) {
        conn_opened(conn);
        return;
    }
    conn->tls = tls_create(conn->host, conn->o.tls_ca, &err);
    if (conn->tls == NULL) {
        conn_fail(conn, &err);
        return;
    }
    machine_move(&conn->machine, CONN_TLS, conn);
    tls_progress(conn);
}

struct conn *conn_open(uv_loop_t *loop, const struct conn_options *options)
{
    struct conn *conn = xcalloc(1, sizeof(*conn));

    machine_begin(&conn->machine, &machine, CONN_WAITING);
    conn->o = *options;
    conn->loop = loop;
    conn->deadline = uv_now(loop) + options->connect_ms;
    conn->port = options->url->port;
    conn->use_tls = options->url->tls;
    snprintf(conn->host, sizeof(conn->host), "%s", options->url->host);
    url_describe_server(options->url, conn->where, sizeof(conn->where));
    conn->o.url = NULL;
    err_set(&conn->last, ERR_UNREACHABLE, "%s cannot be reached: the name has no address",
            conn->where);
    addresses_init(&conn->addresses, options->memory, 0);
    buf_init(&conn->out, options->unsent_max);
    buf_init(&conn->wire, SIZE_MAX / 2);
    buf_init(&conn->leaving, options->unsent_max);
    BUG_ON(uv_timer_init(loop, &conn->timer) != 0 || uv_idle_init(loop, &conn->idle) != 0);
    conn->timer.data = conn;
    conn->idle.data = conn;
    uv_timer_start(&conn->timer, conn_on_timer, 0, 0);
    return conn;
}

/* Bytes the socket took at once; an error shows again, and is reported, at the next flush. */
static size_t write_at_once(struct conn *conn, const struct slice *parts, size_t nparts)
{
    uv_buf_t bufs[CONN_PARTS];
    unsigned n = 0;

    if (conn->use_tls || conn->out.len > 0 || conn->writing) {
        return 0;
    }
    for (; n < nparts && n < CONN_PARTS; n++) {
        bufs[n] = uv_buf_init((char *)parts[n].ptr, (unsigned)parts[n].len);
    }
    int taken = uv_try_write((uv_stream_t *)&conn->tcp, bufs, n);
    return taken > 0 ? (size_t)taken : 0;
}

static bool take(struct conn *conn, const struct slice *parts, size_t nparts, bool at_once)
{
    size_t total = 0;

    for (size_t i = 0; i < nparts; i++) {
        total += parts[i].len;
    }
    BUG_ON(conn->machine.state < CONN_OPEN);
    if (is_over(conn) || conn->broken) {
        return true; /* on its way down: like bytes lost in the socket */
    }
    if (total > conn->o.unsent_max - conn->out.len) {
        return false;
    }
    size_t skip = at_once ? write_at_once(conn, parts, nparts) : 0;
    for (size_t i = 0; i < nparts; i++) {
        size_t gone = skip < parts[i].len ? skip : parts[i].len;

        skip -= gone;
        if (gone < parts[i].len) {
            buf_append(&conn->out, parts[i].ptr + gone, parts[i].len - gone);
        }
    }
    if (conn->out.len > 0 && !conn->writing) {
        uv_idle_start(&conn->idle, on_idle);
    }
    return true;
}

bool conn_write(struct conn *conn, const void *data, size_t len)
{
    return take(conn, &(struct slice){data, len}, 1, false);
}

bool conn_writev(struct conn *conn, const struct slice *parts, size_t nparts)
{
    return take(conn, parts, nparts, true);
}

size_t conn_unsent(const struct conn *conn)
{
    size_t queued =
        conn->writing ? uv_stream_get_write_queue_size((const uv_stream_t *)&conn->tcp) : 0;

    return conn->out.len + conn->wire.len + queued;
}

const char *conn_where(const struct conn *conn)
{
    return conn->where;
}

const char *conn_doing(const struct conn *conn)
{
    return machine_state_name(&conn->machine);
}
