/* URL: the addresses Shoal understands: redis[s]://, ws[s]:// and http[s]://. */
#ifndef SHOAL_URL_H
#define SHOAL_URL_H

#include "shared/err.h"

struct url {
    char scheme[8];     /* "redis", "rediss", "ws", "wss", "http", "https" */
    bool tls;           /* rediss, wss, https */
    char host[256];     /* name or address, IPv6 without brackets */
    uint16_t port;      /* 6379, 80, 443 where none is given */
    char user[256];     /* percent-decoded; empty: none */
    char password[512]; /* percent-decoded; empty: none. A secret: never logged */
    unsigned db;        /* redis only */
    char path[256];     /* ws only, with the leading '/', "/" where none is given */
};

/* Parse `redis://[[user][:password]@]host[:port][/db]` or `rediss://...`; -ERR_USAGE says what is
 * wrong without repeating the password. */
MUST_USE int url_parse_redis(const char *text, struct url *out, struct err *err);
/* Parse `ws://host[:port][/path]` or `wss://...`. */
MUST_USE int url_parse_ws(const char *text, struct url *out, struct err *err);
/* Parse `http://host[:port]` or `https://...`, with nothing but a '/' behind. */
MUST_USE int url_parse_http(const char *text, struct url *out, struct err *err);
/* Can it be parsed so? For a table of options. */
int url_check_http(const char *text, struct err *err);
/* "redis://host:port" without user and password, for people; into `out`. */
void url_describe_server(const struct url *url, char *out, size_t size);
/* "redis://host:port/db" without user and password, for people; into `out`. */
void url_describe(const struct url *url, char *out, size_t size);
/* Does the host stand for this machine, by its name (localhost) or its address? */
bool url_is_loopback(const struct url *url);

#endif
