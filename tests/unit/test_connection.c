/* The WebSocket driver against servers of its own on the same loop: a libwebsockets one (plain and
 * TLS) that does what each test says, and a bare TCP one for peers that are no WebSocket servers.
 */
#include "node/connection.h"

#include <libwebsockets.h>
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

#define WRONG_UPGRADE                                                                              \
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"            \
    "Sec-WebSocket-Accept: bm90IHRoaXMgb25lCg==\r\n\r\n"

struct piece {
    const char *text;
    bool begins; /* a message */
    bool ends;
};

struct rig {
    uv_loop_t loop;
    struct lws_context *server;
    int port;
    char heard[64 * 1024]; /* by the server */
    size_t heard_len;
    size_t heard_messages;
    const struct piece *say; /* by the server, once it is asked */
    size_t say_n;
    bool deaf;
    pid_t server_pid;
    int served; /* connections of the server */

    uv_tcp_t tcp;
    const char *tcp_says;   /* to whatever it reads, and then hangs up */
    const char *tcp_frames; /* after the upgrade */
    int tcp_port;

    struct connections *pool;
    struct connection *c;
    char log[4096];
    size_t lines;
    size_t longest;
    bool close_in_line;
    bool fenced;
    bool reopen;
    const char *url;
};

static char dir[] = "/tmp/shoal-connection-XXXXXX";
static char cert_path[64];
static char key_path[64];
static char other_path[64];

/* The server ---------------------------------------------------------------------------------- */

static int say(struct rig *r, struct lws *wsi)
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
    struct rig *r = lws_context_user(lws_get_context(wsi));

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

static void listen_on(struct rig *r, uv_loop_t *loop, bool tls)
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
    info.protocols = served_protocols;
    if (tls) {
        info.ssl_cert_filepath = cert_path;
        info.ssl_private_key_filepath = key_path;
    }
    vhost = lws_create_vhost(r->server, &info);
    assert_non_null(vhost);
    r->port = lws_get_vhost_listen_port(vhost);
}

static void start_server(struct rig *r)
{
    listen_on(r, &r->loop, false);
}

/* In a process of its own: libwebsockets 4.1.6 leaks where two contexts of a process set up TLS. */
static void start_tls_server(struct rig *r)
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
    char text[100];
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned char accept[64];

    assert_non_null(key);
    (void)snprintf(text, sizeof(text), "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11",
                   key + strlen("Sec-WebSocket-Key: "));
    assert_int_equal(EVP_Digest(text, strlen(text), digest, NULL, EVP_sha1(), NULL), 1);
    (void)EVP_EncodeBlock(accept, digest, 20);
    (void)snprintf(answer, sizeof(answer),
                   "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                   "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n%s",
                   (const char *)accept, frames);
    tcp_say(stream, answer);
}

static void on_tcp_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct rig *r = stream->data;

    if (n < 0) {
        uv_close((uv_handle_t *)stream, on_tcp_closed);
    } else if (r->tcp_frames != NULL && n > 4 && memcmp(buf->base, "GET ", 4) == 0) {
        buf->base[n < 4096 ? n : 4095] = '\0';
        tcp_upgrade(stream, buf->base, r->tcp_frames);
    } else if (r->tcp_says != NULL) {
        tcp_say(stream, r->tcp_says);
        uv_close((uv_handle_t *)stream, on_tcp_closed);
    }
}

static void on_tcp_connection(uv_stream_t *stream, int status)
{
    struct rig *r = stream->data;
    uv_tcp_t *client = xcalloc(1, sizeof(*client));

    assert_int_equal(status, 0);
    assert_int_equal(uv_tcp_init(&r->loop, client), 0);
    client->data = r;
    assert_int_equal(uv_accept(stream, (uv_stream_t *)client), 0);
    uv_read_start((uv_stream_t *)client, on_tcp_alloc, on_tcp_read);
}

/* A TCP port that answers what it reads with `says` (NULL: not at all). */
static void start_tcp(struct rig *r, const char *says)
{
    struct sockaddr_in address;
    int len = sizeof(address);

    r->tcp_says = says;
    assert_int_equal(uv_tcp_init(&r->loop, &r->tcp), 0);
    r->tcp.data = r;
    assert_int_equal(uv_ip4_addr("127.0.0.1", 0, &address), 0);
    assert_int_equal(uv_tcp_bind(&r->tcp, (struct sockaddr *)&address, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&r->tcp, 8, on_tcp_connection), 0);
    assert_int_equal(uv_tcp_getsockname(&r->tcp, (struct sockaddr *)&address, &len), 0);
    r->tcp_port = ntohs(address.sin_port);
}

/* The client ---------------------------------------------------------------------------------- */

static void note(struct rig *r, const char *what, struct slice text)
{
    size_t at = strlen(r->log);

    (void)snprintf(r->log + at, sizeof(r->log) - at, "%s%s%.*s|", what, text.len > 0 ? " " : "",
                   (int)text.len, text.ptr);
}

static void client_opened(void *ctx)
{
    note(ctx, "open", SLICE(""));
}

static void client_line(void *ctx, struct slice line)
{
    struct rig *r = ctx;

    r->lines++;
    r->longest = line.len > r->longest ? line.len : r->longest;
    note(r, "line", line);
    if (r->close_in_line) {
        connection_close(r->c);
        r->c = NULL;
    }
}

static void client_closed(void *ctx, const char *why);

static bool client_may_write(void *ctx)
{
    const struct rig *r = ctx;

    return !r->fenced;
}

static const struct connection_callbacks callbacks = {client_opened, client_line, client_closed,
                                                      client_may_write};

static void client_closed(void *ctx, const char *why)
{
    struct rig *r = ctx;

    note(r, "closed", slice_of(why));
    r->c = NULL;
    if (r->reopen) {
        r->reopen = false;
        r->c = connection_open(r->pool, r->url, &callbacks, r, NULL);
    }
}

static struct rig *rig_create(const char *ca, uint64_t connect_ms)
{
    struct rig *r = xcalloc(1, sizeof(*r));
    struct connections_options options = {.tls_ca = ca, .connect_ms = connect_ms};

    assert_int_equal(uv_loop_init(&r->loop), 0);
    r->pool = connections_create(&r->loop, &options, NULL);
    assert_non_null(r->pool);
    return r;
}

static void on_timeout(uv_timer_t *timer)
{
    (void)timer;
    fail_msg("nothing happened in 5 s");
}

/* Run until `done`, at most 5 s. */
static void run_until(struct rig *r, bool (*done)(struct rig *r))
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

/* Let the loop run for a while: for what must not happen. */
static void nap(struct rig *r, uint64_t ms)
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

static void open_url(struct rig *r, const char *scheme, const char *host, int port)
{
    static char url[128];

    (void)snprintf(url, sizeof(url), "%s://%s:%d", scheme, host, port);
    r->url = url;
    r->c = connection_open(r->pool, url, &callbacks, r, NULL);
    assert_non_null(r->c);
    assert_string_equal(r->log, ""); /* never from within */
}

static void close_handle(uv_handle_t *handle, void *arg)
{
    struct rig *r = arg;

    if (handle->type == UV_TCP && handle->data == r && !uv_is_closing(handle)) {
        uv_close(handle, handle == (uv_handle_t *)&r->tcp ? NULL : on_tcp_closed);
    }
}

static bool nobody_is_served(struct rig *r)
{
    return r->served == 0;
}

/* Everything down; a handle left open would be seen. */
static void rig_destroy(struct rig *r)
{
    connections_destroy(r->pool);
    uv_walk(&r->loop, close_handle, r);
    if (r->server != NULL) {
        lws_context_destroy(r->server);
    }
    if (r->server_pid > 0) {
        (void)kill(r->server_pid, SIGKILL);
        (void)waitpid(r->server_pid, NULL, 0);
    }
    uv_run(&r->loop, UV_RUN_DEFAULT);
    connections_free(r->pool);
    if (r->server != NULL) {
        lws_context_destroy(r->server);
    }
    uv_run(&r->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&r->loop), 0);
    free(r);
}

static bool is_open(struct rig *r)
{
    return strstr(r->log, "open|") != NULL;
}

static bool is_closed(struct rig *r)
{
    return strstr(r->log, "closed") != NULL;
}

static bool has_three_lines(struct rig *r)
{
    return r->lines >= 3;
}

static bool server_heard_two(struct rig *r)
{
    return r->heard_messages >= 2;
}

/* Tests --------------------------------------------------------------------------------------- */

static void lines_come_out_however_they_are_framed(void **state)
{
    static const struct piece pieces[] = {
        {"PING :a\r\nPING ", true, true}, /* a line cut over two messages */
        {":b", true, false},              /* and a message cut over two frames */
        {"b\r\nPING :", false, false},
        {"c\r\n", false, true},
    };
    struct rig *r = rig_create(NULL, 0);

    (void)state;
    start_server(r);
    r->say = pieces;
    r->say_n = ARRAY_LEN(pieces);
    open_url(r, "ws", "127.0.0.1", r->port);
    run_until(r, has_three_lines);
    assert_string_equal(r->log, "open|line PING :a|line PING :bb|line PING :c|");
    rig_destroy(r);
}

static void a_peer_that_ends_no_line_means_each_message_to_be_one(void **state)
{
    static const struct piece pieces[] = {{"PING :a", true, true},
                                          {"PING :b", true, true},
                                          {"PING ", true, false},
                                          {":c", false, true}};
    struct rig *r = rig_create(NULL, 0);

    (void)state;
    start_server(r);
    r->say = pieces;
    r->say_n = ARRAY_LEN(pieces);
    open_url(r, "ws", "127.0.0.1", r->port);
    run_until(r, has_three_lines);
    assert_string_equal(r->log, "open|line PING :a|line PING :b|line PING :c|");
    rig_destroy(r);
}

static void a_line_of_many_frames_comes_whole(void **state)
{
    static char text[4000];
    struct piece pieces[17];
    struct rig *r = rig_create(NULL, 0);

    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        pieces[i] = (struct piece){text, i == 0, false};
    }
    pieces[16] = (struct piece){"\r\na\r\nb\r\n", false, true};
    start_server(r);
    r->say = pieces;
    r->say_n = ARRAY_LEN(pieces);
    open_url(r, "ws", "127.0.0.1", r->port);
    run_until(r, has_three_lines);
    assert_int_equal(r->longest, 16 * 3999);
    rig_destroy(r);
}

static void what_is_written_arrives_in_order(void **state)
{
    struct rig *r = rig_create(NULL, 0);
    struct slice big;
    char *text;

    (void)state;
    start_server(r);
    open_url(r, "ws", "127.0.0.1", r->port);
    assert_false(connection_write(r->c, SLICE("too early\r\n")));
    run_until(r, is_open);
    /* Too much for one turn: cut between two lines. */
    text = xmalloc(20000);
    for (size_t i = 0; i < 20000; i += 10) {
        memcpy(text + i, "012345 7\r\n", 10);
    }
    big = (struct slice){text, 20000};
    assert_true(connection_write(r->c, SLICE("PASS x\r\n")));
    assert_true(connection_write(r->c, big));
    assert_int_equal(connection_unsent(r->c), 20008);
    run_until(r, server_heard_two);
    assert_int_equal(r->heard_messages, 2);
    assert_int_equal(r->heard_len, 20008);
    assert_memory_equal(r->heard, "PASS x\r\n012345 7\r\n", 18);
    assert_int_equal(connection_unsent(r->c), 0);
    free(text);
    rig_destroy(r);
}

static void a_queue_is_bounded_and_can_be_thrown_away(void **state)
{
    struct rig *r = rig_create(NULL, 0);
    char *text = xcalloc(1, CONNECTION_QUEUE_BYTES + 1);

    (void)state;
    memset(text, 'x', CONNECTION_QUEUE_BYTES);
    r->deaf = true;
    start_server(r);
    open_url(r, "ws", "127.0.0.1", r->port);
    run_until(r, is_open);
    assert_false(connection_write(r->c, (struct slice){text, CONNECTION_QUEUE_BYTES + 1}));
    assert_true(connection_write(r->c, (struct slice){text, CONNECTION_QUEUE_BYTES - 1}));
    assert_false(connection_write(r->c, SLICE("ab")));
    assert_true(connection_write(r->c, SLICE("a")));
    connection_discard(r->c);
    assert_int_equal(connection_unsent(r->c), 0);
    nap(r, 50);
    assert_int_equal(r->heard_len, 0);
    free(text);
    rig_destroy(r);
}

static void what_was_queued_before_a_fence_never_leaves_but_keepalives_do(void **state)
{
    struct rig *r = rig_create(NULL, 0);

    (void)state;
    start_server(r);
    open_url(r, "ws", "127.0.0.1", r->port);
    run_until(r, is_open);

    assert_true(connection_write(r->c, SLICE("PRIVMSG #a :b\r\n")));
    r->fenced = true;
    nap(r, 50);
    assert_int_equal(r->heard_len, 0);
    assert_int_equal(connection_unsent(r->c), 0);

    assert_true(connection_write(r->c, SLICE("PRIVMSG #a :b\r\n")));
    assert_true(connection_write_keepalive(r->c, SLICE("PONG :x\r\n")));
    connection_discard(r->c);
    nap(r, 50);
    assert_int_equal(r->heard_len, 9);
    assert_memory_equal(r->heard, "PONG :x\r\n", 9);
    rig_destroy(r);
}

static void a_refused_port_is_one_on_closed(void **state)
{
    struct rig *r = rig_create(NULL, 0);
    int port;

    (void)state;
    start_tcp(r, NULL);
    port = r->tcp_port;
    uv_close((uv_handle_t *)&r->tcp, NULL);
    uv_run(&r->loop, UV_RUN_NOWAIT);
    open_url(r, "ws", "127.0.0.1", port);
    run_until(r, is_closed);
    assert_string_equal(r->log, "closed connect to 127.0.0.1: Connection refused|");
    nap(r, 50);
    assert_string_equal(r->log, "closed connect to 127.0.0.1: Connection refused|");
    rig_destroy(r);

    r = rig_create(NULL, 0); /* a name with several addresses: each is tried */
    open_url(r, "ws", "localhost", port);
    run_until(r, is_closed);
    assert_string_equal(r->log, "closed connect to localhost: Connection refused|");
    rig_destroy(r);
}

static void a_name_that_does_not_resolve_is_one_on_closed(void **state)
{
    struct rig *r = rig_create(NULL, 2000);

    (void)state;
    open_url(r, "ws", "no-such-name.invalid", 80);
    run_until(r, is_closed);
    assert_non_null(strstr(r->log, "closed resolve no-such-name.invalid: "));
    rig_destroy(r);
}

static void a_peer_that_never_answers_is_given_up(void **state)
{
    struct rig *r = rig_create(NULL, 200);

    (void)state;
    start_tcp(r, NULL);
    open_url(r, "ws", "127.0.0.1", r->tcp_port);
    run_until(r, is_closed);
    assert_string_equal(r->log, "closed connect to 127.0.0.1: no answer within 200 ms|");
    nap(r, 50);
    rig_destroy(r);
}

static void a_peer_that_is_no_websocket_server_is_one_on_closed(void **state)
{
    static const char *const answers[] = {
        "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "\r\n\r\n",
        WRONG_UPGRADE,
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        struct rig *r = rig_create(NULL, 1000);

        start_tcp(r, answers[i]);
        open_url(r, "ws", "127.0.0.1", r->tcp_port);
        run_until(r, is_closed);
        assert_null(strstr(r->log, "open|"));
        assert_non_null(strstr(r->log, "closed connect to 127.0.0.1: "));
        nap(r, 20);
        assert_null(strstr(strstr(r->log, "closed") + 1, "closed"));
        rig_destroy(r);
    }
}

static void a_server_that_closes_is_one_on_closed_with_its_words(void **state)
{
    static const char expected[] = "open|line PING :a|closed closed by the server: 4000 bye|";
    struct rig *r = rig_create(NULL, 0);

    (void)state;
    r->tcp_frames = "\x81\x09PING :a\r\n\x88\x05\x0f\xa0"
                    "bye";
    start_tcp(r, NULL);
    open_url(r, "ws", "127.0.0.1", r->tcp_port);
    r->reopen = true; /* and a new one may be opened from within */
    run_until(r, is_closed);
    assert_string_equal(r->log, expected);
    r->log[0] = '\0';
    run_until(r, is_closed);
    assert_string_equal(r->log, expected);
    rig_destroy(r);
}

static void a_server_that_vanishes_is_one_on_closed(void **state)
{
    static const char *const frames[] = {"\x81\x09PING :a\r\n", "\x81\x7fnonsense", "\x8f\x05hello",
                                         "\x81\x85mask!"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(frames); i++) {
        struct rig *r = rig_create(NULL, 0);

        r->tcp_frames = frames[i];
        start_tcp(r, NULL);
        open_url(r, "ws", "127.0.0.1", r->tcp_port);
        run_until(r, is_open);
        nap(r, 20);
        uv_walk(&r->loop, close_handle, r);
        run_until(r, is_closed);
        nap(r, 20);
        assert_null(strstr(strstr(r->log, "closed ") + 1, "|closed"));
        rig_destroy(r);
    }
}

static void closing_from_within_a_line_ends_it_there(void **state)
{
    static const struct piece pieces[] = {{"PING :a\r\nPING :b\r\n", true, true},
                                          {"PING :c\r\n", true, true}};
    struct rig *r = rig_create(NULL, 0);

    (void)state;
    r->close_in_line = true;
    r->say = pieces;
    r->say_n = ARRAY_LEN(pieces);
    start_server(r);
    open_url(r, "ws", "127.0.0.1", r->port);
    run_until(r, is_open);
    run_until(r, nobody_is_served);
    nap(r, 20);
    assert_string_equal(r->log, "open|line PING :a|");
    rig_destroy(r);
}

static void a_closed_connection_calls_nothing_back(void **state)
{
    (void)state;
    for (int when = 0; when < 4; when++) {
        struct rig *r = rig_create(NULL, 0);

        start_server(r);
        open_url(r, "ws", "127.0.0.1", r->port);
        for (int i = 0; i < when; i++) {
            nap(r, 1);
        }
        if (when == 3) {
            run_until(r, is_open);
            assert_true(connection_write(r->c, SLICE("never\r\n")));
        }
        r->log[0] = '\0';
        connection_close(r->c);
        run_until(r, nobody_is_served);
        nap(r, 20);
        assert_string_equal(r->log, "");
        assert_int_equal(r->heard_len, 0);
        rig_destroy(r);
    }
    connection_close(NULL);
}

static void destroying_the_pool_takes_every_connection_along(void **state)
{
    struct rig *r = rig_create(NULL, 0);

    (void)state;
    start_server(r);
    start_tcp(r, NULL);
    open_url(r, "ws", "127.0.0.1", r->port);
    run_until(r, is_open);
    r->log[0] = '\0';
    open_url(r, "ws", "127.0.0.1", r->tcp_port);
    nap(r, 20);
    open_url(r, "ws", "no-such-name.invalid", 80);
    rig_destroy(r);
}

static void tls_is_verified(void **state)
{
    static const struct {
        bool trusted;
        const char *host;
        const char *why; /* NULL: opens */
    } cases[] = {
        {true, "localhost", NULL},
        {true, "127.0.0.1", "TLS: the certificate is refused: IP address mismatch"},
        {false, "localhost", "TLS: the certificate is refused: self-signed certificate"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct rig *r = rig_create(cases[i].trusted ? cert_path : other_path, 3000);

        start_tls_server(r);
        open_url(r, "wss", cases[i].host, r->port);
        run_until(r, cases[i].why == NULL ? is_open : is_closed);
        if (cases[i].why != NULL && strstr(r->log, cases[i].why) == NULL) {
            fail_msg("not '%s': %s", cases[i].why, r->log);
        }
        rig_destroy(r);
    }
}

static void trust_may_change_for_the_connections_to_come(void **state)
{
    struct rig *r = rig_create(other_path, 3000);
    struct err err = {0};

    (void)state;
    start_tls_server(r);
    assert_int_equal(connections_trust(r->pool, cert_path, NULL), 0);
    assert_int_equal(connections_trust(r->pool, "/nonexistent/ca.pem", &err), -ERR_USAGE);
    assert_non_null(strstr(err.text, "/nonexistent/ca.pem"));
    open_url(r, "wss", "localhost", r->port);
    run_until(r, is_open);

    /* An open connection stays; the next one is refused. */
    assert_int_equal(connections_trust(r->pool, other_path, NULL), 0);
    nap(r, 20);
    assert_false(is_closed(r));
    connection_close(r->c);
    r->log[0] = '\0';
    open_url(r, "wss", "localhost", r->port);
    run_until(r, is_closed);
    assert_non_null(strstr(r->log, "certificate"));
    rig_destroy(r);
}

static void wrong_settings_are_refused_with_a_reason(void **state)
{
    struct rig *r = rig_create(NULL, 0);
    struct connections_options options = {.tls_ca = "/nonexistent/ca.pem"};
    struct err err = {0};

    (void)state;
    assert_null(connection_open(r->pool, "http://example.org", &callbacks, r, &err));
    assert_int_equal(err.code, ERR_USAGE);
    assert_null(connections_create(&r->loop, &options, &err));
    assert_non_null(strstr(err.text, "/nonexistent/ca.pem"));
    options.tls_ca = key_path;
    assert_null(connections_create(&r->loop, &options, &err));
    assert_non_null(strstr(err.text, "cannot read CA certificates"));
    rig_destroy(r);
}

/* A self-signed certificate for localhost, and its key. */
static void make_certificate(const char *cert, const char *key)
{
    EVP_PKEY *pair = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    X509_NAME *name = X509_get_subject_name(x);
    X509_EXTENSION *san =
        X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:localhost,DNS:nowhere");
    FILE *file;

    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_set_version(x, X509_VERSION_3);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"localhost", -1, -1,
                               0);
    X509_set_issuer_name(x, name);
    X509_set_pubkey(x, pair);
    X509_add_ext(x, san, -1);
    assert_true(X509_sign(x, pair, EVP_sha256()) > 0);
    file = fopen(cert, "we");
    assert_true(file != NULL && PEM_write_X509(file, x) == 1);
    (void)fclose(file);
    file = fopen(key, "we");
    assert_true(file != NULL && PEM_write_PrivateKey(file, pair, NULL, NULL, 0, NULL, NULL) == 1);
    (void)fclose(file);
    X509_EXTENSION_free(san);
    X509_free(x);
    EVP_PKEY_free(pair);
}

static int set_up(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(cert_path, sizeof(cert_path), "%s/cert.pem", dir);
    (void)snprintf(key_path, sizeof(key_path), "%s/key.pem", dir);
    (void)snprintf(other_path, sizeof(other_path), "%s/other.pem", dir);
    make_certificate(other_path, key_path);
    make_certificate(cert_path, key_path);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    (void)unlink(cert_path);
    (void)unlink(key_path);
    (void)unlink(other_path);
    (void)rmdir(dir);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_come_out_however_they_are_framed),
        cmocka_unit_test(a_peer_that_ends_no_line_means_each_message_to_be_one),
        cmocka_unit_test(a_line_of_many_frames_comes_whole),
        cmocka_unit_test(what_is_written_arrives_in_order),
        cmocka_unit_test(a_queue_is_bounded_and_can_be_thrown_away),
        cmocka_unit_test(what_was_queued_before_a_fence_never_leaves_but_keepalives_do),
        cmocka_unit_test(a_refused_port_is_one_on_closed),
        cmocka_unit_test(a_name_that_does_not_resolve_is_one_on_closed),
        cmocka_unit_test(a_peer_that_never_answers_is_given_up),
        cmocka_unit_test(a_peer_that_is_no_websocket_server_is_one_on_closed),
        cmocka_unit_test(a_server_that_closes_is_one_on_closed_with_its_words),
        cmocka_unit_test(a_server_that_vanishes_is_one_on_closed),
        cmocka_unit_test(closing_from_within_a_line_ends_it_there),
        cmocka_unit_test(a_closed_connection_calls_nothing_back),
        cmocka_unit_test(destroying_the_pool_takes_every_connection_along),
        cmocka_unit_test(tls_is_verified),
        cmocka_unit_test(trust_may_change_for_the_connections_to_come),
        cmocka_unit_test(wrong_settings_are_refused_with_a_reason),
    };

    return cmocka_run_group_tests_name("connection", tests, set_up, tear_down);
}
