/* Twitch's web services, typed: tokens at id.twitch.tv/oauth2 and Helix at api.twitch.tv/helix
 * (dev.twitch.tv/docs/authentication, dev.twitch.tv/docs/api/reference).
 *
 * What Twitch answers is input: an answer that lacks a field, or holds one that cannot be right,
 * is no answer. Each call ends with its callback, once and later; what the outcome holds is valid
 * for the callback alone, and wiped after it. Tokens are in no message. Loop thread only. */
#ifndef SHOAL_TWITCH_H
#define SHOAL_TWITCH_H

#include "shared/http/http.h"

#define TWITCH_TOKEN_MAX 512 /* bytes of a token or of a code */
#define TWITCH_USERS_MAX 100 /* that one call may look up */
#define TWITCH_SCOPES    64  /* that one token may have */

struct twitch_options {
    struct http *http;
    const char *id_url;        /* "https://id.twitch.tv"; borrowed */
    const char *api_url;       /* "https://api.twitch.tv"; borrowed */
    const char *client_id;     /* of the application; NULL: only what needs none. Borrowed */
    const char *client_secret; /* NULL: a public client. Borrowed */
};

/* What came of a call. */
enum twitch_verdict {
    TWITCH_OK,
    TWITCH_REFUSED, /* asking again would bring the same */
    /* It was not carried out: not reached, held back, too many requests, an error of theirs. */
    TWITCH_LATER,
    TWITCH_UNKNOWN, /* it was sent, and not answered: it may have been carried out */
};

/* The texts of a list. */
struct twitch_texts {
    const char *item[TWITCH_USERS_MAX];
    size_t n;
};

struct twitch_outcome {
    enum twitch_verdict verdict;
    unsigned status;     /* of HTTP; 0: no answer */
    const char *message; /* Twitch's word ("authorization_pending"), or what went wrong; not NULL */
    uint64_t wait_ms;    /* so long Twitch wants to be left alone; 0: it does not say */
    /* Of TWITCH_OK, as far as the call has it; else NULL and 0. */
    const char *access_token;
    const char *refresh_token; /* NULL: there is none */
    uint64_t expires_in_s;     /* of the token, or of the device code */
    struct twitch_texts scopes;
    const char *login;
    const char *user_id;
    const char *client_id;
    const char *device_code;
    const char *user_code;
    const char *verification_uri;
    uint64_t interval_s;          /* between two looks at a device code */
    struct twitch_texts logins;   /* of users that were found, and at the same places ... */
    struct twitch_texts user_ids; /* ... their ids */
    const char *message_id;       /* of what was said */
    bool is_sent;                 /* false: dropped, see `message` */
    const char *drop_code;        /* "msg_duplicate" */
};

typedef void (*twitch_cb)(void *ctx, const struct twitch_outcome *outcome);

/* A call that is under way. */
struct twitch_call;

struct twitch *twitch_create(const struct twitch_options *options);
/* All calls have ended, or were cancelled. */
void twitch_destroy(struct twitch *t);
/* Its callback is not called any more. */
void twitch_cancel(struct twitch_call *call);

/* GET /oauth2/validate: login, user_id, client_id, scopes, expires_in_s of a token; of an app
 * access token no login and no user_id. TWITCH_REFUSED: it is not valid any more. */
struct twitch_call *twitch_validate(struct twitch *t, const char *token, twitch_cb cb, void *ctx);
/* POST /oauth2/token: new tokens for a refresh token, which may be used up from then on.
 * TWITCH_REFUSED: the user has to log in again. Tried once. */
struct twitch_call *twitch_refresh(struct twitch *t, const char *refresh_token, twitch_cb cb,
                                   void *ctx);
/* POST /oauth2/device: device_code, user_code, verification_uri, interval_s, expires_in_s.
 * `scopes`: with blanks between. */
struct twitch_call *twitch_device(struct twitch *t, const char *scopes, twitch_cb cb, void *ctx);
/* POST /oauth2/token: the tokens, once the user has agreed. TWITCH_REFUSED with "message"
 * "authorization_pending": not yet. */
struct twitch_call *twitch_device_tokens(struct twitch *t, const char *device_code,
                                         const char *scopes, twitch_cb cb, void *ctx);
/* POST /oauth2/token: an app access token (client credentials). */
struct twitch_call *twitch_app_token(struct twitch *t, twitch_cb cb, void *ctx);
/* POST /oauth2/revoke: the token ends. `client_id`: of the application it was made for; NULL: ours.
 * TWITCH_REFUSED with status 400: it is no token of that application, or not any more. */
struct twitch_call *twitch_revoke(struct twitch *t, const char *client_id, const char *token,
                                  twitch_cb cb, void *ctx);

/* Who asks Helix: a token, and the id of the client that it was made for. */
struct twitch_caller {
    const char *token;
    const char *client_id;
};
/* GET /helix/users: ids of up to TWITCH_USERS_MAX logins; those that do not exist are left out.
 * Tried once. */
struct twitch_call *twitch_users(struct twitch *t, const struct twitch_caller *caller,
                                 const char *const *logins, size_t n, twitch_cb cb, void *ctx);
struct twitch_message {
    const char *broadcaster_id;
    const char *sender_id;
    struct slice text;
    const char *reply_to; /* id of a message; NULL: none */
    uint64_t timeout_ms;  /* 0: HTTP_DEADLINE_MS */
    bool (*may_send)(
        void *ctx); /* as http_ask has it, with the ctx of the callback; NULL: it may */
};
/* POST /helix/chat/messages: message_id, is_sent, drop_code. Tried once. */
struct twitch_call *twitch_say(struct twitch *t, const struct twitch_caller *caller,
                               const struct twitch_message *message, twitch_cb cb, void *ctx);

#endif
