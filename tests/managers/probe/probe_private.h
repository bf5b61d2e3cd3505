/* Probe, what its files share: probe.c has the manager's table, socket.c its client, commands.c
 * what the client may ask for, script.c how calls of the table are completed. */
#ifndef SHOAL_TESTS_PROBE_PRIVATE_H
#define SHOAL_TESTS_PROBE_PRIVATE_H

#include <shoal/shard_manager.h>

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <uv.h>

struct client;
struct script;

struct probe {
    struct shard_manager *base;
    uv_pipe_t server;
    struct client *client; /* or NULL */
    struct script *scripts;
    cJSON *record; /* of the calls of the table */
    cJSON *given;  /* what create was given */
    unsigned open; /* handles */
};

/* Memory that must be there. */
static inline void *need(void *memory)
{
    if (!memory) {
        abort();
    }
    return memory;
}

/* socket.c: listen; 0, or the error of libuv. In either case probe_close ends it. */
int probe_listen(struct probe *p, const char *path);
/* Closes all handles; the last one that is closed frees everything. */
void probe_close(struct probe *p);
/* Send the answer (taken) to the command with that tag, if there is still a client. */
void probe_answer(struct probe *p, const char *tag, cJSON *json);

/* commands.c: carry out a line of the client. */
void probe_command(struct probe *p, const char *line);

/* script.c: how calls of that name ("stop", "assign_shard:alice") are completed from now on. */
void script_set(struct probe *p, const char *name, const char *action);
/* Complete the call as its script says. `channel` may be NULL. */
void script_run(struct probe *p, const char *name, const char *channel, shard_call call);
/* Complete it with this action, whatever the script says. */
void script_act(struct probe *p, shard_call call, const char *channel, const char *action);
void scripts_free(struct probe *p);

#endif
