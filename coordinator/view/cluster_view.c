/* Cluster view: what was read, and what steps did since. Channels are kept twice: in a hash over
 * all, and in a list of their shard. */
#include "coordinator/view/cluster_view_private.h"

#include "shared/irc/parse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

/* Channels and shards -------------------------------------------------------------------------- */

static void channel_unlink(struct cluster_view *v, struct view_channel *c)
{
    DL_DELETE(c->shard->channels, c);
    c->shard->nchannels--;
    free(c->shard->names);
    c->shard->names = NULL;
    HASH_DEL(v->channels, c);
    free(c);
}

void view_shard_put(struct cluster_view *v, struct shard *s, struct slice channel)
{
    struct view_channel *c;

    if (!irc_channel_valid(channel)) {
        return;
    }
    HASH_FIND(hh, v->channels, channel.ptr, channel.len, c);
    if (c != NULL && c->shard == s) {
        return;
    }
    if (c != NULL) {
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

void view_shard_empty(struct cluster_view *v, struct shard *s)
{
    struct view_channel *c;
    struct view_channel *next;

    DL_FOREACH_SAFE(s->channels, c, next)
    {
        channel_unlink(v, c);
    }
}

static void forget(struct cluster_view *v, struct shard *s)
{
    view_shard_empty(v, s);
    HASH_DEL(v->shards, s);
    free(s->id);
    free(s->user);
    free(s->node);
    free(s->sender);
    free(s->names);
    free(s);
}

void view_shard_gone(struct cluster_view *v, const char *id)
{
    struct shard *s = cluster_view_shard(v, id);

    if (s != NULL) {
        forget(v, s);
    }
}

void view_shards_forget(struct cluster_view *v, uint64_t seen)
{
    struct shard *s;
    struct shard *tmp;

    HASH_ITER(hh, v->shards, s, tmp)
    {
        if (s->seen < seen) {
            forget(v, s);
        }
    }
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

    if (s != NULL) {
        view_shard_put(v, s, channel);
    }
}

void cluster_view_drop(struct cluster_view *v, struct slice channel)
{
    struct view_channel *c;

    HASH_FIND(hh, v->channels, channel.ptr, channel.len, c);
    if (c != NULL) {
        channel_unlink(v, c);
    }
}

static void drop_all(struct cluster_view *v, const struct registry_list *channels)
{
    for (size_t i = 0; i < channels->n; i++) {
        cluster_view_drop(v, slice_of(channels->item[i].name));
    }
}

void cluster_view_on_outcome(struct cluster_view *v, const struct registry_outcome *o)
{
    for (size_t i = 0; i < o->assigned.n; i++) {
        cluster_view_put(v, slice_of(o->assigned.item[i].name), slice_of(o->assigned.item[i].text));
    }
    if (o->names_channels) {
        drop_all(v, &o->refused);
        drop_all(v, &o->waiting);
    }
    drop_all(v, &o->parted);
}

struct shard *view_shard_found(struct cluster_view *v, const char *id)
{
    struct shard *s = cluster_view_shard(v, id);

    if (s == NULL) {
        s = xcalloc(1, sizeof(*s));
        s->manager = v->manager;
        s->id = xstrdup(id);
        s->rev = UINT64_MAX;
        HASH_ADD_KEYPTR(hh, v->shards, s->id, strlen(s->id), s);
    }
    s->seen = v->rounds + 1;
    return s;
}

/* Outside -------------------------------------------------------------------------------------- */

struct cluster_view *cluster_view_create(const struct cluster_view_options *options)
{
    struct cluster_view *v = xcalloc(1, sizeof(*v));
    v->options = *options;
    view_round_create(v);
    return v;
}

void cluster_view_set_manager(struct cluster_view *v, struct shard_manager *m)
{
    v->manager = m;
}

void cluster_view_add(struct cluster_view *v, const char *id, const char *user)
{
    struct shard *s = view_shard_found(v, id);

    free(s->user);
    s->user = xstrdup(user);
    s->node = s->node != NULL ? s->node : xstrdup("");
    s->sender = s->sender != NULL ? s->sender : xstrdup(id);
}

void cluster_view_begin(struct cluster_view *v)
{
    view_shards_forget(v, UINT64_MAX);
    v->all = true;
    v->whole = false;
    v->wanted = true;
    v->not_before_ms = 0;
    v->stale = true;
}

void cluster_view_doubt(struct cluster_view *v)
{
    for (struct shard *s = v->shards; s != NULL; s = s->hh.next) {
        s->rev = UINT64_MAX;
    }
    v->all = true;
    v->wanted = true;
}

void cluster_view_on_facts(struct cluster_view *v, const struct registry_lead *facts)
{
    if (!cluster_reader_is_busy(v->reader) && leader_may_act(v->options.leader) &&
        mono_ms() >= v->not_before_ms && (v->wanted || facts->shards_rev != v->seen_rev)) {
        view_round_begin(v, facts->shards_rev);
    }
}

uint64_t cluster_view_refresh(struct cluster_view *v)
{
    v->wanted = true;
    v->stale = true;
    v->not_before_ms = 0;
    leader_ask_now(v->options.leader);
    return v->rounds + 1;
}

void cluster_view_destroy(struct cluster_view *v)
{
    view_shards_forget(v, UINT64_MAX);
    view_round_finish(v);
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
    return c != NULL ? c->shard : NULL;
}

static const char *pairs_find(const struct view_pairs *pairs, const char *name)
{
    for (size_t i = 0; i < pairs->n; i++) {
        if (strcmp(pairs->pair[i].name, name) == 0) {
            return pairs->pair[i].value;
        }
    }
    return NULL;
}

const char *cluster_view_default_sender(const struct cluster_view *v, const char *user)
{
    const char *shard = pairs_find(&v->facts.senders, user);
    return shard != NULL ? shard : "";
}

const char *cluster_view_setting(const struct cluster_view *v, const char *name)
{
    return pairs_find(&v->facts.settings, name);
}

uint64_t cluster_view_number(const struct cluster_view *v, const char *name, uint64_t otherwise)
{
    uint64_t value;

    return slice_to_u64(slice_of(cluster_view_setting(v, name)), &value) ? value : otherwise;
}

/* The length of the first of "a,b". */
static size_t first_of(const char *users)
{
    return strcspn(users, ",");
}

bool users_have(const char *users, const char *user)
{
    size_t len = strlen(user);

    for (const char *at = users; *at; at += first_of(at) + (at[first_of(at)] == ',')) {
        if (first_of(at) == len && strncmp(at, user, len) == 0) {
            return true;
        }
    }
    return false;
}

bool cluster_view_knows_user(const struct cluster_view *v, const char *user)
{
    bool knows = strcmp(user, "anonymous") == 0;

    for (size_t i = 0; i < v->facts.nodes.n && !knows; i++) {
        knows = users_have(v->facts.nodes.pair[i].value, user);
    }
    return knows;
}

void cluster_view_first_user(const struct cluster_view *v, char *out, size_t size)
{
    const struct view_pair *first = NULL;

    for (size_t i = 0; i < v->facts.nodes.n; i++) {
        const struct view_pair *node = &v->facts.nodes.pair[i];
        if (node->value[0] && (first == NULL || strcmp(node->name, first->name) < 0)) {
            first = node;
        }
    }
    snprintf(out, size, "%.*s", first != NULL ? (int)first_of(first->value) : 9,
             first != NULL ? first->value : "anonymous");
}

const struct view_pair *cluster_view_nodes(const struct cluster_view *v, size_t *n)
{
    *n = v->facts.nodes.n;
    return v->facts.nodes.pair;
}

const struct view_pair *cluster_view_readers(const struct cluster_view *v, size_t *n)
{
    *n = v->facts.readers.n;
    return v->facts.readers.pair;
}
