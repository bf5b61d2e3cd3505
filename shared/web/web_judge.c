/* Judging: may a request, whose head is whole, be handled? The order is that of the costs.
 *
 * What is wrong with how it was sent ends the connection: nobody knows what would come next. What
 * is only unwelcome (no such path, no token) does not, where no body follows. */
#include "shared/web/web_private.h"

#include "shared/log.h"

#include <openssl/crypto.h>
#include <string.h>
#include <strings.h>

#define BEARER "Bearer "

/* Header lines of refusals. */
#define BEARER_WANTED "WWW-Authenticate: Bearer\r\n"
#define LATER         "Retry-After: 1\r\n"

static void refuse(struct web_request *r, int status, const char *extra, const char *why)
{
    r->refusal = status;
    r->extra = extra;
    r->why = why;
}

void web_request_refuse(struct web_request *r, int status, const char *extra, const char *why)
{
    r->conn->last = true;
    refuse(r, status, extra, why);
}

/* There is none of this name, or one. */
static bool is_single(const struct web_request *r, const char *name)
{
    struct slice value;
    size_t at = 0;

    bool first = web_head_next(&r->head, name, &at, &value);

    return !first || !web_head_next(&r->head, name, &at, &value);
}

static void judge_names(struct web_request *r)
{
    const struct web *w = r->conn->web;
    struct slice origin = web_request_header(r, "origin");
    struct slice host = web_request_header(r, "host");

    if (!is_single(r, "host") || !is_single(r, "origin") || !is_single(r, "authorization")) {
        web_request_refuse(r, 400, "", "a header is there twice");
    } else if (host.len == 0 && r->head.minor > 0) {
        web_request_refuse(r, 400, "", "there is no Host");
    } else if (host.len > 0 && !web_host_is_ours(host, (const char *const *)w->hosts, w->nhosts)) {
        web_request_refuse(r, 403, "",
                           "this server does not know the name in Host; --http-host gives it one");
    } else if (origin.len > 0 && !web_origin_is_ours(origin, host)) {
        web_request_refuse(r, 403, "", "Origin is not Host: a page of somebody else asks");
    }
}

static void judge_target(struct web_request *r)
{
    struct slice target = r->head.target;
    struct buf decoded;
    const char *mark = memchr(target.ptr, '?', target.len);
    struct slice path = {target.ptr, mark != NULL ? (size_t)(mark - target.ptr) : target.len};

    if (target.len == 0 || target.ptr[0] != '/' || memchr(target.ptr, '#', target.len) != NULL) {
        web_request_refuse(r, 400, "", "the target is a path that begins with /");
        return;
    }
    r->query = mark != NULL ? (struct slice){mark + 1, target.len - path.len - 1} : SLICE("");
    buf_init(&decoded, WEB_URL_MAX);
    if (!web_decode(path, false, &r->path) || web_path_climbs(buf_slice(&r->path)) ||
        !web_decode(r->query, true, &decoded)) {
        web_request_refuse(r, 400, "", "the target is not well-formed");
    }
    buf_finish(&decoded);
}

static bool route_has(const struct web_route *route, struct slice path, struct slice *rest)
{
    size_t len = strlen(route->path);

    *rest = SLICE("");
    if (len < 2 || strcmp(route->path + len - 2, "/*") != 0) {
        return slice_is(path, route->path);
    }
    if (path.len < len || memcmp(path.ptr, route->path, len - 1) != 0) {
        return false;
    }
    *rest = (struct slice){path.ptr + len - 1, path.len - len + 1};
    return true;
}

static void find_route(struct web_request *r)
{
    struct slice method = r->is_head ? SLICE("GET") : r->head.method;
    const struct web_route *other = NULL; /* of that path, and for another method */

    for (const struct web_route *route = r->conn->web->routes; route->method != NULL; route++) {
        struct slice rest;
        if (route_has(route, buf_slice(&r->path), &rest)) {
            if (other != NULL && strcmp(other->path, route->path) != 0) {
                break; /* the one that comes first is the path's */
            }
            other = route;
            if (slice_is(method, route->method)) {
                r->route = route;
                r->rest = rest;
                return;
            }
        }
    }
    if (other != NULL) {
        bool get = strcmp(other->method, "GET") == 0;
        refuse(r, 405, get ? "Allow: GET, HEAD\r\n" : "Allow: POST\r\n",
               "this path does not take this method");
    } else {
        refuse(r, 404, "", "there is nothing here");
    }
}

/* Does it bring a token where there is one? Whether that is the right one is in is_admin. */
static bool look_at_token(struct web_request *r)
{
    const struct web *w = r->conn->web;
    struct slice given = web_request_header(r, "authorization");
    size_t skip = strlen(BEARER);
    unsigned char digest[SHA256_DIGEST_LENGTH];

    if (given.len <= skip || strncasecmp(given.ptr, BEARER, skip) != 0 || !w->has_token) {
        return false;
    }
    SHA256((const unsigned char *)given.ptr + skip, given.len - skip, digest);
    r->is_admin = CRYPTO_memcmp(digest, w->token, sizeof(digest)) == 0;
    return true;
}

static void refuse_token(struct web_request *r)
{
    struct web *w = r->conn->web;
    char from[80];

    if (!web_bucket_take(&w->bad_tokens, WEB_BAD_TOKENS_S, WEB_BAD_TOKENS_S, mono_ms())) {
        refuse(r, 429, LATER, "too many wrong tokens were given");
        return;
    }
    web_conn_describe(r->conn, from, sizeof(from));
    log_warn("http", "http.token_refused", "from", from, "path", r->route->path, NULL);
    refuse(r, 401, BEARER_WANTED, "this is not the admin token");
}

/* What costs more than to say no is done so often only. */
static void judge_rate(struct web_request *r)
{
    struct web *w = r->conn->web;
    uint64_t now = mono_ms();
    bool light = r->route != NULL && r->route->light;

    if (web_bucket_take(light ? &w->light : &w->requests, WEB_REQUESTS_S, WEB_REQUESTS, now)) {
        return;
    }
    r->conn->paused_ms = now + WEB_PAUSE_MS;
    web_busy(w, "requests a second");
    if (!light) {
        refuse(r, 429, LATER, "too many requests a second");
    }
}

/* Who has the token is held up neither by those who ask too much nor by those who guess it. */
static void judge_route(struct web_request *r)
{
    bool has_token = look_at_token(r);

    find_route(r);
    if (!r->is_admin) {
        judge_rate(r);
    }
    if (r->refusal == 0 && has_token && !r->is_admin) {
        refuse_token(r);
    }
    if (r->refusal == 0 && r->route->admin && !r->is_admin) {
        if (r->conn->web->has_token) {
            refuse(r, 401, BEARER_WANTED, "this needs the admin token");
        } else {
            refuse(r, 403, "", "this needs an admin token, and none is configured");
        }
    }
    if (r->refusal == 0 && r->route->socket != NULL) {
        r->why = web_socket_refusal(r, &r->refusal, &r->extra);
    }
}

static void judge_body(struct web_request *r)
{
    struct slice expected = web_request_header(r, "expect");

    if (r->head.body > WEB_BODY_MAX) {
        web_request_refuse(r, 413, "", "the body is too large");
    } else if (expected.len > 0 && (expected.len != strlen("100-continue") ||
                                    strncasecmp(expected.ptr, "100-continue", 12) != 0)) {
        web_request_refuse(r, 417, "", "Expect may be 100-continue alone");
    }
}

void web_request_judge(struct web_request *r)
{
    static void (*const judges[])(struct web_request *) = {judge_body, judge_names, judge_target,
                                                           judge_route};

    r->is_head = slice_is(r->head.method, "HEAD");
    for (size_t i = 0; i < ARRAY_LEN(judges) && r->refusal == 0; i++) {
        judges[i](r);
    }
    if (r->refusal != 0 && r->head.body > 0) {
        r->conn->last = true; /* what follows is not read */
    }
}
