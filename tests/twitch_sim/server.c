/* libwebsockets as a guest on the libuv loop: one context, a vhost for each service.
 *
 * A connection exists from ESTABLISHED to CLOSED. Frames of clients are taken apart by libwebsockets,
 * frames to clients are made by conn.c. Shutdown of 4.1.6: destroy, run the loop dry, destroy again. */
#include "tests/twitch_sim/server.h"

#include "tests/twitch_sim/fault.h"
#include "tests/twitch_sim/session.h"
#include "tests/twitch_sim/web.h"

#include "shared/log.h"

#include <arpa/inet.h>
#include <libwebsockets.h>
#include <stdio.h>
#include <string.h>

struct per_session {
    struct conn *conn;
};

static int on_received(struct conn *c, struct lws *wsi, const void *in, size_t len)
{
    bool final = lws_is_final_fragment(wsi) && lws_remaining_packet_payload(wsi) == 0;

    session_read(c, (struct slice){in, len}, final);
    fault_was_read(c, len);
    return 0;
}

/* An HTTP answer instead of the upgrade, where the control port asked for one. -1: close. */
static int refuse_upgrade(struct sim *s, struct lws *wsi)
{
    unsigned char out[LWS_PRE + 512];
    int len;

    if (s->refusal == 0) {
        return s->outage ? -1 : 0;
    }
    s->count.upgrades_refused++;
    len = snprintf((char *)out + LWS_PRE, sizeof(out) - LWS_PRE,
                   "HTTP/1.1 %u Refused\r\n%s%s%sContent-Length: 0\r\n\r\n", s->refusal,
                   s->location[0] != '\0' ? "Location: " : "", s->location,
                   s->location[0] != '\0' ? "\r\n" : "");
    (void)lws_write(wsi, out + LWS_PRE, (size_t)len, LWS_WRITE_HTTP_HEADERS);
    return -1;
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t len)
{
    struct per_session *p = user;
    struct sim *s;

    switch (reason) {
    case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
        s = lws_context_user(lws_get_context(wsi));
        return refuse_upgrade(s, wsi);
    case LWS_CALLBACK_ESTABLISHED:
        s = lws_context_user(lws_get_context(wsi));
        p->conn = conn_create(s, wsi, lws_get_vhost(wsi) == s->vhosts[SERVICE_WSS]);
        return 0;
    case LWS_CALLBACK_RECEIVE:
        return p->conn ? on_received(p->conn, wsi, in, len) : 0;
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return p->conn ? conn_writable(p->conn) : 0;
    case LWS_CALLBACK_CLOSED:
        if (p->conn) {
            session_leave(p->conn);
            conn_destroy(p->conn);
            p->conn = NULL;
        }
        return 0;
    default:
        return 0;
    }
}

static const struct lws_protocols PROTOCOLS[] = {
    {"irc", on_event, sizeof(struct per_session), 4096, 0, NULL, 0},
    {NULL, NULL, 0, 0, 0, NULL, 0},
};

/* libwebsockets neither pings idle peers nor gives them up: that is the simulator's to decide. */
static const lws_retry_bo_t PATIENCE = {.secs_since_valid_ping = 65000,
                                        .secs_since_valid_hangup = 65500};

static void on_lws_log(int level, const char *line)
{
    (void)level;
    log_debug("server", "lws", "text", line, NULL);
}

int server_parse_listen(const char *text, char host[64], int *port, struct err *err)
{
    const char *colon = strrchr(text, ':');
    struct in_addr address;
    uint64_t n;

    if (!colon || (size_t)(colon - text) >= 64 || !slice_to_u64(slice_of(colon + 1), &n) ||
        n > 65535) {
        return err_set(err, ERR_USAGE, "\"%s\" is not an address like 127.0.0.1:0", text);
    }
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = '\0';
    if (inet_pton(AF_INET, host, &address) != 1 || ntohl(address.s_addr) >> 24 != IN_LOOPBACKNET) {
        return err_set(err, ERR_USAGE, "%s: the simulator listens on 127.0.0.0/8 only", text);
    }
    *port = (int)n;
    return 0;
}

static const struct {
    const char *name;
    const char *option;
    bool tls;
    bool web;
} SERVICES[SERVICE_COUNT] = {
    [SERVICE_WS] = {"ws", "--listen", false, false},
    [SERVICE_WSS] = {"wss", "--tls-listen", true, false},
    [SERVICE_HTTP] = {"http", "--http-listen", false, true},
    [SERVICE_HTTPS] = {"https", "--https-listen", true, true},
};

static int start_vhost(struct sim *s, const struct server_options *o, enum service service,
                       struct err *err)
{
    struct lws_context_creation_info info = {0};
    const char *where = o->listen[service];
    bool tls = SERVICES[service].tls;
    int rc = server_parse_listen(where, s->hosts[service], &info.port, err);

    if (rc != 0) {
        return rc;
    }
    if (tls && (!o->tls_cert || !o->tls_key)) {
        return err_set(err, ERR_USAGE, "%s needs --tls-cert and --tls-key",
                       SERVICES[service].option);
    }
    info.iface = s->hosts[service]; /* borrowed until the context is gone */
    /* With IPv6 it would bind to :: and not to the address. */
    info.options = LWS_SERVER_OPTION_DISABLE_IPV6;
    info.protocols = PROTOCOLS;
    info.retry_and_idle_policy = &PATIENCE;
    info.vhost_name = SERVICES[service].name;
    if (SERVICES[service].web) {
        info.options |= LWS_SERVER_OPTION_ADOPT_APPLY_LISTEN_ACCEPT_CONFIG;
        info.listen_accept_role = "raw-skt";
        info.listen_accept_protocol = WEB_PROTOCOL;
        info.protocols = web_protocols();
    }
    if (tls) {
        info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
        info.ssl_cert_filepath = o->tls_cert;
        info.ssl_private_key_filepath = o->tls_key;
        info.alpn = "http/1.1";
    }
    s->vhosts[service] = lws_create_vhost(s->lws, &info);
    if (!s->vhosts[service]) {
        return err_set(err, ERR_IO, "cannot listen on %s%s", where,
                       tls ? " (or the certificate or key cannot be used)" : "");
    }
    return 0;
}

int server_start(struct sim *s, const struct server_options *o, struct err *err)
{
    struct lws_context_creation_info info = {0};
    void *loops[] = {&s->loop.uv};
    int rc = 0;

    lws_set_log_level(LLL_ERR, on_lws_log);
    info.port = CONTEXT_PORT_NO_LISTEN;
    info.options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
                   LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
    info.foreign_loops = loops;
    info.user = s;
    info.fd_limit_per_thread = o->max_connections + 64;
    s->lws = lws_create_context(&info);
    if (!s->lws) {
        return err_set(err, ERR_IO,
                       "libwebsockets did not start (is libwebsockets-evlib-uv installed?)");
    }
    for (enum service service = 0; rc == 0 && service < SERVICE_COUNT; service++) {
        if (o->listen[service]) {
            rc = start_vhost(s, o, service, err);
        }
    }
    return rc;
}

int server_port(const struct sim *s, enum service service)
{
    return s->vhosts[service] ? lws_get_vhost_listen_port(s->vhosts[service]) : 0;
}

void server_stop(struct sim *s)
{
    if (s->lws) {
        lws_context_destroy(s->lws);
    }
}
