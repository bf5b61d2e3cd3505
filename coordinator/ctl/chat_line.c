/* Chat line: who said what, or what happened in the room. */
#include "coordinator/ctl/chat_line.h"

#include "shared/irc/parse.h"
#include "shared/text.h"

#include <string.h>
#include <time.h>

#define ACTION "\001ACTION "

/* An unescaped tag as safe text; false where there is none. */
static bool append_tag(struct buf *out, const struct irc_line *line, const char *key)
{
    struct slice value;
    char text[1024];

    if (!irc_tag(line, key, &value) || value.len == 0 || value.len > sizeof(text)) {
        return false;
    }
    text_append_safe(out, (struct slice){text, irc_tag_unescape(value, text)});
    return true;
}

static void append_time(struct buf *out, const struct irc_line *line, struct wall now)
{
    struct slice sent;
    uint64_t ms = now.ms;
    struct tm when;
    char text[16] = "--:--:--";

    if (irc_tag(line, "tmi-sent-ts", &sent) && !slice_to_u64(sent, &ms)) {
        ms = now.ms;
    }
    time_t seconds = (time_t)(ms / 1000);
    if (localtime_r(&seconds, &when)) {
        strftime(text, sizeof(text), "%H:%M:%S", &when);
    }
    buf_append_str(out, text);
}

static void append_who(struct buf *out, const struct irc_line *line)
{
    if (!append_tag(out, line, "display-name")) {
        text_append_safe(out, line->nick);
    }
}

static void append_message(struct buf *out, const struct irc_line *line, struct slice text)
{
    size_t action = sizeof(ACTION) - 1;

    if (text.len > action && memcmp(text.ptr, ACTION, action) == 0) {
        buf_append_str(out, "* ");
        append_who(out, line);
        buf_append_char(out, ' ');
        text = (struct slice){text.ptr + action, text.len - action};
        if (text.ptr[text.len - 1] == '\001') {
            text.len--;
        }
    } else {
        append_who(out, line);
        buf_append_str(out, ": ");
    }
    text_append_safe(out, text);
}

static void append_clearchat(struct buf *out, const struct irc_line *line, struct slice who)
{
    if (who.len == 0) {
        buf_append_str(out, "* the chat was cleared");
        return;
    }
    buf_append_str(out, "* ");
    text_append_safe(out, who);
    struct slice seconds;
    if (irc_tag(line, "ban-duration", &seconds)) {
        buf_append_str(out, " was timed out for ");
        text_append_safe(out, seconds);
        buf_append_str(out, " s");
    } else {
        buf_append_str(out, " was banned");
    }
}

static void append_event(struct buf *out, const struct irc_line *line, struct slice text)
{
    buf_append_str(out, "* ");
    if (slice_is(line->command, "CLEARMSG")) {
        buf_append_str(out, "a message was deleted:");
    } else if (!append_tag(out, line, "system-msg")) {
        text_append_safe(out, line->command);
    }
    if (text.len > 0) {
        buf_append_char(out, ' ');
        text_append_safe(out, text);
    }
}

void chat_line_append(struct buf *out, struct slice raw, struct wall now)
{
    struct irc_line line;

    if (irc_parse(raw, &line, NULL) != 0) {
        text_append_safe(out, raw);
        return;
    }
    struct slice text = line.nparams > 1 ? line.params[line.nparams - 1] : (struct slice){"", 0};
    append_time(out, &line, now);
    buf_append_str(out, " #");
    text_append_safe(out, irc_channel(&line));
    buf_append_char(out, ' ');
    if (slice_is(line.command, "PRIVMSG")) {
        append_message(out, &line, text);
    } else if (slice_is(line.command, "CLEARCHAT")) {
        append_clearchat(out, &line, text);
    } else {
        append_event(out, &line, text);
    }
}
