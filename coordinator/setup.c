/* Setup: one step after another; each answer leads to the next part.
 *
 * An answer that failed ends the turn: the part is tried again with the next facts. Which user the
 * cluster reads as is looked up in setup_user.c. */
#include "coordinator/setup.h"

#include "coordinator/setup_user.h"
#include "shared/log.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STILL_MS      500 /* the number of nodes must not change for so long */
#define POLL_MS       100
#define MAX_UNDER_WAY 64
#define DEFAULT_COUNT 1 /* of initial shards, as in shoal.lua */

enum part {
    PART_SETTINGS,
    PART_NODES,
    PART_USER,
    PART_SHARDS,
    PART_CHANNELS,
    PART_MARK,
    PART_DONE
};

struct setup {
    struct setup_options options;
    enum part part;
    bool busy;    /* an answer is awaited */
    bool is_done; /* the cluster is set up, as last heard */
    bool has_user;
    uint64_t nodes;
    uint64_t still_since_ms;
    /* PART_SHARDS */
    char user[64];
    uint64_t nshards;
    uint64_t next_shard;
    size_t under_way;
    bool shards_failed;  /* Redis: tried again */
    bool shards_refused; /* the limits: no more of them */
    size_t next_channel; /* PART_CHANNELS */
    uv_timer_t timer;    /* PART_NODES: polls */
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
    const cJSON *each;
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
        if (!s->is_done) {
            s->options.on_refused(s->options.ctx, &why);
            return;
        }
        log_error("setup", "setting.refused", "error", why.text, NULL);
    } else {
        warn_different(s, reply);
    }
    move_on(s, s->is_done ? PART_CHANNELS : PART_NODES);
}

static void do_settings(struct setup *s)
{
    if (s->options.nsettings == 0) {
        move_on(s, s->is_done ? PART_CHANNELS : PART_NODES);
        return;
    }
    s->busy = registry_configure(steps(s), me(s), &(struct registry_request){0}, SLICE("create"),
                                 s->options.settings, s->options.nsettings, on_settings, s) == 0;
}

/* Nodes and user ------------------------------------------------------------------------------------ */

static void on_poll(uv_timer_t *timer)
{
    struct setup *s = timer->data;
    leader_ask_now(s->options.leader);
}

static void do_nodes(struct setup *s)
{
    if (s->nodes == 0 || mono_ms() - s->still_since_ms < STILL_MS) {
        uv_timer_start(&s->timer, on_poll, POLL_MS, 0);
        return;
    }
    log_info("setup", "setup.begun", "nodes", log_u64(s->nodes), NULL);
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
        log_error("setup", "user.refused", "user", s->user, "error", why, NULL);
        return;
    }
    log_info("setup", "user.chosen", "user", s->user, NULL);
    s->has_user = true;
    move_on(s, s->is_done ? PART_DONE : PART_SHARDS);
}

static void on_user_found(void *ctx, const char *user, const struct err *err)
{
    struct setup *s = ctx;
    if (!answered(s, "user", err) || !leader_may_act(s->options.leader)) {
        return;
    }
    snprintf(s->user, sizeof(s->user), "%s", user);
    const struct slice args[] = {SLICE("user"), slice_of(s->user)};
    s->busy = registry_configure(steps(s), me(s), &(struct registry_request){0}, SLICE("set"), args,
                                 ARRAY_LEN(args), on_user_set, s) == 0;
}

static void do_user(struct setup *s)
{
    if (s->has_user) {
        move_on(s, s->is_done ? PART_DONE : PART_SHARDS);
        return;
    }
    s->busy = setup_user_find(steps(s), on_user_found, s) == 0;
}

/* Initial shards -------------------------------------------------------------------------------------- */

static void add_shards(struct setup *s);

static void on_shard(void *ctx, struct slice word, struct slice rest, const struct err *err)
{
    struct setup *s = ctx;
    s->under_way--;
    if (err) {
        s->shards_failed = true;
        leader_step_failed(s->options.leader, "add_shard", err);
    } else if (slice_is(word, "refused") && !s->shards_refused) {
        s->shards_refused = true;
        log_warn("setup", "shard.refused", "why", log_slice(rest), "wanted", log_u64(s->nshards),
                 NULL);
    }
    add_shards(s);
}

static void add_shards(struct setup *s)
{
    while (!s->shards_failed && !s->shards_refused && s->next_shard <= s->nshards &&
           s->under_way < MAX_UNDER_WAY && leader_may_act(s->options.leader)) {
        char id[64];
        snprintf(id, sizeof(id), "initial-shard-%" PRIu64, s->next_shard);
        if (registry_add_shard(steps(s), me(s), id, slice_of(s->user), false, on_shard, s) != 0) {
            s->shards_failed = true;
            break;
        }
        s->next_shard++;
        s->under_way++;
    }
    if (s->under_way > 0) {
        return;
    }
    s->busy = false;
    if (s->shards_refused || s->next_shard > s->nshards) {
        if (!s->shards_failed) {
            move_on(s, PART_CHANNELS);
        }
    }
}

static void on_config(void *ctx, const struct redisReply *reply, const struct err *err)
{
    struct setup *s = ctx;
    if (!answered(s, "config", err)) {
        return;
    }
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2) {
        log_warn("setup", "step.failed", "step", "config", "error",
                 reply->str ? reply->str : "not a list", NULL);
        return;
    }
    struct slice user = reply_slice(reply->element[0]);
    snprintf(s->user, sizeof(s->user), "%.*s", (int)user.len, user.ptr ? user.ptr : "");
    if (!slice_to_u64(reply_slice(reply->element[1]), &s->nshards)) {
        s->nshards = DEFAULT_COUNT;
    }
    if (!s->user[0]) {
        s->has_user = false;
        s->part = PART_USER;
        return;
    }
    s->next_shard = 1;
    s->shards_failed = false;
    s->shards_refused = false;
    s->busy = true;
    add_shards(s);
}

static void do_shards(struct setup *s)
{
    char key[256];
    s->busy =
        link_command(registry_link(steps(s)), on_config, s, "HMGET %s user initial_shard_count",
                     registry_key(steps(s), key, sizeof(key), "config")) == 0;
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
    s->busy = registry_assign(steps(s), me(s), &(struct registry_request){0}, "initial",
                              all->names + s->next_channel, portion(s), on_channels, s) == 0;
}

static void on_marked(void *ctx, struct slice word, struct slice reply, const struct err *err)
{
    (void)word;
    (void)reply;
    struct setup *s = ctx;
    if (answered(s, "configure", err)) {
        s->is_done = true;
        log_info("setup", "setup.done", NULL);
        move_on(s, PART_DONE);
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
        [PART_SHARDS] = do_shards,     [PART_CHANNELS] = do_channels, [PART_MARK] = do_mark,
    };
    if (!s->busy && s->part != PART_DONE && leader_may_act(s->options.leader)) {
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
    s->has_user = facts->user.len > 0;
    if (facts->nodes != s->nodes || s->still_since_ms == 0) {
        s->nodes = facts->nodes;
        s->still_since_ms = mono_ms();
    }
    if (s->part == PART_DONE && !s->busy) {
        if (!s->is_done) {
            s->part = PART_SETTINGS; /* Redis lost it all */
            s->next_channel = 0;
        } else if (!s->has_user && s->nodes > 0) {
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
