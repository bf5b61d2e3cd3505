/* Ask: adds an entry, hears or finds its reply. */
#include "coordinator/ctl/ask.h"

#include "coordinator/ctl/table.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

const char *ask_by(void)
{
    static char by[200];
    char host[65] = "";
    const struct passwd *who = getpwuid(getuid());

    if (gethostname(host, sizeof(host) - 1) != 0) {
        host[0] = '\0';
    }
    snprintf(by, sizeof(by), "shoalctl:%.64s@%s", who != NULL ? who->pw_name : "?", host);
    return by;
}

int ask_check_cluster(struct ctl *c)
{
    int code = CTL_DONE;

    while (ctl_asks(c, &code)) {
        ctl_asked(c, registry_is_there(c->registry, ctl_answered_bool, c));
    }
    if (code == CTL_DONE && !c->yes) {
        code = ctl_fail(CTL_FAILED,
                        "there is no cluster \"%s\" in this Redis: no coordinator has led it; is "
                        "--cluster (and --redis-url) right?",
                        options_string(c->options, "cluster"));
    }
    return code;
}

static void on_reply(void *ctx, struct slice text, const struct err *err)
{
    struct ctl *c = ctx;

    if (text.len > 0 && c->found == NULL) {
        c->found = xstrndup(text.ptr, text.len);
    }
    ctl_answered(c, err);
}

/* Says so, once, where nobody is there who would answer now. */
static int look_for_reply(struct ctl *c)
{
    int code = CTL_DONE;

    while (ctl_asks(c, &code)) {
        ctl_asked(c, registry_find_reply(c->registry, c->await_id, on_reply, c));
    }
    if (c->found != NULL || c->told_no_leader) {
        return code;
    }
    while (ctl_asks(c, &code)) {
        ctl_asked(c, registry_is_led(c->registry, ctl_answered_bool, c));
    }
    if (code == CTL_DONE && !c->yes) {
        c->told_no_leader = true;
        (void)ctl_fail(
            0,
            "no coordinator leads cluster \"%s\"; the request stays in Redis and is carried "
            "out when one does. Waiting (--timeout)",
            options_string(c->options, "cluster"));
    }
    return code;
}

int ask_coordinator(struct ctl *c, const char *op, const struct registry_pair *fields,
                    size_t nfields, struct registry_outcome *outcome)
{
    struct registry_pair all[3 + ASK_MAX_FIELDS] = {
        {"id", c->await_id}, {"op", op}, {"by", ask_by()}};

    BUG_ON(nfields > ASK_MAX_FIELDS);
    for (size_t i = 0; i < nfields; i++) {
        all[3 + i] = fields[i];
    }
    if (outcome != NULL) {
        *outcome = (struct registry_outcome){0};
    }
    random_hex(c->await_id, 16);
    ctl_restart_deadline(c);
    int code = ask_check_cluster(c);
    if (code == CTL_DONE && outcome != NULL) {
        code = ctl_subscribe(c, TOPIC_REPLIES, "");
    }
    while (ctl_asks(c, &code)) {
        ctl_asked(c, registry_add_request(c->registry, op, all, 3 + nfields, ctl_answered, c));
    }
    if (code == CTL_DONE && outcome != NULL) {
        code = ctl_await(c, "the coordinator's reply", look_for_reply);
    }
    if (code != CTL_DONE || outcome == NULL) {
        return code;
    }
    registry_outcome_read(slice_of(c->found), outcome);
    outcome->json = (struct slice){0};
    free(c->found);
    c->found = NULL;
    return outcome->valid ? CTL_DONE
                          : ctl_fail(CTL_FAILED, "the reply is not what a coordinator says");
}

int ask_plainly(struct ctl *c, const char *op, const struct registry_pair *fields, size_t nfields)
{
    struct registry_outcome outcome;
    int code = ask_coordinator(c, op, fields, nfields, &outcome);

    if (code == CTL_DONE && c->json) {
        table_json(outcome.tree);
    }
    if (code == CTL_DONE && !outcome.ok) {
        code = ctl_fail(CTL_FAILED, "%s", outcome.error != NULL ? outcome.error : "refused");
    }
    registry_outcome_finish(&outcome);
    return code;
}
