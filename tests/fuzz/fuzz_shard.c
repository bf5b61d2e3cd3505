/* Fuzz target: the shard, living through whatever Twitch, the network and the clock may do.
 *
 * Each line of the input is one event: its first byte says which, the rest is its argument ('<' and
 * text: a line is read). What must hold: no assertion of the machines, the counts of the channels, a
 * result for each send, and a deadline that lies ahead after each input. */
#include "node/shard_private.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
    struct shard_core *s;
    uint64_t now;
    unsigned owed[SHARD_DRAW_KINDS];
    bool open;   /* connect was asked for, close was not */
    size_t sent; /* shard_send took it */
    size_t results;
    bool full; /* nothing can be written */
};

static void on_connect(void *ctx)
{
    struct world *w = ctx;

    BUG_ON(w->open);
    w->open = true;
}

static void on_close(void *ctx, const char *reason)
{
    struct world *w = ctx;

    (void)reason;
    BUG_ON(!w->open);
    w->open = false;
}

static bool on_login(void *ctx, struct err *err)
{
    const struct world *w = ctx;

    (void)err;
    return !w->full;
}

static bool on_write(void *ctx, enum shard_write_kind kind, struct slice bytes)
{
    const struct world *w = ctx;

    (void)kind;
    BUG_ON(!w->open);
    BUG_ON(bytes.len < 3 || memcmp(bytes.ptr + bytes.len - 2, "\r\n", 2) != 0);
    BUG_ON(memchr(bytes.ptr, '\n', bytes.len - 1) != NULL);
    return !w->full;
}

static void on_draw(void *ctx, enum shard_draw_kind kind, unsigned n)
{
    struct world *w = ctx;

    BUG_ON(n == 0 || n > 20);
    w->owed[kind] = n;
}

static void on_room_line(void *ctx, const struct shard_channel *channel,
                         const struct irc_line *line)
{
    (void)ctx;
    BUG_ON(channel->machine.state != SHARD_CHANNEL_JOINING &&
           channel->machine.state != SHARD_CHANNEL_JOINED);
    BUG_ON(!slice_is(irc_channel(line), channel->name));
}

static void on_state_changed(void *ctx, enum shard_state from, enum shard_state to)
{
    (void)ctx;
    BUG_ON(from == to);
}

static void on_channel_changed(void *ctx, const struct shard_channel *channel)
{
    (void)ctx;
    BUG_ON((channel->machine.state == SHARD_CHANNEL_FAILED) != (channel->reason[0] != '\0'));
}

static void on_gap(void *ctx, const struct shard_channel *channel, uint64_t from, uint64_t to)
{
    (void)ctx;
    BUG_ON(channel->machine.state != SHARD_CHANNEL_JOINED || from > to);
}

static void on_send_result(void *ctx, const struct shard_send_result *result)
{
    struct world *w = ctx;

    BUG_ON(result->outcome.status != SEND_SENT && result->userstate != NULL);
    w->results++;
}

static void on_bad_line(void *ctx, struct slice line, const char *why)
{
    (void)ctx;
    BUG_ON(line.len > IRC_MAX_LINE_BYTES || why[0] == '\0');
}

static void on_login_refused(void *ctx, struct slice text)
{
    (void)ctx;
    (void)text;
}

static const struct shard_port port = {
    .connect = on_connect,
    .close = on_close,
    .login = on_login,
    .write = on_write,
    .draw = on_draw,
    .room_line = on_room_line,
    .state_changed = on_state_changed,
    .channel_changed = on_channel_changed,
    .gap = on_gap,
    .send_result = on_send_result,
    .bad_line = on_bad_line,
    .login_refused = on_login_refused,
};

/* The words of the argument are the channels. */
static void set_channels(struct world *w, struct slice text)
{
    struct shard_want wants[32];
    size_t n = 0;

    while (n < ARRAY_LEN(wants) && text.len > 0) {
        const char *space = memchr(text.ptr, ' ', text.len);
        size_t len = space == NULL ? text.len : (size_t)(space - text.ptr);

        wants[n] = (struct shard_want){.name = {text.ptr, len}, .rejoin = n % 3 == 0};
        n++;
        len += space == NULL ? 0 : 1;
        text = (struct slice){text.ptr + len, text.len - len};
    }
    shard_set_channels(w->s, wants, n, w->now);
}

static void grant(struct world *w, enum shard_draw_kind kind, uint64_t delay_ms)
{
    uint64_t at[SHARD_MAX_SLOTS];
    unsigned n = w->owed[kind];

    for (unsigned i = 0; i < n; i++) {
        at[i] = w->now + delay_ms * i;
    }
    w->owed[kind] = 0;
    shard_on_grant(w->s, kind, at, n, w->now);
}

static void disconnect(struct world *w)
{
    if (w->open) {
        w->open = false;
        shard_on_disconnected(w->s, "reset", w->now, w->now);
    }
}

static void read_line(struct world *w, struct slice text)
{
    char *copy = xmalloc(text.len); /* of exactly that size, so that ASan sees a byte too many */

    memcpy(copy, text.ptr, text.len);
    shard_on_line(w->s, (struct slice){copy, text.len}, w->now);
    free(copy);
}

static void send(struct world *w)
{
    if (shard_send(w->s, w->sent, SLICE("a"), SLICE("PRIVMSG #a :x\r\n"), SLICE("n"),
                   w->sent % 2 == 1, w->now, NULL) == 0) {
        w->sent++;
    }
}

static void step(struct world *w, char op, struct slice rest)
{
    uint64_t first = rest.len > 0 ? (unsigned char)rest.ptr[0] : 0;

    switch (op) {
    case '<':
        read_line(w, rest);
        break;
    case 'b':
        shard_start(w->s, w->now);
        break;
    case 'c':
        if (w->open) {
            shard_on_connected(w->s, w->now);
        }
        break;
    case 'd':
        disconnect(w);
        break;
    case 'g':
        grant(w, SHARD_DRAW_LOGIN, 0);
        grant(w, SHARD_DRAW_JOIN, first);
        break;
    case 'w':
        set_channels(w, rest);
        break;
    case 't':
        w->now += first * first;
        (void)shard_tick(w->s, w->now);
        break;
    case 'n': /* as a driver would: at the deadline */
        w->now = shard_deadline(w->s) == SHARD_NEVER ? w->now : shard_deadline(w->s);
        (void)shard_tick(w->s, w->now);
        break;
    case 'f':
        shard_set_fenced(w->s, first % 2 == 1, w->now);
        break;
    case 's':
        send(w);
        break;
    case 'x':
        w->full = first % 2 == 1;
        break;
    case 'k':
        shard_on_token(w->s, w->now);
        break;
    case 'q':
        shard_stop(w->s, w->now);
        break;
    default:
        break;
    }
}

static void check(const struct world *w)
{
    size_t total = HASH_COUNT(w->s->channels);

    for (int state = 0; state < SHARD_CHANNEL_STATES; state++) {
        total -= shard_channel_count(w->s, (enum shard_channel_state)state);
    }
    BUG_ON(total != 0);
    BUG_ON(w->s->nsends != w->sent - w->results);
    BUG_ON(shard_deadline(w->s) <= w->now);
    BUG_ON(w->open != w->s->connected);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world w = {.now = 1000000};
    struct slice input = {(const char *)data, size};

    w.s = shard_create("main-shard", "bot", &port, &w);
    while (input.len > 0) {
        const char *newline = memchr(input.ptr, '\n', input.len);
        size_t len = newline == NULL ? input.len : (size_t)(newline - input.ptr);

        if (len > 0) {
            step(&w, input.ptr[0], (struct slice){input.ptr + 1, len - 1});
            check(&w);
        }
        len += newline == NULL ? 0 : 1;
        input = (struct slice){input.ptr + len, input.len - len};
    }
    shard_destroy(w.s);
    BUG_ON(w.open);
    return 0;
}
