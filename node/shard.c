/* Shard: the machine of one chat connection. See shard.h for the whole, shard_private.h for its
 * parts.
 *
 * Failure modes, all of which end in shard_fail: connecting takes too long or fails, no answer to
 * the login, the connection is lost, no answer to PING, RECONNECT. A refused login (shard_refuse)
 * differs only in its wait. */
#include "node/shard_private.h"

#include "shared/irc/write.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LATE_MS        1000 /* a tick later than this was held up: by a pause of the process, say */
#define GRACE_MS       1000 /* and then what waits in the socket is read first */
#define WORTH_AGAIN_MS 5000 /* up for this long, RECONNECT is followed at once */

/* idle -> connecting -> authenticating -> ready -> draining -> closed
 *   connecting, authenticating, ready -> backoff -> connecting
 *   anything -> closed */
#define BIT(state) (1u << (state))
static const struct {
    const char *name;
    unsigned next;
} states[SHARD_STATES] = {
    [SHARD_IDLE] = {"idle", BIT(SHARD_CONNECTING) | BIT(SHARD_CLOSED)},
    [SHARD_CONNECTING] = {"connecting",
                          BIT(SHARD_AUTHENTICATING) | BIT(SHARD_BACKOFF) | BIT(SHARD_CLOSED)},
    [SHARD_AUTHENTICATING] = {"authenticating",
                              BIT(SHARD_READY) | BIT(SHARD_BACKOFF) | BIT(SHARD_CLOSED)},
    [SHARD_READY] = {"ready", BIT(SHARD_DRAINING) | BIT(SHARD_BACKOFF) | BIT(SHARD_CLOSED)},
    [SHARD_DRAINING] = {"draining", BIT(SHARD_CLOSED)},
    [SHARD_CLOSED] = {"closed", 0},
    [SHARD_BACKOFF] = {"backoff", BIT(SHARD_CONNECTING) | BIT(SHARD_CLOSED)},
};

const char *shard_state_name(enum shard_state state)
{
    BUG_ON((unsigned)state >= SHARD_STATES);
    return states[state].name;
}

struct shard_timings shard_timings_default(void)
{
    return (struct shard_timings){
        .connect_ms = 15000,
        .auth_ms = 10000,
        .join_answer_ms = 10000,
        .join_attempts = 2,
        .failed_retry_ms = 60 * 60 * 1000,
        .room_retry_ms = 60 * 1000,
        .part_answer_ms = 5000,
        .ping_interval_ms = 15000,
        .lag_interval_ms = 60000,
        .pong_ms = 5000,
        .pong_hard_ms = 60000,
        .send_answer_ms = 10000,
        .slot_ms = 500,
        .draw_max = 20,
        .draw_retry_ms = 1000,
        .draw_answer_ms = 30000,
        .reconnect_ms = 1000,
        .backoff_first_ms = 1000,
        .backoff_cap_ms = 60000,
        .stable_ms = 60000,
        .refused_first_ms = 30000,
        .refused_cap_ms = 600000,
    };
}

struct shard *shard_create(const char *id, const char *login, const struct shard_timings *timings,
                           const struct shard_port *port, void *ctx)
{
    struct shard *s = xcalloc(1, sizeof(*s));

    BUG_ON(!irc_channel_valid(slice_of(login)));
    s->id = xstrdup(id);
    (void)snprintf(s->self, sizeof(s->self), "%s", login);
    s->timings = timings == NULL ? shard_timings_default() : *timings;
    BUG_ON(s->timings.draw_max == 0 || s->timings.draw_max > SHARD_MAX_SLOTS);
    s->port = port;
    s->ctx = ctx;
    s->state = SHARD_IDLE;
    s->deadline_ms = SHARD_NEVER;
    backoff_init(&s->backoff, s->timings.backoff_first_ms, s->timings.backoff_cap_ms,
                 s->timings.stable_ms);
    backoff_init(&s->refused, s->timings.refused_first_ms, s->timings.refused_cap_ms, 1);
    return s;
}

void shard_destroy(struct shard *s)
{
    if (s == NULL) {
        return;
    }
    BUG_ON(s->busy);
    if (s->connected) {
        s->port->close(s->ctx, "the shard is gone");
    }
    shard_channels_free(s);
    shard_sends_free(s);
    free(s->id);
    free(s);
}

void shard_move(struct shard *s, enum shard_state to, uint64_t now_ms)
{
    enum shard_state from = s->state;

    BUG_ON((unsigned)to >= SHARD_STATES);
    BUG_ON((states[from].next & BIT(to)) == 0);
    s->state = to;
    s->since_ms = now_ms;
    s->login_due = to == SHARD_AUTHENTICATING;
    s->reconnect_ms = 0;
    s->ping_ms = to == SHARD_DRAINING ? s->ping_ms : 0;
    if (to == SHARD_READY) {
        s->ready_ms = now_ms;
        s->pong_ms = now_ms;
        s->last_error[0] = '\0';
    }
    if (to != SHARD_BACKOFF) {
        s->was_refused = false;
    }
    shard_wake(s, now_ms);
    s->port->state_changed(s->ctx, from, to);
}

void shard_wake(struct shard *s, uint64_t at_ms)
{
    if (at_ms < s->deadline_ms) {
        s->deadline_ms = at_ms;
    }
}

bool shard_overdue(struct shard *s, uint64_t at_ms, uint64_t now_ms)
{
    if (at_ms < s->grace_ms) {
        at_ms = s->grace_ms;
    }
    if (now_ms >= at_ms) {
        return true;
    }
    shard_wake(s, at_ms);
    return false;
}

bool shard_may_write(const struct shard *s)
{
    return s->state == SHARD_READY && !s->fenced && s->reconnect_ms == 0;
}

/* The connection is gone or goes now: what hung on it is over. The state is the new one already, so
 * that nobody who hears of it starts something on the old. */
static void lose_connection(struct shard *s, const char *why, uint64_t now_ms)
{
    if (s->connected) {
        s->connected = false;
        s->port->close(s->ctx, why);
    }
    shard_sends_lost(s);
    shard_channels_lost(s, now_ms);
}

static void back_off(struct shard *s, const char *why, uint64_t wait_ms, bool refused,
                     uint64_t now_ms)
{
    char copy[sizeof(s->last_error)];

    /* `why` may lie in what is overwritten or closed here. */
    (void)snprintf(copy, sizeof(copy), "%s", why);
    memcpy(s->last_error, copy, sizeof(copy));
    if (s->state == SHARD_DRAINING) {
        shard_move(s, SHARD_CLOSED, now_ms);
    } else {
        s->retry_ms = now_ms + wait_ms;
        shard_move(s, SHARD_BACKOFF, now_ms);
        s->was_refused = refused;
    }
    lose_connection(s, copy, now_ms);
}

void shard_fail(struct shard *s, const char *why, uint64_t now_ms)
{
    bool ready = s->state == SHARD_READY;
    uint64_t up_ms = ready ? now_ms - s->ready_ms : 0;
    uint64_t wait_ms = 0;

    if (up_ms >= s->timings.stable_ms) {
        s->failed_before = false;
    }
    if (ready && s->reconnect_ms != 0 && up_ms >= WORTH_AGAIN_MS) {
        wait_ms = 0; /* Twitch asked for it */
    } else if (s->failed_before) {
        wait_ms = backoff_next(&s->backoff, 0);
    } else {
        backoff_init(&s->backoff, s->timings.backoff_first_ms, s->timings.backoff_cap_ms,
                     s->timings.stable_ms);
        s->failed_before = true;
    }
    back_off(s, why, wait_ms, false, now_ms);
}

void shard_refuse(struct shard *s, struct slice text, uint64_t now_ms)
{
    char said[200]; /* the line may go with the connection */
    char why[256];

    (void)snprintf(said, sizeof(said), "%.*s", (int)(text.len > 199 ? 199 : text.len), text.ptr);
    (void)snprintf(why, sizeof(why), "login refused: %s", said);
    back_off(s, why, backoff_next(&s->refused, 0), true, now_ms);
    s->port->login_refused(s->ctx, slice_of(said));
}

void shard_become_ready(struct shard *s, struct slice self, uint64_t now_ms)
{
    if (s->state != SHARD_AUTHENTICATING || s->login_due) {
        return;
    }
    if (irc_channel_valid(self)) {
        (void)snprintf(s->self, sizeof(s->self), "%.*s", (int)self.len, self.ptr);
    }
    backoff_init(&s->refused, s->timings.refused_first_ms, s->timings.refused_cap_ms, 1);
    shard_move(s, SHARD_READY, now_ms);
}

void shard_reconnect(struct shard *s, uint64_t now_ms)
{
    if (s->state == SHARD_AUTHENTICATING) {
        shard_fail(s, "Twitch asked to reconnect", now_ms);
    } else if (s->state == SHARD_READY && s->reconnect_ms == 0) {
        s->reconnect_ms = now_ms + s->timings.reconnect_ms;
        shard_wake(s, s->reconnect_ms);
    }
}

void shard_on_pong(struct shard *s, struct slice token, uint64_t now_ms)
{
    uint64_t n;

    if (s->ping_ms != 0 && slice_to_u64(token, &n) && n == s->pings) {
        s->stats.lag_ms = now_ms - s->ping_ms;
        s->pong_ms = now_ms;
        s->ping_ms = 0;
        shard_wake(s, now_ms);
    }
}

static void write_login(struct shard *s, uint64_t now_ms)
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

static void write_ping(struct shard *s, uint64_t now_ms)
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

static void ping_tick(struct shard *s, uint64_t now_ms)
{
    const struct shard_timings *t = &s->timings;

    if (s->ping_ms == 0) {
        uint64_t silent = s->last_line_ms + t->ping_interval_ms;
        uint64_t lag = s->pong_ms + t->lag_interval_ms;
        uint64_t due = silent < lag ? silent : lag;

        if (now_ms < due) {
            shard_wake(s, due);
            return;
        }
        write_ping(s, now_ms);
    }
    /* Any line is a sign of life; but one that never answers is dead in its other direction. */
    uint64_t heard = s->last_line_ms > s->ping_ms ? s->last_line_ms : s->ping_ms;

    if (shard_overdue(s, heard + t->pong_ms, now_ms) ||
        shard_overdue(s, s->ping_ms + t->pong_hard_ms, now_ms)) {
        shard_fail(s, "no answer to PING", now_ms);
    }
}

static void authenticating_tick(struct shard *s, uint64_t now_ms)
{
    uint64_t from_ms = s->login_at_ms > s->since_ms ? s->login_at_ms : s->since_ms;
    uint64_t most_ms = s->login_due ? s->timings.draw_answer_ms : s->timings.auth_ms;

    if (shard_overdue(s, from_ms + most_ms, now_ms)) {
        shard_fail(s,
                   s->login_due ? "no lease or no slot to log in with" : "no answer to the login",
                   now_ms);
    } else if (s->login_due && !s->fenced && shard_login_slot(s, now_ms)) {
        write_login(s, now_ms);
        shard_wake(s, now_ms + s->timings.auth_ms);
    }
}

/* Deadlines of the connection itself. */
static void life_tick(struct shard *s, uint64_t now_ms)
{
    switch (s->state) {
    case SHARD_CONNECTING:
        if (shard_overdue(s, s->since_ms + s->timings.connect_ms, now_ms)) {
            shard_fail(s, "no connection in time", now_ms);
        }
        break;
    case SHARD_AUTHENTICATING:
        authenticating_tick(s, now_ms);
        break;
    case SHARD_READY:
        if (s->reconnect_ms != 0 && now_ms >= s->reconnect_ms) {
            shard_fail(s, "Twitch asked to reconnect", now_ms);
            break;
        }
        shard_wake(s, s->reconnect_ms == 0 ? SHARD_NEVER : s->reconnect_ms);
        ping_tick(s, now_ms);
        break;
    case SHARD_DRAINING:
        ping_tick(s, now_ms);
        break;
    case SHARD_IDLE:
    case SHARD_BACKOFF:
    case SHARD_CLOSED:
    case SHARD_STATES:
        break;
    }
}

static void close_now(struct shard *s, const char *reason, uint64_t now_ms)
{
    if (s->state != SHARD_CLOSED) {
        shard_move(s, SHARD_CLOSED, now_ms);
        lose_connection(s, reason, now_ms);
    }
}

static void enter(struct shard *s)
{
    BUG_ON(s->busy);
    s->busy = true;
}

static void run_tick(struct shard *s, uint64_t now_ms)
{
    if (s->deadline_ms != SHARD_NEVER && now_ms > s->deadline_ms + LATE_MS) {
        s->grace_ms = now_ms + GRACE_MS;
    }
    s->deadline_ms = SHARD_NEVER;
    if (s->state == SHARD_CLOSED) {
        return;
    }
    life_tick(s, now_ms);
    shard_sends_tick(s, now_ms);
    if (s->state == SHARD_DRAINING && s->sends == NULL) {
        close_now(s, "drained", now_ms);
    }
    shard_channels_tick(s, now_ms);
    shard_budget_tick(s, now_ms);
    if (s->state == SHARD_CLOSED) {
        s->deadline_ms = SHARD_NEVER;
    }
}

static void leave(struct shard *s, uint64_t now_ms)
{
    run_tick(s, now_ms);
    /* A change made on the way (a failure, say) may have something due at once. */
    for (int i = 0; i < 4 && s->deadline_ms <= now_ms; i++) {
        run_tick(s, now_ms);
    }
    s->busy = false;
}

void shard_start(struct shard *s, uint64_t now_ms)
{
    enter(s);
    s->started = true;
    leave(s, now_ms);
}

void shard_stop(struct shard *s, uint64_t now_ms)
{
    enter(s);
    if (s->state == SHARD_READY && s->reconnect_ms == 0) {
        shard_move(s, SHARD_DRAINING, now_ms);
    } else if (s->state != SHARD_DRAINING) {
        close_now(s, "stopped", now_ms);
    }
    leave(s, now_ms);
}

void shard_close(struct shard *s, const char *reason, uint64_t now_ms)
{
    enter(s);
    close_now(s, reason, now_ms);
    leave(s, now_ms);
}

void shard_set_fenced(struct shard *s, bool fenced, uint64_t now_ms)
{
    enter(s);
    s->fenced = fenced;
    leave(s, now_ms);
}

void shard_on_token(struct shard *s, uint64_t now_ms)
{
    enter(s);
    if (s->state == SHARD_BACKOFF && s->was_refused) {
        s->retry_ms = now_ms;
    }
    leave(s, now_ms);
}

void shard_on_connected(struct shard *s, uint64_t now_ms)
{
    enter(s);
    if (s->state == SHARD_CONNECTING) {
        s->last_line_ms = now_ms;
        shard_move(s, SHARD_AUTHENTICATING, now_ms);
    }
    leave(s, now_ms);
}

void shard_on_disconnected(struct shard *s, const char *why, uint64_t now_ms)
{
    enter(s);
    if (s->connected) {
        s->connected = false;
        shard_fail(s, why, now_ms);
    }
    leave(s, now_ms);
}

void shard_on_line(struct shard *s, struct slice line, uint64_t now_ms)
{
    enter(s);
    if (s->connected) {
        s->last_line_ms = now_ms;
        shard_line(s, line, now_ms);
    }
    if (s->deadline_ms <= now_ms) {
        leave(s, now_ms);
    }
    s->busy = false;
}

void shard_on_long_line(struct shard *s, uint64_t now_ms)
{
    char why[64];

    enter(s);
    if (s->connected) {
        s->last_line_ms = now_ms;
        s->stats.lines++;
        (void)snprintf(why, sizeof(why), "longer than %d bytes", IRC_MAX_LINE_BYTES);
        shard_bad_line(s, SLICE(""), why);
    }
    s->busy = false;
}

uint64_t shard_tick(struct shard *s, uint64_t now_ms)
{
    enter(s);
    leave(s, now_ms);
    return s->deadline_ms;
}

uint64_t shard_deadline(const struct shard *s)
{
    return s->deadline_ms;
}

const char *shard_id(const struct shard *s)
{
    return s->id;
}

enum shard_state shard_state(const struct shard *s)
{
    return s->state;
}

uint64_t shard_since_ms(const struct shard *s)
{
    return s->since_ms;
}

uint64_t shard_last_line_ms(const struct shard *s)
{
    return s->last_line_ms;
}

bool shard_can_send(const struct shard *s)
{
    return shard_may_write(s) && s->nsends < SHARD_MAX_SENDS;
}

const char *shard_last_error(const struct shard *s)
{
    return s->last_error;
}

const struct shard_stats *shard_stats(const struct shard *s)
{
    return &s->stats;
}
