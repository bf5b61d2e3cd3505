/* Sender, answers: what becomes of a send that was claimed: its result, the next of its parts, or
 * that it is taken back. See sender.h. */
#include "node/meters.h"
#include "node/sender_private.h"

#include <stdio.h>
#include <stdlib.h>

#define PARTS_CHARS 16

void outcome_forget(struct send *send)
{
    free(send->reason);
    free(send->notice);
    free(send->message_id);
    send->reason = send->notice = send->message_id = NULL;
}

void sender_count(const struct send *send, enum send_status status)
{
    meters.sends_total[status]++;
    histogram_add(&meters.send_seconds, (mono_ms() - send->taken_ms) * 1000);
}

/* The next part is claimed as any send. */
static void part_stored(struct sender *s, struct lane *lane)
{
    struct send *send = lane->queue;

    restate_unclaimed(s->options.restate, send->entry, lane->channel);
    outcome_forget(send);
    send->more = false;
    send->begun = true;
    lane_next(s, lane);
}

static void on_stored(void *ctx, const struct err *err)
{
    struct sender *s;
    struct lane *lane = lane_call_finish(ctx, &s);

    if (lane == NULL) {
        return;
    }
    if (err != NULL && err->code != ERR_LOST) {
        lane_later(s, lane, LANE_UNSTORED, SENDER_RETRY_MS);
        return;
    }
    if (lane->queue->more) {
        part_stored(s, lane);
        return;
    }
    if (err == NULL) {
        restate_told(s->options.restate, lane->queue->entry);
        sender_count(lane->queue, lane->queue->status);
    }
    lane_pop(s, lane);
}

/* How many parts were said of how many; empty where the text is not split. */
static struct slice parts_text(const struct send *send, char text[PARTS_CHARS])
{
    if (send->parts_said < 0 || send->parts == 0) {
        return SLICE("");
    }
    snprintf(text, PARTS_CHARS, "%d/%u", (int)send->parts_said, send->parts);
    return slice_of(text);
}

void lane_store(struct sender *s, struct lane *lane)
{
    const struct sender_options *o = &s->options;
    struct send *send = lane->queue;
    char parts[PARTS_CHARS];
    struct send_outcome outcome = {.status = send->status,
                                   .reason = slice_of(send->reason),
                                   .text = slice_of(send->notice),
                                   .message_id = slice_of(send->message_id),
                                   .standing = send->standing,
                                   .parts = parts_text(send, parts)};
    struct lane_call *call = lane_call_create(s, lane);
    uint64_t said_ms = mono_ms() - lane->said_ms;
    int rc = send->more
                 ? registry_send_part(o->registry, o->node, o->incarnation, slice_of(send->entry),
                                      outcome.parts, said_ms, on_stored, call)
                 : registry_send_done(o->registry, o->node, o->incarnation, slice_of(send->entry),
                                      &outcome, said_ms, on_stored, call);

    if (rc == 0) {
        lane_move(s, lane, LANE_STORING);
    } else {
        free(call);
        lane_later(s, lane, LANE_UNSTORED, SENDER_RETRY_MS);
    }
}

static void on_unclaimed(void *ctx, const struct err *err)
{
    struct sender *s;
    struct lane *lane = lane_call_finish(ctx, &s);

    if (lane == NULL) {
        return;
    }
    if (err != NULL) {
        lane_later(s, lane, LANE_DOUBT, SENDER_RETRY_MS);
        return;
    }
    restate_unclaimed(s->options.restate, lane->queue->entry, lane->channel);
    /* The registry knows how long one that was refused waits. */
    lane_later(s, lane, LANE_PAUSED, lane->queue->again_ms != 0 ? 0 : SENDER_RETRY_MS);
    lane->queue->again_ms = 0;
    lane_head_waits(lane);
}

void lane_unclaim(struct sender *s, struct lane *lane)
{
    const struct sender_options *o = &s->options;
    const struct send *send = lane->queue;
    struct lane_call *call = lane_call_create(s, lane);
    uint64_t now = mono_ms();
    int rc = send->again_ms == 0
                 ? registry_send_unclaim(o->registry, o->node, o->incarnation,
                                         slice_of(send->entry), on_unclaimed, call)
                 : registry_send_later(o->registry, o->node, o->incarnation, slice_of(send->entry),
                                       send->again_ms > now ? send->again_ms - now : 0,
                                       slice_of(send->passing), on_unclaimed, call);

    if (rc == 0) {
        lane_move(s, lane, LANE_UNCLAIMING);
    } else {
        free(call);
        lane_later(s, lane, LANE_DOUBT, SENDER_RETRY_MS);
    }
}

/* Refused for now: is it tried again within its time? Then it is taken back. */
static bool lane_tries_again(struct sender *s, struct lane *lane,
                             const struct send_outcome *outcome)
{
    struct send *send = lane->queue;
    uint64_t again_ms =
        mono_ms() + (outcome->passes_in_ms > 0 ? outcome->passes_in_ms : send->pace_ms);

    if (!outcome->passes || again_ms > send->deadline_ms) {
        return false;
    }
    send->again_ms = again_ms;
    free(send->passing);
    send->passing = xstrndup(outcome->reason.ptr, outcome->reason.len);
    lane_unclaim(s, lane);
    return true;
}

void lane_result(struct sender *s, struct lane *lane, const struct send_outcome *outcome)
{
    struct send *send = lane->queue;
    char parts[PARTS_CHARS];

    if (lane_tries_again(s, lane, outcome)) {
        return;
    }
    send->status = outcome->status;
    send->reason = xstrndup(outcome->reason.ptr, outcome->reason.len);
    send->notice = xstrndup(outcome->text.ptr, outcome->text.len);
    send->message_id = xstrndup(outcome->message_id.ptr, outcome->message_id.len);
    send->standing = outcome->standing;
    if (outcome->status == SEND_SENT && send->parts_said >= 0) {
        send->parts_said++;
    }
    struct send_outcome told = *outcome;
    told.parts = parts_text(send, parts);
    send->more = outcome->status == SEND_SENT && send->parts_said >= 0 &&
                 (unsigned)send->parts_said < send->parts;
    if (send->more) {
        restate_part(s->options.restate, send->entry, parts);
    } else {
        restate_settled(s->options.restate, send->entry, &told);
    }
    lane_store(s, lane);
}
