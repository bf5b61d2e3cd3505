/* Shard: the life of one chat connection, without the connection.
 *
 *     idle -> connecting -> authenticating -> ready -> draining -> closed
 *       any failure -> backoff -> connecting
 *
 * and each channel in it (gone: parted, forgotten right after it was reported):
 *
 *     queued -> joining -> joined -> parting -> gone
 *       joining -> queued (no answer: once more; connection lost)
 *       joining -> failed -> queued (an hour later, or sooner: the account is in too many rooms)
 *
 * Pure: facts and `now` (mono_ms of base.h) come in, effects go out through a struct shard_port. No
 * socket, no clock, no timer. The happy path: shard_start draws a login slot; when it is granted,
 * connect; shard_on_connected writes the login at once; 001 is ready; join slots are drawn, 20 at
 * most at a time, and JOIN is written when a slot's time has come; a ROOMSTATE or the own JOIN
 * answers it; from the JOIN on, the room lines of the channel are handed out. Failures: a
 * connection that is lost, silent after a PING, or refused is closed, waits (at once, 1, 2, 4 ...
 * 60 s; from 30 s to 10 min where the login was refused), draws and connects anew, and joins again
 * what it had, the recently active first; each channel that was joined gets a gap.
 *
 * The driver: calls an input, then arms its timer for shard_deadline and calls shard_tick at that
 * time or later. Every input does at once whatever is due, so no tick is needed besides.
 *
 * Owns its channels and its list of sends that wait for an answer. Borrows port and ctx for its
 * lifetime. Loop thread only. Port functions are called from within inputs: they may call the
 * getters and shard_send, and nothing else of the same shard. Tokens never pass through here. */
#ifndef SHOAL_NODE_SHARD_H
#define SHOAL_NODE_SHARD_H

#include "shared/err.h"
#include "shared/figures.h"
#include "shared/irc/standing.h"
#include "shared/machine.h"
#include "shared/send_status.h"

struct shard_core;

enum shard_state {
    SHARD_IDLE,
    SHARD_CONNECTING,
    SHARD_AUTHENTICATING,
    SHARD_READY,
    SHARD_DRAINING,
    SHARD_CLOSED,
    SHARD_BACKOFF,
    SHARD_STATES
};
/* "idle", "connecting", ...: as the registry shows it. */
const char *shard_state_name(enum shard_state state);

enum shard_channel_state {
    SHARD_CHANNEL_QUEUED,
    SHARD_CHANNEL_JOINING,
    SHARD_CHANNEL_JOINED,
    SHARD_CHANNEL_PARTING,
    SHARD_CHANNEL_FAILED,
    SHARD_CHANNEL_GONE,
    SHARD_CHANNEL_STATES
};
/* "queued", "joining", ... */
const char *shard_channel_state_name(enum shard_channel_state state);

/* What Twitch said about a room (ROOMSTATE). */
struct shard_room {
    char id[24];            /* room-id; empty: not known yet */
    int32_t slow_s;         /* seconds between messages of one user; 0: off */
    int32_t followers_only; /* minutes of following; -1: off */
    bool emote_only;
    bool subs_only;
    bool r9k;
};

/* One channel, to be read only. */
struct shard_channel {
    char name[IRC_CHANNEL_CHARS];
    struct machine machine;     /* its state is an enum shard_channel_state */
    uint64_t since_ms;          /* when that state began */
    char reason[64];            /* why it failed: "no_answer", "msg_banned", ...; else empty */
    uint64_t next_try_ms;       /* failed: when it is queued again; else 0 */
    enum irc_standing standing; /* of our user there, as the last USERSTATE says */
    bool known;                 /* a ROOMSTATE has filled `room` */
    struct shard_room room;     /* the newest known state */
    bool rejoin;                /* it was joined before: goes first */
    bool settled;               /* it was joined or has failed, since it is here */
    uint64_t last_active_ms;    /* its last room line; 0: none */
    uint64_t lost_at_ms;        /* what came after this was missed; 0: nothing */
};

/* A channel that the shard should hold. */
struct shard_want {
    struct slice name;   /* valid (irc_channel_valid); others are skipped */
    bool rejoin;         /* it was joined before, by whomever: before first joins */
    uint64_t lost_at_ms; /* nobody has read it since (mono ms): gap when joined; 0: no gap */
    uint64_t retry;      /* a number that grew: one that failed is tried again now */
};

enum shard_draw_kind { SHARD_DRAW_LOGIN, SHARD_DRAW_JOIN, SHARD_DRAW_KINDS };

enum shard_write_kind {
    SHARD_WRITE_KEEPALIVE, /* PING, PONG: allowed while fenced */
    SHARD_WRITE_JOIN,
    SHARD_WRITE_PART,
    SHARD_WRITE_MESSAGE,
};

struct shard_send_result {
    uint64_t send_id;
    struct slice channel;
    /* Its reason is empty where a USERSTATE says sent; else the msg-id of the NOTICE. Unknown:
     * "no_answer", "connection_lost", "overtaken" (a later send was answered). */
    struct send_outcome outcome;
    const struct irc_line
        *userstate; /* sent: the USERSTATE that says so; NULL where a NOTICE did, and else */
    bool held;      /* this shard holds the channel: nobody hears the message, echo */
};

/* The effects. None may be NULL. Slices and lines are valid during the call. */
struct shard_port {
    /* Open a connection. Answered later, never from within, by shard_on_connected or
     * shard_on_disconnected. */
    void (*connect)(void *ctx);
    /* Close it, opened or opening. It is gone for the shard: nothing of it may come in any more. */
    void (*close)(void *ctx, const char *reason);
    /* Write the login of the user (irc_write_login), if the own lease still holds. False: not
     * written (no token: fill err with ERR_AUTH; fenced: leave it). */
    bool (*login)(void *ctx, struct err *err);
    /* Write one line with CR LF. False: surely not written (queue full, or the own lease is over
     * and `kind` is not KEEPALIVE). */
    bool (*write)(void *ctx, enum shard_write_kind kind, struct slice bytes);
    /* Draw n slots of the user's budget. Answered later by shard_on_grant, never from within. */
    void (*draw)(void *ctx, enum shard_draw_kind kind, unsigned n);
    /* Fan out: a room line of a channel that is joining or joined here. */
    void (*room_line)(void *ctx, const struct shard_channel *channel, const struct irc_line *line);
    void (*state_changed)(void *ctx, enum shard_state from, enum shard_state to);
    /* State, standing or room of the channel changed. After GONE it is no more. */
    void (*channel_changed)(void *ctx, const struct shard_channel *channel);
    /* Joined again: lines from from_ms to to_ms (mono ms) may have been missed. */
    void (*gap)(void *ctx, const struct shard_channel *channel, uint64_t from_ms, uint64_t to_ms);
    /* Exactly once for each accepted shard_send, unless the shard is destroyed before. */
    void (*send_result)(void *ctx, const struct shard_send_result *result);
    /* What came is no line: `line` as it came (empty where it was too long to be kept), and why.
     * Counted in the stats before. */
    void (*bad_line)(void *ctx, struct slice line, const char *why);
    /* Twitch refused the login; the token should be looked at. See shard_on_token. */
    void (*login_refused)(void *ctx, struct slice text);
};

struct shard_stats {
    uint64_t lines;      /* read, all kinds */
    uint64_t bytes;      /* of them */
    uint64_t room_lines; /* handed out */
    uint64_t slots_lost; /* granted, not used in time */
    /* Those that are counted here; the others are 0. */
    struct figures_shard figures;
};

/* A shard in idle. `login` valid (irc_channel_valid), copied as `id` is. Destroy with
 * shard_destroy. */
struct shard_core *shard_create(const char *id, const char *login, const struct shard_port *port,
                                void *ctx);
/* Closes the connection if there is one and frees; reports nothing. NULL is fine. Not from a port
 * function. */
void shard_destroy(struct shard_core *s);

/* Begin to connect (idle only). */
void shard_start(struct shard_core *s, uint64_t now_ms);
/* These channels and no others: joins what is new, parts what is missing. Those that have failed
 * and are named again stay failed until their time, or until their `retry` grows. Works in any
 * state. */
void shard_set_channels(struct shard_core *s, const struct shard_want *wants, size_t n,
                        uint64_t now_ms);
/* How long a channel that has failed waits for its next try, also those that have: as the setting
 * failed_retry_ms by default. */
void shard_set_failed_retry(struct shard_core *s, uint64_t ms, uint64_t now_ms);
/* No new joins and sends; when the answers to sends are there or overdue: closed. */
void shard_stop(struct shard_core *s, uint64_t now_ms);
/* Closed at once; sends that wait become unknown. */
void shard_close(struct shard_core *s, const char *reason, uint64_t now_ms);
/* Fenced: the own lease is over and nobody was asked yet. Writes PING and PONG only, joins and logs
 * in nothing, keeps connection and channels, goes on handing out lines. */
void shard_set_fenced(struct shard_core *s, bool fenced, uint64_t now_ms);
/* A new token is there: a shard that waits after a refused login tries at once. */
void shard_on_token(struct shard_core *s, uint64_t now_ms);
/* Send a chat message: `line` is whole (irc_write_privmsg), `nonce` what it carries, or empty. The
 * channel need not be held here. `command`: it is a command to Twitch (irc_is_command), which is
 * answered by a NOTICE. 0: written, send_result follows; -ERR_DOWN or -ERR_FULL: surely not
 * written, no result follows. */
MUST_USE int shard_send(struct shard_core *s, uint64_t send_id, struct slice channel,
                        struct slice line, struct slice nonce, bool command, uint64_t now_ms,
                        struct err *err);

/* The connection is open. */
void shard_on_connected(struct shard_core *s, uint64_t now_ms);
/* The connection could not be opened, or is lost. Lines that came after `caught_up_ms` may be lost
 * with it: a gap begins there, where the last line was read later. */
void shard_on_disconnected(struct shard_core *s, const char *why, uint64_t caught_up_ms,
                           uint64_t now_ms);
/* One line without CR LF. Takes anything; what is no line is counted, told (bad_line) and
 * skipped. */
void shard_on_line(struct shard_core *s, struct slice line, uint64_t now_ms);
/* A line longer than IRC_MAX_LINE_BYTES, of which nothing was kept. */
void shard_on_long_line(struct shard_core *s, uint64_t now_ms);
/* The answer to a draw: `n` times at which a slot may be used, maybe fewer than asked, maybe none
 * (then it is drawn anew after draw_retry_ms). */
void shard_on_grant(struct shard_core *s, enum shard_draw_kind kind, const uint64_t *at_ms,
                    size_t n, uint64_t now_ms);
/* Do what is due. Returns shard_deadline. */
uint64_t shard_tick(struct shard_core *s, uint64_t now_ms);
/* When shard_tick wants to be called; UINT64_MAX: never. Look after each input. */
uint64_t shard_deadline(const struct shard_core *s);

/* Getters; what they return is valid until the next input. */
enum shard_state shard_state(const struct shard_core *s);
/* When its last line was read, or where it has read none yet, when it was connected. */
uint64_t shard_last_line_ms(const struct shard_core *s);
/* May shard_send be called: ready, not fenced, not about to be closed? */
bool shard_can_send(const struct shard_core *s);
/* The last failure, one line; empty: none since it was last ready. */
const char *shard_last_error(const struct shard_core *s);
const struct shard_stats *shard_stats(const struct shard_core *s);
size_t shard_channel_count(const struct shard_core *s, enum shard_channel_state state);
/* NULL: not here. */
const struct shard_channel *shard_channel(const struct shard_core *s, struct slice name);
/* All channels, in no order. `each` changes nothing. */
void shard_each_channel(const struct shard_core *s,
                        void (*each)(void *ctx, const struct shard_channel *channel), void *ctx);

#endif
