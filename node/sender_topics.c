/* Sender, topics: when this node listens to the send topic of a channel that it serves.
 *
 * A message is heard by all who listen when it is published. Where the sender of a channel moves to another node, the
 * former one goes on listening until it has seen that, and what it has heard it enters; so the new one begins to
 * listen when nobody else does any more. In between PUBLISH answers 0, and the application knows. If somebody
 * listens on (a node that hangs, an application that watches), it begins after a while all the same: then both hear
 * it, and the step lets the serving one enter it. */
#include "node/sender_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASK_MOST   100 /* topics at a time */
#define AGAIN_MS   20
#define PATIENT_MS 500

static void topic_of(const struct sender *s, const struct lane *lane, char *out, size_t size)
{
    snprintf(out, size, "%s%s", s->topic_prefix, lane->channel);
}

static void listen_to(struct sender *s, struct lane *lane)
{
    char topic[128];

    topic_of(s, lane, topic, sizeof(topic));
    subscriber_add(s->options.subscriber, slice_of(topic));
    lane->listens = true;
}

void topics_want(struct sender *s, struct lane *lane)
{
    lane->listen_by_ms = mono_ms() + PATIENT_MS;
    s->topics_due_ms = 0;
}

void topics_forget(struct sender *s, struct lane *lane)
{
    char topic[128];

    if (lane->listens) {
        topic_of(s, lane, topic, sizeof(topic));
        subscriber_remove(s->options.subscriber, slice_of(topic));
        lane->listens = false;
    }
}

/* Nobody listens to this topic now. */
static void on_free(struct sender *s, struct slice topic)
{
    struct lane *lane = NULL;

    if (topic.len > s->topic_prefix_len) {
        HASH_FIND(hh, s->lanes, topic.ptr + s->topic_prefix_len, topic.len - s->topic_prefix_len,
                  lane);
    }
    if (lane != NULL && lane->served != NULL && !lane->listens) {
        listen_to(s, lane);
    }
}

static void on_counts(void *ctx, const struct redisReply *reply, const struct err *err)
{
    struct sender_call *call = ctx;
    struct sender *s = call->sender;
    bool good = err == NULL && reply->type == REDIS_REPLY_ARRAY;

    free(call);
    s->asking_topics = false;
    if (s->closing) {
        return;
    }
    for (size_t i = 0; good && i + 1 < reply->elements; i += 2) {
        if (reply->element[i + 1]->type == REDIS_REPLY_INTEGER &&
            reply->element[i + 1]->integer == 0) {
            on_free(s, reply_slice(reply->element[i]));
        }
    }
    s->topics_due_ms = mono_ms() + AGAIN_MS; /* for the others, if there are any */
    sender_arm(s);
}

/* Ask how many listen to these topics. */
static void ask(struct sender *s, char topics[][128], size_t n)
{
    const char *argv[2 + ASK_MOST] = {"PUBSUB", "NUMSUB"};
    struct sender_call *call = sender_call_create(s, "", "");

    for (size_t i = 0; i < n; i++) {
        argv[2 + i] = topics[i];
    }
    s->asking_topics = link_command_argv(registry_link(s->options.registry), (int)(2 + n), argv,
                                         NULL, on_counts, call) == 0;
    if (!s->asking_topics) {
        free(call);
        s->topics_due_ms = mono_ms() + AGAIN_MS; /* the link is down */
    }
}

void topics_look(struct sender *s)
{
    char topics[ASK_MOST][128];
    uint64_t now = mono_ms();
    struct lane *lane;
    struct lane *tmp;
    size_t n = 0;

    s->topics_due_ms = UINT64_MAX;
    if (s->asking_topics) {
        return; /* the answer looks again */
    }
    HASH_ITER(hh, s->lanes, lane, tmp)
    {
        if (lane->served == NULL || lane->listens) {
            continue;
        }
        if (now >= lane->listen_by_ms) {
            listen_to(s, lane);
        } else if (n < ASK_MOST) {
            topic_of(s, lane, topics[n++], sizeof(topics[0]));
        }
    }
    if (n > 0) {
        ask(s, topics, n);
    }
}
