/* Twitch settings: how a program reaches Twitch's web services, and as which application. The same
 * options for the coordinator and for shoalctl. */
#ifndef SHOAL_COORDINATOR_TWITCH_SETTINGS_H
#define SHOAL_COORDINATOR_TWITCH_SETTINGS_H

#include "shared/ca_store.h"
#include "shared/options.h"
#include "shared/twitch/twitch.h"

struct twitch_settings {
    struct twitch_options twitch; /* but for `http` */
    const char *tls_ca;           /* or NULL; borrowed from the options, as the rest is */
    const char *proxy;            /* or NULL */
    char *secret;                 /* owned; NULL: there is none */
};

int twitch_settings_check_id(const char *value, struct err *err);
int twitch_settings_check_secret(const char *path, struct err *err);

/* Rows of a table of options. */
#define TWITCH_SETTINGS_SPECS                                                                      \
    {"client-id",                                                                                  \
     OPTION_STRING,                                                                                \
     0,                                                                                            \
     NULL,                                                                                         \
     0,                                                                                            \
     0,                                                                                            \
     "ID",                                                                                         \
     "The Twitch application that the tokens of the accounts are of.",                             \
     twitch_settings_check_id},                                                                    \
        {"client-secret",                                                                          \
         OPTION_STRING,                                                                            \
         0,                                                                                        \
         NULL,                                                                                     \
         0,                                                                                        \
         0,                                                                                        \
         "FILE",                                                                                   \
         "File with its secret, where it has one; only its owner may read it.",                    \
         twitch_settings_check_secret},                                                            \
        {"twitch-id-url",                                                                          \
         OPTION_STRING,                                                                            \
         0,                                                                                        \
         "https://id.twitch.tv",                                                                   \
         0,                                                                                        \
         0,                                                                                        \
         "URL",                                                                                    \
         "Where tokens are validated and refreshed.",                                              \
         url_check_http},                                                                          \
        {"twitch-tls-ca",                                                                          \
         OPTION_STRING,                                                                            \
         0,                                                                                        \
         NULL,                                                                                     \
         0,                                                                                        \
         0,                                                                                        \
         "FILE",                                                                                   \
         "CA certificates (PEM) to verify Twitch with; default: the system's.",                    \
         ca_store_check},                                                                          \
        OPTIONS_TWITCH_API

/* 0, or -ERR_USAGE where the secret cannot be read. Finish it in any case. */
MUST_USE int twitch_settings_read(const struct options *o, struct twitch_settings *out,
                                  struct err *err);
/* Wipe and give back. */
void twitch_settings_finish(struct twitch_settings *s);

#endif
