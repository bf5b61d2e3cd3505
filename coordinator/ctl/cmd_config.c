/* shoalctl config: the cluster's settings, which live in Redis. */
#include "coordinator/ctl/ask.h"
#include "coordinator/ctl/commands.h"
#include "coordinator/ctl/ctl_records.h"
#include "coordinator/ctl/table.h"

#include <stdio.h>
#include <string.h>

/* `name` NULL: all of them. */
static int get(struct ctl *c, const char *name)
{
    static const struct table_column columns[] = {{"SETTING", "name", false},
                                                  {"VALUE", "value", false},
                                                  {"DEFAULT", "default", false},
                                                  {"ALLOWED", "allowed", false}};
    struct records r;
    int code = ctl_records(c, RECORDS_SETTINGS, &r);
    const cJSON *one = name != NULL ? records_find(r.settings, "name", name) : NULL;

    if (code == CTL_DONE && name != NULL && one == NULL) {
        code = ctl_fail(CTL_FAILED, "unknown setting \"%s\"; shoalctl config get lists them", name);
    } else if (code == CTL_DONE && c->json) {
        table_json(one != NULL ? one : r.settings);
    } else if (code == CTL_DONE && one != NULL) {
        ctl_say("%s", records_text(one, "value"));
    } else if (code == CTL_DONE) {
        table_print(stdout, table_width(), columns, ARRAY_LEN(columns), r.settings);
    }
    records_finish(&r);
    return code;
}

static int run_config(struct ctl *c)
{
    const char *op = c->nargs > 0 ? ctl_arg(c, 0) : "get";

    if (strcmp(op, "get") == 0 && c->nargs <= 2) {
        return get(c, c->nargs == 2 ? ctl_arg(c, 1) : NULL);
    }
    bool sets = strcmp(op, "set") == 0;
    if (c->nargs == (sets ? 3 : 2) && (sets || strcmp(op, "unset") == 0)) {
        struct registry_pair fields[] = {{"name", ctl_arg(c, 1)},
                                         {"value", sets ? ctl_arg(c, 2) : ""}};
        c->needs = RIGHTS_ADMIN;
        return ask_plainly(c, op, fields, sets ? 2 : 1);
    }
    return ctl_usage(c);
}

CTL_COMMAND(config, "get [NAME] | set NAME VALUE | unset NAME", "The cluster's settings.", NULL,
            RIGHTS_CONFIG, run_config);
