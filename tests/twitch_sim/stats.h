/* Stats: everything the simulator counted, as JSON. */
#ifndef SIM_STATS_H
#define SIM_STATS_H

#include "tests/twitch_sim/sim.h"

#include "shared/json.h"

/* Connections that are not being closed. */
size_t stats_connections(const struct sim *s);
/* Members of one object. */
void stats_write(struct sim *s, bool channels, struct json *out);
void stats_write_connections(struct sim *s, struct json *out);
/* "messages": what clients said in a channel, from the from-th on. */
void stats_write_received(struct sim *s, const char *channel, uint64_t from, struct json *out);
/* "generate": {running, lines, ...} */
void stats_write_generate(struct sim *s, struct json *out);
void stats_write_replay(struct sim *s, struct json *out);

#endif
