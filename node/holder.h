/* Holder: the shards that are placed on this node, each with its connection and its timer.
 *
 * The driver round shard.h: it does what a shard's port asks (connect, write, draw from the user's
 * budget, fan out) and feeds back what comes of it. What it holds is told by the registry's pictures
 * (holder_keep, holder_hold); it never decides.
 *
 *   picture -> holder_hold -> shard core <-> connection <-> Twitch
 *                                |  room lines -> fan-out
 *                                |  what changed -> holder_report -> the next renewal
 *
 * Owns shards, connections (not the pool) and timers. Borrows the rest of its options. Loop thread only. */
#ifndef SHOAL_NODE_HOLDER_H
#define SHOAL_NODE_HOLDER_H

#include "node/connection.h"
#include "node/fanout.h"
#include "node/sender.h"
#include "node/tokens.h"
#include "shared/json.h"
#include "shared/redis/registry.h"

struct holder;

struct holder_options {
    uv_loop_t *loop;
    struct connections *pool;
    const char *twitch_url;
    struct tokens *const *tokens; /* the pointer may change (SIGHUP) */
    struct registry *registry;    /* for draws */
    struct fanout *fanout;
    const char *node;
    const char *incarnation;
    bool (*may_act)(void *ctx); /* does this node hold its lease now? */
    void (*on_send_result)(void *ctx, const char *entry, enum send_status status,
                           struct slice reason, struct slice text);
    void (*on_change)(void *ctx); /* there is something to report */
    /* A connection that was tried since `began_ms` was answered by Twitch (why NULL), or failed. From within a shard. */
    void (*on_contact)(void *ctx, uint64_t began_ms, const char *why);
    /* The user's login was refused, or is tried again after that: read the tokens anew. True: that user's is another now. */
    bool (*on_refused)(void *ctx, struct slice user);
    struct restate *restate; /* remembers what was drawn */
    void *ctx;
};

struct holder *holder_create(const struct holder_options *options);
/* Closes every shard; the memory goes when the loop has closed the timers. */
void holder_destroy(struct holder *h);

/* Hold exactly these shards: others are closed. */
void holder_keep(struct holder *h, const struct slice *ids, size_t n);
/* Hold this shard with these channels; begins it, changes its channels, or connects or closes it as it is
 * started or stopped. */
void holder_hold(struct holder *h, const struct registry_shard *shard);
/* Past the own deadline: write nothing but PING and PONG, keep everything. */
void holder_set_fenced(struct holder *h, bool fenced);
/* Nothing is connected any more while it is blind; what was connected stays. After that all try anew at once. */
void holder_set_blind(struct holder *h, bool blind);
/* Is a connection logged in? */
bool holder_is_working(const struct holder *h);
/* When a line was last read on one that is (mono ms); 0: there is none. */
uint64_t holder_heard_ms(const struct holder *h);
/* Is there nothing to connect? */
bool holder_is_idle(const struct holder *h);
/* How long a failed channel waits before it is joined again, also those that have failed. */
void holder_set_failed_retry(struct holder *h, uint64_t ms);
/* Leave: shards close when the answers to their sends are there. */
void holder_drain(struct holder *h);
/* No shard has a connection any more? */
bool holder_is_closed(const struct holder *h);
/* The lease is lost: close everything now and forget it. */
void holder_drop(struct holder *h);
/* All of the registry is gone, so that nobody else takes over what is held here: before holder_drop. Joined again
 * here, such a channel has its gap. `what`: what is lost, in words. */
void holder_remember(struct holder *h, char *what, size_t size);
/* New tokens were read: shards whose login was refused try again. */
void holder_on_tokens(struct holder *h);

/* Is this shard held here? */
bool holder_holds(const struct holder *h, struct slice shard);
/* Can a message be sent on this shard now? */
bool holder_can_send(const struct holder *h, struct slice shard);
/* Write a chat message on a shard; see sender_options.write. */
MUST_USE int holder_send(struct holder *h, struct slice shard, const struct registry_send *send,
                         const char *entry, struct err *err);
size_t holder_count(const struct holder *h);

/* Append the members "shards", "channels" and "gaps" of a renewal's report: what changed since the
 * last one, at most 500 channels. Returns false if there was nothing. */
bool holder_report(struct holder *h, struct json *out);
/* The last report arrived: its gaps need not be told again. */
void holder_report_arrived(struct holder *h);
/* Is there more to report? */
bool holder_has_report(const struct holder *h);
/* The last report did not arrive, or the registry is another: report everything again. */
void holder_report_all(struct holder *h);
/* A gap; times in mono ms. */
void holder_gap(struct holder *h, struct slice channel, uint64_t from_ms, uint64_t to_ms,
                uint64_t lines, const char *reason);

#endif
