/* Registry, sends: what applications want said, from the outbox to the one result (05_outbox.lua,
 * 11_sends.lua). As registry.h has it: each call returns 0 and calls back once, or what the link
 * refused it with. */
#ifndef SHOAL_REDIS_REGISTRY_SENDS_H
#define SHOAL_REDIS_REGISTRY_SENDS_H

#include "shared/redis/registry_accounts.h"
#include "shared/send_status.h"

#define REGISTRY_PARTS_MOST 5 /* of a text that is split */

struct registry_send {
    struct slice channel;
    struct slice id;
    struct slice text;
    struct slice reply_to;
    struct slice user;
    struct slice ttl_ms; /* decimal, or empty */
    struct slice by;
    struct slice priority; /* "high", "normal" or "low", or empty */
    bool as_command;
    bool split; /* a long text is said in parts */
};
/* How a send was heard on its topic. */
struct registry_heard {
    const char *process; /* this process: random, without blanks */
    uint64_t
        number; /* grows with every send it enters; the same where a call is made again in doubt */
    uint64_t age_ms;     /* heard so long ago: its ttl runs from then on */
    const char *problem; /* what is wrong with it, as a result says it; "": nothing */
};
/* "accepted" ENTRY (with its priority, as in registry_sends); "refused" ENTRY: it has its result;
 * "again": a call with that number was carried out before. A lower number than the last one counts
 * as carried out. */
MUST_USE int registry_send_accept(struct registry *r, const char *node, const char *incarnation,
                                  const struct registry_send *send,
                                  const struct registry_heard *heard, registry_word_cb cb,
                                  void *ctx);
/* Take what applications added to the outbox (refuse it, or tell the node that says it), and settle
 * what is overdue; a portion of each: "more" (call again) or "done". Anybody may. */
MUST_USE int registry_send_take(struct registry *r, registry_word_cb cb, void *ctx);
/* As registry_await_requests, of entries that were added to the outbox since then, by Redis's clock
 * (0: of any): `now` of the last time, so that none is missed that was added meanwhile. */
MUST_USE int registry_await_sends(struct registry *r, struct wall since, uint64_t block_ms,
                                  registry_rung_cb cb, void *ctx);
/* The same where anything is in the outbox (XLEN), else "empty". (What waits and is not in it any
 * more, as somebody trimmed it, the leader settles.) */
MUST_USE int registry_send_look(struct registry *r, registry_word_cb cb, void *ctx);

struct registry_sends { /* taken, and without a result: one may be claimed */
    bool more;          /* the next begins REGISTRY_SENDS_PER_LIST behind this one */
    size_t n;
    const struct slice *sends; /* channel, entry, channel, entry, ...; behind the digits of an entry
                                * stands "h" where its priority is high, "l" where it is low */
};
typedef void (*registry_sends_cb)(void *ctx, const struct registry_sends *sends,
                                  const struct err *err);
/* Of all that wait, in the order of their deadlines, those from place `from` on that this node may
 * say. */
MUST_USE int registry_send_list(struct registry *r, const char *node, const char *incarnation,
                                uint64_t from, registry_sends_cb cb, void *ctx);

struct registry_listeners {
    uint64_t
        patience_ms; /* by then a node that listens no more has seen that, or its lease is over */
    size_t n;
    const uint64_t *counts; /* of each topic */
    size_t ngone;
    const uint64_t *gone; /* connections of nodes that are gone, which listen, or may yet: they are
                           * to be killed, and meanwhile nobody begins */
};
typedef void (*registry_listeners_cb)(void *ctx, const struct registry_listeners *listeners,
                                      const struct err *err);
/* How many listen to each topic? `link_id`, at the server `run_id`, is the connection this node
 * listens on. */
MUST_USE int registry_send_listen(struct registry *r, const char *node, const char *incarnation,
                                  uint64_t link_id, const char *run_id, const struct slice *topics,
                                  size_t n, registry_listeners_cb cb, void *ctx);

enum registry_claim_word {
    CLAIM_GONE,      /* the entry is: nothing to do */
    CLAIM_DONE,      /* it got its result without being said (expired, rejected, said before) */
    CLAIM_BUSY,      /* another entry of that channel is claimed: try again when that is done */
    CLAIM_LATER,     /* the budget: try again in wait_ms; `held_by` says which */
    CLAIM_ELSEWHERE, /* another node serves the channel, or none */
    CLAIMED,         /* write it in wait_ms */
};
/* What holds a send back, the widest first: all messages of the account; those to channels where it
 * is not moderator; those to channels nobody joined; those of low priority; that Twitch has muted
 * it; or what was said in its own channel (its pace, its share of those). */
enum registry_held_by {
    HELD_BY_ALL,
    HELD_BY_PLAIN,
    HELD_BY_UNJOINED,
    HELD_BY_LOW,
    HELD_BY_MUTED,
    HELD_BY_CHANNEL,
};
/* How a send reaches Twitch. */
struct registry_route {
    struct slice user;  /* the account that says it */
    struct slice shard; /* SAY_BY_IRC: on this one's connection */
    enum registry_say_by say_by;
    struct slice room_id; /* the channel's id at Twitch; empty: not known */
};
struct registry_claim {
    enum registry_claim_word word;
    enum registry_held_by held_by; /* CLAIM_LATER */
    enum send_status status;       /* CLAIM_DONE; SEND_STATUSES: not known */
    uint64_t wait_ms;
    struct registry_route route; /* CLAIMED; CLAIM_LATER: the user alone */
    struct registry_send send;   /* CLAIMED: channel, id, text, reply_to, as_command */
    uint64_t left_ms;            /* CLAIMED: its time is over then */
    int64_t parts_said;          /* CLAIMED: of a text that is split; -1: it is not */
    uint64_t pace_ms; /* CLAIMED: if Twitch says msg_ratelimit, nothing more for so long */
};
typedef void (*registry_claim_cb)(void *ctx, const struct registry_claim *claim,
                                  const struct err *err);
/* Claim an outbox entry. In doubt whether a claim was done (ERR_DOWN, ERR_TIMEOUT) call
 * registry_send_unclaim when the link is back, or the channel stays CLAIM_BUSY: a claim nobody
 * finishes is given up as "unknown" only after a minute. */
MUST_USE int registry_send_claim(struct registry *r, const char *node, const char *incarnation,
                                 struct slice entry, registry_claim_cb cb, void *ctx);
/* It was surely not written: may be claimed again. */
MUST_USE int registry_send_unclaim(struct registry *r, const char *node, const char *incarnation,
                                   struct slice entry, registry_done_cb cb, void *ctx);
/* It was not said, for a reason that passes (`msg_id`, Twitch's): it waits again, and nothing of
 * its account goes to its channel for wait_ms. */
MUST_USE int registry_send_later(struct registry *r, const char *node, const char *incarnation,
                                 struct slice entry, uint64_t wait_ms, struct slice msg_id,
                                 registry_done_cb cb, void *ctx);
/* The channel's id at Twitch is this one: kept for a day. */
MUST_USE int registry_keep_room_id(struct registry *r, const char *node, const char *incarnation,
                                   struct slice channel, struct slice room_id, registry_done_cb cb,
                                   void *ctx);
/* One part of it was said (`parts`: "1/3"), `said_ms` ago: the rest waits, before all others of its
 * channel. */
MUST_USE int registry_send_part(struct registry *r, const char *node, const char *incarnation,
                                struct slice entry, struct slice parts, uint64_t said_ms,
                                registry_done_cb cb, void *ctx);
/* The one result. It was written `said_ms` ago: the pace of its
 * channel runs from then, which may be later than its slot was. */
MUST_USE int registry_send_done(struct registry *r, const char *node, const char *incarnation,
                                struct slice entry, const struct send_outcome *outcome,
                                uint64_t said_ms, registry_done_cb cb, void *ctx);

/* Publish a result without the registry, which keeps it nowhere: 0, or the link is down. `reason`
 * may be "". */
MUST_USE int registry_send_tell(struct registry *r, const char *channel,
                                const struct registry_send *send, enum send_status status,
                                const char *reason, const char *text);

#endif
