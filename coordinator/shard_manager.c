/* Shard manager, the base: its attributes, which come from the view, its life, and whom it calls back. */
#include "coordinator/shard_manager_impl.h"

#include "shared/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define END_TURNS 100 /* at the end a manager may ask for so much in answer to answers */

/* Attributes ---------------------------------------------------------------------------------------- */

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
    return shard ? shard->hh.next : cluster_view_shards(m->options.view);
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

const char *cluster_setting(const struct cluster *c, const char *name)
{
    return cluster_view_setting(c->manager->options.view, name);
}

static void on_error_told(void *ctx, struct slice word, struct slice rest, const struct err *err)
{
    struct shard_manager *m = ctx;
    (void)word;
    (void)rest;
    if (err) {
        leader_step_failed(m->options.leader, "error", err);
    }
}

void cluster_error(struct cluster *c, const char *where, const char *channel, const char *error)
{
    struct shard_manager *m = c->manager;
    const struct slice args[] = {
        SLICE("where"), slice_of(where), SLICE("manager"), slice_of(manager_name(m)),
        SLICE("error"), slice_of(error), SLICE("channel"), slice_of(channel)};
    size_t n = channel && channel[0] ? ARRAY_LEN(args) : ARRAY_LEN(args) - 2;

    log_warn("manager", "manager.error", "manager", manager_name(m), "where", where, "channel",
             channel ? channel : "", "error", error, NULL);
    if (leader_may_act(m->options.leader) &&
        registry_configure(leader_registry(m->options.leader), leader_identity(m->options.leader),
                           &(struct registry_request){0}, SLICE("error"), args, n, on_error_told,
                           m) != 0) {
        log_debug("manager", "manager.error_untold", "why", "the link to Redis is down", NULL);
    }
}

/* Was the user's token refused on that node, as one of its shards found out? */
static bool was_refused(const struct shard_manager *m, const char *user, const char *node)
{
    for (const struct shard *s = cluster_view_shards(m->options.view); s; s = s->hh.next) {
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
    const struct view_node *nodes = cluster_view_nodes(m->options.view, &n);
    const char *trouble = "no node has a token for the user";

    for (size_t i = 0; i < n; i++) {
        if (strcmp(user, "anonymous") == 0) {
            return NULL;
        }
        if (users_have(nodes[i].users, user)) {
            if (!was_refused(m, user, nodes[i].id)) {
                return NULL;
            }
            trouble = "Twitch refused the token of the user";
        }
    }
    return trouble;
}

void token_handler_get(struct token_handler *t, const char *user, token_handler_cb cb, void *ctx)
{
    struct shard_manager *m = t->manager;
    struct errand *e = errand_create(m);
    const char *login = user ? user : cluster_view_setting(m->options.view, "user");

    e->on_token = cb;
    e->ctx = ctx;
    e->login = xstrdup(login ? login : "");
    const char *trouble = token_trouble(m, e->login);
    e->usable = !trouble;
    m->passes = m->passes || trouble;
    errand_due(e, trouble);
}

const char *manager_name(const struct shard_manager *m)
{
    return m->options.ops->name;
}

struct cluster_view *manager_view(const struct shard_manager *m)
{
    return m->options.view;
}

struct leader *manager_leader(const struct shard_manager *m)
{
    return m->options.leader;
}

/* Whoever is called back ------------------------------------------------------------------------------ */

static void on_turn(uv_timer_t *timer);

struct errand *errand_create(struct shard_manager *m)
{
    struct errand *e = xcalloc(1, sizeof(*e));
    e->manager = m;
    return e;
}

void errand_due(struct errand *e, const char *error)
{
    struct shard_manager *m = e->manager;

    if (error) {
        char *text = xstrdup(error);
        free(e->text);
        e->text = text;
    }
    DL_APPEND(m->due, e);
    uv_timer_start(&m->turn, on_turn, 0, 0);
}

static void errand_call_back(struct errand *e)
{
    if (e->cb) {
        e->cb(e->ctx, e->text);
    } else if (e->on_added) {
        struct shard *s = e->text ? NULL : shard_manager_shard(e->manager, e->shard);
        e->on_added(e->ctx, s, s ? NULL : e->text ? e->text : "The shard is gone again.");
    } else if (e->on_token) {
        e->on_token(e->ctx, e->login, e->usable, e->text);
    }
}

static void call_back_due(struct shard_manager *m, bool silently)
{
    struct errand *due = m->due; /* what becomes due in here is for the next turn */

    m->due = NULL;
    while (due) {
        struct errand *e = due;
        DL_DELETE(due, e);
        if (!silently) {
            errand_call_back(e);
        }
        free(e->shard);
        free(e->text);
        free(e->login);
        free(e->names);
        free(e);
    }
}

static void on_turn(uv_timer_t *timer)
{
    call_back_due(timer->data, false);
}

/* Life -------------------------------------------------------------------------------------------------- */

static void keep_initial_channels(struct shard_manager *m)
{
    const struct initial_channels *channels = m->options.channels;

    if (!channels) {
        return;
    }
    m->initial = xcalloc(channels->n + 1, sizeof(*m->initial));
    m->ninitial = channels->n;
    for (size_t i = 0; i < channels->n; i++) {
        m->initial[i] = xstrndup(channels->names[i].ptr, channels->names[i].len);
    }
}

static void manager_free(struct shard_manager *m)
{
    for (size_t i = 0; i < m->ninitial; i++) {
        free((char *)m->initial[i]);
    }
    free(m->initial);
    free(m);
}

struct shard_manager *manager_create(const struct shard_manager_create_options *options,
                                     struct err *err)
{
    struct shard_manager *m = xcalloc(1, sizeof(*m));
    const struct shard_manager_options kwargs = {options->nkwargs, options->kwargs};
    const char *error = NULL;

    m->options = *options;
    m->client.manager = m;
    m->token_handler.manager = m;
    keep_initial_channels(m);
    m->self = options->ops->create(m, &kwargs, &error);
    if (!m->self) {
        err_set(err, ERR_REFUSED, "shard manager \"%s\": %s", options->ops->name,
                error ? error : "it cannot be created, and gives no reason");
        manager_free(m);
        return NULL;
    }
    cluster_view_set_manager(options->view, m);
    uv_timer_init(options->loop, &m->deadline);
    uv_timer_init(options->loop, &m->turn);
    m->deadline.data = m->turn.data = m;
    m->open = 2;
    return m;
}

bool manager_failure_passes(const struct shard_manager *m)
{
    return m->passes;
}

void manager_on_view(struct shard_manager *m)
{
    errands_look(m);
}

void manager_out(struct shard_manager *m)
{
    calls_out(m);
    struct errand *e;
    struct errand *next;
    DL_FOREACH_SAFE(m->waits, e, next)
    {
        DL_DELETE(m->waits, e);
        errand_due(e, MANAGER_OUT_TEXT);
    }
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct shard_manager *m = handle->data;

    if (--m->open > 0) {
        return;
    }
    void (*on_closed)(void *ctx) = m->on_closed;
    void *ctx = m->closed_ctx;
    manager_free(m);
    if (on_closed) {
        on_closed(ctx);
    }
}

void manager_close(struct shard_manager *m, void (*on_closed)(void *ctx), void *ctx)
{
    m->on_closed = on_closed;
    m->closed_ctx = ctx;
    BUG_ON(m->steps > 0);
    manager_out(m);
    for (unsigned turns = 0; m->due && turns < END_TURNS; turns++) {
        call_back_due(m, false);
    }
    m->options.ops->destroy(m->self);
    call_back_due(m, true);
    uv_close((uv_handle_t *)&m->deadline, on_handle_closed);
    uv_close((uv_handle_t *)&m->turn, on_handle_closed);
}
