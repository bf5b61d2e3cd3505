/* Lines: made-up lines of Twitch chat that look like real ones, tags, unicode and all. */
#ifndef SIM_LINES_H
#define SIM_LINES_H

#include "tests/twitch_sim/room.h"

struct lines;

/* The same seed gives the same people and the same lines, time stamps aside. */
struct lines *lines_create(uint64_t seed);
void lines_destroy(struct lines *l);
/* Start the random numbers anew. */
void lines_seed(struct lines *l, uint64_t seed);
/* Make the next line for a room (no CRLF), valid until the next call. `now_ms` is the wall clock. Changes
 * the room's state where the line is a ROOMSTATE. `*audience` says who gets it. */
struct slice lines_next(struct lines *l, struct room *r, bool only_privmsg, uint64_t now_ms,
                        enum audience *audience);

#endif
