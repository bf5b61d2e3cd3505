/* URL: redis[s]:// and ws[s]://, nothing more. Error texts never repeat what may hold a password:
 * they name the part that is wrong, and only repeat host and port. */
#include "shared/url.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <arpa/inet.h>
#include <openssl/crypto.h>

/* Undo percent-encoding into `out`; `what` is the part's name for the error. */
static int decode(struct slice in, char *out, size_t size, const char *what, struct err *err)
{
    size_t len = 0;
    for (size_t i = 0; i < in.len; i++) {
        char c = in.ptr[i];
        if (c == '%') {
            int high = i + 2 < in.len ? OPENSSL_hexchar2int((unsigned char)in.ptr[i + 1]) : -1;
            int low = i + 2 < in.len ? OPENSSL_hexchar2int((unsigned char)in.ptr[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return err_set(err, ERR_USAGE,
                               "the %s holds a %% without two hex digits after it; write a %% "
                               "itself as %%25",
                               what);
            }
            c = (char)(high * 16 + low);
            i += 2;
        }
        if (c == '\0') {
            return err_set(err, ERR_USAGE, "the %s holds a NUL byte", what);
        }
        if (len + 1 >= size) {
            return err_set(err, ERR_USAGE, "the %s is longer than %zu bytes", what, size - 1);
        }
        out[len++] = c;
    }
    out[len] = '\0';
    return 0;
}

static struct slice cut(struct slice s, size_t from, size_t to)
{
    return (struct slice){s.ptr + from, to - from};
}

/* Position of `c`, or s.len. */
static size_t find(struct slice s, char c)
{
    const char *at = s.len > 0 ? memchr(s.ptr, c, s.len) : NULL;
    return at ? (size_t)(at - s.ptr) : s.len;
}

/* Cuts "scheme://" off the front of `rest`; `plain` or `secure` is what it must be. */
static int parse_scheme(struct slice *rest, const char *plain, const char *secure, struct url *out,
                        struct err *err)
{
    for (size_t i = 0; i < rest->len; i++) {
        unsigned char c = (unsigned char)rest->ptr[i];
        if (c <= 0x20 || c == 0x7f) {
            return err_set(err, ERR_USAGE, "a URL holds no spaces or control characters");
        }
    }
    const char *colon = memmem(rest->ptr, rest->len, "://", 3);
    struct slice scheme = {rest->ptr, colon ? (size_t)(colon - rest->ptr) : 0};
    bool tls = slice_is(scheme, secure);
    if (!tls && !slice_is(scheme, plain)) {
        return err_set(err, ERR_USAGE, "a URL that begins with %s:// or %s:// is needed", plain,
                       secure);
    }
    out->tls = tls;
    snprintf(out->scheme, sizeof(out->scheme), "%s", tls ? secure : plain);
    *rest = cut(*rest, scheme.len + 3, rest->len);
    return 0;
}

static int parse_port(struct slice text, struct url *out, struct err *err)
{
    uint64_t port;
    if (!slice_to_u64(text, &port) || port < 1 || port > 65535) {
        /* Not repeated: in redis://user:password without a host it would be the password. */
        return err_set(err, ERR_USAGE, "the port is not a number from 1 to 65535");
    }
    out->port = (uint16_t)port;
    return 0;
}

static int check_host(struct slice host, bool v6, struct err *err)
{
    if (host.len == 0) {
        return err_set(err, ERR_USAGE, "the host is missing");
    }
    if (host.len >= sizeof(((struct url *)0)->host)) {
        return err_set(err, ERR_USAGE, "the host is longer than %zu bytes",
                       sizeof(((struct url *)0)->host) - 1);
    }
    const char *more = v6 ? ".-_:%" : ".-_"; /* % begins the zone of fe80::1%eth0 */
    for (size_t i = 0; i < host.len; i++) {
        if (!isalnum((unsigned char)host.ptr[i]) && !strchr(more, host.ptr[i])) {
            return err_set(err, ERR_USAGE, "the host holds a character that no host name has");
        }
    }
    return 0;
}

/* host, host:port, [v6] or [v6]:port */
static int parse_host(struct slice text, struct url *out, struct err *err)
{
    bool v6 = text.len > 0 && text.ptr[0] == '[';
    size_t end = find(text, v6 ? ']' : ':');
    if (v6 && end == text.len) {
        return err_set(err, ERR_USAGE, "the IPv6 address lacks its ']'");
    }
    struct slice host = cut(text, v6, end);
    struct slice rest = cut(text, end + v6, text.len); /* empty, or ":port" */
    if (v6 && rest.len > 0 && rest.ptr[0] != ':') {
        return err_set(err, ERR_USAGE, "only a :port may follow the ']' of an IPv6 address");
    }
    struct slice port = rest.len > 0 ? cut(rest, 1, rest.len) : rest;
    if (!v6 && find(port, ':') < port.len) {
        return err_set(err, ERR_USAGE,
                       "more than one ':' in host and port; an IPv6 address goes in [ ]");
    }
    int rc = check_host(host, v6, err);
    if (rc < 0) {
        return rc;
    }
    memcpy(out->host, host.ptr, host.len);
    out->host[host.len] = '\0';
    return rest.len > 0 ? parse_port(port, out, err) : 0;
}

int url_parse_redis(const char *text, struct url *out, struct err *err)
{
    *out = (struct url){.port = 6379};
    struct slice rest = slice_of(text);
    int rc = parse_scheme(&rest, "redis", "rediss", out, err);
    if (rc < 0) {
        return rc;
    }

    /* An '@' or '/' of a password must be written %40, %2F; where it is not, the last '@' still
     * tells credentials from host, so that no part of a password ends up in the host. */
    const char *last = memrchr(rest.ptr, '@', rest.len);
    if (last) {
        size_t at = (size_t)(last - rest.ptr);
        struct slice login = cut(rest, 0, at);
        size_t colon = find(login, ':');
        rc = decode(cut(login, 0, colon), out->user, sizeof(out->user), "user", err);
        if (rc == 0 && colon < login.len) {
            rc = decode(cut(login, colon + 1, login.len), out->password, sizeof(out->password),
                        "password", err);
        }
        if (rc < 0) {
            return rc;
        }
        rest = cut(rest, at + 1, rest.len);
    }

    size_t slash = find(rest, '/');
    rc = parse_host(cut(rest, 0, slash), out, err);
    if (rc < 0 || slash + 1 >= rest.len) {
        return rc;
    }
    uint64_t db;
    if (!slice_to_u64(cut(rest, slash + 1, rest.len), &db) || db > 1000000) {
        return err_set(err, ERR_USAGE,
                       "what follows the host must be the number of a database, as in /0");
    }
    out->db = (unsigned)db;
    return 0;
}

/* SCHEME://host[:port][/path], where the second scheme has TLS. */
static int parse_web(const char *text, const char *plain, const char *tls, struct url *out,
                     struct err *err)
{
    *out = (struct url){.port = 0};
    struct slice rest = slice_of(text);
    int rc = parse_scheme(&rest, plain, tls, out, err);
    if (rc < 0) {
        return rc;
    }
    size_t slash = find(rest, '/');
    struct slice authority = cut(rest, 0, slash);
    struct slice path = cut(rest, slash, rest.len);
    if (find(authority, '@') < authority.len) {
        return err_set(err, ERR_USAGE, "a %s:// URL takes no user and password", plain);
    }
    out->port = out->tls ? 443 : 80;
    rc = parse_host(authority, out, err);
    if (rc < 0) {
        return rc;
    }
    if (path.len >= sizeof(out->path)) {
        return err_set(err, ERR_USAGE, "the path is longer than %zu bytes", sizeof(out->path) - 1);
    }
    if (find(path, '#') < path.len) {
        return err_set(err, ERR_USAGE, "a %s:// URL takes no #fragment", plain);
    }
    path = path.len > 0 ? path : SLICE("/");
    memcpy(out->path, path.ptr, path.len);
    out->path[path.len] = '\0';
    return 0;
}

int url_parse_ws(const char *text, struct url *out, struct err *err)
{
    return parse_web(text, "ws", "wss", out, err);
}

int url_parse_http(const char *text, struct url *out, struct err *err)
{
    int rc = parse_web(text, "http", "https", out, err);

    if (rc == 0 && strcmp(out->path, "/") != 0) {
        return err_set(err, ERR_USAGE, "nothing follows host and port here");
    }
    return rc;
}

int url_check_http(const char *text, struct err *err)
{
    struct url url;

    return url_parse_http(text, &url, err);
}

void url_describe_server(const struct url *url, char *out, size_t size)
{
    bool v6 = strchr(url->host, ':') != NULL;
    snprintf(out, size, "%s://%s%s%s:%u", url->scheme, v6 ? "[" : "", url->host, v6 ? "]" : "",
             url->port);
}

void url_describe(const struct url *url, char *out, size_t size)
{
    url_describe_server(url, out, size);
    size_t len = strlen(out);
    if (url->scheme[0] == 'w') {
        snprintf(out + len, size - len, "%s", url->path);
    } else {
        snprintf(out + len, size - len, "/%u", url->db);
    }
}

bool url_is_loopback(const struct url *url)
{
    struct in_addr v4;
    struct in6_addr v6;

    if (inet_pton(AF_INET, url->host, &v4) == 1) {
        return ntohl(v4.s_addr) >> 24 == 127;
    }
    return strcasecmp(url->host, "localhost") == 0 ||
           (inet_pton(AF_INET6, url->host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6));
}
