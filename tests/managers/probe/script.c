/* Probe, its scripts: a script is the name of a call and an action, "ACTION" or "ACTION:REST":
 *
 *   done | fail:TEXT | shard:ID | least_loaded[:USER] | start_all | stop_all
 *                 what shard_manager.h has
 *   holder        the shard that the channel is on; for one that nobody joined, any
 *   add:ONE,TWO   shards of the cluster's user, those that are not there yet; then it is done
 *   never         left to the command "complete" */
#include "probe/probe_private.h"

#include <stdio.h>
#include <string.h>

/* How the calls of that name are completed. */
struct script {
    struct script *next;
    char *name;
    char *action;
};

/* A call to be completed. */
struct order {
    struct probe *probe;
    shard_call call;
    const char *channel; /* or NULL */
    const char *rest;    /* of the action; NULL: it has none */
};

/* The shards of an "add" action. */
struct adding {
    struct probe *probe;
    shard_call call;
    size_t left;
    char *error; /* the first, or NULL */
};

/* Completing calls ----------------------------------------------------------------------------- */

static void act_done(const struct order *o)
{
    shard_call_done(o->probe->base, o->call);
}

static void act_fail(const struct order *o)
{
    shard_call_fail(o->probe->base, o->call, o->rest);
}

static void act_shard(const struct order *o)
{
    shard_call_shard(o->probe->base, o->call,
                     shard_manager_shard(o->probe->base, o->rest ? o->rest : ""));
}

static void act_least_loaded(const struct order *o)
{
    shard_call_least_loaded(o->probe->base, o->call, o->rest);
}

static void act_never(const struct order *o)
{
    (void)o;
}

/* The shard that the channel is on; for one that nobody joined, any. */
static void act_holder(const struct order *o)
{
    const struct shard *s = shard_manager_shard_of(o->probe->base, o->channel);

    s = s ? s : shard_manager_next_shard(o->probe->base, NULL);
    if (s) {
        shard_call_shard(o->probe->base, o->call, s);
    } else {
        shard_call_fail(o->probe->base, o->call, "there is no shard");
    }
}

static void on_added(void *ctx, struct shard *shard, const char *error)
{
    struct adding *a = ctx;

    (void)shard;
    if (error && !a->error) {
        a->error = need(strdup(error));
    }
    if (--a->left > 0) {
        return;
    }
    if (a->error) {
        shard_call_fail(a->probe->base, a->call, a->error);
    } else {
        shard_call_done(a->probe->base, a->call);
    }
    free(a->error);
    free(a);
}

/* add:ONE,TWO: shards of the cluster's user; those there are stay. */
static void act_add(const struct order *o)
{
    struct adding *a = need(calloc(1, sizeof(*a)));
    char *ids = need(strdup(o->rest ? o->rest : ""));
    char *save = NULL;

    *a = (struct adding){.probe = o->probe, .call = o->call, .left = 1};
    for (char *id = strtok_r(ids, ",", &save); id; id = strtok_r(NULL, ",", &save)) {
        if (!shard_manager_shard(o->probe->base, id)) {
            a->left++;
            shard_manager_add_shard(o->probe->base, id, NULL, NULL, 0, on_added, a);
        }
    }
    free(ids);
    on_added(a, NULL, NULL);
}

static void act_start_all(const struct order *o)
{
    shard_manager_start_all_shards(o->probe->base, shard_call_complete,
                                   shard_call_ctx(o->probe->base, o->call));
}

static void act_stop_all(const struct order *o)
{
    shard_manager_stop_all_shards(o->probe->base, shard_call_complete,
                                  shard_call_ctx(o->probe->base, o->call));
}

static const struct {
    const char *name;
    void (*run)(const struct order *o);
} actions[] = {
    {"done", act_done},         {"fail", act_fail},
    {"shard", act_shard},       {"least_loaded", act_least_loaded},
    {"never", act_never},       {"holder", act_holder},
    {"add", act_add},           {"start_all", act_start_all},
    {"stop_all", act_stop_all},
};

void script_act(struct probe *p, shard_call call, const char *channel, const char *action)
{
    size_t len = strcspn(action, ":");

    for (size_t i = 0; i < sizeof(actions) / sizeof(*actions); i++) {
        if (strlen(actions[i].name) == len && memcmp(actions[i].name, action, len) == 0) {
            const struct order o = {p, call, channel, action[len] ? action + len + 1 : NULL};
            actions[i].run(&o);
            return;
        }
    }
    fprintf(stderr, "probe: BUG in the test: there is no action \"%s\"\n", action);
    abort();
}

static struct script *script_find(const struct probe *p, const char *name)
{
    for (struct script *s = p->scripts; s; s = s->next) {
        if (strcmp(s->name, name) == 0) {
            return s;
        }
    }
    return NULL;
}

void script_set(struct probe *p, const char *name, const char *action)
{
    struct script *s = script_find(p, name);

    if (!s) {
        s = need(calloc(1, sizeof(*s)));
        s->name = need(strdup(name));
        s->next = p->scripts;
        p->scripts = s;
    }
    free(s->action);
    s->action = need(strdup(action));
}

void script_run(struct probe *p, const char *name, const char *channel, shard_call call)
{
    char own[200];

    snprintf(own, sizeof(own), "%s:%s", name, channel ? channel : "");
    const struct script *s = script_find(p, own);
    s = s ? s : script_find(p, name);
    char *action = need(strdup(s->action)); /* completing the call may lead to another script */
    script_act(p, call, channel, action);
    free(action);
}

void scripts_free(struct probe *p)
{
    while (p->scripts) {
        struct script *s = p->scripts;
        p->scripts = s->next;
        free(s->name);
        free(s->action);
        free(s);
    }
}
