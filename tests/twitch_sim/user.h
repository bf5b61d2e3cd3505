/* User: an account of the simulated Twitch: its token, its rights, and what it used of its limits.
 *
 * Users are made from --users, by the control port, and for anonymous logins; they live until the
 * simulator ends. */
#ifndef SIM_USER_H
#define SIM_USER_H

#include "tests/twitch_sim/limits.h"

#include <uthash.h>

#define LOGIN_CHARS 32 /* a login or a channel, and the NUL */

/* What a user was refused for: attempts over a limit. */
#define VIOLATION_TABLE(X)                                                                         \
    X(VIOLATION_LOGINS, "logins")                                                                  \
    X(VIOLATION_JOINS, "joins")                                                                    \
    X(VIOLATION_ROOMS, "rooms")                                                                    \
    X(VIOLATION_MESSAGES, "messages")                                                              \
    X(VIOLATION_SILENCED, "silenced")                                                              \
    X(VIOLATION_CHANNEL_RATE, "channel_rate")                                                      \
    X(VIOLATION_DUPLICATE, "duplicate")                                                            \
    X(VIOLATION_LONG_LINE, "long_line")                                                            \
    X(VIOLATION_LONG_TEXT, "long_text")

enum violation {
#define X(code, name) code,
    VIOLATION_TABLE(X)
#undef X
        VIOLATION_COUNT
};
/* "logins", "joins", ... */
const char *violation_name(enum violation v);

/* A text said lately, to find duplicates. */
struct said {
    uint64_t hash;
    uint64_t at;
    struct said *next;
};

/* A user in a channel. Kept once made. */
struct user_room {
    char channel[LOGIN_CHARS];
    size_t conns; /* connections of the user that are joined */
    bool counted; /* among the rooms of the limit */
    bool moderator;
    bool vip;
    bool banned;
    uint64_t timed_out_until; /* mono ms */
    uint64_t last_message;    /* mono ms, 0: none */
    struct said *said;
    UT_hash_handle hh;
};

struct user {
    char login[LOGIN_CHARS];
    char display[LOGIN_CHARS];
    char color[8];
    char *token; /* NULL: anonymous */
    uint64_t id;
    bool verified;
    bool revoked;
    size_t conns;      /* logged in now */
    size_t rooms;      /* rooms that count */
    size_t rooms_all;  /* rooms, those of a moderator too */
    size_t rooms_most; /* most that counted at a time */
    uint64_t logins_ok;
    uint64_t joins_ok;
    uint64_t said_count;
    uint64_t silenced_until; /* mono ms */
    bool silence_told;       /* it is answered with msg_ratelimit */
    struct window logins;
    struct window joins;
    struct window messages;     /* where not moderator */
    struct window messages_all; /* everywhere */
    uint64_t violations[VIOLATION_COUNT];
    struct user_room *in;
    UT_hash_handle hh;
};

/* NULL if there is none. */
struct user *user_find(struct user *users, const char *login);
/* By its id, in digits. */
struct user *user_by_id(struct user *users, const char *id);
/* Make one, or change the one there is: the token is copied; NULL leaves it (or makes it anonymous). */
struct user *user_put(struct user **users, const char *login, const char *token, bool verified);
/* Read "login token [verified] [mod=a,b] [vip=a,b]" lines; '#' begins a comment. */
MUST_USE int user_load(struct user **users, const char *path, struct err *err);
void user_free_all(struct user **users);
/* The user's record of a channel, made if `make`. */
struct user_room *user_room(struct user *u, const char *channel, bool make);
/* Make the user moderator, or else VIP, of the comma separated channels. */
void user_raise(struct user *u, const char *channels, bool moderator);
/* Is the user moderator or broadcaster there? */
bool user_is_moderator(struct user *u, const char *channel);
/* Its badges there: "broadcaster/1", "moderator/1", "vip/1" or none. */
const char *user_badges(struct user *u, const char *channel);
/* Was the text said there within the window? Remembers it as said at `now` if not. */
bool user_repeats(struct user_room *r, struct slice text, uint64_t now, uint64_t window_ms);
/* The name that is shown: the login with a capital. */
void user_display(const char *login, char display[LOGIN_CHARS]);
/* The numeric id of an account, the same in every run. */
uint64_t user_id_of(const char *login);

#endif
