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

void topics_want(struct sender *s, struct lane *lane)
{
    lane->listen_ms = mono_ms();
    sender_job_at(s, JOB_TOPICS, 0);
}

void topics_listen(struct sender *s, struct lane *lane, bool listens)
{
    char topic[REGISTRY_TOPIC_CHARS];

    if (lane->listens != listens) {
        lane->listens = listens;
        registry_topic(s->options.registry, TOPIC_SEND, lane->channel, topic);
        (listens ? subscriber_add : subscriber_remove)(s->options.subscriber, slice_of(topic));
    }
}

void sender_on_topics_down(struct sender *s)
{
    for (struct lane *lane = s->lanes; lane != NULL; lane = lane->hh.next) {
        if (lane->listens) {
            topics_listen(s, lane, false);
            topics_want(s, lane);
        }
    }
}

static void on_listeners(void *ctx, const struct registry_listeners *listeners,
                         const struct err *err)
{
    struct topics_call *call = ctx;
    struct sender *s = call->sender;

    s->asking_topics = false;
    if (err == NULL && call->generation == s->generation && listeners->n == call->n) {
        /* Where nobody else listens, or nobody can any more, not even who was told so before and
         * has not begun yet. Past the lease the answer may be old: who stood still before reading
         * it would listen beside another. */
        size_t n = listeners->ngone == 0 && s->options.may_act(s->options.ctx) ? call->n : 0;
        for (size_t i = 0; i < n; i++) {
            struct lane *lane;
            HASH_FIND_STR(s->lanes, call->channels[i], lane);
            if (lane != NULL && lane->served != NULL &&
                (listeners->counts[i] == 0 ||
                 mono_ms() - lane->listen_ms >= listeners->patience_ms)) {
                topics_listen(s, lane, true);
            }
        }
        size_t killed = 0;
        while (killed < listeners->ngone &&
               registry_kill_listener(s->options.registry, listeners->gone[killed]) == 0) {
            killed++;
        }
    }
    sender_job_at(s, JOB_TOPICS, mono_ms() + AGAIN_MS); /* for the others, if there are any */
    free(call);
}

void topics_look(struct sender *s)
{
    const struct registry_greeting *greeting = subscriber_greeting(s->options.subscriber);
    char topics[ASK_MOST][REGISTRY_TOPIC_CHARS];
    struct slice names[ASK_MOST];

    s->job_ms[JOB_TOPICS] = UINT64_MAX;
    if (s->asking_topics || s->leaving) {
        return; /* the answer looks again */
    }
    struct topics_call *call = xcalloc(1, sizeof(*call));
    call->sender = s;
    call->generation = s->generation;
    for (struct lane *lane = s->lanes; lane != NULL && call->n < ASK_MOST; lane = lane->hh.next) {
        if (lane->served != NULL && !lane->listens) {
            memcpy(call->channels[call->n], lane->channel, sizeof(lane->channel));
            names[call->n] = slice_of(
                registry_topic(s->options.registry, TOPIC_SEND, lane->channel, topics[call->n]));
            call->n++;
        }
    }
    s->asking_topics =
        call->n > 0 && greeting != NULL &&
        registry_send_listen(s->options.registry, s->options.node, s->options.incarnation,
                             greeting->link_id, greeting->run_id, names, call->n, on_listeners,
                             call) == 0;
    if (!s->asking_topics) {
        if (call->n > 0) {
            sender_job_at(s, JOB_TOPICS, mono_ms() + AGAIN_MS); /* a link is down */
        }
        free(call);
    }
}
