/* Sender: says what applications want said, each send once, with one result.
 *
 *   topic   -> send_accept -+
 *                           v
 *   outbox stream -> known -> lane of its channel -> claim -> (slot) -> written -> answer -> done
 *
 *   queued -> claimed -> written -> sent | rejected | unknown;   queued -> expired
 *
 * A lane is a channel's queue: one send of a channel is under way at a time. The registry decides
 * whether this node may say it (send_claim: sender, budgets, ttl); the line is written once, not before
 * its slot, not later than 500 ms after, and only within the lease; else send_unclaim. Twitch's answer
 * comes back through sender_on_result.
 *
 * Failure modes: the link to Redis fails before a claim is answered: it is taken back when the link is
 * up again, then claimed anew. The link fails before the result is stored: stored when it is back. The
 * lease is lost: everything is forgotten; the registry has answered `unknown` for what was claimed. An
 * entry whose channel is another node's is forgotten, and found again by sender_rescan.
 *
 * Owns lanes and a timer. Borrows the registry (its link may be down) and the subscriber. Loop thread only. */
#ifndef SHOAL_NODE_SENDER_H
#define SHOAL_NODE_SENDER_H

#include "shared/redis/registry.h"
#include "shared/redis/subscriber.h"

struct sender;

enum send_status { SEND_SENT, SEND_REJECTED, SEND_UNKNOWN };

struct sender_options {
    struct registry *registry;
    struct subscriber *subscriber;
    const char *cluster;
    const char *node;
    const char *incarnation;    /* borrowed; may change behind the pointer after sender_reset */
    bool (*may_act)(void *ctx); /* does this node hold its lease now? */
    /* Can a line be sent on this shard now? Asked before a claim, so that no budget is drawn in vain. */
    bool (*can_send)(void *ctx, struct slice shard);
    /* Write a chat line on a shard's connection: 0, or an err where it was surely not written (not ready:
     * tried again; -ERR_PROTOCOL: it can never be). The answer comes through sender_on_result(entry). */
    int (*write)(void *ctx, struct slice shard, const struct registry_send *send, const char *entry,
                 struct err *err);
    void *ctx;
};

struct sender *sender_create(uv_loop_t *loop, const struct sender_options *options);
void sender_destroy(struct sender *s);
/* The sends of `shard` (its channels) are said on this node's shard `sender_shard`; replaces what was known
 * of that shard. */
void sender_serve(struct sender *s, const struct registry_shard *shard);
/* Keep only these shards' channels. */
void sender_keep(struct sender *s, const struct slice *shards, size_t n);
/* The shard of this node that says what goes to channels nobody joined; empty: none does. */
void sender_serve_unjoined(struct sender *s, struct slice shard);
/* A message on a send topic. False if the topic is none. */
bool sender_on_message(struct sender *s, struct slice topic, struct slice payload);
/* An entry of the outbox. */
void sender_on_entry(struct sender *s, const struct registry_entry *entry);
/* Twitch's answer, or none (SEND_UNKNOWN). Reason and text may be empty. */
void sender_on_result(struct sender *s, const char *entry, enum send_status status,
                      struct slice reason, struct slice text);
/* Read the outbox from its beginning: the link is back, or this node serves more than before. */
void sender_rescan(struct sender *s);
/* Forget everything: the lease is lost. */
void sender_reset(struct sender *s);
/* Nothing claimed, nothing written that waits for its answer? */
bool sender_is_drained(const struct sender *s);

#endif
