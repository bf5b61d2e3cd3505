/* CA store: the certificates that a server's chain is verified against, from a file or the
 * system's.
 *
 * The one place that judges such a file, for the links to Redis, for the connections to Twitch and
 * for the check of a configuration. Owns nothing. */
#ifndef SHOAL_CA_STORE_H
#define SHOAL_CA_STORE_H

#include "shared/err.h"

#include <openssl/types.h>

/* The certificates in `path` (PEM), NULL: the system's. The caller takes the store (or hands it to
 * an SSL_CTX). NULL with err (ERR_USAGE) filled: what is wrong with the file. */
X509_STORE *ca_store_load(const char *path, struct err *err);
/* Could `path` be loaded? The check of an option. */
int ca_store_check(const char *path, struct err *err);

#endif
