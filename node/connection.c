/* Connection: WebSocket over a conn. See connection.h.
 *
 * Happy path: a conn finds an address that connects (and speaks TLS); the upgrade is asked for and
 * answered; what is read goes through the frames into the splitter, and lines go out of where the
 * socket left them, without a copy. What is written waits in `queue` until the socket has taken all
 * that went before, at most 16 KiB at a time, so that little is beyond recall.
 *
 * A connection that is ended lives on, deaf, until its peer has answered the close, a second at
 * most; then its conn and its timer go, and with them its memory. */
#include "node/connection_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define CLOSE_MS    1000        /* for the peer to answer a close */
#define WRITE_BYTES (16 * 1024) /* given to the socket at once */
#define KEEP_BYTES  (16 * 1024) /* PING and PONG that may wait */
#define UNSENT_MAX  (64 * 1024) /* frames that the socket has not taken: one write, and pongs */

static const struct machine_state states[] = {
    [CONNECTION_CONNECTING] = {"connecting",
                               MACHINE_BIT(CONNECTION_OPEN) | MACHINE_BIT(CONNECTION_ENDED)},
    [CONNECTION_OPEN] = {"open", MACHINE_BIT(CONNECTION_ENDED)},
    [CONNECTION_ENDED] = {"ended", 0},
};

static const char *id(const void *owner)
{
    return conn_where(((const struct connection *)owner)->conn);
}

static void check(const void *owner)
{
    const struct connection *c = owner;
    enum connection_state state = c->machine.state;

    BUG_ON((c->url != NULL) != (state == CONNECTION_CONNECTING));
    BUG_ON((c->queue.len > 0 || c->keepalives.len > 0) && state != CONNECTION_OPEN);
}

static const struct machine_type machine = {"connection", states, ARRAY_LEN(states), id, check};

/* Life ---------------------------------------------------------------------------------------- */

static void finish(void *owner)
{
    struct connection *c = owner;
    struct connections *pool = c->pool;

    DL_DELETE(pool->list, c);
    websocket_finish(&c->websocket);
    irc_splitter_finish(&c->splitter);
    buf_finish(&c->queue);
    buf_finish(&c->keepalives);
    free(c);
    if (pool->teardown.begun) {
        teardown_part_gone(&pool->teardown);
    }
}

static void on_conn_closed(void *ctx)
{
    struct connection *c = ctx;

    teardown_part_gone(&c->teardown);
}

/* Let go of the socket. May be called again. */
static void let_go(struct connection *c)
{
    if (!c->teardown.begun) {
        teardown_begin(&c->teardown, finish, c, NULL, NULL);
        (void)teardown_part(&c->teardown); /* the conn */
        teardown_handle(&c->teardown, (uv_handle_t *)&c->timer);
        conn_close(c->conn);
    }
}

static void discard(struct buf *queue)
{
    if (queue->data != NULL) {
        explicit_bzero(queue->data, queue->len); /* a login may be in it */
    }
    buf_clear(queue);
}

static void forget_url(struct connection *c)
{
    if (c->url != NULL) {
        explicit_bzero(c->url, sizeof(*c->url));
        free(c->url);
        c->url = NULL;
    }
}

static void on_timer(uv_timer_t *timer);

/* With all that had come when this turn of the loop began. */
static bool has_caught_up(const struct connection *c)
{
    return c->behind_ms == 0 || (c->drained_turn != 0 && c->drained_turn < c->pool->turns);
}

/* Say why it ends, by a code of RFC 6455, and wait for the peer to hang up. */
static void say_goodbye(struct connection *c, unsigned code)
{
    struct buf frame;

    buf_init(&frame, UNSENT_MAX);
    websocket_write_close(&frame, (uint16_t)code, SLICE(""));
    bool written = conn_write(c->conn, frame.data, frame.len);
    buf_finish(&frame);
    if (!written || c->pool->teardown.begun) {
        conn_flush(c->conn);
        let_go(c);
    } else {
        uv_timer_start(&c->timer, on_timer, CLOSE_MS, 0);
    }
}

/* From here on nothing is told but on_closed, once, and not if the user has closed it. `code`: to
 * close with; 0: the socket is of no use any more. */
static void end(struct connection *c, unsigned code, const char *why)
{
    bool open = c->machine.state == CONNECTION_OPEN;

    if (c->machine.state == CONNECTION_ENDED) {
        return;
    }
    discard(&c->queue);
    discard(&c->keepalives);
    forget_url(c);
    conn_pause(c->conn, false); /* its hanging up is waited for */
    machine_move(&c->machine, CONNECTION_ENDED, c);
    if (open && code != 0) {
        say_goodbye(c, code);
    } else {
        let_go(c);
    }
    if (!c->detached) {
        c->callbacks.on_closed(c->ctx, why,
                               has_caught_up(c) ? c->pool->caught_up_ms : c->behind_ms);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct connection *c = timer->data;
    char why[400];

    if (c->machine.state == CONNECTION_ENDED) {
        let_go(c);
        return;
    }
    (void)snprintf(why, sizeof(why), "%s cannot be reached: no answer within %llu ms",
                   conn_where(c->conn), (unsigned long long)c->pool->connect_ms);
    end(c, 0, why);
}

void connection_close(struct connection *c)
{
    if (c != NULL) {
        c->detached = true;
        end(c, WEBSOCKET_CODE_NORMAL, "");
        if (c->pool->teardown.begun) {
            let_go(c); /* it may have waited for its peer already */
        }
    }
}

/* Reading ------------------------------------------------------------------------------------- */

static void on_conn_open(void *ctx)
{
    struct connection *c = ctx;
    struct buf request;

    if (c->machine.state != CONNECTION_CONNECTING) {
        return;
    }
    buf_init(&request, UNSENT_MAX);
    websocket_finish(&c->websocket); /* another address may have been asked before */
    websocket_init(&c->websocket);
    websocket_ask(&c->websocket, c->url, &request);
    BUG_ON(!conn_write(c->conn, request.data, request.len));
    buf_finish(&request);
}

/* Is there more in its socket than it has read? Then it has caught up no further than before, and
 * also in the turn that reads the last of it: that has waited as long. */
static void look_behind(struct connection *c)
{
    if (has_caught_up(c)) {
        c->behind_ms = 0;
    }
    if (conn_is_behind(c->conn)) {
        c->behind_ms = c->behind_ms != 0 ? c->behind_ms : c->pool->caught_up_ms;
        c->drained_turn = 0;
    } else if (c->drained_turn == 0) {
        c->drained_turn = c->pool->turns;
    }
}

void connection_pause(struct connection *c, bool pause)
{
    if (c->machine.state == CONNECTION_OPEN) {
        conn_pause(c->conn, pause);
        if (pause) {
            look_behind(c);
        } /* else once it has read */
    }
}

static void on_open(struct connection *c)
{
    forget_url(c);
    uv_timer_stop(&c->timer);
    connections_opened(c->pool);
    machine_move(&c->machine, CONNECTION_OPEN, c);
    connection_pause(c, c->pool->paused);
    c->callbacks.on_open(c->ctx);
}

static bool on_split_line(void *ctx, struct slice line)
{
    struct connection *c = ctx;

    c->callbacks.on_line(c->ctx, line, c->read_ms);
    return c->machine.state == CONNECTION_OPEN;
}

static void on_data(struct connection *c, const struct websocket_found *piece)
{
    if (irc_splitter_piece(&c->splitter, piece->bytes, piece->last, on_split_line, c) &&
        c->splitter.too_long > c->long_lines_told) {
        c->long_lines_told = c->splitter.too_long;
        c->callbacks.on_long_line(c->ctx);
    }
}

/* False: so much waits already that it was not taken. */
static bool write_frame(struct connection *c, enum websocket_frame kind, struct slice payload)
{
    struct buf frame;

    buf_init(&frame, UNSENT_MAX);
    websocket_write(&frame, kind, payload);
    bool taken = conn_write(c->conn, frame.data, frame.len);
    buf_wipe(&frame); /* a login may be in it */
    return taken;
}

static void on_peer_close(struct connection *c, const struct websocket_found *found)
{
    char why[200];

    if (found->code == WEBSOCKET_CODE_NONE) {
        end(c, found->code, "closed by the server");
        return;
    }
    (void)snprintf(why, sizeof(why), "closed by the server: %u%s%.*s", (unsigned)found->code,
                   found->bytes.len > 0 ? " " : "", (int)found->bytes.len, found->bytes.ptr);
    end(c, found->code, why);
}

static void on_broken(struct connection *c, const struct websocket_found *found,
                      const struct err *err)
{
    char why[sizeof(err->text) + 400];

    (void)snprintf(why, sizeof(why), "%s: %s", conn_where(c->conn), err->text);
    end(c, found->code, why);
}

static void on_bytes(void *ctx, const char *data, size_t len)
{
    struct connection *c = ctx;
    struct slice rest = {data, len};
    struct websocket_found found;
    struct err err;

    look_behind(c);
    c->read_ms = mono_ms(); /* for each line it would be a good part of what a line costs */
    while (c->machine.state != CONNECTION_ENDED) {
        switch (websocket_next(&c->websocket, &rest, &found, &err)) {
        case WEBSOCKET_MORE:
            return;
        case WEBSOCKET_OPEN:
            on_open(c);
            break;
        case WEBSOCKET_DATA:
            on_data(c, &found);
            break;
        case WEBSOCKET_PING:
            /* Of many the newest alone must be answered (RFC 6455, 5.5.3); who reads no answer
             * misses none. */
            (void)!write_frame(c, WEBSOCKET_PONG_FRAME, found.bytes);
            break;
        case WEBSOCKET_CLOSE:
            on_peer_close(c, &found);
            break;
        case WEBSOCKET_BROKEN:
            on_broken(c, &found, &err);
            break;
        }
    }
}

static void on_conn_fail(void *ctx, const struct err *why)
{
    struct connection *c = ctx;

    if (c->machine.state == CONNECTION_ENDED) {
        let_go(c); /* it hung up, as it should */
    } else {
        end(c, 0, why->text);
    }
}

/* Writing ------------------------------------------------------------------------------------- */

static bool queue_bytes(struct connection *c, struct buf *queue, struct slice bytes)
{
    if (c->machine.state != CONNECTION_OPEN || bytes.len > queue->max - queue->len) {
        return false;
    }
    buf_append_slice(queue, bytes);
    conn_ask(c->conn);
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
    if (queue->len <= WRITE_BYTES) {
        return queue->len;
    }
    const char *end = memrchr(queue->data, '\n', WRITE_BYTES);
    return end == NULL ? WRITE_BYTES : (size_t)(end - queue->data) + 1;
}

static void write_from(struct connection *c, struct buf *queue)
{
    size_t len = write_len(queue);

    if (!write_frame(c, WEBSOCKET_TEXT_FRAME, (struct slice){queue->data, len})) {
        return; /* there are pongs: when they are gone */
    }
    if (len == queue->len) {
        discard(queue);
    } else {
        buf_consume(queue, len);
    }
}

static void on_room(void *ctx)
{
    struct connection *c = ctx;

    if (c->machine.state != CONNECTION_OPEN) {
        return;
    }
    if (c->keepalives.len > 0) {
        write_from(c, &c->keepalives);
    } else if (c->queue.len > 0 && c->callbacks.may_write != NULL &&
               !c->callbacks.may_write(c->ctx)) {
        discard(&c->queue); /* it may have waited for long, in a process that stood still */
    } else if (c->queue.len > 0) {
        write_from(c, &c->queue);
    }
    if (c->keepalives.len > 0 || c->queue.len > 0) {
        conn_ask(c->conn);
    }
}

/* Beginning ----------------------------------------------------------------------------------- */

static struct conn *begin_conn(struct connection *c)
{
    struct conn_options options = {
        .url = c->url,
        .url_option = "twitch_url",
        .trust = &c->pool->trust,
        .ca_option = "twitch_tls_ca",
        .connect_ms = c->pool->connect_ms,
        .memory = &c->pool->memory,
        .turn = c->pool->opened++,
        .must_speak = true,
        .unsent_max = UNSENT_MAX,
        .on_open = on_conn_open,
        .on_bytes = on_bytes,
        .on_room = on_room,
        .on_fail = on_conn_fail,
        .on_closed = on_conn_closed,
        .ctx = c,
    };

    return conn_open(c->pool->loop, &options);
}

struct connection *connection_open(struct connections *pool, const char *url,
                                   const struct connection_callbacks *callbacks, void *ctx,
                                   struct err *err)
{
    struct connection *c = xcalloc(1, sizeof(*c));

    c->url = xcalloc(1, sizeof(*c->url));
    if (url_parse_ws(url, c->url, err) != 0) {
        forget_url(c);
        free(c);
        return NULL;
    }
    c->pool = pool;
    c->callbacks = *callbacks;
    c->ctx = ctx;
    machine_begin(&c->machine, &machine, CONNECTION_CONNECTING);
    websocket_init(&c->websocket);
    irc_splitter_init(&c->splitter);
    buf_init(&c->queue, CONNECTION_QUEUE_BYTES);
    buf_init(&c->keepalives, KEEP_BYTES);
    c->conn = begin_conn(c);
    BUG_ON(uv_timer_init(pool->loop, &c->timer) != 0);
    c->timer.data = c;
    uv_update_time(pool->loop);
    uv_timer_start(&c->timer, on_timer, pool->connect_ms, 0);
    DL_APPEND(pool->list, c);
    return c;
}
