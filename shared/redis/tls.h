/* TLS: the client side of one TLS connection, without a socket (OpenSSL over memory).
 *
 *   bytes from the socket -> tls_receive -> tls_handshake until done -> tls_read -> plain bytes
 *   plain bytes -> tls_write -> tls_take -> bytes for the socket
 *
 * The peer's certificate must chain to a CA we trust and be made out to the host we asked for; a
 * host that is an address must be in the certificate as an address. TLS 1.2 at least. The CA file
 * is read anew by each tls_create, so a rotated file is used by the next connection.
 * Owns its OpenSSL objects; never touches the network. Loop thread only. */
#ifndef SHOAL_REDIS_TLS_H
#define SHOAL_REDIS_TLS_H

#include "shared/buf.h"
#include "shared/err.h"

struct tls;

/* A client for `host`. `ca_file` is PEM, NULL: the system's. NULL and err filled if the CA file is
 * unusable. */
struct tls *tls_create(const char *host, const char *ca_file, struct err *err);
/* NULL is fine. */
void tls_destroy(struct tls *tls);
/* Hand in bytes from the socket; they are copied. */
void tls_receive(struct tls *tls, const char *data, size_t len);
/* Go on with the handshake (the first call makes the first message). 1: done, 0: more bytes
 * needed, -ERR_UNREACHABLE: err says whether chain, host name or protocol was the problem. */
MUST_USE int tls_handshake(struct tls *tls, struct err *err);
/* Decrypt into `out`: number of bytes, 0: more bytes needed, -ERR_DOWN: closed or broken. */
MUST_USE int tls_read(struct tls *tls, char *out, size_t size, struct err *err);
/* Encrypt all of it. 0, or -ERR_DOWN. */
MUST_USE int tls_write(struct tls *tls, const char *data, size_t len, struct err *err);
/* Append what must be sent to the socket to `out` and forget it here. */
void tls_take(struct tls *tls, struct buf *out);

#endif
