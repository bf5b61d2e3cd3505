/* Requests: from bytes to a handler. The head is taken apart when it is whole, and judged
 * (web_judge.c) before a body is read. What a request has is forgotten after it, and wiped wherever
 * its head lay, as the token may be in that. (A head that comes in pieces may have moved in memory
 * before.) */
#include "shared/web/web_private.h"

#include <string.h>

void web_request_init(struct web_conn *c)
{
    struct web_request *r = &c->request;

    r->conn = c;
    buf_init(&r->bytes, WEB_URL_MAX + WEB_HEAD_MAX);
    buf_init(&r->path, WEB_URL_MAX);
    buf_init(&r->body, WEB_BODY_MAX);
}

void web_request_finish(struct web_request *r)
{
    buf_wipe(&r->bytes);
    buf_finish(&r->path);
    buf_finish(&r->body);
}

void web_request_clear(struct web_request *r)
{
    web_request_finish(r);
    *r = (struct web_request){.conn = r->conn, .bytes = r->bytes, .path = r->path, .body = r->body};
}

void web_request_gone(struct web_request *r)
{
    bool handled = r->handled;

    r->handled = false;
    if (handled && r->on_gone != NULL) {
        r->on_gone(r->ctx);
    }
}

/* What handlers ask --------------------------------------------------------------------------- */

struct slice web_request_rest(const struct web_request *r)
{
    return r->rest;
}

bool web_request_param(const struct web_request *r, const char *name, char *out, size_t size)
{
    struct slice value;
    struct buf decoded;
    bool there = web_query_find(r->query, name, &value);

    buf_init(&decoded, size - 1);
    there = there && web_decode(value, true, &decoded);
    if (there) {
        memcpy(out, decoded.len > 0 ? decoded.data : "", decoded.len);
        out[decoded.len] = '\0';
    }
    buf_finish(&decoded);
    return there;
}

struct slice web_request_header(const struct web_request *r, const char *name)
{
    struct slice value = SLICE("");
    size_t at = 0;

    (void)web_head_next(&r->head, name, &at, &value);
    return value;
}

struct slice web_request_body(const struct web_request *r)
{
    return buf_slice(&r->body);
}

void web_request_on_gone(struct web_request *r, void (*on_gone)(void *ctx), void *ctx)
{
    r->on_gone = on_gone;
    r->ctx = ctx;
}

/* From bytes to a handler ---------------------------------------------------------------------- */

/* So much of `in` is done with. */
static void take(struct web_conn *c, size_t len)
{
    if (len > 0) {
        buf_consume(&c->in, len);
        explicit_bzero(c->in.data + c->in.len, len);
    }
}

/* It is whole, or refused. */
static void handle(struct web_conn *c)
{
    struct web_request *r = &c->request;

    web_take_turn(c->web);
    if (r->refusal != 0) {
        web_answer_refuse(r, r->refusal, r->extra, r->why);
    } else if (r->route->socket != NULL) {
        web_socket_open(c);
    } else {
        web_conn_move(c, WEB_HANDLED, WEB_HANDLE_MS);
        r->handled = true;
        r->route->handle(c->web->ctx, r);
        BUG_ON(r->handled && r->on_gone == NULL); /* who answers later must know that it is gone */
    }
}

static void read_body(struct web_conn *c)
{
    struct web_request *r = &c->request;
    size_t missing = (size_t)r->head.body - r->body.len;
    size_t n = c->in.len < missing ? c->in.len : missing;

    buf_append(&r->body, c->in.data, n);
    take(c, n);
    if (n == missing) {
        handle(c);
    }
}

/* The head is whole. */
static void begin_body(struct web_conn *c)
{
    struct web_request *r = &c->request;

    c->last = c->last || r->head.close;
    web_request_judge(r);
    if (r->refusal != 0 || r->head.body == 0) {
        handle(c);
        return;
    }
    web_conn_move(c, WEB_BODY, WEB_BODY_READ_MS);
    if (c->in.len == 0 && web_request_header(r, "expect").len > 0) {
        buf_append_str(&c->out, "HTTP/1.1 100 Continue\r\n\r\n");
        web_conn_flush(c);
    } else if (c->in.len > 0) {
        read_body(c);
    }
}

static void read_head(struct web_conn *c)
{
    struct web_request *r = &c->request;
    const char *why = "";
    size_t blank = 0;

    while (blank + 1 < c->in.len && memcmp(c->in.data + blank, "\r\n", 2) == 0) {
        blank += 2; /* RFC 9112, 2.2: empty lines before a request */
    }
    take(c, blank);
    if (c->in.len == 0 || (c->in.len == 1 && c->in.data[0] == '\r')) {
        return;
    }
    struct slice in = buf_slice(&c->in);
    size_t len = web_head_length(in);

    if (len > 0 && len <= r->bytes.max) { /* it stays while the request does */
        buf_append(&r->bytes, in.ptr, len);
        in = buf_slice(&r->bytes);
    }
    int status = web_head_parse(in, &r->head, &why);
    if (status != 0) {
        web_request_refuse(r, status, "", why);
        take(c, c->in.len);
        handle(c);
    } else if (len > 0) {
        take(c, len);
        begin_body(c);
    }
}

void web_request_read(struct web_conn *c)
{
    if (c->in.len == 0 || c->paused_ms != 0) {
        return;
    }
    if (!web_has_turn(c->web)) {
        web_again(c);
        return;
    }
    if (!c->begun) {
        uint64_t by_ms = mono_ms() + WEB_HEAD_MS;
        c->begun = true;
        c->deadline_ms = by_ms < c->deadline_ms ? by_ms : c->deadline_ms;
    }
    if (c->machine.state == WEB_BODY) {
        read_body(c);
    } else {
        read_head(c);
    }
}
