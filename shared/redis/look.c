/* Look: five questions, and what each answer says. */
#include "shared/redis/look.h"

#include "shared/redis/reader.h"
#include "shared/redis/refusal.h"
#include "shared/redis/registry_reply.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLOCK_OFF_MS 1000       /* this host's clock and Redis's, beyond what the question took */
#define PUBSUB_LEAST (32 << 20) /* bytes that may wait for a subscriber: Redis's own default */
#define OLDEST_REDIS 7

PRINTF_LIKE(5, 6)
static void add(struct look *l, enum look_verdict verdict, const char *what, const char *mend,
                const char *fmt, ...)
{
    BUG_ON(l->n == LOOK_MOST);
    struct look_finding *f = &l->finding[l->n++];
    va_list args;

    *f = (struct look_finding){verdict, what, verdict == LOOK_RIGHT ? "" : mend, ""};
    va_start(args, fmt);
    vsnprintf(f->text, sizeof(f->text), fmt, args);
    va_end(args);
}

/* A field of INFO, "" where it is not there. */
static const char *info(const char *text, const char *name, char out[64])
{
    return reply_info_field(text, name, out, 64) ? out : "";
}

static void look_at_server(struct look *l, const char *text)
{
    char field[64];
    bool valkey = strcmp(info(text, "server_name", field), "valkey") == 0;
    const char *version = info(text, valkey ? "valkey_version" : "redis_version", field);
    bool old = !valkey && strtol(version, NULL, 10) < OLDEST_REDIS;

    add(l, old ? LOOK_WRONG : LOOK_RIGHT, "version", "Redis 7 or newer, or Valkey 8, is needed",
        "%s %s", valkey ? "Valkey" : "Redis", version);
    const char *role = info(text, "role", field);
    add(l, strcmp(role, "slave") == 0 ? LOOK_WRONG : LOOK_RIGHT, "role",
        "give the address of the primary",
        strcmp(role, "slave") == 0 ? "a replica, which takes no writes" : "primary");
}

static void look_at_memory(struct look *l, const char *text)
{
    char field[64];

    l->maxmemory = strtoull(info(text, "maxmemory", field), NULL, 10);
    const char *policy = info(text, "maxmemory_policy", field);
    bool evicts = *policy && strcmp(policy, "noeviction") != 0;

    add(l, evicts ? LOOK_WRONG : LOOK_RIGHT, "memory", "set maxmemory-policy noeviction",
        evicts ? "maxmemory-policy is %s: Redis drops Shoal's state when its memory is full"
               : "maxmemory-policy is %s",
        *policy ? policy : "not told");
}

/* What is in the append-only file is known to INFO; when snapshots are made, to CONFIG alone. */
static void look_at_disk(struct look *l, const char *text)
{
    char aof[64];
    char rdb[64];

    l->appends = strcmp(info(text, "aof_enabled", aof), "1") == 0;
    bool broken = strcmp(info(text, "aof_last_write_status", aof), "err") == 0 ||
                  strcmp(info(text, "rdb_last_bgsave_status", rdb), "err") == 0;
    if (broken) {
        add(l, LOOK_WRONG, "disk", "look at Redis's log and at the disk",
            "Redis could not write to its disk");
    }
}

static void take_info(struct look *l, const struct redisReply *reply)
{
    if (reply->type != REDIS_REPLY_STRING) {
        add(l, LOOK_UNKNOWN, "server", "", "may not be asked (INFO is forbidden)");
        return;
    }
    look_at_server(l, reply->str);
    look_at_memory(l, reply->str);
    look_at_disk(l, reply->str);
    if (l->appends) {
        add(l, LOOK_RIGHT, "persistence", "", "appendonly is on");
    }
}

static void look_at_snapshots(struct look *l, const char *save)
{
    if (!l->appends) {
        add(l, LOOK_WRONG, "persistence", "set appendonly yes",
            *save ? "snapshots alone: what was joined or parted since the last one is lost with "
                    "Redis"
                  : "off: all channels are lost with Redis");
    }
}

static void look_at_timeout(struct look *l, const char *timeout)
{
    bool off = strcmp(timeout, "0") == 0;

    add(l, off ? LOOK_RIGHT : LOOK_WRONG, "timeout", "set timeout 0",
        off ? "off" : "connections that say nothing for %.20s s are closed", timeout);
}

/* "normal 0 0 0 slave 1 2 3 pubsub 33554432 8388608 60" */
static void look_at_subscribers(struct look *l, const char *limits)
{
    const char *pubsub = strstr(limits, "pubsub ");
    uint64_t most = pubsub ? strtoull(pubsub + strlen("pubsub "), NULL, 10) : 0;
    bool small = most > 0 && most < PUBSUB_LEAST;

    add(l, small ? LOOK_WRONG : LOOK_RIGHT, "subscribers",
        "set client-output-buffer-limit \"pubsub 33554432 8388608 60\", or more",
        most == 0 ? "no limit" : "one that is %" PRIu64 " bytes behind is disconnected", most);
}

/* {name, value, name, value, ...} */
static void take_config(struct look *l, const struct redisReply *reply)
{
    struct reader r = reader_of(reply);
    const char *save = "";
    const char *timeout = "0";
    const char *limits = "";

    while (reader_left(&r) > 0) {
        const char *name = reader_text(&r);
        const char *value = reader_text(&r);
        save = strcmp(name, "save") == 0 ? value : save;
        timeout = strcmp(name, "timeout") == 0 ? value : timeout;
        limits = strcmp(name, "client-output-buffer-limit") == 0 ? value : limits;
    }
    if (r.bad) {
        add(l, LOOK_UNKNOWN, "settings", "",
            "%stimeout and client-output-buffer-limit may not be asked (CONFIG is forbidden)",
            l->appends ? "" : "snapshots, ");
        return;
    }
    look_at_snapshots(l, save);
    look_at_timeout(l, timeout);
    look_at_subscribers(l, limits);
}

static void take_time(struct look *l, const struct redisReply *reply)
{
    struct wall redis;

    if (reply_time(reply, &redis, NULL) != 0) {
        add(l, LOOK_UNKNOWN, "clock", "", "may not be asked (TIME is forbidden)");
        return;
    }
    /* Redis looked at its clock between our two looks at ours. */
    uint64_t ahead = wall_since(wall_now(), redis);
    uint64_t behind = wall_since(redis, l->asked);
    uint64_t off = ahead > behind ? ahead : behind;
    bool apart = off > CLOCK_OFF_MS;
    add(l, apart ? LOOK_WRONG : LOOK_RIGHT, "clock", "let both hosts follow NTP",
        apart ? "Redis's clock and this host's are %" PRIu64 " ms apart"
              : "Redis's and this host's agree",
        off);
}

/* What is kept of chat gives way where memory is short; so much of it should never be there. */
static void look_at_history(struct look *l, uint64_t history_bytes)
{
    bool much = l->maxmemory > 0 && history_bytes > l->maxmemory / 2;

    add(l, much ? LOOK_WRONG : LOOK_RIGHT, "history",
        "give Redis more memory, or lower the setting history_bytes",
        much ? "history_bytes is %" PRIu64 ", more than half of maxmemory (%" PRIu64 ")"
             : "at most %" PRIu64 " bytes of chat are kept",
        history_bytes, l->maxmemory);
}

/* {{name, value, default, allowed}, ...} */
static void take_settings(struct look *l, const struct redisReply *reply)
{
    struct reader list = reader_of(reply);
    uint64_t bytes = 0;
    bool off = false;

    if (refusal_is(reply, REFUSAL_NO_LIBRARY) || refusal_is(reply, REFUSAL_NO_FUNCTIONS)) {
        return; /* that is told already */
    }
    while (reader_left(&list) > 0) {
        struct reader one = reader_of(reader_next(&list));
        struct slice name = reader_slice(&one);
        struct slice value = reader_slice(&one);
        off = off || (slice_is(name, "history_ms") && slice_is(value, "off"));
        if (slice_is(name, "history_bytes")) {
            one.bad = !slice_to_u64(value, &bytes) || one.bad;
        }
        list.bad = list.bad || one.bad;
    }
    if (list.bad) {
        add(l, LOOK_UNKNOWN, "history", "", "settings may not be asked");
    } else if (off) {
        add(l, LOOK_RIGHT, "history", "", "no chat is kept (history_ms is off)");
    } else {
        look_at_history(l, bytes);
    }
}

/* The databases in which a live cluster has our name. */
static void take_elsewhere(struct look *l, const struct redisReply *reply)
{
    struct reader r = reader_of(reply);

    if (refusal_is(reply, REFUSAL_NO_LIBRARY) || refusal_is(reply, REFUSAL_NO_FUNCTIONS)) {
        add(l, LOOK_WRONG, "functions", "start a shoal-coordinator, which loads them",
            "Shoal's are not loaded");
        return;
    }
    uint64_t db = reader_left(&r) > 0 ? reader_u64(&r) : 0;
    if (r.bad) {
        add(l, LOOK_UNKNOWN, "cluster", "", "other databases may not be looked at");
        return;
    }
    bool other = r.at > 0;
    add(l, other ? LOOK_WRONG : LOOK_RIGHT, "cluster",
        "give one of them another name (--cluster), or a Redis of its own",
        other ? "a live one of this name is in database %" PRIu64
                " too: they share topics, so each line and send would be there twice"
              : "no other database has one of this name",
        db);
}

static const struct {
    const char *argv[6];
    int argc;
    void (*take)(struct look *l, const struct redisReply *reply);
} questions[] = {
    {{"INFO"}, 1, take_info},
    {{"CONFIG", "GET", "save", "timeout", "client-output-buffer-limit"}, 5, take_config},
    {{"TIME"}, 1, take_time},
    {{"FCALL_RO", "shoal1_elsewhere", "1"}, 3, take_elsewhere},
    {{"FCALL_RO", "shoal1_settings", "1"}, 3, take_settings},
};

/* Answers come in the order of the questions. */
static void on_answer(void *ctx, const struct redisReply *reply, const struct err *err)
{
    struct look *l = ctx;
    size_t i = l->next++;

    (void)err;
    l->unanswered--;
    if (reply) {
        questions[i].take(l, reply);
    } else {
        l->failed = true;
    }
    if (l->unanswered == 0) {
        l->on_done(l->ctx, l);
    }
}

int look_begin(struct look *l, const struct registry *registry, unsigned db,
               void (*on_done)(void *ctx, const struct look *l), void *ctx)
{
    struct link *link = registry_link(registry);
    char own[24];

    if (!link_is_up(link)) {
        return -ERR_DOWN;
    }
    snprintf(own, sizeof(own), "%u", db);
    *l = (struct look){
        .unanswered = ARRAY_LEN(questions), .asked = wall_now(), .on_done = on_done, .ctx = ctx};
    for (size_t i = 0; i < ARRAY_LEN(questions); i++) {
        const char *argv[8] = {0};
        int argc = questions[i].argc;
        memcpy(argv, questions[i].argv, sizeof(questions[i].argv));
        if (strcmp(argv[0], "FCALL_RO") == 0) {
            argv[argc++] = registry_tag(registry);
        }
        if (questions[i].take == take_elsewhere) {
            argv[argc++] = own;
        }
        if (link_try_argv(link, argc, argv, NULL, on_answer, l) != 0) {
            l->failed = true;
            l->unanswered -= ARRAY_LEN(questions) - i; /* those that were asked are answered */
            return i > 0 ? 0 : -ERR_DOWN;
        }
    }
    return 0;
}

bool look_is_under_way(const struct look *l)
{
    return l->unanswered > 0;
}
