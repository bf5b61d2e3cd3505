/* shoalctl join, part and retry: channels from the command line or a file, 1,000 a request. */
#include "coordinator/ctl/ask.h"
#include "coordinator/ctl/commands.h"
#include "coordinator/ctl/table.h"
#include "coordinator/options/initial_channels.h"
#include "shared/irc/parse.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PORTION         REGISTRY_MAX_CHANNELS
#define TYPING_MS       25 /* between two looks whether there is something to read */
#define STDIN_MAX_BYTES ((size_t)16 << 20)

/* What standard input holds, up to its end. A person who types it can end it with Ctrl-C: the loop,
 * which sees that, turns meanwhile. */
static int read_standard_input(struct ctl *c, struct buf *all)
{
    char chunk[65536];
    ssize_t n = 1;

    buf_append_char(all, ' '); /* so that there is something, also where there is nothing */
    while (n > 0 && !all->overflow && !c->interrupted) {
        struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
        if (poll(&in, 1, 0) == 0) {
            ctl_turn_for(c, TYPING_MS);
            continue;
        }
        n = read(STDIN_FILENO, chunk, sizeof(chunk));
        buf_append(all, chunk, n > 0 ? (size_t)n : 0);
    }
    if (c->interrupted) {
        return ctl_over(c, "standard input");
    }
    if (n < 0) {
        return ctl_fail(CTL_FAILED, "cannot read standard input: %s", strerror(errno));
    }
    if (all->overflow || memchr(all->data, '\0', all->len)) {
        return ctl_fail(CTL_USAGE, "standard input is no list of channels: %s",
                        all->overflow ? "it is larger than 16 MiB" : "it holds a NUL byte");
    }
    return CTL_DONE;
}

static int parse(struct ctl *c, const char *arg, struct initial_channels *names)
{
    struct err err = {0};
    struct buf text;
    int failed = 0;

    if (strcmp(arg, "@-") == 0) {
        buf_init(&text, STDIN_MAX_BYTES);
        int code = read_standard_input(c, &text);
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

/* Everything named by the arguments: a line is a request, with commas between its names. */
static int gather(struct ctl *c, struct buf *all, size_t *count)
{
    int code = CTL_DONE;

    for (size_t i = 0; i < c->nargs; i++) {
        struct initial_channels names = {0};
        int failed = parse(c, ctl_arg(c, i), &names);
        code = failed ? failed : code; /* what is wrong with the others is told as well */
        for (size_t k = 0; k < names.n; k++) {
            if (*count > 0) {
                buf_append_char(all, *count % PORTION == 0 ? '\n' : ',');
            }
            buf_append_slice(all, names.names[k]);
            ++*count;
        }
        initial_channels_finish(&names);
    }
    if (code == CTL_DONE && (*count == 0 || all->overflow)) {
        code = ctl_fail(CTL_USAGE, all->overflow ? "too many channels" : "no channels are named");
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

static int run(struct ctl *c)
{
    const char *user = options_string(c->options, "user");
    const char *op = c->command->name;
    bool wait = !options_bool(c->options, "no-wait");
    bool refused = false;
    size_t count = 0;
    struct buf all;

    if (c->nargs == 0) {
        return ctl_usage(c);
    }
    buf_init(&all, (size_t)64 * 1024 * 1024);
    int code = gather(c, &all, &count);
    char *rest = all.data;
    while (rest != NULL && code == CTL_DONE) {
        struct registry_outcome outcome = {0};
        struct registry_pair fields[] = {{"channels", strsep(&rest, "\n")}, {"user", user}};
        code = ask_coordinator(c, op, fields, user != NULL ? 2 : 1, wait ? &outcome : NULL);
        if (code == CTL_DONE) {
            refused = show_outcome(c, &outcome) != CTL_DONE || refused;
        }
        registry_outcome_finish(&outcome);
    }
    if (code == CTL_DONE && !wait && !c->json) {
        printf("asked to %s %zu channels\n", op, count);
    }
    buf_finish(&all);
    return code == CTL_DONE && refused ? CTL_FAILED : code;
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

CTL_COMMAND(retry, "CHANNEL... | @FILE", "Try channels that failed again now.", ctl_no_wait, 0,
            run);
