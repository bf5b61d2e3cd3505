/* shoalctl join, part and retry: channels from the command line or a file, 1,000 a request. */
#include "coordinator/ctl/ask.h"
#include "coordinator/ctl/commands.h"
#include "coordinator/ctl/table.h"
#include "coordinator/options/initial_channels.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PORTION         REGISTRY_MAX_CHANNELS
#define TYPING_MS       25 /* between two looks whether there is something to read */
#define STDIN_MAX_BYTES ((size_t)16 << 20)

/* What standard input holds, up to its end: owned, or NULL after the reason was told. A person who
 * types it can end it with Ctrl-C: the loop, which sees that, turns meanwhile. */
static char *read_standard_input(struct ctl *c, int *code)
{
    struct buf all;
    char chunk[65536];
    ssize_t n = 1;

    buf_init(&all, STDIN_MAX_BYTES);
    buf_append_char(&all, ' '); /* so that there is something, also where there is nothing */
    while (n > 0 && !all.overflow && !c->interrupted) {
        struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
        if (poll(&in, 1, 0) == 0) {
            ctl_turn_for(c, TYPING_MS);
            continue;
        }
        n = read(STDIN_FILENO, chunk, sizeof(chunk));
        buf_append(&all, chunk, n > 0 ? (size_t)n : 0);
    }
    if (n == 0 && !all.overflow && !memchr(all.data, '\0', all.len)) {
        return all.data;
    }
    if (c->interrupted) {
        *code = ctl_over(c, "standard input");
    } else if (n < 0) {
        *code = ctl_fail(CTL_FAILED, "cannot read standard input: %s", strerror(errno));
    } else {
        *code = ctl_fail(CTL_USAGE, "standard input is no list of channels: %s",
                         all.overflow ? "it is larger than 16 MiB" : "it holds a NUL byte");
    }
    buf_finish(&all);
    return NULL;
}

static int parse(struct ctl *c, const char *arg, struct initial_channels *names)
{
    struct err err = {0};
    int code = CTL_DONE;
    int failed = 0;

    if (strcmp(arg, "@-") == 0) {
        char *text = read_standard_input(c, &code);
        failed = text != NULL ? initial_channels_parse_lines(arg, text, names, &err) : 0;
    } else {
        failed = initial_channels_parse(arg, names, &err);
    }
    return failed ? ctl_fail(failed == -ERR_USAGE ? CTL_USAGE : CTL_FAILED, "%s", err.text) : code;
}

/* Everything named by the arguments, comma after comma; NULL when that failed. */
static char *gather(struct ctl *c, size_t *count, int *code)
{
    struct buf all;

    buf_init(&all, (size_t)64 * 1024 * 1024);
    *count = 0;
    for (size_t i = 0; i < c->nargs; i++) {
        struct initial_channels names = {0};
        int failed = parse(c, ctl_arg(c, i), &names);
        if (failed) {
            *code = failed;
            continue; /* what is wrong with the others is told as well */
        }
        for (size_t k = 0; k < names.n; k++) {
            if (all.len > 0) {
                buf_append_char(&all, ',');
            }
            buf_append_slice(&all, names.names[k]);
            ++*count;
        }
        initial_channels_finish(&names);
    }
    if (*code == CTL_DONE && (all.len == 0 || all.overflow)) {
        *code = ctl_fail(CTL_USAGE, all.overflow ? "too many channels" : "no channels are named");
    }
    if (*code != CTL_DONE) {
        buf_finish(&all);
        return NULL;
    }
    return all.data;
}

static void show(struct ctl *c, const char *channel, const char *state, const char *field,
                 const char *text)
{
    cJSON *record = cJSON_CreateObject();

    cJSON_AddStringToObject(record, "channel", channel);
    cJSON_AddStringToObject(record, "state", state);
    if (text != NULL) {
        cJSON_AddStringToObject(record, field, text);
    }
    if (c->json) {
        table_json_line(record);
    } else if (strcmp(state, "refused") != 0) {
        ctl_say("%-25s  %s%s%s", channel, state, text != NULL ? "  " : "",
                text != NULL ? text : "");
    }
    cJSON_Delete(record);
}

static void show_all(struct ctl *c, const struct registry_list *channels, const char *state,
                     const char *field)
{
    for (size_t i = 0; i < channels->n; i++) {
        show(c, channels->item[i].name, state, field,
             field != NULL ? channels->item[i].text : NULL);
    }
}

/* What became of each channel; CTL_FAILED if one was refused. */
static int show_outcome(struct ctl *c, const struct registry_outcome *o)
{
    show_all(c, &o->assigned, "assigned", "shard");
    show_all(c, &o->waiting, "waiting", "reason");
    show_all(c, &o->parted, "parted", NULL);
    show_all(c, &o->retried, "retried", NULL);
    show_all(c, &o->refused, "refused", "reason");
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

/* Cut the first portion off the list; returns it, and moves *rest to what follows. */
static char *portion(char **rest)
{
    char *begin = *rest;
    char *end = begin;

    for (size_t n = 0; n < PORTION && end; n++) {
        end = strchr(n == 0 ? end : end + 1, ',');
    }
    *rest = end ? end + 1 : NULL;
    if (end != NULL) {
        *end = '\0';
    }
    return begin;
}

static int run(struct ctl *c)
{
    const char *op = c->command->name;
    size_t count = 0;
    int code = CTL_DONE;
    bool wait = !options_bool(c->options, "no-wait");

    if (c->nargs == 0) {
        return ctl_usage(c);
    }
    char *all = gather(c, &count, &code);
    char *rest = all;
    bool refused = false;

    while (rest != NULL && code == CTL_DONE) {
        struct registry_outcome outcome = {0};
        struct registry_pair channels = {"channels", portion(&rest)};
        code = ask_coordinator(c, op, &channels, 1, wait ? &outcome : NULL);
        if (code == CTL_DONE) {
            refused = show_outcome(c, &outcome) != CTL_DONE || refused;
        }
        registry_outcome_finish(&outcome);
    }
    if (code == CTL_DONE && !wait && !c->json) {
        printf("asked to %s %zu channels\n", op, count);
    }
    free(all);
    return code == CTL_DONE && refused ? CTL_FAILED : code;
}

CTL_COMMAND(join, "CHANNEL... | @FILE", "Read these channels from now on (@-: names from stdin).",
            ctl_no_wait, RIGHTS_REQUEST, run);

CTL_COMMAND(part, "CHANNEL... | @FILE", "Read them no longer.", ctl_no_wait, RIGHTS_REQUEST, run);

CTL_COMMAND(retry, "CHANNEL... | @FILE", "Try channels that failed again now.", ctl_no_wait, 0,
            run);
