/* A connection's way out.
 *
 * Lines are kept unframed until libwebsockets is writable, because how they are cut into WebSocket
 * messages is a setting. Frames are made here and handed over raw (LWS_WRITE_RAW), up to 64 KiB a
 * call: one system call for a hundred lines, which is what makes 150,000 lines a second cheap. What
 * the socket does not take, libwebsockets keeps; it calls back when that is gone.
 *
 * Failure modes: the peer does not read: the queue grows, generation waits for it (or the connection is
 * dropped, --drop-slow). The queue is bounded for all other lines too: at eight times queue_bytes the
 * connection is closed, as Twitch does. */
#include "tests/twitch_sim/conn.h"

#include "tests/twitch_sim/fault.h"
#include "tests/twitch_sim/flood.h"
#include "tests/twitch_sim/frame.h"
#include "tests/twitch_sim/generate.h"
#include "tests/twitch_sim/session.h"

#include <libwebsockets.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <utlist.h>

#define WIRE_BYTES 65536 /* of frames made at a time */
#define CLOSE_MS   3000  /* for the peer to take what is queued, then the connection is reset */

struct conn *conn_create(struct sim *s, struct lws *wsi, bool tls)
{
    struct conn *c = xcalloc(1, sizeof(*c));

    c->sim = s;
    c->wsi = wsi;
    c->tls = tls;
    c->id = ++s->serial;
    c->opened_ms = c->pinged_ms = mono_ms();
    irc_splitter_init(&c->in);
    DL_APPEND(s->conns, c);
    s->nconns++;
    s->count.connections++;
    return c;
}

size_t conn_queued(const struct conn *c)
{
    return c->lines.len + c->wire.len + c->lagging_bytes;
}

/* Keep sim->ncongested right, and wake the generator when the last congestion is over. */
static void watch_congestion(struct conn *c)
{
    size_t queued = conn_queued(c);
    size_t high = c->sim->settings.queue_bytes;

    if (!c->congested && queued > high) {
        c->congested = true;
        c->sim->ncongested++;
    } else if (c->congested && queued <= high / 4) {
        c->congested = false;
        if (--c->sim->ncongested == 0) {
            generate_wake(c->sim);
        }
    }
}

void conn_drop_queues(struct conn *c)
{
    queue_finish(&c->lines);
    queue_finish(&c->wire);
    flood_finish(c);
    free(c->held);
    c->held = NULL;
    while (c->lagging) {
        struct delayed *d = c->lagging;

        c->lagging = d->next;
        free(d);
    }
    c->lagging_last = NULL;
    c->lagging_bytes = 0;
    watch_congestion(c);
}

void conn_destroy(struct conn *c)
{
    conn_drop_queues(c);
    irc_splitter_finish(&c->in);
    DL_DELETE(c->sim->conns, c);
    c->sim->nconns--;
    free(c->pass);
    free(c);
}

void conn_want_write(struct conn *c)
{
    if (!c->want_write && !c->half_open) {
        c->want_write = true;
        lws_callback_on_writable(c->wsi);
    }
}

/* The last step before the queue of lines. */
static void queue_line(struct conn *c, const char *line, size_t len)
{
    struct sim *s = c->sim;

    if (c->killed) {
        return;
    }
    queue_append(&c->lines, line, len);
    c->lines_out++;
    s->count.lines_out++;
    watch_congestion(c);
    if ((c->congested && s->settings.drop_slow) || conn_queued(c) > 8 * s->settings.queue_bytes) {
        s->count.dropped_slow++;
        conn_kill(c);
        return;
    }
    conn_want_write(c);
}

static struct delayed *delayed_make(const char *bytes, size_t len, uint64_t due)
{
    struct delayed *d = xmalloc(sizeof(*d) + len);

    d->next = NULL;
    d->due = due;
    d->len = len;
    memcpy(d->bytes, bytes, len);
    return d;
}

/* After the lag: swap, then queue. */
static void pass_on(struct conn *c, const char *line, size_t len)
{
    struct delayed *held = c->held;

    if (c->swap && !held) {
        c->held = delayed_make(line, len, mono_ms() + 100);
        return;
    }
    c->held = NULL;
    queue_line(c, line, len);
    if (held) {
        queue_line(c, held->bytes, held->len);
        free(held);
    }
}

static void send_whole(struct conn *c, const char *line, size_t len)
{
    struct delayed *d;

    if (c->lag_ms == 0 && !c->lagging) {
        pass_on(c, line, len);
        return;
    }
    d = delayed_make(line, len, mono_ms() + c->lag_ms);
    if (c->lagging_last) {
        d->due = d->due > c->lagging_last->due ? d->due : c->lagging_last->due;
        c->lagging_last->next = d;
    } else {
        c->lagging = d;
    }
    c->lagging_last = d;
    c->lagging_bytes += len;
    watch_congestion(c);
}

void conn_send(struct conn *c, struct slice line)
{
    char stack[4096];
    char *whole = stack;

    if (c->closing || c->killed || c->half_open) {
        return;
    }
    if (line.len > 0 && line.ptr[0] == '@' && !(c->caps & CAP_TAGS)) {
        const char *space = memchr(line.ptr, ' ', line.len);

        if (space) {
            line.len -= (size_t)(space + 1 - line.ptr);
            line.ptr = space + 1;
        }
    }
    if (line.len + 2 > sizeof(stack)) {
        whole = xmalloc(line.len + 2);
    }
    memcpy(whole, line.ptr, line.len);
    memcpy(whole + line.len, "\r\n", 2);
    send_whole(c, whole, line.len + 2);
    if (whole != stack) {
        free(whole);
    }
}

void conn_printf(struct conn *c, const char *fmt, ...)
{
    char line[8192];
    va_list args;
    int n;

    va_start(args, fmt);
    n = vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    BUG_ON(n < 0 || (size_t)n >= sizeof(line));
    conn_send(c, (struct slice){line, (size_t)n});
}

void conn_send_frame(struct conn *c, unsigned char first_byte, const void *payload, size_t len)
{
    struct buf *out = &c->sim->wire;

    buf_clear(out);
    frame_put(out, first_byte, payload, len);
    conn_send_bytes(c, out->data, out->len);
}

void conn_send_bytes(struct conn *c, const void *bytes, size_t len)
{
    struct buf lines;

    if (c->closing || c->killed || c->half_open) {
        return;
    }
    buf_init(&lines, SIZE_MAX / 2);
    frame_lines(c, &lines, SIZE_MAX / 2);
    if (lines.len > 0) {
        queue_append(&c->wire, lines.data, lines.len);
    }
    buf_finish(&lines);
    queue_append(&c->wire, bytes, len);
    conn_want_write(c);
}

/* Write what is there, within the rate; false if the connection failed. */
static bool write_some(struct conn *c)
{
    struct buf *out = &c->sim->wire;
    size_t most = WIRE_BYTES;
    struct slice bytes;

    if (c->write_rate > 0) {
        if (c->write_credit <= 0) {
            return true;
        }
        most = (size_t)c->write_credit < most ? (size_t)c->write_credit : most;
    }
    buf_clear(out);
    if (c->wire.len > 0) {
        /* All of it: between two writes libwebsockets may put a control frame. */
        buf_append(out, c->wire.data + c->wire.head, c->wire.len);
        queue_consume(&c->wire, c->wire.len);
    } else {
        frame_lines(c, out, most);
    }
    bytes = out->len == 0 && flood_waits(c) ? flood_take(c, most) : buf_slice(out);
    if (bytes.len == 0) {
        return true;
    }
    c->write_credit -= (int64_t)bytes.len; /* may go below 0: lines are whole */
    c->sim->count.bytes_out += bytes.len;
    return lws_write(c->wsi, (unsigned char *)bytes.ptr, bytes.len, LWS_WRITE_RAW) >= 0;
}

int conn_writable(struct conn *c)
{
    c->want_write = false;
    if (c->killed) {
        session_leave(c);
        return -1;
    }
    if (c->half_open) {
        return 0;
    }
    if (lws_partial_buffered(c->wsi)) {
        conn_want_write(c);
        return 0;
    }
    if (!write_some(c)) {
        return -1;
    }
    watch_congestion(c);
    if (conn_queued(c) > c->lagging_bytes || flood_waits(c)) {
        if (c->write_rate == 0 || c->write_credit > 0) {
            conn_want_write(c);
        }
    } else if (c->closing && !c->lagging && !c->held) {
        if (lws_partial_buffered(c->wsi)) {
            conn_want_write(c);
            return 0;
        }
        lws_close_reason(c->wsi, LWS_CLOSE_STATUS_NORMAL, NULL, 0);
        return -1;
    }
    return 0;
}

void conn_close(struct conn *c)
{
    if (!c->closing) {
        c->closing = true;
        c->close_at = mono_ms() + CLOSE_MS;
        session_leave(c);
        conn_want_write(c);
    }
}

void conn_kill(struct conn *c)
{
    struct sockaddr none = {.sa_family = AF_UNSPEC};

    if (!c->killed) {
        c->killed = true;
        /* Dissolving the association sends the reset at once, and makes the socket report it, also
         * where libwebsockets would first wait for the peer to close. */
        connect(lws_get_socket_fd(c->wsi), &none, sizeof(none));
        lws_callback_on_writable(c->wsi);
    }
}

static void tick_delays(struct conn *c, uint64_t now)
{
    while (c->lagging && c->lagging->due <= now) {
        struct delayed *d = c->lagging;

        c->lagging = d->next;
        if (!c->lagging) {
            c->lagging_last = NULL;
        }
        c->lagging_bytes -= d->len;
        pass_on(c, d->bytes, d->len);
        free(d);
    }
    if (c->held && (!c->swap || c->held->due <= now)) {
        struct delayed *d = c->held;

        c->held = NULL;
        queue_line(c, d->bytes, d->len);
        free(d);
    }
    if (c->closing) {
        conn_want_write(c);
    }
}

static void tick_ping(struct conn *c, uint64_t now)
{
    const struct sim_settings *set = &c->sim->settings;

    if (set->ping_interval_ms == LIMIT_OFF || !c->user) {
        return;
    }
    if (c->pong_due) {
        if (set->ping_timeout_ms != LIMIT_OFF && now - c->pinged_ms >= set->ping_timeout_ms) {
            conn_close(c);
        }
    } else if (now - c->pinged_ms >= set->ping_interval_ms) {
        c->pinged_ms = now;
        c->pong_due = true;
        conn_printf(c, "PING :" SIM_HOST);
    }
}

bool conn_tick(struct conn *c, uint64_t now, uint64_t elapsed_ms)
{
    if (c->killed || c->half_open) {
        return false;
    }
    tick_delays(c, now);
    if (c->killed) {
        return false;
    }
    fault_tick(c, now, elapsed_ms);
    if (c->close_at && now >= c->close_at) {
        if (c->closing) {
            conn_kill(c);
            return false;
        }
        conn_close(c);
    }
    if (!c->closing) {
        tick_ping(c, now);
    }
    return c->lagging || c->lag_ms || c->held || c->swap || c->write_rate || c->read_rate ||
           c->read_stopped || c->close_at;
}
