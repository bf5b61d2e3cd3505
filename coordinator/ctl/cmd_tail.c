/* shoalctl tail: chat as it comes, until Ctrl-C or until nobody reads what is printed. */
#include "coordinator/ctl/chat_line.h"
#include "coordinator/ctl/commands.h"
#include "coordinator/ctl/since.h"
#include "shared/irc/parse.h"
#include "shared/json.h"

#include <stdio.h>
#include <string.h>

/* The channel of a chat topic: what follows its last colon. */
static struct slice topic_channel(struct slice topic)
{
    const char *colon = memrchr(topic.ptr, ':', topic.len);
    const char *name = colon != NULL ? colon + 1 : topic.ptr;

    return (struct slice){name, (size_t)(topic.ptr + topic.len - name)};
}

void tail_print(const struct ctl *c, struct slice channel, struct slice line, struct wall at)
{
    struct buf out;
    struct json j;

    buf_init(&out, CTL_LINE_MAX);
    if (options_bool(c->options, "raw")) {
        buf_append_slice(&out, line);
    } else if (c->json) {
        json_init(&j, &out);
        json_object_begin(&j, NULL);
        json_slice(&j, "channel", channel);
        json_slice(&j, "line", line);
        json_object_end(&j);
    } else {
        chat_line_append(&out, line, at);
    }
    ctl_print(&out);
    buf_finish(&out);
}

static void on_chat(struct ctl *c, struct slice topic, struct slice payload)
{
    tail_print(c, topic_channel(topic), payload, wall_now());
}

bool tail_is_pattern(const char *arg)
{
    return strpbrk(arg, "*?") != NULL && strlen(arg) < 100;
}

int tail_check_channels(const struct ctl *c)
{
    char channel[IRC_CHANNEL_CHARS];

    for (size_t i = 0; i < c->nargs; i++) {
        const char *arg = ctl_arg(c, i);
        if (!tail_is_pattern(arg) &&
            !irc_channel_normalise(slice_of(arg), channel, sizeof(channel))) {
            return ctl_fail(CTL_USAGE, "\"%s\" is not a channel: 1 to 25 of a-z, 0-9 and _", arg);
        }
    }
    return CTL_DONE;
}

static int subscribe_all(struct ctl *c)
{
    int code = tail_check_channels(c);

    for (size_t i = 0; i < c->nargs && code == CTL_DONE; i++) {
        const char *arg = ctl_arg(c, i);
        char channel[IRC_CHANNEL_CHARS];
        bool is_name = irc_channel_normalise(slice_of(arg), channel, sizeof(channel));
        code = ctl_subscribe(c, TOPIC_CHAT, is_name ? channel : arg);
    }
    return code;
}

/* From a channel that nobody reads nothing comes; one may want to wait for it all the same. */
static int say_what_is_not_joined(struct ctl *c)
{
    char channel[IRC_CHANNEL_CHARS];
    int code = CTL_DONE;

    for (size_t i = 0; i < c->nargs; i++) {
        if (!irc_channel_normalise(slice_of(ctl_arg(c, i)), channel, sizeof(channel))) {
            continue; /* a pattern */
        }
        while (ctl_asks(c, &code)) {
            ctl_asked(c, registry_is_wanted(c->registry, channel, ctl_answered_bool, c));
        }
        if (code == CTL_DONE && !c->yes) {
            (void)ctl_fail(0,
                           "channel %s is not joined in cluster \"%s\": nothing comes before it is "
                           "(shoalctl join)",
                           ctl_arg(c, i), options_string(c->options, "cluster"));
        }
    }
    return code;
}

/* Turn as long as it is wanted. */
static int follow(struct ctl *c)
{
    int code = CTL_DONE;

    c->deadline_ms = UINT64_MAX;
    while (code == CTL_DONE && !c->interrupted) {
        ctl_turn(c);
        code = ctl_flush();
    }
    return code;
}

static int run_tail(struct ctl *c)
{
    if (c->nargs == 0) {
        return ctl_usage(c);
    }
    if (strcmp(ctl_arg(c, 0), "*") == 0) {
        c->needs = RIGHTS_TAIL_PATTERN;
    }
    if (options_string(c->options, "since") != NULL) {
        c->needs = RIGHTS_HISTORY;
        return history_show(c, options_string(c->options, "since"), true);
    }
    c->on_message = on_chat;
    int code = subscribe_all(c);
    if (code == CTL_DONE) {
        code = say_what_is_not_joined(c);
    }
    return code != CTL_DONE ? code : follow(c);
}

const struct option_spec tail_options[] = {
    {"raw", OPTION_BOOL, 0, "false", 0, 0, NULL,
     "tail, history: print the lines as Twitch sent them.", NULL},
    SINCE_OPTION,
    {0},
};

CTL_COMMAND(tail, "CHANNEL...", "Show chat as it comes ('*': all channels).", tail_options,
            RIGHTS_TAIL, run_tail);
