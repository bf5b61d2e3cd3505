/* Flood: chat for measurements: made and framed before it is sent, so that the simulator is not what limits. */
#ifndef SIM_FLOOD_H
#define SIM_FLOOD_H

#include "tests/twitch_sim/conn.h"

/* Begin: `count` lines to the connection, of the channels it has joined, a message each, filled up to
 * `bytes` (0: as they come; FLOOD_LEAST at least, FLOOD_MOST at most); nothing where it has joined none. What
 * ran there before is replaced. The same seed gives the same lines. */
#define FLOOD_LEAST 400
#define FLOOD_MOST  4000
void flood_start(struct conn *c, uint64_t count, size_t bytes, uint64_t seed);
/* Are there lines that were not handed out yet? */
bool flood_waits(const struct conn *c);
/* The same, of any connection. */
bool flood_runs(const struct sim *s);
/* The next frames, at most about `most` bytes and never none while it waits; valid until the next
 * flood_start. */
struct slice flood_take(struct conn *c, size_t most);
/* Forget it. */
void flood_finish(struct conn *c);

#endif
