/* Sender, lanes: one send of a channel at a time, from its claim to its stored result. See
 * sender.h. */
#include "node/send_split.h"
#include "node/sender_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOT_LATE_MS 500 /* a slot is used within this time or lost; */
#define LEAVE_LATE_MS                                                                              \
    1500                  /* or within this where a connection is made first: windows are wider than
                            * Twitch's by more */
#define MAX_LATER_MS 5000 /* settings change, and so do slots */

struct lane_call *lane_call_create(struct sender *s, const struct lane *lane)
{
    struct lane_call *call = xcalloc(1, sizeof(*call));

    call->sender = s;
    call->generation = s->generation;
    memcpy(call->channel, lane->channel, sizeof(call->channel));
    memcpy(call->entry, lane->queue->entry, sizeof(call->entry));
    return call;
}

struct lane *lane_call_finish(struct lane_call *call, struct sender **s)
{
    struct lane *lane = NULL;

    *s = call->sender;
    if (call->generation == (*s)->generation) {
        HASH_FIND_STR((*s)->lanes, call->channel, lane);
        if (lane != NULL && (lane->queue == NULL || strcmp(lane->queue->entry, call->entry) != 0)) {
            lane = NULL;
        }
    }
    free(call);
    return lane;
}

/* States --------------------------------------------------------------------------------------- */

/* The lease may be lost at any time, and all is forgotten. */
static const struct machine_state states[] = {
    [LANE_EMPTY] = {"empty", MACHINE_BIT(LANE_WAITING)},
    [LANE_WAITING] = {"waiting", MACHINE_BIT(LANE_CLAIMING) | MACHINE_BIT(LANE_EMPTY)},
    [LANE_PAUSED] = {"paused", MACHINE_BIT(LANE_WAITING) | MACHINE_BIT(LANE_EMPTY)},
    [LANE_CLAIMING] = {"claiming", MACHINE_BIT(LANE_WAITING) | MACHINE_BIT(LANE_PAUSED) |
                                       MACHINE_BIT(LANE_CLAIMED) | MACHINE_BIT(LANE_WRITTEN) |
                                       MACHINE_BIT(LANE_UNCLAIMING) | MACHINE_BIT(LANE_DOUBT) |
                                       MACHINE_BIT(LANE_EMPTY)},
    [LANE_CLAIMED] = {"claimed", MACHINE_BIT(LANE_WRITTEN) | MACHINE_BIT(LANE_UNCLAIMING) |
                                     MACHINE_BIT(LANE_DOUBT) | MACHINE_BIT(LANE_EMPTY)},
    [LANE_WRITTEN] = {"written", MACHINE_BIT(LANE_STORING) | MACHINE_BIT(LANE_UNSTORED) |
                                     MACHINE_BIT(LANE_UNCLAIMING) | MACHINE_BIT(LANE_DOUBT) |
                                     MACHINE_BIT(LANE_EMPTY)},
    [LANE_STORING] = {"storing", MACHINE_BIT(LANE_UNSTORED) | MACHINE_BIT(LANE_WAITING) |
                                     MACHINE_BIT(LANE_EMPTY)},
    [LANE_UNSTORED] = {"unstored", MACHINE_BIT(LANE_STORING) | MACHINE_BIT(LANE_EMPTY)},
    [LANE_UNCLAIMING] = {"unclaiming", MACHINE_BIT(LANE_PAUSED) | MACHINE_BIT(LANE_DOUBT) |
                                           MACHINE_BIT(LANE_EMPTY)},
    [LANE_DOUBT] = {"doubt", MACHINE_BIT(LANE_UNCLAIMING) | MACHINE_BIT(LANE_EMPTY)},
};

/* Does it wait for its time? */
static bool is_timed(enum lane_state state)
{
    return state == LANE_PAUSED || state == LANE_CLAIMED || state == LANE_UNSTORED ||
           state == LANE_DOUBT;
}

static const char *id(const void *owner)
{
    return ((const struct lane *)owner)->channel;
}

static void check(const void *owner)
{
    const struct lane *lane = owner;
    enum lane_state state = lane->machine.state;

    BUG_ON((lane->queue == NULL) != (state == LANE_EMPTY));
    BUG_ON((lane->due.place != 0) != is_timed(state));
    BUG_ON((lane->line != NULL) != (state == LANE_WAITING || state == LANE_CLAIMING));
    BUG_ON((state == LANE_CLAIMED || state == LANE_WRITTEN) && lane->queue->id == NULL);
    BUG_ON((state == LANE_STORING || state == LANE_UNSTORED) && lane->queue->reason == NULL);
}

static const struct machine_type machine = {"lane", states, ARRAY_LEN(states), id, check};

bool lane_is_under_way(const struct lane *lane)
{
    return lane->machine.state >= LANE_CLAIMING;
}

void lane_move(struct sender *s, struct lane *lane, enum lane_state to)
{
    size_t before = s->under_way;

    s->under_way -= lane_is_under_way(lane);
    if (!is_timed(to)) {
        due_clear(&s->due, &lane->due);
    }
    machine_move(&lane->machine, to, lane);
    s->under_way += lane_is_under_way(lane);
    if (before > 0 && s->under_way == 0) {
        s->options.on_drained(s->options.ctx);
    }
}

void lane_later(struct sender *s, struct lane *lane, enum lane_state to, uint64_t wait_ms)
{
    uint64_t at = mono_ms() + wait_ms;

    due_set(&s->due, &lane->due, at);
    if (lane->machine.state != to) {
        lane_move(s, lane, to);
    }
    sender_at(s, at);
}

/* Lanes and sends ------------------------------------------------------------------------------ */

struct lane *lane_get(struct sender *s, const char *channel)
{
    struct lane *lane;

    HASH_FIND_STR(s->lanes, channel, lane);
    if (lane == NULL) {
        lane = xcalloc(1, sizeof(*lane));
        snprintf(lane->channel, sizeof(lane->channel), "%s", channel);
        machine_begin(&lane->machine, &machine, LANE_EMPTY);
        HASH_ADD_STR(s->lanes, channel, lane);
    }
    return lane;
}

void lane_free_if_idle(struct sender *s, struct lane *lane)
{
    if (lane->queue == NULL && lane->served == NULL && lane->heard == 0) {
        HASH_DEL(s->lanes, lane);
        free(lane);
    }
}

/* What the claim said of it. */
static void claim_forget(struct send *send)
{
    free(send->user);
    free(send->shard);
    free(send->room_id);
    free(send->id);
    free(send->text);
    free(send->reply_to);
}

void lane_drop(struct sender *s, struct lane *lane, struct send *send)
{
    DL_DELETE(lane->queue, send);
    lane->nqueued--;
    HASH_DEL(s->sends, send);
    claim_forget(send);
    free(send->passing);
    outcome_forget(send);
    free(send);
    if (lane->queue == NULL && lane->machine.state != LANE_EMPTY) {
        turn_leave(lane);
        lane_move(s, lane, LANE_EMPTY);
    }
}

void lane_forget(struct sender *s, struct lane *lane)
{
    while (lane->queue != NULL) {
        lane_drop(s, lane, lane->queue);
    }
    lane_free_if_idle(s, lane);
}

void lane_next(struct sender *s, struct lane *lane)
{
    if (lane->queue == NULL || (lane->served == NULL && s->unjoined == NULL)) {
        lane_forget(s, lane);
    } else {
        turn_wait(s, lane);
    }
}

void lane_pop(struct sender *s, struct lane *lane)
{
    lane->held_by = HELD_BY_ALL; /* whether the account is moderator there may have changed */
    lane_drop(s, lane, lane->queue);
    lane_next(s, lane);
}

/* Steps of a send ------------------------------------------------------------------------------ */

static struct registry_route route_of(const struct send *send)
{
    return (struct registry_route){.user = slice_of(send->user),
                                   .shard = slice_of(send->shard),
                                   .say_by = send->say_by,
                                   .room_id = slice_of(send->room_id)};
}

/* What is written of its text now. */
static int part_of(struct send *send, struct slice *text, struct err *err)
{
    if (send->parts_said < 0) {
        return 0;
    }
    return send_split(slice_of(send->text), (unsigned)send->parts_said, text, &send->parts, err);
}

static void lane_write(struct sender *s, struct lane *lane)
{
    struct send *send = lane->queue;
    struct registry_send line = {.channel = slice_of(lane->channel),
                                 .id = slice_of(send->id),
                                 .text = slice_of(send->text),
                                 .reply_to = slice_of(send->reply_to),
                                 .as_command = send->as_command};
    struct registry_route route = route_of(send);
    struct err err = {0};

    if (!s->options.may_act(s->options.ctx) || mono_ms() > lane->slot_ms + SLOT_LATE_MS ||
        turn_is_muted(s, send->user)) {
        lane_unclaim(s, lane);
        return;
    }
    /* Written before the call: the answer may come from within it. */
    lane->said_ms = mono_ms();
    lane_move(s, lane, LANE_WRITTEN);
    int rc = part_of(send, &line.text, &err);
    if (rc == 0) {
        rc = s->options.write(s->options.ctx, &route, &line, send->entry, &err);
    }
    if (rc == -ERR_PROTOCOL) {
        struct send_outcome refused = {
            .status = SEND_REJECTED, .reason = SLICE("bad_request"), .text = slice_of(err.text)};
        lane_result(s, lane, &refused);
    } else if (rc != 0) {
        lane_unclaim(s, lane);
    }
}

static char *copy_of(struct slice text)
{
    return xstrndup(text.ptr, text.len);
}

bool lane_may_leave(struct sender *s, struct lane *lane)
{
    uint64_t now = mono_ms();

    lane->said_ms = now;
    return s->options.may_act(s->options.ctx) && now <= lane->slot_ms + LEAVE_LATE_MS &&
           !turn_is_muted(s, lane->queue->user);
}

static void claimed(struct sender *s, struct lane *lane, const struct registry_claim *claim)
{
    struct send *send = lane->queue;

    claim_forget(send);
    send->user = copy_of(claim->route.user);
    send->shard = copy_of(claim->route.shard);
    send->say_by = claim->route.say_by;
    send->room_id = copy_of(claim->route.room_id);
    send->id = copy_of(claim->send.id);
    send->text = copy_of(claim->send.text);
    send->reply_to = copy_of(claim->send.reply_to);
    send->as_command = claim->send.as_command;
    send->parts_said = claim->parts_said;
    send->begun = claim->parts_said > 0;
    send->deadline_ms = lane->slot_ms + claim->left_ms;
    send->pace_ms = claim->pace_ms;
    lane->slot_ms += claim->wait_ms;
    restate_claimed(s->options.restate, send->entry, lane->channel, send->id, send->shard,
                    claim->wait_ms);
    if (claim->wait_ms == 0) {
        lane_write(s, lane);
    } else {
        lane_later(s, lane, LANE_CLAIMED, claim->wait_ms);
    }
}

static void on_claim(void *ctx, const struct registry_claim *claim, const struct err *err)
{
    struct sender *s;
    struct lane *lane = lane_call_finish(ctx, &s);

    if (lane == NULL) {
        return;
    }
    turn_over(s, lane, err == NULL && claim->word == CLAIMED);
    if (err != NULL || claim->word == CLAIM_BUSY) {
        /* Busy: by a claim of this node's that nobody here knows of, carried out late. */
        lane_later(s, lane, LANE_DOUBT, SENDER_RETRY_MS);
    } else if (claim->word == CLAIMED) {
        claimed(s, lane, claim);
    } else if (claim->word != CLAIM_LATER) {
        if (claim->word == CLAIM_DONE && claim->status != SEND_STATUSES) {
            sender_count(lane->queue, claim->status);
        }
        lane_pop(s, lane); /* gone, done, or another node's */
    } else if (lane->served == NULL && s->unjoined == NULL) {
        lane_forget(s, lane);
    } else if (claim->held_by == HELD_BY_CHANNEL) {
        lane_head_waits(lane);
        lane_later(s, lane, LANE_PAUSED,
                   claim->wait_ms < MAX_LATER_MS ? claim->wait_ms : MAX_LATER_MS);
    } else {
        lane_head_waits(lane);
        turn_held(s, lane, claim);
    }
}

bool lane_claim(struct sender *s, struct lane *lane)
{
    struct lane_call *call = lane_call_create(s, lane);

    if (registry_send_claim(s->options.registry, s->options.node, s->options.incarnation,
                            slice_of(lane->queue->entry), on_claim, call) != 0) {
        free(call);
        return false;
    }
    /* Redis may name its wait at any moment from now until it is heard: late by this one. */
    lane->slot_ms = mono_ms();
    lane_move(s, lane, LANE_CLAIMING);
    return true;
}

void lane_run(struct sender *s, struct lane *lane)
{
    enum lane_state state = lane->machine.state;

    if (state == LANE_WAITING || state == LANE_PAUSED) {
        lane_next(s, lane);
    } else if (state == LANE_CLAIMED) {
        lane_write(s, lane);
    } else if (state == LANE_UNSTORED) {
        lane_store(s, lane);
    } else if (state == LANE_DOUBT) {
        lane_unclaim(s, lane);
    }
}

void lane_look(struct sender *s, struct lane *lane)
{
    if (lane->queue == NULL) {
        lane_free_if_idle(s, lane);
    } else if (!lane_is_under_way(lane) || lane->machine.state == LANE_DOUBT) {
        lane_run(s, lane);
    }
}
