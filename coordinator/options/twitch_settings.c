/* Twitch settings. */
#include "coordinator/options/twitch_settings.h"

#include "shared/file.h"

#include <stdlib.h>
#include <string.h>

#define SECRET_MAX 1024 /* bytes of the file of a client secret */

int twitch_settings_check_id(const char *value, struct err *err)
{
    size_t ok = strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");

    return ok > 0 && ok <= 64 && value[ok] == '\0'
               ? 0
               : err_set(err, ERR_USAGE, "not the id of a Twitch application");
}

/* The secret in a file, owned; NULL with err filled. */
static char *read_secret(const char *path, struct err *err)
{
    struct file f;

    if (file_read_secret(path, "a file with a client secret", SECRET_MAX, &f, err) != 0) {
        return NULL;
    }
    size_t len = strcspn(f.text, "\r\n");
    char *secret = NULL;
    if (len == 0 || len + strspn(f.text + len, "\r\n") != f.len) {
        err_set(err, ERR_USAGE, "%s: a client secret is one line", path);
    } else {
        secret = xstrndup(f.text, len);
    }
    file_finish(&f);
    return secret;
}

int twitch_settings_check_secret(const char *path, struct err *err)
{
    char *secret = read_secret(path, err);

    if (secret == NULL) {
        return -ERR_USAGE;
    }
    explicit_bzero(secret, strlen(secret));
    free(secret);
    return 0;
}

int twitch_settings_read(const struct options *o, struct twitch_settings *out, struct err *err)
{
    const char *path = options_string(o, "client-secret");

    *out = (struct twitch_settings){.tls_ca = options_string(o, "twitch-tls-ca"),
                                    .proxy = options_string(o, "http-proxy")};
    out->secret = path != NULL ? read_secret(path, err) : NULL;
    out->twitch = (struct twitch_options){.id_url = options_string(o, "twitch-id-url"),
                                          .api_url = options_string(o, "twitch-api-url"),
                                          .client_id = options_string(o, "client-id"),
                                          .client_secret = out->secret};
    return path != NULL && out->secret == NULL ? -ERR_USAGE : 0;
}

void twitch_settings_finish(struct twitch_settings *s)
{
    if (s->secret != NULL) {
        explicit_bzero(s->secret, strlen(s->secret));
        free(s->secret);
        s->secret = NULL;
    }
}
