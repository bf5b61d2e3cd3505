/* CA store: a PEM file as OpenSSL's store of trusted certificates. */
#include "shared/ca_store.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>

/* The reason of the newest OpenSSL error, in words. */
static const char *reason(void)
{
    const char *text = ERR_reason_error_string(ERR_peek_last_error());

    return text != NULL ? text : "no reason given";
}

static int load(X509_STORE *store, const char *path, struct err *err)
{
    ERR_clear_error();
    if (path == NULL) {
        return X509_STORE_set_default_paths(store) == 1
                   ? 0
                   : err_set(err, ERR_USAGE, "the system's CA certificates cannot be used: %s",
                             reason());
    }
    if (access(path, R_OK) != 0) {
        return err_set(err, ERR_USAGE, "cannot read CA certificates from '%s': %s", path,
                       strerror(errno));
    }
    return X509_STORE_load_locations(store, path, NULL) == 1
               ? 0
               : err_set(err, ERR_USAGE, "cannot read CA certificates (PEM) from '%s': %s", path,
                         reason());
}

X509_STORE *ca_store_load(const char *path, struct err *err)
{
    X509_STORE *store = X509_STORE_new();

    BUG_ON(store == NULL);
    if (load(store, path, err) != 0) {
        X509_STORE_free(store);
        return NULL;
    }
    return store;
}

int ca_store_check(const char *path, struct err *err)
{
    X509_STORE *store = ca_store_load(path, err);

    X509_STORE_free(store);
    return store != NULL ? 0 : -ERR_USAGE;
}
