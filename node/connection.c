/* Connection: libwebsockets as a guest of the libuv loop. See connection.h.
 *
 * What libwebsockets 4.1 does not do is done here: names are resolved by uv_getaddrinfo (its own lookup
 * blocks the loop), one deadline covers everything up to on_open (it drops a peer that never answers the
 * upgrade without CONNECTION_ERROR), and each address of a name is tried in turn.
 *
 * A connection is referred to by its owner, by libwebsockets (the wsi), by a lookup under way and by its
 * timer; the memory goes with the last of them. */
#include "node/connection.h"

#include "shared/buf.h"
#include "shared/irc/parse.h"
#include "shared/log.h"
#include "shared/url.h"

#include <errno.h>
#include <libwebsockets.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <utlist.h>

#define CONNECT_MS    15000
#define RX_BYTES      16384 /* of one connection: pieces of a frame are at most this large */
#define SERVICE_BYTES 65536 /* read from a socket at a time, shared by all */
#define PROTOCOL_NAME "irc"

struct connections {
    uv_loop_t *loop;
    uint64_t connect_ms;
    struct lws_context *context;
    struct lws_vhost *vhost;
    struct connection *list;
    void *loops[1];
};

struct connection {
    struct connection *prev;
    struct connection *next;
    struct connections *pool;
    struct connection_callbacks callbacks;
    void *ctx;
    bool closed; /* on_closed was called or is not wanted: no callback any more */
    bool open;
    struct url url;
    char host_header[288];
    uv_getaddrinfo_t lookup;
    struct addrinfo *addresses;
    struct addrinfo *next_address;
    uv_timer_t timer;
    struct lws *wsi;
    bool in_connect; /* within lws_client_connect_via_info: its errors are told by its return */
    char error[160]; /* why the last try failed */
    struct irc_splitter splitter;
    struct buf out; /* LWS_PRE bytes of room, then what waits */
    unsigned refs;
};

static void unref(struct connection *c)
{
    if (--c->refs > 0) {
        return;
    }
    uv_freeaddrinfo(c->addresses);
    irc_splitter_finish(&c->splitter);
    buf_finish(&c->out);
    free(c);
}

static void on_timer_closed(uv_handle_t *handle)
{
    unref(handle->data);
}

/* No callback any more; everything that is under way ends. Gives back the owner's reference. */
static void let_go(struct connection *c)
{
    c->closed = true;
    c->open = false;
    DL_DELETE(c->pool->list, c);
    uv_cancel((uv_req_t *)&c->lookup); /* fails if it is not under way, which is fine */
    uv_close((uv_handle_t *)&c->timer, on_timer_closed);
    if (c->wsi != NULL) {
        lws_set_timeout(c->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
        /* A timeout set outside its callbacks is only seen when libwebsockets is woken. */
        lws_cancel_service(c->pool->context);
    }
    unref(c);
}

static void fail(struct connection *c, const char *why)
{
    struct connection_callbacks callbacks = c->callbacks;
    void *ctx = c->ctx;
    char text[320];

    if (c->closed) {
        return;
    }
    snprintf(text, sizeof(text), "%s", why);
    let_go(c);
    callbacks.on_closed(ctx, text);
}

/* Connecting ------------------------------------------------------------------------------------------ */

static void try_next_address(struct connection *c);

static bool connect_to(struct connection *c, const struct addrinfo *address)
{
    char ip[NI_MAXHOST];
    struct lws_client_connect_info info = {
        .context = c->pool->context,
        .vhost = c->pool->vhost,
        .address = ip,
        .port = c->url.port,
        .path = c->url.path,
        .host = c->host_header,
        .origin = c->url.host,
        .local_protocol_name = PROTOCOL_NAME,
        .alpn = "http/1.1",
        .ssl_connection = c->url.tls ? LCCSCF_USE_SSL : 0,
        .pwsi = &c->wsi,
        .opaque_user_data = c,
    };

    if (getnameinfo(address->ai_addr, address->ai_addrlen, ip, sizeof(ip), NULL, 0,
                    NI_NUMERICHOST) != 0) {
        return false;
    }
    c->in_connect = true;
    c->refs++; /* the wsi's, given back by WSI_DESTROY */
    struct lws *wsi = lws_client_connect_via_info(&info);
    c->in_connect = false;
    if (wsi == NULL && c->wsi != NULL) {
        c->wsi = NULL;
    }
    return wsi != NULL;
}

static void try_next_address(struct connection *c)
{
    while (c->next_address != NULL) {
        const struct addrinfo *address = c->next_address;
        c->next_address = c->next_address->ai_next;
        unsigned refs = c->refs;
        if (connect_to(c, address)) {
            return;
        }
        /* Without a wsi there may have been no WSI_DESTROY to give its reference back. */
        if (c->refs > refs) {
            c->refs = refs;
        }
    }
    char why[320];
    snprintf(why, sizeof(why), "connect to %.100s: %s", c->url.host,
             c->error[0] != '\0' ? c->error : "failed");
    fail(c, why);
}

static void on_lookup(uv_getaddrinfo_t *lookup, int status, struct addrinfo *addresses)
{
    struct connection *c = lookup->data;
    char why[320];

    c->addresses = addresses;
    if (!c->closed && status != 0) {
        snprintf(why, sizeof(why), "resolve %.100s: %s", c->url.host, uv_strerror(status));
        fail(c, why);
    } else if (!c->closed) {
        c->next_address = addresses;
        try_next_address(c);
    }
    unref(c);
}

static void on_deadline(uv_timer_t *timer)
{
    struct connection *c = timer->data;
    char why[320];

    snprintf(why, sizeof(why), "connect to %.100s: not open within %llu ms", c->url.host,
             (unsigned long long)c->pool->connect_ms);
    fail(c, why);
}

struct connection *connection_open(struct connections *pool, const char *url,
                                   const struct connection_callbacks *callbacks, void *ctx,
                                   struct err *err)
{
    struct connection *c = xcalloc(1, sizeof(*c));
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC};
    char port[8];

    if (url_parse_ws(url, &c->url, err) != 0) {
        free(c);
        return NULL;
    }
    c->pool = pool;
    c->callbacks = *callbacks;
    c->ctx = ctx;
    snprintf(c->host_header, sizeof(c->host_header), "%s", c->url.host);
    irc_splitter_init(&c->splitter);
    buf_init(&c->out, LWS_PRE + CONNECTION_QUEUE_BYTES);
    uv_timer_init(pool->loop, &c->timer);
    c->timer.data = c;
    uv_timer_start(&c->timer, on_deadline, pool->connect_ms, 0);
    c->lookup.data = c;
    c->refs = 3; /* owner, timer, lookup */
    DL_APPEND(pool->list, c);
    snprintf(port, sizeof(port), "%u", c->url.port);
    int rc = uv_getaddrinfo(pool->loop, &c->lookup, on_lookup, c->url.host, port, &hints);
    if (rc != 0) {
        err_set(err, ERR_UNREACHABLE, "resolve %s: %s", c->url.host, uv_strerror(rc));
        c->refs--;
        let_go(c);
        return NULL;
    }
    return c;
}

void connection_close(struct connection *c)
{
    if (c != NULL && !c->closed) {
        let_go(c);
    }
}

/* Writing ------------------------------------------------------------------------------------------------ */

bool connection_write(struct connection *c, struct slice bytes)
{
    static const char room[LWS_PRE];

    if (!c->open || c->out.len + bytes.len + LWS_PRE > c->out.max) {
        return false;
    }
    if (c->out.len == 0) {
        buf_append(&c->out, room, sizeof(room));
    }
    buf_append_slice(&c->out, bytes);
    lws_callback_on_writable(c->wsi);
    return true;
}

size_t connection_unsent(const struct connection *c)
{
    return c->out.len > LWS_PRE ? c->out.len - LWS_PRE : 0;
}

static void wipe(struct connection *c)
{
    if (c->out.data != NULL) {
        explicit_bzero(c->out.data, c->out.len); /* a login may be in it */
    }
    buf_clear(&c->out);
}

void connection_discard(struct connection *c)
{
    wipe(c);
}

static int on_writable(struct connection *c)
{
    size_t len = connection_unsent(c);

    if (len == 0) {
        return 0;
    }
    int written = lws_write(c->wsi, (unsigned char *)c->out.data + LWS_PRE, len, LWS_WRITE_TEXT);
    wipe(c);
    return written < 0 ? -1 : 0;
}

/* Reading ------------------------------------------------------------------------------------------------- */

static bool on_line(void *ctx, struct slice line)
{
    struct connection *c = ctx;

    c->callbacks.on_line(c->ctx, line);
    return !c->closed;
}

static int on_receive(struct connection *c, struct lws *wsi, const char *data, size_t len)
{
    int rc = 0;

    c->refs++; /* a callback may let go of it */
    if (!c->closed) {
        irc_splitter_feed(&c->splitter, (struct slice){data, len}, on_line, c);
    }
    if (!c->closed && lws_is_final_fragment(wsi) && lws_remaining_packet_payload(wsi) == 0) {
        irc_splitter_end_message(&c->splitter, on_line, c);
    }
    if (c->closed) {
        rc = -1;
    }
    unref(c);
    return rc;
}

/* libwebsockets' one callback -------------------------------------------------------------------------------- */

static void on_established(struct connection *c)
{
    c->open = true;
    uv_timer_stop(&c->timer);
    c->callbacks.on_open(c->ctx);
}

static void on_connect_error(struct connection *c, const char *text, size_t len)
{
    snprintf(c->error, sizeof(c->error), "%.*s", text != NULL ? (int)len : 6,
             text != NULL ? text : "failed");
}

static void on_destroyed(struct connection *c)
{
    c->wsi = NULL;
    if (!c->closed && !c->in_connect) {
        if (c->open) {
            fail(c, "Twitch closed the connection");
        } else {
            try_next_address(c);
        }
    }
    unref(c);
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t len)
{
    struct connection *c = wsi != NULL ? lws_get_opaque_user_data(wsi) : NULL;

    (void)user;
    if (c == NULL) {
        return 0;
    }
    switch (reason) {
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
        if (c->closed) {
            return -1;
        }
        on_established(c);
        return c->closed ? -1 : 0;
    case LWS_CALLBACK_CLIENT_RECEIVE:
        return on_receive(c, wsi, in, len);
    case LWS_CALLBACK_CLIENT_WRITEABLE:
        return c->closed ? -1 : on_writable(c);
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        on_connect_error(c, in, len);
        return 0;
    case LWS_CALLBACK_WSI_DESTROY:
        lws_set_opaque_user_data(wsi, NULL);
        on_destroyed(c);
        return 0;
    default:
        return 0;
    }
}

/* The context -------------------------------------------------------------------------------------------------- */

static void on_lws_log(int level, const char *line)
{
    int len = (int)strcspn(line, "\n");

    (void)level;
    log_debug("lws", "lws.says", "line", log_slice((struct slice){line, (size_t)len}), NULL);
}

struct connections *connections_create(uv_loop_t *loop, const struct connections_options *options,
                                       struct err *err)
{
    static const struct lws_protocols protocols[] = {
        {.name = PROTOCOL_NAME, .callback = on_event, .rx_buffer_size = RX_BYTES},
        {0},
    };
    struct connections *pool = xcalloc(1, sizeof(*pool));
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN,
        .protocols = protocols,
        .options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
                   LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT,
        .foreign_loops = pool->loops,
        .pt_serv_buf_size = SERVICE_BYTES,
        .gid = (gid_t)-1,
        .uid = (uid_t)-1,
    };

    pool->loop = loop;
    pool->loops[0] = loop;
    pool->connect_ms = options->connect_ms != 0 ? options->connect_ms : CONNECT_MS;
    if (options->tls_ca != NULL) {
        FILE *file = fopen(options->tls_ca, "re");
        if (file == NULL) {
            err_set(err, ERR_USAGE, "cannot read the CA file %s: %s", options->tls_ca,
                    strerror(errno));
            free(pool);
            return NULL;
        }
        fclose(file);
    }
    lws_set_log_level(LLL_ERR | LLL_WARN, on_lws_log);
    pool->context = lws_create_context(&info);
    if (pool->context != NULL) {
        if (options->tls_ca != NULL) {
            info.client_ssl_ca_filepath = options->tls_ca;
            info.options |= LWS_SERVER_OPTION_DISABLE_OS_CA_CERTS;
        }
        pool->vhost = lws_create_vhost(pool->context, &info);
    }
    if (pool->vhost == NULL) {
        err_set(err, ERR_USAGE,
                "libwebsockets cannot start: is libwebsockets-evlib-uv installed%s%s?",
                options->tls_ca != NULL ? ", and are there certificates in " : "",
                options->tls_ca != NULL ? options->tls_ca : "");
        connections_destroy(pool);
        uv_run(loop, UV_RUN_NOWAIT);
        connections_free(pool);
        return NULL;
    }
    return pool;
}

void connections_destroy(struct connections *pool)
{
    struct connection *c;
    struct connection *tmp;

    DL_FOREACH_SAFE(pool->list, c, tmp)
    {
        let_go(c);
    }
    if (pool->context != NULL) {
        lws_context_destroy(pool->context);
    }
}

void connections_free(struct connections *pool)
{
    if (pool == NULL) {
        return;
    }
    if (pool->context != NULL) {
        lws_context_destroy(pool->context); /* the second time frees it (4.1.6) */
    }
    free(pool);
}
