/* Shard: the machine of a channel.
 *
 *     queued -> joining -> joined -> parting -> gone
 *
 * Happy path: queued until a join slot's time has come and JOIN is written; joining until ROOMSTATE
 * or the own JOIN answers. No answer in time: queued once more, then failed, queued again much
 * later. A refusal of Twitch (banned, suspended): failed at once; where it is not the channel but
 * the number of rooms, queued again in a minute, then two, and so on up to that. Connection lost:
 * all of them are queued, those that were joined with the time of the last line read, from which on
 * lines may be missing. Parting ends with the own PART, or after a while without; then it is gone,
 * or queued where it was asked for again meanwhile (a JOIN before the PART is answered would be
 * confused with the old one). */
#include "node/meters.h"
#include "node/shard_private.h"

#include "shared/irc/write.h"

#include <stdio.h>
#include <stdlib.h>

#define JOIN_ANSWER_MS 10000 /* counted from the write */
#define JOIN_ATTEMPTS  2     /* without answer, then failed */
#define ROOM_RETRY_MS  60000 /* of the first that the account has no room for */
#define PART_ANSWER_MS 5000  /* then it counts as parted */

static const struct machine_state states[SHARD_CHANNEL_STATES] = {
    [SHARD_CHANNEL_QUEUED] = {"queued",
                              MACHINE_BIT(SHARD_CHANNEL_JOINING) | MACHINE_BIT(SHARD_CHANNEL_GONE)},
    [SHARD_CHANNEL_JOINING] = {"joining", MACHINE_BIT(SHARD_CHANNEL_JOINED) |
                                              MACHINE_BIT(SHARD_CHANNEL_QUEUED) |
                                              MACHINE_BIT(SHARD_CHANNEL_FAILED) |
                                              MACHINE_BIT(SHARD_CHANNEL_PARTING)},
    [SHARD_CHANNEL_JOINED] = {"joined", MACHINE_BIT(SHARD_CHANNEL_QUEUED) |
                                            MACHINE_BIT(SHARD_CHANNEL_PARTING)},
    [SHARD_CHANNEL_PARTING] = {"parting",
                               MACHINE_BIT(SHARD_CHANNEL_QUEUED) | MACHINE_BIT(SHARD_CHANNEL_GONE)},
    [SHARD_CHANNEL_FAILED] = {"failed",
                              MACHINE_BIT(SHARD_CHANNEL_QUEUED) | MACHINE_BIT(SHARD_CHANNEL_GONE)},
    [SHARD_CHANNEL_GONE] = {"gone", 0},
};

static const char *id(const void *owner)
{
    return ((const struct shard_entry *)owner)->pub.name;
}

static void check(const void *owner)
{
    const struct shard_entry *e = owner;
    enum shard_channel_state state = (enum shard_channel_state)e->pub.machine.state;

    BUG_ON((state == SHARD_CHANNEL_FAILED) != (e->pub.reason[0] != '\0'));
    BUG_ON((state == SHARD_CHANNEL_FAILED) != (e->pub.next_try_ms != 0));
    BUG_ON(state == SHARD_CHANNEL_JOINED && e->pub.lost_at_ms != 0);
}

static const struct machine_type machine = {"channel", states, SHARD_CHANNEL_STATES, id, check};

const char *shard_channel_state_name(enum shard_channel_state state)
{
    BUG_ON((unsigned)state >= SHARD_CHANNEL_STATES);
    return states[state].name;
}

struct shard_entry *shard_find(const struct shard_core *s, struct slice name)
{
    struct shard_entry *e = NULL;

    if (name.len > 0 && name.len < IRC_CHANNEL_CHARS) {
        HASH_FIND(hh, s->channels, name.ptr, name.len, e);
    }
    return e;
}

/* What belongs to one state only is cleared here, on the way into the next. */
static void enter_state(struct shard_core *s, struct shard_entry *e, enum shard_channel_state to,
                        uint64_t now_ms)
{
    e->pub.since_ms = now_ms;
    e->part_written = false;
    e->wanted = to != SHARD_CHANNEL_PARTING;
    if (to == SHARD_CHANNEL_QUEUED) {
        e->order = ++s->order;
    }
    if (to != SHARD_CHANNEL_FAILED) {
        e->pub.reason[0] = '\0';
        e->pub.next_try_ms = 0;
    }
    shard_wake(s, now_ms);
}

void shard_channel_move(struct shard_core *s, struct shard_entry *e, enum shard_channel_state to,
                        uint64_t now_ms)
{
    unsigned from = e->pub.machine.state;

    enter_state(s, e, to, now_ms);
    machine_move(&e->pub.machine, to, e);
    s->counts[from]--;
    s->counts[to]++;
    s->port->channel_changed(s->ctx, &e->pub);
    if (to == SHARD_CHANNEL_GONE) {
        s->counts[to]--;
        HASH_DEL(s->channels, e);
        free(e);
    }
}

bool shard_channel_reads(const struct shard_entry *e)
{
    return e->pub.machine.state == SHARD_CHANNEL_JOINING ||
           e->pub.machine.state == SHARD_CHANNEL_JOINED;
}

void shard_channel_joined(struct shard_core *s, struct shard_entry *e, uint64_t now_ms)
{
    uint64_t lost_at_ms = e->pub.lost_at_ms;

    histogram_add(&meters.join_answer_seconds, (now_ms - e->pub.since_ms) * 1000);
    e->attempts = 0;
    e->refused_rooms = 0;
    e->pub.rejoin = true;
    e->pub.settled = true;
    e->pub.lost_at_ms = 0;
    shard_channel_move(s, e, SHARD_CHANNEL_JOINED, now_ms);
    if (lost_at_ms != 0) {
        s->port->gap(s->ctx, &e->pub, lost_at_ms, now_ms);
    }
}

void shard_channel_failed(struct shard_core *s, struct shard_entry *e, struct slice reason,
                          bool no_room, uint64_t now_ms)
{
    uint64_t most_ms = s->failed_retry_ms;
    uint64_t wait_ms = no_room ? ROOM_RETRY_MS : most_ms;

    meters.join_failures_total[join_reason_of(reason)]++;
    e->pub.settled = true;
    for (unsigned i = 0; no_room && i < e->refused_rooms && wait_ms < most_ms; i++) {
        wait_ms *= 2;
    }
    e->refused_rooms += no_room;
    (void)snprintf(e->pub.reason, sizeof(e->pub.reason), "%.*s", (int)reason.len, reason.ptr);
    e->pub.next_try_ms = now_ms + (wait_ms < most_ms ? wait_ms : most_ms);
    shard_channel_move(s, e, SHARD_CHANNEL_FAILED, now_ms);
}

/* Lines of a joined channel do not come any more; the last line read tells up to when they did. */
static void lose(struct shard_core *s, struct shard_entry *e, uint64_t now_ms)
{
    if (e->pub.machine.state == SHARD_CHANNEL_JOINED && e->pub.lost_at_ms == 0) {
        e->pub.lost_at_ms = s->last_line_ms;
    }
    shard_channel_move(s, e, SHARD_CHANNEL_QUEUED, now_ms);
}

static void end_part(struct shard_core *s, struct shard_entry *e, uint64_t now_ms)
{
    bool wanted = e->wanted;

    shard_channel_move(s, e, wanted ? SHARD_CHANNEL_QUEUED : SHARD_CHANNEL_GONE, now_ms);
}

void shard_channel_parted(struct shard_core *s, struct shard_entry *e, uint64_t now_ms)
{
    if (e->pub.machine.state == SHARD_CHANNEL_PARTING && e->part_written) {
        end_part(s, e, now_ms);
    } else if (e->pub.machine.state == SHARD_CHANNEL_JOINED) {
        lose(s, e, now_ms); /* Twitch took us out */
    }
}

void shard_channels_lost(struct shard_core *s, uint64_t now_ms)
{
    struct shard_entry *e;
    struct shard_entry *next;

    HASH_ITER(hh, s->channels, e, next)
    {
        e->userstate_by_ms = 0;
        if (shard_channel_reads(e)) {
            lose(s, e, now_ms);
        } else if (e->pub.machine.state == SHARD_CHANNEL_PARTING) {
            end_part(s, e, now_ms);
        }
    }
}

void shard_channels_free(struct shard_core *s)
{
    while (s->channels != NULL) {
        struct shard_entry *e = s->channels;
        HASH_DEL(s->channels, e);
        free(e);
    }
}

static void add_channel(struct shard_core *s, const struct shard_want *want, uint64_t now_ms)
{
    struct shard_entry *e = xcalloc(1, sizeof(*e));

    (void)snprintf(e->pub.name, sizeof(e->pub.name), "%.*s", (int)want->name.len, want->name.ptr);
    e->pub.room.followers_only = -1;
    e->pub.rejoin = want->rejoin;
    e->pub.lost_at_ms = want->lost_at_ms;
    e->mark = s->mark;
    e->retry = want->retry;
    machine_begin(&e->pub.machine, &machine, SHARD_CHANNEL_QUEUED);
    enter_state(s, e, SHARD_CHANNEL_QUEUED, now_ms);
    s->counts[SHARD_CHANNEL_QUEUED]++;
    HASH_ADD(hh, s->channels, pub.name, want->name.len, e);
    s->port->channel_changed(s->ctx, &e->pub);
}

static void try_again(struct shard_core *s, struct shard_entry *e, uint64_t now_ms)
{
    e->attempts = 0;
    shard_channel_move(s, e, SHARD_CHANNEL_QUEUED, now_ms);
}

static void want_channel(struct shard_core *s, const struct shard_want *want, uint64_t now_ms)
{
    if (!irc_channel_valid(want->name)) {
        return;
    }
    struct shard_entry *e = shard_find(s, want->name);
    if (e == NULL) {
        add_channel(s, want, now_ms);
        return;
    }
    e->mark = s->mark;
    e->wanted = true;
    if (e->pub.machine.state == SHARD_CHANNEL_QUEUED) {
        e->pub.rejoin = e->pub.rejoin || want->rejoin;
        if (e->pub.lost_at_ms == 0) {
            e->pub.lost_at_ms = want->lost_at_ms;
        }
    }
    if (want->retry > e->retry) {
        e->retry = want->retry;
        if (e->pub.machine.state == SHARD_CHANNEL_FAILED) {
            try_again(s, e, now_ms);
        }
    }
}

static void drop_channel(struct shard_core *s, struct shard_entry *e, uint64_t now_ms)
{
    if (shard_channel_reads(e)) {
        e->pub.lost_at_ms = 0; /* what nobody wants, nobody misses */
        shard_channel_move(s, e, SHARD_CHANNEL_PARTING, now_ms);
    } else if (e->pub.machine.state == SHARD_CHANNEL_PARTING) {
        e->wanted = false;
    } else {
        shard_channel_move(s, e, SHARD_CHANNEL_GONE, now_ms);
    }
}

void shard_set_channels(struct shard_core *s, const struct shard_want *wants, size_t n,
                        uint64_t now_ms)
{
    struct shard_entry *e;
    struct shard_entry *next;

    BUG_ON(s->busy);
    s->busy = true;
    s->mark++;
    for (size_t i = 0; i < n; i++) {
        want_channel(s, &wants[i], now_ms);
    }
    HASH_ITER(hh, s->channels, e, next)
    {
        if (e->mark != s->mark) {
            drop_channel(s, e, now_ms);
        }
    }
    s->busy = false;
    (void)shard_tick(s, now_ms);
}

/* Which of two queued channels is joined first. */
static bool comes_before(const struct shard_entry *a, const struct shard_entry *b)
{
    if (a->pub.rejoin != b->pub.rejoin) {
        return a->pub.rejoin;
    }
    if (a->attempts != b->attempts) {
        return a->attempts < b->attempts;
    }
    if (a->pub.last_active_ms != b->pub.last_active_ms) {
        return a->pub.last_active_ms > b->pub.last_active_ms;
    }
    return a->order < b->order;
}

/* The first `n` of the queued, in order. A table of hundreds and a handful of slots: no heap. */
static size_t pick_joins(const struct shard_core *s, struct shard_entry **picked, size_t n)
{
    size_t count = 0;

    for (struct shard_entry *e = s->channels; e != NULL; e = e->hh.next) {
        size_t at = count;

        if (e->pub.machine.state != SHARD_CHANNEL_QUEUED) {
            continue;
        }
        while (at > 0 && comes_before(e, picked[at - 1])) {
            at--;
        }
        if (at == n) {
            continue;
        }
        count = count < n ? count + 1 : n;
        for (size_t i = count - 1; i > at; i--) {
            picked[i] = picked[i - 1];
        }
        picked[at] = e;
    }
    return count;
}

/* Write JOIN for as many queued channels as slots may be used now. */
static void write_joins(struct shard_core *s, uint64_t now_ms)
{
    struct shard_entry *picked[SHARD_MAX_SLOTS];
    struct slice names[SHARD_MAX_SLOTS];
    struct buf out;

    if (!shard_may_write(s) || s->counts[SHARD_CHANNEL_QUEUED] == 0) {
        return;
    }
    size_t n = pick_joins(s, picked, shard_slots_usable(s, SHARD_DRAW_JOIN, now_ms));
    if (n == 0) {
        return;
    }
    for (size_t i = 0; i < n; i++) {
        names[i] = slice_of(picked[i]->pub.name);
    }
    buf_init(&out, IRC_MAX_SENT_BYTES);
    size_t most = n;
    BUG_ON(irc_write_join(&out, names, most, &n, NULL) != 0 || n > most);
    if (s->port->write(s->ctx, SHARD_WRITE_JOIN, buf_slice(&out))) {
        shard_slots_use(s, SHARD_DRAW_JOIN, n, now_ms);
        s->writes++;
        for (size_t i = 0; i < n; i++) {
            picked[i]->answer_by_ms = now_ms + JOIN_ANSWER_MS;
            picked[i]->userstate_by_ms = picked[i]->answer_by_ms;
            picked[i]->join_seq = s->writes;
            histogram_add(&meters.join_wait_seconds, (now_ms - picked[i]->pub.since_ms) * 1000);
            shard_channel_move(s, picked[i], SHARD_CHANNEL_JOINING, now_ms);
        }
    } else {
        shard_wake(s, now_ms + SHARD_AGAIN_MS);
    }
    buf_finish(&out);
}

static void write_part(struct shard_core *s, struct shard_entry *e, uint64_t now_ms)
{
    struct buf out;

    if (s->fenced || (!shard_may_write(s) && s->machine.state != SHARD_DRAINING)) {
        return;
    }
    buf_init(&out, IRC_MAX_SENT_BYTES);
    BUG_ON(irc_write_part(&out, slice_of(e->pub.name), NULL) != 0);
    if (s->port->write(s->ctx, SHARD_WRITE_PART, buf_slice(&out))) {
        e->part_written = true;
        e->answer_by_ms = now_ms + PART_ANSWER_MS;
    } else {
        shard_wake(s, now_ms + SHARD_AGAIN_MS);
    }
    buf_finish(&out);
}

static void joining_tick(struct shard_core *s, struct shard_entry *e, uint64_t now_ms)
{
    if (!shard_overdue(s, e->answer_by_ms, now_ms)) {
        return;
    }
    e->attempts++;
    if (e->attempts < JOIN_ATTEMPTS) {
        shard_channel_move(s, e, SHARD_CHANNEL_QUEUED, now_ms);
    } else {
        shard_channel_failed(s, e, SLICE("no_answer"), false, now_ms);
    }
}

static void parting_tick(struct shard_core *s, struct shard_entry *e, uint64_t now_ms)
{
    if (!s->connected) {
        end_part(s, e, now_ms);
        return;
    }
    if (!e->part_written) {
        write_part(s, e, now_ms);
    }
    if (e->part_written && shard_overdue(s, e->answer_by_ms, now_ms)) {
        end_part(s, e, now_ms);
    }
}

void shard_set_failed_retry(struct shard_core *s, uint64_t ms, uint64_t now_ms)
{
    uint64_t before_ms = s->failed_retry_ms;

    s->failed_retry_ms = ms;
    for (struct shard_entry *e = s->channels; e != NULL; e = e->hh.next) {
        uint64_t wait_ms =
            e->pub.next_try_ms - e->pub.since_ms; /* shorter where there was no room */
        if (e->pub.machine.state == SHARD_CHANNEL_FAILED &&
            (wait_ms == before_ms || wait_ms > ms)) {
            e->pub.next_try_ms = e->pub.since_ms + ms;
        }
    }
    (void)shard_tick(s, now_ms);
}

void shard_channels_tick(struct shard_core *s, uint64_t now_ms)
{
    struct shard_entry *e;
    struct shard_entry *next;

    HASH_ITER(hh, s->channels, e, next)
    {
        enum shard_channel_state state = (enum shard_channel_state)e->pub.machine.state;
        if (state == SHARD_CHANNEL_JOINING) {
            joining_tick(s, e, now_ms);
        } else if (state == SHARD_CHANNEL_PARTING) {
            parting_tick(s, e, now_ms);
        } else if (state == SHARD_CHANNEL_FAILED && now_ms >= e->pub.next_try_ms) {
            try_again(s, e, now_ms);
        } else if (state == SHARD_CHANNEL_FAILED) {
            shard_wake(s, e->pub.next_try_ms);
        }
    }
    write_joins(s, now_ms);
}

size_t shard_channel_count(const struct shard_core *s, enum shard_channel_state state)
{
    BUG_ON((unsigned)state >= SHARD_CHANNEL_STATES);
    return s->counts[state];
}

const struct shard_channel *shard_channel(const struct shard_core *s, struct slice name)
{
    const struct shard_entry *e = shard_find(s, name);

    return e == NULL ? NULL : &e->pub;
}

void shard_each_channel(const struct shard_core *s,
                        void (*each)(void *ctx, const struct shard_channel *channel), void *ctx)
{
    for (const struct shard_entry *e = s->channels; e != NULL; e = e->hh.next) {
        each(ctx, &e->pub);
    }
}
