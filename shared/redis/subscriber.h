/* Subscriber: topics and patterns of Redis pub/sub that stay subscribed.
 *
 * Holds the wanted set; subscribes anew after each reconnect; adds and removes in batches (one
 * command with many topics per loop turn). Idle for `probe_ms` it sends PING and takes the
 * connection for dead when no answer comes within the link's deadline. Where its group leaves the
 * server, it unsubscribes and reads on until that is confirmed, for a second at most: what PUBLISH
 * has counted as heard is heard. Owns its link. Messages are handed on in the order Redis sent
 * them. Loop thread only. */
#ifndef SHOAL_REDIS_SUBSCRIBER_H
#define SHOAL_REDIS_SUBSCRIBER_H

#include "shared/redis/registry.h"

struct subscriber;

struct subscriber_options {
    struct link_options
        link;          /* url, tls_ca, name, deadlines; callbacks and raw_pushes are set here */
    bool greet;        /* ask which connection this is, see subscriber_greeting */
    uint64_t probe_ms; /* 0: 5000 */
    /* `topic` and `payload` are valid during the call; for a pattern, topic is the message's
     * topic. */
    void (*on_message)(void *ctx, struct slice topic, struct slice payload);
    /* Everything wanted at that moment is subscribed (after each connect, and after adding); may be
     * NULL. */
    void (*on_ready)(void *ctx);
    /* Redis has confirmed the last of what was asked of it, removals too; may be NULL. */
    void (*on_settled)(void *ctx);
    void (*on_down)(void *ctx, const struct err *why); /* may be NULL */
    void *ctx;
};

struct subscriber *subscriber_create(uv_loop_t *loop, const struct subscriber_options *options);
/* As link_close. */
void subscriber_close(struct subscriber *s, void (*on_closed)(void *ctx), void *ctx);
/* Want a topic or stop wanting it; idempotent, not counted. What was published before Redis has
 * seen the removal is still handed on: its publisher was told that somebody hears it. */
void subscriber_add(struct subscriber *s, struct slice topic);
void subscriber_remove(struct subscriber *s, struct slice topic);
void subscriber_add_pattern(struct subscriber *s, struct slice pattern);
/* Redis has confirmed all that is wanted. */
bool subscriber_is_ready(const struct subscriber *s);
/* Redis has confirmed all that was asked of it, removals too; or there is no connection. */
bool subscriber_is_settled(const struct subscriber *s);
/* Which connection, at which server, this is; NULL while that is not known. Valid until the loop
 * runs. */
const struct registry_greeting *subscriber_greeting(const struct subscriber *s);

#endif
