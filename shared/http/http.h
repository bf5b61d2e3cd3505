/* HTTP: requests to Twitch's web services, on libcurl's multi interface and the loop.
 *
 * HTTP/1.1 (RFC 9112). TLS 1.2 or newer, the chain and the name verified. Names are looked up in a
 * thread; nothing blocks. No redirect is followed, no cookie kept, no netrc read, and a proxy is
 * used only where an option names one: whatever the environment says. An answer that is larger than
 * HTTP_ANSWER_MAX ends the transfer.
 *
 * What may be done twice is tried again by itself: after a growing wait, or what the answer asks
 * for. What may not is tried again only where nothing of it was sent.
 *
 * Tokens are in `authorization` and `body`: copied, wiped when the request ends, and in no error.
 * Loop thread only. */
#ifndef SHOAL_HTTP_H
#define SHOAL_HTTP_H

#include "shared/err.h"

#include <uv.h>

#define HTTP_ANSWER_MAX  (256 * 1024) /* bytes of a body */
#define HTTP_CONNECT_MS  5000         /* look-up, TCP and TLS */
#define HTTP_DEADLINE_MS 15000        /* one try as a whole */
#define HTTP_WAIT_MAX_MS 60000        /* of what an answer may ask for before the next try */
#define HTTP_AT_ONCE     8

struct http;
struct http_request;

struct http_options {
    uv_loop_t *loop;
    const char *tls_ca; /* PEM file, which is read now; NULL: the system's */
    const char *proxy;  /* its URL; NULL: none. Borrowed until http_close's callback */
    unsigned at_once;   /* connections to a host; further requests wait. 0: HTTP_AT_ONCE */
};

/* What to ask. All is borrowed for the call alone. */
struct http_ask {
    const char *method; /* "GET", "POST" */
    const char *url;
    const char *authorization; /* "Bearer ...", "OAuth ..."; NULL: none */
    const char *client_id;     /* of the header Client-Id; NULL: none */
    const char *content_type;  /* of the body; NULL: there is none */
    struct slice body;
    unsigned tries;      /* at most; 0 is 1 */
    bool may_be_twice;   /* it does no harm if the server hears it more than once */
    uint64_t timeout_ms; /* of a try; 0: HTTP_DEADLINE_MS */
    /* Asked with the callback's ctx when the connection stands and nothing of the request is
     * written: may it leave? If not, it ends with ERR_CANCELED, not sent. NULL: it may. */
    bool (*may_send)(void *ctx);
};

/* The last try's answer, or how it ended without one. */
struct http_answer {
    unsigned status;   /* 200, ...; 0: none */
    struct slice body; /* NUL-terminated; valid for the call */
    uint64_t wait_ms;  /* Retry-After, or until Ratelimit-Reset; 0: it says neither */
    bool sent;         /* the server may have heard the request */
};

/* Called once for each request, later. `err`: there is no answer: ERR_UNREACHABLE, ERR_TIMEOUT,
 * ERR_AUTH (the certificate is not to be trusted), ERR_PROTOCOL (the answer is no HTTP, or too
 * large), ERR_CANCELED (by http_close or may_send). A status of 400 and above is an answer. */
typedef void (*http_cb)(void *ctx, const struct http_answer *answer, const struct err *err);

struct http *http_create(const struct http_options *options);
/* Never NULL; the request ends with its callback, or with http_cancel. */
struct http_request *http_begin(struct http *h, const struct http_ask *ask, http_cb cb, void *ctx);
/* Forget it: its callback is not called any more. */
void http_cancel(struct http_request *r);
/* Verify servers with these CAs from now on; NULL: the system's. Where they cannot be read, with
 * those of before. (Who resumes a TLS session was verified when it began.) */
void http_trust(struct http *h, const char *tls_ca);
/* All requests end with ERR_CANCELED before this returns. `on_closed` (may be NULL) comes later. */
void http_close(struct http *h, void (*on_closed)(void *ctx), void *ctx);

#endif
