/* Helix: says sends by POST /helix/chat/messages, where their account says by Helix.
 *
 *   helix_say -> (the channel's id, where nobody knows it) -> request -> result, or unsaid
 *
 * The same outbox, claim and result as over a connection; this is the other way of the sender's
 * `write`. A message is one request on a connection of its own, tried once. When the connection
 * stands and nothing of the request is written, the sender is asked whether it may still be said
 * (lease, slot); from then on it may have been. Twitch's answer, or its silence, is the result;
 * what was surely not said is put back: not reached, too many requests, a token that is not valid
 * any more. The account rests for a while then: helix_can_say.
 *
 * The readers hear what is said so as any other message, also on the account's own connections.
 * Loop thread only. */
#ifndef SHOAL_NODE_HELIX_H
#define SHOAL_NODE_HELIX_H

#include "shared/redis/registry_sends.h"
#include "shared/send_status.h"

#include <uv.h>

#define HELIX_ANSWER_MS 10000 /* of one request, from its begin on */

struct helix;

/* As whom Twitch is asked. */
struct helix_account {
    const char *login;     /* of the token: the user's, or "@app" */
    uint64_t rev;          /* grows with its tokens */
    const char *token;     /* a secret */
    const char *client_id; /* the token was made for it */
    const char *user_id;   /* of who says it */
};

struct helix_options {
    uv_loop_t *loop;
    const char *api_url; /* borrowed, as the next two are */
    const char *tls_ca;  /* PEM file; NULL: the system's */
    const char *proxy;   /* its URL; NULL: none */
    /* How the user says it by Helix; false: this node has no token for it now. Lent until the loop
     * turns. */
    bool (*account)(void *ctx, struct slice user, enum registry_say_by say_by,
                    struct helix_account *out);
    /* The request is about to be written: may it be? */
    bool (*may_say)(void *ctx, const char *entry);
    /* One of the two ends each send that helix_say took. */
    void (*on_result)(void *ctx, const char *entry, const struct send_outcome *outcome);
    void (*on_unsaid)(void *ctx, const char *entry);
    /* Twitch did not take the token of this login. */
    void (*on_refused)(void *ctx, const char *login);
    /* The id of a channel, as Twitch told it. */
    void (*on_room_id)(void *ctx, const char *channel, const char *room_id);
    void *ctx;
};

struct helix *helix_create(const struct helix_options *options);
/* Is there a token for the user, does its account not rest, and are not too many under way? */
bool helix_can_say(struct helix *h, struct slice user, enum registry_say_by say_by);
/* As sender_options.write has it. */
MUST_USE int helix_say(struct helix *h, const struct registry_route *route,
                       const struct registry_send *send, const char *entry, struct err *err);
/* The lease is lost: forget all that is under way; nobody is told. What was not written is not. */
void helix_drop(struct helix *h);
/* Verify servers with these CAs from now on; NULL: the system's. Borrowed. */
void helix_trust(struct helix *h, const char *tls_ca);
/* As helix_drop, for good. `on_closed` comes later, or at once where Twitch was never asked
 * anything. */
void helix_close(struct helix *h, void (*on_closed)(void *ctx), void *ctx);

#endif
