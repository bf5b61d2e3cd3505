/* Connection, opening: from the name in the URL to an address that answers the upgrade.
 *
 * The addresses of the name are tried one after the other, each for its share of the time
 * (shared/addresses.h): meanwhile a wsi, the handle of libwebsockets, stands for the attempt.
 *
 * Failures: libwebsockets 4.1.6 may refuse without any callback but WSI_DESTROY, or return NULL
 * with none at all; so an attempt is over when its wsi is gone, whatever was said before, or when
 * its time is: then the wsi has no owner any more, and dies by itself. A server that answers the
 * upgrade with another HTTP status has spoken for its other addresses as well. */
#include "node/connection_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <utlist.h>

#define SWITCHING_PROTOCOLS 101
#define CONN_FAIL           "conn fail: " /* libwebsockets' words; an errno follows */

/* Why an attempt failed: the socket knows better than libwebsockets, if it was its fault. */
static void set_why(struct connection *c, const char *text, size_t len)
{
    unsigned status = c->asked ? lws_http_client_http_response(c->wsi) : 0;
    int error = 0;
    socklen_t size = sizeof(error);

    if (status != 0 && status != SWITCHING_PROTOCOLS) {
        (void)snprintf(c->why, sizeof(c->why), "the WebSocket upgrade failed: HTTP status %u",
                       status);
        c->answered = true;
        return;
    }
    (void)snprintf(c->why, sizeof(c->why), "%s%.*s",
                   c->asked ? "the WebSocket upgrade failed: " : "", (int)(len > 200 ? 200 : len),
                   text);
    if (strncmp(c->why, CONN_FAIL, strlen(CONN_FAIL)) == 0) {
        error = (int)strtol(c->why + strlen(CONN_FAIL), NULL, 10);
    } else if (getsockopt(lws_get_socket_fd(c->wsi), SOL_SOCKET, SO_ERROR, &error, &size) != 0) {
        error = 0;
    }
    if (error != 0) {
        (void)snprintf(c->why, sizeof(c->why), "%s", strerror(error));
    } else if (c->url.tls && lws_get_ssl(c->wsi) != NULL &&
               SSL_get_verify_result(lws_get_ssl(c->wsi)) != X509_V_OK) {
        (void)snprintf(c->why, sizeof(c->why), "TLS: the certificate is refused: %s",
                       X509_verify_cert_error_string(SSL_get_verify_result(lws_get_ssl(c->wsi))));
    }
}

/* The wsi of an attempt is gone. What comes next is done from the loop, not from within lws. */
void connection_attempt_over(struct connection *c)
{
    if (!c->answered) {
        addresses_failed(&c->addresses, mono_ms());
    }
    machine_move(&c->machine, CONNECTION_BETWEEN, c);
    connection_set_timer(c, 0);
}

static bool begin_attempt(struct connection *c, const struct sockaddr *address)
{
    struct lws_client_connect_info info = {0};
    char ip[64];

    c->asked = false;
    if (uv_ip_name(address, ip, sizeof(ip)) != 0) {
        return false;
    }
    info.context = c->pool->lws;
    info.vhost = c->pool->vhost;
    info.address = ip; /* so that lws need not resolve: it would block */
    info.port = c->url.port;
    info.path = c->url.path;
    info.host = c->url.host; /* what TLS asks for and verifies */
    info.origin = c->url.host;
    info.ssl_connection = c->url.tls ? LCCSCF_USE_SSL : 0;
    info.alpn = "http/1.1";
    info.local_protocol_name = CONNECTION_PROTOCOL;
    info.opaque_user_data = c;
    info.pwsi = &c->wsi;
    return lws_client_connect_via_info(&info) != NULL;
}

/* Try the next address, or give up. */
static void attempt(struct connection *c)
{
    uint64_t now = mono_ms();
    const struct sockaddr *address = NULL;
    uint64_t patience_ms = 0;
    char why[sizeof(c->why) + 300];

    if (!c->answered && now < c->deadline_ms) {
        address = addresses_next(&c->addresses, now, c->deadline_ms - now, &patience_ms);
    }
    if (address == NULL) {
        (void)snprintf(why, sizeof(why), "connect to %s: %s", c->url.host,
                       c->why[0] != '\0' ? c->why
                       : c->asked        ? "the WebSocket upgrade failed: no answer"
                                         : "refused");
        connection_end(c, why);
        return;
    }
    machine_move(&c->machine, CONNECTION_CONNECTING, c);
    connection_set_timer(c, patience_ms + 1); /* not a moment before the deadline */
    if (!begin_attempt(c, address) && c->machine.state == CONNECTION_CONNECTING) {
        c->wsi = NULL;
        connection_attempt_over(c);
    }
}

void connection_on_attempt_timer(struct connection *c)
{
    bool resolving = c->machine.state == CONNECTION_RESOLVING;
    char why[sizeof(c->url.host) + 100];

    if (c->machine.state == CONNECTION_BETWEEN) {
        attempt(c);
        return;
    }
    if (!resolving) {
        addresses_failed(&c->addresses, mono_ms());
    }
    if (!resolving && mono_ms() < c->deadline_ms) {
        /* There is time for others: the wsi is nobody's any more. */
        lws_set_opaque_user_data(c->wsi, NULL);
        connection_kill_wsi(c);
        c->wsi = NULL;
        (void)snprintf(c->why, sizeof(c->why), "no answer");
        machine_move(&c->machine, CONNECTION_BETWEEN, c);
        attempt(c);
        return;
    }
    (void)snprintf(why, sizeof(why), "%s %s: no answer within %llu ms",
                   resolving ? "resolve" : "connect to", c->url.host,
                   (unsigned long long)c->pool->connect_ms);
    connection_end(c, why);
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *result)
{
    struct connection *c = request->data;
    char why[sizeof(c->why) + 300];

    c->looking_up = false;
    addresses_init(&c->addresses, &c->pool->memory, c->pool->opened++);
    addresses_add_all(&c->addresses, result);
    uv_freeaddrinfo(result);
    if (c->machine.state == CONNECTION_ENDED) {
        connection_maybe_free(c);
    } else if (c->addresses.n == 0) {
        (void)snprintf(why, sizeof(why), "resolve %s: %s", c->url.host,
                       status == 0 ? "no address" : uv_strerror(status));
        connection_end(c, why);
    } else {
        attempt(c);
    }
}

int connection_resolve(struct connection *c)
{
    struct addrinfo hints = {
        .ai_socktype = SOCK_STREAM, .ai_protocol = IPPROTO_TCP, .ai_flags = AI_NUMERICSERV};
    char port[8];

    (void)snprintf(port, sizeof(port), "%u", (unsigned)c->url.port);
    c->lookup.data = c;
    return uv_getaddrinfo(c->pool->loop, &c->lookup, on_resolved, c->url.host, port, &hints);
}

/* An attempt that failed may leave its wsi behind: libwebsockets frees it when the loop has let go
 * of the socket, and by then the connection may have another, or be gone. */
int connection_on_attempt_event(struct lws *wsi, enum lws_callback_reasons reason, const char *text,
                                size_t len)
{
    struct connections *pool = lws_context_user(lws_get_context(wsi));
    struct connection *c;

    DL_SEARCH_SCALAR(pool->list, c, wsi, wsi);
    if (c != NULL && reason == LWS_CALLBACK_WSI_DESTROY) {
        connection_on_wsi_gone(c);
    } else if (c != NULL && text != NULL) {
        set_why(c, text, len);
    }
    return 0;
}
