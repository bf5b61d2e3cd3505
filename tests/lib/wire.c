/* Wire. */
#include "tests/lib/wire.h"

#include "shared/net/websocket_key.h"

#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static char dir[] = "/tmp/shoal-connection-XXXXXX";
char wire_cert[64];
char wire_key[64];
char wire_other[64];
char wire_cn_only[64];

/* The server ---------------------------------------------------------------------------------- */

static int say(struct wire *r, struct lws *wsi)
{
    unsigned char out[LWS_PRE + 4096];
    const struct piece *p = r->say;
    size_t len;
    int flags = LWS_WRITE_TEXT;

    if (r->say_n == 0) {
        return 0;
    }
    len = strlen(p->text);
    flags = p->begins ? LWS_WRITE_TEXT : LWS_WRITE_CONTINUATION;
    flags |= p->ends ? 0 : LWS_WRITE_NO_FIN;
    memcpy(out + LWS_PRE, p->text, len);
    assert_int_equal(lws_write(wsi, out + LWS_PRE, len, flags), len);
    r->say++;
    r->say_n--;
    lws_callback_on_writable(wsi);
    return 0;
}

static int serve(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                 size_t len)
{
    struct wire *r = lws_context_user(lws_get_context(wsi));

    (void)user;
    switch (reason) {
    case LWS_CALLBACK_ESTABLISHED:
        r->served++;
        if (r->deaf) {
            lws_rx_flow_control(wsi, 0);
        }
        lws_callback_on_writable(wsi);
        return 0;
    case LWS_CALLBACK_RECEIVE:
        if (r->heard_len + len < sizeof(r->heard)) {
            memcpy(r->heard + r->heard_len, in, len);
            r->heard_len += len;
        }
        r->heard_messages += lws_is_final_fragment(wsi) && lws_remaining_packet_payload(wsi) == 0;
        return 0;
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return say(r, wsi);
    case LWS_CALLBACK_CLOSED:
        r->served--;
        return 0;
    default:
        return 0;
    }
}

static const struct lws_protocols served_protocols[] = {
    {"chat", serve, 0, 4096, 0, NULL, 0},
    {NULL, NULL, 0, 0, 0, NULL, 0},
};

static void listen_on(struct wire *r, uv_loop_t *loop, bool tls)
{
    struct lws_context_creation_info info = {0};
    void *loops[] = {loop};
    struct lws_vhost *vhost;

    info.port = CONTEXT_PORT_NO_LISTEN;
    info.options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS;
    info.foreign_loops = loops;
    info.user = r;
    if (tls) {
        info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
    }
    r->server = lws_create_context(&info);
    assert_non_null(r->server);
    info.port = 0;
    info.iface = "127.0.0.1";
    info.options |= LWS_SERVER_OPTION_DISABLE_IPV6; /* with it, it would be every address */
    info.protocols = served_protocols;
    if (tls) {
        info.ssl_cert_filepath = r->tls_cert != NULL ? r->tls_cert : wire_cert;
        info.ssl_private_key_filepath = wire_key;
        if (r->tls_old) {
            info.ssl_options_set = SSL_OP_NO_TLSv1_2 | SSL_OP_NO_TLSv1_3;
            info.ssl_cipher_list = "DEFAULT@SECLEVEL=0";
        }
    }
    vhost = lws_create_vhost(r->server, &info);
    assert_non_null(vhost);
    r->port = lws_get_vhost_listen_port(vhost);
}

void wire_start_server(struct wire *r)
{
    listen_on(r, &r->loop, false);
}

void wire_start_tls_server(struct wire *r)
{
    int fds[2];
    uv_loop_t loop;

    assert_int_equal(pipe(fds), 0);
    r->server_pid = fork();
    assert_true(r->server_pid >= 0);
    if (r->server_pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        assert_int_equal(uv_loop_init(&loop), 0);
        listen_on(r, &loop, true);
        assert_int_equal(write(fds[1], &r->port, sizeof(r->port)), sizeof(r->port));
        uv_run(&loop, UV_RUN_DEFAULT);
        _exit(0);
    }
    (void)close(fds[1]);
    assert_int_equal(read(fds[0], &r->port, sizeof(r->port)), sizeof(r->port));
    (void)close(fds[0]);
}

static void on_tcp_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf)
{
    static char bytes[4096];

    (void)handle;
    (void)size;
    *buf = uv_buf_init(bytes, sizeof(bytes));
}

static void on_tcp_closed(uv_handle_t *handle)
{
    free(handle);
}

static void tcp_say(uv_stream_t *stream, const char *text)
{
    uv_buf_t out = uv_buf_init((char *)text, (unsigned)strlen(text));

    (void)uv_try_write(stream, &out, 1);
}

/* Answer an upgrade, and say something in the same breath. */
static void tcp_upgrade(uv_stream_t *stream, const char *request, const char *frames)
{
    const char *key = strstr(request, "Sec-WebSocket-Key: ");
    char answer[512];
    char accept[WEBSOCKET_ACCEPT_CHARS];

    assert_non_null(key);
    websocket_key_accept((struct slice){key + strlen("Sec-WebSocket-Key: "), WEBSOCKET_KEY_CHARS},
                         accept);
    (void)snprintf(answer, sizeof(answer),
                   "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                   "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n%s",
                   accept, frames);
    tcp_say(stream, answer);
}

static void on_tcp_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct wire *r = stream->data;

    if (n < 0) {
        uv_close((uv_handle_t *)stream, on_tcp_closed);
    } else if (r->tcp_frames != NULL && n > 4 && memcmp(buf->base, "GET ", 4) == 0) {
        buf->base[n < 4096 ? n : 4095] = '\0';
        tcp_upgrade(stream, buf->base, r->tcp_frames);
    } else if (r->tcp_says != NULL) {
        r->tcp_said_ms = mono_ms();
        tcp_say(stream, r->tcp_says);
        (void)usleep(r->tcp_stun_ms * 1000);
        if (!r->tcp_stays) {
            uv_close((uv_handle_t *)stream, on_tcp_closed);
        }
    }
}

static void on_tcp_connection(uv_stream_t *stream, int status)
{
    struct wire *r = stream->data;
    uv_tcp_t *client = xcalloc(1, sizeof(*client));

    assert_int_equal(status, 0);
    assert_int_equal(uv_tcp_init(&r->loop, client), 0);
    client->data = r;
    r->tcp_accepted++;
    assert_int_equal(uv_accept(stream, (uv_stream_t *)client), 0);
    uv_read_start((uv_stream_t *)client, on_tcp_alloc, on_tcp_read);
}

void wire_start_tcp_at(struct wire *r, const char *ip, int port, const char *says)
{
    struct sockaddr_in address;
    int len = sizeof(address);

    r->tcp_says = says;
    assert_int_equal(uv_tcp_init(&r->loop, &r->tcp), 0);
    r->tcp.data = r;
    assert_int_equal(uv_ip4_addr(ip, port, &address), 0);
    assert_int_equal(uv_tcp_bind(&r->tcp, (struct sockaddr *)&address, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&r->tcp, 8, on_tcp_connection), 0);
    assert_int_equal(uv_tcp_getsockname(&r->tcp, (struct sockaddr *)&address, &len), 0);
    r->tcp_port = ntohs(address.sin_port);
}

void wire_start_tcp(struct wire *r, const char *says)
{
    wire_start_tcp_at(r, "127.0.0.1", 0, says);
}

/* The client ---------------------------------------------------------------------------------- */

static void note(struct wire *r, const char *what, struct slice text)
{
    size_t at = strlen(r->log);

    (void)snprintf(r->log + at, sizeof(r->log) - at, "%s%s%.*s|", what, text.len > 0 ? " " : "",
                   (int)text.len, text.ptr);
}

static void client_opened(void *ctx)
{
    note(ctx, "open", SLICE(""));
}

static void client_line(void *ctx, struct slice line, uint64_t now_ms)
{
    struct wire *r = ctx;

    assert_in_range(now_ms, 1, mono_ms());
    r->lines++;
    r->longest = line.len > r->longest ? line.len : r->longest;
    note(r, "line", line);
    if (r->close_in_line) {
        connection_close(r->c);
        r->c = NULL;
    }
}

static void client_long_line(void *ctx)
{
    note(ctx, "long", SLICE("line"));
}

static void client_closed(void *ctx, const char *why, uint64_t caught_up_ms);

static bool client_may_write(void *ctx)
{
    const struct wire *r = ctx;

    return !r->fenced;
}

const struct connection_callbacks wire_callbacks = {client_opened, client_line, client_long_line,
                                                    client_closed, client_may_write};

static void client_closed(void *ctx, const char *why, uint64_t caught_up_ms)
{
    struct wire *r = ctx;

    r->caught_up_ms = caught_up_ms;
    note(r, "closed", slice_of(why));
    r->c = NULL;
    if (r->reopen) {
        r->reopen = false;
        r->c = connection_open(r->pool, r->url, &wire_callbacks, r, NULL);
    }
}

struct wire *wire_create(const char *ca, uint64_t connect_ms)
{
    struct wire *r = xcalloc(1, sizeof(*r));

    assert_int_equal(uv_loop_init(&r->loop), 0);
    r->pool = connections_create(&r->loop, ca, connect_ms > 0 ? connect_ms : CONNECTION_MS, NULL);
    assert_non_null(r->pool);
    return r;
}

static void on_timeout(uv_timer_t *timer)
{
    (void)timer;
    fail_msg("nothing happened in 5 s");
}

void wire_run_until(struct wire *r, bool (*done)(struct wire *r))
{
    uv_timer_t timer;

    assert_int_equal(uv_timer_init(&r->loop, &timer), 0);
    uv_timer_start(&timer, on_timeout, 5000, 0);
    while (!done(r)) {
        uv_run(&r->loop, UV_RUN_ONCE);
    }
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&r->loop, UV_RUN_NOWAIT);
}

static void on_nap(uv_timer_t *timer)
{
    timer->data = NULL;
    uv_close((uv_handle_t *)timer, NULL);
}

void wire_nap(struct wire *r, uint64_t ms)
{
    uv_timer_t timer;

    assert_int_equal(uv_timer_init(&r->loop, &timer), 0);
    timer.data = r;
    uv_timer_start(&timer, on_nap, ms, 0);
    while (timer.data != NULL) {
        uv_run(&r->loop, UV_RUN_ONCE);
    }
    uv_run(&r->loop, UV_RUN_NOWAIT);
}

void wire_open(struct wire *r, const char *scheme, const char *host, int port)
{
    static char url[128];

    (void)snprintf(url, sizeof(url), "%s://%s:%d", scheme, host, port);
    r->url = url;
    r->c = connection_open(r->pool, url, &wire_callbacks, r, NULL);
    assert_non_null(r->c);
    assert_string_equal(r->log, ""); /* never from within */
}

static void close_handle(uv_handle_t *handle, void *arg)
{
    struct wire *r = arg;

    if (handle->type == UV_TCP && handle->data == r && !uv_is_closing(handle)) {
        uv_close(handle, handle == (uv_handle_t *)&r->tcp ? NULL : on_tcp_closed);
    }
}

void wire_stop_tcp(struct wire *r)
{
    uv_walk(&r->loop, close_handle, r);
}

bool wire_nobody_is_served(struct wire *r)
{
    return r->served == 0;
}

void wire_destroy(struct wire *r)
{
    connections_destroy(r->pool);
    wire_stop_tcp(r);
    if (r->server != NULL) {
        lws_context_destroy(r->server);
    }
    if (r->server_pid > 0) {
        (void)kill(r->server_pid, SIGKILL);
        (void)waitpid(r->server_pid, NULL, 0);
    }
    uv_run(&r->loop, UV_RUN_DEFAULT);
    if (r->server != NULL) {
        lws_context_destroy(r->server);
    }
    uv_run(&r->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&r->loop), 0);
    free(r);
}

bool wire_is_open(struct wire *r)
{
    return strstr(r->log, "open|") != NULL;
}

bool wire_is_closed(struct wire *r)
{
    return strstr(r->log, "closed") != NULL;
}

void wire_assert_unreachable(const struct wire *r, const char *host, int port, const char *why)
{
    char expected[256];

    (void)snprintf(expected, sizeof(expected), "closed ws://%s:%d cannot be reached: %s|", host,
                   port, why);
    assert_string_equal(r->log, expected);
}

/* Certificates --------------------------------------------------------------------------------- */

/* A self-signed certificate for localhost; `names`: as alternative ones, NULL: none. */
static void make_certificate(const char *cert, EVP_PKEY *pair, const char *names)
{
    X509 *x = X509_new();
    X509_NAME *name = X509_get_subject_name(x);
    X509_EXTENSION *san =
        names == NULL ? NULL : X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);
    FILE *file;

    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_set_version(x, X509_VERSION_3);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"localhost", -1, -1,
                               0);
    X509_set_issuer_name(x, name);
    X509_set_pubkey(x, pair);
    if (san != NULL) {
        X509_add_ext(x, san, -1);
    }
    assert_true(X509_sign(x, pair, EVP_sha256()) > 0);
    file = fopen(cert, "we");
    assert_true(file != NULL && PEM_write_X509(file, x) == 1);
    (void)fclose(file);
    X509_EXTENSION_free(san);
    X509_free(x);
}

int wire_set_up(void **state)
{
    static const char names[] = "DNS:localhost,DNS:nowhere";
    EVP_PKEY *other = EVP_EC_gen("P-256");
    EVP_PKEY *pair = EVP_EC_gen("P-256");
    FILE *file;

    (void)state;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(wire_cert, sizeof(wire_cert), "%s/cert.pem", dir);
    (void)snprintf(wire_key, sizeof(wire_key), "%s/key.pem", dir);
    (void)snprintf(wire_other, sizeof(wire_other), "%s/other.pem", dir);
    (void)snprintf(wire_cn_only, sizeof(wire_cn_only), "%s/cn-only.pem", dir);
    make_certificate(wire_other, other, names);
    make_certificate(wire_cert, pair, names);
    make_certificate(wire_cn_only, pair, NULL);
    file = fopen(wire_key, "we");
    assert_true(file != NULL && PEM_write_PrivateKey(file, pair, NULL, NULL, 0, NULL, NULL) == 1);
    (void)fclose(file);
    EVP_PKEY_free(other);
    EVP_PKEY_free(pair);
    return 0;
}

int wire_tear_down(void **state)
{
    (void)state;
    (void)unlink(wire_cert);
    (void)unlink(wire_key);
    (void)unlink(wire_other);
    (void)unlink(wire_cn_only);
    (void)rmdir(dir);
    return 0;
}
