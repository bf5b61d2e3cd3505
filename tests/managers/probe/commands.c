/* Probe, its commands: one for each function of shard_manager.h, and for the record and the
 * scripts. */
#include "probe/probe_private.h"

#include <string.h>

#define MAX_ARGS 1200

/* One line of the client. */
struct command {
    struct probe *probe;
    const char *tag;
    const char *args[MAX_ARGS];
    size_t n;
};

/* An answer that comes when the base calls back. */
struct owed {
    struct probe *probe;
    char *tag;
};

/* Answers -------------------------------------------------------------------------------------- */

static void add_text(cJSON *json, const char *name, const char *text)
{
    cJSON_AddItemToObject(json, name, text ? cJSON_CreateString(text) : cJSON_CreateNull());
}

static cJSON *text_answer(const char *name, const char *text)
{
    cJSON *json = cJSON_CreateObject();
    add_text(json, name, text);
    return json;
}

static struct owed *owe(const struct command *c)
{
    struct owed *o = need(malloc(sizeof(*o)));
    *o = (struct owed){c->probe, need(strdup(c->tag))};
    return o;
}

/* Takes the answer. */
static void pay(struct owed *o, cJSON *json)
{
    probe_answer(o->probe, o->tag, json);
    free(o->tag);
    free(o);
}

static void on_done(void *ctx, const char *error)
{
    pay(ctx, text_answer("error", error));
}

static void on_shard_added(void *ctx, struct shard *shard, const char *error)
{
    cJSON *json = text_answer("error", error);
    add_text(json, "shard", shard ? shard_id(shard) : NULL);
    pay(ctx, json);
}

static void on_token(void *ctx, const char *login, bool usable, const char *error)
{
    cJSON *json = text_answer("error", error);
    add_text(json, "login", login);
    cJSON_AddBoolToObject(json, "usable", usable);
    pay(ctx, json);
}

/* Commands ------------------------------------------------------------------------------------- */

static void add_sender(cJSON *json, const struct shard *sender)
{
    add_text(json, "sender", sender ? shard_id(sender) : NULL);
}

static cJSON *shard_json(const struct shard *s)
{
    size_t n;
    const char *const *channels = shard_channels(s, &n);
    cJSON *json = cJSON_CreateObject();

    cJSON_AddStringToObject(json, "id", shard_id(s));
    cJSON_AddStringToObject(json, "user", shard_user(s));
    cJSON_AddStringToObject(json, "node", shard_node(s));
    add_sender(json, shard_sender(s));
    cJSON_AddItemToObject(json, "channels", cJSON_CreateStringArray(channels, (int)n));
    cJSON_AddBoolToObject(json, "ready", shard_ready(s));
    cJSON_AddBoolToObject(json, "closing", shard_closing(s));
    return json;
}

static cJSON *do_shards(const struct command *c)
{
    struct shard_manager *m = c->probe->base;
    cJSON *json = cJSON_CreateObject();
    cJSON *list = cJSON_AddArrayToObject(json, "shards");

    for (const struct shard *s = shard_manager_next_shard(m, NULL); s;
         s = shard_manager_next_shard(m, s)) {
        cJSON_AddItemToArray(list, shard_json(s));
    }
    return json;
}

static cJSON *do_shard(const struct command *c)
{
    const struct shard *s = shard_manager_shard(c->probe->base, c->args[0]);
    cJSON *json = cJSON_CreateObject();
    cJSON_AddItemToObject(json, "shard", s ? shard_json(s) : cJSON_CreateNull());
    return json;
}

static cJSON *do_shard_of(const struct command *c)
{
    const struct shard *s = shard_manager_shard_of(c->probe->base, c->args[0]);
    return text_answer("shard", s ? shard_id(s) : NULL);
}

static cJSON *do_initial_channels(const struct command *c)
{
    size_t n;
    const char *const *names = shard_manager_initial_channels(c->probe->base, &n);
    cJSON *json = cJSON_CreateObject();
    cJSON_AddItemToObject(json, "channels",
                          names ? cJSON_CreateStringArray(names, (int)n) : cJSON_CreateNull());
    return json;
}

static cJSON *do_name(const struct command *c)
{
    return text_answer("name", cluster_name(shard_manager_client(c->probe->base)));
}

static cJSON *do_sender(const struct command *c)
{
    cJSON *json = cJSON_CreateObject();
    add_sender(json, cluster_sender(shard_manager_client(c->probe->base)));
    return json;
}

static cJSON *do_round(const struct command *c)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "round", (double)shard_manager_round(c->probe->base));
    return json;
}

static cJSON *do_setting(const struct command *c)
{
    struct cluster *client = shard_manager_client(c->probe->base);
    return text_answer("value", cluster_setting(client, c->args[0]));
}

static cJSON *do_readers(const struct command *c)
{
    const struct cluster *client = shard_manager_client(c->probe->base);
    cJSON *json = cJSON_CreateObject();
    cJSON *list = cJSON_AddArrayToObject(json, "readers");

    for (const char *reader = cluster_next_reader(client, NULL); reader;
         reader = cluster_next_reader(client, reader)) {
        cJSON_AddItemToArray(list, cJSON_CreateString(reader));
    }
    return json;
}

static cJSON *do_error(const struct command *c)
{
    cluster_error(shard_manager_client(c->probe->base), c->args[0], c->args[1], c->args[2]);
    return cJSON_CreateObject();
}

static cJSON *do_token(const struct command *c)
{
    token_handler_get_user_token(shard_manager_token_handler(c->probe->base), c->args[0], on_token,
                                 owe(c));
    return NULL;
}

static cJSON *do_app_token(const struct command *c)
{
    token_handler_get_client_credentials(shard_manager_token_handler(c->probe->base), on_token,
                                         owe(c));
    return NULL;
}

static cJSON *do_add_shard(const struct command *c)
{
    shard_manager_add_shard(c->probe->base, c->args[0], c->args[1], c->args + 2, c->n - 2,
                            on_shard_added, owe(c));
    return NULL;
}

/* The shard of the first argument; else NULL, and that it is not there is the answer. */
static struct shard *need_shard(const struct command *c, cJSON **json)
{
    struct shard *s = shard_manager_shard(c->probe->base, c->args[0]);
    *json = s ? NULL : text_answer("error", "probe: there is no such shard");
    return s;
}

static cJSON *do_shard_start(const struct command *c)
{
    cJSON *json;
    struct shard *s = need_shard(c, &json);
    if (s) {
        shard_start(s, strcmp(c->args[1], "wait") == 0, on_done, owe(c));
    }
    return json;
}

static cJSON *do_shard_stop(const struct command *c)
{
    cJSON *json;
    struct shard *s = need_shard(c, &json);
    if (s) {
        shard_stop(s, on_done, owe(c));
    }
    return json;
}

static cJSON *do_add_channels(const struct command *c)
{
    cJSON *json;
    struct shard *s = need_shard(c, &json);
    if (s) {
        shard_add_channels(s, c->args + 1, c->n - 1, on_done, owe(c));
    }
    return json;
}

static cJSON *do_remove_channels(const struct command *c)
{
    cJSON *json;
    struct shard *s = need_shard(c, &json);
    if (s) {
        shard_remove_channels(s, c->args + 1, c->n - 1, on_done, owe(c));
    }
    return json;
}

static cJSON *do_start_all(const struct command *c)
{
    shard_manager_start_all_shards(c->probe->base, on_done, owe(c));
    return NULL;
}

static cJSON *do_stop_all(const struct command *c)
{
    shard_manager_stop_all_shards(c->probe->base, on_done, owe(c));
    return NULL;
}

static cJSON *do_wait_until_exit(const struct command *c)
{
    shard_manager_wait_until_exit(c->probe->base, on_done, owe(c));
    return NULL;
}

static cJSON *do_calls(const struct command *c)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddItemToObject(json, "calls", cJSON_Duplicate(c->probe->record, true));
    return json;
}

static cJSON *do_given(const struct command *c)
{
    return cJSON_Duplicate(c->probe->given, true);
}

static cJSON *do_script(const struct command *c)
{
    script_set(c->probe, c->args[0], c->args[1]);
    return cJSON_CreateObject();
}

/* "complete" CALL CHANNEL ACTION...: with each of the actions, one after the other. */
static cJSON *do_complete(const struct command *c)
{
    for (size_t i = 2; i < c->n; i++) {
        script_act(c->probe, strtoull(c->args[0], NULL, 10), c->args[1], c->args[i]);
    }
    return cJSON_CreateObject();
}

static const struct {
    const char *name;
    size_t args; /* at least; none of these is null unless the function takes it */
    cJSON *(*run)(const struct command *c); /* NULL: the answer comes later */
} commands[] = {
    {"shards", 0, do_shards},
    {"shard", 1, do_shard},
    {"shard_of", 1, do_shard_of},
    {"initial_channels", 0, do_initial_channels},
    {"name", 0, do_name},
    {"sender", 0, do_sender},
    {"round", 0, do_round},
    {"setting", 1, do_setting},
    {"readers", 0, do_readers},
    {"error", 3, do_error},
    {"token", 1, do_token},
    {"app_token", 0, do_app_token},
    {"add_shard", 2, do_add_shard},
    {"shard_start", 2, do_shard_start},
    {"shard_stop", 1, do_shard_stop},
    {"shard_add_channels", 1, do_add_channels},
    {"shard_remove_channels", 1, do_remove_channels},
    {"start_all_shards", 0, do_start_all},
    {"stop_all_shards", 0, do_stop_all},
    {"wait_until_exit", 0, do_wait_until_exit},
    {"calls", 0, do_calls},
    {"given", 0, do_given},
    {"script", 2, do_script},
    {"complete", 3, do_complete},
};

static cJSON *run(const struct command *c, const char *name)
{
    for (size_t i = 0; name && i < sizeof(commands) / sizeof(*commands); i++) {
        if (strcmp(commands[i].name, name) == 0 && c->n >= commands[i].args) {
            return commands[i].run(c);
        }
    }
    return text_answer("error", "probe: no such command, or too few arguments");
}

void probe_command(struct probe *p, const char *line)
{
    cJSON *json = cJSON_Parse(line);
    const char *tag = cJSON_GetStringValue(cJSON_GetArrayItem(json, 0));
    struct command c = {.probe = p, .tag = tag ? tag : ""};

    for (const cJSON *each = cJSON_GetArrayItem(json, 2); each && c.n < MAX_ARGS;
         each = each->next) {
        c.args[c.n++] = cJSON_GetStringValue(each);
    }
    cJSON *now = run(&c, cJSON_GetStringValue(cJSON_GetArrayItem(json, 1)));
    if (now) {
        probe_answer(p, c.tag, now);
    }
    cJSON_Delete(json);
}
