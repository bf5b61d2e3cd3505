/* Rooms in a hash by name; members in an array, since fan-out walks them all.
 *
 * Which rooms have members is kept beside, so that the generator can pick one in constant time. */
#include "tests/twitch_sim/room.h"

#include "tests/twitch_sim/conn.h"

#include <stdlib.h>
#include <string.h>

#define RECEIVED_MAX 200000 /* kept a room */

struct room *room_find(struct sim *s, const char *name)
{
    struct room *r;

    HASH_FIND_STR(s->rooms, name, r);
    return r;
}

struct room *room_make(struct sim *s, const char *name)
{
    struct room *r = room_find(s, name);

    if (!r) {
        r = xcalloc(1, sizeof(*r));
        snprintf(r->name, sizeof(r->name), "%s", name);
        r->id = user_id_of(r->name);
        r->digest = FNV_START;
        r->state.followers_only = -1;
        HASH_ADD_STR(s->rooms, name, r);
    }
    return r;
}

void room_add(struct sim *s, struct room *r, struct conn *c)
{
    struct membership *m = xcalloc(1, sizeof(*m));

    m->conn = c;
    m->room = r;
    m->index = r->n;
    HASH_ADD_PTR(c->rooms, room, m);
    if (r->n == r->cap) {
        r->cap = r->cap ? 2 * r->cap : 4;
        r->members = xrealloc(r->members, r->cap * sizeof(struct membership *));
    }
    r->members[r->n++] = m;
    if (r->n > r->members_most) {
        r->members_most = r->n;
    }
    r->with_membership += (c->caps & CAP_MEMBERSHIP) != 0;
    if (r->n == 1) {
        if (s->njoined == s->joined_cap) {
            s->joined_cap = s->joined_cap ? 2 * s->joined_cap : 64;
            s->joined = xrealloc(s->joined, s->joined_cap * sizeof(struct room *));
        }
        r->joined_index = s->njoined;
        s->joined[s->njoined++] = r;
    }
}

void room_remove(struct sim *s, struct membership *m)
{
    struct room *r = m->room;

    r->with_membership -= (m->conn->caps & CAP_MEMBERSHIP) != 0;
    r->members[m->index] = r->members[--r->n];
    r->members[m->index]->index = m->index;
    if (r->n == 0) {
        s->joined[r->joined_index] = s->joined[--s->njoined];
        s->joined[r->joined_index]->joined_index = r->joined_index;
    }
    HASH_DEL(m->conn->rooms, m);
    free(m);
}

static void record_line(struct sim *s, struct room *r, struct slice line)
{
    r->sent++;
    r->sent_bytes += line.len;
    r->digest = fnv(fnv(r->digest, line.ptr, line.len), "\n", 1);
    s->count.lines_sent++;
    if (s->record) {
        fputs(r->name, s->record);
        fputc('\t', s->record);
        fwrite(line.ptr, 1, line.len, s->record);
        fputc('\n', s->record);
    }
}

size_t room_send(struct sim *s, struct room *r, struct slice line, enum audience audience,
                 const struct conn *not_conn, const struct user *not_user)
{
    unsigned need = audience == AUDIENCE_ALL        ? 0
                    : audience == AUDIENCE_COMMANDS ? CAP_COMMANDS
                                                    : CAP_MEMBERSHIP;
    size_t heard = 0;

    for (size_t i = 0; i < r->n; i++) {
        struct conn *c = r->members[i]->conn;

        if (c == not_conn || (not_user && c->user == not_user) || (c->caps & need) != need ||
            c->closing || c->killed) {
            continue;
        }
        conn_send(c, line);
        heard++;
    }
    if (heard > 0) {
        record_line(s, r, line);
    }
    return heard;
}

void room_write_state(const struct room *r, struct buf *out)
{
    buf_printf(
        out,
        "@emote-only=%d;followers-only=%d;r9k=%d;room-id=%llu;slow=%d;subs-only=%d :" SIM_HOST
        " ROOMSTATE #%s",
        r->state.emote_only, r->state.followers_only, r->state.r9k, (unsigned long long)r->id,
        r->state.slow, r->state.subs_only, r->name);
}

/* The NOTICE that Twitch sends with the change of a setting. */
static void write_change_notice(const struct room *r, const char *name, int value, struct buf *out)
{
    const char *id = name;
    const char *text = "";
    char slow[96];

    if (strcmp(name, "slow") == 0) {
        snprintf(slow, sizeof(slow),
                 "This room is now in slow mode. You may send messages every %d seconds.", value);
        id = value ? "slow_on" : "slow_off";
        text = value ? slow : "This room is no longer in slow mode.";
    } else if (strcmp(name, "subs-only") == 0) {
        id = value ? "subs_on" : "subs_off";
        text = value ? "This room is now in subscribers-only mode."
                     : "This room is no longer in subscribers-only mode.";
    } else if (strcmp(name, "emote-only") == 0) {
        id = value ? "emote_only_on" : "emote_only_off";
        text = value ? "This room is now in emote-only mode."
                     : "This room is no longer in emote-only mode.";
    } else if (strcmp(name, "r9k") == 0) {
        id = value ? "r9k_on" : "r9k_off";
        text = value ? "This room is now in unique-chat mode."
                     : "This room is no longer in unique-chat mode.";
    } else {
        id = value > 0 ? "followers_on" : value == 0 ? "followers_on_zero" : "followers_off";
        text = value >= 0 ? "This room is now in followers-only mode."
                          : "This room is no longer in followers-only mode.";
    }
    buf_printf(out, "@msg-id=%s :" SIM_HOST " NOTICE #%s :%s", id, r->name, text);
}

bool room_change(struct sim *s, struct room *r, const char *name, int value)
{
    const struct {
        const char *name;
        int *value;
    } settings[] = {{"emote-only", &r->state.emote_only},
                    {"followers-only", &r->state.followers_only},
                    {"r9k", &r->state.r9k},
                    {"slow", &r->state.slow},
                    {"subs-only", &r->state.subs_only}};

    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        if (strcmp(settings[i].name, name) != 0) {
            continue;
        }
        *settings[i].value = value;
        buf_clear(&s->line);
        buf_printf(&s->line, "@room-id=%llu;%s=%d :" SIM_HOST " ROOMSTATE #%s",
                   (unsigned long long)r->id, name, value, r->name);
        room_send(s, r, buf_slice(&s->line), AUDIENCE_COMMANDS, NULL, NULL);
        buf_clear(&s->line);
        write_change_notice(r, name, value, &s->line);
        room_send(s, r, buf_slice(&s->line), AUDIENCE_COMMANDS, NULL, NULL);
        return true;
    }
    return false;
}

enum audience room_audience(struct slice command)
{
    static const char *const commands[] = {"USERNOTICE", "CLEARCHAT", "CLEARMSG",   "ROOMSTATE",
                                           "NOTICE",     "USERSTATE", "HOSTTARGET", "RECONNECT"};

    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (slice_is(command, commands[i])) {
            return AUDIENCE_COMMANDS;
        }
    }
    return slice_is(command, "JOIN") || slice_is(command, "PART") ? AUDIENCE_MEMBERSHIP
                                                                  : AUDIENCE_ALL;
}

void room_note(struct sim *s, struct room *r, const struct received *what)
{
    struct received *note;

    (void)s;
    if (r->nreceived == RECEIVED_MAX) {
        return;
    }
    if (r->nreceived == r->received_cap) {
        r->received_cap = r->received_cap ? 2 * r->received_cap : 8;
        r->received = xrealloc(r->received, r->received_cap * sizeof(*r->received));
    }
    note = &r->received[r->nreceived++];
    *note = *what;
    note->text = xstrdup(what->text);
    note->nonce = what->nonce ? xstrdup(what->nonce) : NULL;
    note->reply_to = what->reply_to ? xstrdup(what->reply_to) : NULL;
}

void room_flush_record(struct sim *s)
{
    if (s->record) {
        fflush(s->record);
    }
}

void room_free_all(struct sim *s)
{
    struct room *r;
    struct room *next;

    HASH_ITER(hh, s->rooms, r, next)
    {
        for (size_t i = 0; i < r->nreceived; i++) {
            free(r->received[i].text);
            free(r->received[i].nonce);
            free(r->received[i].reply_to);
        }
        free(r->received);
        free(r->members);
        HASH_DEL(s->rooms, r);
        free(r);
    }
    free(s->joined);
}
