/* Cluster view, a round: what the cluster's reader tells, put into the view. Settings, senders and
 * nodes count when the round has ended well, shards at once. */
#include "coordinator/view/cluster_view_private.h"

#include <stdlib.h>
#include <string.h>

#define REST_FACTOR 4 /* after a round that took 100 ms, the next is 400 ms later at the soonest */
#define SHARD_CHARS "abcdefghijklmnopqrstuvwxyz0123456789_-"
#define NODE_CHARS  SHARD_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZ."

static void pairs_finish(struct view_pairs *pairs)
{
    for (size_t i = 0; i < pairs->n; i++) {
        free(pairs->pair[i].name);
        free(pairs->pair[i].value);
    }
    free(pairs->pair);
    *pairs = (struct view_pairs){0};
}

static void pairs_add(struct view_pairs *pairs, struct slice name, struct slice value)
{
    pairs->pair = xrealloc(pairs->pair, (pairs->n + 1) * sizeof(*pairs->pair));
    pairs->pair[pairs->n++] =
        (struct view_pair){xstrndup(name.ptr, name.len), xstrndup(value.ptr, value.len)};
}

static void facts_finish(struct view_facts *f)
{
    pairs_finish(&f->settings);
    pairs_finish(&f->senders);
    pairs_finish(&f->readers);
    pairs_finish(&f->nodes);
}

/* Names become parts of keys. */
static bool is_name(struct slice text, const char *chars)
{
    return text.len > 0 && text.len <= 64 && strspn(text.ptr, chars) == text.len;
}

static void on_setting(void *ctx, const struct cluster_setting *s)
{
    struct cluster_view *v = ctx;

    pairs_add(&v->read.settings, s->name, s->value);
}

static void on_sender(void *ctx, struct slice user, struct slice shard)
{
    struct cluster_view *v = ctx;

    pairs_add(&v->read.senders, user, shard);
}

static void on_rooms(void *ctx, const struct cluster_rooms *rooms)
{
    struct cluster_view *v = ctx;

    pairs_add(&v->read.readers, rooms->user, rooms->refused);
}

static void on_node(void *ctx, const struct figures_node *n, const struct registry_hash *hash)
{
    struct cluster_view *v = ctx;

    (void)hash;
    if (is_name(n->node, NODE_CHARS)) {
        pairs_add(&v->read.nodes, n->node, n->users);
    }
}

static void take_text(char **to, struct slice text)
{
    free(*to);
    *to = xstrndup(text.ptr, text.len);
}

static enum shard_run run_of(struct slice text)
{
    return slice_is(text, "started")   ? SHARD_STARTED
           : slice_is(text, "stopped") ? SHARD_STOPPED
                                       : SHARD_NEW;
}

static bool on_shard(void *ctx, const struct figures_shard *told, const struct registry_hash *hash)
{
    struct cluster_view *v = ctx;

    if (!is_name(told->shard, SHARD_CHARS)) {
        return false;
    }
    if (!irc_channel_valid(told->user)) {
        if (hash->n == 0 && !cluster_reader_changes(v->reader)->all) {
            view_shard_gone(v, told->shard.ptr);
        } else {
            v->options.on_damaged(v->options.ctx); /* or it went meanwhile */
        }
        return false;
    }
    struct shard *s = view_shard_found(v, told->shard.ptr);

    take_text(&s->user, told->user);
    take_text(&s->node, told->node);
    take_text(&s->sender, told->sender);
    s->ready = s->node[0] && slice_is(told->state, "ready");
    s->connected = s->node[0] && !slice_is(told->state, "closed");
    s->run = run_of(told->run);
    s->login_refused = told->login_refused == 1;
    s->reading = hash->bad != NULL || told->rev != s->rev;
    s->rev = told->rev;
    return s->reading;
}

static void on_shard_channels(void *ctx, const char *shard, const struct slice *channels, size_t n)
{
    struct cluster_view *v = ctx;
    struct shard *s = cluster_view_shard(v, shard);

    if (s == NULL) {
        return;
    }
    view_shard_empty(v, s);
    for (size_t i = 0; i < n; i++) {
        view_shard_put(v, s, channels[i]);
    }
    s->reading = false;
    if (channels == NULL) {
        s->rev = UINT64_MAX; /* to be read in the next round */
    }
}

static void on_damaged(void *ctx)
{
    struct cluster_view *v = ctx;

    v->options.on_damaged(v->options.ctx);
}

static bool may_go_on(void *ctx)
{
    const struct cluster_view *v = ctx;

    return !v->stale && leader_may_act(v->options.leader);
}

static void end_badly(struct cluster_view *v)
{
    for (struct shard *s = v->shards; s != NULL; s = s->hh.next) {
        s->rev = s->reading ? UINT64_MAX : s->rev;
        s->reading = false;
    }
    v->wanted = true;
    if (v->stale) {
        leader_ask_now(v->options.leader); /* the next facts begin the round that was asked for */
    }
}

/* A shard of which nobody said that it changed is not there, or is here no more? */
static void take_changes(struct cluster_view *v, const struct cluster_changes *changes)
{
    if (changes->all) {
        view_shards_forget(v, v->rounds + 1);
    }
    bool known = changes->all || HASH_COUNT(v->shards) == changes->shards;
    v->change = changes->up_to;
    v->all = v->all || !known;
    v->wanted = v->wanted || !known;
}

static void on_done(void *ctx, const struct err *err)
{
    struct cluster_view *v = ctx;
    uint64_t now = mono_ms();

    if (!leader_stepped(v->options.leader, "view", err) || !may_go_on(v)) {
        end_badly(v);
        return;
    }
    take_changes(v, cluster_reader_changes(v->reader));
    facts_finish(&v->facts);
    v->facts = v->read;
    v->read = (struct view_facts){0};
    v->not_before_ms = now + (now - v->begun_ms) * REST_FACTOR;
    v->seen_rev = v->round_rev;
    v->whole = true;
    v->rounds++;
    v->options.on_fresh(v->options.ctx);
}

void view_round_create(struct cluster_view *v)
{
    const struct cluster_reader_options options = {
        .registry = leader_registry(v->options.leader),
        .may_go_on = may_go_on,
        .on_setting = on_setting,
        .on_sender = on_sender,
        .on_rooms = on_rooms,
        .on_node = on_node,
        .on_shard = on_shard,
        .on_shard_channels = on_shard_channels,
        .on_damaged = on_damaged,
        .on_done = on_done,
        .ctx = v,
    };
    v->reader = cluster_reader_create(&options);
}

void view_round_begin(struct cluster_view *v, uint64_t rev)
{
    uint64_t link_id = leader_identity(v->options.leader)->link_id;

    facts_finish(&v->read);
    v->stale = false;
    v->wanted = false;
    v->round_rev = rev;
    v->begun_ms = mono_ms();
    v->change = v->all || v->link_id != link_id ? 0 : v->change;
    v->link_id = link_id;
    v->all = false;
    cluster_reader_begin_after(v->reader, v->change);
}

void view_round_finish(struct cluster_view *v)
{
    cluster_reader_destroy(v->reader);
    facts_finish(&v->facts);
    facts_finish(&v->read);
}
