/* Splitter. Nothing is allocated except for a line that was cut over two pieces. */
#include "shared/irc/splitter.h"

#include <stdlib.h>
#include <string.h>

#define SPLITTER_KEEP_BYTES 4096 /* a larger buffer is given back after its line */

void irc_splitter_init(struct irc_splitter *s)
{
    *s = (struct irc_splitter){0};
}

void irc_splitter_finish(struct irc_splitter *s)
{
    free(s->pending);
    irc_splitter_init(s);
}

/* Keep the begun line. One byte more than a line may have: it may be the CR of its end. */
static void splitter_keep(struct irc_splitter *s, const char *ptr, size_t len)
{
    size_t need = s->len + len;

    if (need > IRC_MAX_LINE_BYTES + 1) {
        s->too_long++;
        s->skipping = true;
        s->len = 0;
        return;
    }
    if (len == 0) {
        return;
    }
    if (need > s->cap) {
        size_t cap = s->cap == 0 ? 512 : s->cap;

        while (cap < need) {
            cap *= 2;
        }
        s->pending = xrealloc(s->pending, cap);
        s->cap = cap;
    }
    memcpy(s->pending + s->len, ptr, len);
    s->len = need;
}

/* Hand out one line. False if on_line wants no more; then on_line may have finished the splitter,
 * so that nothing of it may be touched. */
static bool splitter_emit(struct irc_splitter *s, struct slice line, irc_line_cb on_line, void *ctx)
{
    if (line.len > 0 && line.ptr[line.len - 1] == '\r') {
        line.len--;
    }
    if (line.len == 0) {
        return true;
    }
    if (line.len > IRC_MAX_LINE_BYTES) {
        s->too_long++;
        return true;
    }
    return on_line(ctx, line);
}

/* Hand out the line that was kept. */
static bool splitter_emit_pending(struct irc_splitter *s, irc_line_cb on_line, void *ctx)
{
    struct slice line = {s->pending, s->len};

    s->len = 0;
    if (!splitter_emit(s, line, on_line, ctx)) {
        return false;
    }
    if (s->cap > SPLITTER_KEEP_BYTES) {
        free(s->pending);
        s->pending = NULL;
        s->cap = 0;
    }
    return true;
}

/* All but the end of a message. False if on_line wants no more. */
static bool feed(struct irc_splitter *s, struct slice bytes, irc_line_cb on_line, void *ctx)
{
    const char *p = bytes.ptr;
    const char *end = p + bytes.len;

    while (p < end) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        size_t len = (size_t)((newline == NULL ? end : newline) - p);
        bool more = true;

        s->newlines = s->newlines || newline != NULL;
        if (s->skipping) {
            s->skipping = newline == NULL;
        } else if (newline != NULL && s->len == 0) {
            more = splitter_emit(s, (struct slice){p, len}, on_line, ctx);
        } else {
            splitter_keep(s, p, len);
            if (newline != NULL && s->skipping) {
                s->skipping = false;
            } else if (newline != NULL) {
                more = splitter_emit_pending(s, on_line, ctx);
            }
        }
        if (!more) {
            return false;
        }
        if (newline == NULL) {
            return true;
        }
        p = newline + 1;
    }
    return true;
}

bool irc_splitter_piece(struct irc_splitter *s, struct slice bytes, bool last, irc_line_cb on_line,
                        void *ctx)
{
    if (!feed(s, bytes, on_line, ctx)) {
        return false;
    }
    if (!last || s->newlines) {
        return true;
    }
    s->skipping = false;
    return s->len == 0 || splitter_emit_pending(s, on_line, ctx);
}
