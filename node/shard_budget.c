/* Shard: slots of the user's budget.
 *
 * A slot is the right to log in, or to join one channel, at a time that Redis named. It is used
 * within SLOT_MS of that time or is lost: nothing is handed back. So no more is drawn than is
 * needed, not while fenced, and the next only when the last was answered. Redis names the time as a
 * wait, and may have done so at any moment between question and answer: it counts from the answer,
 * so that a slot is not used too early, and SLOT_MS from the question. */
#include "node/shard_private.h"

#define SLOT_MS       500  /* a slot is used within this time of its own, or is lost */
#define DRAW_MOST     20   /* slots of one draw */
#define DRAW_RETRY_MS 1000 /* after a draw that gave less than asked */

static void keep(struct shard_slots *slots, size_t i, size_t *kept)
{
    slots->at_ms[*kept] = slots->at_ms[i];
    slots->late_ms[(*kept)++] = slots->late_ms[i];
}

size_t shard_slots_usable(struct shard_core *s, enum shard_draw_kind kind, uint64_t now_ms)
{
    struct shard_slots *slots = &s->slots[kind];
    size_t kept = 0;
    size_t usable = 0;

    for (size_t i = 0; i < slots->n; i++) {
        uint64_t at_ms = slots->at_ms[i];
        uint64_t until_ms = at_ms + slots->late_ms[i];

        if (now_ms > until_ms) {
            s->stats.slots_lost++;
            continue;
        }
        usable += at_ms <= now_ms;
        shard_wake(s, at_ms <= now_ms ? until_ms + 1 : at_ms);
        keep(slots, i, &kept);
    }
    slots->n = kept;
    return usable;
}

void shard_slots_use(struct shard_core *s, enum shard_draw_kind kind, size_t n, uint64_t now_ms)
{
    struct shard_slots *slots = &s->slots[kind];
    size_t kept = 0;

    for (size_t i = 0; i < slots->n; i++) {
        if (n > 0 && slots->at_ms[i] <= now_ms) {
            n--;
        } else {
            keep(slots, i, &kept);
        }
    }
    BUG_ON(n > 0);
    slots->n = kept;
}

/* See to it that `need` slots are at hand or asked for. */
static void draw(struct shard_core *s, enum shard_draw_kind kind, size_t need, uint64_t now_ms)
{
    struct shard_slots *slots = &s->slots[kind];
    size_t n = need > slots->n ? need - slots->n : 0;

    if (slots->asked > 0 && now_ms >= slots->asked_ms + SHARD_DRAW_ANSWER_MS) {
        slots->asked = 0;
    }
    if (n == 0) {
        return;
    }
    if (slots->asked > 0) {
        shard_wake(s, slots->asked_ms + SHARD_DRAW_ANSWER_MS);
        return;
    }
    if (now_ms < slots->not_before_ms) {
        shard_wake(s, slots->not_before_ms);
        return;
    }
    if (n > DRAW_MOST) {
        n = DRAW_MOST;
    }
    if (n > SHARD_MAX_SLOTS - slots->n) {
        return; /* asked again when some are used */
    }
    slots->asked = (unsigned)n;
    slots->asked_ms = now_ms;
    shard_wake(s, now_ms + SHARD_DRAW_ANSWER_MS);
    s->port->draw(s->ctx, kind, (unsigned)n);
}

/* One is used up now; where there is none, another is drawn. */
static bool use_login_slot(struct shard_core *s, uint64_t now_ms)
{
    if (shard_slots_usable(s, SHARD_DRAW_LOGIN, now_ms) == 0) {
        draw(s, SHARD_DRAW_LOGIN, 1, now_ms);
        return false;
    }
    shard_slots_use(s, SHARD_DRAW_LOGIN, 1, now_ms);
    s->login_at_ms = now_ms;
    return true;
}

static void login_tick(struct shard_core *s, uint64_t now_ms)
{
    bool idle = s->machine.state == SHARD_IDLE && s->started;

    if (s->fenced || (!idle && s->machine.state != SHARD_BACKOFF)) {
        return;
    }
    if (!idle && now_ms < s->retry_ms) {
        shard_wake(s, s->retry_ms);
        return;
    }
    if (use_login_slot(s, now_ms)) {
        s->connected = true;
        shard_move(s, SHARD_CONNECTING, now_ms);
        s->port->connect(s->ctx);
    }
}

/* Where the connection was held up, others may have been as well, and would all log in at once:
 * what was drawn before it was begun is over then. */
bool shard_login_slot(struct shard_core *s, uint64_t now_ms)
{
    return now_ms - s->login_at_ms <= SLOT_MS || use_login_slot(s, now_ms);
}

void shard_budget_tick(struct shard_core *s, uint64_t now_ms)
{
    login_tick(s, now_ms);
    if (shard_may_write(s)) {
        (void)shard_slots_usable(s, SHARD_DRAW_JOIN, now_ms);
        draw(s, SHARD_DRAW_JOIN, s->counts[SHARD_CHANNEL_QUEUED], now_ms);
    }
}

void shard_on_grant(struct shard_core *s, enum shard_draw_kind kind, const uint64_t *at_ms,
                    size_t n, uint64_t now_ms)
{
    struct shard_slots *slots = &s->slots[kind];

    if (n < slots->asked) {
        slots->not_before_ms = now_ms + DRAW_RETRY_MS;
    }
    slots->asked = 0;
    uint64_t took_ms = now_ms - slots->asked_ms;
    if (took_ms > SLOT_MS) {
        s->stats.slots_lost += n;
        n = 0;
    }
    for (size_t i = 0; i < n && slots->n < SHARD_MAX_SLOTS; i++) {
        slots->at_ms[slots->n] = at_ms[i];
        slots->late_ms[slots->n++] = (uint16_t)(SLOT_MS - took_ms);
    }
    (void)shard_tick(s, now_ms);
}
