/* shoalctl channels, shards, nodes, account list: tables for people, records for programs. */
#include "coordinator/ctl/commands.h"
#include "coordinator/ctl/ctl_records.h"
#include "coordinator/ctl/table.h"
#include "shared/account_secret.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static void put_text(cJSON *record, const char *name, const char *text)
{
    cJSON_DeleteItemFromObjectCaseSensitive(record, name);
    cJSON_AddStringToObject(record, name, text);
}

/* "12/100", or "12" and the words for "no limit". */
static void say_share(cJSON *record, const char *name, const char *most, const char *unlimited)
{
    uint64_t limit = records_number(record, most);
    char *text = limit > 0
                     ? xasprintf("%llu/%llu", (unsigned long long)records_number(record, name),
                                 (unsigned long long)limit)
                     : xstrdup(unlimited);

    put_text(record, name, text);
    free(text);
}

static void say_accounts(cJSON *records)
{
    cJSON *record;

    cJSON_ArrayForEach(record, records)
    {
        char left[24];
        uint64_t rooms = records_number(record, "rooms");
        char *in = xasprintf("%llu", (unsigned long long)rooms);
        table_age(records_number(record, "left_ms"), left, sizeof(left));
        put_text(record, "left_ms", cJSON_HasObjectItem(record, "left_ms") ? left : "");
        say_share(record, "rooms", "room_limit", in);
        say_share(record, "messages_left", "message_limit", "any");
        free(in);
        if (strcmp(records_text(record, "account"), ACCOUNT_APP) == 0) { /* that is no user */
            put_text(record, "rooms", "");
            put_text(record, "messages_left", "");
            put_text(record, "shards", "");
        }
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
    table_print(stdout, table_width(), columns, n, records);
}

/* The lists there are. */
static const struct list {
    const struct ctl_command *command;
    unsigned what;
    const struct figure *figures;
    size_t records;              /* in struct records */
    void (*say)(cJSON *records); /* NULL: they are shown as they are */
} lists[] = {
    {&ctl_channels, RECORDS_CHANNELS, figures_of_channel, offsetof(struct records, channels), NULL},
    {&ctl_shards, RECORDS_SHARDS, figures_of_shard, offsetof(struct records, shards), NULL},
    {&ctl_nodes, RECORDS_NODES, figures_of_node, offsetof(struct records, nodes), NULL},
    {&ctl_account, RECORDS_ACCOUNTS, figures_of_account, offsetof(struct records, accounts),
     say_accounts},
};

int list_run(struct ctl *c)
{
    const struct list *list = lists;
    struct records r;

    while (list->command != c->command) {
        list++;
    }
    int code = ctl_records(c, list->what, &r);
    cJSON *records = *(cJSON **)(void *)((char *)&r + list->records);
    if (code == CTL_DONE && c->json) {
        table_json(records);
    } else if (code == CTL_DONE) {
        if (list->say != NULL) {
            list->say(records);
        }
        show(records, list->figures, r.state->now);
    }
    records_finish(&r);
    return code;
}

CTL_COMMAND(channels, "", "The wanted channels, their shards and states.", NULL, RIGHTS_VIEW,
            list_run);
CTL_COMMAND(shards, "", "The shards, their nodes and loads.", NULL, RIGHTS_VIEW, list_run);
CTL_COMMAND(nodes, "", "The nodes and what they hold.", NULL, RIGHTS_VIEW, list_run);
