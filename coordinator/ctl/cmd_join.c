/* shoalctl join, part and retry: channels from the command line or a file, 1,000 a request. */
#include "coordinator/ctl/ask.h"
#include "coordinator/ctl/commands.h"
#include "coordinator/ctl/ctl_records.h"
#include "coordinator/ctl/input.h"
#include "coordinator/ctl/table.h"
#include "coordinator/options/initial_channels.h"
#include "shared/irc/parse.h"

#include <stdio.h>
#include <string.h>

#define PORTION REGISTRY_MAX_CHANNELS

static int parse(struct ctl *c, const char *arg, struct initial_channels *names)
{
    struct err err = {0};
    struct buf text;
    int failed = 0;

    if (strcmp(arg, "@-") == 0) {
        buf_init(&text, INPUT_MAX_BYTES);
        int code = input_read(c, &text);
        if (code != CTL_DONE) {
            buf_finish(&text);
            return code;
        }
        failed = initial_channels_parse_lines(arg, text.data, names, &err);
    } else {
        failed = initial_channels_parse(arg, names, &err);
    }
    return failed == 0 ? CTL_DONE : ctl_fail(err_exit_code(err.code), "%s", err.text);
}

/* Names, of which a line is a request, with commas between them. */
struct names {
    struct buf all;
    size_t count;
};

static void add(struct names *names, struct slice channel)
{
    if (names->count > 0) {
        buf_append_char(&names->all, names->count % PORTION == 0 ? '\n' : ',');
    }
    buf_append_slice(&names->all, channel);
    names->count++;
}

static void add_failed(void *ctx, const struct figures_channel *channel,
                       const struct registry_hash *hash)
{
    (void)hash;
    if (slice_is(channel->state, "failed") && irc_channel_valid(channel->channel)) {
        add(ctx, channel->channel);
    }
}

/* All that failed. */
static int gather_failed(struct ctl *c, struct names *names)
{
    c->needs |= RIGHTS_VIEW;
    int code = ctl_each_channel(c, add_failed, names);

    if (code == CTL_DONE && names->count == 0 && !c->json) {
        ctl_say("no channel has failed");
    }
    return code;
}

/* All that the arguments name. */
static int gather(struct ctl *c, struct names *names)
{
    int code = CTL_DONE;

    for (size_t i = 0; i < c->nargs; i++) {
        struct initial_channels given = {0};
        int failed = parse(c, ctl_arg(c, i), &given);
        code = failed ? failed : code; /* what is wrong with the others is told as well */
        for (size_t k = 0; k < given.n; k++) {
            add(names, given.names[k]);
        }
        initial_channels_finish(&given);
    }
    if (code == CTL_DONE && (names->count == 0 || names->all.overflow)) {
        code = ctl_fail(CTL_USAGE,
                        names->all.overflow ? "too many channels" : "no channels are named");
    }
    return code;
}

/* What became of channels; beside them stands `field`, or nothing where that is NULL. */
static void show(struct ctl *c, const struct registry_list *channels, const char *state,
                 const char *field)
{
    for (size_t i = 0; i < channels->n; i++) {
        const struct registry_told *told = &channels->item[i];
        if (c->json) {
            cJSON *record = cJSON_CreateObject();
            cJSON_AddStringToObject(record, "channel", told->name);
            cJSON_AddStringToObject(record, "state", state);
            if (field != NULL) {
                cJSON_AddStringToObject(record, field, told->text);
            }
            table_json(record);
            cJSON_Delete(record);
        } else {
            ctl_say("%-25s  %s%s%s", told->name, state, field != NULL ? "  " : "", told->text);
        }
    }
}

/* What became of each channel; CTL_FAILED if one was refused. */
static int show_outcome(struct ctl *c, const struct registry_outcome *o)
{
    show(c, &o->assigned, "assigned", "shard");
    show(c, &o->waiting, "waiting", "reason");
    show(c, &o->parted, "parted", NULL);
    show(c, &o->retried, "retried", NULL);
    if (c->json) {
        show(c, &o->refused, "refused", "reason");
    }
    for (size_t i = 0; i < o->refused.n; i++) {
        (void)ctl_fail(CTL_FAILED, "%s: %s", o->refused.item[i].name, o->refused.item[i].text);
    }
    if (o->refused_more > 0) {
        (void)ctl_fail(CTL_FAILED, "and %llu more are refused",
                       (unsigned long long)o->refused_more);
    }
    if (o->error != NULL) {
        (void)ctl_fail(CTL_FAILED, "%s", o->error);
    }
    return o->error != NULL || o->refused.n > 0 ? CTL_FAILED : CTL_DONE;
}

static int user_check(const char *text, struct err *err)
{
    return irc_channel_valid(slice_of(text))
               ? 0
               : err_set(err, ERR_USAGE, "\"%.60s\" is no Twitch login in lower case", text);
}

/* Ask for them, a request after the other. */
static int ask_all(struct ctl *c, const struct names *names)
{
    const char *user = options_string(c->options, "user");
    bool wait = !options_bool(c->options, "no-wait");
    bool refused = false;
    int code = CTL_DONE;

    for (char *rest = names->all.data; rest != NULL && code == CTL_DONE;) {
        struct registry_outcome outcome = {0};
        struct registry_pair fields[] = {{"channels", strsep(&rest, "\n")}, {"user", user}};
        code = ask_coordinator(c, c->command->name, fields, user != NULL ? 2 : 1,
                               wait ? &outcome : NULL);
        if (code == CTL_DONE) {
            refused = show_outcome(c, &outcome) != CTL_DONE || refused;
        }
        registry_outcome_finish(&outcome);
    }
    if (code == CTL_DONE && !wait && !c->json) {
        printf("asked to %s %zu channels\n", c->command->name, names->count);
    }
    return code == CTL_DONE && refused ? CTL_FAILED : code;
}

static int run(struct ctl *c)
{
    bool all = c->command == &ctl_retry && options_bool(c->options, "all");
    struct names names = {0};

    if (all == (c->nargs > 0)) {
        return ctl_usage(c);
    }
    buf_init(&names.all, (size_t)64 * 1024 * 1024);
    int code = all ? gather_failed(c, &names) : gather(c, &names);
    if (code == CTL_DONE && names.count > 0) {
        code = ask_all(c, &names);
    }
    buf_finish(&names.all);
    return code;
}

static const struct option_spec join_options[] = {
    {"user", OPTION_STRING, 0, NULL, 0, 0, "LOGIN",
     "join: read the channels as that user, whichever the readers of the cluster are.", user_check},
    CTL_NO_WAIT,
    {0},
};

CTL_COMMAND(join, "CHANNEL... | @FILE", "Read these channels from now on (@-: names from stdin).",
            join_options, RIGHTS_REQUEST, run);

CTL_COMMAND(part, "CHANNEL... | @FILE", "Read them no longer.", ctl_no_wait, RIGHTS_REQUEST, run);

static const struct option_spec retry_options[] = {
    {"all", OPTION_BOOL, 0, "false", 0, 0, NULL, "retry: all channels that failed.", NULL},
    CTL_NO_WAIT,
    {0},
};

CTL_COMMAND(retry, "CHANNEL... | @FILE | --all", "Try channels that failed again now.",
            retry_options, RIGHTS_REQUEST, run);
