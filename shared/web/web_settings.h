/* Web settings: the options of an HTTP server, the same for both daemons. */
#ifndef SHOAL_WEB_SETTINGS_H
#define SHOAL_WEB_SETTINGS_H

#include "shared/options.h"
#include "shared/web/web.h"

struct web_settings {
    struct web_options web; /* but for loop, routes and ctx; listen NULL: there is no server */
    bool metrics_only;
    const char **hosts; /* owned; of web */
    char *token;        /* owned; of web; NULL: there is none */
};

int web_settings_check_listen(const char *value, struct err *err);
int web_settings_check_cert(const char *path, struct err *err);
int web_settings_check_key(const char *path, struct err *err);
int web_settings_check_host(const char *value, struct err *err);
int web_settings_check_token(const char *path, struct err *err);

/* Rows of a table of options. */
#define WEB_SETTINGS_SPECS                                                                         \
    {.name = "http-listen",                                                                        \
     .metavar = "ADDRESS",                                                                         \
     .help =                                                                                       \
         "Serve HTTP here, as in 127.0.0.1:9400 or [::1]:9400 (port 0: any that is free, told "    \
         "in the log); default: not at all.",                                                      \
     .check = web_settings_check_listen},                                                          \
        {.name = "http-tls-cert",                                                                  \
         .flags = OPTION_RELOAD,                                                                   \
         .metavar = "FILE",                                                                        \
         .help = "Serve HTTPS with this certificate (PEM), its chain behind it.",                  \
         .check = web_settings_check_cert},                                                        \
        {.name = "http-tls-key",                                                                   \
         .flags = OPTION_RELOAD,                                                                   \
         .metavar = "FILE",                                                                        \
         .help = "The private key of it (PEM, not encrypted).",                                    \
         .check = web_settings_check_key},                                                         \
    {                                                                                              \
        .name = "http-host", .flags = OPTION_REPEAT, .metavar = "NAME",                            \
        .help = "A name by which it is asked, beside its addresses, localhost and the host name.", \
        .check = web_settings_check_host                                                           \
    }
/* Of those that let their cluster be changed. */
#define WEB_SETTINGS_ADMIN_SPECS                                                                   \
    {.name = "http-admin-token",                                                                   \
     .flags = OPTION_RELOAD,                                                                       \
     .metavar = "FILE",                                                                            \
     .help = "File with the token (one line, 16 characters or more) that lets the cluster be "     \
             "changed over HTTP; only its owner may read it.",                                     \
     .check = web_settings_check_token},                                                           \
        {.name = "http-metrics-only",                                                              \
         .type = OPTION_BOOL,                                                                      \
         .fallback = "false",                                                                      \
         .help = "Serve /metrics, /healthz and /readyz alone."}

/* 0, or -ERR_USAGE: what is there does not go together, or cannot be read. `admin`: the options of
 * WEB_SETTINGS_ADMIN_SPECS are there, too. Finish it in any case. Strings are borrowed from `o`. */
MUST_USE int web_settings_read(const struct options *o, bool admin, struct web_settings *out,
                               struct err *err);
/* What is allowed and yet unwise: as `warning` of struct options_program. */
const char *web_settings_warning(const struct options *o, bool admin);
/* Wipe and give back. */
void web_settings_finish(struct web_settings *s);

#endif
