/* Fan-out: every room line, published once and in order, whatever happens to the link to Redis.
 *
 * Lines wait in blocks; a block is one transaction: MULTI, up to 64 PUBLISH (256 KiB), XADD of the
 * same lines to the streams that keep them (history.h), HSET fan:<node> seq k, EXEC. `seq`, which
 * Redis keeps with the lines, names the last line of some block:
 *
 *   answered: forgotten | sent, not answered (at most 1 MiB) | waiting | open: takes lines
 *   ------------------- seq as Redis has it -----------------------------------------> time
 *
 * The happy path: fanout_line puts a line into the open block, the block leaves when the loop turn
 * ends (a lone line at once) and is answered. Failure modes:
 *
 * - The link fails, or Redis refuses: the link is taken anew, the registry says how far Redis came,
 *   and fanout_attach goes on behind that: no line is lost or said twice. Where Redis has forgotten
 *   what it had answered (it was restarted with older data, a replica that was behind was
 *   promoted), that is not said again: every subscriber had it. fanout_attach says how much it is;
 *   and what was answered in the last 2 s goes to the streams again.
 *   (Of what was under way nobody knows.)
 * - Redis was emptied: likewise, unless lines went to the new streams before that was found out
 *   (FLUSHALL breaks no link): none may stand behind newer ones.
 * - A transaction is refused as Redis is full: nothing of a MULTI is taken then, not even PUBLISH.
 *   When all that is under way is answered, blocks leave as calls of a function that may be called
 *   there; it is dearer, so every other second a transaction is tried. No line is lost or doubled.
 *   Where Redis takes a block that was under way behind one that it has refused, that one is said
 *   after it.
 *   Nothing is kept in streams then.
 * - Somebody put something else at the seq key: the lines of such a transaction are published all
 *   the same; it is logged once a minute, with the key.
 * - More comes than Redis takes: on_pressure asks that what is not read yet waits in the sockets,
 *   where it is the peer's to send it more slowly; for a second, then Redis counts as away.
 * - Redis is away: lines are held up to buffer_bytes; what does not fit is dropped contiguously per
 *   channel and told through on_gap, one call a channel.
 * - The node is fenced: held (fanout_hold). The lease is lost: fanout_drop, counted and told in the
 *   same way.
 *
 * Owns its blocks. Borrows loop, and the link between attach and detach. Loop thread only. */
#ifndef SHOAL_NODE_FANOUT_H
#define SHOAL_NODE_FANOUT_H

#include "shared/redis/registry.h"

struct fanout;

struct fanout_options {
    const struct registry *registry; /* for names alone */
    const char *node;
    size_t buffer_bytes; /* what may be held */
    /* Asked before anything is written: does this node hold its lease now? */
    bool (*may_send)(void *ctx);
    /* Lines of a channel were dropped: `lines` of them, read between these times (mono ms). */
    void (*on_gap)(void *ctx, struct slice channel, uint64_t from_ms, uint64_t to_ms,
                   uint64_t lines, const char *reason);
    void (*on_drained)(void *ctx); /* nothing is held any more; may be NULL */
    /* More comes than Redis takes, or no more so; may be NULL. */
    void (*on_pressure)(void *ctx, bool high);
    void *ctx;
};

/* What `options` names is borrowed. */
struct fanout *fanout_create(uv_loop_t *loop, const struct fanout_options *options);
/* Closes its loop handle; the memory goes when the loop has closed it. */
void fanout_destroy(struct fanout *f);
/* Take a room line (no CRLF) of a channel, read at `now_ms` (mono_ms); copied. */
void fanout_line(struct fanout *f, struct slice channel, struct slice line, uint64_t now_ms);
/* A link on which the lease was renewed, and the seq the registry answered: flow from seq + 1.
 * Returns how many lines Redis had answered and has forgotten. */
uint64_t fanout_attach(struct fanout *f, struct link *link, uint64_t seq);
/* The link is gone: what was not answered waits for the next one. */
void fanout_detach(struct fanout *f);
/* A renewal was answered, when Redis's time was `redis_now` (ids of entries go by it): keep what is
 * published in streams (history.h) from now on, as `settings` say. `incarnation` is copied. To be
 * called with each such answer, and before fanout_attach. */
void fanout_keep(struct fanout *f, const struct registry_settings *settings,
                 const char *incarnation, struct wall redis_now);
/* Hold back (fenced, Redis just came back) or flow again. */
void fanout_hold(struct fanout *f, bool hold);
/* Forget everything held: it is counted and told as gaps. */
void fanout_drop(struct fanout *f, const char *reason);
/* The same where all that Redis had is gone ("registry_lost"): what was answered lately goes to the
 * streams again when it is attached. */
void fanout_emptied(struct fanout *f);
/* How long the oldest line that was taken and not answered waits; 0: none does. */
uint64_t fanout_waits_ms(const struct fanout *f);
/* What is held: taken, and not answered. */
struct fanout_load {
    size_t bytes; /* as commands of Redis */
    size_t limit; /* and so many may be */
    uint64_t lines;
};
struct fanout_load fanout_load(const struct fanout *f);
/* Is everything taken answered? */
bool fanout_is_drained(const struct fanout *f);

#endif
