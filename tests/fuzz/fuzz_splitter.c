/* Fuzz target: WebSocket messages into lines: pieces of messages, lines that share a message or are cut over several,
 * lines too long, NUL, and a reader that has had enough.
 *
 * The input is a row of records: a byte of flags (1: the message ends with this piece; 2: the next byte counts 400
 * times 'x'; 4: the reader stops at the next line), else a byte of length and so many bytes. What must hold: exactly
 * the lines that a plain model of all bytes finds, in order, and nothing after the reader stopped. */
#include "shared/irc/splitter.h"

#include "shared/buf.h"

#include <stdlib.h>
#include <string.h>

#define LONGS_MAX 4 /* long pieces of one input: they are slow */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct reader {
    struct irc_splitter splitter;
    struct buf lines; /* each with an end that no line holds */
    bool stop;
    bool stopped;
};

/* What the same bytes mean, said in the simplest words. */
struct model {
    struct buf begun; /* the line that is begun */
    struct buf lines;
    uint64_t too_long;
    bool newlines;
};

static void add_line(struct buf *lines, struct slice line)
{
    buf_append_slice(lines, line);
    buf_append_char(lines, '\n');
}

static bool on_line(void *ctx, struct slice line)
{
    struct reader *r = ctx;
    char *copy = xmalloc(line.len); /* of exactly that size, so that ASan sees a byte too many */

    BUG_ON(r->stopped);
    BUG_ON(line.len == 0 || line.len > IRC_MAX_LINE_BYTES);
    memcpy(copy, line.ptr, line.len);
    BUG_ON(memchr(copy, '\n', line.len) != NULL);
    add_line(&r->lines, (struct slice){copy, line.len});
    free(copy);
    r->stopped = r->stop;
    if (r->stopped) {
        irc_splitter_finish(&r->splitter); /* as a connection does that is closed from within */
    }
    return !r->stopped;
}

/* The begun line is over. False: the reader stops at it. */
static bool model_end(struct model *m, bool stop)
{
    struct slice line = buf_slice(&m->begun);
    bool told;

    if (line.len > 0 && line.ptr[line.len - 1] == '\r') {
        line.len--;
    }
    told = line.len > 0 && line.len <= IRC_MAX_LINE_BYTES;
    if (told) {
        add_line(&m->lines, line);
    }
    m->too_long += line.len > IRC_MAX_LINE_BYTES ? 1 : 0;
    buf_clear(&m->begun);
    return !told || !stop;
}

/* False: the reader stopped. */
static bool model_piece(struct model *m, struct slice bytes, bool last, bool stop)
{
    m->newlines = m->newlines || memchr(bytes.ptr, '\n', bytes.len) != NULL;
    for (size_t from = 0, i = 0; i <= bytes.len; i++) {
        if (i < bytes.len && bytes.ptr[i] != '\n') {
            continue;
        }
        buf_append(&m->begun, bytes.ptr + from, i - from);
        from = i + 1;
        if (i < bytes.len && !model_end(m, stop)) {
            return false;
        }
    }
    return !last || m->newlines || model_end(m, stop);
}

/* The next piece of the input, made in `out`; false at the end. */
static bool next_piece(struct slice *input, unsigned *longs, struct buf *out, unsigned *flags)
{
    char xs[400];
    size_t len;

    buf_clear(out);
    if (input->len < 2) {
        return false;
    }
    *flags = (unsigned char)input->ptr[0];
    len = (unsigned char)input->ptr[1];
    *input = (struct slice){input->ptr + 2, input->len - 2};
    if ((*flags & 2) && *longs < LONGS_MAX) {
        (*longs)++;
        memset(xs, 'x', sizeof(xs));
        for (size_t i = 0; i < len; i++) {
            buf_append(out, xs, sizeof(xs));
        }
        return true;
    }
    len = len > input->len ? input->len : len;
    buf_append(out, input->ptr, len);
    *input = (struct slice){input->ptr + len, input->len - len};
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = {(const char *)data, size};
    struct reader r = {0};
    struct model m = {0};
    struct buf piece;
    unsigned longs = 0;
    unsigned flags = 0;
    bool more = true;

    irc_splitter_init(&r.splitter);
    buf_init(&r.lines, SIZE_MAX / 2);
    buf_init(&m.begun, SIZE_MAX / 2);
    buf_init(&m.lines, SIZE_MAX / 2);
    buf_init(&piece, SIZE_MAX / 2);
    while (more && next_piece(&input, &longs, &piece, &flags)) {
        char *copy = xmalloc(piece.len);

        memcpy(copy, piece.len > 0 ? piece.data : "", piece.len);
        r.stop = (flags & 4) != 0;
        more = model_piece(&m, (struct slice){copy, piece.len}, (flags & 1) != 0, r.stop);
        BUG_ON(irc_splitter_piece(&r.splitter, (struct slice){copy, piece.len}, (flags & 1) != 0,
                                  on_line, &r) != more);
        free(copy);
        BUG_ON(r.stopped == more);
        BUG_ON(!slice_eq(buf_slice(&r.lines), buf_slice(&m.lines)));
        buf_clear(&r.lines);
        buf_clear(&m.lines);
        /* A line that is too long may be counted before it ends. */
        BUG_ON(more && r.splitter.too_long - m.too_long > 1);
    }
    irc_splitter_finish(&r.splitter);
    buf_finish(&r.lines);
    buf_finish(&m.begun);
    buf_finish(&m.lines);
    buf_finish(&piece);
    return 0;
}
