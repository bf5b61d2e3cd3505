/* Cluster, the whole: all of it is asked at once; it is there with the last answer. */
#include "shared/redis/cluster_private.h"

#include <hiredis/hiredis.h>

/* A number as far as it is one. */
static uint64_t number_of(struct slice text)
{
    uint64_t number = 0;

    return slice_to_u64(text, &number) ? number : 0;
}

/* Fields that are not there, or no numbers, are those of nobody. */
static void take_leader(struct cluster_reader *r, const struct redisReply *reply)
{
    struct reader fields = reader_of(reply);
    struct slice id = reader_slice(&fields);
    struct slice host = reader_slice(&fields);
    uint64_t pid = number_of(reader_slice(&fields));
    uint64_t deadline = number_of(reader_slice(&fields));
    struct wall since = {number_of(reader_slice(&fields))};

    r->state.elections = number_of(reader_slice(&fields));
    if (fields.bad) {
        cluster_fail_strange(r, "HMGET");
    } else if (deadline > r->state.now.ms) {
        r->state.leader = (struct cluster_leader){
            .id = reply_memory_keep(&r->memory, id),
            .host = reply_memory_keep(&r->memory, host),
            .pid = pid,
            .leads_ms = since.ms > 0 ? wall_since(since, r->state.now) : 0,
        };
    }
}

static void take_reason(struct cluster_reader *r, const struct redisReply *reply)
{
    r->state.waiting_reason = reply_memory_keep(&r->memory, reply_slice(reply));
}

/* {cursor, {channel, ...}}: one of them tells why it waits. It may wait no more. */
static void take_waiting(struct cluster_reader *r, const struct redisReply *reply)
{
    struct reader all = reader_of(reply);

    (void)reader_u64(&all);
    struct reader channels = reader_of(reader_next(&all));
    struct slice first = reader_left(&channels) > 0 ? reader_slice(&channels) : (struct slice){0};
    if (all.bad || channels.bad) {
        cluster_fail_strange(r, "SSCAN");
    } else if (first.len > 0) {
        cluster_ask(r, take_reason, 0, "HGET", "reason", "channel:%s", first.ptr);
    }
}

static void take_count(struct cluster_reader *r, const struct redisReply *reply)
{
    uint64_t *const counts[] = {&r->state.waiting, &r->state.homeless, &r->state.rooms};

    *counts[r->i] = cluster_count(r, "SCARD", reply);
    if (counts[r->i] == &r->state.waiting && r->state.waiting > 0) {
        cluster_ask(r, take_waiting, 0, "SSCAN", "0 COUNT 1", "waiting");
    }
}

static void take_stopped(struct cluster_reader *r, const struct redisReply *reply)
{
    if (reply->type != REDIS_REPLY_STRING && reply->type != REDIS_REPLY_NIL) {
        cluster_fail_strange(r, "HGET");
    }
    r->state.stopped = slice_is(reply_slice(reply), "1");
}

static void take_budget(struct cluster_reader *r, const struct redisReply *reply)
{
    struct reader slots = reader_of(reply);
    size_t n = reader_left(&slots);
    uint64_t *at_ms = reply_memory_take(&r->memory, n, sizeof(*at_ms));

    for (size_t k = 0; k < n; k++) {
        at_ms[k] = reader_u64(&slots);
    }
    if (slots.bad) {
        cluster_fail_strange(r, "LRANGE");
    }
    r->state.budget[r->i] = (struct cluster_budget){n, at_ms};
}

static void take_muted(struct cluster_reader *r, const struct redisReply *reply)
{
    struct reader muted = reader_of(reply);
    size_t n = reader_left(&muted) / 2;
    struct cluster_muted *out = reply_memory_take(&r->memory, n, sizeof(*out));
    size_t used = 0;

    for (size_t k = 0; k < n; k++) {
        struct slice user = reply_memory_keep(&r->memory, reader_slice(&muted));
        uint64_t until_ms = number_of(reader_slice(&muted));
        if (until_ms > r->state.now.ms) {
            out[used++] = (struct cluster_muted){user, until_ms - r->state.now.ms};
        }
    }
    if (muted.bad) {
        cluster_fail_strange(r, "ZRANGE");
    }
    r->state.muted = out;
    r->state.nmuted = used;
}

static void take_kept(struct cluster_reader *r, const struct redisReply *reply)
{
    struct reader fields = reader_of(reply);
    struct cluster_kept *kept = &r->state.kept;

    kept->streams = number_of(reader_slice(&fields));
    kept->since.ms = number_of(reader_slice(&fields));
    kept->rewinds = number_of(reader_slice(&fields));
    kept->entries = number_of(reader_slice(&fields));
    kept->bytes = number_of(reader_slice(&fields));
    kept->oldest.ms = number_of(reader_slice(&fields));
    kept->short_at.ms = number_of(reader_slice(&fields));
    kept->missing = number_of(reader_slice(&fields)) > 0;
    kept->groups = reply_memory_keep(&r->memory, reader_slice(&fields));
    if (fields.bad) {
        cluster_fail_strange(r, "HMGET");
    }
}

/* The last of the questions about the whole. */
static void take_clock(struct cluster_reader *r, const struct redisReply *reply)
{
    struct reader fields = reader_of(reply);

    r->state.lost_at_ms = number_of(reader_slice(&fields));
    r->state.lost_channels = number_of(reader_slice(&fields));
    r->state.lost_shards = number_of(reader_slice(&fields));
    r->state.speaker_error = reply_memory_keep(&r->memory, reader_slice(&fields));
    for (size_t i = 0; i < SEND_STATUSES; i++) {
        r->state.sends[i] = number_of(reader_slice(&fields));
    }
    if (fields.bad) {
        cluster_fail_strange(r, "HMGET");
    }
    r->at = 1;
}

static void take_changes(struct cluster_reader *r, const struct redisReply *reply)
{
    struct reader fields = reader_of(reply);
    uint64_t up_to = number_of(reader_slice(&fields));
    uint64_t from = number_of(reader_slice(&fields));

    if (fields.bad) {
        cluster_fail_strange(r, "HMGET");
    }
    bool known = r->after > 0 && r->after >= from && r->after <= up_to;
    r->changes = (struct cluster_changes){.up_to = up_to, .all = !known};
    r->at = 1;
}

bool cluster_ask_changes(struct cluster_reader *r)
{
    if (!r->follows || r->at > 0) {
        return false;
    }
    cluster_ask(r, take_changes, 0, "HMGET", "changes changes_from", "clock");
    return true;
}

bool cluster_ask_state(struct cluster_reader *r)
{
    static const char *const budgets[] = {[CLUSTER_LOGINS] = "login",
                                          [CLUSTER_JOINS] = "join",
                                          [CLUSTER_MESSAGES] = "message",
                                          [CLUSTER_MESSAGES_MOD] = "message_mod"};
    if (!r->options.whole || r->at > 0) {
        return false;
    }
    const char *user = r->user[0] != '\0' ? r->user : "anonymous";

    reply_memory_finish(&r->memory);
    r->state = (struct cluster_state){0};
    cluster_ask(r, cluster_take_time, 0, "TIME", "", "%s", "");
    cluster_ask(r, take_leader, 0, "HMGET", "id host pid deadline since token", "leader");
    cluster_ask(r, take_count, 0, "SCARD", "", "waiting");
    cluster_ask(r, take_count, 1, "SCARD", "", "homeless");
    cluster_ask(r, take_stopped, 0, "HGET", "stopped", "config");
    for (size_t i = 0; i < ARRAY_LEN(budgets); i++) {
        bool says = r->speaker[0] != '\0' && i >= CLUSTER_MESSAGES;
        cluster_ask(r, take_budget, i, "LRANGE", "0 -1", "budget:%s:%s", says ? r->speaker : user,
                    budgets[i]);
    }
    cluster_ask(r, take_count, 2, "SCARD", "", "rooms:%s", user);
    cluster_ask(r, take_muted, 0, "ZRANGE", "0 -1 WITHSCORES", "muted");
    cluster_ask(r, take_kept, 0, "HMGET",
                "streams since rewinds entries bytes oldest short missed_to groups", "lines");
    cluster_ask(r, take_clock, 0, "HMGET",
                "lost_at lost_channels lost_shards speaker_error "
                "sends_sent sends_rejected sends_expired sends_unknown",
                "clock");
    return true;
}
