/* Buf: a growable run of bytes with a bound; an append that does not fit sets `overflow`. */
#include "shared/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_init(struct buf *b, size_t max_bytes)
{
    BUG_ON(max_bytes == SIZE_MAX);
    *b = (struct buf){.max = max_bytes};
}

void buf_finish(struct buf *b)
{
    free(b->data);
    *b = (struct buf){.max = b->max};
}

void buf_wipe(struct buf *b)
{
    if (b->data != NULL) {
        explicit_bzero(b->data, b->cap);
    }
    buf_finish(b);
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    b->overflow = false;
    if (b->data) {
        b->data[0] = '\0';
    }
}

/* Room for `len` more bytes and the NUL; false, and overflow set, if the bound forbids it. */
static bool buf_reserve(struct buf *b, size_t len)
{
    if (b->overflow || len > b->max - b->len) {
        b->overflow = true;
        return false;
    }
    size_t need = b->len + len + 1;
    if (need > b->cap) {
        /* Doubling keeps many small appends cheap; the bound keeps it from overshooting. */
        size_t cap = b->cap < 32 ? 64 : b->cap > b->max / 2 ? b->max + 1 : b->cap * 2;
        cap = cap > b->max + 1 ? b->max + 1 : cap;
        b->cap = cap > need ? cap : need;
        b->data = xrealloc(b->data, b->cap);
    }
    return true;
}

void buf_append(struct buf *b, const void *data, size_t len)
{
    if (!buf_reserve(b, len)) {
        return;
    }
    if (len > 0) {
        memcpy(b->data + b->len, data, len);
        b->len += len;
    }
    b->data[b->len] = '\0';
}

void buf_append_slice(struct buf *b, struct slice s)
{
    buf_append(b, s.ptr, s.len);
}

void buf_append_str(struct buf *b, const char *text)
{
    buf_append(b, text, strlen(text));
}

void buf_append_char(struct buf *b, char c)
{
    buf_append(b, &c, 1);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    BUG_ON(len < 0);
    if (!buf_reserve(b, (size_t)len)) {
        return;
    }
    va_start(args, fmt);
    vsnprintf(b->data + b->len, (size_t)len + 1, fmt, args);
    va_end(args);
    b->len += (size_t)len;
}

void buf_consume(struct buf *b, size_t n)
{
    BUG_ON(n > b->len);
    if (n == 0) {
        return;
    }
    b->len -= n;
    memmove(b->data, b->data + n, b->len);
    b->data[b->len] = '\0';
}

struct slice buf_slice(const struct buf *b)
{
    return b->data ? (struct slice){b->data, b->len} : (struct slice){"", 0};
}
