/* Cluster, lists: names first, a portion at a time, then the hash behind each. */
#include "shared/redis/cluster_private.h"

#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PORTION 1000u /* things asked about at a time */

/* Names ---------------------------------------------------------------------------------------- */

void cluster_names_finish(struct cluster_reader *r)
{
    reply_memory_finish(&r->names_memory);
    r->names = NULL;
    r->n = r->at = 0;
    r->cursor = 0;
    r->named = false;
    r->account[0] = '\0';
}

static int by_name(const void *left, const void *right)
{
    return strcmp(((const struct cluster_name *)left)->name,
                  ((const struct cluster_name *)right)->name);
}

/* Each once: a scan may tell one twice. */
static void names_sort(struct cluster_reader *r)
{
    size_t kept = 0;

    if (r->n > 0) {
        qsort(r->names, r->n, sizeof(*r->names), by_name);
    }
    for (size_t i = 0; i < r->n; i++) {
        if (kept == 0 || strcmp(r->names[i].name, r->names[kept - 1].name) != 0) {
            r->names[kept++] = r->names[i];
        }
    }
    r->n = kept;
    r->named = true;
}

/* {name, value, name, value, ...}; false: the round has failed. */
static bool keep_names(struct cluster_reader *r, struct reader *pairs)
{
    while (reader_left(pairs) > 0) {
        struct slice name = reader_slice(pairs);
        struct slice value = reader_slice(pairs);
        if (pairs->bad) {
            break;
        }
        r->names = reply_memory_grow(&r->names_memory, r->names, r->n, sizeof(*r->names));
        r->names[r->n++] =
            (struct cluster_name){.name = reply_memory_keep(&r->names_memory, name).ptr,
                                  .value = reply_memory_keep(&r->names_memory, value).ptr};
    }
    return !pairs->bad;
}

/* {cursor, {name, value, name, value, ...}} */
static void take_names(struct cluster_reader *r, const struct redisReply *reply)
{
    struct reader all = reader_of(reply);
    uint64_t cursor = reader_u64(&all);
    struct reader pairs = reader_of(reader_next(&all));

    if (!keep_names(r, &pairs) || all.bad) {
        cluster_fail_strange(r, "HSCAN or ZSCAN");
        return;
    }
    r->cursor = cursor;
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
    snprintf(more, sizeof(more), "%" PRIu64 " COUNT %u", r->cursor, PORTION);
    cluster_ask(r, take_names, 0, command, more, "%s", key);
    return true;
}

/* HGETALL's answer into the struct `of` those figures; false: the round has failed. */
static bool take_hash(struct cluster_reader *r, const struct redisReply *reply,
                      const struct figure *figures, void *of)
{
    struct err err;

    reply_memory_finish(&r->memory);
    r->hash = (struct registry_hash){0};
    if (reply != NULL && reply_hash(reply, figures, of, &r->hash, &r->memory, &err) != 0) {
        cluster_fail_strange(r, "HGETALL");
        return false;
    }
    r->at++;
    return true;
}

static void take_held(struct cluster_reader *r, const struct redisReply *reply)
{
    r->held = cluster_count(r, "ZCARD", reply);
}

/* What is left of a node's lease. */
static int64_t lease_ms(const struct cluster_reader *r, const struct cluster_name *node)
{
    double deadline = strtod(node->value, NULL);

    deadline = deadline > 0 ? fmin(deadline, (double)READER_MOST) : 0;
    return (int64_t)deadline - (int64_t)r->state.now.ms;
}

/* The last word of a node that died is not what is read now. */
static void note_silent(struct cluster_reader *r)
{
    reply_memory_finish(&r->silent_memory);
    r->silent = NULL;
    r->nsilent = 0;
    for (size_t i = 0; i < r->n; i++) {
        if (lease_ms(r, &r->names[i]) < 0) {
            struct slice name = reply_memory_keep(&r->silent_memory, slice_of(r->names[i].name));
            r->silent = reply_memory_grow(&r->silent_memory, r->silent, r->nsilent, sizeof(name));
            r->silent[r->nsilent++] = name;
        }
    }
}

static bool is_silent(const struct cluster_reader *r, struct slice node)
{
    size_t i = 0;

    while (i < r->nsilent && !slice_eq(r->silent[i], node)) {
        i++;
    }
    return i < r->nsilent;
}

static void take_node(struct cluster_reader *r, const struct redisReply *reply)
{
    const struct cluster_name *name = &r->names[r->i];
    struct figures_node node = {
        .node = slice_of(name->name), .shards = r->held, .lease_ms = lease_ms(r, name)};

    if (take_hash(r, reply, figures_of_node, &node)) {
        if (node.lease_ms < 0) {
            figures_rest(figures_of_node, &node);
        }
        r->options.on_node(r->options.ctx, &node, &r->hash);
    }
}

static void take_shard(struct cluster_reader *r, const struct redisReply *reply)
{
    struct cluster_name *name = &r->names[r->i];
    struct figures_shard shard = {.shard = slice_of(name->name)};

    if (take_hash(r, reply, figures_of_shard, &shard)) {
        if (!slice_is(shard.state, "ready") || is_silent(r, shard.node)) {
            figures_rest(figures_of_shard, &shard);
        }
        name->set_wanted = r->options.on_shard(r->options.ctx, &shard, &r->hash);
    }
}

static void take_channel(struct cluster_reader *r, const struct redisReply *reply)
{
    const struct cluster_name *name = &r->names[r->i];
    struct figures_channel channel = {.channel = slice_of(name->name),
                                      .shard = slice_of(name->value)};

    if (take_hash(r, reply, figures_of_channel, &channel)) {
        r->options.on_channel(r->options.ctx, &channel, &r->hash);
    }
}

/* A portion of the accounts; the last one is empty. */
static void take_accounts(struct cluster_reader *r, const struct redisReply *reply)
{
    struct reader all = reader_of(reply);

    r->named = reader_left(&all) == 0;
    while (reader_left(&all) > 0) {
        struct reader one = reader_of(reader_next(&all));
        struct figures_account account = {.account = reader_slice(&one)};
        account.rooms = reader_u64(&one);
        account.room_limit = reader_u64(&one);
        account.messages_left = reader_u64(&one);
        account.message_limit = reader_u64(&one);
        account.shards = reader_u64(&one);
        const struct redisReply *hash = reader_next(&one);
        all.bad = all.bad || one.bad || account.account.len >= sizeof(r->account) ||
                  strcmp(account.account.ptr, r->account) <= 0; /* there would be no end */
        if (all.bad || !take_hash(r, hash, figures_of_account, &account)) {
            break;
        }
        account.left_ms = account.expires_at.ms > 0
                              ? (int64_t)account.expires_at.ms - (int64_t)r->state.now.ms
                              : 0;
        snprintf(r->account, sizeof(r->account), "%.*s", (int)account.account.len,
                 account.account.ptr);
        r->options.on_account(r->options.ctx, &account, &r->hash);
    }
    if (all.bad) {
        cluster_fail_strange(r, "shoal1_show_accounts");
    }
}

/* The channels of a shard. */
static void take_set(struct cluster_reader *r, const struct redisReply *reply)
{
    static const struct slice none;
    struct cluster_name *name = &r->names[r->i];
    struct reader list = reader_of(reply);
    size_t n = 0;

    reply_memory_finish(&r->memory);
    const struct slice *channels = reply_rest(&list, &r->memory, &n);

    if (reply != NULL && list.bad) {
        cluster_fail_strange(r, "SMEMBERS");
        return;
    }
    channels = reply == NULL || n > 0 ? channels : &none;
    r->options.on_shard_channels(r->options.ctx, name->name, channels, n);
    name->set_wanted = false;
}

/* The channels of those whose fields were read and that want it; false: there are none. */
static bool ask_sets(struct cluster_reader *r)
{
    bool asked = false;

    for (size_t i = 0; i < r->at; i++) {
        if (r->names[i].set_wanted) {
            cluster_ask(r, take_set, i, "SMEMBERS", "", "shard:%s:channels", r->names[i].name);
            asked = true;
        }
    }
    return asked;
}

/* The hashes of the next names; false: all are read. */
static bool ask_hashes(struct cluster_reader *r, cluster_take take, const char *kind)
{
    size_t end = r->n - r->at < PORTION ? r->n : r->at + PORTION;

    for (size_t i = r->at; i < end; i++) {
        if (take == take_node) {
            cluster_ask(r, take_held, i, "ZCARD", "", "node:%s:shards", r->names[i].name);
        }
        cluster_ask(r, take, i, "HGETALL", "", "%s:%s", kind, r->names[i].name);
    }
    return r->at < r->n;
}

bool cluster_ask_nodes(struct cluster_reader *r)
{
    if (r->options.on_node == NULL && r->options.on_shard == NULL) {
        return false;
    }
    if (ask_names(r, "ZSCAN", "nodes")) {
        return true;
    }
    note_silent(r);
    return r->options.on_node != NULL && ask_hashes(r, take_node, "node");
}

/* {shard, change, shard, change, ...}, as they changed. The last change is in the index; where it
 * is not, somebody removed some of it, and all shards are read. */
static void take_changed(struct cluster_reader *r, const struct redisReply *reply)
{
    struct reader pairs = reader_of(reply);
    bool last = reader_left(&pairs) < (size_t)2 * PORTION;
    uint64_t change = r->after;

    if (!keep_names(r, &pairs) ||
        (r->n > 0 && !slice_to_u64(slice_of(r->names[r->n - 1].value), &change))) {
        cluster_fail_strange(r, "ZRANGEBYSCORE");
    } else if (!last) {
        r->cursor = change;
    } else if (change < r->changes.up_to) {
        r->changes.all = true;
        r->cursor = 0;
    } else {
        names_sort(r);
    }
}

/* The names of the shards that changed, or of all. */
static bool ask_shard_names(struct cluster_reader *r)
{
    char more[80];

    if (!r->follows || r->changes.all) {
        return ask_names(r, "ZSCAN", "load");
    }
    if (r->named) {
        return false;
    }
    snprintf(more, sizeof(more), "(%" PRIu64 " +inf WITHSCORES LIMIT 0 %u",
             r->cursor > 0 ? r->cursor : r->after, PORTION);
    cluster_ask(r, take_changed, 0, "ZRANGEBYSCORE", more, "changed");
    return true;
}

bool cluster_ask_shards(struct cluster_reader *r)
{
    return r->options.on_shard != NULL &&
           (ask_shard_names(r) || ask_sets(r) || ask_hashes(r, take_shard, "shard"));
}

static void take_shard_count(struct cluster_reader *r, const struct redisReply *reply)
{
    r->changes.shards = cluster_count(r, "ZCARD", reply);
    r->at = 1;
}

bool cluster_ask_shard_count(struct cluster_reader *r)
{
    if (!r->follows || r->at > 0) {
        return false;
    }
    cluster_ask(r, take_shard_count, 0, "ZCARD", "", "load");
    return true;
}

/* The channels that are asked about, in their order. */
static void names_given(struct cluster_reader *r)
{
    for (size_t i = 0; i < r->options.nchannels; i++) {
        const struct cluster_channel *c = &r->options.channels[i];
        r->names = reply_memory_grow(&r->names_memory, r->names, r->n, sizeof(*r->names));
        r->names[r->n++] = (struct cluster_name){.name = c->name, .value = c->shard};
    }
    r->named = true;
}

static void tell_channel_names(struct cluster_reader *r)
{
    for (size_t i = 0; i < r->n; i++) {
        const struct cluster_channel c = {r->names[i].name, r->names[i].value};
        r->options.on_channel_name(r->options.ctx, &c);
    }
}

bool cluster_ask_channels(struct cluster_reader *r)
{
    bool wanted = r->options.on_channel != NULL || r->options.on_channel_name != NULL;

    if (r->options.channels != NULL && !r->named) {
        names_given(r);
    }
    if (wanted && ask_names(r, "HSCAN", "channels")) {
        return true;
    }
    if (r->options.on_channel_name != NULL) {
        tell_channel_names(r);
    }
    return r->options.on_channel != NULL && ask_hashes(r, take_channel, "channel");
}

bool cluster_ask_accounts(struct cluster_reader *r)
{
    char more[120];

    if (r->options.on_account == NULL || r->named) {
        return false;
    }
    snprintf(more, sizeof(more), "shoal1_show_accounts 1 %s %s", registry_tag(r->options.registry),
             r->account);
    cluster_ask(r, take_accounts, 0, r->options.read_only ? "FCALL_RO" : "FCALL", more, "%s", "");
    return true;
}
