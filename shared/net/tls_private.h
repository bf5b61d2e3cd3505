/* What tests of TLS see besides tls.h: what a client begins from. */
#ifndef SHOAL_NET_TLS_PRIVATE_H
#define SHOAL_NET_TLS_PRIVATE_H

#include "shared/net/tls.h"

#include <openssl/ssl.h>

struct tls_trust {
    SSL_CTX *context;
};

#endif
