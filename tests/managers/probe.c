/* Probe: a shard manager for tests, driven from outside.
 *
 *   test --["7","shard_stop","one"]--> unix socket --> shard_stop() ...
 *   ... --{"id":"7","error":null}--> test
 *
 * It listens at `--set manager.socket=PATH` for one client at a time; a new one takes the place of
 * the old. A line is a JSON array: a tag, a command (commands.c), its arguments (null is NULL).
 * Each gets one line in answer, an object with the tag as "id": at once, or when the base calls
 * back.
 *
 * Every call of the manager's table is kept in a record ("calls" shows it) and completed as its
 * script says (script.c): `--set manager.setup=ACTION`, `--set manager.assign_shard:alice=ACTION`
 * for one channel, or the command "script" later on. `--set manager.create=fail:TEXT` makes create
 * fail, `crash` ends the process in it.
 *
 * Happy path: create -> calls and commands -> destroy closes all handles; the last one that is
 * closed frees everything. Loop thread only. */
#include "probe/probe_private.h"

#include <stdio.h>
#include <string.h>

/* A call of the table: noted, and completed as the script says. */
static void called(struct probe *p, cJSON *entry, const char *name, const char *channel,
                   shard_call call)
{
    cJSON_AddStringToObject(entry, "name", name);
    cJSON_AddNumberToObject(entry, "call", (double)call);
    if (channel) {
        cJSON_AddStringToObject(entry, "channel", channel);
    }
    cJSON_AddItemToArray(p->record, entry);
    script_run(p, name, channel, call);
}

static cJSON *options_json(const struct shard_manager_options *options)
{
    cJSON *list = cJSON_CreateArray();

    for (size_t i = 0; i < options->n; i++) {
        const char *const pair[] = {options->option[i].key, options->option[i].value};
        cJSON_AddItemToArray(list, cJSON_CreateStringArray(pair, 2));
    }
    return list;
}

/* What create is given: the options, and what the base's look-up finds. */
static cJSON *given_json(const struct shard_manager_options *options)
{
    static const char *const absent[] = {"nothing", "", "manager.x"};
    cJSON *json = cJSON_CreateObject();
    cJSON_AddItemToObject(json, "options", options_json(options));
    cJSON *last = cJSON_AddObjectToObject(json, "last");

    for (size_t i = 0; i < options->n; i++) {
        const char *key = options->option[i].key;
        cJSON_DeleteItemFromObjectCaseSensitive(last, key);
        cJSON_AddStringToObject(last, key, shard_manager_option(options, key));
    }
    for (size_t i = 0; i < sizeof(absent) / sizeof(*absent); i++) {
        if (!shard_manager_option(options, absent[i])) {
            cJSON_AddNullToObject(last, absent[i]);
        }
    }
    return json;
}

static void destroy(void *self)
{
    probe_close(self);
    fprintf(stderr, "probe: destroyed\n");
}

static void *create(struct shard_manager *m, const struct shard_manager_options *options,
                    const char **error)
{
    static const char *const usual[][2] = {{"setup", "done"},
                                           {"assign_shard", "least_loaded"},
                                           {"get_sender_shard", "holder"},
                                           {"start", "start_all"},
                                           {"stop", "stop_all"}};
    const char *how = shard_manager_option(options, "create");
    const char *path = shard_manager_option(options, "socket");

    if (how && strcmp(how, "crash") == 0) {
        abort();
    }
    if (how && strncmp(how, "fail:", 5) == 0) {
        *error = how + 5;
        return NULL;
    }
    struct probe *p = need(calloc(1, sizeof(*p)));
    p->base = m;
    p->record = cJSON_CreateArray();
    p->given = given_json(options);
    for (size_t i = 0; i < sizeof(usual) / sizeof(*usual); i++) {
        script_set(p, usual[i][0], usual[i][1]);
    }
    for (size_t i = 0; i < options->n; i++) {
        script_set(p, options->option[i].key, options->option[i].value);
    }
    if (probe_listen(p, path ? path : "") != 0) {
        *error = "it cannot listen at manager.socket";
        probe_close(p);
        return NULL;
    }
    return p;
}

static void setup(void *self, const struct shard_manager_options *options, shard_call call)
{
    cJSON *entry = cJSON_CreateObject();
    cJSON_AddItemToObject(entry, "options", options_json(options));
    called(self, entry, "setup", NULL, call);
}

static void assign_shard(void *self, const char *channel_name, bool is_initial_channel,
                         shard_call call)
{
    cJSON *entry = cJSON_CreateObject();
    cJSON_AddBoolToObject(entry, "initial", is_initial_channel);
    called(self, entry, "assign_shard", channel_name, call);
}

static void get_sender_shard(void *self, const char *channel_name, shard_call call)
{
    called(self, cJSON_CreateObject(), "get_sender_shard", channel_name, call);
}

static void start(void *self, shard_call call)
{
    called(self, cJSON_CreateObject(), "start", NULL, call);
}

static void stop(void *self, shard_call call)
{
    called(self, cJSON_CreateObject(), "stop", NULL, call);
}

const struct shard_manager_ops shoal_shard_manager = {
    .abi = SHARD_MANAGER_ABI,
    .size = sizeof(shoal_shard_manager),
    .name = "probe",
    .create = create,
    .destroy = destroy,
    .setup = setup,
    .assign_shard = assign_shard,
    .get_sender_shard = get_sender_shard,
    .start = start,
    .stop = stop,
};
