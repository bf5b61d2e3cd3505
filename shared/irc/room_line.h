/* Room line: which lines belong to a room, and which only to the connection that got them.
 *
 * A room line is one that every member of the room would see: the holder of the channel fans it
 * out. A connection line tells this connection something (answers to joins and sends, the state of
 * the user, keepalive): it is used and never fanned out (shared/design.md). */
#ifndef SHOAL_IRC_ROOM_LINE_H
#define SHOAL_IRC_ROOM_LINE_H

#include "shared/irc/parse.h"

enum irc_kind {
    IRC_CONNECTION_LINE,
    IRC_ROOM_LINE, /* irc_channel(line) is its room */
};

/* Room lines are PRIVMSG, USERNOTICE, CLEARCHAT, CLEARMSG, a ROOMSTATE with one changed tag
 * (room-id and exactly one other), NOTICE of a changed room mode, JOIN and PART of others than
 * `self_login`, and commands nobody knows, all of them with a valid channel. Everything else,
 * numerics among it, is a connection line. */
enum irc_kind irc_classify(const struct irc_line *line, struct slice self_login);
/* Is it a line that has to name a channel, or that names one, and what it names is none (no '#',
 * capitals)? Then nobody can be told of it. */
bool irc_lacks_channel(const struct irc_line *line);
/* Is this a ROOMSTATE that tells one change (room-id and exactly one other tag)? The other kind,
 * sent after a join, tells all. Looks at the tags only. */
bool irc_roomstate_partial(const struct irc_line *line);

#endif
