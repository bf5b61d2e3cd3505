/* Page: a file by its name; what it is by its ending; whether the client has it by its digest. */
#include "coordinator/web/page.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#define ETAG_BYTES 16

static const struct {
    const char *ending;
    const char *type;
} types[] = {
    {".html", "text/html; charset=utf-8"},
    {".css", "text/css; charset=utf-8"},
    {".js", "text/javascript; charset=utf-8"},
    {".svg", "image/svg+xml"},
    {".json", "application/json"},
};

static const char *type_of(const char *name)
{
    const char *ending = strrchr(name, '.');

    for (size_t i = 0; i < ARRAY_LEN(types) && ending != NULL; i++) {
        if (strcmp(ending, types[i].ending) == 0) {
            return types[i].type;
        }
    }
    return "application/octet-stream";
}

void page_answer(struct web_request *r, struct slice name)
{
    const struct page_file *f = page_files;

    while (f->name != NULL && !slice_is(name, f->name)) {
        f++;
    }
    if (f->name == NULL) {
        web_answer_error(r, 404, "there is no such page");
        return;
    }
    unsigned char digest[EVP_MAX_MD_SIZE];
    char etag[2 * ETAG_BYTES + 1];
    BUG_ON(EVP_Digest(f->bytes, *f->len, digest, NULL, EVP_sha256(), NULL) != 1);
    for (size_t i = 0; i < ETAG_BYTES; i++) {
        snprintf(etag + 2 * i, 3, "%02x", digest[i]);
    }
    web_answer_static(r, type_of(f->name), (struct slice){(const char *)f->bytes, *f->len}, etag);
}
