/* shoalctl channels, shards, nodes, account list: tables for people, records for programs. */
#include "coordinator/ctl/commands.h"
#include "coordinator/ctl/ctl_records.h"
#include "coordinator/ctl/table.h"
#include "coordinator/ctl/words.h"
#include "shared/account_secret.h"

#include <stdio.h>
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
        words_set(record, name, since.ms != 0 ? age : "");
    }
}

static void say_accounts(cJSON *records)
{
    cJSON *record;

    cJSON_ArrayForEach(record, records)
    {
        char left[24];
        uint64_t most = records_number(record, "message_limit");
        table_age(records_number(record, "left_ms"), left, sizeof(left));
        words_set(record, "left_ms", cJSON_HasObjectItem(record, "left_ms") ? left : "");
        words_share(record, "rooms", records_number(record, "rooms"),
                    records_number(record, "room_limit"));
        words_share(record, "messages_left", records_number(record, "messages_left"), most);
        if (most == 0) {
            words_set(record, "messages_left", "any");
        }
        if (strcmp(records_text(record, "account"), ACCOUNT_APP) == 0) { /* that is no user */
            words_set(record, "rooms", "");
            words_set(record, "messages_left", "");
            words_set(record, "shards", "");
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
