/* Conn: one WebSocket connection: what it is, and its way out with all the faults a test may want.
 *
 *   line -> (lag) -> (swap) -> lines queue -> frames (coalesce, fragment, cut) -> libwebsockets
 *   flood.c: frames that were made before -------------------------------------------^
 *
 * A half-open connection neither reads nor writes, and is not closed either: lines to it vanish.
 * Lives from the handshake to LWS_CALLBACK_CLOSED; nobody else frees it. */
#ifndef SIM_CONN_H
#define SIM_CONN_H

#include "tests/twitch_sim/queue.h"
#include "tests/twitch_sim/room.h"

#include "shared/irc/splitter.h"

enum cap { CAP_TAGS = 1, CAP_COMMANDS = 2, CAP_MEMBERSHIP = 4 };

/* A line that waits for its lag to pass. */
struct delayed {
    struct delayed *next;
    uint64_t due;
    size_t len;
    char bytes[];
};

struct flood;

struct conn {
    struct sim *sim;
    struct lws *wsi;
    struct conn *prev;
    struct conn *next;
    uint64_t id;
    bool tls;
    uint64_t opened_ms;

    unsigned caps; /* enum cap */
    char *pass;    /* as given, NULL before PASS */
    char nick[LOGIN_CHARS];
    struct user *user; /* set once logged in */
    bool anonymous;
    bool left; /* its user's connections are counted down */
    struct irc_splitter in;
    struct membership *rooms; /* by room */

    struct queue lines;  /* whole lines with CRLF */
    struct queue wire;   /* frames made by the control port, go out before lines */
    struct flood *flood; /* goes out behind lines; NULL: none */
    bool want_write;
    bool congested;
    bool closing; /* close when all is written */
    bool killed;  /* close now */

    bool half_open;
    bool swap;
    struct delayed *held; /* the line that is swapped with the next */
    uint64_t lag_ms;
    struct delayed *lagging;
    struct delayed *lagging_last;
    size_t lagging_bytes;
    uint64_t write_rate;  /* bytes a second, 0: as fast as it goes */
    int64_t write_credit; /* bytes it may write now */
    uint64_t read_rate;
    int64_t read_credit;
    bool read_stopped;
    uint64_t paused_until; /* reads nothing before */
    uint64_t silenced_until;
    uint64_t close_at; /* when to close, or while closing: when to reset; 0: never */

    uint64_t pinged_ms; /* when the last PING was sent, or the connection opened */
    bool pong_due;
    uint64_t lines_out;
    uint64_t lines_in;
    uint64_t messages; /* PRIVMSG it sent */
};

struct conn *conn_create(struct sim *s, struct lws *wsi, bool tls);
/* Leave all rooms and free; from LWS_CALLBACK_CLOSED only. */
void conn_destroy(struct conn *c);

/* Queue one line (no CRLF; with its tags, which are taken off where tags were not asked for). */
void conn_send(struct conn *c, struct slice line);
void conn_printf(struct conn *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Bytes that wait to go out. */
size_t conn_queued(const struct conn *c);
/* libwebsockets can take bytes. Non-zero: close. */
int conn_writable(struct conn *c);
/* Put a frame on the wire as it is: opcode with FIN bit, any payload. */
void conn_send_frame(struct conn *c, unsigned char first_byte, const void *payload, size_t len);
/* Put bytes on the wire that need not be a frame. */
void conn_send_bytes(struct conn *c, const void *bytes, size_t len);

/* Leave all rooms, and close when what is queued is written (with a close frame); not inside a walk over
 * a room's members. conn_kill: now, with a TCP reset, what is queued is lost. */
void conn_close(struct conn *c);
void conn_kill(struct conn *c);

/* Ask to be called when it can be written. */
void conn_want_write(struct conn *c);
/* Forget all that waits to go out. */
void conn_drop_queues(struct conn *c);
/* Time passed: lagging lines, rates, pauses, PING. `elapsed_ms` since the last call. Returns true
 * while it needs a call every 10 ms. */
bool conn_tick(struct conn *c, uint64_t now, uint64_t elapsed_ms);

#endif
