/* Conn: from a URL to a stream of plain bytes.
 *
 * How it works: a timer of 0 ms starts the work, so that nothing calls back from inside conn_open.
 * A literal address is used as it is; a name goes through uv_getaddrinfo. Addresses are tried in
 * turn, each on a fresh uv_tcp (libuv cannot connect one twice). What is read passes through one
 * buffer that all of them share: it is used up before the next read. */
#include "shared/net/conn_private.h"

#include <stdio.h>
#include <stdlib.h>

#define CONN_READ_BYTES (64 * 1024) /* one read */
#define CONN_PLAIN      (16 * 1024) /* a TLS record */
#define CONN_KEEPALIVE  15          /* seconds */

#define ENDS (MACHINE_BIT(CONN_FAILED) | MACHINE_BIT(CONN_CLOSING))

static const struct machine_state states[] = {
    [CONN_WAITING] = {"waiting", MACHINE_BIT(CONN_RESOLVING) | MACHINE_BIT(CONN_CONNECTING) | ENDS},
    [CONN_RESOLVING] = {"resolving the name", MACHINE_BIT(CONN_CONNECTING) | ENDS},
    [CONN_CONNECTING] = {"connecting", MACHINE_BIT(CONN_BETWEEN) | MACHINE_BIT(CONN_TLS) |
                                           MACHINE_BIT(CONN_OPEN) | ENDS},
    [CONN_BETWEEN] = {"connecting again", MACHINE_BIT(CONN_CONNECTING) | ENDS},
    [CONN_TLS] = {"in the TLS handshake",
                  MACHINE_BIT(CONN_BETWEEN) | MACHINE_BIT(CONN_OPEN) | ENDS},
    [CONN_OPEN] = {"open", MACHINE_BIT(CONN_BETWEEN) | ENDS},
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

static void finish(void *owner)
{
    struct conn *conn = owner;

    tls_destroy(conn->tls);
    buf_finish(&conn->out);
    buf_finish(&conn->wire);
    buf_finish(&conn->leaving);
    free(conn->host);
    free(conn->where);
    free(conn);
}

void conn_begin_again(struct conn *conn)
{
    tls_destroy(conn->tls);
    conn->tls = NULL;
    conn->broken = false;
    conn->room_asked = false;
    conn->rests = false;
    conn->behind = false;
    uv_idle_stop(&conn->idle);
    buf_clear(&conn->out);
    buf_clear(&conn->wire);
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

bool conn_is_over(const struct conn *conn)
{
    return conn->machine.state == CONN_FAILED || conn->machine.state == CONN_CLOSING;
}

void conn_fail(struct conn *conn, const struct err *why)
{
    if (conn_is_over(conn)) {
        return;
    }
    struct err told = *why;

    machine_move(&conn->machine, CONN_FAILED, conn);
    uv_idle_stop(&conn->idle);
    conn->o.on_fail(conn->o.ctx, &told);
}

void conn_give_up(struct conn *conn, const struct err *why)
{
    if (conn->o.must_speak && !conn->heard && !conn_is_over(conn)) {
        conn_address_failed(conn, why);
    } else {
        conn_fail(conn, why);
    }
}

void conn_break(struct conn *conn, int status)
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
    conn_give_up(conn, &err);
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
        uv_timer_stop(&conn->timer);
        addresses_worked(&conn->addresses);
    }
    conn->o.on_bytes(conn->o.ctx, data, len);
}

/* True when it is done. */
static bool shake_hands(struct conn *conn)
{
    struct err err;
    int done = tls_handshake(conn->tls, &err);

    if (done < 0) {
        err_wrap(&err, "%s cannot be reached", conn->where);
    }
    conn_flush(conn); /* an alert for the peer, too */
    if (done < 0 && conn->machine.state == CONN_TLS) {
        conn_give_up(conn, &err);
    }
    return done == 1 && conn->machine.state == CONN_TLS;
}

static void tls_progress(struct conn *conn)
{
    char plain[CONN_PLAIN];
    struct err err;

    if (conn->machine.state == CONN_TLS && shake_hands(conn)) {
        conn_opened(conn);
    }
    while (conn->machine.state == CONN_OPEN) {
        int n = tls_read(conn->tls, plain, sizeof(plain), &err);
        if (n < 0) {
            err_wrap(&err, "%s", conn->where);
            conn_give_up(conn, &err);
        } else if (n > 0) {
            deliver(conn, plain, (size_t)n);
        } else {
            conn_flush(conn); /* TLS 1.3 may answer a key update */
            break;
        }
    }
}

/* libuv reads on while the room it is given is filled. Where it gets none it comes back with the
 * next turn, since there is more in the socket. */
static void on_read_space(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    static char in[CONN_READ_BYTES];
    const struct conn *conn = handle->data;

    (void)suggested;
    *out = conn->rests ? uv_buf_init(NULL, 0) : uv_buf_init(in, sizeof(in));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *bytes)
{
    struct conn *conn = stream->data;

    if (conn_is_over(conn) || n == 0) {
        return;
    }
    conn->rests = n == CONN_READ_BYTES;
    if (n == UV_ENOBUFS) {
        return; /* it has rested */
    }
    conn->behind = conn->rests;
    if (n < 0) {
        uv_read_stop(stream);
        conn_break(conn, (int)n);
    } else if (conn->use_tls) {
        tls_receive(conn->tls, bytes->base, (size_t)n);
        tls_progress(conn);
    } else {
        deliver(conn, bytes->base, (size_t)n);
    }
}

void conn_pause(struct conn *conn, bool pause)
{
    conn->paused = pause;
    if (conn->machine.state == CONN_OPEN && pause) {
        uv_read_stop((uv_stream_t *)&conn->tcp);
    } else if (conn->machine.state == CONN_OPEN) {
        int rc = uv_read_start((uv_stream_t *)&conn->tcp, on_read_space, on_read);
        BUG_ON(rc != 0 && rc != UV_EALREADY); /* it was started before */
    }
}

bool conn_is_behind(const struct conn *conn)
{
    return conn->behind || conn->paused;
}

static struct tls *begin_tls(struct conn *conn, struct err *err)
{
    if (conn->o.trust != NULL) {
        return tls_create(*conn->o.trust, conn->host, conn->o.ca_option, &conn->wire, err);
    }
    struct tls_trust *own = tls_trust_create(conn->o.tls_ca, err);
    struct tls *tls = NULL;

    if (own != NULL) {
        tls = tls_create(own, conn->host, conn->o.ca_option, &conn->wire, err);
        tls_trust_destroy(own);
    }
    return tls;
}

void conn_on_connected(uv_connect_t *request, int status)
{
    struct conn *conn = request->data;
    struct err err;

    if (status == UV_ECANCELED || conn->machine.state != CONN_CONNECTING) {
        return;
    }
    if (status < 0) {
        conn_address_unreachable(conn, status);
        return;
    }
    if (!conn->o.must_speak) {
        uv_timer_stop(&conn->timer);
    }
    (void)uv_tcp_nodelay(&conn->tcp, 1);
    (void)uv_tcp_keepalive(&conn->tcp, 1, CONN_KEEPALIVE);
    status = uv_read_start((uv_stream_t *)&conn->tcp, on_read_space, on_read);
    if (status < 0) {
        conn_break(conn, status);
        return;
    }
    if (!conn->use_tls) {
        conn_opened(conn);
        return;
    }
    conn->tls = begin_tls(conn, &err);
    if (conn->tls == NULL) {
        conn_fail(conn, &err);
        return;
    }
    machine_move(&conn->machine, CONN_TLS, conn);
    tls_progress(conn);
}

static char *describe(const struct url *url)
{
    char where[320];

    url_describe_server(url, where, sizeof(where));
    return xstrdup(where);
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
    conn->host = xstrdup(options->url->host);
    conn->where = describe(options->url);
    conn->o.url = NULL;
    err_set(&conn->last, ERR_UNREACHABLE, "%s cannot be reached: the name has no address",
            conn->where);
    addresses_init(&conn->addresses, options->memory, options->turn);
    buf_init(&conn->out, options->unsent_max);
    buf_init(&conn->wire, SIZE_MAX / 2);
    buf_init(&conn->leaving, options->unsent_max);
    BUG_ON(uv_timer_init(loop, &conn->timer) != 0 || uv_idle_init(loop, &conn->idle) != 0);
    conn->timer.data = conn;
    conn->idle.data = conn;
    uv_timer_start(&conn->timer, conn_on_timer, 0, 0);
    return conn;
}
const char *conn_where(const struct conn *conn)
{
    return conn->where;
}

const char *conn_doing(const struct conn *conn)
{
    return machine_state_name(&conn->machine);
}
