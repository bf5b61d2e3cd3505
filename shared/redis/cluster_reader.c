/* Cluster, a round: one part after the other, of each one portion after the other.
 *
 * A portion is some questions sent together. Their answers come in order, and each moves the part
 * on; the last one asks the next portion. Where a question fails, what was answered before it stays
 * read, and the round ends when nothing is under way any more. */
#include "shared/redis/cluster_private.h"
#include "shared/redis/refusal.h"
#include "shared/redis/registry_call.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* Questions ------------------------------------------------------------------------------------ */

struct question {
    struct cluster_reader *reader;
    cluster_take take;
    size_t i;
};

static void go_on(struct cluster_reader *r);

/* Where to say what is wrong: the first thing that is counts. */
static struct err *blame(struct cluster_reader *r)
{
    return r->err.code == ERR_OK ? &r->err : NULL;
}

void cluster_fail_strange(struct cluster_reader *r, const char *command)
{
    reply_broken(blame(r), command);
}

static void on_answer(void *ctx, const struct redisReply *reply, const struct err *err)
{
    struct question q = *(struct question *)ctx;
    struct cluster_reader *r = q.reader;

    free(ctx);
    r->pending--;
    if (err != NULL) {
        r->err = r->err.code == ERR_OK ? *err : r->err;
    } else if (r->options.on_damaged != NULL && r->named && refusal_is_wrong_type(reply)) {
        r->options.on_damaged(r->options.ctx);
        reply = NULL;
    } else {
        (void)!reply_check(reply, blame(r));
    }
    if (r->err.code == ERR_OK) {
        r->i = q.i;
        q.take(r, reply);
    }
    go_on(r);
}

void cluster_ask(struct cluster_reader *r, cluster_take take, size_t i, const char *command,
                 const char *more, const char *fmt, ...)
{
    struct question *q = xmalloc(sizeof(*q));
    struct args a = args_of(command);
    char key[512];
    va_list names;

    va_start(names, fmt);
    vsnprintf(key, sizeof(key), fmt, names);
    va_end(names);
    if (key[0] != '\0') {
        args_key(&a, r->options.registry, "%s", key);
    }
    args_words(&a, more);
    *q = (struct question){r, take, i};
    if (args_send(a, r->options.registry, on_answer, q) == 0) {
        r->pending++;
    } else {
        free(q);
        err_set(blame(r), ERR_DOWN, "the link to Redis is down");
    }
}

uint64_t cluster_count(struct cluster_reader *r, const char *command,
                       const struct redisReply *reply)
{
    if (reply == NULL) {
        return 0;
    }
    if (reply->type != REDIS_REPLY_INTEGER || reply->integer < 0) {
        cluster_fail_strange(r, command);
        return 0;
    }
    return (uint64_t)reply->integer;
}

/* Time, settings, senders and readers ---------------------------------------------------------- */

void cluster_take_time(struct cluster_reader *r, const struct redisReply *reply)
{
    if (reply_time(reply, &r->state.now, NULL) != 0) {
        cluster_fail_strange(r, "TIME");
    }
}

static void take_time(struct cluster_reader *r, const struct redisReply *reply)
{
    cluster_take_time(r, reply);
    r->at = 1;
}

static bool ask_time(struct cluster_reader *r)
{
    if (r->at > 0) {
        return false;
    }
    cluster_ask(r, take_time, 0, "TIME", "", "%s", "");
    return true;
}

static void take_settings(struct cluster_reader *r, const struct redisReply *reply)
{
    struct reader list = reader_of(reply);

    while (reader_left(&list) > 0) {
        struct reader one = reader_of(reader_next(&list));
        struct cluster_setting s;
        s.name = reader_slice(&one);
        s.value = reader_slice(&one);
        s.otherwise = reader_slice(&one);
        s.allowed = reader_slice(&one);
        list.bad = list.bad || one.bad;
        if (!list.bad) {
            r->options.on_setting(r->options.ctx, &s);
        }
        if (slice_is(s.name, "user")) {
            snprintf(r->user, sizeof(r->user), "%.*s", (int)s.value.len, s.value.ptr);
        } else if (slice_is(s.name, "speaker")) {
            snprintf(r->speaker, sizeof(r->speaker), "%.*s", (int)s.value.len, s.value.ptr);
        }
    }
    if (list.bad) {
        cluster_fail_strange(r, "shoal1_settings");
    }
    r->at = 1;
}

/* Call a function of the library that writes nothing. */
static void ask_function(struct cluster_reader *r, cluster_take take, const char *name)
{
    char more[80];

    snprintf(more, sizeof(more), "shoal1_%s 1 %s", name, registry_tag(r->options.registry));
    cluster_ask(r, take, 0, r->options.read_only ? "FCALL_RO" : "FCALL", more, "%s", "");
}

static bool ask_settings(struct cluster_reader *r)
{
    if (r->options.on_setting == NULL || r->at > 0) {
        return false;
    }
    ask_function(r, take_settings, "settings");
    return true;
}

static void take_senders(struct cluster_reader *r, const struct redisReply *reply)
{
    struct reader pairs = reader_of(reply);

    while (reader_left(&pairs) > 0) {
        struct slice user = reader_slice(&pairs);
        struct slice shard = reader_slice(&pairs);
        if (!pairs.bad) {
            r->options.on_sender(r->options.ctx, user, shard);
        }
    }
    if (pairs.bad) {
        cluster_fail_strange(r, "HGETALL");
    }
    r->at = 1;
}

static bool ask_senders(struct cluster_reader *r)
{
    if (r->options.on_sender == NULL || r->at > 0) {
        return false;
    }
    cluster_ask(r, take_senders, 0, "HGETALL", "", "senders");
    return true;
}

static void take_rooms(struct cluster_reader *r, const struct redisReply *reply)
{
    struct reader list = reader_of(reply);

    while (reader_left(&list) > 0) {
        struct reader one = reader_of(reader_next(&list));
        struct cluster_rooms rooms;
        rooms.user = reader_slice(&one);
        rooms.rooms = reader_u64(&one);
        rooms.limit = reader_u64(&one);
        rooms.refused = reader_slice(&one);
        list.bad = list.bad || one.bad;
        if (!list.bad) {
            r->options.on_rooms(r->options.ctx, &rooms);
        }
    }
    if (list.bad) {
        cluster_fail_strange(r, "shoal1_readers");
    }
    r->at = 1;
}

static bool ask_rooms(struct cluster_reader *r)
{
    if (r->options.on_rooms == NULL || r->at > 0) {
        return false;
    }
    ask_function(r, take_rooms, "readers");
    return true;
}

/* The round ------------------------------------------------------------------------------------ */

/* Each asks the next portion; false: nothing is left. */
static bool (*const parts[])(struct cluster_reader *r) = {
    ask_time,
    ask_settings,
    ask_senders,
    ask_rooms,
    cluster_ask_nodes,
    cluster_ask_changes,
    cluster_ask_shards,
    cluster_ask_shard_count,
    cluster_ask_channels,
    cluster_ask_accounts,
    cluster_ask_state,
};

static bool may_go_on(struct cluster_reader *r)
{
    if (r->options.may_go_on != NULL && !r->options.may_go_on(r->options.ctx)) {
        err_set(blame(r), ERR_CANCELED, "the round was given up");
    }
    return r->err.code == ERR_OK;
}

/* All that was asked is answered: the next portion, or the end. */
static void go_on(struct cluster_reader *r)
{
    while (r->busy && r->pending == 0) {
        if (!may_go_on(r) || r->part == ARRAY_LEN(parts)) {
            struct err err = r->err;

            r->busy = false;
            r->options.on_done(r->options.ctx, err.code != ERR_OK ? &err : NULL);
            return;
        }
        if (!parts[r->part](r)) {
            r->part++;
            cluster_names_finish(r);
        }
    }
}

struct cluster_reader *cluster_reader_create(const struct cluster_reader_options *options)
{
    struct cluster_reader *r = xcalloc(1, sizeof(*r));

    r->options = *options;
    return r;
}

void cluster_reader_destroy(struct cluster_reader *r)
{
    if (r != NULL) {
        BUG_ON(r->busy);
        cluster_names_finish(r);
        reply_memory_finish(&r->silent_memory);
        reply_memory_finish(&r->memory);
        free(r);
    }
}

void cluster_reader_begin(struct cluster_reader *r)
{
    r->follows = false;
    r->part = 0;
    cluster_names_finish(r);
    cluster_reader_resume(r);
}

void cluster_reader_begin_after(struct cluster_reader *r, uint64_t change)
{
    r->follows = true;
    r->after = change;
    r->part = 0;
    cluster_names_finish(r);
    cluster_reader_resume(r);
}

const struct cluster_changes *cluster_reader_changes(const struct cluster_reader *r)
{
    return &r->changes;
}

void cluster_reader_resume(struct cluster_reader *r)
{
    BUG_ON(r->busy);
    r->busy = true;
    r->err = (struct err){0};
    go_on(r);
}

const struct cluster_state *cluster_reader_state(const struct cluster_reader *r)
{
    return &r->state;
}

bool cluster_reader_is_busy(const struct cluster_reader *r)
{
    return r->busy;
}
