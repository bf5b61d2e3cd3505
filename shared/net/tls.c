/* TLS over a BIO of our own: OpenSSL never sees the socket, so its owner keeps its one write per
 * loop turn and libuv its non-blocking rules. What came is read from where the socket left it, what
 * goes is appended to the owner's buffer, and a connection at rest keeps no buffer at all.
 *
 * The one thing to get right in a client is verification: SSL_VERIFY_PEER for the chain and
 * set1_host or set1_ip for the name, both before the handshake. */
#include "shared/net/tls_private.h"

#include "shared/ca_store.h"
#include "shared/file.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

struct tls_server {
    SSL_CTX *context;
};

struct tls {
    SSL *ssl;
    struct slice in;       /* (borrowed) from the socket, not read yet */
    struct buf *wire;      /* (borrowed) to the socket */
    char *host;            /* NULL: a server */
    const char *ca_option; /* (borrowed) */
    bool ended;            /* the peer sends nothing more */
};

/* The reason of the newest OpenSSL error, in words. */
static const char *tls_reason(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());

    return reason != NULL ? reason : "no reason given";
}

/* The BIO ------------------------------------------------------------------------------------- */

static int bio_read(BIO *bio, char *out, int size)
{
    struct tls *tls = BIO_get_data(bio);
    size_t n = tls->in.len < (size_t)size ? tls->in.len : (size_t)size;

    BIO_clear_retry_flags(bio);
    if (n == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    memcpy(out, tls->in.ptr, n);
    tls->in.ptr += n;
    tls->in.len -= n;
    return (int)n;
}

/* Whether it had room is the owner's to ask (buf's overflow). */
static int bio_write(BIO *bio, const char *data, int len)
{
    struct tls *tls = BIO_get_data(bio);

    buf_append(tls->wire, data, (size_t)len);
    return len;
}

static long bio_control(BIO *bio, int command, long number, void *ptr)
{
    (void)bio;
    (void)number;
    (void)ptr;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

/* Made once, for all. */
static const BIO_METHOD *bio_method(void)
{
    static BIO_METHOD *method;

    if (method == NULL) {
        method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "shoal");
        BUG_ON(method == NULL || BIO_meth_set_read(method, bio_read) != 1 ||
               BIO_meth_set_write(method, bio_write) != 1 ||
               BIO_meth_set_ctrl(method, bio_control) != 1);
    }
    return method;
}

/* Making one ---------------------------------------------------------------------------------- */

static SSL_CTX *context_create(const SSL_METHOD *method)
{
    SSL_CTX *context = SSL_CTX_new(method);

    BUG_ON(context == NULL);
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION);
    return context;
}

static struct tls *create(SSL_CTX *context, struct buf *wire)
{
    struct tls *tls = xcalloc(1, sizeof(*tls));
    BIO *bio = BIO_new(bio_method());

    tls->wire = wire;
    tls->ssl = SSL_new(context); /* it holds the context */
    BUG_ON(tls->ssl == NULL || bio == NULL);
    BIO_set_data(bio, tls);
    BIO_set_init(bio, 1);
    SSL_set_bio(tls->ssl, bio, bio);
    return tls;
}

struct tls_trust *tls_trust_create(const char *ca_file, struct err *err)
{
    X509_STORE *store = ca_store_load(ca_file, err);

    if (store == NULL) {
        return NULL;
    }
    struct tls_trust *trust = xcalloc(1, sizeof(*trust));

    trust->context = context_create(TLS_client_method());
    SSL_CTX_set_verify(trust->context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_store(trust->context, store);
    return trust;
}

void tls_trust_destroy(struct tls_trust *trust)
{
    if (trust != NULL) {
        SSL_CTX_free(trust->context);
        free(trust);
    }
}

struct tls *tls_create(const struct tls_trust *trust, const char *host, const char *ca_option,
                       struct buf *wire, struct err *err)
{
    struct tls *tls = create(trust->context, wire);

    tls->host = xstrdup(host);
    tls->ca_option = ca_option;
    SSL_set_connect_state(tls->ssl);
    SSL_set_hostflags(tls->ssl,
                      X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
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

struct tls *tls_accept(const struct tls_server *server, struct buf *wire)
{
    struct tls *tls = create(server->context, wire);

    SSL_set_accept_state(tls->ssl);
    return tls;
}

void tls_destroy(struct tls *tls)
{
    if (tls == NULL) {
        return;
    }
    SSL_free(tls->ssl);
    free(tls->host);
    free(tls);
}

/* Bytes ---------------------------------------------------------------------------------------- */

void tls_receive(struct tls *tls, const char *data, size_t len)
{
    BUG_ON(tls->in.len > 0);
    tls->in = (struct slice){data, len};
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
                       "it with %s",
                       X509_verify_cert_error_string(verdict), tls->ca_option);
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
