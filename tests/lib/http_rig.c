/* HTTP rig. */
#include "tests/lib/http_rig.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <utlist.h>

/* A connection of the server's. */
struct peer {
    uv_tcp_t tcp;
    struct http_rig *rig;
    struct peer *prev, *next;
    char in[8192];
    size_t len;
};

static void on_peer_closed(uv_handle_t *handle)
{
    struct peer *p = handle->data;

    DL_DELETE(p->rig->peers, p);
    free(p);
}

static void hang_up(struct peer *p)
{
    if (!uv_is_closing((uv_handle_t *)&p->tcp)) {
        uv_close((uv_handle_t *)&p->tcp, on_peer_closed);
    }
}

static void on_written(uv_write_t *write, int status)
{
    struct peer *p = write->data;

    (void)status;
    if (p != NULL) {
        hang_up(p);
    }
    free(write);
}

/* Bytes of the request that `in` begins with; 0 where it is not whole. */
static size_t whole_request(const struct peer *p)
{
    const char *end = memmem(p->in, p->len, "\r\n\r\n", 4);
    const char *length =
        end != NULL ? memmem(p->in, (size_t)(end - p->in), "Content-Length: ", 16) : NULL;
    size_t need = end != NULL ? (size_t)(end - p->in) + 4 : 0;

    need += length != NULL ? strtoul(length + 16, NULL, 10) : 0;
    return need <= p->len ? need : 0;
}

static void answer(struct peer *p)
{
    struct http_rig *r = p->rig;
    const struct http_move *move = &r->moves[r->requests < r->nmoves ? r->requests : r->nmoves - 1];

    r->requests++;
    if (move->says != NULL) {
        uv_write_t *write = calloc(1, sizeof(*write));
        uv_buf_t text = uv_buf_init((char *)move->says, (unsigned)strlen(move->says));
        assert_non_null(write);
        write->data = move->hangs_up ? p : NULL;
        assert_int_equal(uv_write(write, (uv_stream_t *)&p->tcp, &text, 1, on_written), 0);
    } else if (move->hangs_up) {
        hang_up(p);
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct peer *p = handle->data;

    (void)suggested;
    *buf = uv_buf_init(p->in + p->len, (unsigned)(sizeof(p->in) - p->len));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct peer *p = stream->data;
    struct http_rig *r = p->rig;
    size_t size;

    (void)buf;
    if (n < 0) {
        hang_up(p);
        return;
    }
    p->len += (size_t)n;
    while ((size = whole_request(p)) > 0 && !uv_is_closing((uv_handle_t *)stream)) {
        assert_true(r->heard_len + size < sizeof(r->heard));
        memcpy(r->heard + r->heard_len, p->in, size);
        r->heard_len += size;
        p->len -= size;
        memmove(p->in, p->in + size, p->len);
        answer(p);
    }
}

static void on_accept(uv_stream_t *server, int status)
{
    struct http_rig *r = server->data;
    struct peer *p = calloc(1, sizeof(*p));

    assert_int_equal(status, 0);
    assert_non_null(p);
    r->accepted++;
    p->rig = r;
    p->tcp.data = p;
    DL_APPEND(r->peers, p);
    assert_int_equal(uv_tcp_init(&r->loop.uv, &p->tcp), 0);
    assert_int_equal(uv_accept(server, (uv_stream_t *)&p->tcp), 0);
    assert_int_equal(uv_read_start((uv_stream_t *)&p->tcp, on_alloc, on_read), 0);
}

struct http_rig *http_rig_create(const struct http_move *moves, size_t n, const char *proxy)
{
    struct http_rig *r = calloc(1, sizeof(*r));
    struct sockaddr_in address;
    int size = sizeof(address);

    assert_non_null(r);
    r->moves = moves;
    r->nmoves = n;
    test_loop_init(&r->loop);
    assert_int_equal(uv_ip4_addr("127.0.0.1", 0, &address), 0);
    assert_int_equal(uv_tcp_init(&r->loop.uv, &r->server), 0);
    r->server.data = r;
    assert_int_equal(uv_tcp_bind(&r->server, (const struct sockaddr *)&address, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&r->server, 16, on_accept), 0);
    assert_int_equal(uv_tcp_getsockname(&r->server, (struct sockaddr *)&address, &size), 0);
    r->port = ntohs(address.sin_port);
    r->http = http_create(&(struct http_options){.loop = &r->loop.uv, .proxy = proxy});
    return r;
}

void http_rig_stop_server(struct http_rig *r)
{
    struct peer *each;

    DL_FOREACH(r->peers, each)
    {
        hang_up(each);
    }
    if (!uv_is_closing((uv_handle_t *)&r->server)) {
        uv_close((uv_handle_t *)&r->server, NULL);
    }
    wait_until(&r->loop, r->peers == NULL);
}

void http_rig_destroy(struct http_rig *r)
{
    http_close(r->http, NULL, NULL);
    http_rig_stop_server(r);
    test_loop_finish(&r->loop);
    free(r);
}

const char *http_rig_url(const struct http_rig *r, const char *path)
{
    static char url[256];

    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%d%s", r->port, path);
    return url;
}

void http_rig_answered(void *ctx, const struct http_answer *answer, const struct err *err)
{
    struct http_rig *r = ctx;

    r->answers++;
    r->status = answer->status;
    r->wait_ms = answer->wait_ms;
    r->sent = answer->sent;
    (void)snprintf(r->body, sizeof(r->body), "%.*s", (int)answer->body.len, answer->body.ptr);
    r->err = err != NULL ? *err : (struct err){0};
}

void http_rig_ask(struct http_rig *r, const struct http_ask *ask)
{
    int before = r->answers;

    (void)http_begin(r->http, ask, http_rig_answered, r);
    wait_until(&r->loop, r->answers > before);
}
