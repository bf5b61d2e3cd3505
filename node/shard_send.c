/* Shard: chat messages that were written and wait for what Twitch says.
 *
 * Answers come in the order of writing on one connection, so the list is a queue: an answer settles
 * its message, and all before it are known to get none ("overtaken"). Said: a USERSTATE of the
 * channel that carries the message's nonce, or none and is not the one that follows a JOIN.
 * Refused: a NOTICE of the channel with a refusing msg-id. A command is settled by any NOTICE of
 * the channel that is not for the whole room. None of these in time, or the connection lost:
 * unknown.
 *
 * A NOTICE carries no nonce. So one that answers is sure to be of that message only where no answer
 * to an earlier one of this connection can still come: what was refused for now may be tried again
 * then, and never else.
 *
 * A message is taken off the list before its result is told, because the one who hears it may send
 * the next from within. */
#include "node/send_refusal.h"
#include "node/shard_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define ANSWER_MS 10000 /* then unknown */
#define UNSURE_MS 60000 /* no answer comes so long after that */

/* Those that do not begin with "msg_". */
static const char *const refusals[] = {"no_permission", "unrecognized_cmd", "tos_ban"};

/* What Twitch answers to commands that were carried out, but for "..._success". */
static const char *const successes[] = {
    "color_changed", "cmds_available", "room_mods", "no_mods", "no_vips",
};

int shard_send(struct shard_core *s, uint64_t send_id, struct slice channel, struct slice line,
               struct slice nonce, bool command, uint64_t now_ms, struct err *err)
{
    BUG_ON(!irc_channel_valid(channel) || nonce.len > SHARD_MAX_NONCE);
    if (!shard_may_write(s)) {
        return err_set(err, ERR_DOWN, "shard %s cannot send: %s", s->id,
                       s->fenced ? "fenced" : shard_state_name(shard_state(s)));
    }
    if (s->nsends >= SHARD_MAX_SENDS) {
        return err_set(err, ERR_FULL, "shard %s cannot send: %d messages wait for their answer",
                       s->id, SHARD_MAX_SENDS);
    }
    if (!s->port->write(s->ctx, SHARD_WRITE_MESSAGE, line)) {
        return err_set(err, ERR_DOWN, "shard %s cannot send: the connection takes nothing", s->id);
    }
    struct shard_waiting *w = xcalloc(1, sizeof(*w));
    w->send_id = send_id;
    w->command = command;
    w->sure = now_ms >= s->unsure_until_ms;
    w->seq = ++s->writes;
    w->answer_by_ms = now_ms + ANSWER_MS;
    (void)snprintf(w->channel, sizeof(w->channel), "%.*s", (int)channel.len, channel.ptr);
    (void)snprintf(w->nonce, sizeof(w->nonce), "%.*s", (int)nonce.len,
                   nonce.len == 0 ? "" : nonce.ptr);
    DL_APPEND(s->sends, w);
    s->nsends++;
    shard_wake(s, w->answer_by_ms);
    return 0;
}

/* Take the first off the list and tell its result. */
static void settle_first(struct shard_core *s, const struct send_outcome *outcome,
                         const struct irc_line *userstate)
{
    struct shard_waiting *w = s->sends;
    const struct shard_entry *e = shard_find(s, slice_of(w->channel));
    struct shard_send_result result = {
        .send_id = w->send_id,
        .channel = slice_of(w->channel),
        .outcome = *outcome,
        .userstate = userstate,
        .held = e != NULL && shard_channel_reads(e),
    };

    DL_DELETE(s->sends, w);
    s->nsends--;
    s->port->send_result(s->ctx, &result);
    free(w);
}

/* The first was not answered: for this reason nobody knows whether it was said. */
static void give_up_first(struct shard_core *s, const char *reason, const char *text)
{
    struct send_outcome outcome = {
        .status = SEND_UNKNOWN, .reason = slice_of(reason), .text = slice_of(text)};

    s->unsure_until_ms = s->sends->answer_by_ms + UNSURE_MS;
    settle_first(s, &outcome, NULL);
}

/* `w` was answered: what was written before it will not be. */
static void settle(struct shard_core *s, const struct shard_waiting *w,
                   const struct send_outcome *outcome, const struct irc_line *userstate)
{
    while (s->sends != w) {
        give_up_first(s, "overtaken", "a later message was answered, this one was not");
    }
    settle_first(s, outcome, userstate);
}

static struct slice tag_of(const struct irc_line *line, const char *name)
{
    struct slice value;

    return irc_tag(line, name, &value) ? value : SLICE("");
}

static struct slice nonce_of(const struct irc_line *line)
{
    return tag_of(line, "client-nonce");
}

/* The oldest message to the channel that waits; with a nonce, the one that carries it. */
static struct shard_waiting *find_waiting(const struct shard_core *s, const struct irc_line *line)
{
    struct slice channel = irc_channel(line);
    struct slice nonce = nonce_of(line);
    struct shard_waiting *w;

    DL_FOREACH(s->sends, w)
    {
        if (slice_is(channel, w->channel) && (nonce.len == 0 || slice_is(nonce, w->nonce))) {
            return w;
        }
    }
    return NULL;
}

void shard_sends_userstate(struct shard_core *s, struct shard_entry *e, const struct irc_line *line,
                           uint64_t now_ms)
{
    struct shard_waiting *w = find_waiting(s, line);

    if (nonce_of(line).len == 0 && e != NULL && e->userstate_by_ms > now_ms &&
        (w == NULL || e->join_seq < w->seq)) {
        e->userstate_by_ms = 0; /* the one that follows a JOIN */
        return;
    }
    if (w != NULL) {
        struct send_outcome sent = {.status = SEND_SENT,
                                    .message_id = tag_of(line, "id"),
                                    .standing = irc_standing_name(irc_standing(line))};
        settle(s, w, &sent, line);
    }
}

static bool is_refusal(struct slice msg_id)
{
    /* All other refusals known begin so, and those to come will. */
    return slice_is_one_of(msg_id, refusals, ARRAY_LEN(refusals)) ||
           (msg_id.len > 4 && slice_eq((struct slice){msg_id.ptr, 4}, SLICE("msg_")));
}

/* Does it say that a command was carried out ("ban_success", "host_success_viewers")? */
static bool is_success(struct slice msg_id)
{
    return slice_is_one_of(msg_id, successes, ARRAY_LEN(successes)) ||
           (msg_id.len > 0 && memmem(msg_id.ptr, msg_id.len, "_success", 8) != NULL);
}

bool shard_sends_notice(struct shard_core *s, const struct irc_line *line, struct slice msg_id,
                        uint64_t older_than)
{
    struct slice text = line->nparams > 1 ? line->params[line->nparams - 1] : SLICE("");
    struct shard_waiting *w = find_waiting(s, line);

    if (w == NULL || w->seq >= older_than || msg_id.len == 0 ||
        (!w->command && !is_refusal(msg_id))) {
        return false;
    }
    if (slice_is(msg_id, "msg_rejected")) {
        text = SLICE("AutoMod holds it: a moderator may still let it be said");
    }
    struct send_outcome told = {.status =
                                    w->command && is_success(msg_id) ? SEND_SENT : SEND_REJECTED,
                                .reason = msg_id,
                                .text = text};
    told.passes = told.status == SEND_REJECTED && w->sure &&
                  send_refusal_passes(msg_id, text, &told.passes_in_ms);
    settle(s, w, &told, NULL);
    return true;
}

void shard_sends_lost(struct shard_core *s)
{
    while (s->sends != NULL) {
        give_up_first(s, "connection_lost", "the connection was lost before an answer");
    }
    s->unsure_until_ms = 0; /* nor will any come on another */
}

void shard_sends_tick(struct shard_core *s, uint64_t now_ms)
{
    while (s->sends != NULL && shard_overdue(s, s->sends->answer_by_ms, now_ms)) {
        give_up_first(s, "no_answer", "Twitch did not answer in time");
    }
}

void shard_sends_free(struct shard_core *s)
{
    while (s->sends != NULL) {
        struct shard_waiting *w = s->sends;
        DL_DELETE(s->sends, w);
        free(w);
    }
}
