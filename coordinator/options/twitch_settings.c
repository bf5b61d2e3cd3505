/* Twitch settings. */
#include "coordinator/options/twitch_settings.h"

#include "shared/file.h"

#include <stdlib.h>
#include <string.h>

int twitch_settings_check_id(const char *value, struct err *err)
{
    size_t ok = strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");

    return ok > 0 && ok <= 64 && value[ok] == '\0'
               ? 0
               : err_set(err, ERR_USAGE, "not the id of a Twitch application");
}

static int read_secret(const char *path, char **out, struct err *err)
{
    return file_read_secret_line(path, "a file with a client secret", out, err);
}

int twitch_settings_check_secret(const char *path, struct err *err)
{
    char *secret = NULL;

    if (read_secret(path, &secret, err) != 0) {
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
    int rc = path != NULL ? read_secret(path, &out->secret, err) : 0;
    out->twitch = (struct twitch_options){.id_url = options_string(o, "twitch-id-url"),
                                          .api_url = options_string(o, "twitch-api-url"),
                                          .client_id = options_string(o, "client-id"),
                                          .client_secret = out->secret};
    return rc;
}

void twitch_settings_finish(struct twitch_settings *s)
{
    if (s->secret != NULL) {
        explicit_bzero(s->secret, strlen(s->secret));
        free(s->secret);
        s->secret = NULL;
    }
}
