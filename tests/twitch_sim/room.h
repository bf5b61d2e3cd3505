/* Room: a chat channel: who is in it, what it says of itself, and every line that went to it.
 *
 * A room line counts as sent (number, digest, record) once, if at least one connection got it,
 * however many did. Rooms are made when first named and kept. */
#ifndef SIM_ROOM_H
#define SIM_ROOM_H

#include "tests/twitch_sim/sim.h"

enum room_condition {
    ROOM_OK,
    ROOM_BANNED,    /* JOIN and PRIVMSG: msg_banned */
    ROOM_SUSPENDED, /* msg_channel_suspended */
    ROOM_MISSING,   /* no answer at all */
    ROOM_TOS,       /* tos_ban */
};

/* The settings a ROOMSTATE tells. */
struct room_state {
    int emote_only;
    int followers_only; /* minutes, -1: off */
    int r9k;
    int slow; /* seconds */
    int subs_only;
};

/* Which connections a line is for. */
enum audience { AUDIENCE_ALL, AUDIENCE_COMMANDS, AUDIENCE_MEMBERSHIP };

/* A PRIVMSG a client sent. */
struct received {
    char id[UUID_CHARS]; /* empty: it was not said */
    char user[LOGIN_CHARS];
    char *text;
    char *nonce;
    char *reply_to;
    const char *outcome; /* "said", or why not */
    uint64_t conn;
    uint64_t at_ms; /* wall clock */
};

/* A connection in a room; in the room's array and in the connection's hash. */
struct membership {
    struct conn *conn;
    struct room *room;
    size_t index; /* in room->members */
    UT_hash_handle hh;
};

struct room {
    char name[LOGIN_CHARS];
    uint64_t id;
    enum room_condition condition;
    struct room_state state;
    bool enforce; /* the control port set the state: messages are refused by it */
    struct membership **members;
    size_t n;
    size_t cap;
    size_t members_most;
    size_t with_membership; /* members that asked for twitch.tv/membership */
    size_t joined_index;    /* in sim->joined while n > 0 */
    uint64_t sent;
    uint64_t sent_bytes;
    uint64_t digest; /* FNV-1a over every sent line and a LF */
    struct received *received;
    size_t nreceived;
    size_t received_cap;
    UT_hash_handle hh;
};

struct room *room_find(struct sim *s, const char *name);
struct room *room_make(struct sim *s, const char *name);
/* Put a connection in, or take it out; the caller looked whether it was in. */
void room_add(struct sim *s, struct room *r, struct conn *c);
void room_remove(struct sim *s, struct membership *m);
/* Send a line (no CRLF) to all members it is for, but neither to `not_conn` nor to connections of
 * `not_user` (both may be NULL). Returns how many got it. */
size_t room_send(struct sim *s, struct room *r, struct slice line, enum audience audience,
                 const struct conn *not_conn, const struct user *not_user);
/* Append a full ROOMSTATE line (no CRLF). */
void room_write_state(const struct room *r, struct buf *out);
/* Change a setting, and tell it as Twitch does: a ROOMSTATE with this tag alone, and a NOTICE. Names
 * are those of the tags. False if there is no such setting. */
bool room_change(struct sim *s, struct room *r, const char *name, int value);
/* The audience a line of that command has. */
enum audience room_audience(struct slice command);
/* Note what a client said; takes nothing over. */
void room_note(struct sim *s, struct room *r, const struct received *what);
/* Write what was recorded to the file. */
void room_flush_record(struct sim *s);
void room_free_all(struct sim *s);

#endif
