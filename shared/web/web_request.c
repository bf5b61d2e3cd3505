/* Requests: from bytes to a handler, by http_parser (Node.js's former one, strict). The head is
 * judged (web_judge.c) as soon as it is whole, before a body is read. */
#include "shared/web/web_private.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

void web_request_init(struct web_conn *c)
{
    struct web_request *r = &c->request;

    http_parser_init(&c->parser, HTTP_REQUEST);
    c->parser.data = c;
    r->conn = c;
    buf_init(&r->target, WEB_URL_MAX);
    buf_init(&r->head, WEB_HEAD_MAX);
    buf_init(&r->path, WEB_URL_MAX);
    buf_init(&r->body, WEB_BODY_MAX);
}

void web_request_finish(struct web_request *r)
{
    buf_finish(&r->target);
    if (r->head.data != NULL) {
        explicit_bzero(r->head.data, r->head.len); /* the token is in it */
    }
    buf_finish(&r->head);
    buf_finish(&r->path);
    buf_finish(&r->body);
}

void web_request_clear(struct web_request *r)
{
    web_request_finish(r);
    *r = (struct web_request){
        .conn = r->conn, .target = r->target, .head = r->head, .path = r->path, .body = r->body};
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

bool web_request_next_header(const struct web_request *r, const char *name, size_t *at,
                             struct slice *value)
{
    for (size_t len = strlen(name); *at < r->nheaders;) {
        size_t i = (*at)++;
        const char *head = r->head.data;
        if (r->headers[i].value - r->headers[i].name == len &&
            strncasecmp(head + r->headers[i].name, name, len) == 0) {
            *value =
                (struct slice){head + r->headers[i].value, r->headers[i].end - r->headers[i].value};
            return true;
        }
    }
    return false;
}

struct slice web_request_header(const struct web_request *r, const char *name)
{
    struct slice value = SLICE("");
    size_t at = 0;

    (void)web_request_next_header(r, name, &at, &value);
    return value;
}

struct slice web_request_body(const struct web_request *r)
{
    return buf_slice(&r->body);
}

bool web_request_is_admin(const struct web_request *r)
{
    return r->is_admin;
}

void web_request_on_gone(struct web_request *r, void (*on_gone)(void *ctx), void *ctx)
{
    r->on_gone = on_gone;
    r->ctx = ctx;
}

static int on_headers_complete(http_parser *p)
{
    struct web_conn *c = p->data;
    struct web_request *r = &c->request;

    web_request_judge(r);
    if (r->refusal != 0) {
        c->last = c->last || r->has_body;
        return c->last ? -1 : 0;
    }
    if (r->route->socket == NULL) {
        p->upgrade = 0; /* whatever it offers: HTTP/1.1 goes on */
    }
    if (r->has_body) {
        web_conn_move(c, WEB_BODY, WEB_BODY_READ_MS);
        if (web_request_header(r, "expect").len > 0) {
            buf_append_str(&c->out, "HTTP/1.1 100 Continue\r\n\r\n");
        }
    }
    return 0;
}

/* Parsing ------------------------------------------------------------------------------------- */

static int on_url(http_parser *p, const char *at, size_t len)
{
    struct web_request *r = &((struct web_conn *)p->data)->request;

    buf_append(&r->target, at, len);
    if (r->target.overflow) {
        web_request_refuse(r, 414, "", "the target is too long");
    }
    return r->target.overflow ? -1 : 0;
}

static int add_to_head(struct web_request *r, const char *at, size_t len)
{
    buf_append(&r->head, at, len);
    if (r->head.overflow) {
        web_request_refuse(r, 431, "", "the headers are too long");
        return -1;
    }
    r->headers[r->nheaders - 1].end = r->head.len;
    return 0;
}

static int on_header_field(http_parser *p, const char *at, size_t len)
{
    struct web_request *r = &((struct web_conn *)p->data)->request;

    if (r->route != NULL) {
        return 0; /* behind a body in chunks: nobody needs those */
    }
    if (r->nheaders == 0 || r->in_value) {
        if (r->nheaders == WEB_HEADERS_MAX) {
            web_request_refuse(r, 431, "", "there are too many headers");
            return -1;
        }
        r->headers[r->nheaders].name = r->head.len;
        r->nheaders++;
        r->in_value = false;
    }
    int rc = add_to_head(r, at, len);
    r->headers[r->nheaders - 1].value = r->head.len;
    return rc;
}

static int on_header_value(http_parser *p, const char *at, size_t len)
{
    struct web_request *r = &((struct web_conn *)p->data)->request;

    r->in_value = true;
    return r->route != NULL ? 0 : add_to_head(r, at, len);
}

static int on_body(http_parser *p, const char *at, size_t len)
{
    struct web_request *r = &((struct web_conn *)p->data)->request;

    buf_append(&r->body, at, len);
    if (r->body.overflow) {
        web_request_refuse(r, 413, "", "the body is too large");
    }
    return r->body.overflow ? -1 : 0;
}

static int on_message_complete(http_parser *p)
{
    struct web_conn *c = p->data;

    c->last = c->last || !http_should_keep_alive(p);
    http_parser_pause(p, 1);
    return 0;
}

/* Is it a method that nobody has heard of, rather than no HTTP at all? */
static bool begins_with_a_word(struct slice in)
{
    size_t n = 0;

    while (n < in.len && n < 32 && isupper((unsigned char)in.ptr[n])) {
        n++;
    }
    return n > 0 && n < in.len && in.ptr[n] == ' ';
}

static void refuse_what_is_no_http(struct web_conn *c, struct slice in)
{
    struct web_request *r = &c->request;

    switch (HTTP_PARSER_ERRNO(&c->parser)) {
    case HPE_INVALID_METHOD:
        if (begins_with_a_word(in)) {
            web_request_refuse(r, 405, WEB_ALLOW, "no such method is known");
        } else {
            web_request_refuse(r, 400, "", "this is not HTTP");
        }
        return;
    case HPE_INVALID_VERSION:
        web_request_refuse(r, 505, "", "HTTP/1.1 is spoken here");
        return;
    case HPE_HEADER_OVERFLOW:
        web_request_refuse(r, 431, "", "the head is too long");
        return;
    default:
        web_request_refuse(r, 400, "", "this is not HTTP/1.1 as RFC 9112 has it");
    }
}

static void handle(struct web_conn *c)
{
    struct web_request *r = &c->request;

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

/* May another request be looked at in this turn of the loop? */
static bool turn_has_room(struct web *w)
{
    if (w->turn_ms != uv_now(w->loop)) {
        w->turn_ms = uv_now(w->loop);
        w->in_turn = 0;
    }
    return w->in_turn < WEB_REQUESTS_A_TURN;
}

void web_request_read(struct web_conn *c)
{
    static const http_parser_settings settings = {.on_url = on_url,
                                                  .on_header_field = on_header_field,
                                                  .on_header_value = on_header_value,
                                                  .on_headers_complete = on_headers_complete,
                                                  .on_body = on_body,
                                                  .on_message_complete = on_message_complete};
    struct slice in = buf_slice(&c->in);

    if (in.len == 0 || c->paused_ms != 0) {
        return;
    }
    if (!turn_has_room(c->web)) {
        web_again(c);
        return;
    }
    if (!c->begun) {
        uint64_t by_ms = mono_ms() + WEB_HEAD_MS;
        c->begun = true;
        c->deadline_ms = by_ms < c->deadline_ms ? by_ms : c->deadline_ms;
    }
    size_t used = http_parser_execute(&c->parser, &settings, in.ptr, in.len);
    enum http_errno rc = HTTP_PARSER_ERRNO(&c->parser);

    if (rc == HPE_OK) {
        buf_clear(&c->in);
        web_conn_flush(c); /* a 100 Continue */
        return;
    }
    if (rc != HPE_PAUSED && c->request.refusal == 0) {
        refuse_what_is_no_http(c, in);
    }
    buf_consume(&c->in, used < in.len ? used : in.len);
    if (rc == HPE_PAUSED) {
        http_parser_pause(&c->parser, 0);
    }
    c->web->in_turn++;
    handle(c);
}
