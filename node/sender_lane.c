/* Sender, lanes: one send of a channel at a time, from its claim to its stored result. See sender.h. */
#include "node/sender_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOT_LATE_MS 500  /* a slot is used within this time or lost */
#define MAX_LATER_MS 5000 /* settings change, and so do slots */

struct sender_call *sender_call_create(struct sender *s, const char *channel, const char *entry)
{
    struct sender_call *call = xcalloc(1, sizeof(*call));

    call->sender = s;
    call->generation = s->generation;
    snprintf(call->channel, sizeof(call->channel), "%s", channel);
    snprintf(call->entry, sizeof(call->entry), "%s", entry);
    return call;
}

/* The lane whose head the call was about, or NULL if that is history. Frees the call. */
static struct lane *call_finish(struct sender_call *call, struct sender **s)
{
    struct lane *lane = NULL;

    *s = call->sender;
    if (call->generation == (*s)->generation && !(*s)->closing) {
        HASH_FIND_STR((*s)->lanes, call->channel, lane);
        if (lane != NULL && (lane->queue == NULL || strcmp(lane->queue->entry, call->entry) != 0)) {
            lane = NULL;
        }
        if (lane != NULL) {
            lane->asked = false;
        }
    }
    free(call);
    return lane;
}

/* Lanes and sends -------------------------------------------------------------------------------- */

struct lane *lane_get(struct sender *s, const char *channel)
{
    struct lane *lane;

    HASH_FIND_STR(s->lanes, channel, lane);
    if (lane == NULL) {
        lane = xcalloc(1, sizeof(*lane));
        snprintf(lane->channel, sizeof(lane->channel), "%s", channel);
        HASH_ADD_STR(s->lanes, channel, lane);
    }
    return lane;
}

static void send_free(struct send *send)
{
    free(send->shard);
    free(send->id);
    free(send->text);
    free(send->reply_to);
    free(send->reason);
    free(send->notice);
    free(send);
}

void lane_free_if_idle(struct sender *s, struct lane *lane)
{
    if (lane->queue == NULL && lane->served == NULL && lane->heard == 0) {
        due_clear(&s->due, &lane->due);
        HASH_DEL(s->lanes, lane);
        free(lane);
    }
}

void lane_drop(struct sender *s, struct lane *lane, struct send *send)
{
    DL_DELETE(lane->queue, send);
    lane->nqueued--;
    HASH_DEL(s->sends, send);
    send_free(send);
    if (lane->queue == NULL) {
        turn_leave(s, lane);
        due_clear(&s->due, &lane->due);
    }
}

/* The head is dealt with: on with the next. */
static void lane_pop(struct sender *s, struct lane *lane)
{
    lane_drop(s, lane, lane->queue);
    lane->state = LANE_IDLE;
    lane->doubt = false;
    lane->held_by = HELD_BY_ALL; /* whether the account is moderator there may have changed */
    due_clear(&s->due, &lane->due);
    if (lane->queue == NULL) {
        lane_free_if_idle(s, lane);
    } else {
        lane_run(s, lane);
    }
}

static void lane_retry(struct sender *s, struct lane *lane, enum lane_state state, uint64_t wait_ms)
{
    uint64_t at = mono_ms() + wait_ms;

    lane->state = state;
    due_set(&s->due, &lane->due, at);
    sender_at(s, at);
}

/* Steps of a send --------------------------------------------------------------------------------- */

static void on_stored(void *ctx, const struct err *err)
{
    struct sender *s;
    struct lane *lane = call_finish(ctx, &s);

    if (lane == NULL) {
        return;
    }
    if (err != NULL && err->code != ERR_LOST) {
        lane_retry(s, lane, LANE_STORING, SENDER_RETRY_MS);
        return;
    }
    if (err == NULL) {
        restate_told(s->options.restate, lane->queue->entry);
    }
    lane_pop(s, lane);
}

static void lane_store(struct sender *s, struct lane *lane)
{
    struct send *send = lane->queue;
    struct sender_call *call = sender_call_create(s, lane->channel, send->entry);

    lane->state = LANE_STORING;
    lane->asked = true;
    if (registry_send_done(s->options.registry, s->options.node, s->options.incarnation,
                           slice_of(send->entry), send->status, slice_of(send->reason),
                           slice_of(send->notice), mono_ms() - lane->said_ms, on_stored,
                           call) != 0) {
        free(call);
        lane->asked = false;
        lane_retry(s, lane, LANE_STORING, SENDER_RETRY_MS);
    }
}

void lane_result(struct sender *s, struct lane *lane, const char *status, struct slice reason,
                 struct slice text)
{
    struct send *send = lane->queue;

    send->status = status;
    free(send->reason);
    free(send->notice);
    send->reason = xstrndup(reason.ptr != NULL ? reason.ptr : "", reason.len);
    send->notice = xstrndup(text.ptr != NULL ? text.ptr : "", text.len);
    restate_settled(s->options.restate, send->entry, status, slice_of(send->reason),
                    slice_of(send->notice));
    lane_store(s, lane);
}

static void on_unclaimed(void *ctx, const struct err *err)
{
    struct sender *s;
    struct lane *lane = call_finish(ctx, &s);

    if (lane != NULL) {
        lane->doubt = err != NULL;
        if (err == NULL) {
            restate_unclaimed(s->options.restate, lane->queue->entry, lane->channel);
        }
        lane_retry(s, lane, LANE_IDLE, SENDER_RETRY_MS);
    }
}

/* Surely not written: somebody, perhaps this node, claims it again. */
static void lane_unclaim(struct sender *s, struct lane *lane)
{
    struct sender_call *call = sender_call_create(s, lane->channel, lane->queue->entry);

    lane->state = LANE_CLAIMING;
    lane->asked = true;
    if (registry_send_unclaim(s->options.registry, s->options.node, s->options.incarnation,
                              slice_of(lane->queue->entry), on_unclaimed, call) != 0) {
        free(call);
        lane->asked = false;
        lane->doubt = true;
        lane_retry(s, lane, LANE_IDLE, SENDER_RETRY_MS);
    }
}

static void lane_write(struct sender *s, struct lane *lane)
{
    struct send *send = lane->queue;
    struct registry_send line = {.channel = slice_of(lane->channel),
                                 .id = slice_of(send->id),
                                 .text = slice_of(send->text),
                                 .reply_to = slice_of(send->reply_to),
                                 .as_command = send->as_command};
    struct err err = {0};

    if (!s->options.may_act(s->options.ctx) || mono_ms() > lane->slot_ms + SLOT_LATE_MS) {
        lane_unclaim(s, lane);
        return;
    }
    /* Written before the call: the answer may come from within it. */
    lane->state = LANE_WRITTEN;
    lane->said_ms = mono_ms();
    int rc = s->options.write(s->options.ctx, slice_of(send->shard), &line, send->entry, &err);
    if (rc == -ERR_PROTOCOL) {
        lane_result(s, lane, "rejected", SLICE("bad_request"), slice_of(err.text));
    } else if (rc != 0) {
        lane_unclaim(s, lane);
    }
}

static void claimed(struct sender *s, struct lane *lane, const struct registry_claim *claim)
{
    struct send *send = lane->queue;

    free(send->shard);
    free(send->id);
    free(send->text);
    free(send->reply_to);
    send->shard = xstrndup(claim->shard.ptr, claim->shard.len);
    send->id = xstrndup(claim->send.id.ptr, claim->send.id.len);
    send->text = xstrndup(claim->send.text.ptr, claim->send.text.len);
    send->reply_to = xstrndup(claim->send.reply_to.ptr, claim->send.reply_to.len);
    send->as_command = claim->send.as_command;
    lane->slot_ms = mono_ms() + claim->wait_ms;
    restate_claimed(s->options.restate, send->entry, lane->channel, send->id, send->shard,
                    claim->wait_ms);
    if (claim->wait_ms == 0) {
        lane->state = LANE_CLAIMED;
        lane_write(s, lane);
    } else {
        lane_retry(s, lane, LANE_CLAIMED, claim->wait_ms);
    }
}

/* The account's budget, or the channel's own, holds it back. */
static void held_back(struct sender *s, struct lane *lane, const struct registry_claim *claim)
{
    if (lane->served == NULL && s->unjoined == NULL) {
        lane_forget(s, lane);
    } else if (claim->held_by == HELD_BY_CHANNEL) {
        lane_retry(s, lane, LANE_IDLE,
                   claim->wait_ms < MAX_LATER_MS ? claim->wait_ms : MAX_LATER_MS);
    } else {
        lane->state = LANE_IDLE;
        turn_held(s, lane, claim);
    }
}

static void on_claim(void *ctx, const struct registry_claim *claim, const struct err *err)
{
    struct sender *s;
    struct lane *lane = call_finish(ctx, &s);

    if (lane == NULL) {
        return;
    }
    turn_over(s, lane, err == NULL && claim->word == CLAIMED);
    if (err != NULL) {
        lane->doubt = true;
        lane_retry(s, lane, LANE_IDLE, SENDER_RETRY_MS);
        return;
    }
    switch (claim->word) {
    case CLAIM_GONE:
    case CLAIM_DONE:
    case CLAIM_ELSEWHERE:
        lane_pop(s, lane);
        break;
    case CLAIM_BUSY:
        /* A claim of this node's that nobody here knows of: one that was carried out late. */
        lane->doubt = true;
        lane_retry(s, lane, LANE_IDLE, SENDER_RETRY_MS);
        break;
    case CLAIM_LATER:
        held_back(s, lane, claim);
        break;
    case CLAIMED:
        claimed(s, lane, claim);
        break;
    }
}

bool lane_claim(struct sender *s, struct lane *lane)
{
    struct sender_call *call = sender_call_create(s, lane->channel, lane->queue->entry);

    if (registry_send_claim(s->options.registry, s->options.node, s->options.incarnation,
                            slice_of(lane->queue->entry), on_claim, call) != 0) {
        free(call);
        return false;
    }
    lane->state = LANE_CLAIMING;
    lane->asked = true;
    return true;
}

/* Nobody here may say it: found again by a rescan if that changes. */
void lane_forget(struct sender *s, struct lane *lane)
{
    while (lane->queue != NULL) {
        lane_drop(s, lane, lane->queue);
    }
    lane_free_if_idle(s, lane);
}

/* What is due in a lane. The lane may be gone afterwards. */
void lane_run(struct sender *s, struct lane *lane)
{
    if (lane->queue == NULL || lane->asked) {
        return;
    }
    switch (lane->state) {
    case LANE_IDLE:
        if (lane->doubt) {
            lane_unclaim(s, lane);
        } else if (lane->served == NULL && s->unjoined == NULL) {
            lane_forget(s, lane);
        } else {
            turn_wait(s, lane);
        }
        break;
    case LANE_CLAIMED:
        lane_write(s, lane);
        break;
    case LANE_STORING:
        lane_store(s, lane);
        break;
    case LANE_CLAIMING:
    case LANE_WRITTEN:
        break;
    }
}
