/* Ask: adds an entry, hears or finds its reply. */
#include "coordinator/ctl/ask.h"

#include "coordinator/ctl/table.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

/* A reply that is looked for. */
struct lookup {
    struct ctl *ctl;
    const char *id;
    char *found; /* owned by who asks */
};

static void on_reply(void *ctx, struct slice text, const struct err *err)
{
    struct lookup *l = ctx;

    l->found = text.len > 0 ? xstrndup(text.ptr, text.len) : NULL;
    ctl_answered(l->ctl, err);
}

static int ask_for_reply(void *ctx)
{
    struct lookup *l = ctx;

    return registry_find_reply(l->ctl->registry, l->id, on_reply, l);
}

static int ask_who_leads(void *ctx)
{
    struct ctl *c = ctx;

    return registry_is_led(c->registry, ctl_answered_bool, c);
}

/* Say so, once, where nobody is there who would answer now. */
static int say_who_leads(struct ctl *c)
{
    int code = ctl_ask(c, ask_who_leads, c);

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

static int look_for_reply(struct ctl *c, const char *id, char **found)
{
    struct lookup l = {c, id, NULL};
    int code = ctl_ask(c, ask_for_reply, &l);

    *found = l.found;
    return code == CTL_DONE && l.found == NULL && !c->told_no_leader ? say_who_leads(c) : code;
}

/* An entry that is added. */
struct adding {
    struct ctl *ctl;
    const char *op;
    struct registry_pair fields[3 + ASK_MAX_FIELDS];
    size_t n;
};

static int ask_to_add(void *ctx)
{
    struct adding *a = ctx;

    return registry_add_request(a->ctl->registry, a->op, a->fields, a->n, ctl_answered_done,
                                a->ctl);
}

static int add(struct ctl *c, const char *id, const char *op, const struct registry_pair *fields,
               size_t nfields)
{
    struct adding a = {c, op, {{"id", id}, {"op", op}, {"by", ask_by()}}, 3 + nfields};

    BUG_ON(nfields > ASK_MAX_FIELDS);
    for (size_t i = 0; i < nfields; i++) {
        a.fields[3 + i] = fields[i];
    }
    return ctl_ask(c, ask_to_add, &a);
}

static int ask_for_cluster(void *ctx)
{
    struct ctl *c = ctx;

    return registry_is_there(c->registry, ctl_answered_bool, c);
}

int ask_check_cluster(struct ctl *c)
{
    int code = ctl_ask(c, ask_for_cluster, c);

    if (code == CTL_DONE && !c->yes) {
        code = ctl_fail(CTL_FAILED,
                        "there is no cluster \"%s\" in this Redis: no coordinator has led it; is "
                        "--cluster (and --redis-url) right?",
                        options_string(c->options, "cluster"));
    }
    return code;
}

int ask_coordinator(struct ctl *c, const char *op, const struct registry_pair *fields,
                    size_t nfields, struct registry_outcome *outcome)
{
    char id[INCARNATION_CHARS];
    char *text = NULL;

    if (outcome != NULL) {
        *outcome = (struct registry_outcome){0};
    }
    random_hex(id, 16);
    ctl_restart_deadline(c);
    int code = ask_check_cluster(c);
    if (code == CTL_DONE && outcome != NULL) {
        c->await_id = id;
        code = ctl_subscribe(c, TOPIC_REPLIES, "");
    }
    if (code == CTL_DONE) {
        code = add(c, id, op, fields, nfields);
    }
    if (code == CTL_DONE && outcome != NULL) {
        code = ctl_await(c, id, "the coordinator's reply", look_for_reply, &text);
    }
    c->await_id = NULL;
    if (code != CTL_DONE || outcome == NULL) {
        return code;
    }
    registry_outcome_read(slice_of(text), outcome);
    outcome->json = (struct slice){0};
    free(text);
    return outcome->valid ? CTL_DONE
                          : ctl_fail(CTL_FAILED, "the reply is not what a coordinator says");
}

int ask_plainly(struct ctl *c, const char *op, const struct registry_pair *fields, size_t nfields)
{
    struct registry_outcome outcome;
    int code = ask_coordinator(c, op, fields, nfields, &outcome);

    if (code == CTL_DONE && c->json) {
        table_json_line(outcome.tree);
    }
    if (code == CTL_DONE && !outcome.ok) {
        code = ctl_fail(CTL_FAILED, "%s", outcome.error != NULL ? outcome.error : "refused");
    }
    registry_outcome_finish(&outcome);
    return code;
}
