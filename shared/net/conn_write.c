/* Conn, writing: bytes are collected, and leave with one system call a turn.
 *
 * `out` collects plain bytes; the idle handle flushes it before the loop sleeps (an active idle
 * handle also keeps the loop from sleeping, whatever wrote and when). With TLS, `wire` collects
 * what OpenSSL made of it. What the socket does not take moves to `leaving`, which stays put until
 * libuv has written it. */
#include "shared/net/conn_private.h"

#define CONN_PARTS      512          /* parts tried at once */
#define CONN_KEEP_BYTES (256 * 1024) /* an empty buffer larger than this gives its memory back */

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
        conn_break(conn, status);
        return;
    }
    conn->broken = true;
    buf_reuse(&conn->out);
    buf_reuse(&conn->wire);
}

static void on_idle(uv_idle_t *idle);

/* Before the loop sleeps; while libuv writes, behind that. */
static void flush_soon(struct conn *conn)
{
    if (!conn->writing && !conn->broken && !conn_is_over(conn)) {
        uv_idle_start(&conn->idle, on_idle);
    }
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
        conn_give_up(conn, &err);
        return false;
    }
    buf_reuse(&conn->out);
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

static void write_out(struct conn *conn)
{
    struct buf *from = conn->use_tls ? &conn->wire : &conn->out;

    if (conn->writing || conn->broken || conn_is_over(conn) ||
        (conn->use_tls && !encrypt_out(conn))) {
        return;
    }
    if (from->len == 0) {
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

void conn_flush(struct conn *conn)
{
    uv_idle_stop(&conn->idle);
    write_out(conn);
    if (conn->room_asked) {
        flush_soon(conn);
    }
}

static void on_idle(uv_idle_t *idle)
{
    struct conn *conn = idle->data;

    conn_flush(conn);
    if (conn->room_asked && conn_unsent(conn) == 0 && !conn->broken && !conn_is_over(conn)) {
        conn->room_asked = false;
        conn->o.on_room(conn->o.ctx);
        conn_flush(conn);
    }
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
    if (conn_is_over(conn) || conn->broken) {
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
    if (conn->out.len > 0) {
        flush_soon(conn);
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

void conn_ask(struct conn *conn)
{
    conn->room_asked = true;
    flush_soon(conn);
}

size_t conn_unsent(const struct conn *conn)
{
    size_t queued =
        conn->writing ? uv_stream_get_write_queue_size((const uv_stream_t *)&conn->tcp) : 0;

    return conn->out.len + conn->wire.len + queued;
}
