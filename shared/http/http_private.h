/* HTTP, inside: what its files share. */
#ifndef SHOAL_HTTP_PRIVATE_H
#define SHOAL_HTTP_PRIVATE_H

#include "shared/backoff.h"
#include "shared/buf.h"
#include "shared/http/http.h"
#include "shared/teardown.h"

#include <curl/curl.h>
#include <openssl/ssl.h>

struct http_request {
    struct http *http;
    struct http_request *prev, *next; /* of all there are (utlist) */
    char *name;                       /* "POST https://host/path", for people; owned */
    CURL *easy;
    struct curl_slist *headers; /* one holds a secret */
    char *body;                 /* so may this; owned */
    size_t body_len;
    struct buf answer;
    char problem[CURL_ERROR_SIZE]; /* curl's words for what went wrong */
    unsigned tries_left;           /* after this one */
    bool may_be_twice;
    bool unusable; /* a header would end before its value does */
    bool sent;     /* in any try, or it may have been */
    bool running;  /* curl has it; else it waits for its next try */
    struct backoff backoff;
    uv_timer_t *wait; /* until then; owned */
    bool (*may_send)(void *ctx);
    http_cb cb;
    void *ctx;
};

struct http {
    struct http_options options;
    X509_STORE *store;    /* read once: the system's takes many ms */
    struct err untrusted; /* why there is none */
    CURLM *multi;
    uv_timer_t timer; /* curl's */
    struct http_request *requests;
    struct teardown teardown;
};

/* In http_request.c: a request that was not begun. */
struct http_request *http_request_create(struct http *h, const struct http_ask *ask);
/* The first try, or the next. */
void http_request_try(struct http_request *r);
/* curl has ended a try: there is another, or the callback is called. */
void http_request_tried(struct http_request *r, CURLcode code);
/* The request is over: it goes, and then the callback is called. */
void http_request_end(struct http_request *r, const struct http_answer *answer,
                      const struct err *err);

#endif
