/* shoalctl channels, shards, nodes: tables for people, records for programs. */
#include "coordinator/ctl/commands.h"
#include "coordinator/ctl/records.h"
#include "coordinator/ctl/table.h"

#include <stdio.h>

/* For how long, in words. */
static void say_age(cJSON *records, const char *name, struct wall now)
{
    cJSON *record;

    cJSON_ArrayForEach(record, records)
    {
        char age[24];
        struct wall since = {records_number(record, name)};
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
    table_print(stdout, columns, n, records);
}

static int run_list(struct ctl *c)
{
    bool channels = c->command == &ctl_channels;
    bool shards = c->command == &ctl_shards;
    unsigned what = channels ? RECORDS_CHANNELS : shards ? RECORDS_SHARDS : RECORDS_NODES;
    struct records r;
    int code = records_read(c, what, &r);
    cJSON *records = channels ? r.channels : shards ? r.shards : r.nodes;
    const struct figure *figures = channels ? figures_of_channel
                                   : shards ? figures_of_shard
                                            : figures_of_node;

    if (code == CTL_DONE && c->json) {
        table_json(records);
    } else if (code == CTL_DONE) {
        show(records, figures, r.state->now);
    }
    records_finish(&r);
    return code;
}

CTL_COMMAND(channels, "", "The wanted channels, their shards and states.", NULL, RIGHTS_VIEW,
            run_list);
CTL_COMMAND(shards, "", "The shards, their nodes and loads.", NULL, RIGHTS_VIEW, run_list);
CTL_COMMAND(nodes, "", "The nodes and what they hold.", NULL, RIGHTS_VIEW, run_list);
