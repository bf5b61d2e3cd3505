/* Setup: one step after another; each answer leads to the next part.
 *
 * An answer that failed ends the turn: the part is tried again with the next facts. A part that depends on what an
 * earlier one wrote waits until the view shows it. */
#include "coordinator/setup.h"

#include "coordinator/assignment.h"
#include "shared/log.h"
#include "shared/trouble.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STILL_MS 500 /* the number of nodes must not change for so long */
#define POLL_MS  100
#define RETRY_MS 2000 /* of a setup that was given up */

enum part {
    PART_SETTINGS,
    PART_NODES,
    PART_USER,
    PART_MANAGER,
    PART_CHANNELS,
    PART_MARK,
    PART_DONE
};

struct setup {
    struct setup_options options;
    enum part part;
    bool busy;      /* an answer is awaited */
    bool is_done;   /* the cluster is set up, as last heard */
    bool was_done;  /* it was once: from then on this process ends for no refusal */
    uint64_t round; /* of the view that shows what was written */
    uint64_t nodes;
    uint64_t still_since_ms;
    char user[64];     /* chosen here */
    bool user_awaited; /* no node knows it, which was said */
    uint64_t not_before_ms;
    struct err failure;
    struct trouble trouble; /* with it */
    size_t next_channel;    /* PART_CHANNELS */
    uv_timer_t timer;       /* polls */
    void (*on_closed)(void *ctx);
    void *closed_ctx;
};

static void advance(struct setup *s);

static struct registry *steps(const struct setup *s)
{
    return leader_registry(s->options.leader);
}

static const struct registry_leader *me(const struct setup *s)
{
    return leader_identity(s->options.leader);
}

static struct cluster_view *view(const struct setup *s)
{
    return manager_view(s->options.manager);
}

/* The answer of a step came: true if it is to be used. */
static bool answered(struct setup *s, const char *step, const struct err *err)
{
    s->busy = false;
    if (err) {
        leader_step_failed(s->options.leader, step, err);
        return false;
    }
    return true;
}

/* Is there anything of a cluster? */
static bool has_shards(const struct setup *s)
{
    return cluster_view_shards(view(s)) != NULL;
}

/* From the beginning, after a while: told, but not with each try. */
static void begin_later(struct setup *s, const struct err *why)
{
    s->part = PART_SETTINGS;
    s->next_channel = 0;
    s->not_before_ms = mono_ms() + RETRY_MS;
    if (trouble_is_news(&s->trouble, why, mono_ms())) {
        log_error("setup", "setup.refused", "error", why->text, "in_ms", log_i64(RETRY_MS), "mend",
                  "shoalctl config set changes settings", NULL);
    }
}

static void move_on(struct setup *s, enum part to)
{
    s->part = to;
    s->next_channel = 0;
    advance(s);
}

/* The "error" of a reply that was refused, in `out`; false if it was done. */
static bool reply_refused(struct slice reply, char *out, size_t size)
{
    cJSON *json = cJSON_ParseWithLength(reply.ptr, reply.len);
    bool refused = !cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "ok"));
    if (refused) {
        const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "error"));
        snprintf(out, size, "%s", text ? text : "refused");
    }
    cJSON_Delete(json);
    return refused;
}

/* Settings ---------------------------------------------------------------------------------------- */

static void warn_different(const struct setup *s, struct slice reply)
{
    cJSON *json = cJSON_ParseWithLength(reply.ptr, reply.len);
    const cJSON *each = cJSON_GetObjectItemCaseSensitive(json, "manager");
    if (cJSON_IsString(each)) {
        log_warn("setup", "manager.different", "cluster", each->valuestring, "given",
                 manager_name(s->options.manager), "mend",
                 "start all coordinators with the shard manager that set the cluster up", NULL);
    }
    cJSON_ArrayForEach(each, cJSON_GetObjectItemCaseSensitive(json, "different"))
    {
        for (size_t i = 0; i + 1 < s->options.nsettings; i += 2) {
            if (slice_is(s->options.settings[i], each->string)) {
                log_warn("setup", "setting.different", "name", each->string, "cluster",
                         cJSON_GetStringValue(each), "given", log_slice(s->options.settings[i + 1]),
                         "mend",
                         "shoalctl config set changes it; --set only when the cluster is created",
                         NULL);
            }
        }
    }
    cJSON_Delete(json);
}

static void on_settings(void *ctx, struct slice word, struct slice reply, const struct err *err)
{
    (void)word;
    struct setup *s = ctx;
    if (!answered(s, "configure", err)) {
        return;
    }
    struct err why;
    if (reply_refused(reply, why.text, sizeof(why.text))) {
        why.code = ERR_USAGE;
        err_wrap(&why, "--set");
        if (!s->was_done && !has_shards(s)) {
            s->options.on_refused(s->options.ctx, &why);
            return;
        }
        log_error("setup", "setting.refused", "error", why.text, NULL);
    } else {
        warn_different(s, reply);
    }
    s->round = cluster_view_refresh(view(s));
    move_on(s, s->is_done ? PART_CHANNELS : PART_NODES);
}

static void do_settings(struct setup *s)
{
    struct slice *args = xcalloc(s->options.nsettings + 1, sizeof(*args));

    args[0] = slice_of(manager_name(s->options.manager));
    if (s->options.nsettings > 0) {
        memcpy(args + 1, s->options.settings, s->options.nsettings * sizeof(*args));
    }
    s->busy = registry_configure(steps(s), me(s), &(struct registry_request){0}, SLICE("create"),
                                 args, s->options.nsettings + 1, on_settings, s) == 0;
    free(args);
}

/* Nodes and user ------------------------------------------------------------------------------------ */

static void on_poll(uv_timer_t *timer)
{
    struct setup *s = timer->data;
    leader_ask_now(s->options.leader);
}

static void look_again(struct setup *s)
{
    uv_timer_start(&s->timer, on_poll, POLL_MS, 0);
}

static void do_nodes(struct setup *s)
{
    if (s->nodes == 0 || mono_ms() - s->still_since_ms < STILL_MS) {
        look_again(s);
        return;
    }
    log_info("setup", "setup.begun", "nodes", log_u64(s->nodes), "manager",
             manager_name(s->options.manager), NULL);
    move_on(s, PART_USER);
}

static void on_user_set(void *ctx, struct slice word, struct slice reply, const struct err *err)
{
    (void)word;
    struct setup *s = ctx;
    if (!answered(s, "configure", err)) {
        return;
    }
    char why[512];
    if (reply_refused(reply, why, sizeof(why))) {
        struct err refused;
        err_set(&refused, ERR_REFUSED, "user %s: %s", s->user, why);
        begin_later(s, &refused);
        return;
    }
    log_info("setup", "user.chosen", "user", s->user, NULL);
    s->round = cluster_view_refresh(view(s));
}

static void choose_user(struct setup *s)
{
    if (has_shards(s)) {
        snprintf(s->user, sizeof(s->user), "%s", cluster_view_shards(view(s))->user);
    } else {
        cluster_view_first_user(view(s), s->user, sizeof(s->user));
    }
    const struct slice args[] = {SLICE("user"), slice_of(s->user)};
    s->busy = registry_configure(steps(s), me(s), &(struct registry_request){0}, SLICE("set"), args,
                                 ARRAY_LEN(args), on_user_set, s) == 0;
}

/* Goes on when somebody can log in as the user. */
static void do_user(struct setup *s)
{
    const char *user = cluster_view_setting(view(s), "user");

    if (!user || !user[0]) {
        choose_user(s);
    } else if (s->is_done) {
        move_on(s, PART_DONE);
    } else if (cluster_view_knows_user(view(s), user)) {
        move_on(s, PART_MANAGER);
    } else {
        if (!s->user_awaited && s->nodes > 0) {
            s->user_awaited = true;
            log_warn("setup", "user.unknown", "user", user, "mend",
                     "no node has a token for it: give one to a node, or choose another with --set "
                     "user=LOGIN",
                     NULL);
        }
        look_again(s);
    }
}

/* The shard manager's setup --------------------------------------------------------------------------- */

static void give_up(struct setup *s)
{
    struct err why = s->failure;

    s->busy = false;
    if (s->was_done) {
        begin_later(s, &why);
    } else {
        s->options.on_refused(s->options.ctx, &why);
    }
}

/* The manager refuses, but there are shards: of a cluster that lost its settings, mostly. They go on as they are. */
static void adopt(struct setup *s, const char *why)
{
    log_error("setup", "setup.adopted", "shards", log_u64(HASH_COUNT(cluster_view_shards(view(s)))),
              "error", why, "mend",
              "the shards go on; settings that were lost have their defaults: shoalctl config set",
              NULL);
    s->busy = false;
    s->round = cluster_view_refresh(view(s));
    move_on(s, PART_CHANNELS);
}

static void on_abandoned(void *ctx, struct slice word, struct slice reply, const struct err *err)
{
    (void)word;
    (void)reply;
    struct setup *s = ctx;
    if (err) {
        leader_step_failed(s->options.leader, "configure", err);
    }
    give_up(s);
}

/* A cluster that is not set up keeps no settings of the attempt. */
static void abandon(struct setup *s)
{
    struct slice *names = xcalloc(s->options.nsettings / 2 + 1, sizeof(*names));
    size_t n = 0;

    for (size_t i = 0; i < s->options.nsettings; i += 2) {
        names[n++] = s->options.settings[i];
    }
    if (s->user[0]) {
        names[n++] = SLICE("user"); /* it was chosen here */
    }
    int failed = registry_configure(steps(s), me(s), &(struct registry_request){0},
                                    SLICE("abandon"), names, n, on_abandoned, s);
    free(names);
    if (failed) {
        give_up(s);
    }
}

/* What was in the way passes: once more after a while, when a node knows the user. */
static void again(struct setup *s, const char *error)
{
    struct err why;

    err_set(&why, ERR_REFUSED, "%s", error);
    if (trouble_is_news(&s->trouble, &why, mono_ms())) {
        log_warn("setup", "setup.again", "in_ms", log_i64(RETRY_MS), "error", why.text, NULL);
    }
    s->part = PART_USER;
    s->round = cluster_view_refresh(view(s));
    s->not_before_ms = mono_ms() + RETRY_MS;
}

static void on_manager(void *ctx, const struct manager_answer *answer)
{
    struct setup *s = ctx;

    if (answer->kind == MANAGER_DONE) {
        s->busy = false;
        move_on(s, PART_CHANNELS);
    } else if (answer->kind == MANAGER_FAILED && !manager_failure_passes(s->options.manager)) {
        cluster_error(shard_manager_client(s->options.manager), "setup", NULL, answer->text);
        if (has_shards(s)) {
            adopt(s, answer->text);
            return;
        }
        err_set(&s->failure, ERR_REFUSED, "the %s shard manager cannot set the cluster up: %s",
                manager_name(s->options.manager), answer->text);
        abandon(s); /* busy until it is over */
    } else {
        s->busy = false;
        if (answer->kind != MANAGER_OUT) { /* it took too long, or Redis or a node was away */
            again(s, answer->text);
        }
    }
}

static void do_manager(struct setup *s)
{
    s->busy = true;
    manager_ask(s->options.manager, MANAGER_SETUP, NULL, false, on_manager, s);
}

/* Initial channels ------------------------------------------------------------------------------------ */

static size_t portion(const struct setup *s)
{
    size_t left = s->options.channels->n - s->next_channel;
    return left < REGISTRY_MAX_CHANNELS ? left : REGISTRY_MAX_CHANNELS;
}

static void on_channels(void *ctx, struct slice word, struct slice reply, const struct err *err)
{
    (void)word;
    struct setup *s = ctx;
    if (!answered(s, "assign", err)) {
        return;
    }
    cJSON *json = cJSON_ParseWithLength(reply.ptr, reply.len);
    int assigned = cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(json, "assigned"));
    int waiting = cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(json, "waiting"));
    if (assigned || waiting) {
        log_info("setup", "initial_channels.joined", "assigned", log_i64(assigned), "waiting",
                 log_i64(waiting), NULL);
    }
    cJSON_Delete(json);
    s->next_channel += portion(s);
    advance(s);
}

static void do_channels(struct setup *s)
{
    const struct initial_channels *all = s->options.channels;
    if (s->next_channel >= all->n) {
        move_on(s, PART_MARK);
        return;
    }
    const struct assignment_request initial = {
        .manager = s->options.manager,
        .mode = "initial",
        .channels = all->names + s->next_channel,
        .n = portion(s),
        .cb = on_channels,
        .ctx = s,
    };
    s->busy = true;
    assignment_begin(&initial);
}

static void on_marked(void *ctx, struct slice word, struct slice reply, const struct err *err)
{
    (void)word;
    (void)reply;
    struct setup *s = ctx;
    if (answered(s, "configure", err)) {
        s->is_done = s->was_done = true;
        trouble_over(&s->trouble);
        log_info("setup", "setup.done", NULL);
        move_on(s, PART_DONE);
        s->options.on_done(s->options.ctx);
    }
}

static void do_mark(struct setup *s)
{
    if (s->is_done) {
        move_on(s, PART_DONE);
        return;
    }
    s->busy = registry_configure(steps(s), me(s), &(struct registry_request){0}, SLICE("setup"),
                                 NULL, 0, on_marked, s) == 0;
}

/* Outside ----------------------------------------------------------------------------------------------- */

static void advance(struct setup *s)
{
    static void (*const parts[])(struct setup *s) = {
        [PART_SETTINGS] = do_settings, [PART_NODES] = do_nodes,       [PART_USER] = do_user,
        [PART_MANAGER] = do_manager,   [PART_CHANNELS] = do_channels, [PART_MARK] = do_mark,
    };
    if (!s->busy && s->part != PART_DONE && mono_ms() >= s->not_before_ms &&
        leader_may_act(s->options.leader) && cluster_view_is_whole(view(s)) &&
        cluster_view_round(view(s)) >= s->round) {
        parts[s->part](s);
    }
}

struct setup *setup_create(const struct setup_options *options)
{
    struct setup *s = xcalloc(1, sizeof(*s));
    s->options = *options;
    uv_timer_init(options->loop, &s->timer);
    s->timer.data = s;
    return s;
}

void setup_begin(struct setup *s)
{
    if (s->part != PART_DONE && !s->busy) {
        s->part = PART_SETTINGS;
        s->next_channel = 0;
    }
}

void setup_on_facts(struct setup *s, const struct registry_lead *facts)
{
    s->is_done = facts->setup_done;
    s->was_done = s->was_done || s->is_done;
    if (facts->nodes != s->nodes || s->still_since_ms == 0) {
        s->nodes = facts->nodes;
        s->still_since_ms = mono_ms();
    }
    if (s->part == PART_DONE && !s->busy) {
        if (!s->is_done) {
            s->part = PART_SETTINGS; /* Redis lost it all */
            s->next_channel = 0;
        } else if (facts->user.len == 0 && s->nodes > 0) {
            s->part = PART_USER; /* somebody unset it */
        }
    }
    advance(s);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct setup *s = handle->data;
    void (*on_closed)(void *ctx) = s->on_closed;
    void *ctx = s->closed_ctx;
    free(s);
    if (on_closed) {
        on_closed(ctx);
    }
}

void setup_close(struct setup *s, void (*on_closed)(void *ctx), void *ctx)
{
    s->on_closed = on_closed;
    s->closed_ctx = ctx;
    uv_close((uv_handle_t *)&s->timer, on_timer_closed);
}
