/* Web settings: what goes together, and the file of the token. */
#include "shared/web/web_settings.h"

#include "shared/file.h"
#include "shared/net/tls.h"
#include "shared/web/web_guard.h"

#include <stdlib.h>
#include <string.h>

#define TOKEN_MIN      16 /* characters */
#define TOKEN_MAX      256
#define NAME_MAX_CHARS 253 /* of DNS */

int web_settings_check_listen(const char *value, struct err *err)
{
    return web_listen_parse(value, NULL, err);
}

int web_settings_check_cert(const char *path, struct err *err)
{
    return file_check(path, "a certificate", err);
}

int web_settings_check_key(const char *path, struct err *err)
{
    return file_check(path, "a private key", err);
}

int web_settings_check_host(const char *value, struct err *err)
{
    size_t ok = strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_");

    return ok > 0 && ok <= NAME_MAX_CHARS && value[ok] == '\0'
               ? 0
               : err_set(err, ERR_USAGE, "\"%.80s\" is not a host name (without a port)", value);
}

static void wipe(char *token)
{
    if (token != NULL) {
        explicit_bzero(token, strlen(token));
        free(token);
    }
}

/* The token in a file, owned; NULL with err filled. */
static char *read_token(const char *path, struct err *err)
{
    char *token = NULL;
    bool plain = true;

    if (file_read_secret_line(path, "a file with a token", &token, err) != 0) {
        return NULL;
    }
    size_t len = strlen(token);
    for (size_t i = 0; i < len; i++) {
        plain = plain && token[i] > ' ' && token[i] < 0x7f;
    }
    if (len < TOKEN_MIN || len > TOKEN_MAX || !plain) {
        err_set(err, ERR_USAGE,
                "%s: a token is one line of %d to %d characters, with no blank (openssl rand -hex "
                "32 makes one)",
                path, TOKEN_MIN, TOKEN_MAX);
        wipe(token);
        return NULL;
    }
    return token;
}

int web_settings_check_token(const char *path, struct err *err)
{
    char *token = read_token(path, err);
    int rc = token != NULL ? 0 : -ERR_USAGE;

    wipe(token);
    return rc;
}

static bool is_open_to_others(const struct options *o)
{
    const char *listen = options_string(o, "http-listen");
    union web_address address;

    return listen != NULL && web_listen_parse(listen, &address, NULL) == 0 &&
           !web_listen_is_loopback(&address);
}

static int check_together(const struct options *o, bool admin, struct err *err)
{
    bool cert = options_string(o, "http-tls-cert") != NULL;

    if (cert != (options_string(o, "http-tls-key") != NULL)) {
        return err_set(err, ERR_USAGE, "--http-tls-%s needs --http-tls-%s", cert ? "cert" : "key",
                       cert ? "key" : "cert");
    }
    if (cert) { /* so that a reload fails here, before anything has changed */
        struct tls_server *tls = tls_server_create(options_string(o, "http-tls-cert"),
                                                   options_string(o, "http-tls-key"), err);
        if (tls == NULL) {
            return -ERR_USAGE;
        }
        tls_server_destroy(tls);
    }
    if (admin && is_open_to_others(o) && options_string(o, "http-admin-token") == NULL &&
        !options_bool(o, "http-metrics-only")) {
        return err_set(err, ERR_USAGE,
                       "--http-listen %s can be reached from other hosts: give --http-admin-token, "
                       "or --http-metrics-only, or listen on 127.0.0.1",
                       options_string(o, "http-listen"));
    }
    return 0;
}

int web_settings_read(const struct options *o, bool admin, struct web_settings *out,
                      struct err *err)
{
    size_t nhosts = options_count(o, "http-host");

    *out = (struct web_settings){.metrics_only = !admin || options_bool(o, "http-metrics-only")};
    if (check_together(o, admin, err) != 0) {
        return -ERR_USAGE;
    }
    if (admin && options_string(o, "http-admin-token") != NULL) {
        out->token = read_token(options_string(o, "http-admin-token"), err);
        if (out->token == NULL) {
            return -ERR_USAGE;
        }
    }
    out->hosts = xcalloc(nhosts + 1, sizeof(*out->hosts));
    for (size_t i = 0; i < nhosts; i++) {
        out->hosts[i] = options_at(o, "http-host", i);
    }
    out->web = (struct web_options){.listen = options_string(o, "http-listen"),
                                    .tls_cert = options_string(o, "http-tls-cert"),
                                    .tls_key = options_string(o, "http-tls-key"),
                                    .admin_token = out->token,
                                    .hosts = out->hosts,
                                    .nhosts = nhosts};
    return 0;
}

const char *web_settings_warning(const struct options *o, bool admin)
{
    if (admin && is_open_to_others(o) && options_string(o, "http-admin-token") != NULL &&
        options_string(o, "http-tls-cert") == NULL && !options_bool(o, "http-metrics-only")) {
        return "the admin token is sent to --http-listen unencrypted, over the network: give "
               "--http-tls-cert and --http-tls-key";
    }
    return NULL;
}

void web_settings_finish(struct web_settings *s)
{
    wipe(s->token);
    free(s->hosts);
    *s = (struct web_settings){.token = NULL};
}
