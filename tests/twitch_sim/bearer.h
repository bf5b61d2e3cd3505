/* Bearer: who an access token stands for: one that was issued (token.h), or one of --users. */
#ifndef SIM_BEARER_H
#define SIM_BEARER_H

#include "tests/twitch_sim/sim.h"
#include "tests/twitch_sim/token.h"

struct bearer {
    const struct application *app;
    struct user *user; /* NULL: the application itself */
    const char *scopes;
    uint64_t ends; /* mono ms, or TOKEN_NEVER */
};

/* False: the token is not good, or not any more. */
bool bearer_find(struct sim *s, const char *token, struct bearer *out);
/* The token of a header "OAuth <token>" or "Bearer <token>", as far as it fits; false: it has none. */
bool bearer_of_header(struct slice header, char token[TOKEN_CHARS]);
/* May the user log in to chat with this token? */
bool bearer_may_chat(struct sim *s, const struct user *u, const char *token);

#endif
