/* Buf: a growable run of bytes with a bound.
 *
 * `data` is NULL or owned by the buf and always NUL-terminated at data[len]. An append that would
 * go past `max` bytes appends nothing, sets `overflow`, and so do all later ones: a caller may
 * append many times and look once. */
#ifndef SHOAL_BUF_H
#define SHOAL_BUF_H

#include "shared/base.h"

struct buf {
    char *data;
    size_t len;
    size_t cap;
    size_t max; /* bytes */
    bool overflow;
};

/* Start empty; never allocates. */
void buf_init(struct buf *b, size_t max_bytes);
/* Give the memory back; the buf is empty and may be used again. */
void buf_finish(struct buf *b);
/* The same, and nothing of it stays readable. */
void buf_wipe(struct buf *b);
/* Forget content and overflow, keep the memory. */
void buf_clear(struct buf *b);
void buf_append(struct buf *b, const void *data, size_t len);
void buf_append_slice(struct buf *b, struct slice s);
void buf_append_str(struct buf *b, const char *text);
void buf_append_char(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Remove `n` bytes at the front (n <= len). */
void buf_consume(struct buf *b, size_t n);
/* What is in it; valid until the next change. */
struct slice buf_slice(const struct buf *b);

#endif
