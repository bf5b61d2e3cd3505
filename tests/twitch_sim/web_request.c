/* Requests: what libwebsockets' own parser cannot do. It drops a connection whose query has some 90
 * parameters, and a look-up of users may have 100. */
#include "tests/twitch_sim/web_request.h"

#include "shared/net/http_field.h"

#include <string.h>

/* The line at the front, without its end. */
static bool next_line(struct slice *left, struct slice *line)
{
    if (!slice_split(left, '\n', line)) {
        return false;
    }
    if (line->len > 0 && line->ptr[line->len - 1] == '\r') {
        line->len--;
    }
    return true;
}

static unsigned parse_first_line(struct slice line, struct web_request *out)
{
    struct slice target;

    if (!slice_split(&line, ' ', &out->method) || !slice_split(&line, ' ', &target) ||
        out->method.len == 0 || target.len == 0 || target.ptr[0] != '/') {
        return 400;
    }
    if (!slice_is(line, "HTTP/1.1") && !slice_is(line, "HTTP/1.0")) {
        return line.len > 5 && memcmp(line.ptr, "HTTP/", 5) == 0 ? 505 : 400;
    }
    out->close = slice_is(line, "HTTP/1.0");
    (void)slice_split(&target, '?', &out->path);
    out->query = target;
    return 0;
}

/* One header; the length of the body goes to *length. */
static unsigned parse_header(struct slice line, struct web_request *out, uint64_t *length)
{
    struct slice name;

    if (!slice_split(&line, ':', &name) || name.len == 0 ||
        memchr(name.ptr, ' ', name.len) != NULL) {
        return 400;
    }
    struct slice value = slice_trim(line);
    if (http_field_is(name, "authorization")) {
        out->authorization = value;
    } else if (http_field_is(name, "client-id")) {
        out->client_id = value;
    } else if (http_field_is(name, "content-type")) {
        out->content_type = value;
    } else if (http_field_is(name, "connection")) {
        out->close = out->close || http_field_is(value, "close");
    } else if (http_field_is(name, "transfer-encoding")) {
        return 411;
    } else if (http_field_is(name, "content-length") && !slice_to_u64(value, length)) {
        return 400;
    }
    return 0;
}

/* Bytes of the head, its empty line included; 0: it has not ended. */
static size_t head_length(struct slice in)
{
    size_t most = in.len < WEB_HEAD_MAX ? in.len : WEB_HEAD_MAX;

    for (size_t i = 0; i + 1 < most; i++) {
        if (in.ptr[i] == '\n' && in.ptr[i + 1] == '\n') {
            return i + 2;
        }
        if (in.ptr[i] == '\n' && i + 2 < most && in.ptr[i + 1] == '\r' && in.ptr[i + 2] == '\n') {
            return i + 3;
        }
    }
    return 0;
}

unsigned web_request_parse(struct slice in, struct web_request *out, size_t *used)
{
    size_t head = head_length(in);
    struct slice left = {in.ptr, head};
    struct slice line;
    uint64_t length = 0;

    *out = (struct web_request){.close = false};
    if (head == 0) {
        return in.len >= WEB_HEAD_MAX ? 431 : 1;
    }
    if (memchr(in.ptr, '\0', head) != NULL) {
        return 400;
    }
    (void)next_line(&left, &line);
    unsigned refusal = parse_first_line(line, out);
    while (refusal == 0 && next_line(&left, &line) && line.len > 0) {
        refusal = parse_header(line, out, &length);
    }
    if (refusal != 0) {
        return refusal;
    }
    if (length > WEB_BODY_MAX) {
        return 413;
    }
    if (in.len - head < length) {
        return 1;
    }
    out->body = (struct slice){in.ptr + head, length};
    *used = head + length;
    return 0;
}

static int hex_value(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Undo what WHATWG URL, 5.2 does; no NUL gets in. */
static void unescape(struct slice in, char *out, size_t size)
{
    size_t n = 0;

    for (size_t i = 0; i < in.len && n + 1 < size; i++) {
        char c = in.ptr[i] == '+' ? ' ' : in.ptr[i];

        if (c == '%' && i + 2 < in.len && hex_value(in.ptr[i + 1]) >= 0 &&
            hex_value(in.ptr[i + 2]) >= 0) {
            c = (char)(hex_value(in.ptr[i + 1]) * 16 + hex_value(in.ptr[i + 2]));
            i += 2;
        }
        out[n++] = c != '\0' ? c : '?';
    }
    out[n] = '\0';
}

bool web_pair_next(struct slice *left, struct web_pair *out)
{
    struct slice value;
    struct slice name;

    if (left->len == 0) {
        return false;
    }
    (void)slice_split(left, '&', &value);
    (void)slice_split(&value, '=', &name);
    unescape(name, out->name, sizeof(out->name));
    unescape(value, out->value, sizeof(out->value));
    return true;
}

bool web_param(const struct web_request *r, const char *name, char value[WEB_VALUE_MAX])
{
    struct slice type;
    struct slice left = r->content_type;
    struct web_pair pair;

    (void)slice_split(&left, ';', &type);
    const struct slice places[] = {
        http_field_is(slice_trim(type), "application/x-www-form-urlencoded") ? r->body : SLICE(""),
        r->query};
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        left = places[i];
        while (web_pair_next(&left, &pair)) {
            if (strcmp(pair.name, name) == 0 && pair.value[0] != '\0') {
                memcpy(value, pair.value, WEB_VALUE_MAX);
                return true;
            }
        }
    }
    value[0] = '\0';
    return false;
}
