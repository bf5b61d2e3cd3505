/* shoalctl channels, shards, nodes: tables for people, records for programs. */
#include "coordinator/ctl/commands.h"
#include "coordinator/ctl/table.h"
#include "coordinator/ctl/view.h"

#include <stdio.h>

static int list(struct ctl *c, const struct ctl_command *self, unsigned what,
                const struct table_column *columns, size_t n)
{
    struct view v = {0};

    if (c->nargs > 0) {
        return ctl_usage(self);
    }
    int code = view_read(c, what, &v);
    cJSON *records = what == VIEW_CHANNELS ? v.channels : what == VIEW_SHARDS ? v.shards : v.nodes;
    if (code == CTL_DONE && c->json) {
        table_json(records);
    } else if (code == CTL_DONE) {
        cJSON *record;
        cJSON_ArrayForEach(record, records)
        {
            char age[24];
            struct wall since = {view_number(record, "since")};
            table_age(wall_since(since, v.now), age, sizeof(age));
            cJSON_AddStringToObject(record, "for", since.ms != 0 ? age : "");
        }
        table_print(stdout, columns, n, records, true);
    }
    view_finish(&v);
    return code;
}

static int run_channels(struct ctl *c, const struct ctl_command *self)
{
    static const struct table_column columns[] = {
        {"CHANNEL", "channel", false}, {"SHARD", "shard", false},   {"STATE", "state", false},
        {"FOR", "for", true},          {"REASON", "reason", false},
    };

    return list(c, self, VIEW_CHANNELS, columns, ARRAY_LEN(columns));
}

const struct ctl_command ctl_channels = {
    .name = "channels",
    .args = "",
    .help = "The wanted channels, their shards and states.",
    .needs = RIGHTS_VIEW,
    .run = run_channels,
};

static int run_shards(struct ctl *c, const struct ctl_command *self)
{
    static const struct table_column columns[] = {
        {"SHARD", "shard", false},    {"NODE", "node", false},        {"USER", "user", false},
        {"STATE", "state", false},    {"CHANNELS", "channels", true}, {"JOINED", "joined", true},
        {"LINES/S", "lines_s", true}, {"LAG_MS", "lag_ms", true},     {"SENDER", "sender", false},
        {"ERROR", "error", false},
    };

    return list(c, self, VIEW_SHARDS, columns, ARRAY_LEN(columns));
}

const struct ctl_command ctl_shards = {
    .name = "shards",
    .args = "",
    .help = "The shards, their nodes and loads.",
    .needs = RIGHTS_VIEW,
    .run = run_shards,
};

static int run_nodes(struct ctl *c, const struct ctl_command *self)
{
    static const struct table_column columns[] = {
        {"NODE", "node", false},        {"STATE", "state", false},  {"HOST", "host", false},
        {"PID", "pid", true},           {"SHARDS", "shards", true}, {"CAPACITY", "capacity", true},
        {"LEASE_MS", "lease_ms", true}, {"UP", "for", true},        {"VERSION", "version", false},
        {"ERROR", "error", false},
    };

    return list(c, self, VIEW_NODES, columns, ARRAY_LEN(columns));
}

const struct ctl_command ctl_nodes = {
    .name = "nodes",
    .args = "",
    .help = "The nodes and what they hold.",
    .needs = RIGHTS_VIEW,
    .run = run_nodes,
};
