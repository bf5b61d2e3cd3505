/* Speak: a message of a client, over IRC or over Helix: counted, refused or said. */
#ifndef SIM_SPEAK_H
#define SIM_SPEAK_H

#include "tests/twitch_sim/conn.h"

void speak_privmsg(struct conn *c, const struct irc_line *line);

/* A message without a connection: all who are in the room hear it. */
struct speech {
    struct user *user;
    struct room *room;
    struct slice text;
    struct slice reply_to; /* empty: to none */
};
struct speech_outcome {
    char id[UUID_CHARS]; /* of the message; empty: it was not said */
    const char *why;     /* NULL: said; else as `received` has it */
    char text[200];      /* what IRC would say in a NOTICE, or empty */
};
void speak_for(struct sim *s, const struct speech *speech, struct speech_outcome *out);
/* "@msg-id=<id> :tmi.twitch.tv NOTICE #<channel> :<text>", where commands were asked for. */
void speak_notice(struct conn *c, const char *channel, const char *id, const char *text);
/* Tell the connection why it may not be in the room: true if there is a reason (a missing room: in
 * silence). */
bool speak_refuse_room(struct conn *c, const struct room *r);
/* The tags of a user in a room, without '@', from badge-info to display-name. */
void speak_write_badges(struct user *u, const char *channel, struct buf *out);

#endif
