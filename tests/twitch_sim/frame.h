/* Frame: how lines become WebSocket messages: alone, together, in fragments, cut. */
#ifndef SIM_FRAME_H
#define SIM_FRAME_H

#include "tests/twitch_sim/conn.h"

/* Append one frame: opcode with FIN bit, length, payload; a server's frames are not masked. */
void frame_put(struct buf *out, unsigned first_byte, const char *payload, size_t len);
/* Move lines of the connection's queue into frames as the settings say, until `most` bytes are reached. */
void frame_lines(struct conn *c, struct buf *out, size_t most);

#endif
