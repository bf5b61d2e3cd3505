/* Shard manager: what a manager may look at, which comes from the view. */
#include "coordinator/manager/manager_errand.h"
#include "shared/account_secret.h"
#include "shared/log.h"
#include "shared/redis/registry_accounts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

const char *shard_manager_option(const struct shard_manager_options *options, const char *key)
{
    const char *value = NULL;

    for (size_t i = 0; i < options->n; i++) {
        if (strcmp(options->option[i].key, key) == 0) {
            value = options->option[i].value;
        }
    }
    return value;
}

struct shard *shard_manager_shard(const struct shard_manager *m, const char *shard_id)
{
    return cluster_view_shard(m->options.view, shard_id);
}

struct shard *shard_manager_next_shard(const struct shard_manager *m, const struct shard *shard)
{
    return shard != NULL ? shard->hh.next : cluster_view_shards(m->options.view);
}

struct shard *shard_manager_shard_of(const struct shard_manager *m, const char *channel_name)
{
    return cluster_view_shard_of(m->options.view, channel_name);
}

const char *const *shard_manager_initial_channels(const struct shard_manager *m, size_t *n)
{
    *n = m->ninitial;
    return m->initial;
}

uint64_t shard_manager_round(const struct shard_manager *m)
{
    return cluster_view_round(m->options.view);
}

struct token_handler *shard_manager_token_handler(struct shard_manager *m)
{
    return &m->token_handler;
}

struct cluster *shard_manager_client(struct shard_manager *m)
{
    return &m->client;
}

const char *cluster_name(const struct cluster *c)
{
    return c->manager->options.cluster;
}

struct uv_loop_s *cluster_loop(const struct cluster *c)
{
    return c->manager->options.loop;
}

struct shard *cluster_sender(const struct cluster *c)
{
    const struct cluster_view *view = c->manager->options.view;
    const char *user = cluster_view_setting(view, "user");
    const char *speaker = cluster_view_setting(view, "speaker");

    user = speaker != NULL && speaker[0] ? speaker : user;
    return cluster_view_shard(view, cluster_view_default_sender(view, user != NULL ? user : ""));
}

const char *cluster_setting(const struct cluster *c, const char *name)
{
    return cluster_view_setting(c->manager->options.view, name);
}

const char *cluster_next_reader(const struct cluster *c, const char *reader)
{
    size_t n;
    const struct view_pair *readers = cluster_view_readers(c->manager->options.view, &n);

    for (size_t i = 0; i < n; i++) {
        if (readers[i].value[0] == '\0' &&
            (reader == NULL || strcmp(readers[i].name, reader) > 0)) {
            return readers[i].name;
        }
    }
    c->manager->passes = c->manager->passes || reader == NULL;
    return NULL;
}

void cluster_error(struct cluster *c, const char *where, const char *channel, const char *error)
{
    struct shard_manager *m = c->manager;
    const struct slice args[] = {
        SLICE("where"), slice_of(where), SLICE("manager"), slice_of(manager_name(m)),
        SLICE("error"), slice_of(error), SLICE("channel"), slice_of(channel)};
    size_t n = channel != NULL && channel[0] ? ARRAY_LEN(args) : ARRAY_LEN(args) - 2;

    log_warn("manager", "manager.error", "manager", manager_name(m), "where", where, "channel",
             channel != NULL ? channel : "", "error", error, NULL);
    leader_tell(m->options.leader, "tell_error", args, n);
}

/* Was the user's token refused on that node, as one of its shards found out? */
static bool was_refused(const struct shard_manager *m, const char *user, const char *node)
{
    for (const struct shard *s = cluster_view_shards(m->options.view); s != NULL; s = s->hh.next) {
        if (s->login_refused && strcmp(s->user, user) == 0 && strcmp(s->node, node) == 0) {
            return true;
        }
    }
    return false;
}

/* NULL: the token can be used. */
static const char *token_trouble(const struct shard_manager *m, const char *user)
{
    size_t n;
    const struct view_pair *nodes = cluster_view_nodes(m->options.view, &n);
    const char *trouble = "no node has a token for the user";

    for (size_t i = 0; i < n; i++) {
        if (strcmp(user, "anonymous") == 0) {
            return NULL;
        }
        if (users_have(nodes[i].value, user)) {
            if (!was_refused(m, user, nodes[i].name)) {
                return NULL;
            }
            trouble = "Twitch refused the token of the user";
        }
    }
    return trouble;
}

/* Who asked about a token. */
struct token_question {
    struct errand errand;
    token_handler_cb cb;
    void *ctx;
    char *trouble; /* NULL: it is usable. Owned */
    char login[];
};

static void tell_token(struct owed *o, bool silently)
{
    struct token_question *q = (struct token_question *)o;

    if (!silently) {
        q->cb(q->ctx, q->login, q->trouble == NULL, q->trouble);
    }
    errand_finish(&q->errand);
    free(q->trouble);
    free(q);
}

static struct token_question *token_question(struct shard_manager *m, const char *login,
                                             token_handler_cb cb, void *ctx)
{
    size_t len = strlen(login) + 1;
    struct token_question *q = xcalloc(1, sizeof(*q) + len);

    errand_begin(&q->errand, m, NULL, tell_token);
    q->cb = cb;
    q->ctx = ctx;
    memcpy(q->login, login, len);
    return q;
}

/* What the account has to say of it comes before what the nodes have. */
static void on_account_state(void *ctx, struct slice word, struct slice rest, const struct err *err)
{
    struct token_question *q = ctx;
    bool is_known = errand_stepped(&q->errand, "account_state", err);

    if (is_known && slice_is(word, "trouble")) {
        free(q->trouble);
        q->trouble = xstrndup(rest.ptr, rest.len);
    } else if (is_known && slice_is(word, "usable") && strcmp(q->login, ACCOUNT_APP) == 0) {
        free(q->trouble);
        q->trouble = NULL;
    }
    errand_settle(&q->errand);
}

/* There is trouble with it, as far as is known here. Does the registry know more? */
static void ask_registry(struct token_question *q)
{
    struct leader *leader = q->errand.manager->options.leader;

    if (leader_may_act(leader)) {
        errand_step(&q->errand,
                    registry_account_state(leader_registry(leader), leader_identity(leader),
                                           slice_of(q->login), on_account_state, q));
    }
    errand_settle(&q->errand);
}

void token_handler_get_user_token(struct token_handler *t, const char *user, token_handler_cb cb,
                                  void *ctx)
{
    struct shard_manager *m = t->manager;
    const char *own = cluster_view_setting(m->options.view, "user");
    const char *login = user != NULL ? user : own != NULL ? own : "";
    const char *trouble = token_trouble(m, login);
    struct token_question *q = token_question(m, login, cb, ctx);

    if (trouble == NULL) {
        owed_due(m, &q->errand.owed);
        return;
    }
    m->passes = true;
    q->trouble = xstrdup(trouble);
    ask_registry(q);
}

void token_handler_get_client_credentials(struct token_handler *t, token_handler_cb cb, void *ctx)
{
    struct token_question *q = token_question(t->manager, ACCOUNT_APP, cb, ctx);

    q->trouble = xstrdup("no account says by the token of the application (say_by is helix_app)");
    ask_registry(q);
}

/* Shards --------------------------------------------------------------------------------------- */

const char *shard_id(const struct shard *s)
{
    return s->id;
}

const char *shard_user(const struct shard *s)
{
    return s->user;
}

const char *shard_node(const struct shard *s)
{
    return s->node;
}

struct shard *shard_sender(const struct shard *s)
{
    return cluster_view_shard(s->manager->options.view, s->sender);
}

const char *const *shard_channels(const struct shard *s, size_t *n)
{
    struct shard *own = (struct shard *)s; /* the list is made when it is asked for */
    const struct view_channel *c;
    size_t i = 0;

    *n = s->nchannels;
    if (own->names == NULL) {
        own->names = xcalloc(s->nchannels + 1, sizeof(*own->names));
        DL_FOREACH(s->channels, c)
        {
            own->names[i++] = c->name;
        }
    }
    return own->names;
}

bool shard_ready(const struct shard *s)
{
    return s->ready && s->run == SHARD_STARTED;
}

bool shard_closing(const struct shard *s)
{
    return s->run == SHARD_STOPPED;
}
