/* WebSocket key: what both sides of RFC 6455 make of the key of an upgrade (4.2.2). */
#ifndef SHOAL_NET_WEBSOCKET_KEY_H
#define SHOAL_NET_WEBSOCKET_KEY_H

#include "shared/base.h"

#define WEBSOCKET_KEY_CHARS    24 /* 16 bytes in base64 */
#define WEBSOCKET_ACCEPT_CHARS 29 /* 20 bytes in base64, and the NUL */

/* Sec-WebSocket-Accept for a key of WEBSOCKET_KEY_CHARS, NUL-terminated: it proves that whoever
 * answers has read the key, and knows what for. */
void websocket_key_accept(struct slice key, char out[WEBSOCKET_ACCEPT_CHARS]);

#endif
