/* Subscriber, watch: is the server alive, and how it is left.
 *
 * The probe: a subscription on a dead server is silent like a quiet one. When nothing came for
 * probe_ms, PING must be answered within the link's deadline (any message counts as an answer).
 *
 * Leaving: nothing is asked any more but to unsubscribe from all, and a PING behind that. Its
 * answer is the last. Who closed the connection instead would leave in it what PUBLISH has counted
 * as heard. */
#include "shared/redis/subscriber_private.h"

#define SUBSCRIBER_SECOND_LOOK_MS 20
#define SUBSCRIBER_LEAVE_MS       1000
#define GOODBYE                   "goodbye" /* what the last PING says */

#define ENDS (MACHINE_BIT(WATCH_LEAVING) | MACHINE_BIT(WATCH_DOWN))

static const struct machine_state states[] = {
    [WATCH_DOWN] = {"down", MACHINE_BIT(WATCH_QUIET)},
    [WATCH_QUIET] = {"quiet", MACHINE_BIT(WATCH_PROBING) | ENDS},
    [WATCH_PROBING] = {"probing", MACHINE_BIT(WATCH_QUIET) | ENDS},
    [WATCH_LEAVING] = {"leaving", MACHINE_BIT(WATCH_DOWN)},
};

static const struct machine_type machine = {"subscriber", states, ARRAY_LEN(states), NULL, NULL};

void watch_init(struct subscriber *s)
{
    machine_begin(&s->watch, &machine, WATCH_DOWN);
}

bool watch_is_leaving(const struct subscriber *s)
{
    return s->watch.state == WATCH_LEAVING;
}

static void leave_now(struct subscriber *s)
{
    if (s->leave_why.code == ERR_UNABLE) {
        link_refuse(s->link, s->leave_why.text);
    } else {
        link_reset(s->link, s->leave_why.text);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct subscriber *s = timer->data;
    uint64_t now = uv_now(s->loop);
    uint64_t next = SUBSCRIBER_SECOND_LOOK_MS;

    if (!link_is_up(s->link)) {
        return; /* on_up starts the timer anew */
    }
    if (now < s->due) {
        next = s->due - now;
    } else if (s->watch.state == WATCH_QUIET) {
        next = s->o.link.reply_ms;
        if (link_send_push(s->link, 1, (const char *[]){"PING"}, NULL) == 0) {
            s->due = now + next;
            machine_move(&s->watch, WATCH_PROBING, s);
        }
    } else if (!s->second_look) {
        s->second_look = true;
    } else if (watch_is_leaving(s)) {
        leave_now(s);
        return;
    } else {
        link_reset(s->link, "the subscription is dead: PING was not answered in time");
        return;
    }
    uv_timer_start(timer, on_timer, next, 0);
}

void watch_begin(struct subscriber *s)
{
    machine_move(&s->watch, WATCH_QUIET, s);
    watch_on_word(s);
    uv_timer_start(&s->timer, on_timer, s->o.probe_ms, 0);
}

void watch_end(struct subscriber *s)
{
    uv_timer_stop(&s->timer);
    if (s->watch.state != WATCH_DOWN) {
        machine_move(&s->watch, WATCH_DOWN, s);
    }
}

void watch_on_word(struct subscriber *s)
{
    s->second_look = false;
    if (s->watch.state == WATCH_PROBING) {
        machine_move(&s->watch, WATCH_QUIET, s);
    }
    if (s->watch.state == WATCH_QUIET) {
        s->due = uv_now(s->loop) + s->o.probe_ms;
    }
}

static bool say_goodbye(struct subscriber *s)
{
    return link_send_push(s->link, 1, (const char *[]){"UNSUBSCRIBE"}, NULL) == 0 &&
           (s->patterns == NULL || /* not every user may */
            link_send_push(s->link, 1, (const char *[]){"PUNSUBSCRIBE"}, NULL) == 0) &&
           link_send_push(s->link, 2, (const char *[]){"PING", GOODBYE}, NULL) == 0;
}

void watch_leave(struct subscriber *s, enum err_code code, const char *why)
{
    if (watch_is_leaving(s) || !link_is_up(s->link)) {
        return;
    }
    s->due = uv_now(s->loop) + SUBSCRIBER_LEAVE_MS;
    s->second_look = false;
    err_set(&s->leave_why, code, "%s", why);
    machine_move(&s->watch, WATCH_LEAVING, s);
    if (!say_goodbye(s)) {
        leave_now(s);
        return;
    }
    uv_timer_start(&s->timer, on_timer, SUBSCRIBER_LEAVE_MS, 0);
}

bool watch_on_goodbye(struct subscriber *s, const struct redisReply *reply)
{
    bool last = watch_is_leaving(s) && reply->type == REDIS_REPLY_STRING &&
                slice_is(reply_slice(reply), GOODBYE);

    if (last) {
        leave_now(s);
    }
    return last;
}

void watch_on_leave(void *ctx, const char *why)
{
    watch_leave(ctx, ERR_DOWN, why);
}
