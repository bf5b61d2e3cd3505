/* shoalctl start and stop: all shards of the cluster. */
#include "coordinator/ctl/ask.h"
#include "coordinator/ctl/commands.h"
#include "coordinator/ctl/ctl_records.h"

#include <stdio.h>
#include <string.h>

#define LOOK_MS 100 /* between two looks at what is open */

static int count_open(struct ctl *c, size_t *open)
{
    struct records r;
    int code = ctl_records(c, RECORDS_SHARDS, &r);
    const cJSON *shard;

    *open = 0;
    cJSON_ArrayForEach(shard, r.shards)
    {
        /* The shard manager asks each to stop, its node says when it is closed. A shard without a
         * node has no connection, whatever was last said about it. */
        bool asked = strcmp(records_text(shard, "run"), "started") != 0;
        bool closed =
            !records_text(shard, "node")[0] || strcmp(records_text(shard, "state"), "closed") == 0;
        *open += !asked || (!closed && strcmp(records_text(shard, "run"), "stopped") == 0);
    }
    records_finish(&r);
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
    return say(c, ask_plainly(c, "start", NULL, 0), "started");
}

CTL_COMMAND(start, "", "Connect all shards again after a stop.", NULL, RIGHTS_ADMIN, run_start);

static int run_stop(struct ctl *c)
{
    size_t open = 1;

    if (options_bool(c->options, "no-wait")) {
        return ask_coordinator(c, "stop", NULL, 0, NULL);
    }
    int code = ask_plainly(c, "stop", NULL, 0);
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
