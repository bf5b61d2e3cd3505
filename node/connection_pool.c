/* Connections: libwebsockets' context, one for the node, as a guest on the loop; and its two-phased
 * end.
 *
 * The context has one vhost, for clients, which carries what all connections share: trust, buffers,
 * the callback. Names are never resolved by it, and its own timeouts only back up ours. */
#include "node/connection_private.h"

#include "shared/ca_store.h"
#include "shared/log.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>
#include <openssl/x509v3.h>

#define READ_BYTES  (64 * 1024) /* taken from the socket at once; one buffer for all */
#define FRAME_BYTES 8192        /* a larger frame comes in pieces; one buffer for each */

static const struct lws_protocols protocols[] = {
    {CONNECTION_PROTOCOL, connection_on_event, 0, FRAME_BYTES, 0, NULL, 0},
    {NULL, NULL, 0, 0, 0, NULL, 0},
};

static void on_lws_log(int level, const char *text)
{
    size_t len = strcspn(text, "\n");

    (void)level;
    log_debug("connection", "lws", "text", log_slice((struct slice){text, len}), NULL);
}

static void on_turn(uv_prepare_t *turn)
{
    struct connections *pool = turn->data;

    pool->caught_up_ms = pool->turn_ms;
    pool->turn_ms = mono_ms();
}

struct connections *connections_create(uv_loop_t *loop, const char *tls_ca, uint64_t connect_ms,
                                       struct err *err)
{
    struct lws_context_creation_info info = {0};
    void *loops[] = {loop};

    X509_STORE *store = ca_store_load(tls_ca, err);
    if (store == NULL) {
        return NULL;
    }
    struct connections *pool = xcalloc(1, sizeof(*pool));
    pool->store = store;
    pool->loop = loop;
    pool->connect_ms = connect_ms;
    lws_set_log_level(LLL_ERR | LLL_WARN, on_lws_log);

    info.port = CONTEXT_PORT_NO_LISTEN;
    info.options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
                   LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
    info.foreign_loops = loops;
    info.user = pool;
    info.timeout_secs = (unsigned)(pool->connect_ms / 1000) + 5; /* ours comes first */
    info.connect_timeout_secs = info.timeout_secs;
    info.pt_serv_buf_size = READ_BYTES;
    pool->lws = lws_create_context(&info);
    if (pool->lws == NULL) {
        (void)err_set(err, ERR_IO,
                      "libwebsockets did not start (is libwebsockets-evlib-uv installed?)");
        X509_STORE_free(store);
        free(pool);
        return NULL;
    }
    BUG_ON(uv_prepare_init(loop, &pool->turn) != 0 || uv_prepare_start(&pool->turn, on_turn) != 0);
    pool->turn.data = pool;
    info.vhost_name = "chat";
    if (getenv("http_proxy") != NULL) {
        info.http_proxy_address = ""; /* or that of the environment would count */
    }
    info.protocols = protocols;
    info.options |= LWS_SERVER_OPTION_DISABLE_OS_CA_CERTS; /* connections_on_tls gives the trust */
    pool->vhost = lws_create_vhost(pool->lws, &info);
    if (pool->vhost == NULL || pool->tls == NULL) {
        (void)err_set(err, ERR_IO, "libwebsockets did not start: TLS could not be set up");
        connections_destroy(pool);
        (void)uv_run(loop, UV_RUN_NOWAIT);
        connections_free(pool);
        return NULL;
    }
    return pool;
}

/* libwebsockets sets its own flags for each connection, so ours are set right before they are
 * looked at: a name in the CN is no name of the server (RFC 6125, 6.4.4), with or without
 * alternative names. */
static int verify_chain(X509_STORE_CTX *chain, void *unused)
{
    (void)unused;
    X509_VERIFY_PARAM_set_hostflags(X509_STORE_CTX_get0_param(chain),
                                    X509_CHECK_FLAG_NEVER_CHECK_SUBJECT |
                                        X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return X509_verify_cert(chain);
}

void connections_on_tls(struct connections *pool, SSL_CTX *tls)
{
    pool->tls = tls;
    BUG_ON(SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION) != 1);
    SSL_CTX_set_cert_verify_callback(tls, verify_chain, NULL);
    SSL_CTX_set_cert_store(tls, pool->store);
    pool->store = NULL;
}

int connections_trust(struct connections *pool, const char *tls_ca, struct err *err)
{
    X509_STORE *store = ca_store_load(tls_ca, err);

    if (store == NULL) {
        return -ERR_USAGE;
    }
    SSL_CTX_set_cert_store(pool->tls, store);
    return 0;
}

void connections_destroy(struct connections *pool)
{
    struct connection *c;

    DL_FOREACH(pool->list, c)
    {
        connection_close(c); /* it leaves the list from the loop */
    }
    uv_close((uv_handle_t *)&pool->turn, NULL);
    lws_context_destroy(pool->lws);
}

void connections_free(struct connections *pool)
{
    if (pool == NULL) {
        return;
    }
    BUG_ON(pool->list != NULL);
    lws_context_destroy(pool->lws);
    X509_STORE_free(pool->store);
    free(pool);
}
