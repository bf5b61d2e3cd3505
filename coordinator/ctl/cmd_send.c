/* shoalctl send: an entry in the outbox, and its one result. */
#include "coordinator/ctl/ask.h"
#include "coordinator/ctl/commands.h"
#include "coordinator/ctl/table.h"
#include "coordinator/status/records.h"
#include "shared/irc/parse.h"

#include <stdio.h>
#include <string.h>

static void on_result(void *ctx, const struct registry_result *result, const struct err *err)
{
    struct ctl *c = ctx;

    if (err == NULL && result->status.len > 0 && c->found == NULL) {
        cJSON *object = cJSON_CreateObject();
        records_add_hash(object, &result->hash, registry_result_figures);
        c->found = cJSON_PrintUnformatted(object);
        cJSON_Delete(object);
    }
    ctl_answered(c, err);
}

static int look_for_result(struct ctl *c)
{
    char channel[IRC_CHANNEL_CHARS] = "";
    int code = CTL_DONE;

    (void)!irc_channel_normalise(slice_of(ctl_arg(c, 0)), channel, sizeof(channel));
    while (ctl_asks(c, &code)) {
        ctl_asked(c, registry_find_result(c->registry, channel, c->await_id, on_result, c));
    }
    return code;
}

/* Adds a field to an entry of the outbox, if it has a value. */
static void add_field(struct registry_pair *fields, size_t *n, const char *name, const char *value)
{
    if (value != NULL) {
        fields[(*n)++] = (struct registry_pair){name, value};
    }
}

/* Adds the entry. */
static int add(struct ctl *c, const char *channel)
{
    struct registry_pair fields[10] = {
        {"id", c->await_id}, {"channel", channel}, {"text", ctl_arg(c, 1)}, {"by", ask_by()}};
    size_t n = 4;
    char ttl[24];
    bool has_ttl = options_string(c->options, "ttl") != NULL;
    int code = CTL_DONE;

    snprintf(ttl, sizeof(ttl), "%lld", has_ttl ? (long long)options_int(c->options, "ttl") : 0);
    add_field(fields, &n, "reply_to", options_string(c->options, "reply-to"));
    add_field(fields, &n, "ttl_ms", has_ttl ? ttl : NULL);
    add_field(fields, &n, "priority", options_string(c->options, "priority"));
    add_field(fields, &n, "split", options_bool(c->options, "split") ? "1" : NULL);
    add_field(fields, &n, "command", options_bool(c->options, "command") ? "1" : NULL);
    while (ctl_asks(c, &code)) {
        ctl_asked(c, registry_add_send(c->registry, fields, n, ctl_answered, c));
    }
    return code;
}

static int show_result(struct ctl *c)
{
    cJSON *result = cJSON_Parse(c->found);
    const char *status = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(result, "status"));
    const char *reason = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(result, "reason"));
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(result, "text"));
    bool sent = status != NULL && strcmp(status, send_status_name(SEND_SENT)) == 0;

    if (c->json) {
        table_json(result);
    } else if (sent) {
        puts("sent");
    }
    if (!sent) {
        (void)ctl_fail(CTL_FAILED, "%s%s%s%s%s", status != NULL ? status : "no status",
                       reason != NULL ? ": " : "", reason != NULL ? reason : "",
                       text != NULL ? ": " : "", text != NULL ? text : "");
    }
    cJSON_Delete(result);
    return sent ? CTL_DONE : CTL_FAILED;
}

static int run_send(struct ctl *c)
{
    char channel[IRC_CHANNEL_CHARS];

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
    random_hex(c->await_id, 16);
    int code = ask_check_cluster(c);
    if (code == CTL_DONE) {
        code = ctl_subscribe(c, TOPIC_SENT, channel);
    }
    if (code == CTL_DONE) {
        code = add(c, channel);
    }
    if (code == CTL_DONE) {
        code =
            ctl_await(c, "the result of the send (it stays queued until its ttl)", look_for_result);
    }
    return code == CTL_DONE ? show_result(c) : code;
}

static const struct option_spec options[] = {
    {"reply-to", OPTION_STRING, 0, NULL, 0, 0, "ID", "send: the id of the message it answers.",
     NULL},
    {"ttl", OPTION_DURATION, 0, NULL, 100, 600000, "TIME",
     "send: not said any more after that; default: the cluster's send_ttl_ms.", NULL},
    {"command", OPTION_BOOL, 0, "false", 0, 0, NULL,
     "send: let a text that begins with / or . be a command.", NULL},
    {"priority", OPTION_STRING, 0, NULL, 0, 0, "PRIORITY",
     "send: high, normal or low; what is higher is said first. Default: normal.", NULL},
    {"split", OPTION_BOOL, 0, "false", 0, 0, NULL,
     "send: say a text over 500 characters in parts, up to 5.", NULL},
    {0},
};

CTL_COMMAND(send, "CHANNEL TEXT", "Say something; done when Twitch has confirmed it.", options,
            RIGHTS_SEND, run_send);
