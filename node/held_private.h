/* What the files of the holder share: holder.c (shards, their timers and budgets), held_transport.c,
 * held_send.c, holder_sight.c, report_shard.c and holder_memory.c. */
#ifndef SHOAL_NODE_HELD_PRIVATE_H
#define SHOAL_NODE_HELD_PRIVATE_H

#include "node/holder.h"
#include "node/shard.h"

#include <uthash.h>

/* A channel whose state is to be reported. */
struct dirty_channel {
    UT_hash_handle hh;
    char name[IRC_CHANNEL_CHARS];
};

/* A send that was written and waits for Twitch's answer. */
struct written {
    UT_hash_handle hh;
    uint64_t id;
    char entry[48];
    struct buf heard; /* its text, as others read it */
};

struct held {
    UT_hash_handle hh;
    struct holder *holder;
    struct held *next_closing;
    struct shard *core;
    struct connection *connection;
    uv_timer_t timer;
    uint64_t armed_ms; /* when the timer fires; UINT64_MAX: not armed */
    bool
        token_is_new; /* the login that was refused may be tried again: tell the core from the loop */
    bool connect_failed;   /* tell the core from the loop */
    unsigned draws_failed; /* kinds (bits) that could not be asked for: the same */
    char *id;
    char *user;
    uint64_t epoch;
    enum shard_run run; /* what is asked of it */
    uint64_t tried_ms;  /* when it was last connected */
    bool asked;         /* it was logged in since, be it answered or not */
    bool login_refused; /* Twitch does not take the token, as far as is known */
    uint64_t mark;      /* of the last holder_keep that named it */
    uint64_t serial;    /* tells this held from an earlier one of the same id */
    struct shard_want *wants;
    char (*names)[IRC_CHANNEL_CHARS];
    size_t nwants;
    struct written *written;
    bool dirty; /* state, rates or error are to be reported */
    struct dirty_channel *dirty_channels;
    uint64_t bad_told_ms;  /* when it was logged that Twitch sent what is no line */
    uint64_t bad_untold;   /* such lines since then */
    uint64_t silent_at_ms; /* nothing was read since, as reported; 0: something was, lately */
    uint64_t active_at_ms; /* which channels had lines up to then was reported */
    bool active;           /* some had lines since, and it is time to report which */
    uint64_t rated_ms;     /* when the rates were taken */
    uint64_t rated_lines;
    uint64_t rated_bytes;
    uint64_t lines_s;
    uint64_t bytes_s;
};

/* A channel that was held when all of the registry was lost. */
struct remembered {
    UT_hash_handle hh;
    uint64_t lost_at_ms; /* nothing was read since (mono ms) */
    char name[IRC_CHANNEL_CHARS];
};

struct gap {
    struct gap *next;
    char channel[IRC_CHANNEL_CHARS];
    uint64_t from_ms;
    uint64_t to_ms;
    uint64_t lines;
    const char *reason; /* a literal */
};

struct holder {
    struct holder_options options;
    struct held *shards;
    struct remembered *remembered;
    struct gap *gaps;
    unsigned ngaps;
    unsigned gaps_sent;       /* the first of them, in a report that is under way */
    uint64_t gaps_unreported; /* more than fit */
    bool fenced;
    bool blind;
    uint64_t failed_retry_ms;
    uint64_t serials;
    uint64_t marks;
    uint64_t send_ids;
    size_t open_timers;
    bool destroyed;
};

/* In holder.c. NULL: not held here. */
struct held *holder_find(const struct holder *h, struct slice id);
/* After each input of a shard: when does it want to be looked at? */
void holder_arm(struct held *held);
/* A core that begins anew, and knows what the old one had joined. */
void holder_renew_core(struct held *held);

/* In holder_sight.c: the shard's state is another. */
void holder_on_contact(struct held *held, enum shard_state from, enum shard_state to);

/* In holder_memory.c: since when the channel is unread, if it was held here when the registry was lost; 0: it was
 * not. It is forgotten with that. */
uint64_t holder_recall(struct holder *h, const char *channel);
void holder_forget_all(struct holder *h);

/* In held_transport.c: what a shard's port asks of its connection. */
void holder_connect(void *held);
void holder_disconnect(void *held, const char *reason);
bool holder_log_in(void *held, struct err *err);
bool holder_write(void *held, enum shard_write_kind kind, struct slice bytes);

/* In held_send.c: the answer to a send; and nobody waits for the others any more. */
void holder_on_send_result(void *held, const struct shard_send_result *result);
void holder_forget_sends(struct held *held);

/* In report_shard.c: something changed. */
void holder_mark_shard(struct held *held);
void holder_mark_channel(struct held *held, const char *channel);
/* Report again what the registry holds otherwise than Twitch has confirmed it here. */
void holder_compare(struct held *held, const struct registry_shard *shard);
/* Forget what is to be reported of a shard that is held no more. */
void holder_unmark(struct held *held);
void holder_free_gaps(struct holder *h);

#endif
