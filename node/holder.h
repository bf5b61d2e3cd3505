/* Holder: the shards that are placed on this node, all of them.
 *
 * What it holds is told by the registry's pictures (holder_keep, holder_hold); it never decides.
 * What each of them does is in held.h.
 *
 * Owns what is held (held.h), with connections (not their pool) and timers. Loop thread only. */
#ifndef SHOAL_NODE_HOLDER_H
#define SHOAL_NODE_HOLDER_H

#include "node/held.h"

struct holder *holder_create(const struct held_options *options);
/* Closes every shard. The links that its shards draw on were closed, or are before the next
 * answer. */
void holder_destroy(struct holder *h);

/* Hold exactly these shards: others are closed. */
void holder_keep(struct holder *h, const struct slice *ids, size_t n);
/* Hold this shard with these channels; begins it, changes its channels, or connects or closes it as
 * it is started or stopped. */
void holder_hold(struct holder *h, const struct registry_shard *shard);
/* Past the own deadline: write nothing but PING and PONG, keep everything. */
void holder_set_fenced(struct holder *h, bool fenced);
/* Nothing is connected any more while it is blind; what was connected stays. After that all try
 * anew at once. */
void holder_set_blind(struct holder *h, bool blind);
/* Is a connection logged in? */
bool holder_is_working(const struct holder *h);
/* When a line was last read on one that is (mono ms); 0: there is none. */
uint64_t holder_heard_ms(const struct holder *h);
/* What is held, in words: "2 shards, 40 of 50 channels joined". */
void holder_describe(const struct holder *h, char *out, size_t size);
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
/* All of the registry is gone, so that nobody else takes over what is held here: remember its
 * channels, before holder_drop. Joined again here, such a channel has its gap. `what`: what is
 * lost, in words. */
void holder_remember(struct holder *h, char *what, size_t size);
/* New tokens were read: shards whose login was refused try again. */
void holder_on_tokens(struct holder *h);

/* Can a message be sent on this shard now? */
bool holder_can_send(const struct holder *h, struct slice shard);
/* Write a chat message on a shard; see sender_options.write. */
MUST_USE int holder_send(struct holder *h, struct slice shard, const struct registry_send *send,
                         const char *entry, struct err *err);

#endif
