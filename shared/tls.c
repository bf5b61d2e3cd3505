/* TLS over memory BIOs: OpenSSL never sees the socket, so its owner keeps its one write per loop
 * turn and libuv its non-blocking rules. The one thing to get right in a client is verification:
 * SSL_VERIFY_PEER for the chain and set1_host or set1_ip for the name, both before the
 * handshake. */
#include "shared/tls.h"

#include "shared/ca_store.h"
#include "shared/file.h"

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#define ROOM_KEPT 65536 /* bytes of what leaves at once, as it does most of the time */

struct tls_server {
    SSL_CTX *context;
};

struct tls {
    SSL_CTX *context; /* shared with the server */
    SSL *ssl;
    BIO *in;    /* from the socket; owned by ssl */
    BIO *out;   /* to the socket; owned by ssl */
    char *host; /* NULL: a server */
    bool ended; /* the peer sends nothing more */
};

/* The reason of the newest OpenSSL error, in words. */
static const char *tls_reason(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());

    return reason != NULL ? reason : "no reason given";
}

static SSL_CTX *context_create(const SSL_METHOD *method)
{
    SSL_CTX *context = SSL_CTX_new(method);

    BUG_ON(context == NULL);
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION);
    return context;
}

/* A connection, which takes the context over. */
static struct tls *create(SSL_CTX *context)
{
    struct tls *tls = xcalloc(1, sizeof(*tls));

    tls->context = context;
    tls->ssl = SSL_new(context);
    tls->in = BIO_new(BIO_s_mem());
    tls->out = BIO_new(BIO_s_mem());
    BUG_ON(tls->ssl == NULL || tls->in == NULL || tls->out == NULL);
    SSL_set_bio(tls->ssl, tls->in, tls->out);
    return tls;
}

struct tls *tls_create(const char *host, const char *ca_file, struct err *err)
{
    X509_STORE *store = ca_store_load(ca_file, err);

    if (store == NULL) {
        return NULL;
    }
    SSL_CTX *context = context_create(TLS_client_method());
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_store(context, store);
    struct tls *tls = create(context);
    tls->host = xstrdup(host);
    SSL_set_connect_state(tls->ssl);
    /* An address, or a name. */
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls->ssl), host) != 1 &&
        (SSL_set1_host(tls->ssl, host) != 1 || SSL_set_tlsext_host_name(tls->ssl, host) != 1)) {
        err_set(err, ERR_USAGE, "'%s' cannot be a TLS host name", host);
        tls_destroy(tls);
        return NULL;
    }
    return tls;
}

/* A key that needs a passphrase must not ask for it on a terminal. */
static int no_passphrase(char *out, int size, int writes, void *ctx)
{
    (void)writes;
    (void)ctx;
    if (size > 0) {
        out[0] = '\0';
    }
    return 0;
}

static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *len,
                           const unsigned char *in, unsigned inlen, void *ctx)
{
    static const unsigned char ours[] = "\x08http/1.1";
    unsigned char *chosen;

    (void)ssl;
    (void)ctx;
    if (SSL_select_next_proto(&chosen, len, ours, sizeof(ours) - 1, in, inlen) !=
        OPENSSL_NPN_NEGOTIATED) {
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static int read_identity(SSL_CTX *context, const char *cert, const char *key, struct err *err)
{
    if (file_check(cert, "a certificate", err) != 0 || file_check(key, "a private key", err) != 0) {
        return -ERR_USAGE;
    }
    ERR_clear_error();
    if (SSL_CTX_use_certificate_chain_file(context, cert) != 1) {
        return err_set(err, ERR_USAGE, "%s: not a certificate in PEM (%s)", cert, tls_reason());
    }
    if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1) {
        return err_set(err, ERR_USAGE,
                       "%s: not the private key of %s, in PEM and not encrypted (%s)", key, cert,
                       tls_reason());
    }
    return 0;
}

struct tls_server *tls_server_create(const char *cert, const char *key, struct err *err)
{
    struct tls_server *server = xcalloc(1, sizeof(*server));

    server->context = context_create(TLS_server_method());
    SSL_CTX_set_default_passwd_cb(server->context, no_passphrase);
    SSL_CTX_set_session_cache_mode(server->context, SSL_SESS_CACHE_OFF); /* tickets do it */
    SSL_CTX_set_alpn_select_cb(server->context, choose_protocol, NULL);
    if (read_identity(server->context, cert, key, err) != 0) {
        tls_server_destroy(server);
        return NULL;
    }
    return server;
}

void tls_server_destroy(struct tls_server *server)
{
    if (server != NULL) {
        SSL_CTX_free(server->context);
        free(server);
    }
}

struct tls *tls_accept(const struct tls_server *server)
{
    BUG_ON(SSL_CTX_up_ref(server->context) != 1);
    struct tls *tls = create(server->context);

    SSL_set_accept_state(tls->ssl);
    return tls;
}

void tls_destroy(struct tls *tls)
{
    if (tls == NULL) {
        return;
    }
    SSL_free(tls->ssl);
    SSL_CTX_free(tls->context);
    free(tls->host);
    free(tls);
}

void tls_receive(struct tls *tls, const char *data, size_t len)
{
    while (len > 0) {
        int step = len > INT_MAX ? INT_MAX : (int)len;
        int taken = BIO_write(tls->in, data, step);

        BUG_ON(taken <= 0);
        data += taken;
        len -= (size_t)taken;
    }
}

static int tls_refuse(const struct tls *tls, struct err *err)
{
    long verdict = SSL_get_verify_result(tls->ssl);

    if (verdict == X509_V_ERR_HOSTNAME_MISMATCH || verdict == X509_V_ERR_IP_ADDRESS_MISMATCH) {
        return err_set(err, ERR_UNREACHABLE,
                       "TLS: the certificate is not made out to the host name '%s'; connect by a "
                       "name that is in it, or put this one into it",
                       tls->host);
    }
    if (verdict != X509_V_OK) {
        return err_set(err, ERR_UNREACHABLE,
                       "TLS: the certificate chain does not verify (%s); give the CA that signed "
                       "it with redis_tls_ca",
                       X509_verify_cert_error_string(verdict));
    }
    return err_set(err, ERR_UNREACHABLE, "TLS: the handshake failed (%s); is it a TLS port?",
                   tls_reason());
}

/* Nothing is wrong: the answer `rc` means that more bytes are needed. */
static bool needs_more(const struct tls *tls, int rc)
{
    int what = SSL_get_error(tls->ssl, rc);

    return what == SSL_ERROR_WANT_READ || what == SSL_ERROR_WANT_WRITE;
}

int tls_handshake(struct tls *tls, struct err *err)
{
    ERR_clear_error();
    int rc = SSL_do_handshake(tls->ssl);
    if (rc == 1) {
        return 1;
    }
    return needs_more(tls, rc) ? 0 : tls_refuse(tls, err);
}

int tls_read(struct tls *tls, char *out, size_t size, struct err *err)
{
    ERR_clear_error();
    int rc = SSL_read(tls->ssl, out, size > INT_MAX ? INT_MAX : (int)size);
    if (rc > 0) {
        return rc;
    }
    if (needs_more(tls, rc)) {
        return 0;
    }
    if (SSL_get_error(tls->ssl, rc) == SSL_ERROR_ZERO_RETURN) {
        tls->ended = true;
        return err_set(err, ERR_DOWN, "closed the TLS connection");
    }
    return err_set(err, ERR_DOWN, "broke the TLS connection (%s)", tls_reason());
}

bool tls_has_ended(const struct tls *tls)
{
    return tls->ended;
}

int tls_write(struct tls *tls, const char *data, size_t len, struct err *err)
{
    while (len > 0) {
        size_t taken = 0;

        ERR_clear_error();
        if (SSL_write_ex(tls->ssl, data, len, &taken) != 1) {
            return err_set(err, ERR_DOWN, "broke the TLS connection (%s)", tls_reason());
        }
        data += taken;
        len -= taken;
    }
    return 0;
}

void tls_end(struct tls *tls)
{
    ERR_clear_error();
    (void)SSL_shutdown(tls->ssl);
    ERR_clear_error();
}

void tls_take(struct tls *tls, struct buf *out)
{
    char *data = NULL;
    long len = BIO_get_mem_data(tls->out, &data);

    if (len > 0) {
        buf_append(out, data, (size_t)len);
        if (len <= ROOM_KEPT) {
            (void)BIO_reset(tls->out);
        } else { /* it would keep all of that room, and wipe it each time */
            tls->out = BIO_new(BIO_s_mem());
            BUG_ON(tls->out == NULL);
            SSL_set0_wbio(tls->ssl, tls->out);
        }
    }
}
