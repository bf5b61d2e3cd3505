/* Shard, life: the machine of one chat connection: its states, what it waits for in each, and how
 * it fails.
 *
 * Failure modes, all of which end in shard_fail: connecting takes too long or fails, no answer to
 * the login, the connection is lost, no answer to PING, RECONNECT. A refused login (shard_refuse)
 * differs only in its wait. */
#include "node/meters.h"
#include "node/shard_private.h"

#include "shared/irc/write.h"

#include <stdio.h>
#include <string.h>

#define CONNECT_MS       15000 /* until it is connected */
#define AUTH_MS          10000 /* from connected to 001 */
#define PING_INTERVAL_MS 15000 /* from a PONG to the next PING */
#define PONG_MS          5000  /* silence after a PING, then the connection is dead */
#define PONG_HARD_MS     60000 /* no PONG in this time: dead, whatever else was read */
#define RECONNECT_MS     1000  /* after RECONNECT, if the server does not close */
#define WORTH_AGAIN_MS   5000  /* up for this long, RECONNECT is followed at once */
#define BACKOFF_FIRST_MS 1000  /* the second wait; the first is none */
#define BACKOFF_CAP_MS   60000
#define STABLE_MS        60000 /* ready for this long: the next failure is the first again */

/* idle -> connecting -> authenticating -> ready -> draining -> closed
 *   connecting, authenticating, ready -> backoff -> connecting
 *   anything -> closed */
static const struct machine_state states[SHARD_STATES] = {
    [SHARD_IDLE] = {"idle", MACHINE_BIT(SHARD_CONNECTING) | MACHINE_BIT(SHARD_CLOSED)},
    [SHARD_CONNECTING] = {"connecting", MACHINE_BIT(SHARD_AUTHENTICATING) |
                                            MACHINE_BIT(SHARD_BACKOFF) | MACHINE_BIT(SHARD_CLOSED)},
    [SHARD_AUTHENTICATING] = {"authenticating", MACHINE_BIT(SHARD_READY) |
                                                    MACHINE_BIT(SHARD_BACKOFF) |
                                                    MACHINE_BIT(SHARD_CLOSED)},
    [SHARD_READY] = {"ready", MACHINE_BIT(SHARD_DRAINING) | MACHINE_BIT(SHARD_BACKOFF) |
                                  MACHINE_BIT(SHARD_CLOSED)},
    [SHARD_DRAINING] = {"draining", MACHINE_BIT(SHARD_CLOSED)},
    [SHARD_CLOSED] = {"closed", 0},
    [SHARD_BACKOFF] = {"backoff", MACHINE_BIT(SHARD_CONNECTING) | MACHINE_BIT(SHARD_CLOSED)},
};

static const char *id(const void *owner)
{
    return ((const struct shard_core *)owner)->id;
}

/* What is lost with a connection is told once the state is the new one: there may be one still in
 * backoff, closed. */
static void check(const void *owner)
{
    const struct shard_core *s = owner;
    enum shard_state state = shard_state(s);
    bool alive = state == SHARD_CONNECTING || state == SHARD_AUTHENTICATING ||
                 state == SHARD_READY || state == SHARD_DRAINING;

    BUG_ON(alive && !s->connected);
    BUG_ON(state == SHARD_CONNECTING && s->nsends > 0);
    BUG_ON(state == SHARD_BACKOFF && s->last_error[0] == '\0');
}

const struct machine_type shard_machine = {"shard", states, SHARD_STATES, id, check};

const char *shard_state_name(enum shard_state state)
{
    BUG_ON((unsigned)state >= SHARD_STATES);
    return states[state].name;
}

void shard_move(struct shard_core *s, enum shard_state to, uint64_t now_ms)
{
    enum shard_state from = shard_state(s);

    s->since_ms = now_ms;
    s->login_due = to == SHARD_AUTHENTICATING;
    s->reconnect_ms = 0;
    s->ping_ms = to == SHARD_DRAINING ? s->ping_ms : 0;
    if (to == SHARD_READY) {
        s->ready_ms = now_ms;
        s->ping_at_ms = now_ms; /* what the lag is, is known from the beginning */
        s->last_error[0] = '\0';
    }
    if (to != SHARD_BACKOFF) {
        s->was_refused = false;
    }
    machine_move(&s->machine, to, s);
    shard_wake(s, now_ms);
    s->port->state_changed(s->ctx, from, to);
}

/* The connection is gone or goes now: what hung on it is over. The state is the new one already, so
 * that nobody who hears of it starts something on the old. */
static void lose_connection(struct shard_core *s, const char *why, uint64_t now_ms)
{
    if (s->connected) {
        s->connected = false;
        s->port->close(s->ctx, why);
    }
    shard_sends_lost(s);
    shard_channels_lost(s, now_ms);
}

/* Why the connection, which is ready, opened or opening, has to be made anew. */
static enum reconnect_cause cause_of(const struct shard_core *s, bool refused)
{
    if (refused) {
        return RECONNECT_REFUSED;
    }
    if (s->machine.state == SHARD_CONNECTING) {
        return RECONNECT_CONNECT;
    }
    if (s->machine.state == SHARD_AUTHENTICATING) {
        return RECONNECT_LOGIN;
    }
    if (s->reconnect_ms != 0) {
        return RECONNECT_ASKED;
    }
    return s->connected ? RECONNECT_SILENT : RECONNECT_LOST;
}

static void back_off(struct shard_core *s, const char *why, uint64_t wait_ms, bool refused,
                     uint64_t now_ms)
{
    char copy[sizeof(s->last_error)];

    /* `why` may lie in what is overwritten or closed here. */
    (void)snprintf(copy, sizeof(copy), "%s", why);
    memcpy(s->last_error, copy, sizeof(copy));
    if (s->machine.state == SHARD_DRAINING) {
        shard_move(s, SHARD_CLOSED, now_ms);
    } else {
        meters.reconnects_total[cause_of(s, refused)]++;
        s->retry_ms = now_ms + wait_ms;
        shard_move(s, SHARD_BACKOFF, now_ms);
        s->was_refused = refused;
    }
    lose_connection(s, copy, now_ms);
}

void shard_fail(struct shard_core *s, const char *why, uint64_t now_ms)
{
    bool ready = s->machine.state == SHARD_READY;
    uint64_t up_ms = ready ? now_ms - s->ready_ms : 0;
    uint64_t wait_ms = 0;

    if (up_ms >= STABLE_MS) {
        s->failed_before = false;
    }
    if (ready && s->reconnect_ms != 0 && up_ms >= WORTH_AGAIN_MS) {
        wait_ms = 0; /* Twitch asked for it */
    } else if (s->failed_before) {
        wait_ms = backoff_next(&s->backoff, 0);
    } else {
        backoff_init(&s->backoff, BACKOFF_FIRST_MS, BACKOFF_CAP_MS, STABLE_MS);
        s->failed_before = true;
    }
    back_off(s, why, wait_ms, false, now_ms);
}

void shard_refuse(struct shard_core *s, struct slice text, uint64_t now_ms)
{
    char said[200]; /* the line may go with the connection */
    char why[256];

    (void)snprintf(said, sizeof(said), "%.*s", (int)(text.len > 199 ? 199 : text.len), text.ptr);
    (void)snprintf(why, sizeof(why), "login refused: %s", said);
    back_off(s, why, backoff_next(&s->refused, 0), true, now_ms);
    s->port->login_refused(s->ctx, slice_of(said));
}

void shard_become_ready(struct shard_core *s, const struct irc_line *line, uint64_t now_ms)
{
    struct slice self = line->nparams > 0 ? line->params[0] : SLICE("");

    if (s->machine.state != SHARD_AUTHENTICATING || s->login_due) {
        return;
    }
    if (irc_channel_valid(self)) {
        (void)snprintf(s->self, sizeof(s->self), "%.*s", (int)self.len, self.ptr);
    }
    backoff_init(&s->refused, SHARD_REFUSED_FIRST_MS, SHARD_REFUSED_CAP_MS, 1);
    shard_move(s, SHARD_READY, now_ms);
}

void shard_reconnect(struct shard_core *s, const struct irc_line *line, uint64_t now_ms)
{
    (void)line;
    if (s->machine.state == SHARD_AUTHENTICATING) {
        shard_fail(s, "Twitch asked to reconnect", now_ms);
    } else if (s->machine.state == SHARD_READY && s->reconnect_ms == 0) {
        s->reconnect_ms = now_ms + RECONNECT_MS;
        shard_wake(s, s->reconnect_ms);
    }
}

void shard_on_pong(struct shard_core *s, const struct irc_line *line, uint64_t now_ms)
{
    struct slice token = line->nparams > 0 ? line->params[line->nparams - 1] : SLICE("");
    uint64_t n;

    if (s->ping_ms != 0 && slice_to_u64(token, &n) && n == s->pings) {
        s->stats.figures.lag_ms = now_ms > s->ping_ms ? now_ms - s->ping_ms : 1; /* 0: unknown */
        s->ping_at_ms = now_ms + PING_INTERVAL_MS;
        s->ping_ms = 0;
        shard_wake(s, now_ms);
    }
}

static void write_login(struct shard_core *s, uint64_t now_ms)
{
    struct err err = {0};

    if (s->port->login(s->ctx, &err)) {
        s->login_due = false;
    } else if (err.code == ERR_AUTH) {
        shard_refuse(s, slice_of(err.text), now_ms);
    } else {
        shard_wake(s, now_ms + SHARD_AGAIN_MS);
    }
}

static void write_ping(struct shard_core *s, uint64_t now_ms)
{
    char token[24];
    struct buf out;
    int len = snprintf(token, sizeof(token), "%llu", (unsigned long long)++s->pings);

    buf_init(&out, IRC_MAX_SENT_BYTES);
    BUG_ON(irc_write_ping(&out, (struct slice){token, (size_t)len}, NULL) != 0);
    /* A PING that finds no room is one that nobody answers: the connection takes nothing. */
    (void)s->port->write(s->ctx, SHARD_WRITE_KEEPALIVE, buf_slice(&out));
    buf_finish(&out);
    s->ping_ms = now_ms;
}

static void ping_tick(struct shard_core *s, uint64_t now_ms)
{
    if (s->ping_ms == 0) {
        if (now_ms < s->ping_at_ms) {
            shard_wake(s, s->ping_at_ms);
            return;
        }
        write_ping(s, now_ms);
    }
    /* Any line is a sign of life; but one that never answers is dead in its other direction. */
    uint64_t heard = s->last_line_ms > s->ping_ms ? s->last_line_ms : s->ping_ms;

    if (shard_overdue(s, heard + PONG_MS, now_ms) ||
        shard_overdue(s, s->ping_ms + PONG_HARD_MS, now_ms)) {
        shard_fail(s, "no answer to PING", now_ms);
    }
}

static void authenticating_tick(struct shard_core *s, uint64_t now_ms)
{
    uint64_t from_ms = s->login_at_ms > s->since_ms ? s->login_at_ms : s->since_ms;
    uint64_t most_ms = s->login_due ? SHARD_DRAW_ANSWER_MS : AUTH_MS;

    if (shard_overdue(s, from_ms + most_ms, now_ms)) {
        shard_fail(s,
                   s->login_due ? "no lease or no slot to log in with" : "no answer to the login",
                   now_ms);
    } else if (s->login_due && !s->fenced && shard_login_slot(s, now_ms)) {
        write_login(s, now_ms);
        shard_wake(s, now_ms + AUTH_MS);
    }
}

void shard_life_tick(struct shard_core *s, uint64_t now_ms)
{
    enum shard_state state = shard_state(s);

    if (state == SHARD_CONNECTING && shard_overdue(s, s->since_ms + CONNECT_MS, now_ms)) {
        shard_fail(s, "no connection in time", now_ms);
    } else if (state == SHARD_AUTHENTICATING) {
        authenticating_tick(s, now_ms);
    } else if (s->reconnect_ms != 0 && now_ms >= s->reconnect_ms) {
        shard_fail(s, "Twitch asked to reconnect", now_ms);
    } else if (state == SHARD_READY || state == SHARD_DRAINING) {
        shard_wake(s, s->reconnect_ms == 0 ? SHARD_NEVER : s->reconnect_ms);
        ping_tick(s, now_ms);
    }
}

void shard_close_now(struct shard_core *s, const char *reason, uint64_t now_ms)
{
    if (s->machine.state != SHARD_CLOSED) {
        shard_move(s, SHARD_CLOSED, now_ms);
        lose_connection(s, reason, now_ms);
    }
}
