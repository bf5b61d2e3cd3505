/* Leadership: the decision alone; leader.c asks Redis and keeps the timers. */
#include "coordinator/lead/leadership.h"

#include <stdio.h>

#define FIRST_INTERVAL_MS 500 /* between questions while nothing tells how long a lease is */
#define MIN_INTERVAL_MS   20

static void set_state(struct leadership *l, enum leadership_state state)
{
    l->state = state;
    if (state == LEADERSHIP_STANDBY) {
        l->deadline_ms = 0;
        l->lease_guess = 0;
    }
}

static enum leadership_change step_out(struct leadership *l)
{
    if (l->state != LEADERSHIP_LEADING) {
        return LEADERSHIP_SAME;
    }
    set_state(l, LEADERSHIP_STANDBY);
    return LEADERSHIP_OUT;
}

static uint64_t interval(uint64_t lease_ms)
{
    uint64_t ms = lease_ms / 6;
    return ms < MIN_INTERVAL_MS ? MIN_INTERVAL_MS : ms;
}

void leadership_init(struct leadership *l, uint64_t now)
{
    *l = (struct leadership){.state = LEADERSHIP_STANDBY, .next_ms = now};
}

enum leadership_change leadership_on_leading(struct leadership *l, uint64_t sent, uint64_t now,
                                             uint64_t lease_ms, struct slice token)
{
    uint64_t deadline = sent + lease_ms * 9 / 10;
    snprintf(l->token, sizeof(l->token), "%.*s", (int)token.len, token.ptr);
    l->next_ms = sent + interval(lease_ms);
    if (now >= deadline) {
        l->next_ms = now;
        return step_out(l);
    }
    bool won = l->state != LEADERSHIP_LEADING;
    set_state(l, LEADERSHIP_LEADING);
    l->deadline_ms = deadline;
    return won ? LEADERSHIP_WON : LEADERSHIP_SAME;
}

enum leadership_change leadership_on_standby(struct leadership *l, uint64_t now,
                                             uint64_t remaining_ms)
{
    enum leadership_change change = step_out(l);
    /* What remains is at most one lease, and nearly one right after the leader's renewal. The guess
     * sinks slowly, so that it follows a lease that was made shorter. */
    l->lease_guess -= l->lease_guess / 8;
    if (remaining_ms > l->lease_guess) {
        l->lease_guess = remaining_ms;
    }
    uint64_t wait = interval(l->lease_guess);
    if (remaining_ms + 1 < wait) {
        wait = remaining_ms + 1;
    }
    l->next_ms = now + wait;
    return change;
}

enum leadership_change leadership_on_deposed(struct leadership *l, uint64_t now)
{
    enum leadership_change change = step_out(l);
    leadership_ask_at(l, now);
    return change;
}

enum leadership_change leadership_on_time(struct leadership *l, uint64_t now)
{
    if (l->state == LEADERSHIP_LEADING && now >= l->deadline_ms) {
        leadership_ask_at(l, now);
        return step_out(l);
    }
    return LEADERSHIP_SAME;
}

void leadership_on_failure(struct leadership *l, uint64_t now, uint64_t retry_ms)
{
    l->next_ms = now + (retry_ms ? retry_ms : FIRST_INTERVAL_MS);
}

void leadership_ask_at(struct leadership *l, uint64_t when)
{
    if (when < l->next_ms) {
        l->next_ms = when;
    }
}

bool leadership_may_act(const struct leadership *l, uint64_t now)
{
    return l->state == LEADERSHIP_LEADING && now < l->deadline_ms;
}
