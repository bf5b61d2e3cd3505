/* HTTP request: one request from its first try to its callback.
 *
 * A try that fails is made again only where that does no harm: the request may be heard twice, or
 * nothing of it was sent. For the same reason a request that may not be heard twice has a
 * connection of its own: on one that is used again, and that the server has just closed, curl
 * sends it once more by itself. */
#include "shared/http/http_private.h"
#include "shared/text.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define RETRY_FIRST_MS 500
#define RETRY_CAP_MS   30000

static size_t on_body(char *data, size_t size, size_t n, void *ctx)
{
    struct http_request *r = ctx;

    buf_append(&r->answer, data, size * n);
    return r->answer.overflow ? CURL_WRITEFUNC_ERROR : size * n;
}

/* curl is about to write the request; between which addresses, it tells as well. */
static int on_ready(void *ctx, UNUSED char *to, UNUSED char *from, UNUSED int to_port,
                    UNUSED int from_port)
{
    struct http_request *r = ctx;

    if (r->may_send != NULL && !r->may_send(r->ctx)) {
        return CURL_PREREQFUNC_ABORT;
    }
    r->sent = true;
    return CURL_PREREQFUNC_OK;
}

/* "Name: value", if there is one. What would end the line is no value. */
static void add_header(struct http_request *r, const char *name, const char *value)
{
    if (value == NULL) {
        return;
    }
    for (const char *c = value; *c != '\0'; c++) {
        r->unusable = r->unusable || (unsigned char)*c < ' ' || *c == 0x7f;
    }
    char *line = xasprintf("%s: %s", name, value);
    struct curl_slist *headers = curl_slist_append(r->headers, line);
    BUG_ON(headers == NULL); /* no memory */
    r->headers = headers;
    explicit_bzero(line, strlen(line));
    free(line);
}

/* curl is about to make a TLS connection. */
static CURLcode on_tls(UNUSED CURL *easy, void *tls, void *ctx)
{
    const struct http *h = ctx;

    if (h->store == NULL) {
        return CURLE_SSL_CACERT_BADFILE;
    }
    SSL_CTX_set1_cert_store(tls, h->store);
    return CURLE_OK;
}

/* Where to, over what, and for how long. */
static void set_connection(const struct http_request *r, const struct http_ask *ask)
{
    const struct http_options *o = &r->http->options;
    CURL *e = r->easy;

    (void)curl_easy_setopt(e, CURLOPT_URL, ask->url);
    (void)curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    (void)curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    (void)curl_easy_setopt(e, CURLOPT_CAINFO, NULL); /* ours, and no other */
    (void)curl_easy_setopt(e, CURLOPT_CAPATH, NULL);
    (void)curl_easy_setopt(e, CURLOPT_CA_CACHE_TIMEOUT, 0L); /* nor the one that we had */
    (void)curl_easy_setopt(e, CURLOPT_SSL_CTX_FUNCTION, on_tls);
    (void)curl_easy_setopt(e, CURLOPT_SSL_CTX_DATA, r->http);
    (void)curl_easy_setopt(e, CURLOPT_PROXY, o->proxy != NULL ? o->proxy : "");
    (void)curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    /* Or the loop would wait for a look-up that is given up; its thread ends by itself. */
    (void)curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L);
    (void)curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)HTTP_CONNECT_MS);
    (void)curl_easy_setopt(e, CURLOPT_TIMEOUT_MS,
                           (long)(ask->timeout_ms != 0 ? ask->timeout_ms : HTTP_DEADLINE_MS));
    (void)curl_easy_setopt(e, CURLOPT_FRESH_CONNECT, r->may_be_twice ? 0L : 1L);
}

struct http_request *http_request_create(struct http *h, const struct http_ask *ask)
{
    struct http_request *r = xcalloc(1, sizeof(*r));

    r->http = h;
    r->tries_left = ask->tries > 1 ? ask->tries - 1 : 0;
    r->may_be_twice = ask->may_be_twice;
    r->may_send = ask->may_send;
    r->name = xasprintf("%s %.*s", ask->method, (int)strcspn(ask->url, "?"), ask->url);
    backoff_init(&r->backoff, RETRY_FIRST_MS, RETRY_CAP_MS, RETRY_CAP_MS);
    buf_init(&r->answer, HTTP_ANSWER_MAX);
    r->easy = curl_easy_init();
    BUG_ON(r->easy == NULL);
    set_connection(r, ask);
    add_header(r, "Accept", "application/json");
    add_header(r, "Authorization", ask->authorization);
    add_header(r, "Client-Id", ask->client_id);
    add_header(r, "Content-Type", ask->content_type);
    (void)curl_easy_setopt(r->easy, CURLOPT_HTTPHEADER, r->headers);
    (void)curl_easy_setopt(r->easy, CURLOPT_CUSTOMREQUEST, ask->method);
    if (ask->content_type != NULL) {
        r->body_len = ask->body.len;
        r->body = xcalloc(1, r->body_len + 1);
        memcpy(r->body, ask->body.ptr, r->body_len);
        (void)curl_easy_setopt(r->easy, CURLOPT_POSTFIELDSIZE, (long)r->body_len);
        (void)curl_easy_setopt(r->easy, CURLOPT_POSTFIELDS, r->body);
    }
    (void)curl_easy_setopt(r->easy, CURLOPT_ERRORBUFFER, r->problem);
    (void)curl_easy_setopt(r->easy, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl_easy_setopt(r->easy, CURLOPT_WRITEDATA, r);
    (void)curl_easy_setopt(r->easy, CURLOPT_PREREQFUNCTION, on_ready);
    (void)curl_easy_setopt(r->easy, CURLOPT_PREREQDATA, r);
    (void)curl_easy_setopt(r->easy, CURLOPT_PRIVATE, r);
    return r;
}

static void on_wait_closed(uv_handle_t *handle)
{
    free(handle);
}

static void stop_waiting(struct http_request *r)
{
    if (r->wait != NULL) {
        uv_close((uv_handle_t *)r->wait, on_wait_closed);
        r->wait = NULL;
    }
}

static void destroy(struct http_request *r)
{
    DL_DELETE(r->http->requests, r);
    stop_waiting(r);
    if (r->running) {
        (void)curl_multi_remove_handle(r->http->multi, r->easy);
    }
    curl_easy_cleanup(r->easy);
    for (struct curl_slist *each = r->headers; each != NULL; each = each->next) {
        explicit_bzero(each->data, strlen(each->data));
    }
    curl_slist_free_all(r->headers);
    if (r->body != NULL) {
        explicit_bzero(r->body, r->body_len);
        free(r->body);
    }
    buf_wipe(&r->answer); /* tokens come in answers */
    free(r->name);
    free(r);
}

void http_cancel(struct http_request *r)
{
    destroy(r);
}

void http_request_end(struct http_request *r, const struct http_answer *answer,
                      const struct err *err)
{
    struct buf body = r->answer; /* outlives the request: the callback may close it all */
    http_cb cb = r->cb;
    void *ctx = r->ctx;

    buf_init(&r->answer, 0);
    destroy(r);
    cb(ctx, answer, err);
    buf_wipe(&body);
}

static void on_wait(uv_timer_t *timer)
{
    struct http_request *r = timer->data;
    struct err err;

    stop_waiting(r);
    if (r->unusable) {
        err_set(&err, ERR_USAGE, "%s: a header would hold a control character", r->name);
        http_request_end(r, &(struct http_answer){.sent = false}, &err);
    } else {
        buf_clear(&r->answer);
        r->problem[0] = '\0';
        r->running = true;
        (void)curl_multi_add_handle(r->http->multi, r->easy);
    }
}

static void try_in(struct http_request *r, uint64_t ms)
{
    r->wait = xcalloc(1, sizeof(*r->wait));
    r->wait->data = r;
    (void)uv_timer_init(r->http->options.loop, r->wait);
    (void)uv_timer_start(r->wait, on_wait, ms, 0);
}

void http_request_try(struct http_request *r)
{
    try_in(r, 0);
}

/* What curl's code means to us. It has one for a scheme and for an answer that it does not know. */
static enum err_code code_of(CURLcode code, bool sent)
{
    switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
        return ERR_TIMEOUT;
    case CURLE_ABORTED_BY_CALLBACK:
        return ERR_CANCELED;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
        return ERR_AUTH;
    case CURLE_URL_MALFORMAT:
        return ERR_USAGE;
    case CURLE_UNSUPPORTED_PROTOCOL:
        return sent ? ERR_PROTOCOL : ERR_USAGE;
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
        return ERR_UNREACHABLE;
    default:
        return ERR_PROTOCOL;
    }
}

static void set_err(const struct http_request *r, CURLcode code, struct err *err)
{
    if (r->answer.overflow) {
        err_set(err, ERR_PROTOCOL, "%s: the answer has more than %d bytes", r->name,
                HTTP_ANSWER_MAX);
    } else if (code == CURLE_SSL_CACERT_BADFILE) {
        err_set(err, code_of(code, r->sent), "%s: %s", r->name, r->http->untrusted.text);
    } else {
        err_set(err, code_of(code, r->sent), "%s: %s", r->name,
                r->problem[0] != '\0' ? r->problem : curl_easy_strerror(code));
    }
}

/* The number in a header; 0 where there is none. */
static uint64_t header_number(const struct http_request *r, const char *name)
{
    struct curl_header *header = NULL;

    if (curl_easy_header(r->easy, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK) {
        return 0;
    }
    return strtoull(header->value, NULL, 10);
}

/* Retry-After (RFC 9110, 10.2.3), or Twitch's Ratelimit-Reset, seconds since 1970, where nothing is
 * left. */
static uint64_t asked_to_wait_ms(const struct http_request *r, long status)
{
    curl_off_t after = 0;
    uint64_t ms = 0;

    (void)curl_easy_getinfo(r->easy, CURLINFO_RETRY_AFTER, &after);
    if (after > 0) {
        ms = (uint64_t)after * 1000;
    } else if (status == 429) {
        uint64_t reset_ms = header_number(r, "Ratelimit-Reset") * 1000;
        uint64_t now_ms = wall_now().ms;
        ms = reset_ms > now_ms ? reset_ms - now_ms : 0;
    }
    return ms < HTTP_WAIT_MAX_MS ? ms : HTTP_WAIT_MAX_MS;
}

static bool is_passing(long status)
{
    return status == 429 || status >= 500;
}

void http_request_tried(struct http_request *r, CURLcode code)
{
    long status = 0;
    struct err err = {0};

    if (code == CURLE_OK) {
        (void)curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
    } else {
        set_err(r, code, &err);
    }
    uint64_t wait_ms = asked_to_wait_ms(r, status);
    (void)curl_multi_remove_handle(r->http->multi, r->easy);
    r->running = false;
    bool passes =
        code == CURLE_OK ? is_passing(status) : err.code != ERR_USAGE && err.code != ERR_CANCELED;
    if (passes && r->tries_left > 0 && (r->may_be_twice || !r->sent)) {
        uint64_t backoff_ms = backoff_next(&r->backoff, 0);
        r->tries_left--;
        try_in(r, wait_ms > backoff_ms ? wait_ms : backoff_ms);
        return;
    }
    const struct http_answer answer = {
        .status = (unsigned)status,
        .body = r->answer.len > 0 ? buf_slice(&r->answer) : SLICE(""),
        .wait_ms = wait_ms,
        .sent = r->sent,
    };
    http_request_end(r, &answer, err.code != ERR_OK ? &err : NULL);
}
