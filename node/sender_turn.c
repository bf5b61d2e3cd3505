/* Sender, turns: which lane claims next. See sender.h.
 *
 * Each shard that says something has a line of lanes. A claim that the account's budget holds back
 * tells until when; before that nobody whom the same budget holds back is tried: however many lanes
 * there are, an account whose budget is used up costs a few claims each time a slot is free. Queues
 * of a line, in the order in which they are served (turns): lanes that only the widest budget may
 * hold back (every send is tried so once: this node does not know where the account is moderator),
 * those that the one for ordinary members does, channels nobody joined; these three for lanes whose
 * head has high priority, then for those of normal priority; and last all those of low priority. */
#include "node/sender_private.h"

#include <stdlib.h>
#include <string.h>

#define CLAIMS_MOST 32 /* of a line under way */
#define TURN_LOW    6
#define UNTIL_MOST  5000 /* settings change, and so do slots */

static const char *shard_of(const struct sender *s, const struct lane *lane)
{
    return lane->served != NULL ? lane->served->sender : s->unjoined;
}

static struct line *line_get(struct sender *s, const char *shard)
{
    struct line *line;

    HASH_FIND_STR(s->lines, shard, line);
    if (line == NULL) {
        line = xcalloc(1, sizeof(*line));
        line->shard = xstrdup(shard);
        HASH_ADD_KEYPTR(hh, s->lines, line->shard, strlen(shard), line);
    }
    return line;
}

static void line_free(struct sender *s, struct line *line)
{
    HASH_DEL(s->lines, line);
    free(line->shard);
    free(line);
}

/* May what the account is held back by hold back the lanes of that turn? What low priority may use
 * is less than the account's limits, and more than what others leave to channels nobody joined. */
static bool concerns(size_t turn, size_t kind)
{
    if (kind == HELD_BY_MUTED) {
        return true;
    }
    return turn == TURN_LOW ? kind == HELD_BY_ALL || kind == HELD_BY_LOW
                            : kind <= turn % HELD_BY_LOW;
}

/* Until when are the lanes of that turn held back? */
static uint64_t line_until(const struct line *line, size_t turn)
{
    uint64_t until = line->again_ms;

    for (size_t kind = 0; line->account != NULL && kind < TURN_KINDS; kind++) {
        if (concerns(turn, kind) && line->account->until_ms[kind] > until) {
            until = line->account->until_ms[kind];
        }
    }
    return until;
}

/* Which queue of a line the lane belongs into, by its head and what held that back. */
static size_t turn_of(const struct lane *lane)
{
    enum send_priority priority = lane->queue->priority;

    return priority == PRIORITY_LOW ? TURN_LOW
                                    : (size_t)priority * HELD_BY_LOW + (size_t)lane->held_by;
}

/* Of a head that was not tried yet, what is known to hold it back. */
static void look_held(struct lane *lane)
{
    if (lane->served == NULL) {
        lane->held_by = HELD_BY_UNJOINED;
    } else if (lane->held_by >= HELD_BY_UNJOINED) {
        lane->held_by = HELD_BY_ALL;
    }
}

static void enqueue(struct sender *s, struct lane *lane, struct line *line, bool first)
{
    look_held(lane);
    lane->turn = turn_of(lane);
    lane->line = line;
    line->lanes++;
    if (first) {
        DL_PREPEND(line->queues[lane->turn], lane);
    } else {
        DL_APPEND(line->queues[lane->turn], lane);
    }
    if (lane->machine.state != LANE_WAITING) {
        lane_move(s, lane, LANE_WAITING);
    }
    sender_at(s, line_until(line, lane->turn));
}

void turn_wait(struct sender *s, struct lane *lane)
{
    const char *shard = shard_of(s, lane);

    look_held(lane);
    if (lane->line != NULL && strcmp(lane->line->shard, shard) == 0 &&
        lane->turn == turn_of(lane)) {
        return;
    }
    turn_leave(lane);
    enqueue(s, lane, line_get(s, shard), false);
}

/* An empty line goes when turns run. */
void turn_leave(struct lane *lane)
{
    struct line *line = lane->line;

    if (line == NULL) {
        return;
    }
    if (lane->machine.state == LANE_WAITING) {
        DL_DELETE(line->queues[lane->turn], lane);
    } else {
        line->claiming--;
    }
    line->lanes--;
    lane->line = NULL;
}

void turn_over(struct sender *s, struct lane *lane, bool claimed)
{
    lane->line->probing = lane->line->probing && !claimed;
    turn_leave(lane);
    sender_at(s, 0);
}

void turn_held(struct sender *s, struct lane *lane, const struct registry_claim *claim)
{
    struct line *line = line_get(s, shard_of(s, lane));
    uint64_t wait = claim->wait_ms < UNTIL_MOST ? claim->wait_ms : UNTIL_MOST;
    struct account *account;

    HASH_FIND(hh, s->accounts, claim->route.user.ptr, claim->route.user.len, account);
    if (account == NULL && claim->route.user.len < sizeof(account->user)) {
        account = xcalloc(1, sizeof(*account));
        memcpy(account->user, claim->route.user.ptr, claim->route.user.len);
        HASH_ADD_KEYPTR(hh, s->accounts, account->user, claim->route.user.len, account);
    }
    if (account != NULL) {
        account->until_ms[claim->held_by] = mono_ms() + wait;
    }
    line->account = account;
    line->probing = true;
    lane->held_by = claim->held_by;
    enqueue(s, lane, line, true);
}

bool turn_is_muted(const struct sender *s, const char *user)
{
    const struct account *account;

    HASH_FIND_STR(s->accounts, user, account);
    return account != NULL && account->until_ms[HELD_BY_MUTED] > mono_ms();
}

/* Those of a line whose turn it is claim. When another look is worth it; UINT64_MAX: when something
 * happens. */
static uint64_t line_run(struct sender *s, struct line *line, uint64_t now)
{
    uint64_t next = UINT64_MAX;

    if (now >= line->again_ms && (!s->options.may_act(s->options.ctx) ||
                                  !s->options.can_send(s->options.ctx, slice_of(line->shard)))) {
        line->again_ms = now + SENDER_RETRY_MS;
    }
    for (size_t turn = 0; turn < TURNS; turn++) {
        while (line->queues[turn] != NULL && line->claiming < (line->probing ? 1 : CLAIMS_MOST)) {
            struct lane *lane = line->queues[turn];
            uint64_t until = line_until(line, turn);
            if (until > now) {
                next = until < next ? until : next;
                break;
            }
            if (lane_claim(s, lane)) {
                DL_DELETE(line->queues[turn], lane);
                line->claiming++;
            } else {
                line->again_ms = now + SENDER_RETRY_MS;
            }
        }
    }
    return next;
}

void turns_run(struct sender *s)
{
    uint64_t now = mono_ms();
    struct line *line;
    struct line *tmp;

    HASH_ITER(hh, s->lines, line, tmp)
    {
        if (line->lanes > 0) {
            sender_at(s, line_run(s, line, now));
        } else {
            line_free(s, line);
        }
    }
}

void turns_reset(struct sender *s)
{
    while (s->lines != NULL) {
        line_free(s, s->lines);
    }
    while (s->accounts != NULL) {
        struct account *account = s->accounts;
        HASH_DEL(s->accounts, account);
        free(account);
    }
}
