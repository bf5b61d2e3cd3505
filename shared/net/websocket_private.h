/* WebSocket, inside: what websocket.c (frames) and websocket_answer.c (the upgrade) share. */
#ifndef SHOAL_NET_WEBSOCKET_PRIVATE_H
#define SHOAL_NET_WEBSOCKET_PRIVATE_H

#include "shared/net/websocket.h"

/* As websocket.h pictures them. */
enum websocket_state { WEBSOCKET_ASKED, WEBSOCKET_UPGRADED, WEBSOCKET_CLOSED, WEBSOCKET_FAILED };

/* In websocket_answer.c: MORE, OPEN or BROKEN. The caller moves the state on. */
enum websocket_event websocket_next_answer(struct websocket_answer *a, struct slice *in,
                                           struct websocket_found *found, struct err *err);

#endif
