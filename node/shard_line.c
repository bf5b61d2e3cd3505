/* Shard: lines in. Each is parsed once; a room line goes out to its channel, a connection line to
 * the one that waits for it. Whatever the other side sends, the worst is a line that is counted,
 * told and skipped. */
#include "node/meters.h"
#include "node/shard_private.h"

#include "shared/irc/room_line.h"
#include "shared/irc/write.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A NOTICE without msg-id to '*', while nothing else is said (twitch.md). */
static const char *const login_refusals[] = {
    "Login authentication failed",
    "Improperly formatted auth",
    "Invalid NICK",
    "Login unsuccessful",
};

static bool is_self(const struct shard_core *s, const struct irc_line *line)
{
    return slice_is(line->nick, s->self);
}

static struct slice last_param(const struct irc_line *line)
{
    return line->nparams == 0 ? SLICE("") : line->params[line->nparams - 1];
}

static void on_ping(struct shard_core *s, const struct irc_line *line, uint64_t now_ms)
{
    struct buf out;

    (void)now_ms;
    buf_init(&out, IRC_MAX_SENT_BYTES);
    if (irc_write_pong(&out, last_param(line), NULL) == 0) {
        /* Not written: so much waits already that the connection is as good as dead, which the own
         * PING finds out. */
        (void)s->port->write(s->ctx, SHARD_WRITE_KEEPALIVE, buf_slice(&out));
    }
    buf_finish(&out);
}

static void on_cap(struct shard_core *s, const struct irc_line *line, uint64_t now_ms)
{
    /* Without tags no line would have an id, and no answer could be told apart. */
    if (s->machine.state == SHARD_AUTHENTICATING && line->nparams > 1 &&
        slice_is(line->params[1], "NAK")) {
        shard_fail(s, "Twitch refused the capabilities tags and commands", now_ms);
    }
}

static void on_join(struct shard_core *s, const struct irc_line *line, uint64_t now_ms)
{
    struct shard_entry *e = shard_find(s, irc_channel(line));

    if (e != NULL && is_self(s, line) && e->pub.machine.state == SHARD_CHANNEL_JOINING) {
        shard_channel_joined(s, e, now_ms);
    }
}

static void on_part(struct shard_core *s, const struct irc_line *line, uint64_t now_ms)
{
    struct shard_entry *e = shard_find(s, irc_channel(line));

    if (e != NULL && is_self(s, line)) {
        shard_channel_parted(s, e, now_ms);
    }
}

/* The number in a tag; `old` where the tag holds no number. */
static int32_t number(struct slice value, int32_t old)
{
    uint64_t n;

    if (slice_is(value, "-1")) {
        return -1;
    }
    return slice_to_u64(value, &n) && n <= INT32_MAX ? (int32_t)n : old;
}

static void read_room(const struct irc_line *line, struct shard_room *room)
{
    struct slice cursor = line->tags;
    struct slice key;
    struct slice value;
    uint64_t id;

    while (irc_tag_next(&cursor, &key, &value)) {
        if (slice_is(key, "slow")) {
            room->slow_s = number(value, room->slow_s);
        } else if (slice_is(key, "followers-only")) {
            room->followers_only = number(value, room->followers_only);
        } else if (slice_is(key, "emote-only")) {
            room->emote_only = slice_is(value, "1");
        } else if (slice_is(key, "subs-only")) {
            room->subs_only = slice_is(value, "1");
        } else if (slice_is(key, "r9k")) {
            room->r9k = slice_is(value, "1");
        } else if (slice_is(key, "room-id") && slice_to_u64(value, &id)) {
            (void)snprintf(room->id, sizeof(room->id), "%" PRIu64, id);
        }
    }
}

static bool room_eq(const struct shard_room *a, const struct shard_room *b)
{
    return strcmp(a->id, b->id) == 0 && a->slow_s == b->slow_s &&
           a->followers_only == b->followers_only && a->emote_only == b->emote_only &&
           a->subs_only == b->subs_only && a->r9k == b->r9k;
}

static void on_roomstate(struct shard_core *s, const struct irc_line *line, uint64_t now_ms)
{
    struct shard_entry *e = shard_find(s, irc_channel(line));

    if (e == NULL || !shard_channel_reads(e)) {
        return;
    }
    struct shard_room old = e->pub.room;
    read_room(line, &e->pub.room);
    if (e->pub.machine.state == SHARD_CHANNEL_JOINING) {
        e->pub.known = true;
        shard_channel_joined(s, e, now_ms);
    } else if (!e->pub.known || !room_eq(&old, &e->pub.room)) {
        e->pub.known = true;
        s->port->channel_changed(s->ctx, &e->pub);
    }
}

static void on_userstate(struct shard_core *s, const struct irc_line *line, uint64_t now_ms)
{
    struct shard_entry *e = shard_find(s, irc_channel(line));

    if (e != NULL && e->pub.standing != irc_standing(line)) {
        e->pub.standing = irc_standing(line);
        s->port->channel_changed(s->ctx, &e->pub);
    }
    shard_sends_userstate(s, e, line, now_ms);
}

static void on_login_notice(struct shard_core *s, const struct irc_line *line, uint64_t now_ms)
{
    struct slice text = last_param(line);

    if (line->nparams < 2 || !slice_is(line->params[0], "*")) {
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(login_refusals); i++) {
        size_t len = strlen(login_refusals[i]);

        if (text.len >= len && memcmp(text.ptr, login_refusals[i], len) == 0) {
            shard_refuse(s, text, now_ms);
            return;
        }
    }
}

static void on_notice(struct shard_core *s, const struct irc_line *line, uint64_t now_ms)
{
    struct shard_entry *e = shard_find(s, irc_channel(line));
    struct slice msg_id;

    if (!irc_tag(line, "msg-id", &msg_id)) {
        on_login_notice(s, line, now_ms);
        return;
    }
    enum join_reason reason = join_reason_of(msg_id);
    if (reason == JOIN_NO_ROOM) {
        if (e != NULL && e->pub.machine.state == SHARD_CHANNEL_JOINING) {
            shard_channel_failed(s, e, msg_id, true, now_ms);
        }
        return;
    }
    bool joining =
        e != NULL && e->pub.machine.state == SHARD_CHANNEL_JOINING && reason < JOIN_NO_ROOM;
    /* The same words answer a JOIN and a message: the older of the two is answered first. */
    if (!shard_sends_notice(s, line, msg_id, joining ? e->join_seq : UINT64_MAX) && joining) {
        shard_channel_failed(s, e, msg_id, false, now_ms);
    }
}

static const struct {
    const char *command;
    void (*on)(struct shard_core *s, const struct irc_line *line, uint64_t now_ms);
} handlers[] = {
    {"USERSTATE", on_userstate},
    {"ROOMSTATE", on_roomstate},
    {"NOTICE", on_notice},
    {"PING", on_ping},
    {"PONG", shard_on_pong},
    {"JOIN", on_join},
    {"PART", on_part},
    {"001", shard_become_ready},
    {"RECONNECT", shard_reconnect},
    {"CAP", on_cap},
};

/* Hand a room line to its channel, if it is one of ours. */
static void room_line(struct shard_core *s, const struct irc_line *line, uint64_t now_ms)
{
    struct shard_entry *e = shard_find(s, irc_channel(line));

    if (e == NULL || !shard_channel_reads(e)) {
        return;
    }
    e->pub.last_active_ms = now_ms;
    s->stats.room_lines++;
    s->port->room_line(s->ctx, &e->pub, line);
}

void shard_bad_line(struct shard_core *s, struct slice raw, const char *why)
{
    s->stats.figures.bad_lines++;
    meters.twitch_bad_lines_total++;
    s->port->bad_line(s->ctx, raw, why);
}

void shard_line(struct shard_core *s, struct slice raw, uint64_t now_ms)
{
    struct irc_line line;
    struct err err; /* not zeroed: it is large, and lines are many */

    s->stats.lines++;
    s->stats.bytes += raw.len;
    meters.twitch_lines_total++;
    meters.twitch_bytes_total += raw.len;
    if (irc_parse(raw, &line, &err) != 0) {
        shard_bad_line(s, raw, err.text);
        return;
    }
    if (irc_classify(&line, slice_of(s->self)) == IRC_ROOM_LINE) {
        room_line(s, &line, now_ms);
        if (slice_is(line.command, "PRIVMSG") || slice_is(line.command, "NOTICE")) {
            return; /* nothing in it is about this connection */
        }
    } else if (irc_lacks_channel(&line)) {
        shard_bad_line(s, raw, "it names no channel ('#' and 1 to 25 of a-z, 0-9 and _)");
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(handlers); i++) {
        if (slice_is(line.command, handlers[i].command)) {
            handlers[i].on(s, &line, now_ms);
            return;
        }
    }
}
