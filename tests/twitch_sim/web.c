/* Connections: what comes in is kept until it is a whole request, and what goes out until
 * libwebsockets can take it. While a request is not answered, the next one waits.
 *
 * Failure modes: what is no HTTP, and heads and bodies that are too large, are refused; what the
 * client still sends then is read and thrown away until it is still, so that it hears the answer. */
#include "tests/twitch_sim/web.h"

#include "tests/twitch_sim/helix.h"
#include "tests/twitch_sim/oauth.h"
#include "tests/twitch_sim/web_log.h"

#include <libwebsockets.h>
#include <stdlib.h>
#include <string.h>

#define IN_MAX     (2 * (WEB_HEAD_MAX + WEB_BODY_MAX)) /* requests that wait */
#define WRITE_MAX  65536                               /* bytes at a time */
#define DRAIN_MS   200                                 /* of silence */
#define HUGE_BYTES (10 << 20)

struct web_conn {
    struct sim *sim;
    struct lws *wsi;
    struct buf in;
    struct buf out;
    size_t sent;
    bool busy;        /* with a request */
    bool ready;       /* `out` may go */
    bool last;        /* the connection ends with this answer */
    bool draining;    /* nothing that comes in is looked at any more */
    bool over;        /* close it */
    uint64_t byte_ms; /* between two bytes; 0: as fast as it goes */
};

struct per_session {
    struct web_conn *conn;
};

struct web *web_create(void)
{
    return xcalloc(1, sizeof(struct web));
}

void web_destroy(struct web *w)
{
    web_fault_clear(&w->faults);
    web_log_finish(&w->counts);
    helix_finish(&w->meters);
    free(w);
}

static struct web_conn *conn_open(struct lws *wsi)
{
    struct web_conn *c = xcalloc(1, sizeof(*c));

    c->sim = lws_context_user(lws_get_context(wsi));
    c->wsi = wsi;
    buf_init(&c->in, IN_MAX);
    buf_init(&c->out, 2 * HUGE_BYTES);
    return c;
}

static void conn_free(struct web_conn *c)
{
    buf_finish(&c->in);
    buf_finish(&c->out);
    free(c);
}

static void wake_in(struct web_conn *c, uint64_t ms)
{
    lws_set_timer_usecs(c->wsi, (lws_usec_t)(ms * 1000));
}

static void send_out(struct web_conn *c)
{
    c->ready = true;
    lws_callback_on_writable(c->wsi);
}

static void route(struct sim *s, const struct web_request *r, struct web_answer *a)
{
    static const struct {
        const char *method;
        const char *path;
        void (*answer)(struct sim *s, const struct web_request *r, struct web_answer *a);
    } routes[] = {
        {"GET", "/oauth2/validate", oauth_validate}, {"POST", "/oauth2/token", oauth_token},
        {"POST", "/oauth2/device", oauth_device},    {"POST", "/oauth2/revoke", oauth_revoke},
        {"GET", "/helix/users", helix_users},        {"POST", "/helix/chat/messages", helix_say},
    };

    for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
        if (slice_is(r->method, routes[i].method) && slice_is(r->path, routes[i].path)) {
            routes[i].answer(s, r, a);
            return;
        }
    }
    web_answer_refuse_named(a, 404, "");
}

/* An answer of HUGE_BYTES, which is JSON. */
static void make_huge(struct web_answer *a)
{
    static const char begin[] = "{\"data\":\"";
    size_t len = HUGE_BYTES - sizeof(begin) - 1;
    char *filling = xmalloc(len);

    memset(filling, 'x', len);
    buf_finish(&a->body);
    buf_init(&a->body, 2 * HUGE_BYTES);
    buf_append_str(&a->body, begin);
    buf_append(&a->body, filling, len);
    buf_append_str(&a->body, "\"}");
    free(filling);
}

/* The answer goes into `out`, as the fault has it. */
static void write_answer(struct web_conn *c, struct web_answer *a, const struct web_fault *fault)
{
    if (fault->kind == WEB_BROKEN_JSON) {
        a->body.len = a->body.len / 2;
    } else if (fault->kind == WEB_HUGE) {
        make_huge(a);
    }
    if (fault->kind == WEB_NO_HTTP) {
        buf_append_str(&c->out, "this is no answer that HTTP knows\r\n\r\n");
        c->last = true;
    } else {
        web_answer_write(a, c->last, &c->out);
    }
    c->byte_ms = fault->kind == WEB_SLOW ? fault->ms : 0;
    if (fault->kind == WEB_CLOSE) {
        c->over = true;
    } else if (fault->kind == WEB_LATE && fault->ms > 0) {
        wake_in(c, fault->ms);
    } else {
        send_out(c);
    }
}

static void answer(struct web_conn *c, const struct web_request *r)
{
    struct web *w = c->sim->web;
    struct web_fault fault = web_fault_take(&w->faults, r->path);
    struct web_answer a;

    c->last = r->close;
    web_log_note(&w->counts, r, fault.kind != WEB_SILENCE && fault.kind != WEB_STATUS);
    if (fault.kind == WEB_SILENCE) {
        return;
    }
    web_answer_init(&a);
    if (fault.kind == WEB_STATUS) {
        web_answer_refuse_named(&a, fault.status, "");
        a.retry_s = fault.retry_s;
    } else {
        route(c->sim, r, &a);
    }
    if (!a.metered && r->path.len > 7 && memcmp(r->path.ptr, "/helix/", 7) == 0) {
        helix_show_points(c->sim, &a);
    }
    write_answer(c, &a, &fault);
    web_answer_finish(&a);
}

/* The next request, if it is whole and its turn. */
static void serve(struct web_conn *c)
{
    struct web_request r;
    struct web_answer a;
    size_t used = 0;

    if (c->busy || c->draining || c->in.len == 0) {
        return;
    }
    unsigned refusal = web_request_parse(buf_slice(&c->in), &r, &used);
    if (refusal == 1) {
        return;
    }
    c->busy = true;
    if (refusal == 0) {
        answer(c, &r);
        buf_consume(&c->in, used);
        return;
    }
    c->last = c->draining = true;
    buf_finish(&c->in);
    web_answer_init(&a);
    web_answer_refuse_named(&a, refusal, "");
    web_answer_write(&a, true, &c->out);
    web_answer_finish(&a);
    send_out(c);
}

static int on_bytes(struct web_conn *c, const void *in, size_t len)
{
    /* 4.1.6 leaves the time that a TLS handshake may take, 5 s, in force after it. */
    lws_set_timeout(c->wsi, NO_PENDING_TIMEOUT, 0);
    if (!c->draining) {
        buf_append(&c->in, in, len);
        c->over = c->in.overflow;
        serve(c);
    } else if (c->sent == c->out.len) {
        wake_in(c, DRAIN_MS);
    }
    return c->over ? -1 : 0;
}

/* All of an answer is out. */
static int on_sent(struct web_conn *c)
{
    if (c->draining) {
        wake_in(c, DRAIN_MS);
        return 0;
    }
    if (c->last) {
        return -1;
    }
    buf_finish(&c->out);
    c->sent = 0;
    c->busy = c->ready = false;
    serve(c);
    return c->over ? -1 : 0;
}

static int on_writable(struct web_conn *c)
{
    size_t left = c->out.len - c->sent;
    size_t most = c->byte_ms > 0 ? 1 : WRITE_MAX;
    size_t n = left < most ? left : most;

    if (!c->ready) {
        return 0;
    }
    if (lws_partial_buffered(c->wsi)) {
        lws_callback_on_writable(c->wsi);
        return 0;
    }
    if (left == 0) {
        return on_sent(c);
    }
    if (lws_write(c->wsi, (unsigned char *)c->out.data + c->sent, n, LWS_WRITE_RAW) < 0) {
        return -1;
    }
    c->sent += n;
    if (c->byte_ms > 0) {
        wake_in(c, c->byte_ms);
    } else {
        lws_callback_on_writable(c->wsi);
    }
    return 0;
}

/* An answer is due, or its next byte, or there is nothing more to throw away. */
static int on_time(struct web_conn *c)
{
    if (c->draining && c->sent == c->out.len) {
        return -1;
    }
    send_out(c);
    return 0;
}

static int on_event(struct lws *wsi, enum lws_callback_reasons why, void *user, void *in,
                    size_t len)
{
    struct per_session *p = user;

    if (why == LWS_CALLBACK_RAW_ADOPT && p->conn == NULL) {
        p->conn = conn_open(wsi);
        return 0;
    }
    if (p == NULL || p->conn == NULL) {
        return 0;
    }
    switch (why) {
    case LWS_CALLBACK_RAW_RX:
        return on_bytes(p->conn, in, len);
    case LWS_CALLBACK_RAW_WRITEABLE:
        return on_writable(p->conn);
    case LWS_CALLBACK_TIMER:
        return on_time(p->conn);
    case LWS_CALLBACK_RAW_CLOSE:
        conn_free(p->conn);
        p->conn = NULL;
        return 0;
    default:
        return 0;
    }
}

const struct lws_protocols *web_protocols(void)
{
    static const struct lws_protocols protocols[] = {
        {WEB_PROTOCOL, on_event, sizeof(struct per_session), 16384, 0, NULL, 0},
        {NULL, NULL, 0, 0, 0, NULL, 0},
    };

    return protocols;
}
