/* shoalctl channels, shards, nodes: tables for people, records for programs. */
#include "coordinator/ctl/commands.h"
#include "coordinator/ctl/table.h"
#include "coordinator/ctl/view.h"

#include <stdio.h>

static int list(struct ctl *c, const struct ctl_command *self,
                cJSON *(*view)(struct ctl *c, int *code), const struct table_column *columns,
                size_t n)
{
    int code = CTL_DONE;

    if (c->nargs > 0) {
        return ctl_usage(self);
    }
    cJSON *records = view(c, &code);
    if (code == CTL_DONE && c->json) {
        table_json(records);
    } else if (code == CTL_DONE) {
        cJSON *record;
        cJSON_ArrayForEach(record, records)
        {
            char age[24];
            uint64_t since = view_number(record, "since");
            uint64_t now = wall_ms();
            table_age(now > since ? now - since : 0, age, sizeof(age));
            cJSON_AddStringToObject(record, "for", since ? age : "");
        }
        table_print(stdout, columns, n, records, true);
    }
    cJSON_Delete(records);
    return code;
}

int cmd_channels(struct ctl *c, const struct ctl_command *self)
{
    static const struct table_column columns[] = {
        {"CHANNEL", "channel", false}, {"SHARD", "shard", false},   {"STATE", "state", false},
        {"FOR", "for", true},          {"REASON", "reason", false},
    };

    return list(c, self, view_channels, columns, ARRAY_LEN(columns));
}

int cmd_shards(struct ctl *c, const struct ctl_command *self)
{
    static const struct table_column columns[] = {
        {"SHARD", "shard", false},    {"NODE", "node", false},        {"USER", "user", false},
        {"STATE", "state", false},    {"CHANNELS", "channels", true}, {"JOINED", "joined", true},
        {"LINES/S", "lines_s", true}, {"LAG_MS", "lag_ms", true},     {"SENDER", "sender", false},
        {"ERROR", "error", false},
    };

    return list(c, self, view_shards, columns, ARRAY_LEN(columns));
}

int cmd_nodes(struct ctl *c, const struct ctl_command *self)
{
    static const struct table_column columns[] = {
        {"NODE", "node", false},        {"STATE", "state", false},  {"HOST", "host", false},
        {"PID", "pid", true},           {"SHARDS", "shards", true}, {"CAPACITY", "capacity", true},
        {"LEASE_MS", "lease_ms", true}, {"UP", "for", true},        {"VERSION", "version", false},
        {"ERROR", "error", false},
    };

    return list(c, self, view_nodes, columns, ARRAY_LEN(columns));
}
