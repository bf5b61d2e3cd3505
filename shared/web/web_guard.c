/* Guard: names, addresses, percent-encoding and rates. See web_guard.h. */
#include "shared/web/web_guard.h"

#include "shared/text.h"

#include <arpa/inet.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define HOST_MAX 255 /* of a DNS name */

static struct slice cut(struct slice s, size_t from, size_t to)
{
    return (struct slice){s.ptr + from, to - from};
}

/* Position of `c`, or s.len. */
static size_t find(struct slice s, char c)
{
    const char *at = s.len > 0 ? memchr(s.ptr, c, s.len) : NULL;

    return at != NULL ? (size_t)(at - s.ptr) : s.len;
}

static bool same_word(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || strncasecmp(a.ptr, b.ptr, a.len) == 0);
}

/* HOST, HOST:PORT, [V6] or [V6]:PORT. `port` is empty where there is none. */
static bool split_host(struct slice text, struct slice *host, struct slice *port)
{
    bool v6 = text.len > 0 && text.ptr[0] == '[';
    size_t end = find(text, v6 ? ']' : ':');

    if (v6 && end == text.len) {
        return false;
    }
    *host = cut(text, v6, end);
    struct slice rest = cut(text, end + v6, text.len);
    *port = rest.len > 0 ? cut(rest, 1, rest.len) : rest;
    return (rest.len == 0 || (rest.ptr[0] == ':' && port->len > 0)) && host->len > 0 &&
           host->len <= HOST_MAX;
}

static bool to_address(struct slice host, union web_address *out)
{
    char text[HOST_MAX + 1];

    memcpy(text, host.ptr, host.len);
    text[host.len] = '\0';
    *out = (union web_address){.v6 = {.sin6_family = AF_INET6}};
    if (strlen(text) != host.len) {
        return false;
    }
    if (inet_pton(AF_INET6, text, &out->v6.sin6_addr) == 1) {
        return true;
    }
    *out = (union web_address){.v4 = {.sin_family = AF_INET}};
    return inet_pton(AF_INET, text, &out->v4.sin_addr) == 1;
}

int web_listen_parse(const char *text, union web_address *out, struct err *err)
{
    union web_address address;
    struct slice host;
    struct slice port;
    uint64_t number;

    if (!split_host(slice_of(text), &host, &port) || !slice_to_u64(port, &number) ||
        number > 65535) {
        return err_set(err, ERR_USAGE,
                       "\"%.100s\" is not ADDRESS:PORT, as in 127.0.0.1:9400 or [::1]:9400", text);
    }
    if (same_word(host, SLICE("localhost"))) {
        host = SLICE("127.0.0.1");
    }
    bool v6 = text[0] == '[';
    if (!to_address(host, &address) || (address.any.sa_family == AF_INET6) != v6) {
        return err_set(err, ERR_USAGE,
                       "\"%.100s\": the address to listen on is a number, as in 127.0.0.1:9400 or "
                       "[::1]:9400, not a name",
                       text);
    }
    if (v6) {
        address.v6.sin6_port = htons((uint16_t)number);
    } else {
        address.v4.sin_port = htons((uint16_t)number);
    }
    if (out != NULL) {
        *out = address;
    }
    return 0;
}

bool web_listen_is_loopback(const union web_address *address)
{
    return address->any.sa_family == AF_INET
               ? ntohl(address->v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET
               : IN6_IS_ADDR_LOOPBACK(&address->v6.sin6_addr);
}

void web_listen_describe(const union web_address *address, char *out, size_t size)
{
    bool v6 = address->any.sa_family == AF_INET6;
    char text[INET6_ADDRSTRLEN] = "";

    (void)inet_ntop(address->any.sa_family,
                    v6 ? (const void *)&address->v6.sin6_addr : &address->v4.sin_addr, text,
                    sizeof(text));
    snprintf(out, size, "%s%s%s:%u", v6 ? "[" : "", text, v6 ? "]" : "",
             ntohs(v6 ? address->v6.sin6_port : address->v4.sin_port));
}

bool web_host_is_ours(struct slice host, const char *const *names, size_t n)
{
    union web_address address;
    struct slice name;
    struct slice port;
    uint64_t number;

    if (!split_host(host, &name, &port) ||
        (port.len > 0 && (!slice_to_u64(port, &number) || number > 65535))) {
        return false;
    }
    if (host.ptr[0] == '[') {
        return to_address(name, &address) && address.any.sa_family == AF_INET6;
    }
    if (same_word(name, SLICE("localhost"))) {
        return true;
    }
    for (size_t i = 0; i < n; i++) {
        if (same_word(name, slice_of(names[i]))) {
            return true;
        }
    }
    return to_address(name, &address) && address.any.sa_family == AF_INET;
}

bool web_origin_is_ours(struct slice origin, struct slice host)
{
    static const struct slice schemes[] = {{"http://", 7}, {"https://", 8}};

    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        if (origin.len > schemes[i].len && same_word(cut(origin, 0, schemes[i].len), schemes[i])) {
            return same_word(cut(origin, schemes[i].len, origin.len), host);
        }
    }
    return false; /* "null", files, extensions */
}

bool web_decode(struct slice in, bool form, struct buf *out)
{
    buf_clear(out);
    for (size_t i = 0; i < in.len; i++) {
        char c = in.ptr[i];

        if (c == '%') {
            int high = i + 2 < in.len ? OPENSSL_hexchar2int((unsigned char)in.ptr[i + 1]) : -1;
            int low = i + 2 < in.len ? OPENSSL_hexchar2int((unsigned char)in.ptr[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return false;
            }
            c = (char)(high * 16 + low);
            i += 2;
            if (c == '/' && !form) {
                return false;
            }
        } else if (c == '+' && form) {
            c = ' ';
        }
        buf_append_char(out, c);
    }
    if (out->overflow) {
        return false;
    }
    for (size_t i = 0; i < out->len;) {
        bool safe;
        i += text_char(out->data + i, out->len - i, &safe);
        if (!safe) {
            return false;
        }
    }
    return true;
}

bool web_path_climbs(struct slice path)
{
    while (path.len > 0) {
        size_t len = find(path, '/');
        struct slice segment = cut(path, 0, len);

        if (slice_is(segment, ".") || slice_is(segment, "..")) {
            return true;
        }
        path = cut(path, len < path.len ? len + 1 : len, path.len);
    }
    return false;
}

bool web_query_find(struct slice query, const char *name, struct slice *value)
{
    while (query.len > 0) {
        size_t len = find(query, '&');
        struct slice pair = cut(query, 0, len);
        size_t equals = find(pair, '=');

        if (slice_is(cut(pair, 0, equals), name)) {
            *value = cut(pair, equals < pair.len ? equals + 1 : equals, pair.len);
            return true;
        }
        query = cut(query, len < query.len ? len + 1 : len, query.len);
    }
    return false;
}

bool web_bucket_take(struct web_bucket *b, unsigned rate_s, unsigned most, uint64_t now_ms)
{
    uint64_t passed = now_ms > b->at_ms ? now_ms - b->at_ms : 0;
    uint64_t back = passed < 1000000 ? passed * rate_s : UINT64_MAX;

    b->used -= back < b->used ? back : b->used;
    b->at_ms += passed;
    if (b->used + 1000 > (uint64_t)most * 1000) {
        return false;
    }
    b->used += 1000;
    return true;
}
