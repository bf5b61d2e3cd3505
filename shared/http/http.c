/* HTTP: curl's sockets and its one timer on the loop.
 *
 * curl says which sockets it wants to hear of (on_socket) and when it wants to be called
 * (on_timeout); the loop tells it (turn), and then it has perhaps ended some requests. curl must
 * not be called from within its own callbacks: requests are ended from `turn` alone. */
#include "shared/http/http.h"

#include "shared/ca_store.h"
#include "shared/http/http_private.h"

#include <stdlib.h>
#include <utlist.h>

/* One socket of curl's. */
struct socket {
    uv_poll_t poll;
    struct http *http;
    curl_socket_t fd;
};

static void end_requests(struct http *h)
{
    CURLMsg *message;
    int left;

    while (!h->teardown.begun && (message = curl_multi_info_read(h->multi, &left)) != NULL) {
        if (message->msg == CURLMSG_DONE) {
            struct http_request *r = NULL;
            CURLcode code = message->data.result; /* the message goes with the handle */
            (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &r);
            http_request_tried(r, code);
        }
    }
}

/* Tell curl of a socket, or (CURL_SOCKET_TIMEOUT) of the time. */
static void turn(struct http *h, curl_socket_t fd, int events)
{
    int running;

    (void)curl_multi_socket_action(h->multi, fd, events, &running);
    end_requests(h);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    const struct socket *s = poll->data;
    int flags = status < 0 ? CURL_CSELECT_ERR : 0;

    flags |= (events & UV_READABLE) != 0 ? CURL_CSELECT_IN : 0;
    flags |= (events & UV_WRITABLE) != 0 ? CURL_CSELECT_OUT : 0;
    turn(s->http, s->fd, flags);
}

static void on_poll_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *of_socket)
{
    struct http *h = ctx;
    struct socket *s = of_socket;

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (s != NULL) {
            (void)uv_poll_stop(&s->poll);
            uv_close((uv_handle_t *)&s->poll, on_poll_closed);
        }
        (void)curl_multi_assign(h->multi, fd, NULL);
        return 0;
    }
    if (s == NULL) {
        s = xcalloc(1, sizeof(*s));
        if (uv_poll_init_socket(h->options.loop, &s->poll, fd) != 0) {
            free(s);
            return -1; /* curl ends what waits for it */
        }
        s->http = h;
        s->fd = fd;
        s->poll.data = s;
        (void)curl_multi_assign(h->multi, fd, s);
    }
    int events = ((what & CURL_POLL_IN) != 0 ? UV_READABLE : 0) |
                 ((what & CURL_POLL_OUT) != 0 ? UV_WRITABLE : 0);
    return uv_poll_start(&s->poll, events, on_ready);
}

static void on_timer(uv_timer_t *timer)
{
    turn(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

static int on_timeout(CURLM *multi, long timeout_ms, void *ctx)
{
    struct http *h = ctx;

    (void)multi;
    if (timeout_ms < 0 || h->teardown.begun) {
        return uv_timer_stop(&h->timer);
    }
    return uv_timer_start(&h->timer, on_timer, (uint64_t)timeout_ms, 0);
}

struct http *http_create(const struct http_options *options)
{
    struct http *h = xcalloc(1, sizeof(*h));

    h->options = *options;
    h->store = ca_store_load(options->tls_ca, &h->untrusted);
    (void)uv_timer_init(options->loop, &h->timer);
    h->timer.data = h;
    /* Without memory, or with a library of another build: nothing to go on with. */
    BUG_ON(curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK);
    h->multi = curl_multi_init();
    BUG_ON(h->multi == NULL);
    (void)curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    (void)curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
    (void)curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, on_timeout);
    (void)curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
    (void)curl_multi_setopt(h->multi, CURLMOPT_MAX_HOST_CONNECTIONS,
                            options->at_once != 0 ? (long)options->at_once : (long)HTTP_AT_ONCE);
    return h;
}

struct http_request *http_begin(struct http *h, const struct http_ask *ask, http_cb cb, void *ctx)
{
    BUG_ON(h->teardown.begun);
    struct http_request *r = http_request_create(h, ask);
    r->cb = cb;
    r->ctx = ctx;
    DL_APPEND(h->requests, r);
    http_request_try(r);
    return r;
}

void http_trust(struct http *h, const char *tls_ca)
{
    struct err err;
    X509_STORE *store = ca_store_load(tls_ca, &err);

    if (store != NULL) {
        X509_STORE_free(h->store);
        h->store = store;
    }
}

static void http_finish(void *owner)
{
    struct http *h = owner;

    curl_global_cleanup();
    X509_STORE_free(h->store);
    free(h);
}

void http_close(struct http *h, void (*on_closed)(void *ctx), void *ctx)
{
    struct err err;

    teardown_begin(&h->teardown, http_finish, h, on_closed, ctx);
    err_set(&err, ERR_CANCELED, "given up before it was answered");
    while (h->requests != NULL) {
        struct http_request *r = h->requests;
        http_request_end(r, &(struct http_answer){.sent = r->sent}, &err);
    }
    teardown_handle(&h->teardown, (uv_handle_t *)&h->timer);
    (void)curl_multi_cleanup(h->multi); /* lets go of its sockets: on_socket */
}
