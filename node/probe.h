/* Probe: opens a connection to Twitch now and then, to learn whether that works, and closes it
 * again. It does not log in: no user's budget is touched.
 *
 * Owns its connection and its timer; borrows the pool and the URL. Loop thread only. */
#ifndef SHOAL_NODE_PROBE_H
#define SHOAL_NODE_PROBE_H

#include "node/connection.h"

struct probe;

/* A probe that was begun at `began_ms` worked (why NULL) or did not. Never from within a function
 * of this room. */
typedef void (*probe_cb)(void *ctx, uint64_t began_ms, const char *why);

struct probe *probe_create(uv_loop_t *loop, struct connections *pool, const char *url, probe_cb cb,
                           void *ctx);
/* From now on so long (a third more at most) after the end of the last one; 0: not at all. Sooner
 * than it was: the next comes as soon as if it had always been so. */
void probe_every(struct probe *p, uint64_t every_ms);
/* No callback any more; `on_closed` comes from the loop, then the memory is gone. */
void probe_close(struct probe *p, void (*on_closed)(void *ctx), void *ctx);

#endif
