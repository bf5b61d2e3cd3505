/* Token: applications, and the tokens that users and applications got. Pure: time (mono ms) comes as
 * an argument.
 *
 * An access token ends by its time, by revocation, or because a test wants it. A refresh token of a
 * confidential application stays as it is; one of a public application is used up when it is used,
 * and a new one takes its place. That a user has granted a scope to an application is what its live
 * refresh tokens say. All lives until tokens_destroy. */
#ifndef SIM_TOKEN_H
#define SIM_TOKEN_H

#include "tests/twitch_sim/user.h"

#define TOKEN_CHARS      64 /* of a token, a code, or an application's id or secret, and the NUL */
#define TOKEN_NEVER      UINT64_MAX
#define TOKEN_USER_TTL   14400000    /* ms: 4 hours */
#define TOKEN_APP_TTL    5011271000  /* ms: 58 days */
#define TOKEN_OWN_APP    "simulator" /* the application whose tokens those of --users are */
#define TOKEN_OWN_SCOPES "chat:read chat:edit user:write:chat"

struct application {
    char id[TOKEN_CHARS];
    char secret[TOKEN_CHARS]; /* empty: a public client */
    UT_hash_handle hh;
};

struct token {
    char text[TOKEN_CHARS];
    const struct application *app;
    char login[LOGIN_CHARS]; /* empty: an app access token */
    char *scopes;            /* with one blank between */
    uint64_t made;           /* mono ms, as what follows */
    uint64_t ends;           /* or TOKEN_NEVER */
    bool revoked;
    uint64_t dead_logins;   /* how often somebody logged in with it when it was dead */
    uint64_t dead_login_at; /* the last of these */
    UT_hash_handle hh;
};

struct refresh {
    char text[TOKEN_CHARS];
    const struct application *app;
    char login[LOGIN_CHARS];
    char *scopes;
    bool dead;
    uint64_t used;       /* how often it gave new tokens */
    uint64_t used_at;    /* mono ms: the last of these */
    uint64_t refused;    /* how often it was asked for them in vain */
    uint64_t refused_at; /* mono ms: the last of these */
    UT_hash_handle hh;
};

struct device;

struct tokens {
    struct application *apps;
    struct token *access;
    struct refresh *refresh;
    struct device *devices;
    uint64_t unknown_refused; /* refresh tokens that never were */
    uint64_t ttl_ms;          /* of access tokens from now on; 0: Twitch's */
};

/* What somebody got; `refresh` is NULL for an application. */
struct issued {
    const struct token *access;
    const struct refresh *refresh;
};

struct tokens *tokens_create(void);
void tokens_destroy(struct tokens *t);

/* Register an application, or change the one there is: `secret` NULL makes it public. */
const struct application *tokens_put_app(struct tokens *t, const char *id, const char *secret);
const struct application *tokens_app(const struct tokens *t, const char *id);

/* The user agrees. `scopes` with blanks or commas between; `ttl_ms` 0: as usual. */
struct issued tokens_grant(struct tokens *t, const struct application *app, const char *login,
                           const char *scopes, uint64_t ttl_ms, uint64_t now);
/* An app access token. */
struct issued tokens_for_app(struct tokens *t, const struct application *app, uint64_t now);
/* New tokens for a refresh token; false: it is not one of that application, or dead. */
bool tokens_refresh(struct tokens *t, const struct application *app, const char *text, uint64_t now,
                    struct issued *out);
/* An access token that is good now, else NULL. */
const struct token *tokens_find(const struct tokens *t, const char *text, uint64_t now);
/* Somebody logs in with what is no good token: noted, if it was one. */
void tokens_note_dead_login(struct tokens *t, const char *text, uint64_t now);
/* End an access or refresh token of the application (RFC 7009); false: it has no such token, or no
 * more. */
bool tokens_revoke(struct tokens *t, const struct application *app, const char *text, uint64_t now);
/* The access token of that text, or those of that login, have ended: how many. */
size_t tokens_expire(struct tokens *t, const char *text_or_login, uint64_t now);
/* The user takes back all that it granted. */
void tokens_disconnect(struct tokens *t, const char *login);
/* Has the user granted the scope to the application? */
bool tokens_granted(const struct tokens *t, const struct application *app, const char *login,
                    const char *scope);
/* Is it among the scopes? */
bool scopes_have(const char *scopes, const char *scope);
/* In whole seconds, rounded up; 0: it never ends. */
uint64_t token_seconds_left(uint64_t ends, uint64_t now);

#endif
