/* Cluster view: one round after another, each in three phases. A phase is over when all its questions are
 * answered; within a phase answers come in the order of the questions, which tells whose they are. Channels are
 * kept twice: in a hash over all, and in a list of their shard. */
#include "coordinator/cluster_view.h"

#include "shared/log.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define CHUNK       1000 /* shards asked about at a time */
#define REST_FACTOR 4 /* after a round that took 100 ms, the next is 400 ms later at the soonest */
#define FIELDS      "user node state sender rev run login_refused"
#define FIELD_COUNT 7

/* What a round asks for: names, then what is behind them. */
enum phase { PHASE_NAMES, PHASE_FIELDS, PHASE_CHANNELS };

struct pair {
    char *name;
    char *value;
};

struct pairs {
    struct pair *pair;
    size_t n;
};

struct cluster_view {
    struct cluster_view_options options;
    struct shard_manager *manager;
    struct shard *shards;
    struct view_channel *channels;
    struct pairs settings;
    struct pairs senders; /* user -> shard */
    struct view_node *nodes;
    size_t nnodes;
    uint64_t rounds;
    bool whole;
    bool wanted; /* a round, whatever the facts say */
    bool busy;   /* in a round */
    bool failed; /* that is good for nothing */
    enum phase phase;
    size_t pending;     /* questions under way */
    uint64_t seen_rev;  /* shards_rev that was read */
    uint64_t round_rev; /* of this round */
    uint64_t begun_ms;
    uint64_t not_before_ms;
    /* This round: */
    char **ids;
    size_t nids;
    size_t *stale; /* indices of ids whose channels are to be read */
    size_t nstale;
    size_t asked; /* in this phase: shards, and ... */
    size_t answered;
    size_t nodes_answered;
};

/* Channels and shards --------------------------------------------------------------------------------- */

static void channel_unlink(struct cluster_view *v, struct view_channel *c)
{
    DL_DELETE(c->shard->channels, c);
    c->shard->nchannels--;
    free(c->shard->names);
    c->shard->names = NULL;
    HASH_DEL(v->channels, c);
    free(c);
}

static void shard_put(struct cluster_view *v, struct shard *s, struct slice channel)
{
    struct view_channel *c;

    if (channel.len == 0 || channel.len >= sizeof(c->name)) {
        return;
    }
    HASH_FIND(hh, v->channels, channel.ptr, channel.len, c);
    if (c && c->shard == s) {
        return;
    }
    if (c) {
        channel_unlink(v, c);
    }
    c = xcalloc(1, sizeof(*c));
    memcpy(c->name, channel.ptr, channel.len);
    c->shard = s;
    HASH_ADD_STR(v->channels, name, c);
    DL_APPEND(s->channels, c);
    s->nchannels++;
    free(s->names);
    s->names = NULL;
}

static void shard_empty(struct cluster_view *v, struct shard *s)
{
    while (s->channels) {
        channel_unlink(v, s->channels);
    }
}

static void shard_forget(struct cluster_view *v, struct shard *s)
{
    shard_empty(v, s);
    HASH_DEL(v->shards, s);
    free(s->id);
    free(s->user);
    free(s->node);
    free(s->sender);
    free(s->names);
    free(s);
}

static struct shard *find(const struct cluster_view *v, struct slice id)
{
    struct shard *s;

    HASH_FIND(hh, v->shards, id.ptr, id.len, s);
    return s;
}

void cluster_view_put(struct cluster_view *v, struct slice channel, struct slice shard)
{
    struct shard *s = find(v, shard);

    if (s) {
        shard_put(v, s, channel);
    }
}

void cluster_view_drop(struct cluster_view *v, struct slice channel)
{
    struct view_channel *c;

    HASH_FIND(hh, v->channels, channel.ptr, channel.len, c);
    if (c) {
        channel_unlink(v, c);
    }
}

static void drop_all(struct cluster_view *v, const cJSON *names, bool is_list)
{
    const cJSON *each;

    cJSON_ArrayForEach(each, names)
    {
        const char *name = is_list ? cJSON_GetStringValue(each) : each->string;
        if (name) {
            cluster_view_drop(v, slice_of(name));
        }
    }
}

void cluster_view_on_reply(struct cluster_view *v, struct slice reply)
{
    cJSON *json = cJSON_ParseWithLength(reply.ptr, reply.len);
    const cJSON *each;

    cJSON_ArrayForEach(each, cJSON_GetObjectItemCaseSensitive(json, "assigned"))
    {
        if (each->string && cJSON_IsString(each)) {
            cluster_view_put(v, slice_of(each->string), slice_of(each->valuestring));
        }
    }
    if (cJSON_GetObjectItemCaseSensitive(json, "assigned")) {
        drop_all(v, cJSON_GetObjectItemCaseSensitive(json, "refused"), false);
        drop_all(v, cJSON_GetObjectItemCaseSensitive(json, "waiting"), false);
    }
    drop_all(v, cJSON_GetObjectItemCaseSensitive(json, "parted"), true);
    cJSON_Delete(json);
}

/* A round ------------------------------------------------------------------------------------------------ */

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

static const char *pairs_find(const struct pairs *pairs, const char *name)
{
    for (size_t i = 0; i < pairs->n; i++) {
        if (strcmp(pairs->pair[i].name, name) == 0) {
            return pairs->pair[i].value;
        }
    }
    return NULL;
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
    free(v->stale);
    v->ids = NULL;
    v->stale = NULL;
    v->nids = v->nstale = v->asked = v->answered = 0;
}

static void end_round(struct cluster_view *v)
{
    uint64_t now = mono_ms();
    bool good = !v->failed && leader_may_act(v->options.leader);

    v->busy = false;
    forget_round(v);
    if (!good) {
        v->wanted = true;
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

/* Channels of the shards that changed. */
static void on_channels(void *ctx, const struct redisReply *reply, const struct err *err)
{
    struct cluster_view *v = ctx;
    struct shard *s = cluster_view_shard(v, v->ids[v->stale[v->answered++]]);

    if (is_array(v, reply, err) && s) {
        shard_empty(v, s);
        for (size_t i = 0; i < reply->elements; i++) {
            shard_put(v, s, reply_slice(reply->element[i]));
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

static struct shard *shard_found(struct cluster_view *v, const char *id)
{
    struct shard *s = cluster_view_shard(v, id);

    if (!s) {
        s = xcalloc(1, sizeof(*s));
        s->manager = v->manager;
        s->id = xstrdup(id);
        s->rev = UINT64_MAX;
        HASH_ADD_KEYPTR(hh, v->shards, s->id, strlen(s->id), s);
    }
    s->seen = v->rounds + 1;
    return s;
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

    /* A shard that went meanwhile has no user. */
    if (is_array(v, reply, err) && reply->elements == FIELD_COUNT &&
        reply->element[0]->type == REDIS_REPLY_STRING &&
        take_fields(shard_found(v, v->ids[i]), reply->element)) {
        v->stale[v->nstale++] = i;
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
            shard_forget(v, s);
        }
    }
}

static void ask_shards(struct cluster_view *v)
{
    size_t total = v->phase == PHASE_FIELDS ? v->nids : v->nstale;
    char rest[128];

    for (size_t n = 0; n < CHUNK && v->asked < total && !v->failed; n++, v->asked++) {
        if (v->phase == PHASE_FIELDS) {
            snprintf(rest, sizeof(rest), "shard:%.64s", v->ids[v->asked]);
            ask(v, on_fields, "HMGET", rest, FIELDS);
        } else {
            snprintf(rest, sizeof(rest), "shard:%.64s:channels", v->ids[v->stale[v->asked]]);
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
        size_t total = v->phase == PHASE_NAMES ? 0 : v->phase == PHASE_FIELDS ? v->nids : v->nstale;
        if (v->failed || !leader_may_act(v->options.leader) ||
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

    if (is_array(v, reply, err) && reply->elements == 1) {
        take_text(&v->nodes[i].users, reply->element[0]);
    }
    go_on(v);
}

static void on_nodes(void *ctx, const struct redisReply *reply, const struct err *err)
{
    struct cluster_view *v = ctx;

    if (is_array(v, reply, err)) {
        nodes_finish(v);
        v->nnodes = reply->elements;
        v->nodes = xcalloc(v->nnodes + 1, sizeof(*v->nodes));
        for (size_t i = 0; i < v->nnodes; i++) {
            char rest[128];
            v->nodes[i].id = text_of(reply->element[i]);
            v->nodes[i].users = xstrdup("");
            snprintf(rest, sizeof(rest), "node:%.64s", v->nodes[i].id);
            ask(v, on_users, "HMGET", rest, "users");
        }
    }
    go_on(v);
}

static void on_ids(void *ctx, const struct redisReply *reply, const struct err *err)
{
    struct cluster_view *v = ctx;

    if (is_array(v, reply, err)) {
        v->nids = reply->elements;
        v->ids = xcalloc(v->nids + 1, sizeof(*v->ids));
        v->stale = xcalloc(v->nids + 1, sizeof(*v->stale));
        for (size_t i = 0; i < v->nids; i++) {
            v->ids[i] = text_of(reply->element[i]);
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

static void begin_round(struct cluster_view *v, uint64_t rev)
{
    v->busy = true;
    v->failed = false;
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

/* Outside ------------------------------------------------------------------------------------------------- */

struct cluster_view *cluster_view_create(const struct cluster_view_options *options)
{
    struct cluster_view *v = xcalloc(1, sizeof(*v));
    v->options = *options;
    return v;
}

void cluster_view_set_manager(struct cluster_view *v, struct shard_manager *m)
{
    v->manager = m;
}

void cluster_view_add(struct cluster_view *v, const char *id, const char *user)
{
    struct shard *s = shard_found(v, id);

    free(s->user);
    s->user = xstrdup(user);
    s->node = s->node ? s->node : xstrdup("");
    s->sender = s->sender ? s->sender : xstrdup(id);
}

void cluster_view_begin(struct cluster_view *v)
{
    struct shard *s;
    struct shard *tmp;

    HASH_ITER(hh, v->shards, s, tmp)
    {
        shard_forget(v, s);
    }
    v->whole = false;
    v->wanted = true;
    v->not_before_ms = 0;
    v->failed = true; /* what a round under way has read is from before */
}

void cluster_view_doubt(struct cluster_view *v)
{
    for (struct shard *s = v->shards; s; s = s->hh.next) {
        s->rev = UINT64_MAX;
    }
    v->wanted = true;
}

void cluster_view_on_facts(struct cluster_view *v, const struct registry_lead *facts)
{
    if (!v->busy && leader_may_act(v->options.leader) && mono_ms() >= v->not_before_ms &&
        (v->wanted || facts->shards_rev != v->seen_rev)) {
        begin_round(v, facts->shards_rev);
    }
}

uint64_t cluster_view_refresh(struct cluster_view *v)
{
    v->wanted = true;
    v->failed = true; /* a round under way may have read what was before */
    v->not_before_ms = 0;
    leader_ask_now(v->options.leader);
    return v->rounds + 1;
}

void cluster_view_destroy(struct cluster_view *v)
{
    struct shard *s;
    struct shard *tmp;

    BUG_ON(v->pending > 0);
    HASH_ITER(hh, v->shards, s, tmp)
    {
        shard_forget(v, s);
    }
    pairs_finish(&v->settings);
    pairs_finish(&v->senders);
    nodes_finish(v);
    forget_round(v);
    free(v);
}

bool cluster_view_is_whole(const struct cluster_view *v)
{
    return v->whole;
}

uint64_t cluster_view_round(const struct cluster_view *v)
{
    return v->rounds;
}

struct shard *cluster_view_shard(const struct cluster_view *v, const char *id)
{
    return find(v, slice_of(id));
}

struct shard *cluster_view_shards(const struct cluster_view *v)
{
    return v->shards;
}

struct shard *cluster_view_shard_of(const struct cluster_view *v, const char *channel)
{
    struct view_channel *c;

    HASH_FIND_STR(v->channels, channel, c);
    return c ? c->shard : NULL;
}

const char *cluster_view_default_sender(const struct cluster_view *v, const char *user)
{
    const char *shard = pairs_find(&v->senders, user);
    return shard ? shard : "";
}

const char *cluster_view_setting(const struct cluster_view *v, const char *name)
{
    return pairs_find(&v->settings, name);
}

/* The length of the first of "a,b". */
static size_t first_of(const char *users)
{
    return strcspn(users, ",");
}

bool users_have(const char *users, const char *user)
{
    size_t len = strlen(user);

    for (const char *at = users; *at;
         at += at[first_of(at)] == ',' ? first_of(at) + 1 : first_of(at)) {
        if (first_of(at) == len && strncmp(at, user, len) == 0) {
            return true;
        }
    }
    return false;
}

bool cluster_view_knows_user(const struct cluster_view *v, const char *user)
{
    bool knows = strcmp(user, "anonymous") == 0;

    for (size_t i = 0; i < v->nnodes && !knows; i++) {
        knows = users_have(v->nodes[i].users, user);
    }
    return knows;
}

void cluster_view_first_user(const struct cluster_view *v, char *out, size_t size)
{
    const struct view_node *first = NULL;

    for (size_t i = 0; i < v->nnodes; i++) {
        const struct view_node *node = &v->nodes[i];
        if (node->users[0] && (!first || strcmp(node->id, first->id) < 0)) {
            first = node;
        }
    }
    snprintf(out, size, "%.*s", first ? (int)first_of(first->users) : 9,
             first ? first->users : "anonymous");
}

const struct view_node *cluster_view_nodes(const struct cluster_view *v, size_t *n)
{
    *n = v->nnodes;
    return v->nodes;
}
