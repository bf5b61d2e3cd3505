/* WebSocket rig: what a websocket makes of bytes, whole or in pieces, as one text.
 *
 * Data stands there as it is, with a '|' where a message ends; anything else as "(what)". So the text is the same
 * however the bytes are cut, but for one thing: where a text breaks off its UTF-8, a piece is handed out as a whole or
 * not at all. */
#ifndef SHOAL_TESTS_WEBSOCKET_RIG_H
#define SHOAL_TESTS_WEBSOCKET_RIG_H

#include "shared/net/websocket.h"

struct websocket_rig {
    struct websocket ws;
    struct buf told;
    struct err err;
    size_t fed;      /* bytes */
    size_t ended_at; /* bytes that were fed when CLOSE or BROKEN came; 0: neither did */
    bool answered;
};

/* A websocket that has asked. */
void websocket_rig_begin(struct websocket_rig *r);
/* The same, and it is answered well. */
void websocket_rig_open(struct websocket_rig *r);
void websocket_rig_finish(struct websocket_rig *r);
/* Feed all of it, in pieces of that many bytes, each in memory of its own. */
void websocket_rig_feed(struct websocket_rig *r, struct slice bytes, size_t piece);
/* What it has told so far. */
const char *websocket_rig_told(const struct websocket_rig *r);

/* Append a frame as a server writes it; `first` is its first byte. */
void websocket_rig_frame(struct buf *out, unsigned first, struct slice payload);

#endif
