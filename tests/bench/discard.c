/* Bench: what libwebsockets itself takes to receive chat.
 *
 * Connects to a chat server as a shard does (libwebsockets as a guest of libuv, the same buffer sizes,
 * capabilities and joins), and throws away all it reads: a limit for what a node can do. It only counts
 * messages. A line on standard input is answered with {"messages": N, "last_us": T}, T being when the
 * newest was read; the end of standard input ends it.
 *
 *   bench_discard PORT CHANNELS_PER_CONNECTION CHANNEL... */
#include "shared/base.h"
#include "shared/buf.h"

#include <libwebsockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <uv.h>

#define RX_BYTES      16384 /* as in node/connection.c */
#define SERVICE_BYTES 65536

static struct lws_context *context;
static uint64_t messages;
static uint64_t seen_messages;
static long long last_us;

/* What a connection says first, after LWS_PRE bytes of room. */
struct reader {
    struct buf out;
};

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t len)
{
    struct reader *r = wsi != NULL ? lws_get_opaque_user_data(wsi) : NULL;

    (void)user;
    (void)in;
    (void)len;
    switch (reason) {
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
        lws_callback_on_writable(wsi);
        return 0;
    case LWS_CALLBACK_CLIENT_WRITEABLE:
        if (r->out.len > LWS_PRE) {
            size_t n = r->out.len - LWS_PRE;
            r->out.len = 0;
            return lws_write(wsi, (unsigned char *)r->out.data + LWS_PRE, n, LWS_WRITE_TEXT) < 0;
        }
        return 0;
    case LWS_CALLBACK_CLIENT_RECEIVE:
        if (lws_is_final_fragment(wsi) && lws_remaining_packet_payload(wsi) == 0) {
            messages++;
        }
        return 0;
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
    case LWS_CALLBACK_CLIENT_CLOSED:
        fprintf(stderr, "bench_discard: the connection failed or was closed\n");
        exit(1);
    default:
        return 0;
    }
}

/* Once a loop turn: a clock read for each message would be counted as work of libwebsockets. */
static void on_turn_end(uv_check_t *check)
{
    struct timespec now;

    (void)check;
    if (messages != seen_messages) {
        seen_messages = messages;
        clock_gettime(CLOCK_REALTIME, &now);
        last_us = (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000;
    }
}

static void on_space(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    static char bytes[256];

    (void)handle;
    (void)suggested;
    *out = uv_buf_init(bytes, sizeof(bytes));
}

static void on_asked(uv_stream_t *input, ssize_t n, const uv_buf_t *bytes)
{
    (void)input;
    (void)bytes;
    if (n < 0) {
        exit(0);
    }
    if (n > 0) {
        printf("{\"messages\": %llu, \"last_us\": %lld}\n", (unsigned long long)messages, last_us);
        fflush(stdout);
    }
}

static void connect_reader(struct lws_vhost *vhost, int port, char **channels, int n)
{
    static const char room[LWS_PRE];
    struct reader *r = xcalloc(1, sizeof(*r));
    struct lws_client_connect_info info = {
        .context = context,
        .vhost = vhost,
        .address = "127.0.0.1",
        .port = port,
        .path = "/",
        .host = "127.0.0.1",
        .origin = "127.0.0.1",
        .local_protocol_name = "irc",
        .alpn = "http/1.1",
        .opaque_user_data = r,
    };

    buf_init(&r->out, (size_t)1024 * 1024);
    buf_append(&r->out, room, sizeof(room));
    buf_append_str(&r->out, "CAP REQ :twitch.tv/tags twitch.tv/commands\r\n"
                            "PASS oauth:simtoken\r\nNICK shoalbot\r\n");
    for (int i = 0; i < n; i++) {
        buf_printf(&r->out, "JOIN #%s\r\n", channels[i]);
    }
    if (lws_client_connect_via_info(&info) == NULL) {
        fprintf(stderr, "bench_discard: port %d cannot be reached\n", port);
        exit(1);
    }
}

static struct lws_vhost *begin(uv_loop_t *loop)
{
    static const struct lws_protocols protocols[] = {
        {.name = "irc", .callback = on_event, .rx_buffer_size = RX_BYTES},
        {0},
    };
    static void *loops[1];
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN,
        .protocols = protocols,
        .options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS,
        .foreign_loops = loops,
        .pt_serv_buf_size = SERVICE_BYTES,
        .gid = (gid_t)-1,
        .uid = (uid_t)-1,
    };
    struct lws_vhost *vhost;

    loops[0] = loop;
    lws_set_log_level(LLL_ERR, NULL);
    context = lws_create_context(&info);
    vhost = context != NULL ? lws_create_vhost(context, &info) : NULL;
    if (vhost == NULL) {
        fprintf(stderr, "bench_discard: libwebsockets does not start\n");
        exit(1);
    }
    return vhost;
}

int main(int argc, char **argv)
{
    uv_loop_t *loop = uv_default_loop();
    uv_check_t turn_end;
    uv_pipe_t input;
    int port = argc > 3 ? atoi(argv[1]) : 0;
    int each = argc > 3 ? atoi(argv[2]) : 0;

    if (port <= 0 || each <= 0) {
        fprintf(stderr, "Usage: bench_discard PORT CHANNELS_PER_CONNECTION CHANNEL...\n");
        return 2;
    }
    struct lws_vhost *vhost = begin(loop);
    for (int i = 3; i < argc; i += each) {
        connect_reader(vhost, port, argv + i, argc - i < each ? argc - i : each);
    }
    uv_check_init(loop, &turn_end);
    uv_check_start(&turn_end, on_turn_end);
    uv_pipe_init(loop, &input, 0);
    uv_pipe_open(&input, 0);
    uv_read_start((uv_stream_t *)&input, on_space, on_asked);
    return uv_run(loop, UV_RUN_DEFAULT);
}
