/* Speak: a PRIVMSG of a client: counted, refused or said. */
#ifndef SIM_SPEAK_H
#define SIM_SPEAK_H

#include "tests/twitch_sim/conn.h"

void speak_privmsg(struct conn *c, const struct irc_line *line);
/* "@msg-id=<id> :tmi.twitch.tv NOTICE #<channel> :<text>", where commands were asked for. */
void speak_notice(struct conn *c, const char *channel, const char *id, const char *text);
/* Tell the connection why it may not be in the room: true if there is a reason (a missing room: in
 * silence). */
bool speak_refuse_room(struct conn *c, const struct room *r);
/* The tags of a user in a room, without '@', from badge-info to display-name. */
void speak_write_badges(struct user *u, const char *channel, struct buf *out);

#endif
