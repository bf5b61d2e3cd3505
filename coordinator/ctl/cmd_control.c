/* shoalctl start and stop: all shards of the cluster. */
#include "coordinator/ctl/commands.h"
#include "coordinator/ctl/request.h"
#include "coordinator/ctl/view.h"

#include <stdio.h>
#include <string.h>

#define LOOK_MS 100 /* between two looks at what is open */

static int count_open(struct ctl *c, size_t *open)
{
    struct view v = {0};
    int code = view_read(c, VIEW_SHARDS, &v);
    const cJSON *shard;

    *open = 0;
    cJSON_ArrayForEach(shard, v.shards)
    {
        /* The shard manager asks each to stop, its node says when it is closed. A shard without a
         * node has no connection, whatever was last said about it. */
        bool asked = strcmp(view_text(shard, "run"), "started") != 0;
        bool closed =
            !view_text(shard, "node")[0] || strcmp(view_text(shard, "state"), "closed") == 0;
        *open += !asked || (!closed && strcmp(view_text(shard, "run"), "stopped") == 0);
    }
    view_finish(&v);
    return code;
}

static int say(struct ctl *c, int code, const char *text)
{
    if (code == CTL_DONE && !c->json) {
        puts(text);
    }
    return code;
}

static int run_start(struct ctl *c)
{
    return say(c, request_simple(c, "start", NULL, 0), "started");
}

CTL_COMMAND(start, "", "Connect all shards again after a stop.", NULL, RIGHTS_ADMIN, run_start);

static int run_stop(struct ctl *c)
{
    size_t open = 1;

    if (options_bool(c->options, "no-wait")) {
        return request_make(c, "stop", NULL, 0, NULL);
    }
    int code = request_simple(c, "stop", NULL, 0);
    while (code == CTL_DONE && open > 0) {
        code = count_open(c, &open);
        if (code == CTL_DONE && open > 0) {
            char what[60];
            snprintf(what, sizeof(what), "%zu shards are still open", open);
            code = ctl_is_over(c) ? ctl_over(c, what) : code;
            uint64_t next_look = mono_ms() + LOOK_MS;
            while (mono_ms() < next_look && !ctl_is_over(c)) {
                ctl_turn_for(c, LOOK_MS);
            }
        }
    }
    return say(c, code, "stopped");
}

CTL_COMMAND(stop, "", "Close all connections to Twitch; channels stay wanted.", ctl_no_wait,
            RIGHTS_ADMIN, run_stop);
