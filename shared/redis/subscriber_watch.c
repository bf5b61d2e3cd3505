/* Subscriber, watch: is the server alive, and how it is left.
 *
 * The probe: a subscription on a dead server is silent like a quiet one. When nothing came for
 * probe_ms, PING must be answered within the link's deadline (any message counts as an answer).
 *
 * Leaving: nothing is asked any more but to unsubscribe from all, and a PING behind that. Its answer is the last. Who closed
 * the connection instead would leave in it what PUBLISH has counted as heard. */
#include "shared/redis/subscriber_private.h"

#define SUBSCRIBER_SECOND_LOOK_MS 20
#define SUBSCRIBER_LEAVE_MS       1000
#define GOODBYE                   "goodbye" /* what the last PING says */

static void leave_now(struct subscriber *s)
{
    if (s->leave_why.code == ERR_UNABLE) {
        link_refuse(s->link, s->leave_why.text);
    } else {
        link_reset(s->link, s->leave_why.text);
    }
}

static void probe(struct subscriber *s)
{
    const char *argv[] = {"PING"};

    if (link_send_push(s->link, 1, argv, NULL) == 0) {
        s->probing = true;
        s->second_look = false;
        s->probed = uv_now(s->loop);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct subscriber *s = timer->data;
    uint64_t now = uv_now(s->loop);
    uint64_t next = s->o.probe_ms;

    if (!link_is_up(s->link)) {
        return; /* on_up starts the timer anew */
    }
    if (s->leaving && s->second_look) {
        leave_now(s);
        return;
    }
    if (s->leaving && now < s->leave_by) {
        next = s->leave_by - now;
    } else if (s->leaving) {
        s->second_look = true;
        next = SUBSCRIBER_SECOND_LOOK_MS;
    } else if (!s->probing && now - s->heard >= s->o.probe_ms) {
        probe(s);
        next = s->o.link.reply_ms;
    } else if (!s->probing) {
        next = s->o.probe_ms - (now - s->heard);
    } else if (now - s->probed < s->o.link.reply_ms) {
        next = s->o.link.reply_ms - (now - s->probed);
    } else if (!s->second_look) {
        s->second_look = true; /* after a pause of this process the answer may lie in the socket */
        next = SUBSCRIBER_SECOND_LOOK_MS;
    } else {
        link_reset(s->link, "the subscription is dead: PING was not answered in time");
        return;
    }
    uv_timer_start(timer, on_timer, next, 0);
}

void watch_begin(struct subscriber *s)
{
    watch_on_word(s);
    uv_timer_start(&s->timer, on_timer, s->o.probe_ms, 0);
}

void watch_end(struct subscriber *s)
{
    uv_timer_stop(&s->timer);
    s->leaving = false;
}

void watch_on_word(struct subscriber *s)
{
    s->heard = uv_now(s->loop);
    s->probing = false;
    s->second_look = false;
}

static bool say_goodbye(struct subscriber *s)
{
    const char *topics[] = {"UNSUBSCRIBE"};
    const char *patterns[] = {"PUNSUBSCRIBE"}; /* not every user may */
    const char *last[] = {"PING", GOODBYE};

    return link_send_push(s->link, 1, topics, NULL) == 0 &&
           (s->patterns == NULL || link_send_push(s->link, 1, patterns, NULL) == 0) &&
           link_send_push(s->link, 2, last, NULL) == 0;
}

void watch_leave(struct subscriber *s, enum err_code code, const char *why)
{
    if (s->leaving || !link_is_up(s->link)) {
        return;
    }
    s->leaving = true;
    s->second_look = false;
    s->leave_by = uv_now(s->loop) + SUBSCRIBER_LEAVE_MS;
    err_set(&s->leave_why, code, "%s", why);
    if (!say_goodbye(s)) {
        leave_now(s);
        return;
    }
    uv_timer_start(&s->timer, on_timer, SUBSCRIBER_LEAVE_MS, 0);
}

bool watch_on_goodbye(struct subscriber *s, const struct redisReply *reply)
{
    bool last =
        s->leaving && reply->type == REDIS_REPLY_STRING && slice_is(reply_slice(reply), GOODBYE);

    if (last) {
        leave_now(s);
    }
    return last;
}

void watch_on_leave(void *ctx, const char *why)
{
    watch_leave(ctx, ERR_DOWN, why);
}
