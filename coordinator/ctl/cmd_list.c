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

/* The lists there are. */
static const struct list {
    const struct ctl_command *command;
    unsigned what;
    const struct figure *figures;
    size_t records; /* in struct records */
} lists[] = {
    {&ctl_channels, RECORDS_CHANNELS, figures_of_channel, offsetof(struct records, channels)},
    {&ctl_shards, RECORDS_SHARDS, figures_of_shard, offsetof(struct records, shards)},
    {&ctl_nodes, RECORDS_NODES, figures_of_node, offsetof(struct records, nodes)},
    {&ctl_accounts, RECORDS_ACCOUNTS, figures_of_account, offsetof(struct records, accounts)},
};

static int run_list(struct ctl *c)
{
    const struct list *list = lists;
    struct records r;

    while (list->command != c->command) {
        list++;
    }
    int code = records_read(c, list->what, &r);
    cJSON *records = *(cJSON **)(void *)((char *)&r + list->records);
    if (code == CTL_DONE && c->json) {
        table_json(records);
    } else if (code == CTL_DONE) {
        show(records, list->figures, r.state->now);
    }
    records_finish(&r);
    return code;
}

CTL_COMMAND(channels, "", "The wanted channels, their shards and states.", NULL, RIGHTS_VIEW,
            run_list);
CTL_COMMAND(shards, "", "The shards, their nodes and loads.", NULL, RIGHTS_VIEW, run_list);
CTL_COMMAND(nodes, "", "The nodes and what they hold.", NULL, RIGHTS_VIEW, run_list);
CTL_COMMAND(accounts, "", "The accounts whose tokens are kept valid, and how they are.", NULL,
            RIGHTS_VIEW, run_list);
