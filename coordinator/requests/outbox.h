/* Outbox: takes in what applications add to it, while this process leads.
 *
 *   a bell, or a second -> send_take, a portion a step -> each node hears which sends it says
 *
 * The step refuses what is no send and gives what is over its ttl its result. The bell rings when
 * something is added, so that it is said at once; the node that serves the channels nobody joined
 * looks as well (sender.h), so that sends go on where nobody leads.
 * Failure modes: the bell's link goes down, or the bell rings for nothing: what the outbox holds is
 * looked at each second.
 * Owns a link of its own, which waits for the bell; borrows the leader. Loop thread only. */
#ifndef SHOAL_COORDINATOR_OUTBOX_H
#define SHOAL_COORDINATOR_OUTBOX_H

#include "coordinator/lead/leader.h"

#include <uv.h>

struct outbox;

struct outbox *outbox_create(uv_loop_t *loop, struct leader *leader);
/* It leads: its lease was renewed. `holds`: there is something in the outbox. */
void outbox_go_on(struct outbox *o, bool holds);
/* After the leader is stopped; the memory goes from the loop. */
void outbox_close(struct outbox *o);

#endif
