/* Chat line: a room line as Twitch sent it, made readable for people. */
#ifndef SHOAL_CTL_CHAT_LINE_H
#define SHOAL_CTL_CHAT_LINE_H

#include "shared/buf.h"

/* Append "15:04:05 #channel Name: text" (no newline) to `out`: local time of tmi-sent-ts, or of
 * `now` where the line has none. What is no message is told in words. Never a control
 * character. */
void chat_line_append(struct buf *out, struct slice raw, struct wall now);

#endif
