/* Sender, heard: sends from the topics, until the registry has them.
 *
 * PUBLISH answered that a send is heard, so it gets a result: it is entered as soon as the lease
 * holds and Redis takes it, and its ttl runs from when it was heard; or its result is published
 * from here, where its time is over and Redis refuses it, or where too many wait.
 *
 *   heard -> asked -> entered         an error: heard again
 *              |  no answer
 *              v
 *            doubt -> asked ...       with the number it had: the registry enters no number twice
 *
 * The registry remembers the last number alone, so numbers reach it in their order: those in doubt
 * one at a time, and before any new one. */
#include "node/sender_private.h"

#include "node/send_payload.h"
#include "shared/log.h"

#include <stdio.h>
#include <stdlib.h>

#define HEARD_MOST       10000
#define HEARD_BYTES      ((size_t)16 << 20)
#define HEARD_OF_CHANNEL 200
#define ASKED_MOST       64

struct heard {
    struct heard *prev;
    struct heard *next;
    struct sender *sender;
    struct lane *lane;
    char *payload;
    size_t bytes;
    struct send_payload parsed; /* points into payload */
    uint64_t heard_ms;
    uint64_t order;  /* of hearing */
    uint64_t number; /* it was entered with, or may have been */
    bool in_doubt;
};

static void heard_free(struct sender *s, struct heard *h)
{
    s->nheard--;
    s->heard_bytes -= h->bytes;
    s->refusing = s->refusing && s->nheard > 0;
    if (s->nheard == 0) {
        s->options.on_drained(s->options.ctx);
    }
    h->lane->heard--;
    lane_free_if_idle(s, h->lane);
    send_payload_finish(&h->parsed);
    free(h->payload);
    free(h);
}

/* Results without the registry ----------------------------------------------------------------- */

/* Is there no room for this one, which is counted already? Its result, if there is none. */
static bool no_room(struct sender *s, const struct heard *h)
{
    const struct lane *lane = h->lane;
    char text[160];

    if (lane->heard > HEARD_OF_CHANNEL) {
        snprintf(text, sizeof(text), "%u sends that were heard in this channel wait to be entered.",
                 lane->heard - 1);
    } else if (s->nheard > HEARD_MOST || s->heard_bytes - h->bytes >= HEARD_BYTES) {
        snprintf(text, sizeof(text), "%zu sends that were heard here wait to be entered.",
                 s->nheard - 1);
    } else {
        return false;
    }
    bool told = registry_send_tell(s->options.registry, lane->channel, &h->parsed.send,
                                   SEND_REJECTED, "queue_full", text) == 0;
    if (!told || !s->refusing) {
        log_warn("sender", told ? "send.refused" : "send.lost", "channel", lane->channel, "why",
                 text, NULL);
    }
    s->refusing = true;
    return true;
}

/* Redis does not take them: of those whose time is over it is told from here. One in doubt waits
 * for its answer. */
static void expire(struct sender *s, uint64_t now)
{
    struct heard *h;
    struct heard *tmp;

    DL_FOREACH_SAFE(s->heard, h, tmp)
    {
        uint64_t ttl;
        if (!slice_to_u64(h->parsed.send.ttl_ms, &ttl)) {
            ttl = s->ttl_ms;
        }
        if (!h->in_doubt && now - h->heard_ms > ttl) {
            if (registry_send_tell(s->options.registry, h->lane->channel, &h->parsed.send,
                                   SEND_EXPIRED, "",
                                   "It could not be entered before its time was over.") != 0) {
                return;
            }
            DL_DELETE(s->heard, h);
            heard_free(s, h);
        }
    }
}

/* Into the registry ---------------------------------------------------------------------------- */

/* Those in doubt come first, in the order of their numbers. */
static bool comes_before(const struct heard *a, const struct heard *b)
{
    if (a->in_doubt != b->in_doubt) {
        return a->in_doubt;
    }
    return a->in_doubt ? a->number < b->number : a->order < b->order;
}

/* Into what is to be entered; it mostly belongs at the end. */
static void insert(struct sender *s, struct heard *h)
{
    struct heard *before = s->heard != NULL ? s->heard->prev : NULL;

    while (before != NULL && comes_before(h, before)) {
        before = before == s->heard ? NULL : before->prev;
    }
    if (before != NULL) {
        DL_APPEND_ELEM(s->heard, before, h);
    } else {
        DL_PREPEND(s->heard, h);
    }
}

static void on_accepted(void *ctx, struct slice word, struct slice rest, const struct err *err)
{
    struct heard *h = ctx;
    struct sender *s = h->sender;

    DL_DELETE(s->asked, h);
    s->nasked--;
    if (err == NULL) {
        if (slice_is(word, "accepted")) {
            sender_queue(s, h->lane->channel, rest);
        } else if (slice_is(word, "again")) {
            sender_rescan(s); /* it waits, or has its result */
        }
        heard_free(s, h);
        if (s->heard != NULL) {
            sender_job_at(s, JOB_HEARD, 0);
        }
    } else {
        /* An error reply: surely not entered by this call, though perhaps by the one before. */
        h->in_doubt = h->in_doubt || err_is_silence(err);
        insert(s, h);
        s->heard_refused = true;
        sender_job_at(s, JOB_HEARD, mono_ms() + SENDER_RETRY_MS);
        log_debug("sender", "send.held", "channel", h->lane->channel, "error", err->text, NULL);
    }
}

/* Ask the registry to enter the first; false where the link is down. */
static bool enter(struct sender *s, uint64_t now)
{
    struct heard *h = s->heard;
    struct registry_heard heard = {
        .process = s->process, .age_ms = now - h->heard_ms, .problem = h->parsed.problem};

    if (!h->in_doubt) {
        h->number = ++s->last_number;
    }
    heard.number = h->number;
    h->parsed.send.channel = slice_of(h->lane->channel);
    if (registry_send_accept(s->options.registry, s->options.node, s->options.incarnation,
                             &h->parsed.send, &heard, on_accepted, h) != 0) {
        return false;
    }
    DL_DELETE(s->heard, h);
    DL_APPEND(s->asked, h);
    s->nasked++;
    return true;
}

/* May the first be entered now? One in doubt alone. */
static bool may_enter(const struct sender *s)
{
    bool doubt = s->asked != NULL && s->asked->in_doubt;

    return s->heard != NULL &&
           (s->heard->in_doubt ? s->nasked == 0 : s->nasked < ASKED_MOST && !doubt);
}

void heard_run(struct sender *s)
{
    uint64_t now = mono_ms();

    s->job_ms[JOB_HEARD] = UINT64_MAX;
    if (s->heard == NULL) {
        return;
    }
    if (!s->options.may_act(s->options.ctx) || s->heard_refused) {
        expire(s, now);
    }
    if (s->options.may_act(s->options.ctx)) {
        s->heard_refused = false;
        while (may_enter(s) && enter(s, now)) {
        }
    }
    if (s->nasked == 0 && s->heard != NULL) {
        sender_job_at(s, JOB_HEARD, now + SENDER_RETRY_MS);
    }
}

void heard_add(struct sender *s, const char *channel, struct slice payload)
{
    struct heard *h = xcalloc(1, sizeof(*h));

    h->sender = s;
    h->lane = lane_get(s, channel);
    h->heard_ms = mono_ms();
    h->order = ++s->heard_order;
    payload.len = payload.len > SEND_PAYLOAD_MOST ? SEND_PAYLOAD_MOST : payload.len;
    h->payload = xstrndup(payload.ptr, payload.len);
    h->bytes = sizeof(*h) + payload.len;
    send_payload_parse((struct slice){h->payload, payload.len}, &h->parsed);
    h->lane->heard++;
    s->nheard++;
    s->heard_bytes += h->bytes;
    if (no_room(s, h)) {
        heard_free(s, h);
        return;
    }
    insert(s, h);
    if (s->job_ms[JOB_HEARD] == UINT64_MAX) {
        heard_run(s);
    }
}

static void free_all(struct sender *s, struct heard **list)
{
    while (*list != NULL) {
        struct heard *h = *list;
        DL_DELETE(*list, h);
        heard_free(s, h);
    }
}

void heard_reset(struct sender *s)
{
    if (s->nheard > 0) {
        log_warn("sender", "send.lost", "count", log_u64(s->nheard), "why",
                 "this process ends before they were entered", NULL);
    }
    free_all(s, &s->heard);
    free_all(s, &s->asked);
}
