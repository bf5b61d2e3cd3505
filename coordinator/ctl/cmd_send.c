/* shoalctl send: an entry in the outbox, and its one result. */
#include "coordinator/ctl/commands.h"
#include "coordinator/ctl/request.h"
#include "coordinator/ctl/table.h"
#include "shared/irc/parse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The result hash as the JSON object that the topic carries. */
static int look_for_result(struct ctl *c, const char *id, char **found)
{
    struct ctl_batch b = {0};
    char channel[IRC_CHANNEL_CHARS];

    if (!irc_channel_normalise(slice_of(ctl_arg(c, 0)), channel, sizeof(channel))) {
        return CTL_USAGE; /* looked at before */
    }
    cJSON *object = cJSON_CreateObject();
    ctl_ask(&b, "HGETALL %s", ctl_key(c, "result:%s:%s", channel, id));
    int code = ctl_answer(c, &b);
    if (code == CTL_DONE) {
        struct reader r = ctl_read(&b);
        ctl_read_hash(&r, object);
        code = r.bad ? ctl_strange("HGETALL") : code;
    }
    const char *at = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, "at"));
    if (at) {
        cJSON_ReplaceItemInObjectCaseSensitive(object, "at", cJSON_CreateNumber(strtod(at, NULL)));
    }
    if (code == CTL_DONE &&
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, "status"))) {
        *found = cJSON_PrintUnformatted(object);
    }
    cJSON_Delete(object);
    ctl_batch_finish(&b);
    return code;
}

static int add(struct ctl *c, const char *id, const char *channel, const char *text)
{
    char ttl[24] = "";
    const char *argv[20] = {
        "XADD", ctl_key(c, "outbox"), "*", "id", id, "channel", channel, "text", text,
        "by",   request_by()};
    int argc = 11;
    const char *reply_to = options_string(c->options, "reply-to");
    struct ctl_batch b = {0};

    if (reply_to) {
        argv[argc++] = "reply_to";
        argv[argc++] = reply_to;
    }
    if (options_string(c->options, "ttl")) {
        snprintf(ttl, sizeof(ttl), "%lld", (long long)options_int(c->options, "ttl"));
        argv[argc++] = "ttl_ms";
        argv[argc++] = ttl;
    }
    if (options_bool(c->options, "command")) {
        argv[argc++] = "command";
        argv[argc++] = "1";
    }
    ctl_ask_argv(&b, argc, argv);
    int code = ctl_answer(c, &b);
    ctl_batch_finish(&b);
    return code;
}

static int show_result(struct ctl *c, const cJSON *result)
{
    const char *status = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(result, "status"));
    const char *reason = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(result, "reason"));
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(result, "text"));

    if (c->json) {
        table_json_line(result);
    }
    if (status && strcmp(status, "sent") == 0) {
        if (!c->json) {
            puts("sent");
        }
        return CTL_DONE;
    }
    return ctl_fail(CTL_FAILED, "%s%s%s%s%s", status ? status : "no status", reason ? ": " : "",
                    reason ? reason : "", text ? ": " : "", text ? text : "");
}

int cmd_send(struct ctl *c, const struct ctl_command *self)
{
    char channel[IRC_CHANNEL_CHARS];
    char id[INCARNATION_CHARS];
    char *found = NULL;

    if (c->nargs > 2) {
        return ctl_fail(CTL_USAGE, "the text is one argument: shoalctl send %s \"%s %s ...\"",
                        ctl_arg(c, 0), ctl_arg(c, 1), ctl_arg(c, 2));
    }
    if (c->nargs != 2) {
        return ctl_usage(self);
    }
    if (!irc_channel_normalise(slice_of(ctl_arg(c, 0)), channel, sizeof(channel))) {
        return ctl_fail(CTL_USAGE, "\"%s\" is not a channel: 1 to 25 of a-z, 0-9 and _",
                        ctl_arg(c, 0));
    }
    random_hex(id, 16);
    c->await_id = id;
    int code = request_check_cluster(c);
    if (code == CTL_DONE) {
        code = ctl_subscribe(c, ctl_topic(c, "sent:%s", channel));
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
