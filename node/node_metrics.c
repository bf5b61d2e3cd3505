/* Node metrics: looks at the rooms of the node when somebody asks. */
#include "node/node_metrics.h"

#include "node/meters.h"
#include "node/node_private.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* What is so now, and of each shard. What moves to another node is told by that one. */
#define METERS_OF_NODE_NOW(X)                                                                      \
    X(node_state, GAUGE, "", NODE_STATE, "1: the node is in that state")                           \
    X(node_sees_twitch, GAUGE, "", NONE, "1: it sees Twitch, as far as is known")                  \
    X(redis_up, GAUGE, "", NONE, "1: Redis answers within the lease")                              \
    X(lease_margin_seconds, GAUGE, "seconds", NONE,                                                \
      "what was left of the lease when its last renewal was answered; 0: it is not held")          \
    X(fanout_buffer_bytes, GAUGE, "bytes", NONE, "held for Redis: waiting, or not answered")       \
    X(fanout_buffer_limit_bytes, GAUGE, "bytes", NONE, "what may be held")                         \
    X(fanout_held_lines, GAUGE, "", NONE, "room lines held for Redis")                             \
    X(channels, GAUGE, "", CHANNEL_STATE, "channels of its shards, by state")                      \
    X(connections, GAUGE, "", SHARD_STATE, "connections to Twitch, one a shard, by state")

#define METERS_OF_NODE_SHARD(X)                                                                    \
    X(shard_lines_total, COUNTER, "", NONE, "lines read, since the shard was placed here")         \
    X(shard_bytes_total, COUNTER, "bytes", NONE, "bytes of these lines")                           \
    X(shard_channels, GAUGE, "", NONE, "channels it is to read")                                   \
    X(shard_joined_channels, GAUGE, "", NONE, "channels that Twitch has confirmed")                \
    X(shard_lag_seconds, GAUGE, "seconds", NONE, "answer to the newest PING")                      \
    X(shard_ready, GAUGE, "", NONE, "1: it is connected and logged in")

#define METER_LABEL_NODE_STATE    {"state", NODE_GONE + 1, node_state_name}
#define METER_DIM_NODE_STATE      [NODE_GONE + 1]
#define METER_LABEL_CHANNEL_STATE {"state", SHARD_CHANNEL_GONE, channel_state_name}
#define METER_DIM_CHANNEL_STATE   [SHARD_CHANNEL_GONE] /* who is gone is none */
#define METER_LABEL_SHARD_STATE   {"state", SHARD_STATES, connection_state_name}
#define METER_DIM_SHARD_STATE     [SHARD_STATES]

#define WHY_MOST 20 /* lines */

static const char *channel_state_name(size_t i)
{
    return shard_channel_state_name((enum shard_channel_state)i);
}

static const char *connection_state_name(size_t i)
{
    return shard_state_name((enum shard_state)i);
}

struct meters_node_now {
    METERS_OF_NODE_NOW(METER_MEMBER)
};

struct meters_node_shard {
    METERS_OF_NODE_SHARD(METER_MEMBER)
};

#define NOW_ROW(...)   METER_ROW(struct meters_node_now, __VA_ARGS__)
#define SHARD_ROW(...) METER_ROW(struct meters_node_shard, __VA_ARGS__)

static const struct meter meters_of_node_now[] = {METERS_OF_NODE_NOW(NOW_ROW){0}};
static const struct meter meters_of_node_shard[] = {METERS_OF_NODE_SHARD(SHARD_ROW){0}};

/* Looking -------------------------------------------------------------------------------------- */

static struct meters_node_now look_at_node(const struct node *n)
{
    struct fanout_load load = fanout_load(n->fanout);
    struct meters_node_now now = {
        .node_sees_twitch = n->sight.machine.state != SIGHT_BLIND,
        .redis_up = node_lease_is_answered(n->lease),
        .lease_margin_seconds = (double)node_lease_margin_ms(n->lease) / 1e3,
        .fanout_buffer_bytes = (double)load.bytes,
        .fanout_buffer_limit_bytes = (double)load.limit,
        .fanout_held_lines = (double)load.lines,
    };

    now.node_state[n->state.state] = 1;
    for (const struct held *held = n->holder->shards; held != NULL; held = held->hh.next) {
        now.connections[shard_state(held->core)]++;
        for (size_t i = 0; i < SHARD_CHANNEL_GONE; i++) {
            now.channels[i] += (double)shard_channel_count(held->core, (enum shard_channel_state)i);
        }
    }
    return now;
}

static struct meters_node_shard look_at_shard(const struct held *held)
{
    const struct shard_stats *stats = shard_stats(held->core);
    bool ready = shard_state(held->core) == SHARD_READY;
    bool measured = ready && stats->figures.lag_ms > 0;

    return (struct meters_node_shard){
        .shard_lines_total = held->past.lines + stats->lines,
        .shard_bytes_total = held->past.bytes + stats->bytes,
        .shard_channels = (double)held->wants.n,
        .shard_joined_channels = (double)shard_channel_count(held->core, SHARD_CHANNEL_JOINED),
        .shard_lag_seconds = measured ? (double)stats->figures.lag_ms / 1e3 : NAN,
        .shard_ready = ready,
    };
}

void node_metrics_write(const struct node *n, struct exposition *e)
{
    const struct meters_node_now now = look_at_node(n);
    size_t most = HASH_COUNT(n->holder->shards);
    struct meters_node_shard *shards = xcalloc(most + 1, sizeof(*shards));
    struct exposition_of *each = xcalloc(most + 1, sizeof(*each));
    size_t at = 0;

    for (const struct held *held = n->holder->shards; held != NULL; held = held->hh.next) {
        shards[at] = look_at_shard(held);
        each[at] = (struct exposition_of){
            &shards[at], {{"shard", slice_of(held->id)}, {"user", slice_of(held->user)}}};
        at++;
    }
    exposition_write(e, meters_of_node, &meters);
    exposition_write(e, meters_of_node_now, &now);
    exposition_write_each(e, meters_of_node_shard, each, at);
    free(shards);
    free(each);
}

/* Ready? --------------------------------------------------------------------------------------- */

/* What is said against it. */
struct doubts {
    struct buf *why;
    size_t n;
};

static void doubt(struct doubts *d, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void doubt(struct doubts *d, const char *fmt, ...)
{
    char line[512];
    struct err clean;
    va_list args;

    d->n++;
    if (d->n > WHY_MOST) {
        return;
    }
    va_start(args, fmt);
    (void)vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    err_set(&clean, ERR_OK, "%s", line); /* words of others are in it */
    buf_printf(d->why, "%s\n", d->n == WHY_MOST ? "and more" : clean.text);
}

static void count_unsettled(void *ctx, const struct shard_channel *channel)
{
    size_t *n = ctx;
    unsigned state = channel->machine.state;

    *n += !channel->settled && (state == SHARD_CHANNEL_QUEUED || state == SHARD_CHANNEL_JOINING);
}

static void doubt_shard(struct doubts *d, const struct held *held)
{
    enum shard_state state = shard_state(held->core);
    size_t unsettled = 0;

    if (held->run != SHARD_STARTED || held->report.login_refused) {
        return;
    }
    if (state != SHARD_READY) {
        doubt(d, "shard %s is %s%s%s", held->id, shard_state_name(state),
              *shard_last_error(held->core) != '\0' ? ": " : "", shard_last_error(held->core));
        return;
    }
    shard_each_channel(held->core, count_unsettled, &unsettled);
    if (unsettled > 0) {
        doubt(d, "shard %s: %zu channels are not joined yet", held->id, unsettled);
    }
}

bool node_metrics_is_ready(const struct node *n, struct buf *why)
{
    struct doubts d = {.why = why};

    if (n->state.state != NODE_ACTIVE) {
        doubt(&d, "the node is %s", machine_state_name(&n->state));
    } else if (!node_lease_is_answered(n->lease)) {
        doubt(&d, "Redis does not answer");
    }
    if (n->sight.machine.state != SIGHT_SEES) {
        doubt(&d, "it does not see Twitch: %s", n->sight.why);
    }
    for (const struct held *held = n->holder->shards; held != NULL; held = held->hh.next) {
        doubt_shard(&d, held);
    }
    return d.n == 0;
}
