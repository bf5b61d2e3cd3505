/* Shard manager, the base: what changes shards. Each is an errand: steps in Redis, then perhaps waiting until the
 * view shows that shards have exited, then the callback.
 *
 * What a step did is put into the view at once, so that a manager sees what it did in its next decision. */
#include "coordinator/shard_manager_impl.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define NOT_LEADING "This coordinator does not lead."
#define LINK_DOWN   "The link to Redis is down."

/* Shards ---------------------------------------------------------------------------------------------- */

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

const char *const *shard_channels(const struct shard *s, size_t *n)
{
    struct shard *own = (struct shard *)s; /* the list is made when it is asked for */
    const struct view_channel *c;
    size_t i = 0;

    *n = s->nchannels;
    if (!own->names) {
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

static bool has_exited(const struct shard *s)
{
    return !s || (s->run == SHARD_STOPPED && !s->connected);
}

/* Waiting ------------------------------------------------------------------------------------------------ */

static bool is_over(const struct errand *e)
{
    const struct cluster_view *v = e->manager->options.view;

    if (e->shard) {
        return has_exited(cluster_view_shard(v, e->shard));
    }
    for (const struct shard *s = cluster_view_shards(v); s; s = s->hh.next) {
        bool waited_for = e->wait == WAIT_EXIT || s->run == SHARD_STOPPED;
        if (waited_for && !has_exited(s)) {
            return false;
        }
    }
    return true;
}

/* All its steps are done, or one failed. */
static void settle(struct errand *e)
{
    if (e->pending > 0) {
        return;
    }
    if (e->text || e->wait == WAIT_NOT) {
        errand_due(e, NULL);
    } else {
        e->all = SHARD_NEW;
        DL_APPEND(e->manager->waits, e);
        e->round = cluster_view_refresh(e->manager->options.view);
    }
}

/* The first thing that went wrong is what it is told. */
static void note_error(struct errand *e, const char *error)
{
    if (!e->text) {
        e->text = xstrdup(error);
    }
}

/* A step of the errand ended: true, and the reply to be used, where it was carried out. */
static bool stepped(struct errand *e, const char *step, const struct err *err)
{
    e->pending--;
    e->manager->steps--;
    if (err) {
        leader_step_failed(e->manager->options.leader, step, err);
        e->manager->passes = true;
        note_error(e, err->text);
        return false;
    }
    return true;
}

static void step_begin(struct errand *e, int failed)
{
    if (failed) {
        e->manager->passes = true;
        note_error(e, LINK_DOWN);
    } else {
        e->pending++;
        e->manager->steps++;
    }
}

static struct registry *steps(const struct shard_manager *m)
{
    return leader_registry(m->options.leader);
}

static const struct registry_leader *me(const struct shard_manager *m)
{
    return leader_identity(m->options.leader);
}

/* Nobody may ask for anything while another one leads, or Redis is away. */
static void refuse(struct errand *e)
{
    e->manager->passes = true;
    errand_due(e, NOT_LEADING);
}

static struct errand *errand_of(struct shard_manager *m, shard_cb cb, void *ctx)
{
    struct errand *e = errand_create(m);

    e->cb = cb;
    e->ctx = ctx;
    return e;
}

/* Starting and stopping ------------------------------------------------------------------------------------ */

/* One shard of an errand. */
struct run_step {
    struct errand *errand;
    enum shard_run to;
    char id[];
};

static void on_run(void *ctx, struct slice word, struct slice reply, const struct err *err)
{
    (void)word;
    struct run_step *step = ctx;
    struct errand *e = step->errand;

    if (stepped(e, "shard", err)) {
        cJSON *json = cJSON_ParseWithLength(reply.ptr, reply.len);
        struct shard *s = cluster_view_shard(e->manager->options.view, step->id);
        bool done = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "ok"));
        bool is_so = !e->shard && s && s->run == step->to; /* to all it is no error */
        if (!done && !is_so) {
            const char *why = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "error"));
            note_error(e, why ? why : "refused");
        } else if (done && s) {
            s->run = step->to;
            s->ready = s->ready && step->to == SHARD_STARTED;
            s->connected = true; /* until its node says that it is closed */
        }
        cJSON_Delete(json);
    }
    free(step);
    settle(e);
}

static void run_step(struct errand *e, const char *id, enum shard_run to)
{
    const struct slice args[] = {slice_of(id)};
    size_t len = strlen(id) + 1;
    struct run_step *step = xmalloc(sizeof(*step) + len);
    struct slice op = to == SHARD_STARTED ? SLICE("shard_start") : SLICE("shard_stop");

    step->errand = e;
    step->to = to;
    memcpy(step->id, id, len);
    int failed =
        registry_configure(steps(e->manager), me(e->manager), &(struct registry_request){0}, op,
                           args, ARRAY_LEN(args), on_run, step);
    step_begin(e, failed);
    if (failed) {
        free(step);
    }
}

static void run_one(struct shard *s, enum shard_run to, enum errand_wait wait, shard_cb cb,
                    void *ctx)
{
    struct errand *e = errand_of(s->manager, cb, ctx);

    e->shard = xstrdup(s->id);
    e->wait = wait;
    if (!leader_may_act(s->manager->options.leader)) {
        refuse(e);
        return;
    }
    run_step(e, s->id, to);
    settle(e);
}

void shard_start(struct shard *s, bool wait, shard_cb cb, void *ctx)
{
    run_one(s, SHARD_STARTED, wait ? WAIT_EXIT : WAIT_NOT, cb, ctx);
}

void shard_stop(struct shard *s, shard_cb cb, void *ctx)
{
    run_one(s, SHARD_STOPPED, WAIT_EXIT, cb, ctx);
}

static void run_all(struct errand *e)
{
    const struct shard_manager *m = e->manager;

    for (struct shard *s = cluster_view_shards(m->options.view); s; s = s->hh.next) {
        if ((s->run == SHARD_STARTED) != (e->all == SHARD_STARTED)) {
            run_step(e, s->id, e->all);
        }
    }
    settle(e);
}

/* Who asks for all shards means those there are now, which the view may not know yet. */
static void ask_for_all(struct shard_manager *m, enum shard_run to, enum errand_wait wait,
                        shard_cb cb, void *ctx)
{
    struct errand *e = errand_of(m, cb, ctx);

    e->all = to;
    e->wait = wait;
    if (!leader_may_act(m->options.leader)) {
        refuse(e);
        return;
    }
    e->round = cluster_view_refresh(m->options.view);
    DL_APPEND(m->waits, e);
}

void shard_manager_start_all_shards(struct shard_manager *m, shard_cb cb, void *ctx)
{
    ask_for_all(m, SHARD_STARTED, WAIT_NOT, cb, ctx);
}

void shard_manager_stop_all_shards(struct shard_manager *m, shard_cb cb, void *ctx)
{
    ask_for_all(m, SHARD_STOPPED, WAIT_STOPPED, cb, ctx);
}

void shard_manager_wait_until_exit(struct shard_manager *m, shard_cb cb, void *ctx)
{
    ask_for_all(m, SHARD_NEW, WAIT_EXIT, cb, ctx);
}

void errands_look(struct shard_manager *m)
{
    struct errand *e;
    struct errand *tmp;

    DL_FOREACH_SAFE(m->waits, e, tmp)
    {
        if (cluster_view_round(m->options.view) < e->round) {
            continue;
        }
        e->round = 0;
        if (e->all != SHARD_NEW) {
            DL_DELETE(m->waits, e);
            run_all(e);
        } else if (is_over(e)) {
            DL_DELETE(m->waits, e);
            errand_due(e, NULL);
        }
    }
}

/* Channels --------------------------------------------------------------------------------------------- */

/* "x: why y: why" of channels that were refused; how many more there are where they do not fit. */
struct refusals {
    char text[1000];
    size_t len;
    size_t left_out;
};

static void refusals_add(struct refusals *r, const char *channel, const char *why)
{
    size_t room = sizeof(r->text) - r->len;
    int more = snprintf(r->text + r->len, room, "%s%s: %s", r->len ? " " : "", channel, why);

    if (more < 0 || (size_t)more >= room) {
        r->text[r->len] = '\0';
        r->left_out++;
    } else {
        r->len += (size_t)more;
    }
}

/* Those in a reply's map of channel -> why. */
static void refusals_add_map(struct refusals *r, const cJSON *map)
{
    const cJSON *each;

    cJSON_ArrayForEach(each, map)
    {
        refusals_add(r, each->string, cJSON_IsString(each) ? each->valuestring : "refused");
    }
}

/* A channel that is on another shard stays there: to whoever wants it on this one that is a refusal. */
static void refusals_add_elsewhere(struct refusals *r, const cJSON *assigned, const char *shard)
{
    const cJSON *each;

    cJSON_ArrayForEach(each, assigned)
    {
        const char *on = cJSON_GetStringValue(each);
        if (on && strcmp(on, shard) != 0) {
            char why[128];
            snprintf(why, sizeof(why), "It is on shard %.64s already.", on);
            refusals_add(r, each->string, why);
        }
    }
}

static void note_refusals(struct errand *e, const struct refusals *r)
{
    if (r->left_out > 0) {
        char *text = xasprintf("%s And %zu more.", r->text, r->left_out);
        note_error(e, text);
        free(text);
    } else if (r->len > 0) {
        note_error(e, r->text);
    }
}

static void on_channels(void *ctx, struct slice word, struct slice reply, const struct err *err)
{
    (void)word;
    struct errand *e = ctx;

    if (stepped(e, "channels", err)) {
        cJSON *json = cJSON_ParseWithLength(reply.ptr, reply.len);
        const cJSON *error = cJSON_GetObjectItemCaseSensitive(json, "error");
        struct refusals refused = {0};
        const cJSON *waiting = cJSON_GetObjectItemCaseSensitive(json, "waiting");
        cluster_view_on_reply(e->manager->options.view, reply);
        if (cJSON_IsString(error)) {
            note_error(e, error->valuestring);
        }
        refusals_add_map(&refused, cJSON_GetObjectItemCaseSensitive(json, "refused"));
        refusals_add_map(&refused, waiting);
        e->manager->passes = e->manager->passes || cJSON_GetArraySize(waiting) > 0;
        refusals_add_elsewhere(&refused, cJSON_GetObjectItemCaseSensitive(json, "assigned"),
                               e->shard);
        note_refusals(e, &refused);
        cJSON_Delete(json);
    }
    settle(e);
}

void shard_add_channels(struct shard *s, const char *const *channel_names, size_t n, shard_cb cb,
                        void *ctx)
{
    struct shard_manager *m = s->manager;
    struct errand *e = errand_of(m, cb, ctx);

    e->shard = xstrdup(s->id);
    if (!leader_may_act(m->options.leader)) {
        refuse(e);
        return;
    }
    char *where = xasprintf("=%s", s->id);
    struct registry_wish *wishes = xcalloc(n + 1, sizeof(*wishes));
    for (size_t i = 0; i < n; i++) {
        wishes[i] = (struct registry_wish){slice_of(channel_names[i]), slice_of(where)};
    }
    if (n > 0) {
        step_begin(e, registry_assign(steps(m), me(m), &(struct registry_request){0}, "join",
                                      wishes, n, on_channels, e));
    }
    free(wishes);
    free(where);
    settle(e);
}

void shard_remove_channels(struct shard *s, const char *const *channel_names, size_t n, shard_cb cb,
                           void *ctx)
{
    struct shard_manager *m = s->manager;
    struct errand *e = errand_of(m, cb, ctx);

    e->shard = xstrdup(s->id);
    if (!leader_may_act(m->options.leader)) {
        refuse(e);
        return;
    }
    struct slice *names = xcalloc(n + 1, sizeof(*names));
    names[0] = slice_of(s->id);
    for (size_t i = 0; i < n; i++) {
        names[i + 1] = slice_of(channel_names[i]);
    }
    if (n > 0) {
        step_begin(e, registry_release(steps(m), me(m), &(struct registry_request){0}, "remove",
                                       names, n + 1, on_channels, e));
    }
    free(names);
    settle(e);
}

/* Adding a shard ------------------------------------------------------------------------------------------- */

static void on_added(void *ctx, struct slice word, struct slice why, const struct err *err)
{
    struct errand *e = ctx;

    if (stepped(e, "add_shard", err)) {
        if (slice_is(word, "added")) {
            cluster_view_add(e->manager->options.view, e->shard, e->login);
            for (size_t i = 0; i < e->nnames; i++) {
                cluster_view_put(e->manager->options.view, slice_of(e->names[i]),
                                 slice_of(e->shard));
            }
        } else if (slice_is(word, "exists")) {
            char *text = xasprintf("There is a shard %s already.", e->shard);
            note_error(e, text);
            free(text);
        } else {
            char *text = xstrndup(why.ptr ? why.ptr : "", why.len);
            e->manager->passes = e->manager->passes || slice_is(word, "later");
            note_error(e, text);
            free(text);
        }
    }
    settle(e);
}

void shard_manager_add_shard(struct shard_manager *m, const char *shard_id,
                             const char *authorized_user, const char *const *initial_channels,
                             size_t n, shard_added_cb cb, void *ctx)
{
    struct errand *e = errand_create(m);
    const char *own = cluster_view_setting(m->options.view, "user");

    e->on_added = cb;
    e->ctx = ctx;
    e->shard = xstrdup(shard_id);
    e->login = xstrdup(authorized_user ? authorized_user : own ? own : "");
    if (!leader_may_act(m->options.leader)) {
        refuse(e);
        return;
    }
    if (n > REGISTRY_MAX_CHANNELS) {
        errand_due(e, "A shard is created with 1000 channels at most; add the others to it.");
        return;
    }
    struct slice *names = xcalloc(n + 1, sizeof(*names));
    e->names = xcalloc(n + 1, sizeof(*e->names));
    for (size_t i = 0; i < n; i++) {
        names[i] = slice_of(initial_channels[i]);
        e->nnames += channel_name_copy(names[i], e->names[e->nnames]);
    }
    step_begin(e, registry_add_shard(steps(m), me(m), shard_id, slice_of(e->login), names, n,
                                     on_added, e));
    free(names);
    settle(e);
}
