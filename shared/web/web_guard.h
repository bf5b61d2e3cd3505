/* Guard: what of a request is judged before anything is done for it. Pure: no socket, no clock.
 *
 * Host names: a page of somebody else can make a browser send requests to us, and by a DNS name
 * that it lets point here even read the answers. So Host must be a name that nobody else can give
 * to us: an address, localhost, the name of this host, or one that was configured. */
#ifndef SHOAL_WEB_GUARD_H
#define SHOAL_WEB_GUARD_H

#include "shared/buf.h"
#include "shared/err.h"

#include <netinet/in.h>

/* Where to listen: "127.0.0.1:9400", "[::1]:9400", "localhost:9400". */
union web_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* -ERR_USAGE says what is wrong. `out` may be NULL. */
MUST_USE int web_listen_parse(const char *text, union web_address *out, struct err *err);
bool web_listen_is_loopback(const union web_address *address);
/* "127.0.0.1:9400", into `out`. */
void web_listen_describe(const union web_address *address, char *out, size_t size);

/* May Host be this: HOST[:PORT], where HOST is an address, localhost or one of `names`? */
bool web_host_is_ours(struct slice host, const char *const *names, size_t n);
/* Is a page of `origin` (scheme://host[:port]) one of ours, who are asked as `host`? */
bool web_origin_is_ours(struct slice origin, struct slice host);

/* Undo percent-encoding, and '+' where `form`, into `out`. False: a '%' without two hex digits, an
 * encoded '/' (unless `form`), what is not UTF-8, or a control character. */
MUST_USE bool web_decode(struct slice in, bool form, struct buf *out);
/* Has one of the segments of the decoded path the name "." or ".."? */
bool web_path_climbs(struct slice path);
/* The value of `name` in a query, not decoded; false: it is not there. */
MUST_USE bool web_query_find(struct slice query, const char *name, struct slice *value);

/* So many a second, and `most` at once. All zero: full. */
struct web_bucket {
    uint64_t used; /* thousandths */
    uint64_t at_ms;
};
/* Take one out; false: it is empty. */
bool web_bucket_take(struct web_bucket *b, unsigned rate_s, unsigned most, uint64_t now_ms);

#endif
