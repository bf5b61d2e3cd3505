/* Lease: the rules alone. See lease.h. */
#include "shared/lease.h"

#define RENEWS   4   /* in a lease */
#define LOOKS    6   /* so often in it the loop comes at least: so that it is known to be late */
#define MOMENTS  3   /* from one renewal to the next, at which those who renew meet */
#define LEAST_MS 20  /* between questions */
#define RETRY_MS 500 /* the most after a failure; and while nothing tells how long a lease is */

#define ACTING  (MACHINE_BIT(LEASE_CURRENT) | MACHINE_BIT(LEASE_LEADING))
#define LEADERS (MACHINE_BIT(LEASE_STANDBY) | MACHINE_BIT(LEASE_LEADING))

static const struct machine_state rights[] = {
    [LEASE_UNREGISTERED] = {"unregistered", MACHINE_BIT(LEASE_CURRENT) | MACHINE_BIT(LEASE_FENCED) |
                                                MACHINE_BIT(LEASE_LEAVING)},
    [LEASE_CURRENT] = {"current", MACHINE_BIT(LEASE_FENCED) | MACHINE_BIT(LEASE_LOST) |
                                      MACHINE_BIT(LEASE_LEAVING)},
    [LEASE_FENCED] = {"fenced", MACHINE_BIT(LEASE_CURRENT) | MACHINE_BIT(LEASE_LOST) |
                                    MACHINE_BIT(LEASE_LEAVING)},
    [LEASE_LOST] = {"lost", MACHINE_BIT(LEASE_UNREGISTERED) | MACHINE_BIT(LEASE_LEAVING)},
    [LEASE_STANDBY] = {"standby", MACHINE_BIT(LEASE_LEADING) | MACHINE_BIT(LEASE_LEAVING)},
    [LEASE_LEADING] = {"leading", MACHINE_BIT(LEASE_STANDBY) | MACHINE_BIT(LEASE_LEAVING)},
    [LEASE_LEAVING] = {"leaving", 0},
};

#define ENDS (MACHINE_BIT(LEASE_LINK_UP) | MACHINE_BIT(LEASE_LINK_DOWN))

static const struct machine_state links[] = {
    [LEASE_LINK_DOWN] = {"down", MACHINE_BIT(LEASE_LINK_UP)},
    [LEASE_LINK_UP] = {"up", MACHINE_BIT(LEASE_LINK_GREETING) | MACHINE_BIT(LEASE_LINK_DOWN)},
    [LEASE_LINK_GREETING] = {"greeting", MACHINE_BIT(LEASE_LINK_READY) | ENDS},
    [LEASE_LINK_READY] = {"ready", MACHINE_BIT(LEASE_LINK_ASKING) | ENDS},
    [LEASE_LINK_ASKING] = {"asking", MACHINE_BIT(LEASE_LINK_READY) | ENDS},
};

static bool is_in(const struct lease *l, uint32_t states)
{
    return (MACHINE_BIT(l->right.state) & states) != 0;
}

static const char *id(const void *owner)
{
    return ((const struct lease *)owner)->id;
}

static void check(const void *owner)
{
    const struct lease *l = owner;
    bool acts = l->deadline_ms != 0;

    BUG_ON(l->right.state != LEASE_LEAVING && acts != is_in(l, ACTING));
}

static const struct machine_type right_machine = {"lease", rights, ARRAY_LEN(rights), id, check};
static const struct machine_type link_machine = {NULL, links, ARRAY_LEN(links), id, NULL};

static uint64_t part(const struct lease *l, uint64_t of)
{
    uint64_t ms = l->lease_ms == 0 ? RETRY_MS : l->lease_ms / of;

    return ms < LEAST_MS ? LEAST_MS : ms;
}

static uint64_t interval(const struct lease *l)
{
    return part(l, RENEWS);
}

/* It may act no more. */
static enum lease_change put_out(struct lease *l)
{
    bool led = l->right.state == LEASE_LEADING;

    l->deadline_ms = 0;
    if (!led && !is_in(l, MACHINE_BIT(LEASE_UNREGISTERED) | MACHINE_BIT(LEASE_CURRENT))) {
        return LEASE_SAME;
    }
    machine_move(&l->right, led ? LEASE_STANDBY : LEASE_FENCED, l);
    return LEASE_OUT;
}

void lease_begin(struct lease *l, enum lease_state first, const char *id, uint64_t now)
{
    BUG_ON(first != LEASE_UNREGISTERED && first != LEASE_STANDBY);
    *l = (struct lease){.id = id, .next_ms = now};
    l->look_ms = now + part(l, LOOKS);
    machine_begin(&l->right, &right_machine, first);
    machine_begin(&l->link, &link_machine, LEASE_LINK_DOWN);
}

bool lease_may_act(const struct lease *l, uint64_t now)
{
    return now < l->deadline_ms;
}

bool lease_is_held(const struct lease *l)
{
    return is_in(l, MACHINE_BIT(LEASE_CURRENT) | MACHINE_BIT(LEASE_FENCED));
}

/* The link ------------------------------------------------------------------------------------- */

void lease_set_link(struct lease *l, enum lease_link to)
{
    if (l->link.state != to) {
        machine_move(&l->link, to, l);
    }
}

void lease_asked(struct lease *l, uint64_t now)
{
    l->sent_ms = now;
    lease_set_link(l, LEASE_LINK_ASKING);
}

bool lease_is_ready(const struct lease *l)
{
    return l->link.state == LEASE_LINK_READY || l->link.state == LEASE_LINK_ASKING;
}

/* Answers -------------------------------------------------------------------------------------- */

enum lease_change lease_on_granted(struct lease *l, uint64_t now, uint64_t lease_ms)
{
    uint64_t deadline = l->sent_ms + lease_ms * 9 / 10;

    BUG_ON(l->right.state == LEASE_LOST);
    l->lease_ms = lease_ms;
    if (now >= deadline) {
        lease_ask_at(l, now);
        return put_out(l);
    }
    lease_ask_at(l, l->sent_ms + interval(l));
    l->deadline_ms = deadline;
    if (is_in(l, ACTING | MACHINE_BIT(LEASE_LEAVING))) {
        return LEASE_SAME;
    }
    machine_move(&l->right, l->right.state == LEASE_STANDBY ? LEASE_LEADING : LEASE_CURRENT, l);
    return LEASE_WON;
}

enum lease_change lease_on_standby(struct lease *l, uint64_t now, uint64_t remaining_ms)
{
    BUG_ON(!is_in(l, LEADERS));
    /* What remains is at most one lease, and nearly one right after the leader's renewal. The guess
     * sinks slowly, so that it follows a lease that was made shorter. */
    l->lease_ms -= l->lease_ms / 8;
    if (remaining_ms > l->lease_ms) {
        l->lease_ms = remaining_ms;
    }
    lease_ask_at(l, now + (remaining_ms < interval(l) ? remaining_ms + 1 : interval(l)));
    return put_out(l);
}

enum lease_change lease_on_deposed(struct lease *l, uint64_t now)
{
    BUG_ON(!is_in(l, LEADERS));
    lease_ask_at(l, now);
    return put_out(l);
}

void lease_on_lost(struct lease *l)
{
    l->deadline_ms = 0;
    if (l->right.state != LEASE_LEAVING) {
        machine_move(&l->right, LEASE_LOST, l);
    }
}

void lease_begin_anew(struct lease *l, uint64_t now)
{
    if (l->right.state != LEASE_LEAVING) {
        machine_move(&l->right, LEASE_UNREGISTERED, l);
        lease_ask_at(l, now);
    }
}

/* Late by the jitter of a timer, or of a clock, is on time: else it were a whole step sooner. */
void lease_meet(struct lease *l, int64_t redis_ahead_ms)
{
    uint64_t step = interval(l) / MOMENTS;
    uint64_t past = (l->next_ms + (uint64_t)redis_ahead_ms) % step;

    if (past < step - step / 8) {
        l->next_ms -= past;
    }
}

void lease_on_failure(struct lease *l, uint64_t now)
{
    l->next_ms = now + (interval(l) < RETRY_MS ? interval(l) : RETRY_MS);
}

void lease_leave(struct lease *l, bool acts)
{
    if (!acts) {
        l->deadline_ms = 0;
    }
    if (l->right.state != LEASE_LEAVING) {
        machine_move(&l->right, LEASE_LEAVING, l);
    }
}

/* Time ----------------------------------------------------------------------------------------- */

static bool waits_for_turn(const struct lease *l)
{
    return l->right.state != LEASE_LEAVING &&
           (l->link.state == LEASE_LINK_READY || l->link.state == LEASE_LINK_UP);
}

uint64_t lease_due_ms(const struct lease *l)
{
    uint64_t due = l->look_ms;

    if (l->deadline_ms != 0 && l->deadline_ms < due) {
        due = l->deadline_ms;
    }
    return waits_for_turn(l) && l->next_ms < due ? l->next_ms : due;
}

bool lease_is_late(const struct lease *l, uint64_t now)
{
    return l->right.state == LEASE_CURRENT && now > l->look_ms + l->lease_ms / 3;
}

enum lease_change lease_on_time(struct lease *l, uint64_t now)
{
    bool over = is_in(l, ACTING) && (lease_is_late(l, now) || now >= l->deadline_ms);

    l->look_ms = now + part(l, LOOKS);
    if (!over) {
        return LEASE_SAME;
    }
    lease_ask_at(l, now);
    return put_out(l);
}

bool lease_turn(struct lease *l, uint64_t now)
{
    if (!waits_for_turn(l) || now < l->next_ms) {
        return false;
    }
    l->next_ms = now + interval(l);
    return true;
}

bool lease_ask_at(struct lease *l, uint64_t when)
{
    bool sooner = when < l->next_ms;

    if (sooner) {
        l->next_ms = when;
    }
    return sooner;
}

bool lease_is_behind(uint64_t lease_ms, int64_t remaining_ms)
{
    int64_t lease = (int64_t)lease_ms;

    return remaining_ms < lease - lease / RENEWS * 3 / 2;
}
