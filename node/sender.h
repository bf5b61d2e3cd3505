/* Sender: says what applications want said, each send once, with one result.
 *
 *   topic  -> heard -> send_accept -+
 *                                   v
 *   outbox -> send_take -> known -> lane -> turn -> claim -> (slot) -> written -> answer -> done
 *
 *   queued -> claimed -> written -> sent | rejected | unknown;   queued -> expired
 *
 * A lane is a channel's queue: one send of a channel is under way at a time. A lane whose next send
 * may be claimed waits for its turn in the line of the shard that says it: joined channels first,
 * and none while the account's budget is known to be used up. The registry decides whether this
 * node may say it (send_claim: sender, budgets, ttl); the line is written once, not before its
 * slot, not later than 500 ms after, and only within the lease; else send_unclaim. Twitch's answer
 * comes back through sender_on_result. What it refuses for now goes back with send_later, to be
 * tried again; a text that is split goes back after each part with send_part, for the next.
 *
 * What was heard on a topic is kept until the registry has it: PUBLISH answered that it is heard,
 * so it has a result, whatever happens to the link, the lease or Redis; only the end of this
 * process loses it.
 *
 * Only ids and channels of entries come from Redis before the claim: the step send_take looks at
 * the fields there, since an entry may have 500 MB. The leader calls it when something is added; so
 * that sends go on where nobody leads, the node that serves the channels nobody joined looks as
 * well, each second, and often while something is there. Whoever takes an entry tells the node that
 * says it.
 *
 * Failure modes: the link to Redis fails before a claim is answered: it is taken back when the link
 * is up again, then claimed anew. The link fails before the result is stored: stored when it is
 * back. The lease is lost: all lanes are forgotten; the registry has answered `unknown` for what
 * was claimed. An entry whose channel is another node's is forgotten, and found again by
 * sender_rescan.
 *
 * Owns lanes and a timer. Borrows the registry (its link may be down) and the subscriber. Loop
 * thread only. */
#ifndef SHOAL_NODE_SENDER_H
#define SHOAL_NODE_SENDER_H

#include "node/restate.h"
#include "shared/redis/registry_sends.h"
#include "shared/redis/subscriber.h"
#include "shared/send_status.h"

struct sender;

struct sender_options {
    struct registry *registry;
    struct subscriber *subscriber; /* greets */
    const char *node;
    const char *incarnation;    /* borrowed; may change behind the pointer after sender_reset */
    bool (*may_act)(void *ctx); /* does this node hold its lease now? */
    /* Can a line be sent on this shard now? Asked before a claim, so that no budget is drawn in
     * vain. */
    bool (*can_send)(void *ctx, struct slice shard);
    /* Say it by that route: 0, or an err where it was surely not said (not ready: tried again;
     * -ERR_PROTOCOL: it can never be). The answer comes through sender_on_result(entry). */
    int (*write)(void *ctx, const struct registry_route *route, const struct registry_send *send,
                 const char *entry, struct err *err);
    /* Nothing is under way any more, or nothing heard waits to be entered. */
    void (*on_drained)(void *ctx);
    struct restate *restate; /* remembers what becomes of claims */
    void *ctx;
};

struct sender *sender_create(uv_loop_t *loop, const struct sender_options *options);
/* The links that its calls went to are closed, or never were up. */
void sender_destroy(struct sender *s);
/* The sends of `shard` (its channels) are said on this node's shard `sender_shard`; replaces what
 * was known of that shard. */
void sender_serve(struct sender *s, const struct registry_shard *shard);
/* Keep only these shards' channels. */
void sender_keep(struct sender *s, const struct slice *shards, size_t n);
/* The shard of this node that says what goes to channels nobody joined; empty: none does. */
void sender_serve_unjoined(struct sender *s, struct slice shard);
/* How long a send may wait that does not say; until then it is 30 s. */
void sender_set_ttl(struct sender *s, uint64_t ms);
/* A message on a send topic. False if it is no such topic. */
bool sender_on_message(struct sender *s, struct slice topic, struct slice payload);
/* A hint on the node's own topic: "sends CHANNEL ENTRY CHANNEL ENTRY ...". False if it is
 * another. */
bool sender_on_hint(struct sender *s, struct slice hint);
/* The subscriber's connection was lost, and with it whatever this node listened to. */
void sender_on_topics_down(struct sender *s);
/* Twitch's answer, or none (SEND_UNKNOWN). */
void sender_on_result(struct sender *s, const char *entry, const struct send_outcome *outcome);
/* Instead: it was surely not said, and waits to be claimed again. */
void sender_on_unsaid(struct sender *s, const char *entry);
/* It is about to leave, after its connection was made: may it, by lease and slot? */
bool sender_may_leave(struct sender *s, const char *entry);
/* Take what is new in the outbox, then look at all that waits: the link is back, or this node
 * serves more than before. */
void sender_rescan(struct sender *s);
/* Listen to no topic any more: the node leaves. */
void sender_drain(struct sender *s);
/* Forget everything but what was heard: the lease is lost. */
void sender_reset(struct sender *s);
/* Do nothing any more: link and subscriber are about to go. */
void sender_stop(struct sender *s);
/* Nothing claimed, nothing written that waits for its answer, nothing heard that is not entered;
 * and, where sender_drain was called, nothing can be heard? */
bool sender_is_drained(const struct sender *s);

#endif
