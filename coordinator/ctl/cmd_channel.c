/* shoalctl channel: all that is known of one channel, and what will happen next. */
#include "coordinator/ctl/commands.h"
#include "coordinator/ctl/ctl_records.h"
#include "coordinator/ctl/since.h"
#include "coordinator/ctl/table.h"
#include "coordinator/status/channel_look.h"
#include "coordinator/status/status.h"
#include "shared/irc/parse.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct looking {
    struct ctl *ctl;
    cJSON *document;
    cJSON *channel;
};

static const cJSON *document_of(void *ctx)
{
    return ((struct looking *)ctx)->document;
}

static void on_done(void *ctx, cJSON *channel, const struct err *err)
{
    struct looking *l = ctx;

    l->channel = channel;
    ctl_answered(l->ctl, err);
}

static void say(const char *label, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void say(const char *label, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    char *text = xvasprintf(fmt, args);
    va_end(args);
    table_text(stdout, table_width(), label, text);
    free(text);
}

/* "NAME (STATE: ERROR)", or nothing. */
static void say_part(const cJSON *channel, const char *name)
{
    char *state_name = xasprintf("%s_state", name);
    char *error_name = xasprintf("%s_error", name);
    const char *state = records_text(channel, state_name);
    const char *error = records_text(channel, error_name);

    if (records_text(channel, name)[0] != '\0') {
        say(name, "%s%s%s%s%s%s", records_text(channel, name), state[0] ? " (" : "", state,
            error[0] ? ": " : "", error, state[0] ? ")" : "");
    }
    free(state_name);
    free(error_name);
}

static void say_text(const cJSON *channel, const char *field, const char *label)
{
    if (records_text(channel, field)[0] != '\0') {
        say(label, "%s", records_text(channel, field));
    }
}

static void say_gap(const cJSON *gap)
{
    char from[SINCE_CHARS];
    char to[SINCE_CHARS];

    since_format((struct wall){records_number(gap, "from")}, from);
    since_format((struct wall){records_number(gap, "to")}, to);
    if (gap != NULL) {
        say("last gap", "%s to %s, %s, %" PRIu64 " lines known to be lost", from, to,
            records_text(gap, "reason"), records_number(gap, "lines"));
    }
}

static void say_failed(const cJSON *failed)
{
    char at[SINCE_CHARS];

    since_format((struct wall){records_number(failed, "at")}, at);
    if (failed != NULL) {
        say("failed", "%s: %s", at, records_text(failed, "reason"));
    }
}

static void show(const cJSON *channel)
{
    const char *state = records_text(channel, "state");
    uint64_t since = records_number(channel, "since");
    uint64_t at = records_number(channel, "at");
    bool moderator = records_number(channel, "moderator") == 1;
    char age[24];

    table_age(at > since ? at - since : 0, age, sizeof(age));
    say("channel", "%s, %s%s%s", records_text(channel, "channel"), state[0] ? state : "not joined",
        since > 0 ? " for " : "", since > 0 ? age : "");
    say_text(channel, "reason", "reason");
    say_part(channel, "shard");
    say_part(channel, "node");
    say_text(channel, "user", "user");
    say_text(channel, "sender", "sender");
    say_text(channel, "room_id", "room id");
    say_text(channel, "room", "modes");
    if (moderator || records_number(channel, "vip") == 1) {
        say("standing", "%s", moderator ? "moderator" : "vip");
    }
    if (records_number(channel, "sends") > 0) {
        say("sends", "%" PRIu64 " wait", records_number(channel, "sends"));
    }
    say_gap(cJSON_GetObjectItemCaseSensitive(channel, "last_gap"));
    say_failed(cJSON_GetObjectItemCaseSensitive(channel, "last_failed"));
    say_text(channel, "next", "next");
}

static int run_channel(struct ctl *c)
{
    struct looking l = {.ctl = c};
    char channel[IRC_CHANNEL_CHARS];
    struct records r;

    if (c->nargs != 1) {
        return ctl_usage(c);
    }
    if (!irc_channel_normalise(slice_of(ctl_arg(c, 0)), channel, sizeof(channel))) {
        return ctl_fail(CTL_USAGE, "\"%s\" is not a channel: 1 to 25 of a-z, 0-9 and _",
                        ctl_arg(c, 0));
    }
    int code = ctl_records(c, STATUS_RECORDS, &r);
    if (code == CTL_DONE) {
        l.document = status_document(&(struct status_facts){
            .records = &r, .cluster = options_string(c->options, "cluster")});
    }
    while (ctl_asks(c, &code)) {
        channel_look(&(struct channel_look_options){.registry = c->registry,
                                                    .channel = channel,
                                                    .document = document_of,
                                                    .on_done = on_done,
                                                    .ctx = &l});
        ctl_asked(c, 0);
    }
    if (code == CTL_DONE && c->json) {
        table_json(l.channel);
    } else if (code == CTL_DONE) {
        show(l.channel);
    }
    cJSON_Delete(l.channel);
    cJSON_Delete(l.document);
    records_finish(&r);
    return code;
}

CTL_COMMAND(channel, "CHANNEL", "All that is known of a channel, and what will happen next.", NULL,
            RIGHTS_VIEW, run_channel);
