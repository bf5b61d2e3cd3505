/* Shard: one chat connection, driven by its inputs. See shard.h for the whole, shard_private.h for
 * its parts. */
#include "node/meters.h"
#include "node/shard_private.h"

#include "shared/redis/registry_limits.h"

#include <stdio.h>
#include <stdlib.h>

#define LATE_MS  1000 /* a tick later than this was held up: by a pause of the process, say */
#define GRACE_MS 1000 /* and then what waits in the socket is read first */

struct shard_core *shard_create(const char *id, const char *login, const struct shard_port *port,
                                void *ctx)
{
    struct shard_core *s = xcalloc(1, sizeof(*s));

    BUG_ON(!irc_channel_valid(slice_of(login)));
    s->id = xstrdup(id);
    (void)snprintf(s->self, sizeof(s->self), "%s", login);
    s->failed_retry_ms = SETTING_FAILED_RETRY_MS;
    s->port = port;
    s->ctx = ctx;
    machine_begin(&s->machine, &shard_machine, SHARD_IDLE);
    s->deadline_ms = SHARD_NEVER;
    backoff_init(&s->refused, SHARD_REFUSED_FIRST_MS, SHARD_REFUSED_CAP_MS, 1);
    return s;
}

void shard_destroy(struct shard_core *s)
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

void shard_wake(struct shard_core *s, uint64_t at_ms)
{
    if (at_ms < s->deadline_ms) {
        s->deadline_ms = at_ms;
    }
}

bool shard_overdue(struct shard_core *s, uint64_t at_ms, uint64_t now_ms)
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

bool shard_may_write(const struct shard_core *s)
{
    return s->machine.state == SHARD_READY && !s->fenced && s->reconnect_ms == 0;
}

static void enter(struct shard_core *s)
{
    BUG_ON(s->busy);
    s->busy = true;
}

static void run_tick(struct shard_core *s, uint64_t now_ms)
{
    if (s->deadline_ms != SHARD_NEVER && now_ms > s->deadline_ms + LATE_MS) {
        s->grace_ms = now_ms + GRACE_MS;
    }
    s->deadline_ms = SHARD_NEVER;
    if (s->machine.state == SHARD_CLOSED) {
        return;
    }
    shard_life_tick(s, now_ms);
    shard_sends_tick(s, now_ms);
    if (s->machine.state == SHARD_DRAINING && s->sends == NULL) {
        shard_close_now(s, "drained", now_ms);
    }
    shard_channels_tick(s, now_ms);
    shard_budget_tick(s, now_ms);
    if (s->machine.state == SHARD_CLOSED) {
        s->deadline_ms = SHARD_NEVER;
    }
}

static void leave(struct shard_core *s, uint64_t now_ms)
{
    run_tick(s, now_ms);
    /* A change made on the way (a failure, say) may have something due at once. */
    for (int i = 0; i < 4 && s->deadline_ms <= now_ms; i++) {
        run_tick(s, now_ms);
    }
    s->busy = false;
}

void shard_start(struct shard_core *s, uint64_t now_ms)
{
    enter(s);
    s->started = true;
    leave(s, now_ms);
}

void shard_stop(struct shard_core *s, uint64_t now_ms)
{
    enter(s);
    if (s->machine.state == SHARD_READY && s->reconnect_ms == 0) {
        shard_move(s, SHARD_DRAINING, now_ms);
    } else if (s->machine.state != SHARD_DRAINING) {
        shard_close_now(s, "stopped", now_ms);
    }
    leave(s, now_ms);
}

void shard_close(struct shard_core *s, const char *reason, uint64_t now_ms)
{
    enter(s);
    shard_close_now(s, reason, now_ms);
    leave(s, now_ms);
}

void shard_set_fenced(struct shard_core *s, bool fenced, uint64_t now_ms)
{
    enter(s);
    s->fenced = fenced;
    leave(s, now_ms);
}

void shard_on_token(struct shard_core *s, uint64_t now_ms)
{
    enter(s);
    if (s->machine.state == SHARD_BACKOFF && s->was_refused) {
        s->retry_ms = now_ms;
    }
    leave(s, now_ms);
}

void shard_on_connected(struct shard_core *s, uint64_t now_ms)
{
    enter(s);
    if (s->machine.state == SHARD_CONNECTING) {
        s->last_line_ms = now_ms;
        shard_move(s, SHARD_AUTHENTICATING, now_ms);
    }
    leave(s, now_ms);
}

void shard_on_disconnected(struct shard_core *s, const char *why, uint64_t caught_up_ms,
                           uint64_t now_ms)
{
    enter(s);
    if (s->connected) {
        s->connected = false;
        s->last_line_ms = caught_up_ms < s->last_line_ms ? caught_up_ms : s->last_line_ms;
        shard_fail(s, why, now_ms);
    }
    leave(s, now_ms);
}

void shard_on_line(struct shard_core *s, struct slice line, uint64_t now_ms)
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

void shard_on_long_line(struct shard_core *s, uint64_t now_ms)
{
    char why[64];

    enter(s);
    if (s->connected) {
        s->last_line_ms = now_ms;
        s->stats.lines++;
        meters.twitch_lines_total++;
        (void)snprintf(why, sizeof(why), "longer than %d bytes", IRC_MAX_LINE_BYTES);
        shard_bad_line(s, SLICE(""), why);
    }
    s->busy = false;
}

uint64_t shard_tick(struct shard_core *s, uint64_t now_ms)
{
    enter(s);
    leave(s, now_ms);
    return s->deadline_ms;
}

uint64_t shard_deadline(const struct shard_core *s)
{
    return s->deadline_ms;
}

enum shard_state shard_state(const struct shard_core *s)
{
    return (enum shard_state)s->machine.state;
}

uint64_t shard_last_line_ms(const struct shard_core *s)
{
    return s->last_line_ms;
}

bool shard_can_send(const struct shard_core *s)
{
    return shard_may_write(s) && s->nsends < SHARD_MAX_SENDS;
}

const char *shard_last_error(const struct shard_core *s)
{
    return s->last_error;
}

const struct shard_stats *shard_stats(const struct shard_core *s)
{
    return &s->stats;
}
