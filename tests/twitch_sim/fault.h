/* Fault: what a test may do to one connection. */
#ifndef SIM_FAULT_H
#define SIM_FAULT_H

#include "tests/twitch_sim/conn.h"

/* Neither read nor write any more, without closing. There is no way back. */
void fault_half_open(struct conn *c);
/* Lines go out `ms` late; 0: at once, after those that wait. */
void fault_lag(struct conn *c, uint64_t ms);
/* Neighbouring lines change places; one without a neighbour goes after 100 ms. */
void fault_swap(struct conn *c, bool on);
/* Bytes a second; 0: as fast as it goes. */
void fault_rates(struct conn *c, uint64_t read_rate, uint64_t write_rate);
/* Read nothing for a while, then all at once. */
void fault_pause(struct conn *c, uint64_t ms);
/* `n` bytes were read: stop reading for a while if that was too much. */
void fault_was_read(struct conn *c, size_t n);
/* Time passed: what rates allow grows, pauses end. */
void fault_tick(struct conn *c, uint64_t now, uint64_t elapsed_ms);

#endif
