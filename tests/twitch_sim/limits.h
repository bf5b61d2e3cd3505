/* Limits: what Twitch allows a user in a sliding window, and how much of it was used.
 *
 * A window holds the time of every attempt younger than its span; `most` is the largest number that
 * was ever inside one window, whatever the limit was. Pure: time comes as an argument. */
#ifndef SIM_LIMITS_H
#define SIM_LIMITS_H

#include "shared/err.h"

#define LIMIT_OFF UINT64_MAX

struct window {
    uint64_t *at; /* ring of attempt times, ms */
    size_t head;
    size_t len;
    size_t cap;
    size_t most;
    uint64_t total;
};

/* Count an attempt at `now`; returns how many are in the window that ends now, this one included. */
size_t window_add(struct window *w, uint64_t now, uint64_t span_ms);
void window_finish(struct window *w);

/* A bucket of points: full at first, filled up at a steady pace to `limit` in a minute. */
struct bucket {
    uint64_t missing; /* in 1/60000 of a point */
    uint64_t at;      /* mono ms, when that was so */
};
struct bucket_look {
    uint64_t limit; /* with LIMIT_OFF a large number */
    uint64_t remaining;
    uint64_t full_in_ms;
};
/* Look at it, after taking a point out if there is one; false: there is none. */
bool bucket_take(struct bucket *b, uint64_t now, uint64_t limit, struct bucket_look *out);
void bucket_look(const struct bucket *b, uint64_t now, uint64_t limit, struct bucket_look *out);

/* Counts (a number or "off") and times (ms, or "off"). */
#define LIMIT_TABLE(X)                                                                             \
    X(login_limit, "login-limit", "20", false, "Logins of a user in a login window")               \
    X(login_limit_verified, "login-limit-verified", "200", false, "The same, verified user")       \
    X(join_limit, "join-limit", "20", false, "Joins of a user in a join window, attempts counted") \
    X(join_limit_verified, "join-limit-verified", "2000", false, "The same, verified user")        \
    X(message_limit, "message-limit", "20", false,                                                 \
      "Messages of a user in a message window, where not moderator")                               \
    X(message_limit_moderator, "message-limit-moderator", "100", false,                            \
      "Messages of a user in a message window, in all channels")                                   \
    X(message_limit_verified, "message-limit-verified", "7500", false,                             \
      "Both of these for a verified user")                                                         \
    X(room_limit, "room-limit", "100", false,                                                      \
      "Rooms a user may be in, those not counted where it is moderator")                           \
    X(login_window, "login-window", "10s", true, "Span of the login window")                       \
    X(join_window, "join-window", "10s", true, "Span of the join window")                          \
    X(message_window, "message-window", "30s", true, "Span of the message window")                 \
    X(channel_interval, "channel-interval", "1s", true,                                            \
      "Least time between two messages of a user in a channel, where not moderator")               \
    X(duplicate_window, "duplicate-window", "30s", true,                                           \
      "A text repeated within this time is msg_duplicate")                                         \
    X(silence, "silence", "30m", true, "How long nothing is said after a message flood")           \
    X(helix_limit, "helix-limit", "800", false, "Points of Helix a minute, for a client and user") \
    X(device_interval, "device-interval", "5s", true, "Least time between two looks at a code")    \
    X(device_life, "device-life", "30m", true, "How long a device code waits for its user")

struct limits {
#define X(field, name, fallback, is_time, help) uint64_t field;
    LIMIT_TABLE(X)
#undef X
};

/* Set one by its option name; "all" sets every count and interval to "off" (the only value it takes).
 * -ERR_USAGE names what is wrong. */
MUST_USE int limits_set(struct limits *l, const char *name, const char *value, struct err *err);
/* "500ms", "3s", "5m", "1h" or seconds, into ms; "off" gives LIMIT_OFF. */
MUST_USE bool limits_parse_time(const char *text, uint64_t *out);

#endif
