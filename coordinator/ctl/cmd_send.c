/* shoalctl send: an entry in the outbox, and its one result. */
#include "coordinator/ctl/commands.h"
#include "coordinator/ctl/ask.h"
#include "coordinator/ctl/table.h"
#include "coordinator/ctl/records.h"
#include "shared/irc/parse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A result that is looked for. */
struct lookup {
    struct ctl *ctl;
    const char *id;
    char channel[IRC_CHANNEL_CHARS];
    char *found; /* JSON, as the topic carries it */
};

static void on_result(void *ctx, const struct registry_result *result, const struct err *err)
{
    struct lookup *l = ctx;

    if (err == NULL && result->status.len > 0) {
        cJSON *object = cJSON_CreateObject();
        records_add_hash(object, &result->hash, registry_result_figures);
        l->found = cJSON_PrintUnformatted(object);
        cJSON_Delete(object);
    }
    ctl_answered(l->ctl, err);
}

static int ask_for_result(void *ctx)
{
    struct lookup *l = ctx;

    return registry_find_result(l->ctl->registry, l->channel, l->id, on_result, l);
}

static int look_for_result(struct ctl *c, const char *id, char **found)
{
    struct lookup l = {.ctl = c, .id = id};

    if (!irc_channel_normalise(slice_of(ctl_arg(c, 0)), l.channel, sizeof(l.channel))) {
        return CTL_USAGE; /* looked at before */
    }
    int code = ctl_ask(c, ask_for_result, &l);
    *found = l.found;
    return code;
}

/* An entry of the outbox. */
struct adding {
    struct ctl *ctl;
    struct registry_pair fields[8];
    size_t n;
};

static void add_field(struct adding *a, const char *name, const char *value)
{
    if (value != NULL) {
        a->fields[a->n++] = (struct registry_pair){name, value};
    }
}

static int ask_to_add(void *ctx)
{
    struct adding *a = ctx;

    return registry_add_send(a->ctl->registry, a->fields, a->n, ctl_answered_done, a->ctl);
}

static int add(struct ctl *c, const char *id, const char *channel, const char *text)
{
    struct adding a = {.ctl = c};
    char ttl[24];
    bool has_ttl = options_string(c->options, "ttl") != NULL;

    snprintf(ttl, sizeof(ttl), "%lld", has_ttl ? (long long)options_int(c->options, "ttl") : 0);
    add_field(&a, "id", id);
    add_field(&a, "channel", channel);
    add_field(&a, "text", text);
    add_field(&a, "by", ask_by());
    add_field(&a, "reply_to", options_string(c->options, "reply-to"));
    add_field(&a, "ttl_ms", has_ttl ? ttl : NULL);
    add_field(&a, "command", options_bool(c->options, "command") ? "1" : NULL);
    return ctl_ask(c, ask_to_add, &a);
}

static int show_result(struct ctl *c, const cJSON *result)
{
    const char *status = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(result, "status"));
    const char *reason = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(result, "reason"));
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(result, "text"));

    if (c->json) {
        table_json_line(result);
    }
    if (status != NULL && strcmp(status, send_status_name(SEND_SENT)) == 0) {
        if (!c->json) {
            puts("sent");
        }
        return CTL_DONE;
    }
    return ctl_fail(CTL_FAILED, "%s%s%s%s%s", status != NULL ? status : "no status",
                    reason != NULL ? ": " : "", reason != NULL ? reason : "",
                    text != NULL ? ": " : "", text != NULL ? text : "");
}

static int run_send(struct ctl *c)
{
    char channel[IRC_CHANNEL_CHARS];
    char id[INCARNATION_CHARS];
    char *found = NULL;

    if (c->nargs > 2) {
        return ctl_fail(CTL_USAGE, "the text is one argument: shoalctl send %s \"%s %s ...\"",
                        ctl_arg(c, 0), ctl_arg(c, 1), ctl_arg(c, 2));
    }
    if (c->nargs != 2) {
        return ctl_usage(c);
    }
    if (!irc_channel_normalise(slice_of(ctl_arg(c, 0)), channel, sizeof(channel))) {
        return ctl_fail(CTL_USAGE, "\"%s\" is not a channel: 1 to 25 of a-z, 0-9 and _",
                        ctl_arg(c, 0));
    }
    random_hex(id, 16);
    c->await_id = id;
    int code = ask_check_cluster(c);
    if (code == CTL_DONE) {
        code = ctl_subscribe(c, TOPIC_SENT, channel);
    }
    if (code == CTL_DONE) {
        code = add(c, id, channel, ctl_arg(c, 1));
    }
    if (code == CTL_DONE) {
        code = ctl_await(c, id, "the result of the send (it stays queued until its ttl)",
                         look_for_result, &found);
    }
    if (code != CTL_DONE) {
        return code;
    }
    cJSON *result = cJSON_Parse(found);
    code = show_result(c, result);
    cJSON_Delete(result);
    free(found);
    return code;
}

static const struct option_spec options[] = {
    {"reply-to", OPTION_STRING, 0, NULL, 0, 0, "ID", "send: the id of the message it answers.",
     NULL},
    {"ttl", OPTION_DURATION, 0, NULL, 100, 600000, "TIME",
     "send: not said any more after that; default: the cluster's send_ttl_ms.", NULL},
    {"command", OPTION_BOOL, 0, "false", 0, 0, NULL,
     "send: let a text that begins with / or . be a command.", NULL},
    {0},
};

CTL_COMMAND(send, "CHANNEL TEXT", "Say something; done when Twitch has confirmed it.", options,
            RIGHTS_SEND, run_send);
