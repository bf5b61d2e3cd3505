/* Cluster, a round: one part after the other, of each one portion after the other.
 *
 * A portion is some questions sent together. Their answers come in order, and each moves the part
 * on; the last one asks the next portion. Where a question fails, what was answered before it stays
 * read, and the round ends when nothing is under way any more. */
#include "shared/redis/cluster.h"

#include "shared/redis/reader.h"
#include "shared/redis/refusal.h"
#include "shared/redis/registry_call.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PORTION 1000u /* things asked about at a time */

/* What Redis maps a name to: a channel to its shard, a node to its deadline. */
struct name {
    char *name;
    char *value;
    bool set_wanted; /* a shard's */
};

struct cluster_reader {
    struct cluster_reader_options options;
    size_t part;
    bool busy;
    bool going_on;   /* inside go_on */
    size_t pending;  /* questions under way */
    struct err err;  /* of this round */
    uint64_t now_ms; /* Redis's clock */
    /* The part under way: */
    struct name *names;
    size_t n;
    size_t cap;
    char cursor[24];
    bool named;     /* all names are there */
    size_t at;      /* what was answered: names, or 1 */
    size_t sets_at; /* names whose sets are read, or not wanted */
    uint64_t held;  /* of the node that comes next */
    /* The whole: */
    struct cluster_state state;
    struct reply_memory memory; /* of state */
};

/* Questions ------------------------------------------------------------------------------------ */

typedef void (*take_fn)(struct cluster_reader *r, size_t i, const struct redisReply *reply);

struct question {
    struct cluster_reader *reader;
    take_fn take;
    size_t i; /* of what it is about */
};

static void go_on(struct cluster_reader *r);

static void fail(struct cluster_reader *r, const struct err *err)
{
    if (r->err.code == ERR_OK) {
        r->err = *err;
    }
}

/* The answer to `command` is not of the kind that was asked for. */
static void fail_strange(struct cluster_reader *r, const char *command)
{
    struct err err;

    reply_broken(&err, command);
    fail(r, &err);
}

static void on_answer(void *ctx, const struct redisReply *reply, const struct err *err)
{
    struct question q = *(struct question *)ctx;

    free(ctx);
    q.reader->pending--;
    if (err != NULL) {
        fail(q.reader, err);
    } else if (q.reader->err.code == ERR_OK) {
        q.take(q.reader, q.i, reply);
    }
    go_on(q.reader);
}

/* Ask COMMAND KEY MORE...; the answer goes to `take`. Where the link is down, the round ends. */
static void ask(struct cluster_reader *r, take_fn take, size_t i, const char *command,
                const char *key, const char *more)
{
    struct question *q = xmalloc(sizeof(*q));
    struct args a = {0};
    struct err err;

    args_words(&a, command);
    if (key != NULL) {
        args_text(&a, key);
    }
    args_words(&a, more);
    *q = (struct question){r, take, i};
    if (args_send(&a, r->options.registry, on_answer, q) == 0) {
        r->pending++;
    } else {
        free(q);
        err_set(&err, ERR_DOWN, "the link to Redis is down");
        fail(r, &err);
    }
}

/* Ask about the key of that name. */
static void ask_key(struct cluster_reader *r, take_fn take, size_t i, const char *command,
                    const char *more, const char *fmt, ...) PRINTF_LIKE(6, 7);
static void ask_key(struct cluster_reader *r, take_fn take, size_t i, const char *command,
                    const char *more, const char *fmt, ...)
{
    char rest[400];
    char key[512];
    va_list names;

    va_start(names, fmt);
    vsnprintf(rest, sizeof(rest), fmt, names);
    va_end(names);
    ask(r, take, i, command, registry_key(r->options.registry, key, sizeof(key), rest), more);
}

/* An answer about one thing: NULL where it is none that may be used. What is of another type in
 * Redis is damaged. */
static const struct redisReply *usable(struct cluster_reader *r, const struct redisReply *reply)
{
    struct err err;

    if (r->options.on_damaged != NULL && refusal_is_wrong_type(reply)) {
        r->options.on_damaged(r->options.ctx);
        return NULL;
    }
    if (reply_check(reply, &err) != 0) {
        fail(r, &err);
        return NULL;
    }
    return reply;
}

/* The same where nothing else than that answer helps: 0, or the round has failed. */
static bool is_answer(struct cluster_reader *r, const struct redisReply *reply)
{
    struct err err;

    if (reply_check(reply, &err) != 0) {
        fail(r, &err);
        return false;
    }
    return true;
}

/* Time, settings and senders ------------------------------------------------------------------- */

static void take_time(struct cluster_reader *r, size_t i, const struct redisReply *reply)
{
    struct err err;

    (void)i;
    if (reply_time(reply, &r->now_ms, &err) != 0) {
        fail(r, &err);
    }
    r->at = 1;
}

static bool ask_time(struct cluster_reader *r)
{
    if (r->at > 0) {
        return false;
    }
    ask(r, take_time, 0, "TIME", NULL, "");
    return true;
}

static void take_settings(struct cluster_reader *r, size_t i, const struct redisReply *reply)
{
    struct reader list = reader_of(reply);

    (void)i;
    if (!is_answer(r, reply)) {
        return;
    }
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
    }
    if (list.bad) {
        fail_strange(r, "shoal1_settings");
    }
    r->at = 1;
}

static bool ask_settings(struct cluster_reader *r)
{
    if (r->options.on_setting == NULL || r->at > 0) {
        return false;
    }
    ask(r, take_settings, 0,
        r->options.read_only ? "FCALL_RO shoal1_settings 1" : "FCALL shoal1_settings 1",
        registry_tag(r->options.registry), "");
    return true;
}

static void take_senders(struct cluster_reader *r, size_t i, const struct redisReply *reply)
{
    struct reader pairs = reader_of(reply);

    (void)i;
    if (!is_answer(r, reply)) {
        return;
    }
    while (reader_left(&pairs) > 0) {
        struct slice user = reader_slice(&pairs);
        struct slice shard = reader_slice(&pairs);
        if (!pairs.bad) {
            r->options.on_sender(r->options.ctx, user, shard);
        }
    }
    if (pairs.bad) {
        fail_strange(r, "HGETALL");
    }
    r->at = 1;
}

static bool ask_senders(struct cluster_reader *r)
{
    if (r->options.on_sender == NULL || r->at > 0) {
        return false;
    }
    ask_key(r, take_senders, 0, "HGETALL", "", "senders");
    return true;
}

/* Names ---------------------------------------------------------------------------------------- */

static void names_finish(struct cluster_reader *r)
{
    for (size_t i = 0; i < r->n; i++) {
        free(r->names[i].name);
        free(r->names[i].value);
    }
    free(r->names);
    r->names = NULL;
    r->n = r->cap = r->at = r->sets_at = 0;
    r->named = false;
    snprintf(r->cursor, sizeof(r->cursor), "0");
}

static int by_name(const void *left, const void *right)
{
    return strcmp(((const struct name *)left)->name, ((const struct name *)right)->name);
}

/* Each once: a scan may tell one twice. */
static void names_sort(struct cluster_reader *r)
{
    size_t kept = 0;

    if (r->n > 0) {
        qsort(r->names, r->n, sizeof(*r->names), by_name);
    }
    for (size_t i = 0; i < r->n; i++) {
        if (kept > 0 && strcmp(r->names[i].name, r->names[kept - 1].name) == 0) {
            free(r->names[i].name);
            free(r->names[i].value);
        } else {
            r->names[kept++] = r->names[i];
        }
    }
    r->n = kept;
    r->named = true;
}

/* {cursor, {name, value, name, value, ...}} */
static void take_names(struct cluster_reader *r, size_t i, const struct redisReply *reply)
{
    struct reader all = reader_of(reply);
    uint64_t cursor = reader_u64(&all);
    struct reader pairs = reader_of(reader_next(&all));

    (void)i;
    if (!is_answer(r, reply)) {
        return;
    }
    while (reader_left(&pairs) > 0) {
        struct slice name = reader_slice(&pairs);
        struct slice value = reader_slice(&pairs);
        if (pairs.bad) {
            break;
        }
        if (r->n == r->cap) {
            r->cap = r->cap > 0 ? 2 * r->cap : 64;
            r->names = xrealloc(r->names, r->cap * sizeof(*r->names));
        }
        r->names[r->n++] = (struct name){.name = xstrndup(name.ptr, name.len),
                                         .value = xstrndup(value.ptr, value.len)};
    }
    if (all.bad || pairs.bad) {
        fail_strange(r, "HSCAN or ZSCAN");
        return;
    }
    snprintf(r->cursor, sizeof(r->cursor), "%" PRIu64, cursor);
    if (cursor == 0) {
        names_sort(r);
    }
}

/* The next portion of names at `key`; false: all are there. */
static bool ask_names(struct cluster_reader *r, const char *command, const char *key)
{
    char more[64];

    if (r->named) {
        return false;
    }
    snprintf(more, sizeof(more), "%s COUNT %u", r->cursor, PORTION);
    ask_key(r, take_names, 0, command, more, "%s", key);
    return true;
}

/* Where the portion that begins with the next one ends. */
static size_t portion_end(const struct cluster_reader *r)
{
    return r->n - r->at < PORTION ? r->n : r->at + PORTION;
}

/* HGETALL's answer into the struct that begins with `hash`. What is damaged counts as empty. */
static void take_hash(struct cluster_reader *r, const struct redisReply *reply,
                      const struct hash_field *fields, struct registry_hash *hash,
                      struct reply_memory *memory)
{
    struct err err;

    if (usable(r, reply) != NULL && reply_hash(reply, fields, hash, memory, &err) != 0) {
        fail(r, &err);
    }
}

/* Nodes ---------------------------------------------------------------------------------------- */

static void take_held(struct cluster_reader *r, size_t i, const struct redisReply *reply)
{
    (void)i;
    r->held = 0;
    if (usable(r, reply) == NULL) {
        return;
    }
    if (reply->type != REDIS_REPLY_INTEGER || reply->integer < 0) {
        fail_strange(r, "ZCARD");
        return;
    }
    r->held = (uint64_t)reply->integer;
}

static void take_node(struct cluster_reader *r, size_t i, const struct redisReply *reply)
{
    struct cluster_node node = {.id = slice_of(r->names[i].name), .held = r->held};
    struct reply_memory memory = {0};

    take_hash(r, reply, cluster_node_fields, &node.hash, &memory);
    if (r->err.code == ERR_OK) {
        double deadline = strtod(r->names[i].value, NULL);
        node.deadline_ms = deadline > 0 ? (uint64_t)fmin(deadline, (double)READER_MOST) : 0;
        r->options.on_node(r->options.ctx, &node);
        r->at++;
    }
    reply_memory_finish(&memory);
}

static bool ask_nodes(struct cluster_reader *r)
{
    if (r->options.on_node == NULL || ask_names(r, "ZSCAN", "nodes")) {
        return r->options.on_node != NULL;
    }
    for (size_t i = r->at; i < portion_end(r); i++) {
        ask_key(r, take_held, i, "ZCARD", "", "node:%s:shards", r->names[i].name);
        ask_key(r, take_node, i, "HGETALL", "", "node:%s", r->names[i].name);
    }
    return r->at < r->n;
}

/* Shards --------------------------------------------------------------------------------------- */

static void take_shard(struct cluster_reader *r, size_t i, const struct redisReply *reply)
{
    struct cluster_shard shard = {.id = slice_of(r->names[i].name)};
    struct reply_memory memory = {0};

    take_hash(r, reply, cluster_shard_fields, &shard.hash, &memory);
    if (r->err.code == ERR_OK) {
        r->names[i].set_wanted = r->options.on_shard(r->options.ctx, &shard);
        r->at++;
    }
    reply_memory_finish(&memory);
}

static void take_set(struct cluster_reader *r, size_t i, const struct redisReply *reply)
{
    struct reply_memory memory = {0};
    struct reader list = reader_of(reply = usable(r, reply));
    size_t n = 0;
    const struct slice *channels = reply != NULL ? reply_rest(&list, &memory, &n) : NULL;

    if (reply != NULL && list.bad) {
        fail_strange(r, "SMEMBERS");
    }
    if (r->err.code == ERR_OK) {
        static const struct slice none;
        r->options.on_shard_channels(r->options.ctx, r->names[i].name,
                                     reply != NULL && n == 0 ? &none : channels, n);
        r->names[i].set_wanted = false;
    }
    reply_memory_finish(&memory);
}

/* The channels of those whose fields were read and that want it; false: there are none. */
static bool ask_sets(struct cluster_reader *r)
{
    bool asked = false;

    for (; r->sets_at < r->at && !r->names[r->sets_at].set_wanted; r->sets_at++) {
    }
    for (size_t i = r->sets_at; i < r->at; i++) {
        if (r->names[i].set_wanted) {
            ask_key(r, take_set, i, "SMEMBERS", "", "shard:%s:channels", r->names[i].name);
            asked = true;
        }
    }
    return asked;
}

static bool ask_shards(struct cluster_reader *r)
{
    if (r->options.on_shard == NULL || ask_names(r, "ZSCAN", "load") || ask_sets(r)) {
        return r->options.on_shard != NULL;
    }
    for (size_t i = r->at; i < portion_end(r); i++) {
        ask_key(r, take_shard, i, "HGETALL", "", "shard:%s", r->names[i].name);
    }
    return r->at < r->n;
}

/* Channels ------------------------------------------------------------------------------------- */

static void take_channel(struct cluster_reader *r, size_t i, const struct redisReply *reply)
{
    struct cluster_channel channel = {.name = slice_of(r->names[i].name),
                                      .shard = slice_of(r->names[i].value)};
    struct reply_memory memory = {0};

    take_hash(r, reply, cluster_channel_fields, &channel.hash, &memory);
    if (r->err.code == ERR_OK) {
        r->options.on_channel(r->options.ctx, &channel);
        r->at++;
    }
    reply_memory_finish(&memory);
}

static bool ask_channels(struct cluster_reader *r)
{
    if (r->options.on_channel == NULL || ask_names(r, "HSCAN", "channels")) {
        return r->options.on_channel != NULL;
    }
    for (size_t i = r->at; i < portion_end(r); i++) {
        ask_key(r, take_channel, i, "HGETALL", "", "channel:%s", r->names[i].name);
    }
    return r->at < r->n;
}

/* The whole ------------------------------------------------------------------------------------ */

/* A copy that lives until on_state. */
static struct slice keep(struct cluster_reader *r, struct slice text)
{
    char *copy = reply_memory_take(&r->memory, text.len + 1, 1);

    if (text.len > 0) {
        memcpy(copy, text.ptr, text.len);
    }
    return (struct slice){copy, text.len};
}

/* Fields that are not there, or no numbers, are those of nobody. */
static void take_leader(struct cluster_reader *r, size_t i, const struct redisReply *reply)
{
    struct reader leader = reader_of(reply);
    struct slice id = reader_slice(&leader);
    struct slice host = reader_slice(&leader);
    struct slice pid = reader_slice(&leader);
    uint64_t now_ms = r->now_ms;
    uint64_t deadline = 0;
    uint64_t since = 0;

    (void)i;
    bool leads = slice_to_u64(reader_slice(&leader), &deadline) && deadline > now_ms;
    bool known = slice_to_u64(reader_slice(&leader), &since) && since < now_ms;
    if (is_answer(r, reply) && leader.bad) {
        fail_strange(r, "HMGET");
    }
    if (leads && !leader.bad) {
        r->state.leader.id = keep(r, id);
        r->state.leader.host = keep(r, host);
        (void)!slice_to_u64(pid, &r->state.leader.pid);
        r->state.leader.leads_ms = known ? now_ms - since : 0;
    }
}

static void take_count(struct cluster_reader *r, size_t i, const struct redisReply *reply)
{
    uint64_t *const counts[] = {&r->state.waiting, &r->state.homeless, &r->state.rooms};

    if (!is_answer(r, reply)) {
        return;
    }
    if (reply->type != REDIS_REPLY_INTEGER || reply->integer < 0) {
        fail_strange(r, "SCARD");
        return;
    }
    *counts[i] = (uint64_t)reply->integer;
}

static void take_stopped(struct cluster_reader *r, size_t i, const struct redisReply *reply)
{
    (void)i;
    if (is_answer(r, reply) && reply->type != REDIS_REPLY_STRING &&
        reply->type != REDIS_REPLY_NIL) {
        fail_strange(r, "HGET");
    }
    r->state.stopped = slice_is(reply_slice(reply), "1");
}

static void take_budget(struct cluster_reader *r, size_t i, const struct redisReply *reply)
{
    struct reader slots = reader_of(reply);
    size_t n = reader_left(&slots);
    uint64_t *at_ms = reply_memory_take(&r->memory, n, sizeof(*at_ms));

    for (size_t k = 0; k < n; k++) {
        at_ms[k] = reader_u64(&slots);
    }
    if (is_answer(r, reply) && slots.bad) {
        fail_strange(r, "LRANGE");
    }
    r->state.budget[i] = (struct cluster_budget){n, at_ms};
}

/* A number as far as it is one. */
static uint64_t number_of(struct slice text)
{
    uint64_t number = 0;

    return slice_to_u64(text, &number) ? number : 0;
}

/* The last of the questions about the whole. */
static void take_lost(struct cluster_reader *r, size_t i, const struct redisReply *reply)
{
    struct reader lost = reader_of(reply);

    (void)i;
    r->state.lost_at_ms = number_of(reader_slice(&lost));
    r->state.lost_channels = number_of(reader_slice(&lost));
    r->state.lost_shards = number_of(reader_slice(&lost));
    if (!is_answer(r, reply)) {
        return;
    }
    if (lost.bad) {
        fail_strange(r, "HMGET");
        return;
    }
    r->state.now_ms = r->now_ms;
    r->options.on_state(r->options.ctx, &r->state);
    r->at = 1;
}

static bool ask_state(struct cluster_reader *r)
{
    static const char *const budgets[] = {[CLUSTER_LOGINS] = "login",
                                          [CLUSTER_JOINS] = "join",
                                          [CLUSTER_MESSAGES] = "message",
                                          [CLUSTER_MESSAGES_MOD] = "message_mod"};
    if (r->options.on_state == NULL || r->at > 0) {
        return false;
    }
    const char *user = r->options.budgets_of(r->options.ctx);

    reply_memory_finish(&r->memory);
    r->state = (struct cluster_state){0};
    ask(r, take_time, 0, "TIME", NULL, "");
    ask_key(r, take_leader, 0, "HMGET", "id host pid deadline since", "leader");
    ask_key(r, take_count, 0, "SCARD", "", "waiting");
    ask_key(r, take_count, 1, "SCARD", "", "homeless");
    ask_key(r, take_stopped, 0, "HGET", "stopped", "config");
    for (size_t i = 0; i < ARRAY_LEN(budgets); i++) {
        ask_key(r, take_budget, i, "LRANGE", "0 -1", "budget:%s:%s", user, budgets[i]);
    }
    ask_key(r, take_count, 2, "SCARD", "", "rooms:%s", user);
    ask_key(r, take_lost, 0, "HMGET", "lost_at lost_channels lost_shards", "clock");
    return true;
}

/* The round ------------------------------------------------------------------------------------ */

/* Each asks the next portion; false: nothing is left. */
static bool (*const parts[])(struct cluster_reader *r) = {
    ask_time, ask_settings, ask_senders, ask_nodes, ask_shards, ask_channels, ask_state};

static bool may_go_on(struct cluster_reader *r)
{
    struct err err;

    if (r->options.may_go_on != NULL && !r->options.may_go_on(r->options.ctx)) {
        err_set(&err, ERR_CANCELED, "the round was given up");
        fail(r, &err);
    }
    return r->err.code == ERR_OK;
}

static void end_round(struct cluster_reader *r)
{
    struct err err = r->err;

    r->busy = false;
    r->options.on_done(r->options.ctx, err.code != ERR_OK ? &err : NULL);
}

/* All that was asked is answered: the next portion, or the end. */
static void go_on(struct cluster_reader *r)
{
    while (r->busy && r->pending == 0) {
        if (!may_go_on(r) || r->part == ARRAY_LEN(parts)) {
            end_round(r);
            return;
        }
        if (!parts[r->part](r)) {
            r->part++;
            names_finish(r);
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
        names_finish(r);
        reply_memory_finish(&r->memory);
        free(r);
    }
}

void cluster_reader_begin(struct cluster_reader *r)
{
    r->part = 0;
    names_finish(r);
    cluster_reader_resume(r);
}

void cluster_reader_resume(struct cluster_reader *r)
{
    BUG_ON(r->busy);
    r->busy = true;
    r->err = (struct err){0};
    go_on(r);
}

uint64_t cluster_reader_now(const struct cluster_reader *r)
{
    return r->now_ms;
}

bool cluster_reader_is_busy(const struct cluster_reader *r)
{
    return r->busy;
}
