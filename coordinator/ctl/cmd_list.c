/* shoalctl channels, shards, nodes: tables for people, records for programs. */
#include "coordinator/ctl/commands.h"
#include "coordinator/ctl/table.h"
#include "coordinator/ctl/view.h"

#include <stdio.h>

/* For how long, in words. */
static void say_age(cJSON *records, const char *name, struct wall now)
{
    cJSON *record;

    cJSON_ArrayForEach(record, records)
    {
        char age[24];
        struct wall since = {view_number(record, name)};
        table_age(wall_since(since, now), age, sizeof(age));
        cJSON_DeleteItemFromObjectCaseSensitive(record, name);
        cJSON_AddStringToObject(record, name, since.ms != 0 ? age : "");
    }
}

/* Those of the figures that have a title. */
static void show(cJSON *records, const struct figure *figures, struct wall now)
{
    struct table_column columns[TABLE_MAX_COLUMNS];
    size_t n = 0;

    for (const struct figure *f = figures; f->name != NULL; f++) {
        if (f->column != NULL) {
            BUG_ON(n == ARRAY_LEN(columns));
            columns[n++] = (struct table_column){f->column, f->name, f->type != FIGURE_TEXT};
        }
        if (f->column != NULL && f->type == FIGURE_TIME) {
            say_age(records, f->name, now);
        }
    }
    table_print(stdout, columns, n, records, true);
}

static int list(struct ctl *c, const struct ctl_command *self, unsigned what,
                const struct figure *figures)
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
        show(records, figures, v.now);
    }
    view_finish(&v);
    return code;
}

static int run_channels(struct ctl *c, const struct ctl_command *self)
{
    return list(c, self, VIEW_CHANNELS, figures_of_channel);
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
    return list(c, self, VIEW_SHARDS, figures_of_shard);
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
    return list(c, self, VIEW_NODES, figures_of_node);
}

const struct ctl_command ctl_nodes = {
    .name = "nodes",
    .args = "",
    .help = "The nodes and what they hold.",
    .needs = RIGHTS_VIEW,
    .run = run_nodes,
};
