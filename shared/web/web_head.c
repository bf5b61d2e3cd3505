/* Head: see web_head.h. */
#include "shared/web/web_head.h"

#include <string.h>

#define METHOD_MAX 32 /* characters */

static int refuse(int status, const char *text, const char **why)
{
    *why = text;
    return status;
}

static int malformed(const char **why)
{
    return refuse(400, "this is not HTTP/1.1 as RFC 9112 has it", why);
}

size_t web_head_length(struct slice in)
{
    const char *end = in.len > 0 ? memmem(in.ptr, in.len, "\r\n\r\n", 4) : NULL;

    return end != NULL ? (size_t)(end - in.ptr) + 4 : 0;
}

static bool is_method(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if ((s.ptr[i] < 'A' || s.ptr[i] > 'Z') && s.ptr[i] != '-') {
            return false;
        }
    }
    return s.len > 0 && s.len <= METHOD_MAX;
}

static int parse_first(struct slice line, struct web_head *out, const char **why)
{
    if (!http_field_is_text(line) || memchr(line.ptr, '\t', line.len) != NULL ||
        !slice_split(&line, ' ', &out->method) || !is_method(out->method)) {
        return malformed(why);
    }
    if (!slice_split(&line, ' ', &out->target)) {
        return refuse(505, "HTTP/1.1 is spoken here", why); /* 0.9 had no version */
    }
    if (out->target.len > WEB_URL_MAX) {
        return refuse(414, "the target is too long", why);
    }
    if (slice_is(line, "HTTP/1.1")) {
        out->minor = 1;
        return 0;
    }
    if (slice_is(line, "HTTP/1.0")) {
        out->close = true;
        return 0;
    }
    return line.len > 5 && memcmp(line.ptr, "HTTP/", 5) == 0
               ? refuse(505, "HTTP/1.1 is spoken here", why)
               : malformed(why);
}

/* What decides where the request ends, and the connection. */
static int parse_framing(struct web_head *out, const struct http_field *header, bool *has_length,
                         const char **why)
{
    if (http_field_is(header->name, "connection")) {
        out->close = out->close || http_field_has(header->value, "close");
        out->upgrade = out->upgrade || http_field_has(header->value, "upgrade");
    } else if (http_field_is(header->name, "transfer-encoding")) {
        return refuse(411, "a body comes with its Content-Length, and not in chunks", why);
    } else if (http_field_is(header->name, "content-length")) {
        if (*has_length || !slice_to_u64(header->value, &out->body)) {
            return refuse(400, "Content-Length is not one number", why);
        }
        *has_length = true;
    }
    return 0;
}

static int parse_headers(struct slice left, struct web_head *out, const char **why)
{
    bool has_length = false;
    struct slice line = SLICE("");

    while (slice_split(&left, '\n', &line) && line.len > 1) {
        if (out->nheaders == WEB_HEADERS_MAX) {
            return refuse(431, "there are too many headers", why);
        }
        struct http_field *header = &out->headers[out->nheaders++];
        line.len--; /* its CR; a control character where it is none */
        if (line.ptr[line.len] != '\r' || !http_field_parse(line, header)) {
            return malformed(why);
        }
        int rc = parse_framing(out, header, &has_length, why);
        if (rc != 0) {
            return rc;
        }
    }
    return line.len == 1 && line.ptr[0] == '\r' ? 0 : malformed(why);
}

static int too_long(struct slice in, bool has_line, const char **why)
{
    if (!has_line && in.len > METHOD_MAX + WEB_URL_MAX) {
        bool has_target = memchr(in.ptr, ' ', METHOD_MAX + 1) != NULL;
        return has_target ? refuse(414, "the target is too long", why) : malformed(why);
    }
    return in.len > WEB_URL_MAX + WEB_HEAD_MAX ? refuse(431, "the headers are too long", why) : 0;
}

int web_head_parse(struct slice in, struct web_head *out, const char **why)
{
    struct slice left = in;
    struct slice line;

    *out = (struct web_head){.minor = 0};
    if (in.len > 0 && (in.ptr[0] < 'A' || in.ptr[0] > 'Z')) {
        return malformed(why);
    }
    bool has_line = slice_split(&left, '\n', &line);
    int rc = too_long(in, has_line, why);
    if (rc != 0 || !has_line) {
        return rc;
    }
    if (line.len == 0 || line.ptr[line.len - 1] != '\r') {
        return malformed(why);
    }
    line.len--;
    rc = parse_first(line, out, why);
    if (rc != 0 || web_head_length(in) == 0) {
        return rc;
    }
    return left.len > WEB_HEAD_MAX ? refuse(431, "the headers are too long", why)
                                   : parse_headers(left, out, why);
}

bool web_head_next(const struct web_head *h, const char *name, size_t *at, struct slice *value)
{
    while (*at < h->nheaders) {
        const struct http_field *header = &h->headers[(*at)++];
        if (http_field_is(header->name, name)) {
            *value = header->value;
            return true;
        }
    }
    return false;
}
