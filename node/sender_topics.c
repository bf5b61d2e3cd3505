/* Sender, topics: when this node listens to the send topic of a channel that it serves.
 *
 * A message is heard by all who listen when it is published, and who hears it enters it: so one
 * node listens at a time. Where the sender of a channel moves to another node, the former one goes
 * on listening until it has seen that; the new one begins when nobody else does any more. In
 * between PUBLISH answers 0, and the application knows. A node that is gone without having closed
 * its connection (it stands still) is still sent what is published: the new one has that connection
 * killed first; what the former one has been sent until then, it enters when it wakes. If somebody
 * listens on (an application that watches), the new one begins after a lease and a half: by then a
 * node has seen that it serves the topic no more, or is gone. While Redis does not say who listens,
 * or past the lease, nobody begins. */
#include "node/sender_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASK_MOST 500 /* topics at a time */
#define AGAIN_MS 20

/* A question about topics under way. */
struct topics_call {
    struct sender *sender;
    uint64_t generation;
    size_t n;
    char channels[ASK_MOST][IRC_CHANNEL_CHARS];
};

static void listen_to(struct sender *s, struct lane *lane)
{
    char topic[REGISTRY_TOPIC_CHARS];

    registry_topic(s->options.registry, TOPIC_SEND, lane->channel, topic);
    subscriber_add(s->options.subscriber, slice_of(topic));
    lane->listens = true;
}

void topics_want(struct sender *s, struct lane *lane)
{
    lane->listen_ms = mono_ms();
    s->topics_due_ms = 0;
    sender_at(s, 0);
}

void topics_forget(struct sender *s, struct lane *lane)
{
    char topic[REGISTRY_TOPIC_CHARS];

    if (lane->listens) {
        registry_topic(s->options.registry, TOPIC_SEND, lane->channel, topic);
        subscriber_remove(s->options.subscriber, slice_of(topic));
        lane->listens = false;
    }
}

void sender_on_topics_down(struct sender *s)
{
    struct lane *lane;
    struct lane *tmp;

    HASH_ITER(hh, s->lanes, lane, tmp)
    {
        if (lane->listens) {
            topics_forget(s, lane);
            topics_want(s, lane);
        }
    }
}

/* Listen where nobody else does, or nobody can any more. */
static void begin_to_listen(const struct topics_call *call,
                            const struct registry_listeners *listeners)
{
    struct sender *s = call->sender;

    for (size_t i = 0; i < listeners->n; i++) {
        struct lane *lane;
        HASH_FIND_STR(s->lanes, call->channels[i], lane);
        if (lane != NULL && lane->served != NULL && !lane->listens &&
            (listeners->counts[i] == 0 || mono_ms() - lane->listen_ms >= listeners->patience_ms)) {
            listen_to(s, lane);
        }
    }
}

static void on_listeners(void *ctx, const struct registry_listeners *listeners,
                         const struct err *err)
{
    struct topics_call *call = ctx;
    struct sender *s = call->sender;

    s->asking_topics = false;
    if (s->closing) {
        free(call);
        return;
    }
    if (err == NULL && call->generation == s->generation && listeners->n == call->n) {
        /* Past the lease the answer may be old: who stood still before reading it would listen
         * beside another. */
        if (s->options.may_act(s->options.ctx)) {
            begin_to_listen(call, listeners);
        }
        size_t killed = 0;
        while (killed < listeners->ngone &&
               registry_kill_listener(s->options.registry, listeners->gone[killed]) == 0) {
            killed++;
        }
    }
    s->topics_due_ms = mono_ms() + AGAIN_MS; /* for the others, if there are any */
    sender_at(s, s->topics_due_ms);
    free(call);
}

/* Ask who listens to these. */
static void ask(struct sender *s, struct topics_call *call)
{
    const struct registry_greeting *greeting = subscriber_greeting(s->options.subscriber);
    char topics[ASK_MOST][REGISTRY_TOPIC_CHARS];
    struct slice names[ASK_MOST];

    call->sender = s;
    call->generation = s->generation;
    for (size_t i = 0; i < call->n; i++) {
        names[i] =
            slice_of(registry_topic(s->options.registry, TOPIC_SEND, call->channels[i], topics[i]));
    }
    s->asking_topics =
        greeting != NULL &&
        registry_send_listen(s->options.registry, s->options.node, s->options.incarnation,
                             greeting->link_id, greeting->run_id, names, call->n, on_listeners,
                             call) == 0;
    if (!s->asking_topics) {
        free(call);
        s->topics_due_ms = mono_ms() + AGAIN_MS; /* a link is down */
    }
}

void topics_look(struct sender *s)
{
    struct topics_call *call;
    struct lane *lane;
    struct lane *tmp;

    s->topics_due_ms = UINT64_MAX;
    if (s->asking_topics || s->leaving) {
        return; /* the answer looks again */
    }
    call = xcalloc(1, sizeof(*call));
    HASH_ITER(hh, s->lanes, lane, tmp)
    {
        if (lane->served == NULL || lane->listens) {
            continue;
        }
        if (call->n < ASK_MOST) {
            memcpy(call->channels[call->n++], lane->channel, sizeof(lane->channel));
        }
    }
    if (call->n > 0) {
        ask(s, call);
    } else {
        free(call);
    }
}
