/* shoalctl tail: chat as it comes, until Ctrl-C or until nobody reads what it prints. */
#include "coordinator/ctl/chat_line.h"
#include "coordinator/ctl/commands.h"
#include "shared/irc/parse.h"
#include "shared/json.h"

#include <stdio.h>
#include <string.h>

#define MAX_PRINTED (256 * 1024) /* bytes of one line as it is printed */

/* The channel of a chat topic: what follows its last colon. */
static struct slice topic_channel(struct slice topic)
{
    size_t at = topic.len;

    while (at > 0 && topic.ptr[at - 1] != ':') {
        at--;
    }
    return (struct slice){topic.ptr + at, topic.len - at};
}

static void append_json(struct buf *out, struct slice topic, struct slice line)
{
    struct json j;

    json_init(&j, out);
    json_object_begin(&j, NULL);
    json_slice(&j, "channel", topic_channel(topic));
    json_slice(&j, "line", line);
    json_object_end(&j);
}

static void on_chat(struct ctl *c, struct slice topic, struct slice payload)
{
    struct buf out;

    buf_init(&out, MAX_PRINTED);
    if (options_bool(c->options, "raw")) {
        buf_append_slice(&out, payload);
    } else if (c->json) {
        append_json(&out, topic, payload);
    } else {
        chat_line_append(&out, payload, wall_ms());
    }
    buf_append_char(&out, '\n');
    fwrite(out.data, 1, out.len, stdout);
    buf_finish(&out);
}

static int subscribe_all(struct ctl *c)
{
    for (size_t i = 0; i < c->nargs; i++) {
        const char *arg = ctl_arg(c, i);
        char channel[IRC_CHANNEL_CHARS];
        bool pattern = strpbrk(arg, "*?") != NULL && strlen(arg) < 100;
        if (!pattern && !irc_channel_normalise(slice_of(arg), channel, sizeof(channel))) {
            return ctl_fail(CTL_USAGE, "\"%s\" is not a channel: 1 to 25 of a-z, 0-9 and _", arg);
        }
        int code = ctl_subscribe(c, TOPIC_CHAT, pattern ? arg : channel);
        if (code != CTL_DONE) {
            return code;
        }
    }
    return CTL_DONE;
}

/* Is a channel joined? */
struct joined {
    struct ctl *ctl;
    char channel[IRC_CHANNEL_CHARS];
};

static int ask_whether_joined(void *ctx)
{
    struct joined *j = ctx;

    return registry_is_wanted(j->ctl->registry, j->channel, ctl_answered_bool, j->ctl);
}

/* From a channel that nobody reads nothing comes; one may want to wait for it all the same. */
static int say_what_is_not_joined(struct ctl *c)
{
    int code = CTL_DONE;

    for (size_t i = 0; code == CTL_DONE && i < c->nargs; i++) {
        struct joined j = {.ctl = c};
        if (!irc_channel_normalise(slice_of(ctl_arg(c, i)), j.channel, sizeof(j.channel))) {
            continue; /* a pattern */
        }
        code = ctl_ask(c, ask_whether_joined, &j);
        if (code == CTL_DONE && !c->yes) {
            (void)ctl_fail(0,
                           "channel %s is not joined in cluster \"%s\": nothing comes before it is "
                           "(shoalctl join)",
                           ctl_arg(c, i), options_string(c->options, "cluster"));
        }
    }
    return code;
}

int cmd_tail(struct ctl *c, const struct ctl_command *self)
{
    if (c->nargs == 0) {
        return ctl_usage(self);
    }
    c->on_message = on_chat;
    int code = subscribe_all(c);
    if (code == CTL_DONE) {
        code = say_what_is_not_joined(c);
    }
    c->deadline_ms = UINT64_MAX; /* from here on it waits as long as it is wanted */
    while (code == CTL_DONE && !c->interrupted) {
        ctl_turn(c);
        if (fflush(stdout) != 0) {
            break; /* the reader is gone, as with `| head` */
        }
    }
    return code;
}
