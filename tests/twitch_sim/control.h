/* Control: the port a test steers the simulator by. One command a line, one JSON object a line as the
 * answer, in order. Commands and their arguments: commands.h, or `help` on the port. */
#ifndef SIM_CONTROL_H
#define SIM_CONTROL_H

#include "tests/twitch_sim/sim.h"

#include "shared/json.h"

/* Listen on 127.0.0.1:port (0: any). */
MUST_USE int control_start(struct sim *s, int port, struct err *err);
int control_port(const struct sim *s);
/* Look whether commands that wait are done; every 10 ms. */
void control_tick(struct sim *s);
/* True while a command waits. */
bool control_waits(const struct sim *s);
void control_close(struct sim *s);
/* After the loop ended. */
void control_free(struct sim *s);

#endif
