/* Device: codes by which a user without a browser at hand agrees (RFC 8628). Pure, as token.h. */
#ifndef SIM_DEVICE_H
#define SIM_DEVICE_H

#include "tests/twitch_sim/token.h"

enum device_state {
    DEVICE_PENDING,
    DEVICE_ALLOWED,
    DEVICE_DENIED,
    DEVICE_USED,
};

struct device {
    char code[TOKEN_CHARS];
    char user_code[9];
    const struct application *app;
    char *scopes;
    char login[LOGIN_CHARS]; /* who agreed */
    enum device_state state;
    uint64_t ends;  /* mono ms, or TOKEN_NEVER */
    uint64_t asked; /* when it was last looked for; 0: never */
    UT_hash_handle hh;
};

/* What is said to somebody who looks whether the user has agreed. */
enum device_word {
    DEVICE_TOKENS,  /* yes, and it was not said before */
    DEVICE_NOT_YET, /* authorization_pending */
    DEVICE_SLOWER,  /* slow_down: it was asked a moment ago */
    DEVICE_REFUSED, /* access_denied */
    DEVICE_OVER,    /* expired_token */
    DEVICE_NONE,    /* there is no such code, or not any more */
};

/* `life_ms` may be LIMIT_OFF. */
const struct device *device_begin(struct tokens *t, const struct application *app,
                                  const char *scopes, uint64_t life_ms, uint64_t now);
/* The user agrees (`login`), or does not (NULL). False: nobody waits for that code. */
bool device_decide(struct tokens *t, const char *user_code, const char *login, uint64_t now);
/* `interval_ms`: between two looks, may be LIMIT_OFF. */
enum device_word device_look(struct tokens *t, const struct application *app, const char *code,
                             uint64_t interval_ms, uint64_t now, struct issued *out);
void devices_finish(struct tokens *t);

#endif
