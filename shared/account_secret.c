/* Account secret: {"access", "refresh"}, sealed. */
#include "shared/account_secret.h"

#include "shared/json.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void place_of(const char *cluster, const char *login, char *out, size_t size)
{
    snprintf(out, size, "%s/%s", cluster, login);
}

char *account_secret_seal(const struct seal_keys *keys, const char *cluster, const char *login,
                          const struct account_secret *secret)
{
    char place[128];
    struct buf plain;
    struct json j;

    place_of(cluster, login, place, sizeof(place));
    buf_init(&plain, SEAL_PLAIN_MAX);
    json_init(&j, &plain);
    json_object_begin(&j, NULL);
    json_string(&j, "access", secret->access);
    json_string(&j, "refresh", secret->refresh);
    json_object_end(&j);
    BUG_ON(plain.overflow);
    char *text = seal(keys, place, buf_slice(&plain));
    buf_wipe(&plain);
    return text;
}

/* A token is printable ASCII without blanks: it goes into headers and lines. */
static bool take(cJSON *root, const char *name, char out[ACCOUNT_TOKEN_CHARS])
{
    char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(root, name));
    size_t len = text != NULL ? strlen(text) : ACCOUNT_TOKEN_CHARS;
    bool fits = len < ACCOUNT_TOKEN_CHARS;

    for (size_t i = 0; fits && i < len; i++) {
        fits = text[i] > ' ' && text[i] < 0x7f;
    }
    if (fits) {
        memcpy(out, text, len + 1);
    }
    if (text != NULL) {
        explicit_bzero(text, strlen(text));
    }
    return fits;
}

int account_secret_open(const struct seal_keys *keys, const char *cluster, const char *login,
                        struct slice text, struct account_secret *out, struct err *err)
{
    char place[128];
    struct buf plain;

    place_of(cluster, login, place, sizeof(place));
    *out = (struct account_secret){0};
    buf_init(&plain, SEAL_PLAIN_MAX);
    int rc = seal_open(keys, place, text, &plain, err);
    if (rc == 0) {
        cJSON *root = cJSON_ParseWithLength(plain.data != NULL ? plain.data : "", plain.len);
        bool has_both = take(root, "access", out->access);
        has_both = take(root, "refresh", out->refresh) && has_both;
        cJSON_Delete(root);
        if (!has_both || out->access[0] == '\0') {
            account_secret_wipe(out);
            rc = err_set(err, ERR_STRANGE, "%s: what is sealed is no token", place);
        }
    }
    buf_wipe(&plain);
    return rc;
}

void account_secret_wipe(struct account_secret *secret)
{
    explicit_bzero(secret, sizeof(*secret));
}
