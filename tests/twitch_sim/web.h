/* Web: id.twitch.tv and api.twitch.tv over HTTP/1.1, on one port for both.
 *
 *   bytes -> web_request -> fault? -> oauth or helix -> web_answer -> fault? -> bytes
 *
 * libwebsockets carries the bytes, with and without TLS; one request of a connection at a time. */
#ifndef SIM_WEB_H
#define SIM_WEB_H

#include "tests/twitch_sim/web_fault.h"

struct lws_protocols;
struct meter;
struct web_count;

struct web {
    struct web_fault *faults;
    struct web_count *counts;
    struct meter *meters;
};

/* The one protocol of its vhosts. */
#define WEB_PROTOCOL "web"
const struct lws_protocols *web_protocols(void);

struct web *web_create(void);
void web_destroy(struct web *w);

#endif
