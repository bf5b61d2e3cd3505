/* Cluster view, a round: three phases, each over when all its questions are answered; within a phase answers come in
 * the order of the questions, which tells whose they are. A question that fails spoils the round. */
#include "coordinator/view/cluster_view_private.h"

#include "shared/irc/parse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK       1000 /* shards asked about at a time */
#define REST_FACTOR 4 /* after a round that took 100 ms, the next is 400 ms later at the soonest */
#define FIELDS      "user node state sender rev run login_refused"
#define FIELD_COUNT 7
#define SHARD_CHARS "abcdefghijklmnopqrstuvwxyz0123456789_-"
#define NODE_CHARS  SHARD_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZ."

static void pairs_finish(struct pairs *pairs)
{
    for (size_t i = 0; i < pairs->n; i++) {
        free(pairs->pair[i].name);
        free(pairs->pair[i].value);
    }
    free(pairs->pair);
    *pairs = (struct pairs){0};
}

static char *text_of(const struct redisReply *reply)
{
    struct slice text = reply_slice(reply);
    return xstrndup(text.ptr ? text.ptr : "", text.len);
}

static void pairs_add(struct pairs *pairs, const struct redisReply *name,
                      const struct redisReply *value)
{
    pairs->pair = xrealloc(pairs->pair, (pairs->n + 1) * sizeof(*pairs->pair));
    pairs->pair[pairs->n++] = (struct pair){text_of(name), text_of(value)};
}

static void nodes_finish(struct cluster_view *v)
{
    for (size_t i = 0; i < v->nnodes; i++) {
        free(v->nodes[i].id);
        free(v->nodes[i].users);
    }
    free(v->nodes);
    v->nodes = NULL;
    v->nnodes = v->nodes_answered = 0;
}

static void forget_round(struct cluster_view *v)
{
    for (size_t i = 0; i < v->nids; i++) {
        free(v->ids[i]);
    }
    free(v->ids);
    free(v->changed);
    v->ids = NULL;
    v->changed = NULL;
    v->nids = v->nchanged = v->asked = v->answered = 0;
}

static void end_round(struct cluster_view *v)
{
    uint64_t now = mono_ms();
    bool good = !v->failed && !v->stale && leader_may_act(v->options.leader);

    v->busy = false;
    forget_round(v);
    if (!good) {
        v->wanted = true;
        if (v->stale) {
            leader_ask_now(
                v->options.leader); /* the next facts begin the round that was asked for */
        }
        return;
    }
    v->not_before_ms = now + (now - v->begun_ms) * REST_FACTOR;
    v->seen_rev = v->round_rev;
    v->whole = true;
    v->rounds++;
    v->options.on_fresh(v->options.ctx);
}

static void go_on(struct cluster_view *v);

/* Every question ends here, when it is answered: is it an answer of the kind that was asked for? */
static bool is_array(struct cluster_view *v, const struct redisReply *reply, const struct err *err)
{
    v->pending--;
    if (!err && reply->type == REDIS_REPLY_ARRAY) {
        return true;
    }
    v->failed = true;
    if (err) {
        leader_step_failed(v->options.leader, "view", err);
    }
    return false;
}

static void ask(struct cluster_view *v, link_reply_cb cb, const char *command, const char *rest,
                const char *more)
{
    struct registry *r = leader_registry(v->options.leader);
    char key[256];
    char text[400];

    registry_key(r, key, sizeof(key), rest);
    snprintf(text, sizeof(text), "%s %%s %s", command, more);
    if (link_command(registry_link(r), cb, v, text, key) == 0) {
        v->pending++;
    } else {
        v->failed = true;
    }
}

/* Something is there that is nothing of ours: passed over, and the compare puts it right. */
static bool is_damaged(struct cluster_view *v, const struct redisReply *reply,
                       const struct err *err)
{
    static const char kind[] = "WRONGTYPE ";

    if (err || reply->type != REDIS_REPLY_ERROR ||
        strncmp(reply->str, kind, sizeof(kind) - 1) != 0) {
        return false;
    }
    v->pending--;
    v->options.on_damaged(v->options.ctx);
    return true;
}

/* Names become parts of keys. */
static bool is_name(struct slice text, const char *chars)
{
    return text.len > 0 && text.len <= 64 && !memchr(text.ptr, '\0', text.len) &&
           strspn(text.ptr, chars) == text.len; /* hiredis puts a NUL behind each */
}

/* Channels of the shards that changed. */
static void on_channels(void *ctx, const struct redisReply *reply, const struct err *err)
{
    struct cluster_view *v = ctx;
    struct shard *s = cluster_view_shard(v, v->ids[v->changed[v->answered++]]);

    if (is_damaged(v, reply, err)) {
        if (s) {
            view_shard_empty(v, s);
            s->rev = UINT64_MAX;
        }
    } else if (is_array(v, reply, err) && s) {
        view_shard_empty(v, s);
        for (size_t i = 0; i < reply->elements; i++) {
            view_shard_put(v, s, reply_slice(reply->element[i]));
        }
    } else if (s) {
        s->rev = UINT64_MAX; /* to be read in the next round */
    }
    go_on(v);
}

static void take_text(char **to, const struct redisReply *reply)
{
    free(*to);
    *to = text_of(reply);
}

static enum shard_run run_of(struct slice text)
{
    return slice_is(text, "started")   ? SHARD_STARTED
           : slice_is(text, "stopped") ? SHARD_STOPPED
                                       : SHARD_NEW;
}

/* The fields of a shard, as FIELDS has them; true if its channels have changed. */
static bool take_fields(struct shard *s, struct redisReply *const *f)
{
    uint64_t rev = 0;

    take_text(&s->user, f[0]);
    take_text(&s->node, f[1]);
    take_text(&s->sender, f[3]);
    struct slice state = reply_slice(f[2]);
    s->ready = s->node[0] && slice_is(state, "ready");
    s->connected = s->node[0] && !slice_is(state, "closed");
    s->run = run_of(reply_slice(f[5]));
    s->login_refused = slice_is(reply_slice(f[6]), "1");
    if (slice_to_u64(reply_slice(f[4]), &rev) && rev == s->rev) {
        return false;
    }
    s->rev = rev;
    return true;
}

static void on_fields(void *ctx, const struct redisReply *reply, const struct err *err)
{
    struct cluster_view *v = ctx;
    size_t i = v->answered++;

    if (!is_damaged(v, reply, err) && is_array(v, reply, err) && reply->elements == FIELD_COUNT) {
        if (!irc_channel_valid(reply_slice(reply->element[0]))) {
            v->options.on_damaged(v->options.ctx); /* or it went meanwhile */
        } else if (take_fields(view_shard_found(v, v->ids[i]), reply->element)) {
            v->changed[v->nchanged++] = i;
        }
    }
    go_on(v);
}

static void forget_the_gone(struct cluster_view *v)
{
    struct shard *s;
    struct shard *tmp;

    HASH_ITER(hh, v->shards, s, tmp)
    {
        if (s->seen != v->rounds + 1) {
            view_shard_forget(v, s);
        }
    }
}

static void ask_shards(struct cluster_view *v)
{
    size_t total = v->phase == PHASE_FIELDS ? v->nids : v->nchanged;
    char rest[128];

    for (size_t n = 0; n < CHUNK && v->asked < total && !v->failed; n++, v->asked++) {
        if (v->phase == PHASE_FIELDS) {
            snprintf(rest, sizeof(rest), "shard:%.64s", v->ids[v->asked]);
            ask(v, on_fields, "HMGET", rest, FIELDS);
        } else {
            snprintf(rest, sizeof(rest), "shard:%.64s:channels", v->ids[v->changed[v->asked]]);
            ask(v, on_channels, "SMEMBERS", rest, "");
        }
    }
}

static void next_phase(struct cluster_view *v)
{
    if (v->phase == PHASE_FIELDS) {
        forget_the_gone(v);
    }
    v->phase++;
    v->asked = v->answered = 0;
}

/* An answer was dealt with: the last one of a phase leads on. */
static void go_on(struct cluster_view *v)
{
    while (v->busy && v->pending == 0) {
        size_t total = v->phase == PHASE_NAMES    ? 0
                       : v->phase == PHASE_FIELDS ? v->nids
                                                  : v->nchanged;
        if (v->failed || v->stale || !leader_may_act(v->options.leader) ||
            (v->phase == PHASE_CHANNELS && v->asked == total)) {
            end_round(v);
        } else if (v->asked == total) {
            next_phase(v);
        } else {
            ask_shards(v);
        }
    }
}

static void on_users(void *ctx, const struct redisReply *reply, const struct err *err)
{
    struct cluster_view *v = ctx;
    size_t i = v->nodes_answered++;

    if (!is_damaged(v, reply, err) && is_array(v, reply, err) && reply->elements == 1) {
        take_text(&v->nodes[i].users, reply->element[0]);
    }
    go_on(v);
}

static void on_nodes(void *ctx, const struct redisReply *reply, const struct err *err)
{
    struct cluster_view *v = ctx;

    if (is_array(v, reply, err)) {
        nodes_finish(v);
        v->nodes = xcalloc(reply->elements + 1, sizeof(*v->nodes));
        for (size_t i = 0; i < reply->elements; i++) {
            char rest[128];
            if (!is_name(reply_slice(reply->element[i]), NODE_CHARS)) {
                continue;
            }
            struct view_node *node = &v->nodes[v->nnodes++];
            node->id = text_of(reply->element[i]);
            node->users = xstrdup("");
            snprintf(rest, sizeof(rest), "node:%.64s", node->id);
            ask(v, on_users, "HMGET", rest, "users");
        }
    }
    go_on(v);
}

static void on_ids(void *ctx, const struct redisReply *reply, const struct err *err)
{
    struct cluster_view *v = ctx;

    if (is_array(v, reply, err)) {
        v->ids = xcalloc(reply->elements + 1, sizeof(*v->ids));
        v->changed = xcalloc(reply->elements + 1, sizeof(*v->changed));
        for (size_t i = 0; i < reply->elements; i++) {
            if (is_name(reply_slice(reply->element[i]), SHARD_CHARS)) {
                v->ids[v->nids++] = text_of(reply->element[i]);
            }
        }
    }
    go_on(v);
}

static void on_senders(void *ctx, const struct redisReply *reply, const struct err *err)
{
    struct cluster_view *v = ctx;

    if (is_array(v, reply, err)) {
        pairs_finish(&v->senders);
        for (size_t i = 0; i + 1 < reply->elements; i += 2) {
            pairs_add(&v->senders, reply->element[i], reply->element[i + 1]);
        }
    }
    go_on(v);
}

static void on_settings(void *ctx, const struct redisReply *reply, const struct err *err)
{
    struct cluster_view *v = ctx;

    if (is_array(v, reply, err)) {
        pairs_finish(&v->settings);
        for (size_t i = 0; i < reply->elements; i++) {
            const struct redisReply *each = reply->element[i];
            if (each->type == REDIS_REPLY_ARRAY && each->elements >= 2) {
                pairs_add(&v->settings, each->element[0], each->element[1]);
            }
        }
    }
    go_on(v);
}

static void ask_settings(struct cluster_view *v)
{
    struct registry *r = leader_registry(v->options.leader);

    if (link_command(registry_link(r), on_settings, v, "FCALL shoal1_settings 1 %s",
                     registry_tag(r)) == 0) {
        v->pending++;
    } else {
        v->failed = true;
    }
}

void view_round_begin(struct cluster_view *v, uint64_t rev)
{
    v->busy = true;
    v->failed = false;
    v->stale = false;
    v->wanted = false;
    v->phase = PHASE_NAMES;
    v->round_rev = rev;
    v->begun_ms = mono_ms();
    ask_settings(v);
    ask(v, on_senders, "HGETALL", "senders", "");
    ask(v, on_nodes, "ZRANGE", "nodes", "0 -1");
    ask(v, on_ids, "ZRANGE", "load", "0 -1");
    go_on(v);
}

void view_round_finish(struct cluster_view *v)
{
    pairs_finish(&v->settings);
    pairs_finish(&v->senders);
    nodes_finish(v);
    forget_round(v);
}
