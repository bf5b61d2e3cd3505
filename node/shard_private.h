/* Shard, inside: what the files of the shard share. Nobody else includes this.
 *
 *     shard.c          inputs, the tick, getters
 *     shard_life.c     the machine of the connection: connect, log in, PING, fail, back off, drain
 *     shard_budget.c   slots drawn from the user's budget: logins and joins
 *     shard_channel.c  the machine of a channel: join, part, retry, diff
 *     shard_line.c     lines in: who is told what
 *     shard_send.c     messages that wait for their answer
 *
 * Each *_tick does what is due in its part and names its next time with shard_wake. */
#ifndef SHOAL_NODE_SHARD_PRIVATE_H
#define SHOAL_NODE_SHARD_PRIVATE_H

#include "node/shard.h"

#include "shared/backoff.h"

#define uthash_malloc(size) xmalloc(size)
#include <uthash.h>

#define SHARD_NEVER            UINT64_MAX
#define SHARD_MAX_SLOTS        64
#define SHARD_MAX_SENDS        1000 /* that wait for their answer on one connection */
#define SHARD_MAX_NONCE        128
#define SHARD_AGAIN_MS         100   /* after a write that was not taken */
#define SHARD_DRAW_ANSWER_MS   30000 /* a draw unanswered for this long is made anew */
#define SHARD_REFUSED_FIRST_MS 30000 /* wait after a refused login */
#define SHARD_REFUSED_CAP_MS   600000

/* A channel in the table; `pub` is what others see. */
struct shard_entry {
    struct shard_channel pub;
    bool wanted;              /* parting: asked for again meanwhile */
    bool part_written;        /* parting: PART is on its way */
    unsigned attempts;        /* joins without an answer */
    unsigned refused_rooms;   /* times in a row that the account was in too many rooms */
    uint64_t order;           /* first come, first joined */
    uint64_t answer_by_ms;    /* joining, parting */
    uint64_t join_seq;        /* when JOIN was written, counted in writes */
    uint64_t userstate_by_ms; /* until then one USERSTATE may be the JOIN's; 0: it has come */
    uint64_t retry;           /* as it was asked for last */
    uint64_t mark;            /* of the set_channels that named it last */
    UT_hash_handle hh;
};

/* A message written that waits for its answer. In the order of writing. */
struct shard_waiting {
    uint64_t send_id;
    uint64_t seq; /* when it was written, counted in writes */
    uint64_t answer_by_ms;
    bool command;
    bool sure; /* no answer to an earlier message can be taken for its own */
    char channel[IRC_CHANNEL_CHARS];
    char nonce[SHARD_MAX_NONCE + 1];
    struct shard_waiting *prev; /* utlist */
    struct shard_waiting *next;
};

/* Slots of one kind: asked for, granted, not yet used. */
struct shard_slots {
    uint64_t at_ms[SHARD_MAX_SLOTS];
    uint16_t late_ms[SHARD_MAX_SLOTS]; /* so long after that it is lost */
    size_t n;
    unsigned asked; /* in the draw under way; 0: none is */
    uint64_t asked_ms;
    uint64_t not_before_ms; /* of the next draw */
};

struct shard_core {
    char *id;
    char self[IRC_CHANNEL_CHARS];  /* our login; the 001 names an anonymous one */
    uint64_t failed_retry_ms;      /* a failed channel is queued again */
    const struct shard_port *port; /* (borrowed) */
    void *ctx;                     /* (borrowed) */

    struct machine machine; /* its state is an enum shard_state */
    uint64_t since_ms;
    bool busy;            /* inside an input: only shard_send may come in */
    bool started;         /* idle: may connect */
    bool fenced;          /* write PING and PONG only */
    bool connected;       /* a connection exists, opening or open */
    bool login_due;       /* authenticating: the login is not written yet */
    uint64_t login_at_ms; /* the slot of this login was used */
    uint64_t deadline_ms; /* when the next tick is due */
    uint64_t grace_ms;    /* the tick was late: nothing times out before this */

    struct backoff backoff;
    struct backoff refused;
    bool failed_before;    /* since it was last stable: the next wait is not none */
    bool was_refused;      /* backoff: because of the login */
    uint64_t retry_ms;     /* backoff: until then */
    uint64_t ready_ms;     /* when it became ready */
    uint64_t reconnect_ms; /* ready: RECONNECT was read: leave then; 0: no */
    char last_error[256];

    uint64_t last_line_ms;
    uint64_t ping_ms;    /* when the PING that is not answered was written; 0: none */
    uint64_t ping_at_ms; /* when the next is due */
    uint64_t pings;      /* counts: the token */

    struct shard_slots slots[SHARD_DRAW_KINDS];

    struct shard_entry *channels; /* uthash, by name; owns */
    size_t counts[SHARD_CHANNEL_STATES];
    uint64_t order;
    uint64_t mark;

    struct shard_waiting *sends; /* utlist; owns */
    size_t nsends;
    uint64_t unsure_until_ms; /* the answer to an earlier message may still come */
    uint64_t writes;          /* counts JOIN and PRIVMSG */

    struct shard_stats stats;
};

/* shard.c */
/* Tick at `at_ms` at the latest. */
void shard_wake(struct shard_core *s, uint64_t at_ms);
/* Has an answer failed to come by `at_ms`? If not, asks to be woken then. A late tick gives what
 * waits unread in the socket a moment more. */
bool shard_overdue(struct shard_core *s, uint64_t at_ms, uint64_t now_ms);
/* May something other than PING and PONG be written: ready, not fenced, not leaving? */
bool shard_may_write(const struct shard_core *s);

/* shard_life.c */
extern const struct machine_type shard_machine;
/* The one setter of the state. */
void shard_move(struct shard_core *s, enum shard_state to, uint64_t now_ms);
/* Deadlines of the connection itself. */
void shard_life_tick(struct shard_core *s, uint64_t now_ms);
/* Closed, if it is not yet; what hung on the connection is lost. */
void shard_close_now(struct shard_core *s, const char *reason, uint64_t now_ms);
/* Something failed: close, report what is lost, back off. */
void shard_fail(struct shard_core *s, const char *why, uint64_t now_ms);
/* The same, because of the login: the wait is long. */
void shard_refuse(struct shard_core *s, struct slice text, uint64_t now_ms);
/* 001 was read. */
void shard_become_ready(struct shard_core *s, const struct irc_line *line, uint64_t now_ms);
/* RECONNECT was read. */
void shard_reconnect(struct shard_core *s, const struct irc_line *line, uint64_t now_ms);
/* PONG was read. */
void shard_on_pong(struct shard_core *s, const struct irc_line *line, uint64_t now_ms);

/* shard_budget.c */
/* Draws what is needed; connects when a login slot's time has come. */
void shard_budget_tick(struct shard_core *s, uint64_t now_ms);
/* Drops slots whose time is over; how many may be used now. Wakes for the next. */
size_t shard_slots_usable(struct shard_core *s, enum shard_draw_kind kind, uint64_t now_ms);
/* A slot to log in with now, on the connection that is open; draws another where need be. */
bool shard_login_slot(struct shard_core *s, uint64_t now_ms);
/* Uses up `n` of them (n <= shard_slots_usable). */
void shard_slots_use(struct shard_core *s, enum shard_draw_kind kind, size_t n, uint64_t now_ms);

/* shard_channel.c */
struct shard_entry *shard_find(const struct shard_core *s, struct slice name);
/* The one setter of a channel's state; frees the entry where `to` is GONE. */
void shard_channel_move(struct shard_core *s, struct shard_entry *e, enum shard_channel_state to,
                        uint64_t now_ms);
/* JOIN is written: its room lines are handed out. */
bool shard_channel_reads(const struct shard_entry *e);
/* The channel's answer to JOIN is here. */
void shard_channel_joined(struct shard_core *s, struct shard_entry *e, uint64_t now_ms);
/* Twitch will not have us there, or `no_room`: has no room for one more of the account's. */
void shard_channel_failed(struct shard_core *s, struct shard_entry *e, struct slice reason,
                          bool no_room, uint64_t now_ms);
/* The own PART was read. */
void shard_channel_parted(struct shard_core *s, struct shard_entry *e, uint64_t now_ms);
/* The connection is gone: queue what was joined. */
void shard_channels_lost(struct shard_core *s, uint64_t now_ms);
void shard_channels_tick(struct shard_core *s, uint64_t now_ms);
void shard_channels_free(struct shard_core *s);

/* shard_line.c */
void shard_line(struct shard_core *s, struct slice raw, uint64_t now_ms);
/* Count and tell what is no line. */
void shard_bad_line(struct shard_core *s, struct slice raw, const char *why);

/* shard_send.c */
/* A USERSTATE was read; `e` may be NULL. */
void shard_sends_userstate(struct shard_core *s, struct shard_entry *e, const struct irc_line *line,
                           uint64_t now_ms);
/* A NOTICE with a msg-id was read: does it answer a send? `older_than`: only one written before
 * that write. */
bool shard_sends_notice(struct shard_core *s, const struct irc_line *line, struct slice msg_id,
                        uint64_t older_than);
/* The connection is gone: none of them will be answered. */
void shard_sends_lost(struct shard_core *s);
void shard_sends_tick(struct shard_core *s, uint64_t now_ms);
void shard_sends_free(struct shard_core *s);

#endif
