/* Session: what a client may say, but for PRIVMSG: CAP, PASS, NICK, JOIN, PART, PING, PONG. */
#ifndef SIM_SESSION_H
#define SIM_SESSION_H

#include "tests/twitch_sim/conn.h"

/* Bytes of a WebSocket message came in; `final`: it ends here. */
void session_read(struct conn *c, struct slice bytes, bool final);
/* The connection is closing or gone: leave its rooms and its user. May be called again. */
void session_leave(struct conn *c);

#endif
