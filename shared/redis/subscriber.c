/* Subscriber: a wanted set of topics, and what Redis was told of it.
 *
 * How it works: each topic knows whether it is wanted, what was last asked of Redis on this
 * connection, and how many confirmations are still to come. A change only marks the topic; the idle
 * handle then asks for all changes of the loop turn with a few commands of many topics. When the
 * link goes down, all that was asked is forgotten and everything wanted is marked again.
 *
 * Redis confirms in the order it was asked, so a topic is subscribed when it is wanted, was asked
 * for, and nothing is outstanding. `missing` counts the wanted topics that are not there yet.
 * Whether the server is alive, and how it is left: subscriber_watch.c. */
#include "shared/redis/subscriber_private.h"

#include "shared/redis/registry_reply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define SUBSCRIBER_PROBE_MS       5000
#define SUBSCRIBER_REPLY_MS       3000
#define SUBSCRIBER_BATCH          500 /* topics in one command */
#define SUBSCRIBER_BACKOFF_CAP_MS 100 /* held chat flows resume_delay_ms after Redis is back */

static struct topic **set_of(struct subscriber *s, bool pattern)
{
    return pattern ? &s->patterns : &s->topics;
}

static struct topic *topic_find(struct subscriber *s, bool pattern, struct slice name)
{
    struct topic *set = *set_of(s, pattern);
    struct topic *found = NULL;

    HASH_FIND(hh, set, name.ptr, name.len, found);
    return found;
}

static struct topic *topic_add(struct subscriber *s, bool pattern, struct slice name)
{
    struct topic **set = set_of(s, pattern);
    struct topic *t = xcalloc(1, sizeof(*t) + name.len + 1);

    t->pattern = pattern;
    t->len = name.len;
    memcpy(t->name, name.ptr, name.len);
    HASH_ADD_KEYPTR(hh, *set, t->name, t->len, t);
    return t;
}

/* Bring `missing` and the list of changes up to date; forget a topic that is of no use. */
static void topic_update(struct subscriber *s, struct topic *t)
{
    bool missing = t->wanted && !(t->asked && t->outstanding == 0);
    bool change = t->wanted != t->asked;

    if (missing != t->counted) {
        t->counted = missing;
        s->missing = missing ? s->missing + 1 : s->missing - 1;
    }
    if (change && !t->listed) {
        t->listed = true;
        DL_APPEND(s->changed, t);
    } else if (!change && t->listed) {
        t->listed = false;
        DL_DELETE(s->changed, t);
    }
    if (!t->wanted && !t->asked && t->outstanding == 0) {
        struct topic **set = set_of(s, t->pattern);

        HASH_DEL(*set, t);
        free(t);
    }
}

static void tell_if_ready(struct subscriber *s)
{
    if (s->ready_due && !s->teardown.begun && subscriber_is_ready(s)) {
        s->ready_due = false;
        if (s->o.on_ready != NULL) {
            s->o.on_ready(s->o.ctx);
        }
    }
}

/* One command for up to SUBSCRIBER_BATCH changes of one kind. */
static bool ask_batch(struct subscriber *s, bool want, bool pattern)
{
    static const char *const verbs[2][2] = {{"UNSUBSCRIBE", "PUNSUBSCRIBE"},
                                            {"SUBSCRIBE", "PSUBSCRIBE"}};
    const char *argv[SUBSCRIBER_BATCH + 1];
    size_t len[SUBSCRIBER_BATCH + 1];
    struct topic *batch[SUBSCRIBER_BATCH + 1];
    struct topic *t;
    int n = 1;

    argv[0] = verbs[want][pattern];
    len[0] = strlen(argv[0]);
    DL_FOREACH(s->changed, t)
    {
        if (n > SUBSCRIBER_BATCH) {
            break;
        }
        if (t->wanted == want && t->pattern == pattern) {
            argv[n] = t->name;
            len[n] = t->len;
            batch[n] = t;
            n++;
        }
    }
    if (n == 1 || link_send_push(s->link, n, argv, len) != 0) {
        return false;
    }
    for (int i = 1; i < n; i++) {
        batch[i]->asked = want;
        batch[i]->outstanding++;
        s->outstanding++;
        topic_update(s, batch[i]);
    }
    return true;
}

/* Ask Redis for all changes. */
static void ask(struct subscriber *s)
{
    if (watch_is_leaving(s)) {
        return; /* the next server is asked */
    }
    for (int kind = 0; kind < 4; kind++) {
        while (s->changed != NULL && ask_batch(s, (kind & 1) != 0, (kind & 2) != 0)) {
        }
    }
}

static void on_idle(uv_idle_t *idle)
{
    struct subscriber *s = idle->data;

    uv_idle_stop(idle);
    if (link_is_up(s->link)) {
        ask(s);
    }
    tell_if_ready(s);
}

static void subscriber_want(struct subscriber *s, bool pattern, struct slice name, bool wanted)
{
    struct topic *t = topic_find(s, pattern, name);

    if (s->teardown.begun || (t != NULL ? t->wanted : false) == wanted) {
        return;
    }
    if (t == NULL) {
        t = topic_add(s, pattern, name);
    }
    t->wanted = wanted;
    s->ready_due = s->ready_due || wanted;
    topic_update(s, t);
    uv_idle_start(&s->idle, on_idle);
}

void subscriber_add(struct subscriber *s, struct slice topic)
{
    subscriber_want(s, false, topic, true);
}

void subscriber_remove(struct subscriber *s, struct slice topic)
{
    subscriber_want(s, false, topic, false);
}

void subscriber_add_pattern(struct subscriber *s, struct slice pattern)
{
    subscriber_want(s, true, pattern, true);
}

bool subscriber_is_ready(const struct subscriber *s)
{
    return s->missing == 0 && !watch_is_leaving(s) && link_is_up(s->link);
}

bool subscriber_is_settled(const struct subscriber *s)
{
    return !link_is_up(s->link) ||
           (s->outstanding == 0 && s->changed == NULL && !watch_is_leaving(s));
}

const struct registry_greeting *subscriber_greeting(const struct subscriber *s)
{
    return s->greeted && !watch_is_leaving(s) && link_is_up(s->link) ? &s->greeting : NULL;
}

/* CLIENT ID and INFO server, ahead of the first subscription. */
static void greet(struct subscriber *s)
{
    s->greeted = false;
    if (s->o.greet && (link_send_push(s->link, 2, (const char *[]){"CLIENT", "ID"}, NULL) != 0 ||
                       link_send_push(s->link, 2, (const char *[]){"INFO", "server"}, NULL) != 0)) {
        link_reset(s->link, "the greeting could not be sent");
    }
}

static void on_greeting(struct subscriber *s, const struct redisReply *reply)
{
    struct err err;

    if (reply->type == REDIS_REPLY_INTEGER && reply->integer > 0) {
        s->greeting.link_id = (uint64_t)reply->integer;
    } else if (reply->type == REDIS_REPLY_STRING) {
        s->greeted = reply_info(reply, &s->greeting, &err) == 0 && s->greeting.link_id != 0;
    }
}

static void on_confirmed(struct subscriber *s, bool pattern, struct slice name)
{
    struct topic *t = topic_find(s, pattern, name);

    if (t == NULL || t->outstanding == 0) {
        return; /* UNSUBSCRIBE of nothing */
    }
    t->outstanding--;
    s->outstanding--;
    topic_update(s, t);
    tell_if_ready(s);
    if (s->o.on_settled != NULL && !s->teardown.begun && subscriber_is_settled(s)) {
        s->o.on_settled(s->o.ctx);
    }
}

static void on_message(struct subscriber *s, bool pattern, struct slice name, struct slice topic,
                       struct slice payload)
{
    /* Also where it is not wanted any more: until Redis has seen that, it tells publishers that
     * they are heard. */
    if (topic_find(s, pattern, name) != NULL) {
        s->o.on_message(s->o.ctx, topic, payload);
    }
}

static void on_array(struct subscriber *s, const struct redisReply *reply)
{
    struct slice kind = reply_slice(reply->element[0]);
    struct slice first = reply_slice(reply->element[1]);

    if (slice_is(kind, "message") && reply->elements == 3) {
        on_message(s, false, first, first, reply_slice(reply->element[2]));
    } else if (slice_is(kind, "pmessage") && reply->elements == 4) {
        on_message(s, true, first, reply_slice(reply->element[2]), reply_slice(reply->element[3]));
    } else if (slice_is(kind, "subscribe") || slice_is(kind, "unsubscribe")) {
        on_confirmed(s, false, first);
    } else if (slice_is(kind, "psubscribe") || slice_is(kind, "punsubscribe")) {
        on_confirmed(s, true, first);
    }
}

static void on_push(void *ctx, const struct redisReply *reply)
{
    struct subscriber *s = ctx;

    if (s->teardown.begun) {
        return;
    }
    watch_on_word(s);
    if (reply->type == REDIS_REPLY_ERROR) {
        char why[200];

        snprintf(why, sizeof(why), "Redis refuses the subscription: %.150s", reply->str);
        watch_leave(s, ERR_UNABLE, why);
    } else if (reply->type == REDIS_REPLY_ARRAY && reply->elements >= 2) {
        on_array(s, reply);
    } else if (!watch_on_goodbye(s, reply) && !s->greeted) {
        on_greeting(s, reply);
    }
}

static void on_up(void *ctx)
{
    struct subscriber *s = ctx;

    s->ready_due = true;
    watch_begin(s);
    greet(s);
    ask(s);
    tell_if_ready(s);
}

/* Nothing was asked of Redis yet; with `wanted` false, nothing is wanted either: all go. */
static void forget(struct subscriber *s, struct topic *set, bool wanted)
{
    struct topic *t;
    struct topic *next;

    HASH_ITER(hh, set, t, next)
    {
        t->wanted = t->wanted && wanted;
        t->asked = false;
        t->outstanding = 0;
        topic_update(s, t);
    }
}

static void on_down(void *ctx, const struct err *why)
{
    struct subscriber *s = ctx;

    watch_end(s);
    s->greeted = false;
    s->greeting.link_id = 0;
    s->outstanding = 0;
    forget(s, s->topics, true);
    forget(s, s->patterns, true);
    if (!s->teardown.begun && s->o.on_down != NULL) {
        s->o.on_down(s->o.ctx, why);
    }
}

struct subscriber *subscriber_create(uv_loop_t *loop, const struct subscriber_options *options)
{
    struct subscriber *s = xcalloc(1, sizeof(*s));
    const struct link_options *link = &options->link;

    s->o = *options;
    s->loop = loop;
    s->o.probe_ms = options->probe_ms != 0 ? options->probe_ms : SUBSCRIBER_PROBE_MS;
    s->o.link.reply_ms = link->reply_ms != 0 ? link->reply_ms : SUBSCRIBER_REPLY_MS;
    s->o.link.backoff_cap_ms =
        link->backoff_cap_ms != 0 ? link->backoff_cap_ms : SUBSCRIBER_BACKOFF_CAP_MS;
    s->o.link.raw_pushes = true;
    s->o.link.on_up = on_up;
    s->o.link.on_down = on_down;
    s->o.link.on_push = on_push;
    s->o.link.on_leave = watch_on_leave;
    s->o.link.ctx = s;
    BUG_ON(uv_idle_init(loop, &s->idle) != 0 || uv_timer_init(loop, &s->timer) != 0);
    s->idle.data = s;
    s->timer.data = s;
    watch_init(s);
    s->link = link_create(loop, &s->o.link);
    return s;
}

static void finish(void *owner)
{
    struct subscriber *s = owner;

    forget(s, s->topics, false);
    forget(s, s->patterns, false);
    free(s);
}

void subscriber_close(struct subscriber *s, void (*on_closed)(void *ctx), void *ctx)
{
    teardown_begin(&s->teardown, finish, s, on_closed, ctx);
    teardown_handle(&s->teardown, (uv_handle_t *)&s->idle);
    teardown_handle(&s->teardown, (uv_handle_t *)&s->timer);
    link_close(s->link, teardown_part_gone, teardown_part(&s->teardown));
}
