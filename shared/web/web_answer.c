/* Answers: one head for all of them, and a copy of the body. */
#include "shared/web/web_private.h"

#include "shared/json.h"
#include "shared/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define ERROR_MAX 1024

/* No script, style or connection but of this server; nobody frames it, guesses types, hears by
 * Referer where we live. */
#define SAFETY                                                                                     \
    "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; "           \
    "connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; "              \
    "frame-ancestors 'none'\r\n"                                                                   \
    "X-Content-Type-Options: nosniff\r\n"                                                          \
    "Referrer-Policy: no-referrer\r\n"
#define NOT_KEPT "Cache-Control: no-store\r\n"
#define JSON     "application/json"

static const char *reason(int status)
{
    static const struct {
        int status;
        const char *text;
    } reasons[] = {
        {101, "Switching Protocols"},
        {200, "OK"},
        {202, "Accepted"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {409, "Conflict"},
        {411, "Length Required"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {417, "Expectation Failed"},
        {426, "Upgrade Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };

    for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
        if (reasons[i].status == status) {
            return reasons[i].text;
        }
    }
    return "Other"; /* nobody reads it but people */
}

void web_answer_status(struct buf *out, int status)
{
    const time_t now = (time_t)(wall_now().ms / 1000);
    struct tm tm;
    char date[64];

    (void)gmtime_r(&now, &tm);
    (void)strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &tm); /* LC_TIME is C */
    buf_printf(out, "HTTP/1.1 %d %s\r\nDate: %s\r\n" SAFETY, status, reason(status), date);
}

/* The one that writes answers; `type` NULL: there is no body. */
static void answer(struct web_request *r, int status, const char *type, const char *extra,
                   struct slice body)
{
    struct web_conn *c = r->conn;
    struct web *w = c->web;

    r->handled = false;
    r->on_gone = NULL;
    if (c->machine.state == WEB_CLOSING) {
        return;
    }
    web_answer_status(&c->out, status);
    buf_append_str(&c->out, extra);
    if (type != NULL) {
        buf_printf(&c->out, "Content-Type: %s\r\nContent-Length: %zu\r\n", type, body.len);
    }
    buf_append_str(&c->out, web_conn_ends(c) ? "Connection: close\r\n\r\n" : "\r\n");
    if (!r->is_head && type != NULL) {
        buf_append_slice(&c->out, body);
    }
    c->owed = c->out.len;
    w->waiting += c->owed;
    web_conn_move(c, WEB_ANSWER, WEB_WRITE_MS);
    web_conn_flush(c);
}

static void answer_error(struct web_request *r, int status, const char *extra, const char *text)
{
    char lines[256];
    struct buf body;
    struct json j;

    buf_init(&body, 8 * ERROR_MAX);
    json_init(&j, &body);
    json_object_begin(&j, NULL);
    json_string(&j, "error", text);
    json_object_end(&j);
    buf_append_char(&body, '\n');
    snprintf(lines, sizeof(lines), "%s" NOT_KEPT, extra);
    answer(r, status, JSON, lines, buf_slice(&body));
    buf_finish(&body);
}

void web_answer_refuse(struct web_request *r, int status, const char *extra, const char *why)
{
    answer_error(r, status, extra, why);
}

void web_answer_error(struct web_request *r, int status, const char *fmt, ...)
{
    char text[ERROR_MAX];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    answer_error(r, status, "", text);
}

/* Is there room for so many bytes? If not, the client is told. */
static bool has_room(struct web_request *r, size_t bytes)
{
    bool room = bytes <= WEB_ANSWER_MAX && r->conn->web->waiting + bytes <= WEB_WAIT_MAX;

    if (!room) {
        log_warn("http", "http.too_large", "path", r->route->path, "bytes", log_u64(bytes), NULL);
        web_answer_error(r, 503, "the answer is too large, or too many of them wait to be read");
    }
    return room;
}

void web_answer(struct web_request *r, int status, const char *type, struct slice body)
{
    if (has_room(r, body.len)) {
        answer(r, status, type, NOT_KEPT, body);
    }
}

void web_healthz(void *ctx, struct web_request *r)
{
    (void)ctx;
    web_answer(r, 200, "text/plain; charset=utf-8", SLICE("ok\n"));
}

void web_answer_static(struct web_request *r, const char *type, struct slice body, const char *etag)
{
    struct slice known = web_request_header(r, "if-none-match");
    char lines[256];
    char tag[128];

    snprintf(tag, sizeof(tag), "\"%s\"", etag);
    snprintf(lines, sizeof(lines), "ETag: %s\r\nCache-Control: no-cache\r\n", tag);
    if (known.len > 0 && memmem(known.ptr, known.len, tag, strlen(tag)) != NULL) {
        answer(r, 304, NULL, lines, SLICE(""));
    } else if (has_room(r, body.len)) {
        answer(r, 200, type, lines, body);
    }
}
