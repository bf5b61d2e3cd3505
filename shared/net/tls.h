/* TLS: one side of one TLS connection, without a socket (OpenSSL over memory).
 *
 *   bytes from the socket -> tls_receive -> tls_handshake until done -> tls_read -> plain bytes
 *   plain bytes -> tls_write -> `wire` of the owner -> the socket
 *
 * TLS 1.2 at least. As a client: the peer's certificate must chain to a CA we trust and be made out
 * to the host we asked for, among its alternative names (RFC 6125, 6.4.4: a name in the CN is
 * none); a host that is an address must be there as an address. As a server: what tls_server_create
 * has read is shown to all; clients show none.
 * Owns its OpenSSL objects; never touches the network. Loop thread only. */
#ifndef SHOAL_NET_TLS_H
#define SHOAL_NET_TLS_H

#include "shared/buf.h"
#include "shared/err.h"

struct tls;
struct tls_trust;
struct tls_server;

/* What clients verify servers with, for as many connections as there are. `ca_file` is PEM, NULL:
 * the system's; it is read here and not again. NULL and err filled if it is unusable. */
struct tls_trust *tls_trust_create(const char *ca_file, struct err *err);
/* Connections go on. NULL is fine. */
void tls_trust_destroy(struct tls_trust *trust);
/* A client for `host`. What must be sent is appended to `wire`, from here on. `trust` is used
 * during the call, `ca_option` (borrowed) is the option that an error names. NULL and err filled
 * where `host` cannot be a name. */
struct tls *tls_create(const struct tls_trust *trust, const char *host, const char *ca_option,
                       struct buf *wire, struct err *err);
/* What a server shows: `cert` is PEM, its chain behind it, `key` PEM, not encrypted. NULL and err
 * filled (-ERR_USAGE) where they cannot be used. */
struct tls_server *tls_server_create(const char *cert, const char *key, struct err *err);
/* Connections go on. NULL is fine. */
void tls_server_destroy(struct tls_server *server);
/* The server's side of a new connection; speaks HTTP/1.1 where the client asks for a protocol.
 * `wire` as in tls_create. */
struct tls *tls_accept(const struct tls_server *server, struct buf *wire);
/* NULL is fine. */
void tls_destroy(struct tls *tls);
/* Hand in bytes from the socket. They are borrowed until tls_handshake or tls_read has answered 0,
 * or an error: go on with these until then. */
void tls_receive(struct tls *tls, const char *data, size_t len);
/* Go on with the handshake (the first call makes the first message). 1: done, 0: more bytes
 * needed, -ERR_UNREACHABLE: err says whether chain, host name or protocol was the problem. */
MUST_USE int tls_handshake(struct tls *tls, struct err *err);
/* Decrypt into `out`: number of bytes, 0: more bytes needed, -ERR_DOWN: closed or broken. */
MUST_USE int tls_read(struct tls *tls, char *out, size_t size, struct err *err);
/* Why it was closed: the peer has said that it sends nothing more. It may still be written to. */
bool tls_has_ended(const struct tls *tls);
/* Encrypt all of it into `wire`. 0, or -ERR_DOWN. */
MUST_USE int tls_write(struct tls *tls, const char *data, size_t len, struct err *err);
/* Nothing more will be written: the last of what is sent says so. */
void tls_end(struct tls *tls);

#endif
