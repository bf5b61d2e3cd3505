/* CA store: a PEM file as OpenSSL's store of trusted certificates. */
#include "shared/ca_store.h"

#include "shared/file.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>

#define FILE_MAX_BYTES ((size_t)16 << 20)

/* The reason of the newest OpenSSL error, in words. */
static const char *reason(void)
{
    const char *text = ERR_reason_error_string(ERR_peek_last_error());

    return text != NULL ? text : "there is none in it";
}

/* How many certificates and revocation lists there are; 0 where one cannot be read. */
static int add_all(X509_STORE *store, BIO *bio)
{
    STACK_OF(X509_INFO) *list = PEM_X509_INFO_read_bio(bio, NULL, NULL, NULL);
    int found = 0;

    for (int i = 0; i < sk_X509_INFO_num(list); i++) {
        const X509_INFO *info = sk_X509_INFO_value(list, i);
        found += info->x509 != NULL && X509_STORE_add_cert(store, info->x509) == 1;
        found += info->crl != NULL && X509_STORE_add_crl(store, info->crl) == 1;
    }
    sk_X509_INFO_pop_free(list, X509_INFO_free);
    return found;
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
    struct file file;
    int rc = file_read(path, "CA certificates", FILE_MAX_BYTES, &file, err);
    if (rc != 0) {
        return err_set(err, ERR_USAGE, "%s", err ? err->text : "");
    }
    BIO *bio = BIO_new_mem_buf(file.text, (int)file.len);
    BUG_ON(bio == NULL);
    int found = add_all(store, bio);
    BIO_free(bio);
    file_finish(&file);
    return found > 0 ? 0
                     : err_set(err, ERR_USAGE, "cannot read CA certificates (PEM) from '%s': %s",
                               path, reason());
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
