/* Account secret: the tokens of one account, and how they lie in Redis: JSON, sealed (seal.h) for
 * this cluster and this login, so that those of one account never open as another's. */
#ifndef SHOAL_ACCOUNT_SECRET_H
#define SHOAL_ACCOUNT_SECRET_H

#include "shared/seal.h"

/* The account that is no user: the Twitch application, whose token says in the name of users. */
#define ACCOUNT_APP         "@app"
#define ACCOUNT_TOKEN_CHARS 513 /* of a token, and the NUL */

/* Wipe it with account_secret_wipe. */
struct account_secret {
    char access[ACCOUNT_TOKEN_CHARS];
    char refresh[ACCOUNT_TOKEN_CHARS]; /* empty: it has none */
};

/* The caller frees the text. */
char *account_secret_seal(const struct seal_keys *keys, const char *cluster, const char *login,
                          const struct account_secret *secret);
/* 0, or as seal_open; -ERR_STRANGE also where what is sealed is no secret of an account. */
MUST_USE int account_secret_open(const struct seal_keys *keys, const char *cluster,
                                 const char *login, struct slice text, struct account_secret *out,
                                 struct err *err);
void account_secret_wipe(struct account_secret *secret);

#endif
