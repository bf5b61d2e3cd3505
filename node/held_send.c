/* Held, sending: messages on their way through a shard, Twitch's answers, and the echo of what was
 * said in a channel that is read here. */
#include "node/held_private.h"

#include "shared/irc/write.h"

#include <stdio.h>
#include <stdlib.h>

/* A send that was written and waits for Twitch's answer. */
struct written {
    UT_hash_handle hh;
    uint64_t id;
    char entry[48];
    struct buf heard; /* its text, as others read it */
};

static void forget(struct held *held, struct written *w)
{
    HASH_DEL(held->written, w);
    buf_finish(&w->heard);
    free(w);
}

int held_send(struct held *held, const struct registry_send *send, const char *entry,
              struct err *err)
{
    struct buf line;

    buf_init(&line, IRC_MAX_SENT_BYTES);
    int rc = irc_write_privmsg(&line, send->channel, send->text, slice_of(entry), send->reply_to,
                               send->as_command, err);
    if (rc == 0) {
        struct written *w = xcalloc(1, sizeof(*w));
        w->id = ++held->holder->send_ids;
        snprintf(w->entry, sizeof(w->entry), "%s", entry);
        buf_init(&w->heard, IRC_MAX_SENT_BYTES);
        irc_write_heard(&w->heard, send->text, send->as_command);
        HASH_ADD(hh, held->written, id, sizeof(w->id), w);
        rc = shard_send(held->core, w->id, send->channel, buf_slice(&line), slice_of(entry),
                        send->as_command && irc_is_command(send->text), mono_ms(), err);
        if (rc != 0) {
            forget(held, w);
        }
        held_arm(held);
    }
    buf_finish(&line);
    return rc;
}

/* A connection does not hear what it sent itself: the line is made from Twitch's answer. */
static void fan_out_echo(struct held *held, const struct shard_send_result *result,
                         struct slice heard)
{
    struct buf line;
    struct slice tags = result->userstate->tags;

    buf_init(&line, IRC_MAX_LINE_BYTES);
    buf_printf(&line, "@%.*s%sshoal-echo=1 :%s!%s@%s.tmi.twitch.tv PRIVMSG #%.*s :", (int)tags.len,
               tags.ptr, tags.len > 0 ? ";" : "", held->user, held->user, held->user,
               (int)result->channel.len, result->channel.ptr);
    buf_append_slice(&line, heard);
    if (!line.overflow) {
        fanout_line(held->holder->o.fanout, result->channel, buf_slice(&line), mono_ms());
    }
    buf_finish(&line);
}

void held_on_send_result(void *ctx, const struct shard_send_result *result)
{
    struct held *held = ctx;
    const struct held_options *o = &held->holder->o;
    struct written *w;

    HASH_FIND(hh, held->written, &result->send_id, sizeof(result->send_id), w);
    if (w == NULL) {
        return;
    }
    if (result->outcome.status == SEND_SENT && result->held && result->userstate != NULL) {
        fan_out_echo(held, result, buf_slice(&w->heard));
    }
    o->on_send_result(o->ctx, w->entry, &result->outcome);
    forget(held, w);
}

void held_forget_sends(struct held *held)
{
    while (held->written != NULL) {
        forget(held, held->written);
    }
}
