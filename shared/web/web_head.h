/* Head: the head of a request, taken apart as RFC 9112 writes it and not otherwise.
 *
 * No line ends in LF alone, no header is folded, no name has a blank behind it, there is one
 * Content-Length or none, and no transfer coding: where two readers could read two things, nothing
 * is read. Pure; the slices point into what was parsed. */
#ifndef SHOAL_WEB_HEAD_H
#define SHOAL_WEB_HEAD_H

#include "shared/net/http_field.h"
#include "shared/web/web_limits.h"

struct web_head {
    struct slice method;
    struct slice target;
    unsigned minor; /* HTTP/1.minor */
    struct http_field headers[WEB_HEADERS_MAX];
    size_t nheaders;
    uint64_t body; /* bytes that follow */
    bool close;    /* the connection ends with it */
    bool upgrade;  /* Connection has it */
};

/* Bytes of the head that `in` begins with, its empty line included; 0: it is not whole. */
size_t web_head_length(struct slice in);
/* Take a head apart (all of `in`, if it is whole): 0, or the status it is refused with, and `why`.
 * Where it is not whole: 0, or the refusal that no byte that follows could mend. */
int web_head_parse(struct slice in, struct web_head *out, const char **why);
/* The next header of that name, in any case, from `*at` (first 0) on; false: there is none. */
bool web_head_next(const struct web_head *h, const char *name, size_t *at, struct slice *value);

#endif
